#!/usr/bin/env bats
# Goal: features that only some releases of OpenSSL have are covered, too, and so are two releases in one process. Run by tests/matrix, in
# systems that have them; a program exits with 77 if its feature is missing. QUIC clients verify the chain in half of their connections:
# only then is much of a callback's code reached, which there runs under a lock of OpenSSL.

# shellcheck disable=SC2030,SC2031,SC2153,SC2154

load lib/programs

setup_file() {
    programs_lab
    PATHS=$BUILT/paths
    export PATHS
}

teardown_file() {
    lab_stop
}

setup() {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
}

@test "a server that rejects ECH gives new keys as the public name, and gets nothing else" {
    needs ech
    local how with
    lab_cert public /CN=public subjectAltName=DNS:public.example
    openssl ech -public_name public.example -out "$LAB/ech.pem"
    for how in "" peer; do
        reader public -servername www.pinned.example -cert2 "$LAB/good.pem" -key2 "$LAB/good.key" -ech_key "$LAB/ech.pem"
        capture bare "$PATHS/ech" 127.0.0.1 "$PORT" SECRET $how "ca=$LAB/ca.pem"
        with=$OUT
        has "$with" 'new keys: some'
        for PIN in spki-sha256:"$PIN_GOOD" spki-sha256:"$PIN_GOOD"$'\n'"public.example spki-sha256:$(lab_spki "$LAB/public.pem")"; do
            pins "www.pinned.example $PIN"
            capture shim "$PATHS/ech" 127.0.0.1 "$PORT" SECRET $how "ca=$LAB/ca.pem"
            equals "$ERR" ''
            equals "$OUT" "$with"
        done
        # It is the public name's server.
        pins "www.pinned.example spki-sha256:$PIN_GOOD" 'public.example deny'
        capture shim "$PATHS/ech" 127.0.0.1 "$PORT" SECRET $how "ca=$LAB/ca.pem"
        equals "$(count_lines refused)" 1
        has "$OUT" 'new keys: none'
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
        capture shim "$PATHS/ech" 127.0.0.1 "$PORT" SECRET $how "ca=$LAB/ca.pem" "keys=$LAB/ech.pem"
        equals "$ERR" ''
        lab_wait grep -aq SECRET "$READER"
        equals "$(grep -ac SECRET "$READER")" 1
        # What asks for a client certificate is judged as what was meant.
        reader public -servername www.pinned.example -cert2 "$LAB/impostor.pem" -key2 "$LAB/impostor.key" -ech_key "$LAB/ech.pem" -verify 1
        capture shim "$PATHS/ech" 127.0.0.1 "$PORT" SECRET $how "ca=$LAB/ca.pem" "identity=$LAB/good"
        equals "$(count_lines refused)" 1
        has "$OUT" 'new keys: none'
        capture shim "$PATHS/ech" 127.0.0.1 "$PORT" SECRET $how "ca=$LAB/ca.pem" "identity=$LAB/good" "keys=$LAB/ech.pem"
        equals "$(count_lines refused)" 1
        capture bare "$PATHS/bio_chain" 127.0.0.1 "$PORT" text=MARKER
        lab_wait grep -aq MARKER "$READER"
        run -1 grep -aE 'SECRET|CN *= *good' "$READER"
    done
}

@test "each of several addresses that a program has verified is a target" {
    local where
    needs ech # 4.0
    pins '192.0.2.7 deny'
    for where in ssl ctx store; do
        refused "$PATHS/names" 127.0.0.1 "$GOOD" $where address=192.0.2.6 second-address=192.0.2.7
        has "$LINE" 'refused 192.0.2.7'
        accepted "$PATHS/names" 127.0.0.1 "$GOOD" $where address=192.0.2.6 second-address=192.0.2.8
    done
}

@test "a raw public key that no pin accepts is refused" {
    local how
    needs raw_key
    reader impostor -enable_server_rpk
    for how in function bio; do
        capture shim "$PATHS/raw_key" 127.0.0.1 "$PORT" $how text=LEAKED
        equals "$STATUS" 1
        equals "$(count_lines refused)" 1
        capture bare "$PATHS/raw_key" 127.0.0.1 "$PORT" $how text=ARRIVED
        lab_wait grep -aq ARRIVED "$READER"
        run -1 grep -a LEAKED "$READER"
    done
}

@test "a raw public key satisfies a pin of the key, and no pin of a certificate" {
    local how
    needs raw_key
    reader good -enable_server_rpk
    for how in function bio; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
        accepted "$PATHS/raw_key" 127.0.0.1 "$PORT" $how "text=$how"
        lab_wait grep -aq "$how" "$READER"
        pins "www.pinned.example cert-sha256:$(lab_fingerprint "$LAB/good.pem")"
        refused "$PATHS/raw_key" 127.0.0.1 "$PORT" $how
    done
}

@test "a QUIC impostor is refused, however its client drives the handshake" {
    local how
    needs quic
    for PATHS_TRUST in '' "$LAB/ca.pem"; do
        export PATHS_TRUST
        for how in connect write stream thread poll; do
            refused "$PATHS/quic" "$LAB/impostor" $how
            lacks "$OUT" 'the server received'
            capture bare "$PATHS/quic" "$LAB/impostor" $how
            has "$OUT" 'the server received FIRST'
            accepted "$PATHS/quic" "$LAB/good" $how
            has "$OUT" 'the server received FIRST'
        done
    done
}

@test "a QUIC client that verifies by itself, at once or later, does not overrule a pin" {
    local how calls
    needs quic
    for PATHS_TRUST in '' "$LAB/ca.pem"; do
        export PATHS_TRUST
        for how in 'verifies connect' 'verifies thread' 'verifies poll' 'verifies write' 'later connect'; do
            # shellcheck disable=SC2086 # words
            set -- $how
            refused "$PATHS/quic" "$LAB/impostor" "$@"
            lacks "$OUT" 'the server received'
            capture bare "$PATHS/quic" "$LAB/good" "$@"
            has "$OUT" 'the server received FIRST'
            calls=$(grep -c 'own verification called' <<<"$OUT")
            equals "$calls" "$([[ $how == later* ]] && echo 2 || echo 1)"
            accepted "$PATHS/quic" "$LAB/good" "$@"
            has "$OUT" 'the server received FIRST'
            equals "$(grep -c 'own verification called' <<<"$OUT")" "$calls"
        done
    done
}

@test "a QUIC impostor is refused by the address that its client gave, on a socket that is not connected" {
    local how
    needs quic
    for PATHS_TRUST in '' "$LAB/ca.pem"; do
        export PATHS_TRUST
        for how in connect poll; do
            pins "127.0.0.1 spki-sha256:$PIN_GOOD"
            refused "$PATHS/quic" "$LAB/impostor" $how
            has "$LINE" 'refused 127.0.0.1:'
            lacks "$OUT" 'the server received'
            accepted "$PATHS/quic" "$LAB/good" $how
            has "$OUT" 'the server received FIRST'
        done
        # The TLS within has no address, and is not judged by the rest of the rules.
        pins "127.0.0.1 spki-sha256:$PIN_GOOD" '* deny'
        accepted "$PATHS/quic" "$LAB/good" connect
        for how in connect write stream thread poll; do
            refused "$PATHS/quic" "$LAB/impostor" nameless $how
            lacks "$OUT" 'the server received'
            accepted "$PATHS/quic" "$LAB/good" nameless $how
            has "$OUT" 'the server received FIRST'
        done
    done
    pins '127.0.0.2 deny'
    accepted "$PATHS/quic" "$LAB/impostor" connect
    accepted "$PATHS/quic" "$LAB/impostor" nameless connect
}

@test "a QUIC client resumes a session that this process has verified, and no other" {
    local how
    needs quic
    for PATHS_TRUST in '' "$LAB/ca.pem"; do
        export PATHS_TRUST
        for how in connect write; do
            accepted "$PATHS/quic" "$LAB/good" again $how
            has "$OUT" 'the server received SECOND'
            has "$OUT" 'reused: 1'
            refused "$PATHS/quic" "$LAB/impostor" again $how first=other.example
            has "$OUT" 'the server received FIRST'
            lacks "$OUT" 'the server received SECOND'
            capture bare "$PATHS/quic" "$LAB/impostor" again $how first=other.example
            has "$OUT" 'the server received SECOND'
        done
    done
}

@test "a pinned QUIC server that asks gets the client certificate, an impostor gets none, and the program's own goes first" {
    local how
    needs quic
    lab_cert first '/CN=first client' 'extendedKeyUsage=clientAuth'
    lab_cert second '/CN=second client' 'extendedKeyUsage=clientAuth'
    chmod 600 "$LAB/first.key"
    pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/first.pem client-key=$LAB/first.key"
    for PATHS_TRUST in '' "$LAB/ca.pem"; do
        export PATHS_TRUST
        for how in connect write stream thread poll; do
            capture bare "$PATHS/quic" "$LAB/good" $how asks
            has "$OUT" 'the server saw nobody'
            accepted "$PATHS/quic" "$LAB/good" $how asks
            has "$OUT" 'the server saw /CN=first client'
            accepted "$PATHS/quic" "$LAB/good" $how asks own="$LAB/second"
            has "$OUT" 'the server saw /CN=second client'
            refused "$PATHS/quic" "$LAB/impostor" $how asks
            lacks "$OUT" 'the server saw'
        done
    done
    pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/first.pem client-key=$LAB/first.key mode=report"
    capture shim "$PATHS/quic" "$LAB/impostor" connect asks
    has "$OUT" 'the server saw nobody'
}

@test "an impostor is refused by both of two libssl of different releases in one process" {
    local other=$BUILT/other/libssl.so.1.1 own libraries
    own=$(ldd "$PATHS/connect" | sed -n 's/.*=> \(.*libssl.so.[^ ]*\) .*/\1/p')
    export LD_LIBRARY_PATH=${other%/*}
    [[ $own != *.so.1.1 ]] || skip 'this release is the other one'
    [ -e "$other" ] || skip 'there is no other release for this architecture'
    for libraries in "library=$own library=$other" "library=$other library=$own library=$other"; do
        # shellcheck disable=SC2086 # words
        set -- 127.0.0.1 "$IMPOSTOR" SSL_connect $libraries
        capture bare "$PATHS/by_dlsym" "$@"
        equals "$STATUS" 0
        has "$OUT" 'OpenSSL 1.1.1'
        capture shim "$PATHS/by_dlsym" "$@"
        equals "$STATUS" 1
        lacks "$OUT" 'hello from'
        equals "$(count_lines refused)" "$(wc -w <<<"$libraries")"
        # shellcheck disable=SC2086 # words
        accepted "$PATHS/by_dlsym" 127.0.0.1 "$GOOD" SSL_connect $libraries
        equals "$(grep -c 'hello from good' <<<"$OUT")" "$(wc -w <<<"$libraries")"
    done
}
