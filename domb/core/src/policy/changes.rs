// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a script changes in a domain before it is launched: values of keys of
//! its `[[domain]]`, and resources by name.
//!
//! A change is only written down here. Whether the domain is still a domain
//! with it is for the rules of the configuration (`effective`).

use std::collections::BTreeMap;

use rhai::NativeCallContext;
use serde::Serialize;
use serde_json::Value;

use super::draft::{Draft, Plan};
use super::error::{Raised, plain};
use super::facts::DomainFacts;
use super::table::{Table, rows};

/// The changed keys of one domain, with Xen's names for them.
pub type Changes = BTreeMap<&'static str, Change>;

/// The new value of a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Change {
    /// The value as `launch.toml` would have it. Null takes the key away.
    pub value: Value,
    /// The line of the script that says so.
    pub line: usize,
}

/// A resource given to a domain or kept from it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Grant {
    /// The domain.
    pub domain: String,
    /// The resource's name.
    pub resource: String,
    /// Whether it is given; else it is kept from it.
    pub granted: bool,
}

type Outcome = Result<(), Raised>;

pub(super) fn register(table: &mut Table<'_>) {
    rows! { table;
        /// Gives the domain this much memory at start, in MiB.
        function "set_memory(plan, name, mib)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, mib: i64| p.change(&c, name, "memory", |_, _| Ok(format!("{mib}M").into()));
        /// Lets the domain balloon to this much memory, in MiB.
        function "set_maxmem(plan, name, mib)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, mib: i64| p.change(&c, name, "maxmem", |_, _| Ok(format!("{mib}M").into()));
        /// Gives the domain this many virtual CPUs.
        function "set_vcpus(plan, name, count)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, count: i64| p.change(&c, name, "vcpus", |_, _| Ok(count.into()));
        /// Replaces the domain's kernel command line.
        function "set_cmdline(plan, name, cmdline)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, text: &str| p.change(&c, name, "cmdline", |_, _| Ok(text.into()));
        /// Puts words at the end of the domain's kernel command line.
        function "add_cmdline(plan, name, words)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, words: &str| p.change(&c, name, "cmdline", |domain, now| Ok(add_words(domain, now, words)));
        /// Gives the domain this XSM/Flask label.
        function "set_seclabel(plan, name, label)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, label: &str| p.change(&c, name, "seclabel", |_, _| Ok(label.into()));
        /// Starts the domain after `other` as well. It then needs `other`.
        function "start_after(plan, name, other)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, other: &str| p.start_after(&c, name, other);
        /// Boots the domain from another of its images.
        function "use_image(plan, name, image)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, image: &str| p.use_image(&c, name, image);
        /// Gives the domain the resource of that name, which the hardware
        /// domain then has no longer.
        function "grant(plan, name, resource)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, resource: &str| p.grant(&c, name, resource, true);
        /// Keeps the resource of that name from the domain, whatever else would give it. Final.
        function "withhold(plan, name, resource)" -> "()" = |c: NativeCallContext, p: &mut Plan, name: &str, resource: &str| p.grant(&c, name, resource, false);
        /// Keeps the resource of that name from the hardware domain, even if
        /// no other domain has it.
        function "withhold(plan, resource)" -> "()" = |c: NativeCallContext, p: &mut Plan, resource: &str| p.answer(&c, |draft| {
            draft.resource(resource)?;
            draft.said.withheld.insert(resource.to_owned());
            Ok(())
        });
    }
}

impl Plan {
    /// Changes `key` of the domain to what `value` makes of its facts and of
    /// an earlier change.
    fn change(
        &self,
        context: &NativeCallContext<'_>,
        name: &str,
        key: &'static str,
        value: impl FnOnce(&DomainFacts, Option<&Value>) -> Result<Value, Raised>,
    ) -> Result<(), Box<rhai::EvalAltResult>> {
        let line = context.call_position().line().unwrap_or(0);
        self.answer(context, |draft| {
            let index = draft.find(name)?;
            let (domain, changes) = draft.domain(index);
            let value = value(domain, changes.get(key).map(|change| &change.value))?;
            changes.insert(key, Change { value, line });
            Ok(())
        })
    }

    fn start_after(
        &self,
        context: &NativeCallContext<'_>,
        name: &str,
        other: &str,
    ) -> Result<(), Box<rhai::EvalAltResult>> {
        self.answer(context, |draft| draft.find(other).map(|_| ()))?;
        self.change(context, name, "after", |domain, now| {
            let mut after: Vec<Value> = match now {
                Some(Value::Array(names)) => names.clone(),
                _ => domain
                    .after
                    .iter()
                    .map(|name| name.as_str().into())
                    .collect(),
            };
            if !after.iter().any(|name| name == other) {
                after.push(other.into());
            }
            Ok(after.into())
        })
    }

    fn use_image(
        &self,
        context: &NativeCallContext<'_>,
        name: &str,
        image: &str,
    ) -> Result<(), Box<rhai::EvalAltResult>> {
        let mut files = None;
        self.change(context, name, "kernel", |domain, _| {
            let found = domain
                .images
                .get(image)
                .ok_or_else(|| no_image(domain, image))?;
            files = Some(found.clone());
            Ok(found.kernel.path.as_str().into())
        })?;
        let ramdisk = files.and_then(|files| files.ramdisk).map(|file| file.path);
        self.change(context, name, "ramdisk", |_, _| Ok(ramdisk.into()))
    }
}

impl Plan {
    /// Notes the grant, and what becomes of the domain's `resources`.
    fn grant(
        &self,
        context: &NativeCallContext<'_>,
        name: &str,
        resource: &str,
        granted: bool,
    ) -> Result<(), Box<rhai::EvalAltResult>> {
        let line = context.call_position().line().unwrap_or(0);
        self.answer(context, |draft| {
            draft.grant(name, resource, granted)?;
            let index = draft.find(name)?;
            let (domain, changes) = draft.domain(index);
            let now = changes.get("resources").map(|change| change.value.clone());
            let mut now = match now {
                Some(Value::Array(names)) => names,
                _ => domain
                    .resources
                    .iter()
                    .map(|it| it.as_str().into())
                    .collect(),
            };
            if now.iter().any(|it| it == resource) == granted {
                return Ok(());
            }
            match granted {
                true => now.push(resource.into()),
                false => now.retain(|it| it != resource),
            }
            let value = now.into();
            changes.insert("resources", Change { value, line });
            Ok(())
        })
    }
}

impl Draft {
    /// There is a resource of that name.
    fn resource(&self, resource: &str) -> Outcome {
        if self.facts.resources.iter().any(|known| known == resource) {
            return Ok(());
        }
        let known = plain(&self.facts.resources.join(", "), 400);
        let hint = match known.is_empty() {
            true => "the configuration names no resource".to_owned(),
            false => format!("the resources are {known}"),
        };
        let message = format!("no resource is called {:?}", plain(resource, 80));
        Err(Raised::new(message, Some(&hint)))
    }

    fn grant(&mut self, name: &str, resource: &str, granted: bool) -> Outcome {
        let index = self.find(name)?;
        self.resource(resource)?;
        let domain = self.facts.domains[index].name.clone();
        let grant = Grant {
            domain,
            resource: resource.to_owned(),
            granted,
        };
        let opposite = Grant {
            granted: !granted,
            ..grant.clone()
        };
        if granted && self.said.grants.contains(&opposite) {
            let message = format!("{resource:?} is granted to {name:?} after it was withheld");
            return Err(Raised::new(message, Some("withholding is final")));
        }
        self.said.grants.remove(&opposite);
        self.said.grants.insert(grant);
        Ok(())
    }
}

fn add_words(domain: &DomainFacts, now: Option<&Value>, words: &str) -> Value {
    let now = now.and_then(Value::as_str).unwrap_or(&domain.cmdline);
    let sum = [now, words].join(" ");
    sum.trim().into()
}

pub(super) fn no_image(domain: &DomainFacts, image: &str) -> Raised {
    let message = format!(
        "domain {:?} has no image called {:?}",
        domain.name,
        plain(image, 80)
    );
    let names = domain
        .images
        .keys()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let hint = match names.is_empty() {
        true => "it has no images besides its own".to_owned(),
        false => format!("its images are {}", plain(&names, 400)),
    };
    Raised::new(message, Some(&hint))
}
