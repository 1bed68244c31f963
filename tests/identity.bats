#!/usr/bin/env bats
# Goal: an identity goes to the server that its rule knows, and to nobody else, whatever the server, the mode or the program does; it may
# have any usual form; and one that cannot be used is a fault that says which file and why.

# Every bats test is a subshell of its own: what one sets is meant for it alone. What is read and not set here is lib/mutual's.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154

load lib/programs
load lib/mutual

setup_file() {
    mutual_lab
}

teardown_file() {
    mutual_stop
}

setup() {
    PINNED="localhost spki-sha256:$(lab_spki "$LAB/good.pem")"
    DIR=$BATS_TEST_TMPDIR
}

# learns_it VERSION: a curious server with the pinned key is shown client1, by the pins file as it is
learns_it() {
    curious good "-tls${1/./_}"
    fetch shim 'curl -k' "$ASKED" "$1"
    equals "$STATUS" 0
    has "$OUT" 'HTTP/1.0 200 ok' || has "$OUT" s_server || return 1
    offered client1
    lab_wait got client1
}

# learns_nothing NAME VERSION: a curious server with $LAB/NAME.pem is reached, and shown nothing
learns_nothing() {
    curious "$1" "-tls${2/./_}"
    fetch shim 'curl -k' "$ASKED" "$2"
    equals "$STATUS" 0
    has "$OUT" s_server
    lacks "$ERR" 'client certificate'
    got_nothing
}

# refuses NAME VERSION: one is refused, and shown nothing
refuses() {
    curious "$1" "-tls${2/./_}"
    fetch shim 'curl -k' "$ASKED" "$2"
    refused_server
    got_nothing
}

@test "only the server that the rule knows is shown the identity, not one that is refused, reported, allowed, or ruled by nothing" {
    local version
    for version in 1.2 1.3; do
        pins "$PINNED $(as client1)"
        learns_it "$version"
        refuses impostor "$version"
        PINSHIM_MODE=report learns_it "$version"

        # What is let live all the same is shown nothing.
        curious impostor "-tls${version/./_}"
        PINSHIM_MODE=report fetch shim 'curl -k' "$ASKED" "$version"
        has "$OUT" s_server
        equals "$(count_lines reported)" 1
        got_nothing
        pins "$PINNED mode=report $(as client1)"
        learns_it "$version"
        curious impostor "-tls${version/./_}"
        fetch shim 'curl -k' "$ASKED" "$version"
        has "$OUT" s_server
        equals "$(count_lines reported)" 1
        got_nothing

        pins "other.example ${PINNED#* } $(as client1)"
        learns_nothing good "$version"
        pins 'localhost allow' "* ${PINNED#* } $(as client1)"
        learns_nothing good "$version"
        # The more specific target has none.
        pins "$PINNED" "* ${PINNED#* } $(as client1)"
        learns_nothing good "$version"
    done
}

@test "a server that satisfies its rule by pkix alone is shown the identity, and another is not" {
    local version
    pins "localhost pkix $(as client1)"
    lab_cert elsewhere /CN=elsewhere 'subjectAltName=DNS:elsewhere.example' 'extendedKeyUsage=serverAuth'
    for version in 1.2 1.3; do
        SSL_CERT_FILE=$CA learns_it "$version"
        SSL_CERT_FILE=$CA refuses elsewhere "$version"
        refuses good "$version"
    done
}

@test "a server with an expired or revoked pin is shown nothing" {
    local version
    for version in 1.2 1.3; do
        pins "$PINNED expires=2020-01-01 $(as client1)"
        refuses good "$version"
        pins "$PINNED $(as client1)" "@revoked ${PINNED#* }"
        refuses good "$version"
        pins "$PINNED expires=2999-01-01 $(as client1)"
        learns_it "$version"
    done
}

@test "a server that only replays the pinned certificate is shown nothing, with RSA key exchange either" {
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$LAB/rsa.key" 2>>"$LAB/openssl.log"
    openssl req -new -key "$LAB/rsa.key" -subj /CN=rsa -out "$LAB/rsa.csr" 2>>"$LAB/openssl.log"
    openssl x509 -req -in "$LAB/rsa.csr" -CA "$CA" -CAkey "$LAB/ca.key" -set_serial 1 -days 30 -out "$LAB/rsa.pem" 2>>"$LAB/openssl.log"
    pins "localhost spki-sha256:$(lab_spki "$LAB/rsa.pem") $(as client1)"
    # There the client would show its certificate before the server has proven its key, so it shows none, also to the true one.
    curious rsa -tls1_2 -cipher kRSA
    fetch shim 'curl -k' "$ASKED" 1.2
    has "$OUT" s_server
    equals "$(count_lines fault)" 1
    has "$(lines fault)" 'the server has not proven its key'
    bare curl -sSk --cert "$LAB/client4.pem" --key "$LAB/client4.plain" -o "$LAB/own" "https://localhost:$ASKED/"
    got_nothing
    curious rsa -tls1_2
    fetch shim 'curl -k' "$ASKED" 1.2
    offered client1
    lab_wait got client1
}

@test "one program, and one of its contexts, shows each server its own identity, or none" {
    local version first second third
    asking_nginx good
    first=$PORT
    lab_cert second /CN=second
    asking_nginx second
    second=$PORT
    lab_cert third /CN=third
    asking_nginx third
    third=$PORT
    pins "localhost:$first ${PINNED#* } $(as client1)" "localhost:$second spki-sha256:$(lab_spki "$LAB/second.pem") $(as client2)"
    for version in 1.2 1.3; do
        capture shim timeout 20 /usr/bin/python3 "$CLIENTS/one_context.py" localhost "$version" "$CA" "$first" "$second" "$first" "$third"
        equals "$(grep -oE 'CN=client[0-9]|400 No required SSL certificate' <<<"$OUT" | uniq)" \
            $'CN=client1\nCN=client2\nCN=client1\n400 No required SSL certificate'
    done
}

@test "an identity that the program has itself is shown, and the rule's is not" {
    local version way
    pins "$PINNED $(as client1)"
    for version in 1.2 1.3; do
        # shellcheck disable=SC2046 # words
        set -- $(own client2)
        for way in curl python 'ruby set' 'ruby callback' s_client; do
            curious good "-tls${version/./_}"
            case $way in
            curl) fetch shim curl "$ASKED" "$version" "$@" ;;
            python) own_identity /usr/bin/python3 own_identity.py verify ;;
            ruby*) own_identity ruby own_identity.rb "${way#* }" ;;
            s_client) capture shim PINSHIM_LOG_LEVEL=all openssl s_client -connect "localhost:$ASKED" -cert "$LAB/client2.pem" \
                -key "$LAB/client2.plain" -brief ;;
            esac
            equals "$STATUS" 0
            lacks "$ERR" 'client certificate'
            equals "$(count_lines accepted)" 1
            lab_wait got client2 || explain "client2 was not shown, by $way with $version"
            run ! got client1
        done
        learns_it "$version"
    done
}
own_identity() { # INTERPRETER SCRIPT WAY
    capture shim PINSHIM_LOG_LEVEL=all timeout 20 "$1" "$CLIENTS/$2" localhost "$ASKED" "$3" "$version" "$CA" "$LAB/client2.pem" \
        "$LAB/client2.key" "$PASSPHRASE"
}

@test "a program that drives TLS through memory gets in, too" {
    local version
    asking_nginx good
    for version in 1.2 1.3; do
        pins "$PINNED $(as client1)"
        capture shim PINSHIM_LOG_LEVEL=all timeout 20 /usr/bin/python3 "$CLIENTS/asyncio_http.py" localhost "$PORT" verify "$version" "$CA"
        equals "$OUT" "you are CN=client1, serial $(serial client1), over TLSv$version"
        offered client1
        curious impostor "-tls${version/./_}"
        capture shim timeout 20 /usr/bin/python3 "$CLIENTS/asyncio_http.py" localhost "$ASKED" verify "$version" "$CA"
        refused_server
        got_nothing
    done
}

@test "a server that asks for nothing is shown nothing, and a JSON line says whether an identity was offered" {
    local version
    pins "$PINNED $(as client1)"
    for version in 1.2 1.3; do
        lab_s_server good "-tls${version/./_}"
        PINSHIM_LOG_FORMAT=json fetch shim curl "$PORT" "$version"
        equals "$STATUS" 0
        has "$ERR" '"verdict":"accepted"'
        has "$ERR" '"client_cert":false'
        curious good "-tls${version/./_}"
        PINSHIM_LOG_FORMAT=json fetch shim curl "$ASKED" "$version"
        equals "$STATUS" 0
        equals "$(grep -c '"verdict":"accepted"' <<<"$ERR")" 1
        has "$ERR" '"client_cert":true'
    done
}
