// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Single events: what was hashed, put into an entry for a PCR.

use serde_json::Value;

use super::super::{Artefact, Bank, Component, Digests, Entry, Event, canonical};
use super::Error;
use crate::units::PcrIndex;

/// Makes events of one launch.
pub(super) struct Maker<'a> {
    pub(super) pcr: PcrIndex,
    pub(super) banks: &'a [Bank],
}

impl Maker<'_> {
    pub(super) fn event(&self, entry: Entry, digests: Digests) -> Event {
        Event {
            pcr: self.pcr,
            entry,
            digests,
        }
    }

    pub(super) fn text(&self, component: Component, domain: Option<&str>, value: &Value) -> Event {
        self.raw_text(component, domain, canonical::to_string(value))
    }

    pub(super) fn raw_text(
        &self,
        component: Component,
        domain: Option<&str>,
        text: String,
    ) -> Event {
        let digests = Digests::of(self.banks, text.as_bytes());
        self.event(
            Entry {
                text: Some(text),
                ..Entry::bare(component, domain)
            },
            digests,
        )
    }

    pub(super) fn configuration(&self, bytes: &[u8]) -> Event {
        let entry = Entry {
            bytes: Some(bytes.len() as u64),
            ..Entry::bare(Component::Configuration, None)
        };
        self.event(entry, Digests::of(self.banks, bytes))
    }

    pub(super) fn absent(&self, component: Component, domain: Option<&str>) -> Event {
        let entry = Entry {
            absent: true,
            ..Entry::bare(component, domain)
        };
        self.event(entry, Digests::zero(self.banks))
    }

    pub(super) fn file(
        &self,
        component: Component,
        domain: Option<&str>,
        configured: bool,
        artefact: Option<&Artefact>,
    ) -> Result<Event, Error> {
        let artefact = match (configured, artefact) {
            (true, Some(artefact)) => artefact,
            (false, None) => return Ok(self.absent(component, domain)),
            _ => {
                let domain = domain.map(str::to_owned);
                return Err(Error::Disagreement {
                    component: component.name(),
                    domain,
                });
            }
        };
        let digests = artefact
            .digests
            .select(self.banks)
            .ok_or_else(|| Error::MissingBank {
                path: artefact.path.clone(),
                banks: self.banks.to_vec(),
            })?;
        let entry = Entry {
            path: Some(artefact.path.clone()),
            bytes: Some(artefact.bytes),
            original: artefact.original.clone(),
            ..Entry::bare(component, domain)
        };
        Ok(self.event(entry, digests))
    }
}
