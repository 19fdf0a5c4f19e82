// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The demonstration of full disaggregation. As in `demo.rs`, everything it
//! says is checked first.

use std::time::Duration;

use crate::bench::Bench;
use crate::boot::{Boot, End};
use crate::cases::{departure, example};
use crate::error::Result;
use crate::outcome::Outcome;

/// Boots, shows progress on stderr, prints the summary on stdout.
pub fn run(bench: &Bench) -> Result<()> {
    eprintln!(
        "booting full disaggregation: XenStore, control, hardware and two guests, no domain 0"
    );
    let boot = Boot {
        name: "demo-disaggregated",
        prepare: departure::prepare,
        end: End::PowerOff,
        cases: Vec::new(),
    };
    let outcome = boot.run_twice(bench, Some(progress))?;
    for check in [
        departure::stand,
        departure::labelled,
        departure::reclaimed,
        departure::drives,
        example::predicted,
    ] {
        check(bench, &outcome)?;
    }
    println!("\n`xl list -Z` in the control domain, after the boot domain's halt");
    for line in labels(&outcome) {
        println!("{line}");
    }
    println!("\nwhat `domb adopt` did there");
    for line in after(&outcome, "adopt: ") {
        println!("{line}");
    }
    println!("\nwhat the hardware domain drives");
    for line in after(&outcome, "hardware: ") {
        println!("{line}");
    }
    println!("\nPCR 13 in the TPM, as predicted on this host");
    for ((bank, _), value) in outcome
        .pcrs
        .iter()
        .filter(|((_, pcr), _)| *pcr == example::PCR)
    {
        println!("{bank:7}  {value}");
    }
    println!("\nseconds since Xen's first line");
    for (name, at) in departure::milestones(&outcome)? {
        println!("{:7.2}  {name}", at.as_secs_f32());
    }
    println!("\nphase     seconds  MiB that the boot domain had to spare at its end, of 1024");
    for phase in outcome.report()?["phases"].as_array().into_iter().flatten() {
        let [begin, end, left] =
            ["begin_ms", "end_ms", "available_mib"].map(|key| phase[key].as_u64());
        let took = end.zip(begin).map(|(end, begin)| end - begin);
        let seconds = Duration::from_millis(took.unwrap_or_default()).as_secs_f32();
        let name = phase["name"].as_str().unwrap_or_default();
        println!("{name:8}  {seconds:7.2}  {}", left.unwrap_or_default());
    }
    let halted = outcome.find(&[departure::HALTS])?.at;
    println!("\nheartbeats since the boot domain halted");
    for (name, domid) in [("net", 7), ("web", 9)] {
        println!("{name:4}  {}", outcome.heartbeats(domid, name, halted));
    }
    println!(
        "\nserial log: {}",
        outcome.directory.join("serial.log").display()
    );
    println!(
        "platform up: {} domains, boot domain exited (domain)",
        outcome.finally.len()
    );
    Ok(())
}

fn progress(line: &str) -> bool {
    let words = ["domb: ", "hardware: ", "adopt: ", "control: ", "heartbeat"];
    words.iter().any(|word| line.contains(word)) || line.starts_with("(XEN) Xen version")
}

fn labels(outcome: &Outcome) -> impl Iterator<Item = &str> {
    after(outcome, "xl label: ")
}

fn after<'o>(outcome: &'o Outcome, word: &'static str) -> impl Iterator<Item = &'o str> {
    let lines = outcome.lines.iter();
    lines.filter_map(move |line| line.text.strip_prefix(word))
}
