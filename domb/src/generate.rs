// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb generate`: the texts that are made from this program's own tables,
//! so that they cannot say something else than it does: man pages, shell
//! completions, the JSON schema of launch.toml, the list of codes. Not in the
//! boot domain's binary, which has no use for them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, Subcommand, ValueEnum};
use clap_complete::Shell;
use domb_core::config::schema;

use crate::exit::Exit;
use crate::{explain, output};

/// What to make.
#[derive(Clone, Subcommand)]
pub enum What {
    /// Man pages, one per verb, into a directory
    Man {
        /// The directory
        directory: PathBuf,
    },
    /// Completions for bash, zsh and fish, into a directory
    Completions {
        /// The directory
        directory: PathBuf,
    },
    /// The JSON schema of launch.toml, to standard output
    Schema,
    /// The explanations of all codes, to standard output
    Errors,
}

/// A file that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("write {}", path.display())]
struct Error {
    path: PathBuf,
    source: io::Error,
}

/// Makes it, from the whole command line `cli`.
#[must_use]
pub fn command(what: &What, cli: Command) -> Exit {
    let made = match what {
        What::Schema => return output::write(&format!("{:#}\n", schema()), Exit::Success),
        What::Errors => return output::write(&explain::document(), Exit::Success),
        What::Man { directory } => man(directory, cli),
        What::Completions { directory } => completions(directory, cli),
    };
    match made {
        Ok(()) => Exit::Success,
        Err(error) => output::fail(&error, Exit::Usage),
    }
}

fn man(directory: &Path, cli: Command) -> Result<(), Error> {
    let failed = |source| Error {
        path: directory.to_owned(),
        source,
    };
    fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(cli, directory).map_err(failed)
}

fn completions(directory: &Path, mut cli: Command) -> Result<(), Error> {
    let failed = |source| Error {
        path: directory.to_owned(),
        source,
    };
    fs::create_dir_all(directory).map_err(failed)?;
    for shell in Shell::value_variants() {
        if matches!(shell, Shell::Bash | Shell::Zsh | Shell::Fish) {
            clap_complete::generate_to(*shell, &mut cli, "domb", directory).map_err(failed)?;
        }
    }
    Ok(())
}
