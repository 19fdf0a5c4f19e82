// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether the control domain's root has the init that the configuration
//! names: looked for in the archive as Linux would look for it in the root, so
//! that a boot does not end where nobody can log in.
//!
//! The archive is not trusted. What Linux would find is found: a later member
//! replaces an earlier one, and links are followed within the root.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::newc::{Member, Members};

/// What is wrong with the init of a control domain's root.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("it has no {0}")]
    Missing(String),
    /// It is a directory or a device.
    #[error("{0} in it is not a file")]
    NotAFile(String),
    /// Nobody may execute it.
    #[error("{0} in it is not executable")]
    NotExecutable(String),
    /// It is a script, and its interpreter cannot be run.
    #[error("{init} in it is a script for {interpreter}, and {cause}")]
    Interpreter {
        /// The init.
        init: String,
        /// What stands behind `#!`.
        interpreter: String,
        /// Why not.
        cause: Box<Error>,
    },
    /// It is an archive that cannot be read.
    #[error("{0}")]
    Archive(String),
}

/// Looks for `init` in the root that `archive`, a plain newc archive, becomes.
///
/// # Errors
/// What would keep Linux from running it.
pub fn check_init(archive: &[u8], init: &str) -> Result<(), Error> {
    let root = Root::read(archive)?;
    let file = root.executable(init)?;
    let Some(interpreter) = interpreter(file.data) else {
        return Ok(());
    };
    let found = root.executable(&interpreter);
    found.map(drop).map_err(|cause| Error::Interpreter {
        init: init.to_owned(),
        interpreter,
        cause: Box::new(cause),
    })
}

/// The members of a root by their path, without `/` before and behind.
struct Root<'a>(BTreeMap<Vec<u8>, Member<'a>>);

impl<'a> Root<'a> {
    fn read(archive: &'a [u8]) -> Result<Root<'a>, Error> {
        let mut members = BTreeMap::new();
        // A file with several names has its content with one of them.
        let mut contents: BTreeMap<((u32, u32), u32), &[u8]> = BTreeMap::new();
        for member in Members::new(archive, 0) {
            let member = member.map_err(|error| Error::Archive(error.to_string()))?;
            if !member.data.is_empty() {
                contents.insert((member.dev, member.ino), member.data);
            }
            members.insert(normal(member.name), member);
        }
        for member in members.values_mut().filter(|it| it.data.is_empty()) {
            if member.mode & KIND == FILE && member.links > 1 {
                let content = contents.get(&(member.dev, member.ino));
                member.data = content.copied().unwrap_or_default();
            }
        }
        Ok(Root(members))
    }

    /// The file that Linux would run under that path.
    fn executable(&self, path: &str) -> Result<&Member<'a>, Error> {
        let file = self
            .resolve(path.as_bytes())
            .ok_or_else(|| Error::Missing(path.to_owned()))?;
        if file.mode & KIND != FILE {
            return Err(Error::NotAFile(path.to_owned()));
        }
        if file.mode & 0o111 == 0 {
            return Err(Error::NotExecutable(path.to_owned()));
        }
        Ok(file)
    }

    /// Follows a path from the root, and every link on the way.
    fn resolve(&self, path: &[u8]) -> Option<&Member<'a>> {
        let mut todo: Vec<Vec<u8>> = parts(path).rev().map(<[u8]>::to_vec).collect();
        let mut at: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        let mut found = None;
        while let Some(part) = todo.pop() {
            if part == b".." {
                at.pop();
                continue;
            }
            at.push(part);
            found = self.0.get(&at.join(&b'/'));
            if let Some(link) = found.filter(|member| member.mode & KIND == LINK) {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                at.pop();
                if link.data.starts_with(b"/") {
                    at.clear();
                }
                todo.extend(parts(link.data).rev().map(<[u8]>::to_vec));
                found = None;
            }
        }
        found
    }
}

fn normal(name: &[u8]) -> Vec<u8> {
    parts(name).collect::<Vec<_>>().join(&b'/')
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
}

/// What stands behind `#!`, up to its first argument (`fs/binfmt_script.c`).
fn interpreter(content: &[u8]) -> Option<String> {
    let line = content.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let text: Cow<'_, str> = String::from_utf8_lossy(line);
    text.split_whitespace().next().map(str::to_owned)
}

/// `S_IFMT` and the kinds that matter here (`uapi/linux/stat.h`).
const KIND: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
/// `MAXSYMLINKS`.
const MAX_LINKS: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::archive::Tree;

    fn archive(fill: impl FnOnce(&mut Tree<'_>)) -> Vec<u8> {
        let mut tree = Tree::default();
        fill(&mut tree);
        tree.write(Vec::new()).unwrap()
    }

    const ELF: &[u8] = b"\x7fELF";

    #[test]
    fn an_init_is_found_through_links_within_the_root() {
        let bytes = archive(|tree| {
            tree.file("/usr/lib/systemd/systemd", 0o755, ELF);
            tree.symlink("/sbin", "usr/sbin");
            tree.symlink("/usr/sbin/init", "/lib/systemd/systemd");
            tree.symlink("/lib", "./usr/../usr/lib");
        });
        assert_eq!(check_init(&bytes, "/sbin/init"), Ok(()));
        assert_eq!(
            check_init(&bytes, "/init"),
            Err(Error::Missing("/init".to_owned()))
        );
    }

    #[test]
    fn what_cannot_be_run_is_no_init() {
        let bytes = archive(|tree| {
            tree.file("/init", 0o644, ELF);
            tree.directory("/etc", 0o755);
            tree.symlink("/loop", "loop");
        });
        let told = |init: &str| check_init(&bytes, init).unwrap_err().to_string();
        assert_eq!(told("/init"), "/init in it is not executable");
        assert_eq!(told("/etc"), "/etc in it is not a file");
        assert_eq!(told("/loop"), "it has no /loop");
    }

    #[test]
    fn a_script_needs_its_interpreter() {
        let script: &[u8] = b"#! /bin/sh -e\necho up\n";
        let with = |shell: bool| {
            archive(|tree| {
                tree.file("/init", 0o755, script);
                if shell {
                    tree.file("/bin/busybox", 0o755, ELF);
                    tree.symlink("/bin/sh", "busybox");
                }
            })
        };
        assert_eq!(check_init(&with(true), "/init"), Ok(()));
        assert_eq!(
            check_init(&with(false), "/init").unwrap_err().to_string(),
            "/init in it is a script for /bin/sh, and it has no /bin/sh"
        );
    }

    #[test]
    fn an_archive_that_ends_early_is_said_to() {
        let bytes = archive(|tree| tree.file("/init", 0o755, ELF));
        let error = check_init(&bytes[..bytes.len() / 2], "/init").unwrap_err();
        assert!(matches!(error, Error::Archive(_)), "{error}");
    }
}
