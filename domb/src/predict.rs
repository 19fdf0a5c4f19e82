// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb predict`: what the PCR will hold, computed from the files alone.
//!
//! It loads and hashes as a launch does, asks the launch script as a launch
//! does, and makes the events by the same code, for every way the launch can
//! end. No TPM, no Xen: what a script may know of them is what a boot with
//! every bank asked for would tell it, and what `--platform` says.

mod keylime;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domb_core::config::TpmMode;
use domb_core::measure::{self, Bank, Digests, PredictedOutcome, Prediction, VerdictRecord};
use domb_core::policy::{PlatformFacts, TpmFacts, TpmState};

use crate::exit::Exit;
use crate::file::{Unreadable, read};
use crate::launch::{self, Measured};
use crate::load::{self, Source};
use crate::log::listing;
use crate::measure::artefacts;
use crate::output;
use crate::policy;

/// What to predict.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The launch configuration
    config: PathBuf,
    /// A PCR bank: sha1, sha256, sha384 or sha512; can be repeated [default: all four]
    #[arg(long = "bank", value_name = "BANK", value_parser = bank)]
    banks: Vec<Bank>,
    /// Take this domain as denied, the others as allowed; can be repeated
    #[arg(long = "deny", value_name = "DOMAIN")]
    denied: Vec<String>,
    /// Take every domain as allowed, and do not ask the launch script
    #[arg(long, conflicts_with = "denied")]
    allow_all: bool,
    /// What the launch script finds in `facts.platform`, as JSON [default: nothing is known]
    #[arg(long, value_name = "FILE")]
    platform: Option<PathBuf>,
    /// Values and events as JSON, for `domb log`
    #[arg(long)]
    json: bool,
    /// Write the PCR's bare value after a complete launch, as tpm2_policypcr --pcr reads it
    #[arg(long, value_name = "FILE")]
    policy_pcr: Option<PathBuf>,
    /// Write the PCR's values after a complete launch as a tpm_policy of Keylime
    #[arg(long, value_name = "FILE")]
    keylime: Option<PathBuf>,
    /// Write the events of a complete launch as a reference state of Keylime, for policy/keylime
    #[arg(long, value_name = "FILE")]
    keylime_refstate: Option<PathBuf>,
}

fn bank(name: &str) -> Result<Bank, String> {
    Bank::from_name(name).ok_or_else(|| "the banks are sha1, sha256, sha384 and sha512".to_owned())
}

/// The verb.
#[must_use]
pub fn command(options: &Options) -> Exit {
    match run(options) {
        Ok(text) => output::write(&text, Exit::Success),
        Err(error) => output::fail(&error, error.exit()),
    }
}

fn run(options: &Options) -> Result<String, Error> {
    let banks = if options.banks.is_empty() {
        Bank::ALL.to_vec()
    } else {
        options.banks.clone()
    };
    let loaded = load::load(&options.config, Source::Files).map_err(launch::Error::from)?;
    // The launch script is shown SHA-256 whatever is extended.
    let hashed = [&banks[..], &[Bank::Sha256]].concat();
    let artefacts = artefacts(&loaded, &hashed).map_err(launch::Error::from)?;
    let measured = Measured { loaded, artefacts };
    let verdict = verdict(options, &measured, &banks)?;
    let prediction = predict(&measured, Some(&verdict), &banks)?;
    if let Some(path) = &options.policy_pcr {
        let values = &launched(&prediction)?.values;
        let value = match &banks[..] {
            [bank] => values.bank(*bank),
            _ => values.bank(Bank::Sha256),
        };
        write(path, value.ok_or(Error::WhichBank)?.as_bytes())?;
    }
    if let Some(path) = &options.keylime {
        let policy = keylime::tpm_policy(&prediction, &launched(&prediction)?.values);
        write(path, policy.as_bytes())?;
    }
    if let Some(path) = &options.keylime_refstate {
        let state = keylime::refstate(&prediction, launched(&prediction)?);
        write(path, state.as_bytes())?;
    }
    Ok(if options.json {
        json(&prediction)
    } else {
        text(&prediction)
    })
}

/// What the launch script decides, or what the options say it does.
fn verdict(options: &Options, measured: &Measured, banks: &[Bank]) -> Result<VerdictRecord, Error> {
    let config = &measured.loaded.config;
    if options.denied.is_empty() && !options.allow_all {
        let platform = match &options.platform {
            Some(path) => read_platform(path)?,
            None => PlatformFacts::default(),
        };
        let tpm = tpm_facts(measured, banks)?;
        let verdict = policy::decide(measured, platform, Some(tpm)).map_err(launch::Error::from)?;
        let record = policy::record(config, &verdict);
        if let Ok(approval) = verdict.approve() {
            // A plan that cannot be carried out is no launch.
            policy::plan(measured, &approval).map_err(launch::Error::from)?;
        }
        return Ok(record);
    }
    if let Some(stray) = options
        .denied
        .iter()
        .find(|name| config.domain(name).is_none())
    {
        return Err(Error::UnknownDomain(stray.clone()));
    }
    let mut verdict = VerdictRecord::allow_all(config);
    let denied = |name: &str| options.denied.iter().any(|denied| denied == name);
    verdict.allowed.retain(|name| !denied(name.as_str()));
    Ok(verdict)
}

/// What a script finds in `facts.tpm` once everything up to it is extended.
pub(crate) fn tpm_facts(measured: &Measured, banks: &[Bank]) -> Result<TpmFacts, launch::Error> {
    let config = &measured.loaded.config;
    let pcr = config.pcr.value();
    if config.tpm == TpmMode::Off {
        return Ok(TpmFacts {
            state: TpmState::Off,
            pcr,
            values: BTreeMap::new(),
        });
    }
    let events = measure::launch_events(config, &measured.artefacts, banks);
    let events = events.map_err(crate::measure::Error::from)?;
    let digests = events.iter().map(|event| &event.digests);
    let values = measure::replay_all(digests, &Digests::zero(banks))
        .expect("every event has the banks it was made for");
    let values = values
        .iter()
        .map(|value| (value.bank().name().to_owned(), value.to_string()));
    Ok(TpmFacts {
        state: TpmState::Measured,
        pcr,
        values: values.collect(),
    })
}

fn read_platform(path: &Path) -> Result<PlatformFacts, Error> {
    let bytes = read(path)?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Platform {
        path: path.to_owned(),
        source,
    })
}

fn predict(
    measured: &Measured,
    verdict: Option<&VerdictRecord>,
    banks: &[Bank],
) -> Result<Prediction, Error> {
    let prediction = measure::predict(&measured.loaded.config, &measured.artefacts, verdict, banks);
    Ok(prediction
        .map_err(crate::measure::Error::from)
        .map_err(launch::Error::from)?)
}

/// A complete launch.
fn launched(prediction: &Prediction) -> Result<&PredictedOutcome, Error> {
    let outcome = prediction
        .outcomes
        .iter()
        .find(|outcome| outcome.name == "launched");
    outcome.ok_or(Error::NothingLaunched)
}

fn json(prediction: &Prediction) -> String {
    let json = serde_json::to_string_pretty(prediction);
    json.expect("a prediction has string keys only") + "\n"
}

/// The values of each outcome, and below them the events of the first.
fn text(prediction: &Prediction) -> String {
    let mut text = format!("PCR {}, extended from zero by domb alone\n", prediction.pcr);
    for outcome in &prediction.outcomes {
        text += &format!("\n{}: {} events\n", outcome.name, outcome.events.len());
        for value in outcome.values.iter() {
            text += &format!("  {:<6} {value}\n", value.bank().name());
        }
    }
    if let Some(outcome) = prediction.outcomes.first() {
        text += &format!(
            "\nthe events of {}:\n{}",
            outcome.name,
            listing(&outcome.events)
        );
    }
    text
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The configuration or a file that it names.
    #[error(transparent)]
    Launch(#[from] launch::Error),
    /// A denied domain that is not there.
    #[error("predict a launch without domain {0}: the configuration has no such domain")]
    UnknownDomain(String),
    /// The platform's facts cannot be read.
    #[error(transparent)]
    Read(#[from] Unreadable),
    /// They are not what a script may find in `facts.platform`.
    #[error("read the platform's facts from {}", path.display())]
    Platform {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Nothing would be launched.
    #[error("write reference values: every domain is denied, so there is no complete launch")]
    NothingLaunched,
    /// Several banks, none of them the usual one.
    #[error(
        "write the PCR's bare value: it is not said which bank\nhint: give one --bank, or sha256 among them"
    )]
    WhichBank,
    /// A file could not be written.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Launch(error) => error.exit(),
            Error::UnknownDomain(_) | Error::NothingLaunched | Error::WhichBank => Exit::Usage,
            Error::Platform { .. } => Exit::Usage,
            Error::Read(_) => Exit::Load,
            Error::Write { .. } => Exit::Internal,
        }
    }
}
