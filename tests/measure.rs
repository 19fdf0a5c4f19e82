// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb predict` and `domb log` from outside: values that follow from the
//! files alone, and the one thing that changed named, whatever it was.
//!
//! There is no boot here. The logs are written by the code that writes them in
//! a boot, from what `domb predict --json` says; `tests/swtpm` and the platform
//! boots show that a boot writes the same.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use domb_core::measure::{Bank, Component, Digests, PredictedOutcome, Prediction, event_log};
use tempfile::TempDir;

const CONFIG: &str = r#"# two domains
script = "launch.rhai"

[control]
ramdisk = "control.cpio"
init = "/init"
args = ["--quiet"]

[[domain]]
name = "web"
domid = 9
type = "pv"
kernel = "vmlinux"
ramdisk = "web.cpio"
cmdline = "console=hvc0"
memory = "96M"

[[domain]]
name = "net"
domid = 7
type = "pv"
kernel = "vmlinuz"
memory = "96M"
"#;

/// Exit codes as the README documents them.
const USAGE: i32 = 2;
const CONFIG_FAULT: i32 = 3;
const LOAD: i32 = 4;
const SCRIPT: i32 = 6;
const LOG: i32 = 14;

/// A launch configuration and its files, in a folder of their own.
pub(super) struct Launch(TempDir);

impl Launch {
    pub(super) fn new() -> Launch {
        let launch = Launch(tempfile::tempdir().unwrap());
        launch.write("launch.toml", CONFIG.as_bytes());
        launch.write(
            "launch.rhai",
            b"fn launch(facts, plan) { plan.allow_all(); plan }\n",
        );
        launch.write("vmlinux", &fixture("kernel/tiny.elf"));
        launch.write("vmlinuz", &fixture("kernel/tiny.bzimage"));
        launch.write("control.cpio", &fixture("ramdisk/tiny.cpio"));
        launch.write("web.cpio", &fixture("ramdisk/tiny.cpio"));
        launch
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(super) fn replace(&self, name: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(old), "{name} has no {old:?}");
        fs::write(self.path(name), text.replacen(old, new, 1)).unwrap();
    }

    /// Changes one byte that no header is in.
    pub(super) fn flip(&self, name: &str) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        let at = match bytes.windows(5).position(|window| window == b"quick") {
            Some(at) => at,
            None => bytes.iter().rposition(|byte| *byte == 0).unwrap(),
        };
        bytes[at] ^= 1;
        self.write(name, &bytes);
    }

    fn domb(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_domb"))
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    pub(super) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.domb(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard output of a run that ends with that code.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.domb(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    pub(super) fn predict(&self, name: &str) -> Prediction {
        let json = self.ok(&["predict", "--json", "launch.toml"]);
        self.write(name, json.as_bytes());
        serde_json::from_str(&json).unwrap()
    }

    /// The log that a boot with that outcome writes.
    pub(super) fn write_log(&self, name: &str, outcome: &PredictedOutcome) {
        let mut log = event_log::header(&outcome.values.banks());
        outcome
            .events
            .iter()
            .for_each(|event| log.extend(event_log::entry(event)));
        self.write(name, &log);
    }

    fn write_values(&self, name: &str, values: &Digests) {
        let lines: String = values
            .iter()
            .map(|value| format!("{}:{value}\n", value.bank()))
            .collect();
        self.write(name, lines.as_bytes());
    }
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/fixtures")
            .join(name),
    )
    .unwrap()
}

/// What changed, without digests: `domain net: kernel`.
fn changed(diff: &str) -> Vec<String> {
    let head = |line: &str| {
        line.split_once(" changed (")
            .map(|(head, _)| head.to_owned())
    };
    diff.lines().filter_map(head).collect()
}

#[test]
fn a_prediction_is_the_same_every_time_and_shows_every_bank() {
    let launch = Launch::new();
    let first = launch.predict("one.json");
    assert_eq!(launch.predict("two.json"), first);
    let text = launch.ok(&["predict", "launch.toml"]);
    for outcome in &first.outcomes {
        assert_eq!(outcome.values.banks(), Bank::ALL);
        for value in outcome.values.iter() {
            assert!(text.contains(&value.to_string()), "{text}");
        }
    }
    assert!(text.contains("domain net: kernel: vmlinuz ("), "{text}");
}

#[test]
fn only_the_banks_asked_for_are_predicted_and_with_the_same_values() {
    let launch = Launch::new();
    let all = launch.predict("all.json");
    let json = launch.ok(&[
        "predict",
        "--json",
        "--bank",
        "sha384",
        "--bank",
        "sha1",
        "launch.toml",
    ]);
    let some: Prediction = serde_json::from_str(&json).unwrap();
    assert_eq!(some.banks, [Bank::Sha1, Bank::Sha384]);
    for (some, all) in some.outcomes.iter().zip(&all.outcomes) {
        assert_eq!(
            Some(&some.values),
            all.values.select(&[Bank::Sha1, Bank::Sha384]).as_ref()
        );
    }
}

#[test]
fn a_compressed_kernel_is_measured_as_what_it_unpacks_to() {
    let launch = Launch::new();
    let events = launch.predict("prediction.json").outcomes.remove(0).events;
    let kernels: Vec<_> = events
        .iter()
        .filter(|event| event.component() == Component::Kernel)
        .collect();
    assert_eq!(
        kernels[0].digests, kernels[1].digests,
        "net's bzImage holds web's ELF"
    );
    let original = kernels[0].entry.original.as_ref().unwrap();
    let file = Digests::of(&[Bank::Sha256], &fixture("kernel/tiny.bzimage"));
    assert_eq!(
        original.sha256,
        file.bank(Bank::Sha256).unwrap().to_string()
    );
    assert_eq!(kernels[1].entry.original, None);
}

#[test]
fn one_changed_byte_is_named_whatever_it_is_in() {
    for (what, expected) in [
        ("launch.rhai", "launch script"),
        ("control.cpio", "control ramdisk"),
        ("web.cpio", "domain web: ramdisk"),
        ("vmlinux", "domain web: kernel"),
    ] {
        let launch = Launch::new();
        launch.predict("old.json");
        match what {
            "launch.rhai" => launch.replace(what, "plan }", "plan  }"),
            _ => launch.flip(what),
        }
        launch.predict("new.json");
        let diff = launch.fails(LOG, &["log", "diff", "old.json", "new.json"]);
        assert_eq!(changed(&diff), [expected], "{diff}");
        assert!(diff.ends_with("), all else equal\n"), "{diff}");
    }
}

#[test]
fn a_changed_key_is_named_beside_the_file_it_is_in() {
    for (old, new, expected, detail) in [
        ("# two domains", "# 2 domains", &[][..], ""),
        (
            "console=hvc0",
            "console=hvc1",
            &["domain web: cmdline"],
            "\"console=hvc0\" → \"console=hvc1\"",
        ),
        (
            "domid = 9",
            "domid = 11",
            &["domain web: domain configuration", "verdict"],
            "domid 9 → 11",
        ),
        (
            "--quiet",
            "--loud",
            &["control configuration"],
            "args [\"--quiet\"] → [\"--loud\"]",
        ),
        (
            "memory = \"96M\"\n\n",
            "memory = \"128M\"\n\n",
            &["domain web: domain configuration"],
            "memory_mib 96 → 128",
        ),
    ] {
        let launch = Launch::new();
        launch.predict("old.json");
        launch.replace("launch.toml", old, new);
        launch.predict("new.json");
        let diff = launch.fails(LOG, &["log", "diff", "old.json", "new.json"]);
        let expected: Vec<&str> = [&["launch configuration"], expected].concat();
        let found: Vec<String> = changed(&diff)
            .into_iter()
            .filter(|line| line != "verdict")
            .collect();
        let expected: Vec<&str> = expected
            .into_iter()
            .filter(|line| *line != "verdict")
            .collect();
        assert_eq!(found, expected, "{diff}");
        assert!(diff.contains(detail), "{diff}");
    }
}

#[test]
fn a_log_verifies_against_the_value_and_the_prediction_it_was_made_for() {
    let launch = Launch::new();
    let outcome = launch.predict("prediction.json").outcomes.remove(0);
    launch.write_log("log", &outcome);
    launch.write_values("pcrs", &outcome.values);
    let text = launch.ok(&[
        "log",
        "verify",
        "log",
        "--pcrs",
        "pcrs",
        "--prediction",
        "prediction.json",
    ]);
    assert!(text.lines().all(|line| line.starts_with("ok  ")), "{text}");
    assert_eq!(
        text.lines().count(),
        6,
        "four banks, the prediction, the end: {text}"
    );
    assert_eq!(
        launch.ok(&["log", "diff", "log", "prediction.json"]),
        "all is equal\n"
    );
}

#[test]
fn a_log_that_does_not_explain_the_pcr_says_how_far_it_does() {
    let launch = Launch::new();
    let outcome = launch.predict("prediction.json").outcomes.remove(0);
    launch.write_log("log", &outcome);

    let events = outcome.events.iter().map(|event| &event.digests);
    let zero = Digests::zero(&Bank::ALL);
    let behind = domb_core::measure::replay_all(events.take(7), &zero).unwrap();
    launch.write_values("behind", &behind);
    let text = launch.fails(LOG, &["log", "verify", "log", "--pcrs", "behind"]);
    assert!(
        text.contains("the PCR stands after event 6 (kernel of domain net)"),
        "{text}"
    );

    launch.write_values("untouched", &zero);
    let text = launch.fails(LOG, &["log", "verify", "log", "--pcrs", "untouched"]);
    assert!(
        text.contains("none of the log's events was extended"),
        "{text}"
    );

    launch.write_values("foreign", &Digests::of(&Bank::ALL, b"foreign"));
    let text = launch.fails(LOG, &["log", "verify", "log", "--pcrs", "foreign"]);
    assert!(text.contains("no part of the log gives that"), "{text}");
}

#[test]
fn a_bank_that_the_log_leaves_out_is_not_passed_over() {
    let launch = Launch::new();
    let json = launch.ok(&["predict", "--json", "--bank", "sha256", "launch.toml"]);
    let outcome = serde_json::from_str::<Prediction>(&json)
        .unwrap()
        .outcomes
        .remove(0);
    launch.write_log("log", &outcome);
    let mut values = outcome.values.clone();
    values.extend(Digests::zero(&[Bank::Sha384]));
    launch.write_values("pcrs", &values);
    let text = launch.fails(LOG, &["log", "verify", "log", "--pcrs", "pcrs"]);
    assert!(
        text.contains("FAIL sha384: the PCR has this bank and the log does not"),
        "{text}"
    );
}

#[test]
fn a_log_of_another_launch_is_told_from_the_predicted_one() {
    let launch = Launch::new();
    let predicted = launch.predict("prediction.json");
    launch.flip("web.cpio");
    let booted = launch.predict("tampered.json").outcomes.remove(0);
    launch.write_log("log", &booted);
    launch.write_values("pcrs", &booted.values);
    let text = launch.fails(
        LOG,
        &[
            "log",
            "verify",
            "log",
            "--pcrs",
            "pcrs",
            "--prediction",
            "prediction.json",
        ],
    );
    assert!(
        text.contains("FAIL the log is not what was predicted:\n     domain web: ramdisk changed"),
        "{text}"
    );
    assert!(
        text.contains("ok   sha256: the log explains PCR 13"),
        "{text}"
    );

    launch.write_log("refused", &predicted.outcomes[1]);
    launch.fails(
        LOG,
        &[
            "log",
            "verify",
            "refused",
            "--prediction",
            "prediction.json",
        ],
    );
    launch.ok(&[
        "log",
        "verify",
        "refused",
        "--prediction",
        "prediction.json",
        "--outcome",
        "refused",
    ]);
}

#[test]
fn a_launch_cut_short_does_not_verify() {
    let launch = Launch::new();
    let mut outcome = launch.predict("prediction.json").outcomes.remove(0);
    outcome.events.pop();
    launch.write_log("log", &outcome);
    let text = launch.fails(
        LOG,
        &["log", "verify", "log", "--prediction", "prediction.json"],
    );
    assert!(text.contains("FAIL the launch was cut short"), "{text}");
    assert!(launch.ok(&["log", "show", "log"]).contains("cut short"));
}

#[test]
fn a_log_is_shown_as_text_as_json_and_as_cel() {
    let launch = Launch::new();
    let outcome = launch.predict("prediction.json").outcomes.remove(0);
    launch.write_log("log", &outcome);
    let text = launch.ok(&["log", "show", "log"]);
    assert!(text.starts_with("PCR 13, 16 events, launched\n"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&launch.ok(&["log", "show", "--json", "log"])).unwrap();
    assert_eq!(json["events"].as_array().unwrap().len(), 16);
    let cel: serde_json::Value =
        serde_json::from_str(&launch.ok(&["log", "show", "--cel", "log"])).unwrap();
    assert_eq!(cel, domb_core::measure::cel::to_json(&outcome.events));
}

#[test]
fn what_is_no_log_is_refused_with_the_place() {
    let launch = Launch::new();
    let outcome = launch.predict("prediction.json").outcomes.remove(0);
    launch.write_log("log", &outcome);
    let mut bytes = fs::read(launch.path("log")).unwrap();
    bytes.pop();
    launch.write("truncated", &bytes);
    let text = launch.fails(LOG, &["log", "show", "truncated"]);
    assert!(text.contains("the log ends after"), "{text}");
    launch.write("empty", b"");
    launch.fails(LOG, &["log", "show", "empty"]);
    launch.fails(LOG, &["log", "show", "launch.toml"]);
    launch.fails(LOAD, &["log", "show", "missing"]);

    let tampered: Vec<u8> = {
        let mut bytes = fs::read(launch.path("log")).unwrap();
        let at = bytes
            .windows(12)
            .position(|window| window == b"console=hvc0")
            .unwrap();
        bytes[at + 11] = b'1';
        bytes
    };
    launch.write("tampered", &tampered);
    let text = launch.fails(LOG, &["log", "show", "tampered"]);
    assert!(
        text.contains("event 12 (cmdline): its sha1 digest is not that of what it says"),
        "{text}"
    );
}

#[test]
fn reference_values_are_written_for_tpm2_tools_and_keylime() {
    let launch = Launch::new();
    let values = launch.predict("prediction.json").outcomes.remove(0).values;
    launch.ok(&[
        "predict",
        "launch.toml",
        "--policy-pcr",
        "pcr.bin",
        "--keylime",
        "keylime.json",
    ]);
    assert_eq!(
        fs::read(launch.path("pcr.bin")).unwrap(),
        values.bank(Bank::Sha256).unwrap().as_bytes()
    );
    let keylime: serde_json::Value =
        serde_json::from_slice(&fs::read(launch.path("keylime.json")).unwrap()).unwrap();
    assert_eq!(keylime["mask"], "0x2000");
    let accepted: Vec<String> = values.iter().map(ToString::to_string).collect();
    assert_eq!(keylime["13"], serde_json::json!(accepted));

    launch.ok(&[
        "predict",
        "launch.toml",
        "--bank",
        "sha512",
        "--policy-pcr",
        "pcr.bin",
    ]);
    assert_eq!(
        fs::read(launch.path("pcr.bin")).unwrap(),
        values.bank(Bank::Sha512).unwrap().as_bytes()
    );
    let both = [
        "predict",
        "launch.toml",
        "--bank",
        "sha1",
        "--bank",
        "sha512",
        "--policy-pcr",
        "pcr.bin",
    ];
    launch.fails(USAGE, &both);
}

#[test]
fn a_denied_domain_changes_the_verdict_and_nothing_else() {
    let launch = Launch::new();
    launch.predict("all.json");
    let json = launch.ok(&["predict", "--json", "--deny", "web", "launch.toml"]);
    launch.write("without.json", json.as_bytes());
    let diff = launch.fails(LOG, &["log", "diff", "all.json", "without.json"]);
    assert_eq!(changed(&diff), ["verdict"], "{diff}");
    assert!(diff.contains("web \"allow\" → \"deny\""), "{diff}");
    launch.fails(USAGE, &["predict", "--deny", "nobody", "launch.toml"]);
}

#[test]
fn what_the_launch_script_decides_is_predicted() {
    let launch = Launch::new();
    let named = launch.ok(&["predict", "--json", "--deny", "web", "launch.toml"]);
    let all = launch.ok(&["predict", "--json", "--allow-all", "launch.toml"]);
    assert_eq!(launch.ok(&["predict", "--json", "launch.toml"]), all);

    // Each script has a digest of its own, so compare the verdicts.
    let verdict = |json: &str| {
        let mut outcomes = serde_json::from_str::<Prediction>(json).unwrap().outcomes;
        let mut events = outcomes.remove(0).events.into_iter();
        events
            .find(|event| event.component() == Component::Verdict)
            .unwrap()
            .digests
    };
    let decide = |body: &str| {
        let script = format!("fn launch(facts, plan) {{ {body}; plan }}\n");
        launch.write("launch.rhai", script.as_bytes());
    };
    decide("plan.allow_all(); plan.deny(\"web\", \"not today\")");
    let asked = launch.ok(&["predict", "--json", "launch.toml"]);
    assert_eq!(verdict(&asked), verdict(&named));

    decide("if facts.platform.cpus == 4 { plan.allow_all() } else { plan.allow(\"net\") }");
    launch.write("platform.json", br#"{"cpus": 4}"#);
    let four = [
        "predict",
        "--json",
        "--platform",
        "platform.json",
        "launch.toml",
    ];
    assert_eq!(verdict(&launch.ok(&four)), verdict(&all));
    launch.write("platform.json", br#"{"cpus": 2}"#);
    assert_eq!(verdict(&launch.ok(&four)), verdict(&named));

    decide("plan.deny_all(\"no\")");
    let none: Prediction =
        serde_json::from_str(&launch.ok(&["predict", "--json", "launch.toml"])).unwrap();
    assert!(
        none.outcomes
            .iter()
            .all(|outcome| outcome.name != "launched")
    );
    decide("loop { }");
    launch.fails(SCRIPT, &["predict", "launch.toml"]);
    launch.ok(&["predict", "--allow-all", "launch.toml"]);
}

#[test]
fn each_fault_has_the_exit_code_of_its_step() {
    let launch = Launch::new();
    launch.fails(USAGE, &["predict"]);
    launch.fails(USAGE, &["predict", "--bank", "md5", "launch.toml"]);
    launch.fails(USAGE, &["log", "verify", "log"]);
    launch.fails(CONFIG_FAULT, &["predict", "missing.toml"]);
    fs::remove_file(launch.path("web.cpio")).unwrap();
    launch.fails(LOAD, &["predict", "launch.toml"]);
    launch.write("pcrs", b"sha256:00\n");
    launch.write_log(
        "log",
        &PredictedOutcome {
            name: String::new(),
            values: Digests::zero(&[Bank::Sha256]),
            events: Vec::new(),
        },
    );
    launch.fails(LOG, &["log", "verify", "log", "--pcrs", "pcrs"]);
}
