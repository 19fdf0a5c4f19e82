// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Places in a text, and the text as it may be shown on a terminal.

use std::borrow::Cow;
use std::ops::Range;

/// Longer lines are not shown, in bytes.
const LONGEST: usize = 8 << 10;

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

/// Where each line of a text begins, so that a place is found without
/// reading the text again.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

/// A byte range as a part of one line. A range over several lines is cut off
/// at the end of its first; a range outside the text moves to its end.
pub(super) struct Place<'a> {
    /// From 1.
    pub(super) number: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    line: &'a str,
    span: Range<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Lines<'a> {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Lines {
            text,
            starts: std::iter::once(0)
                .chain(newlines.map(|(at, _)| at + 1))
                .collect(),
        }
    }

    pub(super) fn locate(&self, span: &Range<usize>) -> Place<'a> {
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
    /// so that columns stay what they are in the file; None if it is too long
    /// to be shown.
    pub(super) fn shown(&self) -> Option<String> {
        (self.line.len() <= LONGEST).then(|| self.line.chars().map(visible).collect())
    }

    /// The range to mark in what [`Place::shown`] gives.
    pub(super) fn mark(&self) -> Range<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        assert_eq!(
            escape("a\u{1b}[2J\u{202e}\u{9b}b\n"),
            "a\\u{1b}[2J\\u{202e}\\u{9b}b\\n"
        );
        assert_eq!(escape("日本 é"), "日本 é");
    }

    #[test]
    fn columns_count_characters_and_marks_follow_the_shown_line() {
        let text = "é\u{9b}x = 7\r\nnext";
        let lines = Lines::new(text);
        let at = text.find('7').unwrap();
        let place = lines.locate(&(at..at + 1));
        assert_eq!((place.number, place.column), (1, 7));
        let shown = place.shown().unwrap();
        assert_eq!(shown, "é\u{fffd}x = 7");
        assert_eq!(&shown[place.mark()], "7");
    }

    #[test]
    fn a_span_outside_the_text_or_inside_a_character_is_moved_not_a_panic() {
        let lines = Lines::new("é\n");
        for span in [1..2, 0..1, 2..9, 3..3, 7..9, usize::MAX..usize::MAX] {
            let place = lines.locate(&span);
            let shown = place.shown().unwrap();
            assert!(shown.get(place.mark()).is_some(), "{span:?}");
        }
    }
}
