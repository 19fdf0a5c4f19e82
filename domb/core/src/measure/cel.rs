// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The events as a Canonical Event Log in its JSON encoding (TCG Canonical
//! Event Log Format 1.0, section 5.3), for verifiers that read that. The
//! content is the event as the TCG log has it (`pcclient_std`).

use serde_json::{Value, json};

use super::{EV_EVENT_TAG, Event, hex};

/// The CEL-JSON array of `events`.
#[must_use]
pub fn to_json(events: &[Event]) -> Value {
    events
        .iter()
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
    let event_type = if event.event_type() == EV_EVENT_TAG {
        "EV_EVENT_TAG"
    } else {
        "EV_IPL"
    };
    json!({
        "recnum": number,
        "pcr": event.pcr,
        "digests": digests,
        "content_type": "pcclient_std",
        "content": {"event_type": event_type, "event_data": hex::encode(&event.data())},
    })
}
