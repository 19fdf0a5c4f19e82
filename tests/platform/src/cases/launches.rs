// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Launches from a domain 0 that domb did not boot: domb is an ordinary
//! command there. All share one machine; the first launch stays while the
//! others come and go. No PVH domain is among them: the emulator loses one now
//! and then (`boot.rs`), and `example` has it.

use std::time::Duration;

use super::{
    by_hand, delegated, domain, ended_with, ensure, failures, launch_step, same_bytes,
    same_domains, scripts, standing,
};
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::root::Step;

/// What stays while the other launches come and go.
const STAYING: [(&str, u16); 2] = [("net", 7), ("log", 9)];

/// Every case about one launch from domain 0.
#[must_use]
pub fn boot() -> Boot {
    let mut cases = vec![Case::of_step(
        "domb-is-an-ordinary-command-in-domain-0",
        stay,
        stays,
    )];
    cases.extend(scripts::cases());
    cases.extend(failures::cases());
    cases.extend(delegated::cases());
    cases.push(same_bytes::case());
    Boot {
        name: "launches",
        prepare: |bench, name, steps| {
            let mut machine = by_hand::prepare(bench, name, steps)?;
            // A second serial port, for a domain (`delegated`).
            machine.devices = ["-serial", "null"].map(str::to_owned).to_vec();
            Ok(machine)
        },
        end: End::PowerOff,
        cases,
    }
}

fn stay(_: &Bench) -> Result<Step> {
    let domains = STAYING.map(|(name, domid)| domain(name, domid, ""));
    let mut step = launch_step("stay", &domains, None);
    step.script = "echo before:\nlaunch || exit\n\
        for domid in $(domids); do await_heartbeats \"$domid\" 3 120 || exit 1; done\n"
        .to_owned();
    Ok(step)
}

fn stays(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("stay")?;
    ended_with(step, 0)?;
    standing(step, &STAYING)?;
    same_domains(outcome.finally.iter(), &STAYING)?;
    for (name, domid) in STAYING {
        let beats = outcome.heartbeats(domid, name, Duration::ZERO);
        ensure(beats >= 3, || {
            format!("domain {domid} printed {beats} heartbeats as {name}")
        })?;
    }
    Ok(())
}
