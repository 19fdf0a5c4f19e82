// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From the moment the control domain says that it is ready until the boot domain
//! has left, nobody else restarts a machine whose platform is not whole. So the
//! watch is a thread that asks Xen alone: XenStore may have ended, and whoever asks
//! it then waits for ever. What it cannot ask it asks again; it restarts before it
//! says anything, and tries until it is done.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use xenlight::{Hypervisor, Store};

use super::{BOOT_DOMAIN, Error};
use crate::bundle::{READINESS, STATE, Said};
use crate::watching;

/// What is to become of the boot domain, as it said when it left. Says that the
/// control domain is ready.
pub(super) fn await_departure(store: &Store, wait: Duration) -> Result<String, Error> {
    let (hardware, longest_gate) = match said(store)?.1 {
        Said::Left(reclaim) => {
            // A second run, or one that is late: there is nothing to watch.
            store.write(READINESS, b"ready")?;
            return Ok(reclaim);
        }
        Said::Building {
            hardware,
            longest_gate,
        } => (hardware, longest_gate),
    };
    let seen = Arc::new(Seen::default());
    let watch = Watch {
        store: served_by(store)?,
        hardware,
        patience: wait.saturating_add(longest_gate),
        seen: Arc::clone(&seen),
    };
    watching::begin(
        || {
            let hypervisor = watching::hypervisor()?;
            watching::runs(&hypervisor, BOOT_DOMAIN)?;
            Ok(hypervisor)
        },
        move |hypervisor| watch.keep(&hypervisor),
    )?;
    store.write(READINESS, b"ready")?;
    let mut last = String::new();
    loop {
        // The watch decides what it means when XenStore does not answer.
        if let Ok((text, said)) = said(store) {
            if let Said::Left(reclaim) = said {
                seen.left.store(true, Ordering::SeqCst);
                return Ok(reclaim);
            }
            if text != last {
                seen.moved();
                last = text;
            }
            seen.reads.fetch_add(1, Ordering::SeqCst);
        }
        if seen.restarted.load(Ordering::SeqCst) {
            return Err(Error::Died);
        }
        thread::sleep(PAUSE);
    }
}

fn said(store: &Store) -> Result<(String, Said), Error> {
    let text = store.read_text(STATE)?.unwrap_or_default();
    match Said::read(&text) {
        Some(said) => Ok((text, said)),
        None => Err(Error::NotDomb { text }),
    }
}

/// The domain that serves XenStore.
fn served_by(store: &Store) -> Result<u16, Error> {
    let text = store.read_text(SERVED_BY)?.unwrap_or_default();
    text.parse().map_err(|_| Error::NoStore { text })
}

/// What the one who reads XenStore tells the one who watches.
#[derive(Default)]
struct Seen {
    left: AtomicBool,
    /// How often the boot domain's word was read.
    reads: AtomicU64,
    /// When it last said something new.
    news: Mutex<Option<Instant>>,
    restarted: AtomicBool,
}

impl Seen {
    fn moved(&self) {
        *self.news.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn since_news(&self, began: Instant) -> Duration {
        let news = *self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.unwrap_or(began).elapsed()
    }
}

struct Watch {
    store: u16,
    hardware: u16,
    patience: Duration,
    seen: Arc<Seen>,
}

impl Watch {
    fn keep(&self, hypervisor: &Hypervisor) {
        let began = Instant::now();
        let why = loop {
            let runs = |domid| watching::runs(hypervisor, domid).unwrap_or(true);
            let reads = self.seen.reads.load(Ordering::SeqCst);
            if !runs(self.store) {
                break "the xenstore domain has ended";
            }
            if !runs(BOOT_DOMAIN) && self.did_not_leave(reads, || runs(self.store)) {
                break "the boot domain has ended and had not left";
            }
            if self.seen.left.load(Ordering::SeqCst) {
                return;
            }
            if self.seen.since_news(began) > self.patience {
                break "the boot domain does not go on";
            }
            thread::sleep(PAUSE);
        };
        // Xen refuses while there is no hardware domain yet; a boot domain that goes on
        // after all and leaves has made the platform whole.
        loop {
            if self.seen.left.load(Ordering::SeqCst) {
                return;
            }
            if hypervisor.restart_machine(self.hardware).is_ok() {
                break;
            }
            thread::sleep(PAUSE);
        }
        self.seen.restarted.store(true, Ordering::SeqCst);
        let said = writeln!(
            io::stdout(),
            "{why}\nrestarting the machine: the platform may not be whole"
        );
        // Nobody is left to tell.
        drop(said);
    }

    /// It halts after it has said that it leaves: its word has to be read once more
    /// after its end was seen. A read that was under way then does not count.
    fn did_not_leave(&self, reads: u64, store_runs: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while self.seen.reads.load(Ordering::SeqCst) < reads + 2 {
            if self.seen.left.load(Ordering::SeqCst) {
                return false;
            }
            if !store_runs() || began.elapsed() > self.patience {
                return true;
            }
            thread::sleep(PAUSE);
        }
        !self.seen.left.load(Ordering::SeqCst)
    }
}

/// Where xenstored says which domain it is in (`xenstored_core.c`).
const SERVED_BY: &str = "/tool/xenstored/domid";
const PAUSE: Duration = Duration::from_millis(200);
