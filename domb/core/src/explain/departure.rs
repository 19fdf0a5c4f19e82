// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The codes of `exit` and of what takes domain 0's place.

use super::{Code, Explanation};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::DepartureRole,
        title: "`exit` = \"domain\" without a domain for each role",
        cause: "Domain 0 serves XenStore, controls the other domains and has the devices. It halts, so \
                each of these roles needs a domain of its own; hardware and control may be one.",
        wrong: "exit = \"domain\"\n\
                [[domain]]\nname = \"store\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"xenstore\"]\nseclabel = \"system_u:system_r:xenstore_t\"\n\
                [[domain]]\nname = \"control\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"control\"]\nseclabel = \"system_u:system_r:ctrl_t\"\n",
        right: "exit = \"domain\"\n\
                [[domain]]\nname = \"store\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"xenstore\"]\nseclabel = \"system_u:system_r:xenstore_t\"\n\
                [[domain]]\nname = \"control\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"control\"]\nseclabel = \"system_u:system_r:ctrl_t\"\n\
                [[domain]]\nname = \"hardware\"\ndomid = 3\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"hardware\"]\nseclabel = \"system_u:system_r:hwdom_t\"\n",
        remedy: "Give a domain the role that is missing, or write exit = \"process\".",
    },
    Explanation {
        code: Code::DepartureLabel,
        title: "a domain with a role and no label, and domain 0 goes",
        cause: "Only domain 0 has power without Flask. The power of every other domain is that of its \
                label, so without one nobody would control anything.",
        wrong: "exit = \"domain\"\n\
                [[domain]]\nname = \"store\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"xenstore\"]\nseclabel = \"system_u:system_r:xenstore_t\"\n\
                [[domain]]\nname = \"control\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"control\"]\n\
                [[domain]]\nname = \"hardware\"\ndomid = 3\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"hardware\"]\nseclabel = \"system_u:system_r:hwdom_t\"\n",
        right: "exit = \"domain\"\n\
                [[domain]]\nname = \"store\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"xenstore\"]\nseclabel = \"system_u:system_r:xenstore_t\"\n\
                [[domain]]\nname = \"control\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"control\"]\nseclabel = \"system_u:system_r:ctrl_t\"\n\
                [[domain]]\nname = \"hardware\"\ndomid = 3\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"hardware\"]\nseclabel = \"system_u:system_r:hwdom_t\"\n",
        remedy: "Give it the label that policy/flask makes for the role.",
    },
    Explanation {
        code: Code::OtherExit,
        title: "what goes with the other `exit` only",
        cause: "[control] and after_failure = \"continue\" say what domain 0 becomes; `reclaim` and the \
                roles \"control\" and \"hardware\" say what is done without it. They cannot both be meant.",
        wrong: "reclaim = \"balloon\"",
        right: "exit = \"domain\"\nreclaim = \"balloon\"\n\
                [[domain]]\nname = \"store\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"xenstore\"]\nseclabel = \"system_u:system_r:xenstore_t\"\n\
                [[domain]]\nname = \"control\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"control\"]\nseclabel = \"system_u:system_r:ctrl_t\"\n\
                [[domain]]\nname = \"hardware\"\ndomid = 3\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"hardware\"]\nseclabel = \"system_u:system_r:hwdom_t\"\n",
        remedy: "Choose the `exit` that is meant, and leave out what goes with the other one.",
    },
    Explanation {
        code: Code::HardwareDomid,
        title: "Xen's command line does not make the hardware domain one",
        cause: "Xen makes that domain the hardware domain whose domid is hardware_dom= on its command \
                line. Without it the domain would have no device, and the machine would halt with \
                the boot domain.",
        wrong: "exit = \"domain\"\n\
                [[domain]]\nname = \"store\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"xenstore\"]\nseclabel = \"system_u:system_r:xenstore_t\"\n\
                [[domain]]\nname = \"control\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"control\"]\nseclabel = \"system_u:system_r:ctrl_t\"\n\
                [[domain]]\nname = \"hardware\"\ndomid = 3\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"hardware\"]\nseclabel = \"system_u:system_r:hwdom_t\"\n\
                [platform]\nxen_cmdline = \"dom0_mem=1G hardware_dom=9\"",
        right: "exit = \"domain\"\n\
                [[domain]]\nname = \"store\"\ndomid = 1\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"xenstore\"]\nseclabel = \"system_u:system_r:xenstore_t\"\n\
                [[domain]]\nname = \"control\"\ndomid = 2\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"control\"]\nseclabel = \"system_u:system_r:ctrl_t\"\n\
                [[domain]]\nname = \"hardware\"\ndomid = 3\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\nroles = [\"hardware\"]\nseclabel = \"system_u:system_r:hwdom_t\"\n\
                [platform]\nxen_cmdline = \"dom0_mem=1G hardware_dom=3\"",
        remedy: "Write the hardware domain's domid after hardware_dom=, on Xen's command line and here.",
    },
];
