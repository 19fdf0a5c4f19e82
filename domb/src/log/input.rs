// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What `domb log` reads: logs, predictions, PCR values.

use std::path::{Path, PathBuf};

use domb_core::measure::{Digests, Event, LaunchRecord, Prediction, RecordError, event_log};
use domb_core::units::PcrIndex;

use super::pcr_values::parse;
use crate::exit::Exit;
use crate::file::{Unreadable, read};
use crate::tpm;

/// The launch that a log records.
pub(super) fn log(path: &Path) -> Result<LaunchRecord, Error> {
    record(path, &read(path)?)
}

/// The events of one outcome of a prediction.
pub(super) fn prediction(path: &Path, outcome: &str) -> Result<Vec<Event>, Error> {
    outcome_of(path, &read(path)?, outcome)
}

/// The events of a log, or of one outcome of a prediction, whichever the file
/// is: a prediction is JSON and begins with a brace, a log with zeros.
pub(super) fn launch(path: &Path, outcome: &str) -> Result<Vec<Event>, Error> {
    let bytes = read(path)?;
    match bytes.first() {
        Some(b'{') => outcome_of(path, &bytes, outcome),
        _ => Ok(record(path, &bytes)?.events),
    }
}

/// The values of `pcr` in a file.
pub(super) fn pcr_values(path: &Path, pcr: PcrIndex) -> Result<Digests, Error> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    parse(&text, pcr).map_err(|problem| Error::Values {
        path: path.to_owned(),
        problem,
    })
}

fn record(path: &Path, bytes: &[u8]) -> Result<LaunchRecord, Error> {
    let log = event_log::parse(bytes).map_err(|source| Error::Log {
        path: path.to_owned(),
        source,
    })?;
    LaunchRecord::from_log(&log).map_err(|source| Error::Record {
        path: path.to_owned(),
        source,
    })
}

fn outcome_of(path: &Path, bytes: &[u8], outcome: &str) -> Result<Vec<Event>, Error> {
    let prediction: Prediction =
        serde_json::from_slice(bytes).map_err(|source| Error::Prediction {
            path: path.to_owned(),
            source,
        })?;
    let names: Vec<String> = prediction
        .outcomes
        .iter()
        .map(|outcome| outcome.name.clone())
        .collect();
    let found = prediction
        .outcomes
        .into_iter()
        .find(|predicted| predicted.name == outcome);
    found
        .map(|outcome| outcome.events)
        .ok_or_else(|| Error::NoOutcome {
            path: path.to_owned(),
            outcome: outcome.to_owned(),
            names: names.join(", "),
        })
}

/// Why a log could not be shown, verified or compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] Unreadable),
    /// It is not an event log.
    #[error("read the event log {}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: event_log::ParseError,
    },
    /// It is not the log of a launch.
    #[error("read the launch that {} records", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RecordError,
    },
    /// It is not a prediction.
    #[error("read the prediction {}\nhint: make it with `domb predict --json`", path.display())]
    Prediction {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The prediction does not have that outcome.
    #[error("find the outcome {outcome:?} in {}: it has {names}", path.display())]
    NoOutcome {
        /// The file.
        path: PathBuf,
        /// What was wanted.
        outcome: String,
        /// What is there.
        names: String,
    },
    /// It has no PCR values.
    #[error("read PCR values from {}: {problem}", path.display())]
    Values {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing to compare by.
    #[error("compare: there is no bank that both have")]
    NoCommonBank,
    /// The TPM does not say what it holds.
    #[error(transparent)]
    Tpm(#[from] tpm::Error),
}

impl Error {
    /// What a log or a prediction says is at fault with exit code 14; that
    /// there is nothing to look at, with the step that looks.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Error::Read(_) => Exit::Load,
            Error::Tpm(_) => Exit::Measure,
            Error::NoOutcome { .. } => Exit::Usage,
            _ => Exit::Log,
        }
    }
}
