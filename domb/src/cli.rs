// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command line: one verb, one function.

use std::path::PathBuf;

#[cfg(feature = "generate")]
use clap::CommandFactory;
use clap::{Args, Parser, Subcommand};

use crate::exit::Exit;
#[cfg(feature = "generate")]
use crate::generate;
#[cfg(feature = "libxl")]
use crate::load::Source;
use crate::tpm::TpmDevice;
use crate::{
    audit, check, convert, explain, flask, image, launch, log, plan, predict, report, script,
};

/// Build a Xen platform from one launch configuration: measured, decided by a
/// script, at fixed domids.
#[derive(Parser)]
#[command(
    name = "domb",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Say what is wrong with a launch configuration, on any host
    Check(Check),
    /// Make the boot domain's image
    Image(image::Options),
    /// Print what a launch will do, step by step, or what changed in it
    Plan(plan::Options),
    /// Print the PCR values a launch will give
    Predict(predict::Options),
    /// Launch the platform from a running domain 0
    Launch(Launch),
    /// Show, verify or compare event logs
    Log(log::Options),
    /// Test a launch script, or print what it can use
    Script(script::Options),
    /// Convert to and from device trees, and from guests of xl
    Convert(convert::Options),
    /// Compare a Flask policy to Xen without labels, or ask it about a label
    Policy(flask::Options),
    /// Show what a launch did
    Report(report::Options),
    /// Say what a fault's code or an exit code means
    Explain(explain::Options),
    /// Make man pages, completions, the JSON schema or the list of codes
    #[cfg(feature = "generate")]
    #[command(hide = true, subcommand)]
    Generate(generate::What),
    /// In the control domain: take over from the boot domain, and clear it away
    Adopt(Adopt),
    /// In the control domain: hold what each domain has against the plan
    Audit(audit::Options),
}

#[derive(Args)]
struct Check {
    /// The launch configuration
    config: PathBuf,
    /// The compiled Flask policy to hold the labels against, instead of the one the configuration
    /// names
    #[arg(long, value_name = "FILE")]
    flask_policy: Option<PathBuf>,
    /// Diagnostics as JSON on standard output
    #[arg(long)]
    json: bool,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
}

#[derive(Args)]
struct Launch {
    /// The launch configuration
    config: PathBuf,
    /// Measure and decide, but only print what would be built; the TPM is not touched
    #[arg(long)]
    dry_run: bool,
    /// The TPM: a character device, or swtpm:HOST:PORT
    #[arg(long, default_value_t)]
    tpm: TpmDevice,
    /// Where the event log is written
    #[arg(long, value_name = "FILE", default_value = "/run/domb/eventlog")]
    event_log: PathBuf,
    /// Where the boot report is written
    #[arg(long, value_name = "FILE", default_value = "/run/domb/report.json")]
    report: PathBuf,
}

impl Launch {
    fn run(self) -> Exit {
        let options = launch::Options {
            config: self.config,
            tpm: self.tpm,
            event_log: self.event_log,
            report: self.report,
            first_init: false,
        };
        if self.dry_run {
            return launch::dry_run(&options);
        }
        on_xen(&options)
    }
}

#[derive(Args)]
struct Adopt {
    /// Where the boot report and the event log go
    #[arg(long, value_name = "DIR", default_value = "/var/lib/domb")]
    directory: PathBuf,
    /// The longest pause of the boot domain before the machine restarts
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u64,
}

impl Adopt {
    #[cfg(feature = "libxl")]
    fn run(self) -> Exit {
        crate::adopt::command(&crate::adopt::Options {
            directory: self.directory,
            wait: std::time::Duration::from_secs(self.wait),
        })
    }

    #[cfg(not(feature = "libxl"))]
    fn run(self) -> Exit {
        let Adopt { directory, wait } = self;
        eprintln!(
            "error: adopt into {} within {wait} s: {}",
            directory.display(),
            without_libxl()
        );
        Exit::NoToolstack
    }
}

#[cfg(feature = "libxl")]
fn on_xen(options: &launch::Options) -> Exit {
    match crate::libxl::Libxl::open(&options.libxl_log()) {
        Ok(toolstack) => launch::launch(options, Source::Files, &toolstack).exit(),
        Err(error) => report::Report::new(&options.config).no_toolstack(&error, &options.report),
    }
}

#[cfg(not(feature = "libxl"))]
fn on_xen(options: &launch::Options) -> Exit {
    let error = without_libxl();
    report::Report::new(&options.config).no_toolstack(&error, &options.report)
}

#[cfg(not(feature = "libxl"))]
pub(crate) fn without_libxl() -> crate::toolstack::Error {
    crate::toolstack::Error::new(
        "this domb was built without libxl\nhint: build it with `scripts/build`",
    )
}

/// Runs what the command line asks for.
#[must_use]
pub fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            };
            // The text is lost only with the terminal it is meant for.
            return if error.print().is_ok() {
                exit
            } else {
                Exit::Usage
            };
        }
    };
    match cli.verb {
        Verb::Check(check) => check::run(
            &check.config,
            check.flask_policy.as_deref(),
            check.json,
            check.deny_warnings,
        ),
        Verb::Image(options) => image::command(&options),
        Verb::Plan(options) => plan::command(&options),
        Verb::Predict(options) => predict::command(&options),
        Verb::Launch(options) => options.run(),
        Verb::Log(options) => log::command(&options),
        Verb::Script(options) => script::command(&options),
        Verb::Convert(options) => convert::command(&options),
        Verb::Policy(options) => flask::command(&options),
        Verb::Report(options) => report::command(&options),
        Verb::Explain(options) => explain::command(&options),
        #[cfg(feature = "generate")]
        Verb::Generate(what) => generate::command(&what, Cli::command()),
        Verb::Adopt(adopt) => adopt.run(),
        Verb::Audit(options) => audit::command(&options),
    }
}
