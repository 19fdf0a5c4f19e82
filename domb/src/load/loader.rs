// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Each artefact of one configuration, read once and sealed: from its file, or
//! from a boot domain's image.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use domb_core::config::{ArtefactKind, Config, DomainConfig, resolve};
use domb_core::flask::Policy;
use domb_core::measure::Original;

use super::{Artefact, Cause, Error, FlaskPolicy, Image, Source, failed, fits};
use crate::boots::Boots;
use crate::manifest::{Entry, Manifest, Role, sha256_hex};
use crate::sealed::Sealed;

/// Reads and seals, and keeps what it has.
pub(super) struct Loader<'a> {
    base: &'a Path,
    source: Source<'a>,
    /// One file in two roles is sealed twice: the bytes that boot differ.
    seen: BTreeMap<(PathBuf, Role), Rc<Artefact>>,
    /// An image stores equal bytes once, and each is removed once sealed.
    stored: BTreeMap<String, Rc<Sealed>>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

impl<'a> Loader<'a> {
    /// With nothing read yet; paths are relative to `base`.
    pub(super) fn new(base: &'a Path, source: Source<'a>) -> Loader<'a> {
        Loader {
            base,
            source,
            seen: BTreeMap::new(),
            stored: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn images(
        &mut self,
        domain: &DomainConfig,
    ) -> Result<BTreeMap<String, Image>, Error> {
        let mut images = BTreeMap::new();
        for image in &domain.images {
            let kind = ArtefactKind::Kernel(domain.name.clone());
            let kernel = self.artefact(&image.kernel, &kind)?;
            fits(&kernel, domain.kind)
                .map_err(|cause| failed(&kind, image.kernel.clone(), cause))?;
            let kind = ArtefactKind::Ramdisk(domain.name.clone());
            let ramdisk = self.optional(image.ramdisk.as_deref(), &kind)?;
            images.insert(image.name.clone(), Image { kernel, ramdisk });
        }
        Ok(images)
    }

    pub(super) fn control_ramdisk(
        &mut self,
        config: &Config,
    ) -> Result<Option<Rc<Artefact>>, Error> {
        let control = config.control.as_ref();
        let written = control.and_then(|control| control.ramdisk.as_deref());
        self.optional(written, &ArtefactKind::ControlRamdisk)
    }

    pub(super) fn optional(
        &mut self,
        written: Option<&Path>,
        kind: &ArtefactKind,
    ) -> Result<Option<Rc<Artefact>>, Error> {
        written
            .map(|written| self.artefact(written, kind))
            .transpose()
    }

    pub(super) fn artefact(
        &mut self,
        written: &Path,
        kind: &ArtefactKind,
    ) -> Result<Rc<Artefact>, Error> {
        let role = Role::from(kind);
        let key = (written.to_path_buf(), role);
        if let Some(artefact) = self.seen.get(&key) {
            return Ok(Rc::clone(artefact));
        }
        let artefact = match self.source {
            Source::Files => self.read_file(written, role),
            Source::Image(manifest) => self.take_stored(manifest, written, role),
        }
        .map_err(|(path, cause)| failed(kind, path, cause))?;
        let artefact = Rc::new(artefact);
        self.seen.insert(key, Rc::clone(&artefact));
        Ok(artefact)
    }

    /// Read from the sealed bytes: an image's files were looked into when it
    /// was made, by whoever made it.
    pub(super) fn flask_policy(&mut self, written: &Path) -> Result<FlaskPolicy, Error> {
        let kind = ArtefactKind::FlaskPolicy;
        let file = self.artefact(written, &kind)?;
        let policy = file
            .sealed
            .read()
            .map_err(Cause::from)
            .and_then(|bytes| Policy::read(&bytes).map_err(|error| Cause::Boots(error.into())))
            .map_err(|cause| failed(&kind, written.to_path_buf(), cause))?;
        Ok(FlaskPolicy { file, policy })
    }

    fn read_file(&mut self, written: &Path, role: Role) -> Result<Artefact, (PathBuf, Cause)> {
        let path = resolve(self.base, written);
        let bytes = fs::read(&path).map_err(|source| (path.clone(), source.into()))?;
        let boots = Boots::of(&bytes, role).map_err(|cause| (path.clone(), cause.into()))?;
        if !boots.known {
            let path = path.display();
            self.warnings.push(format!(
                "{path} is no archive domb knows; it is taken as it is"
            ));
        }
        let original = boots.format.map(|format| Original {
            sha256: sha256_hex(&bytes),
            bytes: bytes.len() as u64,
            format,
        });
        let sealed =
            Sealed::new(&name(written), &boots.bytes).map_err(|source| (path, source.into()))?;
        Ok(Artefact {
            written: written.to_path_buf(),
            sealed: Rc::new(sealed),
            original,
            entries: boots.entries,
            promised_sha256: None,
        })
    }

    /// `domb image` has already made it what boots.
    fn take_stored(
        &mut self,
        manifest: &Manifest,
        written: &Path,
        role: Role,
    ) -> Result<Artefact, (PathBuf, Cause)> {
        let entry = manifest
            .artefact(written, role)
            .ok_or_else(|| (written.to_path_buf(), Cause::NotInImage))?;
        let sealed = match self.stored.get(&entry.stored) {
            Some(sealed) => Rc::clone(sealed),
            None => {
                let sealed = seal_and_remove(entry)
                    .map_err(|cause| (PathBuf::from(&entry.stored), cause))?;
                self.stored.insert(entry.stored.clone(), Rc::clone(&sealed));
                sealed
            }
        };
        Ok(Artefact {
            written: written.to_path_buf(),
            sealed,
            original: entry.original.clone(),
            entries: None,
            promised_sha256: Some(entry.sha256.clone()),
        })
    }
}

/// The image's root is in RAM: what is sealed is not kept a second time.
fn seal_and_remove(entry: &Entry) -> Result<Rc<Sealed>, Cause> {
    let stored = Path::new(&entry.stored);
    let bytes = fs::read(stored)?;
    let found = bytes.len() as u64;
    if found != entry.bytes {
        return Err(Cause::Length {
            promised: entry.bytes,
            found,
        });
    }
    let sealed = Sealed::new(&name(stored), &bytes)?;
    fs::remove_file(stored)?;
    Ok(Rc::new(sealed))
}

fn name(written: &Path) -> String {
    written
        .file_name()
        .unwrap_or(written.as_os_str())
        .to_string_lossy()
        .into_owned()
}
