// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files a launch configuration names, each with the place it is named
//! at, so that a file that is missing or wrong can be shown there.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::DomainName;

/// A file that the configuration names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artefact {
    /// What it is for.
    pub kind: ArtefactKind,
    /// The path, as written.
    pub path: PathBuf,
    /// The key that names it: `domain[0].kernel`.
    pub key: String,
    /// The byte range of the path in the configuration.
    pub span: Range<usize>,
}

/// What a file is for; decides what its bytes have to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArtefactKind {
    /// The launch script.
    Script,
    /// The compiled Flask policy.
    FlaskPolicy,
    /// The control domain's root.
    ControlRamdisk,
    /// The kernel of a domain.
    Kernel(DomainName),
    /// The ramdisk of a domain.
    Ramdisk(DomainName),
}

/// Where a file named `written` in a configuration in the directory `base`
/// is: relative paths count from that directory.
#[must_use]
pub fn resolve(base: &Path, written: &Path) -> PathBuf {
    base.join(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_counts_from_the_configurations_directory() {
        let base = Path::new("etc/domb");
        assert_eq!(
            resolve(base, Path::new("a/vmlinuz")),
            Path::new("etc/domb/a/vmlinuz")
        );
        assert_eq!(
            resolve(base, Path::new("/boot/vmlinuz")),
            Path::new("/boot/vmlinuz")
        );
        assert_eq!(
            resolve(Path::new(""), Path::new("vmlinuz")),
            Path::new("vmlinuz")
        );
    }
}
