#!/bin/busybox sh
# The first process of the guest that boots from its disk: it finds the root file system, and becomes what lies there as
# `sbin/init`. Without it, the kernel panics, as it does on any machine that has lost its first process.
/bin/busybox mkdir -p /proc /sys /dev /run /var /root
/bin/busybox --install -s /bin
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
ln -s /run /var/run
while read -r module; do insmod "/modules/$module.ko"; done </modules/order
until [ -b /dev/vda1 ]; do sleep 0.1; done
mount -t ext4 /dev/vda1 /root
exec /root/sbin/init
