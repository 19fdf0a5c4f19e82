// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands and responses, byte for byte.

use proptest::prelude::*;

use super::*;

const PCR: PcrIndex = PcrIndex::DEFAULT;

/// A response of that code and body.
fn response(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap();
    [
        &[0x80, 0x01][..],
        &length.to_be_bytes(),
        &code.to_be_bytes(),
        body,
    ]
    .concat()
}

/// sha1 and sha256 have all PCRs, sha384 none, SM3 has PCR 13 only.
fn banks_response() -> Vec<u8> {
    let body = [
        &[0, 0, 0, 0, 5, 0, 0, 0, 4][..],
        &[0, 0x04, 3, 0xff, 0xff, 0xff],
        &[0, 0x0b, 3, 0xff, 0xff, 0xff],
        &[0, 0x0c, 3, 0, 0, 0],
        &[0, 0x12, 3, 0, 0x20, 0],
    ];
    response(0, &body.concat())
}

fn value_response(octets: [u8; 3], size: u8) -> Vec<u8> {
    let body = [
        &[0, 0, 0, 9, 0, 0, 0, 1, 0, 0x0b, 3][..],
        &octets,
        &[0, 0, 0, 1, 0, size],
        &vec![7; size.into()],
    ];
    response(0, &body.concat())
}

fn extend_response() -> Vec<u8> {
    // With a session: parameter size 0, then nonce, attributes, hmac.
    vec![
        0x80, 0x02, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
    ]
}

#[test]
fn the_commands_are_these_bytes() {
    assert_eq!(
        get_pcr_banks(),
        [
            0x80, 1, 0, 0, 0, 22, 0, 0, 1, 0x7a, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1
        ]
    );
    assert_eq!(
        pcr_read(PCR, Bank::Sha256),
        [
            0x80, 1, 0, 0, 0, 20, 0, 0, 1, 0x7e, 0, 0, 0, 1, 0, 0x0b, 3, 0, 0x20, 0
        ]
    );
    let digests = Digests::zero(&[Bank::Sha1]);
    let expected = [
        &[0x80, 2, 0, 0, 0, 53, 0, 0, 1, 0x82, 0, 0, 0, 13][..],
        &[0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0],
        &[0, 0, 0, 1, 0, 4],
        &[0; 20],
    ];
    assert_eq!(pcr_extend(PCR, &digests), expected.concat());
    assert!(pcr_extend(PCR, &Digests::zero(&Bank::ALL)).len() < 1024);
}

#[test]
fn banks_are_active_where_they_have_the_pcr() {
    assert_eq!(
        pcr_banks(&banks_response(), PCR),
        Ok(ActiveBanks {
            known: vec![Bank::Sha1, Bank::Sha256],
            unknown: vec![0x12]
        })
    );
    let other = PcrIndex::new(14).unwrap();
    assert_eq!(
        pcr_banks(&banks_response(), other).unwrap().unknown,
        Vec::<u16>::new()
    );
}

#[test]
fn an_incomplete_or_repeating_list_of_banks_is_refused() {
    let mut more = banks_response();
    more[HEADER] = 1;
    assert!(matches!(
        pcr_banks(&more, PCR),
        Err(ResponseError::Unrelated(_))
    ));
    let mut twice = banks_response();
    twice[HEADER + 10] = 0x0b;
    assert!(matches!(
        pcr_banks(&twice, PCR),
        Err(ResponseError::Unrelated(_))
    ));
    let commands = response(0, &[0, 0, 0, 0, 2, 0, 0, 0, 0]);
    assert!(matches!(
        pcr_banks(&commands, PCR),
        Err(ResponseError::Unrelated(_))
    ));
}

#[test]
fn a_value_is_taken_only_for_the_pcr_and_bank_asked() {
    let good = value_response([0, 0x20, 0], 32);
    assert_eq!(
        pcr_value(&good, PCR, Bank::Sha256),
        Ok(Digest::new(Bank::Sha256, &[7; 32]).unwrap())
    );
    for (response, bank) in [
        (value_response([0, 0x20, 0], 32), Bank::Sha1),
        (value_response([0, 0x40, 0], 32), Bank::Sha256),
        (value_response([0, 0x60, 0], 32), Bank::Sha256),
        (value_response([0, 0x20, 0], 31), Bank::Sha256),
        (value_response([0, 0x20, 0], 0), Bank::Sha256),
    ] {
        assert!(matches!(
            pcr_value(&response, PCR, bank),
            Err(ResponseError::Unrelated(_))
        ));
    }
}

#[test]
fn an_extend_is_done_only_when_the_tpm_says_so() {
    assert_eq!(pcr_extended(&extend_response()), Ok(()));
    let refused = pcr_extended(&response(0x907, &[])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the TPM answers TPM_RC_LOCALITY (0x907)"
    );
    assert!(!refused.is_temporary());
    let malformed = [
        vec![],
        vec![0; 9],
        vec![0; 10],
        vec![0xff; 64],
        extend_response()[..18].to_vec(),
    ];
    for bytes in malformed {
        assert!(
            matches!(pcr_extended(&bytes), Err(ResponseError::Malformed(_))),
            "{bytes:x?}"
        );
    }
}

#[test]
fn retry_testing_and_yielded_are_temporary_and_nothing_else_is() {
    for (code, temporary) in [
        (0x922, true),
        (0x90a, true),
        (0x908, true),
        (0x907, false),
        (0x101, false),
        (0x1c4, false),
    ] {
        let error = pcr_extended(&response(code, &[])).unwrap_err();
        assert_eq!(error.is_temporary(), temporary, "{error}");
    }
}

proptest! {
    #[test]
    fn no_response_makes_this_panic(
        which in 0usize..3,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        tail in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut bytes = [banks_response(), value_response([0, 0x20, 0], 32), extend_response()][which].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend(tail);
        drop(pcr_banks(&bytes, PCR));
        drop(pcr_value(&bytes, PCR, Bank::Sha256));
        drop(pcr_extended(&bytes));
    }
}
