// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Flask policies: what a compiled policy allows, whether the boot domain may
//! give a label, and what a policy grants beyond Xen's own behaviour.
//!
//! The policy is read from the binary that Xen would load (`policydb.rs`), by
//! a reader of our own: the question must be answered where there is no
//! `checkpolicy`, and about the very bytes that are booted and measured. The
//! bytes are not trusted. What Xen would refuse is refused here, and so is
//! what Xen would ignore. An answer follows Xen's own order of work
//! (`access.rs`): rules, conditional rules, constraints, roles, bounds.

mod accepted;
mod access;
mod bits;
mod builder;
mod compare;
mod configuration;
mod constraint;
mod cursor;
mod delegation;
mod denial;
mod error;
mod label;
mod needs;
mod permissions;
mod policydb;
mod powers;
mod questions;
mod rules;
mod symbols;
#[cfg(test)]
mod tests;

pub use accepted::{Accepted, AcceptedError, Judged};
pub use builder::{Builder, DomainKind, Services};
pub use compare::{Comparison, Finding, Weakness, compare};
pub use configuration::{CONTROL_LABEL, check_configuration};
pub use delegation::{check_given, check_withheld};
pub use denial::Denial;
pub use error::Error;
pub use label::{Context, LabelError};
pub use needs::{MissingRule, check_label};
pub use permissions::{Level, Permission, Permissions};
pub use policydb::Policy;
pub use powers::{Object, Power};
pub use questions::{Difference, Question};
