// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How libxl is linked: as Debian's shared library, or, when the target has
//! `crt-static`, with everything it needs into the one program.
//!
//! The static link has two traps, both silent. libxenguest registers its
//! kernel loaders in constructors that nothing refers to, so it is linked
//! whole. Debian's static libxenstore is built without its reader thread, so
//! no watch ever fires and each create times out waiting for the console: its
//! two C files are compiled here, from Debian's source package, with the
//! thread on.

use std::env;
use std::path::{Path, PathBuf};

use crate::probe::{self, Need, Probe};

/// After libxenguest, in an order in which each serves those before it.
const XEN_ARCHIVES: &[&str] = &[
    "xenlight",
    "xenctrl",
    "xenstore_threaded",
    "xenhypfs",
    "xenevtchn",
    "xengnttab",
    "xenforeignmemory",
    "xendevicemodel",
    "xencall",
    "xentoolcore",
    "xentoollog",
];

/// What is not Xen's: archive and Debian package.
const OTHER_ARCHIVES: &[(&str, &str)] = &[
    ("yajl_s", "libyajl-dev"),
    ("uuid", "uuid-dev"),
    ("lzma", "liblzma-dev"),
    ("zstd", "libzstd-dev"),
    ("z", "zlib1g-dev"),
];

/// Where the source package has libxenstore.
const STORE_SOURCES: &[&str] = &["tools/libs/store/xs.c", "tools/xenstore/xs_lib.c"];

/// A link that has everything it needs.
pub(crate) enum Plan {
    Shared { libdir: PathBuf },
    Static { libdir: PathBuf, source: PathBuf },
}

/// Decides how to link; what is missing goes to `probe`.
pub(crate) fn plan(probe: &mut Probe) -> Plan {
    let libdir = probe::variable("xenlight", "libdir", "/usr/lib/x86_64-linux-gnu");
    if !probe::is_static() {
        return Plan::Shared { libdir };
    }

    probe.need(&Need::archive("xenguest", "libxen-dev"), &libdir);
    for name in XEN_ARCHIVES
        .iter()
        .filter(|name| **name != "xenstore_threaded")
    {
        probe.need(&Need::archive(name, "libxen-dev"), &libdir);
    }
    for (name, package) in OTHER_ARCHIVES {
        probe.need(&Need::archive(name, package), &libdir);
    }
    let source = source_dir();
    if let Some(absent) = STORE_SOURCES
        .iter()
        .find(|file| !source.join(file).is_file())
    {
        probe.fault(format!(
            "no {absent} in {}: run scripts/fetch-xen-source, or set DOMB_XEN_SOURCE to the unpacked Debian source package of xen",
            source.display()
        ));
    }
    Plan::Static { libdir, source }
}

/// Tells cargo, and compiles libxenstore where it has to be.
pub(crate) fn emit(plan: &Plan) {
    match plan {
        Plan::Shared { libdir } => {
            println!("cargo:rustc-link-search=native={}", libdir.display());
            for name in ["xenlight", "xenstore", "xentoollog"] {
                println!("cargo:rustc-link-lib=dylib={name}");
            }
        }
        Plan::Static { libdir, source } => {
            compile_store(source);
            println!("cargo:rustc-link-search=native={}", libdir.display());
            println!("cargo:rustc-link-lib=static:+whole-archive,-bundle=xenguest");
            let others = OTHER_ARCHIVES.iter().map(|(name, _)| name);
            for name in XEN_ARCHIVES.iter().chain(others) {
                println!("cargo:rustc-link-lib=static:-bundle={name}");
            }
        }
    }
}

/// The unpacked source package of Debian's xen.
fn source_dir() -> PathBuf {
    println!("cargo:rerun-if-env-changed=DOMB_XEN_SOURCE");
    if let Some(dir) = env::var_os("DOMB_XEN_SOURCE") {
        return PathBuf::from(dir);
    }
    let manifest = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    Path::new(&manifest).join("../../target/xen-source")
}

/// libxenstore with its reader thread, and with the socket where Debian's
/// xenstored listens.
fn compile_store(source: &Path) {
    let mut build = cc::Build::new();
    build
        .include(source.join("tools/include"))
        .include(source.join("tools/xenstore"))
        .define("USE_PTHREAD", None)
        .define("HAVE_PIPE2", "1")
        .define("XEN_RUN_STORED", "\"/var/run/xenstored\"")
        .flag(format!("-ffile-prefix-map={}=xen", source.display()))
        .debug(false)
        .warnings(false)
        .cargo_metadata(false);
    for file in STORE_SOURCES {
        println!("cargo:rerun-if-changed={}", source.join(file).display());
        build.file(source.join(file));
    }
    build.compile("xenstore_threaded");
    println!(
        "cargo:rustc-link-search=native={}",
        env::var("OUT_DIR").expect("cargo sets OUT_DIR")
    );
}
