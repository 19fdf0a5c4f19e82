// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Guests that the control domain creates when the boot domain has gone.

use super::departure::passed;
use super::powers;
use crate::boot::Case;
use crate::root::Step;

/// One that writes 400 kB while nobody reads its console, and is then shown and
/// shut down.
pub fn pv() -> Case {
    Case::of_step(
        "a-new-pv-guest-floods-its-console-is-shown-and-shuts-down",
        |_| Ok(step("pv", PV).with("pv.cfg", new("pv", 96, " flood=400000"))),
        |_, outcome| passed(outcome, "pv"),
    )
}

/// The same, which before it beats tries to reach domain 7.
pub fn probing_pv() -> Case {
    Case::of_step(
        "a-new-pv-guest-floods-its-console-is-shown-and-shuts-down",
        |bench| {
            let config = new("pv", 96, " flood=400000").replace(HEARTBEAT, "prober.cpio");
            let step = step("pv", PV).with("pv.cfg", config);
            Ok(step.with("prober.cpio", powers::prober(bench)?))
        },
        |_, outcome| passed(outcome, "pv"),
    )
}

/// One that is created, shown and destroyed.
pub fn pvh() -> Case {
    Case::of_step(
        "a-new-pvh-guest-is-created-shown-and-destroyed",
        |_| Ok(step("pvh", PVH).with("pvh.cfg", new("pvh", 256, ""))),
        |_, outcome| passed(outcome, "pvh"),
    )
}

/// `xl`'s configuration of a guest that is created after the departure.
fn new(kind: &str, memory: u32, words: &str) -> String {
    format!(
        r#"name = "new-{kind}"
type = "{kind}"
kernel = "/share/vmlinuz"
ramdisk = "{HEARTBEAT}"
extra = "console=hvc0 quiet heartbeat=new-{kind}{words}"
memory = {memory}
seclabel = "system_u:system_r:guest_t"
"#
    )
}

const HEARTBEAT: &str = "/share/heartbeat.cpio";

/// A step that has what the steps about new guests have in common.
fn step(name: &str, script: &str) -> Step {
    Step::new(name, [NEW, script].concat())
}

/// `create KIND` creates a guest that `xl list` shows with its label; `beats
/// KIND` sees its heart beat on `xl console`; `gone` says that nothing of it
/// is left.
const NEW: &str = r#"
create() {
    xl create "$1.cfg" || return 1
    domid=$(xl domid "new-$1") || return 1
    xl list -Z | grep "new-$1 " | grep guest_t
}
beats() {
    (sleep 600 | xl console "new-$1") >"/tmp/new-$1" 2>/dev/null &
    waited=0
    until grep -q "heartbeat new-$1" "/tmp/new-$1"; do
        [ $waited -ge "$2" ] && return 1
        xl list "$domid" >/dev/null 2>&1 || return 1
        sleep 1
        waited=$((waited + 1))
    done
}
gone() {
    waited=0
    until [ -z "$(xenstore-list /local/domain | grep -x "$domid")" ]; do
        [ $waited -ge 120 ] && return 1
        sleep 1
        waited=$((waited + 1))
    done
    ! xl list "$domid" 2>/dev/null
}
"#;

/// Nobody looks at its console when it is flooded.
const PV: &str = "
create pv || exit 1
waited=0
until [ \"$(xenstore-read /local/domain/$domid/data/flooded)\" = 400000 ]; do
    [ $waited -ge 240 ] && exit 2
    sleep 1
    waited=$((waited + 1))
done 2>/dev/null
echo \"400000 bytes written after $waited s\"
beats pv 120 || exit 3
tr -d '\\r' </tmp/new-pv | grep '^probe: '
xl shutdown -w \"$domid\" || exit 4
gone || exit 5
";

/// The emulator may lose a PVH domain: a second one must do.
const PVH: &str = "
create pvh || exit 1
if ! beats pvh 120; then
    echo 'no heartbeat: once more'
    xl destroy \"$domid\"
    gone || exit 2
    create pvh || exit 3
    beats pvh 240 || exit 4
fi
xl destroy \"$domid\" || exit 5
gone || exit 6
";
