// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Devices that two domains of one launch would have: a PCI device, a disk
//! that one of them writes to, a network address. They are written as libxl
//! has them (`libxl_types.idl`), PCI devices also as `pci`, so what is found
//! here is what libxl would be given.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};

use super::failure;
use super::faults::{Faults, Field, quote};
use super::range::Pci;
use super::raw::{RawConfig, RawDomain};
use crate::explain::Code;

/// A device as the key of what must be unique, with what a person calls it.
type Device = (Kind, String);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Pci,
    Disk,
    Mac,
}

/// Who has a device first.
struct Owner {
    /// The place it takes.
    domain: usize,
    span: Range<usize>,
    name: String,
    writes: bool,
}

/// Reports every device that two domains name.
pub(super) fn check(raw: &RawConfig<'_>, faults: &mut Faults<'_>) {
    let domains = &raw.domains;
    let mut owners: BTreeMap<Device, Owner> = BTreeMap::new();
    // Domains that are never there at the same time may have the same devices.
    let places = failure::places(domains);
    for (index, domain) in domains.iter().enumerate() {
        let Some(index) = places[index] else {
            continue;
        };
        let name = domain
            .name
            .as_ref()
            .map_or("?".to_owned(), |field| quote(field.value));
        let given = given(domain, raw);
        for (at, device, writes) in given.into_iter().chain(passed_through(domain)) {
            match owners.get_mut(&device) {
                // Twice in one domain is for libxl to say.
                Some(first) if first.domain == index => first.writes |= writes,
                Some(first) if first.writes || writes => {
                    faults.add(twice(&at, &device, first, faults));
                }
                Some(_) => {}
                None => {
                    let owner = Owner {
                        domain: index,
                        span: at.span,
                        name: name.clone(),
                        writes,
                    };
                    owners.insert(device, owner);
                }
            }
        }
    }
}

fn twice(
    at: &Field<()>,
    (kind, shown): &Device,
    first: &Owner,
    faults: &Faults<'_>,
) -> crate::diagnostic::Diagnostic {
    let (what, why, hint) = match kind {
        Kind::Pci => (
            "PCI device",
            "Xen assigns a device to one domain, and the second could not be built",
            "give it to one of the two",
        ),
        Kind::Disk => (
            "disk",
            "one would change what the other has in memory, and destroy its file system",
            "give each a disk of its own, or let both only read it: readwrite = 0",
        ),
        Kind::Mac => (
            "network address",
            "each would get a part of the other's packets",
            "change a digit of one of the two",
        ),
    };
    let shown = quote(shown);
    faults
        .at(
            at,
            Code::DeviceTwice,
            format!("{what} {shown} belongs to {} already", first.name),
        )
        .also(first.span.clone(), "named here first")
        .because(why)
        .hint(hint)
}

/// What the domain is given by `pci` and by name, each where it is written.
fn given(domain: &RawDomain<'_>, raw: &RawConfig<'_>) -> Vec<(Field<()>, Device, bool)> {
    let named = domain.resources.iter().flat_map(|field| {
        let mut resources = raw.resources.iter();
        let resource = resources.find(|resource| resource.name() == field.value);
        let devices = resource.map_or(vec![], |resource| resource.ranges().pci());
        devices.into_iter().map(|device| field.with(device.value))
    });
    let all = domain.ranges.pci().into_iter().chain(named);
    all.map(|field| {
        let device = (Kind::Pci, field.value.to_string());
        (field.with(()), device, true)
    })
    .collect()
}

/// What is in its pass-through table.
fn passed_through(domain: &RawDomain<'_>) -> Vec<(Field<()>, Device, bool)> {
    let Some(libxl) = &domain.libxl else {
        return Vec::new();
    };
    let found = devices(&libxl.value).into_iter();
    found
        .map(|(list, device, writes)| {
            let span = domain.table.place_below("libxl", &[list]);
            let at = Field {
                value: (),
                span: span.unwrap_or(libxl.span.clone()),
                key: format!("{}.{list}", libxl.key),
            };
            (at, device, writes)
        })
        .collect()
}

/// The devices of a pass-through table, each with its list and whether it is
/// this domain's alone.
fn devices(libxl: &Map<String, Value>) -> Vec<(&'static str, Device, bool)> {
    let list = |name: &str| {
        libxl
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let mut found = Vec::new();
    for pci in list("pcidevs") {
        let part = |name: &str| pci.get(name).and_then(Value::as_u64).unwrap_or(0);
        let byte = |name: &str| u8::try_from(part(name)).unwrap_or(u8::MAX);
        let device = Pci {
            segment: u16::try_from(part("domain")).unwrap_or(u16::MAX),
            bus: byte("bus"),
            device: byte("dev"),
            function: byte("func"),
        };
        found.push(("pcidevs", (Kind::Pci, device.to_string()), true));
    }
    for disk in list("disks") {
        let writes = disk.get("readwrite").is_some_and(|flag| flag != 0);
        if let Some(path) = disk.get("pdev_path").and_then(Value::as_str) {
            found.push(("disks", (Kind::Disk, path.to_owned()), writes));
        }
    }
    for nic in list("nics") {
        if let Some(mac) = nic.get("mac").and_then(Value::as_str) {
            found.push(("nics", (Kind::Mac, mac.to_lowercase()), true));
        }
    }
    found
}
