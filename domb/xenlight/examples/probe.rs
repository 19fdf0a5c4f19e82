// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Walks through this crate on a real platform: run it in a domain 0 with
//! xenstored and xenconsoled. `probe PV-KERNEL-ELF PVH-KERNEL-ELF RAMDISK`.
//! It creates domains at 7, 8, 9 and destroys all it created; each line says
//! what was tried and what came of it. It ends with `probe: ok` or panics.

#![allow(
    unused_crate_dependencies,
    clippy::panic,
    reason = "an example, for a person to read"
)]

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use xenlight::{ConsoleMark, Context, DomainConfig, Level, Logger, RunState, Store};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == ["child"] {
        return Ok(());
    }
    let [pv_kernel, pvh_kernel, ramdisk] = args.as_slice() else {
        return Err("usage: probe PV-KERNEL-ELF PVH-KERNEL-ELF RAMDISK".into());
    };
    let start = Instant::now();
    let say = |text: String| println!("probe {:6.2}s {text}", start.elapsed().as_secs_f32());

    // What libxl wants to find of domain 0 and its CPU pool.
    let store = Store::open()?;
    for (node, value) in [
        ("/local/domain/0/domid", "0"),
        ("/local/domain/0/name", "Domain-0"),
        ("/local/pool/0/name", "Pool-0"),
    ] {
        store.write(node, value.as_bytes())?;
    }
    drop(store);

    // It ends while libxl has a SIGCHLD handler, and is waited for afterwards.
    let mut child = Command::new("/proc/self/exe").arg("child").spawn()?;

    let log = File::from(memfd_create("libxl-log", MemfdFlags::CLOEXEC)?);
    let context = Context::open(Logger::new(log.try_clone()?, Level::Debug)?)?;
    let version = context.check_version()?;
    say(format!(
        "Xen {version}, built against {:?}, command line {:?}",
        xenlight::BUILT_AGAINST,
        version.commandline
    ));
    say(format!(
        "{:?}, Flask {:?}",
        context.platform()?,
        context.flask()?
    ));
    say(format!(
        "Xen's console: {} bytes",
        context.xen_console(&mut ConsoleMark::default())?.len()
    ));
    say(format!(
        "store: {:?}",
        context.store().list("/local/domain")?
    ));

    let pv = sealed(&fs::read(pv_kernel)?)?;
    let pvh = sealed(&fs::read(pvh_kernel)?)?;
    let ramdisk = sealed(&fs::read(ramdisk)?)?;
    let broken = sealed(b"this is not a kernel")?;

    let refused =
        DomainConfig::from_json(&context, "{ no json").expect_err("malformed JSON is refused");
    say(format!("malformed configuration: {refused}"));
    let refused = DomainConfig::from_json(
        &context,
        r#"{"b_info": {"max_vcpus": "many", "max_vcpu": 2}}"#,
    )
    .expect_err("a wrong type is refused");
    say(format!("ignored: {refused}"));

    let config = |name: &str, domid: u16, kind: &str, kernel: &File| {
        DomainConfig::from_json(&context, &json(name, domid, kind, kernel, &ramdisk))
    };
    let first = context.create_paused(config("net", 7, "pv", &pv)?)?;
    say(format!("PV created: {:?}", context.domain(7)?));
    assert_eq!(
        context.domain(7)?.map(|domain| domain.state),
        Some(RunState::Paused)
    );
    say(format!("configuration: {}", first.config_json()?));
    say(format!(
        "name {:?}, tty {:?}",
        context.domain_name(7),
        context.console_tty(7)?
    ));

    let in_use = context
        .create_paused(config("other", 7, "pv", &pv)?)
        .expect_err("7 is in use");
    say(format!("in use: {in_use}"));
    assert!(
        context.domain(7)?.is_some(),
        "the domain that was there is still there"
    );

    let bad = context
        .create_paused(config("broken", 8, "pv", &broken)?)
        .expect_err("no kernel");
    say(format!("broken kernel: {bad}"));
    wait_until_gone(&context, 8)?;
    context.forget_recent_domids()?;
    let huge = json("huge", 8, "pv", &pv, &ramdisk).replace("131072", "67108864");
    let huge = context
        .create_paused(DomainConfig::from_json(&context, &huge)?)
        .expect_err("the machine has no 64 GiB");
    say(format!("too much memory: {huge}"));
    wait_until_gone(&context, 8)?;
    let again = context
        .create_paused(config("again", 8, "pv", &pv)?)
        .expect_err("8 was used a moment ago");
    say(format!("recent domid: {again}"));
    context.forget_recent_domids()?;
    let dropped = context.create_paused(config("again", 8, "pv", &pv)?)?;
    say("after forgetting recent domids: created".to_owned());
    drop(dropped);
    wait_until_gone(&context, 8)?;
    say(format!(
        "after drop: {:?}",
        context.store().read_text("/local/domain/8/name")?
    ));

    let hvm = context.create_paused(config("disk", 9, "pvh", &pvh)?)?;
    say(format!("PVH created: {:?}", context.domain(9)?));

    let domid = first.unpause()?;
    let second = hvm.unpause()?;
    thread::sleep(Duration::from_secs(10));
    for domain in context.domains()? {
        say(format!("{:?}", domain));
    }
    context.destroy(domid)?;
    context.destroy(second)?;
    wait_until_gone(&context, domid)?;
    wait_until_gone(&context, second)?;
    say(format!(
        "destroyed; now {:?}",
        context
            .domains()?
            .iter()
            .map(|domain| domain.domid)
            .collect::<Vec<_>>()
    ));
    say(format!(
        "not there: {}",
        context.destroy(7).expect_err("7 is gone")
    ));

    context.store().write("/tool/domb/probe", b"x")?;
    assert_eq!(
        context.store().read("/tool/domb/probe")?,
        Some(b"x".to_vec())
    );
    context.store().remove("/tool/domb")?;
    context.store().remove("/tool/domb")?;
    assert_eq!(context.store().read("/tool/domb/probe")?, None);

    assert!(child.wait()?.success(), "libxl reaped none of our children");
    let threads = || fs::read_dir("/proc/self/task").map(Iterator::count);
    say(format!("{} threads", threads()?));

    drop(context);
    say(format!("context freed, {} threads", threads()?));
    assert_eq!(
        threads()?,
        1,
        "libxenstore's readers were cancelled and joined"
    );
    for _ in 0..50 {
        let logger = Logger::new(log.try_clone()?, Level::Error)?;
        let domains = Context::open(logger)?.domains()?;
        assert_eq!(domains.first().map(|domain| domain.domid), Some(0));
    }
    say(format!(
        "fifty more contexts, {} descriptors",
        fs::read_dir("/proc/self/fd")?.count()
    ));
    println!("probe: ok");
    Ok(())
}

/// A destroyed domain is listed as dying until the last page that others
/// mapped of it is back; xenconsoled maps one.
fn wait_until_gone(context: &Context, domid: u16) -> Outcome<()> {
    let start = Instant::now();
    while let Some(domain) = context.domain(domid)? {
        if domain.state != RunState::Dying || start.elapsed() > Duration::from_secs(10) {
            return Err(format!("domain {domid} is not gone: {domain:?}").into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn sealed(bytes: &[u8]) -> Outcome<File> {
    let mut file = File::from(memfd_create(
        "artefact",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?);
    file.write_all(bytes)?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file)
}

fn json(name: &str, domid: u16, kind: &str, kernel: &File, ramdisk: &File) -> String {
    let union = format!("type.{kind}");
    serde_json::json!({
        "c_info": {
            "type": kind, "name": name, "domid": domid,
            "uuid": format!("00000000-0000-4000-8000-{domid:012x}"),
        },
        "b_info": {
            "max_vcpus": 1, "avail_vcpus": [0],
            "max_memkb": 128 * 1024, "target_memkb": 128 * 1024,
            "kernel": format!("/proc/self/fd/{}", kernel.as_raw_fd()),
            "ramdisk": format!("/proc/self/fd/{}", ramdisk.as_raw_fd()),
            "cmdline": format!("console=hvc0 name={name}"),
            union: {},
        },
    })
    .to_string()
}
