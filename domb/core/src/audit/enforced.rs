// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether Flask's own answers are those of the policy that was planned: one
//! rule more or less in what Xen enforces is an answer that differs, and is
//! named as the rule it would be in the policy's source.

use super::{Item, Topic, Verdict};
use crate::flask::{Policy, Question};

/// Why a question has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoAnswer {
    /// Whoever asks may not.
    Denied(String),
    /// Xen does not know a label or the class, or failed otherwise.
    Failed(String),
}

/// Asks everything there is to ask about `policy`, and holds the answers
/// against it. Answers are bits of the class's permissions.
pub fn enforced(
    policy: &Policy,
    mut ask: impl FnMut(&Question) -> Result<u32, NoAnswer>,
) -> Vec<Item> {
    let questions = policy.every_question();
    let (mut rules, mut unanswered) = (Vec::new(), None);
    for question in &questions {
        match ask(question) {
            Ok(answer) => {
                let Some(difference) = question.differs(answer) else {
                    continue;
                };
                let rule = |permission: &String| {
                    let (source, target) = (kind(&question.source), kind(&question.target));
                    format!("allow {source} {target}:{} {permission};", question.class)
                };
                let beyond = difference.beyond.iter();
                rules.extend(beyond.map(|it| format!("Xen enforces a rule more: {}", rule(it))));
                let lacks = difference.lacks.iter();
                rules.extend(lacks.map(|it| format!("Xen lacks the rule: {}", rule(it))));
            }
            Err(NoAnswer::Denied(why)) => {
                unanswered = Some(item(why, Verdict::NotPermitted));
                break;
            }
            Err(NoAnswer::Failed(why)) => {
                rules.push(why);
                break;
            }
        }
    }
    if rules.is_empty() && unanswered.is_none() {
        let found = format!("{} answers of Flask are this policy's", questions.len());
        return vec![item(found, Verdict::AsPlanned)];
    }
    let more = rules.len().saturating_sub(MOST);
    rules.truncate(MOST);
    if more > 0 {
        rules.push(format!("and {more} rules more or less"));
    }
    let differs = |rule| item(rule, Verdict::Differs);
    rules.into_iter().map(differs).chain(unanswered).collect()
}

/// A row about the policy in force.
#[must_use]
pub fn item(found: String, verdict: Verdict) -> Item {
    Item {
        topic: Topic::Enforcement,
        subject: "the policy in force".to_owned(),
        planned: "the policy that was measured".to_owned(),
        found,
        verdict,
    }
}

fn kind(label: &str) -> &str {
    label.rsplit(':').next().unwrap_or(label)
}

/// Rows for another policy altogether.
const MOST: usize = 20;
