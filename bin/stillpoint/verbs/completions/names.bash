
# Names, and else what is above.
_@PROGRAM@_names() {
    local line=${COMP_LINE:0:COMP_POINT} words=() word name broken
    word=${line##*[[:space:]]}
    read -ra words <<<"${line%"$word"}"
    COMPREPLY=()
    while IFS= read -r name; do
        COMPREPLY+=("$(printf %q "$name")")
    done < <("${words[0]}" completions --names "${words[@]:1}" "$word" 2>/dev/null)
    if ((${#COMPREPLY[@]} == 0)); then
        _@PROGRAM@ "$@"
        return
    fi
    # Where bash takes a word apart, it wants what comes after that.
    broken=${word%"${word##*[$COMP_WORDBREAKS]}"}
    COMPREPLY=("${COMPREPLY[@]#"$broken"}")
}
complete -F _@PROGRAM@_names -o bashdefault -o default @PROGRAM@
if ((BASH_VERSINFO[0] > 4 || BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4)); then
    complete -F _@PROGRAM@_names -o nosort -o bashdefault -o default @PROGRAM@
fi
