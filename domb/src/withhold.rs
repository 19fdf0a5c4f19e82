// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One owner for each delegated range: what a domain was given, and what the
//! configuration or the launch script keeps back, is taken from domain 0.
//!
//! Xen lets a domain give only what it has, and giving leaves the giver what
//! it gave. So the order is: libxl gives while domain 0 has the range, the
//! last event goes to the TPM, then domain 0 loses it, then domains run.

use domb_core::config::Range;

use crate::denials::{Denied, heard};
use crate::toolstack::{self, Toolstack};

/// Keeps domain 0 from these ranges.
///
/// # Errors
/// The first range that it may still have.
pub fn withhold(withheld: &[Range], toolstack: &dyn Toolstack) -> Result<(), Error> {
    for range in withheld {
        taken(range, toolstack).map_err(|source| Error {
            range: *range,
            source,
        })?;
    }
    Ok(())
}

/// Xen says "not permitted" of a range that domain 0 has not, and of one that
/// Flask does not let it lose. Its console tells the two apart, unless `loglvl=` keeps
/// it quiet; so what has no denial there must not be domain 0's to give any more.
fn taken(range: &Range, toolstack: &dyn Toolstack) -> Result<(), toolstack::Error> {
    let (result, denials) = heard(toolstack, || toolstack.withhold(range));
    if result? {
        return Ok(());
    }
    let denials = denials?;
    match Denied::of(denials) {
        None if toolstack.holds(range)? => Err(toolstack::Error::new(SILENT)),
        None => Ok(()),
        denied => Err(toolstack::Error {
            denied,
            ..toolstack::Error::new("Xen does not let the boot domain give it up")
        }),
    }
}

const SILENT: &str = "Xen does not let the boot domain give it up, and does not say why\n\
    hint: Xen's console says what Flask denied: loglvl= must not be none or error";

/// Domain 0 may still have a range that it must not have.
#[derive(Debug, thiserror::Error)]
#[error("keep domain 0 from {range}")]
pub struct Error {
    /// The range.
    pub range: Range,
    /// Why.
    pub source: toolstack::Error,
}
