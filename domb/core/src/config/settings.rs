// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `[measure]` of a file that is no configuration: a launch that cannot begin
//! closes the PCR it would have owned, and this says which that is.
//!
//! Nothing is refused here. What cannot be read has the value it has where the
//! key is missing, so a damaged file is never a way to leave the PCR open.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::raw::TPM;
use super::{Config, TpmMode};
use crate::units::PcrIndex;

impl Config {
    /// `tpm` and `pcr` of `[measure]` in `bytes`, as far as they can be read.
    #[must_use]
    pub fn measure_settings(bytes: &[u8]) -> (TpmMode, PcrIndex) {
        let text = String::from_utf8_lossy(bytes.get(..Config::MAX_BYTES).unwrap_or(bytes));
        let (root, _) = DeTable::parse_recoverable(&text);
        let measure = root.get_ref().get("measure");
        let value = |key: &str| match measure.map(Spanned::get_ref) {
            Some(DeValue::Table(table)) => table.get(key).map(Spanned::get_ref),
            _ => None,
        };
        let tpm = value("tpm")
            .and_then(|value| value.as_str())
            .and_then(|word| {
                let known = TPM.iter().find(|(name, _)| *name == word);
                known.map(|(_, mode)| *mode)
            });
        let pcr = value("pcr").and_then(|value| match value {
            DeValue::Integer(number) => {
                let digits = number.as_str();
                let value = i64::from_str_radix(digits, number.radix()).ok()?;
                PcrIndex::new(value)
            }
            _ => None,
        });
        (tpm.unwrap_or_default(), pcr.unwrap_or(PcrIndex::DEFAULT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> (TpmMode, u8) {
        let (tpm, pcr) = Config::measure_settings(text.as_bytes());
        (tpm, pcr.value())
    }

    #[test]
    fn what_stands_there_is_read_whatever_else_is_wrong() {
        let text = "[measure]\npcr = 12\ntpm = \"off\"\n[[domain]]\ndomid = 0\n";
        assert_eq!(settings(text), (TpmMode::Off, 12));
        assert_eq!(settings("[measure]\npcr = 0xe\nx = = 1\n").1, 14);
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        for text in [
            "",
            "\u{0}\u{1}garbage",
            "measure = 1\n",
            "[measure]\npcr = 16\ntpm = \"of\"\n",
            "[measure]\npcr = \"12\"\ntpm = 1\n",
        ] {
            assert_eq!(settings(text), (TpmMode::Required, 13), "{text:?}");
        }
        assert_eq!(
            Config::measure_settings(&[0xff, 0xfe, 0]).0,
            TpmMode::Required
        );
    }
}
