// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the launch script gives to one domain, without labels: it can read the
//! page, reach the ports and bind the interrupt, another domain cannot, and
//! domain 0 has them no longer. With labels it is `ranges.rs`.

use std::fs;

use serde_json::json;

use super::{domain, ended_with, ensure, failed_in, launch_step, standing};
use crate::bench::Bench;
use crate::boot::Case;
use crate::error::{Error, Result};
use crate::flask;
use crate::outcome::Outcome;
use crate::root::Step;

/// The page of the HPET, which begins with what it is, and the second serial
/// port.
const RESOURCES: &str = "[resources.hpet]\niomem = [\"fed00,1\"]\n\
                         [resources.serial]\nioports = [\"2f8-2ff\"]\nirqs = [3]\n";

const HOLDER: (&str, u16) = ("holder", 301);
const OTHER: (&str, u16) = ("other", 302);
const LATER: (&str, u16) = ("later", 303);

/// All of them.
#[must_use]
pub fn cases() -> Vec<Case> {
    vec![
        Case::of_step(
            "a-delegated-page-is-its-owners-and-nobody-elses",
            delegate,
            delegated,
        ),
        Case::of_step("a-delegated-page-is-not-given-again", again, not_again),
    ]
}

fn delegate(bench: &Bench) -> Result<Step> {
    let dir = bench.work.join("probe");
    fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
    let domains = [
        RESOURCES.to_owned(),
        probing(HOLDER, ""),
        probing(OTHER, "after = [\"holder\"]"),
    ];
    let script = "fn launch(facts, plan) { plan.allow_all(); plan.grant(\"holder\", \"hpet\"); \
                  plan.grant(\"holder\", \"serial\"); plan }\n";
    let mut step = launch_step("delegate", &domains, Some(script))
        .with(
            "prober.cpio",
            flask::prober(bench, &dir, "prober")?.bytes()?,
        )
        .with("probe", flask::probe(&dir)?);
    let (holder, other) = (HOLDER.1, OTHER.1);
    step.script = step.script.replace(
        "launch\nstatus=$?\n",
        &format!(
            "domain_0() {{\n\
             echo \"domain 0 $1: $(devmem 0xfed00000 32 2>&1)\"\n\
             printf Z | dd of=/dev/port bs=1 seek=$((0x2ff)) conv=notrunc 2>/dev/null\n\
             echo \"domain 0 $1: port$(dd if=/dev/port bs=1 skip=$((0x2ff)) count=1 2>/dev/null | od -An -tx1)\"\n\
             }}\n\
             domain_0 before\n\
             launch\nstatus=$?\n\
             for domid in {holder} {other}; do\n\
             xl unpause \"$domid\"\nawait_heartbeats \"$domid\" 1 240\n\
             grep ^probe /tmp/console-$domid.log | sed \"s/^/$domid /\"\ndone\n\
             domain_0 after\n\
             chmod +x probe\necho \"domain 0 after: $(./probe irq 3)\"\n"
        ),
    );
    Ok(step)
}

fn delegated(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("delegate")?;
    let report = ended_with(step, 0)?;
    standing(step, &[HOLDER, OTHER])?;
    let given = ["iomem fed00,1", "ioports 2f8-2ff", "irq 3"];
    for range in given {
        step.find(&["domb: handoff", &format!("domain 0 is kept from {range}")])?;
    }
    ensure(report["withheld"] == json!(given), || {
        format!("the report has {}", report["withheld"])
    })?;
    let read = step.find(&["probe holder read 0x"])?;
    ensure(read.to_lowercase().contains("8086a"), || {
        format!("this is no HPET: {read}")
    })?;
    for line in ["301 probe holder has the port", "301 probe: irq: allowed"] {
        step.find(&[line])?;
    }
    for line in [
        "302 probe other could not",
        "302 probe other has no port",
        "302 probe: irq: refused",
        "domain 0 before: 0x8086A",
        "domain 0 before: port 5a",
        "domain 0 after: port ff",
        "domain 0 after: probe: irq: refused",
    ] {
        step.find(&[line])?;
    }
    let after = step.find(&["domain 0 after:"])?;
    ensure(!after.contains("0x8086"), || {
        format!("domain 0 still has the page: {after}")
    })
}

fn again(_: &Bench) -> Result<Step> {
    let given = domain(LATER.0, LATER.1, "resources = [\"hpet\"]");
    Ok(launch_step(
        "delegate-again",
        &[RESOURCES.to_owned(), given],
        None,
    ))
}

fn not_again(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("delegate-again")?;
    let report = ended_with(step, 8)?;
    failed_in(&report, "build", LATER.0)?;
    standing(step, &[])?;
    ensure(report["failure"]["code"] == "L0809", || {
        format!("the report says {}", report["failure"])
    })?;
    step.find(&["domb: FAILED", "phase build, domain later", "L0809"])?;
    step.find(&["domb: cause", "may not give iomem fed00,1 away"])?;
    step.find(&["domb: hint", "leave this one out"]).map(drop)
}

/// A domain that says what it reads at the page, whether it has the port, and
/// whether it is given the interrupt.
fn probing((name, domid): (&str, u16), more: &str) -> String {
    domain(name, domid, more)
        .replace(
            "heartbeat=",
            "probe=0xfed00000 probe_port=0x2f8 probe_irq=3 heartbeat=",
        )
        .replace("/share/heartbeat.cpio", "prober.cpio")
}
