// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finds what libxl's parser dropped without a word. It skips a key it does
//! not know and a value of the wrong kind alike, and reports success; a
//! mistyped option would silently not be in force. What libxl prints of what
//! it read shows the difference.

use serde_json::Value;

/// The keys of `given` that `kept`, libxl's print of it, does not have, as
/// paths like `b_info.max_vcpus`.
///
/// libxl does not print a field at its default. A value that looks like one
/// (0, false, null, empty, `"<default>"`) is given the benefit of the doubt.
/// Where a value is present it is not compared: libxl prints some in another
/// spelling.
pub(crate) fn lost(given: &Value, kept: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    walk(given, kept, "", &mut paths);
    paths
}

fn walk(given: &Value, kept: &Value, path: &str, lost: &mut Vec<String>) {
    match given {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                match kept.get(key) {
                    Some(kept) => walk(value, kept, &path, lost),
                    None if is_default(value) => {}
                    None => lost.push(path),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                match kept.get(index) {
                    Some(kept) => walk(item, kept, &path, lost),
                    None => lost.push(path),
                }
            }
        }
        _ => {}
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty() || text == "<default>",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_default),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_libxl_does_not_print_was_lost() {
        let given =
            json!({"b_info": {"max_vcpus": 2, "max_vcpu": 2}, "nics": [{"mtu": 9000, "mut": 1}]});
        let kept = json!({"b_info": {"max_vcpus": 2}, "nics": [{"mtu": 9000}]});
        assert_eq!(lost(&given, &kept), ["b_info.max_vcpu", "nics[0].mut"]);
    }

    #[test]
    fn a_table_that_is_lost_whole_is_named_once() {
        let given = json!({"binfo": {"max_vcpus": 2, "shadow_memkb": 4096}});
        assert_eq!(lost(&given, &json!({})), ["binfo"]);
    }

    #[test]
    fn a_default_that_is_not_printed_was_not_lost() {
        let given = json!({"a": 0, "b": false, "c": "<default>", "d": [], "e": {}, "f": "", "g": null, "h": {"i": 0}});
        assert!(lost(&given, &json!({})).is_empty());
    }

    #[test]
    fn another_spelling_of_a_value_is_the_value() {
        let given = json!({"type": "PV", "uuid": "ABCD"});
        assert!(lost(&given, &json!({"type": "pv", "uuid": "abcd"})).is_empty());
    }

    #[test]
    fn a_scalar_where_libxl_has_a_table_hides_nothing() {
        let given = json!({"a": {"b": 1}});
        assert_eq!(lost(&given, &json!({"a": 1})), ["a.b"]);
    }
}
