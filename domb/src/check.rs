// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb check`: says everything that is wrong with a launch configuration
//! before a boot does, on any host, without Xen, a TPM or privileges.
//!
//! Trusts neither the configuration nor the files it names: the files are
//! opened and looked into, with the code that a launch uses. Changes nothing.

mod files;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use domb_core::config::{Config, DomainConfig, DomainName, resolve};
use domb_core::diagnostic::{Diagnostic, Severity, escape, render, to_json};
use domb_core::explain::Code;
use domb_core::flask::check_configuration;
use serde_json::json;

use crate::exit::Exit;
use files::Files;

/// Checks the configuration at `path` and every file it names. Faults go to
/// standard error, a summary of what would be launched to standard output;
/// with `json` both go to standard output as one JSON object. Warnings count
/// as errors if `deny_warnings` is set. The labels are held against the Flask
/// policy `flask_policy`, or else against the one the configuration names.
#[must_use]
pub fn run(path: &Path, flask_policy: Option<&Path>, json: bool, deny_warnings: bool) -> Exit {
    let outcome = check(path, flask_policy);
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

fn check(path: &Path, flask_policy: Option<&Path>) -> Outcome {
    let file = path.display().to_string();
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let fault = Diagnostic::error(
                &file,
                Code::FileUnreadable,
                format!("read the launch configuration: {error}"),
            )
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
        let mut files = Files::new(&file, base, config);
        faults.extend(
            config
                .artefacts
                .iter()
                .flat_map(|artefact| files.check(artefact)),
        );
        faults.extend(labels(&file, base, config, flask_policy));
    }
    Outcome {
        text: String::from_utf8_lossy(&bytes).into_owned(),
        config,
        faults,
        own,
    }
}

/// What is wrong with the labels under the policy at `given`, or under the one
/// the configuration names; a policy that is none has been told in its place.
fn labels(file: &str, base: &Path, config: &Config, given: Option<&Path>) -> Vec<Diagnostic> {
    let policy = match (given, &config.flask_policy) {
        (Some(given), _) => match files::policy(given) {
            Ok(policy) => policy,
            Err(fault) => return vec![fault.in_no_place(file)],
        },
        (None, Some(written)) => match files::policy(&resolve(base, written)) {
            Ok(policy) => policy,
            Err(_) => return Vec::new(),
        },
        (None, None) => return Vec::new(),
    };
    check_configuration(&policy, config, file)
}

/// The file, or so much of it that [`Config::check`] refuses it as too long.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(Config::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
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
        let domain = |domain: &DomainConfig| {
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
