// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An event log read as the record of one launch.
//!
//! The parser says that bytes are a TCG event log; this says that the log is
//! one that domb could have written: the events of one PCR, in the measuring
//! order, each saying what it must and no more, with digests that fit what it
//! carries. A log is only a claim; the PCR's value proves it.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::event_log::{EventLog, LogEntry};
use super::{Bank, Component, Digests, EV_EVENT_TAG, Entry, Event, Outcome, canonical, sequence};
use crate::units::PcrIndex;

/// The events of one launch. Holding one proves that they are in the measuring
/// order, and that every digest of a text is that text's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaunchRecord {
    /// The PCR.
    pub pcr: PcrIndex,
    /// The banks.
    pub banks: Vec<Bank>,
    /// The events. Never empty.
    pub events: Vec<Event>,
}

/// Why a log is not the record of a launch. Events are counted from 0.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no event.
    #[error("read the events: the log has none")]
    Empty,
    /// An event that domb does not write.
    #[error(
        "read event {index}: type {event_type:#x} in PCR {pcr} is not of the launch that the log begins with"
    )]
    Foreign {
        /// Which event.
        index: usize,
        /// Its PCR.
        pcr: u8,
        /// Its type.
        event_type: u32,
    },
    /// Event data that is not an entry in its one spelling.
    #[error("read event {index}: its data is not an entry of a launch: {problem}")]
    Data {
        /// Which event.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A digest that is not that of what the event says.
    #[error("read event {index} ({}): its {bank} digest is not that of what it says was measured", component.name())]
    Digest {
        /// Which event.
        index: usize,
        /// What it is about.
        component: Component,
        /// In which bank.
        bank: Bank,
    },
    /// An event in a place where it cannot be.
    #[error("read event {index} ({}): it cannot come there", component.name())]
    Order {
        /// Which event.
        index: usize,
        /// What it is about.
        component: Component,
    },
}

impl LaunchRecord {
    /// Reads a log. The last event need not be a final one: a launch may have
    /// been cut short. [`outcome`](LaunchRecord::outcome) says.
    ///
    /// # Errors
    /// The first thing in the log that domb would not have written.
    pub fn from_log(log: &EventLog) -> Result<LaunchRecord, RecordError> {
        let first = log.entries.first().ok_or(RecordError::Empty)?;
        let foreign = |index, entry: &LogEntry| RecordError::Foreign {
            index,
            pcr: entry.pcr,
            event_type: entry.event_type,
        };
        let pcr = PcrIndex::new(first.pcr.into()).ok_or_else(|| foreign(0, first))?;
        let mut events = Vec::with_capacity(log.entries.len());
        for (index, entry) in log.entries.iter().enumerate() {
            if entry.pcr != pcr.value() || entry.event_type != EV_EVENT_TAG {
                return Err(foreign(index, entry));
            }
            events.push(read_event(index, pcr, entry)?);
        }
        check_order(&events)?;
        Ok(LaunchRecord {
            pcr,
            banks: Digests::zero(&log.banks).banks(),
            events,
        })
    }

    /// `launched`, `refused` or `failed`; None when the log has no final
    /// event.
    #[must_use]
    pub fn outcome(&self) -> Option<String> {
        self.events.last().and_then(outcome)
    }
}

/// The outcome that a final event says.
fn outcome(event: &Event) -> Option<String> {
    let text = event
        .entry
        .text
        .as_deref()
        .filter(|_| event.component() == Component::Final)?;
    serde_json::from_str::<Value>(text)
        .ok()?
        .get("outcome")?
        .as_str()
        .map(str::to_owned)
}

fn read_event(index: usize, pcr: PcrIndex, logged: &LogEntry) -> Result<Event, RecordError> {
    let data = |problem: String| RecordError::Data { index, problem };
    let json = logged
        .data
        .get(8..)
        .ok_or_else(|| data("a tagged event has 8 bytes at least".to_owned()))?;
    let entry: Entry = serde_json::from_slice(json).map_err(|error| data(error.to_string()))?;
    check_entry(&entry).map_err(|problem| data(problem.to_owned()))?;
    let event = Event {
        pcr,
        entry,
        digests: logged.digests.clone(),
    };
    // Also the tag, the tagged length, and the spelling of the JSON.
    if event.data() != logged.data {
        return Err(data("it is not in its canonical spelling".to_owned()));
    }
    check_digests(index, &event)?;
    Ok(event)
}

/// Each kind of event says what it must, and nothing else.
fn check_entry(entry: &Entry) -> Result<(), &'static str> {
    let component = entry.component;
    let file = component.is_file() && !entry.absent;
    let rules = [
        (
            entry.domain.is_some() == component.is_per_domain(),
            "a domain is named if and only if it is a part of one",
        ),
        (
            !entry.absent || component.is_optional(),
            "this part cannot be absent",
        ),
        (
            entry.text.is_some() == (component.is_text() && !entry.absent),
            "a text is there if and only if it is measured",
        ),
        (
            entry.bytes.is_some() == file,
            "a length is there if and only if a file was measured",
        ),
        (
            entry.path.is_some() == (file && component != Component::Configuration),
            "a path is there if and only if a file was measured",
        ),
        (
            entry.original.is_none() || entry.path.is_some(),
            "only a file has an original",
        ),
    ];
    rules
        .into_iter()
        .find(|(holds, _)| !holds)
        .map_or(Ok(()), |(_, problem)| Err(problem))
}

/// A text hashes to the digests; what is absent has none, and nothing that is
/// there has digests of zeros.
fn check_digests(index: usize, event: &Event) -> Result<(), RecordError> {
    let component = event.component();
    for digest in event.digests.iter() {
        let fits = match &event.entry.text {
            Some(text) => *digest == super::Digest::of(digest.bank(), text.as_bytes()),
            None => digest.is_zero() == event.entry.absent,
        };
        if !fits {
            return Err(RecordError::Digest {
                index,
                component,
                bank: digest.bank(),
            });
        }
    }
    Ok(())
}

fn check_order(events: &[Event]) -> Result<(), RecordError> {
    let mut before: Option<&Event> = None;
    let mut domid = 0;
    for (index, event) in events.iter().enumerate() {
        let component = event.component();
        let follows = match before {
            None => component == Component::Start || is_failed(event),
            Some(before) => may_follow(before, event),
        };
        let in_place = match component {
            Component::Start => event.entry.text.as_deref() == Some(&sequence::start_text()),
            Component::DomainConfig => {
                let last = std::mem::replace(&mut domid, configured_domid(event).unwrap_or(0));
                domid > last
            }
            _ => true,
        };
        if !follows || !in_place {
            return Err(RecordError::Order { index, component });
        }
        before = Some(event);
    }
    Ok(())
}

/// Whether `next` can be the event after `event`.
fn may_follow(event: &Event, next: &Event) -> bool {
    let (component, after) = (event.component(), next.component());
    if after.is_per_domain() && component.is_per_domain() && after != Component::Kernel {
        return after as u8 == component as u8 + 1 && next.entry.domain == event.entry.domain;
    }
    match component {
        // After it was announced a launch may come to something else, or fail.
        Component::Final => {
            let launched = |event| outcome(event).as_deref() == Some(Outcome::Launched.as_str());
            launched(event) && (is_failed(next) || launched(next))
        }
        _ if is_failed(next) => true,
        Component::DomainConfig => matches!(after, Component::Kernel | Component::Verdict),
        Component::Kernel | Component::Ramdisk | Component::Cmdline => false,
        _ => after as u8 == component as u8 + 1,
    }
}

fn is_failed(event: &Event) -> bool {
    outcome(event).as_deref() == Some(Outcome::Failed.as_str())
}

/// The domid in a domain's configuration, if that is of the domain the event
/// names and in its one spelling.
fn configured_domid(event: &Event) -> Option<i64> {
    let text = event.entry.text.as_deref()?;
    let value: Value = serde_json::from_str(text).ok()?;
    let name = value.get("name")?.as_str()?;
    let domid = value.get("domid")?.as_i64()?;
    (canonical::to_string(&value) == text && Some(name) == event.entry.domain.as_deref())
        .then_some(domid)
}
