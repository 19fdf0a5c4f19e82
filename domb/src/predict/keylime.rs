// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reference values for Keylime: the PCR's values, and the events one by one
//! for its measured-boot policy in `policy/keylime`.

use domb_core::measure::{Digests, PredictedOutcome, Prediction};
use serde_json::{Map, Value, json};

use crate::log::subject;

/// Keylime's `tpm_policy`: the values it accepts of each PCR, in whichever
/// bank the agent quotes, and the PCRs to quote as a mask.
pub(super) fn tpm_policy(prediction: &Prediction, values: &Digests) -> String {
    let pcr = prediction.pcr;
    let accepted: Vec<String> = values.iter().map(ToString::to_string).collect();
    let policy = json!({
        pcr.to_string(): accepted,
        "mask": format!("{:#x}", 1u32 << pcr.value()),
    });
    format!("{policy:#}\n")
}

/// The reference state that `policy/keylime/domb_measured_boot.py` reads: the
/// events of a complete launch, each with its name and its digests.
pub(super) fn refstate(prediction: &Prediction, launched: &PredictedOutcome) -> String {
    let events = launched.events.iter().map(|event| {
        let digests: Map<String, Value> = event
            .digests
            .iter()
            .map(|digest| (digest.bank().name().to_owned(), json!(digest.to_string())))
            .collect();
        json!({"name": subject(event), "digests": digests})
    });
    let events: Vec<Value> = events.collect();
    let state = json!({"domb": VERSION, "pcr": prediction.pcr, "launches": [events]});
    format!("{state:#}\n")
}

/// The version of the reference state; the policy refuses another.
const VERSION: u32 = 1;
