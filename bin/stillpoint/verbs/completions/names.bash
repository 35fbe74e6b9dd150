
# Barriers, snapshots, jobs and units by name; else what is above.
_stillpoint_names() {
    local line=${COMP_LINE:0:COMP_POINT} words=() word name broken
    word=${line##*[[:space:]]}
    read -ra words <<<"${line%"$word"}"
    COMPREPLY=()
    while IFS= read -r name; do
        COMPREPLY+=("$(printf %q "$name")")
    done < <("${words[0]}" completions --names "${words[@]:1}" "$word" 2>/dev/null)
    if ((${#COMPREPLY[@]} == 0)); then
        _stillpoint "$@"
        return
    fi
    # Where bash takes a word apart, it wants what comes after that.
    broken=${word%"${word##*[$COMP_WORDBREAKS]}"}
    COMPREPLY=("${COMPREPLY[@]#"$broken"}")
}
complete -F _stillpoint_names -o bashdefault -o default stillpoint
if ((BASH_VERSINFO[0] > 4 || BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4)); then
    complete -F _stillpoint_names -o nosort -o bashdefault -o default stillpoint
fi
