// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any bytes as a launch configuration: either a configuration or an error,
//! and what is shown of it has nothing that a terminal would act on. A good
//! one survives the way to a device tree.

#![no_main]

use domb_core::config::Config;
use domb_core::convert::{ModulePaths, from_device_tree, to_device_tree};
use domb_core::diagnostic::{Severity, render, to_json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (config, faults) = Config::check("launch.toml", bytes);
    let refused = faults.iter().any(|fault| fault.severity == Severity::Error);
    assert_eq!(config.is_some(), !refused);
    let text = String::from_utf8_lossy(bytes);
    let shown = render(&faults, &text);
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'));
    assert_eq!(
        to_json(&faults, &text).as_array().map(Vec::len),
        Some(faults.len())
    );
    if let Some(config) = config {
        assert_eq!(config.start_order().len(), config.domains.len());
        let tree = to_device_tree(&config);
        let read = from_device_tree("t", &tree.dtb, &ModulePaths::new()).expect("it was just made");
        let (back, faults) = Config::check("t", read.text.as_bytes());
        let back = back.unwrap_or_else(|| panic!("{}", render(&faults, &read.text)));
        assert_eq!(back.domains.len(), config.domains.len());
    }
});
