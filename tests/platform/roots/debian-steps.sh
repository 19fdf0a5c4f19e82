#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# shellcheck shell=dash
# The service "steps" of the Debian root under test: says what it finds, runs the
# steps, and has systemd switch the machine off. With "last" as its argument: what
# there is when every service has been stopped; with "poweroff", as systemd calls it
# at the very end, which processes are left.
# shellcheck source=tests/platform/roots/control.sh
. /usr/lib/control.sh

processes() {
    for process in /proc/[0-9]*; do
        exe=$(readlink "$process/exe") && echo "$1 process ${process##*/} $exe"
    done
}

case ${1:-} in
last)
    xl list | sed 's/^/control: last: /'
    exit 0
    ;;
poweroff | reboot | halt | kexec)
    processes "control: end:" >/dev/console
    exit 0
    ;;
esac

echo "control: up $(uptime_seconds) pid 1 is $(readlink /proc/1/exe)"
tell_pcrs
tell /run/domb/report.json
for domid in $(domids); do follow_console "$domid"; done
for domid in $(domids); do await_heartbeats "$domid" 3 120; done
run_steps
for domid in $(domids); do await_heartbeats "$domid" 3 120; done
xl list | sed 's/^/control: finally: /'
echo "control: done $(uptime_seconds)"
systemctl poweroff
