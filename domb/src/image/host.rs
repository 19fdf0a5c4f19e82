// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finding the files of Debian's packages on the host, or in an unpacked tree
//! elsewhere. Versions are compared number by number, as people read them.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use super::Error;

/// The tree in which defaults are looked for: `/`, or the root of another
/// installation.
#[derive(Clone, Debug)]
pub(super) struct Host {
    root: PathBuf,
}

impl Host {
    pub(super) fn new(root: &Path) -> Host {
        Host {
            root: root.to_path_buf(),
        }
    }

    /// Where `path`, absolute in the tree, is for this program.
    pub(super) fn locate(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The absolute path in the tree of a file of this program's.
    pub(super) fn inside(&self, path: &Path) -> Option<String> {
        let rest = path.strip_prefix(&self.root).ok()?;
        Some(format!("/{}", rest.to_str()?))
    }

    /// The newest `/usr/lib/xen-*/bin/<name>`.
    pub(super) fn xen_program(&self, name: &str) -> Result<PathBuf, Error> {
        let directory = self.locate("/usr/lib");
        let found = names(&directory)
            .into_iter()
            .filter(|entry| entry.starts_with("xen-"))
            .map(|entry| (directory.join(&entry).join("bin").join(name), entry))
            .filter(|(path, _)| path.is_file())
            .max_by(|(_, one), (_, two)| by_version(one, two));
        let missing = || Error::NoProgram {
            name: name.to_owned(),
            directory: directory.clone(),
        };
        found.map(|(path, _)| path).ok_or_else(missing)
    }

    /// The newest kernel's modules that `suitable` takes; kernels that are in
    /// `/boot` come before those that are not.
    pub(super) fn kernel_modules(
        &self,
        suitable: impl Fn(&Path) -> bool,
    ) -> Result<PathBuf, Error> {
        let directory = self.locate("/lib/modules");
        let bootable = |release: &str| {
            self.locate("/boot")
                .join(format!("vmlinuz-{release}"))
                .is_file()
        };
        names(&directory)
            .into_iter()
            .filter(|release| suitable(&directory.join(release)))
            .max_by(|one, two| {
                bootable(one)
                    .cmp(&bootable(two))
                    .then_with(|| by_version(one, two))
            })
            .map(|release| directory.join(release))
            .ok_or(Error::NoModules {
                directory: directory.clone(),
            })
    }
}

/// The names in a directory; none if it cannot be read.
pub(super) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Compares runs of digits as numbers and everything else as text.
fn by_version(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one, two);
    loop {
        let ordering = match (digits(one), digits(two)) {
            (0, 0) => match (one.chars().next(), two.chars().next()) {
                (None, None) => return Ordering::Equal,
                (a, b) => {
                    one = &one[a.map_or(0, char::len_utf8)..];
                    two = &two[b.map_or(0, char::len_utf8)..];
                    a.cmp(&b)
                }
            },
            (a, b) => {
                let (left, right) = (
                    one[..a].trim_start_matches('0'),
                    two[..b].trim_start_matches('0'),
                );
                one = &one[a..];
                two = &two[b..];
                left.len().cmp(&right.len()).then_with(|| left.cmp(right))
            }
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        for (older, newer) in [
            ("6.1.0-9-amd64", "6.1.0-56-amd64"),
            ("6.1.0-56-amd64", "6.10.0-1-amd64"),
            ("xen-4.9", "xen-4.17"),
            ("6.1.0", "6.1.0-1"),
            ("6.1.007", "6.1.8"),
        ] {
            assert_eq!(by_version(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(
                by_version(newer, older),
                Ordering::Greater,
                "{older} {newer}"
            );
        }
        assert_eq!(by_version("6.1", "6.1"), Ordering::Equal);
    }

    #[test]
    fn a_kernel_that_can_be_booted_is_preferred_to_a_newer_one() {
        let root = tempfile::tempdir().unwrap();
        for release in ["6.1.0-9", "6.1.0-10", "6.12.0-1"] {
            fs::create_dir_all(root.path().join("lib/modules").join(release)).unwrap();
        }
        fs::create_dir(root.path().join("boot")).unwrap();
        let host = Host::new(root.path());
        let newest = |suitable: &dyn Fn(&Path) -> bool| {
            let path = host.kernel_modules(suitable).unwrap();
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(newest(&|_| true), "6.12.0-1");
        fs::write(root.path().join("boot/vmlinuz-6.1.0-10"), b"").unwrap();
        assert_eq!(newest(&|_| true), "6.1.0-10");
        assert_eq!(newest(&|path| path.ends_with("6.1.0-9")), "6.1.0-9");
        assert!(matches!(
            host.kernel_modules(|_| false),
            Err(Error::NoModules { .. })
        ));
    }
}
