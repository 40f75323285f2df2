#!/bin/busybox sh
# The first process of the guest that tests back up: it writes files to all its disks for ever, and has an agent.
# A file's name is NUMBER-SHA256. It appears when its content is durable, and before the file with the next number
# is begun on the other disk.
/bin/busybox mkdir -p /proc /sys /dev /run /var /mnt
/bin/busybox --install -s /bin
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
ln -s /run /var/run
exec </dev/console >/dev/console 2>&1
while read -r module; do insmod "/modules/$module.ko"; done </modules/order

for disk in vda sda; do
    until [ -b "/dev/$disk" ]; do sleep 0.1; done
    mkdir "/mnt/$disk"
    mount -t ext4 "/dev/$disk" "/mnt/$disk"
done
for port in /sys/class/virtio-ports/*; do
    if [ "$(cat "$port/name")" = org.qemu.guest_agent.0 ]; then
        qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /run -f /run/qemu-ga.pid -d
    fi
done

number=0
while :; do
    # Whoever wants to know what a disk is charged with has it stand still.
    while [ -e /run/pause ]; do
        touch /run/paused
        sleep 0.1
    done
    rm -f /run/paused
    for disk in vda sda; do
        number=$((number + 1))
        cd "/mnt/$disk" || exit 1
        dd if=/dev/urandom of=new bs=64k count=2 conv=fsync 2>/dev/null
        sum=$(sha256sum <new)
        mv new "$number-${sum%% *}"
        rm -f ./"$((number - 100))"-*
        sync
        [ "$((number % 20))" = 0 ] && echo "GUEST wrote $number"
    done
done
