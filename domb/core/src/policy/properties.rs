// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What holds for every plan, whatever a script says of whatever domains: it
//! has no domain that the script denied, left out or never decided, none
//! whose dependency is missing, and it is the same every time.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::facts::tests::facts;
use super::{Facts, Limits, Script, Verdict, decide, effective};
use crate::config::{Config, DomainName};

/// One call of the script, on two domains.
#[derive(Clone, Copy, Debug)]
enum Call {
    Allow,
    Deny,
    LeaveOut,
    After,
    Memory,
    Grant,
    Withhold,
    WithholdFromHardware,
    AllowAll,
}

const CALLS: [Call; 12] = [
    Call::AllowAll,
    Call::AllowAll,
    Call::AllowAll,
    Call::Allow,
    Call::Deny,
    Call::LeaveOut,
    Call::After,
    Call::Memory,
    Call::Grant,
    Call::Withhold,
    Call::WithholdFromHardware,
    Call::AllowAll,
];

/// Up to six domains, each after some that stand before it, and a script.
fn launches() -> impl Strategy<Value = (Vec<u8>, Vec<(Call, usize, usize)>)> {
    let calls = (prop::sample::select(&CALLS[..]), 0..6_usize, 0..6_usize);
    (
        prop::collection::vec(any::<u8>(), 1..=6),
        prop::collection::vec(calls, 0..10),
    )
}

/// What the configuration of every case names.
const RESOURCES: [&str; 2] = ["page", "nic"];

fn name(index: usize) -> String {
    format!("d{index}")
}

/// Domain `index` starts after those before it whose bit is set.
fn after(bits: u8, index: usize) -> Vec<String> {
    (0..index)
        .filter(|n| bits >> n & 1 == 1)
        .map(name)
        .collect()
}

fn configuration(domains: &[u8]) -> Config {
    let mut text = String::from(
        "[resources.page]\niomem = [\"fd000,1\"]\n[resources.nic]\npci = [\"0000:00:04.0\"]\n",
    );
    for (index, bits) in domains.iter().enumerate() {
        let (name, domid, after) = (name(index), index + 7, after(*bits, index));
        write!(
            text,
            "[[domain]]\nname = \"{name}\"\ndomid = {domid}\ntype = \"pv\"\n\
             kernel = \"k\"\nmemory = \"96M\"\nafter = {after:?}\n"
        )
        .unwrap();
    }
    Config::parse("launch.toml", text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn told(domains: &[u8]) -> Facts {
    let names: Vec<String> = (0..domains.len()).map(name).collect();
    let after: Vec<Vec<String>> = domains
        .iter()
        .enumerate()
        .map(|(n, bits)| after(*bits, n))
        .collect();
    let after: Vec<Vec<&str>> = after
        .iter()
        .map(|a| a.iter().map(String::as_str).collect())
        .collect();
    let list: Vec<(&str, &[&str])> = names
        .iter()
        .map(String::as_str)
        .zip(after.iter().map(Vec::as_slice))
        .collect();
    Facts {
        resources: RESOURCES.map(str::to_owned).to_vec(),
        ..facts(&list)
    }
}

fn script(calls: &[(Call, usize, usize)], domains: usize) -> (Script, BTreeSet<String>) {
    let mut text = String::from("fn launch(facts, plan) {\n");
    let mut denied = BTreeSet::new();
    for (call, one, two) in calls {
        let (one, two) = (one % domains, two % domains);
        let (later, earlier) = (name(one.max(two)), name(one.min(two)));
        let what = RESOURCES[two % RESOURCES.len()];
        let one = name(one);
        let line = match call {
            Call::Allow => format!("plan.allow(\"{one}\");"),
            Call::Deny => format!("plan.deny(\"{one}\", \"no\");"),
            Call::LeaveOut => format!("plan.leave_out(\"{one}\", \"no\");"),
            Call::After if later == earlier => continue,
            Call::After => format!("plan.start_after(\"{later}\", \"{earlier}\");"),
            Call::Memory => format!("plan.set_memory(\"{one}\", 64);"),
            Call::Grant => format!("plan.grant(\"{one}\", \"{what}\");"),
            Call::Withhold => format!("plan.withhold(\"{one}\", \"{what}\");"),
            Call::WithholdFromHardware => format!("plan.withhold(\"{what}\");"),
            Call::AllowAll => "plan.allow_all();".to_owned(),
        };
        if matches!(call, Call::Deny | Call::LeaveOut) {
            denied.insert(one);
        }
        writeln!(text, "{line}").unwrap();
    }
    text.push_str("plan }");
    (Script::new("launch.rhai", text.as_bytes()).unwrap(), denied)
}

/// What is carried out, if the script's plan is one.
fn carried_out(domains: &[u8], script: &Script) -> Option<(Verdict, super::Effective)> {
    let verdict = decide(Some(script), &told(domains), &Limits::default(), || false).ok()?;
    let approval = verdict.clone().approve().ok()?;
    let plan = effective(&configuration(domains), &approval, "launch.rhai").ok()?;
    Some((verdict, plan))
}

proptest! {
    #[test]
    fn what_a_domain_is_given_has_one_owner_and_the_hardware_domain_has_it_not(
        (domains, calls) in launches()
    ) {
        let (script, _) = script(&calls, domains.len());
        let Some((verdict, plan)) = carried_out(&domains, &script) else { return Ok(()) };
        let built: Vec<_> = plan.config.domains.iter().collect();
        let kept = crate::plan::withheld(&plan.config, &built);
        let mut owned = BTreeSet::new();
        for range in built.iter().flat_map(|domain| domain.delegated()) {
            prop_assert!(owned.insert(*range), "{range} has two owners");
            prop_assert!(kept.contains(range), "the hardware domain has {range} as well");
        }
        for resource in &plan.config.resources {
            let granted = built.iter().filter(|domain| domain.resources.contains(resource));
            for domain in granted {
                let denied = verdict.grants().iter().any(|grant| {
                    !grant.granted && grant.domain == domain.name.as_str() && grant.resource == resource.name
                });
                prop_assert!(!denied, "{} was withheld from {}", resource.name, domain.name);
            }
            let withheld = verdict.withheld().contains(&resource.name);
            let has = resource.ranges.iter().all(|range| kept.contains(range));
            prop_assert!(!withheld || has, "{} is not kept from the hardware domain", resource.name);
        }
    }

    #[test]
    fn a_plan_has_no_denied_domain_and_none_whose_dependency_is_missing(
        (domains, calls) in launches()
    ) {
        let (script, denied) = script(&calls, domains.len());
        let Some((verdict, plan)) = carried_out(&domains, &script) else { return Ok(()) };
        let built = plan.config.start_order();
        let names: BTreeSet<&str> = built.iter().map(|domain| domain.name.as_str()).collect();
        for domain in &built {
            prop_assert!(verdict.allows(domain.name.as_str()), "{} was not allowed", domain.name);
            prop_assert!(!denied.contains(domain.name.as_str()), "{} was denied", domain.name);
            let missing = domain.after.iter().find(|need| !names.contains(need.as_str()));
            prop_assert_eq!(missing, None::<&DomainName>, "{} needs it", &domain.name);
        }
        for (index, bits) in domains.iter().enumerate().filter(|(n, _)| names.contains(name(*n).as_str())) {
            for need in after(*bits, index) {
                prop_assert!(names.contains(need.as_str()), "{need} is configured before {}", name(index));
            }
        }
        let (_, again) = carried_out(&domains, &script).expect("it was carried out once");
        prop_assert_eq!(plan.text, again.text);
    }
}

#[test]
fn plans_are_carried_out_often_enough_to_mean_something() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let carried = (0..200)
        .filter(|_| {
            let tree = launches().new_tree(&mut runner).unwrap();
            let (domains, calls) = tree.current();
            carried_out(&domains, &script(&calls, domains.len()).0).is_some()
        })
        .count();
    assert!(carried > 20, "{carried} of 200");
}
