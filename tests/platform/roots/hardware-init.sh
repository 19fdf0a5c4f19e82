#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# shellcheck shell=dash
# Init of a hardware domain that is nothing else: drives its devices, prints
# what the control domain says, and at its end does what /lib/end says.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /var /bin /sbin /usr/bin /usr/sbin
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
XENSTORED_PATH=/dev/xen/xenbus
export XENSTORED_PATH
# shellcheck source=tests/platform/roots/hardware.sh
. /lib/hardware.sh
drive
# A hardware domain that was given a probe tries what its label must not allow.
if [ -e /bin/probe ]; then
    insmod /lib/xen-privcmd.ko unrestricted=1 || echo "hardware: no privcmd"
    while read -r words; do
        # shellcheck disable=SC2086
        probe $words | sed 's/^/hardware: /'
    done </lib/probes
fi
node=1
while :; do
    if said=$(xenstore-read -R /tool/said/$node 2>/dev/null); then
        node=$((node + 1))
        echo "$said"
        case $said in
        *"control: done"*) sh /lib/end ;;
        esac
    else
        sleep 1
    fi
done
