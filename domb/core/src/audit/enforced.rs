// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether Flask's own answers are those of the policy that was planned: one
//! rule more or less in what Xen enforces is an answer that differs, and is
//! named as the rule it would be in the policy's source. So is a refusal to
//! answer somebody who may ask by that policy.

use super::{Item, Topic, Verdict, refused};
use crate::flask::{Context, Policy, Question};

/// Why a question has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoAnswer {
    /// Xen says that whoever asks may not.
    Denied(String),
    /// Xen does not know a label or the class, or failed otherwise.
    Failed(String),
}

/// Asks everything there is to ask about `policy`, and holds the answers
/// against it. Answers are bits of the class's permissions.
///
/// `asker` is the label of the control domain. Nothing is asked where it may
/// not by `policy`; where it may, only another policy refuses.
pub fn enforced(
    policy: &Policy,
    asker: &Context,
    mut ask: impl FnMut(&Question) -> Result<u32, NoAnswer>,
) -> Vec<Item> {
    let lacks = policy.lacks_to_ask(asker);
    if !lacks.is_empty() {
        let found = format!("the control domain has no security:{}", lacks.join(", "));
        return vec![item(found, Verdict::NotPermitted)];
    }
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
                let (source, target) = (kind(&question.source), kind(&question.target));
                let about = format!("{source} {target}:{}", question.class);
                unanswered = Some(refused(&about, &why));
                break;
            }
            Err(NoAnswer::Failed(why)) => {
                unanswered = Some(why);
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
    let differs = |found| item(found, Verdict::Differs);
    rules.into_iter().chain(unanswered).map(differs).collect()
}

fn item(found: String, verdict: Verdict) -> Item {
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
