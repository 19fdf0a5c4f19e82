// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The shared libraries that Debian's daemons need, found without running
//! anything: `ldd` runs the program it looks at, and sees the host's cache.
//!
//! Libraries are searched for as ld.so does (ld.so(8)) and put where it looks
//! last and always, under the name it asks for. The image so needs neither
//! `ld.so.cache` nor links.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use elf::ElfBytes;
use elf::abi::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, EM_X86_64, PT_INTERP, PT_LOAD,
};
use elf::endian::LittleEndian;

use super::host::{Host, names};
use super::{Error, read};

/// A file of the closure.
#[derive(Debug)]
pub(super) struct Library {
    /// Its absolute path in the image.
    pub(super) path: String,
    /// Its content.
    pub(super) bytes: Vec<u8>,
    /// The file it came from.
    pub(super) source: PathBuf,
}

/// Everything that `programs` (a path for messages, and the bytes) load at
/// start, their interpreter included, sorted by path.
pub(super) fn closure(
    host: &Host,
    first: &[PathBuf],
    programs: &[(&Path, &[u8])],
) -> Result<Vec<Library>, Error> {
    let mut search = Search {
        host,
        first,
        system: system_directories(host),
        found: BTreeMap::new(),
    };
    let mut interpreters = BTreeMap::new();
    for (path, bytes) in programs {
        let object = object(path, bytes)?;
        if let Some(interpreter) = object.interpreter {
            let source = host.locate(&interpreter);
            interpreters.insert(interpreter, source);
        }
        if !object.needed.is_empty() {
            // glibc opens it when a thread is cancelled, as libxenstore's
            // reader thread is; the process aborts without it.
            search.add(path, LIBGCC, &[])?;
        }
        search.add_all(path, &object.needed, &object.runpath)?;
    }
    let mut libraries = Vec::new();
    for (path, source) in interpreters {
        // Its own name, which libc asks for, is satisfied by itself.
        search
            .found
            .remove(path.rsplit('/').next().unwrap_or(&path));
        libraries.push(Library {
            bytes: read(&source)?,
            path,
            source,
        });
    }
    let place = |(name, (source, bytes))| Library {
        path: format!("{DIRECTORY}/{name}"),
        bytes,
        source,
    };
    libraries.extend(search.found.into_iter().map(place));
    libraries.sort_by(|one, two| one.path.cmp(&two.path));
    Ok(libraries)
}

struct Search<'a> {
    host: &'a Host,
    first: &'a [PathBuf],
    system: Vec<PathBuf>,
    found: BTreeMap<String, (PathBuf, Vec<u8>)>,
}

impl Search<'_> {
    fn add_all(&mut self, by: &Path, needed: &[String], runpath: &[PathBuf]) -> Result<(), Error> {
        needed
            .iter()
            .try_for_each(|name| self.add(by, name, runpath))
    }

    /// Adds the library `name` that `by` needs, and what it needs in turn.
    fn add(&mut self, by: &Path, name: &str, runpath: &[PathBuf]) -> Result<(), Error> {
        if self.found.contains_key(name) {
            return Ok(());
        }
        let runpath: Vec<PathBuf> = runpath
            .iter()
            .map(|directory| self.host.locate(&directory.to_string_lossy()))
            .collect();
        let directories = self.first.iter().chain(&runpath).chain(&self.system);
        for path in directories
            .map(|directory| directory.join(name))
            .filter(|path| path.is_file())
        {
            let bytes = read(&path)?;
            // ld.so passes over libraries of another machine, and so do we.
            let Ok(library) = object(&path, &bytes) else {
                continue;
            };
            self.found.insert(name.to_owned(), (path.clone(), bytes));
            return self.add_all(&path, &library.needed, &library.runpath);
        }
        Err(Error::NoLibrary {
            name: name.to_owned(),
            by: by.to_path_buf(),
        })
    }
}

/// What an ELF program or library asks ld.so for.
pub(super) struct Object {
    /// The interpreter; none for a static program.
    pub(super) interpreter: Option<String>,
    needed: Vec<String>,
    runpath: Vec<PathBuf>,
}

/// Reads the dynamic section of an x86-64 ELF.
pub(super) fn object(path: &Path, bytes: &[u8]) -> Result<Object, Error> {
    parse(path, bytes).ok_or_else(|| Error::NotElf {
        path: path.to_path_buf(),
    })
}

fn parse(path: &Path, bytes: &[u8]) -> Option<Object> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes).ok()?;
    if file.ehdr.e_machine != EM_X86_64 {
        return None;
    }
    let segments: Vec<_> = file.segments()?.iter().collect();
    let mut object = Object {
        interpreter: None,
        needed: Vec::new(),
        runpath: Vec::new(),
    };
    if let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_INTERP) {
        let text = file.segment_data(segment).ok()?;
        object.interpreter = Some(text_at(text, 0)?);
    }
    let Some(dynamic) = file.dynamic().ok()? else {
        return Some(object);
    };
    let value = |tag| {
        dynamic
            .iter()
            .find(|entry| entry.d_tag == tag)
            .map(|entry| entry.d_val())
    };
    let Some(strings) = value(DT_STRTAB) else {
        return Some(object);
    };
    let segment = segments.iter().find(|segment| {
        segment.p_type == PT_LOAD
            && (segment.p_vaddr..segment.p_vaddr.saturating_add(segment.p_filesz))
                .contains(&strings)
    })?;
    let within = strings.checked_sub(segment.p_vaddr)?;
    let start = usize::try_from(segment.p_offset.checked_add(within)?).ok()?;
    let length = usize::try_from(value(DT_STRSZ)?).ok()?;
    let strings = bytes.get(start..start.checked_add(length)?)?;
    for entry in dynamic.iter() {
        match entry.d_tag {
            DT_NEEDED => object.needed.push(text_at(strings, entry.d_val())?),
            DT_RUNPATH | DT_RPATH => {
                let text = text_at(strings, entry.d_val())?;
                let origin = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
                let expanded = text
                    .replace("${ORIGIN}", &origin)
                    .replace("$ORIGIN", &origin);
                object.runpath.extend(
                    expanded
                        .split(':')
                        .filter(|it| !it.is_empty())
                        .map(PathBuf::from),
                );
            }
            _ => {}
        }
    }
    Some(object)
}

fn text_at(strings: &[u8], at: u64) -> Option<String> {
    let text = strings.get(usize::try_from(at).ok()?..)?;
    let end = text.iter().position(|byte| *byte == 0)?;
    String::from_utf8(text[..end].to_vec()).ok()
}

/// The directories of `ld.so.conf`, then those ld.so of Debian has built in.
fn system_directories(host: &Host) -> Vec<PathBuf> {
    let fragments = host.locate("/etc/ld.so.conf.d");
    let fragments = names(&fragments)
        .into_iter()
        .filter(|name| name.ends_with(".conf"))
        .map(|name| fragments.join(name));
    let mut directories = Vec::new();
    for file in fragments.chain([host.locate("/etc/ld.so.conf")]) {
        let text = fs::read_to_string(file).unwrap_or_default();
        directories.extend(
            text.lines()
                .map(str::trim)
                .filter(|line| line.starts_with('/'))
                .map(|line| host.locate(line)),
        );
    }
    directories.extend(BUILTIN.map(|directory| host.locate(directory)));
    directories
}

/// Where every library goes: ld.so of Debian looks there without being told.
const DIRECTORY: &str = "/usr/lib/x86_64-linux-gnu";
const BUILTIN: [&str; 4] = ["/lib/x86_64-linux-gnu", DIRECTORY, "/lib", "/usr/lib"];
const LIBGCC: &str = "libgcc_s.so.1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_brings_its_loader_its_libraries_and_libgcc() {
        let path = Path::new("/proc/self/exe");
        let bytes = fs::read(path).unwrap();
        let libraries = closure(&Host::new(Path::new("/")), &[], &[(path, &bytes)]).unwrap();
        let paths: Vec<&str> = libraries
            .iter()
            .map(|library| library.path.as_str())
            .collect();
        assert!(paths.contains(&"/lib64/ld-linux-x86-64.so.2"), "{paths:?}");
        assert!(
            paths.contains(&"/usr/lib/x86_64-linux-gnu/libc.so.6"),
            "{paths:?}"
        );
        assert!(
            paths.contains(&"/usr/lib/x86_64-linux-gnu/libgcc_s.so.1"),
            "{paths:?}"
        );
        let loaders = paths
            .iter()
            .filter(|path| path.contains("ld-linux"))
            .count();
        assert_eq!(loaders, 1, "{paths:?}");
        let mut sorted = paths.clone();
        sorted.sort_unstable();
        assert_eq!(paths, sorted);
    }

    #[test]
    fn a_static_program_needs_nothing() {
        let bytes = include_bytes!("../../../tests/fixtures/kernel/tiny.elf");
        let libraries = closure(
            &Host::new(Path::new("/")),
            &[],
            &[(Path::new("tiny"), bytes)],
        )
        .unwrap();
        assert!(libraries.is_empty());
    }

    #[test]
    fn a_library_that_is_nowhere_is_named_with_who_needs_it() {
        let path = Path::new("/proc/self/exe");
        let bytes = fs::read(path).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let error = closure(&Host::new(empty.path()), &[], &[(path, &bytes)])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("find libgcc_s.so.1, which /proc/self/exe needs"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(object(Path::new("x"), b"#!/bin/sh\n").is_err());
        let whole = fs::read("/proc/self/exe").unwrap();
        for length in [4, 63, 64, 200, 4096, whole.len() / 2] {
            drop(object(Path::new("x"), &whole[..length]));
        }
    }
}
