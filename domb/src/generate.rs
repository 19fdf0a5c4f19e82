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
use serde_json::Value;

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
    /// The keys of launch.toml, to standard output
    Keys,
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
        What::Keys => return output::write(&keys(), Exit::Success),
        What::Errors => return output::write(&explain::document(), Exit::Success),
        What::Man { directory } => man(directory, cli),
        What::Completions { directory } => completions(directory, cli),
    };
    match made {
        Ok(()) => Exit::Success,
        Err(error) => output::fail(&error, Exit::Usage),
    }
}

/// The keys as Markdown: `xen-config/KEYS.md`.
fn keys() -> String {
    let schema = schema();
    let top = &schema["properties"];
    let mut out = String::from(
        "# Every key of launch.toml\n\n\
         Made by `domb generate keys`; `domb/launch.schema.json` says the same to editors. A key \
         that is not here is refused. Paths count from the configuration's own directory.\n",
    );
    let domain = &top["domain"]["items"];
    for (heading, table) in [
        ("At the top", &schema),
        ("[measure]", &top["measure"]),
        ("[limits]", &top["limits"]),
        ("[platform]", &top["platform"]),
        ("[control]", &top["control"]),
        (
            "[resources.NAME]",
            &top["resources"]["additionalProperties"],
        ),
        ("[[domain]]", domain),
        (
            "[[domain.images]]",
            &domain["properties"]["images"]["items"],
        ),
        ("[domain.ready]", &domain["properties"]["ready"]),
    ] {
        out.push_str(&format!(
            "\n## {heading}\n\n| key | value | what it is |\n|---|---|---|\n"
        ));
        for (key, property) in table["properties"].as_object().into_iter().flatten() {
            let required = table["required"].as_array();
            let required = required.is_some_and(|keys| keys.iter().any(|name| name == key));
            let about = property["description"].as_str().unwrap_or_default();
            let must = if required { "; required" } else { "" };
            out.push_str(&format!(
                "| `{key}` | {} | {about}{must} |\n",
                value(property)
            ));
        }
    }
    out
}

/// What a key's value may be, in words.
fn value(property: &Value) -> String {
    let shown = |value: &Value| match value {
        Value::String(text) => format!("`\"{text}\"`"),
        other => format!("`{other}`"),
    };
    let kind = match (&property["enum"], property["type"].as_str()) {
        (Value::Array(words), _) => {
            let words: Vec<String> = words.iter().map(shown).collect();
            words.join(", ")
        }
        (_, Some("integer")) => format!("{} to {}", property["minimum"], property["maximum"]),
        (_, Some("array")) if property["items"]["type"] == "object" => "tables".to_owned(),
        (_, Some("array")) if property["items"]["type"] == "integer" => {
            "list of numbers".to_owned()
        }
        (_, Some("array")) => "list of texts".to_owned(),
        (_, Some("object")) => "table".to_owned(),
        (_, Some("boolean")) => "`true`, `false`".to_owned(),
        _ if property["examples"].is_array() => {
            format!("size, as in {}", shown(&property["examples"][0]))
        }
        _ => "text".to_owned(),
    };
    match &property["default"] {
        Value::Null => kind,
        default => format!("{kind}; {} unless said", shown(default)),
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
