// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One JSON text per value, so that the same meaning always has the same
//! digest. It follows RFC 8785 (JSON Canonicalization Scheme) but for two
//! rules that are simpler to get right: keys are sorted by their UTF-8 bytes,
//! and a number that is not an integer is written with an exponent. The exact
//! rules are in this folder's README.md.

use serde_json::{Number, Value};

/// The canonical text of `value`.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value);
    text
}

fn write(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&number_text(number)),
        Value::String(string) => write_string(text, string),
        Value::Array(items) => {
            let writers = items
                .iter()
                .map(|item| move |text: &mut String| write(text, item));
            write_list(text, ['[', ']'], writers);
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| key.as_bytes());
            let writers = members.into_iter().map(|(key, value)| {
                move |text: &mut String| {
                    write_string(text, key);
                    text.push(':');
                    write(text, value);
                }
            });
            write_list(text, ['{', '}'], writers);
        }
    }
}

fn write_list(
    text: &mut String,
    [open, close]: [char; 2],
    items: impl Iterator<Item = impl FnOnce(&mut String)>,
) {
    text.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.push(',');
        }
        item(text);
    }
    text.push(close);
}

fn number_text(number: &Number) -> String {
    match (number.as_i128(), number.as_f64()) {
        (Some(integer), _) => integer.to_string(),
        // The shortest digits that read back as the same binary64.
        (None, Some(float)) => format!("{float:e}"),
        (None, None) => number.to_string(),
    }
}

fn write_string(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            control if control < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth_and_nothing_is_padded() {
        let value = json!({"b": [1, {"z": null, "a": true}], "a": "x", "": false});
        assert_eq!(
            to_string(&value),
            r#"{"":false,"a":"x","b":[1,{"a":true,"z":null}]}"#
        );
    }

    #[test]
    fn control_characters_are_escaped_and_nothing_else_is() {
        let value = json!("\u{0}\u{8}\t\n\u{c}\r\u{1f}\"\\/\u{7f}é\u{2028}😀");
        assert_eq!(
            to_string(&value),
            "\"\\u0000\\b\\t\\n\\f\\r\\u001f\\\"\\\\/\u{7f}é\u{2028}😀\""
        );
    }

    #[test]
    fn integers_stay_integers_and_other_numbers_have_an_exponent() {
        let value = json!([0, -1, u64::MAX, i64::MIN, 1.0, 0.1, -2.5e-7, 1e300]);
        assert_eq!(
            to_string(&value),
            "[0,-1,18446744073709551615,-9223372036854775808,1e0,1e-1,-2.5e-7,1e300]"
        );
    }

    #[test]
    fn the_text_reads_back_as_the_value() {
        let value = json!({"a": [1, 2.5, "é\n"], "b": {"c": null}});
        assert_eq!(
            serde_json::from_str::<Value>(&to_string(&value)).unwrap(),
            value
        );
    }
}
