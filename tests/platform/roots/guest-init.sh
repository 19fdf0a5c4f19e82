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
read -r up _ </proc/uptime
/bin/busybox adjtimex | while read -r key value; do
    case $key in
    time.tv_sec:) seconds=$value ;;
    time.tv_usec:) echo "alive $name uptime $up clock $seconds.$(printf %06d "$value")" ;;
    esac
done
# probe=ADDRESS: what this domain reads there, of the machine.
if [ -n "$probe" ]; then
    value=$(/bin/busybox devmem "$probe" 32 2>/dev/null) &&
        echo "probe $name read $value" || echo "probe $name could not"
fi
# A guest that was given a probe tries what its label must not allow.
if [ -e /bin/probe ]; then
    /bin/busybox insmod /lib/xen-privcmd.ko unrestricted=1 || echo "probe: no privcmd"
    for what in map grant; do /bin/probe $what 7; done
fi
n=0
while :; do
    n=$((n + 1))
    echo "heartbeat $name $n"
    count
    # shellcheck disable=SC3045
    read -r -t 1 _ <&4
done
