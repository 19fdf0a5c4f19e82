// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Domain 0 becomes a Debian 12 with systemd, made from Debian's packages
//! alone (`scripts/build-debian-root`): its own `xen` service, its own `xl`, the
//! daemons of the boot domain, and its own way to switch the machine off.

use std::fs;
use std::process::Command;

use super::{domain_from, ensure, example, role_sets, same_domains};
use crate::bench::Bench;
use crate::boot::{Boot, Case, End};
use crate::departed;
use crate::error::{Error, Result};
use crate::host;
use crate::machine::{MachineSpec, Tpm};
use crate::outcome::Outcome;
use crate::root::{self, Step};

const DOMAINS: [(&str, u16); 2] = [("net", 7), ("web", 8)];

/// The role set with Debian as its domain 0, and a second domain.
#[must_use]
pub fn boot() -> Boot {
    Boot {
        name: "debian-root",
        prepare,
        end: End::PowerOff,
        cases: vec![
            Case::of_boot("debian-is-domain-0-and-xl-sees-every-domain", stand),
            Case::of_boot("the-pcr-is-what-domb-predicted", example::predicted),
            Case::of_step(
                "debians-xen-service-recognises-the-daemons",
                |_| Ok(Step::new("service", SERVICE)),
                recognised,
            ),
            Case::of_step(
                "xenstored-is-updated-live-while-guests-count",
                |_| Ok(Step::new("live-update", LIVE_UPDATE)),
                |_, outcome| passed(outcome, "live-update"),
            ),
            Case::of_step(
                "xl-creates-shows-and-shuts-down-a-guest-after-that",
                |_| Ok(Step::new("guest", GUEST).with("new.cfg", NEW)),
                |_, outcome| passed(outcome, "guest"),
            ),
            Case::of_boot("debian-ends-domains-first-and-xenstored-last", ended),
        ],
    }
}

fn prepare(bench: &Bench, name: &str, steps: &[Step]) -> Result<MachineSpec> {
    let parts = bench.work.join("debian-root-parts");
    fs::create_dir_all(&parts).map_err(Error::file("create", &parts))?;
    let base = host::run(&mut Command::new(
        host::repository().join("scripts/build-debian-root"),
    ))?;
    let set = host::repository().join("xen-config/roles/classic-extended");
    let read = |file: &str| {
        let path = set.join(file);
        fs::read_to_string(&path).map_err(Error::file("read", &path))
    };
    let mut additions = root::debian_additions(steps);
    additions
        .copy(&bench.domb, "usr/sbin/domb", 0o755)?
        .copy(&bench.parts.kernel, "share/vmlinuz", 0o644)?
        .copy(&bench.ramdisk, "share/heartbeat.cpio", 0o644)?
        .file("usr/local/sbin/xl-reap", 0o755, read("xl-reap")?)
        .file("etc/default/xendomains", 0o644, XENDOMAINS);
    root::service(&mut additions, "xl-reap", &read("xl-reap.service")?);
    let (control, guest) = (parts.join("control.cpio"), parts.join("counts.cpio"));
    additions.write_onto(base.trim_end().as_ref(), &control)?;
    departed::guest_root()?.write(&guest)?;
    let files = [control.as_path(), guest.as_path()];
    let change = |text: String| {
        let web = "memory = \"96M\"\nafter = [\"net\"]";
        let web = domain_from("web", 8, "vmlinuz", "counts.cpio", web);
        text.replace("guest.cpio", "counts.cpio") + &web
    };
    let mut machine =
        role_sets::prepare_as(bench, name, "roles/classic-extended", None, &files, change)?;
    // A root of this size is hashed for each bank, slowly under emulation.
    machine.tpm = Tpm::Banks("sha256");
    let quiet = "systemd.show_status=no".to_owned();
    machine.kernel_cmdline.push(quiet);
    Ok(machine)
}

fn stand(_: &Bench, outcome: &Outcome) -> Result<()> {
    let up = outcome.find(&["control: up", "pid 1 is /usr/lib/systemd/systemd"])?;
    same_domains(outcome.domains.iter(), &DOMAINS)?;
    same_domains(outcome.finally.iter(), &DOMAINS)?;
    for (name, domid) in DOMAINS {
        let beats = outcome.heartbeats(domid, name, up.at);
        ensure(beats >= 3, || format!("{beats} heartbeats of {name}"))?;
    }
    Ok(())
}

/// Nothing was started a second time, and the processes are domb's.
fn recognised(_: &Bench, outcome: &Outcome) -> Result<()> {
    passed(outcome, "service")?;
    let step = outcome.step("service")?;
    let line = &outcome.find(&["domb: boot", "xenstored (pid "])?.text;
    let started = |daemon: &str| {
        let rest = line.split_once(&format!("{daemon} (pid "));
        let pid = rest.and_then(|(_, rest)| rest.split_once(')'));
        pid.map(|(pid, _)| pid.to_owned())
            .ok_or_else(|| Error::Untrue(line.clone()))
    };
    for daemon in ["xenstored", "xenconsoled"] {
        let pid = started(daemon)?;
        step.find(&[&format!("{daemon} runs as {pid}.")])?;
        step.find(&[&format!("{daemon} by its pid file {pid}.")])?;
    }
    Ok(())
}

/// When every service has been stopped, the domains are gone and XenStore still answers.
/// Debian has ended its xenconsoled by then; systemd spares a xenstored that was not
/// updated live, and so became one of its own processes.
fn ended(_: &Bench, outcome: &Outcome) -> Result<()> {
    let done = outcome.find(&["control: done"])?.at;
    let last = outcome.find(&["control: last: Domain-0"])?.at;
    let end = outcome.find(&["control: end: process 1 "])?.at;
    ensure(done <= last && last <= end, || "out of order".to_owned())?;
    for (name, _) in DOMAINS {
        let left = outcome.find(&["control: last: ", name]);
        ensure(left.is_err(), || format!("{name} was not shut down"))?;
    }
    let spared = outcome.find(&["control: end: process ", "/bin/xenstored (deleted)"]);
    ensure(
        spared.is_ok() != outcome.step("live-update").is_ok(),
        || "systemd ended xenstored, or did not".to_owned(),
    )
}

fn passed(outcome: &Outcome, step: &str) -> Result<()> {
    let step = outcome.step(step)?;
    ensure(step.exit == Some(0), || step.lines.join("\n"))
}

const XENDOMAINS: &str = "XENDOMAINS_SAVE=
XENDOMAINS_AUTO=/etc/xen/auto
XENDOMAINS_STOP_MAXWAIT=120
";

/// `SYSTEMCTL_SKIP_REDIRECT`: the script itself, not systemd's unit of it.
const SERVICE: &str = r#"
systemctl is-system-running --wait
systemctl --failed --no-legend --plain
systemctl status --no-pager xen.service || exit 1
SYSTEMCTL_SKIP_REDIRECT=1 /etc/init.d/xen start || exit 2
systemctl is-active xendomains xl-reap || exit 3
for name in xenstored xenconsoled; do
    echo "$name runs as $(pids_of $name)."
    echo "$name by its pid file $(cat /run/xen/$name.pid)."
done
[ -z "$(pids_of oxenstored)" ] || exit 4
cmp /run/xenstore.pid /run/xen/xenstored.pid || exit 5
cmp /run/xenconsoled.pid /run/xen/xenconsoled.pid || exit 6
for name in xenstored xenconsoled; do
    pid=$(cat /run/xen/$name.pid)
    tr '\0' ' ' <"/proc/$pid/cmdline"
    cat "/proc/$pid/cgroup"
    grep -q "^@$name" "/proc/$pid/cmdline" || exit 7
done
xenstore-ls /tool
domb report || exit 8
ls -l /var/lib/xen
"#;

const LIVE_UPDATE: &str = r#"
pid=$(cat /run/xenstore.pid)
echo "xenstored was $(readlink "/proc/$pid/exe")"
xenstore-watch /local/domain/7/data/beat >/tmp/watch &
watch=$!
sleep 3
before=$(xenstore-read /local/domain/7/data/beat) || exit 1
xenstore-control live-update /usr/lib/xen-4.17/bin/xenstored || exit 2
echo "xenstored is $(readlink "/proc/$pid/exe"), pid $(cat /run/xenstore.pid)"
[ "$(readlink "/proc/$pid/exe")" = /usr/lib/xen-4.17/bin/xenstored ] || exit 3
[ "$(cat /run/xenstore.pid)" = "$pid" ] || exit 4
seen=$(wc -l </tmp/watch)
for domid in 7 8; do await_heartbeats $domid 3 120 || exit 5; done
after=$(xenstore-read /local/domain/7/data/beat) || exit 6
echo "net counted from $before to $after, watch fired $seen then $(wc -l </tmp/watch) times"
[ "$after" -gt "$before" ] || exit 7
[ "$(wc -l </tmp/watch)" -gt "$seen" ] || exit 8
kill $watch
SYSTEMCTL_SKIP_REDIRECT=1 /etc/init.d/xen start || exit 9
[ "$(pids_of xenstored)" = "$pid" ] || exit 10
"#;

const NEW: &str = r#"name = "new"
type = "pv"
kernel = "/share/vmlinuz"
ramdisk = "/share/heartbeat.cpio"
extra = "console=hvc0 quiet heartbeat=new"
memory = 96
"#;

/// The guest is heard through `xl console`, obeys, and is gone.
const GUEST: &str = r#"
xl create new.cfg || exit 1
domid=$(xl domid new) || exit 2
(sleep 300 | xl console new) >/tmp/new 2>/dev/null &
waited=0
until grep -q 'heartbeat new' /tmp/new; do
    [ $waited -ge 120 ] && exit 3
    sleep 1
    waited=$((waited + 1))
done
xl shutdown new || exit 4
while xl list new 2>/dev/null; do
    [ $waited -ge 300 ] && exit 5
    sleep 1
    waited=$((waited + 1))
done
xenstore-list /local/domain | grep -x "$domid" && exit 6
exit 0
"#;
