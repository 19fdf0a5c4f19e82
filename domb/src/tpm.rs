// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The only code that opens the TPM. It sends the three commands of
//! `domb_core::measure::tpm_message` and hands back what the TPM answered; it
//! decides nothing.
//!
//! It trusts neither the TPM to answer in time nor its answers to be whole: a
//! response is bounded, has a deadline, and is checked byte by byte.

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use domb_core::measure::tpm_message::{self, ActiveBanks, HEADER, MAX_RESPONSE, ResponseError};
use domb_core::measure::{Bank, Digest, Digests};
use domb_core::units::PcrIndex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// How long one command may take. A TPM that tests itself first takes seconds;
/// Linux gives up on any command after five minutes.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long a TPM may ask to be asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the TPM is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TpmDevice {
    /// A character device of Linux.
    Path(PathBuf),
    /// An swtpm that serves the TPM over TCP (`--server type=tcp`), for a host.
    Swtpm {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

impl Default for TpmDevice {
    fn default() -> TpmDevice {
        TpmDevice::Path(PathBuf::from("/dev/tpmrm0"))
    }
}

impl fmt::Display for TpmDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TpmDevice::Path(path) => path.display().fmt(f),
            TpmDevice::Swtpm { host, port } => write!(f, "swtpm:{host}:{port}"),
        }
    }
}

impl FromStr for TpmDevice {
    type Err = String;

    fn from_str(text: &str) -> Result<TpmDevice, String> {
        match text.strip_prefix("swtpm:") {
            None if text.is_empty() => Err("a path, or swtpm:HOST:PORT".to_owned()),
            None => Ok(TpmDevice::Path(PathBuf::from(text))),
            Some(address) => {
                let (host, port) = address.rsplit_once(':').ok_or("swtpm needs HOST:PORT")?;
                let port = port
                    .parse()
                    .map_err(|_| format!("{port:?} is not a TCP port"))?;
                Ok(TpmDevice::Swtpm {
                    host: host.trim_matches(['[', ']']).to_owned(),
                    port,
                })
            }
        }
    }
}

/// An open TPM.
pub struct Tpm {
    device: TpmDevice,
    transport: Box<dyn Transport>,
}

impl fmt::Debug for Tpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tpm({})", self.device)
    }
}

impl Tpm {
    /// Opens the TPM. Nothing is sent yet.
    ///
    /// # Errors
    /// There is none, or somebody else has it.
    pub fn open(device: &TpmDevice) -> Result<Tpm, Error> {
        let transport: io::Result<Box<dyn Transport>> = match device {
            TpmDevice::Path(path) => Character::open(path).map(|it| Box::new(it) as _),
            TpmDevice::Swtpm { host, port } => {
                Socket::open(host, *port).map(|it| Box::new(it) as _)
            }
        };
        let hint = match device {
            TpmDevice::Path(_) => "is the TPM enabled in the firmware, and its driver loaded?",
            TpmDevice::Swtpm { .. } => "is swtpm running with --server type=tcp on that port?",
        };
        let transport = transport.map_err(|source| Error::Open {
            device: device.clone(),
            hint,
            source,
        })?;
        Ok(Tpm {
            device: device.clone(),
            transport,
        })
    }

    /// The banks in which `pcr` exists.
    ///
    /// # Errors
    /// The TPM did not answer that.
    pub fn active_banks(&mut self, pcr: PcrIndex) -> Result<ActiveBanks, Error> {
        self.ask(
            "list its PCR banks",
            &tpm_message::get_pcr_banks(),
            |response| tpm_message::pcr_banks(response, pcr),
        )
    }

    /// Extends `pcr` in every bank of `digests`, in one command.
    ///
    /// # Errors
    /// The TPM did not say that it did. Whether it did is then unknown.
    pub fn extend(&mut self, pcr: PcrIndex, digests: &Digests) -> Result<(), Error> {
        let command = tpm_message::pcr_extend(pcr, digests);
        self.ask("extend a PCR", &command, tpm_message::pcr_extended)
    }

    /// The value of `pcr` in `bank`.
    ///
    /// # Errors
    /// The TPM did not answer that.
    pub fn read(&mut self, pcr: PcrIndex, bank: Bank) -> Result<Digest, Error> {
        self.ask(
            "read a PCR",
            &tpm_message::pcr_read(pcr, bank),
            |response| tpm_message::pcr_value(response, pcr, bank),
        )
    }

    /// The values of `pcr` in `banks`.
    ///
    /// # Errors
    /// As [`read`](Tpm::read).
    pub fn read_all(&mut self, pcr: PcrIndex, banks: &[Bank]) -> Result<Digests, Error> {
        banks.iter().map(|bank| self.read(pcr, *bank)).collect()
    }

    /// One command and its answer. Linux's driver repeats a command that the
    /// TPM asks to repeat; a socket does not.
    fn ask<T>(
        &mut self,
        what: &'static str,
        command: &[u8],
        answer: impl Fn(&[u8]) -> Result<T, ResponseError>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let response = self
                .transport
                .exchange(command)
                .map_err(|source| Error::Exchange {
                    what,
                    device: self.device.clone(),
                    source,
                })?;
            match answer(&response) {
                Ok(value) => return Ok(value),
                Err(error) if error.is_temporary() && began.elapsed() < PATIENCE => {
                    sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
                Err(source) => {
                    return Err(Error::Answer {
                        what,
                        device: self.device.clone(),
                        source,
                    });
                }
            }
        }
    }
}

/// Why the TPM did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened.
    #[error("open the TPM {device}\nhint: {hint}")]
    Open {
        /// Where it should be.
        device: TpmDevice,
        /// What to look at.
        hint: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The command or its response was lost.
    #[error("ask the TPM {device} to {what}")]
    Exchange {
        /// The command.
        what: &'static str,
        /// Which TPM.
        device: TpmDevice,
        /// What the system said.
        source: io::Error,
    },
    /// It refused, or answered something else.
    #[error("ask the TPM {device} to {what}")]
    Answer {
        /// The command.
        what: &'static str,
        /// Which TPM.
        device: TpmDevice,
        /// What it answered.
        source: ResponseError,
    },
}

/// Carries a command to a TPM and its response back.
trait Transport {
    fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>>;
}

/// `/dev/tpm0` or `/dev/tpmrm0`: one write is one command, one read is its
/// response (Linux `Documentation/security/tpm`, `drivers/char/tpm/tpm-dev-common.c`).
struct Character(File);

impl Character {
    fn open(path: &Path) -> io::Result<Character> {
        // Non-blocking: the driver then works on its own, and poll has a deadline.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)
            .map(Character)
    }
}

impl Transport for Character {
    fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let written = self.0.write(command)?;
        if written != command.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let timeout = Timespec::try_from(DEADLINE).map_err(io::Error::other)?;
        let mut waiting = [PollFd::new(&self.0, PollFlags::IN)];
        if poll(&mut waiting, Some(&timeout))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut response = vec![0; MAX_RESPONSE];
        let read = self.0.read(&mut response)?;
        response.truncate(read);
        Ok(response)
    }
}

/// A TCP connection that carries commands and responses one after the other,
/// as swtpm's data channel does.
struct Socket(TcpStream);

impl Socket {
    fn open(host: &str, port: u16) -> io::Result<Socket> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(DEADLINE))?;
                    stream.set_write_timeout(Some(DEADLINE))?;
                    return Ok(Socket(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Transport for Socket {
    fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(command)?;
        read_response(&mut self.0)
    }
}

/// Reads one response: its header says how long it is.
fn read_response(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut response = vec![0; HEADER];
    stream.read_exact(&mut response)?;
    let size = u32::from_be_bytes([response[2], response[3], response[4], response[5]]);
    let size = usize::try_from(size)
        .ok()
        .filter(|size| (HEADER..=MAX_RESPONSE).contains(size));
    let size = size.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "a response of that length is none",
        )
    })?;
    response.resize(size, 0);
    stream.read_exact(&mut response[HEADER..])?;
    Ok(response)
}
