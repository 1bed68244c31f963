#!/usr/bin/env bats
# Goal: every event is logged once, on one line, where PINSHIM_LOG says; and whatever happens to that destination (a full disk, a removed
# directory, a closed standard error whose number the program uses again), the verdict stays right and the program is not affected.

# shellcheck disable=SC2030,SC2031,SC2153,SC2154

load lib/programs

setup_file() {
    programs_lab
}

teardown_file() {
    lab_stop
}

setup() {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    # A program that does one step after the other: what becomes of a connection to a port, or a command.
    PROGRAM=(timeout 20 /usr/bin/python3 -c '
import os, socket, ssl, sys
context = ssl._create_unverified_context()
for step in sys.argv[1:]:
    if not step.isdigit():
        assert os.system(step) == 0, step
        continue
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", int(step))), server_hostname="www.pinned.example"):
            print("accepted")
    except ssl.SSLCertVerificationError as error:
        print("refused", error.reason)')
    REFUSED='refused CERTIFICATE_VERIFY_FAILED'
    # What a line of text begins with in a file and in syslog.
    STAMP='[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z python3 '
}

# went_elsewhere COUNT PLACE REASON OTHER: the lines of so many refusals are on $ERR, and once that they could not go to the place
went_elsewhere() {
    equals "$(count_lines refused)" "$1"
    equals "$(count_lines notice)" 1
    # shellcheck disable=SC2053 # a pattern
    [[ $(lines notice) == *"notice: $2 cannot be written: "$3\;' its lines go to '"$4" ]] || explain "another notice was expected: $2: $3"
    equals "$(wc -l <"$ERR_FILE")" $(($1 + 1))
}

# devices: a /dev of the test's own for the programs started by "${INSIDE[@]}"; $DEV shows it from outside
devices() {
    local name
    DEV=$BATS_TEST_TMPDIR/dev
    mkdir "$DEV"
    for name in null zero full random urandom; do
        : >"$DEV/$name"
    done
    ln -s /proc/self/fd "$DEV/fd"
    # shellcheck disable=SC2016 # the inner shell expands it
    INSIDE=(unshare --mount bash -euc '
        dev=$1
        shift
        for name in null zero full random urandom; do
            mount --bind "/dev/$name" "$dev/$name"
        done
        mount --rbind "$dev" /dev
        exec "$@"' bash "$DEV")
    needs_mounts
}

# syslog: starts a listener at /dev/log of devices(); heard: sets $HEARD to what it received, one line per datagram, and stops it
syslog() {
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/syslog.py" "$DEV/log" "$DEV/heard" >"$DEV/listens" 2>&1 3>&- &
    SYSLOG=$!
    echo "$SYSLOG" >>"$LAB/pids"
    lab_wait test -s "$DEV/listens"
    equals "$(cat "$DEV/listens")" listens
}

heard() {
    /usr/bin/python3 -c '
import os, socket, sys
os.chdir(sys.argv[1])
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"end", "log")' "$DEV"
    wait "$SYSLOG"
    HEARD=$(cat "$DEV/heard")
}

@test "syslog gets one datagram for each event, with facility, priority and text" {
    local refused="${STAMP}pinshim\[[0-9]+\]: refused www\.pinned\.example:$IMPOSTOR: no pin of $PINS:1 matched; peer spki-sha256:[^ ]+ cert-sha256:[^ ]+ "
    refused+='subject "CN=impostor"; wanted spki-sha256:[^ ]+'
    devices
    syslog
    export PINSHIM_LOG=syslog PINSHIM_LOG_LEVEL=all
    capture shim "${INSIDE[@]}" "${PROGRAM[@]}" "$IMPOSTOR" "$GOOD" "$IMPOSTOR"
    equals "$STATUS$OUT$ERR" $'0'"$REFUSED"$'\naccepted\n'"$REFUSED"
    capture shim env PINSHIM_MODE=report "${INSIDE[@]}" "${PROGRAM[@]}" "$IMPOSTOR"
    equals "$STATUS$OUT$ERR" 0accepted
    capture shim env PINSHIM_LOG_FORMAT=json "${INSIDE[@]}" "${PROGRAM[@]}" "$IMPOSTOR"
    equals "$STATUS$OUT$ERR" "0$REFUSED"
    capture shim env PINSHIM_PINS=/nonexistent/pins "${INSIDE[@]}" "${PROGRAM[@]}" "$GOOD"
    equals "$STATUS$OUT$ERR" "0$REFUSED"
    heard
    # Facility 3: daemon. Severity 3: error, 4: warning, 5: notice, 6: informational.
    equals "$(cut -c1-4 <<<"$HEARD" | paste -sd' ')" '<28> <30> <28> <29> <28> <27> <28>'
    [[ $(sed -n 1p <<<"$HEARD") =~ ^'<28>'$refused$ ]] || explain "$HEARD"
    [[ $(sed -n 2p <<<"$HEARD") =~ ^'<30>'$STAMP'pinshim['[0-9]+']: accepted www.pinned.example:'$GOOD': '.*' matched ' ]] || explain "$HEARD"
    [[ $(sed -n 3p <<<"$HEARD") =~ ^'<28>'$refused$ ]] || explain "$HEARD"
    [[ $(sed -n 4p <<<"$HEARD") =~ ^'<29>'$STAMP'pinshim['[0-9]+']: reported www.pinned.example:'$IMPOSTOR': no pin of ' ]] || explain "$HEARD"
    equals "$(sed -n 's/^<28>{/{/p' <<<"$HEARD" | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["verdict"])')" refused
    [[ $(sed -n 6p <<<"$HEARD") =~ ^'<27>'$STAMP'pinshim['[0-9]+']: fault: /nonexistent/pins: '[^\\]+$ ]] || explain "$HEARD"
    [[ $(sed -n 7p <<<"$HEARD") =~ ^'<28>'$STAMP'pinshim['[0-9]+']: refused www.pinned.example:'$GOOD': configuration fault: ' ]] || explain "$HEARD"
}

@test "where nobody listens at /dev/log, or nobody reads there, verdicts hold and the program goes on" {
    local place
    devices
    export PINSHIM_LOG=syslog
    for place in missing file directory deaf full; do
        rm -rf "$DEV/log"
        case $place in
        missing) ;;
        file) echo untouched >"$DEV/log" ;;
        directory) mkdir "$DEV/log" ;;
        deaf) syslog && heard ;;
        full)
            /usr/bin/python3 -c '
import os, socket, sys, time
os.chdir(sys.argv[1])
reader, writer = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
reader.bind("log")
writer.setblocking(False)
try:
    while True:
        writer.sendto(b"x", "log")
except BlockingIOError:
    print("full", flush=True)
time.sleep(60)' "$DEV" >"$DEV/full-now" 3>&- &
            echo $! >>"$LAB/pids"
            lab_wait grep -qx full "$DEV/full-now"
            ;;
        esac
        capture shim "${INSIDE[@]}" "${PROGRAM[@]}" "$IMPOSTOR" "$GOOD" "$IMPOSTOR"
        equals "$place $STATUS $OUT" "$place 0 $REFUSED"$'\naccepted\n'"$REFUSED"
        went_elsewhere 2 syslog '*' 'standard error'
        [ "$place" != file ] || equals "$(cat "$DEV/log")" untouched
    done
}

# jailed STEP...: a client that first uses TLS after it has gone to another root directory, which lets go of everything outside but its log; $SAID is where its
# standard error goes
jailed() {
    # shellcheck disable=SC2016 # the inner shell expands it
    capture shim "${INSIDE[@]}" bash -c 'printf "%s\n" "${@:4}" | exec "$1" www.pinned.example "$2" late 2>>"$3"' bash \
        "$PROGRAMS/again" "$IMPOSTOR" "${SAID:-/dev/null}" "$@"
}

# changed_root: $ROOT, another root directory
changed_root() {
    [ "$(id -u)" -eq 0 ] || skip 'only root may change the root directory'
    ROOT=$BATS_TEST_TMPDIR/root
    mkdir "$ROOT"
    INSIDE=()
    NO='-1 certificate verify failed'
}

@test "after chroot lines go to the log file that was outside, whatever is at that path" {
    local log=$BATS_TEST_TMPDIR/log/log way
    changed_root
    export PINSHIM_LOG=$log
    mkdir -m 700 "${log%/*}"
    for way in chroot syscall; do
        for format in text json; do
            rm -f "$log"
            PINSHIM_LOG_FORMAT=$format jailed "$way $ROOT" 'setuid 65534' connect connect
            equals "$OUT" $'1\n1\n'"$NO"$'\n'"$NO"
            equals "$(grep -c refused "$log")" 2
            equals "$(wc -l <"$log")" 2
        done
    done
    has "$(cat "$log")" "\"exe\":\"$(realpath "$PROGRAMS")/again\""
    mkdir -p "$ROOT/${log%/*}"
    jailed "chroot $ROOT" connect fork connect "chroot $BATS_TEST_TMPDIR" connect
    equals "$(grep -c refused "$log")" 5
    [ ! -e "$ROOT/$log" ] || explain 'a file was made in the new root'
}

@test "after chroot lines go to syslog, which was outside" {
    changed_root
    devices
    syslog
    export PINSHIM_LOG=syslog
    jailed "chroot $ROOT" 'setuid 65534' connect connect
    equals "$OUT" $'1\n1\n'"$NO"$'\n'"$NO"
    # Where the file cannot be written, nor anybody read it from standard error.
    PINSHIM_LOG=$ROOT/nothing/log jailed "chroot $ROOT" 'setuid 65534' connect
    PINSHIM_LOG=$ROOT/nothing/log jailed connect
    heard
    equals "$(grep -c '^<28>.* refused ' <<<"$HEARD")" 4
    equals "$(grep -c "^<29>.* notice: the log file $ROOT/nothing/log cannot be written: .*; its lines go to syslog\$" <<<"$HEARD")" 2
    equals "$(wc -l <<<"$HEARD")" 6
}

@test "a program that closes its descriptors after chroot gets no line in a file that it opens then" {
    local log=$BATS_TEST_TMPDIR/log way
    changed_root
    export PINSHIM_LOG=$log
    for way in loop range; do
        : >"$log"
        : >"$ROOT/other"
        : >"$BATS_TEST_TMPDIR/said"
        SAID=$BATS_TEST_TMPDIR/said jailed "chroot $ROOT" "close $way" 'take /other' 'close loop' 'connect'
        equals "$OUT" $'1\nclosed\ntaken\nclosed\n'"$NO"
        ERR_FILE=$BATS_TEST_TMPDIR/said ERR=$(cat "$BATS_TEST_TMPDIR/said")
        went_elsewhere 1 "the log file $log" 'No such file or directory' 'standard error'
        : >"$BATS_TEST_TMPDIR/said"
        SAID=$BATS_TEST_TMPDIR/said jailed "chroot $ROOT" "close $way" 'take /other' 'connect'
        ERR_FILE=$BATS_TEST_TMPDIR/said ERR=$(cat "$BATS_TEST_TMPDIR/said")
        went_elsewhere 1 "the log file $log" 'No such file or directory' 'standard error'
        equals "$(cat "$log" "$ROOT/other")" ''
    done
}

@test "a log file that was removed after chroot gets no line" {
    changed_root
    PINSHIM_LOG=$ROOT/log SAID=$BATS_TEST_TMPDIR/said jailed "chroot $ROOT" connect 'unlink /log' connect
    equals "$OUT" $'1\n'"$NO"$'\nunlinked\n'"$NO"
    ERR=$(cat "$BATS_TEST_TMPDIR/said") ERR_FILE=$BATS_TEST_TMPDIR/said
    went_elsewhere 1 "the log file $ROOT/log" 'No such file or directory' 'standard error'
}

@test "what is kept open for the log after chroot is out of the way, and no program that is started gets it" {
    local limit log=$BATS_TEST_TMPDIR/log
    changed_root
    export PINSHIM_LOG=$log
    jailed 'close range' kept "chroot $ROOT/nothing" kept 'chroot /' kept "chroot $ROOT" kept connect
    equals "$OUT" $'closed\n-1 0\n0\n-1 0\n1\n-1 0\n1\n512 0\n'"$NO"
    for limit in 300 64; do
        INSIDE=(prlimit "--nofile=$limit")
        jailed 'close range' "chroot $ROOT" kept connect
        [[ $OUT == $'closed\n1\n'??*' 0'* ]] || explain 'a low number was taken'
        equals "$(grep -c refused "$log")" "$([ "$limit" = 300 ] && echo 2 || echo 3)"
    done
    INSIDE=()
    # Of a file that is renamed, the path counts as long as the root directory is that.
    rm "$log"
    jailed 'chroot /' connect
    equals "$(grep -c refused "$log")" 1
}

@test "programs that change their root directory without TLS make no log file, and say nothing" {
    changed_root
    cp "$SHIM_SO" "$ROOT/shim.so"
    pins nonsense
    PINSHIM_LOG=$BATS_TEST_TMPDIR/log capture shim chroot "$ROOT" /nothing
    equals "$STATUS" 127
    PINSHIM_LOG=stderr capture shim chroot "$ROOT" /nothing
    lacks "$ERR" 'pinshim['
    [ ! -e "$BATS_TEST_TMPDIR/log" ] || explain 'a log file was made'
}

@test "haproxy, as a daemon in another root directory, logs its refusals" {
    local listening log=$BATS_TEST_TMPDIR/log pid=$BATS_TEST_TMPDIR/pid
    changed_root
    command -v haproxy >/dev/null || skip 'no haproxy'
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    listening=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    printf '%s\n' global "  chroot $ROOT" '  user nobody' "  pidfile $pid" defaults '  mode http' '  retries 0' '  timeout connect 3s' '  timeout client 5s' \
        '  timeout server 5s' 'listen in' "  bind 127.0.0.1:$listening" "  server s 127.0.0.1:$IMPOSTOR ssl verify none" >"$BATS_TEST_TMPDIR/haproxy.cfg"
    capture shim env PINSHIM_LOG="$log" haproxy -D -f "$BATS_TEST_TMPDIR/haproxy.cfg" 3>&-
    equals "$STATUS" 0
    cat "$pid" >>"$LAB/pids"
    capture curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$listening/"
    equals "$OUT" 503
    has "$(cat "$log")" "refused 127.0.0.1:$IMPOSTOR: no pin of $PINS:1 matched"
}

@test "on a full disk verdicts hold, and lines come again when there is room" {
    local disk=$BATS_TEST_TMPDIR/disk
    # shellcheck disable=SC2016 # the inner shell expands it
    local small=(unshare --mount bash -euc 'mount -t tmpfs -o size=16k none "$1"; cat /dev/zero >"$1/fill" 2>/dev/null || shift; exec "$@"' bash "$disk")
    mkdir "$disk"
    needs_mounts
    capture shim env PINSHIM_LOG="$disk/log" "${small[@]}" "${PROGRAM[@]}" "$IMPOSTOR" "$GOOD" "test ! -s $disk/log" "rm $disk/fill" \
        "$IMPOSTOR" "cp $disk/log $BATS_TEST_TMPDIR/copy"
    equals "$STATUS$OUT" $'0'"$REFUSED"$'\naccepted\n'"$REFUSED"
    went_elsewhere 1 "the log file $disk/log" 'No space left on device' 'standard error'
    equals "$(grep -cE "^$STAMP"'pinshim\[[0-9]+\]: refused www\.pinned\.example.*; wanted [^ ]*$' "$BATS_TEST_TMPDIR/copy")" 1
    equals "$(wc -l <"$BATS_TEST_TMPDIR/copy")" 1
    capture shim env PINSHIM_LOG=/dev/full "${PROGRAM[@]}" "$IMPOSTOR" "$GOOD"
    equals "$STATUS$OUT" "0$REFUSED"$'\naccepted'
    went_elsewhere 1 'the log file /dev/full' 'No space left on device' 'standard error'
    # The same for standard error.
    capture shim bash -c 'exec "$@" 2>/dev/full' bash "${PROGRAM[@]}" "$IMPOSTOR" "$GOOD"
    equals "$STATUS$OUT" "0$REFUSED"$'\naccepted'
}

@test "a line of which only a part found room is ended before the next" {
    local disk=$BATS_TEST_TMPDIR/disk copy=$BATS_TEST_TMPDIR/copy
    # shellcheck disable=SC2016 # the inner shell expands it
    local small=(unshare --mount bash -euc 'mount -t tmpfs -o size=16k none "$1"; head -c 4000 /dev/zero | tr "\0" "\n" >"$1/log"
        cat /dev/zero >"$1/fill" 2>/dev/null || shift; exec "$@"' bash "$disk")
    mkdir "$disk"
    needs_mounts
    capture shim env PINSHIM_LOG="$disk/log" "${small[@]}" "${PROGRAM[@]}" "$IMPOSTOR" "rm $disk/fill" "$IMPOSTOR" "cp $disk/log $copy"
    equals "$STATUS$OUT" $'0'"$REFUSED"$'\n'"$REFUSED"
    went_elsewhere 1 "the log file $disk/log" 'No space left on device' 'standard error'
    # A part of the first, up to the end of the page.
    equals "$(grep -c . "$copy")" 2
    equals "$(head -n 4001 "$copy" | tail -n 1 | wc -c)" 97
    equals "$(tail -n 1 "$copy" | grep -cE "^$STAMP"'pinshim\[[0-9]+\]: refused www\.pinned\.example.*; wanted [^ ]*$')" 1
}

@test "a limit on the size of files ends no program, and what the log file does not take goes to standard error" {
    local log=$BATS_TEST_TMPDIR/log url=https://www.pinned.example:$IMPOSTOR/ whole='refused www\.pinned\.example.*; wanted [^ ]*$'
    # shellcheck disable=SC2016 # the inner shell expands it
    capture shim env PINSHIM_LOG="$log" /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/stderr.py" pipe bash -c 'ulimit -f 1; exec "$@"' bash \
        curl -sk --resolve "www.pinned.example:$IMPOSTOR:127.0.0.1" "$url" "$url" "$url" "$url" "$url"
    equals "$STATUS" 60
    [ "$(grep -c "$whole" "$log")" -ge 1 ] || explain 'nothing in the log file'
    equals "$(cat "$log" "$ERR_FILE" | grep -c "$whole")" 5
    equals "$(count_lines notice)" 1
    has "$(lines notice)" "the log file $log cannot be written: File too large; its lines go to standard error"
}

# without_nowait COMMAND...: starts the command where the kernel cannot write to a pipe without waiting, as before Linux 6.4
WITHOUT_NOWAIT=(/usr/bin/python3 -c '
import ctypes, os, platform, struct, sys
number = {"x86_64": 328, "aarch64": 287}[platform.machine()]  # pwritev2
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 95), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program)) == 0
os.execvp(sys.argv[1], sys.argv[1:])')

# elsewhere KIND COMMAND...: with a standard error of that kind, which is read when it has ended, PROGRAM is refused twice, by the command
elsewhere() {
    case $1 in
    stopped | background) needs_terminal ;;
    esac
    capture shim /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/stderr.py" "$1" "${INSIDE[@]}" "${@:2}" "${PROGRAM[@]}" "$IMPOSTOR" "$GOOD" "$IMPOSTOR"
    equals "$1 $STATUS $OUT" "$1 0 $REFUSED"$'\naccepted\n'"$REFUSED"
}

@test "a standard error that takes nothing stops no program, and its lines go to syslog" {
    local kind
    devices
    syslog
    for kind in full stopped; do
        elsewhere "$kind"
        elsewhere "$kind" "${WITHOUT_NOWAIT[@]}"
        # The pipe and the terminal are another user's, so that they cannot be opened again.
        chmod 0755 "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR"
        chmod 0666 "$DEV/log"
        elsewhere "$kind" setpriv --reuid 65534 --regid 65534 --clear-groups "${WITHOUT_NOWAIT[@]}"
    done
    heard
    equals "$(grep -cE "^<28>$STAMP"'pinshim\[[0-9]+\]: refused www.pinned.example:[0-9]*: no pin of .*; wanted [^ ]*$' <<<"$HEARD")" 12
    equals "$(grep -c 'notice: standard error cannot be written: Resource temporarily unavailable; its lines go to syslog$' <<<"$HEARD")" 6
}

@test "a terminal that stops background processes stops no program over a line, which is written" {
    INSIDE=(env --)
    elsewhere background
    equals "$(count_lines refused)" 2
    elsewhere background "${WITHOUT_NOWAIT[@]}"
    equals "$(count_lines refused)" 2
}

@test "a log directory that is removed while the program runs harms nothing, and is written to when it is made again" {
    local logs=$BATS_TEST_TMPDIR/logs
    mkdir "$logs"
    capture shim env PINSHIM_LOG="$logs/log" "${PROGRAM[@]}" "$IMPOSTOR" "test -s $logs/log" "rm -r $logs" "$IMPOSTOR" "$GOOD" \
        "test ! -e $logs" "mkdir $logs" "$IMPOSTOR"
    equals "$STATUS$OUT" $'0'"$REFUSED"$'\n'"$REFUSED"$'\naccepted\n'"$REFUSED"
    went_elsewhere 1 "the log file $logs/log" 'No such file or directory' 'standard error'
    equals "$(grep -c 'refused www.pinned.example' "$logs/log")" 1
}

@test "a log file that is renamed is left at its length, and the next line begins a new one" {
    local log=$BATS_TEST_TMPDIR/log
    capture shim env PINSHIM_LOG="$log" "${PROGRAM[@]}" "$IMPOSTOR" "mv $log $log.1" "$IMPOSTOR" "$IMPOSTOR"
    equals "$STATUS$ERR" 0
    equals "$(grep -c 'refused www.pinned.example' "$log.1")" 1
    equals "$(grep -c 'refused www.pinned.example' "$log")" 2
}

# reuses REDIRECTION: a program, started so, closes its standard error and opens something else, which gets its number
reuses() {
    local kind program='
import os, socket, ssl, sys
kind, path, good, impostor = sys.argv[1:]
try:
    os.close(2)
except OSError:
    pass
os.open("/dev/null", os.O_RDONLY)
if kind == "socket":
    reader, writer = (end.detach() for end in socket.socketpair())
elif kind == "pipe":
    reader, writer = os.pipe()
else:
    reader, writer = 0, os.open(path, os.O_RDWR | (os.O_APPEND if kind == "journal" else 0))
# What is opened for appending is taken for a log, unless it is close-on-exec.
os.dup2(writer, 2, inheritable=kind != "journal")
context = ssl._create_unverified_context()
for port in (good, impostor):
    try:
        context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname="www.pinned.example").close()
        print("accepted")
    except ssl.SSLCertVerificationError:
        print("refused")
os.set_blocking(reader, False)
try:
    print(os.read(reader, 100).decode(), end="")
except BlockingIOError:
    pass
'
    for kind in database journal socket pipe; do
        echo content >"$BATS_TEST_TMPDIR/file"
        # shellcheck disable=SC2016 # the inner shell expands it
        capture shim "${INSIDE[@]}" timeout 20 bash -c "exec \"\$@\" $1" bash /usr/bin/python3 -c "$program" "$kind" \
            "$BATS_TEST_TMPDIR/file" "$GOOD" "$IMPOSTOR"
        equals "$kind $STATUS $OUT" "$kind 0 accepted"$'\nrefused'
        equals "$(cat "$BATS_TEST_TMPDIR/file")" content
    done
    heard
    equals "$(grep -cE "^<28>$STAMP"'pinshim\[[0-9]+\]: refused www.pinned.example' <<<"$HEARD")" 4
    equals "$(grep -cE "^<29>$STAMP"'pinshim\[[0-9]+\]: notice: standard error cannot be written: .*; its lines go to syslog$' <<<"$HEARD")" 4
}

@test "a program that closes its standard error and opens a file, a socket or a pipe under its number finds nothing of the log there" {
    devices
    syslog
    reuses ''
}

@test "a program that is started with a closed standard error finds nothing of the log in what has its number" {
    devices
    syslog
    reuses '2>&-'
}

@test "a daemon that puts its log in the place of standard error finds the lines there" {
    local log=$BATS_TEST_TMPDIR/daemon.log
    capture shim timeout 20 /usr/bin/python3 -c '
import os, socket, ssl, sys
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 2)
context = ssl._create_unverified_context()
try:
    context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), server_hostname="www.pinned.example")
except ssl.SSLCertVerificationError:
    print("refused")' "$log" "$IMPOSTOR"
    equals "$STATUS$OUT$ERR" 0refused
    equals "$(grep -c '^pinshim\[.*: refused www.pinned.example' "$log")" 1
}

# spoken COMMAND...: adds the JSON lines of a program to $SPOKEN
spoken() {
    capture shim env PINSHIM_LOG_FORMAT=json PINSHIM_LOG_LEVEL=all "$@"
    cat "$ERR_FILE" >>"$SPOKEN"
}

@test "every line of JSON parses and has every member, whatever the event" {
    local probe=("$PROGRAMS/probe" sni=www.pinned.example)
    SPOKEN=$BATS_TEST_TMPDIR/spoken
    spoken "${probe[@]}" "open=$IMPOSTOR" connect
    spoken env PINSHIM_MODE=report "${probe[@]}" "open=$IMPOSTOR" connect
    spoken "$PROGRAMS/../paths/resume" 127.0.0.1 "$GOOD" set tls1.2
    # A target without a rule, one that is not known, a peer without a certificate, pins that expire, a fault.
    spoken "$PROGRAMS/probe" "open=$IMPOSTOR" connect
    spoken "$PROGRAMS/memory" bio "$LAB/good.pem" "$LAB/good.key"
    reader good -nocert -cipher aNULL:@SECLEVEL=0 -tls1_2
    spoken "${probe[@]}" tls1.2 cipher=aNULL:@SECLEVEL=0 "open=$PORT" connect
    pins "www.pinned.example spki-sha256:$PIN_GOOD expires=$(date -u -d '+5 days' +%F)"
    spoken "${probe[@]}" "open=$GOOD" connect
    pins nonsense
    spoken "${probe[@]}" "open=$GOOD" connect
    capture /usr/bin/python3 -c '
import json, sys
texts = "time exe verdict library target address rule reason matched spki_sha256 cert_sha256 subject issuer not_after tls".split()
for line in open(sys.argv[1], encoding="ascii"):
    got = json.loads(line)
    assert sorted(got) == sorted(texts + ["pid", "port", "resumed", "client_cert"]), got
    assert all(got[name] is None or (isinstance(got[name], str) and got[name]) for name in texts), got
    assert isinstance(got["pid"], int) and (got["port"] is None or isinstance(got["port"], int)), got
    assert got["resumed"] in (False, True) and got["client_cert"] in (False, True), got
    nothing = " ".join(name for name in got if got[name] is None)
    print(got["verdict"], "resumed" if got["resumed"] else "new", nothing)' "$SPOKEN"
    equals "$OUT" 'refused new matched
reported new matched
accepted new 
accepted resumed 
notice new library address port rule matched spki_sha256 cert_sha256 subject issuer not_after tls
unpinned new rule matched
refused new address port rule matched
refused new matched spki_sha256 cert_sha256 subject issuer not_after
notice new library target address port matched spki_sha256 cert_sha256 subject issuer not_after tls
accepted new 
fault new library target address port rule matched spki_sha256 cert_sha256 subject issuer not_after tls
refused new rule matched'
}

@test "UTF-8 in a subject is spelled in ASCII, in a line of text and in one of JSON" {
    "$PROGRAMS/certificate" "$LAB/utf8" "utf8=$(printf 'M\xc3\xbcnchen \xf0\x9f\x94\x92 "\n' | od -An -v -tx1 | tr -d ' \n')"
    lab_s_server utf8
    refused "$PROGRAMS/probe" sni=www.pinned.example "open=$PORT" connect must
    has "$LINE" 'subject "CN=M\\C3\\BCnchen \\F0\\9F\\94\\92 \\\"\\0A"; wanted'
    capture shim env PINSHIM_LOG_FORMAT=json "$PROGRAMS/probe" sni=www.pinned.example "open=$PORT" connect
    equals "$(LC_ALL=C tr -d ' -~' <"$ERR_FILE" | wc -c)" 1
    # As in the line of text.
    equals "$(/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["subject"])' "$ERR_FILE")" \
        'CN=M\\C3\\BCnchen \\F0\\9F\\94\\92 \\\"\\0A'
}
