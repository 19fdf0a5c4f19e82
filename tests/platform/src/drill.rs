// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Drills that take longer than a test may: the boot domain dies at each phase
//! boundary, and what happens then is the documented thing; many starts of the
//! xenstore domain in one boot; many boots of full disaggregation.
//!
//! The first two need a domb that dies on request:
//! `DOMB=$(CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true scripts/build --features faults)`.

use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::boot::{Boot, End};
use crate::cases::{departure, ensure};
use crate::error::{Error, Result};
use crate::figures::Moments;
use crate::machine::Machine;

/// Where the boot domain dies, and what the last word about it is: the
/// machine's restart by Xen, or by the control domain; or a platform that
/// stands.
const DEATHS: [(&str, &str); 9] = [
    ("config", RESTART_BY_XEN),
    ("measure", RESTART_BY_XEN),
    ("policy", RESTART_BY_XEN),
    ("build", RESTART_BY_XEN),
    ("handoff", RESTART_BY_XEN),
    ("services", RESTART_BY_XEN),
    ("hardware", RESTART_BY_CONTROL),
    ("handed-off", RESTART_BY_CONTROL),
    ("departed", STANDS),
];

/// Domain 0 is the hardware domain yet.
const RESTART_BY_XEN: &str = "Hardware Dom0 crashed: rebooting machine";
/// The hardware domain is told to restart the machine.
const RESTART_BY_CONTROL: &str = "Hardware Dom3 shutdown: rebooting machine";
const STANDS: &str = "control: up";

/// Boots once for each death whose name contains `filter`.
pub fn deaths(bench: &Bench, filter: &str) -> Result<bool> {
    let mut good = true;
    for (phase, last) in DEATHS.iter().filter(|(phase, _)| phase.contains(filter)) {
        good &= told(&format!("dies at {phase}"), || die(bench, phase, last));
    }
    Ok(good)
}

/// Runs one part of a drill, and prints whether it went well, how long it took
/// and what it has to say.
pub fn told(what: &str, part: impl FnOnce() -> Result<String>) -> bool {
    let began = Instant::now();
    let verdict = part();
    let seconds = began.elapsed().as_secs();
    match verdict {
        Ok(text) => {
            println!("ok      {what} {seconds} s  {text}");
            true
        }
        Err(error) => {
            println!("FAILED  {what} {seconds} s  {}", error.chain());
            false
        }
    }
}

fn die(bench: &Bench, phase: &str, last: &str) -> Result<String> {
    let name = format!("drill-{phase}");
    let mut spec = departure::prepare(bench, &name, &[])?;
    spec.kernel_cmdline.push(format!("domb.fault={phase}"));
    let mut machine = spec.start(&bench.work)?;
    machine.serial.crash_is_expected();
    let fault = format!("domb: FAULT    at {phase}");
    let died = machine.serial.wait_for(&fault, BOOT)?.at;
    let line = machine.serial.wait_for(last, died + END)?.text.clone();
    if last != STANDS {
        // It must not reboot, so it ends.
        machine.wait_exit(died + END)?;
    }
    Ok(line)
}

/// Starts the xenstore domain `count` times in one boot, and then goes on.
pub fn store_starts(bench: &Bench, count: u32) -> Result<bool> {
    let mut spec = departure::prepare(bench, "drill-store", &[])?;
    spec.kernel_cmdline
        .push(format!("domb.store-starts={count}"));
    let mut machine = spec.start(&bench.work)?;
    let (mut last, mut times) = (Duration::ZERO, Vec::new());
    for start in 1..=count {
        let text = format!("domb: DRILL    start {start} served after");
        let line = wait(&mut machine, &text, last)?;
        last = line.0;
        times.push(line.1);
    }
    wait(&mut machine, "domb: exit     the boot domain halts", last)?;
    times.sort_unstable();
    let [first, .., slowest] = times[..] else {
        return Err(Error::Untrue("fewer than two starts".to_owned()));
    };
    let middle = times[times.len() / 2];
    println!(
        "{count} starts of the xenstore domain: {first} to {slowest} ms, half within {middle} ms"
    );
    Ok(true)
}

fn wait(machine: &mut Machine, text: &str, from: Duration) -> Result<(Duration, u64)> {
    let line = machine.serial.wait_for(text, from + BOOT)?;
    let number = line.text.split_whitespace().rev().nth(1);
    Ok((line.at, number.and_then(|it| it.parse().ok()).unwrap_or(0)))
}

/// Boots full disaggregation `count` times, one boot after another, on one CPU, so that
/// no loss is the emulator's.
pub fn soak(bench: &Bench, count: u32) -> Result<bool> {
    let boot = Boot {
        name: "soak",
        prepare: departure::prepare,
        end: End::PowerOff,
        cases: Vec::new(),
    };
    let (mut good, mut moments) = (0, Moments::default());
    for number in 1..=count {
        let began = Instant::now();
        let result = boot
            .run_on_one_cpu(bench)
            .and_then(|outcome| departure::stand(bench, &outcome).map(|()| outcome));
        let seconds = began.elapsed().as_secs();
        match result.and_then(|outcome| departure::milestones(&outcome)) {
            Ok(boot) => {
                good += 1;
                let up = moments.add(boot).as_secs();
                println!("boot {number:3}: stands after {up} s, ended after {seconds} s");
            }
            Err(error) => println!(
                "boot {number:3}: FAILED after {seconds} s: {}",
                error.chain()
            ),
        }
    }
    moments.print();
    println!("{good} of {count} boots");
    ensure(good == count, || {
        format!("{} of {count} boots failed", count - good)
    })?;
    Ok(true)
}

const BOOT: Duration = Duration::from_secs(900);
const END: Duration = Duration::from_secs(600);
