// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any text as a launch script, up to where it would be asked: it compiles or
//! is refused within the limits.

#![no_main]

use domb_core::policy::{Limits, Script, compile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(script) = Script::new("launch.rhai", bytes) {
        if let Err(error) = compile(&script, &Limits::default(), || false) {
            let text = error.to_string();
            assert!(
                !text.contains(|c: char| c.is_control() && c != '\n'),
                "{text:?}"
            );
        }
    }
});
