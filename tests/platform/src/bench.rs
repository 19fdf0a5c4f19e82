// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What every boot is made from, prepared once: the static domb binary,
//! Debian's Xen and kernel, the unpacked kernel for launches from domain 0,
//! the domains' ramdisk, and the images `domb image` makes of a configuration.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::host::{self, Parts};
use crate::machine::{MachineSpec, Tpm};
use crate::root::{self, Step};

/// The prepared parts and where everything is kept.
#[derive(Debug)]
pub struct Bench {
    /// Logs, images and copies, one directory for each boot.
    pub work: PathBuf,
    /// Debian's parts.
    pub parts: Parts,
    /// The static domb binary.
    pub domb: PathBuf,
    /// The ELF kernel in [`Parts::kernel`].
    pub vmlinux: PathBuf,
    /// The ramdisk of the domains.
    pub ramdisk: PathBuf,
}

impl Bench {
    /// Prepares in `work`. The binary is the one `DOMB` names, or else the
    /// one `scripts/build` makes and prints the path of.
    pub fn prepare(work: &Path) -> Result<Bench> {
        let parts = Parts::find(work)?;
        let domb = match env::var_os("DOMB") {
            Some(path) => PathBuf::from(path),
            None => build_domb()?,
        };
        let vmlinux = host::vmlinux(&parts.kernel, work)?;
        let ramdisk = work.join("heartbeat.cpio");
        root::guest_ramdisk("")?.write(&ramdisk)?;
        Ok(Bench {
            work: work.to_owned(),
            parts,
            domb,
            vmlinux,
            ramdisk,
        })
    }

    /// [`root::control_root`], with domb and, in `/share`, the kernels and the
    /// ramdisk for launches from domain 0.
    pub fn control_for_launches(&self, steps: &[Step]) -> Result<Archive> {
        let mut archive = root::control_root(steps)?;
        archive
            .copy(&self.domb, "usr/sbin/domb", 0o755)?
            .copy(&self.vmlinux, "share/vmlinux", 0o644)?
            .copy(&self.parts.kernel, "share/vmlinuz", 0o644)?
            .copy(&self.ramdisk, "share/heartbeat.cpio", 0o644)?;
        Ok(archive)
    }

    /// An empty directory for the boot `name`, with `vmlinuz` and
    /// `heartbeat.cpio` in it for its configuration to name.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let dir = self.work.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(Error::file("remove", &dir))?;
        }
        fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
        for (link, target) in [
            ("vmlinuz", &self.parts.kernel),
            ("heartbeat.cpio", &self.ramdisk),
        ] {
            let link = dir.join(link);
            symlink(target, &link).map_err(Error::file("link", &link))?;
        }
        Ok(dir)
    }

    /// Runs `domb image` on `<dir>/launch.toml`; returns the image and what
    /// domb said about it.
    pub fn image(&self, dir: &Path) -> Result<(PathBuf, String)> {
        let image = dir.join("domb.img");
        let said = host::run(
            self.domb()
                .args(["image", "launch.toml", "-o", "domb.img"])
                .current_dir(dir),
        )?;
        Ok((image, said))
    }

    /// The values `domb predict` computes for `<dir>/launch.toml`, as JSON.
    pub fn predict(&self, dir: &Path) -> Result<serde_json::Value> {
        let text = host::run(
            self.domb()
                .args(["predict", "--json", "launch.toml"])
                .current_dir(dir),
        )?;
        serde_json::from_str(&text).map_err(|error| {
            Error::Untrue(format!(
                "domb predict --json printed no JSON: {error}\n{text}"
            ))
        })
    }

    /// A machine that boots this image; it has 4 GiB and a TPM.
    #[must_use]
    pub fn machine(&self, name: &str, image: &Path) -> MachineSpec {
        MachineSpec {
            name: name.to_owned(),
            cpus: 2,
            memory_mib: 4096,
            dom0_memory_mib: 1024,
            xen: self.parts.xen.clone(),
            xen_cmdline: Vec::new(),
            kernel: self.parts.kernel.clone(),
            kernel_cmdline: Vec::new(),
            modules: vec![image.to_owned()],
            tpm: Tpm::AllBanks,
            tpm_state: None,
            devices: Vec::new(),
            dump_at: None,
        }
    }

    /// The domb binary, to be run on this host.
    #[must_use]
    pub fn domb(&self) -> Command {
        Command::new(&self.domb)
    }
}

fn build_domb() -> Result<PathBuf> {
    let script = host::repository().join("scripts/build");
    let said = host::run(&mut Command::new(script))?;
    // The last line is the path.
    Ok(PathBuf::from(said.lines().last().unwrap_or_default()))
}
