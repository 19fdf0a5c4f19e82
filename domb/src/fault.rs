// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A boot domain that dies on request, for the drills of `tests/platform` and
//! for nothing else: `domb.fault=PHASE` on its kernel's command line ends PID 1
//! where that phase begins, with no time to undo anything. Every start says so.
//!
//! It is there only with the feature `faults`, which does not build without
//! debug assertions: no binary that `scripts/build` makes by itself has it.

/// Where the boot domain can be made to die, beside the phases of a launch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// A phase of the launch begins.
    Phase(&'static str),
    /// The control domain runs, and the hardware domain is not there yet.
    ServicesRun,
    /// The hardware domain is built, and the guests are paused.
    HardwareBuilt,
    /// Everything runs, and the records are still here.
    HandedOff,
    /// The control domain was told that the boot domain has left.
    Departed,
}

#[cfg(all(feature = "faults", not(debug_assertions)))]
compile_error!("the feature `faults` is for tests: build it with debug assertions");

/// What a binary that can do this says of itself.
pub const NOTE: Option<&str> = if ASKED {
    Some("THIS DOMB DIES ON REQUEST: it is for drills, not for a platform")
} else {
    None
};

const ASKED: bool = cfg!(feature = "faults");

/// Dies here if that was asked for.
pub fn at(moment: Moment) {
    if !ASKED {
        return;
    }
    let name = match moment {
        Moment::Phase(name) => name,
        Moment::ServicesRun => "services",
        Moment::HardwareBuilt => "hardware",
        Moment::HandedOff => "handed-off",
        Moment::Departed => "departed",
    };
    if word("domb.fault=").as_deref() == Some(name) {
        crate::console::line("FAULT", &format!("at {name}, as domb.fault asks"));
        std::process::abort();
    }
}

/// How often the xenstore domain is started and destroyed before the start
/// that stays: `domb.store-starts=N`.
pub fn store_starts() -> u32 {
    if !ASKED {
        return 0;
    }
    word("domb.store-starts=").map_or(0, |count| count.parse().unwrap_or(0))
}

/// How much the xenstore domain writes to its console when the boot domain has
/// left: `domb.store-noise=BYTES`.
pub fn store_noise() -> Option<usize> {
    if !ASKED {
        return None;
    }
    word("domb.store-noise=")?.parse().ok()
}

/// The XenStore node with which the xenstore domain dies as soon as it is there:
/// `domb.store-dies=PATH`.
pub fn store_dies() -> Option<String> {
    if !ASKED {
        return None;
    }
    word("domb.store-dies=")
}

/// What stands after `key` on the kernel's command line.
fn word(key: &str) -> Option<String> {
    let words = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let found = words
        .split_whitespace()
        .find_map(|word| word.strip_prefix(key));
    found.map(str::to_owned)
}
