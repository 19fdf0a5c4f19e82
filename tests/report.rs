// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb report` on a report that a launch wrote, on one of every part, and
//! on what is none.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn the_report_of_a_launch_that_had_no_toolstack_is_shown() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("report.json");
    let config = directory.path().join("launch.toml");
    fs::write(&config, "").unwrap();
    let launched = Command::new(env!("CARGO_BIN_EXE_domb"))
        .arg("launch")
        .arg(&config)
        .arg("--report")
        .arg(&path)
        .output()
        .unwrap();
    assert_ne!(launched.status.code(), Some(0));
    let output = report(&path);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("launch.toml: failed\n"), "{text}");
    assert!(
        text.contains("\nfailure\n") && text.contains("\n  hint: "),
        "{text}"
    );
}

#[test]
fn every_part_of_a_report_is_shown_and_none_acts_on_the_terminal() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("report.json");
    fs::write(&path, everything().to_string()).unwrap();
    let output = report(&path);
    let text = String::from_utf8(output.stdout).unwrap();
    let golden = repository("tests/golden/report.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&golden).unwrap_or_default());
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn what_is_no_report_of_this_version_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("report.json");
    let mut other = everything();
    other["version"] = json!(2);
    for (content, told) in [
        (other.to_string(), "it has version 2, and this domb knows 1"),
        ("{}".to_owned(), "missing field `version`"),
        ("{\"version\": 1}".to_owned(), "missing field"),
        ("no JSON".to_owned(), "expected"),
    ] {
        fs::write(&path, content).unwrap();
        let output = report(&path);
        assert_eq!(output.status.code(), Some(4), "{told}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(told) && text.contains("hint: "), "{text}");
    }
    let missing = report(&directory.path().join("none.json"));
    assert_eq!(missing.status.code(), Some(4));
}

#[test]
fn the_document_has_every_member_of_a_report_and_no_other() {
    let document = fs::read_to_string(repository("domb/docs/report.md")).unwrap();
    let mut members = BTreeSet::new();
    collect(&everything(), &mut members);
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("report.json");
    let launched = Command::new(env!("CARGO_BIN_EXE_domb"))
        .args(["launch", "none.toml", "--report"])
        .arg(&path)
        .output()
        .unwrap();
    assert_ne!(launched.status.code(), Some(0));
    let real: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for member in real.as_object().unwrap().keys() {
        assert!(members.contains(member), "{member}");
    }
    for member in &members {
        assert!(document.contains(&format!("`{member}`")), "{member}");
    }
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let told = rows.flat_map(|row| row.split('|').nth(1).unwrap().split(','));
    for told in told.map(|word| word.trim().trim_matches('`')) {
        assert!(members.contains(told), "no member is called {told}");
    }
}

/// The names of all members, but not those that are names of banks.
fn collect(value: &Value, members: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter().filter(|(name, _)| *name != "sha512") {
                members.insert(name.clone());
                collect(value, members);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, members)),
        _ => {}
    }
}

fn everything() -> Value {
    let file = |path: &str| json!({ "path": path, "bytes": 4096, "sha256": "ab".repeat(32), "original_sha256": null });
    json!({
        "version": 1,
        "domb": "0.1.0",
        "configuration": "/domb/launch.toml",
        "outcome": "failed",
        "exit_code": 8,
        "failure": {
            "phase": "build",
            "domain": "web",
            "cause": ["build domain web", "libxl: out of memory\n(two lines)"],
            "hint": "give it less\nmemory",
            "console": ["[    0.0] \u{1b}[2Jpanic"],
            "toolstack_log": ["libxl: error: no memory"],
            "code": "L0801",
            "denials": [{
                "source": "system_u:system_r:domb_t", "target": "system_u:system_r:web_t",
                "class": "domain", "permissions": ["create"], "about": "source=d0",
                "rule": "allow domb_t web_t:domain create;",
            }],
        },
        "phases": [
            { "name": "config", "begin_ms": 900, "end_ms": 1250, "available_mib": 812 },
            { "name": "build", "begin_ms": 1250, "end_ms": null, "available_mib": null },
        ],
        "domains": [
            {
                "name": "net", "domid": 7, "type": "pv", "state": "destroyed", "reason": null,
                "changed": ["memory = \"128M\""], "seclabel": "system_u:system_r:domU_t",
                "real_seclabel": "system_u:system_r:other_t",
                "ranges": ["iomem fed40,5", "irq 3"],
                "kernel": file("vmlinuz"), "ramdisk": file("net.cpio"),
                "built_ms": 2000, "unpaused_ms": 2400, "ready_ms": 2900,
            },
            {
                "name": "web", "domid": 9, "type": "pvh", "state": "denied",
                "reason": "not on the list", "changed": [], "seclabel": null,
                "real_seclabel": "system_u:system_r:guest_t",
                "kernel": file("vmlinuz"), "ramdisk": null, "built_ms": null, "unpaused_ms": null,
            },
        ],
        "measurement": {
            "pcr": 13, "events": 14, "values": { "sha256": "cd".repeat(32) },
            "initial": { "sha256": "01".repeat(32) }, "event_log": "/run/domb/eventlog",
            "not_measured": null,
        },
        "policy": { "script": "launch.rhai", "sha256": "ef".repeat(32), "log": ["net is allowed"] },
        "owners": { "xenstore": 0, "console": 0, "hardware": 0 },
        "failures": [{
            "domain": "net", "attempt": 1, "reason": "timeout: no \u{1b}[0m answer",
            "decision": "retry", "by": "configuration", "console": ["net: stuck"], "at_ms": 2700,
        }],
        "shutdown_order": ["web", "net"], "withheld": ["iomem fed40,5", "ioports 2f8-2ff", "irq 3"],
        "recovery": { "name": "rescue", "domid": 90, "started": true, "reason": null },
        "own_label": { "launching": "system_u:system_r:domb_t", "handed_over": null },
        "warnings": ["the TPM has no sha512 bank"],
    })
}

fn report(path: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_domb"))
        .arg("report")
        .arg(path)
        .output()
        .unwrap()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
