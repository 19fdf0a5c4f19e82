// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Measure: every part of the launch goes into the event log, then into the
//! PCR, in every active bank.
//!
//! It fails closed. What `[measure] tpm` makes of a failure is decided in one
//! place ([`Measurer::settle`]): under `required` it is an error, under
//! `optional` the launch goes on, nothing more is measured, and the report
//! says so. Either way the PCR is closed with a final `failed` event, so that
//! nobody can complete an interrupted measurement later.

mod artefacts;
mod error;
mod log_file;
mod summary;
#[cfg(test)]
#[cfg(feature = "swtpm")]
#[path = "../../tests/swtpm/mod.rs"]
mod swtpm;
#[cfg(test)]
mod tests;
mod unloaded;

use std::path::Path;

use domb_core::config::{Config, DomainName, InitialValue, TpmMode};
use domb_core::course::Came;
use domb_core::measure::{
    Bank, Digests, Ending, Event, Outcome, event_log, final_event, launch_events, replay_all,
    verdict_event,
};
use domb_core::policy::{TpmFacts, TpmState, Verdict};

pub use artefacts::artefacts;
pub use error::Error;
use log_file::LogFile;
pub use summary::Summary;
use summary::by_name;
pub use unloaded::close;

use crate::launch::Measured;
use crate::load::Loaded;
use crate::policy;
use crate::report::chain;
use crate::tpm::{Tpm, TpmDevice};

/// Hashes everything that was loaded and measures it.
///
/// # Errors
/// When it could not be measured and the configuration requires that.
pub fn measure(loaded: Loaded, measurer: &mut Measurer) -> Result<Measured, Error> {
    let artefacts = artefacts(&loaded, &measurer.hash_banks())?;
    let events = launch_events(&loaded.config, &artefacts, &measurer.banks)?;
    measurer.record(events)?;
    Ok(Measured { loaded, artefacts })
}

/// A measurement under way.
#[derive(Debug)]
pub struct Measurer {
    config: Config,
    banks: Vec<Bank>,
    state: TpmState,
    tpm: Option<Tpm>,
    log: Option<LogFile>,
    /// The PCR before the first event.
    initial: Digests,
    /// The events that were extended, or only logged where there is no TPM.
    events: Vec<Event>,
    ending: Ending,
    ended: Option<Outcome>,
    /// Something is to be said after `launched`.
    amended: bool,
    not_measured: Option<String>,
}

impl Measurer {
    /// Opens the TPM and the event log.
    ///
    /// # Errors
    /// Under `tpm = "required"`: there is no TPM, it has no active bank or one
    /// that domb cannot compute, or the log cannot be written.
    pub fn begin(config: &Config, event_log: &Path, device: &TpmDevice) -> Result<Measurer, Error> {
        let mut measurer = Measurer {
            not_measured: None,
            ..Measurer::rehearse(config)
        };
        if config.tpm == TpmMode::Off {
            measurer.not_measured = Some("[measure] tpm is \"off\"".to_owned());
        } else {
            let opened = measurer.open_tpm(device);
            measurer.settle(opened)?;
        }
        match LogFile::create(event_log, &measurer.banks) {
            Ok(log) => measurer.log = Some(log),
            Err(error) => {
                if config.tpm == TpmMode::Required {
                    measurer.finish(Outcome::Failed)?;
                }
                measurer.settle(Err(error))?;
            }
        }
        Ok(measurer)
    }

    /// A measurement that touches neither a TPM nor a log: what
    /// `domb launch --dry-run` goes through.
    #[must_use]
    pub fn rehearse(config: &Config) -> Measurer {
        Measurer {
            config: config.clone(),
            banks: vec![Bank::Sha256],
            state: TpmState::Off,
            tpm: None,
            log: None,
            initial: Digests::zero(&[Bank::Sha256]),
            events: Vec::new(),
            ending: Ending::default(),
            ended: None,
            amended: false,
            not_measured: Some("this is a rehearsal".to_owned()),
        }
    }

    fn open_tpm(&mut self, device: &TpmDevice) -> Result<(), Error> {
        let pcr = self.config.pcr;
        self.state = TpmState::Absent;
        let mut tpm = Tpm::open(device)?;
        self.state = TpmState::Failed;
        let banks = tpm.active_banks(pcr)?;
        if !banks.unknown.is_empty() {
            return Err(Error::UnknownBanks {
                device: device.clone(),
                algorithms: banks.unknown,
            });
        }
        if banks.known.is_empty() {
            return Err(Error::NoBank {
                device: device.clone(),
                pcr,
            });
        }
        let initial = tpm.read_all(pcr, &banks.known)?;
        self.check_initial(&initial)?;
        self.initial = initial;
        self.banks = banks.known;
        self.tpm = Some(tpm);
        self.state = TpmState::Measured;
        Ok(())
    }

    /// The PCR holds what `expect_initial` wants. A bank that is named there
    /// and not active holds nothing.
    fn check_initial(&self, initial: &Digests) -> Result<(), Error> {
        let expected = match &self.config.expect_initial {
            InitialValue::Any => return Ok(()),
            InitialValue::Zero => Digests::zero(&initial.banks()),
            InitialValue::Values(values) => values.clone(),
        };
        for value in expected.iter() {
            let found = initial.bank(value.bank());
            if found != Some(value) {
                return Err(Error::Initial {
                    pcr: self.config.pcr,
                    expected: *value,
                    found: found.copied(),
                });
            }
        }
        Ok(())
    }

    /// The banks that files are to be hashed for: SHA-256 in any case, which
    /// the launch script and the report show.
    #[must_use]
    pub fn hash_banks(&self) -> Vec<Bank> {
        let mut banks = self.banks.clone();
        if !banks.contains(&Bank::Sha256) {
            banks.push(Bank::Sha256);
        }
        banks
    }

    /// What the launch script may know about the measurement.
    #[must_use]
    pub fn facts(&self) -> Option<TpmFacts> {
        let values = if self.state == TpmState::Measured {
            self.expected()
        } else {
            Digests::default()
        };
        Some(TpmFacts {
            state: self.state,
            pcr: self.config.pcr.value(),
            values: by_name(&values),
        })
    }

    /// Logs and extends each of `events`, in order.
    ///
    /// # Errors
    /// Under `tpm = "required"`: an event that could not be logged (it is not
    /// extended then) or extended.
    pub fn record(&mut self, events: Vec<Event>) -> Result<(), Error> {
        for event in events {
            if self.ended.is_some() {
                break;
            }
            let done = self.log_and_extend(event);
            self.settle(done)?;
        }
        Ok(())
    }

    /// Records the launch script's verdict.
    ///
    /// # Errors
    /// As [`record`](Measurer::record).
    pub fn verdict(&mut self, verdict: &Verdict) -> Result<(), Error> {
        let record = policy::record(&self.config, verdict);
        let event = verdict_event(&self.config, &record, &self.banks)?;
        self.record(vec![event])
    }

    /// Notes what the launch came to besides what was planned; the next final
    /// event says it. A launch that was `launched` already is `launched` once
    /// more then.
    pub fn came(&mut self, came: &Came) {
        let ending = Ending::from(came);
        if self.ending != ending {
            self.ending = ending;
            if self.ended == Some(Outcome::Launched) {
                self.amended = true;
            }
        }
    }

    /// Notes that the recovery domain is started; the final event says it.
    pub fn recovers(&mut self, recovery: &DomainName) {
        self.ending.recovery = Some(recovery.clone());
    }

    /// Records how the launch ended, and checks that the PCR holds what the
    /// log says. Nothing is recorded after it, but that a launch that was
    /// `launched` already came to something else or `failed` in the hand-off.
    ///
    /// # Errors
    /// As [`record`](Measurer::record); also when the PCR holds another value
    /// than the events give.
    pub fn finish(&mut self, outcome: Outcome) -> Result<(), Error> {
        let goes_on = match (self.ended, outcome) {
            (None, _) | (Some(Outcome::Launched), Outcome::Failed) => true,
            (Some(Outcome::Launched), Outcome::Launched) => self.amended,
            _ => false,
        };
        if !goes_on {
            return Ok(());
        }
        let event = final_event(&self.config, outcome, &self.ending, &self.banks)?;
        self.ended = Some(outcome);
        self.amended = false;
        let export = self.log.as_ref().map_or(Ok(()), |log| {
            log.write_cel(self.events.iter().chain([&event]))
        });
        let closed = match (export, outcome) {
            (Err(error), Outcome::Launched | Outcome::Refused) => Err(error),
            (export, _) => self
                .log_and_extend(event)
                .and_then(|()| self.check_pcr())
                .and(export),
        };
        self.settle(closed)
    }

    /// The event log is ahead of the PCR, never behind: an event that cannot
    /// be logged is not extended. The one exception is a final `failed`, which
    /// closes the PCR whatever else is broken.
    fn log_and_extend(&mut self, event: Event) -> Result<(), Error> {
        let logged = self
            .log
            .as_mut()
            .map_or(Ok(()), |log| log.append(&event_log::entry(&event)));
        if logged.is_ok() || self.ended == Some(Outcome::Failed) {
            if let Some(tpm) = &mut self.tpm {
                tpm.extend(event.pcr, &event.digests)?;
            }
            self.events.push(event);
        }
        logged
    }

    /// The PCR as the TPM has it is the PCR as the events give it.
    fn check_pcr(&mut self) -> Result<(), Error> {
        let expected = self.expected();
        let pcr = self.config.pcr;
        let Some(tpm) = self
            .tpm
            .as_mut()
            .filter(|_| self.state == TpmState::Measured)
        else {
            return Ok(());
        };
        for value in expected.iter() {
            let found = tpm.read(pcr, value.bank())?;
            if found != *value {
                return Err(Error::Diverged {
                    pcr,
                    expected: *value,
                    found,
                });
            }
        }
        Ok(())
    }

    /// The PCR's values after the events so far.
    fn expected(&self) -> Digests {
        replay_all(
            self.events.iter().map(|event| &event.digests),
            &self.initial,
        )
        .expect("events are made for the banks that were read")
    }

    /// Says what a failure means: an error under `required`; otherwise the end
    /// of the measurement, loudly.
    fn settle(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        let Err(error) = result else { return Ok(()) };
        if self.state == TpmState::Measured {
            self.state = TpmState::Failed;
        }
        if self.config.tpm == TpmMode::Required {
            return Err(error);
        }
        let mut why = self
            .not_measured
            .take()
            .map_or(String::new(), |why| why + "; ");
        why += &chain(&error).join(": ");
        if self.tpm.is_some() && self.ended.is_none() {
            self.ended = Some(Outcome::Failed);
            let event = domb_core::measure::failed_event(self.config.pcr, &self.banks);
            if let Err(error) = self.log_and_extend(event) {
                why += &format!(
                    "; the PCR could not be closed: {}",
                    chain(&error).join(": ")
                );
            }
        }
        self.tpm = None;
        self.not_measured = Some(why);
        Ok(())
    }
}
