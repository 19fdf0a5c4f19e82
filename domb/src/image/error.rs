// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Why there is no image, and what a person can do about it: the Debian
//! package that lacks, or the option that says where a file is instead.

use std::io;
use std::path::PathBuf;

use crate::compression;
use crate::exit::Exit;
use crate::file::Unreadable;
use crate::load;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An input cannot be read.
    #[error(transparent)]
    Read(#[from] Unreadable),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] load::Error),
    /// A file that the configuration names cannot be used.
    #[error("load {what} from {}", path.display())]
    Artefact {
        /// What it is for.
        what: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A program is none, or not for x86-64.
    #[error("{} is not an x86-64 ELF program or library", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
    },
    /// PID 1 would need an interpreter.
    #[error("{} cannot be PID 1: it is not static, it needs {interpreter}\nhint: give a static domb with --init; RUSTFLAGS=-Ctarget-feature=+crt-static cargo build --release --features libxl --target x86_64-unknown-linux-gnu makes one", path.display())]
    InitNotStatic {
        /// The file.
        path: PathBuf,
        /// What it needs.
        interpreter: String,
    },
    /// No Xen package has the daemon.
    #[error("find {name} in {}/xen-*/bin\nhint: apt install xen-utils-4.17, or give --{name} FILE", directory.display())]
    NoProgram {
        /// The daemon.
        name: String,
        /// Where the packages put it.
        directory: PathBuf,
    },
    /// A library is nowhere.
    #[error("find {name}, which {} needs\nhint: apt install the package that `apt-file search {name}` names, or give --library-path DIR", by.display())]
    NoLibrary {
        /// The library.
        name: String,
        /// Who asks for it.
        by: PathBuf,
    },
    /// No kernel has Xen's modules.
    #[error("find a kernel with Xen's modules in {}\nhint: apt install linux-image-amd64, or give --kernel-modules DIR", directory.display())]
    NoModules {
        /// Where the packages put them.
        directory: PathBuf,
    },
    /// A directory of modules has no index.
    #[error("read the list of kernel modules {}\nhint: `depmod RELEASE` writes it; --kernel-modules wants a directory like /lib/modules/6.1.0-56-amd64", path.display())]
    ModulesDep {
        /// The index.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A module is nowhere.
    #[error("find kernel module {name} in {}\nhint: apt install linux-image-amd64, or give another --kernel-modules DIR", directory.display())]
    NoModule {
        /// The module.
        name: String,
        /// The release's directory.
        directory: PathBuf,
    },
    /// A module does not decompress.
    #[error("decompress kernel module {}", path.display())]
    Module {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        #[source]
        cause: compression::Error,
    },
    /// The output is one of the inputs.
    #[error("write {}: the image would replace an input\nhint: give another name with --output", path.display())]
    OverInput {
        /// The output.
        path: PathBuf,
    },
    /// The image cannot be written.
    #[error("write image {}", path.display())]
    Write {
        /// The output.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// The exit code that tells this failure from others.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Error::Config(_) => Exit::Config,
            Error::Artefact { .. } => Exit::Load,
            _ => Exit::Image,
        }
    }
}
