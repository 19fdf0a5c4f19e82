// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The launch of the boot itself fails, and the recovery domain comes up: once
//! beside the control domain (`after_failure = "continue"`), once alone with
//! the machine's console until it switches itself off (`"halt"`).

use std::fs;

use super::readiness::{decision, stood};
use super::{domain_from, ensure, example, pci};
use crate::archive::Archive;
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::error::{Error, Result};
use crate::machine::MachineSpec;
use crate::outcome::Outcome;
use crate::root::{self, Step};

/// What must be true of the boot that goes on to the control domain.
#[must_use]
pub fn continued() -> Vec<Case> {
    vec![
        Case::of_boot("a-failed-launch-brings-the-recovery-domain", rescued),
        Case::of_boot("the-pcr-tells-of-the-recovery", measured),
    ]
}

/// The launch fails, and domain 0 goes on to this control domain.
pub fn prepare(bench: &Bench, name: &str, steps: &[Step]) -> Result<MachineSpec> {
    let control = bench.control_for_launches(steps)?;
    let mut spec = machine(bench, name, "continue", "tell=all", pci::RESOURCE, &control)?;
    spec.devices = pci::DEVICES.map(str::to_owned).to_vec();
    Ok(spec)
}

/// The launch fails, the recovery domain tells why and switches itself off,
/// then the machine halts.
#[must_use]
pub fn halts() -> Boot {
    Boot {
        name: "recovery",
        prepare: |bench, name, _| {
            let control = root::control_root(&[])?;
            machine(bench, name, "halt", "tell=off", "", &control)
        },
        end: End::Line("halting machine"),
        cases: vec![Case::of_boot(
            "the-recovery-domain-has-the-console-until-it-ends",
            |_, outcome| {
                let began = outcome
                    .find(&["domb: recovery", "rescue (domid 99) started"])?
                    .at;
                for line in [
                    "why exit_code: 9",
                    "why domain: broken",
                    "why report: \"outcome\":\"failed\"",
                ] {
                    let said = outcome.find(&[line])?.at;
                    ensure(said >= began, || format!("{line} came too early"))?;
                }
                let ended = outcome.find(&["domb: recovery", "poweroff"])?.at;
                let halted = outcome.find(&["domb: exit", "after_failure = halt"])?.at;
                ensure(ended <= halted, || "the machine did not wait".to_owned())
            },
        )],
    }
}

fn machine(
    bench: &Bench,
    name: &str,
    after_failure: &str,
    words: &str,
    resources: &str,
    control: &Archive,
) -> Result<MachineSpec> {
    let dir = bench.directory(name)?;
    let guest =
        |name: &str, domid, more: &str| domain_from(name, domid, "vmlinuz", "heartbeat.cpio", more);
    let rescue = guest("rescue", 99, "roles = [\"recovery\"]");
    let config = format!(
        "exit = \"process\"\nafter_failure = \"{after_failure}\"\n[measure]\ntpm = \"required\"\n\
         [control]\nramdisk = \"control.cpio\"\ninit = \"/init\"\n{resources}{}{}{}",
        guest("apart", 7, ""),
        guest(
            "broken",
            9,
            "ready = { xenstore = \"data/ready\", timeout = \"2s\" }"
        ),
        rescue.replace("heartbeat=", &format!("{words} heartbeat=")),
    );
    let path = dir.join("launch.toml");
    fs::write(&path, config).map_err(Error::file("write", &path))?;
    control.write(&dir.join("control.cpio"))?;
    Ok(bench.machine(name, &bench.image(&dir)?.0))
}

/// It stands alone, and says on its console what it read.
fn rescued(_: &Bench, outcome: &Outcome) -> Result<()> {
    let report = outcome.report()?;
    ensure(report["exit_code"] == 9, || {
        format!("the report is {report}")
    })?;
    decision(&report, 0, "broken", "timeout", "recover")?;
    stood(outcome, &[("rescue", 99)])?;
    for line in [
        "why exit_code: 9",
        "why domain: broken",
        "why report: \"outcome\":\"failed\"",
    ] {
        outcome.find(&["console 99:", line])?;
    }
    outcome
        .find(&["console 99: why cause:", "not ready within 2s"])
        .map(drop)
}

/// The value is the one predicted for a recovery after the first start.
fn measured(bench: &Bench, outcome: &Outcome) -> Result<()> {
    let prediction = bench.predict(&outcome.directory)?;
    let expected = example::way(&prediction, "recovered-later")?["sha256"].as_str();
    let value = outcome.pcrs.get(&("sha256".to_owned(), example::PCR));
    ensure(expected == value.map(String::as_str), || {
        format!("{value:?} in the TPM, {expected:?} predicted")
    })
}
