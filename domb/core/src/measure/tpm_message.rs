// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The three TPM commands domb uses, as bytes, and what their responses say.
//!
//! A response comes from hardware that an attacker may sit in front of: every
//! byte of it is checked, it has to answer the question that was asked, and no
//! response can make this panic or allocate more than it holds.

#[cfg(test)]
mod tests;

use tpm2_protocol::basic::{TpmHandle, TpmUint32};
use tpm2_protocol::data::{
    Tpm2bAuth, Tpm2bNonce, TpmAlgId, TpmCap, TpmRcBase, TpmRh, TpmSt, TpmaSession,
    TpmlDigestValues, TpmlPcrSelection, TpmsAuthCommand, TpmsPcrSelect, TpmsPcrSelection, TpmtHa,
    TpmuCapabilities, TpmuHa,
};
use tpm2_protocol::frame::{
    TpmFrame, TpmGetCapabilityCommand, TpmGetCapabilityResponse, TpmPcrExtendCommand,
    TpmPcrExtendResponse, TpmPcrReadCommand, TpmPcrReadResponse, TpmResponse, TpmUnmarshalBody,
    tpm_marshal_command,
};
use tpm2_protocol::{TpmError, TpmWriter};

use super::{Bank, Digest, Digests};
use crate::units::PcrIndex;

/// The largest response a TPM gives (`TPM_MAX_RESPONSE_SIZE` of the PC Client
/// profile).
pub const MAX_RESPONSE: usize = 4096;
/// The response header: tag, size, code (TPM 2.0 Library Part 1, section 18).
pub const HEADER: usize = 10;

/// The banks in which a PCR exists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ActiveBanks {
    /// Those domb can compute.
    pub known: Vec<Bank>,
    /// `TPM_ALG_ID` of those it cannot. A launch that leaves one of them
    /// without its events could be forged there later.
    pub unknown: Vec<u16>,
}

/// Why a response is not an answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResponseError {
    /// The TPM refuses.
    #[error("the TPM answers {text} ({code:#x})")]
    Code {
        /// The response code.
        code: u32,
        /// Its name in the specification.
        text: String,
    },
    /// The bytes are not a response to the command.
    #[error("the TPM's response is malformed: {0}")]
    Malformed(String),
    /// A well-formed response to another question.
    #[error("the TPM's response does not answer the question: {0}")]
    Unrelated(&'static str),
}

impl ResponseError {
    /// Whether the same command may succeed a little later (`TPM_RC_RETRY`,
    /// `TPM_RC_TESTING`, `TPM_RC_YIELDED`; TPM 2.0 Library Part 2, section
    /// 6.6.3).
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        let temporary = [TpmRcBase::Retry, TpmRcBase::Testing, TpmRcBase::Yielded];
        matches!(self, ResponseError::Code { code, .. } if temporary.iter().any(|rc| *rc as u32 == *code))
    }
}

/// `TPM2_GetCapability(TPM_CAP_PCRS)`.
#[must_use]
pub fn get_pcr_banks() -> Vec<u8> {
    let property = TpmUint32::new(0);
    let property_count = TpmUint32::new(1);
    command(
        &TpmGetCapabilityCommand {
            handles: [],
            cap: TpmCap::Pcrs,
            property,
            property_count,
        },
        &[],
    )
}

/// The banks that have `pcr`, from the response to [`get_pcr_banks`].
///
/// # Errors
/// The TPM refuses, or the response is not one to that command.
pub fn pcr_banks(response: &[u8], pcr: PcrIndex) -> Result<ActiveBanks, ResponseError> {
    let response: TpmGetCapabilityResponse = body(response)?;
    if response.more_data.0 {
        return Err(ResponseError::Unrelated("it lists some of the banks only"));
    }
    let TpmuCapabilities::Pcrs(selections) = &response.capability_data.data else {
        return Err(ResponseError::Unrelated("it is about another capability"));
    };
    let mut banks = ActiveBanks::default();
    for selection in selections
        .iter()
        .filter(|selection| selects(&selection.pcr_select, pcr))
    {
        let id = selection.hash.value();
        match Bank::from_algorithm_id(id) {
            Some(bank) if banks.known.contains(&bank) => {
                return Err(ResponseError::Unrelated("it lists a bank twice"));
            }
            Some(bank) => banks.known.push(bank),
            None => banks.unknown.push(id),
        }
    }
    banks.known.sort_unstable();
    Ok(banks)
}

/// `TPM2_PCR_Extend` of every bank in `digests` at once.
#[must_use]
pub fn pcr_extend(pcr: PcrIndex, digests: &Digests) -> Vec<u8> {
    let mut values = TpmlDigestValues::new();
    for digest in digests.iter() {
        let hash_alg = algorithm(digest.bank());
        let bytes = digest
            .as_bytes()
            .try_into()
            .expect("a digest is at most 64 bytes");
        values
            .try_push(TpmtHa {
                hash_alg,
                digest: TpmuHa::Digest(bytes),
            })
            .expect("there are fewer banks than the list has places");
    }
    // PCRs are extended with the empty password as authorisation.
    let session = TpmsAuthCommand {
        session_handle: TpmHandle::new(TpmRh::Pw as u32),
        nonce: Tpm2bNonce::new(),
        session_attributes: TpmaSession::CONTINUE_SESSION,
        hmac: Tpm2bAuth::new(),
    };
    let handles = [TpmHandle::new(pcr.value().into())];
    command(
        &TpmPcrExtendCommand {
            handles,
            digests: values,
        },
        &[session],
    )
}

/// Whether the response to [`pcr_extend`] says that the PCR was extended.
///
/// # Errors
/// The TPM refuses, or the response is not one to that command.
pub fn pcr_extended(response: &[u8]) -> Result<(), ResponseError> {
    body::<TpmPcrExtendResponse>(response).map(|_| ())
}

/// `TPM2_PCR_Read` of one PCR in one bank.
#[must_use]
pub fn pcr_read(pcr: PcrIndex, bank: Bank) -> Vec<u8> {
    let mut pcr_selection_in = TpmlPcrSelection::new();
    pcr_selection_in
        .try_push(selection(pcr, bank))
        .expect("an empty list has a place");
    command(
        &TpmPcrReadCommand {
            handles: [],
            pcr_selection_in,
        },
        &[],
    )
}

/// The PCR's value, from the response to [`pcr_read`].
///
/// # Errors
/// The TPM refuses, or the response is not one to that command.
pub fn pcr_value(response: &[u8], pcr: PcrIndex, bank: Bank) -> Result<Digest, ResponseError> {
    let response: TpmPcrReadResponse = body(response)?;
    match (&*response.pcr_selection_out, &*response.pcr_values) {
        ([selected], [value])
            if selected.hash == algorithm(bank) && selects_only(&selected.pcr_select, pcr) =>
        {
            Digest::new(bank, value).ok_or(ResponseError::Unrelated(
                "the value is not as long as the bank's digests",
            ))
        }
        _ => Err(ResponseError::Unrelated(
            "it is not about that PCR and bank",
        )),
    }
}

fn command<C: TpmFrame>(body: &C, sessions: &[TpmsAuthCommand]) -> Vec<u8> {
    let tag = if sessions.is_empty() {
        TpmSt::NoSessions
    } else {
        TpmSt::Sessions
    };
    let mut buffer = [0; MAX_RESPONSE];
    let mut writer = TpmWriter::new(&mut buffer);
    tpm_marshal_command(body, tag, sessions, &mut writer)
        .expect("each of domb's commands is shorter than 1 KiB");
    writer.as_bytes().to_vec()
}

fn body<R: TpmUnmarshalBody>(response: &[u8]) -> Result<R, ResponseError> {
    let malformed = |error: TpmError| ResponseError::Malformed(error.to_string());
    let response = TpmResponse::cast(response).map_err(malformed)?;
    let code = response.rc().map_err(malformed)?;
    if code.base() != TpmRcBase::Success {
        return Err(ResponseError::Code {
            code: code.value(),
            text: code.to_string(),
        });
    }
    response.unmarshal().map_err(malformed)
}

fn algorithm(bank: Bank) -> TpmAlgId {
    match bank {
        Bank::Sha1 => TpmAlgId::Sha1,
        Bank::Sha256 => TpmAlgId::Sha256,
        Bank::Sha384 => TpmAlgId::Sha384,
        Bank::Sha512 => TpmAlgId::Sha512,
    }
}

/// The PC Client profile's three octets, one bit per PCR.
fn selection(pcr: PcrIndex, bank: Bank) -> TpmsPcrSelection {
    let bits = (1u32 << pcr.value()).to_le_bytes();
    let pcr_select = TpmsPcrSelect::try_from(&bits[..3]).expect("three octets fit");
    TpmsPcrSelection {
        hash: algorithm(bank),
        pcr_select,
    }
}

fn selects(select: &TpmsPcrSelect, pcr: PcrIndex) -> bool {
    let octet = select
        .get(usize::from(pcr.value() / 8))
        .copied()
        .unwrap_or(0);
    octet >> (pcr.value() % 8) & 1 == 1
}

fn selects_only(select: &TpmsPcrSelect, pcr: PcrIndex) -> bool {
    selects(select, pcr) && select.iter().map(|octet| octet.count_ones()).sum::<u32>() == 1
}
