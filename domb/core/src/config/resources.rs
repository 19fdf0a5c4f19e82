// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ranges that domains are given: what the file says, and what it means. The
//! rules between them are in `owners.rs`.

use super::faults::{Faults, Field, quote};
use super::nearest::nearest;
use super::range::{Pci, Range, Resource};
use super::raw::RawDomain;
use super::table::Table;
use crate::diagnostic::Diagnostic;
use crate::explain::Code;

/// The keys of ranges, as written.
pub(super) struct RawRanges<'t> {
    iomem: Vec<Field<&'t str>>,
    ioports: Vec<Field<&'t str>>,
    irqs: Vec<Field<i64>>,
    pci: Vec<Field<&'t str>>,
}

/// One `[resources.NAME]`.
pub(super) struct RawResource<'t> {
    name: Field<&'t str>,
    pub(super) ranges: RawRanges<'t>,
    withheld: Option<Field<bool>>,
}

impl<'t> RawRanges<'t> {
    pub(super) fn read(table: &Table<'t>, faults: &mut Faults<'_>) -> RawRanges<'t> {
        RawRanges {
            iomem: table.texts("iomem", faults),
            ioports: table.texts("ioports", faults),
            irqs: table.integers("irqs", faults),
            pci: table.texts("pci", faults),
        }
    }

    /// The first range's key, and where it is written.
    pub(super) fn first(&self) -> Option<(&'static str, &std::ops::Range<usize>)> {
        let iomem = self.iomem.first().map(|field| ("iomem", &field.span));
        let ports = self.ioports.first().map(|field| ("ioports", &field.span));
        let irqs = self.irqs.first().map(|field| ("irqs", &field.span));
        let pci = self.pci.first().map(|field| ("pci", &field.span));
        iomem.or(ports).or(irqs).or(pci)
    }

    /// The PCI devices that are some, each where it is written.
    pub(super) fn pci(&self) -> Vec<Field<Pci>> {
        let devices = self.pci.iter();
        let devices = devices.filter_map(|f| Some(f.with(Pci::parse(f.value)?)));
        devices.collect()
    }

    /// The ranges that are ranges, in the order iomem, ioports, irqs, pci. What
    /// is none was or will be reported by [`meaning`].
    pub(super) fn all(&self) -> Vec<Field<Range>> {
        let iomem = self
            .iomem
            .iter()
            .filter_map(|f| Some(f.with(Range::iomem(f.value)?)));
        let ports = self
            .ioports
            .iter()
            .filter_map(|f| Some(f.with(Range::ioports(f.value)?)));
        let irqs = self
            .irqs
            .iter()
            .filter_map(|f| Some(f.with(Range::irq(f.value)?)));
        let pci = self.pci().into_iter().map(|f| f.with(Range::Pci(f.value)));
        iomem.chain(ports).chain(irqs).chain(pci).collect()
    }
}

impl<'t> RawResource<'t> {
    /// Its name as written.
    pub(super) fn name(&self) -> &'t str {
        self.name.value
    }

    /// Whether it is kept from the hardware domain, as written.
    pub(super) fn withheld(&self) -> Option<&Field<bool>> {
        self.withheld.as_ref()
    }

    /// Its ranges as written.
    pub(super) fn ranges(&self) -> &RawRanges<'t> {
        &self.ranges
    }

    pub(super) fn read(
        (name, table): (Field<&'t str>, Table<'t>),
        faults: &mut Faults<'_>,
    ) -> RawResource<'t> {
        RawResource {
            name,
            ranges: RawRanges::read(&table, faults),
            withheld: table.flag("withheld", faults),
        }
    }
}

/// What the ranges mean. None if one is no range; that is reported.
pub(super) fn meaning(raw: &RawRanges<'_>, faults: &mut Faults<'_>) -> Option<Vec<Range>> {
    let before = raw.iomem.len() + raw.ioports.len() + raw.irqs.len() + raw.pci.len();
    for field in raw.iomem.iter().filter(|f| Range::iomem(f.value).is_none()) {
        let hint = "write START,COUNT in hexadecimal pages, as in iomem = [\"fed40,1\"]";
        faults.add(no_range(
            field,
            &quote(field.value),
            "pages of I/O memory",
            hint,
            faults,
        ));
    }
    for field in raw
        .ioports
        .iter()
        .filter(|f| Range::ioports(f.value).is_none())
    {
        let hint = "write FIRST-LAST in hexadecimal, as in ioports = [\"2f8-2ff\"]";
        faults.add(no_range(
            field,
            &quote(field.value),
            "I/O ports",
            hint,
            faults,
        ));
    }
    for field in raw.irqs.iter().filter(|f| Range::irq(f.value).is_none()) {
        let hint = "write a number from 1 to 65535, as in irqs = [5]";
        faults.add(no_range(
            field,
            &field.value.to_string(),
            "an interrupt",
            hint,
            faults,
        ));
    }
    for field in raw.pci.iter().filter(|f| Pci::parse(f.value).is_none()) {
        let hint = "write it as lspci -D does, as in pci = [\"0000:00:1f.2\"]";
        faults.add(no_range(
            field,
            &quote(field.value),
            "the address of a PCI device",
            hint,
            faults,
        ));
    }
    let all = raw.all();
    (all.len() == before).then(|| all.into_iter().map(|field| field.value).collect())
}

fn no_range<T>(
    at: &Field<T>,
    shown: &str,
    what: &str,
    hint: &str,
    faults: &Faults<'_>,
) -> Diagnostic {
    faults
        .at(at, Code::Range, format!("\"{shown}\" is not {what}"))
        .because("another range than the one meant could be given away")
        .hint(hint)
}

/// How many bits a physical address of the machine has. None if it is no
/// number that a processor has; that is reported.
pub(super) fn address_bits(field: &Field<i64>, faults: &mut Faults<'_>) -> Option<u8> {
    let bits = u8::try_from(field.value).ok();
    let bits = bits.filter(|bits| (32..=52).contains(bits));
    if bits.is_none() {
        let shown = field.value;
        let fault = faults
            .at(
                field,
                Code::RangeTooHigh,
                format!("`address_bits` {shown} is not a number from 32 to 52"),
            )
            .because("no x86 machine that Xen runs on has such physical addresses")
            .hint("/proc/cpuinfo of the machine has it: address sizes : 39 bits physical");
        faults.add(fault);
    }
    bits
}

/// The named resources. None if one is wrong; that is reported.
pub(super) fn resources(raw: &[RawResource<'_>], faults: &mut Faults<'_>) -> Option<Vec<Resource>> {
    let mut all = Some(Vec::new());
    for raw in raw {
        let name = raw.name.value;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let named = (1..=64).contains(&name.len()) && name.chars().all(allowed);
        if !named {
            let fault = faults
                .at(
                    &raw.name,
                    Code::Range,
                    format!("\"{}\" is no name for a resource", quote(name)),
                )
                .hint("use 1 to 64 letters, digits, and - _ .");
            faults.add(fault);
        }
        let ranges = meaning(&raw.ranges, faults);
        if ranges.as_ref().is_some_and(Vec::is_empty) {
            let fault = faults
                .at(
                    &raw.name,
                    Code::Range,
                    format!("resource `{}` has no range", quote(name)),
                )
                .hint("give it iomem, ioports, irqs or pci");
            faults.add(fault);
        }
        let ranges = ranges.filter(|ranges| named && !ranges.is_empty());
        all = all.zip(ranges).map(|(mut all, ranges)| {
            all.push(Resource {
                name: name.to_owned(),
                ranges,
                withheld: raw.withheld.as_ref().is_some_and(|flag| flag.value),
            });
            all
        });
    }
    all
}

/// The resources that a domain names. None if there is no such; that is
/// reported.
pub(super) fn of_domain(
    raw: &RawDomain<'_>,
    known: &[RawResource<'_>],
    resources: &[Resource],
    faults: &mut Faults<'_>,
) -> Option<Vec<Resource>> {
    let mut named = Some(Vec::new());
    for field in &raw.resources {
        let found = resources
            .iter()
            .find(|resource| resource.name == field.value);
        named = match found {
            Some(resource) => named.map(|mut named| {
                if !named.contains(resource) {
                    named.push(resource.clone());
                }
                named
            }),
            None => {
                if !known
                    .iter()
                    .any(|resource| resource.name.value == field.value)
                {
                    let names: Vec<&str> = known.iter().map(|r| r.name.value).collect();
                    faults.add(unknown(field, &names, faults));
                }
                None
            }
        };
    }
    named
}

fn unknown(field: &Field<&str>, names: &[&str], faults: &Faults<'_>) -> Diagnostic {
    let shown = quote(field.value);
    let hint = match nearest(field.value, names) {
        Some(near) => format!("did you mean \"{}\"?", quote(near)),
        None => format!("declare it: [resources.{shown}] with iomem, ioports, irqs or pci"),
    };
    faults
        .at(
            field,
            Code::ResourceUnknown,
            format!("`resources` names {shown}, and there is no [resources.{shown}]"),
        )
        .because("the domain would be started without what it needs")
        .hint(hint)
}
