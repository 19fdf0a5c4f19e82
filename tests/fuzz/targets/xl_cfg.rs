// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any text as a guest configuration of xl: what comes out is TOML, or an
//! error.

#![no_main]

use domb_core::config::Config;
use domb_core::convert::from_xl_cfg;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(read) = from_xl_cfg("t.cfg", text) {
        assert!(!read.text.contains(|c: char| c.is_control() && c != '\n'));
        let (_, faults) = Config::check("t", read.text.as_bytes());
        assert!(
            !faults
                .iter()
                .any(|fault| fault.message.starts_with("not TOML"))
        );
    }
});
