
# Barriers, snapshots, jobs and units by name.
function __stillpoint_names
    set -l words (commandline -opc)
    $words[1] completions --names $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c stillpoint -k -a '(__stillpoint_names)'
