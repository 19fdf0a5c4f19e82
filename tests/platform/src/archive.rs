// SPDX-License-Identifier: Apache-2.0 OR MIT
//! newc cpio archives: the ramdisks of the domains under test, the control
//! domain's root, and the one tool of every tamper test, rewriting one entry
//! of a boot image. It trusts the host's files; it refuses an archive that
//! lacks the entry a test wants to change, so no tamper test passes by
//! changing nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use cpio::newc::{self, ModeFileType};

use crate::error::{Error, Result};

/// A tree of files, written as one reproducible newc archive: entries by
/// name, parents first, times and owners zero.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    mode: u32,
    data: Vec<u8>,
}

impl Archive {
    /// An archive with nothing in it.
    #[must_use]
    pub fn new() -> Archive {
        Archive::default()
    }

    /// Adds an empty directory (and its parents).
    pub fn dir(&mut self, path: &str) -> &mut Archive {
        self.insert(path, MODE_DIR | 0o755, Vec::new())
    }

    /// Adds a file with these bytes.
    pub fn file(&mut self, path: &str, mode: u32, data: impl Into<Vec<u8>>) -> &mut Archive {
        self.insert(path, MODE_FILE | mode, data.into())
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> &mut Archive {
        self.insert(path, MODE_LINK | 0o777, target.into())
    }

    /// Adds the host's file `from` (a link is followed) as `path`.
    pub fn copy(&mut self, from: &Path, path: &str, mode: u32) -> Result<&mut Archive> {
        let data = fs::read(from).map_err(Error::file("read", from))?;
        Ok(self.file(path, mode, data))
    }

    /// Adds a program of the host under its own path, with every shared
    /// library `ldd` names, so that it runs in the archive's root.
    pub fn program(&mut self, path: &str) -> Result<&mut Archive> {
        self.copy(Path::new(path), path, 0o755)?;
        for library in libraries(Path::new(path))? {
            let name = library.to_string_lossy().into_owned();
            self.copy(&library, &name, 0o755)?;
        }
        Ok(self)
    }

    /// The archive's bytes.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for (inode, (name, entry)) in (1..).zip(&self.entries) {
            append(&mut out, inode, name, entry).map_err(Error::file("pack", name.as_str()))?;
        }
        newc::trailer(&mut out).map_err(Error::file("pack", "the trailer"))?;
        Ok(out)
    }

    /// Writes the archive and returns its length in bytes.
    pub fn write(&self, to: &Path) -> Result<u64> {
        let bytes = self.bytes()?;
        fs::write(to, &bytes).map_err(Error::file("write", to))?;
        Ok(bytes.len() as u64)
    }

    /// Writes `base` with these entries behind its own, as one archive, to `out`.
    pub fn write_onto(&self, base: &Path, out: &Path) -> Result<()> {
        let mut bytes = fs::read(base).map_err(Error::file("read", base))?;
        // Padding follows the trailer, and nothing else (cpio(1) fills a block).
        let name = bytes.windows(TRAILER.len()).rposition(|at| at == TRAILER);
        let end = name.and_then(|at| at.checked_sub(HEADER));
        bytes.truncate(end.ok_or_else(|| Error::Archive {
            doing: "find the end".to_owned(),
            path: base.to_owned(),
            reason: "no trailer".to_owned(),
        })?);
        bytes.extend(self.bytes()?);
        fs::write(out, bytes).map_err(Error::file("write", out))
    }

    /// Reads the names and bytes of a file's first archive. Owners, device
    /// numbers and links are not kept: this is for looking, not for writing back.
    pub fn read(from: &Path) -> Result<Archive> {
        let bytes = fs::read(from).map_err(Error::file("read", from))?;
        let mut archive = Archive::new();
        let mut rest = Cursor::new(bytes);
        loop {
            let mut reader = newc::Reader::new(rest).map_err(Error::file("unpack", from))?;
            if reader.entry().is_trailer() {
                return Ok(archive);
            }
            let name = reader.entry().name().to_owned();
            let mode = reader.entry().mode();
            let mut data = Vec::new();
            reader
                .read_to_end(&mut data)
                .map_err(Error::file("unpack", from))?;
            archive.entries.insert(name, Entry { mode, data });
            rest = reader.finish().map_err(Error::file("unpack", from))?;
        }
    }

    /// The bytes of one file, if the archive has it.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.entries
            .get(trim(path))
            .map(|entry| entry.data.as_slice())
    }

    /// The names of all entries, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    fn insert(&mut self, path: &str, mode: u32, data: Vec<u8>) -> &mut Archive {
        let path = trim(path);
        for (slash, _) in path.match_indices('/') {
            let parent = Entry {
                mode: MODE_DIR | 0o755,
                data: Vec::new(),
            };
            self.entries
                .entry(path[..slash].to_owned())
                .or_insert(parent);
        }
        self.entries.insert(path.to_owned(), Entry { mode, data });
        self
    }
}

/// Writes `image` to `out` with one entry's bytes changed by `change`; all
/// else stays as it is, byte for byte. It is an error if the entry does not
/// exist or `change` leaves it as it was.
pub fn patch(
    image: &Path,
    out: &Path,
    path: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<()> {
    let fault = |reason: &str| Error::Archive {
        doing: format!("change {path}"),
        path: image.to_owned(),
        reason: reason.to_owned(),
    };
    let bytes = fs::read(image).map_err(Error::file("read", image))?;
    let place = Place::find(&bytes, trim(path)).ok_or_else(|| fault("no such entry"))?;
    let before = &bytes[place.data.clone()];
    let mut data = before.to_vec();
    change(&mut data);
    if data == before {
        return Err(fault("the change changed nothing"));
    }
    let mut changed = bytes[..place.data.start].to_vec();
    let length = place.header + LENGTH.start..place.header + LENGTH.end;
    changed[length].copy_from_slice(format!("{:08x}", data.len()).as_bytes());
    changed.extend_from_slice(&data);
    changed.resize(changed.len().next_multiple_of(4), 0);
    changed.extend_from_slice(&bytes[place.next..]);
    fs::write(out, changed).map_err(Error::file("write", out))
}

/// Where an entry lies in an archive.
struct Place {
    header: usize,
    data: Range<usize>,
    next: usize,
}

impl Place {
    fn find(bytes: &[u8], path: &str) -> Option<Place> {
        let number = |at: usize| {
            let digits = std::str::from_utf8(bytes.get(at..at + 8)?).ok()?;
            usize::from_str_radix(digits, 16).ok()
        };
        let mut header = 0;
        loop {
            let name = header + HEADER..header + HEADER + number(header + NAME_LENGTH)?;
            let start = name.end.next_multiple_of(4);
            let data = start..start + number(header + LENGTH.start)?;
            let next = data.end.next_multiple_of(4);
            let name = bytes.get(name)?.strip_suffix(b"\0")?;
            if bytes.len() < next || name == TRAILER {
                return None;
            }
            if name == path.as_bytes() {
                return Some(Place { header, data, next });
            }
            header = next;
        }
    }
}

fn append(out: &mut Vec<u8>, inode: u32, name: &str, entry: &Entry) -> std::io::Result<()> {
    let length = u32::try_from(entry.data.len()).map_err(std::io::Error::other)?;
    let (kind, links) = match entry.mode & MODE_KIND {
        MODE_DIR => (ModeFileType::Directory, 2),
        MODE_LINK => (ModeFileType::Symlink, 1),
        _ => (ModeFileType::Regular, 1),
    };
    let header = newc::Builder::new(name)
        .ino(inode)
        .nlink(links)
        .mode(entry.mode & !MODE_KIND);
    let mut writer = header.set_mode_file_type(kind).write(&mut *out, length);
    writer.write_all(&entry.data)?;
    writer.finish()?;
    Ok(())
}

/// Shared libraries and the loader, as the host's `ldd` resolves them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .map_err(|source| Error::Start {
            program: "ldd".into(),
            source,
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = text.lines().find(|line| line.contains("not found")) {
        return Err(Error::Untrue(format!(
            "{}: {}",
            program.display(),
            line.trim()
        )));
    }
    Ok(text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect())
}

fn trim(path: &str) -> &str {
    path.trim_start_matches("./").trim_matches('/')
}

/// A newc header's length, and the fields used here (initramfs buffer format,
/// Documentation/driver-api/early-userspace/buffer-format.rst).
const HEADER: usize = 110;
const LENGTH: Range<usize> = 54..62;
const NAME_LENGTH: usize = 94;
const TRAILER: &[u8] = b"TRAILER!!!";

/// File type bits of `st_mode` (POSIX sys/stat.h).
const MODE_KIND: u32 = 0o170_000;
const MODE_DIR: u32 = 0o040_000;
const MODE_FILE: u32 = 0o100_000;
const MODE_LINK: u32 = 0o120_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Archive {
        let mut archive = Archive::new();
        archive
            .file("/etc/name", 0o644, "net")
            .link("bin/sh", "busybox")
            .dir("proc");
        archive
    }

    #[test]
    fn what_was_written_is_read_back_with_parents_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cpio");
        sample().write(&path).unwrap();
        let back = Archive::read(&path).unwrap();
        assert_eq!(back.get("etc/name"), Some(&b"net"[..]));
        let names: Vec<_> = back.names().collect();
        assert_eq!(names, ["bin", "bin/sh", "etc", "etc/name", "proc"]);
        assert_eq!(back.bytes().unwrap(), sample().bytes().unwrap());
    }

    #[test]
    fn entries_written_onto_an_archive_follow_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (base, out) = (dir.path().join("a.cpio"), dir.path().join("b.cpio"));
        let mut padded = sample().bytes().unwrap();
        padded.resize(padded.len().next_multiple_of(512), 0);
        fs::write(&base, padded).unwrap();
        let mut more = Archive::new();
        more.file("etc/name", 0o644, "web").dir("sys");
        more.write_onto(&base, &out).unwrap();
        let back = Archive::read(&out).unwrap();
        assert_eq!(back.get("etc/name"), Some(&b"web"[..]));
        let names: Vec<_> = back.names().collect();
        assert_eq!(names, ["bin", "bin/sh", "etc", "etc/name", "proc", "sys"]);
    }

    #[test]
    fn a_patch_that_changes_nothing_or_misses_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, out) = (dir.path().join("a.cpio"), dir.path().join("b.cpio"));
        sample().write(&path).unwrap();
        assert!(patch(&path, &out, "/etc/name", |_| ()).is_err());
        assert!(patch(&path, &out, "/etc/other", |data| data.push(0)).is_err());
    }

    #[test]
    fn a_patch_changes_its_entry_and_no_other_byte() {
        let dir = tempfile::tempdir().unwrap();
        let (path, out) = (dir.path().join("a.cpio"), dir.path().join("b.cpio"));
        sample().write(&path).unwrap();
        patch(&path, &out, "/etc/name", |data| data[0] ^= 1).unwrap();
        let (before, after) = (fs::read(&path).unwrap(), fs::read(&out).unwrap());
        assert_eq!(before.iter().zip(&after).filter(|(a, b)| a != b).count(), 1);
        patch(&path, &out, "/etc/name", |data| data.extend(b"work")).unwrap();
        let archive = Archive::read(&out).unwrap();
        assert_eq!(archive.get("etc/name"), Some(&b"network"[..]));
        assert_eq!(archive.names().count(), sample().names().count());
    }

    #[test]
    fn a_program_brings_its_libraries_and_loader() {
        let mut archive = Archive::new();
        archive.program("/bin/ls").unwrap();
        assert!(archive.names().any(|name| name.ends_with("libc.so.6")));
        assert!(archive.names().any(|name| name.contains("ld-linux")));
    }
}
