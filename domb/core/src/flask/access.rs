// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a policy allows, worked out as Xen works it out
//! (`context_struct_compute_av()`, `xen/xsm/flask/ss/services.c`): rules and
//! conditional rules of all attributes of both types, less what a constraint,
//! a change of role or a type's bounds takes away.

use super::label::Context;
use super::policydb::Policy;
use super::rules::{Rule, RuleKind};

impl Policy {
    /// The permissions of `class` that `source` has on `target`, with the
    /// booleans as the policy sets them. None for a class the policy does not
    /// know.
    #[must_use]
    pub fn allowed(&self, source: &Context, target: &Context, class: &str) -> Option<Vec<&str>> {
        let class = self.classes.value(class)?;
        let vector = self.vector(source, target, class);
        Some(self.permission_names(class, vector))
    }

    /// The same as the bits of the class's permissions.
    #[must_use]
    pub fn allowed_bits(&self, source: &Context, target: &Context, class: &str) -> Option<u32> {
        let class = self.classes.value(class)?;
        Some(self.vector(source, target, class))
    }

    /// The same for a class by its number.
    pub(super) fn vector(&self, source: &Context, target: &Context, class: u32) -> u32 {
        let mut vector = self.ruled(source.kind, target.kind, class);
        for constraint in &self.classes.thing(class).constraints {
            if constraint.permissions & vector != 0
                && !constraint.holds(source, target, &self.roles)
            {
                vector &= !constraint.permissions;
            }
        }
        vector &= !self.barred_by_role(source, target, class);
        self.within_bounds(source, target, class, vector)
    }

    /// What the rules alone grant, before anything is taken away.
    pub(super) fn ruled(&self, source: u32, target: u32, class: u32) -> u32 {
        let granted = self.active_rules().filter(|rule| {
            rule.kind == RuleKind::Allow
                && rule.class == class
                && self.covers(rule.source, source)
                && self.covers(rule.target, target)
        });
        granted.fold(0, |vector, rule| vector | rule.data)
    }

    /// The type that something of `class` gets between these types, if a
    /// `type_transition` says so.
    pub(super) fn transition(&self, source: u32, target: u32, class: u32) -> Option<u32> {
        let mut rules = self.active_rules();
        let rule = rules.find(|rule| {
            rule.kind == RuleKind::Transition
                && (rule.source, rule.target, rule.class) == (source, target, class)
        })?;
        Some(rule.data)
    }

    /// Whether `named`, a type or an attribute in a rule, means the type.
    pub(super) fn covers(&self, named: u32, kind: u32) -> bool {
        self.attributes[kind as usize - 1].has(named)
    }

    pub(super) fn permission_names(&self, class: u32, vector: u32) -> Vec<&str> {
        let names = self.classes.thing(class).permissions.iter().enumerate();
        let set = names.filter(|(bit, _)| vector & (1 << bit) != 0);
        set.map(|(_, name)| name.as_str()).collect()
    }

    /// The rules in force with the booleans as the policy sets them.
    fn active_rules(&self) -> impl Iterator<Item = &Rule> {
        let conditional = self.conditionals.iter().flat_map(|conditional| {
            if conditional.is_true(&self.booleans) {
                conditional.when_true.iter()
            } else {
                conditional.when_false.iter()
            }
        });
        self.rules.iter().chain(conditional)
    }

    /// `domain:transition` where the roles differ and no `allow` for roles
    /// lets one become the other.
    fn barred_by_role(&self, source: &Context, target: &Context, class: u32) -> u32 {
        let change = (source.role, target.role);
        if change.0 == change.1
            || self.role_changes.contains(&change)
            || self.classes.name(class) != "domain"
        {
            return 0;
        }
        let names = self.classes.thing(class).permissions.iter();
        names
            .enumerate()
            .filter(|(_, name)| *name == "transition")
            .fold(0, |bits, (bit, _)| bits | 1 << bit)
    }

    /// `type_attribute_bounds_av()`: a bounded type has no more than its bound.
    fn within_bounds(&self, source: &Context, target: &Context, class: u32, vector: u32) -> u32 {
        let bounded = |context: &Context| {
            let bounds = self.types.thing(context.kind).bounds;
            (bounds != 0).then_some(Context {
                kind: bounds,
                ..*context
            })
        };
        let (low_source, low_target) = (bounded(source), bounded(target));
        let steps = [
            low_source.map(|low| (low, *target)),
            low_target.map(|low| (*source, low)),
            low_source.zip(low_target),
        ];
        let mut masked = 0;
        for (source, target) in steps.into_iter().flatten() {
            let low = self.vector(&source, &target, class);
            if low & vector == vector {
                return vector;
            }
            masked = !low & vector;
        }
        vector & !masked
    }
}

#[cfg(test)]
impl Policy {
    /// The same with one rule more.
    pub(crate) fn allowing(
        mut self,
        source: &str,
        target: &str,
        class: &str,
        permission: &str,
    ) -> Policy {
        let kind = |name| self.types.value(name).unwrap();
        let class = self.classes.value(class).unwrap();
        let mut names = self.classes.thing(class).permissions.iter();
        let rule = Rule {
            source: kind(source),
            target: kind(target),
            class,
            kind: RuleKind::Allow,
            data: 1 << names.position(|name| name == permission).unwrap(),
        };
        self.rules.push(rule);
        self
    }
}
