// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Compares the layout Rust uses with the one the C compiler of the system
//! gives the installed headers. bindgen asserts what libclang told it; this
//! asks the compiler that libxl itself is built with.

#![allow(
    unused_crate_dependencies,
    reason = "the build dependencies of the crate are not for the test"
)]
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests do

use std::fmt::Write;
use std::mem::{align_of, offset_of, size_of};
use std::process::Command;

use libxl_sys as xl;

/// Everything of a layout that the C compiler can confirm or deny.
fn assertions() -> String {
    let mut c = String::from(
        "#include <stddef.h>\n#include <libxl.h>\n#include <libxl_event.h>\n#include <libxl_utils.h>\n#include <xenstore.h>\n#include <xentoollog.h>\n",
    );
    let mut holds = |condition: String| {
        writeln!(c, "_Static_assert({condition}, \"differs from Rust\");")
            .expect("a String takes any text");
    };

    macro_rules! sizes {
        ($($name:ident)*) => { $(
            holds(format!("sizeof({}) == {}", stringify!($name), size_of::<xl::$name>()));
            holds(format!("_Alignof({}) == {}", stringify!($name), align_of::<xl::$name>()));
        )* };
    }
    macro_rules! fields {
        ($($name:ident: $($field:ident)*;)*) => { $($(
            holds(format!(
                "offsetof({}, {}) == {}",
                stringify!($name), stringify!($field), offset_of!(xl::$name, $field)
            ));
        )*)* };
    }
    macro_rules! values {
        ($($kind:ident: $($name:ident)*;)*) => { $($(
            holds(format!("{} == {}", stringify!($name), xl::$kind::$name.0));
        )*)* };
    }

    sizes! {
        libxl_domain_config libxl_domain_create_info libxl_domain_build_info libxl_dominfo
        libxl_physinfo libxl_version_info libxl_childproc_hooks libxl_uuid libxl_asyncop_how
        libxl_error libxl_shutdown_reason libxl_domain_type libxl_console_type xentoollog_level
        libxl_sigchld_owner xs_transaction_t
    }
    fields! {
        libxl_domain_config: c_info b_info num_disks disks nics pcidevs on_poweroff on_crash;
        libxl_domain_create_info: type_ name domid uuid ssid_label ssidref;
        libxl_domain_build_info: max_vcpus max_memkb target_memkb kernel cmdline ramdisk u;
        libxl_dominfo: uuid domid ssid_label running paused shutdown dying shutdown_reason
            current_memkb max_memkb vcpu_online domain_type;
        libxl_physinfo: nr_cpus total_pages free_pages scrub_pages outstanding_pages cap_hvm cap_pv cap_hap cap_hvm_directio;
        libxl_version_info: xen_version_major xen_version_minor xen_version_extra capabilities
            changeset commandline;
        libxl_childproc_hooks: chldowner fork_replacement reaped_callback;
    }
    values! {
        libxl_error: ERROR_NONSPECIFIC ERROR_FAIL ERROR_LOCK_FAIL ERROR_DOMAIN_NOTFOUND;
        libxl_shutdown_reason: LIBXL_SHUTDOWN_REASON_UNKNOWN LIBXL_SHUTDOWN_REASON_SOFT_RESET;
        libxl_domain_type: LIBXL_DOMAIN_TYPE_PV LIBXL_DOMAIN_TYPE_PVH;
        libxl_console_type: LIBXL_CONSOLE_TYPE_PV;
        xentoollog_level: XTL_DEBUG XTL_ERROR;
        libxl_sigchld_owner: libxl_sigchld_owner_libxl_always_selective_reap;
    }
    holds(format!("LIBXL_VERSION == {}", xl::LIBXL_VERSION));
    holds(format!(
        "XTL_STDIOSTREAM_HIDE_PROGRESS == {}",
        xl::XTL_STDIOSTREAM_HIDE_PROGRESS
    ));
    // In the header the field is called `type`, a keyword here.
    c.replace(", type_)", ", type)")
}

fn compile(c: &str) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("layout.c");
    std::fs::write(&file, c).unwrap();
    Command::new("cc")
        .args([
            "-std=gnu11",
            "-fsyntax-only",
            "-DLIBXL_API_VERSION=0x041400",
        ])
        .arg(&file)
        .output()
        .unwrap()
}

#[test]
fn the_c_compiler_agrees_with_every_layout() {
    let checked = compile(&assertions());
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn the_c_compiler_notices_a_wrong_layout() {
    let right = format!(
        "sizeof(libxl_domain_config) == {}",
        size_of::<xl::libxl_domain_config>()
    );
    let wrong = assertions().replace(&right, "sizeof(libxl_domain_config) == 1");
    assert!(!compile(&wrong).status.success());
}

#[test]
fn a_value_the_header_does_not_list_is_a_value() {
    let unheard_of = xl::libxl_shutdown_reason(4711);
    assert_ne!(
        unheard_of,
        xl::libxl_shutdown_reason::LIBXL_SHUTDOWN_REASON_UNKNOWN
    );
}
