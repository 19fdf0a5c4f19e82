// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Events as lines for a person.

use domb_core::measure::{Bank, Event};

use crate::console::printable;

/// One line for each event: its number, whose part it is, what it says, and
/// its SHA-256 or else its first digest.
#[must_use]
pub fn listing(events: &[Event]) -> String {
    events
        .iter()
        .enumerate()
        .map(|(number, event)| line(number, event))
        .collect()
}

/// What an event is about: `domain net: ramdisk`.
#[must_use]
pub fn subject(event: &Event) -> String {
    match &event.entry.domain {
        Some(domain) => format!("domain {domain}: {}", event.component().name()),
        None => event.component().name().to_owned(),
    }
}

fn line(number: usize, event: &Event) -> String {
    let entry = &event.entry;
    let subject = subject(event);
    let mut says = Vec::new();
    if entry.absent {
        says.push("absent".to_owned());
    }
    says.extend(entry.path.clone());
    says.extend(entry.bytes.map(|bytes| format!("({bytes} bytes)")));
    says.extend(
        entry
            .original
            .as_ref()
            .map(|original| format!("from {}", original.format)),
    );
    says.extend(entry.text.clone());
    let digest = event
        .digests
        .bank(Bank::Sha256)
        .or(event.digests.iter().next());
    let digest = match digest {
        Some(digest) if !entry.absent => format!("     {} {digest}\n", digest.bank()),
        _ => String::new(),
    };
    format!(
        "{number:>4} {}\n{digest}",
        printable(&format!("{subject}: {}", says.join(" ")))
    )
}
