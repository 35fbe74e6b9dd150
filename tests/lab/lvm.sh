# Snapshots of logical volumes, thick and thin, of xfs and ext4: taken, restored, mounted, run full, merged, removed.
. /lab/machine.sh
install -m 755 /lab/stillpoint /usr/bin/stillpoint

case $1 in
1)
    vgcreate -q vg /dev/vdc /dev/vdd
    lvcreate -q -y -n mail -L 400M vg
    lvcreate -q -y -n db -L 200M vg
    lvcreate -q -y -n pool -L 400M -T vg
    lvcreate -q -y -n thin -V 600M -T vg/pool
    mkfs.xfs -q /dev/vg/mail
    mkfs.ext4 -q /dev/vg/db
    mkfs.xfs -q /dev/vg/thin
    mkdir -p /srv/{mail,db,thin} /at
    for name in mail db thin; do
        mount /dev/vg/$name /srv/$name
    done
    write old /srv/{mail,db,thin}
    stillpoint create mail

    heading taken
    is /dev/vg/mail-a "$(take a --lvm vg/mail --size 40M)"
    take b --lvm vg/mail vg/db --size 40M
    take t --lvm vg/thin
    stillpoint list
    write new /srv/{mail,db,thin}
    sync

    heading restored
    for name in a b t; do stillpoint restore $name --to /root/$name; done
    is "old old old old" "$(cat /root/a/eve/letter /root/b/{mail,db}/eve/letter /root/t/eve/letter | xargs)"
    stillpoint restore a /srv/mail/eve --to /root/one
    stillpoint restore b /srv/db/eve/letter --to /root/two
    is "old old" "$(cat /root/one/eve/letter /root/two/db/eve/letter | xargs)"
    refused 66 "is not in the snapshot a" stillpoint restore a nowhere --to /root/three
    # Nothing was mounted for anybody else, and nothing is left of it.
    is "" "$(findmnt -no SOURCE | grep -E 'mail--|db--|thin--|stillpoint' || :)"
    is "" "$(find /tmp -name '*stillpoint*')"

    heading replaced
    refused 69 "something is mounted there" stillpoint restore --replace a
    stillpoint restore --replace a eve
    stillpoint restore --replace b /srv/db/eve
    is "old old" "$(cat /srv/mail/eve/letter /srv/db/eve/letter | xargs)"
    is "new new" "$(cat /srv/mail/eve.before-*/letter /srv/db/eve.before-*/letter | xargs)"
    umount /srv/mail
    refused 69 "vg/mail is mounted nowhere" stillpoint restore --replace a eve
    refused 64 "give a path inside the snapshot" stillpoint restore a /srv/mail/eve --to /root/three
    mount /dev/vg/mail /srv/mail

    heading mounted
    stays a /dev/vg/mail-a a2 --lvm vg/mail --size 80M
    stillpoint mount b /at
    findmnt -R /at
    is "old old" "$(cat /at/{db,mail}/eve/letter | xargs)"
    (cd /at/db && exec sleep 600) &
    happens "the reader" test "$(readlink /proc/$!/cwd)" = /at/db
    refused 75 "in use by sleep" stillpoint unmount /at
    kill $!
    wait $! || :
    stillpoint unmount /at
    refused 32 "not a mountpoint" mountpoint /at
    is old "$(stillpoint use --at /srv/mail b -- cat /srv/mail/mail/eve/letter)"

    heading full
    take full --lvm vg/mail --size 8M
    is /dev/vg/mail-full "$(stillpoint latest --source vg/mail mail)"
    dd if=/dev/urandom of=/srv/mail/large bs=1M count=30 status=none
    sync
    lvs -o lv_name,lv_attr,data_percent
    stillpoint list
    is /dev/vg/mail-a2 "$(stillpoint latest --source vg/mail mail)"
    refused 66 "its data is gone" stillpoint restore full --to /root/full
    stillpoint prune --keep 1 mail
    is "a2 full" "$(lvs --noheadings -o lv_name vg | grep -o 'mail-.*' | grep -v b | sed 's/mail-//' | xargs)"
    refused 73 "are needed" take much --lvm vg/mail --size 9G

    heading merged
    rm /srv/mail/large
    take m --lvm vg/mail --size 60M
    echo newer >/srv/mail/eve/letter
    umount /srv/mail
    lvconvert -y --merge vg/mail-m
    happens "the end of the merge" test ! -e /dev/vg/mail-m
    mount /dev/vg/mail /srv/mail
    is old "$(cat /srv/mail/eve/letter)"
    stillpoint list

    heading reboot
    systemctl reboot
    sleep 600
    ;;
2)
    heading after a reboot
    happens "the volumes" test -e /dev/vg/mail -a -e /dev/vg/db -a -e /dev/vg/thin
    stillpoint list
    is "" "$(findmnt -no TARGET /at || :)"
    # No volume that was one's source is mounted yet, and there is no barrier.
    for name in a2 b t; do stillpoint restore $name --to /root/after-$name; done
    is "old old old old" "$(cat /root/after-a2/eve/letter /root/after-b/{mail,db}/eve/letter /root/after-t/eve/letter | xargs)"
    for name in mail db thin; do mount /dev/vg/$name /srv/$name; done
    is "old old new" "$(cat /srv/{mail,db,thin}/eve/letter | xargs)"
    stillpoint restore b /srv/db/eve/letter --to /root/after-one
    is old "$(cat /root/after-one/db/eve/letter)"
    for name in a2 t; do
        stillpoint mount $name /at
        is old "$(cat /at/eve/letter)"
        refused 1 "Read-only file system" touch /at/new
        stillpoint unmount /at
    done
    stillpoint mount b /at
    is "old old" "$(cat /at/{db,mail}/eve/letter | xargs)"
    stillpoint unmount /at
    is old "$(stillpoint use --at /srv/thin t -- cat /srv/thin/eve/letter)"
    is /dev/vg/mail-a2 "$(stillpoint latest --source vg/mail mail)"
    refused 66 "its data is gone" stillpoint restore m --to /root/after-m
    refused 66 "no barrier at" stillpoint restore --replace t eve

    heading "taken again"
    # Nobody had retired it: whether a writer was inside is not known.
    stillpoint create mail
    stillpoint status mail | grep 'dirty *yes'
    take y --lvm vg/mail --size 20M
    is /dev/vg/mail-a2 "$(stillpoint latest --source vg/mail mail)"
    stillpoint recover --acknowledge mail
    take z --lvm vg/mail --size 20M
    is /dev/vg/mail-z "$(stillpoint latest --source vg/mail mail)"
    stillpoint restore --replace t eve
    is "old new" "$(cat /srv/thin/eve/letter /srv/thin/eve.before-*/letter | xargs)"
    stillpoint prune --keep 1 mail
    stillpoint list
    lvs -o lv_name,lv_attr,data_percent
    ;;
esac
