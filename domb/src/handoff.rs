// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Hand-off: from paused domains to a running platform that domb no longer
//! owns.
//!
//! Domains are unpaused in start order while their guards are still armed,
//! each as soon as those before it are ready; none waits for one it does not
//! come after. What a failure means is said in `build/failure.rs`. When every
//! domain is ready and none has ended, the guards are disarmed; after this
//! nothing in domb destroys a domain.
//!
//! With `exit = "domain"` the xenstore and the control domain, which serve the
//! others, run first, and the hardware domain is built when they do.
//!
//! Before the guards are disarmed the boot domain gives up its own label
//! (`own_label.rs`): from there on nobody has the power to build what was built
//! here.

use std::thread;
use std::time::{Duration, Instant};

use domb_core::config::{DomainName, Range};
use domb_core::course::Came;
use domb_core::units::Domid;

use crate::build::{Built, Cause, Fallen, Watch, Witness};
use crate::fault::{self, Moment};
use crate::measure;
use crate::own_label::{self, Given, NextLabel, give_up};
use crate::withhold;

/// A platform that runs without domb.
///
/// Holding one proves that every domain in it was unpaused when those before
/// it were ready, is ready itself, and that no guard is left.
#[derive(Debug)]
pub struct HandedOff {
    /// How many domains were handed over.
    pub domains: usize,
    /// What became of the boot domain's own label; None where that is not
    /// domb's to change.
    pub own_label: Option<Given>,
    /// What the launch came to besides what was planned.
    pub came: Came,
    /// What domain 0 is kept from.
    pub withheld: Vec<Range>,
    /// In which order the domains are to be shut down.
    pub shutdown_order: Vec<DomainName>,
}

/// Unpauses everything that was built, sees each become ready, gives up the boot
/// domain's label for `next`, and lets go.
///
/// # Errors
/// The first domain whose failure means that of the launch, what the launch came
/// to could not be measured, or the label cannot be had; every domain is
/// destroyed.
pub fn hand_off(
    built: Built<'_>,
    next: Option<&NextLabel>,
    witness: &mut dyn Witness,
) -> Result<HandedOff, Error> {
    let mut site = built.into_site();
    let mut watch = Watch::default();
    let mut measured = site.course.came();
    // CLOCK_MONOTONIC: nobody can set it, so no deadline moves.
    let clock = Instant::now();
    for name in site.course.services() {
        site.start(&name, clock.elapsed(), witness)?;
    }
    fault::at(Moment::ServicesRun);
    // From now on no device is the boot domain's. What its Linux has mapped stays
    // mapped, the page of the TPM too, but the TPM is the hardware domain's.
    site.course.build_hardware();
    site.build_all(witness)?;
    fault::at(Moment::HardwareBuilt);
    loop {
        site.build_all(witness)?;
        let came = site.course.came();
        if came != measured {
            witness.came(&came)?;
            // Another domain may stand now, with ranges of its own.
            withhold::withhold(&site.withheld(), site.toolstack)?;
            measured = came;
        }
        if let Some(name) = site.course.next_to_start().cloned() {
            watch.begin(&name);
            site.start(&name, clock.elapsed(), witness)?;
            continue;
        }
        let awaited = site.course.awaited().len();
        if let Some(failed) = watch.look(&mut site, clock.elapsed(), witness) {
            let console = watch.last_words(&site, &failed.name);
            site.fell(failed, console, witness)?;
        } else if site.course.has_arrived() {
            break;
        } else if site.course.awaited().len() == awaited {
            thread::sleep(PAUSE);
        }
    }
    let own_label = next.map(|next| give_up(next, site.toolstack)).transpose()?;
    let handed_off = HandedOff {
        own_label,
        domains: site.count(),
        came: measured,
        withheld: site.withheld(),
        shutdown_order: site.course.shutdown_order(),
    };
    site.hand_over();
    Ok(handed_off)
}

/// Between two looks at the domains that are awaited.
const PAUSE: Duration = Duration::from_millis(20);

/// Why the platform could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A domain does not run.
    #[error("start domain {name} (domid {domid})")]
    Domain {
        /// The domain.
        name: DomainName,
        /// Its domid.
        domid: Domid,
        /// The last lines it wrote to its console.
        console: Vec<String>,
        /// Why.
        #[source]
        cause: Cause,
        /// The recovery domain is to be started.
        recover: bool,
    },
    /// What it came to could not be measured.
    #[error(transparent)]
    Measure(#[from] measure::Error),
    /// Domain 0 still has what another domain was given.
    #[error(transparent)]
    Withhold(#[from] withhold::Error),
    /// The boot domain still has its label.
    #[error(transparent)]
    OwnLabel(#[from] own_label::Error),
}

impl From<Fallen> for Error {
    fn from(fallen: Fallen) -> Error {
        Error::Domain {
            name: fallen.name,
            domid: fallen.domid,
            console: fallen.console,
            cause: fallen.cause,
            recover: fallen.recover,
        }
    }
}
