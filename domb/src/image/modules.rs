// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The boot domain's kernel modules: which are needed, in which order they
//! load, and their uncompressed bytes.
//!
//! What depmod wrote is believed (`modules.dep`, `modules.builtin`); a module
//! in neither is an error here, not a hang at boot.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, read};
use crate::compression::Compression;

/// A module, ready to be loaded.
#[derive(Debug)]
pub(super) struct Module {
    /// Its path below the release's directory, without compression suffix.
    pub(super) path: String,
    /// The ELF object.
    pub(super) bytes: Vec<u8>,
    /// The file it came from.
    pub(super) source: PathBuf,
}

/// What gives a domain a PCI device.
pub(super) const PCI_BACKEND: &str = "xen-pciback";

/// Whether a directory of modules belongs to a kernel that can be domain 0's.
pub(super) fn has_xen(directory: &Path) -> bool {
    Index::read(directory).is_ok_and(|index| index.knows("xen_privcmd"))
}

/// The modules that domb needs and those in `extra`, in load order. What is
/// built into the kernel is left out.
pub(super) fn collect(directory: &Path, extra: &[String]) -> Result<Vec<Module>, Error> {
    let index = Index::read(directory)?;
    let mut order = Vec::new();
    for name in NEEDED
        .iter()
        .copied()
        .chain(extra.iter().map(String::as_str))
    {
        let name = normalised(name);
        match index.loadable.get(&name) {
            Some(entry) => index.visit(&entry.path, &mut order),
            None if index.builtin.contains(&name) => {}
            None => {
                return Err(Error::NoModule {
                    name,
                    directory: directory.to_path_buf(),
                });
            }
        }
    }
    order
        .into_iter()
        .map(|path| load(directory, &path))
        .collect()
}

fn load(directory: &Path, path: &str) -> Result<Module, Error> {
    let source = directory.join(path);
    let mut bytes = read(&source)?;
    if let Some(compression) = Compression::of(&bytes) {
        let decoded = compression.decode(&bytes, MAX_BYTES);
        bytes = decoded
            .map_err(|cause| Error::Module {
                path: source.clone(),
                cause,
            })?
            .bytes;
    }
    Ok(Module {
        path: uncompressed(path).to_owned(),
        bytes,
        source,
    })
}

/// What depmod knows of a kernel's modules, by normalised name.
struct Index {
    loadable: BTreeMap<String, Entry>,
    builtin: Vec<String>,
}

struct Entry {
    path: String,
    needs: Vec<String>,
}

impl Index {
    fn read(directory: &Path) -> Result<Index, Error> {
        let path = directory.join("modules.dep");
        let text =
            fs::read_to_string(&path).map_err(|source| Error::ModulesDep { path, source })?;
        let loadable = text.lines().filter_map(|line| {
            let (path, needs) = line.split_once(':')?;
            let needs = needs.split_whitespace().map(str::to_owned).collect();
            Some((
                module_name(path),
                Entry {
                    path: path.to_owned(),
                    needs,
                },
            ))
        });
        let builtin = fs::read_to_string(directory.join("modules.builtin")).unwrap_or_default();
        Ok(Index {
            loadable: loadable.collect(),
            builtin: builtin.lines().map(module_name).collect(),
        })
    }

    fn knows(&self, name: &str) -> bool {
        self.loadable.contains_key(name) || self.builtin.iter().any(|builtin| builtin == name)
    }

    /// Adds `path` after everything it needs, once.
    fn visit(&self, path: &str, order: &mut Vec<String>) {
        if order.iter().any(|done| done == path) {
            return;
        }
        // depmod writes what is needed first at the end of the line.
        let needs = self
            .loadable
            .get(&module_name(path))
            .map_or(&[][..], |entry| &entry.needs);
        for need in needs.iter().rev().filter(|need| *need != path) {
            if !order.contains(need) {
                order.push(need.clone());
            }
        }
        order.push(path.to_owned());
    }
}

/// `kernel/drivers/xen/xen-privcmd.ko.xz` is `xen_privcmd`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normalised(uncompressed(file).trim_end_matches(".ko"))
}

fn normalised(name: &str) -> String {
    name.replace('-', "_")
}

fn uncompressed(path: &str) -> &str {
    [".xz", ".zst", ".gz"]
        .iter()
        .find_map(|suffix| path.strip_suffix(suffix))
        .unwrap_or(path)
}

/// What libxl, xenstored and xenconsoled open: `/dev/xen/privcmd`, `evtchn`,
/// `gntdev`, `gntalloc`, and `/proc/xen`.
const NEEDED: [&str; 5] = [
    "xen_privcmd",
    "xen_evtchn",
    "xen_gntdev",
    "xen_gntalloc",
    "xenfs",
];
const MAX_BYTES: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn kernel(dep: &str, builtin: &str, files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("modules.dep"), dep).unwrap();
        fs::write(directory.path().join("modules.builtin"), builtin).unwrap();
        for file in files {
            fs::write(directory.path().join(file), file.as_bytes()).unwrap();
        }
        directory
    }

    fn paths(directory: &Path, extra: &[&str]) -> Vec<String> {
        let extra: Vec<String> = extra.iter().map(|name| (*name).to_owned()).collect();
        collect(directory, &extra)
            .unwrap()
            .into_iter()
            .map(|module| module.path)
            .collect()
    }

    const BUILTIN: &str = "kernel/xen-evtchn.ko\nkernel/xen-gntdev.ko\nkernel/xen-gntalloc.ko\n";

    #[test]
    fn a_module_comes_after_all_that_it_needs_and_only_once() {
        let dep = "xenfs.ko: xen-privcmd.ko\nxen-privcmd.ko:\ntop.ko: mid.ko low.ko\nmid.ko: low.ko\nlow.ko:\n";
        let files = ["xenfs.ko", "xen-privcmd.ko", "top.ko", "mid.ko", "low.ko"];
        let kernel = kernel(dep, BUILTIN, &files);
        assert_eq!(paths(kernel.path(), &[]), ["xen-privcmd.ko", "xenfs.ko"]);
        let expected = ["xen-privcmd.ko", "xenfs.ko", "low.ko", "mid.ko", "top.ko"];
        assert_eq!(
            paths(kernel.path(), &["top", "low", "xen-privcmd"]),
            expected
        );
        assert!(has_xen(kernel.path()));
    }

    #[test]
    fn a_compressed_module_is_stored_as_the_kernel_takes_it() {
        let kernel = kernel(
            "xenfs.ko.gz:\nxen-privcmd.ko:\n",
            BUILTIN,
            &["xen-privcmd.ko"],
        );
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"an object").unwrap();
        fs::write(kernel.path().join("xenfs.ko.gz"), gzip.finish().unwrap()).unwrap();
        let modules = collect(kernel.path(), &[]).unwrap();
        assert_eq!(
            (modules[1].path.as_str(), modules[1].bytes.as_slice()),
            ("xenfs.ko", b"an object".as_slice())
        );
    }

    #[test]
    fn a_module_that_is_nowhere_is_named() {
        let kernel = kernel("xenfs.ko:\n", BUILTIN, &[]);
        let error = collect(kernel.path(), &[]).unwrap_err().to_string();
        assert!(
            error.starts_with("find kernel module xen_privcmd in "),
            "{error}"
        );
        assert!(!has_xen(kernel.path()));
        let error = collect(&kernel.path().join("none"), &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("modules.dep"), "{error}");
    }
}
