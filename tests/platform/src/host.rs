// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the harness takes from this machine: Debian's Xen and kernel, found
//! by the packages' paths, and programs run to their end. An environment
//! variable can name another Xen (`DOMB_XEN`) or kernel (`DOMB_KERNEL`).

use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::error::{Error, Result};

/// Debian's parts of a boot.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Xen as an ELF file.
    pub xen: PathBuf,
    /// `vmlinuz` as the package ships it.
    pub kernel: PathBuf,
    /// Its version, as `/lib/modules` names it.
    pub kernel_version: String,
}

impl Parts {
    /// Finds the newest Xen and the newest kernel that has Xen modules;
    /// Xen is decompressed into `work`.
    pub fn find(work: &Path) -> Result<Parts> {
        fs::create_dir_all(work).map_err(Error::file("create", work))?;
        let kernel = match env::var_os("DOMB_KERNEL") {
            Some(path) => PathBuf::from(path),
            None => newest("a Linux kernel", "vmlinuz-", "-amd64")?,
        };
        let name = kernel
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let kernel_version = name
            .unwrap_or_default()
            .trim_start_matches("vmlinuz-")
            .to_owned();
        let packed = match env::var_os("DOMB_XEN") {
            Some(path) => PathBuf::from(path),
            None => newest("Xen", "xen-", "-amd64.gz")?,
        };
        let xen = work.join("xen.elf");
        gunzip(&packed, &xen)?;
        Ok(Parts {
            xen,
            kernel,
            kernel_version,
        })
    }

    /// A module of domain 0's kernel, by its path below the release's directory.
    #[must_use]
    pub fn module(&self, path: &str) -> PathBuf {
        let release = Path::new("/lib/modules").join(&self.kernel_version);
        release.join(path)
    }

    /// The kernel modules domain 0 needs to be a toolstack, in load order.
    #[must_use]
    pub fn xen_modules(&self) -> Vec<PathBuf> {
        let base = Path::new("/lib/modules")
            .join(&self.kernel_version)
            .join("kernel/drivers/xen");
        [
            "xen-privcmd.ko",
            "xen-evtchn.ko",
            "xen-gntdev.ko",
            "xen-gntalloc.ko",
            "xenfs/xenfs.ko",
        ]
        .map(|name| base.join(name))
        .to_vec()
    }
}

/// The repository's root.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("this package lies two levels below the root")
        .to_owned()
}

/// Where logs and images of the boots are kept: `platform` in cargo's target
/// directory.
#[must_use]
pub fn work() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target
        .unwrap_or_else(|| repository().join("target"))
        .join("platform")
}

/// The ELF kernel inside a bzImage, taken out with `xz`: an answer of its own
/// to compare domb's with. Debian's kernels are compressed with xz.
pub fn vmlinux(bzimage: &Path, work: &Path) -> Result<PathBuf> {
    let bytes = fs::read(bzimage).map_err(Error::file("read", bzimage))?;
    let fault = |reason: &str| Error::Archive {
        doing: "find the kernel".to_owned(),
        path: bzimage.to_owned(),
        reason: reason.to_owned(),
    };
    let word = |at: usize| -> Option<usize> {
        let word = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(word)).ok()
    };
    // Linux Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length.
    let sectors = usize::from(*bytes.get(0x1f1).ok_or_else(|| fault("too short"))?);
    let start = word(0x248).map(|offset| (sectors + 1) * 512 + offset);
    let payload = start
        .zip(word(0x24c))
        .and_then(|(start, length)| bytes.get(start..start + length));
    let payload = payload.ok_or_else(|| fault("no payload"))?;
    // The last four bytes are the unpacked length, not xz.
    let packed = work.join("vmlinux.xz");
    fs::write(&packed, &payload[..payload.len().saturating_sub(4)])
        .map_err(Error::file("write", &packed))?;
    run(Command::new("xz")
        .args(["--decompress", "--force", "--keep"])
        .arg(&packed))?;
    Ok(work.join("vmlinux"))
}

/// SHA-256 of a file in lower-case hexadecimal, by coreutils.
pub fn sha256(file: &Path) -> Result<String> {
    let said = run(Command::new("sha256sum").arg("--").arg(file))?;
    Ok(said
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .trim_start_matches('\\')
        .to_owned())
}

/// Compresses `from` into `to`.
pub fn gzip(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).map_err(Error::file("read", from))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(&bytes)
        .map_err(Error::file("compress", from))?;
    let packed = encoder.finish().map_err(Error::file("compress", from))?;
    fs::write(to, packed).map_err(Error::file("write", to))
}

/// Runs a program to its end and returns what it printed on stdout; a failure
/// carries both streams.
pub fn run(command: &mut Command) -> Result<String> {
    let words = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Start {
            program: words.clone(),
            source,
        })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let output_text = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    Err(Error::Program {
        command: words,
        status: output.status.to_string(),
        output: output_text.trim_end().to_owned(),
    })
}

/// The file in /boot whose version sorts last.
fn newest(what: &'static str, before: &str, after: &str) -> Result<PathBuf> {
    let names = fs::read_dir("/boot").map_err(Error::file("list", "/boot"))?;
    let mut found: Vec<(Vec<u64>, PathBuf)> = Vec::new();
    for entry in names {
        let path = entry.map_err(Error::file("list", "/boot"))?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let version = name
            .as_deref()
            .and_then(|name| name.strip_prefix(before)?.strip_suffix(after));
        if let Some(version) = version {
            found.push((numbers(version), path));
        }
    }
    let pattern = || format!("/boot/{before}*{after}");
    let last = found.into_iter().max().map(|(_, path)| path);
    last.ok_or_else(|| Error::Missing {
        what,
        pattern: pattern(),
    })
}

/// The numbers of a version, for comparison: 6.1.0-9 comes before 6.1.0-56.
fn numbers(version: &str) -> Vec<u64> {
    let digits = version.split(|c: char| !c.is_ascii_digit());
    digits.filter_map(|number| number.parse().ok()).collect()
}

/// Decompresses `from`, or copies it if it is not gzip.
pub fn gunzip(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).map_err(Error::file("open", from))?;
    let mut bytes = Vec::new();
    source
        .read_to_end(&mut bytes)
        .map_err(Error::file("read", from))?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        let mut decoder = MultiGzDecoder::new(bytes.as_slice());
        io::copy(&mut decoder, &mut plain).map_err(Error::file("decompress", from))?;
        bytes = plain;
    }
    fs::write(to, bytes).map_err(Error::file("write", to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("6.1.0-9") < numbers("6.1.0-56"));
        assert!(numbers("4.17") < numbers("4.20"));
    }

    #[test]
    fn a_failing_program_shows_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]));
        let text = error.unwrap_err().chain();
        assert!(
            text.contains("out\nerr") && text.contains("exit status: 3"),
            "{text}"
        );
    }
}
