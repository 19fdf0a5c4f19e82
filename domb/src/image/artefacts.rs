// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files that a launch configuration names, as they will boot: kernels
//! taken out of their bzImage, the control domain's ramdisk as a plain archive,
//! the rest byte for byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domb_core::config::{ArtefactKind, Config, resolve};
use domb_core::measure::Original;

use super::{Error, read};
use crate::boots::Boots;
use crate::control_root::check_init;
use crate::load::what;
use crate::manifest::{Entry, Role, sha256_hex};

/// The artefacts of a configuration: each stored content once.
#[derive(Debug, Default)]
pub(super) struct Artefacts {
    /// One entry for each path in each role.
    pub(super) entries: Vec<Entry>,
    /// Content by its path in the image.
    pub(super) contents: BTreeMap<String, Vec<u8>>,
    /// The files that were read.
    pub(super) sources: Vec<PathBuf>,
    /// What is allowed but probably not meant.
    pub(super) warnings: Vec<String>,
}

/// Reads every file that `config` names; relative paths count from `base`.
pub(super) fn artefacts(config: &Config, base: &Path) -> Result<Artefacts, Error> {
    let mut artefacts = Artefacts::default();
    for named in &config.artefacts {
        let role = Role::from(&named.kind);
        let known = |entry: &Entry| entry.role == role && Path::new(&entry.path) == named.path;
        if artefacts.entries.iter().any(known) {
            continue;
        }
        let source = resolve(base, &named.path);
        let failed = |cause| Error::Artefact {
            what: what(&named.kind),
            path: source.clone(),
            cause,
        };
        let bytes = read(&source).map_err(|error| failed(Box::new(error)))?;
        let boots = Boots::of(&bytes, role).map_err(|error| failed(error.into()))?;
        if !boots.known {
            artefacts.warnings.push(format!(
                "{} {}: not an archive that could be checked; it is taken as it is",
                what(&named.kind),
                source.display()
            ));
        }
        if let (ArtefactKind::ControlRamdisk, Some(control)) = (&named.kind, &config.control) {
            check_init(&boots.bytes, &control.init).map_err(|error| failed(error.into()))?;
        }
        artefacts.add(&named.path, role, &bytes, boots);
        artefacts.sources.push(source);
    }
    Ok(artefacts)
}

impl Artefacts {
    fn add(&mut self, written: &Path, role: Role, file: &[u8], boots: Boots<'_>) {
        let sha256 = sha256_hex(&boots.bytes);
        let original = boots.format.map(|format| Original {
            sha256: sha256_hex(file),
            bytes: file.len() as u64,
            format,
        });
        let same = self.entries.iter().find(|entry| entry.sha256 == sha256);
        let stored = same.map_or_else(
            || {
                let name = written
                    .file_name()
                    .unwrap_or(written.as_os_str())
                    .to_string_lossy();
                format!("{DIRECTORY}/{}-{name}", &sha256[..16])
            },
            |entry| entry.stored.clone(),
        );
        self.entries.push(Entry {
            path: written.to_string_lossy().into_owned(),
            role,
            stored: stored.clone(),
            sha256,
            bytes: boots.bytes.len() as u64,
            original,
        });
        self.contents
            .entry(stored)
            .or_insert_with(|| boots.bytes.into_owned());
    }
}

const DIRECTORY: &str = "/domb/artefacts";
