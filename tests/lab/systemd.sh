# README's steps as they stand, by a new user of the package under systemd; then what a machine does in its life.
. /lab/machine.sh

# The machine's own stillpoint, and what it says of the barrier.
clean() { stillpoint list --json | tr -d ' \n' | grep -o '"clean":true' | wc -l; }
closed() { stillpoint status mail | grep -q 'gate *closed'; }

case $1 in
1)
    mail_on_btrfs
    dovecot
    happens "a delivery" deliver eve hello
    mkdir -p /lab/target/package
    mv /lab/*.deb /lab/target/package
    cd /lab

    heading "first steps"
    readme 'First steps' 'Many hosts' >/tmp/steps
    set -x
    . /tmp/steps
    set +x
    is 1 "$(clean)"
    stillpoint job list | grep -Eq '^mail .*T03:0[0-5]:[0-9]{2}Z'
    deliver eve adopted
    stillpoint status mail | grep -q lmtp

    heading "the timer runs it"
    sed -i 's/"03:00"/"*:*:00\/10"/; s/"5min"/"0"/; s/hourly = 24/keep = 50/' /etc/stillpoint/jobs.d/mail.toml
    systemctl daemon-reload
    happens "two snapshots" test "$(clean)" -ge 1 -a -n "$(stillpoint list --last 1 mail)"
    before=$(clean)
    more() { (($(clean) >= before + 2)); }
    happens "two more" more
    sed -i 's/"\*:\*:00\/10"/"03:00"/' /etc/stillpoint/jobs.d/mail.toml
    systemctl daemon-reload
    happens "its end" sh -c '! systemctl -q is-active stillpoint-job@mail'
    systemctl stop stillpoint-job@mail.timer
    refused 1 "stillpoint-job@mail.timer is not active" stillpoint check
    systemctl start stillpoint-job@mail.timer
    refused 0 "STILLPOINT OK" stillpoint check

    heading "units are frozen"
    cat >/etc/systemd/system/writer.service <<'END'
[Service]
ExecStart=bash -c 'exec >>/srv/mail/writer; while sleep 0.02; do date +%%s.%%N; done'
END
    systemctl daemon-reload
    systemctl start writer
    stillpoint snapshot mail --btrfs /srv/mail --to /srv/snapshots --adopted /srv/mail --freeze-unit writer --name frozen
    stillpoint list --json | grep -q '"stilled": "frozen"' || stillpoint list --json | grep -q frozen
    is 0 "$(cat /sys/fs/cgroup/system.slice/writer.service/cgroup.freeze)"
    size=$(stat -c %s /srv/mail/writer)
    grows() { (($(stat -c %s /srv/mail/writer) > size)); }
    happens "that it goes on" grows
    refused 66 "has no control group" stillpoint snapshot mail --btrfs /srv/mail --to /srv/snapshots --freeze-unit nowhere
    refused 64 "would be frozen" stillpoint snapshot mail --btrfs /srv/mail --to /srv/snapshots --freeze-unit lab
    systemctl freeze writer
    stillpoint snapshot mail --btrfs /srv/mail --to /srv/snapshots --freeze-unit writer --name theirs
    is 1 "$(cat /sys/fs/cgroup/system.slice/writer.service/cgroup.freeze)"
    systemctl thaw writer
    systemctl stop writer

    heading "stopped in the middle"
    printf '%s\n' 'barriers = ["mail"]' '[snapshot]' 'command = ["sleep", "60"]' '[limits]' 'hold = 60' '[retention]' 'keep = 2' \
        >/etc/stillpoint/jobs.d/slow.toml
    systemctl start --no-block stillpoint-job@slow
    happens "the pause" closed
    systemctl stop stillpoint-job@slow
    refused 1 "" closed
    stillpoint job list | grep -q '^slow .*failed (143)'
    systemctl start --no-block stillpoint-job@slow
    happens "the pause" closed
    systemctl kill --signal=KILL stillpoint-job@slow
    # Nobody holds it any more, so the next writer opens it.
    stillpoint run -s -w 5 mail true
    stillpoint job list | grep -q '^slow .*cut short'
    systemctl reset-failed
    rm /etc/stillpoint/jobs.d/slow.toml

    heading "who is told when it fails"
    mkdir -p /etc/systemd/system/stillpoint-job@.service.d
    printf '[Unit]\nOnFailure=stillpoint-failed@%%n.service\n' >/etc/systemd/system/stillpoint-job@.service.d/failed.conf
    printf '#!/bin/sh\n{ echo "$*"; cat; } >/tmp/letter\n' >/usr/local/bin/mail
    chmod +x /usr/local/bin/mail
    systemctl daemon-reload
    mv /srv/snapshots /srv/elsewhere
    refused 1 "" systemctl start stillpoint-job@mail
    happens "a letter" grep -q 'name a folder that exists' /tmp/letter
    head -3 /tmp/letter
    mv /srv/elsewhere /srv/snapshots
    systemctl start stillpoint-job@mail

    heading "other units"
    systemctl start stillpoint-hold@mail
    closed
    systemctl stop stillpoint-hold@mail
    refused 1 "" closed
    systemctl start stillpoint-metrics
    grep -q '^stillpoint_' /run/stillpoint-metrics/stillpoint.prom
    systemctl enable --now stillpoint-metrics.timer

    heading reboot
    cat /proc/sys/kernel/random/boot_id >/lab/boot
    systemctl reboot
    sleep 600
    ;;
2)
    heading "after a reboot in good order"
    is "" "$(grep -xF -f /lab/boot /proc/sys/kernel/random/boot_id || :)"
    is "" "$(systemctl --failed --no-legend)"
    stillpoint status mail | grep 'dirty *no'
    before=$(clean)
    systemctl start stillpoint-job@mail
    is $((before + 1)) "$(clean)"
    deliver eve after
    stillpoint run -s mail -- sh -c 'touch /tmp/inside; exec sleep 600' &
    happens "a writer inside" test -e /tmp/inside
    heading crash
    sync
    systemctl --force --force reboot
    sleep 600
    ;;
3)
    cd /lab
    heading "after a crash"
    stillpoint status mail | grep 'dirty *yes'
    refused 1 "" systemctl start stillpoint-job@mail
    refused 2 "a writer was lost inside" stillpoint check
    readme 'When something' 'Upgrade' >/tmp/wrong
    set -x
    . /tmp/wrong
    set +x
    stillpoint status mail | grep 'dirty *no'
    systemctl start stillpoint-job@mail
    stillpoint list --last 1 mail | grep ' complete *yes '

    heading upgrade
    stillpoint run -s mail -- sh -c 'touch /tmp/inside; while [ -e /tmp/inside ]; do sleep 0.1; done' &
    happens "a writer inside" test -e /tmp/inside
    mkdir /tmp/newer
    dpkg-deb -R target/package/*.deb /tmp/newer
    sed -i 's/^Version: .*/Version: 9/' /tmp/newer/DEBIAN/control
    dpkg-deb -Znone -b /tmp/newer /tmp/newer.deb
    rm -r /tmp/newer
    apt-get -qq install -y /tmp/newer.deb
    stillpoint status mail | grep 'writers .* 1 inside'
    rm /tmp/inside
    wait
    { stillpoint check mail || :; } | grep 'was replaced since; start it again'
    systemctl restart dovecot

    heading remove
    stillpoint adopt disable dovecot
    sed -i '/LD_PRELOAD/d' /etc/dovecot/local.conf
    systemctl daemon-reload
    systemctl restart dovecot
    systemctl disable --now stillpoint-job@mail.timer stillpoint-metrics.timer stillpoint@mail
    is "" "$(systemctl --failed --no-legend)"
    apt-get -qq purge -y stillpoint | tee /tmp/said
    grep -q '^/var/lib/stillpoint stays' /tmp/said
    rm -r /etc/systemd/system/stillpoint-job@.service.d
    is "/etc/stillpoint /var/lib/stillpoint" "$(find / -xdev -name '*stillpoint*' -not -path '/lab/*' | sort | xargs)"
    is "" "$(find / -xdev -lname '*stillpoint*')"
    is "" "$(grep stillpoint /etc/passwd /etc/group || :)"
    is "" "$(systemctl list-unit-files --no-legend 'stillpoint*' || :)"
    deliver eve after
    is "" "$(journalctl -b -u dovecot --since '-20s' | grep 'cannot be preloaded' || :)"
    ;;
esac
