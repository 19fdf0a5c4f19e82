// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What each failure of a launch means: the codes that a boot's console and
//! report show. The steps are explained by the exit codes.

use crate::code::Code;

/// A failure, explained.
pub(super) struct Explanation {
    pub(super) code: Code,
    /// What it is; a few words.
    pub(super) title: &'static str,
    /// Why it is a failure.
    pub(super) cause: &'static str,
    /// What brings it about.
    pub(super) example: &'static str,
    /// What to do.
    pub(super) remedy: &'static str,
}

const fn of(
    code: Code,
    title: &'static str,
    cause: &'static str,
    example: &'static str,
    remedy: &'static str,
) -> Explanation {
    Explanation {
        code,
        title,
        cause,
        example,
        remedy,
    }
}

/// Every failure, in the order of the codes.
pub(super) const TABLE: &[Explanation] = &[
    of(
        Code::ConfigUnreadable,
        "the launch configuration cannot be read",
        "The file is not there, or the system refused it; its words stand below. In a boot domain's \
         image it is /domb/launch.toml, and only a damaged image is without it.",
        "domb launch lanch.toml",
        "Name the file; make the image again if it is a boot.",
    ),
    of(
        Code::ConfigFaults,
        "the launch configuration has faults",
        "Each fault stands below with a code of its own (C...), its place in the file and a hint. An \
         image is not made of such a file, so it was changed since.",
        "domid = 0",
        "Run domb check on it, and domb explain with the code of each fault.",
    ),
    of(
        Code::FileUnreadable,
        "a file that the configuration names cannot be read or kept in memory",
        "It is not there, may not be read, or the boot domain has no memory left for it: every file \
         is kept once, in memory that nobody can change.",
        "kernel = \"/boot/vmlinuz-of-another-machine\"",
        "Run domb check where the files are. In a boot, give domain 0 more (dom0_mem=).",
    ),
    of(
        Code::Kernel,
        "a kernel that domb cannot boot",
        "It is neither a bzImage nor an ELF file with Xen's notes, is cut off, or is compressed in a \
         way that is not known.",
        "kernel = \"net.cpio\"",
        "Name the kernel as the distribution ships it; domb explain C064.",
    ),
    of(
        Code::Ramdisk,
        "a damaged ramdisk",
        "It begins as an archive or in a known compression and then ends early or does not \
         decompress.",
        "ramdisk = \"net.cpio.gz\"   # only half of it was copied",
        "Copy or make it again; domb explain C066.",
    ),
    of(
        Code::FlaskPolicy,
        "a file that is not a Flask policy Xen would take",
        "It is the policy's source, compiled for Linux, or cut off.",
        "flask_policy = \"policy.conf\"",
        "Name the very file that Xen is given as a module; domb explain C110.",
    ),
    of(
        Code::KernelType,
        "a kernel that cannot start as this type of domain",
        "It has no Xen note for the domain's type.",
        "type = \"pv\"   # with a kernel built with CONFIG_PVH only",
        "Change `type`, or use another kernel; domb explain C065.",
    ),
    of(
        Code::NotInImage,
        "a file that is not in the boot domain's image",
        "The image's manifest does not list the path that the configuration names: configuration and \
         image were not made together.",
        "an image whose /domb/launch.toml was changed by hand",
        "Make the image again with domb image.",
    ),
    of(
        Code::ImageDamaged,
        "a file of the image is not what the manifest promises",
        "Its length or SHA-256 differs. That is damage; somebody who forges an image forges the \
         manifest as well, and only the PCR tells.",
        "a bit of the image that was turned on the way to the machine",
        "Make or copy the image again. If it was not damaged by accident, find out who changed it.",
    ),
    of(
        Code::OtherPolicy,
        "Xen enforces another Flask policy than the one that is measured",
        "Xen does not know a label of the configuration, the boot domain has another label than \
         flask_policy gives it, or Xen answers otherwise what a label may do to another; the pair \
         and the class stand below. What is measured would not be what protects the platform.",
        "xen ... , module xenpolicy-domain   # and flask_policy = \"xenpolicy-process\"",
        "Give Xen, as its module, the very file that launch.toml names.",
    ),
    of(
        Code::NoTpm,
        "the TPM cannot be opened",
        "There is no /dev/tpmrm0 or /dev/tpm0, or somebody else has it.",
        "tpm = \"required\"   # on a machine whose firmware has the TPM disabled",
        "Enable the TPM in the firmware. tpm = \"optional\" launches without one and says so.",
    ),
    of(
        Code::TpmAnswer,
        "the TPM did not do what it was asked",
        "It answered with an error, with something else, or not at all. Whether an extend was done \
         is not known then; nothing was handed over.",
        "a TPM in its failure mode",
        "Reset the machine. If it stays, the TPM is broken or locked by the firmware.",
    ),
    of(
        Code::NoBank,
        "no bank of the TPM has the PCR",
        "Every bank is disabled, or the PCR is not allocated in any.",
        "tpm2_pcrallocate sha1:none+sha256:none",
        "Allocate one, as with tpm2_pcrallocate sha256:all, and reboot.",
    ),
    of(
        Code::UnknownBank,
        "the TPM has a bank that domb cannot extend",
        "domb computes sha1, sha256, sha384 and sha512. A bank that it leaves out could be given any \
         value later, by anybody.",
        "an active sm3_256 bank",
        "Disable that bank with tpm2_pcrallocate and reboot.",
    ),
    of(
        Code::Initial,
        "the PCR does not hold what expect_initial wants",
        "Something extended it since the last reset, or the bank is not active. The launch did not \
         touch it.",
        "expect_initial = \"zero\"   # and a second launch without a reboot",
        "Reboot; if it is so again, find out what extends the PCR before domb.",
    ),
    of(
        Code::Diverged,
        "the PCR is not what the events give",
        "After the last event the TPM holds another value: somebody else extended the PCR meanwhile. \
         Nothing was handed over.",
        "a service in domain 0 that extends PCR 13",
        "Give domb a PCR of its own with [measure] pcr.",
    ),
    of(
        Code::EventLog,
        "the event log cannot be written",
        "Each event is in the log before it is in the PCR. An event that cannot be logged is not \
         extended, and the PCR is closed.",
        "domb launch --event-log /nowhere/eventlog launch.toml",
        "Name a place that can be written to, with room.",
    ),
    of(
        Code::Hash,
        "a loaded file could not be hashed",
        "It could not be read back from memory, or the files do not fit the configuration. Neither \
         can happen while domb and the kernel work.",
        "a fault in domb or in the memory",
        "Please report it with the boot report and the console.",
    ),
    of(
        Code::ScriptUnusable,
        "the launch script cannot be used",
        "It is not text, too long, does not compile, or has no fn launch(facts, plan).",
        "fn launch(facts, plan) { plna.allow_all(); plan }",
        "domb check finds this before a boot; the message has line and column.",
    ),
    of(
        Code::ScriptFailed,
        "the launch script stopped with an error",
        "It ran, and did not come to a decision: an error of its own, or something else than the \
         plan was given back.",
        "fn launch(facts, plan) { plan.allow(\"ne\"); plan }   # there is no domain ne",
        "domb script test runs its tests; domb plan shows what it decides.",
    ),
    of(
        Code::ScriptLimit,
        "the launch script ran into a limit",
        "Time, memory, operations and nesting are bounded, so that a launch always ends.",
        "fn launch(facts, plan) { loop {} }",
        "The message names the limit; keep long lists in [data].",
    ),
    of(
        Code::ScriptPlan,
        "the launch script's plan breaks a rule",
        "What it changed in the domains does not fit the rules of a configuration, or it gives out \
         what cannot be given.",
        "plan.set(\"net\", \"memory\", \"0M\")",
        "The message says which rule; domb plan shows it on any host.",
    ),
    of(
        Code::ScriptFacts,
        "the launch script cannot be told the facts",
        "Something in them is no value of the script's language.",
        "a number in [data] beyond 64 bits",
        "The message names it.",
    ),
    of(
        Code::Denied,
        "the launch script lets nothing start",
        "It decided so: it denied every domain, or refused the launch as a whole. A domain it does \
         not mention is denied.",
        "fn launch(facts, plan) { plan.deny_all(\"no TPM\"); plan }",
        "The reasons are the script's own. Check that it allows each domain and ends in plan.",
    ),
    of(
        Code::BuildPlatform,
        "Xen did not say what the platform has",
        "Memory, processors or capabilities could not be asked for before the first domain.",
        "a boot domain whose label may not ask (xen:physinfo)",
        "The report has the toolstack's own words, and what Flask denied.",
    ),
    of(
        Code::BuildRefused,
        "the toolstack could not build the domain",
        "libxl, or for the xenstore domain the hypervisor, refused: a device that is not there, a \
         kernel that its loaders do not take, a permission that Flask denied.",
        "[[domain.libxl.pcidevs]]   # of a device that is not there",
        "The report has libxl's own lines, the console the first of them.",
    ),
    of(
        Code::DomidInUse,
        "the domid is in use",
        "Another domain has it. libxl would not say whose.",
        "domb launch launch.toml   # twice",
        "xl list shows by whom. Choose another domid, or end that domain.",
    ),
    of(
        Code::Memory,
        "Xen has not enough memory free",
        "The domain takes its memory and libxl's overhead at once; the message has both numbers.",
        "memory = \"8G\"   # on a machine of 4 GiB",
        "Give the domain less, or the boot domain (dom0_mem= on Xen's command line). \
         on_failure = \"skip\" leaves the domain out instead.",
    ),
    of(
        Code::LabelNotEnforced,
        "a label that nothing would enforce",
        "Flask is absent or permissive: libxl would build the domain without the label and only \
         warn.",
        "seclabel = \"system_u:system_r:guest_t\"   # on Debian's own Xen",
        "Boot a Xen with XSM and Flask, flask=enforcing on its command line, or leave out seclabel.",
    ),
    of(
        Code::OtherLabel,
        "Xen gave the domain another label",
        "The label is read back from Xen; it is not the one that was asked for. The domain was \
         destroyed.",
        "two spellings of one label in the policy",
        "Write the label as Xen does; xl list -Z shows it.",
    ),
    of(
        Code::NotPaused,
        "a fresh domain is not paused",
        "Somebody else unpaused or destroyed it while it was built.",
        "xl unpause net   # from another shell, during the launch",
        "Let nothing else manage domains while domb launches.",
    ),
    of(
        Code::RoleDenied,
        "a domain with a role may not start",
        "exit = \"domain\" leaves the platform to the domains with roles. The launch script denied \
         one of them, so the boot domain could never go.",
        "plan.deny(\"hardware\", \"not today\")",
        "Let the script allow every domain that has a role, or deny everything.",
    ),
    of(
        Code::HardwareDomid,
        "Xen would make another domain the hardware domain",
        "hardware_dom= on Xen's command line names another domid than the configuration, or none. \
         Whoever is built with that domid gets the devices.",
        "hardware_dom=2   # and domid = 1 for roles = [\"hardware\"]",
        "Put the configured domid on Xen's command line, and boot a Xen with LATE_HWDOM.",
    ),
    of(
        Code::NotHeld,
        "a range of the machine that the boot domain cannot give away",
        "A domain is to get ports, memory or an interrupt that domain 0 does not hold: Xen keeps it, \
         or it was withheld before.",
        "a range that Xen's own serial port has",
        "xl debug-keys q and xl dmesg show the ranges domain 0 has; leave this one out.",
    ),
    of(
        Code::NotApproved,
        "a domain of the plan was not approved",
        "The launch script does not let it start, and the plan has it all the same. That is a fault \
         in domb; the verdict wins.",
        "a fault in domb",
        "Please report it with the boot report and the console.",
    ),
    of(
        Code::OnlyReserves,
        "every domain that may start is kept for a failure",
        "Fallbacks and the recovery domain start when another domain failed. The launch script \
         allowed nothing else.",
        "plan.allow(\"recovery\")   # and nothing else",
        "Let the script allow the domains that the platform is for.",
    ),
    of(
        Code::EndedEarly,
        "a domain ended before the others were built",
        "It was started because others wait for it, and crashed or powered off.",
        "a kernel without the drivers that its root needs",
        "The last lines of its console stand below; too little memory is the usual reason.",
    ),
    of(
        Code::Late,
        "a domain was not ready in time",
        "Others wait until it says that it is ready; the message has what was awaited and for how \
         long.",
        "[domain.ready]\ntimeout = \"1s\"   # under emulation",
        "Its console shows how far it came. [domain.ready] timeout gives it more time.",
    ),
    of(
        Code::RefusedReady,
        "the launch script refused a domain that was ready",
        "A text that on_ready gives back is the reason why a domain counts as failed.",
        "fn on_ready(domain) { \"not the version we want\" }",
        "The reason is the script's own.",
    ),
    of(
        Code::StartRefused,
        "a built domain could not be unpaused",
        "The toolstack refused, or no longer knows the domain. Domains that ran already were \
         destroyed with the others.",
        "xl destroy net   # from another shell, during the launch",
        "The report has the toolstack's own words.",
    ),
    of(
        Code::EndedAtOnce,
        "a domain ended as soon as it ran",
        "It crashed or was destroyed before the hand-off was complete.",
        "a kernel without the drivers that its root needs",
        "The last lines of its console stand below; too little memory is the usual reason.",
    ),
    of(
        Code::OwnLabelUnknown,
        "domain 0 cannot be given that label",
        "[control] seclabel names a label that the policy does not have, or Xen has no labels.",
        "[control]\nseclabel = \"system_u:system_r:dom0\"",
        "Name a label of the policy, or leave the key out.",
    ),
    of(
        Code::OwnLabelKept,
        "domain 0 still has the boot domain's label",
        "Xen refused the change, or it is not so. The control domain would have had the power to \
         build domains, so nothing was handed over.",
        "a policy without the allow rule for the change of label",
        "The report has what Flask denied, and the rule that is missing.",
    ),
    of(
        Code::Withhold,
        "domain 0 may still have what another domain was given",
        "Ports, memory ranges or interrupts that a domain got have to be taken from domain 0, and Xen \
         did not do so. Nothing was handed over.",
        "a range that domain 0's kernel holds",
        "The message names the range and has Xen's own words.",
    ),
    of(
        Code::LateStart,
        "a domain was not ready in time, when all were started",
        "The message has what was awaited and for how long.",
        "[domain.ready]\ntimeout = \"1s\"   # under emulation",
        "Its console shows how far it came. [domain.ready] timeout gives it more time.",
    ),
    of(
        Code::RefusedStart,
        "the launch script refused a domain, when all were started",
        "A text that on_ready gives back is the reason why a domain counts as failed.",
        "fn on_ready(domain) { \"not the version we want\" }",
        "The reason is the script's own.",
    ),
    of(
        Code::Switch,
        "the control domain's root could not be entered",
        "The domains run. A mount or the change of root failed; the message says which.",
        "a kernel without tmpfs",
        "Use Debian's kernel, or one with the same options.",
    ),
    of(
        Code::ControlArchive,
        "the control domain's ramdisk could not be unpacked",
        "The domains run. The archive ends early, a file of it lies outside its root, or there is no \
         memory for it.",
        "dom0_mem=256M   # and a root of 300 MiB",
        "Give domain 0 more memory, or make the archive again with cpio -H newc.",
    ),
    of(
        Code::NoInit,
        "the control domain's ramdisk has no such init",
        "The domains run. [control] init names a file that is not in the archive.",
        "[control]\nramdisk = \"control.cpio\"\ninit = \"/sbin/init\"   # which is not in it",
        "Name the init that is there. domb check and domb image find this before a boot.",
    ),
    of(
        Code::InitExec,
        "the control domain's init could not be run",
        "The domains run. The file is there; it is not executable, or its interpreter or a library \
         of it is missing.",
        "init = \"/init\"   # a script, and there is no /bin/sh in the root",
        "Make it executable, and put its interpreter and libraries into the same root.",
    ),
    of(
        Code::Records,
        "the records could not be handed to the control domain",
        "The domains run. The boot domain could not leave in order, and the control domain restarts \
         the machine.",
        "a xenstore domain that ended meanwhile",
        "The console has the reason.",
    ),
    of(
        Code::NoToolstack,
        "there is no toolstack",
        "This is not a privileged domain on Xen, XenStore does not answer, or this domb was built \
         without libxl.",
        "domb launch launch.toml   # on a laptop",
        "domb launch --dry-run, plan, check and predict run anywhere.",
    ),
    of(
        Code::Mounts,
        "a file system of the boot domain could not be mounted",
        "/proc, /sys, /dev, /run or Xen's own.",
        "a kernel without devtmpfs",
        "Boot Debian's kernel, or one with the same options.",
    ),
    of(
        Code::Manifest,
        "the image's manifest cannot be used",
        "It is missing or of another version: this image was not made for this domb.",
        "an initramfs of another tool",
        "Make the image with domb image of the same version.",
    ),
    of(
        Code::Modules,
        "a kernel module could not be loaded",
        "Most often the image was made for another kernel than the one that boots.",
        "domb image on one kernel, and a boot with the next",
        "Give Xen the kernel whose modules are in the image: domb image says which one.",
    ),
    of(
        Code::Daemons,
        "xenstored or xenconsoled did not start",
        "It ended at once or was not ready in time; its own words stand below.",
        "an image whose libraries were left out",
        "Make the image again with domb image.",
    ),
    of(
        Code::Libxl,
        "libxl could not be opened",
        "The hypervisor's interface or XenStore does not answer, or Xen is of another release than \
         the one that domb was built for.",
        "a domb built for Xen 4.17 on Xen 4.19",
        "Build domb against the libraries of the Xen that boots.",
    ),
];

/// The failure whose code is `text`: `L0803`, in either case.
pub(super) fn find(text: &str) -> Option<&'static Explanation> {
    TABLE
        .iter()
        .find(|entry| entry.code.to_string().eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_explained_once_in_order_and_has_its_steps_exit_code() {
        assert!(TABLE.is_sorted_by(|a, b| a.code < b.code));
        for entry in TABLE {
            assert_eq!(
                entry.code.exit().code(),
                u8::try_from(entry.code as u16 / 100).unwrap()
            );
            for text in [entry.title, entry.cause, entry.example, entry.remedy] {
                assert!(!text.is_empty(), "{}", entry.code);
            }
            let found = find(&entry.code.to_string().to_lowercase()).unwrap();
            assert_eq!(found.code, entry.code);
        }
    }

    #[test]
    fn no_code_of_the_list_of_codes_is_without_an_explanation() {
        let source = include_str!("../code.rs");
        let codes = source
            .split("pub enum Code {")
            .nth(1)
            .and_then(|rest| rest.split('}').next())
            .unwrap();
        let numbers = codes.lines().filter_map(|line| {
            let number = line.trim().strip_suffix(',')?.split(" = ").nth(1)?;
            number.parse::<u16>().ok()
        });
        let numbers: Vec<u16> = numbers.collect();
        let explained: Vec<u16> = TABLE.iter().map(|entry| entry.code as u16).collect();
        assert_eq!(numbers, explained);
    }
}
