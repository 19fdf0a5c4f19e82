// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The boot report: what a launch did, for programs (`/run/domb/report.json`)
//! and for whoever stands at the console after a failure.
//!
//! It is written at the end of every launch, whatever the end was, and whole
//! or not at all (a temporary file, then a rename).

mod chain;
mod show;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use domb_core::flask::Denial;
use serde::{Deserialize, Serialize};

use crate::console;
use crate::exit::Exit;
use crate::fault::{self, Moment};
use crate::memory;

pub use chain::{chain, hint};
#[cfg(feature = "libxl")]
pub use show::{Error as ReadError, read};
pub use show::{Options, command};

/// The version of the report's format; a reader refuses any other.
pub const VERSION: u32 = 1;

/// A launch, told step by step.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The version of domb that wrote it.
    pub domb: Cow<'static, str>,
    /// The configuration's path.
    pub configuration: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The documented exit code.
    pub exit_code: u8,
    /// What went wrong, when something did.
    pub failure: Option<Failure>,
    /// Every step that was begun, in order.
    pub phases: Vec<Phase>,
    /// Every domain of the configuration, in start order.
    pub domains: Vec<Domain>,
    /// What was measured.
    pub measurement: Option<Measurement>,
    /// Who decided what may start.
    pub policy: Option<Policy>,
    /// Who serves the platform after the hand-off.
    pub owners: Owners,
    /// The labels of domain 0; null where Xen has none, or where domb was not
    /// its first init.
    #[serde(default)]
    pub own_label: Option<OwnLabel>,
    /// Every domain that failed, what was decided and by whom, in order.
    #[serde(default)]
    pub failures: Vec<Fell>,
    /// In which order the domains that run are to be shut down.
    #[serde(default)]
    pub shutdown_order: Vec<String>,
    /// The ranges that were taken from domain 0, and with it from the hardware
    /// domain, before any domain ran.
    #[serde(default)]
    pub withheld: Vec<String>,
    /// The recovery domain, where one was started or should have been.
    #[serde(default)]
    pub recovery: Option<Recovery>,
    /// What a person should know although the launch went on.
    pub warnings: Vec<String>,
}

/// How a launch ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It has not ended.
    Running,
    /// Domains run; the platform was handed over.
    Launched,
    /// The launch script denied the launch.
    Refused,
    /// A step failed.
    Failed,
}

/// What went wrong.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Its code, which `domb explain` knows; reports of older versions have
    /// none.
    #[serde(default)]
    pub code: Option<String>,
    /// The step that failed.
    pub phase: String,
    /// The domain it failed on, if on one.
    pub domain: Option<String>,
    /// What was attempted, then why it failed, outermost first.
    pub cause: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The last lines of the domain's console.
    pub console: Vec<String>,
    /// The last lines of the toolstack's log.
    pub toolstack_log: Vec<String>,
    /// What Flask denied meanwhile.
    #[serde(default)]
    pub denials: Vec<Refusal>,
}

/// Something that Flask denied, by Xen's console.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// Who lacked what on whom.
    #[serde(flatten)]
    pub denial: Denial,
    /// The rule that the policy lacks, in its source's form.
    pub rule: String,
}

/// A domain that failed, whatever that meant for the launch.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fell {
    /// The domain.
    pub domain: String,
    /// Which attempt at it failed, counted from 1.
    pub attempt: u32,
    /// The kind of failure (`build`, `start`, `ended`, `timeout`, `refused`),
    /// then why.
    pub reason: String,
    /// What was done: `stop`, `skip`, `retry`, `substitute NAME`, `recover`.
    pub decision: String,
    /// Who decided: `configuration`, `script`, or why neither could.
    pub by: String,
    /// The last lines of the domain's console.
    pub console: Vec<String>,
    /// When, in milliseconds since the kernel started.
    pub at_ms: u64,
}

/// What became of the recovery domain.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recovery {
    /// Its name.
    pub name: String,
    /// Its domid.
    pub domid: u16,
    /// It was started.
    pub started: bool,
    /// Why not, where it was not.
    pub reason: Option<String>,
}

/// One step. Times are milliseconds since the kernel started.
#[derive(Debug, Serialize, Deserialize)]
pub struct Phase {
    /// The step's name.
    pub name: Cow<'static, str>,
    /// When it began.
    pub begin_ms: u64,
    /// When it ended; null when it failed.
    pub end_ms: Option<u64>,
    /// The MiB that domain 0's Linux could still give away when it ended; null when
    /// it failed, or Linux does not say.
    #[serde(default)]
    pub available_mib: Option<u64>,
}

/// One domain of the configuration.
#[derive(Debug, Serialize, Deserialize)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Its domid.
    pub domid: u16,
    /// `pv` or `pvh`.
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// What became of it.
    pub state: DomainState,
    /// Why, where it does not run.
    pub reason: Option<String>,
    /// What the launch script changed in it: `key = value`.
    #[serde(default)]
    pub changed: Vec<String>,
    /// The label asked for.
    pub seclabel: Option<String>,
    /// The label it really has, read back from Xen before it ran; null where
    /// it was not built, or Xen has no labels.
    #[serde(default)]
    pub real_seclabel: Option<String>,
    /// The ranges of the machine that it was given when it was built.
    #[serde(default)]
    pub ranges: Vec<String>,
    /// Its kernel.
    pub kernel: File,
    /// Its ramdisk.
    pub ramdisk: Option<File>,
    /// When it stood, paused, in milliseconds since the kernel started.
    pub built_ms: Option<u64>,
    /// When it was unpaused.
    pub unpaused_ms: Option<u64>,
    /// When its gate opened; null where it has none.
    #[serde(default)]
    pub ready_ms: Option<u64>,
}

/// What became of a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainState {
    /// Nothing was decided before the launch ended.
    Pending,
    /// The launch script denied it, or one it needs.
    Denied,
    /// It failed, or one it needs did, and the launch went on without it.
    Skipped,
    /// It is kept for the case that another fails.
    Standby,
    /// It stood, paused, when the launch failed; it was destroyed.
    Destroyed,
    /// It stands, paused.
    Built,
    /// It was unpaused and handed over.
    Running,
}

/// A file that was loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct File {
    /// The path as the configuration has it.
    pub path: String,
    /// The number of bytes that boot.
    pub bytes: u64,
    /// SHA-256 over the bytes that boot.
    pub sha256: String,
    /// SHA-256 of the file they were made from, where that differs.
    pub original_sha256: Option<String>,
}

/// What was measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// The PCR.
    pub pcr: u8,
    /// The number of events.
    pub events: usize,
    /// Bank name to the PCR's value after the last event.
    pub values: BTreeMap<String, String>,
    /// Bank name to what the PCR held before the first event, where that is
    /// not zero.
    #[serde(default)]
    pub initial: BTreeMap<String, String>,
    /// Where the event log is.
    pub event_log: Option<String>,
    /// Why nothing was measured, when the configuration allows that.
    pub not_measured: Option<String>,
}

/// Who decided what may start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Policy {
    /// The launch script's path; null: none is configured, all are allowed.
    pub script: Option<String>,
    /// SHA-256 of the script.
    pub sha256: Option<String>,
    /// What the script wrote with `log`.
    pub log: Vec<String>,
}

/// Who serves the platform after the hand-off; domain 0 unless a domain has
/// the role.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Owners {
    /// The domid whose xenstored serves the rings.
    pub xenstore: u16,
    /// The domid whose xenconsoled serves the consoles.
    pub console: u16,
    /// The domid that has the devices.
    pub hardware: u16,
}

/// The labels of domain 0.
#[derive(Debug, Serialize, Deserialize)]
pub struct OwnLabel {
    /// Which it had while it built.
    pub launching: String,
    /// Which it has from the hand-off on, read back from Xen; null where there
    /// was none.
    pub handed_over: Option<String>,
}

impl Report {
    /// An empty report of a launch that begins now.
    #[must_use]
    pub fn new(configuration: &Path) -> Report {
        Report {
            version: VERSION,
            domb: env!("CARGO_PKG_VERSION").into(),
            configuration: configuration.display().to_string(),
            outcome: Outcome::Running,
            exit_code: Exit::Internal.code(),
            failure: None,
            phases: Vec::new(),
            domains: Vec::new(),
            measurement: None,
            policy: None,
            owners: Owners::default(),
            own_label: None,
            failures: Vec::new(),
            shutdown_order: Vec::new(),
            withheld: Vec::new(),
            recovery: None,
            warnings: Vec::new(),
        }
    }

    /// A step begins.
    pub fn begin(&mut self, name: &'static str) {
        fault::at(Moment::Phase(name));
        self.phases.push(Phase {
            name: name.into(),
            begin_ms: now_ms(),
            end_ms: None,
            available_mib: None,
        });
    }

    /// The step that began last ends well; one line says so.
    pub fn end(&mut self, text: &str) {
        if let Some(phase) = self.phases.last_mut() {
            phase.end_ms = Some(now_ms());
            phase.available_mib = memory::available_kib().ok().map(|kib| kib / 1024);
            console::line(&phase.name, text);
        }
    }

    /// The domain of that name.
    pub fn domain(&mut self, name: &str) -> Option<&mut Domain> {
        self.domains.iter_mut().find(|domain| domain.name == name)
    }

    /// Says something a person should know.
    pub fn warn(&mut self, text: String) {
        console::line("WARNING", &text);
        self.warnings.push(text);
    }

    /// Writes the report to `path`, whole or not at all.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let temporary = path.with_extension("json.new");
        fs::write(&temporary, json)?;
        fs::rename(temporary, path)
    }
}

/// Milliseconds since the kernel started.
#[must_use]
pub fn now_ms() -> u64 {
    millis(console::uptime())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/report.json");
        let mut report = Report::new(Path::new("launch.toml"));
        report.begin("config");
        report.write(&path).unwrap();
        let back: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(back["version"], VERSION);
        assert_eq!(back["phases"][0]["name"], "config");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
