// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What came of a measurement, for the report and the console.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domb_core::measure::Digests;
use domb_core::policy::TpmState;
use domb_core::units::PcrIndex;

use super::Measurer;

/// What came of a measurement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The PCR.
    pub pcr: PcrIndex,
    /// The number of events.
    pub events: usize,
    /// Bank name to the PCR's value after the last event, in hexadecimal
    /// digits. Empty when the PCR was not extended with all of them.
    pub values: BTreeMap<String, String>,
    /// Bank name to the value the PCR had before the first event, where that
    /// is not zero: the log alone does not explain the PCR then.
    pub initial: BTreeMap<String, String>,
    /// Where the event log is.
    pub event_log: Option<PathBuf>,
    /// Why the PCR does not hold this launch, when the configuration allows
    /// that.
    pub not_measured: Option<String>,
}

impl Measurer {
    /// What came of it so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let measured = self.state == TpmState::Measured;
        let initial: Digests = self
            .initial
            .iter()
            .filter(|value| !value.is_zero())
            .copied()
            .collect();
        Summary {
            pcr: self.config.pcr,
            events: self.events.len(),
            values: by_name(&if measured {
                self.expected()
            } else {
                Digests::default()
            }),
            initial: by_name(&initial),
            event_log: self.log.as_ref().map(|log| log.path().to_owned()),
            not_measured: self.not_measured.clone(),
        }
    }

    /// One line for the console.
    #[must_use]
    pub fn describe(&self) -> String {
        let events = self.events.len();
        let banks: Vec<&str> = self.banks.iter().map(|bank| bank.name()).collect();
        match &self.not_measured {
            Some(why) => format!("NOT MEASURED: {why}"),
            None => format!(
                "{events} events in PCR {}, {}",
                self.config.pcr,
                banks.join(" ")
            ),
        }
    }
}

pub(super) fn by_name(values: &Digests) -> BTreeMap<String, String> {
    values
        .iter()
        .map(|value| (value.bank().name().to_owned(), value.to_string()))
        .collect()
}
