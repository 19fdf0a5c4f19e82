// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Declares what is called of libxenctrl and libxenguest from the headers that are installed.
//! The static link is libxl-sys' business: its list has both in the
//! place the linker needs them.

#[path = "../libxl-sys/build/probe.rs"]
mod probe;

use std::env;
use std::path::PathBuf;

use probe::{Need, Probe};

const FUNCTIONS: &[&str] = &[
    "xc_interface_open",
    "xc_interface_close",
    "xc_flask_getenforce",
    "xc_readconsolering",
    // What a domain may touch of the machine, and taking it back, which libxl cannot.
    "xc_domain_iomem_permission",
    "xc_domain_ioport_permission",
    "xc_domain_irq_permission",
    "xc_physdev_map_pirq",
    // What is asked of the hypervisor before there is a XenStore, which libxl needs.
    "xc_version",
    "xc_physinfo",
    "xc_domain_getinfolist",
    "xc_flask_context_to_sid",
    "xc_flask_op",
    "xc_flask_sid_to_context",
    // The boot domain gives its own label up.
    "xc_flask_relabel_domain",
    // The xenstore domain, which libxl cannot build.
    "xc_domain_create",
    "xc_domain_max_vcpus",
    "xc_domain_setmaxmem",
    "xc_domain_set_memmap_limit",
    "xc_domain_set_virq_handler",
    "xc_domain_unpause",
    "xc_domain_destroy",
    "xc_evtchn_alloc_unbound",
    "xc_evtchn_status",
    "xc_map_foreign_range",
    // The hardware domain, to which libxl cannot say that it is the initial one.
    "xc_vcpu_getcontext",
    "xc_translate_foreign_address",
    "xc_domain_shutdown",
    // xenguest.h: the xenstore domain
    "xc_dom_allocate",
    "xc_dom_release",
    "xc_dom_kernel_file",
    "xc_dom_module_file",
    "xc_dom_boot_xen_init",
    "xc_dom_parse_image",
    "xc_dom_mem_init",
    "xc_dom_boot_mem_init",
    "xc_dom_build_image",
    "xc_dom_boot_image",
    "xc_dom_gnttab_init",
    // sys/ioctl.h, sys/mman.h
    "ioctl",
    "munmap",
];

/// Structures that are passed through pointers to void.
const TYPES: &[&str] = &[
    "start_info",
    "xencons_interface",
    "xen_extraversion_t",
    "xen_commandline_t",
];

const CONSTANTS: &[&str] = &[
    "XENVER_.*",
    "VIRQ_DOM_EXC",
    "XEN_DOMINF_.*",
    "EVTCHNSTAT_.*",
    "FLASK_ACCESS",
    "XEN_DOMCTL_CDF_xs_domain",
    "SIF_.*",
    "SHUTDOWN_reboot",
    "DOMID_OF_CALLER",
    "XEN_SYSCTL_PHYSCAP_.*",
    "PROT_READ",
    "PROT_WRITE",
];

fn main() {
    println!("cargo:rerun-if-changed=wrapper.h");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../libxl-sys/build/probe.rs");

    let mut probe = Probe::new();
    let version = probe.version("xencontrol");
    let include = probe.include_dir("xencontrol");
    probe.need(&Need::header("xenctrl.h"), &include);
    probe.need(&Need::header("xenguest.h"), &include);
    probe.libclang();
    probe.finish();

    let (major, minor) = version.expect("a probe with nothing missing has a version");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let clang_args = vec![format!("-I{}", include.display())];
    // The logger is libxentoollog's: one declaration, so that one logger fits both.
    let bindings = probe::builder("wrapper.h", &clang_args, FUNCTIONS, TYPES, CONSTANTS)
        .blocklist_type("xentoollog_logger")
        .raw_line("use libxl_sys::xentoollog_logger;")
        .raw_line(format!("/// The release whose headers these declarations come from.\npub const BUILT_AGAINST: (u32, u32) = ({major}, {minor});"));
    probe::generate(bindings, &out.join("bindings.rs"));

    if !probe::is_static() {
        let libdir = probe::variable("xencontrol", "libdir", "/usr/lib/x86_64-linux-gnu");
        println!("cargo:rustc-link-search=native={}", libdir.display());
        println!("cargo:rustc-link-lib=dylib=xenctrl");
        println!("cargo:rustc-link-lib=dylib=xenguest");
    }
}
