// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of what domains are given, and of what they can boot instead:
//! from C100 and from C150.

use super::{Code, Explanation};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::Range,
        title: "a range is none, or a resource has no name or no range",
        cause: "Pages and ports are hexadecimal, as in xl.cfg. A range that is read otherwise than \
                it was meant gives another device away.",
        wrong: "iomem = [\"fed40000\"]",
        right: "iomem = [\"fed40,1\"]",
        remedy: "Write iomem as START,COUNT in pages, ioports as FIRST-LAST, irqs as numbers.",
    },
    Explanation {
        code: Code::ResourceUnknown,
        title: "`resources` names what is not declared",
        cause: "The domain would be started without what it needs.",
        wrong: "resources = [\"tpm\"]",
        right: "resources = []",
        remedy: "Declare it as [resources.NAME] with iomem, ioports or irqs.",
    },
    Explanation {
        code: Code::RangeTwice,
        title: "a range has two owners",
        cause: "Two drivers of one device would undo each other's work.",
        wrong: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nioports = [\"2f8-2ff\"]\n\n\
                [[domain]]\nname = \"b\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nioports = [\"2f8\"]",
        right: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nioports = [\"2f8-2ff\"]\n\n\
                [[domain]]\nname = \"b\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"",
        remedy: "Give it to one of the two; the message shows both places.",
    },
    Explanation {
        code: Code::RangeOfXen,
        title: "a range is Xen's own",
        cause: "Xen lets no domain have its interrupt controllers, its timer and the serial port \
                it writes to, so the boot domain cannot give them.",
        wrong: "type = \"pv\"\nioports = [\"20-21\"]",
        right: "type = \"pv\"\nioports = [\"70-71\"]",
        remedy: "Leave it out, or give the rest of the range only.",
    },
    Explanation {
        code: Code::RangeDenied,
        title: "the policy does not let a range change hands",
        cause: "Flask asks three things about a range: may the boot domain give this domain anything, \
                may it hand this range on, may a domain with this label have it. It asks the same \
                when domain 0 loses a range that is withheld.",
        wrong: "flask_policy = \"xenpolicy\"\ntype = \"pv\"\nseclabel = \"system_u:system_r:guest_t\"\nioports = [\"2f8-2ff\"]",
        right: "flask_policy = \"xenpolicy\"\ntype = \"pv\"\nseclabel = \"system_u:system_r:driver_t\"\nioports = [\"2f8-2ff\"]",
        remedy: "Take driver_t of policy/flask, or declare a label with device_label() in a .te file \
                 and build the policy with it. The hint has the missing rules.",
    },
    Explanation {
        code: Code::RangeOfPvh,
        title: "a PVH domain is given ports or interrupts",
        cause: "libxl gives a PVH domain the permission, and Xen intercepts its ports all the same \
                and delivers it no physical interrupt. The domain would find nothing there.",
        wrong: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nioports = [\"2f8-2ff\"]",
        right: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nioports = [\"2f8-2ff\"]",
        remedy: "Make the domain PV, or give it pages of I/O memory alone: those are mapped into it.",
    },
    Explanation {
        code: Code::RangeTooHigh,
        title: "pages beyond what the machine can address",
        cause: "`[platform] address_bits` says how many bits a physical address has. Xen lets no \
                domain have a page beyond, so the boot domain cannot give it.",
        wrong: "[platform]\naddress_bits = 36\n[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\niomem = [\"4000000,1\"]",
        right: "[platform]\naddress_bits = 36\n[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\niomem = [\"fed40,1\"]",
        remedy: "Write frame numbers: addresses without their last three hexadecimal digits. \
                 /proc/cpuinfo of the machine has the bits: address sizes.",
    },
    Explanation {
        code: Code::RangeOfOneDomain,
        title: "a range is given or kept where hardware and control are one domain",
        cause: "Such a domain is built before the guests, which need it for their consoles, and Xen \
                takes every range from domain 0 for it as it is made. The boot domain has nothing \
                more to give then, and cannot keep anything from it.",
        wrong: "exit = \"domain\"\n[resources.tpm]\niomem = [\"fed40,5\"]\nwithheld = true\n\
                [[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nroles = [\"hardware\", \"control\"]",
        right: "exit = \"process\"\n[resources.tpm]\niomem = [\"fed40,5\"]\nwithheld = true",
        remedy: "Leave the range out, or give the two roles to two domains.",
    },
    Explanation {
        code: Code::Image,
        title: "an image has no name of its own",
        cause: "The launch script chooses an image by its name.",
        wrong: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n\
                images = [{ name = \"\", kernel = \"vmlinuz-old\" }]",
        right: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\n\
                images = [{ name = \"old\", kernel = \"vmlinuz-old\" }]",
        remedy: "Give each image of a domain another name of letters, digits, and - _ .",
    },
];
