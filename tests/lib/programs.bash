# Helpers of the tests that use pins files, small C programs and unusual servers.

# shellcheck source=tests/lib/lab.bash
. "$BATS_TEST_DIRNAME/lib/lab.bash"

bats_require_minimum_version 1.5.0
SHIM_SO=${SHIM_SO:-$BATS_TEST_DIRNAME/../build/libpinshim.so}
PROGRAMS=$BATS_TEST_DIRNAME/../build/programs
# With another OpenSSL than this system's (tests/matrix --cut): a directory with programs for it, its compiler and its command.
BUILT=${SHIM_OPENSSL:-$BATS_TEST_DIRNAME/../build}
[ -z "${SHIM_OPENSSL:-}" ] || export CC=$BUILT/cc PATH=$BUILT/bin:$PATH
export SHIM_SO PROGRAMS BUILT
# Under this name tests run once more, with a client on GnuTLS.
case ${BATS_TEST_FILENAME:-} in
*_gnutls.bats) S_CLIENT=("$BATS_TEST_DIRNAME/../build/gnutls/s_client") ;;
*) S_CLIENT=(openssl s_client) ;;
esac

# programs_lab: the lab of this file, with a good server and an impostor (nginx); for setup_file
programs_lab() {
    export BATS_TEST_TIMEOUT=${SHIM_TEST_TIMEOUT:-60}
    lab_make "$BATS_FILE_TMPDIR/lab"
    lab_nginx good
    GOOD=$PORT
    lab_nginx impostor
    IMPOSTOR=$PORT
    PIN_GOOD=$(lab_spki "$LAB/good.pem")
    PIN_IMPOSTOR=$(lab_spki "$LAB/impostor.pem")
    export LAB GOOD IMPOSTOR PIN_GOOD PIN_IMPOSTOR
}

# pins LINE...: the pins file of this test, $PINS
pins() {
    PINS=$BATS_TEST_TMPDIR/pins
    rm -f "$PINS"
    printf '%s\n' "$@" >"$PINS"
    touch -d '1 minute ago' "$PINS" # else the first reader waits: it may be unfinished
}

# shim COMMAND...: run a program with the shim and $PINS. COMMAND cannot be a function, because env starts it.
shim() {
    env LD_PRELOAD="$SHIM_SO${PRELOAD_ALSO:+ $PRELOAD_ALSO}" PINSHIM_PINS="$PINS" "$@"
}

# bare COMMAND...: the same without the shim
bare() {
    env ${PRELOAD_ALSO:+LD_PRELOAD="$PRELOAD_ALSO"} "$@"
}

# capture COMMAND...: sets $STATUS, $OUT and $ERR (files keep what a variable cannot hold)
capture() {
    OUT_FILE=$BATS_TEST_TMPDIR/out ERR_FILE=$BATS_TEST_TMPDIR/err
    STATUS=0
    "$@" >"$OUT_FILE" 2>"$ERR_FILE" </dev/null || STATUS=$?
    # bash leaves out NUL, and says so.
    { OUT=$(<"$OUT_FILE") ERR=$(<"$ERR_FILE"); } 2>/dev/null
}

# needs PROGRAM: skip the test if this release lacks functions that PROGRAM needs
needs() {
    # shellcheck disable=SC2153 # the tests'
    capture bare "$PATHS/$1"
    [ "$STATUS" -ne 77 ] || skip 'this OpenSSL has none'
}

# needs_mounts: the test mounts something for itself alone. Where the root is no mount point (a chroot) root cannot either.
needs_mounts() {
    local why
    why=$(unshare --mount true 2>&1) || skip "no mount namespace: ${why#unshare: }"
}

# needs_terminal: the test needs a pseudo-terminal. Where no devpts is mounted there is none.
needs_terminal() {
    local why
    why=$(/usr/bin/python3 -c 'import os, pty; pty.openpty()' 2>&1) || skip "no pseudo-terminal: $(tail -n 1 <<<"$why")"
}

# explain MESSAGE: fail, and print the results of the last captured command
explain() {
    printf '%s\nstatus %s\n--- stdout\n%s\n--- stderr\n%s\n' "$1" "${STATUS:-}" "${OUT:-}" "${ERR:-}"
    return 1
}

equals() {
    [ "$1" = "$2" ] || explain "expected \"$2\", got \"$1\""
}

# has TEXT STRING: TEXT has the fixed STRING; lacks is its opposite
has() {
    [[ $1 == *"$2"* ]] || explain "not found: $2"
}

lacks() {
    [[ $1 != *"$2"* ]] || explain "found, and must not be: $2"
}

# lines VERDICT: the shim's lines with that verdict in $ERR
lines() {
    grep -aE "^pinshim\[[0-9]+\]: $1[ :]" <<<"$ERR" || true
}

count_lines() {
    grep -acE "^pinshim\[[0-9]+\]: $1[ :]" <<<"$ERR" || true
}

# accepted COMMAND...: the program succeeds with the shim, which logs nothing
accepted() {
    capture shim "$@"
    equals "$STATUS" 0
    lacks "$ERR" 'pinshim['
}

# noticed COMMAND...: the program succeeds under the shim, which notices that no rule for a name was asked, and says nothing else
noticed() {
    capture shim "$@"
    equals "$STATUS" 0
    equals "$(count_lines notice)" 1
    has "$ERR" 'no name is known of this target'
    equals "$(grep -acF 'pinshim[' <<<"$ERR")" 1
}

# refused COMMAND...: the program succeeds without the shim, fails with it, and the shim logs that once, in $LINE
# shellcheck disable=SC2034 # the tests read it
refused() {
    capture bare "$@"
    [ "$STATUS" -eq 0 ] || explain "fails without the shim: $*"
    capture shim "$@"
    [ "$STATUS" -ne 0 ] || explain "not refused: $*"
    equals "$(count_lines refused)" 1
    LINE=$(lines refused)
}

# judged VERDICT PORT [OPTION...]: the verdict for a client that verifies nothing
judged() {
    "$1" "${S_CLIENT[@]}" -brief -connect "127.0.0.1:$2" "${@:3}"
}

# www VERDICT PORT [OPTION...]: the same, for the name www.pinned.example
www() {
    judged "$1" "$2" -servername www.pinned.example "${@:3}"
}

# reader NAME [OPTION...]: an openssl s_server that shows $LAB/NAME.pem and prints what it receives into $READER; sets $PORT
reader() {
    READER=$(mktemp "$LAB/reader-XXXXXX")
    mkfifo "$READER.in"
    # Its standard input must not end: the server would.
    openssl s_server -accept 127.0.0.1:0 -cert "$LAB/$1.pem" -key "$LAB/$1.key" "${@:2}" >"$READER" 2>&1 <>"$READER.in" 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait grep -q '^ACCEPT' "$READER" || return 1
    PORT=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p;T;q' "$READER")
}

# relay PORT [WORD...]: a relay and proxy before the server at PORT, that keeps what clients sent in $RELAYED; sets $PORT
relay() {
    RELAYED=$(mktemp "$LAB/relay-XXXXXX")
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/relay.py" "$1" "$RELAYED" "${@:2}" >"$RELAYED.port" 2>"$RELAYED.err" </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$RELAYED.port" || return 1
    PORT=$(cat "$RELAYED.port")
}

# unwrap PORT NAME: terminates TLS, with $LAB/NAME.pem, before the server at PORT; sets $PORT
unwrap() {
    local out
    out=$(mktemp "$LAB/unwrap-XXXXXX")
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/unwrap.py" "$1" "$LAB/$2" >"$out" 2>"$out.err" </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$out" || return 1
    PORT=$(cat "$out")
}

# names: an object that resolves every name below pinned.example to 127.0.0.1, for $PRELOAD_ALSO
names() {
    NAMES=$LAB/names.so
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -shared -fPIC -o "$NAMES" "$BATS_TEST_DIRNAME/lib/names.c" -ldl
    export NAMES
}

# postfix_box BOX RELAYHOST LEVEL LOOKUP ENVIRONMENT [LINE...]: makes a Postfix of its own in the directory BOX, which its user must be able to search; its smtp
# gets ENVIRONMENT, since the master cleans it. Its log is BOX/log.
postfix_box() {
    local box=$1 service
    mkdir -p "$box"/{conf,queue,data} && chown postfix "$box/data"
    printf '%s\n' 'compatibility_level = 3.6' "queue_directory = $box/queue" "data_directory = $box/data" "maillog_file = $box/log" \
        "maillog_file_prefixes = $box" 'myhostname = here.example' 'mydestination =' 'inet_interfaces = loopback-only' 'inet_protocols = ipv4' \
        "relayhost = $2" "smtp_tls_security_level = $3" "smtp_host_lookup = $4" \
        "import_environment = MAIL_CONFIG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME $5" "${@:6}" >"$box/conf/main.cf"
    for service in 'pickup unix n - n 60 1 pickup' 'cleanup unix n - n - 0 cleanup' 'qmgr unix n - n 300 1 qmgr' 'tlsmgr unix - - n 1000? 1 tlsmgr' \
        'rewrite unix - - n - - trivial-rewrite' 'bounce unix - - n - 0 bounce' 'defer unix - - n - 0 bounce' 'smtp unix - - n - - smtp' \
        'postlog unix-dgram n - n - 1 postlogd'; do
        echo "$service"
    done >"$box/conf/master.cf"
}

# can_filter: the test is skipped where there are no seccomp filters (emulators)
can_filter() {
    capture bare "$PROGRAMS/sandbox" 0 prctl filter
    [ "$STATUS" -ne 77 ] || skip 'no seccomp filters here'
    equals "$STATUS" 0
}
