// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb plan`: what a launch will do, in its order, as text for a review.
//!
//! It loads, hashes, asks the launch script and builds by the code of a
//! launch; only the toolstack writes down what it is asked instead of doing
//! it. What a script may know of the machine is what `--facts` says, and of
//! the TPM else what a boot would tell it.

use std::path::{Path, PathBuf};

use domb_core::measure::{
    Bank, Digests, Ending, Outcome, final_event, launch_events, replay_all, verdict_event,
};
use domb_core::plan::{Decided, Review, Step};
use domb_core::policy::{Facts, Flask, Verdict};

use crate::exit::Exit;
use crate::file::{Unreadable, read};
use crate::launch::{self, Measured};
use crate::load::{self, Source};
use crate::measure::artefacts;
use crate::output;
use crate::policy;
use crate::predict::tpm_facts;
use crate::toolstack::DryRun;

/// The boot domain's label in the shipped policy; a plan only needs to know
/// that it has one.
const BOOT_LABEL: &str = "system_u:system_r:domb_t";

/// What to show the plan of.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The launch configuration; with --diff the old one and the new one, or plans that --json gave
    #[arg(required = true, num_args = 1..=2, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print what is another in the second plan
    #[arg(long)]
    diff: bool,
    /// What the launch script finds in `facts.platform` and `facts.tpm`, as `domb script test` takes it
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// The plan as JSON
    #[arg(long, conflicts_with = "diff")]
    json: bool,
}

/// The verb.
#[must_use]
pub fn command(options: &Options) -> Exit {
    match run(options) {
        Ok((text, exit)) => output::write(&text, exit),
        Err(error) => output::fail(&error, error.exit()),
    }
}

fn run(options: &Options) -> Result<(String, Exit), Error> {
    let facts = match &options.facts {
        Some(path) => read_json(path)?,
        None => Facts::default(),
    };
    match (options.diff, options.files.as_slice()) {
        (false, [config]) => {
            let (review, exit) = review(config, &facts)?;
            Ok((show(&review, options.json), exit))
        }
        (true, [old, new]) => {
            let diff = either(old, &facts)?.diff(&either(new, &facts)?);
            Ok(match diff.is_empty() {
                true => ("the plans are the same\n".to_owned(), Exit::Success),
                false => (diff, Exit::Log),
            })
        }
        (false, _) => Err(Error::HowMany("one file, or two with --diff")),
        (true, _) => Err(Error::HowMany("two files with --diff")),
    }
}

fn show(review: &Review, json: bool) -> String {
    if json {
        let json = serde_json::to_string_pretty(review);
        return json.expect("a plan has string keys only") + "\n";
    }
    review.text()
}

/// The plan of a launch configuration, or one that was kept.
fn either(path: &Path, facts: &Facts) -> Result<Review, Error> {
    let bytes = read(path)?;
    // No launch.toml begins with a brace.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(review(path, facts)?.0);
    }
    let review: Review = json(path, &bytes)?;
    if review.version != Review::VERSION {
        return Err(Error::Version {
            path: path.to_owned(),
            version: review.version,
        });
    }
    Ok(review)
}

/// The plan, and how the launch would end.
fn review(config: &Path, facts: &Facts) -> Result<(Review, Exit), Error> {
    let loaded = load::load(config, Source::Files).map_err(launch::Error::from)?;
    let artefacts = artefacts(&loaded, &Bank::ALL).map_err(launch::Error::from)?;
    let measured = Measured { loaded, artefacts };
    let config = measured.loaded.config.clone();
    let tpm = match &facts.tpm {
        Some(tpm) => tpm.clone(),
        None => tpm_facts(&measured, &Bank::ALL)?,
    };
    let verdict = policy::decide(&measured, facts.platform.clone(), Some(tpm));
    let verdict = verdict.map_err(launch::Error::from)?;

    // What nobody said of the machine is taken to be as the labels need it.
    let mut platform = facts.platform.clone();
    let control = config.control.as_ref();
    let labelled = platform.flask == Some(Flask::Enforcing)
        || control.is_some_and(|control| control.seclabel.is_some())
        || config.domains.iter().any(|it| it.seclabel.is_some());
    platform.flask.get_or_insert(Flask::Enforcing);
    let toolstack = match labelled {
        true => DryRun::on(platform).labelled(BOOT_LABEL),
        false => DryRun::on(platform),
    };
    for step in until_built(&measured, &verdict)? {
        toolstack.note(step);
    }
    let log = verdict.log().to_vec();
    let exit = match launch::rehearse(measured, verdict, &toolstack) {
        Ok(()) => Exit::Success,
        Err(launch::Error::Denied { .. }) => {
            let last = final_event(&config, Outcome::Refused, &Ending::default(), &Bank::ALL);
            let last = last.map_err(crate::measure::Error::from);
            toolstack.note(Step::Measure(Box::new(last.map_err(launch::Error::from)?)));
            Exit::Denied
        }
        Err(error) => return Err(error.into()),
    };
    let steps = toolstack.steps();
    let digests = steps.iter().filter_map(|step| match step {
        Step::Measure(event) => Some(&event.digests),
        _ => None,
    });
    let values = replay_all(digests, &Digests::zero(&Bank::ALL))
        .expect("every event has the banks it was made for");
    let review = Review {
        version: Review::VERSION,
        pcr: config.pcr,
        steps,
        log,
        values,
    };
    Ok((review, exit))
}

/// The steps before the first domain is built.
fn until_built(measured: &Measured, verdict: &Verdict) -> Result<Vec<Step>, launch::Error> {
    let config = &measured.loaded.config;
    let events = launch_events(config, &measured.artefacts, &Bank::ALL);
    let record = policy::record(config, verdict);
    let decided =
        verdict_event(config, &record, &Bank::ALL).map_err(crate::measure::Error::from)?;
    let events = events.map_err(crate::measure::Error::from)?;
    let mut steps: Vec<Step> = events
        .into_iter()
        .map(|event| Step::Measure(Box::new(event)))
        .collect();
    steps.extend(
        verdict
            .domains()
            .iter()
            .map(|d| Step::Decide(Decided::from(d))),
    );
    steps.push(Step::Measure(Box::new(decided)));
    Ok(steps)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    json(path, &read(path)?)
}

fn json<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The launch would not come to a plan.
    #[error(transparent)]
    Launch(#[from] launch::Error),
    /// Another number of files.
    #[error("plan a launch: it takes {0}")]
    HowMany(&'static str),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] Unreadable),
    /// It is neither facts nor a plan, whichever was asked for.
    #[error("read {}\nhint: facts are as in tests/fixtures/facts/three-domains.json; a plan is what `domb plan --json` prints", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A plan of another domb.
    #[error("read {}: it is a plan of version {version}, and this domb knows {}", path.display(), Review::VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Launch(error) => error.exit(),
            Error::HowMany(_) => Exit::Usage,
            Error::Read(_) | Error::Json { .. } | Error::Version { .. } => Exit::Load,
        }
    }
}
