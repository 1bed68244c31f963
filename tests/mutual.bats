#!/usr/bin/env bats
# Goal: programs without client-certificate support can connect to servers that request one, with the certificate of their rule, and present
# it to no other; with nginx, Fastify, and Apache with PHP, in usual configurations.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/mutual.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154

load lib/programs
load lib/mutual

setup_file() {
    mutual_lab
}

teardown_file() {
    mutual_stop
}

setup() {
    PINNED="localhost cert-sha256:$(fingerprint good)"
}

# impostor_learns_nothing CLIENT: an impostor with a valid chain is refused by the client, and is shown no certificate
impostor_learns_nothing() {
    local version
    for version in 1.2 1.3; do
        curious impostor "-tls${version/./_}"
        fetch shim "$1" "$ASKED" "$version"
        refused_server
        got_nothing
    done
}

@test "Ruby gets into nginx with client1's identity, and shows it to no impostor" {
    local client version
    asking_nginx good
    for client in ruby 'ruby -k'; do
        for version in 1.2 1.3; do
            fetch bare "$client" "$PORT" "$version"
            has "$OUT" '400 No required SSL certificate was sent'

            pins "$PINNED"
            fetch shim "$client" "$PORT" "$version"
            has "$OUT" '400 No required SSL certificate was sent'
            lacks "$ERR" 'client certificate'

            pins "$PINNED $(as client1)"
            fetch shim "$client" "$PORT" "$version"
            equals "$OUT" "you are CN=client1, serial $(serial client1), over TLSv$version"
            equals "$STATUS" 0
            offered client1
        done
        impostor_learns_nothing "$client"
    done
}

@test "nginx sees the identity that the rule names, also on a line of its own" {
    local name
    asking_nginx good
    for name in client1 client2 client3 client4; do
        pins "localhost $(as "$name")" '* deny' "$PINNED"
        fetch shim ruby "$PORT" 1.3
        equals "$OUT" "you are CN=$name, serial $(serial "$name"), over TLSv1.3"
        offered "$name"
    done
}

@test "curl and Python get into Fastify, which closes the connection to who has no certificate" {
    local client version
    fastify
    for client in curl 'curl -k' python; do
        for version in 1.2 1.3; do
            pins "$PINNED"
            fetch shim "$client" "$PORT" "$version"
            [ "$STATUS" -ne 0 ] || explain 'let in without a certificate'
            equals "$OUT" ''

            pins "$PINNED $(as client2)"
            fetch shim "$client" "$PORT" "$version"
            equals "$OUT" "you are CN=client2, serial $(serial client2), over TLSv$version"
            equals "$STATUS" 0
            offered client2
        done
        impostor_learns_nothing "$client"
    done
}

@test "curl -k and PHP get into Apache with PHP, whose pages show the subject" {
    local client version
    apache 'SSLVerifyClient require'
    for client in 'curl -k' 'php streams' 'php curl'; do
        for version in 1.2 1.3; do
            pins "$PINNED"
            fetch shim "$client" "$PORT" "$version"
            [ "$STATUS" -ne 0 ] || explain 'let in without a certificate'
            equals "$OUT" ''

            pins "$PINNED $(as client3)"
            fetch shim "$client" "$PORT" "$version"
            equals "$OUT" "you are CN=client3, over TLSv$version"
            equals "$STATUS" 0
            offered client3
        done
        impostor_learns_nothing "$client"
    done
}

@test "an identity is shown where Apache asks later: by renegotiation in TLS 1.2, after the handshake in TLS 1.3" {
    local client version
    apache '<Location />' 'SSLVerifyClient require' '</Location>'
    for client in curl 'curl -k' python ruby 'php streams' 'php curl'; do
        for version in 1.2 1.3; do
            pins 'other.example deny' "$PINNED"
            fetch shim "$client" "$PORT" "$version"
            lacks "$OUT" 'you are'
            lacks "$ERR" 'client certificate'

            pins "$PINNED $(as client1)"
            fetch shim "$client" "$PORT" "$version"
            equals "$OUT" "you are CN=client1, over TLSv$version"
            equals "$STATUS" 0
            offered client1
        done
    done
}

@test "an identity is shown where Apache asks later on a connection that resumes a session" {
    local version
    apache '<Location /private>' 'SSLVerifyClient require' '</Location>'
    pins "$PINNED $(as client1)"
    for version in 1.2 1.3; do
        PAGE=/private/ fetch shim 'curl -k' "$PORT" "$version" -v -H 'Connection: close' "https://localhost:$PORT/"
        equals "$OUT" "you are nobody, over TLSv$version"$'\n'"you are CN=client1, over TLSv$version"
        has "$ERR" 'SSL re-using session ID'
        offered client1
    done
}
