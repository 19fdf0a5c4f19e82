// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The codes of labels under a policy, and of labels that two domains share.

use super::{Code, Explanation};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::LabelUnknown,
        title: "a label that the policy does not have",
        cause: "Its user, role or type is not in the compiled policy, or the three do not go together. \
                Xen could not look it up, and the launch would end there.",
        wrong: "flask_policy = \"xenpolicy\"   # of scripts/build-policy\nseclabel = \"system_u:system_r:gest_t\"",
        right: "flask_policy = \"xenpolicy\"\nseclabel = \"system_u:system_r:guest_t\"",
        remedy: "Name one of the policy's labels, or declare yours with guest_label() in a .te file \
                 and build the policy with it: scripts/build-policy process --with labels.te.",
    },
    Explanation {
        code: Code::LabelDenied,
        title: "a label that the boot domain may not build",
        cause: "The label exists, and the boot domain's own lacks a permission that building such a \
                domain takes, or its store or console could not reach it. Xen would refuse that step.",
        wrong: "flask_policy = \"xenpolicy\"\nseclabel = \"system_u:system_r:dom0_t\"",
        right: "flask_policy = \"xenpolicy\"\nseclabel = \"system_u:system_r:guest_t\"",
        remedy: "The hint has the missing rules in the form of the policy's source. guest_label() \
                 makes a label with all of them.",
    },
    Explanation {
        code: Code::LabelSuccession,
        title: "a label that domain 0 cannot take at the hand-off",
        cause: "Domain 0 lives on and must not keep the boot domain's label, but the policy does not \
                let it take the control domain's, or does not have it.",
        wrong: "flask_policy = \"xenpolicy\"\n[control]\nramdisk = \"control.cpio\"\nseclabel = \"system_u:system_r:guest_t\"",
        right: "flask_policy = \"xenpolicy\"\n[control]\nramdisk = \"control.cpio\"\nseclabel = \"system_u:system_r:dom0_t\"",
        remedy: "Leave `[control] seclabel` out with the policies of policy/flask; name the control \
                 domain's label with another policy.",
    },
    Explanation {
        code: Code::SharedLabel,
        title: "two domains that do not need each other share a label",
        cause: "Flask tells domains apart by their labels alone. With one label, one of them can \
                allocate event channel ports in the other's name; it still cannot reach its memory.",
        wrong: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nseclabel = \"system_u:system_r:guest_t\"\n\
                [[domain]]\nname = \"b\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nseclabel = \"system_u:system_r:guest_t\"\n",
        right: "[[domain]]\nname = \"a\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nseclabel = \"system_u:system_r:guest_t\"\n\
                [[domain]]\nname = \"b\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nseclabel = \"system_u:system_r:web_t\"\n",
        remedy: "Give each a label of its own (guest_label() in policy/flask). Where one is `after` the \
                 other they are taken to belong together, and nothing is said.",
    },
];
