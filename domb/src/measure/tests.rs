// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a measurement does without a TPM, under each setting. What it does
//! with one is in `tests/swtpm`.

use std::collections::BTreeMap;
use std::fs;

use domb_core::measure::{Artefact, Artefacts, DomainArtefacts, LaunchRecord};
use tempfile::TempDir;

use super::*;

/// A configuration of two domains that measures as `tpm` says.
pub(super) fn config(tpm: &str) -> Config {
    let text = format!(
        r#"
[measure]
tpm = "{tpm}"

[[domain]]
name = "web"
domid = 9
type = "pv"
kernel = "vmlinux"
memory = "96M"

[[domain]]
name = "net"
domid = 7
type = "pv"
kernel = "vmlinux"
ramdisk = "net.cpio"
memory = "96M"
"#
    );
    Config::parse("launch.toml", text.as_bytes()).unwrap()
}

pub(super) fn artefacts(config: &Config) -> Artefacts {
    let artefact = |path: &str| Artefact {
        path: path.to_owned(),
        bytes: path.len() as u64,
        digests: Digests::of(&Bank::ALL, path.as_bytes()),
        original: None,
    };
    let domains = config.domains.iter().map(|domain| DomainArtefacts {
        name: domain.name.clone(),
        kernel: artefact("vmlinux"),
        ramdisk: domain.ramdisk.is_some().then(|| artefact("net.cpio")),
        images: std::collections::BTreeMap::new(),
    });
    Artefacts {
        domains: domains.collect(),
        ..Artefacts::default()
    }
}

/// Everything up to the final event, with every domain allowed.
pub(super) fn launch(measurer: &mut Measurer) -> Result<(), Error> {
    let config = measurer.config.clone();
    let mut events = launch_events(&config, &artefacts(&config), &measurer.banks)?;
    events.push(verdict_event(
        &config,
        &domb_core::measure::VerdictRecord::allow_all(&config),
        &measurer.banks,
    )?);
    measurer.record(events)
}

pub(super) fn read_log(measurer: &Measurer) -> LaunchRecord {
    let bytes = fs::read(measurer.log.as_ref().unwrap().path()).unwrap();
    LaunchRecord::from_log(&event_log::parse(&bytes).unwrap()).unwrap()
}

fn no_tpm(folder: &TempDir) -> TpmDevice {
    TpmDevice::Path(folder.path().join("tpm0"))
}

#[test]
fn a_required_tpm_that_is_missing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let error = Measurer::begin(&config("required"), &log, &no_tpm(&folder)).unwrap_err();
    assert!(matches!(error, Error::Tpm(_)), "{error}");
    assert!(!log.exists());
}

#[test]
fn an_optional_tpm_that_is_missing_is_said_loudly_and_the_launch_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut measurer = Measurer::begin(&config("optional"), &log, &no_tpm(&folder)).unwrap();
    launch(&mut measurer).unwrap();
    assert_eq!(measurer.facts().unwrap().state, TpmState::Absent);
    measurer.finish(Outcome::Launched).unwrap();

    assert!(
        measurer
            .describe()
            .starts_with("NOT MEASURED: open the TPM "),
        "{}",
        measurer.describe()
    );
    let summary = measurer.summary();
    assert!(summary.not_measured.is_some());
    assert!(summary.values.is_empty(), "no value is claimed");
    assert_eq!(read_log(&measurer).outcome().as_deref(), Some("launched"));
    assert_eq!(read_log(&measurer).events.len(), summary.events);
}

#[test]
fn a_tpm_that_is_off_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("tpm0");
    fs::write(&fifo, "untouched").unwrap();
    let device = TpmDevice::Path(fifo.clone());
    let log = folder.path().join("log");
    let mut measurer = Measurer::begin(&config("off"), &log, &device).unwrap();
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    assert_eq!(measurer.facts().unwrap().state, TpmState::Off);
    assert_eq!(
        measurer.describe(),
        "NOT MEASURED: [measure] tpm is \"off\""
    );
    assert_eq!(measurer.hash_banks(), [Bank::Sha256]);
    assert_eq!(fs::read(&fifo).unwrap(), b"untouched");
}

#[test]
fn a_log_that_cannot_be_written_is_said_where_no_tpm_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let mut measurer = Measurer::begin(
        &config("off"),
        Path::new("/proc/nonexistent/log"),
        &no_tpm(&folder),
    )
    .unwrap();
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    let why = measurer.summary().not_measured.unwrap();
    assert!(
        why.contains("\"off\"; write the event log /proc/nonexistent/log"),
        "{why}"
    );
    assert_eq!(measurer.summary().event_log, None);
}

#[test]
fn nothing_is_recorded_after_the_end_but_a_hand_off_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut measurer = Measurer::begin(&config("off"), &log, &no_tpm(&folder)).unwrap();
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    let launched = measurer.summary().events;
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    measurer.finish(Outcome::Refused).unwrap();
    assert_eq!(measurer.summary().events, launched);
    measurer.finish(Outcome::Failed).unwrap();
    measurer.finish(Outcome::Failed).unwrap();
    assert_eq!(measurer.summary().events, launched + 1);
    assert_eq!(read_log(&measurer).outcome().as_deref(), Some("failed"));
}

#[test]
fn domains_that_were_left_out_are_named_by_the_final_event() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut measurer = Measurer::begin(&config("off"), &log, &no_tpm(&folder)).unwrap();
    launch(&mut measurer).unwrap();
    let name = measurer.config.domains[0].name.clone();
    let left_out = BTreeMap::from([(name, "why".to_owned())]);
    measurer.came(&Came {
        left_out,
        ..Came::default()
    });
    measurer.finish(Outcome::Launched).unwrap();
    let text = read_log(&measurer)
        .events
        .pop()
        .unwrap()
        .entry
        .text
        .unwrap();
    assert_eq!(text, r#"{"left_out":["web"],"outcome":"launched"}"#);
}

#[test]
fn what_a_launch_comes_to_after_it_was_announced_is_one_more_event() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut measurer = Measurer::begin(&config("off"), &log, &no_tpm(&folder)).unwrap();
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    let announced = measurer.summary().events;
    measurer.came(&Came::default());
    measurer.finish(Outcome::Launched).unwrap();
    assert_eq!(measurer.summary().events, announced, "nothing new");
    let name = measurer.config.domains[0].name.clone();
    measurer.came(&Came {
        retried: BTreeMap::from([(name.clone(), 1)]),
        ..Came::default()
    });
    measurer.finish(Outcome::Launched).unwrap();
    measurer.recovers(&name);
    measurer.finish(Outcome::Failed).unwrap();
    let texts: Vec<String> = read_log(&measurer)
        .events
        .split_off(announced - 1)
        .into_iter()
        .map(|event| event.entry.text.unwrap())
        .collect();
    assert_eq!(
        texts,
        [
            r#"{"left_out":[],"outcome":"launched"}"#,
            r#"{"left_out":[],"outcome":"launched","retried":{"web":1}}"#,
            r#"{"left_out":[],"outcome":"failed","recovery":"web","retried":{"web":1}}"#,
        ]
    );
}

#[test]
fn the_cel_beside_the_log_has_the_same_events() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut measurer = Measurer::begin(&config("off"), &log, &no_tpm(&folder)).unwrap();
    launch(&mut measurer).unwrap();
    measurer.finish(Outcome::Launched).unwrap();
    let cel: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("log.cel.json")).unwrap()).unwrap();
    assert_eq!(
        cel,
        domb_core::measure::cel::to_json(&read_log(&measurer).events)
    );
}
