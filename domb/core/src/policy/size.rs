// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How much one value of a script holds, everything inside it counted.
//!
//! Rhai checks what a function returns and what a variable is set to, but not
//! the list or map that `a[i] = x` or `a[i].push(x)` grows, and it counts no
//! map key. Every value is therefore looked at again whenever its variable is
//! used, and wherever a function of ours gathers values.

use rhai::{Dynamic, Engine, EvalAltResult, Position};

/// Text bytes, list items and map entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Size {
    text: usize,
    items: usize,
    entries: usize,
}

impl Size {
    /// Adds all that `value` holds.
    pub(super) fn add(&mut self, value: &Dynamic) {
        if let Ok(list) = value.as_array_ref() {
            self.items += list.len();
            list.iter().for_each(|item| self.add(item));
        } else if let Ok(map) = value.as_map_ref() {
            self.entries += map.len();
            for (key, item) in map.iter() {
                self.text += key.len();
                self.add(item);
            }
        } else if let Ok(text) = value.as_immutable_string_ref() {
            self.text += text.len();
        } else if let Ok(bytes) = value.as_blob_ref() {
            self.items += bytes.len();
        }
    }

    /// # Errors
    /// One of the limits that `engine` was given is passed.
    pub(super) fn within(self, engine: &Engine) -> Result<(), Box<EvalAltResult>> {
        let over = if self.text > engine.max_string_size() {
            "Length of string"
        } else if self.items > engine.max_array_size() {
            "Size of array"
        } else if self.entries > engine.max_map_size() {
            "Size of object map"
        } else {
            return Ok(());
        };
        Err(EvalAltResult::ErrorDataTooLarge(over.to_owned(), Position::NONE).into())
    }
}

/// # Errors
/// `value` holds more than `engine` allows.
pub(super) fn check(engine: &Engine, value: &Dynamic) -> Result<(), Box<EvalAltResult>> {
    if value.is_array() || value.is_map() {
        let mut size = Size::default();
        size.add(value);
        size.within(engine)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_what_is_inside_are_counted() {
        let engine = Engine::new_raw();
        let value = engine.eval::<Dynamic>(r#"[#{ abc: ["de", 'x', 1] }, [[]]]"#);
        let mut size = Size::default();
        size.add(&value.expect("a literal"));
        assert_eq!(
            size,
            Size {
                text: 5,
                items: 2 + 3 + 1,
                entries: 1
            }
        );
    }
}
