// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PCI devices of the machine, as domain 0's Linux shows them: what belongs to
//! one, whether it can be given to a domain, and taking it from domain 0's
//! drivers. Giving it is libxl's work.
//!
//! It trusts Linux for where a device's memory and ports are, as libxl does. It
//! refuses a bridge, a device that shares a page with another, and every device
//! where there is no IOMMU: each would give away more than was named.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domb_core::config::{Pci, Range};

/// The devices and drivers below a directory like `/sys/bus/pci`.
pub struct Bus(PathBuf);

impl Bus {
    /// That of the running Linux.
    #[must_use]
    pub fn of_linux() -> Bus {
        Bus(PathBuf::from("/sys/bus/pci"))
    }

    /// Whether the device can be given to a domain on a machine with an IOMMU
    /// or without.
    ///
    /// # Errors
    /// Why not.
    pub fn is_givable(&self, pci: Pci, iommu: bool) -> Result<(), Error> {
        if !self.device(pci).exists() {
            return Err(Error::Absent(pci));
        }
        if !iommu {
            return Err(Error::NoIommu(pci));
        }
        // PCI class 0x06: bridges (PCI Code and ID Assignment, section 1.7).
        if self.text(pci, "class")?.starts_with("0x06") {
            return Err(Error::Bridge(pci));
        }
        if !self.backend().exists() {
            return Err(Error::NoBackend);
        }
        for own in self.memory(pci)? {
            for other in self.others(pci)? {
                if self.memory(other)?.iter().any(|it| it.overlaps(&own)) {
                    return Err(Error::Shared { pci, other, own });
                }
            }
        }
        Ok(())
    }

    /// The device's memory and ports that domain 0 need not have while another
    /// has the device: all but the table of its message signalled interrupts,
    /// which domain 0's Linux writes in the other's name (`msix_map_region` of
    /// `drivers/pci/msi/msi.c`).
    ///
    /// # Errors
    /// Linux does not say.
    pub fn regions(&self, pci: Pci) -> Result<Vec<Range>, Error> {
        let bars = self.bars(pci)?;
        let table = match interrupt_table(&self.bytes(pci, "config")?) {
            None => None,
            Some((bar, offset, length)) => {
                let bar = bars.get(bar).filter(|bar| bar.is_memory());
                bar.and_then(|bar| pages(bar.first + offset, bar.first + offset + length - 1))
            }
        };
        let mut found = Vec::new();
        for bar in bars.iter().filter(|bar| bar.first > 0) {
            let range = bar.range();
            match (range, table) {
                (Some(range), Some(table)) if range.overlaps(&table) => {
                    found.extend(without(range, table));
                }
                (range, _) => found.extend(range),
            }
        }
        Ok(found)
    }

    /// Takes the device from whatever driver of domain 0 has it, for the
    /// backend. Changes nothing if the backend has it.
    ///
    /// # Errors
    /// A driver does not let it go, or the backend does not take it.
    pub fn seize(&self, pci: Pci) -> Result<(), Error> {
        if self.is_seized(pci) {
            return Ok(());
        }
        let name = pci.to_string();
        let driver = self.device(pci).join("driver");
        if driver.exists() {
            write(&driver.join("unbind"), &name)?;
        }
        write(&self.backend().join("new_slot"), &name)?;
        // It may have been bound by the slot alone.
        if !self.is_seized(pci) {
            write(&self.backend().join("bind"), &name)?;
        }
        match self.is_seized(pci) {
            true => Ok(()),
            false => Err(Error::NotTaken(pci)),
        }
    }

    fn is_seized(&self, pci: Pci) -> bool {
        let driver = fs::canonicalize(self.device(pci).join("driver"));
        let backend = fs::canonicalize(self.backend());
        driver.is_ok_and(|driver| backend.is_ok_and(|backend| driver == backend))
    }

    fn device(&self, pci: Pci) -> PathBuf {
        self.0.join("devices").join(pci.to_string())
    }

    /// xen-pciback, by the name of its driver.
    fn backend(&self) -> PathBuf {
        self.0.join("drivers/pciback")
    }

    fn others(&self, pci: Pci) -> Result<Vec<Pci>, Error> {
        let path = self.0.join("devices");
        let failed = |source| Error::Sysfs {
            path: path.clone(),
            source,
        };
        let mut others = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            others.extend(name.to_str().and_then(Pci::parse));
        }
        others.retain(|other| *other != pci);
        Ok(others)
    }

    /// The pages of its memory, each as libxl gives it.
    fn memory(&self, pci: Pci) -> Result<Vec<Range>, Error> {
        let bars = self.bars(pci)?;
        let memory = bars.iter().filter(|bar| bar.first > 0 && bar.is_memory());
        Ok(memory.filter_map(Bar::range).collect())
    }

    fn bars(&self, pci: Pci) -> Result<Vec<Bar>, Error> {
        let text = self.text(pci, "resource")?;
        let bars = text.lines().take(BARS).map(Bar::parse);
        bars.collect::<Option<_>>().ok_or(Error::Resources(pci))
    }

    fn text(&self, pci: Pci, file: &str) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.bytes(pci, file)?).into_owned())
    }

    fn bytes(&self, pci: Pci, file: &str) -> Result<Vec<u8>, Error> {
        let path = self.device(pci).join(file);
        fs::read(&path).map_err(|source| Error::Sysfs { path, source })
    }
}

/// A line of a device's `resource`.
#[derive(Clone, Copy, Debug)]
struct Bar {
    first: u64,
    last: u64,
    flags: u64,
}

/// The lines that libxl gives: six base addresses and the ROM
/// (`PROC_PCI_NUM_RESOURCES` of `libxl_internal.h`).
const BARS: usize = 7;
/// `IORESOURCE_IO` of Linux.
const PORTS: u64 = 0x100;

impl Bar {
    fn parse(line: &str) -> Option<Bar> {
        let number = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
        let mut words = line.split_whitespace().map(number);
        let (first, last) = (words.next()??, words.next()??);
        let flags = words.next()??;
        (first <= last).then_some(Bar { first, last, flags })
    }

    fn is_memory(&self) -> bool {
        self.flags & PORTS == 0
    }

    fn range(&self) -> Option<Range> {
        if self.is_memory() {
            return pages(self.first, self.last);
        }
        let first = u16::try_from(self.first).ok()?;
        let last = u16::try_from(self.last).ok()?;
        Some(Range::Ioports { first, last })
    }
}

/// The pages that these bytes are in.
fn pages(first: u64, last: u64) -> Option<Range> {
    let (frame, end) = (first >> 12, last >> 12);
    Range::iomem(&format!("{frame:x},{:x}", end.checked_sub(frame)? + 1))
}

/// The pages of `range` before and after those of `hole`.
fn without(range: Range, hole: Range) -> Vec<Range> {
    let span = |range| match range {
        Range::Iomem { frame, frames, .. } => Some((frame, frame + frames)),
        _ => None,
    };
    let (Some((from, to)), Some((first, end))) = (span(range), span(hole)) else {
        return Vec::new();
    };
    let piece = |from: u64, to: u64| {
        let frames = to.checked_sub(from)?;
        Range::iomem(&format!("{from:x},{frames:x}"))
    };
    let parts = [piece(from, first), piece(end, to)];
    parts.into_iter().flatten().collect()
}

/// Where the table of message signalled interrupts is: the base address
/// register, the offset there, and how many bytes (PCI Local Bus
/// Specification 3.0, section 6.8.2).
fn interrupt_table(config: &[u8]) -> Option<(usize, u64, u64)> {
    const STATUS: usize = 0x06;
    const HAS_CAPABILITIES: u8 = 1 << 4;
    const CAPABILITIES: usize = 0x34;
    const MSI_X: u8 = 0x11;
    /// More do not fit into the 256 bytes.
    const MOST: usize = 48;
    let word = |at: usize, bytes: usize| {
        let bytes = config.get(at..at + bytes)?.iter().rev();
        Some(bytes.fold(0, |word, byte| word << 8 | u64::from(*byte)))
    };
    if config.get(STATUS)? & HAS_CAPABILITIES == 0 {
        return None;
    }
    let mut at = usize::from(config.get(CAPABILITIES)? & !3);
    for _ in 0..MOST {
        if at == 0 {
            return None;
        }
        if *config.get(at)? == MSI_X {
            let entries = (word(at + 2, 2)? & 0x7ff) + 1;
            let place = word(at + 4, 4)?;
            let bar = usize::try_from(place & 7).ok()?;
            return Some((bar, place & !7, 16 * entries));
        }
        at = usize::from(config.get(at + 1)? & !3);
    }
    None
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::Sysfs {
        path: path.to_owned(),
        source,
    })
}

/// Why a device cannot be given to a domain, or be kept from domain 0.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error(
        "there is no PCI device {0}\nhint: lspci -D names those of this machine; a boot domain with pci=off has none"
    )]
    Absent(Pci),
    /// It would reach the memory of every domain.
    #[error(
        "PCI device {0} cannot be given away: Xen uses no IOMMU, so it could write every domain's memory\nhint: switch VT-d or AMD-Vi on in the firmware; Xen's own log says why it found none"
    )]
    NoIommu(Pci),
    /// What is behind it is not its own.
    #[error(
        "PCI device {0} is a bridge, and what is behind it is not its own\nhint: name the devices behind it"
    )]
    Bridge(Pci),
    /// Domain 0 has no backend.
    #[error(
        "domain 0 has no PCI backend\nhint: modprobe xen-pciback; `domb image` adds it where the configuration names a PCI device"
    )]
    NoBackend,
    /// A page of its memory is another's too.
    #[error(
        "PCI device {pci} shares {own} with {other}, and Xen gives whole pages\nhint: give both to one domain by iomem, or neither; pci=resource_alignment= of Linux moves one of them"
    )]
    Shared {
        /// The device.
        pci: Pci,
        /// The other.
        other: Pci,
        /// The pages.
        own: Range,
    },
    /// The backend did not take it.
    #[error("PCI device {0} was let go by its driver, and domain 0's PCI backend did not take it")]
    NotTaken(Pci),
    /// Linux's list of its memory and ports is in no form that is known.
    #[error("read the memory and ports of PCI device {0}")]
    Resources(Pci),
    /// Linux does not say, or does not do it.
    #[error("{}", path.display())]
    Sysfs {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const NIC: &str = "0000:00:04.0";

    /// A bus with one network device: 128 KiB, 32 ports, 16 KiB for MSI-X.
    fn bus() -> (tempfile::TempDir, Bus) {
        let root = tempfile::tempdir().unwrap();
        let bus = Bus(root.path().to_owned());
        fs::create_dir_all(root.path().join("drivers/pciback")).unwrap();
        let resource = "0xfebc0000 0xfebdffff 0x40200\n0xc000 0xc01f 0x40101\n\
                        0x0 0x0 0x0\n0xfebe0000 0xfebe3fff 0x40200\n";
        let mut config = vec![0; 256];
        config[0x06] = 0x10;
        config[0x34] = 0xc8;
        config[0xc8..0xca].copy_from_slice(&[0x01, 0xa0]);
        config[0xa0..0xa8].copy_from_slice(&[0x11, 0, 4, 0, 3, 0x10, 0, 0]);
        device(&bus, NIC, "0x020000", resource, &config);
        (root, bus)
    }

    fn device(bus: &Bus, name: &str, class: &str, resource: &str, config: &[u8]) {
        let path = bus.0.join("devices").join(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("class"), class).unwrap();
        fs::write(path.join("resource"), resource).unwrap();
        fs::write(path.join("config"), config).unwrap();
    }

    fn pci(text: &str) -> Pci {
        Pci::parse(text).unwrap()
    }

    #[test]
    fn domain_0_keeps_the_table_of_interrupts_and_nothing_else() {
        let (_root, bus) = bus();
        let regions = bus.regions(pci(NIC)).unwrap();
        let shown: Vec<String> = regions.iter().map(ToString::to_string).collect();
        let wanted = [
            "iomem febc0,20",
            "ioports c000-c01f",
            "iomem febe0,1",
            "iomem febe2,2",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_device_is_given_only_with_all_that_makes_it_safe() {
        let (_root, bus) = bus();
        bus.is_givable(pci(NIC), true).unwrap();
        let refused = |bus: &Bus, name, iommu| match bus.is_givable(pci(name), iommu) {
            Ok(()) => panic!("{name} is not to be given"),
            Err(error) => error.to_string(),
        };
        assert!(refused(&bus, NIC, false).contains("no IOMMU"));
        assert!(refused(&bus, "0000:00:05.0", true).contains("there is no"));
        device(&bus, "0000:00:1e.0", "0x060400", "", &[]);
        assert!(refused(&bus, "0000:00:1e.0", true).contains("is a bridge"));
        let near = "0xfebe3800 0xfebe3bff 0x40200\n";
        device(&bus, "0000:00:06.0", "0x010601", near, &[]);
        let shared = refused(&bus, NIC, true);
        assert!(
            shared.contains("shares iomem febe0,4 with 0000:00:06.0"),
            "{shared}"
        );
        fs::remove_dir_all(bus.0.join("drivers/pciback")).unwrap();
        fs::remove_dir_all(bus.0.join("devices/0000:00:06.0")).unwrap();
        assert!(refused(&bus, NIC, true).contains("no PCI backend"));
    }

    #[test]
    fn a_device_that_the_backend_does_not_take_is_not_taken() {
        let (root, bus) = bus();
        let said = bus.seize(pci(NIC)).unwrap_err().to_string();
        assert!(said.contains("did not take it"), "{said}");
        assert_eq!(
            fs::read_to_string(root.path().join("drivers/pciback/bind")).unwrap(),
            NIC
        );
        let driver = bus.0.join("devices").join(NIC).join("driver");
        symlink("../../drivers/pciback", driver).unwrap();
        bus.seize(pci(NIC)).unwrap();
    }

    #[test]
    fn a_damaged_configuration_space_has_no_table() {
        for length in 0..0x40 {
            assert_eq!(interrupt_table(&vec![0xff; length]), None);
        }
        let mut circle = vec![0; 256];
        circle[0x06] = 0x10;
        circle[0x34] = 0x40;
        circle[0x41] = 0x40;
        assert_eq!(interrupt_table(&circle), None);
    }
}
