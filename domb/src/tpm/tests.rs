// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The TPM's commands against answers that are right, wrong and late.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::thread;

use super::*;

const PCR: PcrIndex = PcrIndex::DEFAULT;

/// Answers each command with the next of these bytes.
struct Script(VecDeque<Vec<u8>>);

impl Transport for Script {
    fn exchange(&mut self, _command: &[u8]) -> io::Result<Vec<u8>> {
        self.0
            .pop_front()
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn tpm(responses: &[&[u8]]) -> Tpm {
    let responses = responses.iter().map(|bytes| bytes.to_vec()).collect();
    Tpm {
        device: TpmDevice::default(),
        transport: Box::new(Script(responses)),
    }
}

const RETRY: &[u8] = &[0x80, 1, 0, 0, 0, 10, 0, 0, 9, 0x22];
const EXTENDED: &[u8] = &[0x80, 2, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];

#[test]
fn devices_are_written_as_they_are_read() {
    for text in ["/dev/tpm0", "swtpm:127.0.0.1:2321", "swtpm:localhost:1"] {
        assert_eq!(text.parse::<TpmDevice>().unwrap().to_string(), text);
    }
    let v6: TpmDevice = "swtpm:[::1]:2321".parse().unwrap();
    assert_eq!(
        v6,
        TpmDevice::Swtpm {
            host: "::1".to_owned(),
            port: 2321
        }
    );
    for bad in [
        "",
        "swtpm:",
        "swtpm:host",
        "swtpm:host:x",
        "swtpm:host:65536",
    ] {
        assert!(bad.parse::<TpmDevice>().is_err(), "{bad}");
    }
}

#[test]
fn a_tpm_that_asks_to_be_asked_again_is() {
    let mut tpm = tpm(&[RETRY, RETRY, EXTENDED]);
    tpm.extend(PCR, &Digests::zero(&[Bank::Sha256])).unwrap();
}

#[test]
fn a_refusal_is_not_repeated() {
    let locality = &[0x80, 1, 0, 0, 0, 10, 0, 0, 9, 0x07][..];
    let mut tpm = tpm(&[locality, EXTENDED]);
    let error = tpm
        .extend(PCR, &Digests::zero(&[Bank::Sha256]))
        .unwrap_err();
    assert!(matches!(
        error,
        Error::Answer {
            source: ResponseError::Code { code: 0x907, .. },
            ..
        }
    ));
}

#[test]
fn a_missing_device_is_an_error_with_a_hint() {
    let error = Tpm::open(&TpmDevice::Path("/nonexistent/tpm0".into())).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("open the TPM /nonexistent/tpm0\nhint: "),
        "{error}"
    );
}

#[test]
fn a_peer_that_lies_about_its_response_is_not_believed() {
    for (bytes, kind) in [
        (
            &[0x80, 1, 0, 0, 0, 9, 0, 0, 0, 0][..],
            io::ErrorKind::InvalidData,
        ),
        (
            &[0x80, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            io::ErrorKind::InvalidData,
        ),
        (
            &[0x80, 1, 0, 0, 0x10, 0x01, 0, 0, 0, 0],
            io::ErrorKind::InvalidData,
        ),
        (
            &[0x80, 1, 0, 0, 0, 11, 0, 0, 0, 0],
            io::ErrorKind::UnexpectedEof,
        ),
        (&[0x80, 1], io::ErrorKind::UnexpectedEof),
    ] {
        assert_eq!(
            read_response(&mut &*bytes).unwrap_err().kind(),
            kind,
            "{bytes:x?}"
        );
    }
}

#[test]
fn a_response_may_come_in_pieces_and_a_closed_peer_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut command = [0; 53];
        stream.read_exact(&mut command).unwrap();
        for byte in EXTENDED {
            stream.write_all(&[*byte]).unwrap();
        }
        command
    });
    let mut tpm = Tpm::open(&TpmDevice::Swtpm {
        host: "127.0.0.1".to_owned(),
        port,
    })
    .unwrap();
    let digests = Digests::zero(&[Bank::Sha1]);
    tpm.extend(PCR, &digests).unwrap();
    assert_eq!(
        peer.join().unwrap()[..],
        tpm_message::pcr_extend(PCR, &digests)
    );
    assert!(matches!(
        tpm.extend(PCR, &digests),
        Err(Error::Exchange { .. })
    ));
}
