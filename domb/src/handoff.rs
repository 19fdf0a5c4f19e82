// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Hand-off: from paused domains to a running platform that domb no longer
//! owns.
//!
//! Domains are unpaused in start order while their guards are still armed; a
//! domain that cannot be unpaused, or that has already ended when the last one
//! was, takes the whole platform down with it. Only then are the guards
//! disarmed; after this nothing in domb destroys a domain.

use domb_core::config::DomainName;
use domb_core::units::Domid;

use crate::build::{Built, Guard};
use crate::toolstack::{self, State, Toolstack};

/// A platform that runs without domb.
///
/// Holding one proves that every built domain was unpaused in start order and
/// that no guard is left.
#[derive(Debug)]
pub struct HandedOff {
    /// How many domains were handed over.
    pub domains: usize,
}

/// Unpauses everything that was built and lets go of it. `unpaused` is told of
/// each domain as it starts.
///
/// # Errors
/// The first domain that does not run; every domain is destroyed.
pub fn hand_off(
    built: Built<'_>,
    toolstack: &dyn Toolstack,
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
        return Err(Error {
            name: guard.name.clone(),
            domid: guard.domid,
            console,
            cause,
        });
    }
    let domains = built.domains.len();
    built.domains.hand_over();
    Ok(HandedOff { domains })
}

/// Lets one domain run.
///
/// # Errors
/// The toolstack refuses.
pub fn unpause(guard: &Guard<'_>, toolstack: &dyn Toolstack) -> Result<(), Error> {
    toolstack.unpause(guard.domid).map_err(|error| Error {
        name: guard.name.clone(),
        domid: guard.domid,
        console: error.log.clone(),
        cause: Cause::Toolstack(error),
    })
}

/// Why a domain could not be handed over.
#[derive(Debug, thiserror::Error)]
#[error("start domain {name} (domid {domid})")]
pub struct Error {
    /// The domain.
    pub name: DomainName,
    /// Its domid.
    pub domid: Domid,
    /// The last lines it wrote to its console.
    pub console: Vec<String>,
    /// Why.
    #[source]
    pub cause: Cause,
}

/// Why.
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
