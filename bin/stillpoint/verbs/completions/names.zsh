# Names, and else what is above.
_@PROGRAM@() {
    local -a names
    names=("${(@f)$(_call_program names ${(q)words[1]} completions --names ${(q)${(Q)words[2,CURRENT]}} 2>/dev/null)}")
    names=(${names:#})
    if (( $#names )); then
        compadd -o nosort -a names
    else
        _@PROGRAM@_words "$@"
    fi
}
