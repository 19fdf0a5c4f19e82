// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a policy grants beyond Xen's behaviour without labels.
//!
//! Without labels Xen knows the control domain, which may do everything, and
//! three kinds of others: a device model, the xenstore domain, any domain. A
//! rule is a finding when it gives a label other than the first domain's what
//! no domain but the control domain would have. Both branches of a condition
//! count, because whoever may set a boolean chooses between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::permissions::{Level, Permissions};
use super::policydb::{Policy, sid};
use super::rules::{Rule, RuleKind};

/// Rules of one label about one class that grant more than Xen alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The type that has it.
    pub source: String,
    /// The class.
    pub class: String,
    /// The permission.
    pub permission: String,
    /// Who would have it without labels.
    pub level: Level,
    /// The types it has it on, in order.
    pub targets: Vec<String>,
    /// The condition under which it holds, as the policy's source has it.
    pub condition: Option<String>,
}

impl Finding {
    /// What it means, as a sentence without its full stop: who may do what,
    /// under which condition, and who could without labels.
    #[must_use]
    pub fn words(&self) -> String {
        let row = Permissions::xen_4_17().find(&self.class, &self.permission);
        let targets = self.targets.join(", ");
        let may = row.map(|row| row.words(&targets)).unwrap_or_default();
        let condition = self.condition.as_deref();
        let condition = condition
            .map(|text| format!(" when {text}"))
            .unwrap_or_default();
        format!(
            "{} may {may}{condition}; without labels: {}",
            self.source,
            self.level.who()
        )
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weakness::Permissive(kind) => {
                write!(
                    f,
                    "{kind} is not enforced: it may do everything, and denials are only logged"
                )
            }
            Weakness::UnknownAllowed => {
                write!(
                    f,
                    "operations that the policy does not know are allowed to every domain"
                )
            }
            Weakness::UnknownPermission(class, permission) => write!(
                f,
                "{class}:{permission} is granted, and Xen 4.17 has no such permission to compare to"
            ),
        }
    }
}

/// A property of the whole policy that makes it weaker than its rules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weakness {
    /// Everything is allowed to this type; denials are only logged.
    Permissive(String),
    /// Operations the policy does not know are allowed.
    UnknownAllowed,
    /// A permission that is not in the table of Xen 4.17: nobody has judged it.
    UnknownPermission(String, String),
}

/// What a policy grants beyond Xen's behaviour without labels.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Comparison {
    /// By source, class and permission.
    pub findings: Vec<Finding>,
    /// What is wrong with the policy as a whole.
    pub weaknesses: Vec<Weakness>,
    /// The types taken for domain 0: the first domain's and what it may make
    /// of itself. Xen alone lets domain 0 do everything.
    pub domain_0: Vec<String>,
}

/// Compares `policy` to Xen's behaviour without labels.
#[must_use]
pub fn compare(policy: &Policy) -> Comparison {
    let table = Permissions::xen_4_17();
    let compared = Compared::new(policy);
    let mut findings: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (rule, condition) in compared.allow_rules() {
        let class = policy.classes.name(rule.class);
        for permission in policy.permission_names(rule.class, rule.data) {
            let Some(row) = table.find(class, permission) else {
                continue;
            };
            for (source, target) in compared.pairs(rule) {
                if !compared.has_without_labels(row.level, class, permission, source, target) {
                    let key = (source, class, permission, row.level, condition.clone());
                    findings
                        .entry(key)
                        .or_default()
                        .insert(policy.types.name(target).to_owned());
                }
            }
        }
    }
    let mut findings: Vec<Finding> = findings
        .into_iter()
        .map(
            |((source, class, permission, level, condition), targets)| Finding {
                source: policy.types.name(source).to_owned(),
                class: class.to_owned(),
                permission: permission.to_owned(),
                level,
                targets: targets.into_iter().collect(),
                condition,
            },
        )
        .collect();
    findings.sort_by(|a, b| {
        (&a.source, &a.class, &a.permission, &a.condition).cmp(&(
            &b.source,
            &b.class,
            &b.permission,
            &b.condition,
        ))
    });
    let names = compared
        .domain_0
        .iter()
        .map(|kind| policy.types.name(*kind).to_owned());
    Comparison {
        findings,
        weaknesses: weaknesses(policy).into_iter().collect(),
        domain_0: names.collect(),
    }
}

/// What makes the policy weaker than its rules.
pub(super) fn weaknesses(policy: &Policy) -> BTreeSet<Weakness> {
    let table = Permissions::xen_4_17();
    let mut weaknesses = BTreeSet::new();
    for (rule, _) in Compared::new(policy).allow_rules() {
        let class = policy.classes.name(rule.class);
        for permission in policy.permission_names(rule.class, rule.data) {
            if table.find(class, permission).is_none() {
                weaknesses.insert(Weakness::UnknownPermission(
                    class.to_owned(),
                    permission.to_owned(),
                ));
            }
        }
    }
    if policy.allow_unknown {
        weaknesses.insert(Weakness::UnknownAllowed);
    }
    for kind in policy.permissive_types() {
        weaknesses.insert(Weakness::Permissive(policy.types.name(kind).to_owned()));
    }
    weaknesses
}

/// The policy with what decides about each rule worked out once.
pub(super) struct Compared<'a> {
    policy: &'a Policy,
    /// Types that stand for domain 0 or for Xen itself.
    domain_0: BTreeSet<u32>,
    /// Types a running domain or a channel can carry.
    subjects: BTreeSet<u32>,
    /// Types that only stand for a domain as itself or its device model sees it.
    pub(super) views: BTreeSet<u32>,
    domain_class: Option<u32>,
    event_class: Option<u32>,
}

impl<'a> Compared<'a> {
    pub(super) fn new(policy: &'a Policy) -> Compared<'a> {
        let mut compared = Compared {
            policy,
            domain_0: BTreeSet::from([policy.boot_domain().kind]),
            subjects: BTreeSet::new(),
            views: BTreeSet::new(),
            domain_class: policy.classes.value("domain"),
            event_class: policy.classes.value("event"),
        };
        loop {
            let reached = compared.reached_by_relabelself();
            let before = compared.domain_0.len();
            compared.domain_0.extend(reached);
            if compared.domain_0.len() == before {
                break;
            }
        }
        compared.subjects = compared.carried();
        let view = |rule: &&Rule| {
            rule.kind == RuleKind::Transition
                && Some(rule.class) == compared.domain_class
                && !compared.subjects.contains(&rule.data)
                && !compared.domain_0.contains(&rule.data)
        };
        compared.views = policy
            .rules
            .iter()
            .filter(view)
            .map(|rule| rule.data)
            .collect();
        compared
    }

    /// The allow rules, each with the condition it stands under.
    pub(super) fn allow_rules(&self) -> impl Iterator<Item = (&'a Rule, Option<String>)> + use<'a> {
        let policy = self.policy;
        let always = policy.rules.iter().map(|rule| (rule, None));
        let conditional = policy.conditionals.iter().flat_map(move |conditional| {
            let text = conditional.text(&policy.booleans);
            let inverse = format!("!{text}");
            let when_true = conditional
                .when_true
                .iter()
                .map(move |rule| (rule, Some(text.clone())));
            let when_false = conditional
                .when_false
                .iter()
                .map(move |rule| (rule, Some(inverse.clone())));
            when_true.chain(when_false)
        });
        always
            .chain(conditional)
            .filter(|(rule, _)| rule.kind == RuleKind::Allow)
    }

    /// The pairs of types a rule is about, without the sources that nothing
    /// can carry, without domain 0 and Xen, and without the targets that only
    /// somebody else sees: what a domain is to itself or to its device model.
    fn pairs(&self, rule: &Rule) -> Vec<(u32, u32)> {
        let policy = self.policy;
        let types = || (1..=policy.types.len()).filter(|kind| !policy.types.thing(*kind).attribute);
        let sources = types()
            .filter(|kind| policy.covers(rule.source, *kind) && self.subjects.contains(kind));
        let pairs = sources.flat_map(|source| {
            let targets = types().filter(move |kind| {
                policy.covers(rule.target, *kind)
                    && (!self.views.contains(kind) || self.is_own(source, *kind))
            });
            targets.map(move |target| (source, target))
        });
        pairs.collect()
    }

    /// Whether a domain labelled `source`, which is not domain 0, would have
    /// the permission on `target` if Xen had no labels.
    pub(super) fn has_without_labels(
        &self,
        level: Level,
        class: &str,
        permission: &str,
        source: u32,
        target: u32,
    ) -> bool {
        let device_pages = class == "mmu"
            && matches!(permission, "map_read" | "map_write")
            && target == self.policy.initial(sid::DOMIO).kind;
        match level {
            Level::Any | Level::Passive => true,
            // xsm_mmu_update() in dummy.h lets pages of DOMID_IO pass.
            Level::Own => device_pages || self.is_own(source, target),
            Level::DeviceModel => self.is_guest_of(source, target),
            Level::Store
            | Level::Console
            | Level::Privileged
            | Level::FlaskOnly
            | Level::Flawed => false,
        }
    }

    /// Whether `target` is what `source` is to itself, or what the guest of
    /// this device model is to it, or an event channel of either.
    pub(super) fn is_own(&self, source: u32, target: u32) -> bool {
        let domain = |owner| {
            self.domain_class.is_some_and(|class| {
                self.policy
                    .transition(source, source, class)
                    .unwrap_or(source)
                    == owner
            })
        };
        let channels = self
            .event_class
            .map(|class| self.channels_of(source, class));
        domain(target)
            || self.is_guest_of(source, target)
            || channels.is_some_and(|channels| channels.contains(&target))
    }

    /// The labels of event channels that `source`, or a guest as `source` its
    /// device model sees it, has.
    fn channels_of(&self, source: u32, class: u32) -> BTreeSet<u32> {
        let is_owner = |rule: &&Rule| {
            rule.kind == RuleKind::Transition
                && rule.class == class
                && (rule.source == source || self.guests_of(source).contains(&rule.source))
        };
        self.policy
            .rules
            .iter()
            .filter(is_owner)
            .map(|rule| rule.data)
            .collect()
    }

    fn is_guest_of(&self, source: u32, target: u32) -> bool {
        self.guests_of(source).iter().any(|guest| {
            self.domain_class.is_some_and(|class| {
                self.policy
                    .transition(*guest, source, class)
                    .unwrap_or(*guest)
                    == target
            })
        })
    }

    /// The types whose device model `source` can be made (`domain:set_target`).
    fn guests_of(&self, source: u32) -> BTreeSet<u32> {
        self.reach("domain", "set_target", &BTreeSet::from([source]))
    }

    fn reached_by_relabelself(&self) -> BTreeSet<u32> {
        self.reach("domain2", "relabelself", &self.domain_0)
    }

    /// The types that any of `sources` has this permission on.
    pub(super) fn reach(
        &self,
        class: &str,
        permission: &str,
        sources: &BTreeSet<u32>,
    ) -> BTreeSet<u32> {
        let mut reached = BTreeSet::new();
        for (rule, _) in self.allow_rules() {
            if self.policy.classes.name(rule.class) != class
                || !self
                    .policy
                    .permission_names(rule.class, rule.data)
                    .contains(&permission)
                || !sources
                    .iter()
                    .any(|source| self.policy.covers(rule.source, *source))
            {
                continue;
            }
            let types = 1..=self.policy.types.len();
            reached.extend(types.filter(|kind| {
                !self.policy.types.thing(*kind).attribute && self.policy.covers(rule.target, *kind)
            }));
        }
        reached
    }

    /// The types that something which acts can carry: what somebody may create
    /// or relabel to, and event channels, which are the subject of `bind`.
    fn carried(&self) -> BTreeSet<u32> {
        let everybody: BTreeSet<u32> = (1..=self.policy.types.len()).collect();
        let mut carried = self.reach("domain", "create", &everybody);
        carried.extend(self.reach("domain2", "relabelto", &everybody));
        carried.extend(self.reach("domain2", "relabelself", &everybody));
        carried.extend(self.policy.initial.iter().map(|(_, label)| label.kind));
        let created = |rule: &&Rule| {
            rule.kind == RuleKind::Transition && Some(rule.class) == self.event_class
        };
        carried.extend(
            self.policy
                .rules
                .iter()
                .filter(created)
                .map(|rule| rule.data),
        );
        for exempt in [sid::XENBOOT, sid::XEN] {
            carried.remove(&self.policy.initial(exempt).kind);
        }
        carried.retain(|kind| !self.domain_0.contains(kind));
        carried
    }
}
