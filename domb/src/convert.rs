// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb convert`: a launch configuration to and from Hyperlaunch's device
//! tree, and from dom0less' and xl's formats. What the other format cannot
//! say goes to standard error and, as a comment, into what is written.
//!
//! Trusts no file. What was made is checked like any launch configuration
//! before it is called one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use domb_core::config::Config;
use domb_core::convert::{
    self, Converted, ModulePaths, Note, NoteKind, Written, from_device_tree, from_xl_cfg,
    to_device_tree,
};
use domb_core::diagnostic::{Severity, render};

use crate::exit::Exit;
use crate::output;

/// What `domb convert` is asked for.
#[derive(Args)]
pub struct Options {
    /// A launch.toml, a device tree (Hyperlaunch or dom0less), or a guest of xl (.cfg)
    from: PathBuf,
    /// Where to write: a .dtb for a device tree; without it, text goes to standard output
    to: Option<PathBuf>,
    /// The file behind boot module N (or at address N) of a device tree
    #[arg(long = "module", value_name = "N=PATH", value_parser = module)]
    modules: Vec<(u64, String)>,
    /// Fail if anything had to be left out
    #[arg(long)]
    strict: bool,
}

/// The magic number of a flattened device tree (Devicetree Specification 0.4,
/// section 5.2).
const TREE: [u8; 4] = [0xd0, 0x0d, 0xfe, 0xed];

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error("write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    #[error("convert {}", .0.display())]
    Convert(PathBuf, #[source] convert::Error),
    #[error("convert {}: it is neither UTF-8 text nor a device tree", .0.display())]
    Neither(PathBuf),
    #[error(
        "write a device tree to standard output\nhint: name a file, as in domb convert launch.toml platform.dtb"
    )]
    Binary,
    #[error(
        "convert {from} to {to}: both are the same kind\nhint: a launch.toml becomes a .dtb; a .dtb or a guest's .cfg becomes a launch.toml"
    )]
    SameKind { from: String, to: String },
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Read(..) | Error::Neither(_) => Exit::Load,
            Error::Convert(..) => Exit::Config,
            Error::Write(..) | Error::Binary | Error::SameKind { .. } => Exit::Usage,
        }
    }
}

/// Converts, and says what could not be.
#[must_use]
pub fn command(options: &Options) -> Exit {
    convert(options).unwrap_or_else(|error| output::fail(&error, error.exit()))
}

fn convert(options: &Options) -> Result<Exit, Error> {
    let bytes = read(&options.from)?;
    if bytes.starts_with(&TREE) {
        let paths: ModulePaths = options.modules.iter().cloned().collect();
        let made = from_device_tree(&name(&options.from), &bytes, &paths);
        return from_other(options, made);
    }
    let Ok(text) = str::from_utf8(&bytes) else {
        return Err(Error::Neither(options.from.clone()));
    };
    match options
        .from
        .extension()
        .is_some_and(|e| e == "cfg" || e == "xl")
    {
        true => from_other(options, from_xl_cfg(&name(&options.from), text)),
        false => from_toml(options, &bytes, text),
    }
}

/// A launch configuration becomes a device tree.
fn from_toml(options: &Options, bytes: &[u8], text: &str) -> Result<Exit, Error> {
    let to = options.to.as_deref().ok_or(Error::Binary)?;
    is_kind(options, to, |extension| {
        extension != "toml" && extension != "cfg"
    })?;
    let (config, faults) = Config::check(&options.from.display().to_string(), bytes);
    let Some(config) = config else {
        eprintln!("{}", render(&faults, text));
        return Ok(Exit::Config);
    };
    let Written {
        dtb,
        modules,
        notes,
    } = to_device_tree(&config);
    write(to, &dtb)?;
    tell(&notes);
    let mut entry = format!("boot modules, in this order:\n  0  {}\n", to.display());
    for (index, path) in modules.iter().enumerate() {
        entry.push_str(&format!("  {}  {path}\n", index + 1));
    }
    Ok(output::write(&entry, exit(options, &notes)))
}

/// Something else becomes a launch configuration.
fn from_other(options: &Options, made: Result<Converted, convert::Error>) -> Result<Exit, Error> {
    let Converted { text, notes } =
        made.map_err(|error| Error::Convert(options.from.clone(), error))?;
    let shown = match &options.to {
        Some(to) => {
            is_kind(options, to, |extension| {
                extension != "dtb" && extension != "cfg"
            })?;
            write(to, text.as_bytes())?;
            to.display().to_string()
        }
        None => "launch.toml".to_owned(),
    };
    tell(&notes);
    let (_, faults) = Config::check(&shown, text.as_bytes());
    if !faults.is_empty() {
        eprintln!("{}", render(&faults, &text));
    }
    let refused = faults.iter().any(|fault| fault.severity == Severity::Error);
    let exit = if refused {
        Exit::Config
    } else {
        exit(options, &notes)
    };
    Ok(match options.to {
        Some(_) => exit,
        None => output::write(&text, exit),
    })
}

/// Says each note on standard error; they are escaped already.
fn tell(notes: &[Note]) {
    for note in notes {
        eprintln!("{note}");
    }
}

fn exit(options: &Options, notes: &[Note]) -> Exit {
    let lost = notes.iter().any(|note| note.kind == NoteKind::LeftOut);
    if options.strict && lost {
        Exit::Config
    } else {
        Exit::Success
    }
}

/// Refuses a target whose name says that it is of the source's own kind.
fn is_kind(options: &Options, to: &Path, fits: impl Fn(&str) -> bool) -> Result<(), Error> {
    let extension = to.extension().and_then(|extension| extension.to_str());
    match extension.is_none_or(fits) {
        true => Ok(()),
        false => Err(Error::SameKind {
            from: options.from.display().to_string(),
            to: to.display().to_string(),
        }),
    }
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .display()
        .to_string()
}

/// The file, or so much of it that its reader refuses it as too long.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::Read(path.to_owned(), error);
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(convert::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

/// Writes the file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    fs::write(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|error| Error::Write(path.to_owned(), error))
}

fn module(text: &str) -> Result<(u64, String), String> {
    let (number, path) = text.split_once('=').ok_or("write it as 3=vmlinuz")?;
    let parsed = match number.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => number.parse(),
    };
    let number = parsed.map_err(|error| format!("{number}: {error}"))?;
    Ok((number, path.to_owned()))
}
