// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An error as a person reads it: what was attempted, why it failed, and what
//! can be done.

use std::error::Error;

/// An error and its sources, outermost first, without their hints.
#[must_use]
pub fn chain(error: &dyn Error) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = split_hint(&error.to_string()).0;
        if chain.last() != Some(&text) {
            chain.push(text);
        }
        next = error.source();
    }
    chain
}

/// The innermost `hint:` of an error and its sources.
#[must_use]
pub fn hint(error: &dyn Error) -> Option<String> {
    let mut hint = None;
    let mut next = Some(error);
    while let Some(error) = next {
        hint = split_hint(&error.to_string()).1.or(hint);
        next = error.source();
    }
    hint
}

fn split_hint(text: &str) -> (String, Option<String>) {
    match text.split_once("\nhint: ") {
        Some((text, hint)) => (text.to_owned(), Some(hint.to_owned())),
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("build domain net\nhint: outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("the domid is in use\nhint: inner")]
    struct Inner;

    #[test]
    fn the_chain_is_told_outermost_first_and_the_innermost_hint_is_kept() {
        assert_eq!(
            chain(&Outer(Inner)),
            ["build domain net", "the domid is in use"]
        );
        assert_eq!(hint(&Outer(Inner)).as_deref(), Some("inner"));
    }
}
