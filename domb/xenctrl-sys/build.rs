// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Declares what is called of libxenctrl from the headers that are installed.
//! The static link is libxl-sys' business: its list has libxenctrl in the
//! place the linker needs it.

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
];

fn main() {
    println!("cargo:rerun-if-changed=wrapper.h");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../libxl-sys/build/probe.rs");

    let mut probe = Probe::new();
    let version = probe.version("xencontrol");
    let include = probe.include_dir("xencontrol");
    probe.need(&Need::header("xenctrl.h"), &include);
    probe.libclang();
    probe.finish();

    let (major, minor) = version.expect("a probe with nothing missing has a version");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let clang_args = vec![format!("-I{}", include.display())];
    // The logger is libxentoollog's: one declaration, so that one logger fits both.
    let bindings = probe::builder("wrapper.h", &clang_args, FUNCTIONS, &[], &[])
        .blocklist_type("xentoollog_logger")
        .raw_line("use libxl_sys::xentoollog_logger;")
        .raw_line(format!("/// The release whose headers these declarations come from.\npub const BUILT_AGAINST: (u32, u32) = ({major}, {minor});"));
    probe::generate(bindings, &out.join("bindings.rs"));

    if !probe::is_static() {
        let libdir = probe::variable("xencontrol", "libdir", "/usr/lib/x86_64-linux-gnu");
        println!("cargo:rustc-link-search=native={}", libdir.display());
        println!("cargo:rustc-link-lib=dylib=xenctrl");
    }
}
