// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the faults of one file are gathered, so that a person sees them all
//! at once and in the file's order.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Severity, escape};
use crate::explain::Code;

/// So many faults are listed; a file with more is hardly a configuration.
const LISTED: usize = 50;
/// So many are gathered before looking for more stops.
const GATHERED: usize = 10_000;

/// A value of the file with the place it was written at.
#[derive(Clone, Debug)]
pub(super) struct Field<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
    /// The key's path, `domain[0].kernel`.
    pub(super) key: String,
}

impl<T> Field<T> {
    /// Another value at the same place.
    pub(super) fn with<U>(&self, value: U) -> Field<U> {
        Field {
            value,
            span: self.span.clone(),
            key: self.key.clone(),
        }
    }
}

/// The faults found so far in one file.
pub(super) struct Faults<'a> {
    file: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: &'a str) -> Faults<'a> {
        Faults {
            file,
            found: Vec::new(),
        }
    }

    /// An error in this file, to be completed and given to [`Faults::add`].
    pub(super) fn error(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.file, code, message)
    }

    /// An error at a field.
    pub(super) fn at<T>(
        &self,
        field: &Field<T>,
        code: Code,
        message: impl Into<String>,
    ) -> Diagnostic {
        self.error(code, message)
            .at(field.span.clone())
            .key(field.key.clone())
    }

    /// A warning at a field.
    pub(super) fn warn_at<T>(
        &self,
        field: &Field<T>,
        code: Code,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::warning(self.file, code, message)
            .at(field.span.clone())
            .key(field.key.clone())
    }

    pub(super) fn add(&mut self, fault: Diagnostic) {
        if self.found.len() < GATHERED {
            self.found.push(fault);
        }
    }

    /// Everything found, in the file's order, and cut off where a list stops
    /// being of help.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.found
            .sort_by_key(|fault| fault.span.as_ref().map_or(0, |span| span.start));
        if self.found.len() > LISTED {
            // An error beyond the cut still has to stop the launch.
            self.found
                .sort_by_key(|fault| fault.severity != Severity::Error);
            let more = self.found.len() - LISTED;
            self.found.truncate(LISTED);
            let mut fault = self.error(
                Code::MoreFaults,
                format!("{more} further faults are not listed"),
            );
            fault.severity = self.found[0].severity;
            self.found
                .push(fault.hint("mend the ones above, then check again"));
        }
        self.found
    }
}

/// A value of the file as a message quotes it: escaped, and not longer than
/// a line.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = escape(text).chars().take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        short.push_str("...");
    }
    short
}

/// The words as a person lists them: `a`, `b` or `c`, each in backquotes.
pub(super) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What `check` makes of `value` as one key's, and the messages of the
    /// faults it reports.
    pub(in super::super) fn with<T, R>(
        value: T,
        check: impl Fn(&Field<T>, &mut Faults<'_>) -> R,
    ) -> (R, Vec<String>) {
        let mut faults = Faults::new("t");
        let field = Field {
            value,
            span: 0..0,
            key: "domain[0].memory".to_owned(),
        };
        let result = check(&field, &mut faults);
        let messages = faults.finish().into_iter().map(|fault| fault.message);
        (result, messages.collect())
    }
}
