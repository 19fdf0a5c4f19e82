// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `platform run [filter]` and `platform demo`.

use std::process::ExitCode;
use std::time::Duration;

use platform::{MachineSpec, Parts, Result, Step, host, root};

fn main() -> ExitCode {
    match plain() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn plain() -> Result<()> {
    let work = host::work();
    let parts = Parts::find(&work)?;
    let steps = [Step::new(
        "nothing",
        "ls -la /; free; xl info; dmesg | grep -i tpm",
    )];
    let mut archive = root::control_root(&steps)?;
    root::add_daemons(&mut archive, &parts)?;
    let ramdisk = work.join("plain.cpio");
    archive.write(&ramdisk)?;
    let spec = MachineSpec {
        name: "plain".into(),
        memory_mib: 4096,
        dom0_memory_mib: 1024,
        xen: parts.xen.clone(),
        xen_cmdline: vec![],
        kernel: parts.kernel.clone(),
        kernel_cmdline: vec![],
        modules: vec![ramdisk],
        tpm: true,
    };
    let mut machine = spec.start(&work)?;
    machine.serial.echo();
    machine
        .serial
        .wait_for("control: done", Duration::from_secs(180))?;
    let status = machine.wait_exit(Duration::from_secs(200))?;
    eprintln!("{status}");
    Ok(())
}
