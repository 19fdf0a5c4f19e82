// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What to ask a hypervisor to find out whether the policy it enforces is this
//! one: it gives no policy out, but it answers what a label may do to another.
//!
//! The questions are few on purpose: each label in use against the boot
//! domain, itself and Xen, in every class. Equal answers do not prove equal
//! policies; one other answer proves that they differ.

use super::label::Context;
use super::policydb::{Policy, sid};

/// What a label may do to another, of one class, by a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// Who acts.
    pub source: String,
    /// On whom.
    pub target: String,
    /// The class by name.
    pub class: String,
    /// Its number, from 1; Xen refuses a policy with other numbers than its
    /// own (`policydb_validate_classes` in `security.c`).
    pub number: u16,
    /// What the policy allows, as the bits of the class's permissions.
    pub allowed: u32,
    /// The permissions by bit.
    permissions: Vec<String>,
}

/// How an answer differs from the policy's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What the answer lacks.
    pub lacks: Vec<String>,
    /// What the answer has beyond the policy.
    pub beyond: Vec<String>,
}

impl Policy {
    /// The questions about these labels, boot domain first.
    #[must_use]
    pub fn questions(&self, labels: &[Context]) -> Vec<Question> {
        let boot = *self.boot_domain();
        let xen = *self.initial(sid::XEN);
        let mut pairs = vec![(boot, boot), (boot, xen)];
        for label in labels.iter().filter(|label| **label != boot) {
            pairs.extend([
                (boot, *label),
                (*label, boot),
                (*label, *label),
                (*label, xen),
            ]);
        }
        self.questions_of(pairs)
    }

    /// What this policy says of these pairs, in every class.
    pub(super) fn questions_of(&self, pairs: Vec<(Context, Context)>) -> Vec<Question> {
        let classes = 1..=self.classes.len();
        let ask = |(source, target): (Context, Context)| {
            classes.clone().map(move |class| Question {
                source: self.label_text(&source),
                target: self.label_text(&target),
                class: self.classes.name(class).to_owned(),
                number: u16::try_from(class).unwrap_or(u16::MAX),
                allowed: self.vector(&source, &target, class),
                permissions: self.classes.thing(class).permissions.clone(),
            })
        };
        pairs.into_iter().flat_map(ask).collect()
    }

    /// Whether the boot domain may ask them ([`Policy::may_ask`]).
    #[must_use]
    pub fn boot_domain_may_ask(&self) -> bool {
        self.may_ask(self.boot_domain())
    }
}

impl Question {
    /// How `answer` differs; None where it does not.
    #[must_use]
    pub fn differs(&self, answer: u32) -> Option<Difference> {
        if answer == self.allowed {
            return None;
        }
        Some(Difference {
            lacks: self.names(self.allowed & !answer),
            beyond: self.names(answer & !self.allowed),
        })
    }

    fn names(&self, bits: u32) -> Vec<String> {
        let set = (0..u32::BITS).filter(|bit| bits & (1 << bit) != 0);
        let name = |bit: u32| match self.permissions.get(bit as usize) {
            Some(name) => name.clone(),
            None => format!("permission {bit}"),
        };
        set.map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(bytes: &[u8]) -> Policy {
        Policy::read(bytes).unwrap()
    }

    #[test]
    fn every_label_is_asked_about_in_every_class_both_ways() {
        let policy = policy(include_bytes!(
            "../../../../tests/fixtures/flask/process.policy"
        ));
        let guest = policy.label("system_u:system_r:guest_t").unwrap();
        let boot = *policy.boot_domain();
        let questions = policy.questions(&[guest, boot]);
        let classes = policy.classes.len() as usize;
        assert_eq!(questions.len(), 6 * classes);
        let create = questions.iter().find(|question| {
            (question.source.as_str(), question.class.as_str())
                == ("system_u:system_r:domb_t", "domain")
                && question.target.ends_with(":guest_t")
        });
        let create = create.unwrap();
        let names = create.names(create.allowed);
        assert!(names.contains(&"create".to_owned()), "{names:?}");
        assert_eq!(create.differs(create.allowed), None);
    }

    #[test]
    fn a_difference_has_the_permissions_names() {
        let question = Question {
            source: "a".to_owned(),
            target: "b".to_owned(),
            class: "domain".to_owned(),
            number: 3,
            allowed: 0b011,
            permissions: vec![
                "create".to_owned(),
                "destroy".to_owned(),
                "pause".to_owned(),
            ],
        };
        let difference = question.differs(1 << 2 | 1 << 0 | 1 << 30).unwrap();
        assert_eq!(difference.lacks, ["destroy"]);
        assert_eq!(difference.beyond, ["pause", "permission 30"]);
    }

    #[test]
    fn whether_the_boot_domain_may_ask_is_the_policys_to_say() {
        let process = policy(include_bytes!(
            "../../../../tests/fixtures/flask/process.policy"
        ));
        assert!(process.boot_domain_may_ask());
        let odd = policy(include_bytes!(
            "../../../../tests/fixtures/flask/odd.policy"
        ));
        assert!(!odd.boot_domain_may_ask());
    }
}
