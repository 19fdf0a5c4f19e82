// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a launch script reached no verdict, shown with its own source line.
//!
//! Every error here means that nothing is launched. Text that comes from the
//! script is made harmless for a console before it is shown.

use std::fmt;

use rhai::{EvalAltResult, Position};

use super::limits::Limit;
use super::script::Script;

/// Why there is no verdict.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The script is not text.
    #[error(
        "read launch script {script}: not UTF-8 from byte {offset} on\nhint: save the script as UTF-8 text"
    )]
    NotText {
        /// The script as the configuration names it.
        script: String,
        /// The first byte that is not UTF-8.
        offset: usize,
    },
    /// The script is too long to be looked at.
    #[error(
        "read launch script {script}: {bytes} bytes, more than the {limit} allowed\nhint: keep long lists in [data]"
    )]
    TooLong {
        /// The script as the configuration names it.
        script: String,
        /// Its length.
        bytes: usize,
        /// The bound.
        limit: u64,
    },
    /// The script does not compile.
    #[error("compile launch script {}", Shown(.0))]
    Syntax(Box<Fault>),
    /// There is no `fn launch(facts, plan)`.
    #[error(
        "run launch script {script}: no function launch(facts, plan){found}\nhint: define fn launch(facts, plan) {{ ...; plan }}"
    )]
    NoLaunch {
        /// The script as the configuration names it.
        script: String,
        /// A remark on what is there instead.
        found: String,
    },
    /// The script failed while it ran.
    #[error("run launch script {}", Shown(.0))]
    Failed(Box<Fault>),
    /// The script used up what it may.
    #[error("{} launch script {}", stage(*.limit), Shown(.fault))]
    Exhausted {
        /// What it used up.
        limit: Limit,
        /// Where it was.
        fault: Box<Fault>,
    },
    /// `launch` ended without giving back the plan.
    #[error(
        "run launch script {script}: launch returned {returned} instead of the plan\nhint: end the function with the line: plan"
    )]
    NotThePlan {
        /// The script as the configuration names it.
        script: String,
        /// The type it returned.
        returned: String,
    },
    /// There is nothing to run.
    #[error(
        "test launch script {script}: no function begins with test_\nhint: define fn test_something(t) {{ ... }}"
    )]
    NoTests {
        /// The script as the configuration names it.
        script: String,
    },
    /// A test that cannot fail.
    #[error(
        "test launch script {script}: {test} expects nothing\nhint: say what should hold with t.expect or t.same"
    )]
    NothingExpected {
        /// The script as the configuration names it.
        script: String,
        /// The test.
        test: String,
    },
    /// The facts hold something no script can see.
    #[error("tell launch script {script} the facts: {what}")]
    Facts {
        /// The script as the configuration names it.
        script: String,
        /// What, and why not.
        what: String,
    },
    /// The script has no stack to run on.
    #[error("start launch script {script}: {what}")]
    Start {
        /// The script as the configuration names it.
        script: String,
        /// What the system said.
        what: String,
    },
    /// A limit that does not exist was to be lowered.
    #[error(
        "lower script limit {name:?}: no such limit\nhint: the limits are {}",
        names()
    )]
    NoSuchLimit {
        /// The name given.
        name: String,
    },
    /// A limit was to be raised.
    #[error(
        "lower script limit {limit} to {value}: not between 1 and {now}\nhint: limits can only be lowered"
    )]
    LimitRaised {
        /// Its name.
        limit: &'static str,
        /// The value given.
        value: u64,
        /// The bound that holds.
        now: u64,
    },
}

impl Error {
    /// What went wrong at a place in the script, if it was that.
    pub(super) fn fault(&mut self) -> Option<&mut Fault> {
        match self {
            Error::Syntax(fault) | Error::Failed(fault) | Error::Exhausted { fault, .. } => {
                Some(fault)
            }
            _ => None,
        }
    }

    /// The error for what was raised at a place, however the script went on.
    pub(super) fn failed(script: &Script, raised: Raised, position: Position) -> Error {
        let Raised { message, hint } = raised;
        let place = Place::new(script, position);
        Error::Failed(Box::new(Fault {
            message,
            hint,
            place,
            calls: vec![],
        }))
    }
}

/// What went wrong at a place in the script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// Where, if it is known.
    pub place: Place,
    /// The functions that led there, innermost first, with the line of each call.
    pub calls: Vec<(String, usize)>,
}

/// A place in a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The script as the configuration names it.
    pub script: String,
    /// Line from 1; 0 when it is not known.
    pub line: usize,
    /// Column from 1, in characters; 0 when it is not known.
    pub column: usize,
    /// That line of the script.
    pub source: String,
}

impl Place {
    pub(super) fn new(script: &Script, position: Position) -> Place {
        let line = position.line().unwrap_or(0);
        let source = script
            .text()
            .lines()
            .nth(line.wrapping_sub(1))
            .unwrap_or_default();
        Place {
            script: script.name().to_owned(),
            line,
            column: position.position().unwrap_or(0),
            source: source.to_owned(),
        }
    }
}

/// A fault as a person reads it: place, message, source line, caret, hint.
struct Shown<'a>(&'a Fault);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault {
            message,
            hint,
            place,
            calls,
        } = self.0;
        match (place.line, place.column) {
            (0, _) => write!(f, "{}: {message}", place.script)?,
            (line, 0) => write!(f, "{}:{line}: {message}", place.script)?,
            (line, column) => write!(f, "{}:{line}:{column}: {message}", place.script)?,
        }
        if place.line > 0 {
            snippet(f, place)?;
        }
        let hidden = calls.len().saturating_sub(4);
        for (index, (function, line)) in calls.iter().enumerate() {
            match index {
                3 if hidden > 1 => write!(f, "\nin {hidden} more calls")?,
                _ if hidden > 1 && (3..3 + hidden).contains(&index) => {}
                _ => write!(f, "\nin {function}, called on line {line}")?,
            }
        }
        match hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

fn snippet(f: &mut fmt::Formatter<'_>, place: &Place) -> fmt::Result {
    const WIDTH: usize = 100;
    let first = place.column.saturating_sub(WIDTH / 2 + 1);
    let shown: String = place
        .source
        .chars()
        .skip(first)
        .take(WIDTH)
        .map(plain_char)
        .collect();
    let margin = place.line.to_string().len();
    write!(
        f,
        "\n{:margin$} |\n{} | {}",
        "",
        place.line,
        shown.trim_end()
    )?;
    if place.column > 0 {
        write!(
            f,
            "\n{:margin$} | {:indent$}^",
            "",
            "",
            indent = place.column - 1 - first
        )?;
    }
    Ok(())
}

/// `text` on one line, without control characters, cut after `most` characters.
pub(super) fn plain(text: &str, most: usize) -> String {
    let mut out: String = text.chars().take(most).map(plain_char).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

/// A character that moves no cursor: control characters become blanks, and so
/// do the marks that turn the direction of writing.
fn plain_char(c: char) -> char {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { ' ' } else { c }
}

/// An error that domb's own functions raise in a script: the message and the
/// hint travel apart, as the value a script would catch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Raised {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Raised {
    pub(super) fn new(message: impl Into<String>, hint: Option<&str>) -> Raised {
        Raised {
            message: message.into(),
            hint: hint.map(str::to_owned),
        }
    }

    /// The error for Rhai, to be returned from a registered function.
    pub(super) fn raise(self) -> Box<EvalAltResult> {
        let value = rhai::Dynamic::from(self);
        Box::new(EvalAltResult::ErrorRuntime(value, Position::NONE))
    }
}

/// What was being done when that limit was met.
fn stage(limit: Limit) -> &'static str {
    match limit {
        Limit::ExpressionDepth | Limit::Functions => "compile",
        _ => "run",
    }
}

fn names() -> String {
    Limit::ALL.map(Limit::name).join(", ")
}
