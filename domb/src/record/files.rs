// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a [`Report`] says of the files that boot: their paths, their measured
//! digests, and those of another image where the launch script chose one.

use domb_core::config::{Config, DomainName, Role};

use crate::launch::Measured;
use crate::load::Artefact;
use crate::report::{DomainState, File, Report};

impl Report {
    /// Measure is done: the digests are known.
    pub fn digests(&mut self, measured: &Measured) {
        for artefacts in &measured.artefacts.domains {
            let Some(domain) = self.domain(artefacts.name.as_str()) else {
                continue;
            };
            domain.kernel.sha256 = artefacts.kernel.sha256();
            if let (Some(file), Some(ramdisk)) = (&mut domain.ramdisk, &artefacts.ramdisk) {
                file.sha256 = ramdisk.sha256();
            }
        }
    }

    /// The configuration that will be carried out is known: what boots as well,
    /// where the launch script chose another image.
    pub fn planned(&mut self, plan: &Config, measured: &Measured) {
        for planned in &plan.domains {
            let boots = measured.loaded.domains[&planned.name]
                .named(&planned.kernel, planned.ramdisk.as_deref());
            if let (Some((kernel, ramdisk)), Some(domain)) =
                (boots, self.domain(planned.name.as_str()))
            {
                let digested = |artefact: &Artefact| {
                    let mut file = file(artefact);
                    if let Some(digest) = digest(measured, &planned.name, &file.path) {
                        file.sha256 = digest;
                    }
                    file
                };
                domain.kernel = digested(kernel);
                domain.ramdisk = ramdisk.map(|ramdisk| digested(ramdisk));
            }
            if let Some(domain) = self.domain(planned.name.as_str()) {
                domain.seclabel.clone_from(&planned.seclabel);
                if planned.standby || planned.has_role(Role::Recovery) {
                    domain.state = DomainState::Standby;
                }
            }
        }
    }
}

/// The measured digest of that file of the domain or of one of its images.
fn digest(measured: &Measured, name: &DomainName, path: &str) -> Option<String> {
    let mut domains = measured.artefacts.domains.iter();
    let of = domains.find(|domain| domain.name == *name)?;
    let images = of.images.values();
    let images = images.flat_map(|image| std::iter::once(&image.kernel).chain(&image.ramdisk));
    let mut all = std::iter::once(&of.kernel).chain(&of.ramdisk).chain(images);
    let found = all.find(|artefact| artefact.path == path)?;
    Some(found.sha256())
}

pub(super) fn file(artefact: &Artefact) -> File {
    File {
        path: artefact.written.display().to_string(),
        bytes: artefact.sealed.len(),
        sha256: artefact.promised_sha256.clone().unwrap_or_default(),
        original_sha256: artefact
            .original
            .as_ref()
            .map(|original| original.sha256.clone()),
    }
}
