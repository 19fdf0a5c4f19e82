// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The example of `xen-config/example`, booted as it stands with domb as the
//! first init.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::{by_hand, ensure, measurement, same_domains, state};
use crate::archive::Archive;
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::error::{Error, Result};
use crate::host;
use crate::machine::MachineSpec;
use crate::outcome::Outcome;
use crate::root::Step;

/// The example's domains, in the order of their start.
pub const DOMAINS: [(&str, u16, &str); 3] =
    [("net", 7, "pv"), ("web", 9, "pvh"), ("log", 42, "pv")];

/// The example as it stands.
#[must_use]
pub fn boot() -> Boot {
    let mut cases = vec![
        Case::of_boot("three-domains-stand-at-their-domids", stand),
        Case::of_boot("each-beats-after-domb-has-gone", beat),
        Case::of_boot("starts-follow-after", in_order),
        Case::of_boot("the-pcr-is-what-domb-predicted", predicted),
        Case::of_boot("domb-has-gone-and-the-daemons-stay", gone),
        Case::of_boot("the-report-has-the-digests-of-the-files", digests),
        Case::of_boot("every-milestone-is-on-the-serial-log", timed),
    ];
    cases.extend(measurement::cases());
    cases.push(by_hand::xl_create_case());
    Boot {
        name: "example",
        prepare,
        end: End::PowerOff,
        cases,
    }
}

/// Copies the example beside its artefacts and makes the image.
pub fn prepare(bench: &Bench, name: &str, steps: &[Step]) -> Result<MachineSpec> {
    prepare_with(bench, name, &bench.control_for_launches(steps)?)
}

/// The example with this control domain's root.
pub fn prepare_with(bench: &Bench, name: &str, control: &Archive) -> Result<MachineSpec> {
    let dir = bench.directory(name)?;
    let source = host::repository().join("xen-config/example");
    for file in ["launch.toml", "launch.rhai"] {
        let (from, to) = (source.join(file), dir.join(file));
        fs::copy(&from, &to).map_err(Error::file("copy", &from))?;
    }
    control.write(&dir.join("control.cpio"))?;
    let (image, said) = bench.image(&dir)?;
    let parts = dir.join("image.txt");
    fs::write(&parts, said).map_err(Error::file("write", &parts))?;
    Ok(bench.machine(name, &image))
}

/// `xl list` has the three, and still has them after every step.
pub fn stand(_: &Bench, outcome: &Outcome) -> Result<()> {
    let expected = DOMAINS.map(|(name, domid, _)| (name, domid));
    same_domains(outcome.domains.iter(), &expected)?;
    same_domains(outcome.finally.iter(), &expected)
}

/// Each console brings its own domain's heartbeats after the control domain's
/// init has started.
pub fn beat(_: &Bench, outcome: &Outcome) -> Result<()> {
    let since = outcome.find(&["control: up"])?.at;
    for (name, domid, _) in DOMAINS {
        let beats = outcome.heartbeats(domid, name, since);
        ensure(beats >= 3, || {
            format!("domain {domid} printed {beats} heartbeats as {name}")
        })?;
    }
    Ok(())
}

/// By domb's own lines, and by the moments in its report.
pub fn in_order(_: &Bench, outcome: &Outcome) -> Result<()> {
    let mut last = (Duration::ZERO, 0);
    let report = outcome.report()?;
    for (name, ..) in DOMAINS {
        let line = outcome.find(&["domb: handoff", &format!("{name} started")])?;
        let unpaused = number(&report, name, "unpaused_ms")?;
        ensure(line.at >= last.0 && unpaused >= last.1, || {
            format!("{name} was started at {unpaused} ms, before one it comes after")
        })?;
        last = (line.at, unpaused);
    }
    Ok(())
}

/// The moments of a boot by the serial log, counted from Xen's first line.
/// One that is missing is left out.
#[must_use]
pub fn milestones(outcome: &Outcome) -> Vec<(&'static str, Duration)> {
    let moments: [(&'static str, &[&str]); 5] = [
        ("Xen's first line", &["Xen version 4."]),
        ("domb is PID 1", &["domb: boot"]),
        (
            "the first domain is unpaused",
            &["domb: handoff", "started"],
        ),
        ("domb leaves", &["domb: exit"]),
        ("the control domain's init runs", &["control: up"]),
    ];
    let at = |words: &[&str]| outcome.find(words).ok().map(|line| line.at);
    let zero = at(moments[0].1).unwrap_or_default();
    let found = moments
        .into_iter()
        .filter_map(|(name, words)| Some((name, at(words)?)));
    found
        .map(|(name, at)| (name, at.saturating_sub(zero)))
        .collect()
}

/// Every active bank has the value `domb predict` computed on this host from
/// the same files, and the report agrees.
pub fn predicted(bench: &Bench, outcome: &Outcome) -> Result<()> {
    let prediction = bench.predict(&outcome.directory)?;
    let launched = way(&prediction, "launched")?;
    let report = outcome.report()?;
    let banks: Vec<&str> = outcome.banks(PCR);
    ensure(banks.contains(&"sha256"), || {
        format!("the TPM's banks are {banks:?}")
    })?;
    for bank in banks {
        let value = &outcome.pcrs[&(bank.to_owned(), PCR)];
        let reported = &report["measurement"]["values"][bank];
        ensure(reported == value, || {
            format!("{bank}: {value} in the TPM, {reported} in the report")
        })?;
        let expected = &launched[bank];
        ensure(expected == value, || {
            format!("{bank}: {value} in the TPM, {expected} predicted")
        })?;
    }
    Ok(())
}

/// The predicted values for one way a launch can end.
pub fn way<'a>(prediction: &'a Value, name: &str) -> Result<&'a Value> {
    let outcomes = prediction["outcomes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let found = outcomes.iter().find(|outcome| outcome["name"] == name);
    found
        .map(|outcome| &outcome["values"])
        .ok_or_else(|| Error::Untrue(format!("domb predict has no outcome {name}: {prediction}")))
}

/// PID 1 is the control domain's own init, nothing runs domb's binary, and
/// both daemons live.
pub fn gone(_: &Bench, outcome: &Outcome) -> Result<()> {
    let programs: Vec<&str> = outcome.processes.values().map(String::as_str).collect();
    let has = |name: &str| programs.iter().any(|program| program.ends_with(name));
    ensure(
        outcome
            .processes
            .get(&1)
            .is_some_and(|init| init == "/bin/busybox"),
        || format!("PID 1 is {:?}", outcome.processes.get(&1)),
    )?;
    ensure(!has("/init") && !has("/domb"), || {
        format!("domb still runs: {programs:?}")
    })?;
    ensure(has("/xenstored") && has("/xenconsoled"), || {
        format!("a daemon is gone: {programs:?}")
    })
}

/// The kernel's digest is that of the ELF kernel unpacked without domb's help.
pub fn digests(bench: &Bench, outcome: &Outcome) -> Result<()> {
    let report = outcome.report()?;
    let kernel = host::sha256(&bench.vmlinux)?;
    let packed = host::sha256(&bench.parts.kernel)?;
    let ramdisk = host::sha256(&bench.ramdisk)?;
    for (name, ..) in DOMAINS {
        let domain = find(&report, name)?;
        let found = [
            &domain["kernel"]["sha256"],
            &domain["kernel"]["original_sha256"],
            &domain["ramdisk"]["sha256"],
        ];
        ensure(
            found == [kernel.as_str(), packed.as_str(), ramdisk.as_str()],
            || format!("{name}: {found:?} in the report"),
        )?;
        ensure(state(&report, name) == "running", || {
            format!("{name} is not running: {domain}")
        })?;
    }
    Ok(())
}

/// Prints the figures of the boot.
fn timed(_: &Bench, outcome: &Outcome) -> Result<()> {
    let milestones = milestones(outcome);
    for (name, at) in &milestones {
        println!("        {:6.2} s  {name}", at.as_secs_f32());
    }
    ensure(milestones.len() == 5, || format!("only {milestones:?}"))
}

/// A domain's entry in the report.
pub fn find<'a>(report: &'a Value, name: &str) -> Result<&'a Value> {
    let domains = report["domains"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let found = domains.iter().find(|domain| domain["name"] == name);
    found.ok_or_else(|| Error::Untrue(format!("{name} is not in the report: {report}")))
}

fn number(report: &Value, name: &str, key: &str) -> Result<u64> {
    let value = &find(report, name)?[key];
    value
        .as_u64()
        .ok_or_else(|| Error::Untrue(format!("{key} of {name} is {value} in the report")))
}

/// The PCR that the example measures into.
pub const PCR: u8 = 13;
