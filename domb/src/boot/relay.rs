// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A domain's console on the machine's own: bytes both ways, unchanged, as `xl
//! console` passes them.
//!
//! It trusts neither side with more than bytes; a side that cannot be read or
//! written to is passed over, and what it had to say is lost.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use domb_core::units::Domid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use xenlight::Store;

/// The two ends.
pub(super) struct Relay {
    domid: Domid,
    machine: Option<File>,
    domain: Option<File>,
}

impl Relay {
    /// Between the machine's console and that domain's, which xenconsoled may
    /// still be making.
    pub(super) fn new(domid: Domid) -> Relay {
        Relay {
            domid,
            machine: open("/dev/console"),
            domain: None,
        }
    }

    /// Waits a moment for bytes on either side and passes them on.
    pub(super) fn turn(&mut self) {
        if self.domain.is_none() {
            self.domain = tty(self.domid).as_deref().and_then(open);
        }
        let ends: Vec<&File> = self.machine.iter().chain(&self.domain).collect();
        let mut waiting: Vec<PollFd<'_>> = ends
            .iter()
            .map(|end| PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN))
            .collect();
        // Whatever it says, the next reads find out.
        if poll(&mut waiting, Some(&MOMENT)).is_err() || self.domain.is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        pass(self.domain.as_mut(), self.machine.as_mut());
        pass(self.machine.as_mut(), self.domain.as_mut());
    }
}

const MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

fn tty(domid: Domid) -> Option<String> {
    let path = format!("/local/domain/{domid}/console/tty");
    Store::open().ok()?.read_text(&path).ok()?
}

fn open(path: &str) -> Option<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let flags = i32::try_from(flags).expect("open flags fit a C int");
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)
        .ok()
}

/// What waits at `from` goes to `to`.
fn pass(from: Option<&mut File>, to: Option<&mut File>) {
    let mut bytes = [0; 4096];
    let Some(read) = from.and_then(|from| from.read(&mut bytes).ok()) else {
        return;
    };
    let Some(to) = to else { return };
    let mut rest = &bytes[..read];
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(written) if written > 0 => rest = &rest[written..],
            // The other side is slow: a serial line takes its time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            _ => return,
        }
    }
}
