// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb audit` on platforms without domain 0, as steps of their boots: what it
//! finds on the real hypervisor, and that one rule too many is found.

use super::ensure;
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::departed::Platform;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::root::Step;

/// The platform is as planned.
#[must_use]
pub fn passes() -> Case {
    Case::of_step(
        "the-audit-passes",
        |_| Ok(Step::new("audit", format!("{PASSES}{JSON}"))),
        passed,
    )
}

/// One rule more in the policy that is measured and enforced: domb builds the
/// platform, and the audit says that it is not as it should be.
#[must_use]
pub fn one_rule_more() -> Boot {
    Boot {
        name: "one-rule-more",
        prepare: |bench, name, steps| {
            let platform = Platform {
                probes: &["pause 7"],
                policy: Some(BROKEN),
                // Domain 7 will be paused, so nobody waits for its heart.
                guests: "9",
                ..Platform::FULL
            };
            platform.prepare(bench, name, steps)
        },
        end: End::PowerOff,
        cases: vec![
            Case::of_boot("the-probe-says-so-when-it-is-let-through", |_, outcome| {
                outcome.find(&["hardware: probe: pause: allowed"]).map(drop)
            }),
            Case::of_step(
                "the-audit-fails-and-names-the-rule",
                |_| {
                    let step = Step::new("audit", NAMES_WHAT_IS_ENFORCED);
                    Ok(step.with("planned.policy", PLANNED))
                },
                passed,
            ),
        ],
    }
}

fn passed(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("audit")?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))?;
    for line in &step.lines {
        println!("        {line}");
    }
    Ok(())
}

/// Nothing differs, and nothing was asked that Flask denied.
const PASSES: &str = "
denied() { xl dmesg | grep -c 'avc: *denied.*scontext=system_u:system_r:\\(ctrl\\|hwctl\\)_t '; }
before=$(denied)
domb audit || exit 1
# The ring forgets old lines.
[ \"$(denied)\" -le \"$before\" ] || exit 5
";

/// The same for programs.
const JSON: &str = "
domb audit --json >audit.json || exit 2
grep -q '\"verdict\": \"as-planned\"' audit.json || exit 3
grep -q '\"verdict\": \"differs\"' audit.json && exit 4
exit 0
";

/// A domain that was paused does not run. By the measured policy Xen enforces a rule that no role explains, and by the
/// policy as it was planned, one rule more; the hardware domain has used it.
const NAMES_WHAT_IS_ENFORCED: &str = "
waited=0
until xl list net | tail -n 1 | grep -e '--p---'; do
    [ $waited -ge 300 ] && exit 1
    sleep 1
    waited=$((waited + 1))
done
domb audit >paused
[ $? = 15 ] || exit 9
grep 'DIFFERS .*is paused' paused || exit 10
xl unpause net || exit 2
domb audit >broken
[ $? = 15 ] || exit 3
grep DIFFERS broken
[ $(grep -c DIFFERS broken) = 2 ] || exit 4
grep -q 'hwdom_t may pause guest_t .*DIFFERS .*by the rule allow hwdom_t guest_t:domain pause;' broken || exit 5
domb audit --flask-policy planned.policy >planned
[ $? = 15 ] || exit 6
grep DIFFERS planned
[ $(grep -c DIFFERS planned) = 1 ] || exit 7
grep -q 'DIFFERS .*Xen enforces a rule more: allow hwdom_t guest_t:domain pause;' planned || exit 8
exit 0
";

/// The policy for `exit = \"domain\"`, as `scripts/build-policy --check` holds it.
const PLANNED: &[u8] = include_bytes!("../../../fixtures/flask/domain.policy");

const BROKEN: &[u8] = include_bytes!("../../../fixtures/flask/broken-domain.policy");
