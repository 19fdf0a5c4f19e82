// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Platforms whose powers are in domains of their own.

use std::time::Duration;

use super::{ensure, role_sets, same_domains};
use crate::boot::{Boot, Case, End};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::root::{self, Step};

/// XenStore in a domain of its own, on Debian's Xen as it is; domain 0 becomes
/// the control domain and has no xenstored.
#[must_use]
pub fn store_domain() -> Boot {
    Boot {
        name: "store-domain",
        prepare: |bench, name, steps| {
            let control = root::control_root(steps)?;
            role_sets::prepare(bench, name, "roles/static-disaggregated", Some(&control))
        },
        end: End::PowerOff,
        cases: vec![
            Case::of_boot("guests-stand-and-beat-on-a-store-in-another-domain", stand),
            Case::of_boot("no-xenstored-runs-in-domain-0", gone),
            Case::of_step(
                "the-store-forgets-a-domain-that-is-gone",
                |_| Ok(Step::new("forget", FORGET)),
                |_, outcome| {
                    let step = outcome.step("forget")?;
                    ensure(step.exit == Some(0), || step.lines.join("\n"))
                },
            ),
        ],
    }
}

fn stand(_: &crate::bench::Bench, outcome: &Outcome) -> Result<()> {
    same_domains(
        outcome.domains.iter(),
        &[("store", 1), ("net", 7), ("web", 9)],
    )?;
    for (name, domid) in [("net", 7), ("web", 9)] {
        let beats = outcome.heartbeats(domid, name, Duration::ZERO);
        ensure(beats >= 1, || format!("no heartbeat of {name}"))?;
    }
    let owners = &outcome.report()?["owners"];
    ensure(
        owners["xenstore"] == 1 && owners["console"] == 0 && owners["hardware"] == 0,
        || format!("the report says {owners}"),
    )?;
    let line = outcome.find(&["domb: build", "store serves XenStore after"])?;
    println!("        {}", line.text.trim_start_matches("[ "));
    Ok(())
}

fn gone(_: &crate::bench::Bench, outcome: &Outcome) -> Result<()> {
    let programs: Vec<&String> = outcome.processes.values().collect();
    let has = |name: &str| programs.iter().any(|program| program.contains(name));
    ensure(has("/xenconsoled") && !has("/xenstored"), || {
        format!("{programs:?}")
    })
}

/// Domain 9 is destroyed; the store, which hears of it from Xen, drops its
/// nodes. Domain 7 and its nodes stay.
const FORGET: &str = "
[ \"$(xenstore-read /tool/xenstored/domid)\" = 1 ] || exit 1
[ \"$(xenstore-read /local/domain/9/name)\" = web ] || exit 2
destroy 9 || exit 3
xenstore-list /local/domain | grep -qx 9 && exit 4
[ \"$(xenstore-read /local/domain/7/name)\" = net ] || exit 5
xl unpause 7 || exit 6
await_heartbeats 7 2 60
";
