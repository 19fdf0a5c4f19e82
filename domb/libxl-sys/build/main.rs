// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Declares libxl from the headers that are installed, and links the library
//! they belong to. Bindings of one release against the library of another
//! corrupt memory (`libxl_domain_config` has another size in each), so nothing
//! is checked in and nothing is guessed: what is missing is named, with the
//! Debian package that has it.

mod link;
mod probe;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use probe::{Need, Probe};

/// libxl's functions with the parameters of Xen 4.14 (0x041400), the oldest
/// interface every release since then offers under the real symbol names.
pub(crate) const API_VERSION: &str = "-DLIBXL_API_VERSION=0x041400";

/// Everything that is called, and nothing else.
const FUNCTIONS: &[&str] = &[
    // xentoollog.h
    "xtl_createlogger_stdiostream",
    "xtl_logger_destroy",
    // libxl.h, libxl_event.h, libxl_utils.h
    "libxl_ctx_alloc",
    "libxl_ctx_free",
    "libxl_childproc_setmode",
    "libxl_clear_domid_history",
    "libxl_get_version_info",
    "libxl_get_physinfo",
    "libxl_physinfo_init",
    "libxl_physinfo_dispose",
    "libxl_list_domain",
    "libxl_dominfo_list_free",
    "libxl_domid_to_name",
    "libxl_console_get_tty",
    "libxl_domain_config_init",
    "libxl_domain_config_dispose",
    "libxl_domain_config_from_json",
    "libxl_domain_config_to_json",
    "libxl_domain_create_new",
    "libxl_domain_unpause",
    "libxl_domain_destroy",
    // xenstore.h
    "xs_open",
    "xs_close",
    "xs_read",
    "xs_write",
    "xs_directory",
    "xs_rm",
    "xs_introduce_domain",
    // stdio.h, stdlib.h: the logger's FILE, and what libxl and libxenstore allocate
    "fdopen",
    "fclose",
    "free",
];

/// Results and arguments these functions take as plain integers.
const TYPES: &[&str] = &["libxl_error", "libxl_shutdown_reason"];

const CONSTANTS: &[&str] = &["LIBXL_VERSION", "XTL_STDIOSTREAM_.*"];

/// The ones xenlight asks for, whether this release has them or not.
const HAVE_ASKED: &[&str] = &["LIBXL_HAVE_CREATEINFO_DOMID"];

fn main() {
    println!("cargo:rerun-if-changed=wrapper.h");
    println!("cargo:rerun-if-changed=build");

    let mut probe = Probe::new();
    let version = probe.version("xenlight");
    let include = probe.include_dir("xenlight");
    for need in [
        Need::header("libxl.h"),
        Need::header("xenstore.h"),
        Need::header("xentoollog.h"),
    ] {
        probe.need(&need, &include);
    }
    let plan = link::plan(&mut probe);
    probe.libclang();
    probe.finish();

    let (major, minor) = version.expect("a probe with nothing missing has a version");
    let clang_args = vec![API_VERSION.to_owned(), format!("-I{}", include.display())];
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let bindings = probe::builder("wrapper.h", &clang_args, FUNCTIONS, TYPES, CONSTANTS)
        .opaque_type("_IO_FILE")
        .raw_line(format!("/// The release whose headers these declarations come from.\npub const BUILT_AGAINST: (u32, u32) = ({major}, {minor});"));
    probe::generate(bindings, &out.join("bindings.rs"));

    announce_have(&include.join("libxl.h"));
    link::emit(&plan);
}

/// Turns each `LIBXL_HAVE_*` of the header into a cfg, the ones without a
/// value included (bindgen does not see those), and passes the list on to the
/// crates that depend on this one.
fn announce_have(header: &Path) {
    println!("cargo:rerun-if-changed={}", header.display());
    let text = fs::read_to_string(header).expect("libxl.h was found a moment ago");
    let mut have: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#define "))
        .filter_map(|rest| rest.split_whitespace().next())
        .filter(|name| name.starts_with("LIBXL_HAVE_") && !name.contains('('))
        .collect();
    have.sort_unstable();
    have.dedup();

    for name in &have {
        println!("cargo:rustc-cfg={name}");
        println!("cargo:rustc-check-cfg=cfg({name})");
    }
    for name in HAVE_ASKED {
        println!("cargo:rustc-check-cfg=cfg({name})");
    }
    println!("cargo:have={}", have.join(","));
    println!("cargo:asked={}", HAVE_ASKED.join(","));
}
