// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a [`Report`] says of domains that got ready, were late or failed, of
//! what was decided then, and of the recovery domain.

use domb_core::config::{DomainConfig, DomainName, Ready};
use domb_core::course::Came;

use crate::build::{self, DecidedBy};
use crate::console;
use crate::report::{DomainState, Fell, Recovery, Report, chain, now_ms};

impl Report {
    /// The launch came to this besides what was planned.
    pub fn came(&mut self, came: &Came) {
        let left_out = came.left_out.iter();
        let left_out = left_out.map(|(name, why)| (name, why.clone()));
        let replaced = came.substituted.iter();
        let replaced = replaced.map(|(name, by)| (name, format!("{by} took its place")));
        for (name, reason) in left_out.chain(replaced) {
            let known = self.domain(name.as_str());
            if known.is_some_and(|domain| domain.state != DomainState::Skipped) {
                self.warn(format!("{name} is left out: {reason}"));
            }
            if let Some(domain) = self.domain(name.as_str()) {
                domain.state = DomainState::Skipped;
                domain.reason = Some(reason);
            }
        }
    }

    /// A domain failed, and this is done about it.
    pub fn fell(&mut self, failure: &build::Failure) {
        let build::Failure {
            name,
            attempt,
            reason,
            decision,
            by,
            console,
        } = failure;
        let by = match by {
            DecidedBy::Configuration => "configuration".to_owned(),
            DecidedBy::Script => "script".to_owned(),
            DecidedBy::Nobody(why) => why.clone(),
        };
        console::line("failed", &format!("{name}, attempt {attempt}: {reason}"));
        console::line("decided", &format!("{name}: {decision} (by {by})"));
        if decision.goes_on() {
            for line in console {
                console::line("console", line);
            }
        }
        self.failures.push(Fell {
            domain: name.to_string(),
            attempt: *attempt,
            reason: reason.clone(),
            decision: decision.to_string(),
            by,
            console: console.clone(),
            at_ms: now_ms(),
        });
    }

    /// A domain's gate opened.
    pub fn ready(&mut self, name: &DomainName, ready: &Ready) {
        console::line("ready", &format!("{name}: {ready}"));
        if let Some(domain) = self.domain(name.as_str()) {
            domain.ready_ms = Some(now_ms());
        }
    }

    /// The launch went on although a domain was not ready in time.
    pub fn late(&mut self, name: &DomainName, ready: &Ready) {
        let timeout = ready.timeout_text();
        self.warn(format!(
            "{name} was not ready within {timeout} ({ready}); the launch goes on"
        ));
    }

    /// The launch script wrote these lines.
    pub fn script_said(&mut self, lines: &[String]) {
        for line in lines {
            console::line("script", line);
        }
        if let Some(policy) = &mut self.policy {
            policy.log.extend_from_slice(lines);
        }
    }

    /// The xenstore domain, which serves the recovery domain as well.
    pub fn stayed(&mut self, store: &DomainConfig) {
        if let Some(domain) = self.domain(store.name.as_str()) {
            domain.state = DomainState::Running;
        }
        self.owned_by(store);
    }

    /// What became of the recovery domain.
    pub fn recovered(&mut self, recovery: &DomainConfig, error: Option<&build::Cause>) {
        let DomainConfig { name, domid, .. } = recovery;
        let reason = error.map(|error| chain(error).join(": "));
        match &reason {
            None => self.end(&format!(
                "{name} (domid {domid}) started; /local/domain/{domid}/domb tells it why"
            )),
            Some(why) => self.warn(format!("the recovery domain {name} was not started: {why}")),
        }
        if let Some(domain) = self.domain(name.as_str()).filter(|_| reason.is_none()) {
            domain.state = DomainState::Running;
            domain.unpaused_ms = Some(now_ms());
        }
        if let Some(build::Cause::Toolstack(error)) = error {
            for line in &error.log {
                console::line("libxl", line);
            }
        }
        self.recovery = Some(Recovery {
            name: name.to_string(),
            domid: domid.value(),
            started: reason.is_none(),
            reason,
        });
    }
}
