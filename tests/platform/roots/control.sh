# SPDX-License-Identifier: Apache-2.0 OR MIT
# shellcheck shell=dash
# What the control domain's init and the steps of a test have in common.
# Everything said here goes to the serial port and is read by the harness, so
# each kind of line begins with a word of its own.

PATH=/bin:/sbin:/usr/bin:/usr/sbin:/usr/lib/xen-4.17/bin
export PATH

# Terminals end their lines with it.
cr=$(printf '\r')

# Mounts $3 of type $2 on $4 unless something is mounted there.
mount_missing() {
    grep -q " $4 " /proc/mounts && return 0
    mkdir -p "$4" && mount -t "$2" -o "$1" "$3" "$4"
}

# The running domains' ids, domain 0 left out.
# A domain without a console, as the xenstore domain, is left out too.
domids() {
    for id in $(xenstore-list /local/domain | grep -v '^0$' | sort -n); do
        xenstore-read "/local/domain/$id/console/tty" >/dev/null 2>&1 && echo "$id"
    done
}

# Shows a domain's console on the serial port, and keeps it for the steps. It
# holds on to nothing of the step that started it.
follow_console() {
    [ -e "/tmp/console-$1.log" ] && return 0
    tty=$(xenstore-read "/local/domain/$1/console/tty") || return 1
    : >"/tmp/console-$1.log"
    while read -r line; do
        line=${line%"$cr"}
        echo "$line" >>"/tmp/console-$1.log"
        echo "console $1: $line"
    done <"$tty" >>"${SERIAL:-/dev/console}" 2>&1 &
}

# Runs the steps of the test, one after another.
run_steps() {
    for dir in /steps/*; do
        [ -e "$dir/run" ] || continue
        step=${dir##*/}
        step=${step#*-}
        echo "STEP $step begins $(uptime_seconds)"
        ( cd "$dir" && sh -c '. /lib/control.sh && . ./run' 2>&1; echo $? >/tmp/exit ) |
            while read -r line; do echo "step $step: $line"; done
        echo "STEP $step exit=$(cat /tmp/exit) $(uptime_seconds)"
    done
}

# Waits until domain $1 has printed $2 more heartbeats, at most $3 seconds.
await_heartbeats() {
    follow_console "$1" || return 1
    first=$(grep -c ^heartbeat "/tmp/console-$1.log")
    waited=0
    while [ $(($(grep -c ^heartbeat "/tmp/console-$1.log") - first)) -lt "$2" ]; do
        [ "$waited" -ge "$3" ] && { echo "no heartbeat of domain $1 within $3 s"; return 1; }
        sleep 1
        waited=$((waited + 1))
    done
}

# Seconds since this kernel started.
uptime_seconds() { read -r up _ </proc/uptime && echo "$up"; }

# Says what domb's report says and which domains there are, for the harness.
tell() {
    [ -e "$1" ] && sed 's/^/report: /' "$1"
    xl list | sed 's/^/xl list: /'
}

# The processes of that name.
pids_of() { grep -lx "$1" /proc/[0-9]*/comm | cut -d / -f 3; }

# Says what the TPM holds.
tell_pcrs() {
    for bank in /sys/class/tpm/tpm0/pcr-*; do
        for pcr in 8 9 10 11 12 13 14 15; do
            [ -r "$bank/$pcr" ] && echo "control: pcr ${bank##*/pcr-} $pcr $(cat "$bank/$pcr")"
        done
    done
}

# Launches ./launch.toml from domain 0, says what came of it; the status is domb's.
launch() {
    rm -f report.json
    domb launch --report report.json --event-log eventlog "$@" launch.toml
    status=$?
    tell report.json
    return $status
}

# Destroys these domains and forgets their consoles.
destroy() {
    for domid in "$@"; do
        xl destroy "$domid" && rm -f "/tmp/console-$domid.log"
    done
}
