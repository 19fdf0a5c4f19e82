// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any bytes as a TPM's response to each command that domb sends: no panic,
//! and an answer only where it is one.

#![no_main]

use domb_core::measure::{Bank, tpm_message};
use domb_core::units::PcrIndex;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let pcr = PcrIndex::DEFAULT;
    if let Ok(banks) = tpm_message::pcr_banks(bytes, pcr) {
        assert!(banks.known.is_sorted_by(|a, b| a < b));
    }
    for bank in Bank::ALL {
        if let Ok(value) = tpm_message::pcr_value(bytes, pcr, bank) {
            assert_eq!(value.bank(), bank);
            assert!(
                bytes
                    .windows(value.as_bytes().len())
                    .any(|window| window == value.as_bytes())
            );
        }
    }
    if let Err(error) = tpm_message::pcr_extended(bytes) {
        assert!(!error.to_string().is_empty());
    }
});
