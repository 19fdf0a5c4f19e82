// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `/domb/manifest.json`: what `domb image` put into the boot domain's image
//! and under which name, written on the host and read by PID 1.
//!
//! It lets the configuration stay as it was written, paths included. It is
//! trusted as far as the image is: its digests find a damaged image, they do
//! not replace measuring. A manifest of another version, or with a field this
//! domb does not know, is refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domb_core::config::ArtefactKind;
use domb_core::measure::Original;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The manifest of an image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// The release of the kernel that the modules belong to.
    pub kernel_release: String,
    /// Path of xenstored in the image.
    pub xenstored: String,
    /// Path of xenconsoled in the image.
    pub xenconsoled: String,
    /// The kernel modules in the order in which to load them.
    pub modules: Vec<Module>,
    /// The artefacts, by path and role.
    pub artefacts: Vec<Entry>,
}

/// A kernel module of the image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Its path in the image.
    pub path: String,
    /// SHA-256 of the file in the image, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// An artefact of the image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The path as the configuration has it.
    pub path: String,
    /// What it is used as. One file in two roles has two entries: the bytes
    /// that boot differ.
    pub role: Role,
    /// The path of its bytes in the image, as they boot.
    pub stored: String,
    /// SHA-256 of those bytes, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Their length.
    pub bytes: u64,
    /// The file they were made from, where it differs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub original: Option<Original>,
}

/// What an artefact is used as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The launch script.
    Script,
    /// The compiled Flask policy.
    FlaskPolicy,
    /// The control domain's root.
    ControlRamdisk,
    /// A domain's kernel.
    Kernel,
    /// A domain's ramdisk.
    Ramdisk,
}

impl From<&ArtefactKind> for Role {
    fn from(kind: &ArtefactKind) -> Role {
        match kind {
            ArtefactKind::Script => Role::Script,
            ArtefactKind::FlaskPolicy => Role::FlaskPolicy,
            ArtefactKind::ControlRamdisk => Role::ControlRamdisk,
            ArtefactKind::Kernel(_) => Role::Kernel,
            ArtefactKind::Ramdisk(_) => Role::Ramdisk,
        }
    }
}

#[cfg_attr(
    not(feature = "libxl"),
    allow(dead_code, reason = "PID 1 alone reads a manifest")
)]
impl Manifest {
    /// Reads the manifest in the file `path`.
    ///
    /// # Errors
    /// The file cannot be read or is not a manifest of this version.
    pub fn read(path: &Path) -> Result<Manifest, Error> {
        let bytes = fs::read(path).map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
        Manifest::parse(&bytes)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// The bytes are not a manifest of this version.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, Error> {
        let head: Head = serde_json::from_slice(bytes).map_err(Error::Parse)?;
        if head.version != VERSION {
            return Err(Error::Version {
                found: head.version,
            });
        }
        serde_json::from_slice(bytes).map_err(Error::Parse)
    }

    /// The manifest as the image holds it: equal manifests give equal bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("strings and numbers become JSON");
        json.push(b'\n');
        json
    }

    /// The entry for the path `written` in the configuration, used as `role`.
    #[must_use]
    pub fn artefact(&self, written: &Path, role: Role) -> Option<&Entry> {
        self.artefacts
            .iter()
            .find(|entry| Path::new(&entry.path) == written && entry.role == role)
    }
}

/// The SHA-256 of `bytes` in lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[derive(Deserialize)]
#[cfg_attr(not(feature = "libxl"), allow(dead_code, reason = "as above"))]
struct Head {
    version: u32,
}

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(not(feature = "libxl"), allow(dead_code, reason = "as above"))]
pub enum Error {
    /// The file cannot be read.
    #[error("read the image's manifest {}\nhint: the image was not made by `domb image`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a manifest.
    #[error("parse the image's manifest\nhint: make the image anew with this domb's `domb image`")]
    Parse(#[source] serde_json::Error),
    /// It was made by another domb.
    #[error(
        "the image's manifest has version {found}, this domb reads version {VERSION}\nhint: make the image anew with this domb's `domb image`"
    )]
    Version {
        /// The version found.
        found: u32,
    },
}

/// The version of the format; changes with every change of a field.
pub const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let entry = |role, original| Entry {
            path: "a/vmlinuz".to_owned(),
            role,
            stored: "/domb/artefacts/00".to_owned(),
            sha256: sha256_hex(b""),
            bytes: 0,
            original,
        };
        let original = Original {
            sha256: sha256_hex(b"a"),
            bytes: 1,
            format: "bzImage xz".to_owned(),
        };
        Manifest {
            version: VERSION,
            kernel_release: "6.1".to_owned(),
            xenstored: "/s".to_owned(),
            xenconsoled: "/c".to_owned(),
            modules: vec![Module {
                path: "/m.ko".to_owned(),
                sha256: sha256_hex(b"m"),
                bytes: 1,
            }],
            artefacts: vec![
                entry(Role::Kernel, Some(original)),
                entry(Role::Ramdisk, None),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(Manifest::parse(&manifest().to_json()).unwrap(), manifest());
    }

    #[test]
    fn one_path_in_two_roles_is_two_artefacts() {
        let manifest = manifest();
        let find = |role| manifest.artefact(Path::new("a/vmlinuz"), role);
        assert!(find(Role::Kernel).unwrap().original.is_some());
        assert!(find(Role::Ramdisk).unwrap().original.is_none());
        assert_eq!(find(Role::Script), None);
    }

    #[test]
    fn another_version_is_refused_before_its_fields() {
        let error = Manifest::parse(br#"{"version": 2, "new": true}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("has version 2, this domb reads version 1"),
            "{error}"
        );
    }

    #[test]
    fn a_field_nobody_knows_is_refused() {
        let text = String::from_utf8(manifest().to_json()).unwrap();
        let text = text.replacen("\"xenstored\"", "\"extra\": 1,\n  \"xenstored\"", 1);
        assert!(matches!(
            Manifest::parse(text.as_bytes()),
            Err(Error::Parse(_))
        ));
    }

    #[test]
    fn sha256_is_written_in_lower_case_digits() {
        assert_eq!(&sha256_hex(b"abc")[..16], "ba7816bf8f01cfea");
    }
}
