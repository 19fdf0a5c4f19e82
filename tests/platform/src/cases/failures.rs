// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Launches from domain 0 that cannot succeed: each names its domain and its
//! step, ends with the documented code and leaves nothing behind.

use std::fs;
use std::path::Path;

use super::{domain, domain_from, ended_with, ensure, failed_in, launch_step, standing, state};
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
            "a-kernel-that-is-none-is-refused-by-name",
            no_kernel,
            |_, o| load_fault(o, "no-kernel", "odd", "text.elf"),
        ),
        Case::of_step(
            "a-truncated-ramdisk-is-refused-by-name",
            truncated,
            |_, o| load_fault(o, "truncated", "odd", "short.cpio.gz"),
        ),
        Case::of_step("a-domid-in-use-destroys-what-was-built", domid_taken, taken),
        Case::of_step("a-failed-domain-can-be-skipped", skip, skipped),
        Case::of_step(
            "a-kernel-that-libxl-cannot-load-destroys-what-was-built",
            unloadable,
            not_loaded,
        ),
        Case::of_step("too-little-memory-destroys-what-was-built", greedy, starved),
        Case::of_step(
            "a-label-without-flask-is-refused-before-anything-is-built",
            label,
            unlabelled,
        ),
    ]
}

fn no_kernel(_: &Bench) -> Result<Step> {
    let domains = [
        domain("even", 121, ""),
        domain_from("odd", 122, "text.elf", "/share/heartbeat.cpio", ""),
    ];
    Ok(launch_step("no-kernel", &domains, None).with("text.elf", "#!/bin/sh\nexit 0\n"))
}

fn truncated(bench: &Bench) -> Result<Step> {
    let packed = bench.work.join("heartbeat.cpio.gz");
    host::gzip(&bench.ramdisk, &packed)?;
    let mut bytes = fs::read(&packed).map_err(Error::file("read", &packed))?;
    bytes.truncate(bytes.len() / 2);
    let domains = [
        domain("even", 124, ""),
        domain_from("odd", 125, "/share/vmlinux", "short.cpio.gz", ""),
    ];
    Ok(launch_step("truncated", &domains, None).with("short.cpio.gz", bytes))
}

/// The file is refused before anything is built.
fn load_fault(outcome: &Outcome, name: &str, domain: &str, file: &str) -> Result<()> {
    let step = outcome.step(name)?;
    ended_with(step, 4)?;
    step.find(&[domain, file])?;
    standing(step, &[])
}

fn domid_taken(_: &Bench) -> Result<Step> {
    Ok(launch_step(
        "taken",
        &[domain("first", 127, ""), domain("second", 7, "")],
        None,
    ))
}

fn taken(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("taken")?;
    let report = ended_with(step, 8)?;
    failed_in(&report, "build", "second")?;
    let first = state(&report, "first");
    ensure(first == "destroyed", || {
        format!("first is {first} in the report")
    })?;
    standing(step, &[])
}

fn skip(_: &Bench) -> Result<Step> {
    let domains = [
        domain("first", 131, ""),
        domain("second", 9, "on_failure = \"skip\""),
        domain("third", 132, "after = [\"second\"]\non_failure = \"skip\""),
    ];
    Ok(launch_step("skip", &domains, None))
}

fn skipped(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("skip")?;
    let report = ended_with(step, 0)?;
    let states = ["first", "second", "third"].map(|name| state(&report, name));
    ensure(states == ["running", "skipped", "skipped"], || {
        format!("states are {states:?}")
    })?;
    standing(step, &[("first", 131)])
}

/// The tiny kernel has the Xen notes that domb looks for, and too few for
/// libxl.
fn unloadable(_: &Bench) -> Result<Step> {
    let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/kernel/tiny.elf");
    let kernel = fs::read(&kernel).map_err(Error::file("read", &kernel))?;
    let domains = [
        domain("even", 151, ""),
        domain_from("odd", 152, "tiny.elf", "/share/heartbeat.cpio", ""),
    ];
    Ok(launch_step("unloadable", &domains, None).with("tiny.elf", kernel))
}

fn not_loaded(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("unloadable")?;
    let report = ended_with(step, 8)?;
    failed_in(&report, "build", "odd")?;
    step.find(&["no loader found"])?;
    ensure(state(&report, "even") == "destroyed", || {
        format!("even is {}", state(&report, "even"))
    })?;
    standing(step, &[])
}

fn greedy(_: &Bench) -> Result<Step> {
    let domains = [
        domain("modest", 134, ""),
        domain("greedy", 135, "memory = \"64G\""),
    ];
    Ok(launch_step("greedy", &domains, None))
}

fn starved(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("greedy")?;
    let report = ended_with(step, 8)?;
    failed_in(&report, "build", "greedy")?;
    step.find(&["of memory free"])?;
    standing(step, &[])
}

/// Debian's Xen has no labels; libxl would only warn.
fn label(_: &Bench) -> Result<Step> {
    let label = "seclabel = \"system_u:system_r:guest_t\"";
    let domains = [domain("plain", 137, ""), domain("labelled", 138, label)];
    Ok(launch_step("label", &domains, None))
}

fn unlabelled(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("label")?;
    let report = ended_with(step, 8)?;
    failed_in(&report, "build", "labelled")?;
    step.find(&["guest_t cannot be enforced: Flask is absent"])?;
    ensure(state(&report, "plain") == "pending", || {
        format!("plain is {}", state(&report, "plain"))
    })?;
    ensure(step.find(&["stands paused"]).is_err(), || {
        "something was built".to_owned()
    })?;
    standing(step, &[])
}
