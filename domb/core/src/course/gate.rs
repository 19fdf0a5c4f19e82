// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether a domain is ready by what is seen of it. Lines of a console are
//! compared whole, as they end; a guest that writes without end costs a fixed
//! amount of memory.

use std::collections::VecDeque;

use crate::config::Ready;

/// What is seen of a domain at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// What the node of `xenstore` holds; None: there is no such node.
    pub node: Option<String>,
    /// A line of the console fitted so far.
    pub line: bool,
    /// The state of the backend of `backend`, as XenStore has it.
    pub backend: Option<String>,
    /// It runs and has not ended.
    pub running: bool,
}

/// Whether everything that `ready` names holds.
#[must_use]
pub fn holds(ready: &Ready, seen: &Seen) -> bool {
    let node = ready.node.as_ref().is_none_or(|node| {
        let held = seen.node.as_ref();
        held.is_some_and(|held| node.equals.as_ref().is_none_or(|wanted| wanted == held))
    });
    let backend = ready
        .backend
        .as_ref()
        .is_none_or(|backend| seen.backend.as_deref() == Some(backend.state.number()));
    node && backend && (seen.line || ready.console.is_none()) && (seen.running || !ready.running)
}

/// Whether a part of `line` is `pattern`, in which `*` stands for any text.
#[must_use]
pub fn fits(pattern: &str, line: &str) -> bool {
    let mut rest = line;
    // Each part as early as it comes: with any text between them that never
    // takes a place that a later part needs.
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// The lines of a console as they come, and whether one fitted.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    open: Vec<u8>,
    last: VecDeque<String>,
    fitted: bool,
}

impl Lines {
    /// The longest line that is kept whole; more of it begins another.
    const LONGEST: usize = 1024;
    /// So many lines are kept for whoever asks why a domain failed.
    const KEPT: usize = 12;

    /// Takes what was read. A line that has not ended yet is compared as well:
    /// `login:` has no end.
    pub fn take(&mut self, bytes: &[u8], pattern: &str) {
        for byte in bytes {
            match byte {
                b'\n' => self.end(pattern),
                b'\r' => {}
                _ => self.open.push(*byte),
            }
            if self.open.len() == Lines::LONGEST {
                self.end(pattern);
            }
        }
        self.fitted |= fits(pattern, &String::from_utf8_lossy(&self.open));
    }

    /// Whether a line fitted.
    #[must_use]
    pub fn fitted(&self) -> bool {
        self.fitted
    }

    /// The last lines that were not empty.
    #[must_use]
    pub fn last(&self) -> Vec<String> {
        let open = String::from_utf8_lossy(&self.open);
        let open = Some(open.trim_end().to_owned()).filter(|line| !line.is_empty());
        let mut lines: Vec<String> = self.last.iter().cloned().chain(open).collect();
        lines.drain(..lines.len().saturating_sub(Lines::KEPT));
        lines
    }

    fn end(&mut self, pattern: &str) {
        let line = String::from_utf8_lossy(&self.open).trim_end().to_owned();
        self.open.clear();
        self.fitted |= fits(pattern, &line);
        if line.is_empty() {
            return;
        }
        self.last.push_back(line);
        if self.last.len() > Lines::KEPT {
            self.last.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Backend, BackendState, Node, OnTimeout};

    fn nothing() -> Ready {
        Ready {
            node: None,
            console: None,
            backend: None,
            running: false,
            timeout: Duration::ZERO,
            on_timeout: OnTimeout::Fail,
        }
    }

    #[test]
    fn everything_that_is_named_has_to_hold() {
        let node = |equals: Option<&str>| Node {
            path: "data/ready".to_owned(),
            equals: equals.map(str::to_owned),
        };
        let ready = Ready {
            node: Some(node(Some("1"))),
            console: Some("up".to_owned()),
            backend: Some(Backend {
                device: "vif/0".to_owned(),
                state: BackendState::Connected,
            }),
            running: true,
            ..nothing()
        };
        let all = Seen {
            node: Some("1".to_owned()),
            line: true,
            backend: Some("4".to_owned()),
            running: true,
        };
        assert!(holds(&ready, &all));
        let lacking: [fn(&mut Seen); 6] = [
            |seen| seen.node = None,
            |seen| seen.node = Some("0".to_owned()),
            |seen| seen.line = false,
            |seen| seen.backend = None,
            |seen| seen.backend = Some("3".to_owned()),
            |seen| seen.running = false,
        ];
        for (index, change) in lacking.into_iter().enumerate() {
            let mut seen = all.clone();
            change(&mut seen);
            assert!(!holds(&ready, &seen), "{index}");
        }
        let there = Ready {
            node: Some(node(None)),
            ..nothing()
        };
        let empty = Seen {
            node: Some(String::new()),
            ..Seen::default()
        };
        assert!(holds(&there, &empty));
        assert!(!holds(&there, &Seen::default()));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, line) in [
            ("login:", "debian login: "),
            ("listening on *:80", "listening on 10.0.0.1:80"),
            ("*up*", "it is up now"),
            ("a*a", "aa"),
            ("a*b*c", "xaxbxcx"),
        ] {
            assert!(fits(pattern, line), "{pattern} {line}");
        }
        for (pattern, line) in [("login:", "login"), ("a*a", "a"), ("a*b", "ba"), ("x", "")] {
            assert!(!fits(pattern, line), "{pattern} {line}");
        }
    }

    #[test]
    fn lines_that_come_in_pieces_are_compared_whole() {
        let mut lines = Lines::default();
        lines.take(b"first\r\nal", "all is up");
        assert!(!lines.fitted());
        lines.take(b"l is ", "all is up");
        assert!(!lines.fitted());
        lines.take(b"up", "all is up");
        assert!(lines.fitted());
        lines.take(b"\nlast\n", "all is up");
        assert!(lines.fitted());
        assert_eq!(lines.last(), ["first", "all is up", "last"]);
    }

    #[test]
    fn a_console_without_end_is_kept_within_bounds() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.take(&[b'x'; 10_000], "y");
        }
        assert!(lines.open.len() < Lines::LONGEST);
        assert_eq!(lines.last().len(), Lines::KEPT);
        assert!(!lines.fitted());
    }
}
