// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A fault in a file a person wrote, in a form that can be shown with the
//! line and a caret, or handed to a program.
//!
//! The text of the file is not trusted: control characters and characters
//! that change the direction of writing never reach the terminal as they are.

mod source;

use std::ops::Range;

use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet,
};
use serde::Serialize;
use serde_json::{Value, json};

pub use source::escape;
use source::{Lines, Place};

use crate::explain::Code;

/// One fault: what is wrong, where, what would happen, how to mend it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    /// Which kind of fault it is; `domb explain` has more to say about it.
    pub code: Code,
    /// Whether it stops the launch.
    pub severity: Severity,
    /// The file, as the user named it.
    pub file: String,
    /// Byte range in that file, where there is one.
    pub span: Option<Range<usize>>,
    /// The key, as a path: `domain[2].memory`, `measure.pcr`. Array elements
    /// count from 0.
    pub key: Option<String>,
    /// What is wrong, with the offending value and the allowed ones; lower
    /// case, no full stop.
    pub message: String,
    /// What would happen if this were let through, or why it is a fault.
    pub consequence: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Other places in the same file that have to do with it.
    pub related: Vec<Related>,
}

/// A second place in the file, with what it has to do with the fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Related {
    /// Byte range in the file.
    pub span: Range<usize>,
    /// What is there; a few words.
    pub label: String,
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

impl Diagnostic {
    /// A fault that stops the launch.
    #[must_use]
    pub fn error(file: &str, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            file: file.to_owned(),
            span: None,
            key: None,
            message: message.into(),
            consequence: None,
            hint: None,
            related: Vec::new(),
        }
    }

    /// Something that is probably not meant, but does not stop the launch.
    #[must_use]
    pub fn warning(file: &str, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(file, code, message)
        }
    }

    /// The same, at a byte range of the file.
    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Diagnostic {
        self.span = Some(span);
        self
    }

    /// The same, about a key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Diagnostic {
        self.key = Some(key.into());
        self
    }

    /// The same, with what would happen or why it is a fault.
    #[must_use]
    pub fn because(mut self, consequence: impl Into<String>) -> Diagnostic {
        self.consequence = Some(consequence.into());
        self
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with another place that has to do with it.
    #[must_use]
    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Diagnostic {
        self.related.push(Related {
            span,
            label: label.into(),
        });
        self
    }
}

/// The diagnostics as a person reads them, without colour, each with its line
/// of `source` and a caret; empty for none. `source` is the text of the file
/// that the diagnostics are about.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], source: &str) -> String {
    let lines = Lines::new(source);
    let mut out = String::new();
    for diagnostic in diagnostics {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&render_one(diagnostic, &lines));
        out.push('\n');
    }
    out
}

/// The diagnostics as a program reads them: an array of objects with the
/// fields of [`Diagnostic`] and, where there is a span, `line` and `column`
/// (both from 1, columns in characters).
#[must_use]
pub fn to_json(diagnostics: &[Diagnostic], source: &str) -> Value {
    let lines = Lines::new(source);
    let place = |span: &Range<usize>| {
        let at = lines.locate(span);
        (at.number, at.column)
    };
    diagnostics
        .iter()
        .map(|diagnostic| {
            let (line, column) = diagnostic.span.as_ref().map(place).unzip();
            let related: Vec<Value> = diagnostic
                .related
                .iter()
                .map(|other| {
                    let (line, column) = place(&other.span);
                    json!({ "line": line, "column": column, "span": other.span, "label": other.label })
                })
                .collect();
            json!({
                "code": diagnostic.code,
                "severity": diagnostic.severity,
                "file": diagnostic.file,
                "line": line,
                "column": column,
                "span": diagnostic.span,
                "key": diagnostic.key,
                "message": diagnostic.message,
                "consequence": diagnostic.consequence,
                "hint": diagnostic.hint,
                "related": related,
            })
        })
        .collect()
}

fn render_one(diagnostic: &Diagnostic, lines: &Lines<'_>) -> String {
    let file = escape(&diagnostic.file);
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let code = diagnostic.code.to_string();
    let title = level
        .primary_title(escape(&diagnostic.message))
        .id(code.as_str());
    let mut group = Group::with_title(title);
    match &diagnostic.span {
        Some(span) => {
            group = group.elements(places(&file, span, &diagnostic.related, lines));
        }
        None => group = group.element(Origin::path(file.as_ref())),
    }
    if let Some(consequence) = &diagnostic.consequence {
        group = group.element(Level::NOTE.message(escape(consequence)));
    }
    // A hint may list what to write, one thing a line.
    let hint = diagnostic.hint.as_ref();
    let hint = hint.map(|hint| hint.lines().map(escape).collect::<Vec<_>>().join("\n"));
    if let Some(hint) = &hint {
        group = group.element(Level::HELP.with_name("hint").message(hint));
    }
    Renderer::plain().render(&[group])
}

/// The line of the fault, then the lines of what has to do with it; places on
/// the same line share one snippet. A line that no person wrote is named by
/// its number only: laying it out would take long, and show nothing.
fn places<'s>(
    file: &'s str,
    primary: &Range<usize>,
    related: &'s [Related],
    lines: &Lines<'_>,
) -> Vec<Element<'s>> {
    let first = lines.locate(primary);
    let mark = AnnotationKind::Primary.span(first.mark());
    let mut shown = vec![(first, vec![mark])];
    for other in related {
        let at = lines.locate(&other.span);
        let mark = AnnotationKind::Context
            .span(at.mark())
            .label(escape(&other.label));
        match shown
            .iter_mut()
            .find(|(place, _)| place.number == at.number)
        {
            Some((_, marks)) => marks.push(mark),
            None => shown.push((at, vec![mark])),
        }
    }
    let element = |(at, marks): (Place<'_>, Vec<Annotation<'s>>)| match at.shown() {
        Some(text) => {
            let snippet = Snippet::source(text).line_start(at.number).path(file);
            Element::from(snippet.annotations(marks))
        }
        None => Origin::path(file)
            .line(at.number)
            .char_column(at.column)
            .into(),
    };
    shown.into_iter().map(element).collect()
}
