// SPDX-License-Identifier: Apache-2.0 OR MIT
//! libxl waits ten seconds for the console daemon to name the terminal of a
//! domain it builds, and gives the domain up if nobody does (`libxl_create.c`,
//! `console_xswait`). Where the daemon is in a control domain that does not run
//! yet, the name is written here; the daemon replaces it when it starts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use domb_core::units::Domid;
use xenlight::Store;

use crate::console;
use crate::report::chain;

/// Calls `create`, which builds the domain `domid` with libxl, and names its
/// terminal meanwhile: at once, or where the daemon is there already (`served`) only
/// when it is late.
pub(super) fn stand_in<T>(domid: Domid, served: bool, create: impl FnOnce() -> T) -> T {
    let built = AtomicBool::new(false);
    let from = if served { LATE } else { Duration::ZERO };
    thread::scope(|scope| {
        let named = scope.spawn(|| name_terminal(domid, from, &built));
        let created = create();
        built.store(true, Ordering::Relaxed);
        // libxl says itself what came of it; this says why.
        if let Ok(Err(error)) = named.join() {
            console::line("build", &chain(&error).join(": "));
        }
        created
    })
}

/// The node is there and empty when libxl begins to wait.
fn name_terminal(domid: Domid, from: Duration, built: &AtomicBool) -> xenlight::Result<()> {
    let store = Store::open()?;
    let path = format!("/local/domain/{domid}/console/tty");
    let mut empty_since = None;
    while !built.load(Ordering::Relaxed) {
        if store.read_text(&path)?.as_deref() == Some("") {
            let since = *empty_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= from {
                return store.write(&path, STAND_IN);
            }
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

const STAND_IN: &[u8] = b"not served yet";
/// Of the ten seconds that libxl waits.
const LATE: Duration = Duration::from_secs(7);
const PAUSE: Duration = Duration::from_millis(20);
