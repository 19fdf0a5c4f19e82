// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the domains of a platform without domain 0 try in vain: the hardware
//! domain has no power over domains, the control domain none over hardware, a
//! guest none over another. Each is the hypercall itself (`labels/probe.c`), and
//! what refuses says so: Flask by a denial with `EACCES`, Xen's own ranges, which
//! are asked before Flask, by `EPERM`.

use std::fmt::Write as _;
use std::fs;

use super::ensure;
use super::labels::{denied, only_these_denied};
use crate::archive::Archive;
use crate::bench::Bench;
use crate::boot::Case;
use crate::error::{Error, Result};
use crate::flask;
use crate::outcome::Outcome;
use crate::root::Step;

/// Words for the probe, what it says, and Flask's denial: source, target, class,
/// permission.
type Probe = (&'static str, &'static str, Option<[&'static str; 4]>);

const MAP: &str = "map_read map_write";

/// Domain 2 is the control domain, 7 a guest with devices.
const HARDWARE: [Probe; 5] = [
    (
        "create",
        "create: refused, EACCES",
        Some(["hwdom_t", "guest_t", "domain", "create"]),
    ),
    (
        "destroy 7",
        "destroy: refused, EACCES",
        Some(["hwdom_t", "driver_t", "domain", "destroy"]),
    ),
    (
        "pause 7",
        "pause: refused, EACCES",
        Some(["hwdom_t", "driver_t", "domain", "pause"]),
    ),
    (
        "map 7",
        "map: refused, EACCES",
        Some(["hwdom_t", "driver_t", "mmu", MAP]),
    ),
    (
        "map 2",
        "map: refused, EACCES",
        Some(["hwdom_t", "ctrl_t", "mmu", MAP]),
    ),
];

/// What the hardware domain of a boot with these cases tries.
pub const HARDWARE_WORDS: [&str; 5] = [
    HARDWARE[0].0,
    HARDWARE[1].0,
    HARDWARE[2].0,
    HARDWARE[3].0,
    HARDWARE[4].0,
];

/// Domain 3 is the hardware domain, frame 0xfed40 the TPM, port 0x70 the clock.
const CONTROL: [Probe; 9] = [
    (
        "device 0xfed40",
        "device: refused, EACCES",
        Some(["ctrl_t", "domio_t", "mmu", MAP]),
    ),
    ("iomem 0xfed40 2", "iomem: refused, EPERM", None),
    ("ioport 0x70 2", "ioport: refused, EPERM", None),
    (
        "apic",
        "apic: refused, EACCES",
        Some(["ctrl_t", "xen_t", "xen", "readapic"]),
    ),
    (
        "pci",
        "pci: refused, EACCES",
        Some(["ctrl_t", "device_t", "resource", "plug"]),
    ),
    (
        "sleep",
        "sleep: refused, EACCES",
        Some(["ctrl_t", "xen_t", "xen", "sleep"]),
    ),
    (
        "policy",
        "policy: refused, EACCES",
        Some(["ctrl_t", "security_t", "security", "load_policy"]),
    ),
    (
        "map 3",
        "map: refused, EACCES",
        Some(["ctrl_t", "hwdom_t", "mmu", MAP]),
    ),
    (
        "pause 3",
        "pause: refused, EACCES",
        Some(["ctrl_t", "hwdom_t", "domain", "pause"]),
    ),
];

/// What a new guest tries on domain 7.
pub const GUEST: [[&str; 4]; 2] = [
    ["guest_t", "driver_t", "mmu", MAP],
    ["guest_t", "driver_t", "grant", "map_read"],
];

/// Adds the probe to the hardware domain's root, which then tries these words
/// each time it comes up.
pub fn add_to_hardware(bench: &Bench, root: &mut Archive, words: &[&str]) -> Result<()> {
    let probe = probe(bench)?;
    let module = &bench.parts.xen_modules()[0];
    root.file("bin/probe", 0o755, probe)
        .file("lib/probes", 0o644, words.join("\n") + "\n")
        .copy(module, "lib/xen-privcmd.ko", 0o644)?;
    Ok(())
}

/// The hardware domain has no power over domains.
#[must_use]
pub fn of_hardware() -> Case {
    Case::of_boot(
        "the-hardware-domain-makes-stops-and-reads-no-domain",
        |_, outcome| {
            let said = outcome.lines.iter();
            let said = said.filter_map(|line| line.text.strip_prefix("hardware: probe: "));
            same(outcome, &HARDWARE, &said.collect::<Vec<_>>())
        },
    )
}

/// The control domain reaches no hardware, and not the hardware domain.
#[must_use]
pub fn of_control() -> Case {
    Case::of_step(
        "the-control-domain-reaches-no-hardware",
        |bench| {
            let mut script = "chmod +x probe\n".to_owned();
            for (words, ..) in CONTROL {
                writeln!(script, "./probe {words}").expect("a String takes all");
            }
            Ok(Step::new("probes", script).with("probe", probe(bench)?))
        },
        |_, outcome| {
            let step = outcome.step("probes")?;
            let said = step.lines.iter();
            let said = said.filter_map(|line| line.strip_prefix("probe: "));
            same(outcome, &CONTROL, &said.collect::<Vec<_>>())
        },
    )
}

/// A guest that tries to map a page and a grant of domain 7.
pub fn prober(bench: &Bench) -> Result<Vec<u8>> {
    flask::prober(bench, &directory(bench)?, "prober")?.bytes()
}

/// Neither is to be had.
pub fn guest_reached_nobody(
    outcome: &Outcome,
    said: &[&str],
    denials: [[&str; 4]; 2],
) -> Result<()> {
    ensure(
        said == ["map: refused, EACCES", "grant: refused, EPERM"],
        || format!("the guest said {said:?}"),
    )?;
    denials.iter().try_for_each(|what| denied(outcome, *what))
}

/// Whatever Flask denied was one of these probes: the platform itself asks for
/// nothing that it may not have.
pub fn nothing_else(_: &Bench, outcome: &Outcome) -> Result<()> {
    let probes = HARDWARE.iter().chain(&CONTROL);
    let denials = probes.filter_map(|(.., denial)| *denial);
    only_these_denied(outcome, &denials.chain(GUEST).collect::<Vec<_>>())
}

fn same(outcome: &Outcome, probes: &[Probe], said: &[&str]) -> Result<()> {
    let expected: Vec<&str> = probes.iter().map(|(_, says, _)| *says).collect();
    ensure(said == expected, || {
        format!("the probe said {said:#?} instead of {expected:#?}")
    })?;
    let mut denials = probes.iter().filter_map(|(.., denial)| *denial);
    denials.try_for_each(|what| denied(outcome, what))
}

fn probe(bench: &Bench) -> Result<Vec<u8>> {
    flask::probe(&directory(bench)?)
}

fn directory(bench: &Bench) -> Result<std::path::PathBuf> {
    let dir = bench.work.join("probes");
    fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
    Ok(dir)
}
