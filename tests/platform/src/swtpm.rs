// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A software TPM 2.0 for one machine. QEMU's `tpm-emulator` speaks to it
//! over a Unix socket. The state directory belongs to the caller, so a second
//! start can find what the first left; the PCRs do not survive a restart (nor
//! should they), so a test reads them from inside the running machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A running swtpm; it is killed when this value is dropped.
#[derive(Debug)]
pub struct Swtpm {
    child: Child,
    socket: PathBuf,
}

impl Swtpm {
    /// Starts swtpm on the state in `state` (made if missing) and returns
    /// when its control socket answers. swtpm ends when QEMU leaves it.
    pub fn start(state: &Path) -> Result<Swtpm> {
        fs::create_dir_all(state).map_err(Error::file("create", state))?;
        let socket = state.join("control.sock");
        if socket.exists() {
            fs::remove_file(&socket).map_err(Error::file("remove", &socket))?;
        }
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2"])
            .arg("--tpmstate")
            .arg(format!("dir={}", state.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()))
            .arg("--log")
            .arg(format!(
                "file={},level=2",
                state.join("swtpm.log").display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| Error::Start {
                program: "swtpm".into(),
                source,
            })?;
        let mut swtpm = Swtpm { child, socket };
        swtpm.await_socket()?;
        Ok(swtpm)
    }

    /// Makes a new TPM in `state` (made if missing) with only these banks
    /// active, separated by commas.
    pub fn manufacture(state: &Path, banks: &str) -> Result<()> {
        fs::create_dir_all(state).map_err(Error::file("create", state))?;
        let output = Command::new("swtpm_setup")
            .args(["--tpm2", "--overwrite", "--pcr-banks", banks, "--tpmstate"])
            .arg(state)
            .output()
            .map_err(|source| Error::Start {
                program: "swtpm_setup".into(),
                source,
            })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Err(Error::Untrue(format!("swtpm_setup failed: {said}")))
    }

    /// Where QEMU's chardev connects.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// There is nothing to block on before the socket exists: look every
    /// 10 ms, and stop when the process has ended or the deadline passed.
    fn await_socket(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if self.socket.exists() {
                return Ok(());
            }
            let ended = self
                .child
                .try_wait()
                .map_err(Error::file("wait for", "swtpm"))?;
            if let Some(status) = ended {
                return Err(Error::Untrue(format!("swtpm ended at once: {status}")));
            }
            if Instant::now() > deadline {
                return Err(Error::Untrue(
                    "swtpm made no control socket within 30 s".into(),
                ));
            }
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        crate::machine::end(&mut self.child, "swtpm");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn it_starts_again_on_the_same_state_and_ends_with_the_value() {
        let dir = tempfile::tempdir().unwrap();
        let first = Swtpm::start(dir.path()).unwrap();
        let socket = first.socket().to_owned();
        assert!(UnixStream::connect(&socket).is_ok());
        drop(first);
        assert!(UnixStream::connect(&socket).is_err());
        let second = Swtpm::start(dir.path()).unwrap();
        assert!(UnixStream::connect(second.socket()).is_ok());
    }
}
