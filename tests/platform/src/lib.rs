// SPDX-License-Identifier: Apache-2.0 OR MIT
//! End-to-end boots: real Xen, Debian's kernel, domb's image and a software
//! TPM under QEMU. A [`MachineSpec`] becomes a [`Machine`] whose [`Serial`]
//! log is followed line by line; the control domain's root carries the steps
//! of a test and reports what it sees. Nothing here is shared with domb's own
//! code, so that a fault in domb cannot hide itself.

pub mod archive;
pub mod bench;
pub mod boot;
pub mod cases;
pub mod demo;
pub mod demo_disaggregated;
pub mod departed;
pub mod drill;
pub mod error;
pub mod figures;
pub mod flask;
pub mod host;
pub mod machine;
pub mod outcome;
pub mod power_cut;
pub mod recovering;
pub mod root;
pub mod serial;
pub mod swtpm;

pub use archive::{Archive, patch};
pub use bench::Bench;
pub use boot::{Boot, Case, End};
pub use error::{Error, Result};
pub use host::Parts;
pub use machine::{Machine, MachineSpec, Tpm};
pub use outcome::{Listed, Outcome, StepOutcome};
pub use root::Step;
pub use serial::{Line, Serial};
pub use swtpm::Swtpm;
