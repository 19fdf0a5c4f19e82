// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of the files that a configuration names: C060 to C069, and C110 on.

use super::{Code, Explanation};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::FileMissing,
        title: "a file that is not there",
        cause: "Paths count from the configuration's own directory, so that a platform can be \
                moved as a whole.",
        wrong: "kernel = \"vmlinux\"   # beside it stands vmlinuz",
        right: "kernel = \"vmlinuz\"",
        remedy: "Correct the path, or put the file there.",
    },
    Explanation {
        code: Code::ArtefactUnreadable,
        title: "a file that cannot be read",
        cause: "The system refused it; the message has its words. Debian keeps /boot/vmlinuz-* \
                readable, other files may be root's own.",
        wrong: "kernel = \"vmlinuz\"   # mode 0600 and owned by root",
        right: "kernel = \"vmlinuz\"   # mode 0644",
        remedy: "Run domb as a user who may read it, or change its mode.",
    },
    Explanation {
        code: Code::NotAFile,
        title: "a directory, or something else that is no regular file",
        cause: "What is measured has to be bytes that end; a pipe or a device may not.",
        wrong: "ramdisk = \"root\"   # a directory",
        right: "ramdisk = \"root.cpio\"",
        remedy: "Name a file.",
    },
    Explanation {
        code: Code::FileEmpty,
        title: "an empty file",
        cause: "It is most likely the rest of a copy or a build that failed.",
        wrong: "ramdisk = \"net.cpio\"   # 0 bytes",
        right: "ramdisk = \"net.cpio\"   # made again",
        remedy: "Copy or make it again.",
    },
    Explanation {
        code: Code::Kernel,
        title: "a file that is not a kernel domb can boot",
        cause: "A kernel is a bzImage or an ELF file with Xen's notes. The file is neither, is cut \
                off, or is compressed in a way that is not known.",
        wrong: "kernel = \"net.cpio\"",
        right: "kernel = \"/boot/vmlinuz-6.1.0-56-amd64\"",
        remedy: "Name the kernel as the distribution ships it, and check that it was copied whole.",
    },
    Explanation {
        code: Code::KernelType,
        title: "a kernel that cannot start as this type of domain",
        cause: "It has no Xen note for the domain's type, and libxl would refuse it at boot: a PV \
                domain needs CONFIG_XEN_PV, a PVH domain CONFIG_PVH. Debian's kernels have both.",
        wrong: "type = \"pv\"   # with a kernel built with CONFIG_PVH only",
        right: "type = \"pvh\"",
        remedy: "Change `type`, or use another kernel.",
    },
    Explanation {
        code: Code::Ramdisk,
        title: "a damaged ramdisk",
        cause: "It begins as a cpio archive or in a known compression and then ends early or does \
                not decompress. The domain would panic without a root.",
        wrong: "ramdisk = \"net.cpio.gz\"   # only half of it was copied",
        right: "ramdisk = \"net.cpio.gz\"   # all of it",
        remedy: "Copy or make it again.",
    },
    Explanation {
        code: Code::RamdiskUnknown,
        title: "a ramdisk that is not a cpio archive",
        cause: "It is handed over as it is, which other kernels than Linux may want; Linux would \
                not find a root in it. So it is a warning.",
        wrong: "ramdisk = \"root.ext4\"",
        right: "ramdisk = \"root.cpio.gz\"",
        remedy: "Make it with cpio -H newc, compressed or not, unless the kernel is not Linux.",
    },
    Explanation {
        code: Code::ControlRamdisk,
        title: "the control domain's ramdisk is not a cpio archive",
        cause: "domb unpacks it itself to make the control domain's root.",
        wrong: "[control]\nramdisk = \"root.ext4\"",
        right: "[control]\nramdisk = \"control.cpio\"",
        remedy: "Make it with cpio -H newc, compressed or not.",
    },
    Explanation {
        code: Code::Script,
        title: "a launch script that cannot be used",
        cause: "It is not text, does not compile, or has no fn launch(facts, plan). A script that \
                cannot decide denies everything: the boot would end with exit code 6.",
        wrong: "fn launch(facts, plan) { plna.allow_all(); plan }",
        right: "fn launch(facts, plan) { plan.allow_all(); plan }",
        remedy: "The message has the line and column in the script.",
    },
];

/// The artefacts whose codes came later.
pub(super) const LATER: &[Explanation] = &[
    Explanation {
        code: Code::FlaskPolicy,
        title: "a file that is not a Flask policy Xen would take",
        cause: "It is the policy's source, compiled for Linux, cut off, of a version that is not \
                known, or has what Xen ignores. Xen would start without it, and no label would \
                mean anything.",
        wrong: "flask_policy = \"policy.conf\"",
        right: "flask_policy = \"xenpolicy\"   # made by checkpolicy -t Xen -c 30",
        remedy: "Name the very file that Xen is given as a module; compile it again if it is \
                 damaged.",
    },
    Explanation {
        code: Code::ControlInit,
        title: "the control domain's root has no init that could run",
        cause: "[control] init names what is not in the ramdisk, is no file, is not executable, or is \
                a script whose interpreter is not there. The launch would succeed, and domain 0 \
                would stay behind as domb: nobody could log in.",
        wrong: "[control]\nramdisk = \"control.cpio\"\ninit = \"/sbin/init\"   # which is not in it",
        right: "[control]\nramdisk = \"control.cpio\"\ninit = \"/init\"",
        remedy: "Look into the archive with cpio -t. Links in it are followed as Linux does.",
    },
];
