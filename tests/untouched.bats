#!/usr/bin/env bats
# Goal: a connection that is not refused is unchanged, down to return values, errno and the error queue; one that is refused fails like a
# refusal by OpenSSL itself, before application data or a client certificate has been sent.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2030,SC2031,SC2153

load lib/programs

setup_file() {
    programs_lab
    PATHS=$BATS_TEST_DIRNAME/../build/paths
    export PATHS
    lab_cert client '/CN=secret client' 'extendedKeyUsage=clientAuth'
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$LAB/stranger.key" -out "$LAB/stranger.pem" -days 30 \
        -subj '/CN=stranger' 2>>"$LAB/openssl.log"
}

teardown_file() {
    lab_stop
}

setup() {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    PROBE=("$PROGRAMS/probe" sni=www.pinned.example)
    GET="write=GET / HTTP/1.0"$'\r\n\r\n'
}

# same STEP...: with the shim, which logs nothing, the program sees the same as without
same() {
    local without
    capture bare "${PROBE[@]}" "$@"
    equals "$STATUS" 0
    without=$OUT
    capture shim "${PROBE[@]}" "$@"
    equals "$STATUS" 0
    equals "$ERR" ''
    equals "$OUT" "$without"
}

# alike STATUS COMMAND...: with the shim, which logs nothing, and without, the program ends with that status and prints the same
alike() {
    local without
    capture bare "${@:2}"
    equals "$STATUS" "$1"
    without=$OUT
    capture shim "${@:2}"
    equals "$STATUS" "$1"
    equals "$ERR" ''
    equals "$(grep -v '^Date: ' <<<"$OUT")" "$(grep -v '^Date: ' <<<"$without")"
}

# impostor_fails CALL...: the call is the first on a connection to the impostor; without the shim it works
impostor_fails() {
    refused "${PROBE[@]}" "$@" must
    has "$OUT" ', error 1, '
    has "$OUT" $', verify result 28\nqueue: library 20, reason 134'
}

# marked READER-PORT TEXT: the server has got TEXT from a connection of its own, and so has seen all of those before
marked() {
    bare "${PROBE[@]}" "open=$1" connect "write=$2" >/dev/null
    lab_wait grep -aq "$2" "$READER"
}

# client_for PORT [OPTION...]: an s_client with a certificate, that verifies the server
client_for() {
    bare openssl s_client -brief -connect "127.0.0.1:$1" -CAfile "$LAB/ca.pem" -verify_return_error -cert "$LAB/client.pem" \
        -key "$LAB/client.key" "${@:2}" </dev/null
}

@test "an openssl server under the shim asks for and verifies client certificates as before" {
    local version
    pins '* deny'
    reader_under_the_shim() {
        local -x LD_PRELOAD=$SHIM_SO PINSHIM_PINS=$PINS
        reader good -Verify 1 -verify_return_error -CAfile "$LAB/ca.pem"
    }
    reader_under_the_shim
    for version in -tls1_2 -tls1_3; do
        capture client_for "$PORT" $version
        equals "$STATUS" 0
        has "$ERR" 'Verification: OK'
    done
    lab_wait grep -q 'CN *= *secret client' "$READER"
    # A certificate of nobody's, and none at all. The failure shows inside the handshake under TLS 1.2.
    capture bare openssl s_client -brief -tls1_2 -connect "127.0.0.1:$PORT" -cert "$LAB/stranger.pem" -key "$LAB/stranger.key"
    equals "$STATUS" 1
    capture bare openssl s_client -brief -tls1_2 -connect "127.0.0.1:$PORT"
    equals "$STATUS" 1
    run -1 grep -q 'pinshim\[' "$READER"
    # The pins that the server runs under do refuse a client.
    judged refused "$GOOD"
    # Nor does a fault concern it.
    PINS=$BATS_TEST_TMPDIR/nowhere
    reader_under_the_shim
    capture client_for "$PORT"
    equals "$STATUS" 0
    lab_wait grep -q 'CN *= *secret client' "$READER"
    run -1 grep -q 'pinshim\[' "$READER"
}

@test "an nginx under the shim serves and verifies its clients, and its own connections to servers are pinned" {
    nginx_under_the_shim() {
        local -x LD_PRELOAD=$SHIM_SO PINSHIM_PINS=$PINS
        lab_nginx front "ssl_client_certificate $LAB/ca.pem; ssl_verify_client on; proxy_ssl_server_name on;
            proxy_ssl_name www.pinned.example; location /good { proxy_pass https://127.0.0.1:$GOOD; }
            location /impostor { proxy_pass https://127.0.0.1:$IMPOSTOR; }"
    }
    lab_cert front /CN=front
    local curl=(curl -s --cacert "$LAB/ca.pem" --cert "$LAB/client.pem" --key "$LAB/client.key" -w ' %{http_code}')
    # A rule for the clients' address must not touch them.
    pins "www.pinned.example spki-sha256:$PIN_GOOD" '*.example deny'
    nginx_under_the_shim
    run -0 "${curl[@]}" "https://localhost:$PORT/"
    equals "$output" $'hello from front\n 200'
    run -0 curl -s --cacert "$LAB/ca.pem" -o /dev/null -w '%{http_code}' "https://localhost:$PORT/"
    equals "$output" 400
    run -0 "${curl[@]}" "https://localhost:$PORT/good"
    equals "$output" $'hello from good\n 200'
    run -0 "${curl[@]}" "https://localhost:$PORT/impostor"
    has "$output" ' 502'
    capture cat "$LAB/nginx-front/out" "$LAB/nginx-front/error.log"
    has "$OUT" 'certificate verify failed'
}

@test "errno, the error queue and its marks are as without the shim on an accepted connection" {
    local version seed
    for version in verify=none tls1.2; do
        for seed in seed seed=mark; do
            same $version $seed "open=$GOOD" connect handshake "$GET" peek peek_ex read read read_ex
            same $version $seed "open=$GOOD" client handshake "${GET/write/write_ex}" read_ex read_ex
            same $version $seed "open=$GOOD" client "$GET" read
            same $version $seed "open=$GOOD" client "${GET/write/write_ex}" peek_ex
            same $version $seed "ca=$LAB/ca.pem" verify=peer show-verify "open=$GOOD" connect "$GET" read
        done
    done
    # What the comparison is made of.
    has "$OUT" 'back to the mark: '
    has "$OUT" 'queue: library 128, reason 101, first.c:1, "first"'
    impostor_fails seed "open=$IMPOSTOR" connect
}

@test "errno and the error queue are as without the shim where no rule applies, and in report mode" {
    PROBE=("$PROGRAMS/probe" sni=other.example)
    same seed "open=$IMPOSTOR" connect "$GET" read read_ex
    PROBE=("$PROGRAMS/probe" sni=www.pinned.example)
    impostor_fails seed "open=$IMPOSTOR" connect
    local without
    capture bare "${PROBE[@]}" seed show-verify "open=$IMPOSTOR" connect state "$GET" read read_ex
    without=$OUT
    capture shim env PINSHIM_MODE=report "${PROBE[@]}" seed show-verify "open=$IMPOSTOR" connect state "$GET" read read_ex
    equals "$OUT" "$without"
    equals "$(count_lines reported)" 1
}

@test "a handshake that fails by itself fails as without the shim" {
    # The program verifies, and does not know the CA; the pin alone would be satisfied.
    same verify=peer seed "open=$GOOD" connect connect handshake state
    has "$OUT" 'verify result 20'
    same verify=peer show-verify "open=$GOOD" client write=x
    # No cipher in common.
    same tls1.2 cipher=aRSA seed "open=$GOOD" connect handshake
    has "$OUT" 'connect: returned -1, error 1,'
    # A server that hangs up.
    relay 1
    same seed "open=$PORT" connect handshake
    impostor_fails "open=$IMPOSTOR" connect
}

@test "an I/O call that comes before the handshake or after its end fails as without the shim" {
    local version call shut
    for version in verify=none tls1.2; do
        for call in "${GET/write/write_ex}" read peek_ex sendfile; do
            # Without a role; in a direction that is shut down; after a failure; on an SSL that was made ready again; on a finished one.
            same $version seed "open=$GOOD" "$call" bad-write bad-read bad-peek connect "$GET" "$call"
            for shut in 1 2 3; do
                same $version seed verify=peer "open=$GOOD" client shut=$shut bad-write bad-read "$GET" "$call" state
            done
            same $version seed verify=peer "open=$GOOD" connect "$call" "$call" state
            same $version seed verify=peer "open=$GOOD" client "$call" "$call" state
            same tls1.2 cipher=aRSA seed "open=$GOOD" client "$call" "$call"
            same $version seed verify=peer "open=$GOOD" connect connect-state "open=$GOOD" "$call"
            same $version seed "ca=$LAB/ca.pem" verify=peer "open=$GOOD" client sendfile bad-read "$GET" "$call"
        done
    done
    # A server that never answers.
    /usr/bin/python3 -uc 'import socket, time; s = socket.create_server(("127.0.0.1", 0), backlog=99); print(s.getsockname()[1]); time.sleep(60)' \
        >"$BATS_TEST_TMPDIR/silent" 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$BATS_TEST_TMPDIR/silent"
    for call in "$GET" "${GET/write/write_ex}" read read_ex peek peek_ex sendfile handshake; do
        same seed nonblock "open=$(cat "$BATS_TEST_TMPDIR/silent")" client "$call" "$call" connect "$call" wreck "$call" "$call" state
    done
    impostor_fails "open=$IMPOSTOR" sendfile connect
}

@test "the program's verification mode, callback and result are as without the shim on an accepted connection" {
    local setting
    for setting in verify=none "ca=$LAB/ca.pem" verify=peer,"ca=$LAB/ca.pem" show-verify show-verify,"ca=$LAB/ca.pem" \
        verify=peer,show-verify,"ca=$LAB/ca.pem" callback=accept verify=peer,callback=accept verify=peer,callback=accept,show-verify; do
        local steps
        IFS=, read -ra steps <<<"$setting"
        same "${steps[@]}" client state "open=$GOOD" connect state "$GET" read state
        same "${steps[@]}" tls1.2 client state "open=$GOOD" connect state
    done
    # An untrusted certificate that a pin accepts is still an untrusted one.
    same verify=none "open=$GOOD" connect state
    has "$OUT" 'connect: returned 1, error 0, errno 0, verify result 20'
    impostor_fails "ca=$LAB/ca.pem" verify=peer show-verify "open=$IMPOSTOR" connect
}

@test "a refused call fails as OpenSSL's own refusal does" {
    local version
    for version in verify=none tls1.2; do
        impostor_fails $version "open=$IMPOSTOR" connect
        has "$OUT" 'connect: returned -1, '
        has "$LINE" 'refused www.pinned.example:'
        impostor_fails $version "open=$IMPOSTOR" client handshake
        has "$OUT" 'handshake: returned -1, '
        impostor_fails $version "open=$IMPOSTOR" client "$GET"
        has "$OUT" 'write: returned -1, '
        impostor_fails $version "open=$IMPOSTOR" client "${GET/write/write_ex}"
        has "$OUT" 'write_ex: returned 0, '
        impostor_fails $version "ca=$LAB/ca.pem" verify=peer "open=$IMPOSTOR" connect
        # What was in the queue before is what SSL_connect itself leaves there: nothing.
        impostor_fails $version seed "open=$IMPOSTOR" connect
    done
}

@test "a handshake that reading starts is refused too" {
    # A server that speaks first.
    reader impostor
    local server=$PORT call
    for call in read peek read_ex peek_ex; do
        for version in verify=none tls1.2; do
            echo 'welcome' >"$READER.in"
            capture shim "${PROBE[@]}" $version "open=$server" client $call
            equals "$(count_lines refused)" 1
            case $call in
                *_ex) has "$OUT" "$call: returned 0, error 1, " ;;
                *) has "$OUT" "$call: returned -1, error 1, " ;;
            esac
            has "$OUT" $', verify result 28\nqueue: library 20, reason 134'
        done
    done
    echo 'welcome' >"$READER.in"
    capture bare "${PROBE[@]}" "open=$server" client read
    has "$OUT" 'read: returned 1 or more,'
}

@test "no later call on a refused connection moves a byte" {
    local call first
    reader impostor
    local server=$PORT
    for version in verify=none tls1.2; do
        for first in connect handshake write=SECRET-0 write_ex=SECRET-0; do
            capture shim "${PROBE[@]}" $version "open=$server" client $first write=SECRET-1 write_ex=SECRET-2 read read_ex peek peek_ex \
                handshake connect write=SECRET-3
            equals "$(count_lines refused)" 1
            equals "$(grep -cE '^(connect|handshake|write|read|peek): returned -1, error 1, .* verify result 28$' <<<"$OUT")" \
                "$((6 + $([[ $first == *_ex* ]] || echo 1) + 0))"
            equals "$(grep -cE '^[a-z]*_ex: returned 0, error 1, .* verify result 28$' <<<"$OUT")" \
                "$((3 + $([[ $first == *_ex* ]] && echo 1) + 0))"
            equals "$(grep -c '^queue: library 20, reason 134$' <<<"$OUT")" 10
        done
    done
    marked "$server" MARKER
    run -1 grep -a SECRET "$READER"
    # The server was told.
    run -0 grep -a 'alert bad certificate' "$READER"
    marked "$server" SECRET-WITHOUT-THE-SHIM
}

@test "data that is sent without SSL_connect does not reach an impostor" {
    reader impostor
    local server=$PORT
    for version in verify=none tls1.2; do
        for call in write write_ex; do
            capture shim "${PROBE[@]}" $version "open=$server" client $call=SECRET
            equals "$(count_lines refused)" 1
        done
    done
    capture shim openssl s_client -quiet -connect "127.0.0.1:$server" -servername www.pinned.example < <(echo SECRET)
    marked "$server" MARKER
    run -1 grep -a SECRET "$READER"
    capture bare "${PROBE[@]}" "open=$server" client write=SECRET
    lab_wait grep -aq SECRET "$READER"
}

@test "a client certificate is not sent to an impostor by a program that verifies nothing" {
    local version
    reader impostor -verify 1
    local server=$PORT
    for version in verify=none tls1.2; do
        capture shim "${PROBE[@]}" $version "identity=$LAB/client" "open=$server" connect write=x
        equals "$(count_lines refused)" 1
        capture shim curl -sk --cert "$LAB/client.pem" --key "$LAB/client.key" --resolve "www.pinned.example:$server:127.0.0.1" \
            "https://www.pinned.example:$server/"
        equals "$STATUS" 60
    done
    marked "$server" MARKER
    run -1 grep -aE 'CN *= *secret client' "$READER"
    # Without the shim it is sent.
    bare "${PROBE[@]}" "identity=$LAB/client" "open=$server" connect write=AGAIN >/dev/null
    lab_wait grep -aqE 'CN *= *secret client' "$READER"
    # The good server gets it under the shim.
    reader good -verify 1
    capture shim "${PROBE[@]}" "identity=$LAB/client" "open=$PORT" connect write=x
    equals "$ERR" ''
    lab_wait grep -aqE 'CN *= *secret client' "$READER"
}

@test "after SSL_clear, or whatever else resets it, a refused SSL starts afresh, as it was, and is judged afresh" {
    local reset setting before after
    for reset in clear connect-state accept-state,connect-state bio-reset; do
        for setting in verify=none show-verify verify=peer,"ca=$LAB/ca.pem" callback=accept tls1.2; do
            local steps again
            IFS=, read -ra steps <<<"$setting"
            IFS=, read -ra again <<<"$reset"
            capture shim "${PROBE[@]}" "${steps[@]}" client state "open=$IMPOSTOR" connect "${again[@]}" state "open=$GOOD" connect state \
                "$GET" read
            equals "$(count_lines refused)" 1
            has "$OUT" 'connect: returned -1, error 1,'
            has "$OUT" 'connect: returned 1, error 0,'
            has "$OUT" 'read: returned 1 or more, error 0,'
            # The mode and the callback before, after the reset, and on the accepted connection.
            equals "$(grep '^state' <<<"$OUT" | sed 's/, depth.*//' | sort -u | wc -l)" 1
            # And back to the impostor.
            capture shim "${PROBE[@]}" "${steps[@]}" "open=$GOOD" connect "${again[@]}" "open=$IMPOSTOR" connect "${again[@]}" \
                "open=$IMPOSTOR" "$GET" read "${again[@]}" "open=$IMPOSTOR" connect read
            equals "$(count_lines refused)" 3
            equals "$(grep -c '^[a-z]*: returned -1, error 1,' <<<"$OUT")" 5
            lacks "$OUT" 'read: returned 1'
            # The verification result is that of a run that never met the impostor.
            before=$(bare "${PROBE[@]}" "${steps[@]}" client "open=$GOOD" connect state | grep '^state')
            after=$(shim "${PROBE[@]}" "${steps[@]}" client "open=$IMPOSTOR" connect "${again[@]}" "open=$GOOD" connect state 2>/dev/null |
                grep '^state')
            equals "$after" "$before"
        done
    done
    # What a program's own refusal is revived by, and what not.
    for reset in clear connect-state accept-state,connect-state bio-reset shut=0 renegotiate; do
        IFS=, read -ra again <<<"$reset"
        capture bare "${PROBE[@]}" verify=peer "open=$GOOD" connect "${again[@]}" "open=$GOOD" connect
        before=$(grep -c '^queue: library 20, reason 134$' <<<"$OUT")
        capture shim "${PROBE[@]}" "open=$IMPOSTOR" connect "${again[@]}" "open=$IMPOSTOR" connect
        equals "$(count_lines refused)" "$before"
    done
}

@test "a program's own certificate callback that accepts everything is called, and does not overrule a pin" {
    local version
    for version in verify=none tls1.2 verify=peer; do
        impostor_fails $version callback=accept "open=$IMPOSTOR" connect
        has "$OUT" 'own callback: certificate given, argument kept'
        same $version callback=accept "open=$GOOD" connect state
        # Set again, and taken back.
        impostor_fails callback=accept callback=accept "open=$IMPOSTOR" connect
        impostor_fails callback=accept callback=none "open=$IMPOSTOR" connect
        lacks "$OUT" 'own callback'
        same $version callback=accept callback=none "ca=$LAB/ca.pem" "open=$GOOD" connect state
    done
}

@test "a server without a certificate satisfies no pin" {
    reader good -nocert -cipher aNULL:@SECLEVEL=0 -tls1_2
    local steps=(tls1.2 cipher=aNULL:@SECLEVEL=0 "open=$PORT") server=$PORT
    impostor_fails "${steps[@]}" connect
    has "$LINE" "no certificate for the pin of $PINS:1"
    impostor_fails "${steps[@]}" client write=SECRET-1
    capture shim "${PROBE[@]}" "${steps[@]}" connect write=SECRET-2 read handshake write_ex=SECRET-3
    equals "$(grep -c 'error 1,' <<<"$OUT")" 5
    equals "$(count_lines refused)" 1
    # Without the shim, and without a rule, the server gets what is sent.
    lab_wait grep -aq SECRET-1 "$READER"
    PROBE=("$PROGRAMS/probe" sni=other.example)
    same "${steps[@]}" connect write=MARKER
    lab_wait grep -aq MARKER "$READER"
    equals "$(grep -ac 'SECRET-[23]' "$READER")" 0
    equals "$server" "$PORT"
}

@test "a server that only knows a pre-shared key satisfies no pin" {
    local version options server
    for version in '-tls1_2 -cipher PSK:@SECLEVEL=0' -tls1_3; do
        # shellcheck disable=SC2206 # the words of the options
        options=(-psk 0102030405060708 $version)
        reader good -nocert "${options[@]}"
        server=$PORT
        judged accepted "$server" -servername other.example "${options[@]}"
        capture bare openssl s_client -brief -connect "127.0.0.1:$server" -servername www.pinned.example "${options[@]}"
        equals "$STATUS" 0
        # Whether the key is refused or not even offered: the handshake fails, and is logged once at most.
        capture shim openssl s_client -brief -connect "127.0.0.1:$server" -servername www.pinned.example "${options[@]}"
        equals "$STATUS" 1
        [ "$(count_lines '[a-z]+')" -le 1 ] || explain 'logged more than once'
    done
}

@test "a security callback of the program's own that refuses everything does so as without the shim" {
    local way
    for way in ssl dup before copy to; do
        alike 1 "$PATHS/security" 127.0.0.1 "$GOOD" $way
        has "$OUT" 'called: 1'
        lacks "$OUT" 'SSL_connect: 1,'
        alike 1 "$PATHS/security" 127.0.0.1 "$GOOD" $way sni=other.example
    done
    # And where it is not in force any more, or not yet.
    for way in after from; do
        alike 0 "$PATHS/security" 127.0.0.1 "$GOOD" $way
        has "$OUT" 'hello from good'
    done
    refused "$PATHS/security" 127.0.0.1 "$IMPOSTOR" after
}

@test "a program that makes no SSL_CTX has OpenSSL ask for no more memory than without the shim" {
    alike 0 "$PATHS/memory" unused
    has "$OUT" 'asked '
}

@test "what a program writes in parts arrives as without the shim, and is not read beyond its end" {
    alike 0 "$PATHS/parts"
    has "$OUT" 'writev: 24, errno 0'
    has "$OUT" $'CONNECT www.pinned.example:443\nCONNECT www.pinned.example:443'
    impostor_fails "open=$IMPOSTOR" connect
}

@test "a session is written and read by functions found by dlsym as without the shim" {
    alike 0 "$PATHS/by_dlsym" session
    equals "$OUT" 'written: 1, read: 1'
    impostor_fails "open=$IMPOSTOR" connect
}

@test "a program that has looked for OpenSSL's functions may still set its memory functions" {
    alike 0 "$PATHS/by_dlsym" memory
    has "$OUT" 'CRYPTO_set_mem_functions: 1'
    refused "$PATHS/by_dlsym" 127.0.0.1 "$IMPOSTOR" SSL_connect
}

@test "a libssl that is too old serves as without the shim, and its clients are refused" {
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-deprecated-declarations -shared -fPIC -DLIBRARY \
        -o "$LAB/too_old.so" "$BATS_TEST_DIRNAME/paths/too_old.c"
    local server
    capture bare "$PATHS/too_old" "$LAB/too_old.so"
    equals "$STATUS" 0
    has "$OUT" "client's text: SECRET"
    server=$(sed "/^client's handshake/,\$d" <<<"$OUT")
    has "$server" "server's text: SECRET"
    capture shim "$PATHS/too_old" "$LAB/too_old.so"
    equals "$STATUS" 1
    equals "$(count_lines fault)" 1
    has "$(lines fault)" 'this OpenSSL is too old'
    equals "${OUT%%$'\nhandshake: -1'*}" "$server"
    equals "${OUT#"$server"}" $'\nhandshake: -1\nSSL_write: -1\nhandshake: -1\nSSL_write: -1'
}

@test "a program that asks for the ciphers of an SSL finds the session where it was" {
    local version
    for version in tls1.2 tls1.3; do
        capture bare "$PATHS/resume" 127.0.0.1 "$GOOD" set late ciphers $version
        has "$OUT" 'session still set: 1'
        accepted "$PATHS/resume" 127.0.0.1 "$GOOD" set late ciphers $version
        has "$OUT" 'session still set: 1'
        has "$OUT" 'reused: 1'
    done
    impostor_fails "open=$IMPOSTOR" connect
}

@test "a program that forbids itself system calls (seccomp) is not ended by those of the shim, and is pinned" {
    local alone by=0 rule way installed=(prctl syscall dlsym)
    # The socket is connected before, or afterwards; there has been such a handshake, or none; and in a child that libc knows nothing of.
    local ways=('connect filter handshake' 'also=connect filter handshake handshake' 'warm connect filter handshake'
        'also=stat connect filter handshake' 'also=stat also=open also=connect filter handshake' 'warm connect fork filter handshake')
    local rules=("www.pinned.example spki-sha256:$PIN_GOOD" "www.pinned.example:$GOOD spki-file:$LAB/good.pem"$'\n'"www.pinned.example:$IMPOSTOR spki-file:$LAB/good.pem"
        "127.0.0.1 spki-sha256:$PIN_GOOD" "**.example cert-file:$LAB/good.pem"
        "www.pinned.example ca-file:$LAB/other-ca.pem spki-sha384:$(lab_spki "$LAB/good.pem" sha384)" "* spki-sha256:$PIN_GOOD")
    can_filter
    cp "$LAB/stranger.pem" "$LAB/other-ca.pem"
    for rule in "${rules[@]}"; do
        pins "$rule"
        for way in "${ways[@]}"; do
            # Each of these with each other of them, verifying and not, but not every combination.
            by=$((by + 1))
            [ $((by % 4)) -lt 2 ] || [ "$rule" = "${rules[0]}" ] || continue
            [ $((by % 2)) -eq 0 ] || way="ca=$LAB/ca.pem $way"
            # shellcheck disable=SC2086 # words
            set -- "${installed[by % 3]}" $way
            capture bare "$PROGRAMS/sandbox" "$IMPOSTOR" "$@"
            equals "$*: $STATUS ${OUT%%$'\n'*}" "$*: 0 connected"
            alone=$OUT
            capture shim "$PROGRAMS/sandbox" "$GOOD" "$@"
            equals "$*: $STATUS $OUT$ERR" "$*: 0 $alone"
            capture shim "$PROGRAMS/sandbox" "$IMPOSTOR" "$@"
            equals "$*: $STATUS $OUT" "$*: 0 ${alone//connected/refused}"
            equals "$*: $(lines refused | tail -n 1 | grep -c "refused [^ ]*:$IMPOSTOR: no pin of $PINS:[0-9]* matched.*; wanted ")" "$*: 1"
        done
    done
}

@test "a child that shares memory and has no thread-local storage changes its root directory, as a sandbox's does" {
    [ "$(id -u)" -eq 0 ] || skip 'not root'
    capture bare "$PROGRAMS/rootless"
    [ "$STATUS" -ne 2 ] || skip 'no such child here' # an emulator
    equals "$STATUS $OUT" '0 0'
    capture shim "$PROGRAMS/rootless"
    equals "$STATUS $OUT$ERR" '0 0'
}

@test "a seccomp filter that the kernel cannot read is not read by the shim either" {
    local by without
    can_filter
    pins '* allow'
    for by in prctl syscall dlsym; do
        capture bare "$PROGRAMS/sandbox" 0 $by bad
        without=$OUT
        equals "$(grep -c '^-1 Bad address$' <<<"$without")" 8
        capture shim "$PROGRAMS/sandbox" 0 $by bad
        equals "$STATUS" 0
        equals "$OUT" "$without"
        capture shim "$PROGRAMS/sandbox" 0 $by bad filter write=alive
        equals "$STATUS" 0
        equals "$OUT" "$without"$'\nalive'
    done
}

@test "a handshake like one before it makes few system calls beside its own: stat of the pins file, getpeername, and rt_sigprocmask for what is sent first" {
    local trust way
    can_filter
    # A file that has just been written is read again, as another change might not show.
    sleep 3
    for trust in '' "ca=$LAB/ca.pem"; do
        # Under a filter of which the shim does not know.
        for way in 'also=stat also=peer also=signals' 'also=stat also=signals' 'also=peer also=signals' 'also=stat also=peer'; do
            # shellcheck disable=SC2086 # words
            set -- code $trust $way warm connect filter handshake
            capture bare "$PROGRAMS/sandbox" "$GOOD" "$@"
            equals "$STATUS $OUT" '0 connected'
            capture shim "$PROGRAMS/sandbox" "$GOOD" "$@"
            case $way in
            *' '*' '*) equals "$STATUS $OUT$ERR" '0 connected' ;;
            *) equals "$way: $STATUS $OUT" "$way: 159 " ;;
            esac
        done
    done
    impostor_fails "open=$IMPOSTOR" connect
}

# alike_all [OPTION...]: all that a client can do over the BIOs of $OVER is as without the shim
alike_all() {
    local over what call verify
    for over in $OVER; do
        for verify in '' verify; do
            for what in full resume psk anonymous secret client again fail; do
                alike 0 "$PATHS/alike" "lab=$LAB" "$over" "$what" tls1.2 callbacks $verify "$@"
            done
            for what in full resume external client; do
                alike 0 "$PATHS/alike" "lab=$LAB" "$over" "$what" tls1.3 callbacks $verify "$@"
            done
        done
        for call in handshake write write_ex read read_ex peek peek_ex; do
            alike 0 "$PATHS/alike" "lab=$LAB" "$over" resume tls1.3 "drive=$call" "$@"
        done
    done
}

@test "a line of a program that forbids itself system calls goes where the log is, by write alone" {
    local log=$BATS_TEST_TMPDIR/log name also
    can_filter
    for also in '' also=signals also=poll also=open; do
        rm -f "$log"
        # shellcheck disable=SC2086 # words
        capture shim env PINSHIM_LOG="$log" PINSHIM_LOG_FORMAT=json "$PROGRAMS/sandbox" "$IMPOSTOR" prctl $also connect filter handshake
        equals "$STATUS $OUT$ERR" '0 refused'
        name=$(/usr/bin/python3 -c 'import json, os, sys; got = json.load(open(sys.argv[1])); print(got["verdict"], os.path.basename(got["exe"]))' "$log")
        equals "$name" 'refused sandbox'
    done
    # A pipe may raise a signal: that is held back, or nobody has gone.
    for also in also=signals also=poll; do
        capture shim /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/stderr.py" pipe "$PROGRAMS/sandbox" "$IMPOSTOR" prctl $also connect filter handshake
        equals "$STATUS $OUT" '0 refused'
        equals "$(count_lines refused)" 1
    done
    capture shim /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/stderr.py" full "$PROGRAMS/sandbox" "$IMPOSTOR" prctl also=signals connect filter handshake
    equals "$STATUS $OUT" '0 refused'
}

@test "a buffer that a call does not read is not read" {
    alike 0 "$PROGRAMS/unread" null
    alike 0 "$PROGRAMS/unread" parts
    alike 0 "$PROGRAMS/unread" messages
    has "$OUT" $'of 0 messages: 0, errno 11\nof 2 messages: 1, errno 11'
    bare unshare --net "$PROGRAMS/unread" ring || skip 'no network namespace may be made here, or has no packet rings'
    alike 0 unshare --net "$PROGRAMS/unread" ring
}

@test "memory that cannot be read is an error of the call, not the end of the program" {
    pins "192.0.2.1 spki-sha256:$PIN_GOOD"
    bare "$PROGRAMS/unread" memory || skip 'not even without the shim' # an emulator
    alike 0 "$PROGRAMS/unread" memory
    has "$OUT" 'write, 22, 44 of 517: -1, errno 14'
    # Where each call is looked at
    pins "192.0.2.1 spki-sha256:$PIN_GOOD tls=required"
    alike 0 "$PROGRAMS/unread" memory
}

@test "a program that a sanitizer watches starts as without the shim, and is judged" {
    local made=$BATS_TEST_TMPDIR watched count=0
    pins "localhost spki-sha256:$PIN_GOOD"
    echo 'int main(void) { return 0; }' >"$made/empty.c"
    export LSAN_OPTIONS=exitcode=0 ASAN_OPTIONS=detect_leaks=0
    for watched in gcc:thread gcc:leak gcc:undefined clang:thread clang:address clang:memory; do
        watch() {
            "${watched%:*}" "-fsanitize=${watched#*:}" -o "$made/$1" "${@:2}"
        }
        watch empty "$made/empty.c" && [ -z "$(bare "$made/empty" 2>&1)" ] || continue # under an emulator some complain
        count=$((count + 1))
        alike 0 "$made/empty"
        watch empty "$made/empty.c" -Wl,--no-as-needed -lssl -lcrypto
        alike 0 "$made/empty"
        # That one takes for uninitialized what a library writes that it does not watch.
        [ "$watched" != clang:memory ] || continue
        watch client "$BATS_TEST_DIRNAME/lib/bio_client.c" -lssl -lcrypto
        capture shim "$made/client" "localhost:$GOOD"
        equals "$STATUS $OUT $(count_lines refused)" '0 connected 0'
        capture shim "$made/client" "localhost:$IMPOSTOR"
        equals "$STATUS $OUT $(count_lines refused)" '0 refused 1'
    done
    [ "$count" -gt 0 ] || skip 'no compiler has a sanitizer that works here'
}

@test "a program that interposes functions of libc, and looks for the real ones when they are called, starts as without the shim" {
    gcc -fno-builtin -w -rdynamic -o "$BATS_TEST_TMPDIR/interposes" -x c - -ldl <<'EOF'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#define PASS(type, name, parameters, arguments) \
    type name parameters \
    { \
        static type(*real) parameters; \
        if (real == NULL) \
            real = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
        return real arguments; \
    }
PASS(char *, strstr, (const char *a, const char *b), (a, b))
PASS(int, strcmp, (const char *a, const char *b), (a, b))
PASS(int, strncmp, (const char *a, const char *b, size_t n), (a, b, n))
PASS(size_t, strlen, (const char *a), (a))
PASS(char *, strrchr, (const char *a, int c), (a, c))
PASS(char *, strchr, (const char *a, int c), (a, c))
PASS(void *, memcpy, (void *a, const void *b, size_t n), (a, b, n))
PASS(void *, memset, (void *a, int b, size_t n), (a, b, n))
PASS(int, memcmp, (const void *a, const void *b, size_t n), (a, b, n))
PASS(void *, malloc, (size_t n), (n))
PASS(char *, getenv, (const char *a), (a))
PASS(int, dl_iterate_phdr, (void *a, void *b), (a, b))
int main(void)
{
    return dlsym(RTLD_DEFAULT, "puts") == NULL || dlsym(dlopen(NULL, RTLD_NOW), "write") == NULL;
}
EOF
    alike 0 "$BATS_TEST_TMPDIR/interposes"
}

@test "what a program writes costs no system call, whatever it looks like" {
    local text
    can_filter
    refused "$PROGRAMS/sandbox" "$IMPOSTOR" prctl ca="$LAB/ca.pem" handshake must
    for text in C CONNECT $'CONNECT a.example:443 HTTP/1.1\r\n' $'\5\1\2\1\1\1\1\1\1\1' $'\4\1\1\1\1\1\1\1\1\1' $'\26\3\1\1\1'; do
        capture bare "$PROGRAMS/sandbox" 0 strict filter "write=$text"
        equals "$STATUS $OUT$ERR" "0 ${text%$'\n'}"
        capture shim "$PROGRAMS/sandbox" 0 strict filter "write=$text"
        equals "$STATUS $OUT$ERR" "0 ${text%$'\n'}"
    done
}

@test "a thread that is cancelled while the shim works for it ends after that, and loses no descriptor" {
    export PINSHIM_LOG=$BATS_TEST_TMPDIR/log
    capture shim "$PROGRAMS/cancelled" pending "$LAB/impostor.pem" "$LAB/impostor.key"
    equals "$STATUS $OUT" $'0 refused\ncancelled'
    equals "$(grep -c 'refused www.pinned.example' "$PINSHIM_LOG")" 1
    # Each fault is a line.
    # shellcheck disable=SC2046 # a line each
    pins $(seq -f 'nonsense%g' 300)
    capture shim "$PROGRAMS/cancelled" at-once 200
    equals "$STATUS $OUT" '0 0 of enough'
    [ "$(wc -l <"$PINSHIM_LOG")" -gt 1000 ] || explain 'nothing was written meanwhile'
}

# alike_early [OPTION...]: the same for early data, with other calls between the writes
alike_early() {
    local over call more
    for over in $OVER; do
        for call in read read_ex peek peek_ex write handshake; do
            for more in '' retry reject wait; do
                alike 0 "$PATHS/alike" "lab=$LAB" "$over" early tls1.3 callbacks verify "drive=$call" $more "$@"
            done
        done
        alike 0 "$PATHS/alike" "lab=$LAB" "$over" early tls1.3 drive=read "$@"
    done
}

# refused_alike [OPTION...]: the client is refused under a rule, so that the program is held at all
refused_alike() {
    pins "www.pinned.example spki-sha256:$PIN_IMPOSTOR"
    capture shim "$PATHS/alike" "lab=$LAB" "$@" sni=www.pinned.example
    equals "$(count_lines refused)" 1
    has "$OUT" 'queue: 20 134 ""'
}

# under_allow BIO...: nothing is demanded, and nothing is changed
under_allow() {
    pins '* allow' '192.0.2.1 allow'
    OVER=$* alike_all
    refused_alike "$1" full
}

@test "where nothing is demanded a client finds all as without the shim over sockets and connecting BIOs" {
    under_allow fd connect
}

@test "where nothing is demanded a client finds all as without the shim in memory" {
    under_allow memory pair
}

@test "where nothing is demanded a client finds all as without the shim over BIOs of its own" {
    under_allow own own-socket
}

@test "where nothing is demanded early data and what is read between finds all as without the shim" {
    pins '* allow'
    OVER='fd memory own' alike_early
    has "$OUT" 'server: early "four"'
    refused_alike own full
}

@test "DTLS finds all as without the shim where nothing is demanded, and where the rules are another host's" {
    local over what verify
    for over in fd own-socket; do
        for what in full resume psk anonymous client; do
            for verify in '' verify; do
                pins '* allow'
                alike 0 "$PATHS/alike" "lab=$LAB" $over $what dtls callbacks $verify
                # With a socket of its own a rule for an address could hold, and the session is not offered.
                pins 'other.example deny' "$([ $over = own-socket ] || echo '192.0.2.1 deny')"
                alike 0 "$PATHS/alike" "lab=$LAB" $over $what dtls callbacks $verify sni=www.pinned.example
            done
        done
    done
    # Of these the address is known when the server answers.
    pins '192.0.2.1 deny' '192.0.2.2 deny'
    for what in full psk; do
        alike 0 "$PATHS/alike" "lab=$LAB" own-socket $what dtls callbacks
        alike 0 "$PATHS/alike" "lab=$LAB" own-socket $what tls1.2 callbacks
        pins '127.0.0.1 deny'
        capture shim "$PATHS/alike" "lab=$LAB" own-socket $what dtls
        equals "$(count_lines refused)" 1
        has "$(lines refused)" "$PINS:1 says deny"
        pins '192.0.2.1 deny' '192.0.2.2 deny'
    done
}

@test "rules for other hosts, and one that the server satisfies, change nothing" {
    pins 'other.example deny'
    OVER='own' alike_all sni=www.pinned.example
    OVER='own' alike_early sni=www.pinned.example
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    alike 0 "$PATHS/alike" "lab=$LAB" fd resume tls1.2 sni=www.pinned.example
    OVER='fd' alike_early sni=www.pinned.example
    refused_alike own full
}

@test "in report mode nothing is changed" {
    local -x PINSHIM_LOG=none PINSHIM_MODE=report
    pins "www.pinned.example spki-sha256:$PIN_IMPOSTOR" '127.0.0.1 deny' '192.0.2.1 deny' "@revoked spki-sha256:$PIN_IMPOSTOR"
    OVER='own' alike_all sni=www.pinned.example
    OVER='own' alike_early
    alike 0 "$PATHS/alike" "lab=$LAB" fd resume tls1.3 der sni=www.pinned.example
    alike 0 "$PATHS/alike" "lab=$LAB" own early tls1.3 drive=read der
    PINSHIM_LOG=stderr
    capture shim "$PATHS/alike" "lab=$LAB" own full
    equals "$(count_lines reported)" 1
    PINSHIM_MODE=enforce
    refused_alike own full
}

@test "where every rule is only reported nothing is changed" {
    local -x PINSHIM_LOG=none
    pins "www.pinned.example spki-sha256:$PIN_IMPOSTOR mode=report" "192.0.2.1 spki-sha256:$PIN_IMPOSTOR mode=report"
    OVER='own' alike_all
    alike 0 "$PATHS/alike" "lab=$LAB" own early tls1.3 drive=read sni=www.pinned.example
    PINSHIM_LOG=stderr
    capture shim "$PATHS/alike" "lab=$LAB" own psk tls1.2
    equals "$(count_lines reported)" 1
    refused_alike own full
}

@test "what was not offered is told where the server ends the handshake with an alert, and how to allow it" {
    local what
    pins 'other.example deny'
    for what in 'own psk tls1.2' 'memory psk tls1.2' 'own external tls1.3' 'memory external tls1.3'; do
        # The server could do with a certificate only where the client has a session of its own.
        # shellcheck disable=SC2086 # the words of the options
        capture shim "$PATHS/alike" "lab=$LAB" $what callbacks
        lacks "$OUT" 'key of me'
        equals "$(count_lines refused)" 1
        has "$(lines refused)" "$PINS has rules; a line \"@unknown allow\" would allow it"
    done
    # A target whose rule for a port may apply, and then not.
    pins 'localhost:1 deny' 'localhost allow'
    capture shim "$PATHS/alike" "lab=$LAB" own-socket psk tls1.2 sni=localhost
    equals "$(count_lines refused)" 1
    has "$(lines refused)" 'was not offered: when the handshake started, a rule of'
}

@test "early data that could not be written is told where the program gives up over it" {
    pins 'other.example deny'
    reader good -early_data -tls1_3
    capture shim "$PATHS/early_data" 127.0.0.1 "$PORT" chain give-up first=third.example second=localhost
    equals "$STATUS" 1
    equals "$(count_lines '[a-z]+')" 1
    has "$ERR" 'the session for early data was not offered: when the handshake started, a rule of'
    capture bare "$PATHS/early_data" 127.0.0.1 "$PORT" chain give-up first=third.example second=localhost
    has "$OUT" 'SSL_write_early_data: 1'
}

@test "what was read between two writes of early data is taken back where the peer is refused by then" {
    local -x PINSHIM_LOG_LEVEL=all
    local call
    for call in read read_ex; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
        echo 'www.pinned.example deny' >"$PINS.new"
        capture shim "$PATHS/alike" "lab=$LAB" fd early tls1.3 "drive=$call" sni=www.pinned.example change
        equals "$(count_lines refused)" 1
        has "$OUT" 'server: early "one"'
        lacks "$OUT" '"two"'
        lacks "$OUT" '"four"'
        lacks "$OUT" '"ten"'
    done
    capture bare "$PATHS/alike" "lab=$LAB" fd early tls1.3 drive=read
    has "$OUT" 'server: early "four"'
    has "$OUT" '"two"'
}

@test "no more early data is written once a key is revoked: the session does not tell all issuers" {
    local der
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    for der in '' der; do
        # shellcheck disable=SC2086 # no word, or one
        set -- "$PATHS/alike" "lab=$LAB" fd early tls1.3 drive=early $der sni=www.pinned.example change
        cp "$PINS" "$PINS.new"
        capture shim "$@"
        has "$OUT" 'server: early "three"'
        equals "$(count_lines refused)" 0
        { cat "$PINS" && echo "@revoked spki-sha256:$(lab_spki "$LAB/ca.pem")"; } >"$PINS.new"
        capture shim "$@"
        has "$OUT" 'server: early "one"'
        lacks "$OUT" '"three"'
        lacks "$OUT" '"ten"'
        equals "$(count_lines refused)" 1
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
    done
}

# coap_server OPTION...: a CoAP server whose DTLS is at $PORT
coap_server() {
    local log
    log=$(mktemp "$LAB/coap-XXXXXX")
    PORT=$(lab_free_port)
    # Its DTLS is at the next port.
    coap-server-openssl -A 127.0.0.1 -p $((PORT - 1)) "$@" >"$log" 2>&1 </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait bare coap-client-openssl "${COAP[@]}" -B 1 "coaps://127.0.0.1:$PORT/"
}

@test "coap-client-openssl by address works as without the shim, by certificate and by pre-shared key, but where the address has a rule" {
    local kind
    command -v coap-client-openssl >/dev/null || skip 'libcoap3-bin is not installed'
    for kind in psk pki; do
        if [ $kind = psk ]; then
            COAP=(-k secretkey -u me)
            coap_server -k secretkey -h hint
        else
            COAP=(-R "$LAB/ca.pem")
            coap_server -c "$LAB/good.pem" -j "$LAB/good.key" -n
        fi
        for rules in '* allow' 'www.pinned.example deny' "127.0.0.1 spki-sha256:$PIN_IMPOSTOR mode=report"; do
            pins "$rules"
            capture shim coap-client-openssl "${COAP[@]}" -B 3 "coaps://127.0.0.1:$PORT/"
            has "$OUT" 'test server made with libcoap'
            equals "$(count_lines refused)" 0
        done
        pins "127.0.0.1 spki-sha256:$PIN_IMPOSTOR"
        capture shim coap-client-openssl "${COAP[@]}" -B 3 "coaps://127.0.0.1:$PORT/"
        lacks "$OUT" 'test server'
        equals "$(count_lines refused)" 1
        has "$(lines refused)" "refused 127.0.0.1:$PORT: no "
    done
}
