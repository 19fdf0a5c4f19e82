// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The control domain starts before the hardware domain is there: from then on
//! the end of this domain does not end the machine any more, and somebody has
//! to notice it. It says in XenStore that it is ready (`domb adopt`).

use std::thread;
use std::time::{Duration, Instant};

use domb_core::units::Domid;
use xenlight::{Hypervisor, Store};

use super::store_domain::failed;
use crate::bundle::{self, READINESS, STATE};
use crate::console;
use crate::libxl;
use crate::toolstack::{Error, State};

/// Lets the control domain run, and waits until it says that it serves the
/// consoles of the others and watches this domain.
///
/// # Errors
/// It ends, or says nothing.
pub(super) fn start(
    store: &Store,
    hypervisor: &Hypervisor,
    domid: Domid,
    hardware: Option<Domid>,
    longest_gate: Duration,
) -> Result<(), Error> {
    let said = bundle::building(hardware, longest_gate, domid);
    store.write(STATE, said.as_bytes())?;
    hypervisor.unpause(domid.value())?;
    let began = Instant::now();
    while store.read_text(READINESS)?.as_deref() != Some("ready") {
        let state = libxl::state(hypervisor.domain(domid.value())?);
        if state != State::Running {
            return Err(failed(format!(
                "the control domain is {state:?} before it is ready"
            )));
        }
        if began.elapsed() > DEADLINE {
            return Err(failed(
                "the control domain is not ready within 300 s\n\
                 hint: its init starts xenconsoled and then `domb adopt`"
                    .to_owned(),
            ));
        }
        thread::sleep(PAUSE);
    }
    let milliseconds = began.elapsed().as_millis();
    let text = format!("the control domain is ready after {milliseconds} ms");
    console::line("handoff", &text);
    Ok(())
}

/// Its init may bring a whole system up.
const DEADLINE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(100);
