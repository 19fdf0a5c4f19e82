// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults between values: C040 to C054.

use super::{Code, Explanation};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::UsedTwice,
        title: "a name, domid or UUID is used twice",
        cause: "Xen refuses a second domain of the same domid and libxl one of the same name, in \
                the middle of the launch; tools that find domains by UUID would act on the wrong \
                one.",
        wrong: "[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n\n\
                [[domain]]\nname = \"web\"\ndomid = 7\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"",
        right: "[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n\n\
                [[domain]]\nname = \"web\"\ndomid = 9\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"",
        remedy: "Give one of the two another; the message shows both places.",
    },
    Explanation {
        code: Code::AfterUnknown,
        title: "`after` names a domain that does not exist",
        cause: "The domain would wait for something that never starts.",
        wrong: "after = [\"stroe\"]",
        right: "after = []",
        remedy: "Use the `name` of another [[domain]] of this file.",
    },
    Explanation {
        code: Code::AfterItself,
        title: "a domain waits for itself",
        cause: "It would never be started.",
        wrong: "after = [\"net\"]",
        right: "after = []",
        remedy: "Take its own name out of `after`.",
    },
    Explanation {
        code: Code::AfterCircle,
        title: "`after` goes in a circle",
        cause: "Each of the domains would wait for the next, and none would be started.",
        wrong: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nafter = [\"b\"]\n\n\
                [[domain]]\nname = \"b\"\ndomid = 2\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nafter = [\"a\"]",
        right: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n\n\
                [[domain]]\nname = \"b\"\ndomid = 2\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nafter = [\"a\"]",
        remedy: "Take one of the names out of an `after`; the message lists the circle.",
    },
    Explanation {
        code: Code::AfterTwice,
        title: "`after` names the same domain twice",
        cause: "It does no harm, but one of the two was probably meant to be another.",
        wrong: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n\n\
                [[domain]]\nname = \"b\"\ndomid = 2\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nafter = [\"a\", \"a\"]",
        right: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n\n\
                [[domain]]\nname = \"b\"\ndomid = 2\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nafter = [\"a\"]",
        remedy: "Once is enough.",
    },
    Explanation {
        code: Code::MemorySum,
        title: "the domains' memory does not fit the platform",
        cause: "Xen, the boot domain and page tables need memory as well; a domain could not be \
                built.",
        wrong: "[platform]\nmemory = \"256M\"",
        right: "[platform]\nmemory = \"4G\"",
        remedy: "Give the domains less, or correct [platform] memory.",
    },
    Explanation {
        code: Code::NothingToContinueTo,
        title: "`after_failure` is \"continue\" without a control domain",
        cause: "After a failure there would be nothing to go on to.",
        wrong: "after_failure = \"continue\"",
        right: "after_failure = \"continue\"\n[control]\nramdisk = \"control.cpio\"",
        remedy: "Add [control] with ramdisk and init, or use \"halt\" or \"reboot\".",
    },
    Explanation {
        code: Code::ControlInitRelative,
        title: "the control domain's init is not an absolute path",
        cause: "It is run as the first process, where there is no directory to count from.",
        wrong: "[control]\nramdisk = \"control.cpio\"\ninit = \"sbin/init\"",
        right: "[control]\nramdisk = \"control.cpio\"\ninit = \"/sbin/init\"",
        remedy: "Begin it with /.",
    },
    Explanation {
        code: Code::ControlInitIsDomb,
        title: "the control domain's init is domb itself",
        cause: "Without `ramdisk` the control domain runs in the boot domain's own root, and \
                /init is domb there: the launch would begin again.",
        wrong: "[control]\ninit = \"/init\"",
        right: "[control]\nramdisk = \"control.cpio\"\ninit = \"/init\"",
        remedy: "Name the control domain's root with `ramdisk`, or another `init`.",
    },
    Explanation {
        code: Code::ControlArgs,
        title: "an argument of the control domain's init has a NUL character",
        cause: "Linux passes only what stands before it.",
        wrong: "[control]\nramdisk = \"control.cpio\"\nargs = [\"a\\u0000b\"]",
        right: "[control]\nramdisk = \"control.cpio\"\nargs = [\"a\", \"b\"]",
        remedy: "Take it out.",
    },
    Explanation {
        code: Code::LibxlOwned,
        title: "a field of libxl that domb writes itself",
        cause: "Two places that say different things about a domain are one too many: domb writes \
                this field from a key of [[domain]], checked and measured.",
        wrong: "[domain.libxl.b_info]\nmax_vcpus = 2",
        right: "[domain.libxl.b_info]\nclaim_mode = true",
        remedy: "Use the key that the hint names.",
    },
    Explanation {
        code: Code::LibxlUnmeasured,
        title: "a field of libxl that would boot unmeasured bytes",
        cause: "A boot loader picks a kernel that nobody has measured, and a shim is one.",
        wrong: "[domain.libxl.b_info]\nbootloader = \"pygrub\"",
        right: "[domain.libxl.b_info]\nclaim_mode = true",
        remedy: "Name what shall boot with `kernel` and `ramdisk`.",
    },
    Explanation {
        code: Code::LibxlUnknown,
        title: "a field that libxl 4.17 does not have",
        cause: "A libxl without the field would skip it, so building the domain would fail. It is \
                a warning, because a later libxl may have it.",
        wrong: "[domain.libxl.b_info]\nclaim_mod = true",
        right: "[domain.libxl.b_info]\nclaim_mode = true",
        remedy: "Look the name up in libxl_types.idl of the Xen you run.",
    },
    Explanation {
        code: Code::LibxlShape,
        title: "a field of libxl in the wrong shape",
        cause: "`c_info` and `b_info` are tables; `disks`, `nics` and the like are lists of tables.",
        wrong: "[domain.libxl.nics]\nmac = \"00:16:3e:00:00:01\"",
        right: "[[domain.libxl.nics]]\nmac = \"00:16:3e:00:00:01\"",
        remedy: "Write the heading that the hint shows.",
    },
    Explanation {
        code: Code::LibxlOtherType,
        title: "a field for domains of another type",
        cause: "libxl reads the part of the domain's own type only: the setting has no effect.",
        wrong: "[domain.libxl.b_info]\n\"type.pv\" = { e820_host = true }",
        right: "[domain.libxl.b_info]\nclaim_mode = true",
        remedy: "Take it out, or change the domain's `type`.",
    },
    Explanation {
        code: Code::NoDom0Mem,
        title: "Xen's command line has no dom0_mem",
        cause: "Without it Xen gives nearly all memory to domain 0, and no domain can be built.",
        wrong: "[platform]\nxen_cmdline = \"console=com1\"",
        right: "[platform]\nxen_cmdline = \"console=com1 dom0_mem=1024M,max:1024M\"",
        remedy: "Say what the control domain keeps, in the boot entry and here.",
    },
    Explanation {
        code: Code::FlaskOff,
        title: "a label while Flask does not enforce",
        cause: "The label would protect nothing; libxl only warns about it. So domb refuses it at \
                boot.",
        wrong: "[platform]\nxen_cmdline = \"flask=permissive dom0_mem=1G\"\n[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pvh\"\n\
                kernel = \"vmlinuz\"\nmemory = \"256M\"\nseclabel = \"system_u:system_r:domU_t\"",
        right: "[platform]\nxen_cmdline = \"flask=enforcing dom0_mem=1G\"\n[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pvh\"\n\
                kernel = \"vmlinuz\"\nmemory = \"256M\"\nseclabel = \"system_u:system_r:domU_t\"",
        remedy: "Boot a Xen with Flask and flask=enforcing, or leave the labels out.",
    },
    Explanation {
        code: Code::HardwareDomain,
        title: "a domain that Xen would make the hardware domain",
        cause: "hardware_dom=N on Xen's command line makes any domain that is created with domid N \
                the hardware domain: all devices would go to it, and the machine would end with it.",
        wrong: "[platform]\nxen_cmdline = \"hardware_dom=7 dom0_mem=1G\"\n[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pvh\"\n\
                kernel = \"vmlinuz\"\nmemory = \"256M\"",
        right: "[platform]\nxen_cmdline = \"hardware_dom=9 dom0_mem=1G\"\n[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pvh\"\n\
                kernel = \"vmlinuz\"\nmemory = \"256M\"",
        remedy: "Give the domain another domid, or the role \"hardware\"; or take hardware_dom out.",
    },
    Explanation {
        code: Code::DeviceTwice,
        title: "a device with two owners",
        cause: "Xen assigns a PCI device to one domain. A disk that one domain writes to while \
                another has it open is destroyed sooner or later. Two domains with one network \
                address each get a part of the other's packets.",
        wrong: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n[[domain.libxl.pcidevs]]\nbus = 3\n\n\
                [[domain]]\nname = \"b\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n[[domain.libxl.pcidevs]]\nbus = 3",
        right: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n[[domain.libxl.pcidevs]]\nbus = 3\n\n\
                [[domain]]\nname = \"b\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n[[domain.libxl.pcidevs]]\nbus = 4",
        remedy: "Give it to one of the two. Domains that only read a disk, readwrite = 0, may share it.",
    },
    Explanation {
        code: Code::Roles,
        title: "a role that this domain cannot have",
        cause: "A role says what the platform relies on a domain for, so one domain has it. The \
                xenstore domain is PV, is built first, without libxl, and domb brings its ramdisk.",
        wrong: "[[domain]]\nname = \"store\"\ndomid = 1\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\n\
                roles = [\"xenstore\"]",
        right: "[[domain]]\nname = \"store\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\n\
                roles = [\"xenstore\"]",
        remedy: "Give the role to one PV domain without `ramdisk`, `after` and libxl fields.",
    },
];
