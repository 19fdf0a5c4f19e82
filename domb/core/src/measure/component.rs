// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is measured, in which order, and what an event says about it.
//!
//! The declaration order of [`Component`] is the measuring order; the four
//! parts of a domain repeat for each domain, by domid. A part that is absent
//! is an event too, so the shape of a launch depends on the number of domains
//! and on nothing else.

use serde::{Deserialize, Serialize};

use super::{Digests, canonical};
use crate::units::PcrIndex;

/// The version of the event sequence. It is the content of the first event, so
/// values of different versions never agree.
pub const FORMAT_VERSION: u32 = 1;

/// `EV_EVENT_TAG`: a tagged event (TCG PC Client Platform Firmware Profile,
/// section 10.4.1).
pub const EV_EVENT_TAG: u32 = 0x06;

/// One kind of measured thing. Declaration order is measuring order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The start of a launch, with the format version.
    Start,
    /// The bytes of `launch.toml`.
    Configuration,
    /// The launch script.
    LaunchScript,
    /// The compiled Flask policy, where it is known.
    FlaskPolicy,
    /// The archive that becomes the control domain's root.
    ControlRamdisk,
    /// How the boot domain leaves, and the control domain's init and arguments.
    ControlConfig,
    /// A domain's kernel, the bytes that libxl loads.
    Kernel,
    /// A domain's ramdisk, the bytes that libxl loads.
    Ramdisk,
    /// A domain's kernel command line.
    Cmdline,
    /// A domain's normalised configuration.
    DomainConfig,
    /// What the launch script decided about each domain.
    Verdict,
    /// How the launch ended. Nothing is measured after it.
    Final,
}

impl Component {
    /// Every component, in measuring order.
    pub const ALL: [Component; 12] = [
        Component::Start,
        Component::Configuration,
        Component::LaunchScript,
        Component::FlaskPolicy,
        Component::ControlRamdisk,
        Component::ControlConfig,
        Component::Kernel,
        Component::Ramdisk,
        Component::Cmdline,
        Component::DomainConfig,
        Component::Verdict,
        Component::Final,
    ];

    /// The `taggedEventID` of its events: "DOM" and the component's number,
    /// counted from 1.
    #[must_use]
    pub fn tag(self) -> u32 {
        0x444f_4d01 + self as u32
    }

    /// Whether there is one for each domain.
    #[must_use]
    pub fn is_per_domain(self) -> bool {
        (Component::Kernel..=Component::DomainConfig).contains(&self)
    }

    /// Whether what is measured is a text that the event carries whole.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(
            self,
            Component::Start
                | Component::ControlConfig
                | Component::Cmdline
                | Component::DomainConfig
                | Component::Verdict
                | Component::Final
        )
    }

    /// Whether what is measured is a file, of which the event carries the
    /// length, and for all but the configuration the path.
    #[must_use]
    pub fn is_file(self) -> bool {
        !self.is_text()
    }

    /// Whether a launch may be without it.
    #[must_use]
    pub fn is_optional(self) -> bool {
        matches!(
            self,
            Component::LaunchScript
                | Component::FlaskPolicy
                | Component::ControlRamdisk
                | Component::ControlConfig
                | Component::Ramdisk
        )
    }

    /// What a person calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Component::Start => "start",
            Component::Configuration => "launch configuration",
            Component::LaunchScript => "launch script",
            Component::FlaskPolicy => "Flask policy",
            Component::ControlRamdisk => "control ramdisk",
            Component::ControlConfig => "control configuration",
            Component::Kernel => "kernel",
            Component::Ramdisk => "ramdisk",
            Component::Cmdline => "cmdline",
            Component::DomainConfig => "domain configuration",
            Component::Verdict => "verdict",
            Component::Final => "outcome",
        }
    }
}

/// What an event says about the thing it measured. Apart from `text`, whose
/// digest is extended, this is a label: it names what was hashed, and nothing
/// but the digest is protected by the TPM.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What was measured.
    pub component: Component,
    /// Whose it is, for what belongs to a domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Path as written in the launch configuration, for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Length of the measured bytes, for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The file that the measured bytes were made from, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
    /// The measured text itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// True: there is no such part, and the digests are all zero.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// The file that measured bytes were made from (a compressed kernel).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Original {
    /// SHA-256 of the file, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// What it is, in words.
    pub format: String,
}

impl Entry {
    /// An entry that says nothing but what was measured.
    pub(super) fn bare(component: Component, domain: Option<&str>) -> Entry {
        Entry {
            component,
            domain: domain.map(str::to_owned),
            path: None,
            bytes: None,
            original: None,
            text: None,
            absent: false,
        }
    }
}

/// One extend of domb's PCR, and what it means.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The PCR.
    pub pcr: PcrIndex,
    /// What was measured.
    pub entry: Entry,
    /// What each bank is extended with.
    pub digests: Digests,
}

impl Event {
    /// What was measured.
    #[must_use]
    pub fn component(&self) -> Component {
        self.entry.component
    }

    /// The event data: the entry as canonical JSON, within a
    /// `TCG_PCClientTaggedEvent`.
    #[must_use]
    pub fn data(&self) -> Vec<u8> {
        let value = serde_json::to_value(&self.entry).expect("an entry has string keys only");
        let json = canonical::to_string(&value).into_bytes();
        let length = u32::try_from(json.len()).expect("an event is shorter than 4 GiB");
        [
            &self.component().tag().to_le_bytes()[..],
            &length.to_le_bytes(),
            &json,
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declaration_order_is_measuring_order() {
        let names: Vec<String> = Component::ALL
            .iter()
            .map(|c| {
                serde_json::to_value(c)
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(
            names,
            [
                "start",
                "configuration",
                "launch-script",
                "flask-policy",
                "control-ramdisk",
                "control-config",
                "kernel",
                "ramdisk",
                "cmdline",
                "domain-config",
                "verdict",
                "final"
            ]
        );
        assert!(Component::ALL.is_sorted());
        let tags: Vec<u32> = Component::ALL
            .iter()
            .map(|component| component.tag())
            .collect();
        assert_eq!(tags, (0x444f_4d01..=0x444f_4d0c).collect::<Vec<u32>>());
    }

    #[test]
    fn the_parts_of_a_domain_are_its_four() {
        let per_domain: Vec<Component> = Component::ALL
            .into_iter()
            .filter(|c| c.is_per_domain())
            .collect();
        assert_eq!(
            per_domain,
            [
                Component::Kernel,
                Component::Ramdisk,
                Component::Cmdline,
                Component::DomainConfig
            ]
        );
    }

    #[test]
    fn event_data_is_a_tagged_event_byte_for_byte() {
        let event = Event {
            pcr: PcrIndex::DEFAULT,
            entry: Entry {
                bytes: Some(5),
                path: Some("k".into()),
                ..Entry::bare(Component::Kernel, Some("net"))
            },
            digests: Digests::default(),
        };
        let json = br#"{"bytes":5,"component":"kernel","domain":"net","path":"k"}"#;
        let header = [0x07, 0x4d, 0x4f, 0x44, json.len() as u8, 0, 0, 0];
        assert_eq!(event.data(), [&header[..], json].concat());
    }
}
