// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys of a table that hold lists, each item with its own place.

use toml::de::DeValue;

use super::super::faults::{Faults, Field, quote};
use super::super::keys::Section;
use super::{Table, one_word, wrong_type};
use crate::explain::Code;

impl<'t> Table<'t> {
    /// The list of whole numbers at `key`; a fault for each element that is
    /// none.
    pub(in super::super) fn integers(&self, key: &str, faults: &mut Faults<'_>) -> Vec<Field<i64>> {
        let Some(field) = self.find(key) else {
            return Vec::new();
        };
        let hint = format!("write a list of numbers, as in {key} = [5, 6]");
        let DeValue::Array(array) = field.value else {
            wrong_type(&field, "a list of whole numbers", &hint, faults);
            return Vec::new();
        };
        let mut numbers = Vec::new();
        for (index, element) in array.iter().enumerate() {
            let element = Field {
                value: element.get_ref(),
                span: element.span(),
                key: format!("{}[{index}]", field.key),
            };
            let number = match element.value {
                DeValue::Integer(digits) => {
                    i64::from_str_radix(digits.as_str(), digits.radix()).ok()
                }
                _ => None,
            };
            match number {
                Some(number) => numbers.push(element.with(number)),
                None => wrong_type(&element, "a whole number", &hint, faults),
            }
        }
        numbers
    }

    /// The list of texts at `key`; a fault for each element that is no text.
    pub(in super::super) fn texts(
        &self,
        key: &str,
        faults: &mut Faults<'_>,
    ) -> Vec<Field<&'t str>> {
        let Some(field) = self.find(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = field.value else {
            let hint = match field.value.as_str() {
                Some(text) => format!("write {key} = [\"{}\"]", quote(text)),
                None => format!("write a list, as in {key} = [\"one\", \"two\"]"),
            };
            wrong_type(&field, "a list of texts", &hint, faults);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (index, element) in array.iter().enumerate() {
            let element = Field {
                value: element.get_ref(),
                span: element.span(),
                key: format!("{}[{index}]", field.key),
            };
            match element.value.as_str() {
                Some(text) => texts.push(element.with(text)),
                None => wrong_type(
                    &element,
                    "text in double quotes",
                    "put the value in double quotes",
                    faults,
                ),
            }
        }
        texts
    }

    /// The values of `key`, a list, each one of `words`; empty if it is left out.
    pub(in super::super) fn words<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        faults: &mut Faults<'_>,
    ) -> Vec<Field<T>> {
        let texts = self.texts(key, faults);
        let values = texts
            .iter()
            .filter_map(|text| one_word(key, text, words, faults));
        values.collect()
    }

    /// The tables of the list at `key`, at most `most`.
    pub(in super::super) fn tables(
        &self,
        key: &str,
        section: Section,
        most: usize,
        faults: &mut Faults<'_>,
    ) -> Vec<Table<'t>> {
        let Some(field) = self.find(key) else {
            return Vec::new();
        };
        let hint = format!("begin each with {}, in double brackets", section.title());
        let DeValue::Array(array) = field.value else {
            wrong_type(&field, "a list of tables", &hint, faults);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (index, element) in array.iter().enumerate() {
            let path = format!("{}[{index}]", field.key);
            let at = Field {
                value: element.get_ref(),
                span: element.span(),
                key: path,
            };
            if index == most {
                let fault = faults
                    .at(
                        &at,
                        Code::TooManyDomains,
                        format!(
                            "more than {most} {} tables: {}",
                            section.title(),
                            array.len()
                        ),
                    )
                    .because("no platform domb is meant for starts so many domains at boot")
                    .hint("let the control domain start the rest");
                faults.add(fault);
                break;
            }
            match at.value {
                DeValue::Table(entries) => {
                    tables.push(Table::open(section, at.key, at.span, entries, faults));
                }
                _ => wrong_type(&at, "a table", &hint, faults),
            }
        }
        tables
    }
}
