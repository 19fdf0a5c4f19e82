// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A page of the machine that the launch script gives to one domain: it can
//! read it, another domain cannot, and domain 0 has it no longer.

use super::{domain, ended_with, ensure, failed_in, launch_step, standing};
use crate::bench::Bench;
use crate::boot::Case;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::root::Step;

/// The page of the HPET, which begins with what it is.
const PAGE: &str = "[resources.hpet]\niomem = [\"fed00,1\"]\n";

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

fn delegate(_: &Bench) -> Result<Step> {
    let domains = [
        PAGE.to_owned(),
        probing(HOLDER, ""),
        probing(OTHER, "after = [\"holder\"]"),
    ];
    let script =
        "fn launch(facts, plan) { plan.allow_all(); plan.grant(\"holder\", \"hpet\"); plan }\n";
    let mut step = launch_step("delegate", &domains, Some(script));
    let (holder, other) = (HOLDER.1, OTHER.1);
    step.script = step.script.replace(
        "launch\nstatus=$?\n",
        &format!(
            "echo \"domain 0 before: $(devmem 0xfed00000 32 2>&1)\"\n\
             launch\nstatus=$?\n\
             for domid in {holder} {other}; do\n\
             xl unpause \"$domid\"\nawait_heartbeats \"$domid\" 1 240\n\
             grep ^probe /tmp/console-$domid.log\ndone\n\
             echo \"domain 0 after: $(devmem 0xfed00000 32 2>&1)\"\n"
        ),
    );
    Ok(step)
}

fn delegated(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("delegate")?;
    ended_with(step, 0)?;
    standing(step, &[HOLDER, OTHER])?;
    step.find(&["domb: handoff", "domain 0 is kept from iomem fed00,1"])?;
    let read = step.find(&["probe holder read 0x"])?;
    ensure(read.to_lowercase().contains("8086a"), || {
        format!("this is no HPET: {read}")
    })?;
    step.find(&["probe other could not"])?;
    step.find(&["domain 0 before: 0x8086A"])?;
    let after = step.find(&["domain 0 after:"])?;
    ensure(!after.contains("0x8086"), || {
        format!("domain 0 still has the page: {after}")
    })
}

fn again(_: &Bench) -> Result<Step> {
    let given = probing(LATER, "resources = [\"hpet\"]");
    Ok(launch_step(
        "delegate-again",
        &[PAGE.to_owned(), given],
        None,
    ))
}

fn not_again(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("delegate-again")?;
    let report = ended_with(step, 8)?;
    failed_in(&report, "build", LATER.0)?;
    standing(step, &[])?;
    step.find(&["domb: cause", "may not give iomem fed00,1 away"])
        .map(drop)
}

/// A domain that says what it reads at the page.
fn probing((name, domid): (&str, u16), more: &str) -> String {
    domain(name, domid, more).replace("heartbeat=", "probe=0xfed00000 heartbeat=")
}
