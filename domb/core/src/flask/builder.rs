// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who has to do with a new domain: who builds it, and who serves XenStore and
//! its console to it. That follows from its roles and from who has the others,
//! so the question is answered in one place for all who ask about a label.

use super::label::Context;
use super::policydb::Policy;
use crate::config::{DomainType, Role};

/// The labels of those who have to do with a new domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Builder {
    /// Who builds it.
    pub builder: Context,
    /// Who serves XenStore to it.
    pub store: Context,
    /// Who serves its console.
    pub console: Context,
}

/// What sort of domain is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DomainKind {
    /// A paravirtualised domain.
    Pv,
    /// A PVH domain.
    Pvh,
    /// The PV domain that becomes the hardware domain.
    Hardware,
}

/// The labels of the domains that serve others; None where that is the boot
/// domain, as it is with `exit = "process"`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Services {
    /// The xenstore domain's.
    pub store: Option<Context>,
    /// The control domain's, which serves the consoles.
    pub console: Option<Context>,
}

impl Services {
    /// Those of the types that `policy/flask` has for them, where `policy` has
    /// them too.
    #[must_use]
    pub fn usual(policy: &Policy) -> Services {
        Services {
            store: policy.label(STORE_LABEL).ok(),
            console: policy.label(CONSOLE_LABEL).ok(),
        }
    }
}

impl Builder {
    /// The boot domain of `policy`, serving store and console itself, as it
    /// does with `exit = "process"`.
    #[must_use]
    pub fn boot_domain(policy: &Policy) -> Builder {
        let boot = *policy.boot_domain();
        Builder {
            builder: boot,
            store: boot,
            console: boot,
        }
    }

    /// The boot domain of `policy`, for a domain with these roles and the
    /// label `own`. What the xenstore domain says is read by the boot domain,
    /// which builds it first; the control domain serves its own console.
    #[must_use]
    pub fn of(policy: &Policy, roles: &[Role], own: Context, services: Services) -> Builder {
        let alone = Builder::boot_domain(policy);
        if roles.contains(&Role::Xenstore) {
            return alone;
        }
        let control = roles.contains(&Role::Control).then_some(own);
        Builder {
            store: services.store.unwrap_or(alone.store),
            console: control.or(services.console).unwrap_or(alone.console),
            ..alone
        }
    }
}

impl DomainKind {
    /// Of a domain of this type with these roles.
    #[must_use]
    pub fn of(roles: &[Role], kind: DomainType) -> DomainKind {
        match kind {
            _ if roles.contains(&Role::Hardware) => DomainKind::Hardware,
            DomainType::Pv => DomainKind::Pv,
            DomainType::Pvh => DomainKind::Pvh,
        }
    }
}

const STORE_LABEL: &str = "system_u:system_r:xenstore_t";
const CONSOLE_LABEL: &str = "system_u:system_r:ctrl_t";
