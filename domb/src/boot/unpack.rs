// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Unpacks the control domain's root.
//!
//! The archive is measured and not trusted: a name that would leave the root,
//! and an entry that needs a directory which is a link, are refused. A later entry
//! replaces an earlier one of the same name, so nothing is written through a link.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Gid, Mode, Uid, chown, makedev, mknodat};

use super::root::Error;

/// Unpacks a newc archive below `root`, as it is read: it is never whole in
/// this process' memory.
pub(super) fn unpack(archive: impl Read, root: &Path) -> Result<(), Error> {
    let mut rest = archive;
    let mut links = Links::new();
    loop {
        let mut reader = cpio::NewcReader::new(rest).map_err(Error::Archive)?;
        if reader.entry().is_trailer() {
            return Ok(());
        }
        let name = reader.entry().name().to_owned();
        let failed = |source| Error::Unpack {
            name: name.clone(),
            source,
        };
        let path = below(root, &name).ok_or_else(|| Error::Escapes { name: name.clone() })?;
        place(&mut reader, &path, &mut links).map_err(failed)?;
        rest = reader.finish().map_err(failed)?;
    }
}

fn below(root: &Path, name: &str) -> Option<PathBuf> {
    let mut path = root.to_path_buf();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
        let parent_is_link = path.parent().is_some_and(|parent| {
            parent != root && fs::symlink_metadata(parent).is_ok_and(|data| data.is_symlink())
        });
        if parent_is_link {
            return None;
        }
    }
    Some(path)
}

/// Where a file with several names was first made, by device and inode. The
/// content comes with one of the names, usually the last.
type Links = BTreeMap<(u32, u32, u32), PathBuf>;

fn place(
    reader: &mut cpio::NewcReader<impl Read>,
    path: &Path,
    links: &mut Links,
) -> io::Result<()> {
    let entry = reader.entry();
    let (mode, uid, gid) = (entry.mode(), entry.uid(), entry.gid());
    let device = makedev(entry.rdev_major(), entry.rdev_minor());
    let kind = FileType::from_raw_mode(mode);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    make_way(path)?;
    match kind {
        FileType::Directory => fs::create_dir_all(path)?,
        FileType::Symlink => {
            let mut target = String::new();
            reader.read_to_string(&mut target)?;
            return symlink(target, path);
        }
        FileType::RegularFile => {
            let inode = (entry.dev_major(), entry.dev_minor(), entry.ino());
            let (names, bytes) = (entry.nlink(), entry.file_size());
            match links
                .get(&inode)
                .filter(|first| names > 1 && *first != path)
            {
                Some(first) => fs::hard_link(first, path)?,
                None => {
                    fs::File::create(path)?;
                    links.insert(inode, path.to_path_buf());
                }
            }
            if bytes > 0 {
                let length = usize::try_from(bytes).unwrap_or(PIECE).min(PIECE);
                let file = OpenOptions::new().write(true).open(path)?;
                copy(reader, &file, &mut vec![0; length])?;
            }
        }
        FileType::CharacterDevice | FileType::BlockDevice | FileType::Fifo => {
            mknodat(CWD, path, kind, Mode::from_raw_mode(mode), device)?;
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    }
    chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7777))
}

/// Removes what an earlier entry put there, unless that is a directory.
fn make_way(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// As `io::copy`, in pieces that cost fewer calls: a root has many megabytes.
fn copy(reader: &mut impl Read, mut file: &fs::File, piece: &mut [u8]) -> io::Result<()> {
    loop {
        let read = reader.read(piece)?;
        if read == 0 {
            return Ok(());
        }
        file.write_all(&piece[..read])?;
    }
}

/// How much of the archive is read at a time.
pub(super) const PIECE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn member(builder: cpio::NewcBuilder, content: &[u8]) -> Vec<u8> {
        // Its owner is whoever runs the test.
        let builder = builder
            .uid(rustix::process::getuid().as_raw())
            .gid(rustix::process::getgid().as_raw());
        let mut writer = builder.write(Vec::new(), u32::try_from(content.len()).unwrap());
        std::io::Write::write_all(&mut writer, content).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn a_later_entry_replaces_an_earlier_one_and_is_not_written_through_a_link() {
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        let (link, file) = (0o120_777, 0o100_600);
        let entry =
            |mode, content: &[u8]| member(cpio::NewcBuilder::new("etc/x").mode(mode), content);
        let target = victim.to_str().unwrap().as_bytes();
        for order in [[link, file], [file, link]] {
            let mut archive = Vec::new();
            for mode in order {
                archive.extend(entry(mode, if mode == link { target } else { b"new" }));
            }
            let archive = cpio::newc::trailer(archive).unwrap();
            let root = tempfile::tempdir().unwrap();
            unpack(archive.as_slice(), root.path()).unwrap();
            assert_eq!(fs::read(&victim).unwrap(), b"mine");
            let placed = fs::symlink_metadata(root.path().join("etc/x")).unwrap();
            assert_eq!(placed.is_symlink(), order[1] == link);
        }
    }

    #[test]
    fn a_file_with_two_names_has_its_content_under_both() {
        let member = |name: &str, content: &[u8]| {
            let builder = cpio::NewcBuilder::new(name).ino(5).nlink(2).mode(0o100_755);
            member(builder, content)
        };
        let mut archive = member("bin/sh", b"");
        archive.extend(member("bin/busybox", b"program"));
        let archive = cpio::newc::trailer(archive).unwrap();
        let root = tempfile::tempdir().unwrap();
        unpack(archive.as_slice(), root.path()).unwrap();
        assert_eq!(fs::read(root.path().join("bin/sh")).unwrap(), b"program");
        assert_eq!(
            fs::read(root.path().join("bin/busybox")).unwrap(),
            b"program"
        );
    }

    #[test]
    fn an_entry_that_leaves_the_root_is_refused() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(below(root.path(), "../etc/passwd"), None);
        assert_eq!(
            below(root.path(), "/bin/sh"),
            Some(root.path().join("bin/sh"))
        );
        symlink("/", root.path().join("out")).unwrap();
        assert_eq!(below(root.path(), "out/etc/passwd"), None);
    }
}
