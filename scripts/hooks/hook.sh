# shellcheck shell=sh
# What the hooks have in common. It is read by them and not run; see stillpoint-hooks(7).
#
# Settings are shell assignments in /etc/stillpoint/hooks.conf, and the environment goes before:
#
#   BARRIERS  the barriers to close, in the order in which writers nest them; needed
#   HOLD      how long a frozen barrier stays closed at most, when nobody comes to thaw it
#   WAIT      how many seconds a freeze may wait for all of them; each host has its own default, below
#             the limit that it sets
#   DRAIN     how long the gate is closed at a time before the last writer has left
#   TAKE      for backup tools: how `stillpoint snapshot` takes one,
#             such as "--btrfs /srv/mail --to /srv/snapshots"
#   KEEP      for backup tools: how many snapshots are kept
#
# and those that belong to one hook (ON_CONFLICT, HOOK_D, RECORD), which it explains.

# Until `settle` says better.
hook=${0##*/}

say() { printf 'stillpoint: %s: %s\n' "$hook" "$*" >&2; }

fail() {
    status=$1
    shift
    say "$@"
    exit "$status"
}

# Called first: settle NAME WAIT
settle() {
    hook=$1
    settings="BARRIERS HOLD WAIT DRAIN TAKE KEEP ON_CONFLICT HOOK_D RECORD"
    for name in $settings; do eval "given_$name=\${$name-}"; done
    file=${STILLPOINT_HOOKS_CONF:-/etc/stillpoint/hooks.conf}
    if [ -e "$file" ]; then
        # By `command`, or the shell would end here, and with a status of its own.
        # shellcheck source=/dev/null
        command . "$file" || fail 65 "$file: cannot be read as shell assignments"
    fi
    for name in $settings; do eval "$name=\${given_$name:-\${$name-}}"; done
    HOLD=${HOLD:-60}
    WAIT=${WAIT:-$2}
    DRAIN=${DRAIN:-2}
    KEEP=${KEEP:-3}
    [ -n "$BARRIERS" ] || fail 64 "no BARRIERS; name them in $file"
    case $WAIT in *[!0-9.]*) fail 64 "WAIT=$WAIT: expected seconds" ;; esac
    command -v stillpoint >/dev/null || fail 127 "stillpoint was not found in $PATH"
}

uptime() {
    read -r seconds _ </proc/uptime
    printf '%s' "$seconds"
}

# What is left of WAIT: left SINCE
left() {
    awk -v wait="$WAIT" -v since="$1" -v now="$(uptime)" \
        'BEGIN { left = wait - (now - since); print (left > 0 ? left : 0) }'
}

# Where the token of a barrier waits for the hook that thaws it: token_of BARRIER SNAPSHOT. In memory,
# since disks may be frozen, and one for each snapshot: a host may have several under way, and the end of
# one must never be taken for that of another.
tokens=${STILLPOINT_DIR:-/run/stillpoint}
token_of() {
    number=$(printf '%s\n' "$1" "$2" | cksum)
    printf '%s/.%s.%s.token' "$tokens" "$hook" "${number%% *}"
}

# Closes all barriers, or none: freeze [SNAPSHOT]. What it fails with is that of `stillpoint freeze`. A
# host that comes again for the same snapshot without having thawed has given it up: its pause is ended
# first. That of another snapshot is waited for, as any other tool's.
freeze() {
    since=$(uptime)
    thaw "${1-}" || :
    # For everybody to look into, whatever the host's umask: barriers lie there too.
    [ -d "$tokens" ] || (umask 022 && mkdir -p "$tokens")
    # Those that nobody came for.
    find "$tokens" -name ".$hook.*.token" -mtime +0 -exec rm -f {} +
    for barrier in $BARRIERS; do
        file=$(token_of "$barrier" "${1-}")
        if token=$(stillpoint freeze --hold "$HOLD" --drain "$DRAIN" -w "$(left "$since")" --label "$hook" "$barrier") &&
            (umask 077 && printf '%s\n' "$token" >"$file"); then
            continue
        else
            status=$?
        fi
        [ -z "$token" ] || stillpoint thaw --token "$token" "$barrier"
        thaw "${1-}" || :
        return "$status"
    done
}

# Opens what this hook's `freeze` has closed for the same snapshot: 0 if all of it held until now, 124 if
# something did not, 3 if there was nothing.
thaw() {
    verdict=3
    for barrier in $BARRIERS; do
        file=$(token_of "$barrier" "${1-}")
        [ -e "$file" ] || continue
        read -r token <"$file"
        rm -f "$file"
        if stillpoint thaw --token "$token" "$barrier"; then
            [ "$verdict" = 124 ] || verdict=0
        else
            verdict=124
        fi
    done
    return "$verdict"
}

# The same for hosts that may call it when nothing was frozen, which is all right.
thaw_if_frozen() {
    thaw "${1-}" || [ $? = 3 ] || exit 124
}

# Takes a snapshot and prints where it is: take NAME
take() {
    [ -n "$TAKE" ] || fail 64 "no TAKE; say in the settings how a snapshot is taken"
    # Words, both of them.
    # shellcheck disable=SC2086
    stillpoint snapshot --name "$1" --label "$hook" $BARRIERS $TAKE
}

# Removes old ones that `take` took: of these barriers, whatever else is in the catalogue.
prune() {
    # shellcheck disable=SC2086
    set -- $BARRIERS
    stillpoint prune --keep "$KEEP" "$1" >&2
}

# Lets a link of a fixed name lead to a snapshot, at one moment: link_to PATH LINK
link_to() {
    ln -sfn "$1" "$2.new" && mv -fT "$2.new" "$2"
}

now() { date -u +%Y-%m-%dT%H-%M-%SZ; }
