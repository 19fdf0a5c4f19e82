// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can go wrong around a boot, as opposed to in it: files that are
//! missing, programs that do not start, deadlines that pass. It trusts no
//! message of its own to be enough: whatever failed after QEMU started points
//! at the whole serial log.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A failure of the harness or of the machine it started.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{doing} {}", path.display())]
    File {
        /// What was attempted, as a verb ("read", "write").
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of a Debian package is not installed.
    #[error("find {what} ({pattern})\nhint: scripts/setup installs it")]
    Missing {
        /// What it is.
        what: &'static str,
        /// Where it was looked for.
        pattern: String,
    },
    /// A program could not be started.
    #[error("start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{command} ended with {status}\n{output}")]
    Program {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it printed, both streams.
        output: String,
    },
    /// An archive is not a newc cpio, or lacks the entry asked for.
    #[error("{doing} in {}: {reason}", path.display())]
    Archive {
        /// What was attempted.
        doing: String,
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The line waited for did not come in time, or the machine ended first.
    #[error(transparent)]
    Serial(Box<SerialError>),
    /// Something printed by domb or the control domain is not what it should be.
    #[error("{0}")]
    Untrue(String),
}

/// Why a wait on a machine's serial log failed, with what there is to see.
#[derive(thiserror::Error, Debug)]
#[error(
    "{machine}: waited for {what} for {:.1} s: {reason}\nlast lines of the serial log:\n{tail}\nwhole log: {}",
    waited.as_secs_f32(), log.display()
)]
pub struct SerialError {
    /// Which machine.
    pub machine: String,
    /// What was waited for.
    pub what: String,
    /// How long.
    pub waited: Duration,
    /// Why the wait ended.
    pub reason: String,
    /// The last lines seen.
    pub tail: String,
    /// Where everything seen is kept.
    pub log: PathBuf,
}

impl Error {
    /// A [`Error::File`] for use with `map_err`.
    pub fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File {
            doing,
            path,
            source,
        }
    }

    /// The message and its causes on one line each, as a person reads it.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        text
    }
}

/// What every step of the harness returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
