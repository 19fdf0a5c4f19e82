// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The syntax of xl's guest configurations: assignments of texts, numbers and
//! lists, as libxlutil reads them (`tools/libs/util/libxlu_cfg_l.l`, `_y.y`).
//! Refuses what libxlutil refuses, at its line.

use super::Error;

/// Lists in lists are no deeper than this.
const DEEPEST: usize = 8;

/// A value; numbers are text to xl as well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Text(String),
    List(Vec<Value>),
}

/// One `name = value`, or `name += value`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) value: Value,
    /// Whether it adds to what the name stood for.
    pub(super) adds: bool,
    /// From 1.
    pub(super) line: usize,
}

/// The assignments of a file, in its order.
pub(super) fn parse(text: &str) -> Result<Vec<Assignment>, Error> {
    let mut parser = Parser {
        rest: text,
        line: 1,
    };
    let mut found = Vec::new();
    loop {
        parser.skip(true);
        if parser.rest.starts_with(';') {
            parser.take(1);
        } else if parser.rest.is_empty() {
            return Ok(found);
        } else {
            found.push(parser.assignment()?);
        }
    }
}

struct Parser<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Parser<'t> {
    fn assignment(&mut self) -> Result<Assignment, Error> {
        let line = self.line;
        let name = self.word(
            |c| c.is_ascii_lowercase(),
            |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_'),
        );
        if name.is_empty() {
            return Err(self.error(
                "a key was expected",
                "lines are key = value; text is in quotes",
            ));
        }
        self.skip(false);
        let adds = self.rest.starts_with("+=");
        if !adds && !self.rest.starts_with('=') {
            let what = format!("`{name}` is not followed by =");
            return Err(self.error(what, "lines are key = value"));
        }
        self.take(if adds { 2 } else { 1 });
        self.skip(false);
        let value = self.value(0)?;
        self.skip(false);
        match self.rest.chars().next() {
            None | Some('\n' | ';') => {}
            Some(_) => {
                let what = format!("something follows the value of `{name}`");
                return Err(self.error(what, "one value per key; put text in quotes"));
            }
        }
        Ok(Assignment {
            name: name.to_owned(),
            value,
            adds,
            line,
        })
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.text(quote).map(Value::Text),
            Some('0'..='9') => {
                let number = self.word(
                    |c| c.is_ascii_digit(),
                    |c| c.is_ascii_digit() || matches!(c, 'a'..='f' | 'x'),
                );
                Ok(Value::Text(number.to_owned()))
            }
            Some('[') if depth < DEEPEST => self.list(depth),
            Some('[') => Err(self.error("lists are nested too deep", "xl needs two levels")),
            _ => Err(self.error("a value was expected", "put text in quotes, lists in [ ]")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Error> {
        self.take(1);
        let mut values = Vec::new();
        loop {
            self.skip(true);
            if self.rest.starts_with(']') {
                self.take(1);
                return Ok(Value::List(values));
            }
            values.push(self.value(depth + 1)?);
            self.skip(true);
            match self.rest.chars().next() {
                Some(',') => self.take(1),
                Some(']') => {}
                _ => return Err(self.error("a list goes on without a comma", "close it with ]")),
            }
        }
    }

    /// A text in quotes; a backslash begins an escape in both kinds.
    fn text(&mut self, quote: char) -> Result<String, Error> {
        let mut out = String::new();
        self.take(1);
        loop {
            let Some(c) = self.rest.chars().next().filter(|c| *c != '\n') else {
                let what = "a text in quotes is not closed on its line";
                return Err(self.error(what, "close it with the same kind of quote"));
            };
            self.take(c.len_utf8());
            match c {
                '\\' => out.push(self.escape()?),
                c if c == quote => return Ok(out),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let c = self.rest.chars().next().unwrap_or('\n');
        if let Some((_, meant)) = ESCAPES.iter().find(|(letter, _)| *letter == c) {
            self.take(1);
            return Ok(*meant);
        }
        let (radix, prefix, least, most) = match c {
            'x' => (16, 1, 2, 2),
            _ => (8, 0, 1, 3),
        };
        let digits = self.rest[prefix.min(self.rest.len())..]
            .chars()
            .take(most)
            .take_while(|c| c.is_digit(radix))
            .count();
        let code = self.rest.get(prefix..prefix + digits);
        let byte = code
            .filter(|code| code.len() >= least && (c == 'x' || c.is_digit(8)))
            .and_then(|code| u8::from_str_radix(code, radix).ok())
            .filter(|byte| byte.is_ascii() && *byte != 0);
        let Some(byte) = byte else {
            let what = "an escape in a text is none that can be read";
            return Err(self.error(what, "escapes are \\n, \\t, \\\", \\\\, \\x41 and the like"));
        };
        self.take(prefix + digits);
        Ok(char::from(byte))
    }

    fn word(&mut self, first: impl Fn(char) -> bool, more: impl Fn(char) -> bool) -> &'t str {
        let length = match self.rest.chars().next() {
            Some(c) if first(c) => self.rest.find(|c| !more(c)).unwrap_or(self.rest.len()),
            _ => 0,
        };
        let word = &self.rest[..length];
        self.take(length);
        word
    }

    /// Goes on past blanks, and past line ends and comments if `lines`.
    fn skip(&mut self, lines: bool) {
        loop {
            match self.rest.chars().next() {
                Some(' ' | '\t' | '\r') => self.take(1),
                Some('\n') if lines => self.take(1),
                Some('#') => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.take(end);
                }
                _ => return,
            }
        }
    }

    /// Goes on by so many bytes, which end at a character's border.
    fn take(&mut self, bytes: usize) {
        let (past, rest) = self.rest.split_at(bytes);
        self.line += past.matches('\n').count();
        self.rest = rest;
    }

    fn error(&self, what: impl Into<String>, hint: &'static str) -> Error {
        Error::Syntax {
            line: self.line,
            what: what.into(),
            hint,
        }
    }
}

/// `xlu__cfgl_dequote` of `libxlu_cfg.c`.
const ESCAPES: &[(char, char)] = &[
    ('"', '"'),
    ('\'', '\''),
    ('\\', '\\'),
    ('a', '\x07'),
    ('b', '\x08'),
    ('f', '\x0c'),
    ('n', '\n'),
    ('r', '\r'),
    ('t', '\t'),
    ('v', '\x0b'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Value {
        let mut found = parse(text).unwrap();
        assert_eq!(found.len(), 1, "{text}");
        found.remove(0).value
    }

    #[test]
    fn texts_numbers_and_lists_are_read_as_xl_reads_them() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(one("name = 'a b' # c"), text("a b"));
        assert_eq!(one("memory=0x100"), text("0x100"));
        assert_eq!(one(r#"extra="a\"b\x41\101\t""#), text("a\"bAA\t"));
        let list = Value::List(vec![text("a"), Value::List(vec![text("b")]), text("1")]);
        assert_eq!(one("disk = [ 'a', ['b'], # why\n 1,\n]"), list);
        assert_eq!(parse("a=1; b=2\n\n c += 'x'").unwrap().len(), 3);
        assert!(parse("c += 'x'").unwrap()[0].adds);
    }

    #[test]
    fn what_libxlutil_refuses_is_refused_at_its_line() {
        for bad in [
            "\nname",
            "\nname = ",
            "\nname = x",
            "\nname = 'x",
            "\nname = 'x\\q'",
            "\n= 1",
            "\nname = 1 2",
            "\nname = [1 2]",
            "\nName = 1",
            "\nname = '\\x1'",
            "\nn = '\\0'",
        ] {
            let error = parse(bad).unwrap_err();
            assert!(
                matches!(error, Error::Syntax { line: 2, .. }),
                "{bad}: {error}"
            );
        }
        assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err());
    }
}
