// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sits between domb and swtpm and does to commands what an attacker or a
//! broken TPM would.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use super::server::Swtpm;
use crate::tpm::TpmDevice;

/// What becomes of a command.
#[derive(Clone)]
pub(super) enum Action {
    /// It reaches the TPM, and its response comes back.
    Pass,
    /// It does not reach the TPM; this is the answer.
    Answer(Vec<u8>),
    /// Another command reaches the TPM in its place.
    Replace(Vec<u8>),
    /// Another command reaches the TPM before it.
    Inject(Vec<u8>),
    /// The connection ends.
    HangUp,
}

/// A proxy for one connection.
pub(super) struct Proxy {
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    pub(super) fn start(
        swtpm: &Swtpm,
        decide: impl FnMut(&[u8]) -> Action + Send + 'static,
    ) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = swtpm.port();
        let thread = thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            drop(listener);
            let tpm = TcpStream::connect(("127.0.0.1", target)).unwrap();
            // Ends when either side hangs up, which is how every test ends.
            drop(serve(client, tpm, decide));
        });
        Proxy {
            port,
            thread: Some(thread),
        }
    }

    pub(super) fn device(&self) -> TpmDevice {
        TpmDevice::Swtpm {
            host: "127.0.0.1".to_owned(),
            port: self.port,
        }
    }
}

impl Drop for Proxy {
    /// Waits until the connection to swtpm is closed, so that another can
    /// follow. The client has to be dropped first.
    fn drop(&mut self) {
        if !thread::panicking() {
            self.thread.take().unwrap().join().unwrap();
        }
    }
}

fn serve(
    mut client: TcpStream,
    mut tpm: TcpStream,
    mut decide: impl FnMut(&[u8]) -> Action,
) -> io::Result<()> {
    loop {
        let command = message(&mut client)?;
        let response = match decide(&command) {
            Action::Pass => ask(&mut tpm, &command)?,
            Action::Answer(answer) => answer,
            Action::Replace(other) => ask(&mut tpm, &other)?,
            Action::Inject(other) => {
                let injected = ask(&mut tpm, &other)?;
                assert_eq!(
                    injected[6..10],
                    [0; 4],
                    "the injected command is carried out"
                );
                ask(&mut tpm, &command)?
            }
            Action::HangUp => return Ok(()),
        };
        client.write_all(&response)?;
    }
}

fn ask(tpm: &mut TcpStream, command: &[u8]) -> io::Result<Vec<u8>> {
    tpm.write_all(command)?;
    message(tpm)
}

/// Reads one command or response: tag, length, code, the rest.
fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 10];
    stream.read_exact(&mut message)?;
    let length = u32::from_be_bytes(message[2..6].try_into().unwrap());
    message.resize(length as usize, 0);
    stream.read_exact(&mut message[10..])?;
    Ok(message)
}

/// `TPM_CC_PCR_Extend`
pub(super) fn is_extend(command: &[u8]) -> bool {
    command[6..10] == 0x0000_0182u32.to_be_bytes()
}

/// `TPM_CC_PCR_Read`
pub(super) fn is_read(command: &[u8]) -> bool {
    command[6..10] == 0x0000_017eu32.to_be_bytes()
}
