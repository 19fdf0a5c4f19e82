// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One emulated machine of the reference platform: QEMU starts Xen as a
//! multiboot kernel, with domain 0's kernel and ramdisk as its modules and,
//! if wanted, swtpm behind a TIS TPM. Nothing it starts outlives the value.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::serial::Serial;
use crate::swtpm::Swtpm;

/// What to boot, and on what.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// Names the directory of its log and every message about it.
    pub name: String,
    /// Its CPUs.
    pub cpus: u8,
    /// RAM in MiB.
    pub memory_mib: u32,
    /// Memory of domain 0 in MiB; the rest is for the domains it builds.
    pub dom0_memory_mib: u32,
    /// Xen, decompressed: QEMU's multiboot loader takes only ELF.
    pub xen: PathBuf,
    /// More words for Xen's command line.
    pub xen_cmdline: Vec<String>,
    /// Domain 0's kernel.
    pub kernel: PathBuf,
    /// More words for domain 0's kernel.
    pub kernel_cmdline: Vec<String>,
    /// Domain 0's ramdisk, then anything else Xen shall find as a module.
    pub modules: Vec<PathBuf>,
    /// Its TPM.
    pub tpm: Tpm,
    /// Where the TPM keeps its state, for a machine that is started again; without
    /// it the TPM is new. The path is short, because a socket is made in it.
    pub tpm_state: Option<PathBuf>,
    /// More words for QEMU: the devices that a case is about.
    pub devices: Vec<String>,
    /// Xen writes down what each domain has, once for each line with this text:
    /// its debug key q, pressed on the serial port, which asks no domain.
    pub dump_at: Option<&'static str>,
}

/// The TPM of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tpm {
    /// There is none.
    Absent,
    /// One with every bank swtpm has.
    AllBanks,
    /// One whose only active banks are these, separated by commas.
    Banks(&'static str),
}

/// A running machine. Dropping it ends QEMU and swtpm.
#[derive(Debug)]
pub struct Machine {
    // Dropped in this order: QEMU first, then the TPM it talks to.
    qemu: Qemu,
    _swtpm: Option<Swtpm>,
    _sockets: tempfile::TempDir,
    /// Its serial port.
    pub serial: Serial,
}

#[derive(Debug)]
struct Qemu(Child);

impl MachineSpec {
    /// Starts the machine; its log goes to `<logs>/<name>/serial.log`.
    pub fn start(&self, logs: &Path) -> Result<Machine> {
        let logs = logs.join(&self.name);
        fs::create_dir_all(&logs).map_err(Error::file("create", &logs))?;
        // A Unix socket's path has 107 bytes at most: not under the build directory.
        let sockets = tempfile::tempdir().map_err(Error::file("create", "a directory in /tmp"))?;
        let state = self.tpm_state.as_deref().unwrap_or(sockets.path());
        let swtpm = match self.tpm {
            Tpm::Absent => None,
            Tpm::AllBanks => Some(Swtpm::start(state)?),
            Tpm::Banks(banks) => {
                Swtpm::manufacture(state, banks)?;
                Some(Swtpm::start(state)?)
            }
        };

        let mut command = self.command(swtpm.as_ref());
        let words = format!("{command:?}\n");
        let note = logs.join("qemu.cmd");
        fs::write(&note, words).map_err(Error::file("write", &note))?;
        let errors = logs.join("qemu.err");
        let stderr = fs::File::create(&errors).map_err(Error::file("create", &errors))?;
        command
            .stdin(match self.dump_at {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(stderr);

        let child = command.spawn().map_err(|source| Error::Start {
            program: QEMU.to_owned(),
            source,
        })?;
        let mut qemu = Qemu(child);
        let port = qemu.0.stdout.take().expect("stdout was asked to be piped");
        let keys = self.dump_at.zip(qemu.0.stdin.take());
        let serial = Serial::follow(&self.name, port, &logs.join("serial.log"), keys)?;
        Ok(Machine {
            qemu,
            _swtpm: swtpm,
            _sockets: sockets,
            serial,
        })
    }

    fn command(&self, swtpm: Option<&Swtpm>) -> Command {
        let mut command = Command::new(QEMU);
        // One thread for both CPUs: on a busy host a CPU that waits for a lock would
        // otherwise burn the time that the holder of the lock needs. With a thread for
        // each, two machines on two cores took half as long again, and a PVH domain was
        // lost all the same, with Xen's registers in the place of its own.
        // Other CPU models crash Xen or the PV kernel under emulation; +npt is what PVH needs.
        command
            .args([
                "-accel",
                "tcg,thread=single",
                "-machine",
                "q35",
                "-cpu",
                "qemu64,+svm,+npt",
            ])
            .args(["-smp", &self.cpus.to_string()])
            .args(["-m", &self.memory_mib.to_string()])
            .args([
                "-display",
                "none",
                "-monitor",
                "none",
                "-serial",
                "stdio",
                "-no-reboot",
            ])
            .args(["-net", "none", "-nodefaults"])
            .arg("-kernel")
            .arg(&self.xen)
            .args(["-append", &self.xen_words().join(" ")])
            .args(["-initrd", &self.initrd()]);
        command.args(&self.devices);
        if let Some(swtpm) = swtpm {
            command
                .arg("-chardev")
                .arg(format!("socket,id=tpm,path={}", swtpm.socket().display()))
                .args(["-tpmdev", "emulator,id=tpm0,chardev=tpm"])
                .args(["-device", "tpm-tis,tpmdev=tpm0"]);
        }
        command
    }

    fn xen_words(&self) -> Vec<String> {
        let memory = self.dom0_memory_mib;
        let mut words = vec![
            "console=com1".to_owned(),
            "com1=115200,8n1".to_owned(),
            format!("dom0_mem={memory}M,max:{memory}M"),
            "dom0_max_vcpus=2".to_owned(),
        ];
        words.extend_from_slice(&self.xen_cmdline);
        words
    }

    /// QEMU's list of modules: `kernel words,ramdisk,…`; a comma inside a
    /// module's own words is doubled.
    fn initrd(&self) -> String {
        let mut kernel = vec![self.kernel.display().to_string()];
        kernel.extend(DOM0_WORDS.map(str::to_owned));
        kernel.extend_from_slice(&self.kernel_cmdline);
        let mut modules = vec![kernel.join(" ").replace(',', ",,")];
        modules.extend(self.modules.iter().map(|path| path.display().to_string()));
        modules.join(",")
    }
}

impl Machine {
    /// Waits until the machine has switched itself off (or, as it must not
    /// reboot, reset).
    pub fn wait_exit(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.serial.wait_end(deadline)?;
        self.qemu.0.wait().map_err(Error::file("wait for", QEMU))
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        end(&mut self.0, QEMU);
    }
}

/// Kills and reaps a child, if it has not ended by itself.
pub(crate) fn end(child: &mut Child, name: &str) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        eprintln!(
            "platform: could not end {name} (pid {}): {error}",
            child.id()
        );
    }
}

const QEMU: &str = "qemu-system-x86_64";

/// A panic must reset the machine (QEMU then exits) instead of hanging it.
const DOM0_WORDS: [&str; 3] = ["console=hvc0", "loglevel=4", "panic=1"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_the_kernel_words_are_doubled_and_modules_are_not() {
        let spec = MachineSpec {
            name: "m".into(),
            cpus: 2,
            memory_mib: 1024,
            dom0_memory_mib: 512,
            xen: "xen".into(),
            xen_cmdline: vec!["loglvl=all".into()],
            kernel: "/boot/vmlinuz".into(),
            kernel_cmdline: vec!["a=1,2".into()],
            modules: vec!["one".into(), "two".into()],
            tpm: Tpm::Absent,
            tpm_state: None,
            devices: Vec::new(),
            dump_at: None,
        };
        assert_eq!(
            spec.initrd(),
            "/boot/vmlinuz console=hvc0 loglevel=4 panic=1 a=1,,2,one,two"
        );
        assert!(
            spec.xen_words()
                .contains(&"dom0_mem=512M,max:512M".to_owned())
        );
        assert!(spec.xen_words().contains(&"loglvl=all".to_owned()));
    }
}
