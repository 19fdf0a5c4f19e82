// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The files a configuration names: whether they are there, can be read, and
//! are what they have to be. Trusts no file: each is looked into by the code
//! that a launch uses.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domb_core::config::{Artefact, ArtefactKind, Config, DomainType, nearest, resolve};
use domb_core::diagnostic::{Diagnostic, escape};
use domb_core::explain::Code;
use domb_core::flask::Policy;
use domb_core::policy::{self, Limits, Script};

use super::escape_path;
use crate::control_root::check_init;
use crate::policy::Meter;
use crate::{kernel, ramdisk};

/// The files of one configuration; each is read once, however often named.
pub(super) struct Files<'c> {
    file: &'c str,
    base: &'c Path,
    config: &'c Config,
    seen: BTreeMap<(PathBuf, Content), Result<Found, Fault>>,
}

/// What a file's bytes have to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Script,
    FlaskPolicy,
    Kernel,
    Ramdisk,
    ControlRoot,
}

/// What was found in a file that is what it has to be.
#[derive(Clone, Copy)]
enum Found {
    Script,
    FlaskPolicy,
    Kernel(kernel::Entries),
    /// Whether every part of it is an archive.
    Ramdisk {
        known: bool,
    },
    ControlRoot,
}

/// What is wrong with a file, without the place it is named at.
#[derive(Clone)]
pub(super) struct Fault {
    code: Code,
    message: String,
    consequence: Option<&'static str>,
    hint: Option<String>,
}

impl Fault {
    /// As a fault of a file that the configuration does not name.
    pub(super) fn in_no_place(self, file: &str) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(file, self.code, self.message);
        diagnostic.consequence = self.consequence.map(str::to_owned);
        diagnostic.hint = self.hint;
        diagnostic
    }
}

/// The Flask policy at `path`.
pub(super) fn policy(path: &Path) -> Result<Policy, Fault> {
    inspect(path, Content::FlaskPolicy, None, &Limits::default())?;
    let shown = escape_path(path);
    let bytes =
        fs::read(path).map_err(|error| unusable(&shown, Code::ArtefactUnreadable, &error))?;
    Policy::read(&bytes).map_err(|error| unusable(&shown, Code::FlaskPolicy, &error))
}

impl<'c> Files<'c> {
    /// The files that `config`, read from `file` in the directory `base`,
    /// names.
    pub(super) fn new(file: &'c str, base: &'c Path, config: &'c Config) -> Files<'c> {
        Files {
            file,
            base,
            config,
            seen: BTreeMap::new(),
        }
    }

    /// What is wrong with one of them, at the place it is named at.
    pub(super) fn check(&mut self, artefact: &Artefact) -> Option<Diagnostic> {
        let path = resolve(self.base, &artefact.path);
        let content = match &artefact.kind {
            ArtefactKind::Script => Content::Script,
            ArtefactKind::FlaskPolicy => Content::FlaskPolicy,
            ArtefactKind::Kernel(_) => Content::Kernel,
            ArtefactKind::Ramdisk(_) => Content::Ramdisk,
            ArtefactKind::ControlRamdisk => Content::ControlRoot,
        };
        let control = self.config.control.as_ref();
        let init = control.map(|control| control.init.as_str());
        let found = self
            .seen
            .entry((path.clone(), content))
            .or_insert_with(|| inspect(&path, content, init, &self.config.limits));
        let shown = escape_path(&path);
        let at = |diagnostic: Diagnostic| {
            diagnostic
                .at(artefact.span.clone())
                .key(artefact.key.clone())
        };
        match found {
            Err(fault) => Some(at(fault.clone().in_no_place(self.file))),
            Ok(Found::Kernel(entries)) => {
                let ArtefactKind::Kernel(name) = &artefact.kind else {
                    return None;
                };
                wrong_type(self.config.domain(name.as_str())?.kind, *entries).map(|(kind, hint)| {
                    let message = format!("{shown} cannot start as a {kind} domain");
                    at(Diagnostic::error(self.file, Code::KernelType, message)
                        .because("it has no Xen note for that type, and libxl would refuse it")
                        .hint(hint))
                })
            }
            Ok(Found::Ramdisk { known: false }) => {
                let message = format!("{shown} holds something that is not a cpio archive");
                Some(at(Diagnostic::warning(
                    self.file,
                    Code::RamdiskUnknown,
                    message,
                )
                .because(
                    "it is handed over as it is; Linux would not find a root in it",
                )))
            }
            Ok(
                Found::Script
                | Found::FlaskPolicy
                | Found::ControlRoot
                | Found::Ramdisk { known: true },
            ) => None,
        }
    }
}

/// Why a domain of this type cannot start a kernel with these entries, as
/// the type's name and a remedy; None if it can.
fn wrong_type(asked: DomainType, entries: kernel::Entries) -> Option<(&'static str, &'static str)> {
    match (asked, entries.pv, entries.pvh) {
        (DomainType::Pv, true, _) | (DomainType::Pvh, _, true) => None,
        (DomainType::Pv, false, true) => Some((
            "PV",
            "use type = \"pvh\", or a kernel built with CONFIG_XEN_PV",
        )),
        (DomainType::Pv, false, false) => Some(("PV", "use a kernel built with CONFIG_XEN_PV")),
        (DomainType::Pvh, true, false) => Some((
            "PVH",
            "use type = \"pv\", or a kernel built with CONFIG_PVH",
        )),
        (DomainType::Pvh, false, false) => Some(("PVH", "use a kernel built with CONFIG_PVH")),
    }
}

/// Opens a file and looks into it.
fn inspect(
    path: &Path,
    content: Content,
    init: Option<&str>,
    limits: &Limits,
) -> Result<Found, Fault> {
    let shown = escape_path(path);
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Fault {
            code: Code::FileMissing,
            message: format!("there is no file {shown}"),
            consequence: None,
            hint: Some(lookalike(path)),
        },
        _ => Fault {
            code: Code::ArtefactUnreadable,
            message: format!("read {shown}: {error}"),
            consequence: None,
            hint: (error.kind() == io::ErrorKind::PermissionDenied)
                .then(|| "run domb check as a user who may read it, or change its mode".to_owned()),
        },
    };
    // Looked at before it is opened: opening a FIFO would wait for a writer.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() {
            "a directory"
        } else {
            "not a regular file"
        };
        return Err(Fault {
            code: Code::NotAFile,
            message: format!("{shown} is {what}"),
            consequence: Some("what is measured has to be bytes that end"),
            hint: Some("name a file".to_owned()),
        });
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(Fault {
            code: Code::FileEmpty,
            message: format!("{shown} is empty"),
            consequence: None,
            hint: Some("copy or make it again".to_owned()),
        });
    }
    match content {
        Content::Script => script(path, &bytes, limits).map(|()| Found::Script),
        Content::FlaskPolicy => match Policy::read(&bytes) {
            Ok(_) => Ok(Found::FlaskPolicy),
            Err(error) => Err(unusable(&shown, Code::FlaskPolicy, &error)),
        },
        Content::Kernel => match kernel::bootable(&bytes) {
            Ok(bootable) => Ok(Found::Kernel(bootable.entries)),
            Err(error) => Err(unusable(&shown, Code::Kernel, &error)),
        },
        Content::Ramdisk => match ramdisk::inspect(&bytes) {
            Ok(ramdisk) => Ok(Found::Ramdisk {
                known: ramdisk.is_known(),
            }),
            Err(error) => Err(unusable(&shown, Code::Ramdisk, &error)),
        },
        Content::ControlRoot => control_root(&shown, &bytes, init).map(|()| Found::ControlRoot),
    }
}

/// Unpacks the control domain's root and looks for its init.
fn control_root(shown: &str, bytes: &[u8], init: Option<&str>) -> Result<(), Fault> {
    let archive = ramdisk::unpacked(bytes).map_err(|error| match error {
        ramdisk::Error::NotCpio { .. } => Fault {
            code: Code::ControlRamdisk,
            message: format!("{shown} is not a cpio archive"),
            consequence: Some("domb unpacks it itself to make the control domain's root"),
            hint: Some("make it with cpio -H newc, compressed or not".to_owned()),
        },
        error => unusable(shown, Code::Ramdisk, &error),
    })?;
    let Some(init) = init else {
        return Ok(());
    };
    check_init(&archive, init).map_err(|error| Fault {
        code: Code::ControlInit,
        message: format!(
            "{shown} cannot be the control domain's root: {}",
            escape(&error.to_string())
        ),
        consequence: Some("the domains would run, and domain 0 would stay behind as domb"),
        hint: Some("name with [control] init what is in the archive and executable".to_owned()),
    })
}

/// Compiles a launch script within the limits of its launch.
fn script(path: &Path, bytes: &[u8], limits: &Limits) -> Result<(), Fault> {
    let compiled = Script::new(&escape_path(path), bytes)
        .and_then(|script| policy::compile(&script, limits, Meter::new(limits)));
    compiled.map_err(|error| {
        let text = error.to_string();
        let (text, hint) = match text.split_once("\nhint: ") {
            Some((text, hint)) => (text, Some(hint.to_owned())),
            None => (text.as_str(), None),
        };
        Fault {
            code: Code::Script,
            // Further lines show the script itself, and not this file.
            message: text.lines().next().unwrap_or_default().to_owned(),
            consequence: Some("a script that cannot decide denies everything"),
            hint: hint
                .or_else(|| Some("mend the script; domb script test runs its tests".to_owned())),
        }
    })
}

/// The error and its sources in one line, the hint apart.
fn unusable(shown: &str, code: Code, error: &dyn std::error::Error) -> Fault {
    let mut message = format!("{shown}: ");
    let mut hint = None;
    let mut next = Some(error);
    let mut separator = "";
    while let Some(error) = next {
        let text = error.to_string();
        let (what, advice) = match text.split_once("\nhint: ") {
            Some((what, advice)) => (what, Some(advice.to_owned())),
            None => (text.as_str(), None),
        };
        message.push_str(separator);
        message.push_str(what);
        hint = hint.or(advice);
        separator = ": ";
        next = error.source();
    }
    let hint = hint.or_else(|| Some("copy or make the file again".to_owned()));
    Fault {
        code,
        message,
        consequence: None,
        hint,
    }
}

/// What to say about a file that is not there: one beside it that may be
/// meant, or how paths are read.
fn lookalike(path: &Path) -> String {
    let general = "paths count from the configuration's own directory".to_owned();
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return general;
    };
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return format!(
            "there is no directory {} either; {general}",
            escape_path(directory)
        );
    };
    let others: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let mut others: Vec<&str> = others.iter().map(String::as_str).collect();
    others.sort_unstable();
    match nearest(&name.to_string_lossy(), &others) {
        Some(near) => format!("did you mean {}? It is in the same directory", escape(near)),
        None => general,
    }
}
