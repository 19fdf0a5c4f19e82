// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PID 1 becomes the control domain's init (`exit = "process"`).
//!
//! The control domain's ramdisk, measured like everything else, is unpacked
//! onto a tmpfs; `/proc`, `/sys`, `/dev` and `/run` are bound there, with the
//! daemons' sockets in them; the image's own files are removed to give their
//! memory back; then that tmpfs becomes the root, and its init replaces domb.
//!
//! It becomes the daemons' root as well, because the switch is pivot_root(2):
//! each process whose root was the old one has the new one. So a live update
//! of xenstored finds the program it is to become, and xenconsoled finds
//! `/dev/ptmx` for domains to come. Their programs stay those of the image.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use domb_core::config::Control;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind_recursive, unmount};
use rustix::process::{chdir, pivot_root};

use super::mounts::NEW_ROOT;
use super::unpack::{PIECE, unpack};
use crate::load::Artefact;

/// What `domb image` packed of the configuration, and the configuration.
const ARTEFACTS: &str = "/domb";
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
    // What it held is sealed in memory by now: a root takes its size twice, not
    // three times.
    step("give the artefacts' memory back", || {
        fs::remove_dir_all(ARTEFACTS)
    })?;
    let archive = step("read the control domain's ramdisk", || {
        File::open(ramdisk.sealed.path())
    })?;
    unpack(
        BufReader::with_capacity(PIECE, archive),
        Path::new(NEW_ROOT),
    )?;
    if !has(Path::new(NEW_ROOT), init) {
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
        // The old root lies on the new one, and is taken off it (pivot_root(2)).
        pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        Ok(chdir("/")?)
    })
}

fn step<T>(attempt: &'static str, run: impl FnOnce() -> io::Result<T>) -> Result<T, Error> {
    run().map_err(|source| Error::Switch { attempt, source })
}

/// Whether a root has that file, links followed as they will be when it is
/// the root.
fn has(root: &Path, file: &str) -> bool {
    let Ok(root) = openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(root, file, flags, Mode::empty(), ResolveFlags::IN_ROOT).is_ok()
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
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_init_behind_links_is_looked_for_in_its_own_root() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        fs::create_dir_all(path.join("usr/lib/systemd")).unwrap();
        fs::create_dir_all(path.join("usr/sbin")).unwrap();
        fs::write(path.join("usr/lib/systemd/systemd"), "").unwrap();
        symlink("/usr/sbin", path.join("sbin")).unwrap();
        symlink("/usr/lib/systemd/systemd", path.join("usr/sbin/init")).unwrap();
        symlink("/proc/self/exe", path.join("usr/sbin/outside")).unwrap();
        assert!(has(path, "/sbin/init"));
        assert!(!has(path, "/sbin/outside"));
        assert!(!has(path, "/init"));
    }
}
