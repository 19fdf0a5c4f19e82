// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An audit as text, for whoever reads it at a console.

use std::fmt;

use super::{Audit, Item, Verdict};

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = |text: fn(&Item) -> &str| {
            let lengths = self.items.iter().map(|item| text(item).chars().count());
            lengths.max().unwrap_or(0)
        };
        let subject = widths(|item| &item.subject).min(MOST);
        let verdict = widths(|item| item.verdict.words());
        let mut topic = None;
        for item in &self.items {
            if topic != Some(item.topic) {
                topic = Some(item.topic);
                writeln!(f, "{}", item.topic.title())?;
            }
            write!(
                f,
                "  {:subject$}  {:verdict$}  {}",
                item.subject,
                item.verdict.words(),
                item.found
            )?;
            if item.verdict == Verdict::Differs && !item.planned.is_empty() {
                write!(f, " (planned: {})", item.planned)?;
            }
            writeln!(f)?;
        }
        let number = |verdict| {
            let of = self.items.iter().filter(|item| item.verdict == verdict);
            of.count()
        };
        let unknown = number(Verdict::NotPermitted) + number(Verdict::CannotBeAsked);
        writeln!(
            f,
            "{} as planned, {} on record, {} created since, {unknown} unknown; {} differ",
            number(Verdict::AsPlanned),
            number(Verdict::OnRecord),
            number(Verdict::CreatedSince),
            number(Verdict::Differs)
        )
    }
}

/// A longer subject pushes its own row alone.
const MOST: usize = 44;
