// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a platform without domain 0 is made from: the hypervisor that lets
//! domain 0 go and enforces labels, and the roots of its control domain, its
//! hardware domain and its guests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::archive::Archive;
use crate::bench::Bench;
use crate::cases::powers;
use crate::error::{Error, Result};
use crate::flask;
use crate::host::{self, Parts};
use crate::machine::MachineSpec;
use crate::root::{self, Step};

/// The hardware domain's domid, on Xen's command line as well.
pub const HARDWARE: u16 = 3;
/// The hardware domain switches the machine off.
pub const POWER_OFF: &str = "poweroff -f";
/// The hardware domain's kernel panics.
pub const CRASH: &str = "echo c >/proc/sysrq-trigger";
/// What stands in the first sector of the disk.
pub const SECTOR: &str = "a sector of the hardware domain's disk";

/// A configuration of `xen-config` whose boot domain leaves.
pub struct Platform {
    /// The directory below `xen-config`.
    pub set: &'static str,
    /// What is changed in it.
    pub change: fn(&str) -> String,
    /// Labels of one's own.
    pub rules: &'static [&'static str],
    /// The guests whose hearts beat.
    pub guests: &'static str,
    /// What the hardware domain tries in vain when it has come up.
    pub probes: &'static [&'static str],
    /// The compiled policy, instead of one that is built with the rules.
    pub policy: Option<&'static [u8]>,
    /// What the hardware domain does when the control domain is done.
    pub end: &'static str,
}

impl Platform {
    /// Full disaggregation as it is shipped.
    pub const FULL: Platform = Platform {
        set: "roles/dynamic-full",
        change: str::to_owned,
        rules: &[],
        guests: "7 9",
        probes: &[],
        policy: None,
        end: POWER_OFF,
    };

    /// Makes its domains' ramdisks, its image and its machine.
    pub fn prepare(&self, bench: &Bench, name: &str, steps: &[Step]) -> Result<MachineSpec> {
        self.prepare_in(&bench.directory(name)?, bench, name, steps)
    }

    /// The same, with what is in the boot's directory already.
    pub fn prepare_in(
        &self,
        dir: &Path,
        bench: &Bench,
        name: &str,
        steps: &[Step],
    ) -> Result<MachineSpec> {
        let source = host::repository().join("xen-config").join(self.set);
        let source = source.join("launch.toml");
        let text = fs::read_to_string(&source).map_err(Error::file("read", &source))?;
        let path = dir.join("launch.toml");
        fs::write(&path, (self.change)(&text)).map_err(Error::file("write", &path))?;
        control_root(bench, steps, self.guests)?.write(&dir.join("control.cpio"))?;
        let mut hardware = hardware_root(&bench.parts, self.end)?;
        if !self.probes.is_empty() {
            powers::add_to_hardware(bench, &mut hardware, self.probes)?;
        }
        hardware.write(&dir.join("hardware.cpio"))?;
        guest_root()?.write(&dir.join("guest.cpio"))?;
        let Some(policy) = self.policy else {
            return machine(bench, name, self.rules);
        };
        let path = dir.join("xenpolicy-domain");
        fs::write(&path, policy).map_err(Error::file("write", &path))?;
        machine_under(bench, name, path)
    }
}

/// Makes the image of boot `name`, and a machine with a Xen that enforces the
/// policy for `exit = "domain"` and these rules, a boot domain that keeps off
/// the devices, and a disk and a network for the hardware domain.
pub fn machine(bench: &Bench, name: &str, rules: &[&str]) -> Result<MachineSpec> {
    let policy = flask::policy_with("domain", &bench.work.join(name), rules)?;
    machine_under(bench, name, policy)
}

/// [`machine`] under a policy that is in its directory already.
fn machine_under(bench: &Bench, name: &str, policy: PathBuf) -> Result<MachineSpec> {
    let dir = bench.work.join(name);
    let (image, _) = bench.image(&dir)?;
    let mut machine = bench.machine(name, &image);
    machine.xen = flask::xen(&bench.work)?;
    machine.modules.push(policy);
    machine.xen_cmdline.push("flask=enforcing".to_owned());
    machine.xen_cmdline.push(format!("hardware_dom={HARDWARE}"));
    // Without it Xen swallows what the boot domain says from then on.
    machine.xen_cmdline.push("guest_loglvl=all".to_owned());
    machine
        .kernel_cmdline
        .extend(BOOT_DOMAIN.map(str::to_owned));
    let disk = dir.join("disk.img");
    let mut bytes = format!("{SECTOR}\n").into_bytes();
    bytes.resize(1 << 20, 0);
    fs::write(&disk, bytes).map_err(Error::file("write", &disk))?;
    machine.devices = [
        "-drive".to_owned(),
        format!("if=none,id=disk,format=raw,file={}", disk.display()),
        "-device".to_owned(),
        "ide-hd,drive=disk,bus=ide.0".to_owned(),
        "-netdev".to_owned(),
        "user,id=net".to_owned(),
        "-device".to_owned(),
        "e1000,netdev=net".to_owned(),
    ]
    .to_vec();
    Ok(machine)
}

/// The control domain's root: the toolstack, domb, what the steps start, and
/// the guests' numbers.
pub fn control_root(bench: &Bench, steps: &[Step], guests: &str) -> Result<Archive> {
    let mut archive = root::control_root(steps)?;
    archive
        .copy(&bench.domb, "usr/sbin/domb", 0o755)?
        .copy(&bench.parts.kernel, "share/vmlinuz", 0o644)?
        .copy(&bench.ramdisk, "share/heartbeat.cpio", 0o644)?;
    for program in CONTROL_PROGRAMS {
        archive.program(program)?;
    }
    archive
        .file("init", 0o755, CONTROL_INIT)
        .file("lib/guests", 0o644, guests);
    for (number, module) in bench.parts.xen_modules().iter().enumerate() {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.copy(module, &format!("lib/modules/{number}-{name}"), 0o644)?;
    }
    Ok(archive)
}

/// A hardware domain's root. When the control domain is done, it runs `end`.
fn hardware_root(parts: &Parts, end: &str) -> Result<Archive> {
    let mut archive = Archive::new();
    archive.copy(Path::new(BUSYBOX), "bin/busybox", 0o755)?;
    archive.program("/usr/bin/xenstore-read")?;
    archive
        .file("init", 0o755, HARDWARE_INIT)
        .file("lib/end", 0o644, end);
    add_drivers(&mut archive, parts)?;
    Ok(archive)
}

/// Adds the drivers of the disk and the network, and what shows them.
pub fn add_drivers(archive: &mut Archive, parts: &Parts) -> Result<()> {
    archive.file("lib/hardware.sh", 0o644, HARDWARE_LIBRARY);
    let mut order = String::new();
    for driver in ["ahci", "sd_mod", "e1000"] {
        let words = [
            "-S",
            parts.kernel_version.as_str(),
            "--show-depends",
            driver,
        ];
        let said = host::run(Command::new("/sbin/modprobe").args(words))?;
        for path in said.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            let path = Path::new(path.trim());
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !order.lines().any(|known| known == name) {
                order.push_str(&format!("{name}\n"));
                archive.copy(path, &format!("lib/hardware/{name}"), 0o644)?;
            }
        }
    }
    archive.file("lib/hardware/order", 0o644, order);
    Ok(())
}

/// A guest that counts its heartbeats in XenStore as well.
pub fn guest_root() -> Result<Archive> {
    root::guest_ramdisk("counts")
}

const BUSYBOX: &str = "/bin/busybox";
const CONTROL_INIT: &str = include_str!("../roots/departed-control-init.sh");
const HARDWARE_INIT: &str = include_str!("../roots/hardware-init.sh");
const HARDWARE_LIBRARY: &str = include_str!("../roots/hardware.sh");

const CONTROL_PROGRAMS: [&str; 4] = [
    "/usr/lib/xen-4.17/bin/xenconsoled",
    "/usr/lib/xen-4.17/bin/xenconsole",
    "/usr/bin/xenstore-write",
    "/usr/bin/xenstore-chmod",
];

/// The devices are the hardware domain's: Linux here does not look for them,
/// and finds the TPM where it always is.
const BOOT_DOMAIN: [&str; 3] = ["pci=off", "acpi=off", "tpm_tis.force=1"];
