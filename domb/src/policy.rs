// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Policy: put the facts together and let the launch script decide.
//!
//! The script is run from the sealed bytes whose digest is already in the
//! PCR, and within limits (`domb_core::policy::Limits`); a script that does
//! not decide within them has denied everything.

mod meter;

use std::io;

use domb_core::policy::{
    self, Facts, FactsError, Limits, PlatformFacts, Script, TpmFacts, Verdict,
};

use self::meter::Meter;
use crate::launch::Measured;

/// Asks the launch script, or nobody where none is configured.
///
/// # Errors
/// The script did not decide.
pub fn decide(
    measured: &Measured,
    platform: PlatformFacts,
    tpm: Option<TpmFacts>,
) -> Result<Verdict, Error> {
    let loaded = &measured.loaded;
    let script = match &loaded.script {
        None => None,
        Some(file) => {
            let bytes = file.sealed.read().map_err(Error::Read)?;
            Some(Script::new(&file.written.display().to_string(), &bytes)?)
        }
    };
    let facts = facts(measured, platform, tpm)?;
    let limits = Limits::default();
    let verdict = policy::decide(script.as_ref(), &facts, &limits, Meter::new(&limits))?;
    if verdict.changes_anything() {
        return Err(Error::Changes);
    }
    Ok(verdict)
}

fn facts(
    measured: &Measured,
    platform: PlatformFacts,
    tpm: Option<TpmFacts>,
) -> Result<Facts, FactsError> {
    Facts::gather(&measured.loaded.config, &measured.artefacts, platform, tpm)
}

/// Why there is no verdict. Every one of these denies everything.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sealed script could not be read.
    #[error("read the launch script")]
    Read(#[source] io::Error),
    /// The script is wrong, failed, or went over a limit.
    #[error(transparent)]
    Script(#[from] policy::Error),
    /// The script wants a domain otherwise than the configuration has it.
    #[error(
        "carry out the plan of the launch script: it changes or grants something, and this domb only lets a script allow or deny\nhint: write it into launch.toml"
    )]
    Changes,
    /// The facts are not whole.
    #[error(transparent)]
    Facts(#[from] FactsError),
}
