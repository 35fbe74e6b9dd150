# shellcheck shell=sh
# The guard of a frozen store: sh guard.sh COMMAND...
#
# It is a process of its own that outlives the participant. On its standard input a line with a number of
# seconds says that the store is being frozen for so long at most, and an empty one that it is about to be
# thawed. When the time is over, or the input ends in between, COMMAND thaws it.

# The shell that waits for those that it has ended says so, to nobody. They are ended by KILL: mksh forgets a TERM that comes
# while a child of it begins.
exec 3<&0 4>&2 2>/dev/null
while read -r seconds <&3; do
    # busybox's timeout(1) counts whole seconds.
    sleep "$seconds" 4>&- &
    clock=$!
    {
        read -r _
        heard=$?
        kill -KILL "$clock"
        exit "$heard"
    } <&3 3<&- 4>&- &
    reader=$!
    wait "$clock"
    if [ $? -le 128 ]; then
        kill -KILL "$reader"
        # Before it is so: what was said last counts.
        echo expired
        echo 'its limit has passed, so it goes on' >&4
        "$@" >/dev/null 2>&4
        exit
    fi
    wait "$reader" || {
        "$@" >/dev/null
        exit
    }
done
