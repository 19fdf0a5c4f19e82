// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sets of types, roles or users, as the policy stores them: bit n stands for
//! the thing with value n + 1 (`xen/xsm/flask/ss/ebitmap.c`).

use super::cursor::Cursor;
use super::error::Error;

/// A set of values, which count from 1.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn read(from: &mut Cursor<'_>) -> Result<Bits, Error> {
        if from.u32("a set")? != UNIT {
            return Err(from.invalid("a set is not in units of 64 bits"));
        }
        let high = from.u32("a set")?;
        let count = from.count(12, "a set")?;
        let mut bits = Bits::default();
        for _ in 0..count {
            let start = from.u32("a set")?;
            let index = (start / UNIT) as usize;
            if start % UNIT != 0 || start >= high || index < bits.0.len() || start >= MOST {
                return Err(from.invalid("a set is out of order or has bits beyond its end"));
            }
            bits.0.resize(index + 1, 0);
            bits.0[index] = from.u64("a set")?;
        }
        Ok(bits)
    }

    /// Whether the thing with this value, from 1, is in the set.
    pub(super) fn has(&self, value: u32) -> bool {
        let Some(bit) = value.checked_sub(1) else {
            return false;
        };
        self.0
            .get((bit / UNIT) as usize)
            .is_some_and(|word| word & (1 << (bit % UNIT)) != 0)
    }

    pub(super) fn insert(&mut self, value: u32) {
        let bit = value.saturating_sub(1);
        let index = (bit / UNIT) as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        self.0[index] |= 1 << (bit % UNIT);
    }

    /// The values in the set, ascending.
    pub(super) fn values(&self) -> impl Iterator<Item = u32> + '_ {
        (1..=self.0.len() as u32 * UNIT).filter(|value| self.has(*value))
    }
}

const UNIT: u32 = 64;
/// Types are numbered with 16 bits (`struct avtab_key`).
const MOST: u32 = 1 << 16;
