// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The objects a launch script is given: `facts`, which it can only read, and
//! `plan`, through which it answers.
//!
//! A deny is final. An answer that contradicts an earlier one, or names a
//! domain that is not there, fails the run even if the script catches the
//! error it raises.

use std::cell::RefCell;
use std::rc::Rc;

use rhai::{Array, Dynamic, EvalAltResult, ImmutableString, Map, NativeCallContext, Position};

use super::error::{Raised, plain};
use super::facts::{DomainFacts, Facts, FileFacts, PlatformFacts, TpmFacts};
use super::library;
use super::table::Table;
use super::verdict::Answer;

type Result<T> = std::result::Result<T, Box<EvalAltResult>>;

/// The longest reason or log line that is kept, in characters.
const LINE: usize = 500;

/// What the script has answered so far.
#[derive(Debug)]
pub(super) struct Draft {
    domains: Vec<String>,
    pub(super) answers: Vec<Answer>,
    pub(super) refused: Option<String>,
    pub(super) log: Vec<String>,
    log_lines: usize,
    /// The first wrong answer, and where it was given.
    pub(super) wrong: Option<(Raised, Position)>,
}

/// The script's `plan`. There is one; copies are the same plan.
#[derive(Clone, Debug)]
pub(super) struct Plan(pub(super) Rc<RefCell<Draft>>);

/// The script's `facts`.
#[derive(Clone)]
pub(super) struct FactsView {
    pub(super) facts: Rc<Facts>,
    /// `facts.data`, converted once.
    pub(super) data: Rc<Map>,
}

#[derive(Clone)]
struct Domain(Rc<DomainFacts>);

#[derive(Clone)]
struct File(Rc<FileFacts>);

#[derive(Clone)]
struct Platform(Rc<PlatformFacts>);

#[derive(Clone)]
struct Tpm(Rc<TpmFacts>);

pub(super) fn register(table: &mut Table<'_>, log: &Plan) {
    facts(table.on::<FactsView>("Facts"));
    domain(table.on::<Domain>("Domain"));
    file(table.on::<File>("File"));
    platform(table.on::<Platform>("Platform"));
    tpm(table.on::<Tpm>("Tpm"));
    plan(table.on::<Plan>("Plan"));
    logging(table.about("Log"), log);
}

fn facts(table: &mut Table<'_>) {
    table
        .property(
            "domains",
            "list of Domain",
            "Every domain, in the configuration's order.",
            |facts: &mut FactsView| -> Array {
                facts
                    .facts
                    .domains
                    .iter()
                    .map(|domain| Dynamic::from(Domain(Rc::new(domain.clone()))))
                    .collect()
            },
        )
        .property(
            "platform",
            "Platform",
            "The machine.",
            |facts: &mut FactsView| Platform(Rc::new(facts.facts.platform.clone())),
        )
        .property(
            "tpm",
            "Tpm",
            "The TPM. An error where nothing is known of one.",
            |facts: &mut FactsView| {
                known("tpm", facts.facts.tpm.clone()).map(|tpm| Tpm(Rc::new(tpm)))
            },
        )
        .property(
            "data",
            "map",
            "The integrator's own table, `[data]` in the configuration.",
            |facts: &mut FactsView| (*facts.data).clone(),
        )
        .function(
            "domain(facts, name)",
            "Domain",
            "The domain of that name. An error if there is none.",
            |facts: &mut FactsView, name: &str| match facts.facts.domain(name) {
                Some(domain) => Ok(Domain(Rc::new(domain.clone()))),
                None => Err(
                    no_domain(name, facts.facts.domains.iter().map(|d| d.name.as_str())).raise(),
                ),
            },
        );
}

fn domain(table: &mut Table<'_>) {
    let optional = |text: &Option<String>| text.clone().map_or(Dynamic::UNIT, Dynamic::from);
    table
        .property("name", "text", "Its name.", |d: &mut Domain| {
            d.0.name.clone()
        })
        .property(
            "domid",
            "number",
            "The domid it will get.",
            |d: &mut Domain| i64::from(d.0.domid),
        )
        .property(
            "type",
            "text",
            "`\"pv\"` or `\"pvh\"`.",
            |d: &mut Domain| d.0.kind.clone(),
        )
        .property(
            "memory_mib",
            "number",
            "Memory at start, in MiB.",
            |d: &mut Domain| number(d.0.memory_mib),
        )
        .property(
            "maxmem_mib",
            "number",
            "Memory it may balloon to, in MiB.",
            |d: &mut Domain| number(d.0.maxmem_mib),
        )
        .property("vcpus", "number", "Virtual CPUs.", |d: &mut Domain| {
            i64::from(d.0.vcpus)
        })
        .property(
            "cmdline",
            "text",
            "Kernel command line.",
            |d: &mut Domain| d.0.cmdline.clone(),
        )
        .property(
            "seclabel",
            "text or ()",
            "XSM/Flask label; `()` if it has none.",
            move |d: &mut Domain| optional(&d.0.seclabel),
        )
        .property(
            "uuid",
            "text",
            "UUID in its usual spelling.",
            |d: &mut Domain| d.0.uuid.clone(),
        )
        .property(
            "after",
            "list of text",
            "Names of the domains it starts after.",
            |d: &mut Domain| -> Array {
                d.0.after.iter().map(|name| name.as_str().into()).collect()
            },
        )
        .property("kernel", "File", "The kernel image.", |d: &mut Domain| {
            File(Rc::new(d.0.kernel.clone()))
        })
        .property(
            "ramdisk",
            "File or ()",
            "The ramdisk; `()` if it has none.",
            |d: &mut Domain| {
                d.0.ramdisk
                    .clone()
                    .map_or(Dynamic::UNIT, |file| Dynamic::from(File(Rc::new(file))))
            },
        )
        .property(
            "files",
            "list of File",
            "The kernel, and the ramdisk if it has one.",
            |d: &mut Domain| -> Array {
                let files = [Some(&d.0.kernel), d.0.ramdisk.as_ref()];
                files
                    .into_iter()
                    .flatten()
                    .map(|file| Dynamic::from(File(Rc::new(file.clone()))))
                    .collect()
            },
        );
}

fn file(table: &mut Table<'_>) {
    table
        .property("path", "text", "The path as the configuration writes it.", |f: &mut File| f.0.path.clone())
        .property("bytes", "number", "Length of the bytes that boot.", |f: &mut File| number(f.0.bytes))
        .property("sha256", "text", "SHA-256 of the bytes that boot, lower-case hexadecimal.", |f: &mut File| f.0.sha256.clone())
        .property("original_sha256", "text", "SHA-256 of the file as its vendor shipped it. Differs from `sha256` where the kernel was unpacked.", |f: &mut File| f.0.original_sha256.clone());
}

fn platform(table: &mut Table<'_>) {
    table
        .property(
            "memory_mib",
            "number",
            "All memory Xen has, in MiB.",
            |p: &mut Platform| known("platform.memory_mib", p.0.memory_mib.map(number)),
        )
        .property(
            "free_memory_mib",
            "number",
            "Memory not given to any domain, in MiB.",
            |p: &mut Platform| known("platform.free_memory_mib", p.0.free_memory_mib.map(number)),
        )
        .property(
            "cpus",
            "number",
            "Physical CPUs that are online.",
            |p: &mut Platform| known("platform.cpus", p.0.cpus.map(i64::from)),
        )
        .property(
            "xen_version",
            "text",
            "Xen's version, such as `4.17.5`.",
            |p: &mut Platform| known("platform.xen_version", p.0.xen_version.clone()),
        )
        .property(
            "xen_commandline",
            "text",
            "Xen's own command line.",
            |p: &mut Platform| known("platform.xen_commandline", p.0.xen_commandline.clone()),
        )
        .property(
            "flask",
            "text",
            "`\"absent\"`, `\"permissive\"` or `\"enforcing\"`.",
            |p: &mut Platform| {
                known(
                    "platform.flask",
                    p.0.flask.map(|flask| flask.as_str().to_owned()),
                )
            },
        )
        .property(
            "pv",
            "bool",
            "Whether PV domains can be built.",
            |p: &mut Platform| known("platform.pv", p.0.pv),
        )
        .property(
            "hvm",
            "bool",
            "Whether HVM and PVH domains can be built.",
            |p: &mut Platform| known("platform.hvm", p.0.hvm),
        );
}

fn tpm(table: &mut Table<'_>) {
    table
        .property("state", "text", "`\"measured\"`, `\"absent\"`, `\"failed\"` or `\"off\"`.", |t: &mut Tpm| t.0.state.as_str().to_owned())
        .property("pcr", "number", "The PCR that domb extends.", |t: &mut Tpm| i64::from(t.0.pcr))
        .property("banks", "list of text", "The active banks, such as `sha256`.", |t: &mut Tpm| -> Array {
            t.0.values.keys().map(|bank| bank.as_str().into()).collect()
        })
        .property("values", "map", "The PCR's value in each bank, lower-case hexadecimal, once everything read so far is extended.", |t: &mut Tpm| -> Map {
            t.0.values.iter().map(|(bank, value)| (bank.as_str().into(), value.as_str().into())).collect()
        });
}

fn plan(table: &mut Table<'_>) {
    table
        .function("allow(plan, name)", "()", "Lets the domain be launched. An error after it was denied.", |context: NativeCallContext, plan: &mut Plan, name: &str| {
            plan.answer(&context, |draft| draft.allow(name))
        })
        .function("deny(plan, name, why)", "()", "Keeps the domain, and all that start after it, from being launched. Final; the first reason stays.", |context: NativeCallContext, plan: &mut Plan, name: &str, why: &str| {
            plan.answer(&context, |draft| draft.deny(name, why))
        })
        .function("allow_all(plan)", "()", "Lets every domain be launched that was not denied.", |context: NativeCallContext, plan: &mut Plan| {
            plan.answer(&context, Draft::allow_all)
        })
        .function("deny_all(plan, why)", "()", "Refuses the whole launch. Final.", |context: NativeCallContext, plan: &mut Plan, why: &str| {
            plan.answer(&context, |draft| {
                draft.refused.get_or_insert_with(|| plain(why, LINE));
                Ok(())
            })
        });
}

fn logging(table: &mut Table<'_>, log: &Plan) {
    let (first, second) = (log.clone(), log.clone());
    table
        .function(
            "log(value)",
            "()",
            "Writes a line into the boot report.",
            move |context: NativeCallContext, value: Dynamic| first.log(&context, &value),
        )
        .function(
            "print(value)",
            "()",
            "The same.",
            move |context: NativeCallContext, value: Dynamic| second.log(&context, &value),
        );
}

impl Plan {
    pub(super) fn new(facts: &Facts, log_lines: usize) -> Plan {
        let domains: Vec<String> = facts
            .domains
            .iter()
            .map(|domain| domain.name.clone())
            .collect();
        let answers = vec![Answer::Undecided; domains.len()];
        let draft = Draft {
            domains,
            answers,
            refused: None,
            log: vec![],
            log_lines,
            wrong: None,
        };
        Plan(Rc::new(RefCell::new(draft)))
    }

    /// Whether `value` is this very plan.
    pub(super) fn is(&self, value: &Dynamic) -> bool {
        value
            .read_lock::<Plan>()
            .is_some_and(|other| Rc::ptr_eq(&self.0, &other.0))
    }

    fn answer(
        &self,
        context: &NativeCallContext<'_>,
        answer: impl FnOnce(&mut Draft) -> std::result::Result<(), Raised>,
    ) -> Result<()> {
        let mut draft = self.0.borrow_mut();
        answer(&mut draft).map_err(|raised| {
            draft
                .wrong
                .get_or_insert_with(|| (raised.clone(), context.call_position()));
            raised.raise()
        })
    }

    fn log(&self, context: &NativeCallContext<'_>, value: &Dynamic) -> Result<()> {
        self.answer(context, |draft| {
            if draft.log.len() == draft.log_lines {
                return Err(raised("more lines than the script may log", None));
            }
            draft.log.push(plain(&library::show(value), LINE));
            Ok(())
        })
    }
}

impl Draft {
    fn allow(&mut self, name: &str) -> std::result::Result<(), Raised> {
        let index = self.find(name)?;
        if self.refused.is_some() {
            return Err(raised(
                format!("domain {name:?} is allowed after the whole launch was refused"),
                FINAL,
            ));
        }
        match &self.answers[index] {
            Answer::Deny(_) => Err(raised(
                format!("domain {name:?} is allowed after it was denied"),
                FINAL,
            )),
            Answer::Allow | Answer::Undecided => {
                self.answers[index] = Answer::Allow;
                Ok(())
            }
        }
    }

    fn deny(&mut self, name: &str, why: &str) -> std::result::Result<(), Raised> {
        let index = self.find(name)?;
        let answer = &mut self.answers[index];
        if !matches!(answer, Answer::Deny(_)) {
            *answer = Answer::Deny(plain(why, LINE));
        }
        Ok(())
    }

    fn allow_all(&mut self) -> std::result::Result<(), Raised> {
        if self.refused.is_some() {
            return Err(raised(
                "every domain is allowed after the whole launch was refused",
                FINAL,
            ));
        }
        for answer in &mut self.answers {
            if *answer == Answer::Undecided {
                *answer = Answer::Allow;
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> std::result::Result<usize, Raised> {
        let found = self.domains.iter().position(|domain| domain == name);
        found.ok_or_else(|| no_domain(name, self.domains.iter().map(String::as_str)))
    }
}

const FINAL: Option<&str> = Some("a deny is final: decide first, then answer once");

fn no_domain<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Raised {
    let name = plain(name, 80);
    let known = known.collect::<Vec<_>>().join(", ");
    raised(
        format!("no domain is called {name:?}"),
        Some(&format!("the domains are {}", plain(&known, 400))),
    )
}

/// A fact, or the error that this host cannot know it.
fn known<T>(name: &str, fact: Option<T>) -> Result<T> {
    fact.ok_or_else(|| {
        let hint = "give the facts of the machine itself to a rehearsal elsewhere";
        raised(
            format!("facts.{name} is not known on this host"),
            Some(hint),
        )
        .raise()
    })
}

fn raised(message: impl Into<String>, hint: Option<&str>) -> Raised {
    Raised {
        message: message.into(),
        hint: hint.map(str::to_owned),
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// `value` as a script sees it.
///
/// # Errors
/// The path to a number that is not a 64-bit integer.
pub(super) fn from_json(
    path: &str,
    value: &serde_json::Value,
) -> std::result::Result<Dynamic, String> {
    use serde_json::Value;
    Ok(match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => (*value).into(),
        Value::String(text) => ImmutableString::from(text.as_str()).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => {
                return Err(format!(
                    "{path} is {number}, and scripts know 64-bit integers only"
                ));
            }
        },
        Value::Array(items) => {
            let item = |(index, item)| from_json(&format!("{path}[{index}]"), item);
            items
                .iter()
                .enumerate()
                .map(item)
                .collect::<std::result::Result<Array, _>>()?
                .into()
        }
        Value::Object(entries) => map_from_json(path, entries)?.into(),
    })
}

/// The same for a table.
pub(super) fn map_from_json(
    path: &str,
    entries: &serde_json::Map<String, serde_json::Value>,
) -> std::result::Result<Map, String> {
    let entry = |(key, value): (&String, _)| {
        Ok((
            key.as_str().into(),
            from_json(&format!("{path}.{key}"), value)?,
        ))
    };
    entries.iter().map(entry).collect()
}
