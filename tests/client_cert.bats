#!/usr/bin/env bats
# Goal: a rule's client certificate goes to a server that has satisfied the rule and requests one, in every kind of handshake; to no
# other server, and never in place of the program's own.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2030,SC2031,SC2153

load lib/programs

setup_file() {
    programs_lab
    local name
    for name in first second; do
        lab_cert "$name" "/CN=$name client" 'extendedKeyUsage=clientAuth'
        chmod 600 "$LAB/$name.key"
    done
    KEY_KIND='RSA -pkeyopt rsa_keygen_bits:2048' lab_cert rsa /CN=rsa
    PIN_RSA=$(lab_spki "$LAB/rsa.pem")
    export PIN_RSA
}

teardown_file() {
    lab_stop
}

setup() {
    CLIENT=$BUILT/paths/client_cert
    HAS="client-cert=$LAB/first.pem client-key=$LAB/first.key"
    pins "www.pinned.example spki-sha256:$PIN_GOOD $HAS"
    export PINSHIM_LOG_LEVEL=all
    # Under this name the same tests are run with clients that verify the chain.
    [[ $BATS_TEST_FILENAME != */client_cert_verified.bats ]] || export PATHS_TRUST=$LAB/ca.pem
}

# sees WHOM SERVER [WORD...]: under the shim the server sees this client last; without the shim, nobody, or the program's own
sees() {
    capture shim "$CLIENT" "$LAB/$2" "${@:3}"
    equals "$STATUS" 0
    equals "$(grep '^the server saw' <<<"$OUT" | tail -n 1)" "the server saw $1"
    lacks "$ERR" fault
}

# gives SERVER [WORD...]: the server gets the first client's certificate, as it would not without the shim; and none is left on the SSL
gives() {
    capture bare "$CLIENT" "$LAB/$1" "${@:2}"
    has "$OUT" 'the server saw nobody'
    lacks "$OUT" 'first client'
    sees '/CN=first client' "$@"
    has "$(lines accepted)" '; client certificate "CN=first client" offered'
    lacks "$OUT" 'left on the SSL: a certificate'
}

# keeps SERVER [WORD...]: the server gets nobody's certificate
keeps() {
    capture shim "$CLIENT" "$LAB/$1" "${@:2}"
    lacks "$OUT" 'the server saw /'
    lacks "$ERR" 'offered"'
}

@test "a pinned server that asks gets the client certificate, in TLS 1.2 and 1.3" {
    gives good tls1.2
    gives good tls1.3
    pins 'www.pinned.example pkix' "www.pinned.example $HAS"
    SSL_CERT_FILE=$LAB/ca.pem gives good
}

@test "a pinned server that asks after the handshake gets it, whether or not the program knows of that" {
    gives good tls1.3 later
    gives good tls1.3 later willing
    capture bare "$CLIENT" "$LAB/good" tls1.3 later
    has "$OUT" 'the server cannot ask'
}

@test "a pinned server that asks in a second handshake gets it" {
    gives good tls1.2 again
    equals "$(count_lines accepted)" 2
}

@test "a pinned server gets it over a chain of BIOs" {
    gives good tls1.2 bio
    gives good tls1.3 bio
    gives good tls1.3 bio later
    gives good tls1.2 bio again
}

@test "a client certificate is given on a line of its own, by a relative path, or for every target" {
    cp "$LAB/first.pem" "$LAB/first.key" "$BATS_TEST_TMPDIR"
    chmod 600 "$BATS_TEST_TMPDIR/first.key"
    pins "www.pinned.example spki-sha256:$PIN_IMPOSTOR" 'www.pinned.example client-cert=first.pem client-key=first.key' \
        "www.pinned.example spki-sha256:$PIN_GOOD client-cert=first.pem client-key=first.key"
    gives good
    pins "* spki-sha256:$PIN_GOOD $HAS"
    gives good
}

@test "a server that does not ask gets none" {
    capture shim openssl s_client -brief -connect "127.0.0.1:$GOOD" -servername www.pinned.example
    equals "$STATUS" 0
    equals "$(count_lines accepted)" 1
    lacks "$ERR" offered
    PINSHIM_LOG_FORMAT=json capture shim openssl s_client -brief -connect "127.0.0.1:$GOOD" -servername www.pinned.example
    has "$ERR" '"client_cert":false'
}

@test "an impostor never gets the client certificate" {
    local words
    for words in tls1.2 tls1.3 'tls1.2 bio' 'tls1.3 bio' 'tls1.3 later willing' 'tls1.2 again'; do
        # shellcheck disable=SC2086 # several words
        keeps impostor $words
        equals "$(count_lines refused)" 1
        # The same server, were it the pinned one, would.
        pins "www.pinned.example spki-sha256:$PIN_IMPOSTOR $HAS"
        # shellcheck disable=SC2086 # several words
        gives impostor $words
        pins "www.pinned.example spki-sha256:$PIN_GOOD $HAS"
    done
}

@test "an impostor that report mode lets pass never gets the client certificate" {
    local words
    for words in tls1.2 tls1.3 'tls1.3 bio' 'tls1.3 later willing' 'tls1.2 again'; do
        # shellcheck disable=SC2086 # several words
        PINSHIM_MODE=report keeps impostor $words
        equals "$STATUS" 0
        equals "$(lines reported | grep -c 'no pin of')" "$(count_lines reported)"
        pins "www.pinned.example spki-sha256:$PIN_GOOD $HAS mode=report"
        # shellcheck disable=SC2086 # several words
        keeps impostor $words
        equals "$STATUS" 0
        # The pinned one gets it.
        # shellcheck disable=SC2086 # several words
        gives good $words
        pins "www.pinned.example spki-sha256:$PIN_GOOD $HAS"
    done
}

@test "a server of another target, an allowed one, one whose pin has expired or is revoked gets none" {
    keeps good sni=other.example
    equals "$STATUS" 0
    pins "www.pinned.example:1 spki-sha256:$PIN_GOOD $HAS" "other.example spki-sha256:$PIN_GOOD" '* allow'
    keeps good sni=other.example
    equals "$STATUS" 0
    keeps good sni=third.example
    equals "$STATUS" 0
    pins "www.pinned.example spki-sha256:$PIN_GOOD expires=2020-01-01 $HAS"
    PINSHIM_MODE=report keeps good
    equals "$STATUS" 0
    pins "www.pinned.example spki-sha256:$PIN_GOOD $HAS" "@revoked cert-sha256:$(lab_fingerprint "$LAB/good.pem")"
    PINSHIM_MODE=report keeps good
    equals "$STATUS" 0
}

@test "a server that has not proven its key when it asks gets none: RSA key exchange" {
    [[ $(openssl version) != 'OpenSSL 4.'* ]] || skip 'this OpenSSL has no such suite by default'
    pins "www.pinned.example spki-sha256:$PIN_RSA $HAS"
    gives rsa tls1.2 cipher=ECDHE-RSA-AES128-SHA
    keeps rsa tls1.2 cipher=AES128-SHA
    equals "$STATUS" 0
    equals "$(count_lines fault)" 1
    has "$(lines fault)" 'www.pinned.example: the client certificate of '
    has "$(lines fault)" ":1 is not offered: with the suite AES128-SHA the server has not proven its key yet"
}

@test "the program's own client certificate goes first, however and whenever it sets it" {
    local in
    for in in ctx ssl cert_cb ctx_cert_cb client_cb verify; do
        sees '/CN=second client' good tls1.2 own="$LAB/second" in=$in
        lacks "$ERR" offered
        sees '/CN=second client' good tls1.3 own="$LAB/second" in=$in
        lacks "$ERR" offered
        sees '/CN=second client' good bio own="$LAB/second" in=$in
        lacks "$ERR" offered
        sees '/CN=second client' good later willing own="$LAB/second" in=$in
        lacks "$ERR" offered
    done
}

@test "a client certificate from the program's engine goes first" {
    local version
    for version in tls1.2 tls1.3; do
        capture bare "$CLIENT" "$LAB/good" $version own="$LAB/second" in=engine
        [ "$STATUS" -ne 77 ] || skip 'this OpenSSL has no engines'
        has "$OUT" 'the server saw /CN=second client'
        sees '/CN=second client' good $version own="$LAB/second" in=engine
        lacks "$ERR" offered
    done
}

@test "a program that is asked for its client certificate is asked as without the shim" {
    local in without
    for in in cert_cb ctx_cert_cb client_cb; do
        capture bare "$CLIENT" "$LAB/good" own="$LAB/second" in=$in pause
        without=$(grep -v '^the server' <<<"$OUT")
        equals "$(grep -c 'is asked' <<<"$OUT")" 2
        capture shim "$CLIENT" "$LAB/good" own="$LAB/second" in=$in pause
        equals "$(grep -v '^the server' <<<"$OUT")" "$without"
        # One that has none to give leaves it to the rule.
        sees '/CN=first client' good own="$LAB/second" in=$in none
        equals "$(grep -c 'is asked' <<<"$OUT")" 1
    done
}

@test "what the server says against the client certificate is logged" {
    capture shim "$CLIENT" "$LAB/good" tls1.3 insists refuses=23
    equals "$(count_lines fault)" 1
    has "$(lines fault)" 'www.pinned.example: the server refused the client certificate "CN=first client": alert 44, '
    has "$(lines fault)" revoked
    capture shim "$CLIENT" "$LAB/good" tls1.2 insists refuses=10
    equals "$(count_lines fault)" 1
    has "$(lines fault)" 'the server refused the client certificate "CN=first client": alert 45, '
    PINSHIM_LOG_FORMAT=json capture shim "$CLIENT" "$LAB/good" insists refuses=23
    /usr/bin/python3 -c '
import json, sys
accepted, fault = (json.loads(line) for line in sys.stdin)
assert accepted["verdict"] == "accepted" and accepted["client_cert"] is True, accepted
assert fault["verdict"] == "fault" and fault["target"] == "www.pinned.example" and "alert 44" in fault["reason"], fault
' <<<"$ERR"
}

@test "a client certificate that the SSL does not take refuses the connection and says why" {
    [[ $(openssl version) != *' 1.1.1'* ]] || skip 'its security levels differ'
    openssl req -x509 -newkey rsa:1024 -nodes -keyout "$LAB/weak.key" -out "$LAB/weak.pem" -days 30 -subj '/CN=weak' 2>>"$LAB/openssl.log"
    chmod 600 "$LAB/weak.key"
    pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/weak.pem client-key=$LAB/weak.key"
    sees /CN=weak good level=0
    capture shim "$CLIENT" "$LAB/good" level=2
    equals "$STATUS" 1
    equals "$(count_lines refused)" 1
    has "$(lines refused)" "pins:1 cannot be used: ee key too small"
}

# handshakes COMMAND...: a Python client with two connections to $1; between them it runs the commands that follow, in Python
handshakes() {
    capture shim /usr/bin/python3 -c '
import os, socket, ssl, sys
port, between = sys.argv[1:]
ctx = ssl._create_unverified_context()
for attempt in range(2):
    with socket.create_connection(("127.0.0.1", int(port))) as plain, ctx.wrap_socket(plain, server_hostname="www.pinned.example") as tls:
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        print(tls.makefile().read().strip().splitlines()[-1])
    if attempt == 0:
        exec(between)' "$@"
}

# asking_nginx: at $PORT; it says whom it sees
asking_nginx() {
    lab_nginx good "ssl_verify_client optional_no_ca; return 200 \"saw \$ssl_client_s_dn\\n\";"
}

@test "a client certificate that comes into the pins file and is faulty leaves the last good pins in force" {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    asking_nginx
    cd "$BATS_TEST_TMPDIR"
    PINS=$PINS handshakes "$PORT" 'text = open(os.environ["PINS"]).read().strip()
open("new", "w").write(text + " client-cert=missing.pem\n"); os.rename("new", os.environ["PINS"])'
    equals "$STATUS" 0
    equals "$(count_lines fault)" 1
    equals "$(count_lines refused)" 0
}

@test "a renewed client certificate is shown at the next handshake; a faulty one leaves the last good in force and is logged once" {
    cp "$LAB/first.pem" "$LAB/first.key" "$BATS_TEST_TMPDIR"
    pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=first.pem client-key=first.key"
    asking_nginx
    export LAB
    cd "$BATS_TEST_TMPDIR"
    handshakes "$PORT" 'import shutil; lab = os.environ["LAB"]
for end in "pem", "key": shutil.copy(f"{lab}/second.{end}", f"new.{end}"); os.rename(f"new.{end}", f"first.{end}")'
    equals "$STATUS" 0
    equals "$OUT" $'saw CN=first client\nsaw CN=second client'
    lacks "$ERR" fault
    handshakes "$PORT" 'import shutil; shutil.copy(os.environ["LAB"] + "/first.key", "first.key")'
    equals "$OUT" $'saw CN=second client\nsaw CN=second client'
    equals "$(count_lines fault)" 1
    has "$(lines fault)" 'pins:1:'
    has "$(lines fault)" '"first.key" cannot be used: the key does not match the certificate'
}

@test "a program that gives up its rights shows the client certificate that it had read" {
    [ "$(id -u)" -eq 0 ] || skip 'it takes root to give up its rights'
    local open
    open=$(mktemp -d "${TMPDIR:-/tmp}/pinshim-XXXXXX")
    mkdir -m 755 "$open/shut"
    chmod 755 "$open"
    cp "$LAB/first.pem" "$LAB/first.key" "$open/shut"
    PINS=$open/pins
    printf '%s\n' "www.pinned.example spki-sha256:$PIN_GOOD client-cert=shut/first.pem client-key=shut/first.key" >"$PINS"
    asking_nginx
    handshakes "$PORT" 'os.setuid(65534)'
    equals "$OUT" $'saw CN=first client\nsaw CN=first client'
    lacks "$ERR" fault
    handshakes "$PORT" "os.chmod('$open/shut', 0o700); os.setuid(65534)"
    equals "$OUT" $'saw CN=first client\nsaw CN=first client'
    lacks "$ERR" fault
    rm -r "$open"
}

@test "a program that gives up its rights obeys a changed pins file with the client certificate that it had read" {
    [ "$(id -u)" -eq 0 ] || skip 'it takes root to give up its rights'
    local open
    open=$(mktemp -d "${TMPDIR:-/tmp}/pinshim-XXXXXX")
    chmod 755 "$open"
    cp "$LAB/first.pem" "$LAB/first.key" "$open"
    PINS=$open/pins
    printf '%s\n' "www.pinned.example spki-sha256:$PIN_GOOD client-cert=first.pem client-key=first.key" >"$PINS"
    asking_nginx
    handshakes "$PORT" "os.setuid(65534)"
    equals "$OUT" $'saw CN=first client\nsaw CN=first client'
    handshakes "$PORT" "open('$PINS', 'a').write('@revoked spki-sha256:$PIN_GOOD\\n'); os.setuid(65534)"
    equals "$STATUS" 1
    equals "$OUT" 'saw CN=first client'
    equals "$(count_lines refused)" 1
    lacks "$ERR" fault
    rm -r "$open"
}

@test "what was offered is taken off again, and does not go to the next server of the same SSL" {
    local second
    for second in '' refuses=23; do
        for words in tls1.2 'tls1.3 later willing' tls1.3; do
            # shellcheck disable=SC2086 # several words
            capture shim "$CLIENT" "$LAB/good" $words $second next="$LAB/impostor"
            has "$OUT" 'the next server saw nobody'
            lacks "$OUT" 'the next server saw /'
        done
    done
    # The program's own, set meanwhile, does.
    capture shim "$CLIENT" "$LAB/good" tls1.3 later willing next="$LAB/impostor" own="$LAB/second" in=between
    has "$OUT" 'the server saw /CN=first client'
    has "$OUT" 'the next server saw /CN=second client'
}

@test "SSLs that share their certificates are not given one" {
    local words
    for words in tls1.2 'tls1.2 bio' 'tls1.3 bio'; do
        # shellcheck disable=SC2086 # several words
        capture shim "$CLIENT" "$LAB/good" $words next="$LAB/impostor" copied
        has "$OUT" 'the server saw /CN=first client'
        has "$OUT" 'the next server saw nobody'
    done
}

@test "a client certificate that does not fit the server's request is not said to be offered" {
    capture shim "$CLIENT" "$LAB/good" tls1.2 wants=RSA+SHA256
    has "$OUT" 'the server saw nobody'
    lacks "$ERR" offered
    equals "$(count_lines fault)" 1
    has "$(lines fault)" 'the client certificate "CN=first client" was not sent: it does not fit the server'\''s request'
    capture shim "$CLIENT" "$LAB/good" tls1.3 wants=RSA-PSS+SHA256
    has "$OUT" 'the server saw nobody'
    lacks "$ERR" offered
    equals "$(count_lines fault)" 1
}

@test "PKCS #12 without a key in the place of the key is a fault" {
    openssl pkcs12 -export -nokeys -in "$LAB/first.pem" -passout pass: -out "$LAB/keyless.p12" 2>>"$LAB/openssl.log"
    chmod 600 "$LAB/keyless.p12"
    pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/first.pem client-key=$LAB/keyless.p12"
    capture shim "$CLIENT" "$LAB/good"
    equals "$STATUS" 1
    has "$(lines refused)" 'it has no private key that can be read'
}

@test "an encrypted key never asks the terminal for its passphrase" {
    needs_terminal
    openssl pkcs8 -topk8 -in "$LAB/first.key" -passout pass:julio -out "$LAB/locked.key"
    chmod 600 "$LAB/locked.key"
    pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/first.pem client-key=$LAB/locked.key"
    # shellcheck disable=SC2016 # expanded by Python's shell
    capture shim env -u LD_PRELOAD timeout 20 /usr/bin/python3 -c '
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.environ["LD_PRELOAD"] = sys.argv[1]
    os.execv(sys.argv[2], sys.argv[2:])
text = b""
try:
    while chunk := os.read(fd, 4096): text += chunk
except OSError:
    pass
print(text.decode(), "status", os.waitpid(pid, 0)[1] >> 8)' "$SHIM_SO" "$CLIENT" "$LAB/good"
    equals "$STATUS" 0
    has "$OUT" 'its key is encrypted, and no client-key-pass-file= gives the passphrase'
    has "$OUT" 'status 1'
    lacks "$OUT" 'Enter'
    lacks "$OUT" 'the server saw'
}
