// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PID 1 becomes the control domain's init (`exit = "process"`).
//!
//! The control domain's ramdisk, measured like everything else, is unpacked
//! onto a tmpfs; `/proc`, `/sys`, `/dev` and `/run` are bound there, with the
//! daemons' sockets in them; the image's own files are removed to give their
//! memory back; then that tmpfs is the root and its init replaces domb.
//!
//! The daemons keep the image's emptied root. The four mounts stay in it as
//! well: xenconsoled opens `/dev/ptmx` anew for each domain, so without them
//! no domain could be created after domb.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use domb_core::config::Control;
use rustix::fs::{CWD, FileType, Gid, Mode, Uid, chown, makedev, mknodat};
use rustix::mount::{MountFlags, mount, mount_bind_recursive, mount_move};
use rustix::process::{chdir, chroot};

use crate::load::Artefact;

const NEW_ROOT: &str = "/newroot";
/// What both roots see, by name in each.
const SHARED: [&str; 4] = ["proc", "sys", "dev", "run"];

/// Comes back only with the reason why it could not be done.
pub(super) fn become_init(control: &Control, ramdisk: Option<&Artefact>) -> Error {
    if let Some(ramdisk) = ramdisk
        && let Err(error) = switch_root(ramdisk, &control.init)
    {
        return error;
    }
    let source = Command::new(&control.init)
        .args(&control.args)
        .env_clear()
        .exec();
    Error::Exec {
        init: control.init.clone(),
        source,
    }
}

fn switch_root(ramdisk: &Artefact, init: &str) -> Result<(), Error> {
    step("mount a tmpfs for the control domain's root", || {
        fs::create_dir_all(NEW_ROOT)?;
        Ok(mount(
            "tmpfs",
            NEW_ROOT,
            "tmpfs",
            MountFlags::empty(),
            Some(c"mode=0755"),
        )?)
    })?;
    let bytes = step("read the control domain's ramdisk", || {
        ramdisk.sealed.read()
    })?;
    unpack(&bytes, Path::new(NEW_ROOT))?;
    let there = Path::new(NEW_ROOT).join(init.trim_start_matches('/'));
    if fs::symlink_metadata(&there).is_err() {
        return Err(Error::NoInit {
            init: init.to_owned(),
        });
    }
    step("carry libxl's records over", carry_libxl_records)?;
    for directory in SHARED {
        step("bind a mount into the new root", || {
            let target = Path::new(NEW_ROOT).join(directory);
            fs::create_dir_all(&target)?;
            Ok(mount_bind_recursive(
                Path::new("/").join(directory),
                target,
            )?)
        })?;
    }
    step("give the image's memory back", remove_image)?;
    step("make the new root the root", || {
        chdir(NEW_ROOT)?;
        mount_move(".", "/")?;
        chroot(".")?;
        Ok(chdir("/")?)
    })
}

fn step<T>(attempt: &'static str, run: impl FnOnce() -> io::Result<T>) -> Result<T, Error> {
    run().map_err(|source| Error::Switch { attempt, source })
}

/// `xl` in the control domain finds each domain's configuration in
/// `/var/lib/xen/userdata-d.*` (`libxl_dom.c`, `libxl__userdata_path`).
fn carry_libxl_records() -> io::Result<()> {
    let to = Path::new(NEW_ROOT).join("var/lib/xen");
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir("/var/lib/xen")? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Everything of the image is in RAM: what is not removed stays for ever.
/// Files that run (the daemons) live on until they end; mounts are left alone.
fn remove_image() -> io::Result<()> {
    for entry in fs::read_dir("/")? {
        let entry = entry?;
        let path = entry.path();
        let is_shared = SHARED.iter().any(|name| path == Path::new("/").join(name));
        if is_shared || path == Path::new(NEW_ROOT) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Unpacks a newc archive below `root`. A name that would leave `root`, and
/// an entry that needs a directory which is a link, are refused.
fn unpack(archive: &[u8], root: &Path) -> Result<(), Error> {
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

fn place(reader: &mut cpio::NewcReader<&[u8]>, path: &Path, links: &mut Links) -> io::Result<()> {
    let entry = reader.entry();
    let (mode, uid, gid) = (entry.mode(), entry.uid(), entry.gid());
    let device = makedev(entry.rdev_major(), entry.rdev_minor());
    let kind = FileType::from_raw_mode(mode);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
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
            match links.get(&inode).filter(|_| names > 1) {
                Some(first) => fs::hard_link(first, path)?,
                None => {
                    fs::File::create(path)?;
                    links.insert(inode, path.to_path_buf());
                }
            }
            if bytes > 0 {
                io::copy(reader, &mut OpenOptions::new().write(true).open(path)?)?;
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

/// Why PID 1 is still domb.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One step of the switch failed.
    #[error("{attempt}")]
    Switch {
        /// Which.
        attempt: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The archive is not a newc archive.
    #[error("read the control domain's ramdisk as a newc archive")]
    Archive(#[source] io::Error),
    /// An entry could not be made.
    #[error("unpack {name} of the control domain's ramdisk")]
    Unpack {
        /// The entry.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// An entry would be made outside the root.
    #[error("{name} of the control domain's ramdisk lies outside its root")]
    Escapes {
        /// The entry.
        name: String,
    },
    /// There is no such init in it.
    #[error(
        "the control domain's ramdisk has no {init}\nhint: `[control] init` names a file in that archive"
    )]
    NoInit {
        /// As configured.
        init: String,
    },
    /// The init could not be run.
    #[error(
        "run {init}\nhint: it must be executable, and its interpreter and libraries must be in the same root"
    )]
    Exec {
        /// As configured.
        init: String,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_has_its_content_under_both() {
        let member = |name: &str, content: &[u8]| {
            let builder = cpio::NewcBuilder::new(name).ino(5).nlink(2).mode(0o100_755);
            let mut writer = builder.write(Vec::new(), u32::try_from(content.len()).unwrap());
            std::io::Write::write_all(&mut writer, content).unwrap();
            writer.finish().unwrap()
        };
        let mut archive = member("bin/sh", b"");
        archive.extend(member("bin/busybox", b"program"));
        let archive = cpio::newc::trailer(archive).unwrap();
        let root = tempfile::tempdir().unwrap();
        unpack(&archive, root.path()).unwrap();
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
