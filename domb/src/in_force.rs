// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether the Flask policy that Xen enforces is the one that is measured.
//!
//! Xen reads its policy from a boot module, before domb is there, and gives it
//! to nobody. But it answers what a label may do to another: every label of
//! the configuration has to be known, and the answers have to be those of the
//! file. That finds the wrong file; it is no proof against a policy made to
//! answer alike, which only measuring Xen's modules can give.

use domb_core::config::Config;
use domb_core::flask::{Context, Difference, LabelError, Policy, Question};
use domb_core::policy::{Flask, PlatformFacts};

use crate::console;
use crate::load::Loaded;
use crate::report::Report;
use crate::toolstack::{self, Toolstack};

/// Where Flask's own answers come from.
pub trait InForce {
    /// The label of the boot domain, as Xen has it.
    ///
    /// # Errors
    /// The hypervisor refuses to say.
    fn boot_label(&self) -> Result<Option<String>, toolstack::Error>;

    /// What `source` may do to `target`, as the bits of the class's
    /// permissions.
    ///
    /// # Errors
    /// Xen does not know a label or the class, or does not answer this domain.
    fn allowed(&self, source: &str, target: &str, class: u16) -> Result<u32, toolstack::Error>;
}

/// What was compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Compared {
    /// So many answers, and all are the file's.
    Answers(usize),
    /// The boot domain's label alone: by the file itself, the boot domain may
    /// not ask for more.
    LabelOnly,
}

/// What Xen enforces is the Flask policy that was measured, as far as Xen can
/// be asked; where it cannot, the report says so.
///
/// # Errors
/// What shows that it is another.
pub fn hold(
    loaded: &Loaded,
    platform: &PlatformFacts,
    toolstack: &dyn Toolstack,
    report: &mut Report,
) -> Result<(), Error> {
    let (Some(measured), Some(flask)) = (&loaded.flask_policy, platform.flask) else {
        return Ok(());
    };
    let path = measured.file.written.display();
    match (flask, toolstack.flask()) {
        (Flask::Absent, _) => report.warn(format!(
            "the Flask policy {path} is measured, and Xen enforces none: it has no Flask"
        )),
        (_, None) => {}
        (_, Some(asked)) => match compare(&measured.policy, &loaded.config, asked)? {
            Compared::Answers(count) => console::line(
                "policy",
                &format!("Xen enforces {path}, by {count} answers of Flask"),
            ),
            Compared::LabelOnly => report.warn(format!(
                "whether Xen enforces {path} is not known: that policy does not let the boot domain ask (security:compute_av)"
            )),
        },
    }
    Ok(())
}

/// Compares `policy` with what is in force, for the labels of `config`.
fn compare(policy: &Policy, config: &Config, in_force: &dyn InForce) -> Result<Compared, Error> {
    let mut labels: Vec<Context> = Vec::new();
    for domain in &config.domains {
        let Some(text) = &domain.seclabel else {
            continue;
        };
        let label = policy.label(text).map_err(|source| Error::NotInFile {
            label: text.clone(),
            source,
        })?;
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    let expected = policy.label_text(policy.boot_domain());
    let found = in_force.boot_label().map_err(Error::BootLabel)?;
    if found.as_deref() != Some(expected.as_str()) {
        let found = found.unwrap_or_else(|| "none".to_owned());
        return Err(Error::BootDomain { expected, found });
    }
    if !policy.boot_domain_may_ask() {
        return Ok(Compared::LabelOnly);
    }
    let questions = policy.questions(&labels);
    for question in &questions {
        let answer = in_force.allowed(&question.source, &question.target, question.number);
        let answer = answer.map_err(|source| Error::Refused {
            of: pair(question),
            source,
        })?;
        if let Some(difference) = question.differs(answer) {
            return Err(Error::Differs {
                of: pair(question),
                difference: words(&difference),
            });
        }
    }
    Ok(Compared::Answers(questions.len()))
}

fn pair(question: &Question) -> String {
    let Question {
        source,
        target,
        class,
        ..
    } = question;
    format!("{source} on {target}, class {class}")
}

fn words(difference: &Difference) -> String {
    let Difference { lacks, beyond } = difference;
    let mut words = Vec::new();
    if !lacks.is_empty() {
        words.push(format!("Xen does not allow {}", lacks.join(" ")));
    }
    if !beyond.is_empty() {
        words.push(format!("Xen allows {} as well", beyond.join(" ")));
    }
    words.join("; ")
}

/// How it shows that Xen enforces another policy than the file's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A label of the configuration is none of the file's.
    #[error("use the label {label} under the policy of `flask_policy`")]
    NotInFile {
        /// The label.
        label: String,
        /// What is wrong with it.
        source: LabelError,
    },
    /// The boot domain's label cannot be asked for.
    #[error("ask Xen for the boot domain's label")]
    BootLabel(#[source] toolstack::Error),
    /// The boot domain has another label.
    #[error(
        "compare the policy in force with `flask_policy`: the boot domain has the label {found}, by the file it is {expected}\nhint: {HINT}"
    )]
    BootDomain {
        /// By the file.
        expected: String,
        /// As Xen has it.
        found: String,
    },
    /// Xen does not answer.
    #[error("compare the policy in force with `flask_policy`: {of}\nhint: {HINT}")]
    Refused {
        /// Source, target and class.
        of: String,
        /// What it said.
        source: toolstack::Error,
    },
    /// Xen answers otherwise.
    #[error("compare the policy in force with `flask_policy`: {of}: {difference}\nhint: {HINT}")]
    Differs {
        /// Source, target and class.
        of: String,
        /// The permissions that differ.
        difference: String,
    },
}

const HINT: &str = "give Xen, as its module, the very file that launch.toml names";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PROCESS: &[u8] = include_bytes!("../../tests/fixtures/flask/process.policy");
    const DOMAIN: &[u8] = include_bytes!("../../tests/fixtures/flask/domain.policy");
    const BROKEN: &[u8] = include_bytes!("../../tests/fixtures/flask/broken.policy");

    /// A hypervisor that enforces some other file.
    struct Enforces {
        policy: Policy,
        classes: BTreeMap<u16, String>,
    }

    impl Enforces {
        fn new(bytes: &[u8]) -> Enforces {
            let policy = Policy::read(bytes).unwrap();
            let questions = policy.questions(&[]).into_iter();
            let classes = questions.map(|question| (question.number, question.class));
            let classes = classes.collect();
            Enforces { policy, classes }
        }
    }

    impl InForce for Enforces {
        fn boot_label(&self) -> Result<Option<String>, toolstack::Error> {
            Ok(Some(self.policy.label_text(self.policy.boot_domain())))
        }

        fn allowed(&self, source: &str, target: &str, class: u16) -> Result<u32, toolstack::Error> {
            let label = |text: &str| {
                self.policy
                    .label(text)
                    .map_err(|error| toolstack::Error::new(error.to_string()))
            };
            let (source, target) = (label(source)?, label(target)?);
            let class = &self.classes[&class];
            Ok(self.policy.allowed_bits(&source, &target, class).unwrap())
        }
    }

    fn config(label: &str) -> Config {
        let text = format!(
            "[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pv\"\nkernel = \"k\"\n\
             memory = \"96M\"\nseclabel = \"system_u:system_r:{label}\"\n"
        );
        Config::parse("t", text.as_bytes()).unwrap()
    }

    fn told(file: &[u8], label: &str, in_force: &[u8]) -> Result<Compared, String> {
        let policy = Policy::read(file).unwrap();
        compare(&policy, &config(label), &Enforces::new(in_force))
            .map_err(|error| crate::report::chain(&error).join(": "))
    }

    #[test]
    fn the_same_policy_answers_alike() {
        let compared = told(PROCESS, "guest_t", PROCESS);
        assert!(
            matches!(compared, Ok(Compared::Answers(1..))),
            "{compared:?}"
        );
    }

    #[test]
    fn another_policy_is_named_by_the_pair_that_differs() {
        // `broken` has `allow guest_t isolated_t:domain destroy`, which no
        // question is about; `domain` has another boot domain's rules.
        let error = told(PROCESS, "guest_t", DOMAIN).unwrap_err();
        assert!(
            error.contains("system_u:system_r:domb_t on ") && error.contains("Xen "),
            "{error}"
        );
        assert!(told(PROCESS, "guest_t", BROKEN).is_ok());
    }

    #[test]
    fn a_label_that_is_in_neither_is_refused() {
        let error = told(PROCESS, "gest_t", PROCESS).unwrap_err();
        assert!(
            error.contains("use the label system_u:system_r:gest_t"),
            "{error}"
        );
    }
}
