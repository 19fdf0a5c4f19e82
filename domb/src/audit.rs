// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb audit`, in the control domain: holds what each domain has against
//! what was planned, and says where it differs.
//!
//! The plan is what the boot domain left: launch configuration, boot report and
//! Flask policy. They are trusted as far as the measured boot domain that left
//! them, and the control domain that keeps them. The hypervisor is asked for
//! everything else; nothing is changed.

#[cfg(feature = "libxl")]
mod live;

use std::path::PathBuf;

use clap::Args;

use crate::exit::Exit;
use crate::output;

/// What `domb audit` is asked to do.
#[derive(Args)]
pub struct Options {
    /// Where `domb adopt` put what the boot domain left
    #[arg(long, value_name = "DIR", default_value = "/var/lib/domb")]
    directory: PathBuf,
    /// Another compiled Flask policy than the one that was left
    #[arg(long, value_name = "FILE")]
    flask_policy: Option<PathBuf>,
    /// The audit as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Audits and says how it went: `Audit` for any difference.
#[cfg(feature = "libxl")]
#[must_use]
pub fn command(options: &Options) -> Exit {
    let audit = match live::audit(options) {
        Ok(audit) => audit,
        Err(error) => return output::fail(&error, error.exit()),
    };
    let exit = if audit.differences().next().is_none() {
        Exit::Success
    } else {
        Exit::Audit
    };
    if options.json {
        let json = serde_json::to_string_pretty(&audit);
        let mut json = json.expect("text and numbers become JSON");
        json.push('\n');
        return output::write(&json, exit);
    }
    output::write(&audit.to_string(), exit)
}

/// There is nothing to ask.
#[cfg(not(feature = "libxl"))]
#[must_use]
pub fn command(options: &Options) -> Exit {
    let Options {
        directory,
        flask_policy,
        json: _,
    } = options;
    let policy = flask_policy.as_ref().unwrap_or(directory);
    eprintln!("error: audit by {}", policy.display());
    output::fail(&crate::cli::without_libxl(), Exit::NoToolstack)
}
