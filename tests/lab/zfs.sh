# Snapshots of ZFS datasets: taken, restored, mounted, browsed, sent.
. /lab/machine.sh
install -m 755 /lab/stillpoint /usr/bin/stillpoint

modprobe zfs
zpool create -m /srv tank /dev/vdc
mkdir /at
for name in mail db mail/archive; do zfs create "tank/$name"; done
write old /srv/{mail,db,mail/archive}
stillpoint create mail

heading taken
refused 69 "would be missing from its snapshot: tank/mail/archive" take a --zfs tank/mail
is tank/db@a "$(take a --zfs tank/db)"
take b --zfs tank/mail tank/mail/archive tank/db
write new /srv/{mail,db,mail/archive}

heading restored
stillpoint restore a --to /root/a
stillpoint restore b --to /root/b
is "old old old old" "$(cat /root/a/eve/letter /root/b/{mail,db,archive}/eve/letter | xargs)"
stillpoint restore b /srv/mail/archive/eve --to /root/one
is old "$(cat /root/one/archive/eve/letter)"
is "" "$(findmnt -no SOURCE | grep @ || :)"

heading replaced
refused 69 "something is mounted there" stillpoint restore --replace a
# Not before ZFS 2.2.
if stillpoint restore --replace a eve; then is old "$(cat /srv/db/eve/letter)"; else is new "$(cat /srv/db/eve/letter)"; fi

heading mounted
stays a tank/db@a c --zfs tank/db
stillpoint mount b /at
findmnt -R /at
is "old old old" "$(cat /at/*/eve/letter | xargs)"
stillpoint unmount /at
is old "$(stillpoint use --at /srv/db b -- cat /srv/db/db/eve/letter)"

heading "the recipes of stillpoint-restore(7)"
zpool create -m /other other /dev/vdd
printf '#!/bin/sh\nshift\nexec sh -c "$(echo "$*" | sed "s/tank/other/g")"\n' >/usr/local/bin/ssh
chmod +x /usr/local/bin/ssh
zfs destroy -r tank/mail/archive
take 2026-11-21T07-45-12.345Z --zfs tank/mail
recipes=$(sed -n '/^\.Sh ON ZFS/,/^\.Sh/s/^\.Dl //p' /lab/stillpoint-restore.7 | sed 's/\\(dq/"/g')
while read -r line; do
    if [[ $line == *"send -i"* ]]; then take 2026-11-22T07-45-12.345Z --zfs tank/mail; fi
    printf '# %s\n' "$line"
    bash -e -c "${line//systemctl/:}"
done <<<"$recipes"
zfs list -t all
is new "$(cat /srv/mail/eve/letter)"
is "new" "$(cat /srv/mail-before/eve/letter)"
zfs list other/mail@2026-11-22T07-45-12.345Z

heading "without its pool"
zpool export tank
refused 69 "cannot be mounted" stillpoint restore c --to /root/c
zpool import tank
stillpoint restore c --to /root/c
