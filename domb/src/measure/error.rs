// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a launch could not be measured.

use std::io;
use std::path::PathBuf;

use domb_core::config::DomainName;
use domb_core::measure::{self, Digest};
use domb_core::units::PcrIndex;

use crate::tpm::{self, TpmDevice};

/// Why a launch could not be measured. Under `tpm = "optional"` and `"off"`
/// most of these are reported instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The TPM is not there or does not do as asked.
    #[error(transparent)]
    Tpm(#[from] tpm::Error),
    /// The PCR exists in no bank.
    #[error(
        "find a bank with PCR {pcr} in the TPM {device}: none is active\nhint: allocate one (tpm2_pcrallocate sha256:all) and reboot"
    )]
    NoBank {
        /// Which TPM.
        device: TpmDevice,
        /// The PCR.
        pcr: PcrIndex,
    },
    /// A bank is active that domb has no hash function for. Left unextended,
    /// it could be given any value later.
    #[error(
        "extend every active bank of the TPM {device}: it has banks of algorithms {}, which domb cannot compute\nhint: deallocate them (tpm2_pcrallocate) and reboot",
        hexadecimal(algorithms)
    )]
    UnknownBanks {
        /// Which TPM.
        device: TpmDevice,
        /// Their `TPM_ALG_ID`.
        algorithms: Vec<u16>,
    },
    /// The PCR is not where `[measure] expect_initial` wants it.
    #[error("find PCR {pcr} as [measure] expect_initial wants it: bank {} holds {} instead of {expected}\nhint: something extended it since the last reset; reboot, or find out what does", expected.bank(), shown(found))]
    Initial {
        /// The PCR.
        pcr: PcrIndex,
        /// What it should hold.
        expected: Digest,
        /// What it holds; None: the bank is not active.
        found: Option<Digest>,
    },
    /// The PCR was extended by somebody else meanwhile.
    #[error("check PCR {pcr}: bank {} holds {found} where the events give {expected}\nhint: nothing but domb may extend this PCR", expected.bank())]
    Diverged {
        /// The PCR.
        pcr: PcrIndex,
        /// What the events give.
        expected: Digest,
        /// What the TPM has.
        found: Digest,
    },
    /// The event log cannot be written.
    #[error("write the event log {}", path.display())]
    Log {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A loaded file cannot be read back.
    #[error("hash {what}")]
    Hash {
        /// What it is.
        what: String,
        /// Whose it is.
        domain: Option<DomainName>,
        /// What the system said.
        source: io::Error,
    },
    /// The events do not fit the configuration.
    #[error(transparent)]
    Sequence(#[from] measure::Error),
}

impl Error {
    /// The domain it is about, if about one.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        match self {
            Error::Hash { domain, .. } => domain.as_ref().map(DomainName::as_str),
            Error::Sequence(measure::Error::Disagreement { domain, .. }) => domain.as_deref(),
            Error::Sequence(measure::Error::UnknownDomain(name)) => Some(name.as_str()),
            _ => None,
        }
    }
}

fn shown(found: &Option<Digest>) -> String {
    found.as_ref().map_or_else(
        || "nothing (it is not active)".to_owned(),
        ToString::to_string,
    )
}

fn hexadecimal(algorithms: &[u16]) -> String {
    algorithms
        .iter()
        .map(|id| format!("{id:#06x}"))
        .collect::<Vec<_>>()
        .join(", ")
}
