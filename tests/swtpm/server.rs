// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A software TPM of one test, in a folder of its own, and Debian's tools to
//! look at it.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use domb_core::measure::{Bank, Digest, Digests};
use domb_core::units::PcrIndex;
use tempfile::TempDir;

use crate::tpm::TpmDevice;

/// A running swtpm. It ends with this value.
pub(super) struct Swtpm {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Swtpm {
    pub(super) fn start() -> Swtpm {
        let folder = tempfile::tempdir().unwrap();
        let (port, process) = run(folder.path());
        Swtpm {
            folder,
            port,
            process,
        }
    }

    /// Allocates banks as `tpm2_pcrallocate` says, which needs a restart.
    pub(super) fn with_banks(mut self, banks: &str) -> Swtpm {
        self.tool("tpm2_pcrallocate", &[banks]);
        self.reset();
        self
    }

    /// Switches the machine off and on: PCRs are zero again, keys and sealed
    /// secrets survive as they do in a TPM.
    pub(super) fn reset(&mut self) {
        // Without an orderly end the TPM counts an attack on its secrets.
        self.tool("tpm2_shutdown", &["--clear"]);
        self.stop();
        (self.port, self.process) = run(self.folder.path());
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn device(&self) -> TpmDevice {
        TpmDevice::Swtpm {
            host: "127.0.0.1".to_owned(),
            port: self.port,
        }
    }

    /// The PCR as `tpm2_pcrread` shows it.
    pub(super) fn pcrread(&self, pcr: PcrIndex, banks: &[Bank]) -> Digests {
        let selection: Vec<String> = banks.iter().map(|bank| format!("{bank}:{pcr}")).collect();
        let output = self.tool("tpm2_pcrread", &[&selection.join("+")]);
        let values = pcr_values(&output.stdout, pcr.value().into());
        assert_eq!(values.banks(), banks, "{}", output.stdout);
        values
    }

    /// Runs a tool on this TPM, in its folder; it has to succeed.
    pub(super) fn tool(&self, name: &str, arguments: &[&str]) -> Output {
        self.try_tool(name, arguments)
            .unwrap_or_else(|output| panic!("{name} {arguments:?}: {output}"))
    }

    /// Runs a tool that may fail; the error is what it said.
    pub(super) fn try_tool(&self, name: &str, arguments: &[&str]) -> Result<Output, String> {
        let tcti = format!("swtpm:host=127.0.0.1,port={}", self.port);
        run_tool(
            Command::new(name)
                .args(["-T", &tcti])
                .args(arguments)
                .current_dir(self.folder()),
        )
    }

    /// Unloads what a tool left in the TPM. A machine's resource manager
    /// (`/dev/tpmrm0`) does that by itself.
    pub(super) fn unload(&self) {
        for kind in ["-t", "-l", "-s"] {
            self.tool("tpm2_flushcontext", &[kind]);
        }
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a tool wrote.
pub(super) struct Output {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs a tool that needs no TPM, which has to succeed.
pub(super) fn tool(name: &str, arguments: &[&str]) -> Output {
    run_tool(Command::new(name).args(arguments))
        .unwrap_or_else(|output| panic!("{name} {arguments:?}: {output}"))
}

fn run_tool(command: &mut Command) -> Result<Output, String> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("run {command:?}: {error} (tpm2-tools is needed)"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(Output { stdout, stderr })
    } else {
        Err([stdout, stderr].concat())
    }
}

/// The values of one PCR in the YAML of tpm2-tools: a line for each bank,
/// then `13: 0x…` or `13 : 0x…` below it.
pub(super) fn pcr_values(yaml: &str, pcr: i64) -> Digests {
    let yaml = yaml.rsplit_once("pcrs:").map_or(yaml, |(_, values)| values);
    let mut bank = None;
    let mut values = Digests::default();
    for line in yaml.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        match (Bank::from_name(key.trim()), value.trim().strip_prefix("0x")) {
            (Some(found), _) => bank = Some(found),
            (None, Some(digits)) if key.trim() == pcr.to_string() => {
                values.insert(Digest::from_hex(bank.unwrap(), digits).unwrap());
            }
            _ => {}
        }
    }
    values
}

/// Starts swtpm on two free neighbouring ports: tpm2-tools expects the control
/// channel on the one after the data channel's.
fn run(state: &Path) -> (u16, Child) {
    for _ in 0..20 {
        let port = free_neighbours();
        let mut process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", state.display()))
            .arg("--server")
            .arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("run swtpm: {error} (the package swtpm is needed)"));
        if answers(port + 1, &mut process) {
            return (port, process);
        }
        drop(process.kill());
        drop(process.wait());
    }
    panic!("swtpm did not start on any of 20 pairs of ports")
}

fn free_neighbours() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// Waits until the port takes a connection, or the process has ended.
fn answers(port: u16, process: &mut Child) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        sleep(Duration::from_millis(10));
    }
    false
}
