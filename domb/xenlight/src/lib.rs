// SPDX-License-Identifier: Apache-2.0 OR MIT
//! libxl as domb uses it: a domain is described in libxl's own JSON, created
//! paused at the domid asked for, and destroyed again unless somebody starts
//! it.
//!
//! What can be relied on: no pointer and no borrowed C string leaves this
//! crate; whatever C allocated is freed by the C function made for it; a
//! return code that libxl never had a name for is still visible; what libxl
//! logged while a call failed is in the error.
//!
//! What is trusted: libxl, libxenctrl and libxenstore of the release this was
//! built against ([`Context::check_version`] compares it with the hypervisor
//! that runs), and that nobody else creates domains while domb does.
//!
//! What is refused: domids that Xen would silently replace, a domain whose
//! store or console channel libxl could not make, and callbacks from C into
//! Rust.
//!
//! One domain is not libxl's: the xenstore domain, without which libxl cannot
//! work. [`Hypervisor`] needs no XenStore and builds it with libxenguest.
//!
//! A process that uses a [`Context`] needs xenstored before [`Context::open`], and
//! xenconsoled before [`Context::create_paused`]. It must reap only children
//! of its own, by pid: libxl owns SIGCHLD for as long as a [`Context`] is
//! there, and reaps only its own.

#![allow(
    unsafe_code,
    reason = "this crate makes the foreign functions safe to call"
)]

#[cfg(not(LIBXL_HAVE_CREATEINFO_DOMID))]
compile_error!(
    "this libxl cannot create a domain at a domid of the caller's choice; Xen 4.14 is the first that can"
);

mod console_ring;
mod context;
mod domain;
mod domain_config;
mod error;
mod evtchn;
mod ffi;
mod hypervisor;
mod image;
mod initial;
mod logger;
mod lost;
mod paused;
mod permission;
mod platform;
mod store;
mod store_domain;
mod xenctrl;

pub use context::Context;
pub use domain::{DomainInfo, RunState, ShutdownReason};
pub use domain_config::DomainConfig;
pub use error::{Code, Error, Result};
pub use evtchn::LoopbackPort;
pub use hypervisor::Hypervisor;
pub use logger::{Level, Logger};
pub use paused::PausedDomain;
pub use permission::Permission;
pub use platform::{BUILT_AGAINST, FlaskState, Platform, Version};
pub use store::Store;
pub use store_domain::{StoreDomain, StoreDomainSpec};
pub use xenctrl::ConsoleMark;
