// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb log`: what a log says (`show`), whether it explains what the PCR
//! holds and is what was predicted (`verify`), and which thing changed between
//! two launches (`diff`).
//!
//! A log is a claim by whoever had the file; nothing is believed of it that a
//! PCR value or a prediction does not confirm. Everything read here may be
//! hostile.

mod input;
mod listing;
mod pcr_values;

use std::path::PathBuf;

use domb_core::measure::{
    BankCheck, Change, Component, Digests, Event, LaunchRecord, cel, check, diff,
};
use domb_core::units::PcrIndex;
use serde_json::json;

pub use listing::{listing, subject};

use crate::exit::Exit;
use crate::output;
use crate::tpm::{Tpm, TpmDevice};
use input::Error;

/// What to do with event logs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// Show what a log says
    Show(Show),
    /// Compare a log with what the PCR holds, with a prediction, or with both
    Verify(Verify),
    /// Say what changed between two launches
    Diff(Diff),
}

#[derive(Clone, Debug, clap::Args)]
struct Show {
    /// The event log
    log: PathBuf,
    /// As JSON
    #[arg(long, conflicts_with = "cel")]
    json: bool,
    /// As a Canonical Event Log (CEL-JSON)
    #[arg(long)]
    cel: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Verify {
    /// The event log
    log: PathBuf,
    /// The PCR's values: the output of tpm2_pcrread or tpm2_checkquote, or lines BANK:HEX
    #[arg(long, value_name = "FILE", conflicts_with = "tpm", required_unless_present_any = ["tpm", "prediction"])]
    pcrs: Option<PathBuf>,
    /// Read the PCR's values from this TPM: a character device, or swtpm:HOST:PORT
    #[arg(long, value_name = "TPM")]
    tpm: Option<TpmDevice>,
    /// What the PCR held before the launch, as for --pcrs [default: zero]
    #[arg(long, value_name = "FILE")]
    initial: Option<PathBuf>,
    /// What `domb predict --json` wrote
    #[arg(long, value_name = "FILE")]
    prediction: Option<PathBuf>,
    /// Which outcome of the prediction is wanted
    #[arg(
        long,
        value_name = "OUTCOME",
        default_value = "launched",
        requires = "prediction"
    )]
    outcome: String,
}

#[derive(Clone, Debug, clap::Args)]
struct Diff {
    /// The old launch: an event log, or what `domb predict --json` wrote
    old: PathBuf,
    /// The new launch, likewise
    new: PathBuf,
    /// Which outcome of a prediction is meant
    #[arg(long, value_name = "OUTCOME", default_value = "launched")]
    outcome: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// The verb.
#[must_use]
pub fn command(options: &Options) -> Exit {
    let done = match &options.verb {
        Verb::Show(options) => show(options),
        Verb::Verify(options) => verify(options),
        Verb::Diff(options) => compare(options),
    };
    match done {
        Ok((text, exit)) => output::write(&text, exit),
        Err(error) => output::fail(&error, error.exit()),
    }
}

fn show(options: &Show) -> Result<(String, Exit), Error> {
    let record = input::log(&options.log)?;
    let text = if options.cel {
        format!("{:#}\n", cel::to_json(&record.events))
    } else if options.json {
        let value = json!({"pcr": record.pcr, "banks": record.banks, "events": record.events});
        format!("{value:#}\n")
    } else {
        let end = record
            .outcome()
            .unwrap_or_else(|| "cut short: it has no final event".to_owned());
        format!(
            "PCR {}, {} events, {end}\n{}",
            record.pcr,
            record.events.len(),
            listing(&record.events)
        )
    };
    Ok((text, Exit::Success))
}

fn verify(options: &Verify) -> Result<(String, Exit), Error> {
    let record = input::log(&options.log)?;
    let mut findings = Findings::default();
    if let Some(values) = pcr_values_of(options, record.pcr)? {
        let initial = match &options.initial {
            Some(path) => input::pcr_values(path, record.pcr)?,
            None => Digests::default(),
        };
        findings.values(&record, &values, &initial)?;
    }
    if let Some(path) = &options.prediction {
        findings.prediction(&record, &input::prediction(path, &options.outcome)?)?;
    }
    findings.ending(&record);
    Ok(findings.told())
}

fn pcr_values_of(options: &Verify, pcr: PcrIndex) -> Result<Option<Digests>, Error> {
    if let Some(path) = &options.pcrs {
        return input::pcr_values(path, pcr).map(Some);
    }
    let Some(device) = &options.tpm else {
        return Ok(None);
    };
    let mut tpm = Tpm::open(device)?;
    let banks = tpm.active_banks(pcr)?.known;
    Ok(Some(tpm.read_all(pcr, &banks)?))
}

fn compare(options: &Diff) -> Result<(String, Exit), Error> {
    let old = input::launch(&options.old, &options.outcome)?;
    let new = input::launch(&options.new, &options.outcome)?;
    let changes = diff(&old, &new).ok_or(Error::NoCommonBank)?;
    let exit = if changes.is_empty() {
        Exit::Success
    } else {
        Exit::Log
    };
    let text = if options.json {
        format!("{:#}\n", json!(changes))
    } else {
        changes_text(&changes)
    };
    Ok((text, exit))
}

/// The changes, a line each, and that there are no others.
fn changes_text(changes: &[Change]) -> String {
    match changes {
        [] => "all is equal\n".to_owned(),
        [change] => format!("{change}, all else equal\n"),
        _ => {
            let lines: String = changes.iter().map(|change| format!("{change}\n")).collect();
            lines + "all else equal\n"
        }
    }
}

/// What a verification found, line by line.
#[derive(Default)]
struct Findings {
    lines: String,
    failed: bool,
}

impl Findings {
    fn line(&mut self, holds: bool, text: &str) {
        self.failed |= !holds;
        self.lines += &format!("{} {text}\n", if holds { "ok  " } else { "FAIL" });
    }

    fn values(
        &mut self,
        record: &LaunchRecord,
        values: &Digests,
        initial: &Digests,
    ) -> Result<(), Error> {
        let checks = check(&record.events, values, initial);
        if checks.is_empty() {
            return Err(Error::NoCommonBank);
        }
        for check in &checks {
            self.line(check.is_explained(), &bank_text(record, check));
        }
        for bank in values
            .banks()
            .iter()
            .filter(|bank| !record.banks.contains(bank))
        {
            self.line(
                false,
                &format!("{bank}: the PCR has this bank and the log does not"),
            );
        }
        Ok(())
    }

    fn prediction(&mut self, record: &LaunchRecord, predicted: &[Event]) -> Result<(), Error> {
        let changes = diff(predicted, &record.events).ok_or(Error::NoCommonBank)?;
        let text = match &changes[..] {
            [] => "the log has the predicted events and no others".to_owned(),
            _ => format!(
                "the log is not what was predicted:\n{}",
                changes_text(&changes).trim_end()
            ),
        };
        self.line(changes.is_empty(), &text.replace('\n', "\n     "));
        Ok(())
    }

    fn ending(&mut self, record: &LaunchRecord) {
        match record.outcome() {
            Some(outcome) => self.line(true, &format!("the launch ended: {outcome}")),
            None => self.line(
                false,
                "the launch was cut short: the log has no final event",
            ),
        }
    }

    fn told(self) -> (String, Exit) {
        (
            self.lines,
            if self.failed {
                Exit::Log
            } else {
                Exit::Success
            },
        )
    }
}

fn bank_text(record: &LaunchRecord, check: &BankCheck) -> String {
    let (bank, pcr) = (check.bank(), record.pcr);
    let mut text = match check.is_explained() {
        true => return format!("{bank}: the log explains PCR {pcr}: {}", check.found),
        false => format!(
            "{bank}: PCR {pcr} holds {}, the log gives {}",
            check.found, check.replayed
        ),
    };
    match check.after {
        Some(0) => {
            text += "\n     the PCR stands where it was before the launch: none of the log's events was extended";
        }
        Some(count) => {
            let last = &record.events[count - 1];
            let domain = last
                .entry
                .domain
                .as_ref()
                .map(|name| format!(" of domain {name}"));
            text += &format!(
                "\n     the PCR stands after event {} ({}{}): the later events were logged and not extended",
                count - 1,
                last.component().name(),
                domain.unwrap_or_default()
            );
        }
        None => {
            text += "\n     no part of the log gives that: something else extended the PCR, or the log is of another launch";
            if record
                .events
                .first()
                .is_some_and(|event| event.component() != Component::Start)
            {
                text += "; the log has no start";
            }
        }
    }
    text
}
