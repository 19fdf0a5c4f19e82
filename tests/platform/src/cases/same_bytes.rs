// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What was measured is what boots: somebody who may write every file of a
//! launch changes one after it was measured, and the domain does not notice.

use super::{domain, domain_from, ended_with, ensure, state};
use crate::bench::Bench;
use crate::boot::Case;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::root::{self, Step};

/// The attack, in a launch from domain 0.
#[must_use]
pub fn case() -> Case {
    Case::of_step(
        "a-file-changed-after-measuring-does-not-boot",
        attack,
        defied,
    )
}

/// The ramdisk of the second domain is replaced, in place and whole, as soon
/// as domb says that it has measured. The forged one never beats.
fn attack(_: &Bench) -> Result<Step> {
    let script = r#"
cp /share/heartbeat.cpio second.cpio
domb launch --report report.json --event-log eventlog launch.toml >out 2>&1 &
launch=$!
until grep -q "domb: measure" out; do
    kill -0 $launch 2>/dev/null || break
    usleep 20000
done
cat forged.cpio >second.cpio
echo "forged at $(uptime_seconds)"
wait $launch
status=$?
cat out
tell report.json
await_heartbeats 142 2 120 && echo "the measured one beats"
destroy 141 142
exit $status
"#;
    let config = [
        "[measure]\ntpm = \"off\"\n".to_owned(),
        domain("first", 141, ""),
        domain_from(
            "second",
            142,
            "/share/vmlinux",
            "second.cpio",
            "after = [\"first\"]",
        ),
    ];
    let forged = root::guest_ramdisk("forged")?
        .file(
            "init",
            0o755,
            "#!/bin/busybox sh\necho FORGED\nexec /bin/busybox sleep 1000\n",
        )
        .bytes()?;
    Ok(Step::new("same-bytes", script)
        .with("launch.toml", config.concat())
        .with("forged.cpio", forged))
}

fn defied(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("same-bytes")?;
    let report = ended_with(step, 0)?;
    let state = state(&report, "second");
    ensure(state == "running", || format!("second is {state}"))?;
    step.find(&["the measured one beats"])?;
    let forged = step.find(&["forged at"])?;
    let forged: f64 = forged
        .rsplit(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(f64::MAX);
    let built = report["domains"][1]["built_ms"].as_f64().unwrap_or(0.0) / 1000.0;
    ensure(forged < built, || {
        format!("the ramdisk was forged at {forged} s, too late for the domain built at {built} s")
    })
}
