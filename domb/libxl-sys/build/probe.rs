// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finds what the build needs, collects everything that is not there, and
//! names the Debian packages in one message. Shared with `xenctrl-sys`.

use std::path::{Path, PathBuf};
use std::{env, panic, process};

use bindgen::callbacks::{DeriveInfo, ParseCallbacks, TypeKind};

/// Every package a build with the real toolstack wants, for the one command
/// that installs them.
const ALL_PACKAGES: &str = "libxen-dev libclang1-14 libclang-common-14-dev pkg-config \
                            libyajl-dev uuid-dev liblzma-dev zlib1g-dev libzstd-dev";

/// A file the build needs and the Debian package that brings it.
pub(crate) struct Need {
    file: String,
    package: &'static str,
}

impl Need {
    /// A header of Xen's own.
    pub(crate) fn header(file: &str) -> Need {
        Need {
            file: file.to_owned(),
            package: "libxen-dev",
        }
    }

    /// A static library.
    #[allow(
        dead_code,
        reason = "xenctrl-sys shares this file and links no archive"
    )]
    pub(crate) fn archive(name: &str, package: &'static str) -> Need {
        Need {
            file: format!("lib{name}.a"),
            package,
        }
    }
}

/// What was looked for and not found so far.
pub(crate) struct Probe {
    missing: Vec<String>,
}

impl Probe {
    pub(crate) fn new() -> Probe {
        println!("cargo:rerun-if-env-changed=LIBCLANG_PATH");
        Probe {
            missing: Vec::new(),
        }
    }

    /// The release of Xen that `module` (a pkg-config name) belongs to.
    pub(crate) fn version(&mut self, module: &str) -> Option<(u32, u32)> {
        match pkg_config::Config::new()
            .cargo_metadata(false)
            .probe(module)
        {
            Ok(library) => {
                let mut parts = library.version.split('.').map(str::parse::<u32>);
                match (parts.next(), parts.next()) {
                    (Some(Ok(major)), Some(Ok(minor))) => return Some((major, minor)),
                    _ => self.missing.push(format!(
                        "{module}.pc gives the version {:?}, which is not a release of Xen (package libxen-dev)",
                        library.version
                    )),
                }
            }
            Err(pkg_config::Error::Command { command, cause }) => {
                self.missing.push(format!(
                    "cannot run {command}: {cause} (package pkg-config)"
                ));
            }
            Err(_) => self
                .missing
                .push(format!("pkg-config knows no {module} (package libxen-dev)")),
        }
        None
    }

    /// Where the headers of `module` are.
    pub(crate) fn include_dir(&mut self, module: &str) -> PathBuf {
        variable(module, "includedir", "/usr/include")
    }

    /// Notes `need` as missing unless it is in `dir`.
    pub(crate) fn need(&mut self, need: &Need, dir: &Path) {
        if !dir.join(&need.file).is_file() {
            self.missing.push(format!(
                "no {} in {} (package {})",
                need.file,
                dir.display(),
                need.package
            ));
        }
    }

    /// Notes a fault that is not a missing file.
    #[allow(dead_code, reason = "xenctrl-sys shares this file and needs no source")]
    pub(crate) fn fault(&mut self, text: String) {
        self.missing.push(text);
    }

    /// Looks for libclang and for the headers of its own, by asking bindgen
    /// for a header that needs both.
    pub(crate) fn libclang(&mut self) {
        // bindgen panics where it cannot load libclang; the hook would print
        // that panic above the explanation.
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| ()));
        let tried = panic::catch_unwind(|| {
            bindgen::Builder::default()
                .header_contents("probe.h", "#include <stddef.h>\n")
                .generate()
        });
        panic::set_hook(hook);
        match tried {
            Err(_) => self
                .missing
                .push("no libclang (package libclang1-14)".to_owned()),
            Ok(Err(error)) => {
                let first = error.to_string();
                let first = first.lines().next().unwrap_or_default().to_owned();
                self.missing.push(format!(
                    "libclang has no headers of its own: {first} (package libclang-common-14-dev)"
                ));
            }
            Ok(Ok(_)) => {}
        }
    }

    /// Ends the build if anything is missing.
    pub(crate) fn finish(&self) {
        if self.missing.is_empty() {
            return;
        }
        eprintln!("\nthe real toolstack cannot be built here:");
        for line in &self.missing {
            eprintln!("  - {line}");
        }
        eprintln!("hint: apt-get install {ALL_PACKAGES}");
        eprintln!("hint: without the feature `libxl` domb builds anywhere\n");
        process::exit(1);
    }
}

/// The variable `name` of a pkg-config module, or Debian's value.
pub(crate) fn variable(module: &str, name: &str, otherwise: &str) -> PathBuf {
    pkg_config::get_variable(module, name)
        .ok()
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| otherwise.into(), PathBuf::from)
}

/// bindgen, as both crates want it: enums that can hold values the header
/// does not know, owning structs that cannot be copied, layout asserted.
pub(crate) fn builder(
    header: &str,
    clang_args: &[String],
    functions: &[&str],
    types: &[&str],
    constants: &[&str],
) -> bindgen::Builder {
    let mut builder = bindgen::Builder::default()
        .header(header)
        .clang_args(clang_args)
        .default_enum_style(bindgen::EnumVariation::NewType {
            is_bitfield: false,
            is_global: false,
        })
        .derive_copy(false)
        .derive_debug(false)
        .generate_comments(false)
        .layout_tests(true)
        .prepend_enum_name(false)
        .rust_target(bindgen::RustTarget::stable(85, 0).expect("bindgen knows Rust 1.85"))
        .rust_edition(bindgen::RustEdition::Edition2024)
        .parse_callbacks(Box::new(PlainEnums));
    for name in functions {
        builder = builder.allowlist_function(name);
    }
    for name in types {
        builder = builder.allowlist_type(name);
    }
    for name in constants {
        builder = builder.allowlist_var(name);
    }
    builder
}

/// Writes the declarations, or ends the build.
pub(crate) fn generate(builder: bindgen::Builder, to: &Path) {
    let bindings = match builder.generate() {
        Ok(bindings) => bindings,
        Err(error) => {
            eprintln!("the headers of Xen cannot be read: {error}");
            eprintln!("hint: apt-get install {ALL_PACKAGES}");
            process::exit(1);
        }
    };
    if let Err(error) = bindings.write_to_file(to) {
        eprintln!("cannot write {}: {error}", to.display());
        process::exit(1);
    }
}

/// Whether the target links everything into one file.
pub(crate) fn is_static() -> bool {
    env::var("CARGO_CFG_TARGET_FEATURE")
        .is_ok_and(|features| features.split(',').any(|f| f == "crt-static"))
}

/// `derive_copy(false)` is meant for structs; an enum is a number.
#[derive(Debug)]
struct PlainEnums;

impl ParseCallbacks for PlainEnums {
    fn add_derives(&self, info: &DeriveInfo<'_>) -> Vec<String> {
        match info.kind {
            TypeKind::Enum => vec!["Copy".to_owned(), "Debug".to_owned()],
            TypeKind::Struct | TypeKind::Union => Vec::new(),
        }
    }
}
