// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Hexadecimal digits: two per byte, nothing between them.

/// Lower-case digits of `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        })
        .map(char::from)
        .collect()
}

/// The bytes of `digits`, in either case. None when there is anything else
/// than digits or an odd number of them.
#[must_use]
pub fn decode(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    rest.is_empty().then_some(())?;
    pairs
        .iter()
        .map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_and_nothing_else_is_taken() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
        assert_eq!(decode("0AfF"), Some(vec![0x0a, 0xff]));
        for bad in ["0", "0x", "+1", " 1", "é0", "0g"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
