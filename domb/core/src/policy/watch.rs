// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What only the host of a script can measure: the clock and the memory.

use super::limits::Limit;

/// Says when a script has used up something that this crate cannot see. It is
/// asked before each operation, so it should be quick.
///
/// A closure that tells whether the time is up will do; a host that can tell
/// how much memory it uses should watch that as well.
pub trait Watch {
    /// What is used up, if anything is.
    fn used_up(&self) -> Option<Limit>;
}

impl<F: Fn() -> bool> Watch for F {
    fn used_up(&self) -> Option<Limit> {
        self().then_some(Limit::Milliseconds)
    }
}
