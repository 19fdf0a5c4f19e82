// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The answer to "may this be launched": one decision per domain, and the
//! proof that at least one domain may.
//!
//! A verdict is made from complete answers only: nothing in it is undecided.
//! Denying a domain is an answer, not an error.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::repeat;

use serde::Serialize;

use super::changes::{Changes, Grant};
use super::facts::Facts;

/// What was decided for every domain, in the configuration's order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verdict {
    decided_by: DecidedBy,
    refused: Option<String>,
    domains: Vec<Decision>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    grants: BTreeSet<Grant>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    withheld: BTreeSet<String>,
    log: Vec<String>,
}

/// Who decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DecidedBy {
    /// The launch script.
    Script,
    /// Nobody: no script is configured, so every domain is allowed.
    Default,
}

/// What was decided for one domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Decision {
    /// The domain.
    pub name: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What is changed in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub changes: Changes,
}

/// What becomes of a domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "verdict")]
pub enum Outcome {
    /// It is built and started.
    Allow,
    /// It is not built.
    Deny {
        /// Why, in the script's words.
        reason: String,
    },
    /// It is not built and need not be: the script does not want it this time.
    LeftOut {
        /// Why, in the script's words.
        reason: String,
    },
    /// It was allowed and is not built, because a domain it starts after is not.
    Skipped {
        /// The first such domain in its `after`.
        needs: String,
    },
}

/// What a script said about one domain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Answer {
    /// Nothing.
    #[default]
    Undecided,
    /// `allow`.
    Allow,
    /// `deny`, with the reason.
    Deny(String),
    /// `leave_out`, with the reason.
    LeaveOut(String),
}

/// All that a script said, in the order of the domains.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Said {
    pub(super) answers: Vec<Answer>,
    pub(super) changes: Vec<Changes>,
    pub(super) grants: BTreeSet<Grant>,
    /// Resources that the hardware domain is kept from.
    pub(super) withheld: BTreeSet<String>,
    /// Why the whole launch is refused.
    pub(super) refused: Option<String>,
    /// What it wrote into the report.
    pub(super) log: Vec<String>,
}

/// The reason of a domain the script said nothing about.
pub const UNDECIDED: &str = "the launch script did not decide";

impl Verdict {
    /// Every domain allowed, because no script is configured. Reports say so.
    #[must_use]
    pub fn without_script(facts: &Facts) -> Verdict {
        let answers = vec![Answer::Allow; facts.domains.len()];
        let verdict = Verdict::complete(
            facts,
            Said {
                answers,
                ..Said::default()
            },
        );
        Verdict {
            decided_by: DecidedBy::Default,
            ..verdict
        }
    }

    /// The verdict that follows from what a script said of the domains of
    /// `facts`: undecided is denied, what needs a domain that is not built is
    /// skipped, and only what concerns a domain that is built is kept.
    pub(super) fn complete(facts: &Facts, said: Said) -> Verdict {
        let Said {
            answers,
            changes,
            grants,
            withheld,
            refused,
            log,
        } = said;
        let answers = answers.into_iter().chain(repeat(Answer::Undecided));
        let changes = changes.into_iter().chain(repeat(Changes::new()));
        let mut domains: Vec<Decision> = facts
            .domains
            .iter()
            .zip(answers.zip(changes))
            .map(|(domain, (answer, changes))| Decision {
                name: domain.name.clone(),
                outcome: outcome(answer, refused.as_deref()),
                changes,
            })
            .collect();
        while let Some((index, needs)) = orphan(facts, &domains) {
            domains[index].outcome = Outcome::Skipped { needs };
        }
        for decision in domains
            .iter_mut()
            .filter(|decision| decision.outcome != Outcome::Allow)
        {
            decision.changes.clear();
        }
        let mut verdict = Verdict {
            decided_by: DecidedBy::Script,
            refused,
            domains,
            grants: BTreeSet::new(),
            withheld,
            log,
        };
        verdict.grants = grants
            .into_iter()
            .filter(|grant| verdict.allows(&grant.domain))
            .collect();
        verdict
    }

    /// What is granted to and withheld from the domains that are built.
    #[must_use]
    pub fn grants(&self) -> &BTreeSet<Grant> {
        &self.grants
    }

    /// Names of the resources that the hardware domain is kept from.
    #[must_use]
    pub fn withheld(&self) -> &BTreeSet<String> {
        &self.withheld
    }

    /// Who decided.
    #[must_use]
    pub fn decided_by(&self) -> DecidedBy {
        self.decided_by
    }

    /// Why the script refused the whole launch, where it did.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// The decisions, in the configuration's order.
    #[must_use]
    pub fn domains(&self) -> &[Decision] {
        &self.domains
    }

    /// What the script wrote with `log`, a line each.
    #[must_use]
    pub fn log(&self) -> &[String] {
        &self.log
    }

    /// Whether the domain of that name is built.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        self.domains
            .iter()
            .any(|d| d.name == name && d.outcome == Outcome::Allow)
    }

    /// Goes on to building, if there is anything to build.
    ///
    /// # Errors
    /// The verdict itself, when it allows no domain.
    pub fn approve(self) -> Result<Approval, Box<Verdict>> {
        if self.domains.iter().any(|d| d.outcome == Outcome::Allow) {
            Ok(Approval { verdict: self })
        } else {
            Err(Box::new(self))
        }
    }
}

/// Holding one proves that a verdict was reached and allows at least one
/// domain; [`Verdict::approve`] is the only way to get one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct Approval {
    verdict: Verdict,
}

impl Approval {
    /// The verdict it comes from.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The decisions about the allowed domains, in the configuration's order.
    pub(super) fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.verdict
            .domains
            .iter()
            .filter(|decision| decision.outcome == Outcome::Allow)
    }

    /// Names of the allowed domains, in the configuration's order. Never empty.
    pub fn allowed(&self) -> impl Iterator<Item = &str> {
        self.decisions().map(|decision| decision.name.as_str())
    }
}

fn outcome(answer: Answer, refused: Option<&str>) -> Outcome {
    match (refused, answer) {
        (Some(why), _) => Outcome::Deny {
            reason: why.to_owned(),
        },
        (None, Answer::Allow) => Outcome::Allow,
        (None, Answer::Deny(reason)) => Outcome::Deny { reason },
        (None, Answer::LeaveOut(reason)) => Outcome::LeftOut { reason },
        (None, Answer::Undecided) => Outcome::Deny {
            reason: UNDECIDED.to_owned(),
        },
    }
}

/// The first allowed domain that needs one that is not built, and which.
fn orphan(facts: &Facts, domains: &[Decision]) -> Option<(usize, String)> {
    let built = |name: &str| {
        domains
            .iter()
            .any(|d| d.name == name && d.outcome == Outcome::Allow)
    };
    facts
        .domains
        .iter()
        .zip(domains)
        .enumerate()
        .find_map(|(index, (domain, decision))| {
            let added = decision
                .changes
                .get("after")
                .and_then(|change| change.value.as_array());
            let added = added
                .into_iter()
                .flatten()
                .filter_map(serde_json::Value::as_str);
            let missing = domain
                .after
                .iter()
                .map(String::as_str)
                .chain(added)
                .find(|need| !built(need))?;
            (decision.outcome == Outcome::Allow).then(|| (index, missing.to_owned()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::facts::tests::facts;

    fn three() -> Facts {
        facts(&[
            ("store", &[]),
            ("net", &["store"]),
            ("web", &["net"]),
            ("alone", &[]),
        ])
    }

    fn verdict(answers: Vec<Answer>) -> Verdict {
        Verdict::complete(
            &three(),
            Said {
                answers,
                ..Said::default()
            },
        )
    }

    #[test]
    fn what_needs_a_denied_domain_is_skipped_transitively() {
        let verdict = verdict(vec![
            Answer::Deny("old".to_owned()),
            Answer::Allow,
            Answer::Allow,
            Answer::Allow,
        ]);
        let needs = |name: &str| Outcome::Skipped {
            needs: name.to_owned(),
        };
        assert_eq!(verdict.domains()[1].outcome, needs("store"));
        assert_eq!(verdict.domains()[2].outcome, needs("net"));
        assert_eq!(verdict.domains()[3].outcome, Outcome::Allow);
    }

    #[test]
    fn a_domain_nobody_decided_is_denied() {
        let verdict = verdict(vec![Answer::Allow]);
        assert!(verdict.allows("store"));
        assert_eq!(
            verdict.domains()[3].outcome,
            Outcome::Deny {
                reason: UNDECIDED.to_owned()
            }
        );
    }

    #[test]
    fn refusing_the_launch_overrides_every_allow() {
        let answers = vec![Answer::Allow; 4];
        let verdict = Verdict::complete(
            &three(),
            Said {
                answers,
                refused: Some("no".to_owned()),
                ..Said::default()
            },
        );
        assert!(verdict.clone().approve().is_err());
        assert_eq!(verdict.refused(), Some("no"));
    }

    #[test]
    fn an_approval_needs_one_allowed_domain() {
        assert!(verdict(vec![]).approve().is_err());
        let approval = verdict(vec![Answer::Allow])
            .approve()
            .expect("one domain is allowed");
        assert_eq!(approval.allowed().collect::<Vec<_>>(), ["store"]);
    }
}
