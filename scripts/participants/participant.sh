# shellcheck shell=sh
# What the ready-made participants have in common. It is read by them and not run; see
# stillpoint-participants(7).
#
# A participant is told on its standard input to freeze its store and to thaw it, and says on its standard
# output that it has. What must free the store whatever happens:
#
#   end of its input    the tool is done, or dead
#   the limit           nobody tells it: the guard of guard.sh, a process of its own, knows the time
#   its own death       a store that is held by a session is freed by the end of the client, which this
#                       process becomes; any other is thawed by the guard
#
# On standard error goes one line, about what is wrong; the tool says whose it is.

export PATH="${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A decimal comma is no number to the next program, and its errors are read.
export LC_ALL=C
here=${0%/*}

say() { printf '%s\n' "$1" >&2; }

fail() {
    say "$2"
    exit "$1"
}

# Called first: needs PROGRAM...
needs() {
    for program in mktemp mkfifo timeout "$@"; do
        command -v "$program" >/dev/null || fail 127 "$program was not found in $PATH"
    done
}

# Pipes with these names, in a folder that goes as soon as they are open.
make_pipes() {
    pipes=$(umask 077 && mktemp -d "${TMPDIR:-/tmp}/stillpoint.XXXXXX") || exit 73
    for pipe; do mkfifo -m 600 "$pipes/$pipe" || exit 73; done
}

# Once they are open.
forget_pipes() { rm -r "$pipes"; }

# Starts the guard, to which descriptor 4 leads: guard COMMAND...
# What it says goes to descriptor 5.
guard() {
    set -- sh "$here/guard.sh" "$@"
    # Out of this group, which may be killed as a whole.
    if command -v setsid >/dev/null; then set -- setsid "$@"; fi
    "$@" <"$pipes/guard" >&5 5>&- &
    exec 4>"$pipes/guard"
}

# Thaws after so many milliseconds at most.
arm() { echo "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))" >&4; }

# False if that has happened.
disarm() { echo >&4; }

# Whether it is a number of milliseconds.
is_limit() {
    case $1 in '' | 0* | *[!0-9]*) false ;; *) [ ${#1} -le 9 ] ;; esac
}

# Answers requests until the end of input: serve ARGUMENT..., by the functions freeze LIMIT ARGUMENT... and
# thaw ARGUMENT..., which is called only for what was frozen.
serve() {
    frozen=
    while read -r request limit; do
        case $request in
        freeze)
            is_limit "$limit" || fail 64 "freeze $limit: expected milliseconds"
            arm "$limit"
            freeze "$limit" "$@"
            frozen=1
            ;;
        thaw)
            [ "$frozen" ] || fail 64 "thaw: nothing is frozen"
            melt "$@"
            ;;
        *) fail 64 "$request: expected freeze or thaw" ;;
        esac
    done
    [ ! "$frozen" ] || melt "$@"
}

# The guard looks on until it is done: whatever fails here, or ends us, it thaws.
melt() {
    thaw "$@"
    disarm || fail 1 "went on by itself at its limit"
    thawed
    frozen=
}

thawed() { echo thawed; }

# Becomes the client whose session holds the store: session EXPLAIN CLIENT...
#
# Requests are made statements by the functions prepare, freeze LIMIT and thaw, of which the last of each
# makes the client print the answer. EXPLAIN is a function that makes one line of what the client
# complains of.
session() {
    explain=$1
    shift
    make_pipes statements errors guard
    exec 3<&0 5>&1
    # What is opened last is what the client complains of, so then the pipes may go.
    {
        forget_pipes
        "$explain" >&2
    } <"$pipes/errors" >/dev/null 3<&- 5>&- &
    {
        exec <&3 3<&- >/dev/null
        # shellcheck disable=SC2016
        guard sh -c 'kill -KILL "$0" 2>/dev/null' $$
        exec >"$pipes/statements" 5>&-
        # That says the client.
        thawed() { :; }
        prepare
        serve
    } &
    exec "$@" <"$pipes/statements" 2>"$pipes/errors" 3<&- 5>&-
}
