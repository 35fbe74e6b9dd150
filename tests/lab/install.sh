# scripts/install, once more over itself, and --uninstall: what then is left of it on the machine is what is said to stay.
. /lab/machine.sh
mkdir -p /lab/checkout
tar -xf /lab/checkout.tar -C /lab/checkout
cd /lab/checkout

# All files but those that are written anyhow, of which none is ours.
everything() {
    find / -xdev \( -path /lab -o -path /tmp -o -path /srv -o -path /var/log -o -path /var/cache -o -path /var/backups \
        -o -path /var/lib/dovecot -o -path '/var/lib/systemd/*' -o -path '/var/tmp/*' -o -name '*-' -o -path '/etc/.*' \) -prune -o -printf '%y %p\n' | sort
}
settings() { cat /etc/{passwd,group,shadow,gshadow}; }
barrier() { stat -c '%d %i' /run/stillpoint/mail.barrier; }

mail_on_btrfs
dovecot
happens "a delivery" deliver eve hello
mkdir -p /etc/qemu /var/lib/prometheus/node-exporter
everything >/tmp/before
settings >/tmp/settings

heading installed
scripts/install --cluster --built /lab/checkout/built
id stillpoint-metrics
ldconfig -p | grep 'libstillpoint.so.0'
mkdir -p /etc/stillpoint /srv/snapshots
echo 'CREATE="--group vmail"' >/etc/stillpoint/mail.conf
systemctl enable --now stillpoint@mail
stillpoint job init --barrier mail --source /srv/mail --to /srv/snapshots mail
sed -i 's/^# adopted/adopted/' /etc/stillpoint/jobs.d/mail.toml
printf '%s\n' 'barrier mail' 'protect /srv/mail' >/etc/stillpoint/adopt.conf
stillpoint adopt enable dovecot
systemctl daemon-reload
systemctl restart dovecot
systemctl enable --now stillpoint-job@mail.timer stillpoint-metrics.timer
systemctl start stillpoint-metrics stillpoint-job@mail
ln -s /usr/local/share/stillpoint/hooks/qemu-ga /etc/qemu/fsfreeze-hook
ln -s /run/stillpoint-metrics/stillpoint.prom /var/lib/prometheus/node-exporter
stillpoint latest mail

heading "installed over itself"
stillpoint run -s mail -- sh -c 'touch /tmp/inside; while [ -e /tmp/inside ]; do sleep 0.1; done' &
happens "a writer inside" test -e /tmp/inside
barrier >/tmp/barrier
scripts/install --cluster --built /lab/checkout/built
stillpoint status mail | grep 'writers .* 1 inside'
is "$(cat /tmp/barrier)" "$(barrier)"

heading "a host of a group, whose agent asks in vain"
printf '%s\n' 'group = "mail"' 'host = "lab"' 'job = "mail"' 'endpoints = ["http://127.0.0.1:2379"]' >/etc/stillpoint/cluster.toml
systemctl enable --now stillpoint-cluster
happens "its agent" systemctl is-active stillpoint-cluster

heading uninstalled
scripts/install --uninstall | tee /tmp/said
for word in 'is no longer in /usr/local' '/run/stillpoint/mail.barrier stays' '/var/lib/stillpoint stays' \
    '/etc/stillpoint stays' 'dovecot.service preloads the library no longer' 'stillpoint-cluster is stopped'; do
    grep -F "$word" /tmp/said >/dev/null || { echo "it did not say: $word"; false; }
done
is "$(cat /tmp/barrier)" "$(barrier)"
systemctl list-units --all --no-legend --plain 'stillpoint*' || :
is "" "$(systemctl list-units --no-legend --plain 'stillpoint*' | grep -v 'stillpoint@' || :)"
is "" "$(systemctl list-unit-files --no-legend 'stillpoint*' || :)"
is "" "$(systemctl --failed --no-legend)"
is "" "$(cat /proc/[0-9]*/comm 2>/dev/null | grep stillpoint-cl || :)"
is "" "$(find / -xdev -lname '*stillpoint*')"
settings | diff /tmp/settings -
everything | diff /tmp/before - >/tmp/left || :
cat /tmp/left
is "" "$(grep -vE '^[0-9,acd]+$|^> [dfl] (/etc/stillpoint|/var/lib/stillpoint)(/|$)' /tmp/left || :)"
systemctl restart dovecot
happens "a delivery" deliver eve after
is "" "$(journalctl -b -u dovecot --since '-20s' | grep 'cannot be preloaded' || :)"

heading "installed again"
scripts/install --built /lab/checkout/built
is "$(cat /tmp/barrier)" "$(barrier)"
stillpoint status mail | grep 'writers .* 1 inside'
stillpoint latest mail
rm /tmp/inside
wait
systemctl start stillpoint-job@mail
stillpoint list --last 1 mail | grep ' complete *yes '
stillpoint check mail || :
