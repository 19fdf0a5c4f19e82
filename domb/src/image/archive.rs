// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The image's file tree, written as one newc archive whose bytes depend on
//! nothing but the tree: names sorted, inodes counted, times and owners zero.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use cpio::newc::{Builder, trailer};

/// The tree. Directories above a node are made when they are needed.
#[derive(Debug, Default)]
pub(crate) struct Tree<'a> {
    nodes: BTreeMap<String, Node<'a>>,
}

#[derive(Debug)]
enum Node<'a> {
    Directory {
        permissions: u32,
    },
    File {
        permissions: u32,
        bytes: Cow<'a, [u8]>,
    },
    Symlink {
        target: Cow<'a, str>,
    },
    CharacterDevice {
        permissions: u32,
        major: u32,
        minor: u32,
    },
}

impl<'a> Tree<'a> {
    /// Adds a directory at the absolute `path`.
    pub(crate) fn directory(&mut self, path: &str, permissions: u32) {
        self.insert(path, Node::Directory { permissions });
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, permissions: u32, bytes: impl Into<Cow<'a, [u8]>>) {
        self.insert(
            path,
            Node::File {
                permissions,
                bytes: bytes.into(),
            },
        );
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(&mut self, path: &str, target: impl Into<Cow<'a, str>>) {
        let target = target.into();
        self.insert(path, Node::Symlink { target });
    }

    /// Adds a character device.
    pub(crate) fn character_device(
        &mut self,
        path: &str,
        permissions: u32,
        major: u32,
        minor: u32,
    ) {
        self.insert(
            path,
            Node::CharacterDevice {
                permissions,
                major,
                minor,
            },
        );
    }

    fn insert(&mut self, path: &str, node: Node<'a>) {
        let name = path.trim_start_matches('/');
        for (at, _) in name.match_indices('/') {
            let directory = Node::Directory { permissions: 0o755 };
            self.nodes.entry(name[..at].to_owned()).or_insert(directory);
        }
        self.nodes.insert(name.to_owned(), node);
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// `out` failed, or a file is longer than the format can say.
    pub(crate) fn write<W: Write>(&self, mut out: W) -> io::Result<W> {
        for (inode, (name, node)) in (1..).zip(&self.nodes) {
            let (mode, bytes): (u32, &[u8]) = match node {
                Node::Directory { permissions } => (S_IFDIR | permissions, &[]),
                Node::File { permissions, bytes } => (S_IFREG | permissions, bytes),
                Node::Symlink { target } => (S_IFLNK | 0o777, target.as_bytes()),
                Node::CharacterDevice { permissions, .. } => (S_IFCHR | permissions, &[]),
            };
            let mut builder = Builder::new(name).ino(inode).mode(mode).nlink(1);
            if let Node::CharacterDevice { major, minor, .. } = node {
                builder = builder.rdev_major(*major).rdev_minor(*minor);
            }
            let length = u32::try_from(bytes.len()).map_err(|_| {
                io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("{name} has 4 GiB or more"),
                )
            })?;
            let mut member = builder.write(out, length);
            member.write_all(bytes)?;
            out = member.finish()?;
        }
        trailer(out)
    }
}

// File types of `st_mode` (inode(7)).
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newc::Members;

    fn tree<'a>() -> Tree<'a> {
        let mut tree = Tree::default();
        tree.file("/usr/lib/a.so", 0o644, b"library".as_slice());
        tree.file("/init", 0o755, b"program!".as_slice());
        tree.symlink("/var/run", "/run");
        tree.character_device("/dev/console", 0o600, 5, 1);
        tree.directory("/tmp", 0o1777);
        tree
    }

    #[test]
    fn names_are_sorted_and_parents_come_first() {
        let archive = tree().write(Vec::new()).unwrap();
        let members: Vec<_> = Members::new(&archive, 0).map(Result::unwrap).collect();
        let names: Vec<_> = members
            .iter()
            .map(|m| std::str::from_utf8(m.name).unwrap())
            .collect();
        let expected = "dev dev/console init tmp usr usr/lib usr/lib/a.so var var/run";
        assert_eq!(names.join(" "), expected);
        assert_eq!(
            (members[6].data, members[8].data),
            (&b"library"[..], &b"/run"[..])
        );
    }

    #[test]
    fn headers_hold_nothing_of_the_host() {
        let archive = tree().write(Vec::new()).unwrap();
        for (member, inode) in Members::new(&archive, 0).map(Result::unwrap).zip(1..) {
            let header = std::str::from_utf8(&member.raw[..110]).unwrap();
            let field =
                |at: usize| u32::from_str_radix(&header[6 + 8 * at..14 + 8 * at], 16).unwrap();
            let expected = match member.name {
                b"dev/console" => (0o020_600, (5, 1)),
                b"init" => (0o100_755, (0, 0)),
                b"tmp" => (0o041_777, (0, 0)),
                b"usr/lib/a.so" => (0o100_644, (0, 0)),
                b"var/run" => (0o120_777, (0, 0)),
                _ => (0o040_755, (0, 0)),
            };
            assert_eq!((field(1), (field(9), field(10))), expected);
            assert_eq!([0, 2, 3, 4, 5, 7, 8].map(field), [inode, 0, 0, 1, 0, 0, 0]);
        }
    }

    #[test]
    fn the_order_of_adding_does_not_show() {
        let mut other = Tree::default();
        other.character_device("/dev/console", 0o600, 5, 1);
        other.directory("/tmp", 0o1777);
        other.symlink("/var/run", "/run");
        other.file("/init", 0o755, b"program!".as_slice());
        other.file("/usr/lib/a.so", 0o644, b"library".as_slice());
        assert_eq!(
            other.write(Vec::new()).unwrap(),
            tree().write(Vec::new()).unwrap()
        );
    }
}
