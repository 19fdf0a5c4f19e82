// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The reference state for Keylime, and Keylime's own verifier on it: its
//! parser, its engine and `policy/keylime`, over logs as a boot writes them.
//!
//! `scripts/setup` installs Keylime; `DOMB_KEYLIME` names a Python that has
//! it, and `scripts/test` says so aloud where there is none.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::measure::Launch;

const VERIFIER: &str = r#"[verifier]
measured_boot_imports = ["domb_measured_boot"]
measured_boot_policy_name = "domb"
"#;

#[test]
fn the_reference_state_has_every_event_of_a_launch_by_name() {
    let launch = Launch::new();
    let outcome = launch.predict("prediction.json").outcomes.remove(0);
    let state = refstate(&launch, "refstate.json");
    assert_eq!((&state["domb"], &state["pcr"]), (&1.into(), &13.into()));
    let events = state["launches"][0].as_array().unwrap();
    assert_eq!(events.len(), outcome.events.len());
    for (event, predicted) in events.iter().zip(&outcome.events) {
        let digests = event["digests"].as_object().unwrap();
        assert_eq!(digests.len(), 4);
        for digest in predicted.digests.iter() {
            assert_eq!(digests[digest.bank().name()], digest.to_string());
        }
    }
    let names: Vec<&str> = events
        .iter()
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "start",
            "launch configuration",
            "launch script",
            "Flask policy",
            "control ramdisk",
            "control configuration",
            "domain net: kernel",
            "domain net: ramdisk",
            "domain net: cmdline",
            "domain net: domain configuration",
            "domain web: kernel",
            "domain web: ramdisk",
            "domain web: cmdline",
            "domain web: domain configuration",
            "verdict",
            "outcome",
        ]
    );
}

#[test]
fn keylime_accepts_the_predicted_launch_and_names_what_changed() {
    let Some(python) = env::var_os("DOMB_KEYLIME") else {
        eprintln!("DOMB_KEYLIME names no Python with Keylime: its verifier is not run");
        return;
    };
    let launch = Launch::new();
    launch.write("verifier.conf", VERIFIER.as_bytes());
    let good = launch.predict("prediction.json");
    launch.write_log("good.log", &good.outcomes[0]);
    launch.write_log("refused.log", &good.outcomes[1]);
    refstate(&launch, "refstate.json");
    launch.flip("web.cpio");
    launch.flip("vmlinux");
    let changed = launch.predict("changed.json");
    launch.write_log("changed.log", &changed.outcomes[0]);
    refstate(&launch, "other.json");

    let verdict = |policy: &str, state: &str, log: &str| {
        let output = Command::new(&python)
            .args(["-m", "keylime.mba.elchecking", policy, state, log])
            .current_dir(launch.path(""))
            .env("KEYLIME_VERIFIER_CONFIG", launch.path("verifier.conf"))
            .env("PYTHONPATH", policies())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), out.trim() == "AOK", "{out}{err}");
        // The last line is the reason; before it stand Keylime's own notes.
        match output.status.success() {
            true => String::new(),
            false => err.trim_end().lines().last().unwrap().to_owned(),
        }
    };

    assert_eq!(verdict("domb", "refstate.json", "good.log"), "");
    let reason = verdict("domb", "refstate.json", "changed.log");
    let named: Vec<&str> = reason
        .split("; ")
        .map(|difference| difference.split(" (sha256 ").next().unwrap())
        .collect();
    assert_eq!(
        named,
        ["domain web: kernel changed", "domain web: ramdisk changed"],
        "{reason}"
    );
    let reason = verdict("domb", "refstate.json", "refused.log");
    assert!(reason.starts_with("verdict changed (sha256 "), "{reason}");
    let reason = verdict("domb-12", "refstate.json", "good.log");
    assert!(reason.contains("is for PCR 13"), "{reason}");

    // While an update is rolled out, both launches are good.
    let both = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(launch.path(name)).unwrap()).unwrap()
    };
    let (mut state, other) = (both("refstate.json"), both("other.json"));
    let launches = state["launches"].as_array_mut().unwrap();
    launches.push(other["launches"][0].clone());
    launch.write("both.json", state.to_string().as_bytes());
    for log in ["good.log", "changed.log"] {
        assert_eq!(verdict("domb", "both.json", log), "");
    }
}

/// What `domb predict` writes for Keylime.
fn refstate(launch: &Launch, name: &str) -> Value {
    launch.ok(&["predict", "launch.toml", "--keylime-refstate", name]);
    serde_json::from_slice(&fs::read(launch.path(name)).unwrap()).unwrap()
}

fn policies() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/keylime")
}
