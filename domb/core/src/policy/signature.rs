// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signatures that a launch script can check: ed25519 (RFC 8032), strictly,
//! over a text that is no longer than any text of a script may be. There is
//! no key here and nothing is signed.

use ed25519_dalek::{Signature, VerifyingKey};

use super::error::Raised;
use super::table::{Table, rows};
use crate::measure::hex;

pub(super) fn register(table: &mut Table<'_>) {
    table.about("Signature");
    rows! { table;
        /// Whether `signature`, 128 hexadecimal digits, is that of the text by
        /// the owner of the ed25519 public key, 64 hexadecimal digits. An error
        /// if either is none.
        function "verify_ed25519(key, signature, text)" -> "bool" = |key: &str, signature: &str, text: &str| verify(key, signature, text).map_err(Raised::raise);
    }
}

fn verify(key: &str, signature: &str, text: &str) -> Result<bool, Raised> {
    let key = VerifyingKey::from_bytes(&digits::<32>("key", key)?)
        .map_err(|_| Raised::new("the key is no ed25519 public key", None))?;
    let signature = Signature::from_bytes(&digits::<64>("signature", signature)?);
    Ok(key.verify_strict(text.as_bytes(), &signature).is_ok())
}

fn digits<const N: usize>(what: &str, text: &str) -> Result<[u8; N], Raised> {
    let bytes = hex::decode(text).and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
    bytes.ok_or_else(|| {
        let digits = 2 * N;
        Raised::new(
            format!("the {what} is not {digits} hexadecimal digits"),
            None,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1 (the empty text) and 2 (one byte, 0x72).
    const EMPTY: (&str, &str) = (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    );
    const ONE: (&str, &str) = (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );

    #[test]
    fn signatures_of_the_rfc_are_good_and_any_other_is_not() {
        assert!(verify(EMPTY.0, EMPTY.1, "").unwrap());
        assert!(verify(ONE.0, ONE.1, "r").unwrap());
        assert!(!verify(ONE.0, ONE.1, "s").unwrap());
        assert!(!verify(EMPTY.0, ONE.1, "r").unwrap());
    }

    #[test]
    fn what_is_no_key_and_no_signature_is_an_error() {
        let refused =
            |key: &str, signature: &str| format!("{:?}", verify(key, signature, "").unwrap_err());
        assert!(refused("00", EMPTY.1).contains("the key is not 64 hexadecimal digits"));
        assert!(refused(EMPTY.0, "é").contains("the signature is not 128 hexadecimal digits"));
        let no_point = "0200000000000000000000000000000000000000000000000000000000000000";
        assert!(refused(no_point, EMPTY.1).contains("no ed25519 public key"));
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        let zero = format!("01{}", "00".repeat(31));
        let signature = format!("{zero}{}", "00".repeat(32));
        assert!(!verify(&zero, &signature, "anything").unwrap());
    }
}
