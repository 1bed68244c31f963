#!/usr/bin/env bats
# Goal: with a configuration that is missing, faulty or in an unusual place, every TLS client handshake is refused with the reason, and
# nothing else is affected; the settings in the environment (mode, log, format, level) have their effect.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2030,SC2031,SC2153

load lib/programs

setup_file() {
    programs_lab
    names
}

teardown_file() {
    lab_stop
}

setup() {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    CURL=(curl -sk --max-time 20 --resolve "www.pinned.example:$GOOD:127.0.0.1" --resolve "www.pinned.example:$IMPOSTOR:127.0.0.1")
    URL_GOOD=https://www.pinned.example:$GOOD/
    URL_IMPOSTOR=https://www.pinned.example:$IMPOSTOR/
    MEMBERS='time pid exe verdict library target address port rule reason matched spki_sha256 cert_sha256 subject issuer not_after tls resumed client_cert'
}

# The good server would satisfy the rule; the fault, whose reason is given, refuses it. $ERR holds the lines.
refused_by_fault() {
    capture bare "${CURL[@]}" "$URL_GOOD"
    equals "$STATUS" 0
    capture shim timeout 20 "${CURL[@]}" "$URL_GOOD"
    equals "$STATUS" 60
    equals "$OUT" ''
    equals "$(count_lines refused)" 1
    has "$(lines fault)" "$1"
    has "$(lines refused)" "refused www.pinned.example"
    has "$(lines refused)" "configuration fault: "
    has "$(lines refused)" "$1"
}

@test "without a pins file every client handshake is refused" {
    PINS=$BATS_TEST_TMPDIR/nowhere
    refused_by_fault "$PINS: cannot open the pins file: No such file or directory"
}

@test "a pins file below a file that is no directory refuses every client handshake" {
    PINS=$PINS/pins
    refused_by_fault "$PINS: cannot open the pins file: Not a directory"
}

@test "a pins file that every user may write refuses every client handshake" {
    chmod 0646 "$PINS"
    refused_by_fault "$PINS: the pins file is world-writable; expected "
}

@test "an unknown variable is said once, in processes that do a handshake" {
    export PINSHIM_PIN=x PINSHIM_MODES=report
    capture shim /usr/bin/python3 -c 'import os, socket, ssl, sys
os.environ.clear()
context = ssl._create_unverified_context()
for i in range(3): context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="www.pinned.example").close()' "$GOOD"
    equals "$STATUS" 0
    equals "$(count_lines notice)" 1
    has "$(lines notice)" 'notice: pinshim has no variable of this name, and it has no effect: '
    has "$(lines notice)" PINSHIM_PIN
    has "$(lines notice)" PINSHIM_MODES
    equals "$(wc -l <<<"$ERR")" 1
    capture shim "${CURL[@]}" "$URL_IMPOSTOR"
    equals "$STATUS $(count_lines notice) $(count_lines refused)" '60 1 1'
    capture shim wget -qO- --tries=1 --no-check-certificate "https://localhost:$GOOD/"
    equals "$STATUS" 0
    equals "$(count_lines notice)" 1
    # shellcheck disable=SC2016 # the port is the inner shell's
    capture shim bash -c 'ls / >/dev/null; exec 3<>"/dev/tcp/127.0.0.1/$0"; printf "GET / HTTP/1.0\r\n\r\n" >&3; cat <&3 >/dev/null' "$GOOD"
    equals "$ERR" ''
    unset PINSHIM_PIN PINSHIM_MODES
    accepted "${CURL[@]}" "$URL_GOOD"
}

@test "a pins file that its group may write is used" {
    chmod 0664 "$PINS"
    accepted "${CURL[@]}" "$URL_GOOD"
    refused "${CURL[@]}" "$URL_IMPOSTOR"
}

@test "a directory in place of the pins file refuses every client handshake" {
    PINS=$BATS_TEST_TMPDIR
    refused_by_fault "$PINS: the pins file is not a regular file"
}

@test "a FIFO in place of the pins file refuses every client handshake and stops no program" {
    rm "$PINS"
    mkfifo "$PINS"
    refused_by_fault "$PINS: the pins file is not a regular file"
}

@test "a device in place of the pins file refuses every client handshake" {
    PINS=/dev/zero
    refused_by_fault "$PINS: the pins file is not a regular file"
}

@test "a pins file that is reached by a descriptor's number refuses every client handshake, however its path is written" {
    local file=$PINS path why='the pins file is reached through /proc or /dev/fd, where '
    ln -s /proc "$BATS_TEST_TMPDIR/proc"
    ln -s /dev/fd/7 "$BATS_TEST_TMPDIR/seven"
    ln -s seven "$BATS_TEST_TMPDIR/link"
    for path in /dev/fd/7 /proc/self/fd/7 //proc//self/./fd/7 /dev/../proc/thread-self/fd/7 "/proc/self/root$file" \
        "$BATS_TEST_TMPDIR/proc/self/fd/7" "$BATS_TEST_TMPDIR/link" "$BATS_TEST_TMPDIR/proc/self/root$file"; do
        PINS=$path
        refused_by_fault "$PINS: $why" 7<"$file"
    done
    PINS=/dev/stdin
    # shellcheck disable=SC2016 # expanded there
    capture bash -c 'LD_PRELOAD=$0 PINSHIM_PINS=/dev/stdin "${@:2}" <"$1"' "$SHIM_SO" "$file" "${CURL[@]}" "$URL_GOOD"
    equals "$STATUS" 60
    has "$(lines fault)" "/dev/stdin: $why"
    # In a directory from which a program was started.
    PINS=fd/7
    cd /dev
    capture shim "${CURL[@]}" "$URL_GOOD" 7<"$file"
    equals "$STATUS" 60
    has "$(lines fault)" "$why"
    # What only looks like it is used.
    mkdir -p "$BATS_TEST_TMPDIR/dev/fd"
    cp "$file" "$BATS_TEST_TMPDIR/dev/fd/7"
    PINS=$BATS_TEST_TMPDIR/dev/fd/../fd/7
    accepted "${CURL[@]}" "$URL_GOOD"
}

@test "the pins are read where the program leaves one descriptor free, and are in force when none is left" {
    # shellcheck disable=SC2016 # expanded there
    local limit='exec 3>&- 4>&- 5>&-; ulimit -n 4; exec "$@"'
    local program=$BATS_TEST_DIRNAME/../build/paths/bio_chain
    ln -s "${PINS%/*}" "$BATS_TEST_TMPDIR/link"
    for PINS in "$PINS" "$BATS_TEST_TMPDIR/link/${PINS##*/}"; do
        capture bare bash -c "$limit" bash "$program" 127.0.0.1 "$IMPOSTOR"
        has "$OUT" 'hello from impostor'
        accepted bash -c "$limit" bash "$program" 127.0.0.1 "$GOOD"
        has "$OUT" 'hello from good'
        refused bash -c "$limit" bash "$program" 127.0.0.1 "$IMPOSTOR"
        has "$(lines refused)" "no pin of $PINS:1 matched"
        lacks "$OUT" 'hello from'
    done
}

@test "what rules name is not read by a descriptor's number either" {
    local field
    for field in "spki-file:/dev/fd/7" "cert-file:/proc/self/fd/7" "ca-file:/dev/fd/7" \
        "spki-sha256:$PIN_GOOD client-cert=/dev/fd/7 client-key=$LAB/good.key" \
        "spki-sha256:$PIN_GOOD client-cert=$LAB/good.pem client-key=/proc/self/fd/8"; do
        pins "www.pinned.example $field"
        refused_by_fault 'cannot be used: it is reached through /proc or /dev/fd' 7<"$LAB/good.pem" 8<"$LAB/good.key"
        run -1 "$BATS_TEST_DIRNAME/../build/pinshim" lint "$PINS" 7<"$LAB/good.pem" 8<"$LAB/good.key"
        has "$output" 'reached through /proc or /dev/fd'
    done
    pins 'www.pinned.example pkix'
    SSL_CERT_FILE=$LAB/ca.pem accepted "${CURL[@]}" "$URL_GOOD"
    capture shim env SSL_CERT_FILE=/dev/fd/7 "${CURL[@]}" "$URL_GOOD" 7<"$LAB/ca.pem"
    equals "$(count_lines refused)" 1
}

@test "a pins file without a rule refuses every client handshake" {
    : >"$PINS"
    refused_by_fault "$PINS: no rule in the file; expected "
    pins '# nothing but a comment' '' '   '
    refused_by_fault "$PINS: no rule in the file; expected "
}

@test "every wrong line of a pins file is named with its column and with what was expected" {
    local place places
    printf '%s\n' '# a comment' \
        'www.pinned.example sha256/AAAA' \
        'www.pinned.example' \
        'm'$'\xc3\xbc''nchen.example allow' \
        'https://x.example allow' \
        'x.example:99999 allow' \
        '  x.example   spki-sha1:AAAA' \
        'x.example allow deny' \
        'foo*.example allow' \
        '2001:db8::1 allow' \
        'good.-bad.example allow' \
        '192.168.1 allow' \
        'y.example allow' \
        'y.example deny' \
        'z.example nonsense' \
        'z.example al'$'\x01''low' \
        'z.example '$'\xff' \
        '[2001:db8::zz] allow' \
        'z.example cert-sha256:AA:BB' \
        'z.example:44x deny' >"$PINS"
    places=(2:27 3:19 4:2 5:1 6:11 7:15 8:11 8:17 9:1 10:1 11:6 12:1 14:11 15:11 16:13 17:11 18:2 19:23 20:11)
    refused_by_fault "$PINS:2:27: "
    for place in "${places[@]}"; do
        grep -qE "^pinshim\[[0-9]+\]: fault: $PINS:$place: .*; expected .+" <<<"$ERR" || explain "no fault at $place"
    done
    equals "$(count_lines fault)" "${#places[@]}"
    has "$(lines refused)" "(and $((${#places[@]} - 1)) more)"
}

@test "one wrong line makes the whole pins file a fault" {
    pins "www.pinned.example spki-sha256:$PIN_GOOD" 'other.example nonsense'
    refused_by_fault "$PINS:2:15: \"nonsense\" is not known; expected "
}

@test "CRLF line ends, tabs, comments, a byte order mark and a missing last newline are accepted" {
    printf '\xef\xbb\xbf# comment\r\n\t www.pinned.example\tspki-sha256:%s\t# the good one\r\n\r\nother.example deny#now' "$PIN_GOOD" >"$PINS"
    accepted "${CURL[@]}" "$URL_GOOD"
    refused "${CURL[@]}" "$URL_IMPOSTOR"
    has "$LINE" "$PINS:2"
}

@test "an unknown value of a variable refuses every client handshake" {
    local variable
    for variable in PINSHIM_MODE=off PINSHIM_MODE=Enforce PINSHIM_LOG=wrong PINSHIM_LOG=relative/path PINSHIM_LOG_FORMAT=xml \
        PINSHIM_LOG_LEVEL=verbose; do
        export "${variable?}"
        refused_by_fault "${variable%%=*} is \"${variable#*=}\"; expected "
        unset "${variable%%=*}"
    done
}

@test "an empty PINSHIM_PINS is a fault, not a file" {
    PINS=''
    refused_by_fault 'PINSHIM_PINS is ""; expected '
}

@test "a program continues after its TLS was refused for a fault" {
    local script='
import socket, ssl, sys
context = ssl._create_unverified_context()
try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as raw:
        with context.wrap_socket(raw, server_hostname="www.pinned.example"):
            print("connected")
except ssl.SSLCertVerificationError as error:
    print(error.reason)
print("alive")'
    capture bare /usr/bin/python3 -c "$script" "$GOOD"
    equals "$OUT" $'connected\nalive'
    PINS=$BATS_TEST_TMPDIR/nowhere
    capture shim /usr/bin/python3 -c "$script" "$GOOD"
    equals "$STATUS" 0
    equals "$OUT" $'CERTIFICATE_VERIFY_FAILED\nalive'
    equals "$(count_lines fault)" 1
    equals "$(count_lines refused)" 1
}

@test "a fault refuses every connection of a process and is logged as a fault once" {
    PINS=$BATS_TEST_TMPDIR/nowhere
    capture shim "${CURL[@]}" "$URL_GOOD" "$URL_GOOD" "$URL_IMPOSTOR"
    equals "$STATUS" 60
    equals "$(count_lines fault)" 1
    equals "$(count_lines refused)" 3
}

@test "a program without TLS, or one that only makes an SSL_CTX, is untouched by every fault" {
    local fault command bare_out bare_status
    printf 'nonsense\n' >"$BATS_TEST_TMPDIR/malformed"
    mkfifo "$BATS_TEST_TMPDIR/fifo"
    printf '* deny\n' >"$BATS_TEST_TMPDIR/open"
    chmod 0666 "$BATS_TEST_TMPDIR/open"
    for fault in PINSHIM_PINS="$BATS_TEST_TMPDIR/nowhere" PINSHIM_PINS="$BATS_TEST_TMPDIR/malformed" PINSHIM_PINS="$BATS_TEST_TMPDIR" \
        PINSHIM_PINS="$BATS_TEST_TMPDIR/fifo" PINSHIM_PINS="$BATS_TEST_TMPDIR/open" PINSHIM_PINS= PINSHIM_MODE=x PINSHIM_LOG=x \
        PINSHIM_LOG_FORMAT=x PINSHIM_LOG_LEVEL=x; do
        for command in '/bin/echo hello' 'ls /' 'ls /nowhere-at-all' cat 'cat /etc/passwd | wc -l' false 'exit 7' \
            '/usr/bin/python3 -c "print(1)"' '/usr/bin/python3 -c "import ssl; ssl.create_default_context()"'; do
            capture bare bash -c "$command"
            bare_out=$OUT$ERR bare_status=$STATUS
            capture shim env "$fault" timeout 20 bash -c "$command"
            equals "$OUT$ERR" "$bare_out"
            equals "$STATUS" "$bare_status"
        done
        # What changed nothing above stands in the way of TLS.
        capture shim env "$fault" "${CURL[@]}" "$URL_GOOD"
        equals "$STATUS" 60
        equals "$(count_lines refused)" 1
    done
}

@test "plain HTTP is untouched under a fault" {
    PINS=$BATS_TEST_TMPDIR/nowhere
    # nginx answers plain HTTP on its TLS port with an error page.
    capture bare curl -s "http://127.0.0.1:$GOOD/"
    has "$OUT" 'The plain HTTP request was sent to HTTPS port'
    local page=$OUT
    capture shim curl -s "http://127.0.0.1:$GOOD/"
    equals "$STATUS" 0
    equals "$OUT" "$page"
    equals "$ERR" ''
    refused_by_fault 'cannot open the pins file'
}

@test "report mode lets an impostor live and logs what enforcement would have done" {
    capture shim env PINSHIM_MODE=report "${CURL[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 0
    equals "$OUT" 'hello from impostor'
    equals "$(count_lines reported)" 1
    equals "$(wc -l <"$ERR_FILE")" 1
    has "$(lines reported)" "reported www.pinned.example"
    has "$(lines reported)" "no pin of $PINS:1 matched"
    capture shim env PINSHIM_MODE=report "${CURL[@]}" "$URL_GOOD"
    equals "$OUT" 'hello from good'
    equals "$ERR" ''
    # The same without report mode.
    refused "${CURL[@]}" "$URL_IMPOSTOR"
}

@test "report mode lets no connection live under a fault" {
    export PINSHIM_MODE=report
    PINS=$BATS_TEST_TMPDIR/nowhere
    refused_by_fault 'cannot open the pins file'
    pins 'www.pinned.example nonsense'
    refused_by_fault "$PINS:1:20: "
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    export PINSHIM_LOG_LEVEL=everything
    refused_by_fault 'PINSHIM_LOG_LEVEL is "everything"'
}

@test "report mode does not make a client accept what it verifies and refuses by itself" {
    export PINSHIM_MODE=report
    capture shim curl -s --cacert "$LAB/good.pem" --resolve "www.pinned.example:$IMPOSTOR:127.0.0.1" "$URL_IMPOSTOR"
    equals "$STATUS" 60
    capture shim "${CURL[@]}" "$URL_IMPOSTOR"
    equals "$(count_lines reported)" 1
}

@test "the log goes to a file, to which every event is added" {
    local log=$BATS_TEST_TMPDIR/log job jobs=()
    echo 'a line from before' >"$log"
    for job in 1 2 3 4 5 6; do
        shim env PINSHIM_LOG="$log" "${CURL[@]}" "$URL_IMPOSTOR" 2>"$BATS_TEST_TMPDIR/err-$job" 3>&- &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do
        STATUS=0
        wait "$job" || STATUS=$?
        equals "$STATUS" 60
    done
    equals "$(cat "$BATS_TEST_TMPDIR"/err-*)" ''
    equals "$(head -n 1 "$log")" 'a line from before'
    equals "$(grep -cE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z curl pinshim\[[0-9]+\]: refused www\.pinned\.example[^ ]*: no pin of .* matched; peer .*; wanted .*$' "$log")" 6
    equals "$(wc -l <"$log")" 7
}

@test "a log file that does not exist is made, with no rights for others" {
    local log=$BATS_TEST_TMPDIR/new.log
    capture shim env PINSHIM_LOG="$log" "${CURL[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 60
    equals "$ERR" ''
    equals "$(wc -l <"$log")" 1
    [[ $(stat -c %a "$log") =~ ^6[04]0$ ]] || explain "mode $(stat -c %a "$log")"
}

@test "a line that the log file does not take goes to standard error, whatever that is, and that is said once" {
    local log kind fifo=$BATS_TEST_TMPDIR/fifo socket=$BATS_TEST_TMPDIR/socket
    mkfifo "$fifo"
    /usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$socket"
    for log in /nonexistent/log "$BATS_TEST_TMPDIR" "$fifo" "$socket" /dev/full; do
        capture shim env PINSHIM_LOG="$log" timeout 20 "${CURL[@]}" "$URL_IMPOSTOR" "$URL_IMPOSTOR"
        equals "$STATUS" 60
        equals "$OUT" ''
        equals "$(count_lines refused)" 2
        equals "$(count_lines notice)" 1
        has "$(lines notice)" "notice: the log file $log cannot be written: "
        has "$(lines notice)" '; its lines go to standard error'
    done
    for kind in socket pipe; do
        for log in stderr /dev/stderr; do
            capture shim env PINSHIM_LOG="$log" /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/stderr.py" "$kind" "${CURL[@]}" "$URL_IMPOSTOR"
            equals "$kind $log $STATUS" "$kind $log 60"
            equals "$(grep -c '^pinshim\[[0-9]*\]: refused www.pinned.example' "$ERR_FILE")" 1
            equals "$(wc -l <"$ERR_FILE")" 1
        done
    done
}

@test "a line that the program's user may not write to the log file goes to standard error" {
    local log=$BATS_TEST_TMPDIR/log
    [ "$(id -u)" -eq 0 ] || skip 'changing the user takes root'
    : >"$log"
    chmod 0755 "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR"
    capture shim env PINSHIM_LOG="$log" setpriv --reuid 65534 --regid 65534 --clear-groups "${CURL[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 60
    equals "$(count_lines refused)" 1
    has "$(lines refused)" "no pin of $PINS:1 matched"
    has "$(lines notice)" "notice: the log file $log cannot be written: Permission denied; its lines go to standard error"
    equals "$(wc -c <"$log")" 0
}

@test "a log file that is the pins file, by whatever name, gets no line: it goes to standard error" {
    local log before
    before=$(cat "$PINS")
    ln -s "$PINS" "$BATS_TEST_TMPDIR/link"
    ln "$PINS" "$BATS_TEST_TMPDIR/hard"
    for log in "$PINS" "$BATS_TEST_TMPDIR/link" "$BATS_TEST_TMPDIR/hard"; do
        capture shim env PINSHIM_LOG="$log" "${CURL[@]}" "$URL_IMPOSTOR"
        equals "$STATUS" 60
        equals "$(count_lines refused)" 1
        has "$(lines notice)" "notice: the log file $log is the pins file; its lines go to standard error"
        equals "$(cat "$PINS")" "$before"
        capture "$BATS_TEST_DIRNAME/../build/pinshim" run --pins "$PINS" --log "$log" -- "${CURL[@]}" "$URL_GOOD"
        equals "$STATUS" 125
        has "$ERR" "the log $log is the pins file"
    done
    # Nor does it come to be by a line.
    rm "$BATS_TEST_TMPDIR/hard" "$PINS"
    capture shim env PINSHIM_LOG="$PINS" "${CURL[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 60
    [ ! -e "$PINS" ] || explain 'it was made'
}

@test "a program that changes its directory still finds the log file" {
    capture shim env PINSHIM_LOG="$BATS_TEST_TMPDIR/log" /usr/bin/python3 -c '
import os, socket, ssl, sys
os.chdir("/")
context = ssl._create_unverified_context()
context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="www.pinned.example")' "$IMPOSTOR"
    equals "$STATUS" 1
    equals "$(wc -l <"$BATS_TEST_TMPDIR/log")" 1
}

@test "PINSHIM_LOG=none logs nothing and refuses all the same" {
    capture shim env PINSHIM_LOG=none "${CURL[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 60
    equals "$OUT$ERR" ''
    capture shim env PINSHIM_LOG=none PINSHIM_LOG_LEVEL=all "${CURL[@]}" "$URL_GOOD"
    equals "$OUT$ERR" 'hello from good'
    PINS=$BATS_TEST_TMPDIR/nowhere
    capture shim env PINSHIM_LOG=none "${CURL[@]}" "$URL_GOOD"
    equals "$STATUS" 60
    equals "$OUT$ERR" ''
}

@test "PINSHIM_LOG_LEVEL=all logs an accepted connection once, and the default does not" {
    export PINSHIM_LOG_LEVEL=all
    local probe=("$PROGRAMS/probe" sni=www.pinned.example "open=$GOOD")
    once() {
        capture shim "$@"
        equals "$STATUS" 0
        equals "$(count_lines accepted)" 1
        equals "$(grep -c 'pinshim\[' <<<"$ERR")" 1
        has "$(lines accepted)" 'accepted www.pinned.example'
        has "$(lines accepted)" "$PINS:1 matched spki-sha256:"
    }
    once "${CURL[@]}" "$URL_GOOD" "$URL_GOOD"
    once openssl s_client -brief -connect "127.0.0.1:$GOOD" -servername www.pinned.example
    once "${probe[@]}" connect handshake write=$'GET / HTTP/1.0\r\n\r\n' peek_ex read read
    once "${probe[@]}" client write=$'GET / HTTP/1.0\r\n\r\n' read
    once "$PROGRAMS/probe" tls1.2 "${probe[@]:1}" connect
    # Two connections, two lines.
    capture shim "${CURL[@]}" -H 'Connection: close' "$URL_GOOD" "$URL_GOOD"
    equals "$(count_lines accepted)" 2
    capture shim "${CURL[@]}" "$URL_IMPOSTOR"
    equals "$(count_lines accepted)" 0
    equals "$(count_lines refused)" 1
    unset PINSHIM_LOG_LEVEL
    accepted "${CURL[@]}" "$URL_GOOD"
}

@test "PINSHIM_LOG_LEVEL=debug logs the verdicts too" {
    export PINSHIM_LOG_LEVEL=debug
    capture shim "${CURL[@]}" "$URL_GOOD"
    equals "$(count_lines accepted)" 1
    capture shim "${CURL[@]}" "$URL_IMPOSTOR"
    equals "$(count_lines refused)" 1
}

@test "a relative path of the trust store is meant where the program was started" {
    local dir
    mkdir -p "$BATS_TEST_TMPDIR"/{start,later}/st
    cp "$LAB/ca.pem" "$BATS_TEST_TMPDIR/later/st/ca.pem"
    cp "$LAB/impostor.pem" "$BATS_TEST_TMPDIR/start/st/ca.pem"
    pins 'localhost pkix'
    for dir in "$BATS_TEST_TMPDIR"/{later,start}; do
        cd "$dir"
        # shellcheck disable=SC2016 # Python's
        capture shim env SSL_CERT_FILE=st/ca.pem SSL_CERT_DIR=st /usr/bin/python3 -c 'import os, socket, ssl, sys
os.chdir(sys.argv[1])
context = ssl._create_unverified_context()
context.wrap_socket(socket.create_connection(("localhost", int(sys.argv[2]))), server_hostname="localhost")' "$BATS_TEST_TMPDIR/later" "$GOOD"
        equals "$(count_lines refused)" "$([ "$dir" = "$BATS_TEST_TMPDIR/start" ] && echo 1 || echo 0)"
    done
}

@test "a relative path of the pins file is read from where the program was started" {
    local script='
import os, socket, ssl, sys
os.chdir("/")
context = ssl._create_unverified_context()
with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="www.pinned.example"):
    print("connected")'
    cd "$BATS_TEST_TMPDIR"
    PINS=pins
    accepted /usr/bin/python3 -c "$script" "$GOOD"
    equals "$OUT" connected
    refused /usr/bin/python3 -c "$script" "$IMPOSTOR"
    has "$LINE" 'no pin of pins:1 matched'
}

@test "a program that clears its environment before it connects is pinned" {
    local script='
import ctypes, os, sys
for name in list(os.environ):
    if name.startswith("PINSHIM"):
        os.unsetenv(name)
os.environ.clear()
ctypes.CDLL(None).clearenv()
import socket, ssl
context = ssl._create_unverified_context()
with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="www.pinned.example"):
    print("connected")'
    accepted /usr/bin/python3 -c "$script" "$GOOD"
    equals "$OUT" connected
    refused /usr/bin/python3 -c "$script" "$IMPOSTOR"
    has "$LINE" "no pin of $PINS:1 matched"
}

@test "a program that sets the shim's variables itself changes nothing" {
    local script='
import os, sys
os.environ.update(PINSHIM_PINS="/dev/null", PINSHIM_MODE="report", PINSHIM_LOG="none")
import socket, ssl
context = ssl._create_unverified_context()
context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="www.pinned.example")'
    refused /usr/bin/python3 -c "$script" "$IMPOSTOR"
    has "$LINE" "no pin of $PINS:1 matched"
}

@test "a JSON line is one valid object with the documented members" {
    export PINSHIM_LOG_FORMAT=json PINSHIM_LOG_LEVEL=all
    local -x PRELOAD_ALSO=$NAMES
    local client=(openssl s_client -brief -servername www.pinned.example)
    local check='
import base64, datetime, json, os, re, ssl, sys
path, want, port, pins, pin = sys.argv[1:6]
lines = [line for line in open(path) if line.startswith("{")]
assert len(lines) == 1, lines
got = json.loads(lines[0])
assert list(got) == sys.argv[6].split(), list(got)
assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", got["time"]), got["time"]
age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(got["time"].replace("Z", "+00:00"))
assert abs(age.total_seconds()) < 120, age
assert isinstance(got["pid"], int) and got["pid"] > 1
assert got["exe"] == os.path.realpath("/usr/bin/openssl"), got["exe"]
assert got["verdict"] == want, got
assert got["library"] == "openssl " + ssl.OPENSSL_VERSION.split()[1], got
assert got["target"] == "www.pinned.example:" + port, got["target"]
assert got["address"] == "127.0.0.1" and got["port"] == int(port), got
assert got["rule"] == pins + ":2", got["rule"]
assert got["spki_sha256"] == pin, got
assert len(base64.b64decode(got["cert_sha256"])) == 32
assert got["subject"].startswith("CN="), got
assert got["issuer"] == "CN=pinshim test CA", got
assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", got["not_after"]), got
assert got["tls"] == "TLSv1.3" and got["resumed"] is False, got
assert isinstance(got["reason"], str) and got["reason"]
assert got["matched"] == ("spki-sha256:" + pin if want == "accepted" else None), got
assert got["client_cert"] is False, got
'
    PINS=$BATS_TEST_TMPDIR/with\ blank\ and\ \"quote\"
    printf '# comment\nwww.pinned.example spki-sha256:%s\n' "$PIN_GOOD" >"$PINS"
    local shown=${PINS//\"/\\\"}
    capture shim "${client[@]}" -connect "www.pinned.example:$IMPOSTOR"
    cp "$ERR_FILE" "$BATS_TEST_TMPDIR/refused"
    capture /usr/bin/python3 -c "$check" "$BATS_TEST_TMPDIR/refused" refused "$IMPOSTOR" "$shown" "$PIN_IMPOSTOR" "$MEMBERS"
    equals "$STATUS" 0
    capture shim "${client[@]}" -connect "www.pinned.example:$GOOD"
    cp "$ERR_FILE" "$BATS_TEST_TMPDIR/accepted"
    capture /usr/bin/python3 -c "$check" "$BATS_TEST_TMPDIR/accepted" accepted "$GOOD" "$shown" "$PIN_GOOD" "$MEMBERS"
    equals "$STATUS" 0
    capture shim env PINSHIM_MODE=report "${client[@]}" -connect "www.pinned.example:$IMPOSTOR"
    cp "$ERR_FILE" "$BATS_TEST_TMPDIR/reported"
    capture /usr/bin/python3 -c "$check" "$BATS_TEST_TMPDIR/reported" reported "$IMPOSTOR" "$shown" "$PIN_IMPOSTOR" "$MEMBERS"
    equals "$STATUS" 0
}

@test "faults are valid JSON as well, whatever bytes the pins file has" {
    printf 'x.example \\"\x27\x01\n"x y\n\xc3\xbc.example \xff\n\xe2\x80\xa8 allow\n' >"$PINS"
    capture shim env PINSHIM_LOG_FORMAT=json "${CURL[@]}" "$URL_GOOD"
    equals "$STATUS" 60
    cp "$ERR_FILE" "$BATS_TEST_TMPDIR/log"
    capture /usr/bin/python3 -c '
import json, sys
verdicts = []
for line in open(sys.argv[1], "rb").read().decode("ascii").splitlines():
    got = json.loads(line)
    verdicts.append(got["verdict"])
    assert list(got) == sys.argv[3].split(), list(got)
    if got["verdict"] == "fault":
        nothing = [name for name in got if got[name] is None]
        assert nothing == "library target address port rule matched spki_sha256 cert_sha256 subject issuer not_after tls".split(), nothing
        assert got["resumed"] is False and got["client_cert"] is False, got
    assert sys.argv[2] in got["reason"] and "; expected " in got["reason"], got
print(*verdicts)' "$BATS_TEST_TMPDIR/log" "$PINS" "$MEMBERS"
    equals "$OUT" 'fault fault fault fault fault refused'
}

@test "a closed standard error leaves the client its own exit status, and no log line goes to the server in its place" {
    relay "$IMPOSTOR"
    local url=https://www.pinned.example:$PORT/ curl=("${CURL[@]}" --resolve "www.pinned.example:$PORT:127.0.0.1")
    # shellcheck disable=SC2016 # the inner shell expands it
    local closed=(bash -c 'exec "$@" 2>&-' bash) probe=("$PROGRAMS/probe" sni=www.pinned.example "open=$PORT" connect)
    run -0 bare "${closed[@]}" "${curl[@]}" "$url"
    equals "$output" 'hello from impostor'
    run -60 shim "${closed[@]}" "${curl[@]}" "$url"
    equals "$output" ''
    # This client's socket gets the number 2.
    run -0 bare "${closed[@]}" "${probe[@]}"
    has "$output" 'connect: returned 1,'
    run -0 shim "${closed[@]}" "${probe[@]}"
    has "$output" 'connect: returned -1,'
    run -1 grep -aq 'pinshim\[' "$RELAYED"
    # The relay does keep what is sent.
    run -0 grep -aq 'www.pinned.example' "$RELAYED"
}

@test "a standard error that nobody reads any more kills no client" {
    local unread='
import os, signal, sys
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 2)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])'
    local client=("$PROGRAMS/probe" sni=www.pinned.example open="$IMPOSTOR" connect)
    run -0 bare /usr/bin/python3 -c "$unread" "${client[@]}"
    has "$output" 'connect: returned 1,'
    run -0 shim /usr/bin/python3 -c "$unread" "${client[@]}"
    has "$output" 'connect: returned -1,'
    run -60 shim /usr/bin/python3 -c "$unread" "${CURL[@]}" "$URL_IMPOSTOR"
}

@test "a standard error that is full stops no client for ever when the log goes elsewhere" {
    capture shim env PINSHIM_LOG="$BATS_TEST_TMPDIR/log" /usr/bin/python3 -c '
import fcntl, os, sys
reader, writer = os.pipe()
os.set_inheritable(reader, True)
os.set_blocking(writer, False)
try:
    while True:
        os.write(writer, b"x" * 65536)
except BlockingIOError:
    pass
os.set_blocking(writer, True)
os.dup2(writer, 2)
os.execvp("timeout", ["timeout", "20"] + sys.argv[1:])' "${CURL[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 60
    equals "$(wc -l <"$BATS_TEST_TMPDIR/log")" 1
}
