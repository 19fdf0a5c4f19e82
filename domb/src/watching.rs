// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the threads need that watch another domain: a handle of Xen of their own,
//! because Xen's handles stay with the thread that opened them.

use std::fs::OpenOptions;
use std::io;
use std::sync::mpsc::channel;
use std::thread;

use xenlight::{Hypervisor, Level, Logger, RunState};

/// Whether the domain is there and has not ended.
///
/// # Errors
/// The hypervisor refuses to say.
pub fn runs(hypervisor: &Hypervisor, domid: u16) -> xenlight::Result<bool> {
    let state = hypervisor.state(domid)?;
    Ok(state.is_some_and(|state| !matches!(state, RunState::Shutdown(_) | RunState::Dying)))
}

/// A handle of Xen. What libxenctrl says is in its errors.
///
/// # Errors
/// The hypervisor cannot be asked.
pub fn hypervisor() -> xenlight::Result<Hypervisor> {
    let log = OpenOptions::new().write(true).open("/dev/null");
    let log = log.and_then(|file| Logger::new(file, Level::Error));
    Hypervisor::open(log.map_err(|source| failed("write to /dev/null", source))?)
}

/// Starts a thread that makes its watch and then keeps it; returns when the watch
/// is made.
///
/// # Errors
/// It could not be made.
pub fn begin<W>(
    make: impl FnOnce() -> xenlight::Result<W> + Send + 'static,
    keep: impl FnOnce(W) + Send + 'static,
) -> xenlight::Result<()> {
    let (sender, begun) = channel();
    thread::spawn(move || match make() {
        Ok(watch) => {
            if sender.send(Ok(())).is_ok() {
                keep(watch);
            }
        }
        Err(error) => drop(sender.send(Err(error))),
    });
    begun
        .recv()
        .unwrap_or_else(|ended| Err(failed("watch another domain", io::Error::other(ended))))
}

fn failed(doing: &str, source: io::Error) -> xenlight::Error {
    xenlight::Error::System {
        doing: doing.to_owned(),
        source,
        log: Vec::new(),
    }
}
