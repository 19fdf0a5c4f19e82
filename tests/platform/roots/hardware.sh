# SPDX-License-Identifier: Apache-2.0 OR MIT
# shellcheck shell=dash
# What a hardware domain shows of its devices: the disk by what stands in its
# first sector, the network by an answer, the TPM by its PCRs.

drive() {
    while read -r module; do
        insmod "/lib/hardware/$module" 2>/dev/null
    done </lib/hardware/order
    for device in /sys/bus/pci/devices/*; do
        driver=$(readlink "$device/driver")
        echo "hardware: pci ${device##*/} $(cat "$device/vendor") $(cat "$device/device") ${driver##*/}"
    done
    waited=0
    until [ -b /dev/sda ] || [ "$waited" -ge 60 ]; do
        sleep 1
        waited=$((waited + 1))
    done
    echo "hardware: sector $(dd if=/dev/sda bs=512 count=1 2>/dev/null | head -n 1)"
    ifconfig eth0 10.0.2.15 up
    waited=0
    until ping -c 1 -W 10 10.0.2.2 >/tmp/answer || [ "$waited" -ge 20 ]; do
        sleep 1
        waited=$((waited + 1))
    done
    sed 's/^/hardware: /' /tmp/answer
    # probe=ADDRESS,...: what it reads there; ports=PORT,...: the same of ports.
    : "${probe:=}" "${ports:=}"
    for address in $(echo "$probe" | tr , ' '); do
        echo "hardware: page $address $(devmem "$address" 32 2>&1)"
    done
    for port in $(echo "$ports" | tr , ' '); do
        echo "hardware: port $port $(dd if=/dev/port bs=1 skip=$((port)) count=1 2>/dev/null | od -An -tx1)"
    done
    grep -c xen-pirq /proc/interrupts | sed 's/^/hardware: pirqs /'
    for bank in /sys/class/tpm/tpm0/pcr-*; do
        [ -r "$bank/13" ] && echo "control: pcr ${bank##*/pcr-} 13 $(cat "$bank/13")"
    done
    echo "hardware: up $(cut -d' ' -f1 /proc/uptime)"
}
