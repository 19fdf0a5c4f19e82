// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A fault in a file a person wrote, in a form that can be shown with the
//! line and a caret, or handed to a program.
//!
//! The text of the file is not trusted: control characters and characters
//! that change the direction of writing never reach the terminal as they are.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;
use serde_json::{Value, json};

/// One fault: what is wrong, where, what would happen, how to mend it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
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
    pub fn error(file: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
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
    pub fn warning(file: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(file, message)
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

/// `text` with every character that could act on a terminal or change the
/// direction of writing replaced by a visible escape such as `\u{1b}`. For
/// quoting a file's values in messages.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_unsafe(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Whether a terminal could act on `c`: C0 and C1 controls, separators that
/// break lines, the invisible, and Unicode's direction controls.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

fn render_one(diagnostic: &Diagnostic, lines: &Lines<'_>) -> String {
    let file = escape(&diagnostic.file);
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(escape(&diagnostic.message)));
    match &diagnostic.span {
        Some(span) => {
            for snippet in snippets(span, &diagnostic.related, lines) {
                group = group.element(snippet.path(file.as_ref()));
            }
        }
        None => group = group.element(Origin::path(file.as_ref())),
    }
    if let Some(consequence) = &diagnostic.consequence {
        group = group.element(Level::NOTE.message(escape(consequence)));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.with_name("hint").message(escape(hint)));
    }
    Renderer::plain().render(&[group])
}

/// The line of the fault, then the lines of what has to do with it; places on
/// the same line share one snippet.
fn snippets<'s>(
    primary: &Range<usize>,
    related: &'s [Related],
    lines: &Lines<'_>,
) -> Vec<Snippet<'s, Annotation<'s>>> {
    let at = lines.locate(primary);
    let mut shown = vec![(
        at.number,
        at.shown(),
        vec![AnnotationKind::Primary.span(at.mark())],
    )];
    for other in related {
        let at = lines.locate(&other.span);
        let mark = AnnotationKind::Context
            .span(at.mark())
            .label(escape(&other.label));
        match shown.iter_mut().find(|(number, ..)| *number == at.number) {
            Some((_, _, marks)) => marks.push(mark),
            None => shown.push((at.number, at.shown(), vec![mark])),
        }
    }
    shown
        .into_iter()
        .map(|(number, text, marks)| Snippet::source(text).line_start(number).annotations(marks))
        .collect()
}

/// Where each line of a text begins, so that a place is found without
/// reading the text again.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

/// A byte range as a part of one line. A range over several lines is cut off
/// at the end of its first; a range outside the text moves to its end.
struct Place<'a> {
    /// From 1.
    number: usize,
    /// From 1, in characters.
    column: usize,
    line: &'a str,
    span: Range<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Lines {
            text,
            starts: std::iter::once(0)
                .chain(newlines.map(|(at, _)| at + 1))
                .collect(),
        }
    }

    fn locate(&self, span: &Range<usize>) -> Place<'a> {
        let start = self.text.floor_char_boundary(span.start);
        let index = self
            .starts
            .partition_point(|line| *line <= start)
            .saturating_sub(1);
        let from = self.starts[index];
        let to = self
            .starts
            .get(index + 1)
            .map_or(self.text.len(), |next| next - 1);
        let line = self.text[from..to].trim_end_matches('\r');
        let begin = (start - from).min(line.len());
        let end = self
            .text
            .ceil_char_boundary(span.end.max(start))
            .min(from + line.len());
        Place {
            number: index + 1,
            column: line[..begin].chars().count() + 1,
            line,
            span: begin..end.saturating_sub(from).max(begin),
        }
    }
}

impl Place<'_> {
    /// The line with each unsafe character replaced by one visible character,
    /// so that columns stay what they are in the file.
    fn shown(&self) -> String {
        self.line.chars().map(visible).collect()
    }

    /// The range to mark in what [`Place::shown`] gives.
    fn mark(&self) -> Range<usize> {
        let width = |text: &str| text.chars().map(|c| visible(c).len_utf8()).sum::<usize>();
        let begin = width(&self.line[..self.span.start]);
        begin..begin + width(&self.line[self.span.clone()])
    }
}

fn visible(c: char) -> char {
    match c {
        '\t' => c,
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        c if is_unsafe(c) => '\u{fffd}',
        c => c,
    }
}
