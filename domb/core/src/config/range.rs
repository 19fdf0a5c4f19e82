// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ranges of the machine that one domain has for itself: pages of I/O memory,
//! I/O ports, interrupts, PCI devices. They are written as xl.cfg has them
//! (`docs/man/xl.cfg.5.pod.in`: `iomem`, `ioports`, `irqs`, `pci`).

use std::fmt;

use serde_json::{Value, json};

/// One range that a domain may be given.
///
/// Holding one proves that it is not empty, and ends before the largest page,
/// port, interrupt or PCI address there can be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Range {
    /// Pages of I/O memory.
    Iomem {
        /// The first machine frame.
        frame: u64,
        /// How many.
        frames: u64,
        /// The guest frame it begins at, where that is another.
        gfn: Option<u64>,
    },
    /// I/O ports, both ends included.
    Ioports {
        /// The first.
        first: u16,
        /// The last.
        last: u16,
    },
    /// A physical interrupt.
    Irq(u16),
    /// A PCI device: a function of one, with all that belongs to it.
    Pci(Pci),
}

/// The address of a PCI device's function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pci {
    /// The segment; Linux and libxl call it the domain.
    pub segment: u16,
    /// The bus.
    pub bus: u8,
    /// The device, 0..=31.
    pub device: u8,
    /// The function, 0..=7.
    pub function: u8,
}

impl Pci {
    /// `SSSS:BB:DD.F`, or `BB:DD.F` in segment 0, as lspci writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Pci> {
        let (place, function) = text.rsplit_once('.')?;
        let (place, device) = place.rsplit_once(':')?;
        let (segment, bus) = place.split_once(':').unwrap_or(("0000", place));
        let digits = |text: &str, wanted: usize| {
            let whole = text.len() == wanted && text.bytes().all(|b| b.is_ascii_hexdigit());
            whole.then(|| u16::from_str_radix(text, 16).ok()).flatten()
        };
        let byte = |text| u8::try_from(digits(text, 2)?).ok();
        let function = digits(function, 1).and_then(|number| u8::try_from(number).ok());
        Some(Pci {
            segment: digits(segment, 4)?,
            bus: byte(bus)?,
            device: byte(device).filter(|device| *device < 32)?,
            function: function.filter(|function| *function < 8)?,
        })
    }
}

impl fmt::Display for Pci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pci {
            segment,
            bus,
            device,
            function,
        } = self;
        write!(f, "{segment:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

/// Frames of 4 KiB in 52 bits, the most an x86 machine can address.
const FRAMES: u64 = 1 << 40;

impl Range {
    /// The keys that ranges are written under.
    pub const KEYS: [&'static str; 4] = ["iomem", "ioports", "irqs", "pci"];

    /// `START,COUNT` or `START,COUNT@GFN`, hexadecimal frame numbers.
    #[must_use]
    pub fn iomem(text: &str) -> Option<Range> {
        let (pages, gfn) = match text.split_once('@') {
            Some((pages, gfn)) => (pages, Some(hex(gfn)?)),
            None => (text, None),
        };
        let (frame, frames) = pages.split_once(',')?;
        let (frame, frames) = (hex(frame)?, hex(frames)?);
        let ends = |start: u64| start.checked_add(frames).is_some_and(|end| end <= FRAMES);
        let fits = frames > 0 && ends(frame) && gfn.is_none_or(ends);
        fits.then_some(Range::Iomem { frame, frames, gfn })
    }

    /// `FIRST-LAST` or one port, hexadecimal.
    #[must_use]
    pub fn ioports(text: &str) -> Option<Range> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text| u16::try_from(hex(text)?).ok();
        let (first, last) = (port(first)?, port(last)?);
        (first <= last).then_some(Range::Ioports { first, last })
    }

    /// A number, from 1.
    #[must_use]
    pub fn irq(number: i64) -> Option<Range> {
        let number = u16::try_from(number).ok().filter(|irq| *irq > 0)?;
        Some(Range::Irq(number))
    }

    /// A PCI device's address.
    #[must_use]
    pub fn pci(text: &str) -> Option<Range> {
        Pci::parse(text).map(Range::Pci)
    }

    /// Whether a part of one is a part of the other.
    #[must_use]
    pub fn overlaps(&self, other: &Range) -> bool {
        let (kind, first, last) = self.bounds();
        let (other_kind, other_first, other_last) = other.bounds();
        kind == other_kind && first <= other_last && other_first <= last
    }

    /// The key that a range of its kind is written under.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.bounds().0
    }

    /// Its key, its first and its last.
    #[must_use]
    pub fn bounds(&self) -> (&'static str, u64, u64) {
        match *self {
            Range::Iomem { frame, frames, .. } => ("iomem", frame, frame + (frames - 1)),
            Range::Ioports { first, last } => ("ioports", first.into(), last.into()),
            Range::Irq(number) => ("irqs", number.into(), number.into()),
            Range::Pci(pci) => {
                let slot = u64::from(pci.device) << 3 | u64::from(pci.function);
                let place = u64::from(pci.segment) << 16 | u64::from(pci.bus) << 8 | slot;
                ("pci", place, place)
            }
        }
    }

    /// It as the configuration has it: text, or a number.
    #[must_use]
    pub fn written(&self) -> Value {
        match *self {
            Range::Iomem {
                frame,
                frames,
                gfn: None,
            } => json!(format!("{frame:x},{frames:x}")),
            Range::Iomem {
                frame,
                frames,
                gfn: Some(gfn),
            } => {
                json!(format!("{frame:x},{frames:x}@{gfn:x}"))
            }
            Range::Ioports { first, last } if first == last => json!(format!("{first:x}")),
            Range::Ioports { first, last } => json!(format!("{first:x}-{last:x}")),
            Range::Irq(number) => json!(number),
            Range::Pci(pci) => json!(pci.to_string()),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Range::Iomem { .. } => "iomem",
            Range::Ioports { .. } => "ioports",
            Range::Irq(_) => "irq",
            Range::Pci(_) => "pci",
        };
        match self.written() {
            Value::String(text) => write!(f, "{what} {text}"),
            other => write!(f, "{what} {other}"),
        }
    }
}

/// Ranges under a name, so that domains and the launch script can refer to
/// them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// At least one range.
    pub ranges: Vec<Range>,
    /// Whether the hardware domain is kept from it even if no other domain
    /// has it.
    pub withheld: bool,
}

/// Digits as C's `%x` reads them, and nothing else.
fn hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    whole
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_xl_reads_them() {
        for (text, shown) in [
            ("fed40,1", "iomem fed40,1"),
            ("0xFED40,0x5@10", "iomem fed40,5@10"),
        ] {
            assert_eq!(Range::iomem(text).unwrap().to_string(), shown);
        }
        assert_eq!(
            Range::ioports("2f8-2ff").unwrap().to_string(),
            "ioports 2f8-2ff"
        );
        assert_eq!(Range::ioports("70").unwrap().to_string(), "ioports 70");
        assert_eq!(Range::irq(5).unwrap().to_string(), "irq 5");
        for text in ["00:1f.2", "0000:00:1F.2"] {
            assert_eq!(Range::pci(text).unwrap().to_string(), "pci 0000:00:1f.2");
        }
    }

    #[test]
    fn what_is_no_range_is_none() {
        for text in [
            "",
            "fed40",
            "fed40,0",
            ",1",
            "fed40,1@",
            "-1,1",
            "+1,1",
            "g,1",
            "fed40, 1",
            "ffffffffffffffff,1",
            "10000000000,1",
            "0,10000000001",
            "1,1@ffffffffff",
        ] {
            let fits = text == "1,1@ffffffffff";
            assert_eq!(Range::iomem(text).is_some(), fits, "{text}");
        }
        for text in ["", "-", "3ff-3f8", "10000", "3f8-", "3f8--3ff"] {
            assert_eq!(Range::ioports(text), None, "{text}");
        }
        for text in [
            "",
            "4",
            "00:04",
            "00:20.0",
            "00:04.8",
            "0:04.0",
            "00000:00:04.0",
            "0000:00:04.+1",
            "00:04.0 ",
            "nic",
        ] {
            assert_eq!(Range::pci(text), None, "{text}");
        }
        for number in [-1, 0, 65536] {
            assert_eq!(Range::irq(number), None, "{number}");
        }
    }

    #[test]
    fn ranges_of_different_kinds_never_overlap() {
        let page = Range::iomem("5,1").unwrap();
        assert!(!page.overlaps(&Range::ioports("5").unwrap()));
        assert!(!page.overlaps(&Range::irq(5).unwrap()));
        assert!(!page.overlaps(&Range::pci("00:00.5").unwrap()));
        assert!(page.overlaps(&Range::iomem("0,6").unwrap()));
        assert!(!page.overlaps(&Range::iomem("6,1").unwrap()));
    }

    proptest! {
        #[test]
        fn a_range_is_read_back_as_it_is_written(
            frame in 0..FRAMES - 1, frames in 1..1u64 << 20, gfn in prop::option::of(0..FRAMES - (1 << 20)),
            first in 0..=u16::MAX, length in 0..=u16::MAX,
            (segment, bus, device, function) in (0..=u16::MAX, 0..=u8::MAX, 0..32u8, 0..8u8),
        ) {
            let pci = Range::Pci(Pci { segment, bus, device, function });
            prop_assert_eq!(Range::pci(pci.written().as_str().unwrap()), Some(pci));
            let frames = frames.min(FRAMES - frame);
            let iomem = Range::Iomem { frame, frames, gfn };
            prop_assert_eq!(Range::iomem(iomem.written().as_str().unwrap()), Some(iomem));
            let ports = Range::Ioports { first, last: first.saturating_add(length) };
            prop_assert_eq!(Range::ioports(ports.written().as_str().unwrap()), Some(ports));
        }
    }
}
