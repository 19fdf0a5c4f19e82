// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Config: read the launch configuration, and every artefact it names, once.
//!
//! Each artefact's bytes go into a memfd that is then sealed against every
//! change. What is hashed, what is measured and what libxl boots are those
//! sealed bytes; the files they came from are not looked at again. Kernels
//! are sealed as libxl will load them (decompressed), the control domain's
//! ramdisk as a plain cpio archive.
//!
//! Nothing here trusts a file: a kernel that is no kernel and a ramdisk that
//! ends early are refused with the domain and the file named.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use domb_core::config::{Config, DomainName, resolve};
use domb_core::diagnostic::{Diagnostic, render};
use domb_core::measure::Original;

use crate::kernel;
use crate::manifest::{Manifest, sha256_hex};
use crate::ramdisk;
use crate::sealed::Sealed;

/// A configuration whose artefacts are all in sealed memory.
///
/// Holding one proves that no later change of any file on disk can change
/// what is measured or booted.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The launch script, if one is configured.
    pub script: Option<Rc<Artefact>>,
    /// The control domain's root as a plain newc archive.
    pub control_ramdisk: Option<Rc<Artefact>>,
    /// Kernel and ramdisk of every domain of the configuration.
    pub domains: BTreeMap<DomainName, DomainArtefacts>,
}

impl Loaded {
    /// Every artefact; one that several domains share comes several times.
    pub fn artefacts(&self) -> impl Iterator<Item = &Artefact> {
        let domains = self.domains.values().flat_map(|files| {
            std::iter::once(&files.kernel).chain(&files.ramdisk)
        });
        self.script.iter().chain(&self.control_ramdisk).chain(domains).map(Rc::as_ref)
    }
}

/// The sealed artefacts of one domain.
#[derive(Debug)]
pub struct DomainArtefacts {
    /// The kernel as libxl will load it.
    pub kernel: Rc<Artefact>,
    /// The ramdisk, byte for byte.
    pub ramdisk: Option<Rc<Artefact>>,
}

/// One artefact in sealed memory.
#[derive(Debug)]
pub struct Artefact {
    /// The path as the configuration has it.
    pub written: PathBuf,
    /// The bytes that are measured and booted.
    pub sealed: Sealed,
    /// The file they were made from, where that differs.
    pub original: Option<Original>,
    /// The SHA-256 (hex) that the image's manifest promises for these bytes.
    pub promised_sha256: Option<String>,
}

/// Where artefacts are read from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// The file system: paths are relative to the configuration's directory.
    Files,
    /// A boot domain's image, through its manifest; files are removed from
    /// the image's root as they are sealed, to give their memory back.
    Image(&'a Manifest),
}

/// Reads `path` and seals everything it names.
///
/// # Errors
/// The configuration's faults, or the first artefact that cannot be used.
pub fn load(path: &Path, source: Source<'_>) -> Result<Loaded, Error> {
    let config = config(path)?;
    let base = path.parent().unwrap_or(Path::new("."));
    let mut loader = Loader { base, source, seen: BTreeMap::new() };

    let script = loader.optional(config.script.as_deref(), &Use::Script)?;
    let control_ramdisk = match &config.control {
        Some(control) => loader.optional(control.ramdisk.as_deref(), &Use::ControlRamdisk)?,
        None => None,
    };
    let mut domains = BTreeMap::new();
    for domain in &config.domains {
        let kernel = loader.artefact(&domain.kernel, &Use::Kernel(&domain.name))?;
        let ramdisk = loader.optional(domain.ramdisk.as_deref(), &Use::Ramdisk(&domain.name))?;
        domains.insert(domain.name.clone(), DomainArtefacts { kernel, ramdisk });
    }
    Ok(Loaded { config, script, control_ramdisk, domains })
}

/// Reads the configuration alone.
///
/// # Errors
/// The file cannot be read, or is not a launch configuration.
pub fn config(path: &Path) -> Result<Config, Error> {
    let bytes = fs::read(path)
        .map_err(|source| Error::ReadConfig { path: path.to_path_buf(), source })?;
    Config::parse(&path.display().to_string(), &bytes).map_err(|faults| Error::Config {
        text: String::from_utf8_lossy(&bytes).into_owned(),
        faults,
    })
}

/// What an artefact is for; decides what its bytes have to be.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Use<'a> {
    Script,
    ControlRamdisk,
    Kernel(&'a DomainName),
    Ramdisk(&'a DomainName),
}

impl Use<'_> {
    fn describe(&self) -> String {
        match self {
            Use::Script => "launch script".to_owned(),
            Use::ControlRamdisk => "control domain's ramdisk".to_owned(),
            Use::Kernel(domain) => format!("kernel of domain {domain}"),
            Use::Ramdisk(domain) => format!("ramdisk of domain {domain}"),
        }
    }

    fn domain(&self) -> Option<DomainName> {
        match self {
            Use::Kernel(domain) | Use::Ramdisk(domain) => Some((*domain).clone()),
            Use::Script | Use::ControlRamdisk => None,
        }
    }

    /// The same file may serve as kernel of one domain and as ramdisk of
    /// another, and is then sealed twice: the bytes that boot differ.
    fn kind(&self) -> u8 {
        match self {
            Use::Script => 0,
            Use::ControlRamdisk => 1,
            Use::Kernel(_) => 2,
            Use::Ramdisk(_) => 3,
        }
    }
}

struct Loader<'a> {
    base: &'a Path,
    source: Source<'a>,
    seen: BTreeMap<(PathBuf, u8), Rc<Artefact>>,
}

impl Loader<'_> {
    fn optional(
        &mut self,
        written: Option<&Path>,
        of: &Use<'_>,
    ) -> Result<Option<Rc<Artefact>>, Error> {
        written.map(|written| self.artefact(written, of)).transpose()
    }

    fn artefact(&mut self, written: &Path, of: &Use<'_>) -> Result<Rc<Artefact>, Error> {
        let key = (written.to_path_buf(), of.kind());
        if let Some(artefact) = self.seen.get(&key) {
            return Ok(Rc::clone(artefact));
        }
        let artefact = match self.source {
            Source::Files => self.from_file(written, of),
            Source::Image(manifest) => from_image(manifest, written, of),
        }
        .map_err(|(path, cause)| Error::Artefact {
            what: of.describe(),
            domain: of.domain(),
            path,
            cause,
        })?;
        let artefact = Rc::new(artefact);
        self.seen.insert(key, Rc::clone(&artefact));
        Ok(artefact)
    }

    fn from_file(&self, written: &Path, of: &Use<'_>) -> Result<Artefact, (PathBuf, Cause)> {
        let path = resolve(self.base, written);
        let bytes = fs::read(&path).map_err(|source| (path.clone(), source.into()))?;
        let (boots, format) = boots(&bytes, of).map_err(|cause| (path.clone(), cause))?;
        let original = format.map(|format| Original {
            sha256: sha256_hex(&bytes),
            bytes: bytes.len() as u64,
            format,
        });
        let sealed = Sealed::new(&name(written), &boots).map_err(|source| (path, source.into()))?;
        Ok(Artefact { written: written.to_path_buf(), sealed, original, promised_sha256: None })
    }
}

/// The bytes that boot, and the original's format where they differ from it.
fn boots<'b>(bytes: &'b [u8], of: &Use<'_>) -> Result<(Cow<'b, [u8]>, Option<String>), Cause> {
    match of {
        Use::Script => Ok((Cow::Borrowed(bytes), None)),
        Use::Kernel(_) => {
            let kernel = kernel::bootable(bytes)?;
            let format = matches!(kernel.bytes, Cow::Owned(_)).then(|| kernel.format.to_string());
            Ok((kernel.bytes, format))
        }
        Use::Ramdisk(_) => {
            ramdisk::inspect(bytes)?;
            Ok((Cow::Borrowed(bytes), None))
        }
        Use::ControlRamdisk => {
            let format = ramdisk::inspect(bytes)?.to_string();
            let archive = ramdisk::unpacked(bytes)?;
            let changed = matches!(archive, Cow::Owned(_));
            Ok((archive, changed.then_some(format)))
        }
    }
}

/// An artefact of the image: `domb image` has already made it what boots.
fn from_image(
    manifest: &Manifest,
    written: &Path,
    of: &Use<'_>,
) -> Result<Artefact, (PathBuf, Cause)> {
    let entry = manifest
        .artefact(written, of.kind() == 2)
        .ok_or_else(|| (written.to_path_buf(), Cause::NotInImage))?;
    let stored = PathBuf::from(&entry.stored);
    let failed = |cause: Cause| (stored.clone(), cause);
    let bytes = fs::read(&stored).map_err(|source| failed(source.into()))?;
    if bytes.len() as u64 != entry.bytes {
        return Err(failed(Cause::Length { promised: entry.bytes, found: bytes.len() as u64 }));
    }
    let sealed =
        Sealed::new(&name(written), &bytes).map_err(|source| failed(source.into()))?;
    Ok(Artefact {
        written: written.to_path_buf(),
        sealed,
        original: entry.original.clone(),
        promised_sha256: Some(entry.sha256.clone()),
    })
}

fn name(written: &Path) -> String {
    written.file_name().unwrap_or(written.as_os_str()).to_string_lossy().into_owned()
}

/// Why loading failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration's file cannot be read.
    #[error("read launch configuration {}", path.display())]
    ReadConfig {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration has faults.
    #[error("{}", render(faults, text))]
    Config {
        /// The file's text, for the caret.
        text: String,
        /// Every fault found.
        faults: Vec<Diagnostic>,
    },
    /// An artefact cannot be used.
    #[error("load {what} from {}", path.display())]
    Artefact {
        /// What it is for.
        what: String,
        /// The domain it belongs to, if to one.
        domain: Option<DomainName>,
        /// The file that was read.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
}

/// Why an artefact cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It cannot be read or sealed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no kernel libxl could load.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// It is no ramdisk, or not a whole one.
    #[error(transparent)]
    Ramdisk(#[from] ramdisk::Error),
    /// The image's manifest does not list it.
    #[error("the image's manifest does not list this path\nhint: make the image anew with `domb image`")]
    NotInImage,
    /// It is not as long as the manifest says.
    #[error("the image promises {promised} bytes and holds {found}: the image is damaged\nhint: make the image anew with `domb image`")]
    Length {
        /// The manifest's number of bytes.
        promised: u64,
        /// The number of bytes read.
        found: u64,
    },
}
