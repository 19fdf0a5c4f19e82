#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# shellcheck shell=dash
# Init of the control domain under test: makes what is missing (nothing, when
# domb has handed over; everything, when this is the first init), says what it
# finds, runs the steps of the test one after another, and switches off.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /var /bin /sbin /usr/bin /usr/sbin /root
/bin/busybox grep -q ' /proc ' /proc/mounts 2>/dev/null ||
    /bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
# shellcheck source=tests/platform/roots/control.sh
. /lib/control.sh

mount_missing rw sysfs sysfs /sys
mount_missing rw devtmpfs devtmpfs /dev
mount_missing gid=5,mode=620 devpts devpts /dev/pts
mount_missing mode=755 tmpfs tmpfs /run
[ -e /var/run ] || ln -s /run /var/run
mkdir -p /var/lib/xen /var/log/xen /run/xen /run/xenstored

echo "control: up $(uptime_seconds) pid $$ was $(tr '\0' ' ' </proc/1/cmdline)"

if ! [ -e /run/xenstored/socket ]; then
    echo "control: starts xenstored and xenconsoled itself"
    for module in /lib/modules/*.ko; do
        insmod "$module" || echo "control: insmod $module failed"
    done
    mkdir -p /proc/xen && mount -t xenfs xenfs /proc/xen
    xenstored --pid-file /run/xenstore.pid
    tries=0
    until xenstore-list / >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -gt 60 ] && { echo "control: xenstored does not answer"; poweroff -f; }
        sleep 1
    done
    xen-init-dom0
    xenconsoled --pid-file=/run/xenconsoled.pid
fi

tell_pcrs
for process in /proc/[0-9]*; do
    exe=$(readlink "$process/exe") && echo "control: process ${process##*/} $exe"
done
tell /run/domb/report.json
for domid in $(domids); do follow_console "$domid"; done
for domid in $(domids); do await_heartbeats "$domid" 3 120; done

# The platform rests while the steps run: they get the CPUs, and QEMU's SVM
# has no chance to upset an idling PVH domain.
first=$(domids)
for domid in $first; do xl pause "$domid"; done
run_steps
for domid in $first; do xl unpause "$domid"; done
for domid in $(domids); do await_heartbeats "$domid" 3 120; done
xl list | sed 's/^/control: finally: /'
echo "control: done $(uptime_seconds)"
sync
poweroff -f
