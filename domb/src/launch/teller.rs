// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who hears of a launch as it goes on: the report, which keeps all of it and
//! tells the console, and the PCR, when the launch comes to something else than
//! was measured last. A rehearsal tells nobody.

use domb_core::config::{DomainConfig, DomainName, Ready};
use domb_core::course::Came;
use domb_core::measure::Outcome;

use crate::build::{Failure, Witness};
use crate::measure::{self, Measurer};
use crate::report::Report;

/// Tells the report and the PCR what a launch does.
pub(super) struct Teller<'r> {
    pub(super) report: &'r mut Report,
    pub(super) measurer: &'r mut Measurer,
}

impl Witness for Teller<'_> {
    fn built(&mut self, domain: &DomainConfig, label: Option<&str>) {
        self.report.built(domain, label);
    }

    fn unpaused(&mut self, name: &DomainName) {
        self.report.unpaused(name);
    }

    fn ready(&mut self, name: &DomainName, ready: &Ready) {
        self.report.ready(name, ready);
    }

    fn late(&mut self, name: &DomainName, ready: &Ready) {
        self.report.late(name, ready);
    }

    fn failed(&mut self, failure: &Failure) {
        self.report.fell(failure);
    }

    fn script_said(&mut self, lines: &[String]) {
        self.report.script_said(lines);
    }

    fn came(&mut self, came: &Came) -> Result<(), measure::Error> {
        self.report.came(came);
        self.measurer.came(came);
        self.measurer.finish(Outcome::Launched)
    }
}

/// Tells nobody.
pub(super) struct Silent;

impl Witness for Silent {
    fn built(&mut self, _: &DomainConfig, _: Option<&str>) {}
    fn unpaused(&mut self, _: &DomainName) {}
    fn ready(&mut self, _: &DomainName, _: &Ready) {}
    fn late(&mut self, _: &DomainName, _: &Ready) {}
    fn failed(&mut self, _: &Failure) {}
    fn script_said(&mut self, _: &[String]) {}
    fn came(&mut self, _: &Came) -> Result<(), measure::Error> {
        Ok(())
    }
}
