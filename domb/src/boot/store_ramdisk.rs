// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The xenstore domain's ramdisk. It is made of the files of the boot domain's
//! own image and of nothing else: it is measured with that image, by whoever
//! starts it.

use std::fs;
use std::io;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::MANIFEST;
use crate::image::archive::Tree;
use crate::manifest::Manifest;
use crate::sealed::Sealed;

/// domb as init, the daemons, their libraries, the kernel modules and the
/// manifest, as they are in this domain's root.
///
/// It is compressed, because the domain holds it and what comes out of it at
/// the same time, and Debian's kernel leaves 30 of 96 MiB.
///
/// # Errors
/// One of them cannot be read.
pub(super) fn make(manifest: &Manifest) -> io::Result<Sealed> {
    let mut tree = Tree::default();
    for directory in [
        "/dev",
        "/proc",
        "/run",
        "/sys",
        "/tmp",
        "/var/lib/xenstored",
    ] {
        tree.directory(directory, 0o755);
    }
    tree.symlink("/var/run", "/run");
    tree.character_device("/dev/console", 0o600, 5, 1);
    tree.file("/init", 0o755, fs::read("/init")?);
    tree.file(MANIFEST, 0o644, fs::read(MANIFEST)?);
    for daemon in [&manifest.xenstored, &manifest.xenconsoled] {
        tree.file(daemon, 0o755, fs::read(daemon)?);
    }
    for directory in ["/lib", "/lib64", "/usr/lib"] {
        add(&mut tree, Path::new(directory))?;
    }
    // libxenguest decompresses what begins like gzip; Linux takes several
    // archives one after another, so an empty one in front keeps the rest as it is.
    let archive = GzEncoder::new(Tree::default().write(Vec::new())?, Compression::fast());
    Sealed::new("xenstore-domain.cpio", &tree.write(archive)?.finish()?)
}

/// Everything below `directory` that is a file or a link.
fn add(tree: &mut Tree<'_>, directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = path.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            add(tree, &path)?;
        } else if kind.is_symlink() {
            tree.symlink(&name, fs::read_link(&path)?.to_string_lossy().into_owned());
        } else if kind.is_file() {
            tree.file(&name, 0o755, fs::read(&path)?);
        }
    }
    Ok(())
}
