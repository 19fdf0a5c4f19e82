// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A fault in a file a person wrote, in a form that can be shown with the
//! line and a caret, or handed to a program.

use std::ops::Range;

use serde::Serialize;

/// One fault: what is wrong, where, what would happen, how to mend it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    /// Whether it stops the launch.
    pub severity: Severity,
    /// The file, as the user named it.
    pub file: String,
    /// Byte range in that file, where there is one.
    pub span: Option<Range<usize>>,
    /// The key, as a path: `domain[2].memory`, `measure.pcr`.
    pub key: Option<String>,
    /// What is wrong, with the offending value and the allowed ones; lower
    /// case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whether a diagnostic stops the launch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The launch is refused.
    Error,
    /// The launch goes on; `--deny-warnings` refuses it.
    Warning,
}
