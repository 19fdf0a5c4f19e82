// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Policy: put the facts together and let the launch script decide.
//!
//! The script is run from the sealed bytes whose digest is already in the
//! PCR, and within limits (`domb_core::policy::Limits`); a script that does
//! not decide within them has denied everything.

mod meter;

use std::io;

use domb_core::config::{Config, DomainName};
use domb_core::measure::VerdictRecord;
use domb_core::policy::{
    self, Approval, Facts, FactsError, Limits, Outcome, PlanError, PlatformFacts, Said, Script,
    TpmFacts, Verdict, effective,
};

pub use self::meter::Meter;
use crate::launch::Measured;

/// Asks the launch script, or nobody where none is configured.
///
/// # Errors
/// The script did not decide.
pub fn decide(
    measured: &Measured,
    platform: PlatformFacts,
    tpm: Option<TpmFacts>,
) -> Result<Verdict, Error> {
    let script = script(measured)?;
    let facts = facts(measured, platform, tpm)?;
    let limits = measured.loaded.config.limits.clone();
    Ok(policy::decide(
        script.as_ref(),
        &facts,
        &limits,
        Meter::new(&limits),
    )?)
}

/// The configuration as the launch script changed it, checked once more.
///
/// # Errors
/// What the script asks for breaks a rule, or cannot be given.
pub fn plan(measured: &Measured, approval: &Approval) -> Result<Config, Error> {
    let config = &measured.loaded.config;
    let script = config.script.as_deref();
    let script = script.map_or(String::new(), |path| path.display().to_string());
    Ok(effective(config, approval, &script)?.config)
}

/// What the launch script may say while the launch is under way.
pub struct Hooks {
    script: Option<Script>,
    facts: Facts,
    limits: Limits,
}

impl Hooks {
    /// For the script and the facts that `decide` was asked with.
    ///
    /// # Errors
    /// The sealed script cannot be read.
    pub fn new(
        measured: &Measured,
        platform: PlatformFacts,
        tpm: Option<TpmFacts>,
    ) -> Result<Hooks, Error> {
        Ok(Hooks {
            script: script(measured)?,
            facts: facts(measured, platform, tpm)?,
            limits: measured.loaded.config.limits.clone(),
        })
    }

    /// What is to be done about a domain that failed.
    ///
    /// # Errors
    /// The script did not say.
    pub fn on_failed(
        &self,
        name: &DomainName,
        attempt: u32,
        reason: &str,
    ) -> Result<Said, policy::Error> {
        let Some(script) = &self.script else {
            return Ok(Said::default());
        };
        let meter = Meter::new(&self.limits);
        let asked = (name.as_str(), attempt, reason);
        policy::on_failed(script, &self.facts, asked, &self.limits, meter)
    }

    /// Whether a domain that is ready may count as that.
    ///
    /// # Errors
    /// The script did not say.
    pub fn on_ready(&self, name: &DomainName) -> Result<Said, policy::Error> {
        let Some(script) = &self.script else {
            return Ok(Said::default());
        };
        let meter = Meter::new(&self.limits);
        policy::on_ready(script, &self.facts, name.as_str(), &self.limits, meter)
    }
}

fn script(measured: &Measured) -> Result<Option<Script>, Error> {
    let Some(file) = &measured.loaded.script else {
        return Ok(None);
    };
    let bytes = file.sealed.read().map_err(Error::Read)?;
    let name = file.written.display().to_string();
    Ok(Some(Script::new(&name, &bytes)?))
}

/// What of `verdict` is measured.
#[must_use]
pub fn record(config: &Config, verdict: &Verdict) -> VerdictRecord {
    let mut record = VerdictRecord {
        withheld: verdict.withheld().iter().cloned().collect(),
        ..VerdictRecord::default()
    };
    for decision in verdict.domains() {
        let (Some(domain), Outcome::Allow) = (config.domain(&decision.name), &decision.outcome)
        else {
            continue;
        };
        record.allowed.push(domain.name.clone());
        if !decision.changes.is_empty() {
            let changes = decision.changes.iter();
            let changes = changes.map(|(key, change)| ((*key).to_owned(), change.value.clone()));
            record
                .changes
                .insert(domain.name.clone(), changes.collect());
        }
    }
    record
}

fn facts(
    measured: &Measured,
    platform: PlatformFacts,
    tpm: Option<TpmFacts>,
) -> Result<Facts, FactsError> {
    Facts::gather(&measured.loaded.config, &measured.artefacts, platform, tpm)
}

/// Why there is no verdict. Every one of these denies everything.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sealed script could not be read.
    #[error("read the launch script")]
    Read(#[source] io::Error),
    /// The script is wrong, failed, or went over a limit.
    #[error(transparent)]
    Script(#[from] policy::Error),
    /// What the script makes of a domain breaks a rule of the configuration.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The facts are not whole.
    #[error(transparent)]
    Facts(#[from] FactsError),
}
