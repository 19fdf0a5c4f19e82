// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The file systems of the boot domain. The image has the empty directories
//! and `/var/run` as a link to `/run`.

use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, mount, mount_bind, mount_move};
use rustix::process::{chdir, chroot};

struct Mount {
    source: &'static str,
    target: &'static str,
    kind: &'static str,
    flags: MountFlags,
    data: Option<&'static std::ffi::CStr>,
}

const SAFE: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NOEXEC)
    .union(MountFlags::NODEV);

const MOUNTS: [Mount; 5] = [
    Mount {
        source: "proc",
        target: "/proc",
        kind: "proc",
        flags: SAFE,
        data: None,
    },
    Mount {
        source: "sysfs",
        target: "/sys",
        kind: "sysfs",
        flags: SAFE,
        data: None,
    },
    Mount {
        source: "devtmpfs",
        target: "/dev",
        kind: "devtmpfs",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        data: Some(c"mode=0755"),
    },
    Mount {
        source: "devpts",
        target: "/dev/pts",
        kind: "devpts",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        // As distributions mount it: the control domain keeps it.
        data: Some(c"gid=5,mode=0620,ptmxmode=0666"),
    },
    Mount {
        source: "tmpfs",
        target: "/run",
        kind: "tmpfs",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV),
        data: Some(c"mode=0755"),
    },
];

/// Where the control domain's root is made; the image has the directory.
pub(super) const NEW_ROOT: &str = "/newroot";

/// Makes the root a mount that can be exchanged for another: the initramfs
/// itself cannot (pivot_root(2)). The files stay the same ones. Whatever is
/// started after this gets the root that PID 1 gets.
pub(super) fn make_root_a_mount() -> Result<(), Error> {
    let attempt = || -> rustix::io::Result<()> {
        mount_bind("/", NEW_ROOT)?;
        chdir(NEW_ROOT)?;
        mount_move(".", "/")?;
        chroot(".")?;
        chdir("/")
    };
    attempt().map_err(|errno| Error {
        target: NEW_ROOT,
        kind: "the root",
        source: errno.into(),
    })
}

/// Mounts everything that needs no module, and makes the directories the
/// daemons and libxl expect below `/run` and `/var`.
pub(super) fn mount_all() -> Result<(), Error> {
    for entry in &MOUNTS {
        one(entry)?;
    }
    for directory in [
        "/run/domb",
        "/run/xen",
        "/run/xenstored",
        "/var/lib/xen",
        "/var/log/xen",
    ] {
        fs::create_dir_all(directory).map_err(|source| Error {
            target: directory,
            kind: "directory",
            source,
        })?;
    }
    Ok(())
}

/// Mounts xenfs, which xenstored reads its ring from; needs its module.
pub(super) fn mount_xenfs() -> Result<(), Error> {
    one(&Mount {
        source: "xenfs",
        target: "/proc/xen",
        kind: "xenfs",
        flags: SAFE,
        data: None,
    })
}

/// Mounts an empty tmpfs where xenfs would be.
pub(super) fn mount_in_place_of_xenfs() -> Result<(), Error> {
    one(&Mount {
        source: "tmpfs",
        target: "/proc/xen",
        kind: "tmpfs",
        flags: SAFE,
        data: Some(c"mode=0700"),
    })
}

fn one(entry: &Mount) -> Result<(), Error> {
    let failed = |source| Error {
        target: entry.target,
        kind: entry.kind,
        source,
    };
    // /proc/xen and /dev/pts come with the file system around them.
    if !Path::new(entry.target).exists() {
        fs::create_dir_all(entry.target).map_err(failed)?;
    }
    mount(
        entry.source,
        entry.target,
        entry.kind,
        entry.flags,
        entry.data,
    )
    .map_err(|errno| failed(errno.into()))
}

/// A file system could not be mounted.
#[derive(Debug, thiserror::Error)]
#[error(
    "mount {kind} on {target}\nhint: the image was made by another domb, or the kernel lacks it; /proc/xen needs Xen"
)]
pub struct Error {
    target: &'static str,
    kind: &'static str,
    source: io::Error,
}
