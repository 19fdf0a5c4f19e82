// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of single values: C020 to C034.

use super::{Code, Explanation};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::Domid,
        title: "a domid that Xen would not use as asked",
        cause: "Xen takes 0, and 32752 (0x7ff0) and above, as \"any\" and picks a free domid; \
                libxl cuts a longer number to 16 bits. Either way the domain would run under a \
                number that is not in your configuration, without a word.",
        wrong: "domid = 0",
        right: "domid = 7",
        remedy: "Use a number from 1 to 32751. Domid 0 is the boot domain's own.",
    },
    Explanation {
        code: Code::Pcr,
        title: "a PCR that cannot hold the launch's measurement",
        cause: "Firmware extends PCRs 0 to 7, so their values cannot be computed beforehand. \
                Software can reset 16 and 23. PCRs 17 to 22 need a locality that Linux does not \
                give.",
        wrong: "[measure]\npcr = 16",
        right: "[measure]\npcr = 13",
        remedy: "Use a PCR from 8 to 15 that nothing else on your machine extends; domb's own is 13.",
    },
    Explanation {
        code: Code::Vcpus,
        title: "a number of virtual CPUs that no domain can have",
        cause: "A domain without a virtual CPU never runs, and Xen gives a PVH domain at most 128 \
                (HVM_MAX_VCPUS).",
        wrong: "vcpus = 0",
        right: "vcpus = 2",
        remedy: "Use a number from 1 to 128, or leave it out for 1.",
    },
    Explanation {
        code: Code::Name,
        title: "a name that no domain can have",
        cause: "Names become xenstore paths, lines of reports and words of commands. xl takes a \
                number for a domid and would act on another domain; `Domain-0` is domain 0.",
        wrong: "name = \"7\"",
        right: "name = \"d7\"",
        remedy: "Use at most 64 letters, digits, and - _ . + with at least one letter.",
    },
    Explanation {
        code: Code::Uuid,
        title: "a UUID that is none",
        cause: "A UUID is 32 hexadecimal digits as 8-4-4-4-12. The one of all zeroes belongs to \
                domain 0.",
        wrong: "uuid = \"00000000-0000-0000-0000-000000000000\"",
        right: "uuid = \"1b4e28ba-2fa1-11d2-883f-0016d3cca427\"",
        remedy: "Leave `uuid` out: one is derived from name and domid, the same on every boot.",
    },
    Explanation {
        code: Code::Seclabel,
        title: "a label that is not user:role:type",
        cause: "Xen's Flask cannot look such a label up, and the domain would not be built.",
        wrong: "seclabel = \"domU_t\"",
        right: "seclabel = \"system_u:system_r:domU_t\"",
        remedy: "Write all three names with colons between, as xl list -Z shows them.",
    },
    Explanation {
        code: Code::CmdlineCharacters,
        title: "a command line with a character that does not arrive",
        cause: "What follows a NUL character would be lost, a kernel's command line is one line, \
                and other control characters would garble every log they are printed to.",
        wrong: "cmdline = \"console=hvc0\\nquiet\"",
        right: "cmdline = \"console=hvc0 quiet\"",
        remedy: "Take the character out. In a \"\"\"...\"\"\" text, end each line with \\ to join them.",
    },
    Explanation {
        code: Code::CmdlineTooLong,
        title: "a command line that would be cut off",
        cause: "A PV domain gets the first 1023 bytes (MAX_GUEST_CMDLINE): an error. Linux on x86 \
                keeps the first 2047 (COMMAND_LINE_SIZE): a warning, since not every kernel is \
                Linux. What is cut off is often what matters, such as a root hash.",
        wrong: "a `cmdline` of 1100 bytes with type = \"pv\"",
        right: "the same with type = \"pvh\", or a shorter one",
        remedy: "Shorten it, or use type = \"pvh\".",
    },
    Explanation {
        code: Code::Path,
        title: "a path that no file can have",
        cause: "It is empty, ends in /, is longer than Linux opens (4095 bytes), or contains a NUL \
                or another control character.",
        wrong: "kernel = \"boot/\"",
        right: "kernel = \"boot/vmlinuz\"",
        remedy: "Name a file, relative to the configuration's own directory or absolute.",
    },
    Explanation {
        code: Code::NoUnit,
        title: "a size without a unit",
        cause: "Tools disagree whether a bare number means KiB, MiB or bytes; xl.cfg means MiB, a \
                device tree KiB. The domain could get a thousandth of what it needs.",
        wrong: "memory = 256",
        right: "memory = \"256M\"",
        remedy: "Write the unit: K, M, G or T, in powers of 1024.",
    },
    Explanation {
        code: Code::Size,
        title: "a size that is none, or not one a domain can have",
        cause: "A size is a whole number and one of the units K, M, G, T; it comes to a whole \
                number of MiB, above zero and at most 16 TiB.",
        wrong: "memory = \"1.5G\"",
        right: "memory = \"1536M\"",
        remedy: "Write it as the hint shows.",
    },
    Explanation {
        code: Code::MaxmemBelowMemory,
        title: "`maxmem` is less than `memory`",
        cause: "A domain cannot start with more memory than it may ever have.",
        wrong: "memory = \"512M\"\nmaxmem = \"256M\"",
        right: "memory = \"256M\"\nmaxmem = \"512M\"",
        remedy: "Leave `maxmem` out for the same as `memory`.",
    },
    Explanation {
        code: Code::Hvm,
        title: "an HVM domain",
        cause: "An HVM domain needs a device model running beside it, for as long as it lives; \
                domb has gone by then.",
        wrong: "type = \"hvm\"",
        right: "type = \"pvh\"",
        remedy: "Use \"pvh\" or \"pv\", or let the control domain start it.",
    },
    Explanation {
        code: Code::ExpectInitial,
        title: "an expected PCR value that is none",
        cause: "The launch could not tell a PCR that nobody has touched from one that somebody has.",
        wrong: "[measure]\nexpect_initial = \"0\"",
        right: "[measure]\nexpect_initial = \"zero\"",
        remedy: "Use \"zero\", or BANK:HEX for each bank with all of its digits.",
    },
];
