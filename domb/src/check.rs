// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb check`: says everything that is wrong with a launch configuration
//! before a boot does, on any host, without Xen, a TPM or privileges.
//!
//! Trusts neither the configuration nor the files it names: the files are
//! opened and looked into, with the code that a launch uses. Changes nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use domb_core::config::{Artefact, ArtefactKind, Config, DomainName, DomainType, resolve};
use domb_core::diagnostic::{Diagnostic, Severity, escape, render, to_json};
use serde_json::json;

use crate::exit::Exit;
use crate::{kernel, ramdisk};

/// Checks the configuration at `path` and every file it names. Faults go to
/// standard error, a summary of what would be launched to standard output;
/// with `json` both go to standard output as one JSON object. Warnings count
/// as errors if `deny_warnings` is set.
#[must_use]
pub fn run(path: &Path, json: bool, deny_warnings: bool) -> Exit {
    let outcome = check(path);
    let printed = if json {
        print_json(path, &outcome)
    } else {
        print_text(path, &outcome)
    };
    match printed {
        Ok(()) => outcome.exit(deny_warnings),
        // Whoever closed the pipe does not want the rest, only the answer.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => outcome.exit(deny_warnings),
        Err(_) => Exit::Internal,
    }
}

/// What a check found.
struct Outcome {
    /// The text of the configuration, for the carets.
    text: String,
    config: Option<Config>,
    /// Faults of the configuration, then of the files it names.
    faults: Vec<Diagnostic>,
    /// How many of the faults are the configuration's own.
    own: usize,
}

impl Outcome {
    fn count(&self, severity: Severity) -> usize {
        self.faults
            .iter()
            .filter(|fault| fault.severity == severity)
            .count()
    }

    fn exit(&self, deny_warnings: bool) -> Exit {
        let stops = |fault: &&Diagnostic| deny_warnings || fault.severity == Severity::Error;
        match self.faults.iter().position(|fault| stops(&fault)) {
            None => Exit::Success,
            Some(at) if at < self.own => Exit::Config,
            Some(_) => Exit::Load,
        }
    }
}

fn check(path: &Path) -> Outcome {
    let file = path.display().to_string();
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let fault = Diagnostic::error(&file, format!("read the launch configuration: {error}"))
                .hint("name a launch.toml, as in domb check xen-config/example/launch.toml");
            return Outcome {
                text: String::new(),
                config: None,
                faults: vec![fault],
                own: 1,
            };
        }
    };
    let (config, mut faults) = Config::check(&file, &bytes);
    let own = faults.len();
    if let Some(config) = &config {
        let base = path.parent().unwrap_or(Path::new(""));
        let mut files = Files {
            file: &file,
            base,
            config,
            seen: BTreeMap::new(),
        };
        faults.extend(
            config
                .artefacts
                .iter()
                .flat_map(|artefact| files.check(artefact)),
        );
    }
    Outcome {
        text: String::from_utf8_lossy(&bytes).into_owned(),
        config,
        faults,
        own,
    }
}

/// The file, or so much of it that [`Config::check`] refuses it as too long.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(Config::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The files of one configuration; each is read once, however often named.
struct Files<'c> {
    file: &'c str,
    base: &'c Path,
    config: &'c Config,
    seen: BTreeMap<(PathBuf, Content), Result<Found, Fault>>,
}

/// What a file's bytes have to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Script,
    Kernel,
    Ramdisk,
}

/// What was found in a file that is what it has to be.
#[derive(Clone, Copy)]
enum Found {
    Script,
    Kernel(kernel::Entries),
    /// Whether every part of it is an archive.
    Ramdisk {
        known: bool,
    },
}

/// What is wrong with a file, without the place it is named at.
#[derive(Clone)]
struct Fault {
    message: String,
    consequence: Option<&'static str>,
    hint: Option<String>,
}

impl Files<'_> {
    fn check(&mut self, artefact: &Artefact) -> Option<Diagnostic> {
        let path = resolve(self.base, &artefact.path);
        let content = match &artefact.kind {
            ArtefactKind::Script => Content::Script,
            ArtefactKind::Kernel(_) => Content::Kernel,
            ArtefactKind::Ramdisk(_) | ArtefactKind::ControlRamdisk => Content::Ramdisk,
        };
        let found = self
            .seen
            .entry((path.clone(), content))
            .or_insert_with(|| inspect(&path, content));
        let shown = escape_path(&path);
        let at = |diagnostic: Diagnostic| {
            diagnostic
                .at(artefact.span.clone())
                .key(artefact.key.clone())
        };
        match found {
            Err(fault) => {
                let mut diagnostic = Diagnostic::error(self.file, fault.message.clone());
                diagnostic.consequence = fault.consequence.map(str::to_owned);
                diagnostic.hint.clone_from(&fault.hint);
                Some(at(diagnostic))
            }
            Ok(Found::Kernel(entries)) => {
                let ArtefactKind::Kernel(name) = &artefact.kind else {
                    return None;
                };
                wrong_type(self.config.domain(name.as_str())?.kind, *entries).map(|(kind, hint)| {
                    let message = format!("{shown} cannot start as a {kind} domain");
                    at(Diagnostic::error(self.file, message)
                        .because("it has no Xen note for that type, and libxl would refuse it")
                        .hint(hint))
                })
            }
            Ok(Found::Ramdisk { known: false })
                if artefact.kind == ArtefactKind::ControlRamdisk =>
            {
                let message = format!("{shown} is not a cpio archive");
                Some(at(Diagnostic::error(self.file, message)
                    .because("domb unpacks it itself to make the control domain's root")
                    .hint("make it with cpio -H newc, compressed or not")))
            }
            Ok(Found::Ramdisk { known: false }) => {
                let message = format!("{shown} holds something that is not a cpio archive");
                Some(at(Diagnostic::warning(self.file, message).because(
                    "it is handed over as it is; Linux would not find a root in it",
                )))
            }
            Ok(Found::Script | Found::Ramdisk { known: true }) => None,
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
fn inspect(path: &Path, content: Content) -> Result<Found, Fault> {
    let shown = escape_path(path);
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Fault {
            message: format!("there is no file {shown}"),
            consequence: None,
            hint: Some(lookalike(path)),
        },
        _ => Fault {
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
            message: format!("{shown} is {what}"),
            consequence: Some("what is measured has to be bytes that end"),
            hint: Some("name a file".to_owned()),
        });
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(Fault {
            message: format!("{shown} is empty"),
            consequence: None,
            hint: Some("copy or make it again".to_owned()),
        });
    }
    match content {
        Content::Script => match str::from_utf8(&bytes) {
            Ok(_) => Ok(Found::Script),
            Err(error) => Err(Fault {
                message: format!("{shown} is no launch script: {error}"),
                consequence: Some("a script that cannot be read denies everything"),
                hint: Some("name a Rhai script, saved as UTF-8".to_owned()),
            }),
        },
        Content::Kernel => match kernel::bootable(&bytes) {
            Ok(bootable) => Ok(Found::Kernel(bootable.entries)),
            Err(error) => Err(unusable(&shown, &error)),
        },
        Content::Ramdisk => match ramdisk::inspect(&bytes) {
            Ok(ramdisk) => Ok(Found::Ramdisk {
                known: ramdisk.is_known(),
            }),
            Err(error) => Err(unusable(&shown, &error)),
        },
    }
}

/// The error and its sources in one line, the hint apart.
fn unusable(shown: &str, error: &dyn std::error::Error) -> Fault {
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
    Fault {
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
        return format!("there is no directory {} either", escape_path(directory));
    };
    let name = name.to_string_lossy();
    let stem = name.split(['.', '-']).next().unwrap_or(&name);
    let mut near: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|other| !stem.is_empty() && other.starts_with(stem))
        .collect();
    near.sort();
    match near.first() {
        Some(near) => format!("beside it there is {}; {general}", escape(near)),
        None => general,
    }
}

fn escape_path(path: &Path) -> String {
    escape(&path.display().to_string()).into_owned()
}

fn print_text(path: &Path, outcome: &Outcome) -> io::Result<()> {
    let mut err = io::stderr().lock();
    if !outcome.faults.is_empty() {
        writeln!(err, "{}", render(&outcome.faults, &outcome.text))?;
    }
    let errors = outcome.count(Severity::Error);
    let warnings = outcome.count(Severity::Warning);
    if errors > 0 {
        let warned = if warnings > 0 {
            format!(", {}", count(warnings, "warning"))
        } else {
            String::new()
        };
        return writeln!(
            err,
            "{}: {}{warned}",
            escape_path(path),
            count(errors, "error")
        );
    }
    let Some(config) = &outcome.config else {
        return Ok(());
    };
    let mut out = io::stdout().lock();
    out.write_all(table(config).as_bytes())?;
    let domains = count(config.domains.len(), "domain");
    match warnings {
        0 => writeln!(out, "{domains}, no faults"),
        _ => writeln!(out, "{domains}, {}", count(warnings, "warning")),
    }
}

fn print_json(path: &Path, outcome: &Outcome) -> io::Result<()> {
    let domains: Option<Vec<_>> = outcome.config.as_ref().map(|config| {
        let domain = |domain: &domb_core::config::DomainConfig| {
            json!({
                "name": domain.name,
                "domid": domain.domid,
                "type": domain.kind,
                "memory_mib": domain.memory,
                "maxmem_mib": domain.maxmem,
                "vcpus": domain.vcpus,
                "uuid": domain.uuid,
                "after": domain.after,
            })
        };
        config.domains.iter().map(domain).collect()
    });
    let object = json!({
        "version": 1,
        "file": path.display().to_string(),
        "errors": outcome.count(Severity::Error),
        "warnings": outcome.count(Severity::Warning),
        "diagnostics": to_json(&outcome.faults, &outcome.text),
        "domains": domains,
    });
    writeln!(io::stdout().lock(), "{object:#}")
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The domains in start order, one line each under a heading.
fn table(config: &Config) -> String {
    let heading = ["domid", "name", "type", "memory", "vcpus", "after"].map(str::to_owned);
    let rows = config.start_order().into_iter().map(|domain| {
        let after: Vec<&str> = domain.after.iter().map(DomainName::as_str).collect();
        [
            domain.domid.to_string(),
            domain.name.to_string(),
            domain.kind.as_str().to_owned(),
            domain.memory.to_string(),
            domain.vcpus.to_string(),
            if after.is_empty() {
                "-".to_owned()
            } else {
                after.join(", ")
            },
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(heading).chain(rows).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Numbers to the right, words to the left.
            match at {
                0 | 3 | 4 => line.push_str(&format!("{cell:>width$}  ")),
                _ => line.push_str(&format!("{cell:<width$}  ")),
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
