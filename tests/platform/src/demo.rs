// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The demonstration: boots the example and tells a person what came of it.
//! Everything it says is checked first, so the last line cannot be a lie.

use std::fs;

use serde_json::Value;

use crate::bench::Bench;
use crate::boot::{Boot, End};
use crate::cases::{ensure, example};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::root::{self, Step};

/// Boots, shows progress on stderr, prints the summary on stdout.
pub fn run(bench: &Bench) -> Result<()> {
    eprintln!("booting the example: Xen, domb as the boot domain, three domains");
    let outcome = boot().run_twice(bench, Some(progress))?;
    for check in [
        example::stand,
        example::beat,
        example::in_order,
        example::predicted,
        example::gone,
        example::digests,
    ] {
        check(bench, &outcome)?;
    }
    let report = outcome.report()?;
    domains(&outcome, &report)?;
    measurement(&outcome, &report);
    moments(&outcome);
    parts(bench, &outcome)?;
    who_runs(&outcome);
    println!(
        "\nserial log: {}",
        outcome.directory.join("serial.log").display()
    );
    println!(
        "platform up: {} domains, boot domain exited (process)",
        outcome.finally.len()
    );
    Ok(())
}

fn boot() -> Boot {
    let prepare = |bench: &Bench, name: &str, steps: &[Step]| {
        example::prepare_with(bench, name, &root::control_root(steps)?)
    };
    Boot {
        name: "demo",
        prepare,
        end: End::PowerOff,
        cases: Vec::new(),
    }
}

/// What a person wants to see while it works.
fn progress(line: &str) -> bool {
    ["domb: ", "control: up", "heartbeat", "control: done"]
        .iter()
        .any(|word| line.contains(word))
        || line.starts_with("(XEN) Xen version")
}

fn domains(outcome: &Outcome, report: &Value) -> Result<()> {
    println!("\ndomid  name  type  memory  built      unpaused   heartbeats since domb left");
    let since = outcome.find(&["control: up"])?.at;
    for (name, domid, kind) in example::DOMAINS {
        let domain = example::find(report, name)?;
        let found = outcome.finally.iter().find(|listed| listed.domid == domid);
        let memory = found.map_or(0, |listed| listed.memory_mib);
        ensure(domain["type"] == kind, || {
            format!("{name} is {}, not {kind}", domain["type"])
        })?;
        let seconds = |key: &str| domain[key].as_f64().unwrap_or(f64::NAN) / 1000.0;
        println!(
            "{domid:5}  {name:4}  {kind:4}  {memory:3} MiB  {:7.3} s  {:7.3} s  {}",
            seconds("built_ms"),
            seconds("unpaused_ms"),
            outcome.heartbeats(domid, name, since),
        );
    }
    println!("\nSHA-256 of what booted");
    for (name, ..) in example::DOMAINS {
        for part in ["kernel", "ramdisk"] {
            let file = &example::find(report, name)?[part];
            println!(
                "{name:4}  {part:7}  {}  {}",
                text(&file["sha256"]),
                text(&file["path"])
            );
        }
    }
    Ok(())
}

fn measurement(outcome: &Outcome, report: &Value) {
    println!(
        "\nPCR {} in the TPM, as predicted on this host",
        example::PCR
    );
    for ((bank, pcr), value) in &outcome.pcrs {
        if *pcr == example::PCR {
            println!("{bank:7}  {value}");
        }
    }
    println!(
        "{} events in {}",
        report["measurement"]["events"],
        text(&report["measurement"]["event_log"])
    );
}

fn moments(outcome: &Outcome) {
    println!("\nseconds since Xen's first line");
    for (name, at) in example::milestones(outcome) {
        println!("{:7.2}  {name}", at.as_secs_f32());
    }
}

/// What `domb image` said it put in, and the size of the binary.
fn parts(bench: &Bench, outcome: &Outcome) -> Result<()> {
    let path = outcome.directory.join("image.txt");
    let said = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let size = fs::metadata(&bench.domb)
        .map_err(Error::file("read", &bench.domb))?
        .len();
    println!(
        "\nthe boot domain's image (domb itself: {size} bytes)\n{}",
        said.trim_end()
    );
    Ok(())
}

fn who_runs(outcome: &Outcome) {
    println!("\nprograms in domain 0 after domb has gone");
    for (pid, program) in &outcome.processes {
        println!("{pid:5}  {program}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}
