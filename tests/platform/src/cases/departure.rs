// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `exit = "domain"`: the boot domain halts, and the platform stands.

use std::fs;
use std::time::Duration;

use super::{audit, domain_from, ensure, example, new_guests, powers, ranges, same_domains};
use crate::archive::Archive;
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::departed::{self, Platform};
use crate::error::{Error, Result};
use crate::host;
use crate::machine::MachineSpec;
use crate::outcome::Outcome;
use crate::root::Step;

/// Name, domid and label of each domain of full disaggregation.
pub const DOMAINS: [(&str, u16, &str); 5] = [
    ("store", 1, "xenstore_t"),
    ("control", 2, "ctrl_t"),
    ("hardware", departed::HARDWARE, "hwdom_t"),
    ("net", 7, "guest_t"),
    ("web", 9, "isolated_t"),
];

/// XenStore, control, hardware and guests, each in a domain of its own; domain
/// 0 stays as an empty shell.
#[must_use]
pub fn full() -> Boot {
    let mut cases = vec![
        Case::of_boot("the-boot-domain-halts-and-all-stand", stand),
        Case::of_boot("every-domain-has-its-label", ranges::labelled),
        Case::of_boot("domb-adopt-reclaims-domain-0", reclaimed),
        Case::of_boot("who-is-shut-down-when-is-handed-over", ordered),
        Case::of_boot("the-hardware-domain-drives-disk-and-network", drives),
        Case::of_boot("the-pcr-is-what-domb-predicted", example::predicted),
        audit::passes(),
        Case::of_step(
            "guests-go-on-for-two-minutes",
            |_| Ok(Step::new("go-on", GO_ON)),
            |_, outcome| passed(outcome, "go-on"),
        ),
        new_guests::probing_pv(),
        Case::of_step(
            "the-control-domain-floods-its-own-console-and-goes-on",
            |_| Ok(Step::new("own-console", OWN_CONSOLE)),
            |_, outcome| passed(outcome, "own-console"),
        ),
        Case::of_boot("a-guest-maps-no-memory-of-another", |_, outcome| {
            let said = outcome.step("pv")?.lines.iter();
            let said = said.filter_map(|line| line.strip_prefix("probe: "));
            powers::guest_reached_nobody(outcome, &said.collect::<Vec<_>>(), powers::GUEST)
        }),
        powers::of_hardware(),
        powers::of_control(),
        Case::of_step(
            "the-control-domain-cannot-stop-the-hardware-domain",
            |_| Ok(Step::new("stop", STOP)),
            |_, outcome| passed(outcome, "stop"),
        ),
        Case::of_boot("nothing-else-is-denied", powers::nothing_else),
    ];
    cases.extend(ranges::cases());
    // The last: it ends the machine.
    cases.push(Case::of_boot(
        "a-crash-of-the-hardware-domain-restarts-the-machine",
        |_, outcome| {
            let done = outcome.find(&["control: done"])?.at;
            let crash = outcome.find(&["Hardware Dom3 crashed: rebooting machine"])?;
            ensure(crash.at >= done, || "it crashed too early".to_owned())
        },
    ));
    Boot {
        name: "full",
        prepare: ranges::prepare,
        end: End::PowerOff,
        cases,
    }
}

/// Full disaggregation as it is shipped.
pub fn prepare(bench: &Bench, name: &str, steps: &[Step]) -> Result<MachineSpec> {
    Platform::FULL.prepare(bench, name, steps)
}

/// Hardware and control in one domain, which has the serial port: domain 0 as
/// it was, but not domain 0, which is destroyed.
#[must_use]
pub fn one_domain() -> Boot {
    Boot {
        name: "hardware-and-control",
        prepare: prepare_one_domain,
        end: End::PowerOff,
        cases: vec![
            Case::of_boot("one-domain-has-the-devices-and-the-power", |_, outcome| {
                let expected = [("store", 1), ("dom", departed::HARDWARE), ("net", 7)];
                same_domains(outcome.domains.iter(), &expected)?;
                same_domains(outcome.finally.iter(), &expected)?;
                outcome.find(&["xl label: ", "dom ", "system_u:system_r:hwctl_t"])?;
                Ok(())
            }),
            Case::of_boot("it-drives-disk-and-network", drives),
            Case::of_boot("domain-0-is-destroyed", destroyed),
            audit::passes(),
            Case::of_boot("a-guest-boots-the-image-that-the-script-chose", chosen),
            Case::of_boot("the-pcr-is-what-domb-predicted", example::predicted),
        ],
    }
}

/// The machine of [`one_domain`].
pub fn prepare_one_domain(bench: &Bench, name: &str, steps: &[Step]) -> Result<MachineSpec> {
    let dir = bench.directory(name)?;
    let path = dir.join("launch.toml");
    fs::write(&path, one_domain_configuration()).map_err(Error::file("write", &path))?;
    let mut control = departed::control_root(bench, steps, "7")?;
    departed::add_drivers(&mut control, &bench.parts)?;
    control.write(&dir.join("control.cpio"))?;
    departed::guest_root()?.write(&dir.join("fallback.cpio"))?;
    // Without an init: who boots it, panics.
    Archive::new().write(&dir.join("guest.cpio"))?;
    let script = dir.join("launch.rhai");
    fs::write(&script, CHOOSES).map_err(Error::file("write", &script))?;
    departed::machine(bench, name, &["policy/flask/hardware-control.te"])
}

fn one_domain_configuration() -> String {
    let label = "seclabel = \"system_u:system_r:guest_t\"\nmemory = \"128M\"\n\
                 images = [{ name = \"fallback\", kernel = \"vmlinuz\", ramdisk = \"fallback.cpio\" }]";
    [
        "script = \"launch.rhai\"\nexit = \"domain\"\nreclaim = \"destroy\"\nflask_policy = \"xenpolicy-domain\"\n",
        ONE_DOMAIN,
        &domain_from("net", 7, "vmlinuz", "guest.cpio", label),
    ]
    .concat()
}

/// The pinned digest is of no file, so the guest gets its other image.
const CHOOSES: &str = r#"fn launch(facts, plan) {
    plan.allow_all();
    let net = facts.domain("net");
    if net.ramdisk.sha256 != "00" { plan.use_image("net", "fallback"); }
    plan
}
"#;

/// It beats, which its own ramdisk could not; what was measured is predicted,
/// and the report names the file that boots.
fn chosen(_: &Bench, outcome: &Outcome) -> Result<()> {
    let report = outcome.report()?;
    let net = example::find(&report, "net")?;
    let digest = host::sha256(&outcome.directory.join("fallback.cpio"))?;
    ensure(
        net["state"] == "running"
            && net["changed"]
                == serde_json::json!(["kernel = \"vmlinuz\"", "ramdisk = \"fallback.cpio\""])
            && net["ramdisk"]["path"] == "fallback.cpio"
            && net["ramdisk"]["sha256"] == digest,
        || format!("the report says {net}"),
    )?;
    let beats = outcome.heartbeats(7, "net", Duration::ZERO);
    ensure(beats >= 3, || format!("net printed {beats} heartbeats"))
}

const ONE_DOMAIN: &str = r#"
[[domain]]
name = "store"
domid = 1
type = "pv"
kernel = "vmlinuz"
memory = "112M"
roles = ["xenstore"]
seclabel = "system_u:system_r:xenstore_t"

[[domain]]
name = "dom"
domid = 3
type = "pv"
kernel = "vmlinuz"
ramdisk = "control.cpio"
cmdline = "console=hvc0 loglevel=4 panic=1"
memory = "512M"
roles = ["hardware", "control"]
seclabel = "system_u:system_r:hwctl_t"
"#;

/// Nothing of domain 0 is left, and its memory is free.
fn destroyed(_: &Bench, outcome: &Outcome) -> Result<()> {
    outcome.find(&["control: up", "adopt=0"])?;
    let line = outcome.find(&["adopt: destroyed domain 0, which had"])?;
    println!("        {}", line.text);
    let line = outcome.find(&["adopt: Xen had", "now has"])?;
    println!("        {}", line.text);
    let (before, after) = (number(&line.text, "had ")?, number(&line.text, "now has ")?);
    ensure(after > before + 900, || line.text.clone())?;
    ensure(outcome.find(&["xl label: ", "domb_t"]).is_err(), || {
        "a domain has the boot domain's label".to_owned()
    })
}

/// All five stand, and the guests' hearts beat after the boot domain's halt.
pub fn stand(_: &Bench, outcome: &Outcome) -> Result<()> {
    let halted = outcome.find(&["domb: exit", HALTS])?.at;
    let expected = DOMAINS.map(|(name, domid, _)| (name, domid));
    same_domains(outcome.domains.iter(), &expected)?;
    same_domains(outcome.finally.iter(), &expected)?;
    for (name, domid) in [("net", 7), ("web", 9)] {
        let beats = outcome.heartbeats(domid, name, halted);
        ensure(beats >= 3, || {
            format!("{beats} heartbeats of {name} after the halt")
        })?;
    }
    Ok(())
}

/// The last line of the boot domain.
pub const HALTS: &str = "the boot domain halts (domain)";

/// The moments of a departure by the serial log, counted from Xen's first line.
pub fn milestones(outcome: &Outcome) -> Result<Vec<(&'static str, Duration)>> {
    let zero = outcome.find(&["Xen version 4."])?.at;
    let moments: [(&str, &[&str]); 9] = [
        ("domb is PID 1", &["domb: boot"]),
        (
            "everything is measured",
            &["domb: measure", "events in PCR"],
        ),
        ("the xenstore domain serves", &["serves XenStore"]),
        ("the guests are built, paused", &["domains built, paused"]),
        (
            "the control domain is ready",
            &["the control domain is ready"],
        ),
        (
            "the hardware domain is created",
            &["Initialising hardware domain"],
        ),
        ("all domains run", &["domains running"]),
        ("the boot domain halts", &[HALTS]),
        ("the hardware domain drives its devices", &["hardware: up"]),
    ];
    let at = |words: &[&str]| Ok(outcome.find(words)?.at.saturating_sub(zero));
    let found = moments.into_iter();
    found.map(|(name, words)| Ok((name, at(words)?))).collect()
}

/// As the configuration asks.
pub fn labelled(_: &Bench, outcome: &Outcome) -> Result<()> {
    labelled_as(outcome, &DOMAINS)
}

/// Each domain of these has its label.
pub fn labelled_as(outcome: &Outcome, domains: &[(&str, u16, &str)]) -> Result<()> {
    for (name, _, label) in domains {
        let label = format!("system_u:system_r:{label}");
        outcome.find(&["xl label: ", &format!(" {name} "), &label])?;
    }
    Ok(())
}

/// The records are there, and domain 0 is a shell.
pub fn reclaimed(_: &Bench, outcome: &Outcome) -> Result<()> {
    outcome.find(&["control: up", "adopt=0"])?;
    for file in [
        "launch.toml",
        "flask.policy",
        "report.json",
        "eventlog",
        ".libxl-json",
    ] {
        outcome.find(&["adopt: adopted", file])?;
    }
    let line = outcome.find(&["adopt: ", "domain 0", "keeps"])?;
    println!("        {}", line.text);
    let kept: u64 = number(&line.text, "keeps ")?;
    ensure((1..400).contains(&kept), || line.text.clone())?;
    outcome.find(&["adopt again: ", "domain 0", "keeps"])?;
    Ok(())
}

/// By the report that was handed over, and by `domb adopt`.
fn ordered(_: &Bench, outcome: &Outcome) -> Result<()> {
    let order = &outcome.report()?["shutdown_order"];
    ensure(
        *order == serde_json::json!(["web", "net", "hardware"]),
        || format!("the report says {order}"),
    )?;
    outcome.find(&["adopt: to be shut down in this order: web, net, hardware"])?;
    Ok(())
}

/// A sector is read, a packet answered.
pub fn drives(_: &Bench, outcome: &Outcome) -> Result<()> {
    outcome.find(&["hardware: pci", "0x8086", "ahci"])?;
    outcome.find(&["hardware: pci", "0x100e", "e1000"])?;
    outcome.find(&["hardware: sector", departed::SECTOR])?;
    outcome.find(&["hardware: 64 bytes from 10.0.2.2"])?;
    Ok(())
}

/// The step ended well.
pub fn passed(outcome: &Outcome, step: &str) -> Result<()> {
    let step = outcome.step(step)?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))
}

/// The number after `word`.
fn number(text: &str, word: &str) -> Result<u64> {
    let digits = text.split_once(word).map(|(_, rest)| rest);
    let digits = digits.and_then(|rest| rest.split_whitespace().next());
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Error::Untrue(format!("no number after {word:?} in {text}")))
}

/// Heartbeats on the console, and the counters in the store.
const GO_ON: &str = "
net=$(xenstore-read /local/domain/7/data/beat) || exit 1
web=$(xenstore-read /local/domain/9/data/beat) || exit 2
sleep 120
await_heartbeats 7 3 120 || exit 3
await_heartbeats 9 3 120 || exit 4
net_later=$(xenstore-read /local/domain/7/data/beat)
web_later=$(xenstore-read /local/domain/9/data/beat)
echo \"counters of net $net to $net_later, of web $web to $web_later\"
[ \"$net_later\" -gt $((net + 30)) ] && [ \"$web_later\" -gt $((web + 30)) ] || exit 5
";

/// The domain of XenStore reads it.
const OWN_CONSOLE: &str = "
[ -c /dev/hvc0 ] || exit 1
yes 'a line that nobody wants to read' | head -c 200000 >/dev/hvc0 || exit 2
";

/// `xl` does not say by its status that Xen refused.
const STOP: &str = "
xl pause hardware
xl list hardware | tail -n 1 | grep hardware || exit 1
xl list hardware | tail -n 1 | grep -e '--p---' && exit 2
exit 0
";
