// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The two roots the harness makes itself: a domain's ramdisk (busybox and an
//! init that prints a heartbeat) and the control domain's root (busybox,
//! Debian's `xl` and XenStore tools with their libraries, an init that looks
//! around and runs a test's steps). Both are made from the host's packages;
//! domb's own daemons are not among them unless asked for.

use std::path::Path;

use crate::archive::Archive;
use crate::error::Result;
use crate::host::Parts;

/// A command the control domain runs after the hand-off, in a directory of
/// its own that holds `files`.
#[derive(Clone, Debug)]
pub struct Step {
    /// Unique among the steps of a boot.
    pub name: String,
    /// A script for busybox's shell; its exit status is the step's.
    pub script: String,
    /// Files beside it: name and bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Step {
    /// A step without files.
    pub fn new(name: impl Into<String>, script: impl Into<String>) -> Step {
        Step {
            name: name.into(),
            script: script.into(),
            files: Vec::new(),
        }
    }

    /// The same step with one more file.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, data: impl Into<Vec<u8>>) -> Step {
        self.files.push((name.into(), data.into()));
        self
    }
}

/// A ramdisk whose init prints `heartbeat NAME N` each second, NAME being the
/// value of `heartbeat=` on the kernel's command line. `salt` makes otherwise
/// equal ramdisks differ.
pub fn guest_ramdisk(salt: &str) -> Result<Archive> {
    let mut archive = Archive::new();
    archive.copy(Path::new(BUSYBOX), "bin/busybox", 0o755)?;
    archive
        .file("init", 0o755, GUEST_INIT)
        .file("sbin/poweroff", 0o755, POWER_OFF)
        .file("etc/salt", 0o644, salt);
    Ok(archive.dir("proc").dir("dev").clone())
}

/// The control domain's root with these steps, run in this order.
pub fn control_root(steps: &[Step]) -> Result<Archive> {
    let mut archive = Archive::new();
    archive.copy(Path::new(BUSYBOX), "bin/busybox", 0o755)?;
    archive
        .file("init", 0o755, CONTROL_INIT)
        .file("lib/control.sh", 0o644, CONTROL_LIBRARY);
    for program in CONTROL_PROGRAMS {
        archive.program(program)?;
    }
    // xl ends its reader thread with pthread_cancel, for which glibc opens this by name.
    archive.copy(Path::new(LIBGCC), LIBGCC, 0o644)?;
    archive.file("etc/xen/xl.conf", 0o644, "# xl's defaults\n");
    add_steps(&mut archive, steps);
    Ok(archive)
}

fn add_steps(archive: &mut Archive, steps: &[Step]) {
    for (number, step) in steps.iter().enumerate() {
        let dir = format!("steps/{number:03}-{}", step.name);
        archive.file(&format!("{dir}/run"), 0o755, step.script.as_str());
        for (name, data) in &step.files {
            archive.file(&format!("{dir}/{name}"), 0o644, data.as_slice());
        }
    }
}

/// What a Debian root under test has besides Debian's packages: a service that
/// runs these steps, and one that looks around when all others have ended.
#[must_use]
pub fn debian_additions(steps: &[Step]) -> Archive {
    let mut archive = Archive::new();
    archive
        .file("usr/lib/control.sh", 0o644, CONTROL_LIBRARY)
        .file("usr/local/sbin/steps", 0o755, DEBIAN_STEPS)
        .link(
            "usr/lib/systemd/system-shutdown/steps",
            "/usr/local/sbin/steps",
        )
        .link("etc/systemd/system/serial-getty@hvc0.service", "/dev/null");
    for (name, unit) in [("steps", STEPS_SERVICE), ("last", LAST_SERVICE)] {
        service(&mut archive, name, unit);
    }
    add_steps(&mut archive, steps);
    archive
}

/// Adds a unit, enabled.
pub fn service(archive: &mut Archive, name: &str, unit: &str) {
    let path = format!("etc/systemd/system/{name}.service");
    let wants = format!("etc/systemd/system/multi-user.target.wants/{name}.service");
    let target = format!("/{path}");
    archive.file(&path, 0o644, unit).link(&wants, &target);
}

/// Adds what the control domain's init needs to be domain 0's first init, on
/// a boot without domb: the daemons and the kernel modules.
pub fn add_daemons(archive: &mut Archive, parts: &Parts) -> Result<()> {
    for program in DAEMONS {
        archive.program(program)?;
    }
    for (number, module) in parts.xen_modules().iter().enumerate() {
        let name = module
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let to = format!("lib/modules/{number}-{}", name.unwrap_or_default());
        archive.copy(module, &to, 0o644)?;
    }
    Ok(())
}

const BUSYBOX: &str = "/bin/busybox";
const LIBGCC: &str = "/lib/x86_64-linux-gnu/libgcc_s.so.1";
const GUEST_INIT: &str = include_str!("../roots/guest-init.sh");
/// What Linux runs when `xl shutdown` asks for it.
const POWER_OFF: &str = "#!/bin/busybox sh\nexec /bin/busybox poweroff -f\n";
const CONTROL_INIT: &str = include_str!("../roots/control-init.sh");
const CONTROL_LIBRARY: &str = include_str!("../roots/control.sh");
const DEBIAN_STEPS: &str = include_str!("../roots/debian-steps.sh");

const STEPS_SERVICE: &str = "[Service]
ExecStart=/usr/local/sbin/steps
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/console
";

/// Services are stopped in the reverse order of their start: this one after
/// the domains and Xen's daemons.
const LAST_SERVICE: &str = "[Unit]
Before=xen.service xl-reap.service xendomains.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/usr/local/sbin/steps last
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/console
";

/// `xl` itself: `/usr/sbin/xl` is a wrapper that looks up the Xen version.
const CONTROL_PROGRAMS: [&str; 4] = [
    "/usr/lib/xen-4.17/bin/xl",
    "/usr/bin/xenstore-read",
    "/usr/bin/xenstore-list",
    "/usr/bin/xenstore-ls",
];

const DAEMONS: [&str; 3] = [
    "/usr/lib/xen-4.17/bin/xenstored",
    "/usr/lib/xen-4.17/bin/xenconsoled",
    "/usr/lib/xen-4.17/bin/xen-init-dom0",
];
