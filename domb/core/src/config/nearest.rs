// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The word somebody meant who wrote another one.

use std::cmp::Reverse;

/// Longer words are not compared.
const LONGEST: usize = 40;

/// The word of `known` that `word` was most likely meant to be, if one is
/// near enough: about one slip for every three characters.
#[must_use]
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let letters: Vec<char> = word
        .chars()
        .take(LONGEST + 1)
        .flat_map(char::to_lowercase)
        .collect();
    if letters.len() > LONGEST {
        return None;
    }
    let most = (letters.len() / 3).clamp(1, 3);
    let ranked = known
        .iter()
        .copied()
        .filter(|known| known.len() <= 4 * LONGEST)
        .map(|known| {
            let other: Vec<char> = known.chars().flat_map(char::to_lowercase).collect();
            // Swapped letters are likelier than a letter too many.
            (
                distance(&letters, &other),
                Reverse(other.len() == letters.len()),
                known,
            )
        });
    let (slips, _, near) = ranked.min_by_key(|(slips, length, _)| (*slips, *length))?;
    (slips <= most && !letters.is_empty()).then_some(near)
}

/// How many letters have to be added, left out, changed or swapped with their
/// neighbour to turn `a` into `b` (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (above[j] + usize::from(x != y))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &[
        "name", "domid", "type", "kernel", "ramdisk", "memory", "vcpus",
    ];

    #[test]
    fn swapped_letters_are_likelier_than_a_letter_too_many() {
        assert_eq!(nearest("phv", &["pv", "pvh"]), Some("pvh"));
        assert_eq!(nearest("vpcus", KEYS), Some("vcpus"));
    }

    #[test]
    fn a_swapped_pair_of_letters_counts_as_one_slip() {
        let letters = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(distance(&letters("kenrel"), &letters("kernel")), 1);
        assert_eq!(distance(&letters(""), &letters("pcr")), 3);
        assert_eq!(distance(&letters("memory"), &letters("memory")), 0);
    }

    #[test]
    fn a_word_unlike_any_key_suggests_none() {
        assert_eq!(nearest("xyzzy", KEYS), None);
        assert_eq!(nearest("", KEYS), None);
        assert_eq!(nearest(&"kernel".repeat(9), KEYS), None);
    }
}
