// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb policy label`: whether the boot domain may build a domain with a
//! label, with the roles that are asked for or else with any.
//!
//! The label of a role is built by other rules than a guest's, so an answer
//! always says for which roles it is, and who was taken to serve the domain.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use domb_core::config::{DomainType, Role};
use domb_core::flask::{Builder, Context, DomainKind, MissingRule, Policy, Services, check_label};

use super::{Error, read_policy};
use crate::exit::Exit;

#[derive(Args)]
pub struct Label {
    /// The compiled policy
    policy: PathBuf,
    /// The label, as user:role:type
    label: String,
    /// A role of the domain; can be repeated [default: each set is tried]
    #[arg(long, value_name = "ROLE")]
    role: Vec<RoleWord>,
    /// The domain's type
    #[arg(long, value_name = "TYPE", default_value = "pv")]
    r#type: TypeWord,
    /// The xenstore domain's label [default: that of xenstore_t, else the boot domain's]
    #[arg(long, value_name = "LABEL")]
    store: Option<String>,
    /// The console domain's label [default: that of ctrl_t, else the boot domain's]
    #[arg(long, value_name = "LABEL")]
    console: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleWord {
    Xenstore,
    Control,
    Hardware,
    Recovery,
}

#[derive(Clone, Copy, ValueEnum)]
enum TypeWord {
    Pv,
    Pvh,
}

/// The answer for one set of roles.
struct Answer {
    roles: Vec<Role>,
    by: Builder,
    missing: Vec<MissingRule>,
}

impl Label {
    pub fn answer(&self) -> Result<(String, Exit), Error> {
        let policy = read_policy(&self.policy)?;
        let own = context(&policy, &self.label)?;
        let usual = Services::usual(&policy);
        let given = |label: &Option<String>| match label {
            Some(text) => context(&policy, text).map(Some),
            None => Ok(None),
        };
        let services = Services {
            store: given(&self.store)?.or(usual.store),
            console: given(&self.console)?.or(usual.console),
        };
        let mut answers = Vec::new();
        for roles in self.role_sets() {
            let by = Builder::of(&policy, &roles, own, services);
            let kind = DomainKind::of(&roles, self.r#type.into());
            let missing = check_label(&policy, &by, &self.label, kind)
                .map_err(|source| Error::Label(self.label.clone(), source))?;
            answers.push(Answer { roles, by, missing });
        }
        Ok(self.told(&policy, &answers))
    }

    /// The sets of roles to answer for. Every other one is refused in a
    /// configuration, or built as the first, like a guest.
    fn role_sets(&self) -> Vec<Vec<Role>> {
        if !self.role.is_empty() {
            return vec![self.role.iter().copied().map(Role::from).collect()];
        }
        let mut sets = vec![vec![]];
        if matches!(self.r#type, TypeWord::Pv) {
            sets.extend([
                vec![Role::Control],
                vec![Role::Hardware],
                vec![Role::Hardware, Role::Control],
                vec![Role::Xenstore],
            ]);
        }
        sets
    }

    /// Each set of roles it can be built with; if there is none, what the one
    /// lacks that lacks least.
    fn told(&self, policy: &Policy, answers: &[Answer]) -> (String, Exit) {
        let boot = policy.label_text(policy.boot_domain());
        let buildable = answers.iter().filter(|answer| answer.missing.is_empty());
        let buildable: Vec<String> = buildable.map(|answer| answer.with(policy)).collect();
        if !buildable.is_empty() {
            let with = buildable.join("\n");
            return (
                format!("{boot} may build {}\n{with}\n", self.label),
                Exit::Success,
            );
        }
        let mut text = format!("{boot} may not build {}\n", self.label);
        let Some(nearest) = answers.iter().min_by_key(|answer| answer.lack()) else {
            return (text, Exit::Config);
        };
        writeln!(text, "{}\nthe policy lacks:", nearest.with(policy))
            .expect("writing to a String cannot fail");
        for rule in &nearest.missing {
            let note = if rule.constrained {
                "  # there, but a constraint, role or bound takes it away"
            } else {
                ""
            };
            writeln!(text, "    {rule}{note}").expect("writing to a String cannot fail");
        }
        (text, Exit::Config)
    }
}

impl Answer {
    fn lack(&self) -> usize {
        let rules = self.missing.iter();
        rules.map(|rule| rule.permissions.len()).sum()
    }

    /// For which roles, and served by whom.
    fn with(&self, policy: &Policy) -> String {
        let words: Vec<String> = self
            .roles
            .iter()
            .map(|role| format!("{:?}", role.as_str()))
            .collect();
        let roles = match words.as_slice() {
            [] => "no roles".to_owned(),
            words => format!("roles = [{}]", words.join(", ")),
        };
        format!(
            "    {roles}: XenStore from {}, its console from {}",
            policy.label_text(&self.by.store),
            policy.label_text(&self.by.console)
        )
    }
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Role {
        match word {
            RoleWord::Xenstore => Role::Xenstore,
            RoleWord::Control => Role::Control,
            RoleWord::Hardware => Role::Hardware,
            RoleWord::Recovery => Role::Recovery,
        }
    }
}

impl From<TypeWord> for DomainType {
    fn from(word: TypeWord) -> DomainType {
        match word {
            TypeWord::Pv => DomainType::Pv,
            TypeWord::Pvh => DomainType::Pvh,
        }
    }
}

fn context(policy: &Policy, text: &str) -> Result<Context, Error> {
    policy
        .label(text)
        .map_err(|source| Error::Label(text.to_owned(), source))
}
