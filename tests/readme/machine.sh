# A machine of its own for what root does in README.md: sourced before it, in namespaces that end with it.
set -euo pipefail
here=$PWD
cp -a /etc "$here/etc"
mount --bind "$here/etc" /etc
ip link set lo up
# One etcd is all three that a group has, and gone when the machine is.
printf '%s\n' '127.0.0.1 localhost one two three' >/etc/hosts
if [[ -n $ETCD ]]; then
    "$ETCD" --data-dir "$here/etcd" --log-level error --advertise-client-urls http://one:2379 --listen-client-urls http://127.0.0.1:2379 &
fi
for place in /run /var/lib /usr/local; do mount -t tmpfs tmpfs $place; done
truncate --size 512M image
mkfs.btrfs --quiet image
mount -o loop image /srv
btrfs subvolume create /srv/mail
mkdir /srv/mail/eve
getent group vmail >/dev/null || groupadd vmail

# What systemd would do for the units that are installed: once, and whatever they are ordered after has been started.
cat >"$here/systemctl" <<'END'
#!/bin/bash
set -euo pipefail
for unit; do
    if [[ $unit == stillpoint-cluster ]]; then
        eval "$(sed -n 's/^ExecStart=//p' /usr/local/lib/systemd/system/stillpoint-cluster.service) &"
        until stillpoint cluster status | grep -q ' yes .*/'; do sleep 0.1; done
        continue
    fi
    case $unit in enable | start | stop | restart | daemon-reload | --now | dovecot | *.timer) continue ;; esac
    instance=${unit#*@}
    instance=${instance%.service}
    file=/usr/local/lib/systemd/system/${unit%@*}@.service
    set -a
    eval "$(sed -n 's/^Environment=//p' "$file")"
    while read -r settings; do
        if [[ -e ${settings#-} ]]; then . "${settings#-}"; elif [[ $settings != -* ]]; then exit 1; fi
    done < <(sed -n 's/^EnvironmentFile=//p' "$file" | sed "s/%i/$instance/g")
    set +a
    while IFS= read -r line; do eval "$line"; done < <(
        sed -nE 's/^Exec(Start|StopPost)=//p' "$file" | sed -e "s/%i/$instance/g" -e 's/\$\$/$/g'
    )
done
END
# The package has what scripts/install installs.
cat >"$here/apt" <<'END'
#!/bin/sh
[ "$1" = install ] || exit 64
"$REPOSITORY/scripts/install" ${ETCD:+--cluster} --built "$BUILT" && ldconfig
END
chmod +x "$here/systemctl" "$here/apt"
PATH=$here:/usr/local/bin:$PATH
# Dovecot is not needed for this, its unit is.
mkdir -p /etc/dovecot
[ -e /usr/lib/systemd/system/dovecot.service ] || printf '[Service]\nExecStart=/usr/sbin/dovecot\n' >/etc/systemd/system/dovecot.service
cd /srv
