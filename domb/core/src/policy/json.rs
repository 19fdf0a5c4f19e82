// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Values between JSON and scripts, both ways. What the other side cannot
//! hold is an error, never an approximation.

use rhai::{Array, Dynamic, ImmutableString, Map};
use serde_json::Value;

/// `value` as a script sees it, or the path to what it cannot see.
pub(super) fn from_json(path: &str, value: &Value) -> Result<Dynamic, String> {
    Ok(match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => (*value).into(),
        Value::String(text) => ImmutableString::from(text.as_str()).into(),
        Value::Number(number) => number
            .as_i64()
            .ok_or_else(|| format!("{path} is {number}, and scripts know 64-bit integers only"))?
            .into(),
        Value::Array(items) => {
            let item = |(index, item)| from_json(&format!("{path}[{index}]"), item);
            items
                .iter()
                .enumerate()
                .map(item)
                .collect::<Result<Array, _>>()?
                .into()
        }
        Value::Object(entries) => map_from_json(path, entries)?.into(),
    })
}

/// The same for a table.
pub(super) fn map_from_json(
    path: &str,
    entries: &serde_json::Map<String, Value>,
) -> Result<Map, String> {
    let entry = |(key, value): (&String, _)| {
        Ok((
            key.as_str().into(),
            from_json(&format!("{path}.{key}"), value)?,
        ))
    };
    entries.iter().map(entry).collect()
}

/// A script's value as JSON.
pub(super) fn to_json(value: &Dynamic) -> Result<Value, String> {
    if let Ok(list) = value.as_array_ref() {
        return list.iter().map(to_json).collect();
    }
    if let Ok(map) = value.as_map_ref() {
        return map
            .iter()
            .map(|(key, value)| Ok((key.to_string(), to_json(value)?)))
            .collect();
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(Value::from(text.as_str()));
    }
    match (value.as_int(), value.as_bool()) {
        (Ok(number), _) => Ok(number.into()),
        (_, Ok(value)) => Ok(value.into()),
        _ if value.is_unit() => Ok(Value::Null),
        _ => Err(format!(
            "a value of type {} is not a fact",
            value.type_name()
        )),
    }
}
