// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PCR values as other tools write them: the output of `tpm2_pcrread` or
//! `tpm2_checkquote`, or a line `BANK:HEX` for each bank.

use domb_core::measure::{Bank, Digest, Digests};
use domb_core::units::PcrIndex;

/// The values of `pcr` in `text`. A line that is neither a bank nor a value is
/// an error, and so is a value that is there twice.
pub(super) fn parse(text: &str, pcr: PcrIndex) -> Result<Digests, String> {
    let mut values = Digests::default();
    let mut current = None;
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let unknown = || format!("{line:?} is neither a bank nor the value of a PCR");
        let (key, value) = line.split_once(':').ok_or_else(unknown)?;
        let (key, value) = (key.trim(), value.trim());
        let (bank, digits) = match (Bank::from_name(key), value) {
            (Some(bank), "") => {
                current = Some(Some(bank));
                continue;
            }
            (Some(bank), digits) => (bank, digits),
            // The signature that tpm2_checkquote has checked.
            (None, _) if key == "sig" => continue,
            // A bank that domb does not know begins, with values of its own.
            (None, "") => {
                current = Some(None);
                continue;
            }
            (None, digits) => {
                let index: i64 = key.parse().map_err(|_| unknown())?;
                match current.ok_or_else(unknown)? {
                    Some(bank) if index == i64::from(pcr.value()) => (bank, digits),
                    _ => continue,
                }
            }
        };
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let value = Digest::from_hex(bank, digits)
            .ok_or_else(|| format!("{digits:?} is not a value of bank {bank}"))?;
        if values.bank(bank).is_some() {
            return Err(format!("PCR {pcr} has two values in bank {bank}"));
        }
        values.insert(value);
    }
    if values.is_empty() {
        Err(format!("it has no value of PCR {pcr}"))
    } else {
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PCR: PcrIndex = PcrIndex::DEFAULT;

    #[test]
    fn what_tpm2_pcrread_writes_is_read() {
        let text = format!(
            "  sha1:\n    12: 0x{}\n    13: 0x{}\n  sha256:\n    13: 0x{}\n  sm3_256:\n    13: 0x00\n",
            "11".repeat(20),
            "22".repeat(20),
            "AB".repeat(32)
        );
        let values = parse(&text, PCR).unwrap();
        assert_eq!(values.banks(), [Bank::Sha1, Bank::Sha256]);
        assert_eq!(values.bank(Bank::Sha1).unwrap().as_bytes(), [0x22; 20]);
        assert_eq!(values.bank(Bank::Sha256).unwrap().as_bytes(), [0xab; 32]);
    }

    #[test]
    fn what_tpm2_checkquote_writes_is_read() {
        let text = format!(
            "pcrs:\n  sha256:\n    13: 0x{}\nsig: 3044\n",
            "01".repeat(32)
        );
        assert_eq!(parse(&text, PCR).unwrap().banks(), [Bank::Sha256]);
    }

    #[test]
    fn a_line_for_each_bank_is_read() {
        let text = format!(
            "# golden\nsha256:{}\nsha1: {}\n",
            "01".repeat(32),
            "02".repeat(20)
        );
        assert_eq!(
            parse(&text, PCR).unwrap().banks(),
            [Bank::Sha1, Bank::Sha256]
        );
    }

    #[test]
    fn anything_else_is_an_error() {
        let value = "01".repeat(32);
        for bad in [
            String::new(),
            "sha256:\n".to_owned(),
            "sha256:\n  12: 0x00\n".to_owned(),
            format!("13: 0x{value}\n"),
            format!("sha256:{value}\nsha256:{value}\n"),
            format!("sha1:{value}\n"),
            format!("sha256:{value}00\n"),
            "sha256:\n  13: 0xzz\n".to_owned(),
            "what is this\n".to_owned(),
            format!("md5:{value}\n"),
        ] {
            assert!(parse(&bad, PCR).is_err(), "{bad:?}");
        }
    }
}
