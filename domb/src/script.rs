// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb script`: the launch script on an integrator's desk. `docs` prints
//! what a script can use; `test` runs the `test_…` functions of a script
//! against sets of facts. Both run what a boot runs, within the same limits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domb_core::policy::{self, Facts, Limits, Script, reference, rehearse};

use crate::exit::Exit;
use crate::file::{Unreadable, read};
use crate::output;
use crate::policy::Meter;

/// What to do with a launch script.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// Print the reference of launch scripts, in Markdown
    Docs,
    /// Run the functions of a script that begin with test_
    Test {
        /// The launch script
        script: PathBuf,
        /// Facts for the tests, in JSON; a test asks for them by the file's name without .json
        #[arg(long = "facts", value_name = "FILE")]
        facts: Vec<PathBuf>,
    },
}

/// The verb.
#[must_use]
pub fn command(options: &Options) -> Exit {
    match &options.verb {
        Verb::Docs => output::write(&reference(), Exit::Success),
        Verb::Test { script, facts } => match test(script, facts) {
            Ok((text, exit)) => output::write(&text, exit),
            Err(error) => output::fail(&error, error.exit()),
        },
    }
}

/// One line for each test, the reason below one that failed, and the count.
fn test(path: &Path, facts: &[PathBuf]) -> Result<(String, Exit), Error> {
    let script = Script::new(&path.display().to_string(), &read(path)?)?;
    let sets = facts
        .iter()
        .map(|path| set(path))
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    let limits = Limits::default();
    let meter = limits.clone();
    let tests = rehearse(&script, &sets, &limits, move || Meter::new(&meter))?;

    let mut text = String::new();
    let mut failed = 0;
    for test in &tests {
        match &test.result {
            Ok(()) => text += &format!("ok      {}\n", test.name),
            Err(error) => {
                failed += 1;
                text += &format!("FAILED  {}\n", test.name);
                error
                    .to_string()
                    .lines()
                    .for_each(|line| text += &format!("        {line}\n"));
            }
        }
    }
    text += &format!("{} passed, {failed} failed\n", tests.len() - failed);
    Ok((
        text,
        if failed == 0 {
            Exit::Success
        } else {
            Exit::Script
        },
    ))
}

fn set(path: &Path) -> Result<(String, Facts), Error> {
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let facts = serde_json::from_slice(&read(path)?).map_err(|source| Error::Facts {
        path: path.to_owned(),
        source,
    })?;
    Ok((name, facts))
}

/// Why a script was not tested.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] Unreadable),
    /// A file does not hold facts.
    #[error("read {} as facts of a launch\nhint: tests/fixtures/facts/three-domains.json is an example", path.display())]
    Facts {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The script does not compile, or has no tests.
    #[error(transparent)]
    Script(#[from] policy::Error),
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Read(_) | Error::Facts { .. } => Exit::Load,
            Error::Script(_) => Exit::Script,
        }
    }
}
