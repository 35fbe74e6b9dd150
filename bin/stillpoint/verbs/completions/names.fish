
# Names.
function __@PROGRAM@_names
    set -l words (commandline -opc)
    $words[1] completions --names $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c @PROGRAM@ -k -a '(__@PROGRAM@_names)'
