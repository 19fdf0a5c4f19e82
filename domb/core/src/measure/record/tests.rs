// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Launches read back from their logs, and logs that are none.

use proptest::prelude::*;

use super::super::fixture::*;
use super::super::{
    Ending, VerdictRecord, event_log, failed_event, final_event, launch_events, predict,
    verdict_event,
};
use super::*;
use crate::config::Config;

const BANKS: [Bank; 2] = [Bank::Sha1, Bank::Sha256];

fn launched() -> (Config, Vec<Event>) {
    let (config, artefacts) = full();
    let mut events = launch_events(&config, &artefacts, &BANKS).unwrap();
    events.push(verdict_event(&config, &VerdictRecord::allow_all(&config), &BANKS).unwrap());
    events.push(final_event(&config, Outcome::Launched, &Ending::default(), &BANKS).unwrap());
    (config, events)
}

fn read(events: &[Event]) -> Result<LaunchRecord, RecordError> {
    LaunchRecord::from_log(&event_log::parse(&log(&BANKS, events)).unwrap())
}

#[test]
fn a_launch_cut_short_is_a_record_without_an_outcome() {
    let (_, events) = launched();
    assert_eq!(
        read(&events).unwrap().outcome().as_deref(),
        Some("launched")
    );
    for cut in 1..events.len() {
        let record = read(&events[..cut]).unwrap();
        assert_eq!((record.events.len(), record.outcome()), (cut, None));
    }
    assert_eq!(read(&[]), Err(RecordError::Empty));
}

#[test]
fn a_launch_may_fail_after_any_event_and_nothing_comes_after() {
    let (config, events) = launched();
    let failed = failed_event(config.pcr, &BANKS);
    for cut in 0..=events.len() {
        let mut events = events[..cut].to_vec();
        events.push(failed.clone());
        assert_eq!(
            read(&events).unwrap().outcome().as_deref(),
            Some("failed"),
            "{cut}"
        );
        events.push(failed.clone());
        assert!(
            matches!(read(&events), Err(RecordError::Order { .. })),
            "{cut}"
        );
    }
}

#[test]
fn no_event_can_be_missing_doubled_or_moved() {
    let (_, events) = launched();
    for index in 0..events.len() - 1 {
        let mut missing = events.clone();
        missing.remove(index);
        // The domains are the events 6 to 17; without its first part the
        // rest of a domain cannot be there.
        assert!(
            matches!(read(&missing), Err(RecordError::Order { .. })),
            "without {index}"
        );
        let mut doubled = events.clone();
        doubled.insert(index, events[index].clone());
        assert!(
            matches!(read(&doubled), Err(RecordError::Order { .. })),
            "{index} twice"
        );
        let mut moved = events.clone();
        moved.swap(index, index + 1);
        assert!(
            matches!(read(&moved), Err(RecordError::Order { .. })),
            "{index} later"
        );
    }
    let mut swapped = events.clone();
    swapped[6..14].rotate_left(4);
    assert!(
        matches!(read(&swapped), Err(RecordError::Order { .. })),
        "domains not by domid"
    );
}

#[test]
fn a_text_that_does_not_hash_to_its_digests_is_found() {
    let (_, mut events) = launched();
    events[8].entry.text = Some("console=hvc0 init=/bin/sh".to_owned());
    assert_eq!(
        read(&events),
        Err(RecordError::Digest {
            index: 8,
            component: Component::Cmdline,
            bank: Bank::Sha1
        })
    );
}

#[test]
fn what_is_there_cannot_be_called_absent_nor_the_other_way_round() {
    let (_, events) = launched();
    let mut hidden = events.clone();
    hidden[2].entry = Entry {
        absent: true,
        ..Entry::bare(Component::LaunchScript, None)
    };
    assert!(matches!(
        read(&hidden),
        Err(RecordError::Digest { index: 2, .. })
    ));
    let mut invented = events.clone();
    invented[3].digests = Digests::zero(&BANKS);
    assert!(matches!(
        read(&invented),
        Err(RecordError::Digest { index: 3, .. })
    ));
    let mut kernel = events;
    kernel[6].entry = Entry {
        absent: true,
        ..Entry::bare(Component::Kernel, Some("net"))
    };
    kernel[6].digests = Digests::zero(&BANKS);
    assert!(matches!(
        read(&kernel),
        Err(RecordError::Data { index: 6, .. })
    ));
}

#[test]
fn event_data_has_one_spelling() {
    let (_, events) = launched();
    let mut log = event_log::parse(&log(&BANKS, &events)).unwrap();
    for data in [
        b"".to_vec(),
        b"1234567".to_vec(),
        log.entries[0].data[8..].to_vec(),
        [&log.entries[0].data[..], b" "].concat(),
        [&[0x02], &log.entries[0].data[1..]].concat(),
    ] {
        log.entries[0].data = data;
        assert!(matches!(
            LaunchRecord::from_log(&log),
            Err(RecordError::Data { index: 0, .. })
        ));
    }
}

#[test]
fn events_of_others_are_not_part_of_a_launch() {
    let (_, events) = launched();
    let whole = event_log::parse(&log(&BANKS, &events)).unwrap();
    let mut other_pcr = whole.clone();
    other_pcr.entries[4].pcr = 11;
    assert!(matches!(
        LaunchRecord::from_log(&other_pcr),
        Err(RecordError::Foreign {
            index: 4,
            pcr: 11,
            ..
        })
    ));
    let mut other_type = whole.clone();
    other_type.entries[4].event_type = 0x0d;
    assert!(matches!(
        LaunchRecord::from_log(&other_type),
        Err(RecordError::Foreign { index: 4, .. })
    ));
    let mut firmware = whole;
    firmware.entries[0].pcr = 0;
    assert!(matches!(
        LaunchRecord::from_log(&firmware),
        Err(RecordError::Foreign { index: 0, .. })
    ));
}

proptest! {
    #[test]
    fn every_predicted_log_is_a_record_of_its_events(launch in any_launch()) {
        let (config, artefacts, banks) = launch;
        for outcome in predict(&config, &artefacts, None, &banks).unwrap().outcomes {
            let parsed = event_log::parse(&log(&banks, &outcome.events)).unwrap();
            let record = LaunchRecord::from_log(&parsed).unwrap();
            prop_assert_eq!(record.events, outcome.events);
        }
    }
}
