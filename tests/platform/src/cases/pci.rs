// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A PCI device that the launch script gives to one domain by its name: the
//! domain has it through xen-pcifront, counts as ready when its backend says
//! so, and domain 0 has it no longer.

use super::{domain, domain_from, ended_with, ensure, failed_in, launch_step, standing};
use crate::bench::Bench;
use crate::boot::Case;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::root::{self, Step};

/// What a configuration says of the device, so that the image has the backend.
pub const RESOURCE: &str = "[resources.nic]\npci = [\"0000:00:04.0\"]\n";

/// The words that give QEMU's machine the device, and an IOMMU.
pub const DEVICES: [&str; 4] = [
    "-device",
    "intel-iommu",
    "-device",
    "e1000e,addr=4.0,romfile=,mac=52:54:00:d0:0b:01",
];

/// The device, as domain 0 names it.
const DEVICE: &str = "/sys/bus/pci/devices/0000:00:04.0";
/// The first half of the card's address, where its register RAL0 has it: what
/// only somebody who reaches the card's memory can say.
const ADDRESS: &str = "0xD0005452";

const OWNER: (&str, u16) = ("owner", 481);
const NEEDS: (&str, u16) = ("needs", 482);
const LATER: (&str, u16) = ("later", 491);

/// All of them.
#[must_use]
pub fn cases() -> Vec<Case> {
    vec![
        Case::of_step("a-pci-device-is-its-owners-by-name", give, given),
        Case::of_step("a-pci-device-is-not-given-again", again, not_again),
        Case::of_step("a-pci-device-that-is-not-there", absent, not_there),
    ]
}

fn give(bench: &Bench) -> Result<Step> {
    let mut ramdisk = root::guest_ramdisk("")?;
    let driver = bench.parts.module("kernel/drivers/pci/xen-pcifront.ko");
    ramdisk.copy(&driver, "lib/xen-pcifront.ko", 0o644)?;
    let ready = "ready = { backend = \"pci/0\", timeout = \"10m\" }";
    let domains = [
        RESOURCE.to_owned(),
        domain_from(OWNER.0, OWNER.1, "/share/vmlinux", "pci.cpio", ready),
        domain(NEEDS.0, NEEDS.1, "after = [\"owner\"]"),
    ];
    let script = "fn launch(facts, plan) {\n\
        log(`iommu ${facts.platform.iommu}, roles ${facts.platform.roles}`);\n\
        plan.allow_all();\nplan.grant(\"owner\", \"nic\");\nplan\n}\n";
    let mut step = launch_step("device", &domains, Some(script));
    let owner = OWNER.1;
    // Domain 0's Linux says on the console that Xen refused it the page: not in
    // the midst of a report.
    let look = format!(
        "look() {{ echo \"$1: driver $(readlink {DEVICE}/driver) reads \
         $(devmem $((bar + 0x5400)) 32 2>&1)\"; }}\n"
    );
    step.script = step.script.replace(
        "launch\nstatus=$?\n",
        &format!(
            "{look}echo 1 >{DEVICE}/enable\nread -r bar _ <{DEVICE}/resource\nlook before\n\
             launch\nstatus=$?\n\
             await_heartbeats {owner} 1 240\ngrep ^pci /tmp/console-{owner}.log\n\
             dmesg -n 1\nlook after\n"
        ),
    );
    Ok(step.with("pci.cpio", ramdisk.bytes()?))
}

fn given(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("device")?;
    ended_with(step, 0)?;
    standing(step, &[OWNER, NEEDS])?;
    step.find(&["iommu true, roles [\"recovery\"]"])?;
    step.find(&["domb: handoff", "domain 0 is kept from pci 0000:00:04.0"])?;
    step.find(&["domb: ready", "owner: backend of pci/0"])?;
    step.find(&["before:", ADDRESS])?;
    let after = step.find(&["after: driver", "pciback"])?;
    ensure(!after.contains(ADDRESS), || {
        format!("domain 0 still reaches the card: {after}")
    })?;
    step.find(&["pci owner has", "0x8086 0x10d3"])?;
    step.find(&["pci owner reads", ADDRESS]).map(drop)
}

fn again(_: &Bench) -> Result<Step> {
    let domains = [
        RESOURCE.to_owned(),
        domain(LATER.0, LATER.1, "resources = [\"nic\"]"),
    ];
    Ok(launch_step("device-again", &domains, None))
}

fn not_again(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("device-again")?;
    let report = ended_with(step, 8)?;
    failed_in(&report, "build", LATER.0)?;
    standing(step, &[])?;
    step.find(&["domb: cause", "may not give pci 0000:00:04.0 away"])
        .map(drop)
}

fn absent(_: &Bench) -> Result<Step> {
    let domains = [domain(LATER.0, LATER.1, "pci = [\"00:07.0\"]")];
    Ok(launch_step("device-absent", &domains, None))
}

fn not_there(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("device-absent")?;
    let report = ended_with(step, 8)?;
    failed_in(&report, "build", LATER.0)?;
    standing(step, &[])?;
    step.find(&["there is no PCI device 0000:00:07.0"])
        .map(drop)
}
