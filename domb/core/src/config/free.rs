// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The two tables whose keys domb does not know, `[data]` and
//! `[domain.libxl]`, as JSON. Refuses what the reader of that JSON could not
//! take, at its place.

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::faults::{Faults, Field, quote};
use crate::explain::Code;

/// What a free table is kept for; decides which values it may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// Fields of libxl's JSON: no dates.
    Libxl,
    /// The launch script's data: dates become text.
    Data,
}

/// The table `entries` at `path` without what had to be refused.
pub(super) fn json_table(
    entries: &DeTable<'_>,
    path: &str,
    purpose: Purpose,
    faults: &mut Faults<'_>,
) -> Map<String, Value> {
    let mut map = Map::new();
    for (key, value) in entries {
        let key: &str = key.get_ref();
        let at = Field {
            value: value.get_ref(),
            span: value.span(),
            key: format!("{path}.{}", quote(key)),
        };
        if let Some(value) = json_value(&at, purpose, faults) {
            map.insert(key.to_owned(), value);
        }
    }
    map
}

/// The recursion is bounded by the TOML parser, which refuses nesting beyond
/// 80 levels.
fn json_value(
    at: &Field<&DeValue<'_>>,
    purpose: Purpose,
    faults: &mut Faults<'_>,
) -> Option<Value> {
    let refused = match at.value {
        DeValue::String(text) => return Some(Value::from(text.as_ref())),
        DeValue::Boolean(value) => return Some(Value::from(*value)),
        DeValue::Table(entries) => {
            return Some(json_table(entries, &at.key, purpose, faults).into());
        }
        DeValue::Array(array) => {
            let mut values = Vec::new();
            for (index, element) in array.iter().enumerate() {
                let key = format!("{}[{index}]", at.key);
                let element = Field {
                    value: element.get_ref(),
                    span: element.span(),
                    key,
                };
                values.extend(json_value(&element, purpose, faults));
            }
            return Some(values.into());
        }
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => return Some(Value::from(number)),
            Err(_) => "is a number beyond 64 bits",
        },
        DeValue::Datetime(date) if purpose == Purpose::Data => {
            return Some(Value::from(date.to_string()));
        }
        DeValue::Datetime(_) => "is a date, and no field of libxl is one",
        DeValue::Float(_) if purpose == Purpose::Data => {
            "has a fraction, and launch scripts count in whole numbers only"
        }
        DeValue::Float(_) => "has a fraction, and no field of libxl has one",
    };
    let fault = faults.at(at, Code::DataValue, format!("`{}` {refused}", at.key));
    faults.add(fault.hint("write a whole number, or text in double quotes"));
    None
}
