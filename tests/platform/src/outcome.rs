// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a boot came to, read from its serial log: what the control domain
//! found, what each domain's console printed, how each step ended. The control
//! domain's lines carry a word at their start (`roots/control-init.sh`); lines
//! of Xen and the kernels may stand between them. What a test asks for and is
//! not there is an error that says so, never an empty answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::serial::Line;

/// A finished boot.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The boot's directory: its configuration, its image, its log.
    pub directory: PathBuf,
    /// The whole serial log.
    pub lines: Vec<Line>,
    /// Bank and PCR to its value in lower-case hexadecimal, as the control
    /// domain's kernel read it from the TPM before the first step.
    pub pcrs: BTreeMap<(String, u8), String>,
    /// The boot report the control domain found, as text.
    report: String,
    /// `xl list` before the first step, domain 0 left out.
    pub domains: Vec<Listed>,
    /// `xl list` after the last step.
    pub finally: Vec<Listed>,
    /// Process id to program, at the start of the control domain's init.
    pub processes: BTreeMap<u32, String>,
    /// Domid to what its console printed.
    pub consoles: BTreeMap<u16, Vec<Line>>,
    steps: BTreeMap<String, StepOutcome>,
}

/// A line of `xl list`.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed {
    /// The domain's name.
    pub name: String,
    /// Its domid.
    pub domid: u16,
    /// Its memory.
    pub memory_mib: u64,
    /// Its virtual CPUs.
    pub vcpus: u32,
    /// Six letters or dashes, as `xl` prints them.
    pub state: String,
}

/// What a step printed and how it ended.
#[derive(Debug, Default)]
pub struct StepOutcome {
    /// Its exit status.
    pub exit: Option<i32>,
    /// Its output, both streams.
    pub lines: Vec<String>,
}

impl Outcome {
    /// Sorts the lines of a log.
    #[must_use]
    pub fn read(lines: &[Line], directory: &Path) -> Outcome {
        let (directory, kept) = (directory.to_owned(), lines.to_vec());
        let mut outcome = Outcome {
            directory,
            lines: kept,
            ..Outcome::default()
        };
        for line in lines {
            outcome.line(line);
        }
        outcome
    }

    /// The boot report the control domain found.
    pub fn report(&self) -> Result<Value> {
        parse_report(&self.report)
    }

    /// A step that ran.
    pub fn step(&self, name: &str) -> Result<&StepOutcome> {
        self.steps
            .get(name)
            .ok_or_else(|| Error::Untrue(format!("the step {name} did not run")))
    }

    /// The first line that contains all of `words`, in any order.
    pub fn find(&self, words: &[&str]) -> Result<&Line> {
        let found = self
            .lines
            .iter()
            .find(|line| words.iter().all(|word| line.text.contains(word)));
        found
            .ok_or_else(|| Error::Untrue(format!("no line of the serial log has all of {words:?}")))
    }

    /// What the domains' consoles printed that begins so.
    #[must_use]
    pub fn console_lines(&self, start: &str) -> Vec<&str> {
        let lines = self.consoles.values().flatten();
        lines
            .map(|line| line.text.as_str())
            .filter(|line| line.starts_with(start))
            .collect()
    }

    /// The banks in which that PCR could be read.
    #[must_use]
    pub fn banks(&self, pcr: u8) -> Vec<&str> {
        let keys = self.pcrs.keys().filter(|(_, index)| *index == pcr);
        keys.map(|(bank, _)| bank.as_str()).collect()
    }

    /// How many heartbeats a domain's console printed under that name, from
    /// `since` on.
    #[must_use]
    pub fn heartbeats(&self, domid: u16, name: &str, since: std::time::Duration) -> usize {
        let beat = format!("heartbeat {name} ");
        let console = self
            .consoles
            .get(&domid)
            .map(Vec::as_slice)
            .unwrap_or_default();
        console
            .iter()
            .filter(|line| line.at >= since && line.text.starts_with(&beat))
            .count()
    }

    fn line(&mut self, line: &Line) {
        let text = line.text.as_str();
        if let Some(rest) = text.strip_prefix("control: ") {
            self.control(rest);
        } else if let Some(rest) = text.strip_prefix("report: ") {
            self.report.push_str(rest);
            self.report.push('\n');
        } else if let Some(rest) = text.strip_prefix("xl list: ") {
            self.domains.extend(listed(rest));
        } else if let Some(rest) = text.strip_prefix("console ") {
            self.console(rest, line);
        } else if let Some(rest) = text.strip_prefix("STEP ") {
            self.step_edge(rest);
        } else if let Some((name, rest)) =
            text.strip_prefix("step ").and_then(|s| s.split_once(": "))
        {
            self.steps
                .entry(name.to_owned())
                .or_default()
                .lines
                .push(rest.to_owned());
        }
    }

    fn control(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["pcr", bank, pcr, value] => {
                if let Ok(pcr) = pcr.parse() {
                    self.pcrs
                        .insert(((*bank).to_owned(), pcr), value.to_lowercase());
                }
            }
            ["process", pid, exe, ..] => {
                if let Ok(pid) = pid.parse() {
                    self.processes.insert(pid, (*exe).to_owned());
                }
            }
            ["finally:", ..] => {
                self.finally
                    .extend(text.strip_prefix("finally: ").and_then(listed));
            }
            _ => {}
        }
    }

    fn console(&mut self, text: &str, line: &Line) {
        let Some((domid, text)) = text.split_once(": ") else {
            return;
        };
        if let Ok(domid) = domid.parse() {
            let line = Line {
                at: line.at,
                text: text.to_owned(),
            };
            self.consoles.entry(domid).or_default().push(line);
        }
    }

    /// `NAME begins SECONDS` or `NAME exit=STATUS SECONDS`.
    fn step_edge(&mut self, text: &str) {
        let [name, what, _seconds] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            return;
        };
        let step = self.steps.entry(name.to_owned()).or_default();
        if let Some(status) = what.strip_prefix("exit=") {
            step.exit = status.parse().ok();
        }
    }
}

impl StepOutcome {
    /// The report of the step's own `launch`.
    pub fn report(&self) -> Result<Value> {
        let lines = self
            .lines
            .iter()
            .filter_map(|line| line.strip_prefix("report: "));
        parse_report(&lines.collect::<Vec<_>>().join("\n"))
    }

    /// The domains there were after the step's own `launch`.
    #[must_use]
    pub fn domains(&self) -> Vec<Listed> {
        let lines = self
            .lines
            .iter()
            .filter_map(|line| line.strip_prefix("xl list: "));
        lines.filter_map(listed).collect()
    }

    /// The first line that contains all of `words`.
    pub fn find(&self, words: &[&str]) -> Result<&str> {
        let found = self
            .lines
            .iter()
            .find(|line| words.iter().all(|word| line.contains(word)));
        found.map(String::as_str).ok_or_else(|| {
            let said = self.lines.join("\n  ");
            Error::Untrue(format!(
                "no line of the step has all of {words:?}; it said\n  {said}"
            ))
        })
    }
}

fn parse_report(text: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map_err(|error| Error::Untrue(format!("the boot report is not JSON: {error}\n{text}")))
}

/// A line of `xl list`; none for its head and for domain 0.
fn listed(text: &str) -> Option<Listed> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [name, domid, memory, vcpus, state, _time] = words[..] else {
        return None;
    };
    let domid = domid.parse().ok().filter(|domid| *domid != 0)?;
    let (memory_mib, vcpus) = (memory.parse().ok()?, vcpus.parse().ok()?);
    Some(Listed {
        name: name.to_owned(),
        domid,
        memory_mib,
        vcpus,
        state: state.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LOG: &str = "\
(XEN) something
control: pcr sha256 13 00AB
control: process 1 /bin/busybox
report: {
report:   \"version\": 1
report: }
xl list: Name                                        ID   Mem VCPUs\tState\tTime(s)
xl list: Domain-0                                     0  1024     2     r-----       5.9
xl list: net                                          7    96     1     -b----       2.6
console 7: heartbeat net 1
STEP denied begins 10.5
step denied: report: {\"exit_code\": 7}
step denied: xl list: web                             9    96     1     --p---       2.6
STEP denied exit=7 12.0
console 7: heartbeat net 2
control: finally: net                                 7    96     1     -b----       2.6";

    fn outcome() -> Outcome {
        let line = |(second, text): (u64, &str)| Line {
            at: Duration::from_secs(second),
            text: text.into(),
        };
        Outcome::read(
            &(0..).zip(LOG.lines()).map(line).collect::<Vec<_>>(),
            Path::new(""),
        )
    }

    #[test]
    fn every_kind_of_line_finds_its_place() {
        let outcome = outcome();
        assert_eq!(outcome.pcrs[&("sha256".to_owned(), 13)], "00ab");
        assert_eq!(outcome.processes[&1], "/bin/busybox");
        assert_eq!(outcome.report().unwrap()["version"], 1);
        assert_eq!(outcome.domains.len(), 1);
        assert_eq!(
            (outcome.domains[0].name.as_str(), outcome.domains[0].domid),
            ("net", 7)
        );
        assert_eq!(outcome.finally, outcome.domains);
        let step = outcome.step("denied").unwrap();
        assert_eq!(step.exit, Some(7));
        assert_eq!(step.report().unwrap()["exit_code"], 7);
        assert_eq!(step.domains()[0].domid, 9);
    }

    #[test]
    fn heartbeats_before_the_moment_asked_for_do_not_count() {
        assert_eq!(outcome().heartbeats(7, "net", Duration::ZERO), 2);
        assert_eq!(outcome().heartbeats(7, "net", Duration::from_secs(12)), 1);
        assert_eq!(outcome().heartbeats(7, "web", Duration::ZERO), 0);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        assert!(outcome().step("other").is_err());
        assert!(outcome().find(&["absent"]).is_err());
        assert!(Outcome::default().report().is_err());
    }
}
