// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Event logs written and read back, and ones that are none.

use proptest::prelude::*;

use super::super::fixture::*;
use super::super::launch_events;
use super::*;

fn small() -> Vec<u8> {
    let config = config(vec![domain("net", 7)]);
    let banks = [Bank::Sha1, Bank::Sha256];
    log(
        &banks,
        &launch_events(&config, &artefacts(&config), &banks).unwrap(),
    )
}

#[test]
fn the_header_is_the_spec_id_event_byte_for_byte() {
    let expected = [
        &[0, 0, 0, 0, 3, 0, 0, 0][..],
        &[0; 20],
        &[37, 0, 0, 0],
        b"Spec ID Event03\0",
        &[0, 0, 0, 0, 0, 2, 0, 2],
        &[2, 0, 0, 0, 0x0b, 0, 32, 0, 0x0c, 0, 48, 0],
        &[0],
    ]
    .concat();
    assert_eq!(header(&[Bank::Sha384, Bank::Sha256]), expected);
}

#[test]
fn an_entry_is_a_pcr_event2_byte_for_byte() {
    let config = config(vec![domain("net", 7)]);
    let banks = [Bank::Sha256];
    let event = &launch_events(&config, &artefacts(&config), &banks).unwrap()[2];
    let json = br#"{"absent":true,"component":"launch-script"}"#;
    let expected = [
        &[13, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0x0b, 0][..],
        &[0; 32],
        &[
            json.len() as u8 + 8,
            0,
            0,
            0,
            0x03,
            0x4d,
            0x4f,
            0x44,
            json.len() as u8,
            0,
            0,
            0,
        ],
        json,
    ]
    .concat();
    assert_eq!(entry(event), expected);
}

#[test]
fn a_log_cut_anywhere_within_an_entry_says_where() {
    let whole = small();
    let ends: Vec<usize> = {
        let mut reader = Reader {
            bytes: &whole,
            offset: 0,
        };
        let banks = parse_header(&mut reader).unwrap();
        let mut ends = vec![reader.offset];
        while !reader.is_at_end() {
            parse_entry(&mut reader, &banks).unwrap();
            ends.push(reader.offset);
        }
        ends
    };
    for cut in 0..whole.len() {
        let parsed = parse(&whole[..cut]);
        match (ends.contains(&cut), parsed) {
            (true, Ok(log)) => assert!(log.entries.len() < ends.len()),
            (
                false,
                Err(ParseError::Truncated {
                    offset,
                    needed,
                    available,
                    ..
                }),
            ) => {
                assert!(offset <= cut && available < needed);
            }
            (_, other) => panic!("{cut}: {other:?}"),
        }
    }
}

#[test]
fn what_the_header_does_not_announce_is_refused() {
    let whole = small();
    let header_length = header(&[Bank::Sha1, Bank::Sha256]).len();
    let refused = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        parse(&bytes).unwrap_err()
    };
    let value = |error| matches!(error, ParseError::Value { .. });
    assert!(value(refused(0, 1)), "header PCR");
    assert!(value(refused(4, 4)), "header type");
    assert_eq!(refused(8, 1), ParseError::Signature, "header digest");
    assert_eq!(refused(32, b's'), ParseError::Signature);
    assert!(value(refused(56, 5)), "number of banks");
    assert!(value(refused(60, 0x0b)), "a bank twice");
    assert!(value(refused(60, 0x12)), "a bank domb cannot compute");
    assert!(value(refused(62, 21)), "digest size");
    assert!(value(refused(header_length, 24)), "no such PCR");
    assert!(value(refused(header_length + 8, 1)), "number of digests");
    assert!(value(refused(header_length + 12, 0x0b)), "order of digests");
    let Err(ParseError::Truncated { .. }) = parse(&{
        let mut bytes = whole.clone();
        bytes[header_length + 8 + 4 + 22 + 34 + 3] = 0xff;
        bytes
    }) else {
        panic!("an event of 4 GiB is read")
    };
}

#[test]
fn a_log_without_events_is_a_log() {
    let log = parse(&header(&Bank::ALL)).unwrap();
    assert_eq!((log.banks, log.entries), (Bank::ALL.to_vec(), Vec::new()));
    assert!(parse(&[]).is_err());
}

#[test]
fn the_vendors_information_is_skipped() {
    let mut bytes = header(&[Bank::Sha256]);
    let last = bytes.len() - 1;
    bytes[last] = 3;
    bytes.extend(b"abc");
    bytes[28] += 3;
    assert_eq!(parse(&bytes).unwrap().banks, [Bank::Sha256]);
    bytes[last] = 2;
    assert!(matches!(parse(&bytes), Err(ParseError::Value { .. })));
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(launch in any_launch()) {
        let (config, artefacts, banks) = launch;
        let events = launch_events(&config, &artefacts, &banks).unwrap();
        let parsed = parse(&log(&banks, &events)).unwrap();
        prop_assert_eq!(&parsed.banks, &banks);
        prop_assert_eq!(parsed.entries.len(), events.len());
        for (entry, event) in parsed.entries.iter().zip(&events) {
            prop_assert_eq!(&entry.digests, &event.digests);
            prop_assert_eq!(&entry.data, &event.data());
            prop_assert_eq!(entry.event_type, EV_EVENT_TAG);
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        drop(parse(&bytes));
    }

    #[test]
    fn no_change_of_a_log_makes_the_parser_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = small();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(log) = parse(&bytes) {
            let data: usize = log.entries.iter().map(|entry| entry.data.len()).sum();
            prop_assert!(data <= bytes.len());
            drop(super::super::LaunchRecord::from_log(&log));
        }
    }
}
