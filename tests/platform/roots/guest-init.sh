#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# shellcheck shell=dash
# Init of a domain under test: says once a second that it is alive. Its name
# comes from the kernel command line (heartbeat=NAME), which Linux passes on
# as an environment variable.
/bin/busybox mkdir -p /proc /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devtmpfs /dev 2>/dev/null
name=${heartbeat:-unnamed}
# Says what happens to this domain, and when by Xen's clock.
say() {
    /bin/busybox adjtimex | while read -r key value; do
        case $key in
        time.tv_sec:) seconds=$value ;;
        time.tv_usec:) echo "$1 clock $seconds.$(printf %06d "$value")" ;;
        esac
    done
}
read -r up _ </proc/uptime
say "alive $name uptime $up"
# A message to XenStore (xen/include/public/io/xs_wire.h): type $1 in octal, node
# $2, value $3; prints what the answer holds.
xenstore() {
    length=$(printf %03o $((${#2} + 1 + ${#3})))
    # shellcheck disable=SC2059
    printf "\\$1\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\$length\\000\\000\\000%s\\000%s" "$2" "$3" >&3
    /bin/busybox dd bs=4096 count=1 <&3 2>/dev/null | /bin/busybox tail -c +17 | /bin/busybox tr -d '\000'
}
[ -z "$ready$tell$flood" ] || exec 3<>/dev/xen/xenbus
# tell=WHAT: this is a recovery domain. It reads why it is there; "off" then
# switches it off.
if [ -n "$tell" ]; then
    for node in exit_code phase domain cause; do
        echo "why $node: $(xenstore 002 "domb/$node")"
    done
    count=$(xenstore 002 domb/report/count)
    piece=0
    while [ "$piece" -lt "$count" ]; do
        xenstore 002 "domb/report/$(printf %04d "$piece")"
        piece=$((piece + 1))
    done >/report
    /bin/busybox grep -o '"outcome":"[a-z]*"' /report | /bin/busybox sed 's/^/why report: /'
    [ "$tell" = off ] && /bin/busybox poweroff -f
fi
# flood=BYTES: it writes so much to its console, and then that it has.
if [ -n "$flood" ]; then
    /bin/busybox yes "a line that nobody wants to read, and that has to go somewhere" |
        /bin/busybox head -c "$flood"
    echo "flooded $(xenstore 013 data/flooded "$flood")"
fi
# ready=N: with its Nth heartbeat this domain writes data/ready, from its attempt
# number ready_from on.
attempt=1
if [ -n "$ready" ]; then
    found=$(xenstore 002 domb/attempt)
    case $found in [0-9]*) attempt=$found ;; esac
    [ "$attempt" -ge "${ready_from:-1}" ] || ready=
fi
# probe=ADDRESS: what this domain reads there, of the machine.
if [ -n "$probe" ]; then
    value=$(/bin/busybox devmem "$probe" 32 2>/dev/null) &&
        echo "probe $name read $value" || echo "probe $name could not"
fi
# A guest with the driver for it waits for the PCI device it was given, and says
# what it reads of an e1000e: RAL0, the first half of its address.
if [ -e /lib/xen-pcifront.ko ]; then
    /bin/busybox mkdir -p /sys
    /bin/busybox mount -t sysfs sysfs /sys
    /bin/busybox insmod /lib/xen-pcifront.ko
    device=
    until [ -n "$device" ]; do
        for found in /sys/bus/pci/devices/*; do
            [ ! -e "$found/vendor" ] || device=$found
        done
        [ -n "$device" ] || /bin/busybox sleep 1
    done
    read -r vendor <"$device/vendor"
    read -r id <"$device/device"
    read -r bar _ <"$device/resource"
    echo 1 >"$device/enable"
    echo "pci $name has ${device##*/} $vendor $id"
    echo "pci $name reads $(/bin/busybox devmem $((bar + 0x5400)) 32)"
fi
# probe_port=PORT: whether there is a serial port at it. If so, it says a line.
if [ -n "$probe_port" ]; then
    port() { /bin/busybox dd of=/dev/port bs=1 seek="$1" conv=notrunc 2>/dev/null; }
    scratch=$((probe_port + 7))
    printf Z | port $scratch
    value=$(/bin/busybox dd if=/dev/port bs=1 skip=$scratch count=1 2>/dev/null)
    if [ "$value" = Z ]; then
        echo "probe $name has the port"
        text="this is $name"
        while [ -n "$text" ]; do
            rest=${text#?}
            printf %s "${text%"$rest"}" | port $((probe_port))
            text=$rest
        done
    else
        echo "probe $name has no port"
    fi
fi
# tell_pcr=N: what this domain finds in the TPM.
if [ -n "$tell_pcr" ]; then
    /bin/busybox mkdir -p /sys
    /bin/busybox mount -t sysfs sysfs /sys
    for bank in /sys/class/tpm/tpm0/pcr-*; do
        read -r value <"$bank/$tell_pcr" && echo "control: pcr ${bank##*/pcr-} $tell_pcr $value"
    done
fi
# A guest that was given a probe tries what its label must not allow, or whether
# it has an interrupt.
if [ -e /bin/probe ]; then
    /bin/busybox insmod /lib/xen-privcmd.ko unrestricted=1 || echo "probe: no privcmd"
    if [ -n "$probe_irq" ]; then
        /bin/probe irq "$probe_irq"
    else
        for what in map grant; do /bin/probe $what 7; done
    fi
fi
# Nothing is started from here on: a PVH domain under emulation lives the
# longer, the less it does. Nobody ever writes to this pipe.
/bin/busybox mkfifo /never
exec 4<>/never
# Counts the heartbeats in XenStore as well, if it is a guest that does: an
# XS_WRITE of data/beat (xen/io/xs_wire.h), whose answer nobody reads.
count() { :; }
read -r salt </etc/salt
if [ "$salt" = counts ]; then
    count() {
        case ${#n} in 1) length=013 ;; 2) length=014 ;; 3) length=015 ;; *) length=016 ;; esac
        header="\\013\\0\\0\\0\\001\\0\\0\\0\\0\\0\\0\\0\\$length\\0\\0\\0"
        # shellcheck disable=SC2059
        printf "${header}data/beat\\000$n" >/dev/xen/xenbus
    }
fi
n=0
while :; do
    n=$((n + 1))
    echo "heartbeat $name $n"
    if [ "$n" = "$ready" ]; then
        say "ready $name attempt $attempt $(xenstore 013 data/ready 1)"
    fi
    count
    # shellcheck disable=SC3045
    read -r -t 1 _ <&4
done
