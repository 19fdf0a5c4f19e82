// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any bytes as a device tree: what comes out is TOML, or an error.

#![no_main]

use domb_core::config::Config;
use domb_core::convert::{ModulePaths, from_device_tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = from_device_tree("t.dtb", bytes, &ModulePaths::new()) {
        assert!(!read.text.contains(|c: char| c.is_control() && c != '\n'));
        let (_, faults) = Config::check("t", read.text.as_bytes());
        assert!(
            !faults
                .iter()
                .any(|fault| fault.message.starts_with("not TOML"))
        );
    }
});
