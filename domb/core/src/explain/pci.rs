// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of PCI devices that domains are given, and of the launch script's
//! limits: from C140.

use super::{Code, Explanation};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::PciNotPv,
        title: "a PCI device for a domain that is not PV",
        cause: "Xen 4.17 gives a PVH domain no PCI bus. A PV domain finds the device through its \
                driver xen-pcifront.",
        wrong: "type = \"pvh\"\npci = [\"0000:00:1f.2\"]",
        right: "type = \"pv\"\npci = [\"0000:00:1f.2\"]",
        remedy: "Make it a PV domain.",
    },
    Explanation {
        code: Code::PciLeaves,
        title: "a PCI device by name where the boot domain leaves",
        cause: "A PCI device is passed through by a backend in domain 0. With exit = \"domain\" the \
                boot domain does not touch PCI and is gone afterwards; the hardware domain has \
                every device.",
        wrong: "exit = \"domain\"\n[resources.nic]\npci = [\"0000:00:1f.2\"]",
        right: "exit = \"process\"\n[resources.nic]\npci = [\"0000:00:1f.2\"]",
        remedy: "Leave `pci` out, or let domain 0 live on.",
    },
    Explanation {
        code: Code::PciNoIommu,
        title: "a PCI device for a domain while Xen uses no IOMMU",
        cause: "Without an IOMMU the device could read and write the memory of every domain and of \
                Xen. libxl refuses to build the domain.",
        wrong: "[platform]\nxen_cmdline = \"dom0_mem=1G iommu=off\"\n[resources.nic]\npci = [\"0000:00:1f.2\"]",
        right: "[platform]\nxen_cmdline = \"dom0_mem=1G\"\n[resources.nic]\npci = [\"0000:00:1f.2\"]",
        remedy: "Take iommu=off out of Xen's command line.",
    },
    Explanation {
        code: Code::Limit,
        title: "a limit of the launch script that is raised, or is nothing",
        cause: "The defaults are the most that any launch script may use; a configuration can lower \
                them. `domb script docs` lists them.",
        wrong: "[limits]\noperations = 2000000",
        right: "[limits]\noperations = 50000",
        remedy: "Write a number from 1 to the default, or leave the key out.",
    },
];
