// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PCR values: replayed from events, and predicted for every way a launch can
//! end.
//!
//! A prediction is made of the events that the boot would extend, by the code
//! that makes them there.

use serde::{Deserialize, Serialize};

use super::{
    Artefacts, Bank, Digest, Digests, Ending, Error, Event, Outcome, VerdictRecord, failed_event,
    final_event, launch_events, start_event, verdict_event,
};
use crate::config::{Config, DomainConfig, Role};
use crate::units::PcrIndex;

/// The value of the PCR in one bank after `events`, if it was `initial`
/// before. None when an event has no digest of `initial`'s bank.
#[must_use]
pub fn replay<'a>(
    events: impl IntoIterator<Item = &'a Digests>,
    initial: Digest,
) -> Option<Digest> {
    events.into_iter().try_fold(initial, |value, digests| {
        value.extended(digests.bank(value.bank())?)
    })
}

/// The values of the PCR in every bank of `initial` after `events`. None when
/// an event has other banks.
#[must_use]
pub fn replay_all<'a>(
    events: impl IntoIterator<Item = &'a Digests>,
    initial: &Digests,
) -> Option<Digests> {
    events
        .into_iter()
        .try_fold(initial.clone(), |values, digests| values.extended(digests))
}

/// What the PCR will hold, for every way a launch can end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Prediction {
    /// The version of the event sequence.
    pub format: u32,
    /// The PCR.
    pub pcr: PcrIndex,
    /// The banks that are extended.
    pub banks: Vec<Bank>,
    /// Each way to end. The first is the launch with every domain allowed, or
    /// what the launch script decides where that was asked.
    pub outcomes: Vec<PredictedOutcome>,
}

/// One way a launch can end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PredictedOutcome {
    /// `launched`; `refused`: the launch script allowed nothing; `failed`:
    /// after the verdict, before the hand-off; `undecided`: failed without a
    /// verdict, because the launch script did not come to one; `recovered`:
    /// `failed` with the recovery domain started, before any other was;
    /// `recovered-later`: the same after others had been started; `unloaded`:
    /// failed because the configuration or a file could not be loaded.
    pub name: String,
    /// The PCR's value after the final event, per bank.
    pub values: Digests,
    /// Every event, in order.
    pub events: Vec<Event>,
}

/// Predicts the PCR for every outcome, from a PCR that nobody has extended.
/// `decided` is what the launch script decides, where the caller has asked it;
/// without it `launched` and `failed` have every domain allowed.
///
/// # Errors
/// As [`launch_events`].
pub fn predict(
    config: &Config,
    artefacts: &Artefacts,
    decided: Option<&VerdictRecord>,
    banks: &[Bank],
) -> Result<Prediction, Error> {
    let launch = launch_events(config, artefacts, banks)?;
    let allowed = decided
        .cloned()
        .unwrap_or_else(|| VerdictRecord::allow_all(config));
    let denied = VerdictRecord::deny_all();
    let once = |outcome| vec![(outcome, Ending::default())];
    let mut ways = vec![
        ("refused", Some(&denied), once(Outcome::Refused)),
        ("failed", Some(&allowed), once(Outcome::Failed)),
        ("undecided", None, once(Outcome::Failed)),
    ];
    let may_start = |domain: &&DomainConfig| allowed.allowed.contains(&domain.name);
    if let Some(domain) = config.with_role(Role::Recovery).filter(may_start) {
        let recovery = Some(domain.name.clone());
        let recovered = Ending {
            recovery,
            ..Ending::default()
        };
        let failed = (Outcome::Failed, recovered);
        let later = [once(Outcome::Launched), vec![failed.clone()]].concat();
        ways.push(("recovered", Some(&allowed), vec![failed]));
        ways.push(("recovered-later", Some(&allowed), later));
    }
    // A launch that allows nothing is refused, and one that allows only what
    // is kept for a failure has failed.
    let is_started = |domain: &DomainConfig| !domain.standby && !domain.has_role(Role::Recovery);
    if config.domains.iter().filter(may_start).any(is_started) {
        ways.insert(0, ("launched", Some(&allowed), once(Outcome::Launched)));
    }
    let predicted = |name: &str, events: Vec<Event>| {
        let values = replay_all(
            events.iter().map(|event| &event.digests),
            &Digests::zero(banks),
        )
        .expect("every event has the banks it was made for");
        PredictedOutcome {
            name: name.to_owned(),
            values,
            events,
        }
    };
    let mut outcomes = ways
        .into_iter()
        .map(|(name, verdict, ends)| {
            let mut events = launch.clone();
            events.extend(
                verdict
                    .map(|verdict| verdict_event(config, verdict, banks))
                    .transpose()?,
            );
            for (outcome, ending) in ends {
                events.push(final_event(config, outcome, &ending, banks)?);
            }
            Ok(predicted(name, events))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let unloaded = vec![
        start_event(config.pcr, banks),
        failed_event(config.pcr, banks),
    ];
    outcomes.push(predicted("unloaded", unloaded));
    Ok(Prediction {
        format: super::FORMAT_VERSION,
        pcr: config.pcr,
        banks: Digests::zero(banks).banks(),
        outcomes,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::event_log;
    use super::super::fixture::*;
    use super::*;

    #[test]
    fn each_outcome_has_values_of_its_own() {
        let (config, artefacts) = full();
        let prediction = predict(&config, &artefacts, None, &Bank::ALL).unwrap();
        let names: Vec<&str> = prediction
            .outcomes
            .iter()
            .map(|outcome| outcome.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["launched", "refused", "failed", "undecided", "unloaded"]
        );
        for (index, outcome) in prediction.outcomes.iter().enumerate() {
            for other in &prediction.outcomes[..index] {
                for (value, other) in outcome.values.iter().zip(other.values.iter()) {
                    assert_ne!(value, other);
                }
            }
        }
    }

    #[test]
    fn a_recovery_domain_has_outcomes_of_its_own() {
        let (mut config, artefacts) = full();
        config.domains[0].roles = vec![Role::Recovery];
        let prediction = predict(&config, &artefacts, None, &[Bank::Sha256]).unwrap();
        let names: Vec<&str> = prediction
            .outcomes
            .iter()
            .map(|outcome| outcome.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "launched",
                "refused",
                "failed",
                "undecided",
                "recovered",
                "recovered-later",
                "unloaded"
            ]
        );
        let last = prediction.outcomes[5].events.last().unwrap();
        let text = last.entry.text.as_deref().unwrap();
        assert!(text.contains(r#""recovery":"store""#), "{text}");
    }

    #[test]
    fn a_script_that_allows_nothing_cannot_lead_to_a_launch() {
        let (config, artefacts) = full();
        let prediction = predict(
            &config,
            &artefacts,
            Some(&VerdictRecord::deny_all()),
            &[Bank::Sha256],
        )
        .unwrap();
        assert!(
            prediction
                .outcomes
                .iter()
                .all(|outcome| outcome.name != "launched")
        );
    }

    #[test]
    fn a_prediction_survives_json() {
        let (config, artefacts) = full();
        let prediction = predict(&config, &artefacts, None, &Bank::ALL).unwrap();
        let json = serde_json::to_string(&prediction).unwrap();
        assert_eq!(
            serde_json::from_str::<Prediction>(&json).unwrap(),
            prediction
        );
        let other_pcr = json.replace("\"pcr\":13", "\"pcr\":16");
        assert!(serde_json::from_str::<Prediction>(&other_pcr).is_err());
    }

    #[test]
    fn replaying_needs_the_bank_in_every_event() {
        let events = [
            Digests::of(&[Bank::Sha256], b"a"),
            Digests::of(&[Bank::Sha1], b"b"),
        ];
        assert_eq!(replay(&events, Digest::zero(Bank::Sha256)), None);
        assert_eq!(replay_all(&events, &Digests::zero(&[Bank::Sha256])), None);
    }

    proptest! {
        #[test]
        fn the_prediction_is_the_replay_of_the_written_log(launch in any_launch()) {
            let (config, artefacts, banks) = launch;
            for outcome in predict(&config, &artefacts, None, &banks).unwrap().outcomes {
                let written = event_log::parse(&log(&banks, &outcome.events)).unwrap();
                for bank in &banks {
                    let value = replay(written.entries.iter().map(|entry| &entry.digests), Digest::zero(*bank));
                    prop_assert_eq!(value.as_ref(), outcome.values.bank(*bank));
                }
            }
        }

        #[test]
        fn any_changed_byte_of_a_file_changes_every_bank(
            launch in any_launch(),
            which in any::<prop::sample::Index>(),
        ) {
            let (config, artefacts, banks) = launch;
            let mut changed = artefacts.clone();
            let at = which.index(changed.domains.len());
            let kernel = &mut changed.domains[at].kernel;
            *kernel = artefact(&kernel.path, b"tampered");
            let before = predict(&config, &artefacts, None, &banks).unwrap();
            let after = predict(&config, &changed, None, &banks).unwrap();
            let both = before.outcomes.iter().zip(&after.outcomes);
            // A launch that was not loaded has measured no file.
            for (before, after) in both.filter(|(way, _)| way.name != "unloaded") {
                for bank in &banks {
                    prop_assert_ne!(before.values.bank(*bank), after.values.bank(*bank));
                }
            }
        }
    }
}
