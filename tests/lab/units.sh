# What an administrator does on the first days, and units of every kind that take part: shut in, of a user that there is
# only meanwhile, of a user's own manager.
. /lab/machine.sh
mail_on_btrfs
mkdir -p /etc/stillpoint /srv/snapshots
apt-get -qq install -y /lab/*.deb
echo 'CREATE="--group vmail"' >/etc/stillpoint/mail.conf
systemctl enable --now stillpoint@mail
write old /srv/mail

heading "a job, asked for on a terminal"
{ sleep 3; printf 'mail\n'; sleep 2; printf 'job\n'; sleep 2; printf '/nowhere\n'; sleep 2; printf '/srv/mail\n'; sleep 2; printf '/srv/snapshots\n'; sleep 2; } |
    script -qec 'stillpoint job init mail' /dev/null
cat /etc/stillpoint/jobs.d/mail.toml
stillpoint job check mail
systemctl daemon-reload
systemctl enable --now stillpoint-job@mail.timer
systemctl list-timers --no-pager 'stillpoint*'
stillpoint job list
stillpoint check || :
systemctl start stillpoint-job@mail
stillpoint job list
journalctl --no-pager -o cat -u stillpoint-job@mail
stillpoint check || :

# unit NAME COMMAND, and what stands in [Service] on standard input: a writer that goes in and out.
unit() {
    { printf '[Service]\nExecStart=%s\n' "$2" && cat; } >"/etc/systemd/system/$1.service"
    systemctl daemon-reload
}
shut_in='ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectProc=invisible
ProcSubset=pid
ProtectKernelTunables=yes
ProtectControlGroups=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictAddressFamilies=none
RestrictNamespaces=yes
MemoryDenyWriteExecute=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service'
inside() { stillpoint status --json mail | tr -d ' \n' | grep -o '"inside":true' | wc -l; }
# waited_for NAME [AS_WHOM]: while the unit is inside, a snapshot waits; then it is clean, and the unit goes on.
waited_for() {
    happens "$1 inside" eval '(($(inside) == 1))'
    stillpoint status mail
    refused 75 "not quiet" stillpoint run -n mail true
    rm /srv/mail/stay
    stillpoint snapshot mail --btrfs /srv/mail --to /srv/snapshots --name "$1"
    stillpoint list --clean mail | grep "^$1 "
    touch /srv/mail/end
    # Between two shares nobody is inside either.
    happens "the end of $1" eval "! ${2-} systemctl ${2:+--user} is-active --quiet $1"
    stillpoint status mail | grep 'writers *0,'
    stillpoint status mail | grep 'dirty *no'
    rm /srv/mail/end
    touch /srv/mail/stay
}
# Ends by itself, as a signal that ends it inside makes the barrier dirty.
loop="sh -c 'until test -e /srv/mail/end; do stillpoint run -s mail sh -c \"while test -e /srv/mail/stay; do sleep 0.1; done\"; sleep 0.1; done'"
touch /srv/mail/stay

heading "a unit that is shut in, and may write nothing"
unit blind "stillpoint run -s mail true" <<<'ProtectSystem=strict
DynamicUser=yes
SupplementaryGroups=vmail
Type=oneshot'
refused 1 "" systemctl start blind
journalctl --no-pager -o cat -u blind | grep 'ReadWritePaths='

heading "a unit that is shut in, of a user of its own"
unit dynamic "$loop" <<<"$shut_in
DynamicUser=yes
SupplementaryGroups=vmail
ReadWritePaths=/run/stillpoint /srv/mail"
systemctl start dynamic
waited_for dynamic

heading "a unit with a root of its own"
unit rooted "$loop" <<<"TemporaryFileSystem=/run
BindPaths=/run/stillpoint
PrivateMounts=yes
User=vmail"
systemctl start rooted
waited_for rooted

heading "a unit of a user's manager"
useradd --create-home --groups vmail eve
loginctl enable-linger eve
as_eve() { runuser -u eve -- env "XDG_RUNTIME_DIR=/run/user/$(id -u eve)" "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$(id -u eve)/bus" "$@"; }
happens "the manager of eve" as_eve systemctl --user is-system-running
as_eve mkdir -p /home/eve/.config/systemd/user
printf '[Service]\nExecStart=%s\n' "$loop" >/home/eve/.config/systemd/user/own.service
as_eve systemctl --user daemon-reload
as_eve systemctl --user start own
waited_for own as_eve
as_eve systemctl --user start own
happens "own inside" eval '(($(inside) == 1))'
refused 66 "has no control group" stillpoint snapshot mail --btrfs /srv/mail --to /srv/snapshots --freeze-unit own
loginctl terminate-user eve
happens "its end" eval '(($(inside) == 0))'
stillpoint status mail | grep 'dirty *yes'
stillpoint recover --acknowledge mail

heading "a barrier of the user's own"
loginctl enable-linger eve
happens "the manager of eve" as_eve systemctl --user is-system-running
as_eve stillpoint create --user own || :
as_eve systemd-run --user --pipe --wait --quiet stillpoint run --user -s own echo inside
as_eve stillpoint status --user || :

heading "adopted, and shut in"
printf '%s\n' 'barrier mail' 'protect /srv/mail' >/etc/stillpoint/adopt.conf
unit database "sh -c 'cd /srv/mail; while sleep 0.1; do echo \"create table if not exists t(x); insert into t values(1);\" | sqlite3 db; done'" <<<"$shut_in
DynamicUser=yes
SupplementaryGroups=vmail
ReadWritePaths=/srv/mail
UMask=0002"
chmod g+w /srv/mail
stillpoint adopt enable database
cat /etc/systemd/system/database.service.d/*.conf
systemctl daemon-reload
systemctl start database
happens "a database" test -s /srv/mail/db
stillpoint adopt check /srv/mail || :
stillpoint status mail
stillpoint snapshot mail --btrfs /srv/mail --to /srv/snapshots --adopted /srv/mail --name adopted
stillpoint list --json | tr -d ' \n' | grep -o '"stilled":"[a-z]*"' | sort | uniq -c || :
journalctl --no-pager -o cat -u database | tail -5
is ok "$(sqlite3 'file:/srv/snapshots/adopted/db?immutable=1' 'pragma integrity_check')"
stillpoint adopt disable database
systemctl daemon-reload
systemctl stop database

heading "read back"
write new /srv/mail
stillpoint restore --latest mail eve --to /root/restored
is old "$(cat /root/restored/eve/letter)"
mkdir /at
stillpoint mount --latest mail /at || stillpoint mount adopted /at
is old "$(cat /at/eve/letter)"
findmnt /at
stillpoint unmount /at
stillpoint report --html /srv/report.html
grep -c . /srv/report.html

heading "it fails, and says why"
chmod 0 /srv/snapshots
mv /srv/snapshots /srv/elsewhere
refused 1 "" systemctl start stillpoint-job@mail
journalctl --no-pager -o cat -n 5 -u stillpoint-job@mail
systemctl status --no-pager stillpoint-job@mail || :
stillpoint job list
stillpoint check || :
mv /srv/elsewhere /srv/snapshots
systemctl start stillpoint-job@mail
stillpoint check
