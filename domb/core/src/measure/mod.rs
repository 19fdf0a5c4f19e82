// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What domb measures: the events of a launch in their order, the digests of
//! each, the event log that describes them, and the PCR values that follow.
//!
//! The format is specified in `README.md` beside this file, with test vectors
//! in `tests/golden/measure*.json`. Nothing here talks to a TPM or opens a
//! file; the program's `tpm.rs` and `measure.rs` do.

pub mod canonical;
pub mod cel;
mod component;
mod diff;
mod digest;
pub mod event_log;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod golden;
pub mod hex;
mod inputs;
mod predict;
mod record;
mod sequence;
pub mod tpm_message;
mod verify;

pub use component::{Component, EV_EVENT_TAG, Entry, Event, FORMAT_VERSION, Original};
pub use diff::{Change, diff};
pub use digest::{Bank, Digest, Digests, Hasher};
pub use inputs::{Artefact, Artefacts, DomainArtefacts, ImageArtefacts, Outcome, VerdictRecord};
pub use predict::{PredictedOutcome, Prediction, predict, replay, replay_all};
pub use record::{LaunchRecord, RecordError};
pub use sequence::{
    Ending, Error, domain_config, failed_event, final_event, launch_events, start_event,
    verdict_event,
};
pub use verify::{BankCheck, check};
