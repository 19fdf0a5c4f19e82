// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The TCG crypto-agile event log: writing it entry by entry, and a strict
//! parser.
//!
//! The format is the TCG PC Client Platform Firmware Profile's, section 10:
//! one `TCG_PCClientPCREvent` that holds a Spec ID event, then
//! `TCG_PCR_EVENT2` structures, all little-endian and packed. The parser
//! trusts nothing: it takes any bytes, never panics, allocates no more than it
//! was given, and refuses what the specification does not allow, down to a
//! digest list that differs from the header's.

#[cfg(test)]
mod tests;

use super::{Bank, Digest, Digests, EV_EVENT_TAG, Event};

/// `EV_NO_ACTION`: an event that extends nothing (section 10.4.1).
const EV_NO_ACTION: u32 = 0x03;
/// Signature of the Spec ID event (section 10.4.5.1).
const SIGNATURE: &[u8; 16] = b"Spec ID Event03\0";
/// `platformClass` client, `specVersionMinor`, `specVersionMajor`,
/// `specErrata`, and `uintnSize` 2: 64 bit.
const PLATFORM: [u8; 8] = [0, 0, 0, 0, 0, 2, 0, 2];
/// The TPM has 24 PCRs (TCG PC Client Platform TPM Profile, section 4.6).
const PCRS: u32 = 24;

/// The first bytes of a log whose entries have digests of `banks`.
#[must_use]
pub fn header(banks: &[Bank]) -> Vec<u8> {
    let banks = Digests::zero(banks).banks();
    let mut spec_id = [&SIGNATURE[..], &PLATFORM].concat();
    spec_id.extend(length(banks.len()));
    for bank in banks {
        let size = u16::try_from(bank.digest_size()).expect("a digest is at most 64 bytes");
        spec_id.extend(bank.algorithm_id().to_le_bytes());
        spec_id.extend(size.to_le_bytes());
    }
    spec_id.push(0); // vendorInfoSize
    let mut header = [0u32.to_le_bytes(), EV_NO_ACTION.to_le_bytes()].concat();
    header.extend([0; 20]);
    header.extend(length(spec_id.len()));
    header.extend(spec_id);
    header
}

/// The bytes of one event, to be appended to a log whose header names the same
/// banks.
#[must_use]
pub fn entry(event: &Event) -> Vec<u8> {
    let mut bytes = [
        u32::from(event.pcr.value()).to_le_bytes(),
        EV_EVENT_TAG.to_le_bytes(),
    ]
    .concat();
    let data = event.data();
    bytes.extend(length(event.digests.iter().len()));
    for digest in event.digests.iter() {
        bytes.extend(digest.bank().algorithm_id().to_le_bytes());
        bytes.extend(digest.as_bytes());
    }
    bytes.extend(length(data.len()));
    bytes.extend(data);
    bytes
}

fn length(value: usize) -> [u8; 4] {
    u32::try_from(value)
        .expect("an event is shorter than 4 GiB")
        .to_le_bytes()
}

/// A log as it was written, nothing interpreted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventLog {
    /// The banks of every entry, in the header's order.
    pub banks: Vec<Bank>,
    /// The entries, in order.
    pub entries: Vec<LogEntry>,
}

/// One `TCG_PCR_EVENT2`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// The PCR, 0..=23.
    pub pcr: u8,
    /// The TCG event type.
    pub event_type: u32,
    /// A digest for each bank of the log.
    pub digests: Digests,
    /// The event data.
    pub data: Vec<u8>,
}

/// Why bytes are not an event log. Offsets are from the start of the log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
    /// The bytes end within a field.
    #[error("read {what} at byte {offset}: the log ends after {available} of {needed} bytes")]
    Truncated {
        /// The field.
        what: &'static str,
        /// Where it begins.
        offset: usize,
        /// Its length.
        needed: usize,
        /// What is there of it.
        available: usize,
    },
    /// A field has a value that the format or the header does not allow.
    #[error("read {what} at byte {offset}: {value:#x} is not allowed there")]
    Value {
        /// The field.
        what: &'static str,
        /// Where it begins.
        offset: usize,
        /// What it holds.
        value: u64,
    },
    /// The log does not begin with a Spec ID event of the crypto-agile format.
    #[error("read the header: it is not a \"Spec ID Event03\" event of a crypto-agile log")]
    Signature,
}

/// Reads a whole log.
///
/// # Errors
/// The first thing that is not as the format says.
pub fn parse(bytes: &[u8]) -> Result<EventLog, ParseError> {
    let mut reader = Reader { bytes, offset: 0 };
    let banks = parse_header(&mut reader)?;
    let mut entries = Vec::new();
    while !reader.is_at_end() {
        entries.push(parse_entry(&mut reader, &banks)?);
    }
    Ok(EventLog { banks, entries })
}

fn parse_header(reader: &mut Reader<'_>) -> Result<Vec<Bank>, ParseError> {
    reader.expect("the header's PCR", 0)?;
    reader.expect("the header's event type", EV_NO_ACTION)?;
    if reader.take("the header's digest", 20)? != [0; 20] {
        return Err(ParseError::Signature);
    }
    let size = reader.u32("the header's event size")?;
    let start = reader.offset;
    let mut spec_id = Reader {
        bytes: reader.take("the Spec ID event", size as usize)?,
        offset: 0,
    };
    parse_spec_id(&mut spec_id).map_err(|error| error.moved(start))
}

fn parse_spec_id(reader: &mut Reader<'_>) -> Result<Vec<Bank>, ParseError> {
    if reader.take("the Spec ID signature", SIGNATURE.len())? != SIGNATURE {
        return Err(ParseError::Signature);
    }
    reader.take("the Spec ID version", PLATFORM.len())?;
    let offset = reader.offset;
    let count = reader.u32("the number of banks")?;
    if count == 0 || count as usize > Bank::ALL.len() {
        return Err(ParseError::Value {
            what: "the number of banks",
            offset,
            value: count.into(),
        });
    }
    let mut banks = Vec::new();
    for _ in 0..count {
        let offset = reader.offset;
        let id = reader.u16("a bank's algorithm")?;
        let bank = Bank::from_algorithm_id(id)
            .filter(|bank| !banks.contains(bank))
            .ok_or(ParseError::Value {
                what: "a bank's algorithm",
                offset,
                value: id.into(),
            })?;
        let offset = reader.offset;
        let size = reader.u16("a bank's digest size")?;
        if usize::from(size) != bank.digest_size() {
            return Err(ParseError::Value {
                what: "a bank's digest size",
                offset,
                value: size.into(),
            });
        }
        banks.push(bank);
    }
    let vendor_info = reader.take("the length of the vendor's information", 1)?[0];
    reader.take("the vendor's information", vendor_info.into())?;
    match reader.is_at_end() {
        true => Ok(banks),
        false => Err(ParseError::Value {
            what: "the end of the Spec ID event",
            offset: reader.offset,
            value: (reader.bytes.len() - reader.offset) as u64,
        }),
    }
}

fn parse_entry(reader: &mut Reader<'_>, banks: &[Bank]) -> Result<LogEntry, ParseError> {
    let offset = reader.offset;
    let pcr = reader.u32("an event's PCR")?;
    let pcr = u8::try_from(pcr)
        .ok()
        .filter(|pcr| u32::from(*pcr) < PCRS)
        .ok_or(ParseError::Value {
            what: "an event's PCR",
            offset,
            value: pcr.into(),
        })?;
    let event_type = reader.u32("an event's type")?;
    let count = u32::try_from(banks.len()).expect("there are four banks");
    reader.expect("an event's number of digests", count)?;
    let mut digests = Digests::default();
    for bank in banks {
        let offset = reader.offset;
        let id = reader.u16("a digest's algorithm")?;
        if id != bank.algorithm_id() {
            return Err(ParseError::Value {
                what: "a digest's algorithm",
                offset,
                value: id.into(),
            });
        }
        let digest = Digest::new(*bank, reader.take("a digest", bank.digest_size())?);
        digests.insert(digest.expect("as many bytes were taken as the bank has"));
    }
    let size = reader.u32("an event's size")?;
    let data = reader.take("an event's data", size as usize)?.to_vec();
    Ok(LogEntry {
        pcr,
        event_type,
        digests,
        data,
    })
}

impl ParseError {
    /// The same error in bytes that begin `by` later.
    fn moved(self, by: usize) -> ParseError {
        match self {
            ParseError::Truncated {
                what,
                offset,
                needed,
                available,
            } => ParseError::Truncated {
                what,
                offset: offset + by,
                needed,
                available,
            },
            ParseError::Value {
                what,
                offset,
                value,
            } => ParseError::Value {
                what,
                offset: offset + by,
                value,
            },
            ParseError::Signature => ParseError::Signature,
        }
    }
}

/// The rest of some bytes. `offset` is never beyond their end.
struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn is_at_end(&self) -> bool {
        self.offset == self.bytes.len()
    }

    fn take(&mut self, what: &'static str, needed: usize) -> Result<&'a [u8], ParseError> {
        let rest = &self.bytes[self.offset..];
        let taken = rest.get(..needed).ok_or(ParseError::Truncated {
            what,
            offset: self.offset,
            needed,
            available: rest.len(),
        })?;
        self.offset += needed;
        Ok(taken)
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, ParseError> {
        let bytes = self
            .take(what, 2)?
            .first_chunk()
            .expect("two bytes were taken");
        Ok(u16::from_le_bytes(*bytes))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, ParseError> {
        let bytes = self
            .take(what, 4)?
            .first_chunk()
            .expect("four bytes were taken");
        Ok(u32::from_le_bytes(*bytes))
    }

    fn expect(&mut self, what: &'static str, expected: u32) -> Result<(), ParseError> {
        let offset = self.offset;
        match self.u32(what)? {
            value if value == expected => Ok(()),
            value => Err(ParseError::Value {
                what,
                offset,
                value: value.into(),
            }),
        }
    }
}
