// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb policy`: what a compiled Flask policy grants beyond Xen without
//! labels, and whether the boot domain may give a label.
//!
//! Trusts no file. The answers are domb-core's; here they become words and an
//! exit code.

mod label;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use domb_core::audit::BootDomain;
use domb_core::flask::{self, Accepted, AcceptedError, Judged, LabelError, Policy, compare};

use self::label::Label;
use crate::exit::Exit;
use crate::output;

/// What `domb policy` is asked for.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    question: Question,
}

#[derive(Subcommand)]
enum Question {
    /// Say what a policy grants beyond Xen without labels
    Compare(Compare),
    /// Say whether the boot domain may build a domain with a label
    Label(Label),
    /// Say what the boot domain may do, from its first line to its end
    Powers(Powers),
}

#[derive(Args)]
struct Compare {
    /// The compiled policy
    policy: PathBuf,
    /// Findings that were looked at, each with a reason (TOML)
    #[arg(long, value_name = "FILE")]
    accept: Option<PathBuf>,
    /// Print the accepted findings too, with their reasons
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
struct Powers {
    /// The compiled policy
    policy: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It is too large.
    #[error("read {}: it has more than {MAX_BYTES} bytes", .0.display())]
    TooLarge(PathBuf),
    /// It is no policy.
    #[error("use {}", .0.display())]
    Policy(PathBuf, #[source] flask::Error),
    /// It is no list of what was accepted.
    #[error("use {}", .0.display())]
    Accepted(PathBuf, #[source] AcceptedError),
    /// The policy has no such label.
    #[error("use the label {0}")]
    Label(String, #[source] LabelError),
}

/// Answers and says how it went: `Config` for a finding that is not accepted,
/// for an entry that accepts nothing, and for a label that cannot be built.
#[must_use]
pub fn command(options: &Options) -> Exit {
    let answer = match &options.question {
        Question::Compare(question) => question.answer(),
        Question::Label(question) => question.answer(),
        Question::Powers(question) => question.answer(),
    };
    match answer {
        Ok((text, exit)) => output::write(&text, exit),
        Err(error @ Error::Label(..)) => output::fail(&error, Exit::Config),
        Err(error) => output::fail(&error, Exit::Load),
    }
}

impl Compare {
    fn answer(&self) -> Result<(String, Exit), Error> {
        let policy = read_policy(&self.policy)?;
        let accepted = match &self.accept {
            Some(path) => read_accepted(path)?,
            None => Accepted::default(),
        };
        let comparison = compare(&policy);
        let judged = accepted.judge(&comparison);
        let text = self.text(&comparison, &judged);
        let clean =
            judged.left.is_empty() && judged.stale.is_empty() && comparison.weaknesses.is_empty();
        Ok((text, if clean { Exit::Success } else { Exit::Config }))
    }

    fn text(&self, comparison: &flask::Comparison, judged: &Judged) -> String {
        let mut lines = Vec::new();
        lines.extend(
            comparison
                .weaknesses
                .iter()
                .map(|weakness| format!("policy: {weakness}")),
        );
        for finding in &judged.left {
            lines.push(format!(
                "{}:{}: {}",
                finding.class,
                finding.permission,
                finding.words()
            ));
        }
        for (finding, reason) in judged.accepted.iter().filter(|_| self.all) {
            let name = format!("{}:{}", finding.class, finding.permission);
            lines.push(format!(
                "{name}: {}\n    accepted: {reason}",
                finding.words()
            ));
        }
        let stale = judged.stale.iter();
        lines.extend(stale.map(|key| format!("accepted, but not there: {key}")));
        lines.push(format!(
            "{} beyond Xen without labels, {} accepted; taken for domain 0: {}",
            counted(judged.left.len() + comparison.weaknesses.len(), "finding"),
            judged.accepted.len(),
            comparison.domain_0.join(", ")
        ));
        lines.join("\n") + "\n"
    }
}

impl Powers {
    fn answer(&self) -> Result<(String, Exit), Error> {
        let policy = read_policy(&self.policy)?;
        Ok((BootDomain::of(&policy).to_string(), Exit::Success))
    }
}

/// Reads a compiled policy.
///
/// # Errors
/// The file cannot be read, or is no policy that Xen would take.
pub fn read_policy(path: &Path) -> Result<Policy, Error> {
    let bytes = read(path)?;
    Policy::read(&bytes).map_err(|source| Error::Policy(path.to_owned(), source))
}

fn read_accepted(path: &Path) -> Result<Accepted, Error> {
    let bytes = read(path)?;
    Accepted::read(&String::from_utf8_lossy(&bytes))
        .map_err(|source| Error::Accepted(path.to_owned(), source))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::Read(path.to_owned(), error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Far more than any policy for Xen: its own example has 11 KB.
const MAX_BYTES: u64 = 4 << 20;
