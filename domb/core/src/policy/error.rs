// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why a launch script reached no verdict, shown with its own source line.
//!
//! Every error here means that nothing is launched. Text that comes from the
//! script is made harmless for a console before it is shown.

use std::fmt;

use rhai::{EvalAltResult, ParseError, ParseErrorType, Position};

use super::limits::{Limit, Limits};
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
    #[error("run launch script {}", Shown(.fault))]
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
        for (function, line) in calls {
            write!(f, "\nin {function}, called on line {line}")?;
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

/// The error for a script that did not compile.
pub(super) fn from_parse(script: &Script, error: &ParseError) -> Error {
    let ParseError(kind, position) = error;
    let exhausted = match **kind {
        ParseErrorType::ExprTooDeep => Some(Limit::ExpressionDepth),
        ParseErrorType::TooManyFunctions => Some(Limit::Functions),
        _ => None,
    };
    let (message, hint) = match exhausted {
        Some(limit) => used_up(limit),
        None => syntax(kind),
    };
    let place = Place::new(script, *position);
    let fault = Box::new(Fault {
        message,
        hint,
        place,
        calls: vec![],
    });
    match exhausted {
        Some(limit) => Error::Exhausted { limit, fault },
        None => Error::Syntax(fault),
    }
}

/// The error for a script that failed while it ran.
pub(super) fn from_run(script: &Script, limits: &Limits, error: &EvalAltResult) -> Error {
    let mut calls = Vec::new();
    let mut inner = error;
    let mut position = inner.position();
    while let EvalAltResult::ErrorInFunctionCall(name, _, cause, at) = inner {
        let name = if name.starts_with("anon$") {
            "an anonymous function"
        } else {
            name.as_str()
        };
        if let Some(line) = at.line() {
            calls.insert(0, (plain(name, 60), line));
        }
        inner = cause;
        if !inner.position().is_none() {
            position = inner.position();
        }
    }
    if let EvalAltResult::ErrorParsing(kind, at) = inner {
        return from_parse(script, &ParseError(Box::new(kind.clone()), *at));
    }
    let exhausted = exhausted(inner);
    let (message, hint) = match exhausted {
        Some(limit) => {
            let (message, hint) = used_up(limit);
            (format!("{message} ({})", limits.of(limit)), hint)
        }
        None => failure(inner),
    };
    let fault = Box::new(Fault {
        message,
        hint,
        place: Place::new(script, position),
        calls,
    });
    match exhausted {
        Some(limit) => Error::Exhausted { limit, fault },
        None => Error::Failed(fault),
    }
}

fn exhausted(error: &EvalAltResult) -> Option<Limit> {
    match error {
        EvalAltResult::ErrorTooManyOperations(..) => Some(Limit::Operations),
        EvalAltResult::ErrorTooManyVariables(..) => Some(Limit::Variables),
        EvalAltResult::ErrorStackOverflow(..) => Some(Limit::CallLevels),
        EvalAltResult::ErrorTerminated(limit, _) => {
            Some(limit.clone().try_cast().unwrap_or(Limit::Milliseconds))
        }
        EvalAltResult::ErrorDataTooLarge(what, ..) if what.contains("map") => Some(Limit::MapItems),
        EvalAltResult::ErrorDataTooLarge(what, ..) if what.contains("array") => {
            Some(Limit::ArrayItems)
        }
        EvalAltResult::ErrorDataTooLarge(..) => Some(Limit::StringBytes),
        _ => None,
    }
}

fn used_up(limit: Limit) -> (String, Option<String>) {
    let hint = match limit {
        Limit::Operations | Limit::Milliseconds => Some("look for a loop that does not end"),
        Limit::CallLevels => Some("look for a function that calls itself"),
        Limit::ExpressionDepth => {
            Some("name the inner parts with let, or move them into functions")
        }
        _ => None,
    };
    (
        format!("more than the script may use: {}", limit.meaning()),
        hint.map(str::to_owned),
    )
}

fn syntax(kind: &ParseErrorType) -> (String, Option<String>) {
    let hint = match kind {
        ParseErrorType::VariableUndefined(_) => {
            Some("a function sees its parameters, its own variables and constants of the script")
        }
        ParseErrorType::Reserved(_) => {
            Some("launch scripts cannot import, evaluate text or share variables")
        }
        _ => None,
    };
    (lower_case(&kind.to_string()), hint.map(str::to_owned))
}

fn failure(error: &EvalAltResult) -> (String, Option<String>) {
    let hint = |text: &str| Some(text.to_owned());
    match error {
        EvalAltResult::ErrorRuntime(value, _) => match value.clone().try_cast::<Raised>() {
            Some(raised) => (raised.message, raised.hint),
            None => (
                format!("the script threw: {}", plain(&thrown(value), 400)),
                None,
            ),
        },
        EvalAltResult::ErrorFunctionNotFound(signature, _) => (
            format!("no function {}", words(signature)),
            hint("domb script docs lists what a launch script can call"),
        ),
        EvalAltResult::ErrorDotExpr(text, _) => (
            unknown_property(text).unwrap_or_else(|| lower_case(text)),
            hint("domb script docs lists what each object has"),
        ),
        EvalAltResult::ErrorPropertyNotFound(name, _) => (
            format!("no entry is called {}", plain(name, 80)),
            hint("get(name) gives () where there may be no such entry"),
        ),
        other => {
            let text = other.to_string();
            let place = format!(" ({})", other.position());
            (lower_case(&plain(text.trim_end_matches(&place), 400)), None)
        }
    }
}

/// Rhai's names of types in the words that scripts use.
fn words(signature: &str) -> String {
    let signature = signature.replace("&str | ImmutableString | String", "string");
    plain(&signature.replace("i64", "number").replace(" (", "("), 200)
}

/// What Rhai says of a property that is not there, in fewer words.
fn unknown_property(text: &str) -> Option<String> {
    let mut quoted = text
        .strip_prefix("Unknown property ")?
        .split('\'')
        .skip(1)
        .step_by(2);
    let (property, on) = (quoted.next()?, quoted.next()?);
    Some(plain(
        &format!("{} has no property {property}", words(on)),
        200,
    ))
}

/// What a script threw, if it can be shown without running more of it.
fn thrown(value: &rhai::Dynamic) -> String {
    match value.clone().into_immutable_string() {
        Ok(text) => text.to_string(),
        Err(_) if value.is_int() || value.is_bool() || value.is_char() => value.to_string(),
        Err(kind) => format!("a value of type {kind}"),
    }
}

fn lower_case(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    plain(&first.into_iter().chain(chars).collect::<String>(), 400)
}

fn names() -> String {
    Limit::ALL.map(Limit::name).join(", ")
}
