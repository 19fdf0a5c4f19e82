// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a launch script decides, and what happens when it does not: launches
//! from domain 0 beside two that stand already.

use std::fs;

use super::{domain, domain_from, ended_with, ensure, launch_step, standing, state};
use crate::bench::Bench;
use crate::boot::Case;
use crate::error::{Error, Result};
use crate::host;
use crate::outcome::Outcome;
use crate::root::Step;

/// All of them.
#[must_use]
pub fn cases() -> Vec<Case> {
    vec![
        Case::of_step(
            "a-denied-domain-is-left-out-with-those-that-need-it",
            deny_one,
            one_denied,
        ),
        Case::of_step("deny-all-creates-none", deny_all, all_denied),
        Case::of_step("a-flipped-byte-is-refused-by-pinned-digests", flip, flipped),
        Case::of_step("an-endless-script-denies-everything", endless, |_, o| {
            no_verdict(o, "endless")
        }),
        Case::of_step("a-memory-bomb-denies-everything", bomb, |_, o| {
            no_verdict(o, "bomb")
        }),
        Case::of_step("a-syntax-error-denies-everything", syntax, |_, o| {
            no_verdict(o, "syntax")
        }),
        Case::of_step("a-nonsense-answer-denies-everything", nonsense, |_, o| {
            no_verdict(o, "nonsense")
        }),
    ]
}

fn deny_one(_: &Bench) -> Result<Step> {
    let domains = [
        domain("free", 101, ""),
        domain("denied", 102, ""),
        domain("needs", 103, "after = [\"denied\"]"),
        domain("apart", 104, "after = [\"free\"]"),
    ];
    let script = r#"
fn launch(facts, plan) {
    for domain in facts.domains {
        if domain.name == "denied" { plan.deny(domain.name, "it is not wanted"); }
        else { plan.allow(domain.name); }
    }
    plan
}
"#;
    Ok(launch_step("deny-one", &domains, Some(script)))
}

fn one_denied(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("deny-one")?;
    let report = ended_with(step, 0)?;
    standing(step, &[("free", 101), ("apart", 104)])?;
    for (name, expected) in [
        ("free", "running"),
        ("apart", "running"),
        ("denied", "denied"),
        ("needs", "denied"),
    ] {
        let state = state(&report, name);
        ensure(state == expected, || {
            format!("{name} is {state} in the report, not {expected}")
        })?;
    }
    step.find(&["denied", "it is not wanted"]).map(drop)
}

fn deny_all(_: &Bench) -> Result<Step> {
    let script = "fn launch(facts, plan) { plan.deny_all(\"not today\"); plan }\n";
    Ok(launch_step(
        "deny-all",
        &[domain("one", 106, ""), domain("two", 107, "")],
        Some(script),
    ))
}

fn all_denied(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("deny-all")?;
    let report = ended_with(step, 7)?;
    ensure(report["outcome"] == "refused", || {
        format!("the outcome is {}", report["outcome"])
    })?;
    step.find(&["not today"])?;
    standing(step, &[])
}

/// The script pins the digest of the ramdisk as it is; one of two domains has
/// the same ramdisk with one bit turned.
fn flip(bench: &Bench) -> Result<Step> {
    let mut ramdisk = fs::read(&bench.ramdisk).map_err(Error::file("read", &bench.ramdisk))?;
    let digest = host::sha256(&bench.ramdisk)?;
    let middle = ramdisk.len() / 2;
    ramdisk[middle] ^= 1;
    let script = format!(
        r#"
fn launch(facts, plan) {{
    for domain in facts.domains {{
        if domain.ramdisk.sha256 == "{digest}" {{ plan.allow(domain.name); }}
        else {{ plan.deny(domain.name, "the digest of " + domain.ramdisk.path + " is not the pinned one"); }}
    }}
    plan
}}
"#
    );
    let domains = [
        domain("intact", 111, ""),
        domain_from("tampered", 112, "/share/vmlinux", "flipped.cpio", ""),
    ];
    Ok(launch_step("flip", &domains, Some(&script)).with("flipped.cpio", ramdisk))
}

fn flipped(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("flip")?;
    let report = ended_with(step, 0)?;
    standing(step, &[("intact", 111)])?;
    ensure(state(&report, "tampered") == "denied", || {
        format!("the report is {report}")
    })?;
    step.find(&["tampered", "flipped.cpio", "not the pinned one"])
        .map(drop)
}

fn endless(_: &Bench) -> Result<Step> {
    Ok(undecided(
        "endless",
        114,
        "fn launch(facts, plan) { plan.allow_all(); loop { } plan }",
    ))
}

fn bomb(_: &Bench) -> Result<Step> {
    let script = "fn launch(facts, plan) { plan.allow_all(); let a = [1]; loop { a += a; } plan }";
    Ok(undecided("bomb", 115, script))
}

fn syntax(_: &Bench) -> Result<Step> {
    Ok(undecided(
        "syntax",
        116,
        "fn launch(facts, plan) { plan.allow_all( }",
    ))
}

fn nonsense(_: &Bench) -> Result<Step> {
    Ok(undecided(
        "nonsense",
        117,
        "fn launch(facts, plan) { plan.allow(\"nobody\"); 42 }",
    ))
}

fn undecided(name: &str, domid: u16, script: &str) -> Step {
    launch_step(name, &[domain(name, domid, "")], Some(script))
}

/// Exit code 6 and no domain. Whether the clock or the work ends a script that
/// would not end depends on the machine, and does not matter.
fn no_verdict(outcome: &Outcome, name: &str) -> Result<()> {
    let step = outcome.step(name)?;
    ended_with(step, 6)?;
    step.find(&["launch.rhai"])?;
    standing(step, &[])
}
