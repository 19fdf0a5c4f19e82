// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Labels: the text `user:role:type` and what the policy makes of it. A label
//! that Xen would not turn into a SID is refused here, with what is wrong.

use crate::config::nearest;

use super::policydb::Policy;
use super::symbols::OBJECT_ROLE;

/// A label that a policy knows.
///
/// Holding one proves that the policy it came from has the user, the role and
/// the type, that the user may take the role and the role the type
/// (`policydb_context_isvalid()`). It means nothing to another policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    pub(super) user: u32,
    pub(super) role: u32,
    pub(super) kind: u32,
}

/// Why a text is no label under a policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LabelError {
    /// Not three names with colons between them.
    #[error("`{0}` is not of the form user:role:type")]
    Form(String),
    /// A part the policy does not have.
    #[error("the policy has no {part} `{name}`{}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// `user`, `role` or `type`.
        part: &'static str,
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// An attribute: a set of types, which nothing can carry.
    #[error("`{0}` is an attribute of the policy, a set of types; no domain can carry it")]
    Attribute(String),
    /// The role may not be combined with the type.
    #[error(
        "the policy does not let the role `{role}` take the type `{kind}`\nhint: add `role {role} types {kind};` to the policy"
    )]
    RoleWithoutType {
        /// The role.
        role: String,
        /// The type.
        kind: String,
    },
    /// The user may not take the role.
    #[error("the policy does not let the user `{user}` take the role `{role}`")]
    UserWithoutRole {
        /// The user.
        user: String,
        /// The role.
        role: String,
    },
}

impl Policy {
    /// The label that `text` names under this policy.
    pub fn label(&self, text: &str) -> Result<Context, LabelError> {
        let parts: Vec<&str> = text.split(':').collect();
        let &[user, role, kind] = parts.as_slice() else {
            return Err(LabelError::Form(text.to_owned()));
        };
        let unknown = |part, name: &str, names: Vec<&str>| LabelError::Unknown {
            part,
            name: name.to_owned(),
            nearest: nearest(name, &names).map(str::to_owned),
        };
        let context = Context {
            user: self
                .users
                .value(user)
                .ok_or_else(|| unknown("user", user, self.users.names().collect()))?,
            role: self
                .roles
                .value(role)
                .ok_or_else(|| unknown("role", role, self.roles.names().collect()))?,
            kind: self
                .types
                .value(kind)
                .ok_or_else(|| unknown("type", kind, self.domain_types()))?,
        };
        if self.types.thing(context.kind).attribute {
            return Err(LabelError::Attribute(kind.to_owned()));
        }
        if context.role != OBJECT_ROLE && !self.roles.thing(context.role).types.has(context.kind) {
            return Err(LabelError::RoleWithoutType {
                role: role.to_owned(),
                kind: kind.to_owned(),
            });
        }
        if !self.is_valid(&context) {
            return Err(LabelError::UserWithoutRole {
                user: user.to_owned(),
                role: role.to_owned(),
            });
        }
        Ok(context)
    }

    /// The label by which a domain labelled `label` acts on itself
    /// (`flask_domain_create()`); a domain cannot be made without it.
    pub(super) fn own_label(&self, label: &Context) -> Result<Context, LabelError> {
        let class = self.classes.value("domain");
        let own = class.and_then(|class| self.transition(label.kind, label.kind, class));
        let own = Context {
            kind: own.unwrap_or(label.kind),
            ..*label
        };
        if self.is_valid(&own) {
            return Ok(own);
        }
        Err(LabelError::RoleWithoutType {
            role: self.roles.name(own.role).to_owned(),
            kind: self.types.name(own.kind).to_owned(),
        })
    }

    /// A label as text.
    #[must_use]
    pub fn label_text(&self, label: &Context) -> String {
        let (user, role) = (self.users.name(label.user), self.roles.name(label.role));
        format!("{user}:{role}:{}", self.types.name(label.kind))
    }

    /// The types that are no attributes, for suggestions.
    fn domain_types(&self) -> Vec<&str> {
        let values = (1..=self.types.len()).filter(|value| !self.types.thing(*value).attribute);
        values.map(|value| self.types.name(value)).collect()
    }

    /// `policydb_context_isvalid()`, for values that are in their tables.
    pub(super) fn is_valid(&self, label: &Context) -> bool {
        label.role == OBJECT_ROLE
            || (self.roles.thing(label.role).types.has(label.kind)
                && self.users.thing(label.user).roles.has(label.role))
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest
        .map(|name| format!("\nhint: did you mean `{name}`?"))
        .unwrap_or_default()
}
