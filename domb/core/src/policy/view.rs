// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `facts` as a launch script sees them: typed objects with Xen's names that
//! can be read and not written. Asking for what this host cannot know is an
//! error, so that a script never decides on a guess.

use std::rc::Rc;

use rhai::{Array, Dynamic, EvalAltResult, Map};

use super::changes::no_image;
use super::draft::no_domain;
use super::error::Raised;
use super::facts::{ControlFacts, DomainFacts, Facts, FileFacts, ImageFacts};
use super::json::map_from_json;
use super::machine::{Flask, PlatformFacts, TpmFacts};
use super::table::{Table, rows};
use crate::config::Role;

/// The script's `facts`.
#[derive(Clone)]
pub(super) struct View {
    facts: Rc<Facts>,
    data: Rc<Map>,
}

#[derive(Clone)]
pub(super) struct Domain(Rc<DomainFacts>);

#[derive(Clone)]
struct Control(Rc<ControlFacts>);

#[derive(Clone)]
struct Image(Rc<ImageFacts>);

#[derive(Clone)]
struct File(Rc<FileFacts>);

#[derive(Clone)]
struct Platform(Rc<PlatformFacts>);

#[derive(Clone)]
struct Tpm(Rc<TpmFacts>);

impl View {
    /// # Errors
    /// What in `facts` no script can see.
    pub(super) fn new(facts: &Facts) -> Result<View, String> {
        let data = map_from_json("data", &facts.data)?;
        Ok(View {
            facts: Rc::new(facts.clone()),
            data: Rc::new(data),
        })
    }

    /// The facts behind it.
    pub(super) fn facts(&self) -> Rc<Facts> {
        self.facts.clone()
    }

    /// One domain as a script sees it.
    pub(super) fn named(&self, name: &str) -> Option<Domain> {
        let found = self.facts.domain(name).cloned();
        found.map(|domain| Domain(Rc::new(domain)))
    }

    fn domains(&mut self) -> Array {
        let domains = self.facts.domains.iter().cloned();
        domains
            .map(|domain| Dynamic::from(Domain(Rc::new(domain))))
            .collect()
    }

    fn domain(&mut self, name: &str) -> Result<Domain, Box<EvalAltResult>> {
        let names = self.facts.domains.iter().map(|domain| domain.name.as_str());
        let found = self.facts.domain(name).cloned();
        found
            .map(|domain| Domain(Rc::new(domain)))
            .ok_or_else(|| no_domain(name, names).raise())
    }
}

pub(super) fn register(table: &mut Table<'_>) {
    facts(table.on::<View>("Facts"));
    domain(table.on::<Domain>("Domain"));
    control(table.on::<Control>("Control"));
    image(table.on::<Image>("Image"));
    file(table.on::<File>("File"));
    platform(table.on::<Platform>("Platform"));
    tpm(table.on::<Tpm>("Tpm"));
}

fn facts(table: &mut Table<'_>) {
    rows! { table;
        /// Every domain, in the configuration's order.
        property "domains" -> "array of Domain" = View::domains;
        /// The domain of that name. An error if there is none.
        function "domain(facts, name)" -> "Domain" = View::domain;
        /// The machine.
        property "platform" -> "Platform" = |f: &mut View| Platform(Rc::new(f.facts.platform.clone()));
        /// The TPM. An error where nothing is known of one.
        property "tpm" -> "Tpm" = |f: &mut View| known("tpm", f.facts.tpm.clone()).map(|tpm| Tpm(Rc::new(tpm)));
        /// Names of the devices and ranges that can be granted.
        property "resources" -> "array of string" = |f: &mut View| texts(&f.facts.resources);
        /// How the boot domain leaves: `"process"` or `"domain"`.
        property "exit" -> "string" = |f: &mut View| known("exit", f.facts.exit.clone());
        /// What domain 0 becomes, `[control]`; `()` if there is none.
        property "control" -> "Control or ()" = |f: &mut View| or_unit(f.facts.control.clone().map(|c| Control(Rc::new(c))));
        /// The compiled Flask policy that Xen was started with; `()` if none is named.
        property "flask_policy" -> "File or ()" = |f: &mut View| or_unit(f.facts.flask_policy.clone().map(|f| File(Rc::new(f))));
        /// The integrator's own table, `[data]` in the configuration.
        property "data" -> "map" = |f: &mut View| (*f.data).clone();
    }
}

fn domain(table: &mut Table<'_>) {
    rows! { table;
        /// Its name.
        property "name" -> "string" = |d: &mut Domain| d.0.name.clone();
        /// The domid it will get.
        property "domid" -> "number" = |d: &mut Domain| i64::from(d.0.domid);
        /// `"pv"` or `"pvh"`.
        property "type" -> "string" = |d: &mut Domain| d.0.kind.clone();
        /// Memory at start, in MiB.
        property "memory_mib" -> "number" = |d: &mut Domain| number(d.0.memory_mib);
        /// Memory it may balloon to, in MiB.
        property "maxmem_mib" -> "number" = |d: &mut Domain| number(d.0.maxmem_mib);
        /// Virtual CPUs.
        property "vcpus" -> "number" = |d: &mut Domain| i64::from(d.0.vcpus);
        /// Kernel command line.
        property "cmdline" -> "string" = |d: &mut Domain| d.0.cmdline.clone();
        /// XSM/Flask label, `user:role:type`; `()` if it has none.
        property "seclabel" -> "string or ()" = |d: &mut Domain| or_unit(d.0.seclabel.clone());
        /// UUID in its usual spelling.
        property "uuid" -> "string" = |d: &mut Domain| d.0.uuid.clone();
        /// Names of the domains it starts after.
        property "after" -> "array of string" = |d: &mut Domain| texts(&d.0.after);
        /// What the platform relies on it for: `"xenstore"`, `"control"`,
        /// `"hardware"`, `"recovery"`.
        property "roles" -> "array of string" = |d: &mut Domain| roles(&d.0.roles);
        /// Names of the resources it has.
        property "resources" -> "array of string" = |d: &mut Domain| texts(&d.0.resources);
        /// All ranges and PCI devices that it has for itself, such as `iomem fed40,1`.
        property "delegated" -> "array of string" = |d: &mut Domain| texts(&d.0.delegated);
        /// When it counts as ready, in words; `()` if as soon as it runs.
        property "ready" -> "string or ()" = |d: &mut Domain| or_unit(d.0.ready.clone());
        /// What its failure means, as in `launch.toml`.
        property "on_failure" -> "string" = |d: &mut Domain| known("domain.on_failure", d.0.on_failure.clone());
        /// Whether it is started only in the place of a domain that failed.
        property "standby" -> "bool" = |d: &mut Domain| d.0.standby;
        /// Its further fields of libxl, `[domain.libxl]`. An error if a number is no integer.
        property "libxl" -> "map" = |d: &mut Domain| map_from_json("libxl", &d.0.libxl).map_err(|what| Raised::new(what, None).raise());
        /// The kernel image.
        property "kernel" -> "File" = |d: &mut Domain| File(Rc::new(d.0.kernel.clone()));
        /// The ramdisk; `()` if it has none.
        property "ramdisk" -> "File or ()" = |d: &mut Domain| or_unit(d.0.ramdisk.clone().map(|f| File(Rc::new(f))));
        /// The kernel, and the ramdisk if it has one.
        property "files" -> "array of File" = |d: &mut Domain| -> Array {
            let files = [Some(&d.0.kernel), d.0.ramdisk.as_ref()].into_iter().flatten();
            files.map(|file| Dynamic::from(File(Rc::new(file.clone())))).collect()
        };
        /// Names of what else it can boot.
        property "images" -> "array of string" = |d: &mut Domain| texts(d.0.images.keys());
        /// What else it can boot, of that name. An error if there is none.
        function "image(domain, name)" -> "Image" = |d: &mut Domain, name: &str| match d.0.images.get(name) {
            Some(image) => Ok(Image(Rc::new(image.clone()))),
            None => Err(no_image(&d.0, name).raise()),
        };
        /// Its name.
        function "to_string(domain)" -> "string" = |d: &mut Domain| d.0.name.clone();
    }
}

fn control(table: &mut Table<'_>) {
    rows! { table;
        /// The archive that becomes domain 0's root; `()` if it keeps the boot domain's.
        property "ramdisk" -> "File or ()" = |c: &mut Control| or_unit(c.0.ramdisk.clone().map(|f| File(Rc::new(f))));
        /// The init that is run there.
        property "init" -> "string" = |c: &mut Control| c.0.init.clone();
        /// Its arguments.
        property "args" -> "array of string" = |c: &mut Control| texts(&c.0.args);
        /// The label of domain 0 from the hand-off on; `()` if none is named.
        property "seclabel" -> "string or ()" = |c: &mut Control| or_unit(c.0.seclabel.clone());
    }
}

fn image(table: &mut Table<'_>) {
    rows! { table;
        /// The kernel image.
        property "kernel" -> "File" = |i: &mut Image| File(Rc::new(i.0.kernel.clone()));
        /// The ramdisk; `()` if it has none.
        property "ramdisk" -> "File or ()" = |i: &mut Image| or_unit(i.0.ramdisk.clone().map(|f| File(Rc::new(f))));
        /// The kernel, and the ramdisk if it has one.
        property "files" -> "array of File" = |i: &mut Image| -> Array {
            let files = [Some(&i.0.kernel), i.0.ramdisk.as_ref()].into_iter().flatten();
            files.map(|file| Dynamic::from(File(Rc::new(file.clone())))).collect()
        };
    }
}

fn file(table: &mut Table<'_>) {
    rows! { table;
        /// The path as the configuration writes it.
        property "path" -> "string" = |f: &mut File| f.0.path.clone();
        /// Length of the bytes that boot.
        property "bytes" -> "number" = |f: &mut File| number(f.0.bytes);
        /// SHA-256 of the bytes that boot, in lower-case hexadecimal.
        property "sha256" -> "string" = |f: &mut File| f.0.sha256.clone();
        /// SHA-256 of the file as its vendor shipped it. Differs from `sha256`
        /// where the bytes that boot were unpacked from that file.
        property "original_sha256" -> "string" = |f: &mut File| f.0.original_sha256.clone();
        /// Its path.
        function "to_string(file)" -> "string" = |f: &mut File| f.0.path.clone();
    }
}

fn platform(table: &mut Table<'_>) {
    rows! { table;
        /// All memory Xen has, in MiB.
        property "memory_mib" -> "number" = |p: &mut Platform| known("platform.memory_mib", p.0.memory_mib.map(number));
        /// Memory not given to any domain, in MiB.
        property "free_memory_mib" -> "number" = |p: &mut Platform| known("platform.free_memory_mib", p.0.free_memory_mib.map(number));
        /// Physical CPUs that are online.
        property "cpus" -> "number" = |p: &mut Platform| known("platform.cpus", p.0.cpus.map(i64::from));
        /// Xen's version, such as `4.17.5`.
        property "xen_version" -> "string" = |p: &mut Platform| known("platform.xen_version", p.0.xen_version.clone());
        /// Xen's own command line.
        property "xen_commandline" -> "string" = |p: &mut Platform| known("platform.xen_commandline", p.0.xen_commandline.clone());
        /// `"absent"`, `"permissive"` or `"enforcing"`.
        property "flask" -> "string" = |p: &mut Platform| known("platform.flask", p.0.flask.map(Flask::as_str));
        /// Whether PV domains can be built.
        property "pv" -> "bool" = |p: &mut Platform| known("platform.pv", p.0.pv);
        /// Whether HVM and PVH domains can be built.
        property "hvm" -> "bool" = |p: &mut Platform| known("platform.hvm", p.0.hvm);
        /// Whether Xen uses an IOMMU. Without one no domain can have a PCI device.
        property "iommu" -> "bool" = |p: &mut Platform| known("platform.iommu", p.0.iommu);
        /// The roles that a domain can have here. `"recovery"` always;
        /// `"xenstore"` where domb is the first init, so that no XenStore serves
        /// yet; `"control"` if Flask enforces as well; `"hardware"` if Xen's
        /// command line has `hardware_dom=` besides.
        property "roles" -> "array of string" = |p: &mut Platform| known("platform.roles", p.0.roles.as_ref().map(roles));
    }
}

fn tpm(table: &mut Table<'_>) {
    rows! { table;
        /// `"measured"`, `"absent"`, `"failed"` or `"off"`.
        property "state" -> "string" = |t: &mut Tpm| t.0.state.as_str();
        /// The PCR that domb extends.
        property "pcr" -> "number" = |t: &mut Tpm| i64::from(t.0.pcr);
        /// The active banks, such as `sha256`.
        property "banks" -> "array of string" = |t: &mut Tpm| texts(t.0.values.keys());
        /// The PCR's value in each bank, in lower-case hexadecimal, once
        /// everything read so far is extended.
        property "values" -> "map" = |t: &mut Tpm| -> Map {
            t.0.values.iter().map(|(bank, value)| (bank.as_str().into(), value.as_str().into())).collect()
        };
    }
}

/// A fact, or the error that this host cannot know it.
fn known<T>(name: &str, fact: Option<T>) -> Result<T, Box<EvalAltResult>> {
    fact.ok_or_else(|| {
        let hint = "a rehearsal elsewhere needs the facts of the machine itself";
        Raised::new(
            format!("facts.{name} is not known on this host"),
            Some(hint),
        )
        .raise()
    })
}

fn or_unit<T: Clone + 'static>(value: Option<T>) -> Dynamic {
    value.map_or(Dynamic::UNIT, Dynamic::from)
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Array {
    texts.into_iter().map(|text| text.as_str().into()).collect()
}

#[expect(clippy::ptr_arg, reason = "it is handed the field as it is")]
fn roles(roles: &Vec<Role>) -> Array {
    roles.iter().map(|role| role.as_str().into()).collect()
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
