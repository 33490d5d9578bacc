#!/bin/sh
# Process 1 of the guest: mounts what a machine has, runs one scenario, and powers off.
#   ttyS0  the kernel's console
#   ttyS1  what the scenario prints
#   ttyS2  its results, one JSON line each, and at last {"exit":STATUS}
export PATH=/bin:/sbin:/usr/sbin HOME=/root

# The initial root cannot be pivoted away from, as container runtimes do: move to a root that can.
if [ "$1" != moved ]; then
    mkdir /newroot
    mount -t tmpfs -o mode=755,size=75% root /newroot
    for entry in /*; do
        case $entry in /newroot | /dev) ;; *) cp -a "$entry" /newroot/ ;; esac
    done
    mkdir /newroot/dev
    exec switch_root /newroot /init moved
fi

mkdir -p /proc /sys /dev /run /tmp /data /root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
done
if [ -b /dev/nvme0n1 ]; then
    # A disk that was made outside, and outlives this machine.
    mount -t ext4 /dev/nvme0n1 /data
else
    # A disk in memory, so that files have a page cache that can be given back.
    insmod /modules/brd.ko rd_nr=1 rd_size=131072
    mke2fs -q /dev/ram0 > /dev/null
    mount -t ext4 /dev/ram0 /data
fi
ip link set lo up

set --
while IFS= read -r argument; do
    set -- "$@" "$argument"
done < /arguments
if [ "$1" = victim ]; then
    # A program that is to be cut short: what it says are the results.
    shift
    exec /programs/victim "$@" > /dev/ttyS2 2> /dev/ttyS1
fi
xtask "$@" > /dev/ttyS1 2>&1
echo "{\"exit\":$?}" > /dev/ttyS2
dmesg > /dev/ttyS0
poweroff -f
