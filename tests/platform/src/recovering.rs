// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A launch that fails where the boot domain was to leave: before the hardware
//! domain is there the recovery domain comes up, and after it the machine
//! restarts. Two boots; any domb will do.

use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::departed::Platform;
use crate::error::Result;
use crate::root::Step;

/// What fails, how it is made to, and what the machine says then, in this order.
struct Failure {
    name: &'static str,
    change: fn(&str) -> String,
    words: &'static [&'static str],
}

const FAILURES: [Failure; 2] = [
    Failure {
        // The last thing that can fail before the hardware domain is built.
        name: "the-control-domain-crashes",
        change: |text| {
            let text = with_rescue(text);
            // The first of the file is the control domain's: its Linux has no init.
            text.replacen(
                "cmdline = \"",
                "cmdline = \"rdinit=/gone root=/dev/none ",
                1,
            )
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
        change: |text| {
            let text = with_rescue(text);
            text.replacen("after = [\"net\"]", NEVER_READY, 1)
        },
        words: &[
            "domb: decided  web: recover (by configuration)",
            "domb: undo     the hardware domain is there: the machine restarts",
            "Hardware Dom3 shutdown: rebooting machine",
        ],
    },
];

const NEVER_READY: &str =
    "after = [\"net\"]\nready = { xenstore = \"data/ready\", timeout = \"2s\" }";

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
        let began = Instant::now();
        let verdict = fail(bench, failure);
        let (name, seconds) = (failure.name, began.elapsed().as_secs());
        match verdict {
            Ok(()) => println!("ok      {name} {seconds} s"),
            Err(error) => {
                println!("FAILED  {name} {seconds} s  {}", error.chain());
                good = false;
            }
        }
    }
    Ok(good)
}

fn fail(bench: &Bench, failure: &Failure) -> Result<()> {
    let platform = Platform {
        change: failure.change,
        ..Platform::FULL
    };
    let steps: [Step; 0] = [];
    let spec = platform.prepare(bench, failure.name, &steps)?;
    let mut machine = spec.start(&bench.work)?;
    machine.serial.crash_is_expected();
    for words in failure.words {
        let line = machine.serial.wait_for(words, DEADLINE)?;
        println!("        {:7.1} s  {}", line.at.as_secs_f32(), line.text);
    }
    Ok(())
}

const DEADLINE: Duration = Duration::from_secs(900);
