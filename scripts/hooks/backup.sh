# shellcheck shell=sh
# What the hooks of tools that read have in common, beside hook.sh: a job takes a snapshot, verifies it and removes
# what is old, and the snapshot is pinned for as long as the tool reads it.

# shellcheck source=scripts/hooks/hook.sh
command . /usr/share/stillpoint/hooks/hook.sh || exit 127

# Has the job take a snapshot, and prints where it is; if any step of it went wrong there is nothing to read.
take() {
    taken=$(stillpoint job run -- "$JOB") || return
    # IFS is a newline.
    case $taken in
    *"$IFS"*) fail 64 "the snapshot is of several sources, and $hook reads one: $(printf '%s' "$taken" | tr '\n' ' ')" ;;
    esac
    printf '%s\n' "$taken"
}

# How `stillpoint use` is told which one that is: words, for: chosen PATH
chosen() { printf '%s' "--job=$JOB$IFS$1"; }

# Pins a snapshot for as long as the host reads it: pin WHICH WHAT, as it was chosen. That is until `unpin`; where that is
# never called, until the host has ended, and what it may have left behind in its process group. A host
# that comes again for the same thing has given it up; what others read is none of its business.
pin() {
    make_notes
    end_pins mine "$(number "$2")" || :
    # Words.
    # shellcheck disable=SC2086
    keeper=$(stillpoint use --any --while "$host" $1 &)
    # It has said why.
    [ -n "$keeper" ] || return 66
    note=$notes/.$hook.$(number "$2").$keeper.pin
    (umask 077 && printf '%s %s %s\n' "$(life "$keeper")" "$(life "$host")" "$(group)" >"$note") ||
        say "$note: cannot be written, so the snapshot stays until the host has ended"
}

# Gives up what this host has pinned: unpin [WHAT]
unpin() {
    what='*'
    [ -z "${1-}" ] || what=$(number "$1")
    end_pins mine "$what" || end_pins orphaned "$what" || :
}

# The host: from outside of a container it has no number here, and the container stands for it.
host=$PPID
[ "$host" != 0 ] || host=1

# Ends pins, and fails if there were none: end_pins WHOSE NUMBER. Those that are mine have this very caller.
# Those that are orphaned have the same process group, and a caller that has ended: a shell that the host
# ran this hook with, for once. The notes of those that ended by themselves go too.
end_pins() {
    found=1
    set +f
    for note in "$notes/.$hook".*.pin; do
        [ -f "$note" ] || continue
        IFS=' ' read -r keeper caller members <"$note" || continue
        if lives "$keeper"; then
            # A pattern.
            # shellcheck disable=SC2254
            case $1:$note in
            mine:*".$hook".$2.*) [ "$caller" = "$(life "$host")" ] || continue ;;
            orphaned:*".$hook".$2.*)
                if [ "$members" != "$(group)" ] || lives "$caller"; then continue; fi
                ;;
            *) continue ;;
            esac
            found=0
            kill -s KILL "${keeper%-*}"
            for _ in 1 2 3 4 5 6 7 8 9; do
                if lives "$keeper"; then sleep 0.1; fi
            done
        fi
        rm -f "$note"
    done 2>/dev/null
    set -f
    return "$found"
}

# A process by its number and the time of its start, which no other one has: life NUMBER. Fails if there is
# none.
life() {
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return
    # Behind the name, which may hold anything.
    stat=${stat##*) }
    case $stat in Z* | X*) return 1 ;; esac
    printf '%s-%s' "$1" "$(printf '%s' "$stat" | cut -d ' ' -f 20)"
}

lives() { [ "$(life "${1%-*}")" = "$1" ]; }

# The process group that this hook was called in.
group() {
    stat=$(cat "/proc/$$/stat")
    printf '%s' "${stat##*) }" | cut -d ' ' -f 3
}

# Sets `link` to the link that shall lead to the snapshot, before one is taken: name_link LINK
name_link() {
    # With a slash behind it, it would be what it leads to.
    link=$1
    while [ "${link%/}" != "$link" ]; do link=${link%/}; done
    # No option of any program.
    case $link in /*) ;; *) link=./$link ;; esac
    folder=${link%/*}/
    if [ ! -d "$folder" ] || [ ! -w "$folder" ]; then
        fail 73 "$1: cannot be made; name a link in a folder that can be written"
    fi
    may_be_replaced
}

# What is no symbolic link is somebody's, under both names that a link has.
may_be_replaced() {
    for there in "$link" "$link.new"; do
        if [ -e "$there" ] && [ ! -L "$there" ]; then
            fail 73 "$there: is there and no symbolic link, so it stays; name a link of another name"
        fi
    done
}

# Lets the link lead to a snapshot, at one moment: link_to PATH
link_to() {
    # A snapshot takes a while.
    may_be_replaced
    if ! ln -sfn "$1" "$link.new" || ! mv -fT "$link.new" "$link"; then
        fail 73 "$link: cannot be made, so the snapshot $1 is not used"
    fi
}
