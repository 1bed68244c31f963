#!/usr/bin/env bats
# Goal: "pinshim prove" shows what an impostor gets from a program: nothing with the shim, and its requests without (a shim that does nothing stands in for
# it), whatever the program's TLS library, the address, the protocol before TLS, and however many processes it consists of.

# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153

load lib/programs

# The command takes the shim that is in its own directory. In the other one there is one that only passes on.
setup_file() {
    programs_lab
    mkdir "$LAB/with" "$LAB/without"
    cp "$BATS_TEST_DIRNAME/../build/pinshim" "$BATS_TEST_DIRNAME/../build/libpinshim-prove.so" "$LAB/with"
    cp "$SHIM_SO" "$LAB/with/libpinshim.so"
    cp "$LAB/with/pinshim" "$LAB/with/libpinshim-prove.so" "$LAB/without"
    cc -shared -fPIC -o "$LAB/without/libpinshim.so" -x c - <<'EOF'
#define _GNU_SOURCE
#include <dlfcn.h>
#define PASS_ON(function, library) \
    int function(void *of) \
    { \
        void *next = dlsym(RTLD_NEXT, #function); \
        if (next == 0) \
            next = dlsym(dlopen(library, RTLD_LAZY), #function); \
        return ((int (*)(void *))next)(of); \
    }
PASS_ON(SSL_connect, "libssl.so.3") PASS_ON(X509_verify_cert, "libcrypto.so.3")
EOF
    cat "$LAB/ca.pem" "$LAB/ca.key" >"$LAB/ca.both"
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin
    unset "${!PINSHIM_@}" LD_PRELOAD
}

teardown_file() {
    lab_stop
}

setup() {
    pins "localhost spki-sha256:$PIN_GOOD"
    cd "$BATS_TEST_TMPDIR" || return 1
    OPTIONS=()
}

# row TARGET PROGRAM LIBRARY REFUSED BYTES: the only line of the table; each is a regex
row() {
    equals "$(wc -l <"$OUT_FILE")" 2
    [[ $OUT =~ ^TARGET\ +PROGRAM\ +LIBRARY\ +REFUSED\ +BYTES\ +WHY ]] || explain 'no heading'
    grep -qE "^$1 +$2 +$3 +$4 +$5 " "$OUT_FILE" || explain "no row $*"
}

# proves TARGET PROGRAM LIBRARY REFUSED COMMAND...: with the shim the impostor gets nothing; without it, some bytes
proves() {
    capture "$LAB/with/pinshim" prove --pins "$PINS" "${OPTIONS[@]}" -- "${@:5}"
    equals "$STATUS" 0
    row "$1" "$2" "$3" "$4" 0
    has "$ERR" 'proven: the impostor was refused for 1 of 1 pinned targets, and got nothing'
    capture "$LAB/without/pinshim" prove --pins "$PINS" "${OPTIONS[@]}" -- "${@:5}"
    equals "$STATUS" 1
    row "$1" "$2" - NO '[1-9][0-9]*'
    has "$OUT" 'sent to the impostor'
    has "$ERR" 'the pins do NOT hold: the impostor got something from 1 of 1'
}

JUDGED='openssl [0-9.]+'

@test "prove shows that curl and Python are judged, and that without the shim the impostor gets their requests" {
    proves "localhost:$GOOD" curl "$JUDGED" 'in the handshake' curl -sk "https://localhost:$GOOD/"
    has "$OUT" 'the shim said nothing of it'
    # They verify the chain, and trust the impostor's CA for this run.
    proves "localhost:$GOOD" curl "$JUDGED" 'in the handshake' curl -s "https://localhost:$GOOD/"
    proves "localhost:$GOOD" 'python[0-9.]+' "$JUDGED" 'in the handshake' /usr/bin/python3 -c \
        "import urllib.request; urllib.request.urlopen('https://localhost:$GOOD/')"
    # What CMD trusts besides stays trusted: a target without a pin, by the CA that the variable names.
    capture env CURL_CA_BUNDLE="$LAB/ca.pem" "$LAB/with/pinshim" prove --pins "$PINS" -- sh -c "curl -s https://www.pinned.example:$GOOD/ --connect-to ::127.0.0.1:; curl -s https://localhost:$GOOD/"
    equals "$STATUS" 0
    has "$ERR" 'hello from good'
    OPTIONS=(--ca "$LAB/ca.both")
    proves "localhost:$GOOD" curl "$JUDGED" 'in the handshake' curl -s --cacert "$LAB/ca.pem" "https://localhost:$GOOD/"
}

@test "prove shows that wget, git and Node.js are refused, by the guard or by a judgement" {
    proves "localhost:$GOOD" wget '(unjudged|gnutls [0-9.]+)' '(before TLS|in the handshake)' wget -qO- --tries=1 --no-check-certificate "https://localhost:$GOOD/"
    proves "localhost:$GOOD" git-remote-http '(unjudged|gnutls [0-9.]+)' '(before TLS|in the handshake)' git -c http.sslVerify=false ls-remote "https://localhost:$GOOD/x"
    proves "localhost:$GOOD" node "(unjudged|$JUDGED)" '(before TLS|in the handshake)' node -e \
        "require('https').get({host: 'localhost', port: $GOOD, rejectUnauthorized: false}, r => r.resume()).on('error', () => 0)"
}

@test "prove knows the target by SNI, by the resolved name, by an address of either kind, and through a proxy" {
    pins "www.pinned.example:443 spki-sha256:$PIN_GOOD"
    proves www.pinned.example:443 curl "$JUDGED" 'in the handshake' curl -sk --resolve 'www.pinned.example:443:[2001:db8::7],127.0.0.1' https://www.pinned.example/
    pins "[::1] spki-sha256:$PIN_GOOD" "192.0.2.7 spki-sha256:$PIN_GOOD"
    proves "\\[::1\\]:$GOOD" curl "$JUDGED" 'in the handshake' curl -sk "https://[::1]:$GOOD/"
    proves 192.0.2.7:443 curl "$JUDGED" 'in the handshake' curl -sk https://192.0.2.7/
    # A Python client that resolves, and gives no name to OpenSSL.
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD"
    proves "localhost:$GOOD" 'python[0-9.]+' "$JUDGED" 'in the handshake' /usr/bin/python3 -c "
import socket, ssl
ssl._create_unverified_context().wrap_socket(socket.create_connection(('localhost', $GOOD))).sendall(b'secret')"
    relay=$BATS_TEST_DIRNAME/lib/relay.py
    /usr/bin/python3 "$relay" "$GOOD" relay.record >relay.port 2>/dev/null </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s relay.port
    pins "192.0.2.7 spki-sha256:$PIN_GOOD" "localhost spki-sha256:$PIN_GOOD"
    proves 192.0.2.7:443 curl "$JUDGED" 'in the handshake' curl -sk --noproxy '' -x "http://127.0.0.1:$(cat relay.port)" https://192.0.2.7/
}

@test "prove shows every process, and targets without a pin are reached as ever" {
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- sh -c "curl -sk https://localhost:$GOOD/ & curl -sk https://localhost:$GOOD/ & wait; /usr/bin/python3 -c \"
import urllib.request
urllib.request.urlopen('https://localhost:$GOOD/')\" 2>/dev/null"
    equals "$STATUS$(grep -c 'in the handshake  *0 ' "$OUT_FILE")" 02
    capture "$LAB/with/pinshim" prove --json --pins "$PINS" -- sh -c "for i in 1 2 3; do curl -sk https://localhost:$GOOD/; done"
    equals "$(jq -r '[.proven, (.targets[] | .target, .refused, .bytes, .connections)] | join(" ")' "$OUT_FILE")" "true localhost:$GOOD handshake 0 3"
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- curl -sk "https://localhost:$GOOD/"
    equals "$STATUS$OUT" 3
    has "$ERR" 'hello from good'
    has "$ERR" "nothing was proven: it connected to no target that $PINS pins"
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- sh -c "curl -sk https://localhost:$GOOD/; curl -sk --resolve www.pinned.example:443:127.0.0.1 https://www.pinned.example/"
    equals "$STATUS" 0
    has "$ERR" 'hello from good'
    row www.pinned.example:443 curl "$JUDGED" 'in the handshake' 0
}

# talker PROTOCOL: a server that begins without TLS; sets $PORT
talker() {
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/starttls.py" "$LAB/good.pem" "$LAB/good.key" "$1" >talker.port 2>/dev/null </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s talker.port
    PORT=$(cat talker.port)
}

@test "prove has the server start TLS where a protocol begins without, counts plaintext, and says where TLS was never reached" {
    talker smtp
    proves "localhost:$PORT" 'python[0-9.]+' "$JUDGED" 'in the handshake' /usr/bin/python3 -c "
import smtplib, ssl
s = smtplib.SMTP('localhost', $PORT); s.putcmd('EHLO', 'x'); s.getreply(); s.putcmd('STARTTLS'); s.getreply()
import socket; t = ssl._create_unverified_context().wrap_socket(s.sock); t.sendall(b'AUTH PLAIN secret')"
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- curl -s "http://localhost:$GOOD/"
    equals "$STATUS" 1
    row "localhost:$GOOD" curl - NO '[1-9][0-9]*'
    has "$OUT" 'sent in plaintext'
    # A client that falls back after the refusal, and one that waits for a greeting.
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- sh -c "curl -sk https://localhost:$GOOD/ || curl -s http://localhost:$GOOD/"
    equals "$STATUS" 1
    row "localhost:$GOOD" curl "$JUDGED" NO '[1-9][0-9]*'
    capture "$LAB/with/pinshim" prove --timeout 2 --pins "$PINS" -- /usr/bin/python3 -c "import socket; print(socket.create_connection(('localhost', 1)).recv(9))"
    equals "$STATUS" 3
    row 'localhost:1' 'python[0-9.]+' - 'never reached TLS' 0
    has "$ERR" 'not proven for 1 of 1'
}

@test "prove says what was refused for want of TLS, whose that was not, and where nothing can be seen" {
    local script="exec 5<>/dev/tcp/localhost/$GOOD; printf 'USER me\r\nPASS secret\r\n' >&5"
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- bash -c "$script"
    equals "$STATUS" 1
    row "localhost:$GOOD" bash - NO '[1-9][0-9]*'
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- bash -c "$script"
    equals "$STATUS" 0
    row "localhost:$GOOD" bash - 'in plaintext' 0
    has "$OUT" "what is sent there is neither TLS nor a request to start it, and $PINS:1 says tls=required"
    capture "$LAB/with/pinshim" prove --json --pins "$PINS" -- bash -c "$script"
    equals "$(jq -r '[.proven, (.targets[] | .library, .refused, .bytes)] | map(tostring) | join(" ")' "$OUT_FILE")" 'true null plaintext 0'
    cc -static -o unseen -x c - <<<'int main(void) { return 0; }'
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- ./unseen
    equals "$STATUS" 3
    lacks "$ERR" '--force'
    has "$ERR" "it connected to no target that $PINS pins, as far as could be seen; next: see \"pinshim doctor CMD\""
}

@test "prove does not take for a proof what the program refuses itself, nor report mode, and says so if it cannot begin" {
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- curl -s --cacert "$LAB/ca.pem" "https://localhost:$GOOD/"
    equals "$STATUS" 3
    row "localhost:$GOOD" curl - 'not by the shim' 0
    has "$OUT" "run it without its own list of CAs (as curl's --cacert), or give the impostor a CA that it trusts (--ca)"
    pins "localhost spki-sha256:$PIN_GOOD mode=report"
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- curl -sk "https://localhost:$GOOD/"
    equals "$STATUS" 1
    row "localhost:$GOOD" curl "$JUDGED" NO '[1-9][0-9]*'
    has "$OUT" 'the shim only logs refusals for this target (mode=report, report-until=): no pin of'
    capture "$LAB/with/pinshim" prove --pins nowhere -- curl -sk "https://localhost:$GOOD/"
    equals "$STATUS" 125
    has "$ERR" 'give a pins file with --pins'
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- no-such-program
    equals "$STATUS" 127
    capture "$LAB/with/pinshim" prove --pins "$PINS" --ca "$LAB/ca.pem" -- true
    equals "$STATUS" 125
    has "$ERR" 'expected both in one PEM file'
    capture "$LAB/with/pinshim" prove
    equals "$STATUS" 2
    has "$ERR" 'prove needs a command to run'
    # A service does not end by itself.
    pins "localhost spki-sha256:$PIN_GOOD"
    capture "$LAB/with/pinshim" prove --timeout 2 --pins "$PINS" -- sh -c "curl -sk https://localhost:$GOOD/; exec sleep 60"
    equals "$STATUS" 0
    has "$ERR" 'sh was ended after 2 seconds (--timeout)'
}

@test "what redirects is not in the shim, and does nothing unless prove asks for it" {
    run ! grep -q LIBPINSHIM_PROVE "$SHIM_SO"
    capture env LD_PRELOAD="$LAB/with/libpinshim-prove.so" curl -sk "https://localhost:$GOOD/"
    has "$OUT" 'hello from good'
    # Behind the shim neither: that sees the server itself.
    capture env LD_PRELOAD="$SHIM_SO:$LAB/with/libpinshim-prove.so" PINSHIM_PINS="$PINS" curl -sk "https://localhost:$IMPOSTOR/"
    has "$(lines refused)" "refused localhost:$IMPOSTOR: no pin of $PINS:1 matched; peer spki-sha256:$PIN_IMPOSTOR"
}

@test "prove works for programs on musl" {
    local client
    client=$(realpath "${SHIM_MUSL:-$BATS_TEST_DIRNAME/../build/musl}")/paths/connect
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    proves "127.0.0.1:$GOOD" connect "$JUDGED" 'in the handshake' "$client" 127.0.0.1 "$GOOD"
}

@test "the impostor passes nothing on for others on the same machine" {
    cat >stranger.py <<'EOF'
import glob, os, re, socket, sys
# Of the impostor, a stranger can find out the port, and not the word.
port = int(os.environ["LIBPINSHIM_PROVE"].split(":")[0])
link = socket.socket()
link.connect(("127.0.0.1", port))
link.sendall(b"pinshim-prove %s 1 127.0.0.1 %s stranger localhost\n" % (b"0" * 32, sys.argv[1].encode()))
link.sendall(b"GET / HTTP/1.0\r\n\r\n")
try:
    print("answer", len(link.recv(100)))
except ConnectionResetError:
    print("answer 0")
EOF
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- /usr/bin/python3 stranger.py "$GOOD"
    has "$ERR" 'answer 0'
    # With the word it does.
    sed -i 's/b"0" \* 32/os.environ["LIBPINSHIM_PROVE"].split(":")[1].encode()/' stranger.py
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- /usr/bin/python3 stranger.py "$GOOD"
    has "$ERR" 'answer 100'
}

@test "prove shows that psql goes on in plaintext by default, and that tls=required or sslmode=require ends that" {
    local client=(psql -w "host=localhost port=@PORT@ user=me dbname=mine")
    talker postgres
    client=("${client[@]//@PORT@/$PORT}")
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- "${client[@]}" -c 'select 1'
    equals "$STATUS" 1
    row "localhost:$PORT" psql "$JUDGED" NO '[1-9][0-9]*'
    has "$OUT" 'sent in plaintext'
    capture env PGSSLMODE=require "$LAB/with/pinshim" prove --pins "$PINS" -- "${client[@]}" -c 'select 1'
    equals "$STATUS" 0
    row "localhost:$PORT" psql "$JUDGED" 'in the handshake' 0
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    capture "$LAB/with/pinshim" prove --pins "$PINS" -- "${client[@]}" -c 'select 1'
    equals "$STATUS" 0
    row "localhost:$PORT" psql "$JUDGED" 'in plaintext' 0
}
