// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `domb image`: makes the boot domain's initramfs from the files of Debian's
//! packages and everything that a launch configuration names.
//!
//! The image holds a static domb as `/init`, xenstored, xenconsoled, what
//! these two load, the kernel modules and `/domb`: no shell, no interpreter of
//! any kind. The same inputs give the same bytes, so that somebody else can
//! make the image again and compare. Nothing is written under the output's
//! name until all of it is there, and no input is ever written to.

pub(crate) mod archive;
mod artefacts;
mod error;
mod host;
mod libraries;
mod modules;
mod output;
mod summary;

use std::fs;
use std::path::{Path, PathBuf};

use domb_core::config::Config;

use crate::exit::Exit;
use crate::file::read;
use crate::load;
use crate::manifest::{self, Manifest, Role, sha256_hex};
use crate::report;
use archive::Tree;
use artefacts::Artefacts;
pub use error::Error;
use host::Host;
use libraries::Library;
use modules::Module;
pub use summary::{Part, Summary};

/// What to make an image from. What is not given is taken from the newest of
/// Debian's packages on this host.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The launch configuration
    pub config: PathBuf,
    /// The image to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// A static domb to run as PID 1 [default: this program]
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// The kernel modules of the kernel to boot with [default: newest of /lib/modules/* with Xen's]
    #[arg(long, value_name = "DIR")]
    pub kernel_modules: Option<PathBuf>,
    /// A further kernel module to load, by name; can be repeated
    #[arg(long = "module", value_name = "NAME")]
    pub modules: Vec<String>,
    /// xenstored [default: newest /usr/lib/xen-*/bin/xenstored]
    #[arg(long, value_name = "FILE")]
    pub xenstored: Option<PathBuf>,
    /// xenconsoled [default: newest /usr/lib/xen-*/bin/xenconsoled]
    #[arg(long, value_name = "FILE")]
    pub xenconsoled: Option<PathBuf>,
    /// A directory to search for shared libraries first; can be repeated
    #[arg(long, value_name = "DIR")]
    pub library_path: Vec<PathBuf>,
    /// Take the packages' files from an installation unpacked here
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
}

/// The verb: makes the image and tells what is in it.
#[must_use]
pub fn command(options: &Options) -> Exit {
    match run(options) {
        Ok(summary) => {
            for warning in &summary.warnings {
                eprintln!("warning: {warning}");
            }
            print!("{summary}");
            Exit::Success
        }
        Err(error) => {
            eprintln!("error: {}", report::chain(&error).join(": "));
            if let Some(hint) = report::hint(&error) {
                eprintln!("hint: {hint}");
            }
            error.exit()
        }
    }
}

/// Makes an image. When it comes back, the image is complete under its name.
///
/// # Errors
/// An input is missing or not what it should be, or the image cannot be
/// written; the output's name is then what it was before.
pub fn run(options: &Options) -> Result<Summary, Error> {
    let host = Host::new(&options.root);
    let ingredients = Ingredients::read(options, &host)?;
    output::refuse_inputs(&options.output, ingredients.sources())?;
    let manifest = ingredients.manifest();
    let json = manifest.to_json();
    let bytes = output::write(&options.output, |out| {
        ingredients.tree(&manifest, &json).write(out)
    })?;
    Ok(ingredients.summary(&manifest, json.len() as u64, bytes, &options.output))
}

/// Everything that goes into an image, read.
struct Ingredients {
    config_path: PathBuf,
    config: Config,
    init: Program,
    xenstored: Program,
    xenconsoled: Program,
    libraries: Vec<Library>,
    kernel_release: String,
    modules: Vec<Module>,
    artefacts: Artefacts,
}

struct Program {
    /// Its path in the image.
    path: String,
    bytes: Vec<u8>,
    source: PathBuf,
}

impl Ingredients {
    fn read(options: &Options, host: &Host) -> Result<Ingredients, Error> {
        let config = load::config(&options.config)?;
        let init = init(options.init.as_deref())?;
        let xenstored = daemon(host, "xenstored", options.xenstored.as_deref())?;
        let xenconsoled = daemon(host, "xenconsoled", options.xenconsoled.as_deref())?;
        let programs =
            [&xenstored, &xenconsoled].map(|it| (it.source.as_path(), it.bytes.as_slice()));
        let libraries = libraries::closure(host, &options.library_path, &programs)?;
        let directory = match &options.kernel_modules {
            Some(directory) => directory.clone(),
            None => host.kernel_modules(modules::has_xen)?,
        };
        let mut names = options.modules.clone();
        if config.names_pci() {
            names.push(modules::PCI_BACKEND.to_owned());
        }
        let modules = modules::collect(&directory, &names)?;
        let base = options.config.parent().unwrap_or(Path::new("."));
        let artefacts = artefacts::artefacts(&config, base)?;
        let release = fs::canonicalize(&directory).unwrap_or(directory);
        Ok(Ingredients {
            config_path: options.config.clone(),
            config,
            init,
            xenstored,
            xenconsoled,
            libraries,
            kernel_release: release
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            modules,
            artefacts,
        })
    }

    fn sources(&self) -> impl Iterator<Item = &Path> {
        [
            &self.config_path,
            &self.init.source,
            &self.xenstored.source,
            &self.xenconsoled.source,
        ]
        .into_iter()
        .chain(self.libraries.iter().map(|library| &library.source))
        .chain(self.modules.iter().map(|module| &module.source))
        .chain(&self.artefacts.sources)
        .map(PathBuf::as_path)
    }

    fn module_path(&self, module: &Module) -> String {
        format!("/lib/modules/{}/{}", self.kernel_release, module.path)
    }

    fn manifest(&self) -> Manifest {
        let module = |module: &Module| manifest::Module {
            path: self.module_path(module),
            sha256: sha256_hex(&module.bytes),
            bytes: module.bytes.len() as u64,
        };
        let mut artefacts = self.artefacts.entries.clone();
        artefacts.sort_by(|one, two| (&one.path, one.role).cmp(&(&two.path, two.role)));
        Manifest {
            version: manifest::VERSION,
            kernel_release: self.kernel_release.clone(),
            xenstored: self.xenstored.path.clone(),
            xenconsoled: self.xenconsoled.path.clone(),
            modules: self.modules.iter().map(module).collect(),
            artefacts,
        }
    }

    fn tree<'a>(&'a self, manifest: &Manifest, json: &'a [u8]) -> Tree<'a> {
        let mut tree = Tree::default();
        for directory in DIRECTORIES {
            tree.directory(directory, 0o755);
        }
        tree.directory("/tmp", 0o1777);
        tree.symlink("/var/run", "/run");
        tree.character_device("/dev/console", 0o600, 5, 1); // Linux admin-guide/devices.rst
        for program in [&self.init, &self.xenstored, &self.xenconsoled] {
            tree.file(&program.path, 0o755, program.bytes.as_slice());
        }
        for library in &self.libraries {
            tree.file(&library.path, 0o755, library.bytes.as_slice());
        }
        for (module, entry) in self.modules.iter().zip(&manifest.modules) {
            tree.file(&entry.path, 0o644, module.bytes.as_slice());
        }
        for (path, bytes) in &self.artefacts.contents {
            tree.file(path, 0o644, bytes.as_slice());
        }
        tree.file("/domb/launch.toml", 0o644, self.config.bytes.as_slice());
        tree.file("/domb/manifest.json", 0o644, json);
        tree
    }

    fn summary(&self, manifest: &Manifest, json: u64, bytes: u64, output: &Path) -> Summary {
        let part = |group, bytes, text: String| Part { group, bytes, text };
        let length = |bytes: &Vec<u8>| bytes.len() as u64;
        let program = |group, it: &Program| part(group, length(&it.bytes), it.path.clone());
        let mut parts = vec![
            program("init", &self.init),
            program("xenstored", &self.xenstored),
            program("xenconsoled", &self.xenconsoled),
            part(
                "shared libraries",
                self.libraries
                    .iter()
                    .map(|library| length(&library.bytes))
                    .sum(),
                files(self.libraries.len()),
            ),
            part(
                "kernel modules",
                manifest.modules.iter().map(|module| module.bytes).sum(),
                format!(
                    "{} of Linux {}",
                    files(self.modules.len()),
                    self.kernel_release
                ),
            ),
            part(
                "configuration",
                length(&self.config.bytes) + json,
                self.config_path.display().to_string(),
            ),
        ];
        let stored = self
            .artefacts
            .entries
            .iter()
            .enumerate()
            .filter(|(at, entry)| {
                !self.artefacts.entries[..*at]
                    .iter()
                    .any(|before| before.stored == entry.stored)
            });
        let mut artefacts: Vec<Part> = stored
            .map(|(_, entry)| {
                let from = entry.original.as_ref().map_or(String::new(), |original| {
                    format!(
                        " from {} {}",
                        original.format,
                        summary::Size(original.bytes)
                    )
                });
                part(
                    group(entry.role),
                    entry.bytes,
                    format!("{}{from}", entry.path),
                )
            })
            .collect();
        artefacts.sort_by_key(|part| GROUPS.iter().position(|group| *group == part.group));
        parts.append(&mut artefacts);
        let told: u64 = parts.iter().map(|part| part.bytes).sum();
        parts.push(part(
            "archive",
            bytes.saturating_sub(told),
            "names, directories, padding".to_owned(),
        ));
        Summary {
            parts,
            bytes,
            output: output.display().to_string(),
            kernel_release: self.kernel_release.clone(),
            warnings: self.artefacts.warnings.clone(),
        }
    }
}

fn init(given: Option<&Path>) -> Result<Program, Error> {
    let source = given.unwrap_or(Path::new("/proc/self/exe")).to_path_buf();
    let bytes = read(&source)?;
    match libraries::object(&source, &bytes)?.interpreter {
        None => Ok(Program {
            path: "/init".to_owned(),
            bytes,
            source,
        }),
        Some(interpreter) => Err(Error::InitNotStatic {
            path: source,
            interpreter,
        }),
    }
}

/// A daemon, at its path in Debian: the init scripts of a control domain
/// recognise a running xenstored by it.
fn daemon(host: &Host, name: &'static str, given: Option<&Path>) -> Result<Program, Error> {
    let source = match given {
        Some(path) => path.to_path_buf(),
        None => host.xen_program(name)?,
    };
    let bytes = read(&source)?;
    libraries::object(&source, &bytes)?;
    let inside = host
        .inside(&source)
        .filter(|path| path.starts_with("/usr/"));
    let path = inside.unwrap_or_else(|| format!("/usr/lib/domb/{name}"));
    Ok(Program {
        path,
        bytes,
        source,
    })
}

fn files(count: usize) -> String {
    format!("{count} {}", if count == 1 { "file" } else { "files" })
}

fn group(role: Role) -> &'static str {
    GROUPS[match role {
        Role::Script => 0,
        Role::FlaskPolicy => 1,
        Role::Kernel => 2,
        Role::Ramdisk => 3,
        Role::ControlRamdisk => 4,
    }]
}

const GROUPS: [&str; 5] = [
    "launch script",
    "Flask policy",
    "kernels",
    "ramdisks",
    "control ramdisk",
];

/// What PID 1 mounts on, and what the daemons and libxl write to.
const DIRECTORIES: [&str; 8] = [
    "/dev",
    "/etc",
    "/newroot",
    "/proc",
    "/run",
    "/sys",
    "/var/lib/xen",
    "/var/log/xen/console",
];
