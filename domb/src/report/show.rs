// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb report`: the boot report for people. Does not trust the file: what
//! it quotes is shown with control characters escaped, and a version that it
//! does not know is refused rather than half understood.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use domb_core::diagnostic::escape;
use serde::Deserialize;

use super::{
    Domain, DomainState, Failure, Fell, Measurement, Outcome, Policy, Recovery, Refusal, Report,
    VERSION,
};
use crate::exit::Exit;
use crate::output;

/// What `domb report` is asked for.
#[derive(Args)]
pub struct Options {
    /// The report; without it /run/domb/report.json, or what `domb adopt` took over
    file: Option<PathBuf>,
}

/// Where the report is in a control domain: as domain 0, and as another
/// domain.
const PLACES: [&str; 2] = ["/run/domb/report.json", "/var/lib/domb/report.json"];

impl Options {
    fn file(&self) -> PathBuf {
        let there = || PLACES.map(PathBuf::from).into_iter().find(|it| it.exists());
        let file = self.file.clone().or_else(there);
        file.unwrap_or_else(|| PLACES[0].into())
    }
}

/// The largest report that is read; one of 256 domains is a tenth of it.
const MAX_BYTES: u64 = 8 << 20;

/// Why a report cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("read the boot report {}\nhint: domb launch writes it; in a control domain it is handed over by the boot domain", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It is no report.
    #[error("read the boot report {}\nhint: it is not a report, or was damaged", .0.display())]
    Json(PathBuf, #[source] serde_json::Error),
    /// Another domb wrote it.
    #[error("read the boot report {}: it has version {}, and this domb knows {VERSION}\nhint: use the domb that wrote it, or a newer one", .0.display(), .1)]
    Version(PathBuf, u64),
}

/// Shows the report.
#[must_use]
pub fn command(options: &Options) -> Exit {
    match read(&options.file()) {
        Ok(report) => output::write(&show(&report), Exit::Success),
        Err(error) => output::fail(&error, Exit::Load),
    }
}

/// Reads a boot report.
///
/// # Errors
/// The file cannot be read, or is no report of this version.
pub fn read(file: &Path) -> Result<Report, Error> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let path = || file.to_owned();
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|error| Error::Read(path(), error))?;
    let json = |error| Error::Json(path(), error);
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(json)?;
    if version != u64::from(VERSION) {
        return Err(Error::Version(path(), version));
    }
    serde_json::from_slice(&bytes).map_err(json)
}

/// The report as text: the outcome and what went wrong first.
fn show(report: &Report) -> String {
    let mut out = Text::default();
    let outcome = match report.outcome {
        Outcome::Running => "has not ended",
        Outcome::Launched => "launched",
        Outcome::Refused => "refused by the launch script",
        Outcome::Failed => "failed",
    };
    out.line(&format!("{}: {outcome}", report.configuration));
    out.line(&format!(
        "exit code {}, domb {}",
        report.exit_code, report.domb
    ));
    if let Some(failure) = &report.failure {
        show_failure(failure, &mut out);
    }
    if let Some(recovery) = &report.recovery {
        show_recovery(recovery, &mut out);
    }
    if !report.failures.is_empty() {
        out.heading("domains that failed, and what was decided");
        for fell in &report.failures {
            show_fell(fell, &mut out);
        }
    }
    out.list("warnings", &report.warnings);
    out.heading("phases");
    for phase in &report.phases {
        let took = match phase.end_ms {
            Some(end) => format!("{:>9}", seconds(end.saturating_sub(phase.begin_ms))),
            None => "did not end".to_owned(),
        };
        let begin = seconds(phase.begin_ms);
        let left = phase
            .available_mib
            .map_or_else(String::new, |mib| format!("  {mib:>5} MiB to spare"));
        out.line(&format!("  {:<8} at {begin:>9}  {took}{left}", phase.name));
    }
    out.heading("domains");
    for domain in &report.domains {
        show_domain(domain, &mut out);
    }
    if !report.shutdown_order.is_empty() {
        out.heading("shut down in this order");
        out.line(&format!("  {}", report.shutdown_order.join(", ")));
    }
    if !report.withheld.is_empty() {
        out.heading("withheld from domain 0 and the hardware domain");
        for range in &report.withheld {
            out.line(&format!("  {range}"));
        }
    }
    if let Some(measurement) = &report.measurement {
        show_measurement(measurement, &mut out);
    }
    if let Some(policy) = &report.policy {
        show_policy(policy, &mut out);
    }
    let owners = &report.owners;
    out.heading("owners now");
    out.line(&format!("  xenstore  domain {}", owners.xenstore));
    out.line(&format!("  consoles  domain {}", owners.console));
    out.line(&format!("  devices   domain {}", owners.hardware));
    if let Some(label) = &report.own_label {
        out.heading("label of domain 0");
        out.line(&format!("  while launching  {}", label.launching));
        let now = label.handed_over.as_deref().unwrap_or("not handed over");
        out.line(&format!("  from then on     {now}"));
    }
    out.0
}

fn show_failure(failure: &Failure, out: &mut Text) {
    out.heading("failure");
    let domain = failure.domain.as_ref();
    let domain = domain.map_or(String::new(), |name| format!(", domain {name}"));
    out.line(&format!("  in phase {}{domain}", failure.phase));
    if let Some(code) = &failure.code {
        out.line(&format!("  code {code}; `domb explain {code}` has more"));
    }
    for cause in &failure.cause {
        out.block("  ", cause);
    }
    if let Some(hint) = &failure.hint {
        out.block("  hint: ", hint);
    }
    if !failure.denials.is_empty() {
        out.heading("denied by Flask");
        for Refusal { denial, rule } in &failure.denials {
            out.line(&format!("  {denial}"));
            if !denial.about.is_empty() {
                out.line(&format!("    {}", denial.about));
            }
            out.line(&format!("    missing: {rule}"));
        }
    }
    out.list("the domain's console, its last lines", &failure.console);
    out.list(
        "the toolstack's log, its last lines",
        &failure.toolstack_log,
    );
}

fn show_recovery(recovery: &Recovery, out: &mut Text) {
    out.heading("recovery");
    let (name, domid) = (&recovery.name, recovery.domid);
    match &recovery.reason {
        None => out.line(&format!("  {name} (domid {domid}) was started")),
        Some(why) => out.block(&format!("  {name} was not started: "), why),
    }
}

fn show_fell(fell: &Fell, out: &mut Text) {
    let (domain, attempt) = (&fell.domain, fell.attempt);
    out.block(
        &format!(
            "  {:>10}  {domain}, attempt {attempt}: ",
            seconds(fell.at_ms)
        ),
        &fell.reason,
    );
    out.line(&format!("{:14}{}, by {}", "", fell.decision, fell.by));
}

fn show_domain(domain: &Domain, out: &mut Text) {
    let state = match domain.state {
        DomainState::Pending => "nothing was decided",
        DomainState::Denied => "denied",
        DomainState::Skipped => "left out",
        DomainState::Standby => "kept for a failure",
        DomainState::Destroyed => "destroyed",
        DomainState::Built => "built, paused",
        DomainState::Running => "running",
    };
    let reason = domain.reason.as_ref();
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    let (domid, name, kind) = (domain.domid, &domain.name, &domain.kind);
    out.line(&format!(
        "  {domid:>5}  {name:<16} {kind:<4} {state}{reason}"
    ));
    let times = [
        ("built", domain.built_ms),
        ("unpaused", domain.unpaused_ms),
        ("ready", domain.ready_ms),
    ];
    let times: Vec<String> = times
        .iter()
        .filter_map(|(what, at)| Some(format!("{what} at {}", seconds((*at)?))))
        .collect();
    if !times.is_empty() {
        out.line(&format!("         {}", times.join(", ")));
    }
    if let Some(label) = &domain.seclabel {
        out.line(&format!("         label    {label}"));
    }
    if let Some(label) = &domain.real_seclabel
        && domain.real_seclabel != domain.seclabel
    {
        let why = match &domain.seclabel {
            Some(_) => "really",
            None => "Xen's own choice",
        };
        out.line(&format!("         label    {label}, {why}"));
    }
    for range in &domain.ranges {
        out.line(&format!("         has      {range}"));
    }
    for (what, file) in [
        ("kernel", Some(&domain.kernel)),
        ("ramdisk", domain.ramdisk.as_ref()),
    ] {
        if let Some(file) = file {
            let short: String = file.sha256.chars().take(16).collect();
            let digest = if short.is_empty() {
                "not hashed".to_owned()
            } else {
                format!("sha256 {short}...")
            };
            let (path, bytes) = (&file.path, file.bytes);
            out.line(&format!(
                "         {what:<8} {path}, {bytes} bytes, {digest}"
            ));
        }
    }
    for change in &domain.changed {
        out.line(&format!("         changed by the launch script: {change}"));
    }
}

fn show_measurement(measurement: &Measurement, out: &mut Text) {
    out.heading("measurement");
    if let Some(why) = &measurement.not_measured {
        return out.line(&format!("  NOT MEASURED: {why}"));
    }
    let (pcr, events) = (measurement.pcr, measurement.events);
    out.line(&format!("  PCR {pcr}, {events} events"));
    for (bank, value) in &measurement.initial {
        out.line(&format!("  {bank:<7} before: {value}"));
    }
    for (bank, value) in &measurement.values {
        out.line(&format!("  {bank:<7} {value}"));
    }
    if let Some(log) = &measurement.event_log {
        out.line(&format!("  event log {log}"));
    }
}

fn show_policy(policy: &Policy, out: &mut Text) {
    out.heading("launch script");
    match &policy.script {
        None => out.line("  none: every domain is allowed"),
        Some(path) => out.line(&format!("  {path}")),
    }
    if let Some(digest) = &policy.sha256 {
        out.line(&format!("  sha256 {digest}"));
    }
    for entry in &policy.log {
        out.block("  it said: ", entry);
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

/// Text that grows line by line, and never holds what a terminal acts on.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, text: &str) {
        self.0.push_str(escape(text).trim_end());
        self.0.push('\n');
    }

    /// A text that may have several lines.
    fn block(&mut self, prefix: &str, text: &str) {
        let further = " ".repeat(prefix.len());
        for (row, part) in text.lines().enumerate() {
            let prefix = if row == 0 { prefix } else { further.as_str() };
            self.line(&format!("{prefix}{part}"));
        }
    }

    fn heading(&mut self, text: &str) {
        self.0.push('\n');
        self.line(text);
    }

    fn list(&mut self, heading: &str, entries: &[String]) {
        if !entries.is_empty() {
            self.heading(heading);
            for entry in entries {
                self.block("  ", entry);
            }
        }
    }
}
