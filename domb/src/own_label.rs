// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The label of domain 0 itself: what the boot domain is called while it
//! launches, and the last thing it does, which is to give that label up.
//!
//! A builder may look into what it built, and a control domain may switch the
//! machine off: neither may do both. So domain 0, which lives on with `exit =
//! "process"`, does not keep the boot domain's label. Whoever comes after domb
//! holds no power to build but what the policy gives the new label.

use domb_core::config::Control;
use domb_core::flask::CONTROL_LABEL;

use crate::denials::explained;
use crate::toolstack::{self, Toolstack};

/// The label that domain 0 is to have after the hand-off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextLabel {
    label: String,
    /// Whether the configuration has it; then nothing else will do.
    written: bool,
}

/// What became of the label of domain 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Given {
    /// There are no labels.
    NoLabels,
    /// Domain 0 has this label now, read back from Xen.
    Up(String),
    /// It still has this one: the policy does not know the label that nobody
    /// wrote down.
    Kept(String),
}

impl NextLabel {
    /// What the configuration asks for.
    #[must_use]
    pub fn of(control: Option<&Control>) -> NextLabel {
        let written = control.and_then(|control| control.seclabel.clone());
        NextLabel {
            written: written.is_some(),
            label: written.unwrap_or_else(|| CONTROL_LABEL.to_owned()),
        }
    }
}

/// Gives up the label of the boot domain for `next`, for good: the policy lets
/// nobody take it again.
///
/// # Errors
/// Domain 0 has its old label still, or one that was not asked for.
pub fn give_up(next: &NextLabel, toolstack: &dyn Toolstack) -> Result<Given, Error> {
    let failed = |source| Error::Refused {
        label: next.label.clone(),
        source,
    };
    let Some(own) = toolstack.own_seclabel().map_err(failed)? else {
        return match next.written {
            true => Err(Error::NoLabels {
                label: next.label.clone(),
            }),
            false => Ok(Given::NoLabels),
        };
    };
    if own == next.label {
        return Ok(Given::Up(own));
    }
    let changed = explained(toolstack, || toolstack.relabel_self(&next.label)).map_err(failed)?;
    if !changed {
        return match next.written {
            true => Err(Error::Unknown {
                label: next.label.clone(),
            }),
            false => Ok(Given::Kept(own)),
        };
    }
    let now = toolstack.own_seclabel().map_err(failed)?;
    match now {
        Some(now) if now == next.label => Ok(Given::Up(now)),
        now => Err(Error::Other {
            asked: next.label.clone(),
            real: now.unwrap_or_default(),
        }),
    }
}

/// Why the boot domain has not given its label up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A label is configured where there are none.
    #[error(
        "label domain 0 {label}: Xen has no labels\nhint: leave out `[control] seclabel`, or boot a Xen with XSM and Flask"
    )]
    NoLabels {
        /// As configured.
        label: String,
    },
    /// A label is configured that the policy does not have.
    #[error(
        "label domain 0 {label}: the policy in force does not have that label\nhint: `[control] seclabel` names a label of the policy; without it, it is {CONTROL_LABEL}"
    )]
    Unknown {
        /// As configured.
        label: String,
    },
    /// Xen refused.
    #[error("label domain 0 {label}")]
    Refused {
        /// What was asked for.
        label: String,
        /// What the toolstack said.
        source: toolstack::Error,
    },
    /// Xen agreed, and it is not so.
    #[error("label domain 0 {asked}: its label is {real:?} now")]
    Other {
        /// What was asked for.
        asked: String,
        /// What was read back.
        real: String,
    },
}
