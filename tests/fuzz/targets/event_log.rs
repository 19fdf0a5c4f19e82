// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any bytes as an event log: no panic, no allocation beyond what was given,
//! and what is read as a launch is what would be written for it.

#![no_main]

use domb_core::measure::{Digests, LaunchRecord, check, diff, event_log};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(log) = event_log::parse(bytes) else {
        return;
    };
    let data: usize = log.entries.iter().map(|entry| entry.data.len()).sum();
    assert!(data <= bytes.len());
    let Ok(record) = LaunchRecord::from_log(&log) else {
        return;
    };

    let mut written = event_log::header(&record.banks);
    record
        .events
        .iter()
        .for_each(|event| written.extend(event_log::entry(event)));
    let again = event_log::parse(&written).expect("what is written is a log");
    assert_eq!(again.entries, log.entries);
    assert_eq!(diff(&record.events, &record.events), Some(Vec::new()));
    let zero = Digests::zero(&record.banks);
    assert_eq!(
        check(&record.events, &zero, &Digests::default()).len(),
        record.banks.len()
    );
});
