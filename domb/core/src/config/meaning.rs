// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From what the file says to what it means: every value checked on its own,
//! then the rules between them. Gives a [`Config`] only if nothing is wrong.

use std::path::PathBuf;

use super::artefact::{Artefact, ArtefactKind};
use super::faults::{Faults, Field, one_of, quote};
use super::raw::{RawConfig, RawControl, RawDomain};
use super::{
    AfterFailure, Config, Control, DomainConfig, DomainName, Exit, InitialValue, OnFailure,
    Resource, Uuid,
};
use super::{
    departure, devices, failure, images, libxl, limits, one_domain, owners, pci, ready, resources,
    rules, seclabel, size, values, xen_cmdline,
};
use crate::explain::Code;
use crate::units::PcrIndex;

/// The configuration that `raw` describes. None only if a fault was reported.
pub(super) fn config(raw: &RawConfig<'_>, bytes: &[u8], faults: &mut Faults<'_>) -> Option<Config> {
    let mut artefacts = Vec::new();
    let script = raw.script.as_ref().map(|field| {
        let path = values::path(field, faults)?;
        Some(note(&mut artefacts, ArtefactKind::Script, path, field))
    });
    let limits = limits::meaning(&raw.limits, faults);
    let flask_policy = raw.flask_policy.as_ref().map(|field| {
        let path = values::path(field, faults)?;
        Some(note(&mut artefacts, ArtefactKind::FlaskPolicy, path, field))
    });
    let exit = raw
        .exit
        .as_ref()
        .map_or(Some(Exit::default()), |field| exit(field, faults));
    let pcr = raw
        .pcr
        .as_ref()
        .map_or(Some(PcrIndex::DEFAULT), |field| values::pcr(field, faults));
    let expect_initial = raw
        .expect_initial
        .as_ref()
        .map_or(Some(InitialValue::Any), |field| {
            values::initial(field, faults)
        });
    let platform_memory = raw
        .platform_memory
        .as_ref()
        .map(|field| size::size(field, faults));
    let address_bits = raw
        .address_bits
        .as_ref()
        .map(|field| resources::address_bits(field, faults));
    let control = raw
        .control
        .as_ref()
        .map(|raw| control(raw, &mut artefacts, faults));
    if raw.control.is_none()
        && let Some(field) = raw
            .after_failure
            .as_ref()
            .filter(|f| f.value == AfterFailure::Continue)
    {
        let fault = faults
            .at(
                field,
                Code::NothingToContinueTo,
                "`after_failure` is \"continue\", and there is no [control]",
            )
            .because("after a failure there would be nothing to go on to")
            .hint("add [control] with ramdisk and init, or use \"halt\" or \"reboot\"");
        faults.add(fault);
    }
    let unless_said = match raw.domains.iter().any(failure::is_recovery) {
        true => OnFailure::Recover,
        false => OnFailure::Stop,
    };
    let resources = resources::resources(&raw.resources, faults);
    let known = resources.as_deref().unwrap_or_default();
    let domains: Vec<Option<DomainConfig>> = raw
        .domains
        .iter()
        .map(|table| {
            let named = resources::of_domain(table, &raw.resources, known, faults);
            domain(table, named, &unless_said, &mut artefacts, faults)
        })
        .collect();
    rules::check(raw, &domains, platform_memory.flatten(), faults);
    failure::check(&raw.domains, faults);
    xen_cmdline::check(raw, &domains, faults);
    devices::check(raw, faults);
    pci::check(raw, exit, faults);
    one_domain::check(raw, faults);
    seclabel::shared(&raw.domains, faults);
    if let Some(exit) = exit {
        departure::check(raw, exit, faults);
    }
    owners::check(raw, &domains, faults);

    Some(Config {
        bytes: bytes.to_vec(),
        script: script.map_or(Some(None), |path| path.map(Some))?,
        limits: limits?,
        flask_policy: flask_policy.map_or(Some(None), |path| path.map(Some))?,
        exit: exit?,
        reclaim: raw.reclaim.as_ref().map(|f| f.value).unwrap_or_default(),
        after_failure: raw
            .after_failure
            .as_ref()
            .map(|f| f.value)
            .unwrap_or_default(),
        tpm: raw.tpm.as_ref().map(|f| f.value).unwrap_or_default(),
        pcr: pcr?,
        expect_initial: expect_initial?,
        control: control.map_or(Some(None), |control| control.map(Some))?,
        platform_memory: platform_memory.map_or(Some(None), |memory| memory.map(Some))?,
        xen_cmdline: raw.xen_cmdline.as_ref().map(|field| field.value.to_owned()),
        address_bits: address_bits.map_or(Some(None), |bits| bits.map(Some))?,
        resources: resources?,
        seclabels: seclabel::all(raw, &domains),
        domains: domains.into_iter().collect::<Option<Vec<_>>>()?,
        data: raw.data.clone().into(),
        artefacts,
    })
}

fn domain(
    raw: &RawDomain<'_>,
    resources: Option<Vec<Resource>>,
    unless_said: &OnFailure,
    artefacts: &mut Vec<Artefact>,
    faults: &mut Faults<'_>,
) -> Option<DomainConfig> {
    let kind = raw.kind.as_ref().map(|field| field.value);
    let name = raw
        .name
        .as_ref()
        .and_then(|field| values::name(field, faults));
    let domid = raw
        .domid
        .as_ref()
        .and_then(|field| values::domid(field, faults));
    let kernel = raw
        .kernel
        .as_ref()
        .and_then(|field| values::path(field, faults));
    let ramdisk = raw
        .ramdisk
        .as_ref()
        .map(|field| values::path(field, faults));
    let cmdline = raw
        .cmdline
        .as_ref()
        .map(|field| values::cmdline(field, kind, faults));
    let memory = raw
        .memory
        .as_ref()
        .and_then(|field| size::size(field, faults));
    let maxmem = match &raw.maxmem {
        Some(field) => size::size(field, faults),
        None => memory,
    };
    if let (Some(memory), Some(maxmem), Some(field)) = (memory, maxmem, &raw.maxmem)
        && maxmem < memory
    {
        let fault = faults
            .at(
                field,
                Code::MaxmemBelowMemory,
                format!("`maxmem`, {maxmem}, is less than `memory`, {memory}"),
            )
            .because("a domain cannot start with more memory than it may ever have")
            .hint("leave `maxmem` out for the same as `memory`");
        faults.add(match &raw.memory {
            Some(memory) => fault.also(memory.span.clone(), "at start it has more"),
            None => fault,
        });
    }
    let vcpus = raw
        .vcpus
        .as_ref()
        .map_or(Some(1), |field| values::vcpus(field, faults));
    let uuid = match &raw.uuid {
        Some(field) => values::uuid(field, faults),
        None => name
            .as_ref()
            .zip(domid)
            .map(|(name, domid)| Uuid::derive(name, domid)),
    };
    let seclabel = raw
        .seclabel
        .as_ref()
        .map(|field| values::seclabel(field, faults));
    let ranges = resources::meaning(&raw.ranges, faults);
    let mut others = Vec::new();
    let images = images::meaning(&raw.images, name.as_ref(), &mut others, faults);
    let libxl = libxl::pass_through(raw, faults);
    let ready = raw.ready.as_ref().map(|raw| ready::ready(raw, faults));
    let on_failure = match &raw.on_failure {
        Some(field) => failure::on_failure(field, faults),
        None => Some(failure::unless_said(raw, unless_said)),
    };

    let name = name?;
    let kernel = note(
        artefacts,
        ArtefactKind::Kernel(name.clone()),
        kernel?,
        raw.kernel.as_ref()?,
    );
    let ramdisk = match (ramdisk, &raw.ramdisk) {
        (Some(path), Some(field)) => Some(note(
            artefacts,
            ArtefactKind::Ramdisk(name.clone()),
            path?,
            field,
        )),
        _ => None,
    };
    artefacts.append(&mut others);
    Some(DomainConfig {
        name,
        domid: domid?,
        kind: kind?,
        kernel,
        ramdisk,
        cmdline: cmdline.map_or(Some(String::new()), |text| text)?,
        memory: memory?,
        maxmem: maxmem?,
        vcpus: vcpus?,
        uuid: uuid?,
        seclabel: seclabel.map_or(Some(None), |label| label.map(Some))?,
        roles: raw.roles.iter().map(|field| field.value).collect(),
        ranges: ranges?,
        resources: resources?,
        // Names that no domain has are reported by the rules.
        after: raw
            .after
            .iter()
            .map(|field| DomainName(field.value.to_owned()))
            .collect(),
        ready: ready.map_or(Some(None), |ready| ready.map(Some))?,
        on_failure: on_failure?,
        standby: raw.standby.as_ref().is_some_and(|field| field.value),
        images: images?,
        libxl,
    })
}

fn control(
    raw: &RawControl<'_>,
    artefacts: &mut Vec<Artefact>,
    faults: &mut Faults<'_>,
) -> Option<Control> {
    let ramdisk = match &raw.ramdisk {
        Some(field) => {
            let path = values::path(field, faults)?;
            Some(note(artefacts, ArtefactKind::ControlRamdisk, path, field))
        }
        None => None,
    };
    for arg in raw.args.iter().filter(|arg| arg.value.contains('\0')) {
        let fault = faults
            .at(
                arg,
                Code::ControlArgs,
                "an argument of the control domain's init contains a NUL character",
            )
            .because("Linux passes what stands before it only");
        faults.add(fault.hint("take it out"));
    }
    let init = match &raw.init {
        Some(field) => values::path(field, faults)?.to_str()?.to_owned(),
        None => "/init".to_owned(),
    };
    let at = raw
        .init
        .as_ref()
        .map_or(raw.table.span.clone(), |field| field.span.clone());
    if !init.starts_with('/') {
        let fault = faults
            .error(
                Code::ControlInitRelative,
                format!("`init` \"{}\" is not an absolute path", quote(&init)),
            )
            .at(at)
            .key("control.init")
            .because("it is run as the first process, where there is no directory to count from")
            .hint(format!("write init = \"/{}\"", quote(&init)));
        faults.add(fault);
    } else if raw.ramdisk.is_none() && init == "/init" {
        let fault = faults
            .error(
                Code::ControlInitIsDomb,
                "the control domain's init is /init of the boot domain's own root",
            )
            .at(at)
            .key("control.init")
            .because("that is domb itself: the launch would begin again")
            .hint("name the control domain's root with `ramdisk`, or another `init`");
        faults.add(fault);
    }
    let args = raw.args.iter().map(|arg| arg.value.to_owned()).collect();
    let seclabel = match &raw.seclabel {
        Some(field) => Some(values::seclabel(field, faults)?),
        None => None,
    };
    Some(Control {
        ramdisk,
        init,
        args,
        seclabel,
    })
}

fn exit(field: &Field<&str>, faults: &mut Faults<'_>) -> Option<Exit> {
    let fault = match field.value {
        "process" => return Some(Exit::Process),
        "domain" => return Some(Exit::Domain),
        other => faults
            .at(
                field,
                Code::UnknownWord,
                format!(
                    "`exit` is {}, not \"{}\"",
                    one_of(&["process", "domain"]),
                    quote(other)
                ),
            )
            .hint("write exit = \"process\" or \"domain\", or leave it out"),
    };
    faults.add(fault);
    None
}

/// Adds `path` to the list of files, and gives it back.
pub(super) fn note(
    artefacts: &mut Vec<Artefact>,
    kind: ArtefactKind,
    path: PathBuf,
    field: &Field<&str>,
) -> PathBuf {
    let (key, span) = (field.key.clone(), field.span.clone());
    artefacts.push(Artefact {
        kind,
        path: path.clone(),
        key,
        span,
    });
    path
}
