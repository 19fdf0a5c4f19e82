// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The rules between domains: nothing is owned twice, `after` leads
//! somewhere and not in a circle, the memory fits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::faults::{Faults, Field, quote};
use super::nearest::nearest;
use super::raw::{RawConfig, RawDomain};
use super::roles;
use super::xen_cmdline::XenCmdline;
use super::{DomainConfig, Role, Uuid};
use crate::explain::Code;
use crate::units::Mib;

/// Reports every breach. `domains` is what each of `raw.domains` means, where
/// it means something.
pub(super) fn check(
    raw: &RawConfig<'_>,
    domains: &[Option<DomainConfig>],
    platform: Option<Mib>,
    faults: &mut Faults<'_>,
) {
    unique(
        raw.domains.iter().filter_map(|d| d.name.clone()),
        "name",
        NAME_TWICE,
        faults,
    );
    unique(
        raw.domains.iter().filter_map(|d| d.domid.clone()),
        "domid",
        DOMID_TWICE,
        faults,
    );
    unique_uuids(&raw.domains, domains, faults);
    after(&raw.domains, faults);
    roles::check(&raw.domains, faults);
    memory(raw, domains, platform, faults);
}

const NAME_TWICE: &str = "libxl refuses a second domain of the same name while it builds it";
const DOMID_TWICE: &str = "Xen refuses the second one while it is built";
const UUID_TWICE: &str = "tools that find domains by UUID would act on the wrong one";

fn unique<T: Ord + Display>(
    fields: impl Iterator<Item = Field<T>>,
    what: &str,
    why: &str,
    faults: &mut Faults<'_>,
) {
    let mut first: BTreeMap<T, std::ops::Range<usize>> = BTreeMap::new();
    for Field { value, span, key } in fields {
        match first.get(&value) {
            Some(other) => {
                let fault = faults
                    .error(
                        Code::UsedTwice,
                        format!("{what} {} is used twice", quote(&value.to_string())),
                    )
                    .at(span)
                    .key(key)
                    .also(other.clone(), "first used here")
                    .because(why)
                    .hint(format!("give one of the two another {what}"));
                faults.add(fault);
            }
            None => {
                first.insert(value, span);
            }
        }
    }
}

/// Written UUIDs against each other and against the derived ones.
fn unique_uuids(raw: &[RawDomain<'_>], domains: &[Option<DomainConfig>], faults: &mut Faults<'_>) {
    let uuids = raw.iter().zip(domains).filter_map(|(raw, domain)| {
        let written = raw
            .uuid
            .as_ref()
            .and_then(|f| Uuid::parse(f.value).map(|uuid| f.with(uuid)));
        written.or_else(|| {
            // Where name or domid are used twice, so is what is derived from
            // them, and that has been said.
            let span = raw.table.span.clone();
            domain.as_ref().map(|d| Field {
                value: d.uuid,
                span,
                key: String::new(),
            })
        })
    });
    let (written, derived): (Vec<_>, Vec<_>) = uuids.partition(|field| !field.key.is_empty());
    for field in &written {
        if let Some(other) = derived.iter().find(|other| other.value == field.value) {
            let fault = faults
                .at(
                    field,
                    Code::UsedTwice,
                    format!("uuid {} is another domain's", field.value),
                )
                .also(other.span.clone(), "derived from this one's name and domid")
                .because(UUID_TWICE)
                .hint("give this domain another uuid");
            faults.add(fault);
        }
    }
    unique(written.into_iter(), "uuid", UUID_TWICE, faults);
}

/// Every `after` names another domain, and following them never comes back.
fn after(domains: &[RawDomain<'_>], faults: &mut Faults<'_>) {
    let mut index = BTreeMap::new();
    for (at, domain) in domains.iter().enumerate() {
        if let Some(name) = &domain.name {
            index.entry(name.value).or_insert(at);
        }
    }
    let mut needs: Vec<Vec<(usize, &Field<&str>)>> = Vec::new();
    for (at, domain) in domains.iter().enumerate() {
        let mut edges = Vec::new();
        let mut seen = BTreeSet::new();
        for need in &domain.after {
            if !seen.insert(need.value) {
                let message = format!("`after` names {} twice", quote(need.value));
                faults.add(
                    faults
                        .warn_at(need, Code::AfterTwice, message)
                        .hint("once is enough"),
                );
            } else if domain
                .name
                .as_ref()
                .is_some_and(|name| name.value == need.value)
            {
                let fault = faults
                    .at(
                        need,
                        Code::AfterItself,
                        format!("domain {} waits for itself", quote(need.value)),
                    )
                    .because("it would never be started")
                    .hint("take its own name out of `after`");
                faults.add(fault);
            } else if let Some(other) = index.get(need.value).filter(|other| **other != at) {
                edges.push((*other, need));
            } else {
                faults.add(unknown_need(need, &index, faults));
            }
        }
        needs.push(edges);
    }
    cycles(domains, &needs, faults);
}

fn unknown_need(
    need: &Field<&str>,
    index: &BTreeMap<&str, usize>,
    faults: &Faults<'_>,
) -> crate::diagnostic::Diagnostic {
    let names: Vec<&str> = index.keys().copied().collect();
    let fault = faults
        .at(
            need,
            Code::AfterUnknown,
            format!(
                "`after` names {}, and no domain has that name",
                quote(need.value)
            ),
        )
        .because("the domain would wait for something that never starts");
    match nearest(need.value, &names) {
        Some(near) => fault.hint(format!("did you mean \"{}\"?", quote(near))),
        None => {
            let shown: Vec<String> = names.iter().take(8).map(|name| quote(name)).collect();
            let more = if names.len() > shown.len() {
                ", ..."
            } else {
                ""
            };
            fault.hint(format!("the domains are {}{more}", shown.join(", ")))
        }
    }
}

/// Reports each circle once, at the name that closes it.
fn cycles(
    domains: &[RawDomain<'_>],
    needs: &[Vec<(usize, &Field<&str>)>],
    faults: &mut Faults<'_>,
) {
    let mut walk = Walk {
        needs,
        state: vec![State::New; domains.len()],
        path: Vec::new(),
    };
    let name = |at: usize| {
        domains[at]
            .name
            .as_ref()
            .map_or("?".to_owned(), |n| quote(n.value))
    };
    for start in 0..domains.len() {
        for (circle, closing) in walk.from(start) {
            let mut names: Vec<String> = circle.iter().map(|at| name(*at)).collect();
            names.push(name(circle[0]));
            let fault = faults
                .at(
                    closing,
                    Code::AfterCircle,
                    format!("`after` goes in a circle: {}", names.join(" -> ")),
                )
                .because("each of them would wait for the next, and none would be started")
                .hint("take one of the names out of an `after`");
            faults.add(fault);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    OnPath,
    Done,
}

/// A depth-first walk along `after`; no deeper than there are domains.
struct Walk<'n, 't> {
    needs: &'n [Vec<(usize, &'n Field<&'t str>)>],
    state: Vec<State>,
    path: Vec<usize>,
}

impl<'n, 't> Walk<'n, 't> {
    /// The circles met from `at` on, each with the name that closes it.
    fn from(&mut self, at: usize) -> Vec<(Vec<usize>, &'n Field<&'t str>)> {
        let mut circles = Vec::new();
        if self.state[at] != State::New {
            return circles;
        }
        self.state[at] = State::OnPath;
        self.path.push(at);
        for (next, need) in &self.needs[at] {
            match self.state[*next] {
                State::New => circles.extend(self.from(*next)),
                State::OnPath => {
                    let begin = self.path.iter().position(|on| on == next).unwrap_or(0);
                    circles.push((self.path[begin..].to_vec(), *need));
                }
                State::Done => {}
            }
        }
        self.path.pop();
        self.state[at] = State::Done;
        circles
    }
}

/// The domains' memory at start against the platform's.
fn memory(
    raw: &RawConfig<'_>,
    domains: &[Option<DomainConfig>],
    platform: Option<Mib>,
    faults: &mut Faults<'_>,
) {
    let (Some(field), Some(platform)) = (&raw.platform_memory, platform) else {
        return;
    };
    // On standby: there only while another is not.
    let present = |domain: &&DomainConfig| !domain.standby && !domain.has_role(Role::Recovery);
    let known = || domains.iter().flatten().filter(present);
    let dom0 = raw
        .xen_cmdline
        .as_ref()
        .and_then(|field| XenCmdline::parse(field.value).dom0_mem);
    let domains_sum: u64 = known().map(|domain| domain.memory.0).sum();
    let sum = Mib(domains_sum.saturating_add(dom0.map_or(0, |mib| mib.0)));
    if sum < platform {
        return;
    }
    let with = dom0.map_or(String::new(), |mib| format!(" with {mib} for domain 0"));
    let message = match sum == platform {
        true => format!("the domains' memory{with} is all of the platform's: {platform}"),
        false => format!("the domains' memory{with} is {sum}, the platform has {platform}"),
    };
    let mut fault = faults
        .at(field, Code::MemorySum, message)
        .because("Xen, the boot domain and page tables need memory as well; a build would fail")
        .hint("give the domains less, or correct [platform] memory");
    let largest = raw
        .domains
        .iter()
        .zip(domains)
        .filter_map(|(raw, domain)| Some((domain.as_ref()?.memory, raw.memory.as_ref()?)));
    if let Some((memory, place)) =
        largest.max_by_key(|(memory, place)| (*memory, std::cmp::Reverse(place.span.start)))
    {
        fault = fault.also(place.span.clone(), format!("the largest, {memory}"));
    }
    faults.add(fault);
}
