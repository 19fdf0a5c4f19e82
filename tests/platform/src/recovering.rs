// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What may go wrong where the boot domain is to leave. A launch fails: before
//! the hardware domain is there the recovery domain comes up, and after it the
//! machine restarts. And with a domb that dies on request (`drill.rs`): it dies
//! while nobody but the xenstore domain runs, the xenstore domain dies under the
//! launch, and its kernel has much to say when nobody listens any more.

use std::time::Duration;

use crate::bench::Bench;
use crate::cases::departure;
use crate::departed::Platform;
use crate::drill::told;
use crate::error::Result;
use crate::machine::MachineSpec;
use crate::root::Step;

/// What fails, how it is made to, and what the machine says then, in this order.
struct Failure {
    name: &'static str,
    prepare: fn(&Bench, &str) -> Result<MachineSpec>,
    words: &'static [&'static str],
}

const FAILURES: [Failure; 6] = [
    Failure {
        // The last thing that can fail before the hardware domain is built.
        name: "the-control-domain-crashes",
        prepare: |bench, name| {
            // The first command line is the control domain's: its Linux has no init.
            full(bench, name, |text| {
                let change = (
                    "\ncmdline = \"",
                    "\ncmdline = \"rdinit=/gone root=/dev/none ",
                );
                with_rescue(text).replacen(change.0, change.1, 1)
            })
        },
        words: &[
            "domb: decided  control: recover (by configuration)",
            "domb: undo     store (domid 1) stays for recovery",
            "domb: recovery rescue (domid 99) started",
            "why exit_code: 9",
            "why domain: control",
            "why report: \"outcome\":\"failed\"",
            "domb: recovery domain 99 is Shutdown",
            "domb: exit     after_failure = halt",
            "Hardware Dom0 halted: halting machine",
        ],
    },
    Failure {
        name: "a-guest-is-never-ready",
        prepare: |bench, name| {
            full(bench, name, |text| {
                with_rescue(text).replacen("after = [\"net\"]", NEVER_READY, 1)
            })
        },
        words: &[
            "domb: decided  web: recover (by configuration)",
            "domb: undo     the hardware domain is there: the machine restarts",
            "Hardware Dom3 shutdown: rebooting machine",
        ],
    },
    Failure {
        name: "the-boot-domain-dies-before-hardware-and-control-run",
        prepare: |bench, name| {
            let mut spec = departure::prepare_one_domain(bench, name, &[])?;
            spec.kernel_cmdline.push("domb.fault=handoff".to_owned());
            Ok(spec)
        },
        words: &[
            "domb: FAULT    at handoff",
            "Hardware Dom3 shutdown: rebooting machine",
        ],
    },
    Failure {
        name: "the-xenstore-domain-dies-while-guests-are-built",
        prepare: |bench, name| {
            full(bench, name, |text| {
                let reboots = format!("after_failure = \"reboot\"\n{text}");
                told_to_the_store(&reboots, "domb.store-dies=/local/domain/7/name")
            })
        },
        words: &[
            "domb: cause    the xenstore domain (domid 1) has ended",
            "domb: exit     after_failure = reboot",
            "Hardware Dom0 shutdown: rebooting machine",
        ],
    },
    Failure {
        name: "the-xenstore-domain-dies-while-the-records-are-handed-over",
        prepare: |bench, name| {
            full(bench, name, |text| {
                told_to_the_store(text, "domb.store-dies=/tool/domb/files/1/0")
            })
        },
        // The boot domain or the control domain, whoever sees it first.
        words: &[
            "domains running",
            "Hardware Dom3 shutdown: rebooting machine",
        ],
    },
    Failure {
        name: "the-xenstore-domain-floods-a-console-that-nobody-reads",
        prepare: |bench, name| {
            let noisy = |text: &str| told_to_the_store(text, "domb.store-noise=60000");
            let platform = Platform {
                change: noisy,
                ..Platform::FULL
            };
            platform.prepare(bench, name, &[Step::new("noise", NOISE)])
        },
        words: &[
            "domb: exit     the boot domain halts",
            "STEP noise exit=0",
            "control: done",
        ],
    },
];

const NEVER_READY: &str =
    "after = [\"net\"]\nready = { xenstore = \"data/ready\", timeout = \"2s\" }";

/// XenStore answers after the flood.
const NOISE: &str = "
waited=0
until [ \"$(xenstore-read /tool/domb/noise 2>/dev/null)\" = written ]; do
    [ $waited -ge 120 ] && exit 1
    sleep 1
    waited=$((waited + 1))
done
await_heartbeats 7 3 120
";

/// The configuration with these words on the xenstore domain's command line.
fn told_to_the_store(text: &str, words: &str) -> String {
    let store = "roles = [\"xenstore\"]";
    text.replacen(store, &format!("cmdline = \"{words}\"\n{store}"), 1)
}

fn full(bench: &Bench, name: &str, change: fn(&str) -> String) -> Result<MachineSpec> {
    Platform {
        change,
        ..Platform::FULL
    }
    .prepare(bench, name, &[])
}

fn with_rescue(text: &str) -> String {
    format!("after_failure = \"halt\"\n{text}\n{RESCUE}")
}

const RESCUE: &str = r#"
[[domain]]
name = "rescue"
domid = 99
type = "pv"
kernel = "vmlinuz"
ramdisk = "guest.cpio"
cmdline = "console=hvc0 quiet tell=off heartbeat=rescue"
memory = "128M"
roles = ["recovery"]
seclabel = "system_u:system_r:recovery_t"
"#;

/// Boots each whose name contains `filter`.
pub fn all(bench: &Bench, filter: &str) -> Result<bool> {
    let mut good = true;
    for failure in FAILURES.iter().filter(|it| it.name.contains(filter)) {
        good &= told(failure.name, || fail(bench, failure));
    }
    Ok(good)
}

fn fail(bench: &Bench, failure: &Failure) -> Result<String> {
    let spec = (failure.prepare)(bench, failure.name)?;
    let mut machine = spec.start(&bench.work)?;
    machine.serial.crash_is_expected();
    for words in failure.words {
        let line = machine.serial.wait_for(words, DEADLINE)?;
        println!("        {:7.1} s  {}", line.at.as_secs_f32(), line.text);
    }
    Ok("as documented".to_owned())
}

const DEADLINE: Duration = Duration::from_secs(900);
