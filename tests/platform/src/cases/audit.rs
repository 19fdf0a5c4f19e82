// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb audit` on platforms without domain 0, as steps of their boots: what it
//! finds on the real hypervisor, and that one rule too many is found.

use super::ensure;
use crate::bench::Bench;
use crate::boot::Case;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::root::Step;

/// The platform is as planned, and by another policy it is not.
#[must_use]
pub fn with_a_rule_too_many() -> Case {
    Case::of_step(
        "the-audit-passes-and-names-one-rule-too-many",
        |_| {
            let script = format!("{PASSES}{NAMES_THE_RULE}");
            Ok(Step::new("audit", script).with("broken.policy", BROKEN))
        },
        passed,
    )
}

/// The platform is as planned.
#[must_use]
pub fn passes() -> Case {
    Case::of_step(
        "the-audit-passes",
        |_| Ok(Step::new("audit", PASSES)),
        passed,
    )
}

fn passed(_: &Bench, outcome: &Outcome) -> Result<()> {
    let step = outcome.step("audit")?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))?;
    for line in &step.lines {
        println!("        {line}");
    }
    Ok(())
}

/// Nothing differs, in both forms, and nothing was asked that Flask denied.
const PASSES: &str = "
denied() { xl dmesg | grep -c 'avc: *denied.*scontext=system_u:system_r:\\(ctrl\\|hwctl\\)_t '; }
before=$(denied)
domb audit || exit 1
domb audit --json >audit.json || exit 2
grep -q '\"verdict\": \"as-planned\"' audit.json || exit 3
grep -q '\"verdict\": \"differs\"' audit.json && exit 4
[ \"$(denied)\" = \"$before\" ] || exit 5
";

/// Nobody planned the rule, and Xen does not enforce it.
const NAMES_THE_RULE: &str = "
domb audit --flask-policy broken.policy >broken
[ $? = 15 ] || exit 6
grep DIFFERS broken
grep -q 'DIFFERS .*by the rule allow guest_t hwdom_t:domain pause;' broken || exit 7
grep -q 'DIFFERS .*class domain: Xen does not allow pause' broken || exit 8
";

const BROKEN: &[u8] = include_bytes!("../../../fixtures/flask/broken-domain.policy");
