# shellcheck shell=sh
# What the participants for MariaDB and MySQL have in common, beside participant.sh.
#
# Others queue behind a lock that is waited for, also when they could have gone on before: so nothing here
# waits for longer than a second.
#
# shellcheck source=scripts/participants/participant.sh
command . "${0%/*}/participant.sh" || exit 127

# Of what was asked for by name, the client that is here: client NAME OTHER
client() {
    if command -v "$1" >/dev/null; then client=$1; else client=$2; fi
    needs "$client"
}

# The server's version, and what it covers: look ARGUMENT...
look() {
    # The arguments come first, as --defaults-file has to.
    look=$("$client" "$@" --batch --skip-column-names --skip-reconnect --connect-timeout=2 \
        -e 'SELECT VERSION(), @@datadir, @@pid_file') || exit 1
    tab=$(printf '\t')
    version=${look%%"$tab"*}
    look=${look#*"$tab"}
    covers "${look%%"$tab"*}" "${look#*"$tab"}"
}

# Whether it is MariaDB, and of this version or a newer one: is_mariadb MAJOR MINOR
is_mariadb() {
    # 10.11.19-MariaDB-...
    minor=${version#*.}
    case $version in
    *MariaDB*) [ $((${version%%.*} * 1000 + ${minor%%.*})) -ge $(($1 * 1000 + $2)) ] ;;
    *) false ;;
    esac
}

# It is that of this host, and not only one with that number, if it works in that folder: covers DATADIR PIDFILE
covers() {
    case $2 in /*) file=$2 ;; *) file=$1/$2 ;; esac
    { read -r pid <"$file"; } 2>/dev/null || return 0
    [ "$(readlink "/proc/$pid/cwd")" = "$(cd "$1" 2>/dev/null && pwd -P)" ] || return 0
    echo "covers $pid"
}

# Becomes the client: hold PREPARE FREEZE THAW ARGUMENT..., of which the first is done before the gate
# closes and the second in the pause.
hold() {
    prepare=$1 freeze=$2 thaw=$3
    shift 3
    session explain "$client" "$@" --batch --skip-column-names --unbuffered --skip-reconnect --skip-force \
        --skip-tee --skip-pager --skip-auto-rehash --connect-timeout=2 --skip-table --skip-html --skip-xml
}

# Under FLUSH TABLES WITH READ LOCK, for which nothing can be done before.
hold_by_lock() { hold '' 'FLUSH TABLES WITH READ LOCK;' 'UNLOCK TABLES;' "$@"; }

# The session ends with its first error.
explain() {
    while read -r line; do
        case $line in
        'ERROR 1205 '*) say "another backup, or a statement that takes long, did not let it for a second" ;;
        'ERROR '*) say "$line" ;;
        esac
    done
}

# A session that nobody ends, nor asks for anything, is ended by the server: after so many seconds, rounded up.
prepare() { echo "SET SESSION lock_wait_timeout = 1; $prepare SELECT 'ready';"; }

freeze() { echo "SET SESSION wait_timeout = $((($1 + 999) / 1000)); $freeze SELECT 'frozen';"; }

thaw() {
    echo "$thaw SET SESSION wait_timeout = DEFAULT; SELECT 'thawed';"
    # The next time nothing has come before.
    freeze="$prepare $freeze"
    prepare=
}
