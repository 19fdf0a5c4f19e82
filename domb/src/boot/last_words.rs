// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why the xenstore domain does not serve, out of what it said on its console.
//! A kernel that panics says why first and prints a trace after it: the reason
//! is what a person needs, so it is looked for.

use super::store_role::FAILED;
use crate::toolstack::Error;

/// The error of a xenstore domain that `how` ("is shut down before it serves"),
/// after it `said` this.
pub(super) fn silent(how: &str, said: &str) -> Error {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let panic = lines.iter().position(|line| line.contains(PANIC));
    let reason = lines.iter().find_map(|line| line.strip_prefix(FAILED));
    let why = panic
        .map(|at| lines[at])
        .or(reason)
        .map_or(String::new(), |why| format!(": {why}"));
    let hint = if panic.is_some() && why.contains("memory") {
        "\nhint: give the xenstore domain more memory"
    } else {
        ""
    };
    let from = panic.unwrap_or(lines.len().saturating_sub(SHOWN));
    let shown = lines[from..].iter().take(SHOWN);
    Error {
        log: shown.map(|line| (*line).to_owned()).collect(),
        ..Error::new(format!("the xenstore domain {how}{why}{hint}"))
    }
}

const PANIC: &str = "Kernel panic - not syncing";

/// Lines of the domain's console in an error.
const SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_its_kernel_is_the_reason_and_not_the_trace_after_it() {
        let mut said = "[ 1.0] up\r\n".to_owned();
        said.push_str("[ 2.0] Kernel panic - not syncing: System is deadlocked on memory\r\n");
        for frame in 0..40 {
            said.push_str(&format!("[ 2.1]  frame_{frame}+0x1/0x2\r\n"));
        }
        let error = silent("crashed", &said);
        assert_eq!(
            error.text,
            "the xenstore domain crashed: [ 2.0] Kernel panic - not syncing: \
             System is deadlocked on memory\n\
             hint: give the xenstore domain more memory"
        );
        assert_eq!(error.log.len(), SHOWN);
        assert!(error.log[0].contains("Kernel panic"), "{:?}", error.log);
    }

    #[test]
    fn what_it_says_itself_is_the_reason_too() {
        let error = silent("cannot serve", &format!("one\n{FAILED}no ring\n"));
        assert_eq!(error.text, "the xenstore domain cannot serve: no ring");
    }

    #[test]
    fn without_a_reason_its_last_lines_are_shown() {
        let error = silent("does not serve", "one\ntwo\n");
        assert_eq!(error.text, "the xenstore domain does not serve");
        assert_eq!(error.log, ["one", "two"]);
    }
}
