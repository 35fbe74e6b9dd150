# What the scripts that run in a whole machine share: sourced by them.
set -Eeuo pipefail
PS4='+ line $LINENO: '
export DEBIAN_FRONTEND=noninteractive SYSTEMD_PAGER= SYSTEMD_COLORS=0 LC_ALL=C.UTF-8
trap '{ printf "FAILED: line %s: %s\n" "$LINENO" "$BASH_COMMAND"; journalctl --no-pager --lines=60 2>/dev/null; } >&2' ERR

heading() { printf '\n=== %s (%s s) ===\n' "$*" "$SECONDS"; }

# happens WHAT COMMAND...: waits until the command succeeds, two minutes at most.
happens() {
    local what=$1 since=$SECONDS
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS - since > 120)); then
            printf 'waited in vain for %s\n' "$what"
            return 1
        fi
        sleep 0.5
    done
}

# refused STATUS TEXT COMMAND...: it ends with this status, and says this.
refused() {
    local expected=$1 text=$2 status=0 said
    shift 2
    said=$("$@" 2>&1) || status=$?
    printf '%s\n' "$said"
    if ((status != expected)) || [[ $said != *"$text"* ]]; then
        printf 'expected %s and "%s", not %s, of: %s\n' "$expected" "$text" "$status" "$*"
        return 1
    fi
}

# is EXPECTED FOUND
is() {
    if [[ $1 != "$2" ]]; then
        printf 'expected "%s", not "%s"\n' "$1" "$2"
        return 1
    fi
}

# The blocks of README.md for root that begin with its heading $1 and end with $2, as they stand.
readme() {
    sed -n "/^## $1/,/^## $2/p" /lab/README.md | sed -n '/^```sh root/,/^```$/{/^```/!p}'
}

# Mail on a btrfs of its own, which is mounted after a reboot too.
mail_on_btrfs() {
    mkfs.btrfs --quiet --force --label mail /dev/vdc
    echo '/dev/vdc /srv btrfs defaults 0 0' >>/etc/fstab
    systemctl daemon-reload
    mount /srv
    groupadd --force vmail
    id -u vmail >/dev/null 2>&1 || useradd --system --gid vmail --home-dir /srv/mail vmail
    btrfs subvolume create /srv/mail
    chown vmail:vmail /srv/mail
}

# A Dovecot that delivers to it by LMTP and asks nobody for a password.
dovecot() {
    cat >/etc/dovecot/local.conf <<'END'
mail_location = maildir:/srv/mail/%n
auth_username_format = %Ln
disable_plaintext_auth = no
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=vmail gid=vmail home=/srv/mail/%n
}
END
    systemctl restart dovecot
}

# deliver USER TEXT: one mail, and whether it was taken.
deliver() {
    printf '%s\r\n' 'LHLO lab' 'MAIL FROM:<lab@lab>' "RCPT TO:<$1@lab>" DATA "Subject: $2" '' "$2" . QUIT |
        nc -N -U /run/dovecot/lmtp | grep -q '^250 2.0.0 .* Saved'
}

# --- Snapshots of volumes and datasets, of the barrier mail ---------------------------------------

# take NAME OPTION...
take() { stillpoint snapshot mail --hold 600 --name "$@"; }

# write TEXT FOLDER...: the letter of eve in each.
write() {
    local text=$1 folder
    shift
    for folder; do
        mkdir -p "$folder/eve"
        echo "$text" >"$folder/eve/letter"
    done
}

# stays NAME DATA NEWER OPTION...: while the snapshot is mounted at /at it can be read, not written, and not removed, even
# if who kept it for that is killed and there is a newer one, taken with these options; afterwards it is removed.
stays() {
    local name=$1 data=$2 process
    shift 2
    stillpoint mount "$name" /at
    is old "$(cat /at/eve/letter)"
    refused 1 "Read-only file system" touch /at/new
    findmnt /at
    for process in /proc/[0-9]*; do
        if [[ $(cat "$process/comm" 2>/dev/null) == stillpoint-pin ]]; then kill -9 "${process#/proc/}"; fi
    done
    take "$@"
    refused 0 "$data is in use; left alone" stillpoint prune --keep 1 mail
    is old "$(cat /at/eve/letter)"
    stillpoint unmount /at
    refused 0 "removed $data" stillpoint prune --keep 1 mail
}
