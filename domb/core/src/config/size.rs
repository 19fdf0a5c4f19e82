// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sizes with units. Refuses what another tool might read differently: bare
//! numbers, fractions, decimal units.

use super::faults::{Faults, Field, quote};
use crate::explain::Code;
use crate::units::Mib;

/// What Xen on x86 manages without `CONFIG_BIGMEM`: 16 TiB.
const MAX_MIB: u64 = 16 << 20;

/// A size with a unit, a whole number of MiB above zero.
pub(super) fn size(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<Mib> {
    let key = field.key.rsplit('.').next().unwrap_or_default();
    let shown = quote(field.value);
    let text = field.value.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let fault = match (number, unit.trim_start()) {
        ("", _) => faults
            .at(
                field,
                Code::Size,
                format!("`{key}` is not a size: \"{shown}\""),
            )
            .hint(format!("write a number and a unit, as in {key} = \"256M\"")),
        (_, "") => faults
            .at(
                field,
                Code::NoUnit,
                format!("`{key}` has no unit: \"{shown}\""),
            )
            .because("tools disagree whether a bare number means KiB, MiB or bytes")
            .hint(format!("for {number} MiB write {key} = \"{number}M\"")),
        (_, "K" | "M" | "G" | "T") => match mib(number, unit.trim_start()) {
            Ok(amount) => return Some(amount),
            Err(SizeFault::Zero) => faults
                .at(
                    field,
                    Code::Size,
                    format!("`{key}` is nothing: \"{shown}\""),
                )
                .because("a domain without memory cannot be built")
                .hint("Debian's kernel needs about 96M to start"),
            Err(SizeFault::Odd(near)) => faults
                .at(
                    field,
                    Code::Size,
                    format!("`{key}` is not a whole number of MiB: \"{shown}\""),
                )
                .hint(format!("write {key} = \"{near}M\"")),
            Err(SizeFault::Huge) => faults
                .at(
                    field,
                    Code::Size,
                    format!("`{key}` is more than 16 TiB: \"{shown}\""),
                )
                .because("Xen manages no more on x86")
                .hint("check the unit: K, M, G or T"),
        },
        (_, other) => match unit_meant(other) {
            Some(unit) => faults
                .at(
                    field,
                    Code::Size,
                    format!("`{key}` has an unknown unit: \"{shown}\""),
                )
                .hint(format!(
                    "write {key} = \"{number}{unit}\"; units are powers of 1024"
                )),
            None => faults
                .at(
                    field,
                    Code::Size,
                    format!("`{key}` is not a size: \"{shown}\""),
                )
                .hint("write a whole number and one of the units K, M, G, T, as in \"1536M\""),
        },
    };
    faults.add(fault);
    None
}

enum SizeFault {
    Zero,
    Odd(u64),
    Huge,
}

fn mib(number: &str, unit: &str) -> Result<Mib, SizeFault> {
    let number: u64 = number.parse().map_err(|_| SizeFault::Huge)?;
    let mib = match unit {
        "K" if !number.is_multiple_of(1024) => return Err(SizeFault::Odd(number.div_ceil(1024))),
        "K" => Some(number / 1024),
        "M" => Some(number),
        "G" => number.checked_mul(1 << 10),
        _ => number.checked_mul(1 << 20),
    };
    match mib {
        Some(0) => Err(SizeFault::Zero),
        Some(mib @ 1..=MAX_MIB) => Ok(Mib(mib)),
        _ => Err(SizeFault::Huge),
    }
}

/// The unit that `MB`, `MiB`, `m`, `mb` and the like were meant to be.
fn unit_meant(written: &str) -> Option<char> {
    let mut letters = written.chars();
    let unit = letters.next()?.to_ascii_uppercase();
    let rest = letters.as_str().to_ascii_lowercase();
    (matches!(unit, 'K' | 'M' | 'G' | 'T') && matches!(rest.as_str(), "" | "b" | "ib"))
        .then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::super::faults::tests::with;
    use super::*;

    #[test]
    fn a_size_has_a_unit_and_is_whole_mib() {
        for (text, mib) in [
            ("256M", 256),
            ("4G", 4096),
            ("262144K", 256),
            ("16T", 16 << 20),
            (" 1 G ", 1024),
        ] {
            assert_eq!(with(text, size).0, Some(Mib(mib)), "{text}");
        }
        for bad in [
            "",
            "M",
            "256",
            "0M",
            "1000K",
            "17T",
            "1.5G",
            "-1M",
            "256 m b",
            "99999999999999999999M",
            "18446744073709551615G",
            "２M",
            "256M M",
        ] {
            let (found, messages) = with(bad, size);
            assert_eq!((found, messages.len()), (None, 1), "{bad}");
        }
    }
}
