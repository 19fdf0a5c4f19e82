// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What labels cost: boots the same domain 0 under each kind of XSM, runs
//! `tests/platform/xsm/xsm.c` in it, and sums its samples up in a table.
//!
//!   xsm XEN PROGRAM POLICY RUNS
//!
//! The kinds take turns, RUNS times, so that a machine that slows down slows
//! all of them. A figure is the median of all samples of all boots, with the
//! quarter of the samples below and above it left out in brackets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use platform::{Error, MachineSpec, Parts, Result, Step, host, root};

/// A kind of XSM: its name in the table and Xen's words for it.
const KINDS: [(&str, &str); 4] = [
    ("dummy", "xsm=dummy"),
    ("silo", "xsm=silo"),
    ("permissive", "xsm=flask flask=permissive"),
    ("enforcing", "xsm=flask flask=enforcing"),
];
/// Batches a boot, calls a batch, calls with an empty cache. A batch is short,
/// so that most of them fit between two turns of whatever else the host does.
const AMOUNT: &str = "200 20 200";
/// One processor: no shootdown waits for another that the host has set aside.
const ALONE: [&str; 2] = ["maxcpus=1", "dom0_max_vcpus=1"];

/// By temperature, kind of XSM and hypercall: the ratios to CPUID.
type Samples = BTreeMap<(String, &'static str, String), Vec<f64>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [xen, program, policy, runs] = words.as_slice() else {
        eprintln!("usage: xsm XEN PROGRAM POLICY RUNS");
        return ExitCode::from(2);
    };
    let Ok(runs) = runs.parse() else {
        eprintln!("xsm: {runs:?} is no number of runs");
        return ExitCode::from(2);
    };
    match measure(Path::new(xen), Path::new(program), Path::new(policy), runs) {
        Ok(samples) => {
            print!("{}", table(&samples));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xsm: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn measure(xen: &Path, program: &Path, policy: &Path, runs: usize) -> Result<Samples> {
    let work = host::work().join("xsm");
    let mut parts = Parts::find(&work)?;
    parts.xen = unpacked(xen, &work)?;
    let root = control(program, &parts, &work)?;
    let mut samples = Samples::new();
    for run in 1..=runs {
        for (kind, words) in KINDS {
            eprintln!("xsm: run {run} of {runs}, {kind}");
            let machine = MachineSpec {
                name: kind.to_owned(),
                cpus: 2,
                memory_mib: 2048,
                dom0_memory_mib: 1024,
                xen: parts.xen.clone(),
                xen_cmdline: [&[words], ALONE.as_slice()]
                    .concat()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                kernel: parts.kernel.clone(),
                kernel_cmdline: Vec::new(),
                modules: vec![root.clone(), policy.to_owned()],
                tpm: platform::Tpm::Absent,
                tpm_state: None,
                devices: Vec::new(),
                dump_at: None,
            };
            boot(&machine, &work, kind, &mut samples)?;
        }
    }
    Ok(samples)
}

/// Xen as an ELF file, which is what QEMU takes.
fn unpacked(xen: &Path, work: &Path) -> Result<PathBuf> {
    let to = work.join("xen-flask.elf");
    let text = format!("gzip -dc {:?} > {:?}", xen.display(), to.display());
    host::run(std::process::Command::new("sh").args(["-c", &text]))?;
    Ok(to)
}

/// A domain 0 whose only step is the program.
fn control(program: &Path, parts: &Parts, work: &Path) -> Result<PathBuf> {
    let bytes = std::fs::read(program).map_err(Error::file("read", program))?;
    let script = format!("chmod +x xsm && ./xsm {AMOUNT}");
    let mut archive = root::control_root(&[Step::new("xsm", script).with("xsm", bytes)])?;
    root::add_daemons(&mut archive, parts)?;
    let path = work.join("root.cpio");
    archive.write(&path)?;
    Ok(path)
}

fn boot(spec: &MachineSpec, work: &Path, kind: &'static str, samples: &mut Samples) -> Result<()> {
    let mut machine = spec.start(work)?;
    machine.wait_exit(Duration::from_secs(600))?;
    let (mut count, mut warmed) = (0, 0);
    for line in machine.serial.lines() {
        let Some(sample) = line.text.strip_prefix("step xsm: sample ") else {
            continue;
        };
        let words: Vec<&str> = sample.split(' ').collect();
        let &[temperature, call, ratio, _ticks, misses] = words.as_slice() else {
            return Err(Error::Untrue(format!("not a sample: {sample:?}")));
        };
        // Linux writes to the console by the same hypercall and may fill the cache first.
        if temperature == "cold" && misses == "0" && call != "none" {
            warmed += 1;
            continue;
        }
        let ratio = ratio
            .parse()
            .map_err(|_| Error::Untrue(format!("not a ratio: {sample:?}")))?;
        let key = (temperature.to_owned(), kind, call.to_owned());
        samples.entry(key).or_default().push(ratio);
        count += 1;
    }
    if warmed > count / 20 {
        return Err(Error::Untrue(format!(
            "{warmed} of {count} samples found a cache that should have been cold"
        )));
    }
    if count == 0 {
        return Err(Error::Untrue(format!(
            "{kind} gave no sample; see {}",
            work.join(kind).display()
        )));
    }
    Ok(())
}

/// One row a hypercall; what each kind adds to dummy stands behind it.
fn table(samples: &Samples) -> String {
    let mut text = String::new();
    for (temperature, title) in [
        ("warm", "warm: the check finds its answer in Flask's cache"),
        (
            "cold",
            "cold: the cache is empty, Flask reads the policy (dummy is the warm figure)",
        ),
    ] {
        writeln!(
            text,
            "\n{title}\nratio to one CPUID: median [quarter .. three quarters], more than dummy"
        )
        .expect("writing to a String cannot fail");
        let mut calls: Vec<&str> = samples.keys().map(|(_, _, call)| call.as_str()).collect();
        calls.sort_unstable();
        calls.dedup();
        for call in calls {
            write!(text, "{call:<20}").expect("writing to a String cannot fail");
            let base = figure(samples, "warm", "dummy", call);
            for (kind, _) in KINDS {
                let of = if kind == "dummy" { "warm" } else { temperature };
                let Some([low, middle, high]) = figure(samples, of, kind, call) else {
                    continue;
                };
                write!(text, "  {kind} {middle:.0} [{low:.0} .. {high:.0}]")
                    .expect("writing to a String cannot fail");
                if let Some([_, base, _]) = base.filter(|_| kind != "dummy") {
                    let more = (middle / base - 1.0) * 100.0;
                    write!(text, " {more:+.1}%").expect("writing to a String cannot fail");
                }
            }
            text.push('\n');
        }
    }
    text
}

/// Quarter, median and three quarters of the samples.
fn figure(
    samples: &Samples,
    temperature: &str,
    kind: &'static str,
    call: &str,
) -> Option<[f64; 3]> {
    let key = (temperature.to_owned(), kind, call.to_owned());
    let mut ratios = samples.get(&key)?.clone();
    ratios.sort_by(f64::total_cmp);
    let at = |part: usize| ratios.get((ratios.len() - 1) * part / 4).copied();
    Some([at(1)?, at(2)?, at(3)?])
}
