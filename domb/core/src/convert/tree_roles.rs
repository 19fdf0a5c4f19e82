// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The powers of a domain as Hyperlaunch's bindings have them: bits of
//! `permissions` and `functions`
//! (`docs/designs/launch/hyperlaunch-devicetree.rst` in Xen's source). A bit
//! that is no role of domb's is named; none is dropped in silence.

use super::Notes;
use crate::config::Role;

pub(super) const BOOT: u32 = 1 << 0;
pub(super) const LEGACY_DOM0: u32 = 1 << 31;
const CRASH: u32 = 1 << 1;
const CONSOLE: u32 = 1 << 2;
const XENSTORE: u32 = 1 << 30;
const CONTROL: u32 = 1 << 0;
const HARDWARE: u32 = 1 << 1;

/// Role, its permissions, its functions. The consoles are the control
/// domain's.
const ROLES: [(Role, u32, u32); 4] = [
    (Role::Control, CONTROL, CONSOLE),
    (Role::Hardware, HARDWARE, 0),
    (Role::Xenstore, 0, XENSTORE),
    (Role::Recovery, 0, CRASH),
];

/// The values of `permissions` and `functions`.
pub(super) fn bits(roles: &[Role]) -> (u32, u32) {
    let held = ROLES.iter().filter(|(role, ..)| roles.contains(role));
    held.fold((0, 0), |(permissions, functions), (_, more, others)| {
        (permissions | more, functions | others)
    })
}

/// Whether [`bits`] has them all.
pub(super) fn all_said(roles: &[Role]) -> bool {
    let said = |role: &Role| ROLES.iter().any(|(known, ..)| known == role);
    roles.iter().all(said)
}

/// The roles that the bits of the domain at `path` are.
pub(super) fn read(path: &str, permissions: u32, functions: u32, notes: &mut Notes) -> Vec<Role> {
    let mut left = (permissions, functions);
    let mut roles = Vec::new();
    for (role, own, others) in ROLES {
        if permissions & own == own && functions & others & !CONSOLE == others & !CONSOLE {
            roles.push(role);
            left = (left.0 & !own, left.1 & !others);
        }
    }
    if left.1 & CONSOLE != 0 {
        let text = "domain 0 or the control domain keeps the console function";
        notes.left_out(format!("{path}/functions"), text);
    }
    let others = [("permissions", left.0), ("functions", left.1 & !CONSOLE)];
    for (property, bits) in others {
        if bits != 0 {
            let text = format!("the bits {bits:#x} have no meaning in the bindings");
            notes.left_out(format!("{path}/{property}"), text);
        }
    }
    roles
}
