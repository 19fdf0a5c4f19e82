// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Hands the `LIBXL_HAVE_*` that libxl-sys found on to this crate as cfgs.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for (variable, is_there) in [("DEP_XENLIGHT_ASKED", false), ("DEP_XENLIGHT_HAVE", true)] {
        let names = std::env::var(variable).expect("libxl-sys' build script sets it");
        for name in names.split(',').filter(|name| !name.is_empty()) {
            println!("cargo:rustc-check-cfg=cfg({name})");
            if is_there {
                println!("cargo:rustc-cfg={name}");
            }
        }
    }
}
