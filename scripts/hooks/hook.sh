# shellcheck shell=sh
# What the hooks have in common. It is read by them and not run; see stillpoint-hooks(7). scripts/install
# writes into each of them where it lies, so that it is found from wherever a host has its copy of one.
#
# What is frozen, for how long at most, who else stands still, and how a snapshot is taken, a job says:
# stillpoint-job(5). Settings are shell assignments in /etc/stillpoint/hooks.conf. In the environment their
# names begin with STILLPOINT_, as STILLPOINT_JOB, and go before; without it they may be anybody's.
#
#   JOB   the job; needed
#   WAIT  how many seconds a freeze may wait for all of its barriers; each host has its own default, below
#         the limit that it sets
#
# and those that belong to one hook (ON_CONFLICT, HOOK_D, RECORD), which it explains.

# Hosts start their hooks with next to nothing in it; and what was installed elsewhere is there.
home=/usr/share/stillpoint/hooks
export PATH="${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${home%/share/*}/bin"
# A decimal comma is no number to the next program.
export LC_ALL=C
# What the host has closed would be the first that the next pipe gets, and then nobody hears of its end.
if [ -d "/proc/$$/fd" ]; then
    [ -e "/proc/$$/fd/0" ] || exec </dev/null
    [ -e "/proc/$$/fd/1" ] || exec >/dev/null
    [ -e "/proc/$$/fd/2" ] || exec 2>/dev/null
fi

say() { printf 'stillpoint: %s: %s\n' "$hook" "$1" >&2; }

fail() {
    say "$2"
    exit "$1"
}

# Called in a way that the host has not got: misused NAME MESSAGE [STATUS]
misused() {
    hook=$1
    fail "${3:-64}" "$2"
}

# Called first: settle NAME WAIT
settle() {
    name_settings "$1"
    # A pipe would never end.
    case $file in
    /dev/null) ;;
    *) if [ -e "$file" ] && [ ! -f "$file" ]; then fail 65 "$file: is no regular file"; fi ;;
    esac
    if [ -e "$file" ]; then
        [ ! -f "$file" ] || ! is_anybodys "$file" ||
            fail 77 "$file: others could write it, and it is run; chown root $file; chmod go-w $file"
        read_settings || fail 65 "$file: cannot be read as shell assignments"
    fi
    leave_to_job
    read_environment
    WAIT=${WAIT:-$2}
    [ -n "$JOB" ] || fail 64 "no JOB; name one in $file: stillpoint job init writes one"
    case $WAIT in *[!0-9.]* | *.*.* | .) fail 64 "WAIT=$WAIT: expected seconds" ;; esac
    begin
}

# The same for a call that ends what another has begun: settle_end NAME. What was closed is noted, so what the settings
# say by now, or that they are gone, hinders nothing.
settle_end() {
    name_settings "$1"
    if [ -f "$file" ] && ! is_anybodys "$file"; then read_settings 2>/dev/null || :; fi
    read_environment
    begin
}

name_settings() {
    hook=$1
    file=${STILLPOINT_HOOKS_CONF:-/etc/stillpoint/hooks.conf}
    settings="JOB WAIT ON_CONFLICT HOOK_D RECORD"
    of_job="BARRIERS HOLD DRAIN TAKE KEEP"
    for name in $settings $of_job; do unset "$name"; done
}

# What a job says is said there, and nowhere else: who says it here is told how.
leave_to_job() {
    for name in $of_job; do
        eval "value=\${STILLPOINT_$name-}"
        where="STILLPOINT_$name"
        # Commands in a pause find that one.
        [ "$name" != BARRIERS ] || value=
        if [ -z "$value" ]; then
            eval "value=\${$name-}"
            where="$name in $file"
        fi
        if [ -n "$value" ]; then
            job=${STILLPOINT_JOB:-${JOB:-NAME}}
            fail 64 "$where: leave it out; write $(as_key) in ${STILLPOINT_JOBS:-/etc/stillpoint/jobs.d}/$job.toml, and JOB=$job here"
        fi
    done
}

# The value of a setting as the key of a job.
as_key() {
    case $name in
    HOLD) printf 'hold = %s in [limits]' "$value" ;;
    DRAIN) printf 'drain = %s in [limits]' "$value" ;;
    KEEP) printf 'keep = %s in [retention]' "$value" ;;
    TAKE) printf 'each option is a key, as btrfs = "/srv/mail" and to = "/srv/snapshots", in [snapshot]' ;;
    BARRIERS)
        case $value in
        *[\'\"\\]*) printf 'barriers = ["mail", "/srv/my mail/x.barrier"]' ;;
        *) printf 'barriers = ["%s"]' "$(printf '%s' "$value" | tr -s ' \t\n' '   ' | sed 's/^ //; s/ $//; s/ /", "/g')" ;;
        esac
        ;;
    esac
}

read_environment() {
    for name in $settings; do eval "$name=\${STILLPOINT_$name:-\${$name-}}"; done
}

begin() {
    command -v stillpoint >/dev/null || fail 127 "stillpoint was not found in $PATH"
    # From here on, what is not quoted is such a list.
    IFS='
'
    set -f
}

# May others write to a file that is run? Neither root nor who runs it is another.
is_anybodys() {
    [ -n "$(find -L "$1" -prune \( -perm -0020 -o -perm -0002 -o ! -user 0 ! -user "$(id -u)" \))" ]
}

# Whatever editor the file was written with: lines may end as on Windows, and the first begin as there.
read_settings() {
    text=$(tr -d '\r' <"$file") || return
    text=${text#"$(printf '\357\273\277')"}
    # A mistake ends the shell that makes it, so another one tries first.
    (
        eval "$text"
        :
    ) || return
    eval "$text" || :
}

uptime() {
    IFS=' ' read -r seconds _ </proc/uptime
    printf '%s' "$seconds"
}

# Where hooks leave what a later call needs. In memory, since disks may be frozen.
notes=${STILLPOINT_DIR:-/run/stillpoint}

# For everybody to look into, whatever the host's umask: barriers lie there too.
make_notes() { [ -d "$notes" ] || (umask 022 && mkdir -p "$notes"); }

# A name for any words.
number() {
    sum=$(printf '%s\n' "$@" | cksum)
    printf '%s' "${sum%% *}"
}

# Where the tokens of a pause wait for the hook that ends it: note_of SNAPSHOT. One for each snapshot: a host
# may have several under way, and the end of one must never be taken for that of another. Two of one host differ in their
# environment; what the file says may have changed before the second call.
note_of() {
    printf '%s/.%s.%s.token' "$notes" "$hook" \
        "$(number "${STILLPOINT_JOB-}" "$1")"
}

# Closes all barriers of the job, or none, and notes their tokens, each with its barrier on a line: freeze [SNAPSHOT].
# What it fails with is that of `stillpoint freeze`. A host that comes again for the same snapshot without having thawed
# has given it up: its pause is ended first. That of another snapshot is waited for, as any other tool's.
freeze() {
    since=$(uptime)
    thaw "${1-}" || :
    make_notes
    forget_tokens
    note=$(note_of "${1-}")
    tokens=$(stillpoint freeze -w "$WAIT" --label "$hook" "--job=$JOB") || return
    if [ ! -e "$note" ]; then
        (umask 077 && printf 'since %s\n%s\n' "$since" "$tokens" >"$note") && return
        rm -f "$note"
    fi
    # Nobody could end this pause, so it would stay to its limit.
    printf '%s\n' "$tokens" | end_pauses
    say "$note: cannot be written, so nothing stays frozen; make room in $notes"
    return 73
}

# Removes the tokens that nobody has come for since a day, by a clock that nobody sets.
forget_tokens() {
    set +f
    for file in "$notes/.$hook".*.token; do
        [ -f "$file" ] || continue
        IFS=' ' read -r _ made <"$file" || continue
        if [ $((${since%%.*} - ${made%%.*})) -gt 86400 ]; then rm -f "$file"; fi
    done 2>/dev/null
    set -f
}

# Opens what this hook's `freeze` has closed for the same snapshot: 0 if all of it held until now, 124 if
# something did not, 3 if there was nothing. What was closed is noted, whatever the settings and the job say by now.
thaw() {
    ended=$(note_of "${1-}")
    [ -f "$ended" ] || return 3
    {
        rm -f "$ended"
        read -r _ || :
        end_pauses
    } <"$ended" || return 124
}

# Ends the pauses whose tokens it reads.
end_pauses() {
    verdict=0
    while IFS=' ' read -r token barrier; do
        stillpoint thaw --token "$token" -- "$barrier" </dev/null || verdict=124
    done
    return "$verdict"
}

# The same for hosts that may call it when nothing was frozen, which is all right.
thaw_if_frozen() {
    thaw "${1-}" || [ $? = 3 ] || exit 124
}

now() { date -u +%Y-%m-%dT%H-%M-%SZ; }
