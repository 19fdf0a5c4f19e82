// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ranges of the machine under an enforcing Flask, with a hardware domain that
//! is not domain 0: a PV guest has the TPM, a serial port and its interrupt, a
//! PVH guest has the last page of the
//! firmware, and `policy/launch/hardware-permissions.rhai` leaves
//! the hardware domain the clock and nothing else of what has a name. The same
//! platform as `xen-config/roles/dynamic-full`, with these lines more.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::departure::{self, DOMAINS};
use super::{ensure, example, powers};
use crate::bench::Bench;
use crate::boot::Case;
use crate::departed::{self, Platform};
use crate::error::{Error, Result};
use crate::flask;
use crate::host;
use crate::machine::MachineSpec;
use crate::outcome::Outcome;
use crate::root::Step;

/// The library's script, as it is.
const SCRIPT: &str = "hardware-permissions.rhai";

/// What has a name, and who has it: the hardware domain keeps the clock.
const RESOURCES: &str = r#"
[resources.tpm]
iomem = ["fed40,5"]
[resources.serial]
ioports = ["2f8-2ff"]
irqs = [3]
[resources.firmware]
iomem = ["fffff,1"]
[resources.rtc]
ioports = ["70-71"]
[data]
hardware_keeps = ["rtc"]
"#;

/// What the holders try: all of it, and it depends on who has what.
const NET: &str = "heartbeat=net probe=0xfffffff0 probe_port=0x2f8 probe_irq=3 tell_pcr=13 \
                   tpm_tis.force=1";
const WEB: &str = "heartbeat=web probe=0xfffffff0";
/// Its Linux looks for the TPM where it always is, and does not survive that
/// it may not.
const HARDWARE: &str = "panic=1 initcall_blacklist=init_tis probe=0xfffffff0,0xfed40f00 \
                        ports=0x2ff,0x71";

/// What each domain has by the report, in the order of the configuration.
const GIVEN: [(&str, &[&str]); 5] = [
    ("store", &[]),
    ("control", &[]),
    ("hardware", &[]),
    ("net", &["iomem fed40,5", "ioports 2f8-2ff", "irq 3"]),
    ("web", &["iomem fffff,1"]),
];
const WITHHELD: [&str; 4] = ["iomem fed40,5", "iomem fffff,1", "ioports 2f8-2ff", "irq 3"];

/// In the middle of the boot, when domain 0 has halted.
const DUMP_AT: &str = "STEP go-on ";

/// The shipped configuration of full disaggregation with ranges for its guests.
pub fn prepare(bench: &Bench, name: &str, steps: &[Step]) -> Result<MachineSpec> {
    let dir = bench.directory(name)?;
    let script = host::repository().join("policy/launch").join(SCRIPT);
    fs::copy(&script, dir.join(SCRIPT)).map_err(Error::file("copy", &script))?;
    flask::prober(bench, &dir, "counts")?.write(&dir.join("driver.cpio"))?;
    let platform = Platform {
        change: with_ranges,
        rules: &RULES,
        end: departed::CRASH,
        probes: &powers::HARDWARE_WORDS,
        ..Platform::FULL
    };
    let mut machine = platform.prepare_in(&dir, bench, name, steps)?;
    let serial = dir.join("serial-2.log");
    machine
        .devices
        .extend(["-serial".to_owned(), format!("file:{}", serial.display())]);
    machine.dump_at = Some(DUMP_AT);
    // Its PVH domain runs for minutes: on two CPUs the emulator often loses it.
    machine.cpus = 1;
    Ok(machine)
}

/// The label of the second that has devices.
const RULES: [&str; 1] = ["tests/platform/labels/devices.te"];

fn with_ranges(shipped: &str) -> String {
    let hardware = "memory = \"384M\"";
    let text = shipped
        .replacen("exit =", &format!("script = \"{SCRIPT}\"\nexit ="), 1)
        .replacen(
            &format!("panic=1\"\n{hardware}"),
            &format!("{HARDWARE}\"\n{hardware}"),
            1,
        )
        .replace("heartbeat=net", NET)
        .replace("heartbeat=web", WEB);
    let (front, guests) = text.split_at(text.find("name = \"net\"").unwrap_or_default());
    let has = |label: &str, names: &str| format!("{label}\"\nresources = {names}");
    let guests = guests
        .replacen("guest.cpio", "driver.cpio", 1)
        .replacen("guest_t\"", &has("driver_t", "[\"tpm\", \"serial\"]"), 1)
        .replacen("isolated_t\"", &has("clock_t", "[\"firmware\"]"), 1);
    [front, &guests, RESOURCES].concat()
}

/// All of them.
#[must_use]
pub fn cases() -> Vec<Case> {
    vec![
        Case::of_boot(
            "a-guest-has-the-tpm-and-the-hardware-domain-has-not",
            |bench, outcome| {
                outcome.find(&["console 7: control: pcr sha256 13"])?;
                outcome.find(&["hardware: page 0xfed40f00"])?;
                kept_from(outcome, "hardware: page 0xfed40f00")?;
                example::predicted(bench, outcome)
            },
        ),
        Case::of_boot("a-serial-port-and-its-interrupt-are-one-guests", serial),
        Case::of_boot("a-pvh-guest-has-a-page-and-nobody-else", page),
        Case::of_boot(
            "the-hardware-domain-keeps-what-the-script-leaves-it",
            |_, outcome| {
                let line = outcome.find(&["hardware: port 0x71"])?;
                ensure(!line.text.ends_with(" ff"), || line.text.clone())
            },
        ),
        Case::of_step(
            "the-control-domain-has-no-range",
            |bench| {
                let dir = bench.work.join("probe");
                fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
                Ok(Step::new("no-range", NO_RANGE).with("probe", flask::probe(&dir)?))
            },
            |_, outcome| departure::passed(outcome, "no-range"),
        ),
        Case::of_boot("the-report-says-who-has-what", reported),
        Case::of_boot("xen-says-the-same-and-domain-0-has-nothing", dumped),
    ]
}

/// As the configuration asks, the guests with devices by labels of their own.
pub fn labelled(_: &Bench, outcome: &Outcome) -> Result<()> {
    let labels = DOMAINS.map(|(name, domid, label)| match name {
        "net" => (name, domid, "driver_t"),
        "web" => (name, domid, "clock_t"),
        _ => (name, domid, label),
    });
    departure::labelled_as(outcome, &labels)
}

/// The guest's line came out of the machine at the other end of the wire.
fn serial(_: &Bench, outcome: &Outcome) -> Result<()> {
    outcome.find(&["console 7: probe net has the port"])?;
    outcome.find(&["console 7: probe: irq: allowed"])?;
    let path = outcome.directory.join("serial-2.log");
    let wire = fs::read(&path).map_err(Error::file("read", &path))?;
    let wire = String::from_utf8_lossy(&wire);
    ensure(wire.contains("this is net"), || {
        format!("the wire had {wire:?}")
    })?;
    let line = outcome.find(&["hardware: port 0x2ff"])?;
    ensure(line.text.ends_with(" ff"), || line.text.clone())
}

fn page(_: &Bench, outcome: &Outcome) -> Result<()> {
    let read = outcome.find(&["console 9: probe web read 0x"])?;
    ensure(read.text.to_lowercase().contains(RESET), || {
        format!("this is no reset vector: {}", read.text)
    })?;
    outcome.find(&["console 7: probe net could not"])?;
    kept_from(outcome, "hardware: page 0xfffffff0")
}

/// Where the processor begins: a far jump to f000:e05b.
const RESET: &str = "e05bea";

/// The line has no value of the page.
fn kept_from(outcome: &Outcome, words: &str) -> Result<()> {
    let line = outcome.find(&[words])?;
    let value = line.text.split(words).last().unwrap_or_default().trim();
    ensure(!value.starts_with("0x") || value == "0xFFFFFFFF", || {
        line.text.clone()
    })
}

const NO_RANGE: &str = "
for address in 0xfffffff0 0xfed40f00; do
    value=$(devmem $address 32 2>&1) && [ \"$value\" != 0xFFFFFFFF ] && { echo $value; exit 1; }
done
[ \"$(dd if=/dev/port bs=1 skip=$((0x2ff)) count=1 2>/dev/null | od -An -tx1)\" = ' ff' ] || exit 2
chmod +x probe
./probe irq 3
";

fn reported(_: &Bench, outcome: &Outcome) -> Result<()> {
    let report = outcome.report()?;
    let texts = |value: &Value| {
        let texts = value.as_array().into_iter().flatten();
        texts
            .filter_map(|it| Some(it.as_str()?.to_owned()))
            .collect::<Vec<_>>()
    };
    for (name, ranges) in GIVEN {
        let found = texts(&example::find(&report, name)?["ranges"]);
        ensure(found == ranges, || format!("{name} has {found:?}"))?;
    }
    let found = texts(&report["withheld"]);
    ensure(found == WITHHELD, || format!("withheld: {found:?}"))?;
    for range in WITHHELD {
        outcome.find(&["domb: handoff", &format!("domain 0 is kept from {range}")])?;
    }
    Ok(())
}

/// By Xen's own word, which asks nobody: its debug key.
fn dumped(_: &Bench, outcome: &Outcome) -> Result<()> {
    let all = [0, 1, 2, 3, 7, 9].map(|domid| (domid, sets(outcome, domid)));
    for (domid, dumps) in &all {
        ensure(!dumps.is_empty(), || {
            format!("Xen says nothing of domain {domid}")
        })?;
    }
    let is = |domid: u16, expected: [&str; 3]| {
        let (_, dumps) = all
            .iter()
            .find(|(it, _)| *it == domid)
            .expect("all are there");
        let fits = |sets: &BTreeMap<String, String>| {
            let mut kinds = ["I/O Memory", "I/O Ports", "Interrupts"]
                .iter()
                .zip(expected);
            kinds.all(|(kind, expected)| sets.get(*kind).is_some_and(|found| found == expected))
        };
        ensure(dumps.iter().any(fits), || {
            format!("domain {domid} has {dumps:?}")
        })
    };
    for domid in [0, 1, 2] {
        is(domid, ["", "", ""])?;
    }
    is(7, ["fed40-fed44", "2f8-2ff", "3"])?;
    is(9, ["fffff", "", ""])?;
    let (_, hardware) = all
        .iter()
        .find(|(domid, _)| *domid == departed::HARDWARE)
        .expect("it is");
    let fits = |sets: &BTreeMap<String, String>| {
        let has = |kind: &str, one: u64, radix| {
            let ranges = sets.get(kind).map(String::as_str).unwrap_or_default();
            ranges.split(", ").any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let end = |text| u64::from_str_radix(text, radix);
                matches!((end(first), end(last)), (Ok(first), Ok(last)) if (first..=last).contains(&one))
            })
        };
        let keeps = has("I/O Ports", 0x70, 16)
            && has("I/O Memory", 0xfed3f, 16)
            && has("Interrupts", 4, 10);
        let lost = [
            ("I/O Memory", 0xfffff, 16),
            ("I/O Memory", 0xfed40, 16),
            ("I/O Memory", 0xfed44, 16),
            ("I/O Ports", 0x2f8, 16),
            ("I/O Ports", 0x2ff, 16),
            ("Interrupts", 3, 10),
        ];
        keeps
            && !lost
                .iter()
                .any(|(kind, one, radix)| has(kind, *one, *radix))
    };
    ensure(hardware.iter().any(fits), || {
        format!("the hardware domain has {hardware:?}")
    })
}

/// What Xen's dumps say a domain has: by kind, without the braces.
fn sets(outcome: &Outcome, domid: u16) -> Vec<BTreeMap<String, String>> {
    let heading = format!("(XEN) Rangesets belonging to domain {domid}:");
    let begins = |line: &usize| outcome.lines[*line].text == heading;
    let dumps = (0..outcome.lines.len()).filter(begins);
    let dumps = dumps.map(|line| {
        let lines = outcome.lines[line + 1..].iter().take(3);
        let sets = lines.filter_map(|line| {
            let (kind, ranges) = line.text.strip_prefix("(XEN) ")?.split_once('{')?;
            let ranges = ranges.trim().strip_suffix('}')?;
            Some((kind.trim().to_owned(), ranges.trim().to_owned()))
        });
        sets.collect()
    });
    dumps.collect()
}
