// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The reader and its answers, on policies that checkpolicy compiled: domb's
//! two, the dummy policy, and `odd.conf`, which has what the others do not.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::accepted::Accepted;
use super::builder::{Builder, DomainKind};
use super::compare::{Finding, Weakness, compare};
use super::error::Error;
use super::label::LabelError;
use super::needs::check_label;
use super::permissions::{Level, Permissions};
use super::policydb::Policy;

const PROCESS: &[u8] = include_bytes!("../../../../tests/fixtures/flask/process.policy");
const DOMAIN: &[u8] = include_bytes!("../../../../tests/fixtures/flask/domain.policy");
const DUMMY: &[u8] = include_bytes!("../../../../tests/fixtures/flask/dummy.policy");
const ODD: &[u8] = include_bytes!("../../../../tests/fixtures/flask/odd.policy");
const ODD_24: &[u8] = include_bytes!("../../../../tests/fixtures/flask/odd-24.policy");

fn read(bytes: &[u8]) -> Policy {
    Policy::read(bytes).unwrap()
}

fn may(policy: &Policy, source: &str, target: &str, class: &str) -> BTreeSet<String> {
    let (source, target) = (policy.label(source).unwrap(), policy.label(target).unwrap());
    policy
        .allowed(&source, &target, class)
        .unwrap()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn both_versions_of_the_format_give_the_same_answers() {
    for bytes in [ODD, ODD_24] {
        let policy = read(bytes);
        assert_eq!(
            policy.label_text(policy.boot_domain()),
            "one_u:plain_r:boot_t"
        );
        let may = may(
            &policy,
            "one_u:plain_r:boot_t",
            "one_u:plain_r:blue_t",
            "domain",
        );
        assert_eq!(may, set(&["create"]));
    }
}

#[test]
fn a_condition_follows_the_booleans_of_the_policy() {
    let policy = read(ODD);
    assert_eq!(
        may(&policy, "one_u:plain_r:red_t", "one_u:plain_r:xen_t", "xen"),
        set(&["writeconsole"])
    );
    assert_eq!(
        may(
            &policy,
            "one_u:plain_r:blue_t",
            "one_u:plain_r:xen_t",
            "xen"
        ),
        set(&[])
    );
}

#[test]
fn a_constraint_takes_away_what_a_rule_gives() {
    let policy = read(ODD);
    let map = set(&["map_read"]);
    assert_eq!(
        may(
            &policy,
            "one_u:plain_r:red_t",
            "one_u:plain_r:blue_t",
            "grant"
        ),
        map
    );
    assert_eq!(
        may(
            &policy,
            "two_u:plain_r:red_t",
            "one_u:plain_r:blue_t",
            "grant"
        ),
        set(&[])
    );
    assert_eq!(
        may(
            &policy,
            "two_u:plain_r:blue_t",
            "one_u:plain_r:blue_t",
            "grant"
        ),
        map
    );
    assert_eq!(
        may(
            &policy,
            "one_u:plain_r:boot_t",
            "two_u:other_r:red_t",
            "domain"
        ),
        set(&[])
    );
}

#[test]
fn a_bounded_type_has_no_more_than_its_bound() {
    let policy = read(ODD);
    // Rule and constraint let small_t map it; red_t, which bounds it, fails the constraint.
    assert_eq!(
        may(
            &policy,
            "two_u:plain_r:small_t",
            "one_u:plain_r:blue_t",
            "grant"
        ),
        set(&[])
    );
    let map = set(&["map_read"]);
    assert_eq!(
        may(
            &policy,
            "one_u:plain_r:small_t",
            "one_u:plain_r:blue_t",
            "grant"
        ),
        map
    );
}

#[test]
fn a_label_that_xen_would_not_take_is_refused_with_what_is_wrong() {
    let policy = read(ODD);
    let fault = |text: &str| policy.label(text).unwrap_err();
    assert!(matches!(fault("one_u:plain_r"), LabelError::Form(_)));
    assert!(matches!(
        fault("one_u:plain_r:red_t:s0"),
        LabelError::Form(_)
    ));
    assert!(
        fault("one_u:plain_r:bleu_t")
            .to_string()
            .ends_with("did you mean `blue_t`?")
    );
    assert!(matches!(
        fault("nobody:plain_r:red_t"),
        LabelError::Unknown { part: "user", .. }
    ));
    assert!(matches!(
        fault("one_u:nothing:red_t"),
        LabelError::Unknown { part: "role", .. }
    ));
    assert!(matches!(
        fault("one_u:plain_r:domain_type"),
        LabelError::Attribute(_)
    ));
    assert!(matches!(
        fault("two_u:other_r:blue_t"),
        LabelError::RoleWithoutType { .. }
    ));
    assert!(matches!(
        fault("one_u:other_r:red_t"),
        LabelError::UserWithoutRole { .. }
    ));
    assert!(
        policy.label("one_u:plain_r:rouge_t").is_ok(),
        "an alias is a name"
    );
}

#[test]
fn what_is_no_policy_for_xen_is_told_apart() {
    assert_eq!(
        Policy::read(b"class xen\nclass domain\n").unwrap_err(),
        Error::NotAPolicy
    );
    assert_eq!(Policy::read(b"").unwrap_err(), Error::NotAPolicy);
    let mut linux = ODD.to_vec();
    linux[8..16].copy_from_slice(b"SE Linux");
    assert_eq!(
        Policy::read(&linux).unwrap_err(),
        Error::NotForXen("SE Linux".into())
    );
    let mut newer = ODD.to_vec();
    newer[16] = 33;
    assert_eq!(Policy::read(&newer).unwrap_err(), Error::Version(33));
    let mut levels = ODD.to_vec();
    levels[20] = 1;
    assert_eq!(Policy::read(&levels).unwrap_err(), Error::Mls);
    let mut longer = ODD.to_vec();
    longer.push(0);
    assert!(matches!(Policy::read(&longer), Err(Error::Invalid { .. })));
}

#[test]
fn a_policy_cut_off_anywhere_is_refused() {
    for length in 0..ODD.len() {
        assert!(Policy::read(&ODD[..length]).is_err(), "cut at {length}");
    }
}

proptest! {
    #[test]
    fn no_damage_to_a_policy_makes_the_reader_or_the_comparison_panic(
        changes in prop::collection::vec((0..ODD.len(), any::<u8>()), 1..4),
    ) {
        let mut bytes = ODD.to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if let Ok(policy) = Policy::read(&bytes) {
            prop_assert!(compare(&policy).domain_0.len() <= 64);
            let builder = Builder::boot_domain(&policy);
            let _checked = check_label(&policy, &builder, "one_u:plain_r:blue_t", DomainKind::Pv);
        }
    }
}

#[test]
fn domb_may_build_its_guests_in_both_policies() {
    let process = read(PROCESS);
    let builder = Builder::boot_domain(&process);
    for label in ["guest_t", "isolated_t", "recovery_t"] {
        for kind in [DomainKind::Pv, DomainKind::Pvh] {
            let missing = check_label(
                &process,
                &builder,
                &format!("system_u:system_r:{label}"),
                kind,
            );
            assert_eq!(missing.unwrap(), vec![], "{label} {kind:?}");
        }
    }
    let domain = read(DOMAIN);
    let served = |label| domain.label(label).unwrap();
    let builder = Builder {
        builder: *domain.boot_domain(),
        store: served("system_u:system_r:xenstore_t"),
        console: served("system_u:system_r:ctrl_t"),
    };
    for (label, kind) in [
        ("guest_t", DomainKind::Pv),
        ("guest_t", DomainKind::Pvh),
        ("isolated_t", DomainKind::Pvh),
        ("ctrl_t", DomainKind::Pv),
        ("hwdom_t", DomainKind::Hardware),
    ] {
        let missing = check_label(
            &domain,
            &builder,
            &format!("system_u:system_r:{label}"),
            kind,
        );
        assert_eq!(missing.unwrap(), vec![], "{label} {kind:?}");
    }
}

#[test]
fn the_rule_that_is_missing_is_printed_as_a_rule() {
    let policy = read(PROCESS);
    let builder = Builder::boot_domain(&policy);
    let missing = check_label(
        &policy,
        &builder,
        "system_u:system_r:dom0_t",
        DomainKind::Pv,
    )
    .unwrap();
    let text: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert!(
        text[0].starts_with("allow domb_t dom0_t:domain { create max_vcpus "),
        "{text:?}"
    );
    assert!(missing.iter().all(|rule| !rule.constrained));
}

#[test]
fn a_right_lost_to_a_constraint_is_told_apart_from_a_missing_rule() {
    let policy = read(ODD);
    let builder = Builder::boot_domain(&policy);
    let missing = check_label(&policy, &builder, "two_u:other_r:red_t", DomainKind::Pv);
    // other_r may not take red_target_t's siblings, but red_t itself it may.
    let missing = missing.unwrap();
    let create = missing
        .iter()
        .find(|rule| rule.permissions.contains(&"create"))
        .unwrap();
    assert!(
        !create.constrained,
        "the rest of the permissions has no rule at all"
    );
}

#[test]
fn the_dummy_policy_grants_nothing_beyond_the_dummy_module() {
    let comparison = compare(&read(DUMMY));
    let beyond: Vec<&Finding> = comparison
        .findings
        .iter()
        .filter(|finding| finding.level != Level::Store)
        .collect();
    assert_eq!(beyond, Vec::<&Finding>::new());
    // Which domain is the xenstore domain no policy can say.
    assert_eq!(comparison.findings.len(), 1);
    assert_eq!(comparison.findings[0].source, "xenstore_t");
    assert_eq!(comparison.domain_0, ["dom0_t"]);
}

#[test]
fn the_dummy_policy_has_each_permission_that_some_domain_has_without_labels() {
    let policy = read(DUMMY);
    let dom0 = policy.boot_domain();
    for (class, permission) in Permissions::xen_4_17().names() {
        let level = Permissions::xen_4_17()
            .find(class, permission)
            .unwrap()
            .level;
        if matches!(level, Level::FlaskOnly | Level::Flawed | Level::Passive) {
            continue;
        }
        let somewhere = ["xen_t", "domU_t", "domU_t_channel", "irq_t"]
            .iter()
            .any(|target| {
                let target = policy.types.value(target).unwrap();
                let class = policy.classes.value(class).unwrap();
                let vector = policy.ruled(dom0.kind, target, class);
                policy.permission_names(class, vector).contains(&permission)
            });
        assert!(somewhere, "{class}:{permission}");
    }
}

#[test]
fn each_way_to_have_more_than_without_labels_is_found() {
    let comparison = compare(&read(ODD));
    let found: Vec<String> = comparison
        .findings
        .iter()
        .map(|f| {
            let condition = f.condition.as_deref().unwrap_or("always");
            format!(
                "{} {}:{} {} {condition}",
                f.source,
                f.class,
                f.permission,
                f.targets.join(" ")
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            // Another label's channel, another domain's page, a guest of nobody.
            "blue_t event:create red_channel_t always",
            "blue_t mmu:map_write blue_t always",
            "blue_t xen:sleep xen_t !(spoken && !flown)",
            "model_t domain2:resource_map blue_t always",
            "red_t domain:destroy boot_t always",
            "red_t xen:writeconsole xen_t (spoken && !flown)",
        ]
    );
    assert_eq!(
        comparison.weaknesses,
        [
            Weakness::Permissive("loose_t".into()),
            Weakness::UnknownPermission("domain".into(), "fly".into()),
        ]
    );
    // What the first domain may make of itself is domain 0 as well.
    assert_eq!(comparison.domain_0, ["after_t", "boot_t"]);
}

#[test]
fn an_accepted_finding_is_taken_out_and_a_stale_entry_is_named() {
    let comparison = compare(&read(ODD));
    let list = Accepted::read(
        "[[accepted]]\nsource = \"blue_t\"\ntargets = [\"red_channel_t\", \"red_t\"]\n\
         permissions = [\"event:create\"]\nreason = \"for the test\"\n",
    );
    let judged = list.unwrap().judge(&comparison);
    assert_eq!(judged.left.len(), comparison.findings.len() - 1);
    assert_eq!(judged.accepted[0].1, "for the test");
    assert_eq!(judged.stale, ["blue_t red_t event:create"]);
    let silent = "[[accepted]]\nsource = \"a\"\ntargets = []\npermissions = []\nreason = \" \"\n";
    assert!(Accepted::read(silent).is_err());
    assert!(Accepted::read("[[accepted]]\nsauce = \"a\"\n").is_err());
}

#[test]
fn a_label_whose_type_is_an_attribute_is_refused() {
    let found =
        include_bytes!("../../../../tests/fuzz/corpus/flask_policy/boot-label-is-an-attribute");
    let error = Policy::read(found).unwrap_err();
    assert!(
        error.to_string().contains("a label that is not valid"),
        "{error}"
    );
}
