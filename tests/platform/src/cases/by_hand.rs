// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The same platform without domb: the control domain's root is domain 0's
//! first init and `xl` makes the domains. When this fails, the fault is not
//! domb's. It also gives the times to compare with.

use std::time::Duration;

use super::ensure;
use super::example::DOMAINS;
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::error::Result;
use crate::machine::MachineSpec;
use crate::outcome::Outcome;
use crate::root::{self, Step};

/// Xen, Linux, the daemons, `xl`.
#[must_use]
pub fn boot() -> Boot {
    Boot {
        name: "by-hand",
        prepare,
        end: End::PowerOff,
        cases: vec![
            Case::of_boot(
                "nothing-is-measured-into-the-pcrs-above-7-but-10",
                |_, outcome| {
                    ensure(!outcome.pcrs.is_empty(), || "no PCR can be read".to_owned())?;
                    // Linux' IMA extends PCR 10 at its start.
                    let used = |(key, value): (&(String, u8), &String)| {
                        key.1 != 10 && value.bytes().any(|digit| digit != b'0')
                    };
                    ensure(!outcome.pcrs.iter().any(used), || {
                        format!("{:?}", outcome.pcrs)
                    })
                },
            ),
            xl_create_case(),
            Case::of_step("pv-domains-of-xl-beat", beating, beat),
        ],
    }
}

/// A machine whose domain 0 starts in the control domain's root, with the
/// daemons and domb in it.
pub fn prepare(bench: &Bench, name: &str, steps: &[Step]) -> Result<MachineSpec> {
    let dir = bench.directory(name)?;
    let mut control = bench.control_for_launches(steps)?;
    root::add_daemons(&mut control, &bench.parts)?;
    let ramdisk = dir.join("control.cpio");
    control.write(&ramdisk)?;
    Ok(bench.machine(name, &ramdisk))
}

/// The same three with `xl`, from Debian's kernel file as a user would, and
/// from the unpacked one; for the time they take.
#[must_use]
pub fn xl_create_case() -> Case {
    Case::of_step("xl-create-makes-the-same-three", xl_create, xl_created)
}

fn xl_create(_: &Bench) -> Result<Step> {
    let script = "
for kernel in vmlinuz vmlinux; do
    begin=$(uptime_seconds)
    for name in net web log; do
        sed \"s/KERNEL/$kernel/\" $name.cfg >$name-$kernel.cfg
        xl create $name-$kernel.cfg || exit 1
    done
    echo \"xl create from $kernel: $begin to $(uptime_seconds)\"
    for name in net web log; do xl destroy x-$name || exit 1; done
done
";
    Ok(with_configs(Step::new("xl-create", script)))
}

fn xl_created(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("xl-create")?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))?;
    for kernel in ["vmlinuz", "vmlinux"] {
        println!(
            "        {}",
            step.find(&[&format!("xl create from {kernel}:")])?
        );
    }
    Ok(())
}

fn beating(_: &Bench) -> Result<Step> {
    let script = "
for name in net log; do
    sed s/KERNEL/vmlinux/ $name.cfg >beat.cfg
    xl create beat.cfg || exit 1
    await_heartbeats \"$(xl domid x-$name)\" 2 120 || exit 1
    destroy \"$(xl domid x-$name)\" || exit 1
done
";
    Ok(with_configs(Step::new("beat", script)))
}

fn beat(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("beat")?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))?;
    let heard = |name: &str| {
        let name = format!("x-{name}");
        outcome
            .consoles
            .keys()
            .any(|domid| outcome.heartbeats(*domid, &name, Duration::ZERO) > 1)
    };
    // A PVH domain may be lost to the emulator (`Boot::run_twice`), and says
    // nothing about domb here.
    let mut pv = DOMAINS.iter().filter(|(_, _, kind)| *kind == "pv");
    ensure(pv.all(|(name, ..)| heard(name)), || {
        "a domain is silent".to_owned()
    })
}

fn with_configs(step: Step) -> Step {
    DOMAINS.iter().fold(step, |step, (name, _, kind)| {
        let config = format!(
            "name=\"x-{name}\"\ntype=\"{kind}\"\nkernel=\"/share/KERNEL\"\n\
             ramdisk=\"/share/heartbeat.cpio\"\nextra=\"console=hvc0 quiet heartbeat=x-{name}\"\n\
             memory=96\nvcpus=1\non_crash=\"destroy\"\n"
        );
        step.with(format!("{name}.cfg"), config)
    })
}
