// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The launch script: facts in, a [`Verdict`] out.
//!
//! A launch script is a file in Rhai that defines `fn launch(facts, plan)`.
//! It is a pure function: it reads [`Facts`], answers through the plan it is
//! given, and returns that plan. It has no I/O, no clock, no randomness, no
//! floating point, no import and no eval, and it runs within [`Limits`]. The
//! same script and the same facts give the same verdict.
//!
//! Two more functions are optional: what `fn on_failed(domain, attempt, reason)`
//! says about a domain that failed, and `fn on_ready(domain)` about one that is
//! ready, is asked while the launch is under way, within the same limits.
//!
//! Only what the script allows is launched. A domain it says nothing about is
//! denied; a script that fails, answers nonsense or does not end reaches no
//! verdict, and without a verdict nothing is launched.

mod changes;
mod draft;
mod effective;
mod engine;
mod error;
mod explain;
mod facts;
mod hooks;
mod json;
mod library;
mod limits;
mod machine;
#[cfg(test)]
mod properties;
mod reference;
mod rehearse;
mod script;
mod signature;
mod size;
mod table;
mod verdict;
mod view;
mod watch;

pub use changes::{Change, Changes, Grant};
pub use effective::{Effective, PlanError, effective};
pub use error::{Error, Fault, Place};
pub use facts::{ControlFacts, DomainFacts, Facts, FactsError, FileFacts, ImageFacts};
pub use hooks::{Said, on_failed, on_ready};
pub use limits::{Limit, Limits};
pub use machine::{Flask, PlatformFacts, TpmFacts, TpmState};
pub use reference::reference;
pub use rehearse::{Tested, rehearse};
pub use script::Script;
pub use verdict::{Approval, DecidedBy, Decision, Outcome, UNDECIDED, Verdict};
pub use watch::Watch;

/// Asks `script` about the launch that `facts` describe. Without a script
/// everything is allowed, and the verdict says that nobody decided.
///
/// `watch` tells when the time is up ([`Limit::Milliseconds`]) or too much
/// memory is used ([`Limit::MemoryMib`]): this crate can measure neither.
///
/// # Errors
/// Anything but a complete answer from the script. Nothing may be launched then.
pub fn decide(
    script: Option<&Script>,
    facts: &Facts,
    limits: &Limits,
    watch: impl Watch + Send + 'static,
) -> Result<Verdict, Error> {
    match script {
        None => Ok(Verdict::without_script(facts)),
        Some(script) => {
            engine::on_own_stack(script, || engine::launch(script, facts, limits, watch))
        }
    }
}

/// Compiles `script` and evaluates its constants, as [`decide`] does before
/// it asks: what it says about a launch is not known yet.
///
/// # Errors
/// It does not compile, has no `launch`, or meets a limit.
pub fn compile(
    script: &Script,
    limits: &Limits,
    watch: impl Watch + Send + 'static,
) -> Result<(), Error> {
    engine::on_own_stack(script, || engine::entry(script, limits, watch))
}
