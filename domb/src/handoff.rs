// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Hand-off: from paused domains to a running platform that domb no longer
//! owns.
//!
//! Domains are unpaused in start order while their guards are still armed; a
//! domain that cannot be unpaused, or that has already ended when the last one
//! was, takes the whole platform down with it. Only then are the guards
//! disarmed; after this nothing in domb destroys a domain.
//!
//! Before that, the boot domain gives up its own label (`own_label.rs`): from
//! there on nobody has the power to build what was built here.

use domb_core::config::DomainName;
use domb_core::units::Domid;

use crate::build::{Built, Guard};
use crate::denials::explained;
use crate::own_label::{self, Given, NextLabel, give_up};
use crate::toolstack::{self, State, Toolstack};

/// A platform that runs without domb.
///
/// Holding one proves that every built domain was unpaused in start order and
/// that no guard is left.
#[derive(Debug)]
pub struct HandedOff {
    /// How many domains were handed over.
    pub domains: usize,
    /// What became of the boot domain's own label; None where that is not
    /// domb's to change.
    pub own_label: Option<Given>,
}

/// Unpauses everything that was built, gives up the boot domain's label for
/// `next`, and lets go of the domains. `unpaused` is told of each as it starts.
///
/// # Errors
/// The first domain that does not run, or the label that cannot be had; every
/// domain is destroyed.
pub fn hand_off(
    built: Built<'_>,
    toolstack: &dyn Toolstack,
    next: Option<&NextLabel>,
    mut unpaused: impl FnMut(&DomainName, Domid),
) -> Result<HandedOff, Error> {
    for guard in built.domains.iter().filter(|guard| !guard.runs) {
        unpause(guard, toolstack)?;
        unpaused(&guard.name, guard.domid);
    }
    for guard in built.domains.iter() {
        let cause = match toolstack.state(guard.domid) {
            Ok(state) if state.is_well() => continue,
            Ok(state) => Cause::Ended(state),
            Err(error) => Cause::Toolstack(error),
        };
        let console = toolstack.console_tail(guard.domid);
        return Err(Error::Domain {
            name: guard.name.clone(),
            domid: guard.domid,
            console,
            cause,
        });
    }
    let own_label = next.map(|next| give_up(next, toolstack)).transpose()?;
    let domains = built.domains.len();
    built.domains.hand_over();
    Ok(HandedOff { domains, own_label })
}

/// Lets one domain run.
///
/// # Errors
/// The toolstack refuses.
pub fn unpause(guard: &Guard<'_>, toolstack: &dyn Toolstack) -> Result<(), Error> {
    explained(toolstack, || toolstack.unpause(guard.domid)).map_err(|error| Error::Domain {
        name: guard.name.clone(),
        domid: guard.domid,
        console: error.log.clone(),
        cause: Cause::Toolstack(error),
    })
}

/// Why the platform could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One domain does not run.
    #[error("start domain {name} (domid {domid})")]
    Domain {
        /// The domain.
        name: DomainName,
        /// Its domid.
        domid: Domid,
        /// The last lines it wrote to its console.
        console: Vec<String>,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The boot domain still has its label.
    #[error(transparent)]
    OwnLabel(#[from] own_label::Error),
}

/// Why a domain does not run.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The toolstack refused.
    #[error(transparent)]
    Toolstack(#[from] toolstack::Error),
    /// It ended at once.
    #[error(
        "it was unpaused and is now {0:?}\nhint: its console shows why; the usual reasons are a kernel that does not fit its type and too little memory"
    )]
    Ended(State),
}
