// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A domain failed: what is done about it, and that it is done.
//!
//! `on_failure` decides, or the launch script where it has an `on_failed`. A
//! script that fails then, or says what cannot be, has stopped the launch.

use domb_core::config::DomainName;
use domb_core::course::Decision;
use domb_core::units::Domid;

use super::error::Cause;
use super::{Site, Witness};
use crate::report::chain;

/// A domain failed and the launch with it.
#[derive(Debug)]
pub struct Fallen {
    /// The domain.
    pub name: DomainName,
    /// Its domid.
    pub domid: Domid,
    /// The last lines it wrote to its console.
    pub console: Vec<String>,
    /// Why.
    pub cause: Cause,
    /// The recovery domain is to be started.
    pub recover: bool,
}

/// A failure and what was decided about it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The domain.
    pub name: DomainName,
    /// Which attempt at it failed, counted from 1.
    pub attempt: u32,
    /// The kind of failure, then why: `timeout: it was not ready within 30s`.
    pub reason: String,
    /// What is done.
    pub decision: Decision,
    /// Who decided.
    pub by: DecidedBy,
    /// The last lines it wrote to its console.
    pub console: Vec<String>,
}

/// Who decided what a failure means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecidedBy {
    /// `on_failure` of the domain.
    Configuration,
    /// The launch script's `on_failed`.
    Script,
    /// Nobody could: the script failed, and this is why.
    Nobody(String),
}

impl Site<'_> {
    /// The domain failed. Does what is decided about it: afterwards the course
    /// goes on without it, with it from the beginning, or with another.
    ///
    /// # Errors
    /// The launch has failed.
    pub(super) fn fail(
        &mut self,
        name: &DomainName,
        cause: Cause,
        console: Option<Vec<String>>,
        witness: &mut dyn Witness,
    ) -> Result<(), Fallen> {
        let domid = self.domain(name).domid;
        let was_built = console.is_some();
        let console = console.unwrap_or_default();
        let why = chain(&cause).join(": ");
        let reason = format!("{}: {why}", cause.kind(was_built));
        let attempt = self.course.attempt(name);
        let (decision, by) = self.decide(name, attempt, &reason, witness);
        witness.failed(&Failure {
            name: name.clone(),
            attempt,
            reason,
            decision: decision.clone(),
            by,
            console: console.clone(),
        });
        let fallen = |cause, recover| Fallen {
            name: name.clone(),
            domid,
            console,
            cause,
            recover,
        };
        if !decision.goes_on() {
            return Err(fallen(cause, decision == Decision::Recover));
        }
        let gone = self.course.failed(name, &why, &decision);
        match gone.iter().try_for_each(|gone| self.take_down(gone)) {
            Ok(()) => Ok(()),
            Err(error) => Err(fallen(Cause::Toolstack(error), false)),
        }
    }

    fn decide(
        &self,
        name: &DomainName,
        attempt: u32,
        reason: &str,
        witness: &mut dyn Witness,
    ) -> (Decision, DecidedBy) {
        let said = match self.approved.hooks.on_failed(name, attempt, reason) {
            Ok(said) => said,
            Err(error) => {
                let why = chain(&error).join(": ");
                return (Decision::Stop, DecidedBy::Nobody(why));
            }
        };
        witness.script_said(&said.log);
        let Some(answer) = said.answer else {
            return (self.course.configured(name), DecidedBy::Configuration);
        };
        match self.course.read(name, &answer) {
            Ok(decision) => (decision, DecidedBy::Script),
            Err(why) => {
                let why = format!("on_failed of the launch script said {answer:?}: {why}");
                (Decision::Stop, DecidedBy::Nobody(why))
            }
        }
    }
}
