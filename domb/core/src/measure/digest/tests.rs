// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Digests against the standards' own vectors.

use super::*;

/// FIPS 180-4's example message and its digests.
const ABC: [(Bank, &str); 4] = [
    (Bank::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
    (
        Bank::Sha256,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ),
    (
        Bank::Sha384,
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    ),
    (
        Bank::Sha512,
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
];

#[test]
fn each_bank_hashes_as_its_standard_says() {
    let digests = Digests::of(&Bank::ALL, b"abc");
    for (bank, expected) in ABC {
        assert_eq!(
            digests.bank(bank).map(ToString::to_string).as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn a_stream_hashes_as_its_concatenation_whatever_the_pieces() {
    let bytes: Vec<u8> = (0..1000u32).map(|n| (n % 251) as u8).collect();
    let mut hasher = Hasher::new(&Bank::ALL);
    bytes.chunks(7).for_each(|piece| hasher.update(piece));
    assert_eq!(hasher.finish(), Digests::of(&Bank::ALL, &bytes));
}

#[test]
fn banks_are_ordered_and_unique_whatever_the_caller_says() {
    let banks = [Bank::Sha512, Bank::Sha1, Bank::Sha512];
    assert_eq!(Digests::of(&banks, b"").banks(), [Bank::Sha1, Bank::Sha512]);
}

#[test]
fn a_digest_of_another_length_is_not_a_digest() {
    assert_eq!(Digest::new(Bank::Sha256, &[0; 31]), None);
    assert_eq!(Digest::new(Bank::Sha256, &[0; 33]), None);
    assert_eq!(Digest::new(Bank::Sha512, &[0; 65]), None);
    assert_eq!(Digest::from_hex(Bank::Sha1, "é"), None);
}

#[test]
fn extending_is_the_hash_of_old_value_and_digest() {
    let event = Digest::of(Bank::Sha256, b"abc");
    let by_hand = Digest::of(Bank::Sha256, &[&[0; 32][..], event.as_bytes()].concat());
    assert_eq!(Digest::zero(Bank::Sha256).extended(&event), Some(by_hand));
    assert_eq!(Digest::zero(Bank::Sha1).extended(&event), None);
}

#[test]
fn the_two_shares_are_disjoint_complete_and_part_the_expensive_banks() {
    for mask in 0..16usize {
        let banks: Vec<Bank> = (0..4)
            .filter(|bit| mask >> bit & 1 == 1)
            .map(|bit| Bank::ALL[bit])
            .collect();
        let [a, b] = Bank::shares(&banks);
        let mut all = [a.clone(), b.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, banks);
        assert!(banks.len() < 2 || !b.is_empty());
        assert!(!(a.contains(&Bank::Sha384) && a.contains(&Bank::Sha512)));
    }
}

#[test]
fn digests_survive_json_and_a_wrong_length_does_not() {
    let digests = Digests::of(&[Bank::Sha1, Bank::Sha384], b"abc");
    let json = serde_json::to_string(&digests).unwrap();
    assert_eq!(serde_json::from_str::<Digests>(&json).unwrap(), digests);
    assert!(serde_json::from_str::<Digests>(r#"{"sha256":"00"}"#).is_err());
    assert!(serde_json::from_str::<Digests>(r#"{"md5":"00"}"#).is_err());
}
