// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether a policy lets a builder make a domain with a label, and which rule
//! is missing otherwise.
//!
//! What is needed was seen, not guessed: libxl 4.17 built a PV and a PVH
//! domain under a policy that gave the builder nothing, in permissive mode,
//! and these are the denials Xen logged, with what XenStore and the console
//! need for their page and event channel.

use std::fmt;

use super::builder::{Builder, DomainKind};
use super::label::{Context, LabelError};
use super::policydb::Policy;

/// A rule without which the domain cannot be built, or not reached by its
/// store and console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingRule {
    /// The type that lacks permissions.
    pub source: String,
    /// The type it lacks them on.
    pub target: String,
    /// The class of the permissions.
    pub class: &'static str,
    /// The permissions that are not there.
    pub permissions: Vec<&'static str>,
    /// Whether the rules are there and a constraint, a role or a bound of the
    /// policy takes them away.
    pub constrained: bool,
}

/// The rules that `policy` lacks for a domain of this kind to be built with
/// the label `label` and to reach its store and console; empty when it can be.
pub fn check_label(
    policy: &Policy,
    by: &Builder,
    label: &str,
    kind: DomainKind,
) -> Result<Vec<MissingRule>, LabelError> {
    let domain = policy.label(label)?;
    let check = Check { policy, by, domain };
    policy.own_label(&domain)?;
    let mut missing: Vec<MissingRule> = Vec::new();
    for need in NEEDS.iter().filter(|need| need.kinds.contains(&kind)) {
        // Store, console and builder may be one: the same rule is named once.
        missing.extend(check.missing(need).filter(|rule| !missing.contains(rule)));
    }
    Ok(missing)
}

/// Somebody's permissions on somebody, for some kinds of domain.
struct Need {
    kinds: &'static [DomainKind],
    source: Party,
    target: Party,
    class: &'static str,
    permissions: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Party {
    Builder,
    Store,
    Console,
    Domain,
    /// The event channels of that domain towards another.
    Channel(End, End),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Store,
    Console,
    Domain,
}

struct Check<'a> {
    policy: &'a Policy,
    by: &'a Builder,
    domain: Context,
}

impl Check<'_> {
    fn missing(&self, need: &Need) -> Option<MissingRule> {
        let (source, target) = (self.context(need.source), self.context(need.target));
        lacking(self.policy, &source, &target, need.class, need.permissions)
    }

    fn context(&self, party: Party) -> Context {
        match party {
            Party::Builder => self.by.builder,
            Party::Store => self.by.store,
            Party::Console => self.by.console,
            Party::Domain => self.domain,
            Party::Channel(from, to) => self.channel(self.end(from), self.end(to)),
        }
    }

    fn end(&self, end: End) -> Context {
        match end {
            End::Store => self.by.store,
            End::Console => self.by.console,
            End::Domain => self.domain,
        }
    }

    /// The label Xen gives an event channel of `from` towards `to`
    /// (`flask_evtchn_unbound()`): of the user of the domain it belongs to, the
    /// role object_r and the type a transition gives, else the domain's own.
    fn channel(&self, from: Context, to: Context) -> Context {
        let class = self.policy.classes.value("event");
        let kind = class.and_then(|class| self.policy.transition(from.kind, to.kind, class));
        Context {
            user: from.user,
            role: super::symbols::OBJECT_ROLE,
            kind: kind.unwrap_or(to.kind),
        }
    }
}

/// What `source` lacks of these permissions on `target`.
pub(super) fn lacking(
    policy: &Policy,
    source: &Context,
    target: &Context,
    class: &'static str,
    permissions: &[&'static str],
) -> Option<MissingRule> {
    let number = policy.classes.value(class);
    let has =
        number.map(|number| policy.permission_names(number, policy.vector(source, target, number)));
    let has = has.unwrap_or_default();
    let lacks = |permission: &&&'static str| !has.contains(*permission);
    let permissions: Vec<&'static str> = permissions.iter().filter(lacks).copied().collect();
    if permissions.is_empty() {
        return None;
    }
    Some(MissingRule {
        source: policy.types.name(source.kind).to_owned(),
        target: policy.types.name(target.kind).to_owned(),
        class,
        constrained: number.is_some_and(|number| {
            let ruled =
                policy.permission_names(number, policy.ruled(source.kind, target.kind, number));
            permissions
                .iter()
                .all(|permission| ruled.contains(permission))
        }),
        permissions,
    })
}

impl fmt::Display for MissingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MissingRule {
            source,
            target,
            class,
            permissions,
            ..
        } = self;
        write!(
            f,
            "allow {source} {target}:{class} {{ {} }};",
            permissions.join(" ")
        )
    }
}

const ALL: &[DomainKind] = &[DomainKind::Pv, DomainKind::Pvh, DomainKind::Hardware];
const GUEST: &[DomainKind] = &[DomainKind::Pv, DomainKind::Pvh];
const PV: &[DomainKind] = &[DomainKind::Pv, DomainKind::Hardware];
const PVH: &[DomainKind] = &[DomainKind::Pvh];
const HARDWARE: &[DomainKind] = &[DomainKind::Hardware];

const fn need(
    kinds: &'static [DomainKind],
    source: Party,
    target: Party,
    class: &'static str,
    permissions: &'static [&'static str],
) -> Need {
    Need {
        kinds,
        source,
        target,
        class,
        permissions,
    }
}

const NEEDS: &[Need] = &[
    need(
        ALL,
        Party::Builder,
        Party::Domain,
        "domain",
        &[
            "create",
            "max_vcpus",
            "setdomainmaxmem",
            "setaffinity",
            "getscheduler",
            "getdomaininfo",
            "unpause",
        ],
    ),
    need(
        ALL,
        Party::Builder,
        Party::Domain,
        "domain2",
        &[
            "set_cpu_policy",
            "settsc",
            "setscheduler",
            "setclaim",
            "resource_map",
        ],
    ),
    need(
        ALL,
        Party::Builder,
        Party::Domain,
        "mmu",
        &["map_read", "map_write", "adjust", "memorymap"],
    ),
    need(
        PV,
        Party::Builder,
        Party::Domain,
        "domain",
        &["setaddrsize", "setvcpucontext"],
    ),
    need(
        PV,
        Party::Builder,
        Party::Domain,
        "mmu",
        &["mmuext_op", "pinpage"],
    ),
    need(
        PVH,
        Party::Builder,
        Party::Domain,
        "domain",
        &["setpagingmempool"],
    ),
    need(
        PVH,
        Party::Builder,
        Party::Domain,
        "hvm",
        &["setparam", "gethvmc", "sethvmc", "altp2mhvm"],
    ),
    // What was not handed over is destroyed; never the hardware domain.
    need(GUEST, Party::Builder, Party::Domain, "domain", &["destroy"]),
    need(
        HARDWARE,
        Party::Builder,
        Party::Domain,
        "domain2",
        &["create_hardware_domain"],
    ),
    // To mark it as initial domain in its start info.
    need(
        HARDWARE,
        Party::Builder,
        Party::Domain,
        "domain",
        &["getvcpucontext", "getaddrsize"],
    ),
    need(
        ALL,
        Party::Builder,
        Party::Channel(End::Domain, End::Store),
        "event",
        &["create"],
    ),
    need(
        ALL,
        Party::Builder,
        Party::Channel(End::Domain, End::Console),
        "event",
        &["create"],
    ),
    need(
        ALL,
        Party::Channel(End::Domain, End::Store),
        Party::Store,
        "event",
        &["bind"],
    ),
    need(
        ALL,
        Party::Channel(End::Domain, End::Console),
        Party::Console,
        "event",
        &["bind"],
    ),
    need(
        ALL,
        Party::Store,
        Party::Channel(End::Store, End::Domain),
        "event",
        &["create", "send"],
    ),
    need(
        ALL,
        Party::Console,
        Party::Channel(End::Console, End::Domain),
        "event",
        &["create", "send"],
    ),
    need(
        ALL,
        Party::Channel(End::Store, End::Domain),
        Party::Domain,
        "event",
        &["bind"],
    ),
    need(
        ALL,
        Party::Channel(End::Console, End::Domain),
        Party::Domain,
        "event",
        &["bind"],
    ),
    need(
        ALL,
        Party::Domain,
        Party::Channel(End::Domain, End::Store),
        "event",
        &["send"],
    ),
    need(
        ALL,
        Party::Domain,
        Party::Channel(End::Domain, End::Console),
        "event",
        &["send"],
    ),
    need(
        ALL,
        Party::Store,
        Party::Domain,
        "grant",
        &["map_read", "map_write", "unmap"],
    ),
    need(
        ALL,
        Party::Console,
        Party::Domain,
        "grant",
        &["map_read", "map_write", "unmap"],
    ),
];
