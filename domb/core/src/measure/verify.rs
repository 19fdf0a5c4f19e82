// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Does a log explain what the PCR holds?

use super::{Bank, Digest, Digests, Event};

/// How a PCR's value in one bank compares with a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BankCheck {
    /// What the PCR holds.
    pub found: Digest,
    /// What it holds after every event of the log.
    pub replayed: Digest,
    /// The number of events after which the replay gives what the PCR holds.
    /// All of them: the log explains the PCR. Fewer: the later events were
    /// logged and not extended. None: the PCR holds something else.
    pub after: Option<usize>,
}

impl BankCheck {
    /// The bank.
    #[must_use]
    pub fn bank(&self) -> Bank {
        self.found.bank()
    }

    /// Whether the log explains what the PCR holds.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.found == self.replayed
    }
}

/// Compares the PCR's `values` with the events of a log, in every bank that
/// all of them have. `initial` is what the PCR held before the first event; a
/// bank that it does not have began at zero.
#[must_use]
pub fn check(events: &[Event], values: &Digests, initial: &Digests) -> Vec<BankCheck> {
    values
        .iter()
        .filter_map(|found| check_bank(events, *found, initial))
        .collect()
}

fn check_bank(events: &[Event], found: Digest, initial: &Digests) -> Option<BankCheck> {
    let bank = found.bank();
    let mut value = initial.bank(bank).copied().unwrap_or(Digest::zero(bank));
    let mut after = (value == found).then_some(0);
    for (number, event) in events.iter().enumerate() {
        value = value.extended(event.digests.bank(bank)?)?;
        if value == found {
            after = Some(number + 1);
        }
    }
    Some(BankCheck {
        found,
        replayed: value,
        after,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::super::{predict, replay_all};
    use super::*;

    const BANKS: [Bank; 2] = [Bank::Sha1, Bank::Sha256];

    fn events() -> Vec<Event> {
        let (config, artefacts) = full();
        predict(&config, &artefacts, None, &BANKS)
            .unwrap()
            .outcomes
            .remove(0)
            .events
    }

    fn after(events: &[Event], count: usize, initial: &Digests) -> Digests {
        replay_all(events[..count].iter().map(|event| &event.digests), initial).unwrap()
    }

    #[test]
    fn a_log_explains_the_value_it_replays_to() {
        let events = events();
        let checks = check(
            &events,
            &after(&events, events.len(), &Digests::zero(&BANKS)),
            &Digests::default(),
        );
        assert_eq!(
            checks.iter().map(BankCheck::bank).collect::<Vec<_>>(),
            BANKS
        );
        assert!(
            checks
                .iter()
                .all(|check| check.is_explained() && check.after == Some(events.len()))
        );
    }

    #[test]
    fn a_pcr_behind_its_log_is_told_by_the_number_of_events() {
        let events = events();
        for count in 0..events.len() {
            let checks = check(
                &events,
                &after(&events, count, &Digests::zero(&BANKS)),
                &Digests::default(),
            );
            assert!(
                checks
                    .iter()
                    .all(|check| !check.is_explained() && check.after == Some(count))
            );
        }
    }

    #[test]
    fn a_value_from_elsewhere_is_not_explained() {
        let events = events();
        let checks = check(
            &events,
            &Digests::of(&BANKS, b"elsewhere"),
            &Digests::default(),
        );
        assert!(
            checks
                .iter()
                .all(|check| !check.is_explained() && check.after.is_none())
        );
    }

    #[test]
    fn what_the_pcr_held_before_is_where_the_replay_begins() {
        let events = events();
        let initial = Digests::of(&BANKS, b"before");
        let values = after(&events, events.len(), &initial);
        assert!(
            check(&events, &values, &initial)
                .iter()
                .all(BankCheck::is_explained)
        );
        assert!(
            !check(&events, &values, &Digests::default())
                .iter()
                .any(BankCheck::is_explained)
        );
    }

    #[test]
    fn banks_that_the_log_does_not_have_are_not_compared() {
        assert_eq!(
            check(
                &events(),
                &Digests::zero(&[Bank::Sha512]),
                &Digests::default()
            ),
            []
        );
    }
}
