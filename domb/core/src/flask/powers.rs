// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The powers of labels that domains can carry: each permission that Xen
//! without labels would give to no ordinary domain, with the rules that grant
//! it. What `compare` says of a policy as a whole, for the labels of one
//! platform, and without setting a first domain aside: it may have gone.
//!
//! Rules alone are looked at. A constraint, a role or bounds can take away
//! what a rule grants; who relies on that is told of the rule.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Compared, Weakness, weaknesses};
use super::label::Context;
use super::permissions::{Level, Permissions};
use super::policydb::{Policy, sid};
use super::questions::Question;
use super::rules::{Rule, RuleKind};
use super::symbols::OBJECT_ROLE;

/// One permission that is a power.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Power {
    /// The type that has it.
    pub source: String,
    /// The class.
    pub class: String,
    /// The permission.
    pub permission: String,
    /// The type it has it on.
    pub target: String,
    /// What that is.
    pub object: Object,
    /// The rules that grant it, each in its source's form, with its condition.
    pub rules: Vec<String>,
}

/// What a power is over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Object {
    /// The domain itself.
    Own,
    /// Domains that carry the target, or their event channels: [`Power::target`]
    /// is the domain's type.
    Domain,
    /// Xen.
    Xen,
    /// The Flask server.
    Flask,
    /// Interrupts, I/O ports, I/O memory and devices.
    Device,
}

impl Power {
    /// What whoever has it may do: follows "may".
    #[must_use]
    pub fn words(&self) -> String {
        let row = Permissions::xen_4_17().find(&self.class, &self.permission);
        row.map_or_else(
            || format!("{}:{} on {}", self.class, self.permission, self.target),
            |row| row.words(&self.target),
        )
    }
}

impl Policy {
    /// The type of a label.
    #[must_use]
    pub fn type_of(&self, label: &Context) -> &str {
        self.types.name(label.kind)
    }

    /// The types that domains can carry from here on: those in use, and those
    /// that a domain of one of them may create or take.
    #[must_use]
    pub fn carriers(&self, in_use: &[Context]) -> BTreeSet<String> {
        let compared = Compared::new(self);
        let mut carried: BTreeSet<u32> = in_use.iter().map(|label| label.kind).collect();
        loop {
            let before = carried.len();
            for (class, permission) in [
                ("domain", "create"),
                ("domain2", "relabelto"),
                ("domain2", "relabelself"),
            ] {
                let more = compared.reach(class, permission, &carried);
                carried.extend(more);
            }
            if carried.len() == before {
                break;
            }
        }
        let names = carried.iter().map(|kind| self.types.name(*kind).to_owned());
        names.collect()
    }

    /// Each power of each of `sources`, which are types of this policy, in
    /// order.
    #[must_use]
    pub fn powers(&self, sources: &BTreeSet<String>) -> Vec<Power> {
        let compared = Compared::new(self);
        let mut found: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for (rule, condition) in compared.allow_rules() {
            let class = self.classes.name(rule.class);
            for permission in self.permission_names(rule.class, rule.data) {
                let text = self.rule_text(rule, permission, condition.as_deref());
                for source in sources.iter().filter_map(|name| self.types.value(name)) {
                    if !self.covers(rule.source, source) {
                        continue;
                    }
                    for target in self.targets(rule, &compared, source) {
                        if is_power(&compared, class, permission, source, target) {
                            let (object, target) = self.object(source, target);
                            found
                                .entry((source, class, permission, object, target))
                                .or_default()
                                .insert(text.clone());
                        }
                    }
                }
            }
        }
        let power = |((source, class, permission, object, target), rules): (_, BTreeSet<_>)| {
            let (class, permission): (&str, &str) = (class, permission);
            Power {
                source: self.types.name(source).to_owned(),
                class: class.to_owned(),
                permission: permission.to_owned(),
                target: self.types.name(target).to_owned(),
                object,
                rules: rules.into_iter().collect(),
            }
        };
        found.into_iter().map(power).collect()
    }

    /// What makes the policy weaker than its rules.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<Weakness> {
        weaknesses(self).into_iter().collect()
    }

    /// What to ask a hypervisor to find out whether it enforces these rules and
    /// no other: each type against each, in every class. A type stands for all
    /// labels that have it: with the first domain's user and role, or as an
    /// object.
    #[must_use]
    pub fn every_question(&self) -> Vec<Question> {
        let kinds = (1..=self.types.len()).filter(|kind| !self.types.thing(*kind).attribute);
        let label = |kind| {
            let as_domain = Context {
                kind,
                ..*self.boot_domain()
            };
            if self.is_valid(&as_domain) {
                as_domain
            } else {
                Context {
                    role: OBJECT_ROLE,
                    ..as_domain
                }
            }
        };
        let labels: Vec<Context> = kinds.map(label).collect();
        let pairs = labels
            .iter()
            .flat_map(|source| labels.iter().map(|target| (*source, *target)));
        self.questions_of(pairs.collect())
    }

    /// Whether a domain with this label may ask them.
    #[must_use]
    pub fn may_ask(&self, label: &Context) -> bool {
        self.lacks_to_ask(label).is_empty()
    }

    /// What a domain with this label lacks to ask them: labels become numbers
    /// with `check_context`, and numbers an answer with `compute_av`
    /// (`flask_security_context()` and `flask_security_access()`,
    /// `xen/xsm/flask/flask_op.c`).
    #[must_use]
    pub fn lacks_to_ask(&self, label: &Context) -> Vec<&'static str> {
        let allowed = self.allowed(label, self.initial(sid::SECURITY), "security");
        let allowed = allowed.unwrap_or_default();
        let needed = ["check_context", "compute_av"].into_iter();
        needed.filter(|it| !allowed.contains(it)).collect()
    }

    /// Whether Xen tells about the event channels of a domain with this label:
    /// it asks whether that domain, not the caller, has `event:status`
    /// (`flask_evtchn_status()`, `xen/xsm/flask/hooks.c`).
    #[must_use]
    pub fn tells_channels(&self, label: &Context) -> bool {
        let Some(event) = self.classes.value("event") else {
            return false;
        };
        let mut kinds = 1..=self.types.len();
        kinds.any(|kind| {
            let vector = self.ruled(label.kind, kind, event);
            self.permission_names(event, vector).contains(&"status")
        })
    }

    /// The types of a rule's targets, without those by which only others see
    /// themselves.
    fn targets(&self, rule: &Rule, compared: &Compared<'_>, source: u32) -> Vec<u32> {
        let kinds = 1..=self.types.len();
        kinds
            .filter(|kind| {
                !self.types.thing(*kind).attribute
                    && self.covers(rule.target, *kind)
                    && (!compared.views.contains(kind) || compared.is_own(source, *kind))
            })
            .collect()
    }

    /// What a target is to a source, and the type to call it by: an event
    /// channel stands for its domain.
    fn object(&self, source: u32, target: u32) -> (Object, u32) {
        let is = |sids: &[u32]| sids.iter().any(|sid| self.initial(*sid).kind == target);
        let own = self.classes.value("domain").and_then(|class| {
            let own = self.transition(source, source, class);
            own.filter(|own| *own == target)
        });
        if own.is_some() {
            (Object::Own, source)
        } else if is(&[sid::XENBOOT, sid::XEN, sid::DOMXEN]) {
            (Object::Xen, target)
        } else if is(&[sid::SECURITY]) {
            (Object::Flask, target)
        } else if is(&[sid::DOMIO, sid::IOPORT, sid::IOMEM, sid::IRQ, sid::DEVICE]) {
            (Object::Device, target)
        } else {
            (Object::Domain, self.owner(target).unwrap_or(target))
        }
    }

    /// The type of the domains whose event channels carry `channel`.
    fn owner(&self, channel: u32) -> Option<u32> {
        let event = self.classes.value("event")?;
        let mut rules = self.rules.iter();
        let rule = rules.find(|rule| {
            rule.kind == RuleKind::Transition && rule.class == event && rule.data == channel
        })?;
        (!self.types.thing(rule.source).attribute).then_some(rule.source)
    }

    fn rule_text(&self, rule: &Rule, permission: &str, condition: Option<&str>) -> String {
        let allow = format!(
            "allow {} {}:{} {permission};",
            self.types.name(rule.source),
            self.types.name(rule.target),
            self.classes.name(rule.class)
        );
        match condition {
            Some(condition) => format!("if {condition} {{ {allow} }}"),
            None => allow,
        }
    }
}

/// Whether it is more than an ordinary domain has. That a domain may have a
/// device is passive, and yet what tells who can.
fn is_power(
    compared: &Compared<'_>,
    class: &str,
    permission: &str,
    source: u32,
    target: u32,
) -> bool {
    let Some(row) = Permissions::xen_4_17().find(class, permission) else {
        return true;
    };
    if row.level == Level::Passive {
        return class == "resource";
    }
    !compared.has_without_labels(row.level, class, permission, source, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(bytes: &[u8]) -> Policy {
        Policy::read(bytes).unwrap()
    }

    fn domain() -> Policy {
        policy(include_bytes!(
            "../../../../tests/fixtures/flask/domain.policy"
        ))
    }

    fn labels(policy: &Policy, names: &[&str]) -> Vec<Context> {
        let label = |name: &&str| policy.label(&format!("system_u:system_r:{name}")).unwrap();
        names.iter().map(label).collect()
    }

    fn powers(policy: &Policy, names: &[&str]) -> Vec<String> {
        let carriers = policy.carriers(&labels(policy, names));
        let powers = policy.powers(&carriers);
        let word = |power: &Power| {
            let Power {
                source,
                class,
                permission,
                target,
                object,
                ..
            } = power;
            format!("{source} {class}:{permission} {target} {object:?}")
        };
        powers.iter().map(word).collect()
    }

    #[test]
    fn a_control_domain_can_bring_guests_and_nothing_else() {
        let carriers = domain().carriers(&labels(&domain(), &["ctrl_t", "hwdom_t"]));
        let expected = ["ctrl_t", "driver_t", "guest_t", "hwdom_t"].map(str::to_owned);
        assert_eq!(carriers, BTreeSet::from(expected));
    }

    #[test]
    fn powers_are_over_xen_devices_flask_domains_or_oneself() {
        let found = powers(&domain(), &["ctrl_t", "hwdom_t"]);
        for expected in [
            "ctrl_t domain:create guest_t Domain",
            "ctrl_t domain:getaffinity ctrl_t Own",
            "ctrl_t event:create guest_t Domain",
            "ctrl_t security:check_context security_t Flask",
            "hwdom_t xen:sleep xen_t Xen",
            "hwdom_t resource:use_noiommu iomem_t Device",
        ] {
            assert!(found.iter().any(|word| word == expected), "{found:#?}");
        }
        assert!(
            !found.iter().any(|word| word.starts_with("guest_t")),
            "{found:#?}"
        );
    }

    #[test]
    fn a_power_names_the_rule_it_comes_from() {
        let broken = policy(include_bytes!(
            "../../../../tests/fixtures/flask/broken.policy"
        ));
        let powers = broken.powers(&BTreeSet::from(["guest_t".to_owned()]));
        let [power] = powers.as_slice() else {
            panic!("{powers:#?}")
        };
        assert_eq!(power.rules, ["allow guest_t isolated_t:domain destroy;"]);
        assert_eq!(power.words(), "destroy isolated_t");
    }

    #[test]
    fn who_asks_needs_both_permissions() {
        let policy = domain().allowing("guest_t", "security_t", "security", "compute_av");
        let lacks = |name| policy.lacks_to_ask(&labels(&policy, &[name])[0]);
        assert_eq!(lacks("ctrl_t"), Vec::<&str>::new());
        assert_eq!(lacks("guest_t"), ["check_context"]);
        assert_eq!(lacks("hwdom_t"), ["check_context", "compute_av"]);
        assert!(!policy.may_ask(&labels(&policy, &["guest_t"])[0]));
    }

    #[test]
    fn every_question_is_about_each_pair_of_types_in_each_class() {
        let policy = domain();
        let questions = policy.every_question();
        let kinds = (1..=policy.types.len()).filter(|kind| !policy.types.thing(*kind).attribute);
        let classes = policy.classes.len() as usize;
        assert_eq!(questions.len(), kinds.count().pow(2) * classes);
        for expected in [
            ("system_u:system_r:ctrl_t", "system_u:system_r:security_t"),
            (
                "system_u:object_r:ctrl_t_channel",
                "system_u:system_r:xenstore_t",
            ),
            ("system_u:system_r:hwdom_t", "system_u:object_r:irq_t"),
        ] {
            let mut pairs = questions
                .iter()
                .map(|question| (question.source.as_str(), question.target.as_str()));
            assert!(pairs.any(|pair| pair == expected), "{expected:?}");
        }
        for question in &questions {
            for label in [&question.source, &question.target] {
                assert!(policy.label(label).is_ok(), "{label}");
            }
        }
    }
}
