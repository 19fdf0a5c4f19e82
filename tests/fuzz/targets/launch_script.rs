// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any text as a launch script, asked about any facts: it answers or is
//! refused within the limits, and what it answers is what it may. The input
//! is the script, and behind a line of `----` the facts in JSON; without them
//! the facts are those of three domains.

#![no_main]

use std::time::{Duration, Instant};

use domb_core::policy::{Facts, Limits, Outcome, Script, decide};
use libfuzzer_sys::fuzz_target;

const FACTS: &str = include_str!("../../fixtures/facts/three-domains.json");

fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.windows(6).position(|six| six == b"\n----\n");
    let (script, facts) = match cut {
        Some(at) => (&bytes[..=at], &bytes[at + 6..]),
        None => (bytes, FACTS.as_bytes()),
    };
    let Ok(facts) = serde_json::from_slice::<Facts>(facts) else {
        return;
    };
    let Ok(script) = Script::new("launch.rhai", script) else {
        return;
    };
    let end = Instant::now() + Duration::from_secs(2);
    match decide(Some(&script), &facts, &Limits::default(), move || {
        Instant::now() > end
    }) {
        Ok(verdict) => {
            assert_eq!(verdict.domains().len(), facts.domains.len());
            for (decision, domain) in verdict.domains().iter().zip(&facts.domains) {
                let needs = domain.after.iter().all(|need| verdict.allows(need));
                assert!(
                    decision.outcome != Outcome::Allow || needs,
                    "{}",
                    decision.name
                );
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(
                !text.contains(|c: char| c.is_control() && c != '\n'),
                "{text:?}"
            );
        }
    }
});
