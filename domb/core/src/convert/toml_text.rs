// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Values as TOML text. Any text, key or number of JSON comes out as one
//! line that TOML 1.0 reads back as the same.

use serde_json::{Map, Value};

/// `text` as a basic string, quotes included (TOML 1.0, "String").
pub(super) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `value` as TOML on one line. TOML has no null: such an entry is not
/// written, here or inside.
pub(super) fn value(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().filter_map(self::value).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(map) => inline(map),
    })
}

fn inline(map: &Map<String, Value>) -> String {
    let entries: Vec<String> = map
        .iter()
        .filter_map(|(name, entry)| Some(format!("{} = {}", key(name), value(entry)?)))
        .collect();
    if entries.is_empty() {
        return "{}".to_owned();
    }
    format!("{{ {} }}", entries.join(", "))
}

/// A key, quoted where it has to be.
pub(super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        string(name)
    }
}
