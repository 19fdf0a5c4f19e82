// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The recovery domain: the one domain that runs after a launch has failed.
//!
//! It is built from the bytes that were measured with all the others, when
//! everything else is destroyed (but for the xenstore domain, where there is
//! one: without XenStore nothing can be built) and the PCR says `failed` and its name. Why the
//! launch failed is written into XenStore, below its own path, where it can read
//! and nobody but domain 0 can write: its ramdisk stays, byte for byte, the one
//! that was measured, which an archive appended to it would change.
//!
//! A recovery domain that cannot be started leaves the launch as failed as it
//! was; the report says so.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use domb_core::config::{DomainConfig, Role};
use domb_core::units::Domid;

use crate::build::{self, Cause};
use crate::console;
use crate::launch::Approved;
use crate::report::Report;
use crate::toolstack::{self, Toolstack};

/// The recovery domain runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// Its domid.
    pub domid: Domid,
}

/// Starts the recovery domain of a launch that failed, and gives it the report
/// and the toolstack's log.
pub fn start(
    approved: &Approved,
    toolstack: &dyn Toolstack,
    libxl_log: &Path,
    report: &mut Report,
) -> Option<Recovered> {
    let domain = approved.plan.with_role(Role::Recovery)?;
    report.begin("recovery");
    let started = build_and_start(approved, toolstack, libxl_log, domain, report);
    report.recovered(domain, started.as_ref().err());
    if let (Ok(()), Some(store)) = (&started, approved.plan.with_role(Role::Xenstore)) {
        report.stayed(store);
    }
    started.ok().map(|()| Recovered {
        domid: domain.domid,
    })
}

fn build_and_start(
    approved: &Approved,
    toolstack: &dyn Toolstack,
    libxl_log: &Path,
    domain: &DomainConfig,
    report: &Report,
) -> Result<(), Cause> {
    let guard = build::build_alone(approved, toolstack, domain)?;
    tell(toolstack, libxl_log, domain.domid, report)?;
    toolstack.unpause(domain.domid)?;
    guard.release();
    Ok(())
}

/// Writes what is known of the failure below `/local/domain/DOMID/domb`.
fn tell(
    toolstack: &dyn Toolstack,
    libxl_log: &Path,
    domid: Domid,
    report: &Report,
) -> Result<(), toolstack::Error> {
    let home = format!("/local/domain/{domid}/domb");
    let write = |name: &str, text: &str| toolstack.store_write(&format!("{home}/{name}"), text);
    write("exit_code", &report.exit_code.to_string())?;
    if let Some(failure) = &report.failure {
        write("phase", &failure.phase)?;
        write("domain", failure.domain.as_deref().unwrap_or_default())?;
        write("cause", first(&failure.cause.join(": ")))?;
        write_long(&write, "console", &failure.console.join("\n"))?;
    }
    let json = serde_json::to_string(report).unwrap_or_default();
    write_long(&write, "report", &json)?;
    let log = end_of(libxl_log);
    write_long(&write, "libxl_log", &log)
}

/// A text as nodes `NAME/0000`, `NAME/0001` and on, which together are it; how
/// many there are is in `NAME/count`.
fn write_long(
    write: &impl Fn(&str, &str) -> Result<(), toolstack::Error>,
    name: &str,
    text: &str,
) -> Result<(), toolstack::Error> {
    let mut rest = text;
    let mut count = 0;
    while !rest.is_empty() && count < MOST_PIECES {
        let piece = first(rest);
        write(&format!("{name}/{count:04}"), piece)?;
        rest = &rest[piece.len()..];
        count += 1;
    }
    if !rest.is_empty() {
        console::line("recovery", &format!("{name} is cut off: it is too long"));
    }
    write(&format!("{name}/count"), &count.to_string())
}

/// As much of `text` as fits a node.
fn first(text: &str) -> &str {
    &text[..text.floor_char_boundary(PIECE.min(text.len()))]
}

/// The end of a log file; empty where there is none.
fn end_of(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG)))?;
        let mut bytes = Vec::new();
        file.take(LOG).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// Below what a message of XenStore carries with its path
/// (`XENSTORE_PAYLOAD_MAX`, 4096 bytes, `xen/include/public/io/xs_wire.h`), and
/// below the 2048 bytes a node of a guest may have (`quota_max_entry_size`,
/// `tools/xenstore/xenstored_core.c`).
const PIECE: usize = 1536;
/// 96 KiB; the report of a large platform has about 40.
const MOST_PIECES: usize = 64;
/// The end of libxl's log tells what it did last.
const LOG: u64 = 8 * 1024;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn written(text: &str) -> Vec<(String, String)> {
        let nodes = RefCell::new(Vec::new());
        let write = |name: &str, value: &str| {
            nodes.borrow_mut().push((name.to_owned(), value.to_owned()));
            Ok(())
        };
        write_long(&write, "report", text).unwrap();
        nodes.into_inner()
    }

    #[test]
    fn a_long_text_is_the_sum_of_its_nodes() {
        let text = "ä\"b\n".repeat(2000);
        let nodes = written(&text);
        let (count, pieces) = nodes.split_last().unwrap();
        assert_eq!(
            count,
            &("report/count".to_owned(), pieces.len().to_string())
        );
        assert_eq!(pieces[0].0, "report/0000");
        assert!(pieces.iter().all(|(_, piece)| piece.len() <= PIECE));
        let whole: String = pieces.iter().map(|(_, piece)| piece.as_str()).collect();
        assert_eq!(whole, text);
    }

    #[test]
    fn no_text_has_no_pieces_and_too_much_is_cut_off() {
        assert_eq!(written(""), [("report/count".to_owned(), "0".to_owned())]);
        assert_eq!(written(&"x".repeat(1 << 20)).len(), MOST_PIECES + 1);
    }

    #[test]
    fn the_end_of_a_log_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libxl.log");
        assert_eq!(end_of(&path), "");
        std::fs::write(&path, "x".repeat(10_000) + "the end").unwrap();
        let end = end_of(&path);
        assert_eq!(end.len() as u64, LOG);
        assert!(end.ends_with("xthe end"));
    }
}
