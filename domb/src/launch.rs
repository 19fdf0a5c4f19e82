// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The launch, top to bottom: config, measure, policy, build, hand-off. Each
//! step takes the proof of the one before by value, so a wrong order does not
//! compile, and nothing else calls two steps.
//!
//! Invariants:
//! 1. What is measured is what is booted: both read the same sealed bytes.
//! 2. Nothing is built before the verdict; only a verdict that allows gives
//!    an [`Approved`].
//! 3. Every event is in the log before it is in the PCR; the last event
//!    (launched, refused or failed) is extended whatever happens.
//! 4. No domain runs before the guests are built and the last event is
//!    extended, but the xenstore domain, which the others are built with. The
//!    control domain runs before the hardware domain is built: from then on
//!    the end of the boot domain does not end the machine, and it watches.
//!    None runs before those in its `after` are ready. Where the launch comes
//!    to something else on the way (a domain is built anew, another takes its
//!    place), that is extended before the next domain runs.
//! 5. Nothing half-built is left: guards destroy what was not handed over.
//!    Nothing is destroyed after the hand-off.
//! 6. Every launch ends with a report, whatever its end was.

mod error;
mod next;
mod teller;

use std::fs;
use std::path::PathBuf;

use domb_core::config::{self, Config, Role};
use domb_core::measure::{Artefacts, Bank, Ending, Outcome, final_event};
use domb_core::plan::Step;
use domb_core::policy::{Approval, Verdict};

use crate::build::{self, Built};
use crate::console;
use crate::exit::Exit;
use crate::handoff::{self, HandedOff};
use crate::in_force;
use crate::load::{self, Loaded, Source};
use crate::measure::{self, Measurer};
use crate::own_label::NextLabel;
use crate::policy::{self, Hooks};
use crate::recovery::{self, Recovered};
use crate::report::Report;
use crate::toolstack::{DryRun, Toolstack};
use crate::tpm::TpmDevice;
use crate::withhold;

pub use error::Error;
pub use next::Next;
use teller::{Silent, Teller};

/// What a launch is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The launch configuration.
    pub config: PathBuf,
    /// The TPM to measure into.
    pub tpm: TpmDevice,
    /// Where the event log goes.
    pub event_log: PathBuf,
    /// Where the report goes.
    pub report: PathBuf,
    /// Whether domb is the first init of domain 0, whose label is then its own
    /// to give up.
    pub first_init: bool,
}

impl Options {
    /// Where libxl logs to.
    #[must_use]
    pub fn libxl_log(&self) -> PathBuf {
        self.report.with_file_name("libxl.log")
    }
}

/// A loaded configuration whose every part is in the PCR.
pub struct Measured {
    /// The configuration and its sealed artefacts.
    pub loaded: Loaded,
    /// The digests that were extended.
    pub artefacts: Artefacts,
}

/// A measured configuration of which at least one domain may start.
pub struct Approved {
    /// What was measured.
    pub measured: Measured,
    /// What may start: at least one domain.
    pub approval: Approval,
    /// The configuration that is carried out: the measured one as the launch
    /// script changed it, checked by the same rules once more.
    pub plan: Config,
    /// What the launch script may say while it is carried out.
    pub hooks: Hooks,
}

/// How a launch ended, and what PID 1 needs to go on from there.
pub struct Ended {
    /// The platform that runs, or nothing does.
    pub result: Result<HandedOff, Error>,
    /// What PID 1 is to become; known once the configuration is read.
    pub next: Option<Next>,
    /// The recovery domain runs, and nothing else does.
    pub recovered: Option<Recovered>,
}

impl Ended {
    /// The exit code of the launch.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.result
            .as_ref()
            .map_or_else(Error::exit, |_| Exit::Success)
    }
}

/// Launches the platform that `options.config` describes, and reports it.
pub fn launch(options: &Options, source: Source<'_>, toolstack: &dyn Toolstack) -> Ended {
    let mut report = Report::new(&options.config);
    report.begin("config");
    let loaded = match load::load(&options.config, source) {
        Ok(loaded) => loaded,
        Err(unloaded) => {
            not_loaded(options, source, &unloaded.error, &mut report);
            let next = Next::of_unloaded(&unloaded);
            let result = Err(Error::from(unloaded));
            report.told(&result);
            report.save(&options.report);
            return Ended {
                result,
                next,
                recovered: None,
            };
        }
    };
    report.loaded(&loaded);
    let next = Some(Next::of(&loaded));
    let (result, approved) = measured_launch(loaded, options, toolstack, &mut report);
    report.told(&result);
    let recovered = approved.and_then(|approved| {
        recovery::start(&approved, toolstack, &options.libxl_log(), &mut report)
    });
    report.save(&options.report);
    Ended {
        result,
        next,
        recovered,
    }
}

/// Nothing was loaded, so nothing can be measured; the PCR is closed, for
/// whoever runs next. A command in a running domain 0 whose configuration
/// cannot be read has begun no launch, and touches no PCR.
fn not_loaded(options: &Options, source: Source<'_>, error: &load::Error, report: &mut Report) {
    let begun = matches!(error, load::Error::Artefact { .. }) || matches!(source, Source::Image(_));
    if !begun {
        return;
    }
    // What cannot be read any more is measured as the default says.
    let bytes = fs::read(&options.config).unwrap_or_default();
    let (tpm, pcr) = Config::measure_settings(&bytes);
    let summary = measure::close(tpm, pcr, &options.event_log, &options.tpm);
    console::line("measure", &summary.of_unloaded());
    report.measured(summary);
}

/// Does all of a launch but touching the TPM and Xen, and prints on standard
/// output what would have been built.
#[must_use]
pub fn dry_run(options: &Options) -> Exit {
    let toolstack = DryRun::default();
    let mut report = Report::new(&options.config);
    report.begin("config");
    let result = load::load(&options.config, Source::Files)
        .map_err(Error::from)
        .and_then(|loaded| {
            report.loaded(&loaded);
            report.begin("measure");
            let mut measurer = Measurer::rehearse(&loaded.config);
            let approved = approve(loaded, &mut measurer, &toolstack, &mut report)?;
            let built = build(&approved, &toolstack, &mut measurer, &mut report)?;
            hand_off(built, &toolstack, &mut measurer, None, &mut report)
        });
    let exit = report.told(&result);
    for step in toolstack.steps() {
        println!("{step}");
    }
    exit
}

/// Carries out what `verdict` approves on a toolstack that only writes down
/// what it is asked, as [`launch`] does on Xen, and says nothing about it.
///
/// # Errors
/// Nothing may start, the plan breaks a rule, or the domains do not fit what
/// the toolstack says of the machine.
pub fn rehearse(measured: Measured, verdict: Verdict, toolstack: &DryRun) -> Result<(), Error> {
    let approval = verdict
        .approve()
        .map_err(|verdict| Error::Denied { verdict })?;
    let plan = policy::plan(&measured, &approval)?;
    let platform = toolstack
        .platform()
        .map_err(|source| Error::Toolstack { source })?;
    let approved = Approved {
        hooks: Hooks::new(&measured, platform, None)?,
        measured,
        approval,
        plan,
    };
    let built = build::build(&approved, toolstack, &mut Silent)?;
    let ending = Ending::from(&built.came());
    let (config, banks) = (&approved.measured.loaded.config, Bank::ALL);
    let last = final_event(config, Outcome::Launched, &ending, &banks);
    let last = last.map_err(measure::Error::from)?;
    toolstack.note(Step::Measure(Box::new(last)));
    let config = &approved.measured.loaded.config;
    let labels = toolstack.own_seclabel();
    let labels = labels.is_ok_and(|label| label.is_some());
    // Of a launch by the first init: the plan is of a boot.
    let next_label = match config.exit {
        config::Exit::Process if labels => Some(NextLabel::of(config.control.as_ref())),
        config::Exit::Process | config::Exit::Domain => None,
    };
    withhold::withhold(&built.withheld(), toolstack)?;
    handoff::hand_off(built, next_label.as_ref(), &mut Silent)?;
    Ok(())
}

/// Measure, and whatever comes of the rest, extend the last event. Gives back
/// what was approved where the recovery domain is to be started from it.
fn measured_launch(
    loaded: Loaded,
    options: &Options,
    toolstack: &dyn Toolstack,
    report: &mut Report,
) -> (Result<HandedOff, Error>, Option<Approved>) {
    report.begin("measure");
    let config = &loaded.config;
    let next_label = match config.exit {
        config::Exit::Process if options.first_init => Some(NextLabel::of(config.control.as_ref())),
        // Domain 0 is not domb's own, or does not live on.
        config::Exit::Process | config::Exit::Domain => None,
    };
    let mut measurer = match Measurer::begin(config, &options.event_log, &options.tpm) {
        Ok(measurer) => measurer,
        Err(error) => return (Err(error.into()), None),
    };
    let mut approved = None;
    let result = approve(loaded, &mut measurer, toolstack, report).and_then(|it| {
        if options.first_init {
            report.launched_as(toolstack.own_seclabel().map_err(build::Error::Platform)?);
        }
        let built = build(approved.insert(it), toolstack, &mut measurer, report)?;
        hand_off(built, toolstack, &mut measurer, next_label.as_ref(), report)
    });
    let mut approved = approved.filter(|_| result.as_ref().is_err_and(Error::recovers));
    let recovery = approved
        .as_ref()
        .and_then(|approved| approved.plan.with_role(Role::Recovery));
    if let Some(recovery) = recovery {
        measurer.recovers(&recovery.name);
    }
    let finished = match &result {
        Ok(_) => Ok(()),
        Err(Error::Denied { .. }) => measurer.finish(Outcome::Refused),
        Err(_) => measurer.finish(Outcome::Failed),
    };
    report.measured(measurer.summary());
    // A launch that failed stays failed for its own reason; that its last
    // event is missing as well is said beside it. Nothing runs unmeasured.
    if let (Err(_), Err(missing)) = (&result, finished) {
        report.warn(format!("the last event was not extended: {missing}"));
        approved = None;
    }
    (result, approved)
}

/// Measure every part, then let the launch script decide.
fn approve(
    loaded: Loaded,
    measurer: &mut Measurer,
    toolstack: &dyn Toolstack,
    report: &mut Report,
) -> Result<Approved, Error> {
    let measured = measure::measure(loaded, measurer)?;
    load::as_promised(&measured.loaded, &measured.artefacts)?;
    let domains = measured.loaded.config.domains.len();
    report.digests(&measured);
    report.end(&measurer.describe());

    report.begin("policy");
    let platform = toolstack
        .platform()
        .map_err(|source| Error::Toolstack { source })?;
    in_force::hold(&measured.loaded, &platform, toolstack, report)?;
    let facts = measurer.facts();
    let verdict = policy::decide(&measured, platform.clone(), facts.clone())?;
    let hooks = Hooks::new(&measured, platform, facts)?;
    report.decided(&verdict, &measured);
    measurer.verdict(&verdict)?;
    let approval = verdict
        .approve()
        .map_err(|verdict| Error::Denied { verdict })?;
    let plan = policy::plan(&measured, &approval)?;
    report.planned(&plan, &measured);
    report.end(&format!(
        "{} of {domains} domains may start",
        approval.allowed().count()
    ));
    Ok(Approved {
        measured,
        approval,
        plan,
        hooks,
    })
}

/// Build every approved domain, paused. What was approved is lent: a domain
/// that fails later may be built from it once more.
fn build<'a>(
    approved: &'a Approved,
    toolstack: &'a dyn Toolstack,
    measurer: &mut Measurer,
    report: &mut Report,
) -> Result<Built<'a>, Error> {
    report.begin("build");
    let built = build::build(approved, toolstack, &mut Teller { report, measurer })?;
    report.came(&built.came());
    report.end(&format!("{} domains built, paused", built.count()));
    Ok(built)
}

/// Extend the last event, then let every domain run as soon as those before it
/// are ready.
fn hand_off(
    built: Built<'_>,
    toolstack: &dyn Toolstack,
    measurer: &mut Measurer,
    next_label: Option<&NextLabel>,
    report: &mut Report,
) -> Result<HandedOff, Error> {
    report.begin("handoff");
    measurer.came(&built.came());
    measurer.finish(Outcome::Launched)?;
    let withheld = built.withheld();
    withhold::withhold(&withheld, toolstack)?;
    report.withheld(&withheld);
    let handed_off = handoff::hand_off(built, next_label, &mut Teller { report, measurer })?;
    report.came(&handed_off.came);
    report.withheld(&handed_off.withheld);
    if let Some(given) = &handed_off.own_label {
        report.label_given(given);
    }
    report.end(&format!("{} domains running", handed_off.domains));
    Ok(handed_off)
}
