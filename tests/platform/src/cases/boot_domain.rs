// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the boot domain itself cannot do: domain 0 is started without domb, so
//! it keeps the label that Xen gives to the first domain, and each step tries
//! something with it. Flask is enforcing.

use std::fs;

use super::labels::{denied, only_these_denied, refused};
use super::{by_hand, domain, ended_with, ensure, failed_in, launch_step, standing, state};
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::error::{Error, Result};
use crate::flask;
use crate::host;
use crate::machine::MachineSpec;
use crate::outcome::Outcome;
use crate::root::Step;

/// What the steps try in vain: source, target, class, permission.
const PROBED: [[&str; 4]; 7] = [
    ["domb_t", "security_t", "security", "load_policy"],
    ["domb_t", "security_t", "security", "setenforce"],
    ["domb_t", "xen_t", "xen", "sleep"],
    ["domb_t", "xen_t", "xen", "debug"],
    ["domb_t", "kept_t", "domain", "destroy"],
    ["domb_t", "dom0_t", "domain", "create"],
    ["domb_t", "half_t", "domain2", "settsc"],
];

/// Domain 0 as the boot domain.
#[must_use]
pub fn boot() -> Boot {
    Boot {
        name: "boot-domain",
        prepare,
        // It may not switch the machine off.
        end: End::Line("control: done"),
        cases: vec![
            Case::of_step("the-first-domain-is-the-boot-domain", list, |_, outcome| {
                outcome
                    .step("label")?
                    .find(&["Domain-0", "system_u:system_r:domb_t"])
                    .map(drop)
            }),
            Case::of_step(
                "it-loads-no-policy-and-lifts-none",
                load_policy,
                |_, outcome| {
                    refused(outcome, "load-policy")?;
                    denied(outcome, PROBED[0])?;
                    denied(outcome, PROBED[1])
                },
            ),
            Case::of_step(
                "it-does-not-put-the-machine-to-sleep",
                sleep,
                |_, outcome| {
                    let step = outcome.step("sleep")?;
                    step.find(&["probe: sleep: refused"])?;
                    denied(outcome, PROBED[2])?;
                    denied(outcome, PROBED[3])
                },
            ),
            Case::of_step("it-destroys-no-domain-that-is-not-its-own", kept, keeps),
            Case::of_step(
                "a-label-it-may-not-create-is-refused-by-name",
                other,
                |_, outcome| {
                    explained(
                        outcome,
                        "other",
                        "dom0_t",
                        "allow domb_t dom0_t:domain create;",
                    )
                },
            ),
            Case::of_step(
                "a-step-that-is-denied-says-which-rule-is-missing",
                half,
                |_, outcome| {
                    explained(
                        outcome,
                        "half",
                        "half_t",
                        "allow domb_t half_t:domain2 settsc;",
                    )
                },
            ),
            Case::of_step(
                "a-label-the-policy-does-not-have-is-refused-by-name",
                unknown,
                |_, outcome| {
                    let step = outcome.step("unknown")?;
                    let report = ended_with(step, 8)?;
                    failed_in(&report, "build", "odd")?;
                    ensure(report["failure"].to_string().contains("nobody_t"), || {
                        format!("{}", report["failure"])
                    })?;
                    standing(step, &[])
                },
            ),
            Case::of_step(
                "another-policy-than-the-one-in-force-is-refused",
                wrong_policy,
                |_, outcome| {
                    let step = outcome.step("wrong-policy")?;
                    let report = ended_with(step, 4)?;
                    ensure(report["failure"]["phase"] == "policy", || {
                        report["failure"].to_string()
                    })?;
                    step.find(&["domb: cause", "flask_policy", "Xen"])?;
                    standing(step, &[])
                },
            ),
            Case::of_boot("nothing-else-is-denied", |_, outcome| {
                only_these_denied(outcome, &PROBED)
            }),
        ],
    }
}

fn prepare(bench: &Bench, name: &str, steps: &[Step]) -> Result<MachineSpec> {
    let machine = by_hand::prepare(bench, name, steps)?;
    flask::enforcing(bench, machine, flask::policy(bench, name, "process")?)
}

fn list(_: &Bench) -> Result<Step> {
    Ok(Step::new("label", "xl list -Z\n"))
}

/// A policy of zeros is refused for its own sake, but not before who asks.
fn load_policy(_: &Bench) -> Result<Step> {
    let script = "xl setenforce 0 && exit 0\nxl loadpolicy zeros\n";
    Ok(Step::new("load-policy", script).with("zeros", vec![0; 4096]))
}

/// The hypercall itself, and the debug key that restarts the machine.
fn sleep(bench: &Bench) -> Result<Step> {
    let script = "chmod +x probe && ./probe sleep\nxl debug-keys R\n";
    Ok(Step::new("sleep", script).with("probe", probe(bench)?))
}

fn probe(bench: &Bench) -> Result<Vec<u8>> {
    let dir = bench.work.join("probe-boot-domain");
    fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
    flask::probe(&dir)
}

/// The domain stays: nobody in this boot can end it.
fn kept(bench: &Bench) -> Result<Step> {
    let mut step = launch_step("kept", &[labelled("kept", 30, "kept_t")], None);
    step.script = "echo before:\nlaunch || exit\n\
        chmod +x probe && ./probe destroy 30 || exit 20\nawait_heartbeats 30 2 300\n"
        .to_owned();
    Ok(step.with("probe", probe(bench)?))
}

fn keeps(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("kept")?;
    ended_with(step, 0)?;
    standing(step, &[("kept", 30)])?;
    denied(outcome, PROBED[4])?;
    ensure(
        outcome.finally.iter().any(|domain| domain.domid == 30),
        || "it is gone".to_owned(),
    )
}

fn other(_: &Bench) -> Result<Step> {
    let domains = [
        labelled("well", 31, "guest_t"),
        labelled("odd", 32, "dom0_t"),
    ];
    Ok(launch_step("other", &domains, None))
}

fn half(_: &Bench) -> Result<Step> {
    let domains = [
        labelled("well", 33, "guest_t"),
        labelled("odd", 34, "half_t"),
    ];
    Ok(launch_step("half", &domains, None))
}

fn unknown(_: &Bench) -> Result<Step> {
    let domains = [
        labelled("well", 35, "guest_t"),
        labelled("odd", 36, "nobody_t"),
    ];
    Ok(launch_step("unknown", &domains, None))
}

/// The file is domb's policy for the other `exit`.
fn wrong_policy(_: &Bench) -> Result<Step> {
    let file = host::repository().join("tests/fixtures/flask/domain.policy");
    let bytes = fs::read(&file).map_err(Error::file("read", &file))?;
    let config = format!(
        "flask_policy = \"xenpolicy\"\n[measure]\ntpm = \"off\"\n{}",
        labelled("well", 37, "guest_t")
    );
    let step = launch_step("wrong-policy", &[], None);
    let files = vec![
        ("launch.toml".to_owned(), config.into_bytes()),
        ("xenpolicy".to_owned(), bytes),
    ];
    Ok(Step { files, ..step })
}

fn labelled(name: &str, domid: u16, label: &str) -> String {
    domain(
        name,
        domid,
        &format!("seclabel = \"system_u:system_r:{label}\""),
    )
}

/// The launch names the domain, its label and the rule, and leaves nothing.
fn explained(outcome: &Outcome, step: &str, label: &str, rule: &str) -> Result<()> {
    let step = outcome.step(step)?;
    let report = ended_with(step, 8)?;
    failed_in(&report, "build", "odd")?;
    let failure = &report["failure"];
    let denial = &failure["denials"][0];
    ensure(
        denial["source"] == "system_u:system_r:domb_t"
            && denial["target"] == format!("system_u:system_r:{label}")
            && denial["rule"] == rule,
        || format!("{failure:#}"),
    )?;
    step.find(&[
        "domb: cause",
        "Flask denied system_u:system_r:domb_t",
        label,
    ])?;
    step.find(&["domb: hint", rule])?;
    ensure(state(&report, "well") == "destroyed", || {
        format!("{report:#}")
    })?;
    standing(step, &[])
}
