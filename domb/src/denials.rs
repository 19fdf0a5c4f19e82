// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a step was denied, from Xen's own console.
//!
//! Flask tells the caller nothing but "not permitted", and libxl not even
//! that. Xen writes what was denied to its console: what it wrote while a step
//! failed is put into the step's error, with the rules that are missing.

use std::fmt;

use domb_core::flask::Denial;

use crate::toolstack::{Error, Toolstack};

/// What Flask denied while something failed; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denied(Vec<Denial>);

impl Denied {
    /// None if nothing was denied.
    #[must_use]
    pub fn of(denials: Vec<Denial>) -> Option<Denied> {
        (!denials.is_empty()).then_some(Denied(denials))
    }

    /// Each denial once, in order.
    #[must_use]
    pub fn all(&self) -> &[Denial] {
        &self.0
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let denials: Vec<String> = self.0.iter().map(Denial::to_string).collect();
        let rules: Vec<String> = self.0.iter().map(Denial::rule).collect();
        write!(
            f,
            "{}\nhint: the policy in force lacks: {}",
            denials.join("; "),
            rules.join(" ")
        )
    }
}

impl std::error::Error for Denied {}

/// Attempts something; a failure comes back with what Flask denied meanwhile.
pub fn explained<T>(
    toolstack: &dyn Toolstack,
    attempt: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let (result, denials) = heard(toolstack, attempt);
    result.map_err(|mut error| {
        match denials {
            Ok(denials) => error.denied = Denied::of(denials),
            Err(unread) => error
                .log
                .push(format!("what Xen said is not known: {unread}")),
        }
        error
    })
}

/// Attempts something, and gives what Flask denied meanwhile, whatever came of
/// it.
pub fn heard<T>(
    toolstack: &dyn Toolstack,
    attempt: impl FnOnce() -> T,
) -> (T, Result<Vec<Denial>, Error>) {
    // What Xen said before is no part of this attempt.
    let before = toolstack.xen_messages();
    let result = attempt();
    let after = before.and_then(|_| toolstack.xen_messages());
    (result, after.map(|console| Denial::all(&console)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{chain, hint};

    #[test]
    fn the_missing_rules_are_the_hint() {
        let line = |permission: &str| {
            format!(
                "(XEN) avc:  denied  {{ {permission} }} for source=d0 scontext=u:r:domb_t \
                 tcontext=u:r:web_t tclass=domain\n"
            )
        };
        let console = [line("create"), line("unpause")].concat();
        let error = Error {
            text: "cannot create domain 9".to_owned(),
            log: Vec::new(),
            denied: Some(Denied(Denial::all(&console))),
        };
        assert_eq!(
            chain(&error),
            [
                "cannot create domain 9",
                "Flask denied u:r:domb_t domain:create on u:r:web_t; \
                 Flask denied u:r:domb_t domain:unpause on u:r:web_t"
            ]
        );
        assert_eq!(
            hint(&error).as_deref(),
            Some(
                "the policy in force lacks: allow domb_t web_t:domain create; \
                 allow domb_t web_t:domain unpause;"
            )
        );
    }
}
