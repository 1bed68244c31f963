#!/usr/bin/env bats
# Goal: a program whose TLS cannot be judged sends not one byte of a handshake to a target for which the rules demand something, and everything
# else of it is as before; and nothing leaves on the socket of a refused connection.

# shellcheck disable=SC2030,SC2031,SC2153

load lib/programs

setup_file() {
    programs_lab
    STACKS=$BATS_TEST_DIRNAME/../build/stacks
    export STACKS
}

teardown_file() {
    lab_stop
}

# guarded LIBRARY COMMAND...: the program speaks to the impostor without the shim; with it the impostor gets nothing, and one line says why. @PORT@ in
# the command is the impostor's.
guarded() {
    local library=$1
    shift
    relay "$IMPOSTOR"
    set -- "${@//@PORT@/$PORT}"
    capture bare timeout 60 "$@"
    [ -s "$RELAYED" ] || explain "sends nothing without the shim: $*"
    : >"$RELAYED"
    capture shim timeout 60 "$@"
    [ "$STATUS" -ne 124 ] || explain 'hangs'
    equals "$(wc -c <"$RELAYED")" 0
    equals "$(count_lines refused)" 1
    LINE=$(lines refused)
    has "$LINE" "refused localhost:$PORT: the TLS is that of $library, which cannot be judged; $PINS:1 demands something of this target"
    # What a program that goes by its own verification alone gets from a target without rules.
    pins "other.example spki-sha256:$PIN_GOOD"
    : >"$RELAYED"
    capture shim timeout 60 "$@"
    [ -s "$RELAYED" ] || explain 'sends nothing to a target without rules'
    equals "$(count_lines refused)" 0
}

pinned() {
    pins "localhost spki-sha256:$PIN_GOOD"
}

@test "GnuTLS: wget" {
    pinned
    guarded GnuTLS wget -qO- --tries=1 --no-check-certificate https://localhost:@PORT@/
}

@test "GnuTLS under libcurl: git" {
    pinned
    guarded GnuTLS git -c http.sslVerify=false ls-remote https://localhost:@PORT@/
}

@test "GnuTLS: gnutls-cli, with TLS and with DTLS" {
    pinned
    guarded GnuTLS gnutls-cli --insecure -p @PORT@ localhost
    pinned
    capture shim timeout 20 gnutls-cli --udp --insecure -p 9 localhost
    equals "$(count_lines refused)" 1
    has "$(lines refused)" 'refused localhost:9: the TLS is that of GnuTLS'
}

@test "NSS: tstclnt" {
    pinned
    guarded NSS tstclnt -4 -h localhost -p @PORT@ -o -D -Q
}

@test "JSSE: java" {
    pinned
    guarded Java java -XX:TieredStopAtLevel=1 "$BATS_TEST_DIRNAME/stacks/Jsse.java" localhost @PORT@
}

@test "Erlang" {
    pinned
    guarded 'the program itself' erl -noshell -eval \
        'application:ensure_all_started(ssl), R = ssl:connect("localhost", @PORT@, [{verify, verify_none}], 5000), halt(case R of {ok, _} -> 0; _ -> 1 end).'
}

@test "Mbed TLS" {
    pinned
    guarded 'Mbed TLS' "$STACKS/mbedtls" localhost @PORT@
}

@test "wolfSSL" {
    pinned
    guarded wolfSSL "$STACKS/wolfssl" localhost @PORT@
}

@test "BearSSL" {
    pinned
    guarded BearSSL "$STACKS/bearssl" localhost @PORT@
}

@test "an OpenSSL within the program" {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    relay "$IMPOSTOR"
    capture bare "$STACKS/within" localhost "$PORT"
    has "$OUT" 'hello from impostor'
    : >"$RELAYED"
    capture shim "$STACKS/within" localhost "$PORT"
    equals "$STATUS" 1
    equals "$(wc -c <"$RELAYED")" 0
    has "$(lines refused)" "refused www.pinned.example:$PORT: the TLS is that of the program itself"
}

# raw WANTED HOW [SNI]: how much of a ClientHello arrives that is sent in this way; $SIZE is its length
raw() {
    capture shim timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/raw_hello.py" "${@:2}"
    SIZE=$(sed -n 's/^[0-9]* of \([0-9]*\).*/\1/p' <<<"$OUT")
    case $1 in
    nothing) has "$OUT" "0 of $SIZE" && equals "$(count_lines refused)" 1 ;;
    beginning) has "$OUT" " of $SIZE Permission denied" && lacks "$OUT" "$SIZE of $SIZE" && equals "$(count_lines refused)" 1 ;;
    all) equals "$OUT" "$SIZE of $SIZE" && equals "$(count_lines refused)" 0 ;;
    esac
}

@test "a ClientHello is held however it is handed to the kernel" {
    local how
    pinned
    for how in whole gathered writev pwritev2 many copied passed child records tds behind stdio handle datagram datagram-to pair again reused; do
        raw nothing "$how"
    done
    for how in write writev pwritev2 sendto sendmsg sendmmsg; do
        raw nothing "syscall-$how"
    done
    # Its first bytes say nothing to anybody.
    raw beginning bytes
    raw beginning pieces
    # However many have begun: nobody knows for whom those beyond are.
    for how in crowd crowd-of-bytes; do
        capture shim timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/raw_hello.py" "$how"
        has "$OUT" " of 380 Permission denied"
        lacks "$OUT" '380 of 380'
        has "$(lines refused)" 'refused 127.0.0.1:'
        has "$(lines refused)" 'unidentifiable'
    done
    # What is no socket is nobody's connection.
    raw all pipe
    raw all file
    pins '* allow'
    for how in whole gathered writev pwritev2 many bytes pieces crowd crowd-of-bytes reused records behind stdio handle datagram pair \
        syscall-{write,writev,pwritev2,sendto,sendmsg,sendmmsg}; do
        raw all "$how"
    done
}

@test "the target of a ClientHello is its SNI, else its address and the names that it was resolved from" {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    raw nothing whole www.pinned.example
    raw nothing whole WWW.pinned.example.
    raw all whole other.example
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    raw nothing whole ''
    raw nothing whole other.example
    pins "192.0.2.7 spki-sha256:$PIN_GOOD"
    raw all whole ''
    pins "other.example spki-sha256:$PIN_GOOD" '* allow'
    raw all whole www.pinned.example
    pins "other.example allow" "* spki-sha256:$PIN_GOOD"
    raw all whole other.example
    raw nothing whole www.pinned.example
    pins 'www.pinned.example deny'
    raw nothing whole www.pinned.example
    has "$(lines refused)" "$PINS:1 says deny"
    PINSHIM_LOG_LEVEL=debug raw nothing whole www.pinned.example
    # A name that no host has could be any.
    raw nothing whole $'bad\tname'
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    guarded_nameless=(wget -qO- --tries=1 --no-check-certificate "https://127.0.0.1:$IMPOSTOR/")
    capture shim "${guarded_nameless[@]}"
    has "$OUT" 'hello from impostor'
    has "$(lines notice)" 'no name is known of this target'
}

@test "report mode, PINSHIM_UNJUDGED and files that pins need" {
    pins "localhost spki-sha256:$PIN_GOOD mode=report"
    capture shim wget -qO- --no-check-certificate "https://localhost:$IMPOSTOR/"
    has "$OUT" 'hello from impostor'
    equals "$(count_lines reported)" 1
    pinned
    export PINSHIM_MODE=report
    capture shim wget -qO- --no-check-certificate "https://localhost:$IMPOSTOR/"
    has "$OUT" 'hello from impostor'
    equals "$(count_lines reported)" 1
    unset PINSHIM_MODE
    export PINSHIM_UNJUDGED=report
    capture shim wget -qO- --no-check-certificate "https://localhost:$IMPOSTOR/"
    has "$OUT" 'hello from impostor'
    equals "$(count_lines reported)" 1
    PINSHIM_UNJUDGED=allow
    capture shim wget -qO- --no-check-certificate "https://localhost:$IMPOSTOR/"
    has "$OUT" 'hello from impostor'
    equals "$ERR" ''
    # A judged client is judged.
    judged refused "$IMPOSTOR" -servername localhost
    PINSHIM_UNJUDGED=perhaps
    capture shim wget -qO- --tries=1 --no-check-certificate "https://localhost:$IMPOSTOR/"
    equals "$OUT" ''
    has "$ERR" 'PINSHIM_UNJUDGED is "perhaps"; expected refuse, report or allow'
    unset PINSHIM_UNJUDGED
    # No TLS library reads these here.
    pins "localhost ca-file:$LAB/ca.pem client-cert=$LAB/good.pem client-key=$LAB/good.key"
    chmod 0600 "$LAB/good.key"
    capture shim wget -qO- --tries=1 --no-check-certificate "https://localhost:$IMPOSTOR/"
    equals "$OUT" ''
    equals "$(count_lines refused)" 1
    # A client of OpenSSL that connects first has all of them.
    judged accepted "$GOOD" -servername localhost
}

@test "a fault refuses a ClientHello, and programs without TLS hear nothing of it" {
    pins 'localhost nonsense'
    capture shim wget -qO- --tries=1 --no-check-certificate "https://localhost:$IMPOSTOR/"
    equals "$OUT" ''
    equals "$(count_lines refused)" 1
    has "$(lines refused)" "configuration fault: $PINS:1:11: "
    equals "$(count_lines fault)" 1
    has "$(lines fault)" "$PINS:1:11: "
    # shellcheck disable=SC2016 # the port is the inner shell's
    capture shim bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" && printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$IMPOSTOR"
    equals "$ERR" ''
    capture shim /usr/bin/python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1]))).sendall(b"GET /")' "$IMPOSTOR"
    equals "$STATUS" 0
    equals "$ERR" ''
}

@test "nothing more leaves on the socket of a refused connection, in clear text either" {
    local how
    for how in socket memory; do
        relay "$IMPOSTOR"
        pins "localhost spki-sha256:$PIN_GOOD"
        capture shim /usr/bin/python3 "$BATS_TEST_DIRNAME/clients/goes_on.py" "$how" "$PORT" localhost
        equals "$(count_lines refused)" 1
        has "$OUT" 'not sent'
        lacks "$(tr -d '\0' <"$RELAYED")" secret
        # Only reported: the connection lives.
        pins "localhost spki-sha256:$PIN_GOOD mode=report"
        capture shim /usr/bin/python3 "$BATS_TEST_DIRNAME/clients/goes_on.py" "$how" "$PORT" localhost
        equals "$OUT" 'done'
    done
}
