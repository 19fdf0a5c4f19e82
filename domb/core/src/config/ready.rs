// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When a domain counts as ready (`[domain.ready]`). Domains that start after
//! it wait for that.
//!
//! Whatever a guest says of itself, in XenStore or on its console, is only
//! believed about itself: it can hold back those that wait for it, or let them
//! start too early, and nothing else.

use std::time::Duration;

use serde::Serialize;

use super::faults::{Faults, Field, one_of, quote};
use super::raw::RawReady;
use crate::explain::Code;

/// What a domain is ready by: everything that is named here holds at the same
/// time. Something is named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ready {
    /// A node of XenStore.
    pub node: Option<Node>,
    /// What a line of its console contains; `*` stands for any text.
    pub console: Option<String>,
    /// A device of its own whose backend has come to a state.
    pub backend: Option<Backend>,
    /// It runs: unpaused, and it has not ended.
    pub running: bool,
    /// How long after it was unpaused this may take.
    pub timeout: Duration,
    /// What it means when it takes longer.
    pub on_timeout: OnTimeout,
}

/// A node of XenStore that appears, or comes to hold a text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Node {
    /// Its path; below the domain's own (`/local/domain/DOMID/`) unless it
    /// begins with a slash.
    pub path: String,
    /// What it has to hold; None: it is enough that it is there.
    pub equals: Option<String>,
}

/// A device of the domain, by the state of its backend.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Backend {
    /// Kind and number, as below `/local/domain/DOMID/device`: `vbd/51712`.
    pub device: String,
    /// The state it has to be in.
    pub state: BackendState,
}

/// The states of a backend that can be waited for (`enum xenbus_state`,
/// `xen/include/public/io/xenbus.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendState {
    /// `"connected"`: both ends work.
    #[default]
    Connected,
    /// `"initialised"`: it waits for the other end to connect.
    Initialised,
    /// `"initwait"`: it is there and waits for the other end's details.
    InitWait,
}

impl BackendState {
    /// The number of the state in XenStore.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            BackendState::InitWait => "2",
            BackendState::Initialised => "3",
            BackendState::Connected => "4",
        }
    }

    /// The word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BackendState::InitWait => "initwait",
            BackendState::Initialised => "initialised",
            BackendState::Connected => "connected",
        }
    }
}

/// What it means that a domain is not ready in time (`on_timeout`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTimeout {
    /// `"fail"`: the domain has failed, and its `on_failure` applies.
    #[default]
    Fail,
    /// `"continue"`: those that wait are started; the report has a warning.
    Continue,
}

impl OnTimeout {
    /// The word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OnTimeout::Fail => "fail",
            OnTimeout::Continue => "continue",
        }
    }
}

impl Ready {
    /// The time a domain gets when nothing is said.
    pub const TIMEOUT: Duration = Duration::from_secs(60);
    /// The most that can be said.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

    /// The timeout as a configuration has it.
    #[must_use]
    pub fn timeout_text(&self) -> String {
        let milliseconds = self.timeout.as_millis();
        match milliseconds.is_multiple_of(1000) {
            true => format!("{}s", milliseconds / 1000),
            false => format!("{milliseconds}ms"),
        }
    }
}

impl std::fmt::Display for Ready {
    /// What is waited for, as a sentence ends: `node data/ready = "1"`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if let Some(Node { path, equals }) = &self.node {
            parts.push(match equals {
                Some(text) => format!("node {path} = {text:?}"),
                None => format!("node {path}"),
            });
        }
        if let Some(text) = &self.console {
            parts.push(format!("console line {text:?}"));
        }
        if let Some(Backend { device, state }) = &self.backend {
            parts.push(format!("backend of {device} {}", state.as_str()));
        }
        if self.running {
            parts.push("running".to_owned());
        }
        f.write_str(&parts.join(", "))
    }
}

/// The longest relative path that XenStore takes (`XENSTORE_REL_PATH_MAX`,
/// `xen/include/public/io/xs_wire.h`).
pub(super) const MAX_PATH: usize = 2048;
/// What a line of a console can sensibly be told by, and a node hold.
pub(super) const MAX_TEXT: usize = 200;

/// What `raw` means. None only if a fault was reported.
pub(super) fn ready(raw: &RawReady<'_>, faults: &mut Faults<'_>) -> Option<Ready> {
    let node = raw.xenstore.as_ref().map(|field| path(field, faults));
    let equals = raw.equals.as_ref().map(|field| text(field, faults));
    let console = raw.console.as_ref().map(|field| text(field, faults));
    let backend = raw.backend.as_ref().map(|field| device(field, faults));
    let timeout = raw
        .timeout
        .as_ref()
        .map_or(Some(Ready::TIMEOUT), |field| timeout(field, faults));
    let whole = conditions(raw, faults);
    let complete = whole
        && [&equals, &console, &backend]
            .into_iter()
            .all(|text| !matches!(text, Some(None)));
    if !complete {
        return None;
    }
    Some(Ready {
        node: match node {
            Some(path) => Some(Node {
                path: path?,
                equals: equals.flatten(),
            }),
            None => None,
        },
        console: console.flatten(),
        backend: backend.flatten().map(|device| Backend {
            device,
            state: raw
                .state
                .as_ref()
                .map(|field| field.value)
                .unwrap_or_default(),
        }),
        running: raw.running.as_ref().is_some_and(|field| field.value),
        timeout: timeout?,
        on_timeout: raw
            .on_timeout
            .as_ref()
            .map(|field| field.value)
            .unwrap_or_default(),
    })
}

/// Something is waited for, and nothing is said about what is not.
fn conditions(raw: &RawReady<'_>, faults: &mut Faults<'_>) -> bool {
    let is_there = ["xenstore", "console", "backend", "running"].map(|key| raw.table.has(key));
    let says_no = raw.running.as_ref().filter(|field| !field.value);
    let mut whole = true;
    // A slip of the finger is one fault, not two.
    if !raw.table.is_known() {
        whole = false;
    } else if !is_there.contains(&true)
        || (says_no.is_some() && is_there == [false, false, false, true])
    {
        let fault = faults
            .error(Code::ReadyNothing, "`ready` waits for nothing")
            .at(says_no.map_or(raw.table.span.clone(), |field| field.span.clone()))
            .key("domain.ready")
            .because("domains that start after this one would never, or always, be started")
            .hint("name one of xenstore, console, backend or running = true, or leave `ready` out");
        faults.add(fault);
        whole = false;
    }
    let needs = [
        (
            raw.equals.as_ref().map(|f| f.with("equals")),
            "xenstore",
            "xenstore = \"data/ready\"",
        ),
        (
            raw.state.as_ref().map(|f| f.with("state")),
            "backend",
            "backend = \"vbd/51712\"",
        ),
    ];
    for (field, other, example) in needs {
        let Some(field) = field.filter(|_| !raw.table.has(other)) else {
            continue;
        };
        let fault = faults
            .at(
                &field,
                Code::ReadyAlone,
                format!("`{}` stands without `{other}`", field.value),
            )
            .because("it says what another key waits for, and that is not there")
            .hint(format!("add {example}, or take it out"));
        faults.add(fault);
        whole = false;
    }
    whole
}

/// A path that XenStore takes (`is_valid_nodename`,
/// `tools/xenstore/xenstored_core.c`).
fn path(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<String> {
    let path = field.value;
    let good = |c: char| c.is_ascii_alphanumeric() || "-/_@".contains(c);
    let why = if path.is_empty() || path.ends_with('/') {
        "it names no node"
    } else if path.starts_with('@') {
        "that names an event of the store, not a node"
    } else if let Some(c) = path.chars().find(|c| !good(*c)) {
        faults.add(bad_path(field, &format!("it contains {c:?}"), faults));
        return None;
    } else if path.contains("//") {
        "it has a part without a name"
    } else if path.len() > MAX_PATH {
        "it is longer than the store takes"
    } else {
        return Some(path.to_owned());
    };
    faults.add(bad_path(field, why, faults));
    None
}

fn bad_path(field: &Field<&str>, why: &str, faults: &Faults<'_>) -> crate::diagnostic::Diagnostic {
    faults
        .at(
            field,
            Code::StorePath,
            format!("`xenstore` \"{}\" is no path: {why}", quote(field.value)),
        )
        .because("XenStore would refuse to look there, and the domain would never be ready")
        .hint("use letters, digits, - and _ between slashes, as in \"data/ready\"")
}

/// A text that can stand on one line.
fn text(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<String> {
    let key = field.key.rsplit('.').next().unwrap_or_default();
    let empty = key == "console" && field.value.chars().all(|c| c == '*' || c == ' ');
    let why = if empty {
        "every line has it"
    } else if field.value.chars().any(char::is_control) {
        "it contains a control character, and only lines of text are compared"
    } else if field.value.len() > MAX_TEXT {
        "it is longer than 200 bytes"
    } else {
        return Some(field.value.to_owned());
    };
    let fault = faults
        .at(
            field,
            Code::ConsolePattern,
            format!(
                "`{key}` \"{}\" cannot be waited for: {why}",
                quote(field.value)
            ),
        )
        .hint("write a part of the line that is always there, as in \"login:\"");
    faults.add(fault);
    None
}

/// A device as its nodes are called: `vbd/51712`.
fn device(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<String> {
    let known = field.value.split_once('/').is_some_and(|(kind, number)| {
        DEVICES.contains(&kind)
            && (1..=10).contains(&number.len())
            && number.chars().all(|c| c.is_ascii_digit())
    });
    if known {
        return Some(field.value.to_owned());
    }
    let fault = faults
        .at(
            field,
            Code::BackendDevice,
            format!("`backend` \"{}\" is no device", quote(field.value)),
        )
        .because("there would be no such device below the domain's own nodes")
        .hint(format!(
            "write kind and number, as in \"vbd/51712\" for xvda or \"vif/0\"; the kinds are {}",
            one_of(&DEVICES)
        ));
    faults.add(fault);
    None
}

/// A time with its unit, from 100 ms to an hour.
fn timeout(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<Duration> {
    let found = duration(field.value);
    let least = Duration::from_millis(100);
    if let Some(found) = found.filter(|time| (least..=Ready::MAX_TIMEOUT).contains(time)) {
        return Some(found);
    }
    let shown = quote(field.value);
    let (message, hint) = match (found, field.value.trim().parse::<u32>()) {
        (Some(_), _) => (
            format!("`timeout` \"{shown}\" is not between 100ms and 1h"),
            "a guest's kernel starts within seconds; 30s is usual".to_owned(),
        ),
        (None, Ok(number)) => (
            format!("`timeout` has no unit: \"{shown}\""),
            format!("for {number} seconds write timeout = \"{number}s\""),
        ),
        (None, Err(_)) => (
            format!("`timeout` is not a time: \"{shown}\""),
            "write a whole number and one of the units ms, s, m, h, as in \"30s\"".to_owned(),
        ),
    };
    faults.add(faults.at(field, Code::Timeout, message).hint(hint));
    None
}

fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit.trim_start() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(milliseconds)?))
}

/// The kinds of devices with a backend that libxl makes for a domain
/// (`LIBXL__DEVICE_KIND_*`, `tools/libs/light/libxl_types_internal.idl`).
pub(super) const DEVICES: [&str; 9] = [
    "vbd", "vif", "pci", "vkbd", "vfb", "9pfs", "vtpm", "vusb", "virtio",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, check: impl Fn(&Field<&str>, &mut Faults<'_>) -> bool) -> (bool, usize) {
        let mut faults = Faults::new("t");
        let field = Field {
            value: text,
            span: 0..1,
            key: "domain[0].ready.console".to_owned(),
        };
        let good = check(&field, &mut faults);
        (good, faults.finish().len())
    }

    #[test]
    fn a_time_has_a_unit_and_stays_below_an_hour() {
        for (text, milliseconds) in [
            ("100ms", 100),
            ("30s", 30_000),
            ("2 m", 120_000),
            (" 1h", 3_600_000),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for bad in [
            "",
            "30",
            "s",
            "-1s",
            "1.5s",
            "1d",
            "99ms",
            "2h",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(
                with(bad, |field, faults| timeout(field, faults).is_some()),
                (false, 1),
                "{bad}"
            );
        }
    }

    #[test]
    fn paths_are_those_the_store_takes() {
        for good in ["data/ready", "/tool/x", "a-b_c", "backend/vif/1@2"] {
            assert_eq!(
                with(good, |field, faults| path(field, faults).is_some()),
                (true, 0),
                "{good}"
            );
        }
        let long = "a".repeat(MAX_PATH + 1);
        for bad in [
            "",
            "/",
            "data/",
            "a//b",
            "a b",
            "é",
            "@releaseDomain",
            "a.b",
            &long,
        ] {
            assert_eq!(
                with(bad, |field, faults| path(field, faults).is_some()),
                (false, 1),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_device_is_a_kind_and_a_number() {
        for good in ["vbd/51712", "vif/0"] {
            assert_eq!(
                with(good, |field, faults| device(field, faults).is_some()),
                (true, 0)
            );
        }
        for bad in [
            "",
            "vbd",
            "vbd/",
            "vbd/xvda",
            "disk/1",
            "vbd/1/2",
            "vbd/12345678901",
        ] {
            assert_eq!(
                with(bad, |field, faults| device(field, faults).is_some()),
                (false, 1),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_pattern_that_fits_every_line_is_refused() {
        for bad in ["", "*", " * ", "a\tb", &"x".repeat(201)] {
            assert_eq!(
                with(bad, |field, faults| text(field, faults).is_some()),
                (false, 1),
                "{bad:?}"
            );
        }
        assert_eq!(
            with("login:", |field, faults| text(field, faults).is_some()),
            (true, 0)
        );
    }
}
