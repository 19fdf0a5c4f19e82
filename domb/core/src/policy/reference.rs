// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The reference of what a launch script can use, made from the table that
//! registers it.

use std::fmt::Write as _;
use std::rc::Rc;

use super::draft::Plan;
use super::engine;
use super::facts::Facts;
use super::limits::{Limit, Limits};
use super::rehearse;
use super::table::Row;

/// The reference as Markdown; the same text for the same domb.
#[must_use]
pub fn reference() -> String {
    let plan = Plan::new(Rc::new(Facts::default()), 0);
    let (_, rows) = engine::sandbox(&Limits::default(), &plan);
    let mut out = String::from(HEAD);
    let rows: Vec<Row> = rows.into_iter().chain(rehearse::table()).collect();
    for (index, row) in rows.iter().enumerate() {
        if index == 0 || rows[index - 1].on != row.on {
            write!(out, "\n## {}\n\n", row.on).expect(NEVER);
        }
        let doc = row.doc.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let gives = match row.returns {
            "()" => String::new(),
            returns => format!(" → {returns}"),
        };
        writeln!(out, "- `{}`{gives}: {}", usage(row), doc.trim()).expect(NEVER);
    }
    out.push_str(
        "\n## Limits\n\n\
         `[limits]` of the configuration can lower each, and nothing can raise one:\n\n    \
         [limits]\n    operations = 50000\n    log_lines = 20\n\n",
    );
    out.push_str("| limit | default | counts |\n|---|---:|---|\n");
    for limit in Limit::ALL {
        let (name, default, meaning) = (limit.name(), limit.default_value(), limit.meaning());
        writeln!(out, "| `{name}` | {default} | {meaning} |").expect(NEVER);
    }
    out
}

/// How a script writes it: `plan.allow(name)`, `domain.kernel`, `a + b`.
fn usage(row: &Row) -> String {
    let Some((name, rest)) = row.signature.split_once('(') else {
        return format!("{}.{}", row.on.to_lowercase(), row.signature);
    };
    let parameters: Vec<&str> = rest.trim_end_matches(')').split(", ").collect();
    match parameters.as_slice() {
        [a, b] if !name.starts_with(|c: char| c.is_ascii_alphabetic()) => format!("{a} {name} {b}"),
        [on, others @ ..] if METHODS.contains(&row.on) => {
            format!("{on}.{name}({})", others.join(", "))
        }
        all => format!("{name}({})", all.join(", ")),
    }
}

/// What is written before the dot.
const METHODS: [&str; 14] = [
    "Test",
    "Answer",
    "Facts in a test",
    "Facts",
    "Domain",
    "Control",
    "Image",
    "File",
    "Platform",
    "Tpm",
    "Plan",
    "String",
    "Array",
    "Map",
];

const NEVER: &str = "writing to a String cannot fail";

const HEAD: &str = r##"# Launch script reference

<!-- Made by `domb script docs`; do not edit. -->

A launch script is written in [Rhai](https://rhai.rs) and defines one function:

```rhai
fn launch(facts, plan) {
    plan.allow_all();
    plan
}
```

It reads `facts`, answers through `plan`, and returns `plan`. A domain it says
nothing about is not launched. A script that fails, runs into a limit or returns
something else launches nothing.

Two more functions are asked while the launch is under way, if they are there.
Both may write to the report with `log`. One that fails or runs into a limit
stops the launch.

```rhai
fn on_failed(domain, attempt, reason) {
    if reason.starts_with("timeout") && attempt < 3 { return "retry"; }
    "skip"
}

fn on_ready(domain) { }
```

`on_failed` is asked about each domain that failed; `attempt` counts from 1, and
`reason` begins with `build:`, `start:`, `ended:`, `timeout:` or `refused:`. It
returns `"stop"`, `"skip"`, `"retry"`, `"substitute NAME"`, `"recover"`, or `()`
for what the configuration says. A domain is tried ten times at most. `on_ready`
is asked about each domain that has a gate when the gate opens; a text it returns
is the reason why the domain counts as failed.

Functions see their parameters, their own variables and the constants at the top
of the script. An anonymous function, `|item| item.name`, sees its parameters and
those constants only. Numbers are 64-bit integers, and overflow is an error.
There is no `import`, no `eval`, no floating point, no clock, no chance and no
input or output besides `log`.

Functions named `test_…` are tests of the script: `domb script test` calls each
with a Test, and runs nothing else.
"##;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_sentence_and_stands_once() {
        let text = reference();
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("- `"))
            .collect();
        assert!(rows.len() > 80, "{}", rows.len());
        for (index, row) in rows.iter().enumerate() {
            assert!(row.ends_with('.'), "{row}");
            assert!(!rows[..index].contains(row), "{row}");
        }
        for wanted in [
            "`plan.allow(name)`",
            "`domain.kernel` → File",
            "`array + array` → array",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
    }
}
