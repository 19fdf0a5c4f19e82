#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# shellcheck shell=dash
# Init of a control domain that is not domain 0: brings up what a toolstack
# needs, takes over from the boot domain, says what it finds, runs the steps of
# the test, and ends with "control: done". It has no serial port: what it says
# goes through XenStore, in pieces, to the hardware domain, which prints it; or
# it is the hardware domain itself.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /var/lib/xen /var/log/xen /bin /sbin /usr/bin /usr/sbin /root
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
# shellcheck source=tests/platform/roots/control.sh
. /lib/control.sh

mount_missing rw sysfs sysfs /sys
mount_missing rw devtmpfs devtmpfs /dev
mount_missing gid=5,mode=620 devpts devpts /dev/pts
mount_missing mode=755 tmpfs tmpfs /run
[ -e /var/run ] || ln -s /run /var/run
mkdir -p /run/xen /run/xenstored /run/lock
[ -e /var/lock ] || ln -s /run/lock /var/lock
for module in /lib/modules/*.ko; do
    case $module in
    *privcmd*) insmod "$module" unrestricted=1 ;;
    *) insmod "$module" ;;
    esac || echo "control: insmod $module failed"
done
mkdir -p /proc/xen && mount -t xenfs xenfs /proc/xen
# libxenstore waits for a socket that is not there.
ln -s /dev/xen/xenbus /run/xenstored/socket

# Sends the lines of /run/said as they come, a few in each node.
relay() {
    sent=0
    node=0
    while :; do
        have=$(wc -l </run/said)
        if [ "$have" -gt "$sent" ]; then
            to=$((sent + 12))
            [ "$to" -gt "$have" ] && to=$have
            node=$((node + 1))
            xenstore-write /tool/said/$node "$(sed -n "$((sent + 1)),${to}p" /run/said)"
            sent=$to
        else
            sleep 1
        fi
    done
}

if [ -e /lib/hardware.sh ]; then
    # shellcheck source=tests/platform/roots/hardware.sh
    . /lib/hardware.sh
    drive
else
    xenstore-write /tool/said ""
    xenstore-chmod /tool/said b0
    SERIAL=/run/said
    : >$SERIAL
    relay >/dev/null 2>&1 &
    exec >>$SERIAL 2>&1
fi

xenconsoled --log=none --pid-file=/run/xenconsoled.pid
domb adopt >/tmp/adopt 2>&1
status=$?
sed 's/^/adopt: /' /tmp/adopt
echo "control: up $(uptime_seconds) adopt=$status"
domb adopt 2>&1 | sed 's/^/adopt again: /'
tell /var/lib/domb/report.json
xl list -Z | sed 's/^/xl label: /'
guests=$(cat /lib/guests)
for domid in $guests; do follow_console "$domid"; done
for domid in $guests; do await_heartbeats "$domid" 3 120; done
for domid in $guests; do grep -h '^control: pcr' "/tmp/console-$domid.log"; done
run_steps
for domid in $guests; do await_heartbeats "$domid" 3 120; done
xl list | sed 's/^/control: finally: /'
echo "control: done $(uptime_seconds)"
[ -e /lib/hardware.sh ] && poweroff -f
while :; do sleep 1000; done
