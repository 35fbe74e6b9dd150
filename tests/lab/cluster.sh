# Three hosts of a group in one machine, each with a barrier, a job and an agent, whose unit is the one that scripts/install
# --cluster brings, and an etcd of three members. Agents are stopped, and the machine restarted and crashed, in the
# middle of an epoch. What is complete is complete on each host, now and later, and the rest on none.
. /lab/machine.sh

hosts=(a b c)
agent() { if [[ $1 == a ]]; then echo stillpoint-cluster; else echo "stillpoint-cluster-$1"; fi; }
agents() { for host in "${hosts[@]}"; do agent "$host"; done; }
configuration() { if [[ $1 == a ]]; then echo /etc/stillpoint/cluster.toml; else echo "/etc/stillpoint/cluster-$1.toml"; fi; }
cluster() { # HOST WORD...
    local host=$1
    shift
    stillpoint cluster --config "$(configuration "$host")" "$@"
}
# The snapshots of a host that are clean, and all of them.
clean() { stillpoint list --catalog "/srv/$1/catalog" --clean | awk 'NR > 1 { print $1 }' | sort; }
parts() { find "/srv/$1/catalog" -name '*.json' | wc -l; }
open() { ! stillpoint status "${@-a}" | grep -q 'gate *closed'; }
# The agents of this boot, not what etcd remembers of those before.
all_there() { (($(cluster a status | grep -c " $(cut -c 1-8 /proc/sys/kernel/random/boot_id)/") == 3)); }
# Every snapshot that a host calls clean is so called by all, and by etcd.
agreed() {
    local host
    for host in b c; do is "$(clean a | xargs)" "$(clean "$host" | xargs)"; done
    is "$(sort /lab/complete | xargs)" "$(clean a | xargs)"
}
# A snapshot of all, which is complete, is called so by each host by then.
taken() {
    local name host
    name=$(cluster a snapshot "$@")
    echo "complete: $name"
    echo "$name" >>/lab/complete
    for host in "${hosts[@]}"; do clean "$host" | grep -x "$name"; done
    agreed
    is "$name" "$(cluster b latest)"
}
# One that somebody inside c keeps from its moment, begun and left under way.
begin() {
    local before
    before=$(parts b)
    systemctl start inside
    happens "a writer in c" test -e /run/inside
    cluster a snapshot >/tmp/under-way 2>&1 &
    epoch=$!
    begun() { (($(parts b) > before)) && ! open b; }
    if ! happens "that b is quiet" begun; then
        cat /tmp/under-way
        cluster a status
        return 1
    fi
}

case $1 in
1)
    mkdir /lab/checkout
    tar -xf /lab/checkout.tar -C /lab/checkout
    (cd /lab/checkout && scripts/install --cluster --built /lab/checkout/built)
    install -m 755 /lab/etcd /lab/etcdctl /usr/local/bin
    mail_on_btrfs
    : >/lab/complete

    heading "three members of etcd, three hosts"
    cat >/etc/systemd/system/etcd@.service <<'END'
[Service]
Type=notify
ExecStart=etcd --name m%i --data-dir /var/lib/etcd/%i --heartbeat-interval 500 --election-timeout 5000 \
    --listen-client-urls http://127.0.0.%i:2379 --advertise-client-urls http://127.0.0.%i:2379 \
    --listen-peer-urls http://127.0.0.%i:2380 --initial-advertise-peer-urls http://127.0.0.%i:2380 \
    --initial-cluster m1=http://127.0.0.1:2380,m2=http://127.0.0.2:2380,m3=http://127.0.0.3:2380
Restart=always
TimeoutStartSec=300
[Install]
WantedBy=multi-user.target
END
    mkdir -p /var/lib/etcd/{1,2,3} /etc/stillpoint/jobs.d
    chmod 700 /var/lib/etcd/*
    for host in "${hosts[@]}"; do
        mkdir -p "/srv/$host/snapshots"
        btrfs -q subvolume create "/srv/$host/store"
        cat >"/etc/stillpoint/jobs.d/$host.toml" <<END
barriers = "$host"
catalog = "/srv/$host/catalog"
[snapshot]
btrfs = "/srv/$host/store"
to = "/srv/$host/snapshots"
[limits]
hold = 40
drain = 20
min-open = 0
[retention]
keep = 20
END
        cat >"$(configuration "$host")" <<END
group = "post"
host = "$host"
job = "$host"
state = "/srv/$host/agent"
endpoints = ["http://127.0.0.1:2379", "http://127.0.0.2:2379", "http://127.0.0.3:2379"]
[limits]
hold = 40
drain = 20
min-open = 0.1
END
        if [[ $host != a ]]; then
            sed "s,^After=,After=stillpoint@$host.service ,; s,cluster agent,cluster --config $(configuration "$host") agent,; s,/etc/stillpoint/cluster.toml,$(configuration "$host")," \
                /usr/local/lib/systemd/system/stillpoint-cluster.service >"/etc/systemd/system/$(agent "$host").service"
        fi
    done
    systemctl daemon-reload
    systemctl enable --now --no-block etcd@{1,2,3} stillpoint@{a,b,c}
    happens "etcd" systemctl is-active etcd@{1,2,3}
    etcdctl --endpoints=http://127.0.0.1:2379,http://127.0.0.2:2379,http://127.0.0.3:2379 endpoint status
    for host in "${hosts[@]}"; do cluster "$host" join; done
    # shellcheck disable=SC2046 # Names of units.
    systemctl enable --now $(agents)
    happens "the agents" all_there
    cluster a status

    heading "snapshots of all"
    # Who sends from a to b notes it in both, each inside that host's barrier.
    # A signal that ends a writer inside makes a barrier dirty: these end by themselves.
    cat >/usr/local/bin/sender <<'END'
#!/bin/sh
trap end=yes TERM
until [ "$end" ]; do
    stillpoint run -s a sh -c 'echo >>/srv/a/store/sent' && stillpoint run -s b sh -c 'echo >>/srv/b/store/received'
done
END
    cat >/usr/local/bin/inside <<'END'
#!/bin/sh
trap end=yes TERM
touch /run/inside
until [ "$end" ]; do sleep 0.1; done
END
    chmod +x /usr/local/bin/{sender,inside}
    printf '%s\n' '[Unit]' 'After=stillpoint@a.service stillpoint@b.service' 'RequiresMountsFor=/srv' '[Service]' \
        ExecStart=/usr/local/bin/sender KillMode=mixed '[Install]' WantedBy=multi-user.target >/etc/systemd/system/sender.service
    printf '%s\n' '[Unit]' 'After=stillpoint@c.service' '[Service]' 'ExecStart=stillpoint run -s c /usr/local/bin/inside' \
        KillMode=mixed 'ExecStopPost=rm -f /run/inside' >/etc/systemd/system/inside.service
    systemctl daemon-reload
    systemctl enable --now sender
    happens "a message" test -s /srv/b/store/received
    taken
    taken --early
    # Nothing was received that was not sent.
    for name in $(</lab/complete); do
        sent=$(wc -l <"/srv/a/snapshots/$name/sent") received=$(wc -l <"/srv/b/snapshots/$name/received")
        echo "$name: $sent sent, $received received"
        ((sent >= received && received > 0))
    done

    heading "an agent is stopped in the middle"
    begin
    since=$SECONDS
    systemctl stop "$(agent b)"
    status=0
    wait "$epoch" || status=$?
    cat /tmp/under-way
    printf 'status %s after %s s\n' "$status" $((SECONDS - since))
    is 75 "$status"
    is inactive "$(systemctl is-active "$(agent b)" || :)"
    happens "open gates" open a b
    systemctl stop inside
    agreed
    refused 75 "b" cluster a snapshot
    systemctl start "$(agent b)"
    happens "the agents" all_there
    taken

    heading "reboot in the middle"
    begin
    systemctl reboot
    sleep 600
    ;;
2)
    heading "after a reboot"
    happens "the agents" all_there
    systemctl --failed --no-legend
    is "" "$(systemctl --failed --no-legend)"
    for host in "${hosts[@]}"; do stillpoint status "$host"; done
    for host in "${hosts[@]}"; do stillpoint status "$host" | grep 'dirty *no'; done
    # Its coordinator went with the machine.
    happens "the end of the epoch" cluster a recover
    cluster a list
    is "aborted" "$(cluster a list | awk 'END { print $2 }')"
    agreed
    for host in "${hosts[@]}"; do is "$(tail -n 1 /lab/complete)" "$(cluster "$host" latest --local)"; done
    taken

    heading "crash in the middle"
    begin
    sync
    systemctl --force --force reboot
    sleep 600
    ;;
3)
    heading "after a crash"
    happens "the agents" all_there
    for host in "${hosts[@]}"; do stillpoint status "$host" | grep 'dirty *yes'; done
    agreed
    happens "the end of the epoch" cluster a recover
    # It is complete, and no host calls its part clean.
    cluster a snapshot
    agreed
    for host in "${hosts[@]}"; do stillpoint recover --acknowledge "$host"; done
    taken

    heading "without etcd"
    systemctl stop etcd@{1,2,3}
    is "$(tail -n 1 /lab/complete)" "$(cluster c latest)"
    cluster c list
    since=$SECONDS
    refused 69 "no answer from the store" cluster a snapshot
    printf 'refused after %s s\n' $((SECONDS - since))
    sleep 15
    # shellcheck disable=SC2046 # Names of units.
    systemctl is-active $(agents)
    systemctl start etcd@{1,2,3} --no-block
    happens "the agents" all_there
    taken
    # shellcheck disable=SC2046 # Names of units.
    journalctl --no-pager -b -u 'stillpoint-cluster*' | tail -40
    ;;
esac
