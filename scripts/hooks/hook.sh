# shellcheck shell=sh
# What the hooks have in common. It is read by them and not run; see stillpoint-hooks(7).
#
# Settings are shell assignments in /etc/stillpoint/hooks.conf, and the environment goes before:
#
#   BARRIERS  the barriers to close, in the order in which writers nest them; needed
#   HOLD      how long a frozen barrier stays closed at most, when nobody comes to thaw it
#   WAIT      how long a freeze may wait altogether; each host has its own default
#   DRAIN     how long the gate is closed at a time before the last writer has left
#   TAKE      for backup tools: how `stillpoint snapshot` takes one,
#             such as "--btrfs /srv/mail --to /srv/snapshots"
#   KEEP      for backup tools: how many snapshots are kept

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
    file=${STILLPOINT_HOOKS_CONF:-/etc/stillpoint/hooks.conf}
    given_barriers=${BARRIERS-} given_hold=${HOLD-} given_wait=${WAIT-} given_drain=${DRAIN-}
    given_take=${TAKE-} given_keep=${KEEP-}
    if [ -e "$file" ]; then
        # shellcheck source=/dev/null
        . "$file" || fail 65 "$file: cannot be read as shell assignments"
    fi
    BARRIERS=${given_barriers:-${BARRIERS-}}
    HOLD=${given_hold:-${HOLD:-60}}
    WAIT=${given_wait:-${WAIT:-$2}}
    DRAIN=${given_drain:-${DRAIN:-2}}
    TAKE=${given_take:-${TAKE-}}
    KEEP=${given_keep:-${KEEP:-3}}
    [ -n "$BARRIERS" ] || fail 64 "no BARRIERS; name them in $file"
    command -v stillpoint >/dev/null || fail 127 "stillpoint was not found in $PATH"
}

# Where the token of a barrier waits for the hook that thaws it: in memory, since disks may be frozen.
token_of() {
    case $1 in
    */*) printf '%s.token' "$1" ;;
    *) printf '%s/.%s.%s.token' "${STILLPOINT_DIR:-/run/stillpoint}" "$hook" "$1" ;;
    esac
}

# Closes all barriers, or none. What it fails with is that of `stillpoint freeze`. A host that comes
# again without having thawed has given its snapshot up: its pause is ended first.
freeze() {
    thaw || :
    for barrier in $BARRIERS; do
        file=$(token_of "$barrier")
        if token=$(stillpoint freeze --hold "$HOLD" --drain "$DRAIN" -w "$WAIT" --label "$hook" "$barrier") &&
            printf '%s\n' "$token" >"$file"; then
            continue
        else
            status=$?
        fi
        [ -z "$token" ] || stillpoint thaw --token "$token" "$barrier"
        thaw || :
        return "$status"
    done
}

# Opens what this hook's `freeze` has closed: 0 if all of it held until now, 124 if something did not,
# 3 if there was nothing.
thaw() {
    verdict=3
    for barrier in $BARRIERS; do
        file=$(token_of "$barrier")
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
    thaw || [ $? = 3 ] || exit 124
}

# Takes a snapshot and prints where it is: take NAME
take() {
    [ -n "$TAKE" ] || fail 64 "no TAKE; say in the settings how a snapshot is taken"
    # Words, both of them.
    # shellcheck disable=SC2086
    stillpoint snapshot --name "$1" --label "$hook" $BARRIERS $TAKE
}

# Lets a link of a fixed name lead to a snapshot, at one moment: link_to PATH LINK
link_to() {
    ln -sfn "$1" "$2.new" && mv -fT "$2.new" "$2"
}

now() { date -u +%Y-%m-%dT%H-%M-%SZ; }
