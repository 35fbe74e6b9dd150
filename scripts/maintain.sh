#!/bin/sh
# What is to be done on a machine when stillpoint's files have come or gone: by scripts/install, and by the package, whose
# scripts for dpkg end with this.

# At once, and not only after the next start: the user of the metrics, the folders of barriers and states, and units.
come() {
    if command -v systemd-sysusers >/dev/null; then systemd-sysusers stillpoint.conf || :; fi
    if command -v systemd-tmpfiles >/dev/null; then
        systemd-tmpfiles --create stillpoint.conf || :
    else
        mkdir -p /run/stillpoint /var/lib/stillpoint
    fi
    reload
}

reload() { if [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi; }

# Before they go. Timers would start what is gone, and an agent would go on without its program. Barriers stay: writers
# are inside, and go on.
leave() {
    [ -d /run/systemd/system ] || return 0
    systemctl stop 'stillpoint-*.timer' || :
    if systemctl -q is-active stillpoint-cluster; then
        systemctl stop stillpoint-cluster || :
        echo 'stillpoint-cluster is stopped; the snapshots of its group are incomplete until another host has evicted this one'
    fi
}

# Links below the root $1 that lead to what is no longer there: of systemd to units, of other tools to hooks, of the node
# exporter to the report.
tidy_links() {
    for folder in "$1/etc" "$1/usr/lib/snapper/plugins" "$1/var/lib/prometheus/node-exporter"; do
        [ ! -d "$folder" ] ||
            find -L "$folder" -xdev -type l \( -lname '*/share/stillpoint/*' -o \
                -lname '*/lib/systemd/system/stillpoint*' -o -lname '/run/stillpoint-metrics/*' \) -exec rm -f -- {} +
    done
}

# What else would be left on the machine: the report and its user, what `stillpoint adopt enable` has written, as units would
# preload what is gone, and when timers last ran. What is the administrator's stays, and is named.
gone() {
    rm -rf /run/stillpoint-metrics /var/lib/systemd/timers/stamp-stillpoint-*.timer
    if id -u stillpoint-metrics >/dev/null 2>&1; then userdel stillpoint-metrics || :; fi
    tidy_links ""
    for file in /etc/systemd/system/*.d/stillpoint-adopt.conf; do
        # shellcheck disable=SC2016 # So it is written there.
        if grep -qs '^# Written by `stillpoint adopt enable`' "$file"; then
            rm -f "$file"
            rmdir "${file%/*}" 2>/dev/null || :
            unit=${file%.d/*}
            echo "${unit##*/} preloads the library no longer: restart it when it suits you"
        fi
    done
    reload
    for folder in /var/lib/stillpoint/catalog /var/lib/stillpoint /run/stillpoint; do
        rmdir "$folder" 2>/dev/null || :
    done
    for kept in /run/stillpoint/*.barrier /var/lib/stillpoint /etc/stillpoint; do
        if [ -e "$kept" ]; then echo "$kept stays"; fi
    done
}
