// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The text of a launch script. It was read and measured elsewhere; nothing
//! is compiled here, so a script can be measured before it is looked at.

use super::error::Error;
use super::limits::{Limit, Limits};

/// A launch script that is text of a bearable length. It may still be wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    name: String,
    text: String,
}

impl Script {
    /// The script that `bytes` hold; `name` is shown in messages only.
    ///
    /// # Errors
    /// The bytes are not UTF-8, or more than the longest script allowed.
    pub fn new(name: &str, bytes: &[u8]) -> Result<Script, Error> {
        let limit = Limits::default().of(Limit::SourceBytes);
        Script::too_long(name, bytes.len(), limit)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Script {
                name: name.to_owned(),
                text: text.to_owned(),
            }),
            Err(error) => Err(Error::NotText {
                script: name.to_owned(),
                offset: error.valid_up_to(),
            }),
        }
    }

    /// The script as the configuration names it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks the length against limits that may have been lowered since.
    pub(super) fn fits(&self, limits: &Limits) -> Result<(), Error> {
        Script::too_long(&self.name, self.text.len(), limits.of(Limit::SourceBytes))
    }

    fn too_long(name: &str, bytes: usize, limit: u64) -> Result<(), Error> {
        if bytes as u64 > limit {
            return Err(Error::TooLong {
                script: name.to_owned(),
                bytes,
                limit,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_is_not_text_is_refused_with_the_offset() {
        let error = Script::new("x.rhai", b"fn \xff").expect_err("0xff is not UTF-8");
        assert_eq!(
            error,
            Error::NotText {
                script: "x.rhai".to_owned(),
                offset: 3
            }
        );
    }

    #[test]
    fn a_script_that_is_too_long_is_refused_before_it_is_read() {
        let bytes = vec![b' '; 64 * 1024 + 1];
        assert!(matches!(
            Script::new("x.rhai", &bytes),
            Err(Error::TooLong { .. })
        ));
        assert!(Script::new("x.rhai", &bytes[1..]).is_ok());
    }
}
