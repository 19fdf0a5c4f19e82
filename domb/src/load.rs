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

mod error;
mod loader;

use std::collections::BTreeMap;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use domb_core::config::{ArtefactKind, Config, DomainName, DomainType};
use domb_core::flask::Policy;
use domb_core::measure::{self, Artefacts, Original};

pub use error::{Cause, Error};
use loader::Loader;

use crate::kernel;
use crate::manifest::{Manifest, sha256_hex};
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
    /// The compiled Flask policy, if one is configured.
    pub flask_policy: Option<FlaskPolicy>,
    /// The control domain's root as a plain newc archive.
    pub control_ramdisk: Option<Rc<Artefact>>,
    /// Kernel and ramdisk of every domain of the configuration.
    pub domains: BTreeMap<DomainName, DomainArtefacts>,
    /// What a person should know about them although they are taken as they
    /// are.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Every artefact; one that several domains share comes several times.
    pub fn artefacts(&self) -> impl Iterator<Item = &Artefact> {
        let domains = self.domains.values().flat_map(|files| {
            files
                .boots()
                .flat_map(|(kernel, ramdisk)| [kernel].into_iter().chain(ramdisk))
        });
        self.script
            .iter()
            .chain(self.flask_policy.iter().map(|policy| &policy.file))
            .chain(&self.control_ramdisk)
            .chain(domains)
            .map(Rc::as_ref)
    }
}

/// A compiled Flask policy that Xen would take.
#[derive(Debug)]
pub struct FlaskPolicy {
    /// Its sealed bytes.
    pub file: Rc<Artefact>,
    /// What they mean.
    pub policy: Policy,
}

/// The sealed artefacts of one domain.
#[derive(Debug)]
pub struct DomainArtefacts {
    /// The kernel as libxl will load it.
    pub kernel: Rc<Artefact>,
    /// The ramdisk, byte for byte.
    pub ramdisk: Option<Rc<Artefact>>,
    /// What it can boot instead, by name.
    pub images: BTreeMap<String, Image>,
}

/// The sealed artefacts of one of a domain's images.
#[derive(Debug)]
pub struct Image {
    /// The kernel as libxl will load it.
    pub kernel: Rc<Artefact>,
    /// The ramdisk, byte for byte.
    pub ramdisk: Option<Rc<Artefact>>,
}

impl DomainArtefacts {
    /// Kernel and ramdisk of the domain's own, then of each image.
    fn boots(&self) -> impl Iterator<Item = (&Rc<Artefact>, Option<&Rc<Artefact>>)> {
        let images = self.images.values();
        let images = images.map(|image| (&image.kernel, image.ramdisk.as_ref()));
        std::iter::once((&self.kernel, self.ramdisk.as_ref())).chain(images)
    }

    /// The sealed files of these paths: the domain's own, or an image's.
    #[must_use]
    pub fn named(
        &self,
        kernel: &Path,
        ramdisk: Option<&Path>,
    ) -> Option<(&Rc<Artefact>, Option<&Rc<Artefact>>)> {
        self.boots()
            .find(|(k, r)| k.written == kernel && r.map(|file| file.written.as_path()) == ramdisk)
    }
}

/// One artefact in sealed memory.
#[derive(Debug)]
pub struct Artefact {
    /// The path as the configuration has it.
    pub written: PathBuf,
    /// The bytes that are measured and booted.
    pub sealed: Rc<Sealed>,
    /// The file they were made from, where that differs.
    pub original: Option<Original>,
    /// For a kernel that was read from its own file: the entry points it has.
    /// An image's kernels were looked at when it was made.
    pub entries: Option<kernel::Entries>,
    /// The SHA-256 (hex) that the image's manifest promises for these bytes.
    pub promised_sha256: Option<String>,
}

impl Artefact {
    /// Whether its bytes are those that the image's manifest promises; so is
    /// whatever no image was made from.
    #[must_use]
    pub fn is_as_promised(&self) -> bool {
        let Some(promised) = &self.promised_sha256 else {
            return true;
        };
        let bytes = self.sealed.read();
        bytes.is_ok_and(|bytes| sha256_hex(&bytes) == *promised)
    }
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

/// What there is of a configuration of which an artefact could not be loaded:
/// nothing to launch, but what it says of a launch that did not succeed.
#[derive(Debug)]
pub struct Unloaded {
    /// Why it could not.
    pub error: Error,
    /// The configuration, where it is one.
    pub config: Option<Box<Config>>,
    /// The control domain's root as a plain newc archive, where one is named
    /// and could be sealed.
    pub control_ramdisk: Option<Rc<Artefact>>,
}

impl From<Error> for Unloaded {
    fn from(error: Error) -> Unloaded {
        Unloaded {
            error,
            config: None,
            control_ramdisk: None,
        }
    }
}

/// Reads `path` and seals everything it names.
///
/// # Errors
/// The configuration's faults, or the first artefact that cannot be used.
pub fn load(path: &Path, source: Source<'_>) -> Result<Loaded, Unloaded> {
    let config = config(path)?;
    let base = path.parent().unwrap_or(Path::new("."));
    let mut loader = Loader::new(base, source);
    artefacts(&config, &mut loader).map_err(|error| Unloaded {
        error,
        // Sealed already, unless it comes after what failed, or is it.
        control_ramdisk: loader.control_ramdisk(&config).unwrap_or_default(),
        config: Some(Box::new(config)),
    })
}

fn artefacts(config: &Config, loader: &mut Loader<'_>) -> Result<Loaded, Error> {
    let script = loader.optional(config.script.as_deref(), &ArtefactKind::Script)?;
    let flask_policy = match &config.flask_policy {
        Some(path) => Some(loader.flask_policy(path)?),
        None => None,
    };
    let control_ramdisk = loader.control_ramdisk(config)?;
    let mut domains = BTreeMap::new();
    for domain in &config.domains {
        let kind = ArtefactKind::Kernel(domain.name.clone());
        let kernel = loader.artefact(&domain.kernel, &kind)?;
        fits(&kernel, domain.kind).map_err(|cause| failed(&kind, domain.kernel.clone(), cause))?;
        let kind = ArtefactKind::Ramdisk(domain.name.clone());
        let ramdisk = loader.optional(domain.ramdisk.as_deref(), &kind)?;
        let images = loader.images(domain)?;
        let files = DomainArtefacts {
            kernel,
            ramdisk,
            images,
        };
        domains.insert(domain.name.clone(), files);
    }
    Ok(Loaded {
        config: config.clone(),
        script,
        flask_policy,
        control_ramdisk,
        domains,
        warnings: mem::take(&mut loader.warnings),
    })
}

/// Compares the digests of what was sealed with those an image's manifest
/// promises. This finds a damaged image; only the PCR finds a forged one.
///
/// # Errors
/// The first artefact that is another than promised.
pub fn as_promised(loaded: &Loaded, artefacts: &Artefacts) -> Result<(), Error> {
    let same = |kind, file: &Artefact, hashed: &measure::Artefact| match &file.promised_sha256 {
        Some(promised) if *promised != hashed.sha256() => {
            let (promised, found) = (promised.clone(), hashed.sha256());
            Err(failed(
                &kind,
                file.written.clone(),
                Cause::Digest { promised, found },
            ))
        }
        _ => Ok(()),
    };
    if let (Some(file), Some(hashed)) = (&loaded.script, &artefacts.script) {
        same(ArtefactKind::Script, file, hashed)?;
    }
    if let (Some(policy), Some(hashed)) = (&loaded.flask_policy, &artefacts.flask_policy) {
        same(ArtefactKind::FlaskPolicy, &policy.file, hashed)?;
    }
    if let (Some(file), Some(hashed)) = (&loaded.control_ramdisk, &artefacts.control_ramdisk) {
        same(ArtefactKind::ControlRamdisk, file, hashed)?;
    }
    for hashed in &artefacts.domains {
        let files = &loaded.domains[&hashed.name];
        same(
            ArtefactKind::Kernel(hashed.name.clone()),
            &files.kernel,
            &hashed.kernel,
        )?;
        if let (Some(file), Some(ramdisk)) = (&files.ramdisk, &hashed.ramdisk) {
            same(ArtefactKind::Ramdisk(hashed.name.clone()), file, ramdisk)?;
        }
        for (image, file) in hashed.images.values().zip(files.images.values()) {
            let kind = ArtefactKind::Kernel(hashed.name.clone());
            same(kind, &file.kernel, &image.kernel)?;
            if let (Some(file), Some(ramdisk)) = (&file.ramdisk, &image.ramdisk) {
                same(ArtefactKind::Ramdisk(hashed.name.clone()), file, ramdisk)?;
            }
        }
    }
    Ok(())
}

/// Reads the configuration alone.
///
/// # Errors
/// The file cannot be read, or is not a launch configuration.
pub fn config(path: &Path) -> Result<Config, Error> {
    let bytes = fs::read(path).map_err(|source| Error::ReadConfig {
        path: path.to_path_buf(),
        source,
    })?;
    Config::parse(&path.display().to_string(), &bytes).map_err(|faults| Error::Config {
        text: String::from_utf8_lossy(&bytes).into_owned(),
        faults,
    })
}

/// A kernel without the Xen note for the domain's type would build and then
/// not start, or fail in libxl without saying why.
fn fits(kernel: &Artefact, kind: DomainType) -> Result<(), Cause> {
    let Some(entries) = kernel.entries else {
        return Ok(());
    };
    let entry = match kind {
        DomainType::Pv => entries.pv,
        DomainType::Pvh => entries.pvh,
    };
    if entry {
        Ok(())
    } else {
        Err(Cause::NoEntry(kind.as_str()))
    }
}

/// What a file is to the launch, in words.
#[must_use]
pub fn what(kind: &ArtefactKind) -> String {
    match kind {
        ArtefactKind::Script => "launch script".to_owned(),
        ArtefactKind::FlaskPolicy => "Flask policy".to_owned(),
        ArtefactKind::ControlRamdisk => "control domain's ramdisk".to_owned(),
        ArtefactKind::Kernel(domain) => format!("kernel of domain {domain}"),
        ArtefactKind::Ramdisk(domain) => format!("ramdisk of domain {domain}"),
    }
}

fn failed(kind: &ArtefactKind, path: PathBuf, cause: Cause) -> Error {
    let domain = match kind {
        ArtefactKind::Kernel(domain) | ArtefactKind::Ramdisk(domain) => Some(domain),
        ArtefactKind::Script | ArtefactKind::FlaskPolicy | ArtefactKind::ControlRamdisk => None,
    };
    Error::Artefact {
        what: what(kind),
        domain: domain.cloned(),
        path,
        cause,
    }
}
