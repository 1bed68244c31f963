#!/usr/bin/env bats
# Goal: every form of rule accepts exactly what it should, with real servers: pins of a CA, pkix, files, expiry dates, mode=report and
# @revoked; and for common mistakes in a pin the log has a hint.

# shellcheck disable=SC2030,SC2031,SC2153,SC2154

load lib/programs

setup_file() {
    programs_lab
    # Another CA of the same name, which vouches for an impostor; and a certificate that is not a server's name.
    cp "$LAB/ca.pem" "$LAB/true-ca.pem"
    cp "$LAB/ca.key" "$LAB/true-ca.key"
    openssl req -x509 -config "$LAB/ca.cnf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$LAB/ca.key" -out "$LAB/ca.pem" \
        -days 30 -subj '/CN=pinshim test CA' 2>>"$LAB/openssl.log"
    lab_cert forged /CN=good
    cp "$LAB/ca.pem" "$LAB/other-ca.pem"
    cp "$LAB/true-ca.pem" "$LAB/ca.pem"
    cp "$LAB/true-ca.key" "$LAB/ca.key"
    lab_cert elsewhere /CN=elsewhere 'subjectAltName=DNS:elsewhere.example' 'extendedKeyUsage=serverAuth'
    lab_cert client /CN=client 'subjectAltName=DNS:www.pinned.example' 'extendedKeyUsage=clientAuth'
    lab_cert named /CN=named 'subjectAltName=DNS:www.pinned.example' 'extendedKeyUsage=serverAuth'
    # An intermediate CA, and a server below it.
    lab_cert middle '/CN=pinshim test CA 2' 'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign'
    cp "$LAB/middle.pem" "$LAB/ca.pem"
    cp "$LAB/middle.key" "$LAB/ca.key"
    lab_cert below /CN=below
    # The same below a leaf that is no CA.
    cp "$LAB/good.pem" "$LAB/ca.pem"
    cp "$LAB/good.key" "$LAB/ca.key"
    lab_cert beneath /CN=beneath
    cp "$LAB/true-ca.pem" "$LAB/ca.pem"
    cp "$LAB/true-ca.key" "$LAB/ca.key"
    PIN_CA=$(lab_spki "$LAB/ca.pem")
    PIN_MIDDLE=$(lab_spki "$LAB/middle.pem")
    export PIN_CA PIN_MIDDLE
}

teardown_file() {
    lab_stop
}

# serves NAME [OPTION...]: a server of its own; sets $PORT
serves() {
    lab_s_server "$1" "${@:2}"
}

# lets PORT; stops PORT: the client, which verifies nothing, is let through to www.pinned.example there; or refused, for the reason in $LINE
lets() {
    capture www shim "$1"
    equals "$STATUS" 0
    has "$ERR" 'CONNECTION ESTABLISHED'
    equals "$(count_lines refused)" 0
}

stops() {
    capture www bare "$1"
    has "$ERR" 'CONNECTION ESTABLISHED'
    capture www shim "$1"
    lacks "$ERR" 'CONNECTION ESTABLISHED'
    equals "$(count_lines refused)" 1
    LINE=$(lines refused)
}

@test "a server that the pinned CA has issued is accepted, whether its certificate is sent, in a file, or in the system's store" {
    pins "www.pinned.example ca-sha256:$PIN_CA"
    serves good -cert_chain "$LAB/ca.pem"
    lets "$PORT"
    stops "$GOOD"
    has "$LINE" 'no pin of '"$PINS"':1 matched (no certificate of a pinned issuer)'
    SSL_CERT_FILE=$LAB/ca.pem lets "$GOOD"
    pins "www.pinned.example ca-file:$LAB/ca.pem"
    lets "$GOOD"
    pins "www.pinned.example ca-sha384:$(lab_spki "$LAB/ca.pem" sha384)" '10.0.0.1 ca-sha512:'"$(lab_spki "$LAB/ca.pem" sha512)"
    lets "$PORT"
}

@test "a pin of an intermediate CA accepts what is below it, and nothing beside it" {
    pins "www.pinned.example ca-sha256:$PIN_MIDDLE"
    serves below -cert_chain "$LAB/middle.pem"
    lets "$PORT"
    stops "$GOOD"
    # Any CA on the path will do.
    pins "www.pinned.example ca-file:$LAB/ca.pem"
    lets "$PORT"
}

@test "the pinned CA's certificate beside an impostor's that it did not issue makes no path" {
    pins "www.pinned.example ca-file:$LAB/true-ca.pem"
    # The same issuer's name and subject, another key.
    serves forged -cert_chain "$LAB/true-ca.pem"
    stops "$PORT"
    has "$LINE" "$PINS:1 matched ("
    refused "$PROGRAMS/../paths/verify_callback" 127.0.0.1 "$PORT" accept-all
    # A leaf is no CA.
    serves beneath -cert_chain "$LAB/good.pem"
    pins "www.pinned.example ca-sha256:$PIN_GOOD"
    stops "$PORT"
    pins "www.pinned.example ca-file:$LAB/true-ca.pem"
    stops "$PORT"
    # Nor does the leaf count as its own issuer.
    pins "www.pinned.example ca-sha256:$PIN_GOOD"
    stops "$GOOD"
    has "$LINE" "(that of line 1 is the server's own key, not an issuer's; write spki-sha256:$PIN_GOOD)"
}

@test "a certificate of the pinned CA for another name or purpose is refused" {
    pins "www.pinned.example ca-file:$LAB/ca.pem"
    serves elsewhere
    stops "$PORT"
    has "$LINE" 'matched (hostname mismatch)' || has "$LINE" 'matched (Hostname mismatch)'
    serves client
    stops "$PORT"
    has "$LINE" 'purpose'
}

@test "a pin of a CA holds for an address, and for a name that is only resolved" {
    pins "127.0.0.1 ca-file:$LAB/ca.pem"
    capture judged shim "$GOOD" -noservername
    has "$ERR" 'CONNECTION ESTABLISHED'
    serves elsewhere
    capture judged shim "$PORT" -noservername
    equals "$(count_lines refused)" 1
    pins "localhost ca-file:$LAB/ca.pem"
    capture shim "${S_CLIENT[@]}" -brief -connect "localhost:$GOOD" -noservername
    has "$ERR" 'CONNECTION ESTABLISHED'
    capture shim "${S_CLIENT[@]}" -brief -connect "localhost:$PORT" -noservername
    equals "$(count_lines refused)" 1
}

@test "pkix verifies for a program that verifies nothing" {
    export SSL_CERT_FILE=$LAB/ca.pem
    pins 'www.pinned.example pkix'
    lets "$GOOD"
    serves forged
    stops "$PORT"
    has "$LINE" 'pkix of '"$PINS"':1 is not satisfied ('
    serves elsewhere
    stops "$PORT"
    pins '* pkix'
    lets "$GOOD"
    stops "$PORT"
    # A certificate need not have the address of a target that has a name.
    serves named
    lets "$PORT"
    pins "* ca-file:$LAB/ca.pem"
    lets "$PORT"
    # Besides any pin.
    pins "www.pinned.example spki-sha256:$PIN_GOOD" 'www.pinned.example pkix'
    lets "$GOOD"
    stops "$IMPOSTOR"
    export SSL_CERT_FILE=$LAB/other-ca.pem
    stops "$GOOD"
    has "$LINE" 'pkix of '
}

@test "pins are read from files in PEM and DER, one or several" {
    openssl x509 -in "$LAB/good.pem" -outform DER -out "$LAB/good.der"
    openssl x509 -in "$LAB/good.pem" -noout -pubkey >"$LAB/good.pub"
    openssl pkey -pubin -in "$LAB/good.pub" -outform DER -out "$LAB/good-pub.der"
    cat "$LAB/impostor.pem" "$LAB/good.pem" >"$LAB/bundle.pem"
    local rule
    for rule in "spki-file:$LAB/good.pem" "spki-file:$LAB/good.der" "spki-file:$LAB/good.pub" "spki-file:$LAB/good-pub.der" \
        "spki-file:$LAB/good.csr" "cert-file:$LAB/good.pem" "cert-file:$LAB/good.der"; do
        pins "www.pinned.example $rule"
        lets "$GOOD"
        stops "$IMPOSTOR"
    done
    pins "www.pinned.example cert-file:$LAB/bundle.pem"
    run -0 "$BATS_TEST_DIRNAME/../build/pinshim" lint "$PINS"
    lets "$GOOD"
    lets "$IMPOSTOR"
    # Beside the pins file.
    cp "$LAB/good.pem" "$BATS_TEST_TMPDIR/here.pem"
    pins 'www.pinned.example cert-file:here.pem'
    cd /
    lets "$GOOD"
}

@test "a file that gives no pin, or only some of its own, is a fault that names it" {
    local name
    head -c 400 "$LAB/good.pem" >"$LAB/cut.pem"
    { cat "$LAB/good.pem" && sed 's/^MII/AAA/' "$LAB/impostor.pem"; } >"$LAB/garbled.pem"
    { cat "$LAB/good.pem" && sed '2s/./!/' "$LAB/impostor.pem" && cat "$LAB/named.pem"; } >"$LAB/midway.pem"
    : >"$LAB/empty.pem"
    cp "$LAB/good.pem" "$LAB/open.pem"
    chmod 0666 "$LAB/open.pem"
    for name in missing.pem cut.pem garbled.pem midway.pem empty.pem open.pem good.key; do
        pins "www.pinned.example cert-file:$LAB/$name"
        stops "$GOOD"
        has "$LINE" "configuration fault: $PINS:1:30: "
        has "$LINE" "$name\" cannot be used: "
        run -1 "$BATS_TEST_DIRNAME/../build/pinshim" lint "$PINS"
        has "$output" "$PINS:1:30: "
    done
    # A certificate in form, but its dates are none: no library would find a path to it.
    openssl x509 -in "$LAB/ca.pem" -outform DER | LC_ALL=C sed 's/\x17\x0d/\x04\x0d/g' >"$LAB/dateless.der"
    pins "www.pinned.example ca-file:$LAB/dateless.der"
    stops "$GOOD"
    has "$LINE" "dateless.der\" cannot be used: it has an object that cannot be read"
}

@test "pins accept until the day on which they expire, and a notice comes two weeks before" {
    local today later
    later=$(date -u -d '+20 days' +%F)
    pins "www.pinned.example spki-sha256:$PIN_GOOD expires=$later"
    lets "$GOOD"
    equals "$(count_lines fault)$(count_lines notice)" 00
    later=$(date -u -d '+10 days' +%F)
    pins "www.pinned.example spki-sha256:$PIN_GOOD expires=$later"
    lets "$GOOD"
    equals "$(lines notice | sed 's/^[^ ]* //')" "notice: $PINS:1: its pins expire on $later"
    today=$(date -u +%F)
    pins "www.pinned.example spki-sha256:$PIN_GOOD expires=$today"
    stops "$GOOD"
    has "$LINE" "$PINS:1 matched, but its pin expired on $today"
    pins "www.pinned.example spki-sha256:$PIN_GOOD expires=$today" "www.pinned.example cert-file:$LAB/good.pem"
    lets "$GOOD"
    pins "www.pinned.example ca-file:$LAB/ca.pem expires=$today"
    stops "$GOOD"
}

@test "mode=report lets what it names live, and only that" {
    pins "www.pinned.example spki-sha256:$PIN_GOOD mode=report"
    capture www shim "$IMPOSTOR"
    has "$ERR" 'CONNECTION ESTABLISHED'
    equals "$(count_lines reported)" 1
    # An address with a rule that is enforced.
    pins "www.pinned.example spki-sha256:$PIN_GOOD mode=report" "127.0.0.1 spki-sha256:$PIN_GOOD"
    stops "$IMPOSTOR"
    has "$LINE" 'refused 127.0.0.1'
    pins "localhost spki-sha256:$PIN_GOOD mode=report" "127.0.0.1 spki-sha256:$PIN_GOOD"
    capture shim "${S_CLIENT[@]}" -brief -connect "localhost:$IMPOSTOR" -noservername
    equals "$(count_lines refused)" 1
    pins "www.pinned.example spki-sha256:$PIN_GOOD mode=report" 'other.example deny'
    capture judged shim "$IMPOSTOR" -servername other.example
    equals "$(count_lines refused)" 1
}

@test "report-until= opens what it names until that day, with a notice each day, and then it is enforced again in a process that runs" {
    local today tomorrow
    today=$(date -u +%F)
    tomorrow=$(date -u -d tomorrow +%F)
    pins "www.pinned.example spki-sha256:$PIN_GOOD report-until=$tomorrow"
    capture www shim "$IMPOSTOR"
    has "$ERR" 'CONNECTION ESTABLISHED'
    equals "$(count_lines reported)" 1
    equals "$(lines notice | sed 's/^[^ ]* //')" \
        "notice: $PINS:1: refusals for this target are only logged until $tomorrow; then they are enforced again"
    # Another target of the file is not open.
    pins "www.pinned.example spki-sha256:$PIN_GOOD report-until=$tomorrow" "127.0.0.1 spki-sha256:$PIN_GOOD"
    stops "$IMPOSTOR"
    pins "www.pinned.example spki-sha256:$PIN_GOOD report-until=$today"
    stops "$IMPOSTOR"
    equals "$(count_lines notice)" 0
    # One process, two days, one file: the clock is moved between its connections.
    pins "localhost spki-sha256:$PIN_GOOD report-until=$tomorrow"
    cat >"$BATS_TEST_TMPDIR/clock.c" <<'EOF'
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && access(getenv("NEXT_DAY"), F_OK) == 0)
        now->tv_sec += 86400;
    return result;
}
EOF
    cc -shared -fPIC -o "$BATS_TEST_TMPDIR/clock.so" "$BATS_TEST_TMPDIR/clock.c"
    cat >"$BATS_TEST_TMPDIR/twice.py" <<'EOF'
import os, socket, ssl, sys
context = ssl._create_unverified_context()
for turn in 1, 2:
    try:
        context.wrap_socket(socket.create_connection(("localhost", int(sys.argv[1]))), server_hostname="localhost")
        print("connected")
    except ssl.SSLError as error:
        print("refused", error.reason)
    open(os.environ["NEXT_DAY"], "w").close()
EOF
    capture env NEXT_DAY="$BATS_TEST_TMPDIR/next" PINSHIM_PINS="$PINS" LD_PRELOAD="$SHIM_SO:$BATS_TEST_TMPDIR/clock.so" \
        python3 "$BATS_TEST_TMPDIR/twice.py" "$IMPOSTOR"
    equals "$OUT" $'connected\nrefused CERTIFICATE_VERIFY_FAILED'
    equals "$(count_lines reported)$(count_lines refused)" 11
}

@test "what is revoked is refused in a leaf and in an issuer, whatever else matches" {
    local rule
    for rule in "spki-sha256:$PIN_GOOD" "cert-file:$LAB/good.pem" "ca-file:$LAB/ca.pem"; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD" "@revoked $rule"
        stops "$GOOD"
        has "$LINE" "$PINS:2 revokes "
    done
    pins '* allow' "@revoked spki-file:$LAB/good.pem"
    stops "$GOOD"
    lets "$IMPOSTOR"
    # An issuer between.
    serves below -cert_chain "$LAB/middle.pem"
    pins "www.pinned.example ca-file:$LAB/ca.pem" "@revoked ca-sha256:$PIN_MIDDLE"
    stops "$PORT"
    lets "$GOOD"
    # An issuer that only the program knows.
    pins '* allow' "@revoked ca-sha256:$PIN_CA"
    capture www bare "$GOOD" -CAfile "$LAB/ca.pem"
    has "$ERR" 'CONNECTION ESTABLISHED'
    capture www shim "$GOOD" -CAfile "$LAB/ca.pem"
    equals "$(count_lines refused)" 1
    # A certificate of that name beside the chain is no other path.
    cat "$LAB/middle.pem" "$LAB/other-ca.pem" >"$LAB/chain.pem"
    serves below -cert_chain "$LAB/chain.pem"
    pins "www.pinned.example spki-file:$LAB/below.pem" "@revoked ca-file:$LAB/ca.pem"
    stops "$PORT"
}

# crossed: two CAs (one, two) that have both issued the intermediate CA (half), and a server below that; both ways, in each order
crossed() {
    local ca
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$LAB/half.key" 2>>"$LAB/openssl.log"
    openssl req -new -key "$LAB/half.key" -subj '/CN=half' -out "$LAB/half.csr" 2>>"$LAB/openssl.log"
    { printf '%s\n' 'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign' && lab_no_identifiers; } >"$LAB/half.ext"
    for ca in one two; do
        openssl req -x509 -config "$LAB/ca.cnf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$LAB/$ca.key" -out "$LAB/$ca.pem" \
            -days 30 -subj "/CN=$ca" 2>>"$LAB/openssl.log"
        openssl x509 -req -in "$LAB/half.csr" -CA "$LAB/$ca.pem" -CAkey "$LAB/$ca.key" -set_serial 7 -days 30 -extfile "$LAB/half.ext" \
            -out "$LAB/half-$ca.pem" 2>>"$LAB/openssl.log"
    done
    openssl x509 -req -in "$LAB/good.csr" -CA "$LAB/half-one.pem" -CAkey "$LAB/half.key" -set_serial 8 -days 30 \
        -extfile <(cat "$LAB/good.ext" && lab_no_identifiers) -out "$LAB/crossed.pem" 2>>"$LAB/openssl.log"
    cp "$LAB/good.key" "$LAB/crossed.key"
    cat "$LAB/half-one.pem" "$LAB/half-two.pem" >"$LAB/one-first.pem"
    cat "$LAB/half-two.pem" "$LAB/half-one.pem" >"$LAB/two-first.pem"
    serves crossed -cert_chain "$LAB/one-first.pem"
    ONE_FIRST=$PORT
    serves crossed -cert_chain "$LAB/two-first.pem"
    TWO_FIRST=$PORT
}

@test "an intermediate CA that two have issued leads to either, in whichever order its certificates are sent" {
    local ca port
    crossed
    for port in "$ONE_FIRST" "$TWO_FIRST"; do
        for ca in one two; do
            pins "www.pinned.example ca-file:$LAB/$ca.pem"
            lets "$port"
            pins "www.pinned.example ca-sha256:$(lab_spki "$LAB/$ca.pem")"
            SSL_CERT_FILE=$LAB/$ca.pem lets "$port"
            stops "$port"
            pins 'www.pinned.example pkix'
            SSL_CERT_FILE=$LAB/$ca.pem lets "$port"
            stops "$port"
            has "$LINE" "is not satisfied (no path to the system's trust store)"
        done
        pins "www.pinned.example ca-file:$LAB/other-ca.pem"
        stops "$port"
    done
}

@test "no path leads through what is revoked, in whichever order the certificates are sent" {
    local port what
    crossed
    for port in "$ONE_FIRST" "$TWO_FIRST"; do
        for what in "ca-file:$LAB/two.pem" "cert-file:$LAB/half-two.pem"; do
            # Without it the other way stays, to the system's store.
            pins 'www.pinned.example pkix' "@revoked $what"
            SSL_CERT_FILE=$LAB/one.pem lets "$port"
            SSL_CERT_FILE=$LAB/two.pem stops "$port"
            pins "www.pinned.example ca-file:$LAB/one.pem" "@revoked $what"
            SSL_CERT_FILE=$LAB/one.pem lets "$port"
            pins "www.pinned.example ca-file:$LAB/two.pem" "@revoked $what"
            SSL_CERT_FILE=$LAB/one.pem stops "$port"
            has "$LINE" "$PINS:1 matched"
            pins '* allow' "@revoked $what"
            stops "$port"
            has "$LINE" "$PINS:2 revokes "
            SSL_CERT_FILE=$LAB/one.pem lets "$port"
        done
    done
}

@test "a root that was renewed under its old name and key, or by its old key, is found by signatures" {
    crossed
    # The same name, another key, issued by the old one.
    # shellcheck disable=SC2129 # a log
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$LAB/renewed.key" -subj '/CN=one' -out "$LAB/renewed.csr" \
        2>>"$LAB/openssl.log"
    openssl x509 -req -in "$LAB/renewed.csr" -CA "$LAB/one.pem" -CAkey "$LAB/one.key" -set_serial 9 -days 30 \
        -extfile <(printf '%s\n' 'basicConstraints=critical,CA:TRUE' 'subjectKeyIdentifier=hash' 'authorityKeyIdentifier=keyid') -out "$LAB/renewed.pem" 2>>"$LAB/openssl.log"
    openssl x509 -req -in "$LAB/good.csr" -CA "$LAB/renewed.pem" -CAkey "$LAB/renewed.key" -set_serial 8 -days 30 \
        -extfile <(cat "$LAB/good.ext" && lab_no_identifiers) -out "$LAB/below-renewed.pem" 2>>"$LAB/openssl.log"
    cp "$LAB/good.key" "$LAB/below-renewed.key"
    serves below-renewed -cert_chain "$LAB/renewed.pem"
    pins "www.pinned.example ca-file:$LAB/one.pem"
    lets "$PORT"
    pins "www.pinned.example ca-file:$LAB/renewed.pem"
    lets "$PORT"
    pins 'www.pinned.example pkix'
    SSL_CERT_FILE=$LAB/one.pem lets "$PORT"
    SSL_CERT_FILE=$LAB/two.pem stops "$PORT"
}

@test "a digest that was written down as that of something else is recognised" {
    local fingerprint
    fingerprint=$(openssl x509 -in "$LAB/good.pem" -outform DER | openssl dgst -sha256 -binary | base64)
    pins "www.pinned.example spki-sha256:$fingerprint"
    stops "$GOOD"
    has "$LINE" "(that of line 1 is the certificate's fingerprint; its SPKI pin is spki-sha256:$PIN_GOOD)"
    pins "www.pinned.example cert-sha256:$PIN_GOOD"
    stops "$GOOD"
    has "$LINE" "(that of line 1 is the SPKI pin, not a fingerprint; write spki-sha256:$PIN_GOOD)"
    pins "www.pinned.example ca-sha256:$fingerprint"
    stops "$GOOD"
    has "$LINE" "(that of line 1 is the certificate's fingerprint; its SPKI pin is spki-sha256:$PIN_GOOD)"
    serves good -cert_chain "$LAB/ca.pem"
    pins "www.pinned.example spki-sha256:$PIN_CA"
    stops "$PORT"
    has "$LINE" "(that of line 1 is an issuer's key; write ca-sha256:$PIN_CA)"
    pins "www.pinned.example ca-sha256:$(lab_fingerprint "$LAB/ca.pem")"
    stops "$PORT"
    has "$LINE" "(that of line 1 is the fingerprint of an issuer; its pin is ca-sha256:$PIN_CA)"
    # In hex, of another length, and not in the first line.
    pins "www.pinned.example spki-sha256:$PIN_IMPOSTOR" "www.pinned.example spki-sha512:$(lab_fingerprint "$LAB/good.pem" sha512)"
    stops "$GOOD"
    has "$LINE" "(that of line 2 is the certificate's fingerprint; its SPKI pin is spki-sha512:$(lab_spki "$LAB/good.pem" sha512))"
}
