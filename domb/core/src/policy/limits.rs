// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a launch script may use up, in one table.
//!
//! Every bound holds from the first byte of the script, and a configuration
//! can only make one tighter. Time and memory are measured by the host
//! ([`Watch`](super::Watch)); between two looks at them the other limits let
//! no single operation take much of either.

use super::error::Error;

/// One bounded resource. [`Limit::ALL`] is the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is documented by its `meaning`")]
pub enum Limit {
    SourceBytes,
    Milliseconds,
    MemoryMib,
    Operations,
    CallLevels,
    ExpressionDepth,
    Variables,
    Functions,
    StringBytes,
    ArrayItems,
    MapItems,
    LogLines,
}

impl Limit {
    /// Every limit, in the order of the documentation.
    pub const ALL: [Limit; 12] = [
        Limit::SourceBytes,
        Limit::Milliseconds,
        Limit::MemoryMib,
        Limit::Operations,
        Limit::CallLevels,
        Limit::ExpressionDepth,
        Limit::Variables,
        Limit::Functions,
        Limit::StringBytes,
        Limit::ArrayItems,
        Limit::MapItems,
        Limit::LogLines,
    ];

    /// Its name as a configuration and the documentation spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The bound that holds unless it is lowered.
    #[must_use]
    pub fn default_value(self) -> u64 {
        self.row().1
    }

    /// What is counted.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.row().2
    }

    const fn row(self) -> (&'static str, u64, &'static str) {
        match self {
            Limit::SourceBytes => ("source_bytes", 64 * 1024, "length of the script"),
            Limit::Milliseconds => ("milliseconds", 2000, "time on the wall clock"),
            Limit::MemoryMib => ("memory_mib", 128, "memory, where the host can tell, in MiB"),
            Limit::Operations => (
                "operations",
                1_000_000,
                "expressions and statements evaluated",
            ),
            Limit::CallLevels => (
                "call_levels",
                12,
                "calls of script functions inside one another",
            ),
            Limit::ExpressionDepth => (
                "expression_depth",
                32,
                "expressions and blocks inside one another",
            ),
            Limit::Variables => ("variables", 32, "variables alive in one function call"),
            Limit::Functions => ("functions", 64, "functions that the script defines"),
            Limit::StringBytes => (
                "string_bytes",
                128 * 1024,
                "text in one value, everything inside it counted",
            ),
            Limit::ArrayItems => (
                "array_items",
                2048,
                "array items in one value, everything inside it counted",
            ),
            Limit::MapItems => (
                "map_items",
                2048,
                "map entries in one value, everything inside it counted",
            ),
            Limit::LogLines => ("log_lines", 256, "lines written with `log`"),
        }
    }
}

/// The bounds of one run. Holding one proves that none is above its default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits([u64; Limit::ALL.len()]);

impl Default for Limits {
    fn default() -> Limits {
        Limits(Limit::ALL.map(Limit::default_value))
    }
}

impl Limits {
    /// The bound of `limit`.
    #[must_use]
    pub fn of(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// The same bound where a length or a count is wanted.
    #[must_use]
    pub(super) fn size(&self, limit: Limit) -> usize {
        usize::try_from(self.of(limit)).unwrap_or(usize::MAX)
    }

    /// These limits with the one called `name` lowered to `value`.
    ///
    /// # Errors
    /// No limit has that name, `value` is 0, or it is above what holds now.
    pub fn lowered_to(mut self, name: &str, value: u64) -> Result<Limits, Error> {
        let limit = Limit::ALL.into_iter().find(|limit| limit.name() == name);
        let limit = limit.ok_or_else(|| Error::NoSuchLimit {
            name: name.to_owned(),
        })?;
        let now = self.of(limit);
        if value == 0 || value > now {
            return Err(Error::LimitRaised {
                limit: limit.name(),
                value,
                now,
            });
        }
        self.0[limit as usize] = value;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_the_enum() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index, "{limit:?}");
            assert_eq!(Limits::default().of(limit), limit.default_value());
        }
    }

    #[test]
    fn a_limit_goes_down_and_never_up_again() {
        let lowered = Limits::default()
            .lowered_to("operations", 10)
            .expect("10 is lower");
        assert_eq!(lowered.of(Limit::Operations), 10);
        assert!(lowered.clone().lowered_to("operations", 11).is_err());
        assert!(
            lowered.lowered_to("operations", 0).is_err(),
            "rhai takes 0 as no limit"
        );
        assert!(
            Limits::default()
                .lowered_to("operations", 1_000_001)
                .is_err()
        );
        assert!(Limits::default().lowered_to("opperations", 1).is_err());
    }
}
