// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What went wrong inside Rhai, in the words of a launch script's author:
//! which limit was passed, what is not there, what to do about it.

use rhai::{EvalAltResult, ParseError, ParseErrorType};

use super::error::{Error, Fault, Place, Raised, plain};
use super::limits::{Limit, Limits};
use super::script::Script;

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
