// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The measurement of a launch that could not be loaded: it began, and it
//! failed. Without these two events the PCR would be as after a reset, and
//! whoever runs next could extend into it what a good launch would have.
//!
//! A PCR that is not at its start any more cannot be completed by anybody and
//! is left alone: it may hold a launch that stands.

use std::path::Path;

use domb_core::config::TpmMode;
use domb_core::measure::{Digest, Digests, failed_event, replay_all, start_event};
use domb_core::units::PcrIndex;

use super::log_file::LogFile;
use super::{Error, Summary, by_name, event_log};
use crate::report::chain;
use crate::tpm::{Tpm, TpmDevice};

/// Extends `start` and `failed`, and says what came of it. The launch fails in
/// any case: what cannot be done is a reason in the summary, not an error.
pub fn close(tpm: TpmMode, pcr: PcrIndex, event_log: &Path, device: &TpmDevice) -> Summary {
    let mut summary = Summary {
        pcr,
        events: 0,
        values: by_name(&Digests::default()),
        initial: by_name(&Digests::default()),
        event_log: None,
        not_measured: None,
    };
    if tpm == TpmMode::Off {
        summary.not_measured = Some("[measure] tpm is \"off\"".to_owned());
    } else if let Err(error) = extend(&mut summary, event_log, device) {
        let why = chain(&error).join(": ");
        summary.not_measured = Some(format!("the PCR could not be closed: {why}"));
    }
    summary
}

fn extend(summary: &mut Summary, log: &Path, device: &TpmDevice) -> Result<(), Error> {
    let pcr = summary.pcr;
    let mut tpm = Tpm::open(device)?;
    let banks = tpm.active_banks(pcr)?.known;
    if banks.is_empty() {
        let device = device.clone();
        return Err(Error::NoBank { device, pcr });
    }
    let initial = tpm.read_all(pcr, &banks)?;
    if !initial.iter().any(Digest::is_zero) {
        summary.initial = by_name(&initial);
        summary.not_measured = Some("nothing of this launch: the PCR was not open".to_owned());
        return Ok(());
    }
    let mut log = LogFile::create(log, &banks);
    let events = [start_event(pcr, &banks), failed_event(pcr, &banks)];
    for event in &events {
        // Closing counts for more than the log.
        let logged = match &mut log {
            Ok(file) => file.append(&event_log::entry(event)),
            Err(_) => Ok(()),
        };
        if let Err(error) = logged {
            log = Err(error);
        }
        tpm.extend(pcr, &event.digests)?;
        summary.events += 1;
    }
    let values = replay_all(events.iter().map(|event| &event.digests), &initial);
    summary.values = by_name(&values.expect("the events were made for the banks that were read"));
    let log = log?;
    log.write_cel(events.iter())?;
    summary.event_log = Some(log.path().to_owned());
    Ok(())
}

impl Summary {
    /// One line for the console.
    #[must_use]
    pub fn of_unloaded(&self) -> String {
        match &self.not_measured {
            Some(why) => why.clone(),
            None => format!("PCR {} is closed: this launch failed", self.pcr),
        }
    }
}
