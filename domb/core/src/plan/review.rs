// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A whole plan as text that is worth keeping under version control: one
//! heading for each step, what the step does below it, nothing that depends
//! on when or where it was made. And two of them held against each other.
//!
//! It trusts nothing of a plan that was read from a file: what could move a
//! cursor is escaped.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Step;
use crate::diagnostic::escape;
use crate::measure::{Bank, Digests, Event, canonical};
use crate::units::PcrIndex;

/// What a launch will do, from the first measurement to the last domain's
/// start.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Review {
    /// The version of this format, [`Review::VERSION`].
    pub version: u32,
    /// The PCR that is extended.
    pub pcr: PcrIndex,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What the launch script writes into the report.
    pub log: Vec<String>,
    /// The PCR after the last measurement, if nobody else extends it.
    pub values: Digests,
}

impl Review {
    /// The version of the format.
    pub const VERSION: u32 = 1;

    /// The plan as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for block in self.blocks() {
            push(&mut out, "", &block.heading);
            block.lines.iter().for_each(|l| push(&mut out, "  ", l));
        }
        out
    }

    /// What is another in `new`: removed lines begin with `-`, added ones with
    /// `+`, below the headings of their steps. Empty if nothing is.
    #[must_use]
    pub fn diff(&self, new: &Review) -> String {
        let (old, new) = (self.blocks(), new.blocks());
        let heading = |block: &Block| block.heading.clone();
        let headings: [Vec<String>; 2] =
            [&old, &new].map(|side| side.iter().map(heading).collect());
        let mut out = String::new();
        for pair in pairs(&headings[0], &headings[1]) {
            match pair {
                (Some(a), Some(b)) => inner(&mut out, &old[a], &new[b]),
                (Some(a), None) => whole(&mut out, '-', &old[a]),
                (None, Some(b)) => whole(&mut out, '+', &new[b]),
                (None, None) => {}
            }
        }
        out
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = self.steps.iter().map(Block::of).collect();
        if !self.log.is_empty() {
            blocks.push(Block::new("report".to_owned(), self.log.clone()));
        }
        let values = self.values.iter();
        let values = values.map(|value| format!("{:<6} {value}", value.bank().name()));
        blocks.push(Block::new(format!("PCR {}", self.pcr), values.collect()));
        blocks
    }
}

/// A step: what it is, and what it does exactly.
struct Block {
    heading: String,
    lines: Vec<String>,
}

impl Block {
    fn new(heading: String, lines: Vec<String>) -> Block {
        Block { heading, lines }
    }

    fn of(step: &Step) -> Block {
        let heading = |verb: &str, name: &str| format!("{verb} {name}");
        match step {
            Step::Measure(event) => {
                Block::new(heading("measure", &measured(event)), event_lines(event))
            }
            Step::Decide(decided) => {
                let verdict = match decided.why.as_str() {
                    "" => decided.verdict.clone(),
                    why => format!("{}: {why}", decided.verdict),
                };
                let changes = decided.changes.iter();
                let changes = changes.map(|(key, value)| format!("{key} = {value}"));
                let lines = std::iter::once(verdict).chain(changes).collect();
                Block::new(heading("decide", &decided.name), lines)
            }
            Step::Create { name, domid, libxl } => {
                let mut lines = vec![format!("domid {domid}")];
                flatten("", libxl, &mut lines);
                Block::new(heading("create", name), lines)
            }
            Step::Withhold { range } => Block::new(
                "withhold from the hardware domain".to_owned(),
                vec![range.clone()],
            ),
            Step::Relabel { label } => {
                Block::new("relabel domain 0".to_owned(), vec![label.clone()])
            }
            Step::Unpause { name, domid } => {
                Block::new(heading("unpause", name), vec![format!("domid {domid}")])
            }
            Step::Await {
                name,
                domid,
                ready,
                timeout,
            } => {
                let lines = vec![
                    format!("domid {domid}"),
                    ready.clone(),
                    format!("within {timeout}"),
                ];
                Block::new(heading("await", name), lines)
            }
            Step::Destroy { name, domid } => {
                Block::new(heading("destroy", name), vec![format!("domid {domid}")])
            }
        }
    }
}

fn measured(event: &Event) -> String {
    let what = event.component().name();
    match &event.entry.domain {
        Some(domain) => format!("{what} of {domain}"),
        None => what.to_owned(),
    }
}

fn event_lines(event: &Event) -> Vec<String> {
    let entry = &event.entry;
    if entry.absent {
        return vec!["absent".to_owned()];
    }
    let mut lines: Vec<String> = entry.path.iter().cloned().collect();
    lines.extend(entry.bytes.map(|bytes| format!("{bytes} bytes")));
    lines.extend(entry.original.as_ref().map(|file| {
        let (bytes, sha256) = (file.bytes, &file.sha256);
        format!("from {}, {bytes} bytes, sha256 {sha256}", file.format)
    }));
    lines.extend(entry.text.as_ref().map(|text| match text.as_str() {
        "" => "nothing".to_owned(),
        text => text.to_owned(),
    }));
    let digest = event.digests.bank(Bank::Sha256);
    let digest = digest.or_else(|| event.digests.iter().next());
    lines.extend(digest.map(|digest| format!("{} {digest}", digest.bank())));
    lines
}

/// Every value in `value` as a line `path = value`.
fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                flatten(&path, value, lines);
            }
        }
        value => lines.push(format!("{path} = {}", canonical::to_string(value))),
    }
}

fn push(out: &mut String, indent: &str, line: &str) {
    *out += indent;
    *out += &escape(line);
    out.push('\n');
}

fn whole(out: &mut String, sign: char, block: &Block) {
    push(out, &format!("{sign} "), &block.heading);
    let indent = format!("{sign}   ");
    block.lines.iter().for_each(|line| push(out, &indent, line));
}

fn inner(out: &mut String, old: &Block, new: &Block) {
    if old.lines == new.lines {
        return;
    }
    push(out, "  ", &old.heading);
    for pair in pairs(&old.lines, &new.lines) {
        match pair {
            (Some(a), None) => push(out, "-   ", &old.lines[a]),
            (None, Some(b)) => push(out, "+   ", &new.lines[b]),
            _ => {}
        }
    }
}

/// The items of both lists in one order: those of a longest common
/// subsequence as pairs, every other alone; what went before what came.
fn pairs<T: PartialEq>(old: &[T], new: &[T]) -> Vec<(Option<usize>, Option<usize>)> {
    // common[a][b]: how long it is in old[a..] and new[b..].
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            common[a][b] = if old[a] == new[b] {
                common[a + 1][b + 1] + 1
            } else {
                common[a + 1][b].max(common[a][b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut pairs = Vec::with_capacity(old.len().max(new.len()));
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            pairs.push((Some(a), Some(b)));
            (a, b) = (a + 1, b + 1);
        } else if b == new.len() || a < old.len() && common[a + 1][b] >= common[a][b + 1] {
            pairs.push((Some(a), None));
            a += 1;
        } else {
            pairs.push((None, Some(b)));
            b += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Domid;

    fn review(steps: Vec<Step>) -> Review {
        Review {
            version: Review::VERSION,
            pcr: PcrIndex::DEFAULT,
            steps,
            log: vec![],
            values: Digests::default(),
        }
    }

    fn create(name: &str, libxl: Value) -> Step {
        Step::Create {
            name: name.to_owned(),
            domid: Domid::new(7).unwrap(),
            libxl,
        }
    }

    #[test]
    fn a_changed_field_is_shown_below_its_step() {
        let plan = |memory: u64| {
            let libxl = serde_json::json!({ "b_info": { "max_memkb": memory, "type.pv": {} } });
            review(vec![create("net", libxl)])
        };
        assert_eq!(
            plan(1).diff(&plan(2)),
            "  create net\n-   b_info.max_memkb = 1\n+   b_info.max_memkb = 2\n"
        );
        assert_eq!(plan(1).diff(&plan(1)), "");
    }

    #[test]
    fn a_step_that_is_new_is_shown_whole() {
        let one = create("net", Value::Null);
        let two = create("web", Value::Null);
        let diff = review(vec![one.clone()]).diff(&review(vec![two, one]));
        assert_eq!(diff, "+ create web\n+   domid 7\n+    = null\n");
    }

    #[test]
    fn nothing_in_a_plan_moves_the_cursor() {
        let text = review(vec![create("a\u{1b}[2J\nb", Value::Null)]).text();
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.starts_with("create a"), "{text}");
    }

    proptest! {
        #[test]
        fn pairs_keep_every_item_once_and_in_order(
            old in prop::collection::vec(0_u8..4, 0..12),
            new in prop::collection::vec(0_u8..4, 0..12),
        ) {
            let pairs = pairs(&old, &new);
            let left: Vec<usize> = pairs.iter().filter_map(|pair| pair.0).collect();
            let right: Vec<usize> = pairs.iter().filter_map(|pair| pair.1).collect();
            prop_assert_eq!(left, (0..old.len()).collect::<Vec<_>>());
            prop_assert_eq!(right, (0..new.len()).collect::<Vec<_>>());
            for pair in pairs {
                if let (Some(a), Some(b)) = pair {
                    prop_assert_eq!(old[a], new[b]);
                }
            }
        }
    }
}
