// SPDX-License-Identifier: Apache-2.0 OR MIT
//! xenstored and xenconsoled in domain 0, started before any libxl context
//! and alive after domb: with `exit = "process"` they go on under the control
//! domain's init.
//!
//! Both stay in the foreground as children of PID 1, so that one that dies is
//! noticed at once and its last words can be shown. Their pid files are where
//! Debian's `xen` service looks, so that it does not start a second xenstored,
//! which would unlink the socket of the first; and where Xen's own scripts do.
//!
//! What they call themselves begins with `@`: a systemd that ends a root, for
//! another one or for good, then leaves them alone (systemd's "Storage Daemons
//! for the Root File System"). Domains have a store and a console to the end.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use xenlight::Store;

use crate::manifest::Manifest;

/// Generous: under emulation the store answers within half a second.
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);
const SOCKET: &str = "/run/xenstored/socket";

/// Starts xenstored for this domain and, when it answers, writes what libxl
/// cannot do without.
pub(super) fn xenstored(manifest: &Manifest) -> Result<Child, Error> {
    let child = serve_store(manifest, &["--pid-file", "/run/xenstore.pid"])?;
    upstream_pid_file("xenstored", "/run/xen/xenstored.pid", "../xenstore.pid")?;
    let store = Store::open().map_err(|source| Error::Store { source })?;
    initialise(&store).map_err(|source| Error::Store { source })?;
    Ok(child)
}

/// Starts xenstored with these further arguments; it answers on its socket.
pub(super) fn serve_store(manifest: &Manifest, arguments: &[&str]) -> Result<Child, Error> {
    let arguments: Vec<&str> = [&["--no-fork"], arguments].concat();
    let mut child = spawn("xenstored", &manifest.xenstored, &arguments)?;
    wait_for("xenstored", &mut child, || {
        UnixStream::connect(SOCKET).is_ok()
    })?;
    spare_from_oom("xenstored", &child)?;
    Ok(child)
}

/// Starts xenconsoled; it sees every domain that is made from now on.
pub(super) fn xenconsoled(manifest: &Manifest) -> Result<Child, Error> {
    let mut child = spawn("xenconsoled", &manifest.xenconsoled, &["-i", "--log=none"])?;
    let pid = child.id();
    fs::write("/run/xenconsoled.pid", format!("{pid}\n")).map_err(|source| Error::Start {
        daemon: "xenconsoled",
        source,
    })?;
    upstream_pid_file(
        "xenconsoled",
        "/run/xen/xenconsoled.pid",
        "../xenconsoled.pid",
    )?;
    // It opens gntdev after it has asked the store for the domains to come
    // and before its loop (tools/console/daemon/io.c, handle_io).
    wait_for("xenconsoled", &mut child, || {
        has_open(pid, "/dev/xen/gntdev")
    })?;
    Ok(child)
}

/// Where `tools/hotplug/Linux/init.d/xencommons` and `launch-xenstore` of Xen
/// look: the same file under their name.
fn upstream_pid_file(daemon: &'static str, name: &str, target: &str) -> Result<(), Error> {
    match symlink(target, name) {
        // Of an earlier start in this domain.
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::Start { daemon, source }),
        Ok(()) => Ok(()),
    }
}

fn spawn(daemon: &'static str, path: &str, arguments: &[&str]) -> Result<Child, Error> {
    let failed = |source| Error::Start { daemon, source };
    let log = File::create(log_of(daemon)).map_err(failed)?;
    Command::new(path)
        .arg0(format!("@{daemon}"))
        .args(arguments)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .spawn()
        .map_err(failed)
}

/// Waits until `ready`, as long as the daemon lives and the deadline allows.
fn wait_for(
    daemon: &'static str,
    child: &mut Child,
    ready: impl Fn() -> bool,
) -> Result<(), Error> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if ready() {
            return Ok(());
        }
        let ended = child
            .try_wait()
            .map_err(|source| Error::Start { daemon, source })?;
        if let Some(status) = ended {
            return Err(Error::Ended {
                daemon,
                status,
                words: last_words(daemon),
            });
        }
        if Instant::now() > deadline {
            return Err(Error::Silent {
                daemon,
                words: last_words(daemon),
            });
        }
        std::thread::sleep(PAUSE);
    }
}

fn has_open(pid: u32, device: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == Path::new(device)))
}

/// The store must outlive any shortage of memory in domain 0.
fn spare_from_oom(daemon: &'static str, child: &Child) -> Result<(), Error> {
    fs::write(format!("/proc/{}/oom_score_adj", child.id()), "-1000")
        .map_err(|source| Error::Start { daemon, source })
}

/// The three nodes libxl cannot do without (`tools/helpers/xen-init-dom0.c`).
pub(super) fn initialise(store: &Store) -> xenlight::Result<()> {
    store.write("/local/domain/0/domid", b"0")?;
    store.write("/local/domain/0/name", b"Domain-0")?;
    store.write("/local/pool/0/name", b"Pool-0")
}

fn log_of(daemon: &str) -> String {
    format!("/run/domb/{daemon}.log")
}

fn last_words(daemon: &str) -> String {
    let text = fs::read_to_string(log_of(daemon)).unwrap_or_default();
    text.lines()
        .rev()
        .take(3)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect::<Vec<_>>()
        .join("; ")
}

/// Why there is no store or no console.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("start {daemon}")]
    Start {
        /// Which.
        daemon: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It ended.
    #[error(
        "start {daemon}: it ended with {status}: {words}\nhint: is this the initial domain of a Xen of the same version as the tools in the image?"
    )]
    Ended {
        /// Which.
        daemon: &'static str,
        /// How.
        status: ExitStatus,
        /// The last lines it wrote.
        words: String,
    },
    /// It did not get ready.
    #[error("start {daemon}: not ready within 30 s: {words}")]
    Silent {
        /// Which.
        daemon: &'static str,
        /// The last lines it wrote.
        words: String,
    },
    /// The store does not take domain 0's nodes.
    #[error("write domain 0's nodes to the store")]
    Store {
        /// What libxenstore said.
        source: xenlight::Error,
    },
}
