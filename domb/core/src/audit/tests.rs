// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Full disaggregation under domb's own policy, as it stands and with one
//! thing wrong at a time.

use std::collections::BTreeMap;

use super::*;
use crate::config::{Config, Uuid};
use crate::flask::{Context, Question};

const DOMAIN: &[u8] = include_bytes!("../../../../tests/fixtures/flask/domain.policy");
const BROKEN: &[u8] = include_bytes!("../../../../tests/fixtures/flask/broken-domain.policy");
const TABLE: &str = include_str!("../../../../tests/golden/audit.txt");

const DOMAINS: [(&str, u16, &str, &str); 6] = [
    ("store", 1, "xenstore_t", "roles = [\"xenstore\"]"),
    ("control", 2, "ctrl_t", "roles = [\"control\"]"),
    ("hardware", 3, "hwdom_t", "roles = [\"hardware\"]"),
    ("net", 7, "guest_t", ""),
    ("vault", 9, "isolated_t", ""),
    ("card", 10, "driver_t", "ioports = [\"2f8-2ff\"]"),
];

fn config(reclaim: &str) -> Config {
    let mut text = format!("exit = \"domain\"\nreclaim = \"{reclaim}\"\nflask_policy = \"p\"\n");
    for (name, domid, label, more) in DOMAINS {
        text += &format!(
            "[[domain]]\nname = \"{name}\"\ndomid = {domid}\ntype = \"pv\"\nkernel = \"k\"\n\
             memory = \"96M\"\nseclabel = \"system_u:system_r:{label}\"\n{more}\n"
        );
    }
    Config::parse("launch.toml", text.as_bytes()).unwrap()
}

fn facts(config: &Config) -> Facts {
    let mut domains = vec![Found {
        domid: 0,
        name: Some("Domain-0".to_owned()),
        uuid: Uuid([0; 16]),
        state: State::Ended,
        memory_kib: 150 * 1024,
        label: Some("system_u:system_r:domb_t".to_owned()),
    }];
    domains.extend(config.domains.iter().map(|domain| Found {
        domid: domain.domid.value(),
        name: Some(domain.name.to_string()),
        uuid: domain.uuid,
        state: State::Running,
        memory_kib: 96 * 1024,
        label: domain.seclabel.clone(),
    }));
    Facts {
        domains,
        trees: vec![0, 1, 2, 3, 7, 9, 10],
        channels: BTreeMap::new(),
    }
}

fn plan(config: &Config) -> Plan<'_> {
    let launched = config
        .domains
        .iter()
        .map(|domain| (domain.name.to_string(), domain.seclabel.clone()));
    Plan {
        config,
        launched: launched.collect(),
        given: BTreeMap::from([("card".to_owned(), vec!["ioports 2f8-2ff".to_owned()])]),
        granted: BTreeMap::new(),
        withheld: vec!["ioports 2f8-2ff".to_owned()],
    }
}

fn audit(policy: &[u8], change: impl FnOnce(&mut Facts)) -> Audit {
    let config = config("balloon");
    let mut facts = facts(&config);
    change(&mut facts);
    Audit::of(&plan(&config), &Policy::read(policy).unwrap(), &facts)
}

fn differences(audit: &Audit) -> Vec<String> {
    let words = |item: &Item| format!("{}: {}", item.subject, item.found);
    audit.differences().map(words).collect()
}

#[test]
fn a_platform_that_is_as_planned_is_the_table_of_the_document() {
    let audit = audit(DOMAIN, |facts| {
        let mut late = facts.domains[4].clone();
        late.domid = 12;
        late.name = Some("late".to_owned());
        facts.domains.push(late);
        facts.trees.push(12);
    });
    assert_eq!(differences(&audit), Vec::<String>::new());
    assert_eq!(audit.to_string(), TABLE);
}

#[test]
fn one_rule_more_differs_and_is_named() {
    let found = differences(&audit(BROKEN, |_| {}));
    assert!(
        found.contains(
            &"hwdom_t may pause guest_t: by the rule allow hwdom_t guest_t:domain pause;"
                .to_owned()
        ),
        "{found:#?}"
    );
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("pause, resume or rewrite domains: "),
        "{found:#?}"
    );
}

#[test]
fn a_domain_that_is_missing_renamed_relabelled_or_ended_differs() {
    let found = differences(&audit(DOMAIN, |facts| {
        facts.domains[1].uuid = Uuid([7; 16]);
        facts.domains[2].name = Some("other".to_owned());
        facts.domains[3].state = State::Ended;
        facts.domains[4].label = Some("system_u:system_r:isolated_t".to_owned());
        facts.domains.pop();
    }));
    assert_eq!(
        found,
        [
            "domain 1 store: has the UUID 07070707-0707-0707-0707-070707070707",
            "domain 2 control: is called other",
            "domain 3 hardware: has ended",
            "domain 7 net: has the label system_u:system_r:isolated_t",
            "domain 10 card: is not there",
            "XenStore's trees of domains that are gone: domids 10",
        ]
    );
}

#[test]
fn a_domain_of_the_launch_that_is_paused_differs() {
    let found = differences(&audit(DOMAIN, |facts| {
        facts.domains[4].state = State::Paused;
    }));
    assert_eq!(found, ["domain 7 net: is paused"]);
}

#[test]
fn a_domain_created_since_that_is_paused_is_listed_and_its_label_counts() {
    let late = |label: &str| {
        audit(DOMAIN, |facts| {
            let mut late = facts.domains[4].clone();
            (late.domid, late.state) = (12, State::Paused);
            late.label = Some(format!("system_u:system_r:{label}"));
            facts.domains.push(late);
        })
    };
    let listed = late("guest_t");
    assert_eq!(differences(&listed), Vec::<String>::new());
    let mut rows = listed.items.iter();
    let row = rows.find(|item| item.verdict == Verdict::CreatedSince);
    assert_eq!(
        row.unwrap().found,
        "is paused, system_u:system_r:guest_t, 96 MiB"
    );
    let found = differences(&late("domb_t"));
    assert!(
        found
            .iter()
            .any(|words| words.starts_with("carry the boot domain's domb_t: ")),
        "{found:#?}"
    );
}

#[test]
fn a_domain_0_that_is_paused_has_not_halted() {
    let config = config("destroy");
    let mut facts = facts(&config);
    facts.domains[0].state = State::Paused;
    let policy = Policy::read(DOMAIN).unwrap();
    let destroy = Audit::of(&plan(&config), &policy, &facts);
    let balloon = audit(DOMAIN, |facts| facts.domains[0].state = State::Paused);
    for audited in [destroy, balloon] {
        assert_eq!(
            differences(&audited)[0],
            "domain 0 the boot domain: is paused, not halted, has 150 MiB"
        );
    }
}

#[test]
fn a_domain_0_that_is_alive_differs_and_so_does_its_label() {
    let found = differences(&audit(DOMAIN, |facts| {
        facts.domains[0].state = State::Running;
    }));
    assert_eq!(found[0], "domain 0 the boot domain: is alive, has 150 MiB");
    assert!(
        found
            .iter()
            .any(|words| words.starts_with("carry the boot domain's domb_t: ")),
        "{found:#?}"
    );
}

#[test]
fn domain_0_is_as_reclaim_says() {
    let config = config("destroy");
    let mut facts = facts(&config);
    let policy = Policy::read(DOMAIN).unwrap();
    let audited = Audit::of(&plan(&config), &policy, &facts);
    assert_eq!(audited.differences().count(), 1);
    facts.domains.remove(0);
    let audited = Audit::of(&plan(&config), &policy, &facts);
    assert_eq!(differences(&audited), Vec::<String>::new());
}

#[test]
fn a_domain_that_cannot_go_shows_that_somebody_has_its_pages() {
    let found = differences(&audit(DOMAIN, |facts| {
        let mut gone = facts.domains[4].clone();
        (gone.domid, gone.state) = (12, State::Dying);
        facts.domains.push(gone);
    }));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].contains("somebody, of domids 12"), "{found:#?}");
}

#[test]
fn a_channel_to_a_domain_that_is_gone_differs() {
    let found = differences(&audit(DOMAIN, |facts| {
        let channels = [(3, 1), (5, 40)].map(|(port, remote)| Channel { port, remote });
        facts.channels.insert(7, Channels::Known(channels.to_vec()));
    }));
    assert_eq!(found, ["event channels of domain 7: port 5 to domain 40"]);
}

#[test]
fn a_refusal_to_tell_of_channels_differs_where_the_policy_lets_xen_tell() {
    let config = config("balloon");
    let mut facts = facts(&config);
    let row = |policy: &Policy, facts: &Facts| {
        let audited = Audit::of(&plan(&config), policy, facts);
        let mut rows = audited.items.into_iter();
        let row = rows.find(|item| item.subject == "event channels of domain 7");
        row.map(|item| (item.verdict, item.found)).unwrap()
    };
    let channels = Channels::Denied("permission denied".to_owned());
    facts.channels.insert(7, channels);
    let silent = Policy::read(DOMAIN).unwrap();
    let (verdict, found) = row(&silent, &facts);
    assert_eq!(verdict, Verdict::NotPermitted);
    assert_eq!(found, "permission denied");
    let tells = silent.allowing("guest_t", "guest_t_channel", "event", "status");
    let (verdict, found) = row(&tells, &facts);
    assert_eq!(verdict, Verdict::Differs);
    assert_eq!(
        found,
        "Xen refuses what the measured policy allows: ask about the event channels of \
         system_u:system_r:guest_t (permission denied)"
    );
    facts.channels.clear();
    let (verdict, found) = row(&tells, &facts);
    assert_eq!(verdict, Verdict::NotPermitted);
    assert_eq!(found, "Xen was not asked");
}

#[test]
fn a_domain_left_out_by_the_launch_is_not_expected() {
    let config = config("balloon");
    let mut facts = facts(&config);
    let mut plan = plan(&config);
    plan.launched.remove("card");
    plan.withheld.clear();
    facts.domains.pop();
    facts.trees.pop();
    let audited = Audit::of(&plan, &Policy::read(DOMAIN).unwrap(), &facts);
    assert_eq!(differences(&audited), Vec::<String>::new());
}

#[test]
fn hardware_and_control_in_one_domain_have_the_powers_of_both() {
    let mut text = "exit = \"domain\"\nflask_policy = \"p\"\n".to_owned();
    for (name, domid, label, roles) in [
        ("store", 1, "xenstore_t", "\"xenstore\""),
        ("dom", 3, "ctrl_t", "\"hardware\", \"control\""),
    ] {
        text += &format!(
            "[[domain]]\nname = \"{name}\"\ndomid = {domid}\ntype = \"pv\"\nkernel = \"k\"\n\
             memory = \"96M\"\nseclabel = \"system_u:system_r:{label}\"\nroles = [{roles}]\n"
        );
    }
    let config = Config::parse("t", text.as_bytes()).unwrap();
    let mut facts = facts(&config);
    facts.domains.remove(0);
    facts.trees = vec![1, 3];
    let audited = Audit::of(&plan(&config), &Policy::read(DOMAIN).unwrap(), &facts);
    assert_eq!(differences(&audited), Vec::<String>::new());
}

fn control(policy: &Policy) -> Context {
    policy.label("system_u:system_r:ctrl_t").unwrap()
}

/// What Flask answers that enforces `bytes`.
fn enforcing(bytes: &[u8]) -> impl FnMut(&Question) -> Result<u32, NoAnswer> {
    let policy = Policy::read(bytes).unwrap();
    move |question: &Question| {
        let label = |text: &str| policy.label(text).unwrap();
        let (source, target) = (label(&question.source), label(&question.target));
        Ok(policy
            .allowed_bits(&source, &target, &question.class)
            .unwrap())
    }
}

#[test]
fn a_rule_more_or_less_in_what_xen_enforces_is_named() {
    let asked = |planned, in_force| {
        let policy = Policy::read(planned).unwrap();
        enforced(&policy, &control(&policy), enforcing(in_force))
    };
    let found = |items: Vec<Item>| -> Vec<String> {
        let differing = items.iter().map(|item| {
            assert_eq!(item.verdict, Verdict::Differs);
            item.found.clone()
        });
        differing.collect()
    };
    assert_eq!(
        found(asked(DOMAIN, BROKEN)),
        ["Xen enforces a rule more: allow hwdom_t guest_t:domain pause;"]
    );
    assert_eq!(
        found(asked(BROKEN, DOMAIN)),
        ["Xen lacks the rule: allow hwdom_t guest_t:domain pause;"]
    );
    let same = asked(DOMAIN, DOMAIN);
    assert!(matches!(
        same.as_slice(),
        [Item {
            verdict: Verdict::AsPlanned,
            ..
        }]
    ));
}

#[test]
fn a_refusal_to_who_may_ask_by_the_policy_differs() {
    let policy = Policy::read(DOMAIN).unwrap();
    let found = |answer: NoAnswer| -> String {
        let items = enforced(&policy, &control(&policy), |_| Err(answer.clone()));
        let [item] = items.as_slice() else {
            panic!("{items:#?}")
        };
        assert_eq!(item.verdict, Verdict::Differs);
        item.found.clone()
    };
    let refusal = found(NoAnswer::Denied("permission denied".to_owned()));
    let first = &policy.every_question()[0];
    let about = |label: &str| label.rsplit(':').next().unwrap().to_owned();
    assert_eq!(
        refusal,
        format!(
            "Xen refuses what the measured policy allows: ask about {} {}:{} (permission denied)",
            about(&first.source),
            about(&first.target),
            first.class
        )
    );
    assert_eq!(found(NoAnswer::Failed("no label".to_owned())), "no label");
}

#[test]
fn a_refusal_after_answers_hides_none_of_them() {
    let policy = Policy::read(DOMAIN).unwrap();
    let mut asked = 0;
    let items = enforced(&policy, &control(&policy), |question| {
        asked += 1;
        if asked > 100 {
            return Err(NoAnswer::Denied("no".to_owned()));
        }
        Ok(!question.allowed)
    });
    assert_eq!(items.len(), 22);
    assert!(items.iter().all(|item| item.verdict == Verdict::Differs));
    assert!(items[20].found.starts_with("and "), "{}", items[20].found);
    assert!(
        items[21].found.starts_with("Xen refuses "),
        "{}",
        items[21].found
    );
}

#[test]
fn who_may_not_ask_by_the_policy_does_not_and_nothing_differs() {
    let policy = Policy::read(DOMAIN).unwrap();
    let asker = policy.label("system_u:system_r:hwdom_t").unwrap();
    let items = enforced(&policy, &asker, |question| panic!("asked {question:?}"));
    let [item] = items.as_slice() else {
        panic!("{items:#?}")
    };
    assert_eq!(item.verdict, Verdict::NotPermitted);
    assert_eq!(
        item.found,
        "the control domain has no security:check_context, compute_av"
    );
}

#[test]
fn another_policy_altogether_does_not_flood_the_table() {
    let policy = Policy::read(DOMAIN).unwrap();
    let items = enforced(&policy, &control(&policy), |_| Ok(0));
    assert_eq!(items.len(), 21);
    assert!(items[20].found.starts_with("and "), "{}", items[20].found);
}

#[test]
fn a_range_that_was_not_given_or_not_withheld_differs() {
    let config = config("balloon");
    let facts = facts(&config);
    let policy = Policy::read(DOMAIN).unwrap();
    let mut plan = plan(&config);
    plan.withheld.clear();
    let audited = Audit::of(&plan, &policy, &facts);
    assert_eq!(
        differences(&audited),
        ["ranges the hardware domain is kept from: none"]
    );
    plan.withheld = vec!["ioports 2f8-2ff".to_owned(), "irq 3".to_owned()];
    plan.given
        .insert("net".to_owned(), vec!["irq 3".to_owned()]);
    plan.given.remove("card");
    let audited = Audit::of(&plan, &policy, &facts);
    assert_eq!(
        differences(&audited),
        [
            "ranges of domain 7 net: irq 3",
            "ranges of domain 10 card: none"
        ]
    );
}

#[test]
fn what_the_launch_script_granted_is_planned() {
    let mut text =
        "exit = \"domain\"\nflask_policy = \"p\"\n[resources.clock]\nioports = [\"70-71\"]\n"
            .to_owned();
    for (name, domid, label, more) in DOMAINS {
        text += &format!(
            "[[domain]]\nname = \"{name}\"\ndomid = {domid}\ntype = \"pv\"\nkernel = \"k\"\n\
             memory = \"96M\"\nseclabel = \"system_u:system_r:{label}\"\n{more}\n"
        );
    }
    let config = Config::parse("launch.toml", text.as_bytes()).unwrap();
    let mut facts = facts(&config);
    facts.domains.remove(0);
    let mut plan = plan(&config);
    let clock = vec!["ioports 70-71".to_owned()];
    plan.given.insert(
        "card".to_owned(),
        [clock.clone(), plan.withheld.clone()].concat(),
    );
    plan.withheld.extend(clock);
    let policy = Policy::read(DOMAIN).unwrap();
    let audited = Audit::of(&plan, &policy, &facts);
    assert_eq!(
        differences(&audited),
        ["ranges of domain 10 card: ioports 2f8-2ff; ioports 70-71"]
    );
    plan.granted
        .insert("card".to_owned(), vec!["clock".to_owned()]);
    let audited = Audit::of(&plan, &policy, &facts);
    assert_eq!(differences(&audited), Vec::<String>::new());
}
