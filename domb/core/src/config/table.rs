// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Typed reading of one TOML table. Every value keeps the place it was
//! written at, and one wrong value does not hide the next: serde's derived
//! readers stop at the first fault, this one goes on.

mod lists;

use std::ops::Range;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::faults::{Faults, Field, one_of, quote};
use super::free::{Purpose, json_table};
use super::keys::{Section, advise};
use super::nearest::nearest;
use crate::explain::Code;

/// A table of the file whose keys are all known (the others are reported).
pub(super) struct Table<'t> {
    /// Where it begins, for faults that have no better place.
    pub(super) span: Range<usize>,
    /// Its path, `domain[0]`; empty at the top.
    path: String,
    section: Section,
    entries: &'t DeTable<'t>,
}

impl<'t> Table<'t> {
    /// The table, after reporting each key that `section` does not have.
    pub(super) fn open(
        section: Section,
        path: String,
        span: Range<usize>,
        entries: &'t DeTable<'t>,
        faults: &mut Faults<'_>,
    ) -> Table<'t> {
        let table = Table {
            span,
            path,
            section,
            entries,
        };
        for key in entries.keys() {
            let name: &str = key.get_ref();
            if !section.keys().contains(&name) {
                let fault = faults
                    .error(
                        Code::UnknownKey,
                        format!("unknown key `{}` {}", quote(name), section.place()),
                    )
                    .at(key.span())
                    .key(table.key(&quote(name)))
                    .because("domb reads no such key: the setting would have no effect")
                    .hint(advise(section, name));
                faults.add(fault);
            }
        }
        table
    }

    /// Whether the key is there, of whatever type.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Whether it has no key but those it may have.
    pub(super) fn is_known(&self) -> bool {
        let known = self.section.keys();
        self.entries
            .keys()
            .all(|key| known.contains(&key.get_ref().as_ref()))
    }

    /// Whether the text at `key` is `word`.
    pub(super) fn is_text(&self, key: &str, word: &str) -> bool {
        self.find(key)
            .is_some_and(|field| field.value.as_str() == Some(word))
    }

    /// Whether the key is missing or an empty list.
    pub(super) fn is_vacant(&self, key: &str) -> bool {
        self.find(key)
            .is_none_or(|field| field.value.as_array().is_some_and(|a| a.is_empty()))
    }

    /// The text at `key`; a fault if it is something else.
    pub(super) fn text(&self, key: &str, faults: &mut Faults<'_>) -> Option<Field<&'t str>> {
        let field = self.find(key)?;
        let text = field.value.as_str();
        if text.is_none() {
            wrong_type(
                &field,
                "text in double quotes",
                "put the value in double quotes",
                faults,
            );
        }
        text.map(|text| field.with(text))
    }

    /// The size at `key`, as text; a bare number has its own fault.
    pub(super) fn size(&self, key: &str, faults: &mut Faults<'_>) -> Option<Field<&'t str>> {
        let field = self.find(key)?;
        let DeValue::Integer(number) = field.value else {
            return self.text(key, faults);
        };
        let number = quote(number.as_str());
        let fault = faults
            .at(&field, Code::NoUnit, format!("`{key}` has no unit"))
            .because("tools disagree whether a bare number means KiB, MiB or bytes")
            .hint(format!(
                "for {number} MiB write {key} = \"{number}M\"; the units are K, M, G, T"
            ));
        faults.add(fault);
        None
    }

    /// The whole number at `key`; a fault if it is something else.
    pub(super) fn integer(&self, key: &str, faults: &mut Faults<'_>) -> Option<Field<i64>> {
        let field = self.find(key)?;
        let DeValue::Integer(digits) = field.value else {
            let hint = match field.value.as_str().map(str::parse::<i64>) {
                Some(Ok(number)) => format!("write {key} = {number}, without quotes"),
                _ => format!("write a number, as in {key} = 7"),
            };
            wrong_type(&field, "a whole number", &hint, faults);
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        if number.is_none() {
            let fault = faults.at(
                &field,
                Code::NumberTooLarge,
                format!("`{key}` is a number beyond 64 bits"),
            );
            faults.add(fault.hint("write a smaller number"));
        }
        number.map(|number| field.with(number))
    }

    /// `true` or `false` at `key`; a fault if it is something else.
    pub(super) fn flag(&self, key: &str, faults: &mut Faults<'_>) -> Option<Field<bool>> {
        let field = self.find(key)?;
        if let DeValue::Boolean(flag) = field.value {
            return Some(field.with(*flag));
        }
        let hint = format!("write {key} = true, without quotes");
        wrong_type(&field, "true or false", &hint, faults);
        None
    }

    /// The tables of the table at `key`, by name.
    pub(super) fn named(
        &self,
        key: &str,
        section: Section,
        faults: &mut Faults<'_>,
    ) -> Vec<(Field<&'t str>, Table<'t>)> {
        let Some(field) = self.find(key) else {
            return Vec::new();
        };
        let hint = format!("write each as a table of its own: {}", section.title());
        let DeValue::Table(entries) = field.value else {
            wrong_type(&field, "a table of tables", &hint, faults);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (name, value) in entries {
            let at = Field {
                value: value.get_ref(),
                span: name.span(),
                key: format!("{}.{}", field.key, quote(name.get_ref())),
            };
            match at.value {
                DeValue::Table(entries) => {
                    let named = at.with(&**name.get_ref());
                    let table = Table::open(section, at.key, at.span, entries, faults);
                    tables.push((named, table));
                }
                _ => wrong_type(&at, "a table", &hint, faults),
            }
        }
        tables
    }

    /// The word at `key` as the value that goes with it.
    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        faults: &mut Faults<'_>,
    ) -> Option<Field<T>> {
        let text = self.text(key, faults)?;
        one_word(key, &text, words, faults)
    }

    /// The table at `key`.
    pub(super) fn table(
        &self,
        key: &str,
        section: Section,
        faults: &mut Faults<'_>,
    ) -> Option<Table<'t>> {
        let field = self.find(key)?;
        let DeValue::Table(entries) = field.value else {
            let hint = format!("write it as a table of its own: {}", section.title());
            wrong_type(&field, "a table", &hint, faults);
            return None;
        };
        Some(Table::open(section, field.key, field.span, entries, faults))
    }

    /// The free table at `key`, as JSON.
    pub(super) fn json(
        &self,
        key: &str,
        purpose: Purpose,
        faults: &mut Faults<'_>,
    ) -> Option<Field<Map<String, Value>>> {
        let field = self.find(key)?;
        let DeValue::Table(entries) = field.value else {
            wrong_type(&field, "a table", "give it a table of its own", faults);
            return None;
        };
        Some(field.with(json_table(entries, &field.key, purpose, faults)))
    }

    /// The place of the key `inner[0].inner[1]...` below the free table at
    /// `key`, for faults about values that are already JSON.
    pub(super) fn place_below(&self, key: &str, inner: &[&str]) -> Option<Range<usize>> {
        let mut value = self.find(key)?.value;
        let mut span = None;
        for step in inner {
            let (found, below) = value
                .as_table()?
                .iter()
                .find(|(k, _)| k.get_ref() == step)?;
            (span, value) = (Some(found.span()), below.get_ref());
        }
        span
    }

    /// Reports `key` as missing, unless it is there and was wrong otherwise.
    pub(super) fn require(&self, key: &str, of: &str, example: &str, faults: &mut Faults<'_>) {
        if !self.has(key) {
            let fault = faults
                .error(Code::MissingKey, format!("{of} has no `{key}`"))
                .at(self.span.clone())
                .key(self.key(key))
                .hint(format!("add a line such as {key} = {example}"));
            faults.add(fault);
        }
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn find(&self, key: &str) -> Option<Field<&'t DeValue<'t>>> {
        debug_assert!(
            self.section.keys().contains(&key),
            "{key} would be reported as unknown"
        );
        let value = self.entries.get(key)?;
        Some(Field {
            value: value.get_ref(),
            span: value.span(),
            key: self.key(key),
        })
    }
}

fn wrong_type(field: &Field<&DeValue<'_>>, wanted: &str, hint: &str, faults: &mut Faults<'_>) {
    let found = match field.value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let key = field.key.rsplit('.').next().unwrap_or(&field.key);
    faults.add(
        faults
            .at(
                field,
                Code::WrongType,
                format!("`{key}` should be {wanted}, not {found}"),
            )
            .hint(hint),
    );
}

fn one_word<T: Copy>(
    key: &str,
    text: &Field<&str>,
    words: &[(&str, T)],
    faults: &mut Faults<'_>,
) -> Option<Field<T>> {
    let found = words.iter().find(|(word, _)| *word == text.value);
    if found.is_none() {
        let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = nearest(text.value, &allowed);
        let hint = match near {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write {key} = \"{}\"", allowed.first().unwrap_or(&"")),
        };
        let message = format!(
            "`{key}` is {}, not \"{}\"",
            one_of(&allowed),
            quote(text.value)
        );
        faults.add(faults.at(text, Code::UnknownWord, message).hint(hint));
    }
    found.map(|(_, value)| text.with(*value))
}
