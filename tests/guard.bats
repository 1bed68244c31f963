#!/usr/bin/env bats
# Goal: a program whose TLS cannot be judged sends not one byte of a handshake to a target for which the rules demand something, and everything
# else of it is as before; and nothing leaves on the socket of a refused connection.

# shellcheck disable=SC2030,SC2031,SC2153

load lib/programs

setup_file() {
    programs_lab
    STACKS=$BATS_TEST_DIRNAME/../build/stacks
    RUNTIMES=$BATS_TEST_DIRNAME/../build/runtimes/node_modules
    export STACKS RUNTIMES
    # A GnuTLS that lacks a function that the shim needs, as one before 3.5.5 does: its clients are not judged.
    mkdir "$LAB/old"
    sed 's/gnutls_session_ext_register/gnutls_session_ext_missing_/g' "$(ldconfig -p | awk '/libgnutls.so.30 / { print $NF; exit }')" >"$LAB/old/libgnutls.so.30"
}

setup() {
    OLD=(env LD_LIBRARY_PATH="$LAB/old")
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
    capture bare timeout 60 "${@//@PORT@/$PORT}"
    [ -s "$RELAYED" ] || explain "sends nothing without the shim: $*"
    # Another one, since what the first passes on may come late.
    relay "$IMPOSTOR"
    set -- "${@//@PORT@/$PORT}"
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

# Without verification, and with the lab's CA
pinned() {
    pins "localhost spki-sha256:$PIN_GOOD"
}

@test "an old GnuTLS: wget and lynx" {
    pinned
    guarded GnuTLS "${OLD[@]}" wget -qO- --tries=1 --no-check-certificate https://localhost:@PORT@/
    pinned
    guarded GnuTLS "${OLD[@]}" wget -qO- --tries=1 --ca-certificate="$LAB/ca.pem" https://localhost:@PORT@/
    pinned
    guarded GnuTLS "${OLD[@]}" SSL_CERT_FILE="$LAB/ca.pem" lynx -dump https://localhost:@PORT@/
}

@test "an old GnuTLS under libcurl: git" {
    pinned
    guarded GnuTLS "${OLD[@]}" git -c http.sslVerify=false ls-remote https://localhost:@PORT@/
    pinned
    guarded GnuTLS "${OLD[@]}" git -c http.sslCAInfo="$LAB/ca.pem" ls-remote https://localhost:@PORT@/
}

@test "a program's OpenSSL is judged as ever beside an old GnuTLS that is not" {
    pinned
    relay "$IMPOSTOR"
    local both='
import ctypes, socket, ssl, sys
def judged(port):
    context = ssl._create_unverified_context()
    try:
        with context.wrap_socket(socket.create_connection(("localhost", port)), server_hostname="localhost") as peer:
            peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return peer.makefile().read().split("\n")[-2]
    except ssl.SSLError as error:
        return error.reason
def guarded(port):
    curl = ctypes.CDLL("libcurl-gnutls.so.4")
    curl.curl_easy_init.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(curl.curl_easy_init())
    for option, value in (64, 0), (81, 0), (10002, b"https://localhost:%d/" % port):
        curl.curl_easy_setopt(handle, ctypes.c_int(option), ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value))
    sys.stdout.flush()
    return curl.curl_easy_perform(handle)
good, impostor = int(sys.argv[1]), int(sys.argv[2])
print(judged(good), guarded(impostor), judged(good), judged(impostor), judged(good))'
    capture bare "${OLD[@]}" /usr/bin/python3 -c "$both" "$GOOD" "$PORT"
    has "$OUT" 'hello from good 0 hello from good hello from impostor hello from good'
    : >"$RELAYED"
    PINSHIM_LOG_LEVEL=all capture shim "${OLD[@]}" /usr/bin/python3 -c "$both" "$GOOD" "$PORT"
    has "$OUT" 'hello from good 35 hello from good CERTIFICATE_VERIFY_FAILED hello from good'
    equals "$(count_lines accepted) $(count_lines refused)" '3 2'
    has "$(lines refused)" 'the TLS is that of GnuTLS'
}

@test "a judged GnuTLS in the process is not said to have made what another library did" {
    local raw='
import ctypes, socket, ssl, sys
ctypes.CDLL("libgnutls.so.30")
used = len(sys.argv) > 2
if used:
    # One that has clients of its own.
    gnutls, session = ctypes.CDLL("libgnutls.so.30"), ctypes.c_void_p()
    gnutls.gnutls_init(ctypes.byref(session), 2)
there, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
client = ssl._create_unverified_context().wrap_bio(there, hello, server_hostname="localhost")
try:
    client.do_handshake()
except ssl.SSLWantReadError:
    pass
hello = bytearray(hello.read())
hello[20] ^= 1 # its random is that of no judged client
peer = socket.create_connection(("localhost", int(sys.argv[1])))
peer.sendall(hello)
peer.recv(1)'
    pinned
    guarded 'the program itself' /usr/bin/python3 -c "$raw" @PORT@
    pinned
    guarded 'the program itself' /usr/bin/python3 -c "$raw" @PORT@ used
    # One that cannot be judged may have made it.
    pinned
    guarded GnuTLS "${OLD[@]}" /usr/bin/python3 -c "$raw" @PORT@ used
}

@test "BoringSSL: Bun" {
    local bun
    bun=$(echo "$RUNTIMES"/@oven/bun-linux-*/bin/bun)
    pinned
    guarded 'the program itself' "$bun" -e \
        'const answer = await fetch("https://localhost:@PORT@/", { tls: { rejectUnauthorized: false } }); process.stdout.write(await answer.text())'
    has "$OUT" 'hello from impostor'
    pinned
    guarded 'the program itself' env NODE_EXTRA_CA_CERTS="$LAB/ca.pem" "$bun" -e \
        'const answer = await fetch("https://localhost:@PORT@/"); process.stdout.write(await answer.text())'
    has "$OUT" 'hello from impostor'
}

@test "rustls: Deno" {
    local deno
    deno=$(echo "$RUNTIMES"/@deno/linux-*/deno)
    # shellcheck disable=SC2016 # the program's own
    local get='console.log(await (await fetch("https://localhost:@PORT@/")).text())'
    export DENO_DIR=$BATS_TEST_TMPDIR/deno DENO_NO_UPDATE_CHECK=1
    pinned
    guarded 'the program itself' "$deno" eval --unsafely-ignore-certificate-errors "$get"
    has "$OUT" 'hello from impostor'
    pinned
    guarded 'the program itself' "$deno" eval --cert "$LAB/ca.pem" "$get"
    has "$OUT" 'hello from impostor'
}

@test "an old GnuTLS: gnutls-cli, with TLS and with DTLS" {
    pinned
    guarded GnuTLS "${OLD[@]}" gnutls-cli --insecure -p @PORT@ localhost
    pinned
    capture shim timeout 20 "${OLD[@]}" gnutls-cli --udp --insecure -p 9 localhost
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
    # Its ClientHello has the format of SSL 2.0 then.
    pinned
    guarded Java java -XX:TieredStopAtLevel=1 "$BATS_TEST_DIRNAME/stacks/Jsse.java" localhost @PORT@ SSLv2Hello,TLSv1.2
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

@test "an OpenSSL within the program that exports only some of its functions, or cannot be followed" {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    # shellcheck disable=SC2046 # words
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -rdynamic -o "$LAB/some" "$BATS_TEST_DIRNAME/paths/connect.c" -l:libssl.a -l:libcrypto.a -lpthread -ldl
    relay "$IMPOSTOR"
    capture bare "$LAB/some" localhost "$PORT"
    has "$OUT" 'hello from impostor'
    : >"$RELAYED"
    capture shim "$LAB/some" localhost "$PORT"
    equals "$STATUS" 1
    equals "$(wc -c <"$RELAYED")" 0
    has "$(lines refused)" 'OpenSSL within the program, too old or incomplete (without SSL_'
    capture "$BATS_TEST_DIRNAME/../build/pinshim" doctor "$LAB/some"
    has "$OUT" ': guarded: its TLS is OpenSSL'
    has "$OUT" 'which lacks SSL_'
    # Its security callback replaces the shim's, and its info callback is what would have told.
    set -- "$BATS_TEST_DIRNAME/../build/inside/security" 127.0.0.1 "$PORT" ssl permit info
    capture bare "$@"
    has "$OUT" 'hello from impostor'
    : >"$RELAYED"
    capture shim "$@"
    equals "$STATUS" 1
    equals "$(wc -c <"$RELAYED")" 0
    has "$(lines refused)" 'within the program, in a way that could not be followed'
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
    for how in whole gathered writev pwritev2 many copied high passed child records tds behind stdio handle datagram datagram-to pair again reused again-connected torn \
        quic{,-2,-to,-many,-gathered,-twice,-bit,-bit-2,-early}; do
        raw nothing "$how"
    done
    for how in write writev pwritev2 sendto sendmsg sendmmsg; do
        raw nothing "syscall-$how"
    done
    # Its first bytes say nothing to anybody.
    raw beginning bytes
    raw beginning pieces
    raw beginning quic-pieces
    raw beginning quic-late
    # Behind what asks a proxy
    raw nothing asked
    raw beginning asked-late
    raw beginning asked-end
    # The name is in the first.
    raw nothing quic-halves
    # However many have begun: nobody knows for whom those beyond are.
    for how in crowd crowd-of-bytes; do
        capture shim timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/raw_hello.py" "$how"
        has "$OUT" " of 380 Permission denied"
        lacks "$OUT" '380 of 380'
        has "$(lines refused)" 'refused 127.0.0.1:'
        has "$(lines refused)" 'unidentifiable'
    done
    # Where it cannot be asked what a descriptor is, nor what standard error is.
    capture shim /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/raw_hello.py" filtered
    equals "$OUT" '0 of 380 Permission denied'
    # What is no socket is nobody's connection; and nobody speaks QUIC over TCP.
    raw all pipe
    raw all file
    raw all quic-stream
    pins '* allow'
    for how in whole gathered writev pwritev2 many bytes pieces old old-bytes old-pieces crowd crowd-of-bytes reused again-connected filtered records behind asked{,-late,-end} stdio handle datagram pair quic{,-2,-to,-many,-gathered,-twice,-bit,-bit-2,-early,-pieces,-late,-halves} \
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
    # Whom a proxy is asked for
    pins "www.asked.example spki-sha256:$PIN_GOOD"
    raw nothing asked ''
    raw beginning asked-late ''
    raw beginning asked-end ''
    raw all whole ''
    pins "other.example spki-sha256:$PIN_GOOD"
    raw all asked ''
    raw nothing asked other.example
    # In the format of SSL 2.0 there is no SNI.
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    raw nothing old
    raw beginning old-bytes
    raw beginning old-pieces
    # What only begins like it
    raw all frames
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
    guarded_nameless=("${OLD[@]}" wget -qO- --tries=1 --no-check-certificate "https://127.0.0.1:$IMPOSTOR/")
    capture shim "${guarded_nameless[@]}"
    has "$OUT" 'hello from impostor'
    has "$(lines notice)" 'no name is known of this target'
}

@test "report mode, PINSHIM_UNJUDGED and files that pins need" {
    pins "localhost spki-sha256:$PIN_GOOD mode=report"
    capture shim "${OLD[@]}" wget -qO- --no-check-certificate "https://localhost:$IMPOSTOR/"
    has "$OUT" 'hello from impostor'
    equals "$(count_lines reported)" 1
    pinned
    export PINSHIM_MODE=report
    capture shim "${OLD[@]}" wget -qO- --no-check-certificate "https://localhost:$IMPOSTOR/"
    has "$OUT" 'hello from impostor'
    equals "$(count_lines reported)" 1
    unset PINSHIM_MODE
    export PINSHIM_UNJUDGED=report
    capture shim "${OLD[@]}" wget -qO- --no-check-certificate "https://localhost:$IMPOSTOR/"
    has "$OUT" 'hello from impostor'
    equals "$(count_lines reported)" 1
    PINSHIM_UNJUDGED=allow
    capture shim "${OLD[@]}" wget -qO- --no-check-certificate "https://localhost:$IMPOSTOR/"
    has "$OUT" 'hello from impostor'
    equals "$ERR" ''
    # A judged client is judged.
    judged refused "$IMPOSTOR" -servername localhost
    PINSHIM_UNJUDGED=perhaps
    capture shim "${OLD[@]}" wget -qO- --tries=1 --no-check-certificate "https://localhost:$IMPOSTOR/"
    equals "$OUT" ''
    has "$ERR" 'PINSHIM_UNJUDGED is "perhaps"; expected refuse, report or allow'
    unset PINSHIM_UNJUDGED
    # No TLS library reads these here.
    pins "localhost ca-file:$LAB/ca.pem client-cert=$LAB/good.pem client-key=$LAB/good.key"
    chmod 0600 "$LAB/good.key"
    capture shim "${OLD[@]}" wget -qO- --tries=1 --no-check-certificate "https://localhost:$IMPOSTOR/"
    equals "$OUT" ''
    equals "$(count_lines refused)" 1
    # A client of OpenSSL that connects first has all of them.
    judged accepted "$GOOD" -servername localhost
}

@test "a fault refuses a ClientHello, and programs without TLS hear nothing of it" {
    pins 'localhost nonsense'
    capture shim "${OLD[@]}" wget -qO- --tries=1 --no-check-certificate "https://localhost:$IMPOSTOR/"
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

# within PINS-LINE... -- RESULT-OF-hello RESULT-OF-plain RESULT-OF-quic: what the program that has little room sends, by hello, plaintext and QUIC, with such rules: in a
# thread with the smallest stack, and in a signal handler (on an alternate stack of 8 kB, without the kernel's part), amid malloc. An allocation of the shim could meet a lock that is held there, or a heap
# in disorder.
narrow() {
    local lines=() way what result
    while [ "$1" != -- ]; do
        lines+=("$1")
        shift
    done
    shift
    for what in hello plain "$BATS_TEST_TMPDIR/initial"; do
        result=$1
        shift
        for way in 'thread 16384' 'signal 4816' 'signal 65536'; do
            pins "${lines[@]}"
            # shellcheck disable=SC2086 # words
            capture shim "$PROGRAMS/narrow" $way "$IMPOSTOR" "$what"
            equals "$STATUS $OUT" "0 $result bytes, 0 allocations"
            # With other rules before.
            mv "$PINS" "$PINS.other"
            pins '127.0.0.1 deny'
            # shellcheck disable=SC2086 # words
            capture shim "$PROGRAMS/narrow" $way "$IMPOSTOR" "$what" "$PINS" "$PINS.other"
            equals "$STATUS $OUT" "0 $result bytes, 0 allocations"
        done
    done
}

@test "signal handlers: pins with client certificates and a trust store are read again, and let go, without the program's heap" {
    local rules=("127.0.0.1 spki-sha256:$PIN_GOOD client-cert=$BATS_TEST_TMPDIR/good.pem client-key=$BATS_TEST_TMPDIR/good.key" '* pkix')
    cp "$LAB/good.pem" "$LAB/good.key" "$BATS_TEST_TMPDIR"
    chmod 0600 "$BATS_TEST_TMPDIR/good.key"
    # Younger ones would not be taken over.
    sleep 4
    export SSL_CERT_FILE=$LAB/ca.pem SSL_CERT_DIR=/nowhere
    for other in "${rules[0]}" '127.0.0.1 deny'; do
        printf '%s\n' "$other" "${rules[@]:1}" >"$BATS_TEST_TMPDIR/other"
        pins "${rules[@]}"
        capture shim "$PROGRAMS/narrow" signal 65536 "$IMPOSTOR" hello "$PINS" "$BATS_TEST_TMPDIR/other" tls
        equals "$STATUS $OUT" "0 -1 bytes, 0 allocations"
    done
}

@test "threads with the smallest stack, and signal handlers: pins are read and refusals logged without the program's heap" {
    local i many=()
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/raw_hello.py" quic '' "$BATS_TEST_TMPDIR/initial"
    capture bare "$PROGRAMS/narrow" thread 16384 "$IMPOSTOR" hello
    equals "$OUT" '50 bytes, 0 allocations'
    narrow "127.0.0.1 spki-sha256:$PIN_GOOD" -- -1 6 -1
    narrow "127.0.0.1 spki-sha256:$PIN_GOOD tls=required" -- -1 -1 -1
    narrow 'other.example allow' '@unknown deny' -- -1 6 -1
    narrow '127.0.0.1 allow' '@revoked spki-sha256:'"$PIN_GOOD" -- 50 6 1200
    # Files, and more than what is there from the start has room for.
    for i in {1..3000}; do
        many+=("host-$i.example spki-sha256:$PIN_GOOD spki-sha256:$PIN_IMPOSTOR")
    done
    narrow "127.0.0.1 spki-file:$LAB/good.pem" "**.example ca-file:$LAB/ca.pem" '* pkix' "${many[@]}" -- -1 6 -1
    # Faulty rules: nothing is known of any target, or what was known stays.
    narrow '127.0.0.1 spki-sha256:short' "other.example spki-file:$LAB/missing.pem" -- -1 6 -1
}

@test "a refusal does not keep a program from stopping all its threads by a signal" {
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    capture shim "$PROGRAMS/stopped" "$IMPOSTOR" 200
    equals "$STATUS $OUT" '0 sent 0, refused some'
}

# A thread of the parent may have held it for whatever reason: an exception, a dlopen.
@test "in a child that was forked while another thread held the list of objects nothing hangs, and all is judged" {
    local how
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    for how in write send sendmsg fwrite; do
        relay "$IMPOSTOR"
        capture bare "$PROGRAMS/raw" "$PORT" "held+$how"
        equals "$STATUS $OUT" '0 sent'
        relay "$IMPOSTOR"
        capture shim "$PROGRAMS/raw" "$PORT" "held+$how"
        equals "$STATUS $OUT" '1 Permission denied'
        equals "$(count_lines refused) $(wc -c <"$RELAYED")" '1 0'
    done
    pins '* allow'
    capture shim "$PROGRAMS/raw" "$PORT" held+write
    equals "$STATUS $OUT" '0 sent'
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    # shellcheck disable=SC2016 # the inner shell expands it
    capture shim bash -c 'printf "%s\n" "fork held" connect "port $1" connect | "$2" www.pinned.example "$3"' bash "$IMPOSTOR" "$PROGRAMS/again" "$GOOD"
    equals "$OUT" $'forked\n1\n'"$IMPOSTOR"$'\n-1 certificate verify failed'
    equals "$(count_lines refused)" 1
}
