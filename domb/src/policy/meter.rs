// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The clock and the memory of a launch script while it runs. The script's
//! other limits count what it does; this measures what that costs.
//!
//! It trusts the kernel's figures, and watches the clock alone where there
//! are none of memory.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

use domb_core::policy::{Limit, Limits, Watch};

/// How many operations pass between two looks at the memory. One operation
/// can make a value of half a MiB at most.
const INTERVAL: u32 = 64;

/// Watches one run, from its making on.
pub struct Meter {
    end: Instant,
    most_kib: u64,
    operations: Cell<u32>,
}

impl Meter {
    /// A meter for a run that begins now.
    pub fn new(limits: &Limits) -> Meter {
        let allowed = limits.of(Limit::MemoryMib).saturating_mul(1024);
        Meter {
            end: Instant::now() + Duration::from_millis(limits.of(Limit::Milliseconds)),
            most_kib: resident_kib().map_or(u64::MAX, |now| now.saturating_add(allowed)),
            operations: Cell::new(0),
        }
    }
}

impl Watch for Meter {
    fn used_up(&self) -> Option<Limit> {
        let operations = self.operations.get().wrapping_add(1);
        self.operations.set(operations);
        if Instant::now() > self.end {
            return Some(Limit::Milliseconds);
        }
        let look = operations.is_multiple_of(INTERVAL) && self.most_kib < u64::MAX;
        let over = look && resident_kib().is_some_and(|now| now > self.most_kib);
        over.then_some(Limit::MemoryMib)
    }
}

/// Resident memory of this process, `VmRSS` of `/proc/self/status` (proc(5)).
fn resident_kib() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use domb_core::policy::{Error, Facts, PlatformFacts, Script, decide};

    use super::*;

    fn exhausts(body: &str, limits: &Limits, meter: Meter) -> Limit {
        let text = format!("fn launch(facts, plan) {{ {body} plan }}");
        let script = Script::new("launch.rhai", text.as_bytes()).unwrap();
        let facts = Facts {
            platform: PlatformFacts::default(),
            ..Facts::default()
        };
        match decide(Some(&script), &facts, limits, meter).unwrap_err() {
            Error::Exhausted { limit, .. } => limit,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_script_that_does_not_end_is_stopped_by_the_clock() {
        let limits = Limits::default().lowered_to("milliseconds", 50).unwrap();
        assert_eq!(
            exhausts("loop { let x = 1; }", &limits, Meter::new(&limits)),
            Limit::Milliseconds
        );
    }

    #[test]
    fn values_that_are_only_passed_on_are_counted_as_memory() {
        let limits = Limits::default().lowered_to("memory_mib", 32).unwrap();
        let list = "let l = []; for i in 0..2000 { l.push(`item ${i}`); }";
        let call = format!("{list} f({}0);", "l, ".repeat(2000));
        // However slow the machine is, the clock does not come first.
        let patient = Meter {
            end: Instant::now() + Duration::from_secs(3600),
            ..Meter::new(&limits)
        };
        assert_eq!(exhausts(&call, &limits, patient), Limit::MemoryMib);
    }
}
