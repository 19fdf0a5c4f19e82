// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The events as a Canonical Event Log in its JSON encoding (TCG Canonical
//! Event Log Format 1.0, section 5.3), for verifiers that read that. The
//! content is the event as the TCG log has it (`pcclient_std`).

use serde_json::{Value, json};

use super::{Event, hex};

/// The CEL-JSON array of `events`.
#[must_use]
pub fn to_json<'a>(events: impl IntoIterator<Item = &'a Event>) -> Value {
    events
        .into_iter()
        .enumerate()
        .map(|(number, event)| record(number, event))
        .collect()
}

fn record(number: usize, event: &Event) -> Value {
    let digests: Vec<Value> = event
        .digests
        .iter()
        .map(|digest| json!({"hashAlg": digest.bank().name(), "digest": digest.to_string()}))
        .collect();
    json!({
        "recnum": number,
        "pcr": event.pcr,
        "digests": digests,
        "content_type": "pcclient_std",
        "content": {"event_type": "EV_EVENT_TAG", "event_data": hex::encode(&event.data())},
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::super::{Bank, launch_events};
    use super::*;

    #[test]
    fn a_record_has_the_members_that_the_format_names() {
        let config = config(vec![domain("net", 7)]);
        let events =
            launch_events(&config, &artefacts(&config), &[Bank::Sha1, Bank::Sha256]).unwrap();
        let records = to_json(&events);
        let record = &records[2];
        assert_eq!(record["recnum"], 2);
        assert_eq!(record["pcr"], 13);
        assert_eq!(record["content_type"], "pcclient_std");
        assert_eq!(
            record["digests"][0],
            json!({"hashAlg": "sha1", "digest": "00".repeat(20)})
        );
        assert_eq!(
            record["digests"][1],
            json!({"hashAlg": "sha256", "digest": "00".repeat(32)})
        );
        assert_eq!(record["content"]["event_type"], "EV_EVENT_TAG");
        assert_eq!(
            record["content"]["event_data"],
            hex::encode(&events[2].data())
        );
        assert_eq!(records.as_array().unwrap().len(), events.len());
    }
}
