// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a launch fills its [`Report`], and the lines that go to the console as
//! it does: what was loaded, decided, built and started, and how it ended.

mod course;
mod files;

use std::collections::BTreeMap;
use std::path::Path;

use domb_core::config::{DomainConfig, DomainName, Range, Role};
use domb_core::flask::{CONTROL_LABEL, Denial};
use domb_core::policy::{self, Decision, Verdict};

use crate::code::Code;
use crate::console;
use crate::exit::Exit;
use crate::handoff::HandedOff;
use crate::launch::{Error, Measured};
use crate::load::Loaded;
use crate::measure::Summary;
use crate::own_label::Given;
use crate::report::{
    Domain, DomainState, Failure, Measurement, Outcome, OwnLabel, Owners, Policy, Refusal, Report,
    chain, hint, now_ms,
};
use crate::toolstack;
use files::file;

impl Report {
    /// Config is done: the domains are known.
    pub fn loaded(&mut self, loaded: &Loaded) {
        for domain in loaded.config.start_order() {
            let artefacts = &loaded.domains[&domain.name];
            self.domains.push(Domain {
                name: domain.name.to_string(),
                domid: domain.domid.value(),
                kind: domain.kind.as_str().into(),
                state: DomainState::Pending,
                reason: None,
                changed: Vec::new(),
                seclabel: domain.seclabel.clone(),
                real_seclabel: None,
                ranges: Vec::new(),
                kernel: file(&artefacts.kernel),
                ramdisk: artefacts.ramdisk.as_deref().map(file),
                built_ms: None,
                unpaused_ms: None,
                ready_ms: None,
            });
        }
        for warning in &loaded.warnings {
            self.warn(warning.clone());
        }
        let count = loaded.config.domains.len();
        let sealed: BTreeMap<_, _> = loaded
            .artefacts()
            .map(|artefact| (artefact.sealed.path(), artefact.sealed.len()))
            .collect();
        let mib = sealed.values().sum::<u64>().div_ceil(1 << 20);
        self.end(&format!("{count} domains, {mib} MiB of artefacts sealed"));
    }

    /// Policy is done: who may start.
    pub fn decided(&mut self, verdict: &Verdict, measured: &Measured) {
        let script = measured.artefacts.script.as_ref();
        self.policy = Some(Policy {
            script: script.map(|script| script.path.clone()),
            sha256: script.map(domb_core::measure::Artefact::sha256),
            log: verdict.log().to_vec(),
        });
        for line in verdict.log() {
            console::line("script", line);
        }
        for decision in verdict.domains() {
            for (key, change) in &decision.changes {
                let text = format!("{key} = {}", change.value);
                console::line("policy", &format!("{}: {text}", decision.name));
                if let Some(domain) = self.domain(&decision.name) {
                    domain.changed.push(text);
                }
            }
            let Some(reason) = denial(decision) else {
                continue;
            };
            console::line("policy", &format!("{} denied: {reason}", decision.name));
            if let Some(domain) = self.domain(&decision.name) {
                domain.state = DomainState::Denied;
                domain.reason = Some(reason);
            }
        }
        if script.is_none() {
            self.warn("no launch script is configured: every domain may start".to_owned());
        }
    }

    /// Domain 0 launches under this label.
    pub fn launched_as(&mut self, label: Option<String>) {
        self.own_label = label.map(|launching| OwnLabel {
            launching,
            handed_over: None,
        });
    }

    /// Domain 0 has given its label up, or keeps it.
    pub fn label_given(&mut self, given: &Given) {
        let (label, kept) = match given {
            Given::NoLabels => return,
            Given::Up(label) => (label, false),
            Given::Kept(label) => (label, true),
        };
        if kept {
            self.warn(format!(
                "domain 0 keeps the label {label}: the policy has no {}",
                CONTROL_LABEL
            ));
        } else {
            console::line("handoff", &format!("domain 0 is {label} from here on"));
        }
        if let Some(own) = &mut self.own_label {
            own.handed_over = Some(label.clone());
        }
    }

    /// A domain stands, paused, and really has this label.
    pub fn built(&mut self, built: &DomainConfig, label: Option<&str>) {
        let labelled = label.map_or(String::new(), |label| format!(", {label}"));
        console::line(
            "build",
            &format!(
                "{} (domid {}, {}, {}{labelled}) stands paused",
                built.name,
                built.domid,
                built.kind.as_str(),
                built.memory
            ),
        );
        if let Some(domain) = self.domain(built.name.as_str()) {
            domain.real_seclabel = label.map(str::to_owned);
            domain.ranges = built.delegated().map(ToString::to_string).collect();
            domain.state = DomainState::Built;
            domain.built_ms = Some(now_ms());
        }
        self.owned_by(built);
    }

    /// These ranges are domain 0's no longer.
    pub fn withheld(&mut self, ranges: &[Range]) {
        for range in ranges.iter().map(ToString::to_string) {
            if !self.withheld.contains(&range) {
                console::line("handoff", &format!("domain 0 is kept from {range}"));
                self.withheld.push(range);
            }
        }
    }

    /// A domain has what its roles say, and domain 0 no longer.
    pub(super) fn owned_by(&mut self, domain: &DomainConfig) {
        let domid = domain.domid.value();
        for role in &domain.roles {
            match role {
                Role::Xenstore => self.owners.xenstore = domid,
                Role::Control => self.owners.console = domid,
                Role::Hardware => self.owners.hardware = domid,
                Role::Recovery => {}
            }
        }
    }

    /// A domain runs.
    pub fn unpaused(&mut self, name: &DomainName) {
        console::line("handoff", &format!("{name} started"));
        if let Some(domain) = self.domain(name.as_str()) {
            domain.state = DomainState::Running;
            domain.unpaused_ms = Some(now_ms());
        }
    }

    /// The measurement is complete, whatever the launch came to.
    pub fn measured(&mut self, summary: Summary) {
        if let Some(why) = &summary.not_measured {
            self.warn(format!("NOT MEASURED: {why}"));
        }
        if !summary.initial.is_empty() {
            let pcr = summary.pcr;
            self.warn(format!(
                "PCR {pcr} was extended before the launch: its value follows from the log and that"
            ));
        }
        self.measurement = Some(Measurement {
            pcr: summary.pcr.value(),
            events: summary.events,
            values: summary.values,
            initial: summary.initial,
            event_log: summary.event_log.map(|path| path.display().to_string()),
            not_measured: summary.not_measured,
        });
    }

    /// The launch is over: says how, and gives its exit code.
    pub fn told(&mut self, result: &Result<HandedOff, Error>) -> Exit {
        match result {
            Ok(handed_off) => {
                let order = handed_off.shutdown_order.iter();
                self.shutdown_order = order.map(ToString::to_string).collect();
                self.outcome = Outcome::Launched;
                self.exit_code = Exit::Success.code();
                Exit::Success
            }
            Err(error) => {
                // What was built is destroyed, whatever its role.
                self.owners = Owners::default();
                self.failed(error);
                error.exit()
            }
        }
    }

    /// Writes the report; that it cannot be written is said and no more: the
    /// console had the same facts.
    pub fn save(&self, path: &Path) {
        match self.write(path) {
            Ok(()) => console::line("report", &path.display().to_string()),
            Err(error) => {
                console::line(
                    "report",
                    &format!("cannot write {}: {error}", path.display()),
                );
            }
        }
    }

    /// There is no toolstack: nothing was tried. Says so, writes the report
    /// to `path`, and gives the exit code.
    pub fn no_toolstack(mut self, error: &toolstack::Error, path: &Path) -> Exit {
        self.failed_before_launch("toolstack", Code::NoToolstack, error);
        self.save(path);
        Exit::NoToolstack
    }

    /// The boot domain could not be set up; there was no launch.
    pub fn failed_before_launch(&mut self, phase: &str, code: Code, error: &dyn std::error::Error) {
        self.outcome = Outcome::Failed;
        self.exit_code = code.exit().code();
        let failure = Failure {
            code: Some(code.to_string()),
            phase: phase.to_owned(),
            domain: None,
            cause: chain(error),
            hint: hint(error),
            console: Vec::new(),
            toolstack_log: Vec::new(),
            denials: Vec::new(),
        };
        failure.print(code.exit());
        self.failure = Some(failure);
    }

    fn failed(&mut self, error: &Error) {
        self.outcome = match error {
            Error::Denied { .. } => Outcome::Refused,
            _ => Outcome::Failed,
        };
        self.exit_code = error.exit().code();
        for domain in &mut self.domains {
            if matches!(domain.state, DomainState::Built | DomainState::Running) {
                domain.state = DomainState::Destroyed;
            }
        }
        let failure = Failure {
            code: Some(error.code().to_string()),
            phase: self
                .phases
                .last()
                .map_or("start", |phase| &phase.name)
                .to_owned(),
            domain: error.domain().map(str::to_owned),
            cause: chain(error),
            hint: hint(error),
            console: error.console().to_vec(),
            toolstack_log: error.toolstack_log().to_vec(),
            denials: error.denials().iter().map(Refusal::of).collect(),
        };
        failure.print(error.exit());
        self.failure = Some(failure);
    }
}

impl Refusal {
    fn of(denial: &Denial) -> Refusal {
        Refusal {
            denial: denial.clone(),
            rule: denial.rule(),
        }
    }
}

impl Failure {
    /// Tells the console: domain, phase, cause, next step, the domain's last
    /// words.
    pub fn print(&self, exit: Exit) {
        let domain = self
            .domain
            .as_ref()
            .map_or(String::new(), |name| format!(", domain {name}"));
        console::line(
            "FAILED",
            &failed(
                &format!("{}{domain}", self.phase),
                exit,
                self.code.as_deref(),
            ),
        );
        for cause in &self.cause {
            console::line("cause", cause);
        }
        for line in &self.toolstack_log {
            console::line("libxl", line);
        }
        for line in &self.console {
            console::line("console", line);
        }
        if let Some(hint) = &self.hint {
            console::line("hint", hint);
        }
    }
}

/// The first line about a failure: its phase, exit code, and code.
pub fn failed(phase: &str, exit: Exit, code: Option<&str>) -> String {
    let exit = exit.code();
    match code {
        Some(code) => format!("phase {phase}, exit code {exit}, {code} (domb explain {code})"),
        None => format!("phase {phase}, exit code {exit}"),
    }
}

/// Why the script does not let a domain start; None when it does.
#[must_use]
pub fn denial(decision: &Decision) -> Option<String> {
    match &decision.outcome {
        policy::Outcome::Allow => None,
        policy::Outcome::Deny { reason } | policy::Outcome::LeftOut { reason } => {
            Some(reason.clone())
        }
        policy::Outcome::Skipped { needs } => Some(format!("it needs {needs}, which is denied")),
    }
}
