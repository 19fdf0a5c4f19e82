// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PID 1 of the xenstore domain: this program again, from a ramdisk made of
//! the boot domain's own files. It runs Debian's xenstored, hands it the ring
//! of domain 0, says that it serves, and does nothing else for ever. Where there
//! is a control domain, its console is served here as well.
//!
//! xenstored expects to live in the initial domain: it reads the event channel
//! and the page of "its own kernel" from `/proc/xen`. Here both are stand-ins
//! (a channel of this domain with itself, an empty page), and the real ring of
//! domain 0 is introduced like any other domain's.
//!
//! Its console is not read again once the boot domain has gone, and what it
//! writes is then thrown away. Whatever ends xenstored ends this domain, as a crash that
//! everybody can see.

use std::ffi::CStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use xenlight::{LoopbackPort, Store};

use super::{MANIFEST, daemons, modules, mounts, store_watch};
use crate::bundle::STATE;
use crate::exit::Exit;
use crate::fault;
use crate::manifest::Manifest;
use crate::report::chain;

/// The first word after `--` on the kernel's command line that makes PID 1
/// this.
pub const ROLE: &str = "xenstore-domain";
/// What it says when it serves.
pub(super) const READY: &str = "xenstore: ready";
/// What it says when it cannot; the reason follows.
pub(super) const FAILED: &str = "xenstore: failed: ";

/// What the boot domain tells it on the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Orders {
    /// Its own domid.
    pub(super) domid: u16,
    /// Its own name.
    pub(super) name: String,
    /// The port at which domain 0's ring waits for it.
    pub(super) ring: u32,
    /// The control domain, which may introduce others like domain 0, and
    /// whose console is served here; 0 for none.
    pub(super) control: u16,
    /// The hardware domain, where it is watched from here whether the boot
    /// domain lives; 0 for none.
    pub(super) watched: u16,
}

impl Orders {
    /// As words of a command line, [`ROLE`] first.
    pub(super) fn words(&self) -> String {
        let Orders {
            domid,
            name,
            ring,
            control,
            watched,
        } = self;
        format!("{ROLE} {domid} {name} {ring} {control} {watched}")
    }

    /// From the words after [`ROLE`].
    fn read(words: &[String]) -> Option<Orders> {
        let [domid, name, ring, control, watched] = words else {
            return None;
        };
        Some(Orders {
            domid: domid.parse().ok()?,
            name: name.clone(),
            ring: ring.parse().ok()?,
            control: control.parse().ok()?,
            watched: watched.parse().ok()?,
        })
    }
}

/// Serves. Comes back only when it cannot.
#[must_use]
pub fn run(words: &[String]) -> Exit {
    let result = match Orders::read(words) {
        None => Err(Error::Orders {
            words: words.join(" "),
        }),
        Some(orders) => serve(&orders),
    };
    let text = match result {
        Ok((mut xenstored, port)) => {
            say(READY);
            if let Some(bytes) = fault::store_noise() {
                std::thread::spawn(move || make_noise(bytes));
            }
            if let Some(path) = fault::store_dies() {
                std::thread::spawn(move || die_with(&path));
            }
            let ended = xenstored.wait();
            drop(port);
            format!("{FAILED}xenstored ended: {ended:?}")
        }
        Err(error) => format!("{FAILED}{}", chain(&error).join(": ")),
    };
    say(&text);
    // PID 1 ends, and with it the domain: Xen sees a crash.
    Exit::Setup
}

fn serve(orders: &Orders) -> Result<(Child, LoopbackPort), Error> {
    mounts::mount_all()?;
    let manifest = Manifest::read(Path::new(MANIFEST))?;
    modules::load_with(
        manifest
            .modules
            .iter()
            .filter_map(|module| own_module(&module.path)),
    )?;
    let port = LoopbackPort::open(orders.domid).map_err(Error::Xen)?;
    stand_ins(port.port())?;
    let (own, control) = (orders.domid.to_string(), orders.control.to_string());
    let xenstored = daemons::serve_store(
        &manifest,
        &[
            "--master-domid",
            &own,
            "--priv-domid",
            &control,
            "--keep-orphans",
        ],
    )?;
    let store = Store::open().map_err(Error::Xen)?;
    // The socket's clients count as domain 0: without it xenstored takes no
    // watch from them.
    introduce(&store, orders).map_err(Error::Xen)?;
    if orders.control != 0 {
        // The control domain cannot drain its own console: whoever writes the
        // ring waits in the kernel until somebody has read it.
        store
            .write("/tool/xenconsoled/domid", own.as_bytes())
            .map_err(Error::Xen)?;
        daemons::xenconsoled(&manifest)?;
    }
    if orders.watched != 0 {
        store_watch::begin(orders.watched).map_err(Error::Xen)?;
    }
    Ok((xenstored, port))
}

/// For a drill: writes more than its ring takes when the boot domain has left,
/// and says in XenStore that it could.
fn make_noise(bytes: usize) {
    let noise = || -> Result<(), Error> {
        let store = Store::open().map_err(Error::Xen)?;
        loop {
            let said = store.read_text(STATE).map_err(Error::Xen)?;
            if said.is_some_and(|text| text.starts_with("left")) {
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        std::thread::sleep(Duration::from_secs(5));
        say(&"noise ".repeat(bytes / 6));
        store
            .write("/tool/domb/noise", b"written")
            .map_err(Error::Xen)
    };
    if let Err(error) = noise() {
        say(&chain(&error).join(": "));
    }
}

/// For a drill: the domain ends as soon as somebody has written that node.
fn die_with(path: &str) {
    let dies = || -> xenlight::Result<()> {
        let store = Store::open()?;
        while store.read_text(path)?.is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        say("dies, as domb.store-dies asks");
        std::process::abort()
    };
    if let Err(error) = dies() {
        say(&chain(&error).join(": "));
    }
}

/// What libxl wants to find, and the way to it from domain 0.
fn introduce(store: &Store, orders: &Orders) -> xenlight::Result<()> {
    let own = orders.domid.to_string();
    daemons::initialise(store)?;
    store.write("/tool/xenstored/domid", own.as_bytes())?;
    store.write(&format!("/local/domain/{own}/domid"), own.as_bytes())?;
    store.write(&format!("/local/domain/{own}/name"), orders.name.as_bytes())?;
    store.introduce(0, orders.ring)
}

/// The modules it needs of those the boot domain has, with their parameters.
/// Without `unrestricted` privcmd in a domain that is not the initial one waits for a
/// XenStore to tell it which domain it may act on.
fn own_module(path: &str) -> Option<(&str, &CStr)> {
    let file = path.rsplit('/').next().unwrap_or(path).replace('_', "-");
    match file.as_str() {
        "xen-privcmd.ko" => Some((path, c"unrestricted=1")),
        "xen-evtchn.ko" | "xen-gntdev.ko" => Some((path, c"")),
        _ => None,
    }
}

/// `xsd_port` and `xsd_kva`, which xenfs has in the initial domain only.
fn stand_ins(port: u32) -> Result<(), Error> {
    mounts::mount_in_place_of_xenfs()?;
    let failed = |source| Error::StandIns { source };
    fs::write("/proc/xen/xsd_port", port.to_string()).map_err(failed)?;
    fs::write("/proc/xen/xsd_kva", [0; 4096]).map_err(failed)
}

/// One line on the console. There is nobody to tell that it failed.
fn say(text: &str) {
    let line = OpenOptions::new()
        .write(true)
        .open("/dev/hvc0")
        .and_then(|mut console| console.write_all(format!("{text}\n").as_bytes()));
    if line.is_err() {}
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("read {words:?} as what a xenstore domain is told")]
    Orders { words: String },
    #[error(transparent)]
    Mounts(#[from] mounts::Error),
    #[error(transparent)]
    Manifest(#[from] crate::manifest::Error),
    #[error(transparent)]
    Modules(#[from] modules::Error),
    #[error("put a port and a page where xenstored looks for them")]
    StandIns { source: io::Error },
    #[error(transparent)]
    Daemons(#[from] daemons::Error),
    #[error(transparent)]
    Xen(xenlight::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_told_is_what_it_reads() {
        let orders = Orders {
            domid: 1,
            name: "store".to_owned(),
            ring: 12,
            control: 2,
            watched: 3,
        };
        let words: Vec<String> = orders.words().split(' ').map(str::to_owned).collect();
        assert_eq!(words[0], ROLE);
        assert_eq!(Orders::read(&words[1..]), Some(orders));
        assert_eq!(Orders::read(&words), None);
        assert_eq!(Orders::read(&[]), None);
    }

    #[test]
    fn it_loads_three_modules_and_privcmd_without_its_restriction() {
        assert_eq!(
            own_module("/lib/modules/6.1/xen-privcmd.ko").unwrap().1,
            c"unrestricted=1"
        );
        assert_eq!(own_module("/lib/modules/6.1/xen_evtchn.ko").unwrap().1, c"");
        assert_eq!(own_module("/lib/modules/6.1/xenfs.ko"), None);
    }
}
