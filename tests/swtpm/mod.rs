// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The measurement against a real TPM: swtpm, read back with tpm2-tools.
//!
//! Compiled into domb's own tests under `--features swtpm`, which
//! `scripts/test` sets. A missing swtpm or tpm2-tools is a failure, never a
//! skip. Where a fault is needed a proxy between domb and swtpm makes it; the
//! TPM behind it stays the real one.

mod attestation;
mod proxy;
mod server;

use std::fs;
use std::sync::{Arc, Mutex};

use domb_core::config::{Config, InitialValue, TpmMode};
use domb_core::measure::{
    Bank, Digest, Digests, Outcome, Prediction, event_log, failed_event, predict, replay_all,
    tpm_message,
};
use domb_core::units::PcrIndex;

use self::proxy::{Action, Proxy};
use self::server::{Swtpm, tool};
use super::tests::{artefacts, config, launch, read_log};
use super::{Error, Measurer, close};
use crate::tpm::Tpm;

fn prediction(config: &Config, banks: &[Bank]) -> Prediction {
    predict(config, &artefacts(config), None, banks).unwrap()
}

fn launched(config: &Config, banks: &[Bank]) -> Digests {
    prediction(config, banks).outcomes.remove(0).values
}

fn with_pcr(mut config: Config, pcr: i64) -> Config {
    config.pcr = PcrIndex::new(pcr).unwrap();
    config
}

#[test]
fn the_predicted_value_is_the_tpms_in_every_bank_and_every_pcr() {
    let swtpm = Swtpm::start();
    for pcr in 8..=15 {
        let config = with_pcr(config("required"), pcr);
        let log = swtpm.folder().join(format!("log{pcr}"));
        let mut measurer = Measurer::begin(&config, &log, &swtpm.device()).unwrap();
        assert_eq!(measurer.banks, Bank::ALL);
        launch(&mut measurer).unwrap();
        measurer.finish(Outcome::Launched).unwrap();
        let summary = measurer.summary();
        drop(measurer);

        let predicted = launched(&config, &Bank::ALL);
        assert_eq!(swtpm.pcrread(config.pcr, &Bank::ALL), predicted);
        for value in predicted.iter() {
            assert_eq!(summary.values[value.bank().name()], value.to_string());
        }
        assert_eq!((summary.not_measured, summary.initial.len()), (None, 0));
    }
}

#[test]
fn a_launch_that_is_not_loaded_closes_an_open_pcr_once() {
    let swtpm = Swtpm::start();
    let config = config("required");
    let log = swtpm.folder().join("log");
    let unloaded = prediction(&config, &Bank::ALL).outcomes.pop().unwrap();
    assert_eq!(unloaded.name, "unloaded");

    let off = close(TpmMode::Off, config.pcr, &log, &swtpm.device());
    assert!(off.not_measured.is_some());
    assert!(
        swtpm
            .pcrread(config.pcr, &Bank::ALL)
            .iter()
            .all(Digest::is_zero)
    );
    for tpm in [TpmMode::Optional, TpmMode::Required] {
        let summary = close(tpm, config.pcr, &log, &swtpm.device());
        let first = tpm == TpmMode::Optional;
        assert_eq!(summary.events, if first { 2 } else { 0 });
        assert_eq!(summary.not_measured.is_none(), first);
        assert_eq!(swtpm.pcrread(config.pcr, &Bank::ALL), unloaded.values);
    }
    let output = tool("tpm2_eventlog", &[log.to_str().unwrap()]);
    assert_eq!(output.stderr, "");
    let replayed = server::pcr_values(&output.stdout, config.pcr.value().into());
    assert_eq!(replayed, unloaded.values);
}

#[test]
fn a_log_that_cannot_be_written_does_not_keep_the_pcr_open() {
    let swtpm = Swtpm::start();
    let config = config("required");
    let unloaded = prediction(&config, &Bank::ALL).outcomes.pop().unwrap();
    let nowhere = std::path::Path::new("/proc/no/such/log");
    let summary = close(config.tpm, config.pcr, nowhere, &swtpm.device());
    assert!(summary.not_measured.is_some());
    assert_eq!(swtpm.pcrread(config.pcr, &Bank::ALL), unloaded.values);
}

#[test]
fn tpm2_eventlog_replays_the_log_to_the_tpms_value_without_a_warning() {
    let swtpm = Swtpm::start();
    for pcr in 8..=15 {
        let config = with_pcr(config("required"), pcr);
        let log = swtpm.folder().join(format!("log{pcr}"));
        let mut measurer = Measurer::begin(&config, &log, &swtpm.device()).unwrap();
        launch(&mut measurer).unwrap();
        measurer.finish(Outcome::Launched).unwrap();
        drop(measurer);

        let output = tool("tpm2_eventlog", &[log.to_str().unwrap()]);
        assert_eq!(output.stderr, "", "PCR {pcr}");
        let replayed = server::pcr_values(&output.stdout, pcr);
        assert_eq!(replayed, swtpm.pcrread(config.pcr, &Bank::ALL), "PCR {pcr}");
    }
}

#[test]
fn only_the_active_banks_are_extended() {
    let swtpm = Swtpm::start().with_banks("sha1:none+sha256:all+sha384:all+sha512:none");
    let banks = [Bank::Sha256, Bank::Sha384];
    let config = config("required");
    let mut measurer =
        Measurer::begin(&config, &swtpm.folder().join("log"), &swtpm.device()).unwrap();
    assert_eq!(measurer.banks, banks);
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    assert_eq!(read_log(&measurer).banks, banks);
    drop(measurer);
    assert_eq!(swtpm.pcrread(config.pcr, &banks), launched(&config, &banks));
}

#[test]
fn a_tpm_without_sha256_is_extended_in_what_it_has() {
    let swtpm = Swtpm::start().with_banks("sha1:all+sha256:none+sha384:none+sha512:none");
    let config = config("required");
    let mut measurer =
        Measurer::begin(&config, &swtpm.folder().join("log"), &swtpm.device()).unwrap();
    assert_eq!(measurer.banks, [Bank::Sha1]);
    assert_eq!(measurer.hash_banks(), [Bank::Sha1, Bank::Sha256]);
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    drop(measurer);
    assert_eq!(
        swtpm.pcrread(config.pcr, &[Bank::Sha1]),
        launched(&config, &[Bank::Sha1])
    );
}

#[test]
fn a_pcr_that_was_extended_before_is_said_and_the_value_still_follows() {
    let swtpm = Swtpm::start();
    let config = config("required");
    let before = Digests::of(&Bank::ALL, b"somebody else");
    Tpm::open(&swtpm.device())
        .unwrap()
        .extend(config.pcr, &before)
        .unwrap();
    let mut measurer =
        Measurer::begin(&config, &swtpm.folder().join("log"), &swtpm.device()).unwrap();
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    let summary = measurer.summary();
    drop(measurer);

    let initial = Digests::zero(&Bank::ALL).extended(&before).unwrap();
    assert_eq!(
        summary.initial["sha256"],
        initial.bank(Bank::Sha256).unwrap().to_string()
    );
    let events = prediction(&config, &Bank::ALL).outcomes.remove(0).events;
    let expected = replay_all(events.iter().map(|event| &event.digests), &initial).unwrap();
    assert_eq!(swtpm.pcrread(config.pcr, &Bank::ALL), expected);
}

#[test]
fn a_pcr_that_is_not_where_it_is_expected_is_not_extended() {
    let swtpm = Swtpm::start().with_banks("sha1:none+sha256:all+sha384:all+sha512:none");
    let banks = [Bank::Sha256, Bank::Sha384];
    let before = Digests::of(&banks, b"somebody else");
    let initial = Digests::zero(&banks).extended(&before).unwrap();
    let begin = |mode: &str, expected: InitialValue| {
        let config = Config {
            expect_initial: expected,
            ..config(mode)
        };
        Measurer::begin(&config, &swtpm.folder().join("log"), &swtpm.device())
    };
    assert!(begin("required", InitialValue::Zero).is_ok());
    Tpm::open(&swtpm.device())
        .unwrap()
        .extend(PcrIndex::DEFAULT, &before)
        .unwrap();

    let one = |bank| InitialValue::Values([*initial.bank(bank).unwrap()].into_iter().collect());
    assert!(begin("required", InitialValue::Any).is_ok());
    assert!(begin("required", InitialValue::Values(initial.clone())).is_ok());
    assert!(begin("required", one(Bank::Sha384)).is_ok());

    let absent = InitialValue::Values(Digests::zero(&[Bank::Sha1]));
    assert!(matches!(
        begin("required", absent),
        Err(Error::Initial { found: None, .. })
    ));
    let error = begin("required", InitialValue::Zero).unwrap_err();
    assert!(
        matches!(error, Error::Initial { found: Some(_), .. }),
        "{error}"
    );

    let mut measurer = begin("optional", InitialValue::Zero).unwrap();
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    assert!(
        measurer.describe().contains("expect_initial"),
        "{}",
        measurer.describe()
    );
    drop(measurer);
    assert_eq!(swtpm.pcrread(PcrIndex::DEFAULT, &banks), initial);
}

/// Fails the extend of that number, counted from 0.
fn failing_extend(swtpm: &Swtpm, number: usize, action: Action) -> Proxy {
    let mut seen = 0;
    Proxy::start(swtpm, move |command| {
        if !proxy::is_extend(command) {
            return Action::Pass;
        }
        seen += 1;
        if seen == number + 1 {
            action.clone()
        } else {
            Action::Pass
        }
    })
}

/// `TPM_RC_FAILURE`
const FAILURE: [u8; 10] = [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1];
/// `TPM_RC_RETRY`
const RETRY: [u8; 10] = [0x80, 1, 0, 0, 0, 10, 0, 0, 9, 0x22];

/// The PCR after the first `count` events and a final `failed`.
fn closed_after(config: &Config, count: usize) -> Digests {
    let mut events = prediction(config, &Bank::ALL).outcomes.remove(0).events;
    events.truncate(count);
    events.push(failed_event(config.pcr, &Bank::ALL));
    replay_all(
        events.iter().map(|event| &event.digests),
        &Digests::zero(&Bank::ALL),
    )
    .unwrap()
}

#[test]
fn an_extend_that_fails_is_an_error_where_a_tpm_is_required_and_the_pcr_is_closed() {
    let swtpm = Swtpm::start();
    let config = config("required");
    let proxy = failing_extend(&swtpm, 5, Action::Answer(FAILURE.to_vec()));
    let mut measurer =
        Measurer::begin(&config, &swtpm.folder().join("log"), &proxy.device()).unwrap();
    let error = launch(&mut measurer).unwrap_err();
    assert!(matches!(error, Error::Tpm(_)), "{error}");
    measurer.finish(Outcome::Failed).unwrap();
    assert!(measurer.summary().values.is_empty(), "no value is claimed");
    drop((measurer, proxy));
    assert_eq!(
        swtpm.pcrread(config.pcr, &Bank::ALL),
        closed_after(&config, 5)
    );
}

#[test]
fn an_extend_that_fails_is_said_where_a_tpm_is_optional_and_the_pcr_is_closed() {
    let swtpm = Swtpm::start();
    let config = config("optional");
    let proxy = failing_extend(&swtpm, 7, Action::Answer(FAILURE.to_vec()));
    let mut measurer =
        Measurer::begin(&config, &swtpm.folder().join("log"), &proxy.device()).unwrap();
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    let why = measurer.summary().not_measured.unwrap();
    assert!(
        why.contains("extend a PCR") && why.contains("TPM_RC_FAILURE"),
        "{why}"
    );
    assert!(measurer.describe().starts_with("NOT MEASURED"));
    drop((measurer, proxy));
    assert_eq!(
        swtpm.pcrread(config.pcr, &Bank::ALL),
        closed_after(&config, 7)
    );
}

#[test]
fn a_tpm_that_goes_away_is_an_error() {
    let swtpm = Swtpm::start();
    let proxy = failing_extend(&swtpm, 3, Action::HangUp);
    let mut measurer = Measurer::begin(
        &config("required"),
        &swtpm.folder().join("log"),
        &proxy.device(),
    )
    .unwrap();
    assert!(matches!(
        launch(&mut measurer),
        Err(Error::Tpm(crate::tpm::Error::Exchange { .. }))
    ));
    assert!(
        measurer.finish(Outcome::Failed).is_err(),
        "that the PCR is not closed is not hidden"
    );
}

#[test]
fn a_tpm_that_asks_to_be_asked_again_is_extended_once() {
    let swtpm = Swtpm::start();
    let config = config("required");
    let proxy = failing_extend(&swtpm, 2, Action::Answer(RETRY.to_vec()));
    let mut measurer =
        Measurer::begin(&config, &swtpm.folder().join("log"), &proxy.device()).unwrap();
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    drop((measurer, proxy));
    assert_eq!(
        swtpm.pcrread(config.pcr, &Bank::ALL),
        launched(&config, &Bank::ALL)
    );
}

#[test]
fn an_extend_by_somebody_else_meanwhile_is_found_before_the_hand_off() {
    let swtpm = Swtpm::start();
    let config = config("required");
    let foreign = tpm_message::pcr_extend(config.pcr, &Digests::of(&[Bank::Sha384], b"foreign"));
    let proxy = failing_extend(&swtpm, 9, Action::Inject(foreign));
    let mut measurer =
        Measurer::begin(&config, &swtpm.folder().join("log"), &proxy.device()).unwrap();
    launch(&mut measurer).unwrap();
    let error = measurer.finish(Outcome::Launched).unwrap_err();
    assert!(
        matches!(error, Error::Diverged { expected, .. } if expected.bank() == Bank::Sha384),
        "only the bank that was extended differs: {error}"
    );
}

#[test]
fn an_answer_about_another_pcr_is_not_taken_for_the_value() {
    let swtpm = Swtpm::start();
    let config = config("required");
    let other = tpm_message::pcr_read(PcrIndex::new(14).unwrap(), Bank::Sha1);
    let proxy = Proxy::start(&swtpm, move |command| match proxy::is_read(command) {
        true => Action::Replace(other.clone()),
        false => Action::Pass,
    });
    let begun = Measurer::begin(&config, &swtpm.folder().join("log"), &proxy.device());
    assert!(matches!(
        begun,
        Err(Error::Tpm(crate::tpm::Error::Answer { .. }))
    ));
}

#[test]
fn every_event_is_in_the_log_before_it_is_in_the_pcr() {
    let swtpm = Swtpm::start();
    let log = swtpm.folder().join("log");
    let (seen, failures) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
    let proxy = {
        let (log, seen, failures) = (log.clone(), Arc::clone(&seen), Arc::clone(&failures));
        Proxy::start(&swtpm, move |command| {
            if proxy::is_extend(command) {
                let mut seen = seen.lock().unwrap();
                *seen += 1;
                let logged = event_log::parse(&fs::read(&log).unwrap()).unwrap().entries;
                let last = logged.last().unwrap();
                let extends_it = command
                    == tpm_message::pcr_extend(
                        PcrIndex::new(last.pcr.into()).unwrap(),
                        &last.digests,
                    );
                if logged.len() != *seen || !extends_it {
                    failures.lock().unwrap().push(*seen);
                }
            }
            Action::Pass
        })
    };
    let mut measurer = Measurer::begin(&config("required"), &log, &proxy.device()).unwrap();
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    assert_eq!(*seen.lock().unwrap(), measurer.summary().events);
    assert!(
        failures.lock().unwrap().is_empty(),
        "extends without their entry: {failures:?}"
    );
}

#[test]
fn a_log_that_can_no_longer_be_written_stops_the_extends() {
    let swtpm = Swtpm::start();
    let config = config("required");
    let log = swtpm.folder().join("log");
    let mut measurer = Measurer::begin(&config, &log, &swtpm.device()).unwrap();
    measurer.log.as_mut().unwrap().break_it();
    assert!(matches!(launch(&mut measurer), Err(Error::Log { .. })));
    assert!(
        measurer.finish(Outcome::Failed).is_err(),
        "that the log is incomplete is not hidden"
    );
    drop(measurer);
    assert_eq!(
        swtpm.pcrread(config.pcr, &Bank::ALL),
        closed_after(&config, 0)
    );
}

#[test]
fn many_extends_of_all_banks_give_the_replayed_value() {
    let swtpm = Swtpm::start();
    let mut tpm = Tpm::open(&swtpm.device()).unwrap();
    let digests = Digests::of(&Bank::ALL, b"event");
    let began = std::time::Instant::now();
    let count = 200;
    for _ in 0..count {
        tpm.extend(PcrIndex::DEFAULT, &digests).unwrap();
    }
    let each = began.elapsed() / count;
    println!("one extend of four banks: {each:?}");
    let mut value = Digest::zero(Bank::Sha512);
    for _ in 0..count {
        value = value.extended(digests.bank(Bank::Sha512).unwrap()).unwrap();
    }
    assert_eq!(tpm.read(PcrIndex::DEFAULT, Bank::Sha512).unwrap(), value);
}
