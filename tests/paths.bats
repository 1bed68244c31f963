#!/usr/bin/env bats
# Goal: however a client's handshake is driven, and whatever takes the place of a certificate, an impostor gets no byte of the program's
# data and the program none of the impostor's; the good server is reached as without the shim.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154

load lib/programs

setup_file() {
    programs_lab
    # Under these names the same tests are run with programs that contain OpenSSL.
    PATHS=$BUILT/paths
    # Under this name the same tests are run with programs for musl.
    if [[ $BATS_TEST_FILENAME == */paths_musl.bats ]]; then
        PATHS=${SHIM_MUSL:-$BATS_TEST_DIRNAME/../build/musl}/paths
        export CC=${PATHS%/paths}/cc
    fi
    [[ $BATS_TEST_FILENAME != */paths_inside* ]] || PATHS=$BATS_TEST_DIRNAME/../build/inside
    export PATHS
    object plugin plugin PLUGIN -O2
    object foreign foreign FOREIGN
    object foreign foreign-named FOREIGN -DNAMED
    object by_dlsym helper HELPER
    object next next NEXT
}

teardown_file() {
    lab_stop
}

setup() {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    # Under these names the same tests are run with clients that verify the chain.
    [[ $BATS_TEST_FILENAME != */paths*_verified.bats ]] || export PATHS_TRUST=$LAB/ca.pem
}

# object PROGRAM NAME MACRO [OPTION...]: the object $LAB/NAME.so from the source of a program
object() {
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-deprecated-declarations -shared -fPIC "-D$3" "${@:4}" \
        -o "$LAB/$2.so" "$BATS_TEST_DIRNAME/paths/$1.c" -Wl,--as-needed -lssl -lcrypto -ldl
}

# loader_of PROGRAM: its loader, which lists what a program needs with --list
loader_of() {
    readelf -lW "$1" | sed -n 's/.*program interpreter: \(.*\)]$/\1/p'
}

# compressors: the libraries that this libcrypto needs beside libc
compressors() {
    local one
    one=$(ldconfig -p | sed -n 's/.*libcrypto\.so\..* => //p' | sort | tail -n 1)
    [ -z "${SHIM_OPENSSL:-}" ] || one=$BUILT/paths/connect
    ldd "$one" | grep -oE '/[^ ]*lib(z|zstd|brotli[a-z]*)\.so[^ ]*' || true
}

# merged NAME OPTION...: $LAB/NAME.so, which holds libssl and libcrypto, linked with these options
merged() {
    # shellcheck disable=SC2046 # words
    ${CC:-cc} -shared -o "$LAB/$1.so" "${@:2}" -Wl,--whole-archive -l:libssl.a -l:libcrypto.a -Wl,--no-whole-archive $(compressors) -ldl -lpthread
}

# held PROGRAM [OPTION...]: the program gets the impostor's answer without the shim only, and the good server's under the shim
held() {
    fails "$@"
    reaches "$@"
}

# fails PROGRAM [OPTION...]: it gets the impostor's answer without the shim, and nothing with it
fails() {
    refused "$PATHS/$1" 127.0.0.1 "$IMPOSTOR" "${@:2}"
    lacks "$OUT" 'hello from'
    capture bare "$PATHS/$1" 127.0.0.1 "$IMPOSTOR" "${@:2}"
    has "$OUT" 'hello from impostor'
}

# reaches PROGRAM [OPTION...]: under the shim it gets the good server's answer, and prints what it prints without
reaches() {
    local without
    capture bare "$PATHS/$1" 127.0.0.1 "$GOOD" "${@:2}"
    without=$(grep -v '^Date: ' <<<"$OUT")
    accepted "$PATHS/$1" 127.0.0.1 "$GOOD" "${@:2}"
    has "$OUT" 'hello from good'
    equals "$(grep -v '^Date: ' <<<"$OUT")" "$without"
}

# is_inside: the programs contain OpenSSL. seen: skip the test then, since it is about calls that the shim does not see there, or about other libraries.
is_inside() {
    [[ $PATHS == */inside ]]
}
seen() {
    ! is_inside || skip 'not for programs that contain OpenSSL'
}

# silent PROGRAM PORT [OPTION...]: without the shim the program's text reaches the server behind $READER, with it nothing does
silent() {
    capture shim "$PATHS/$1" 127.0.0.1 "$2" "${@:3}" text=LEAKED
    [ "$STATUS" -ne 0 ] || explain "not refused: $*"
    [ "$(count_lines '[a-z]+')" -le 1 ] || explain 'logged more than once'
    arrives bare "$@"
    run -1 grep -a LEAKED "$READER"
}

# arrives shim|bare PROGRAM PORT [OPTION...]: the program's text reaches the server behind $READER
arrives() {
    local text=ARRIVED-$RANDOM$RANDOM
    capture "$1" "$PATHS/$2" 127.0.0.1 "$3" "${@:4}" "text=$text"
    equals "$STATUS" 0
    lacks "$ERR" 'pinshim['
    lab_wait grep -aq "$text" "$READER"
}

# resumes REUSED [OPTION...]: under the shim the program resume reaches the good server, with that many sessions resumed
resumes() {
    accepted "$PATHS/resume" 127.0.0.1 "$GOOD" "${@:2}"
    has "$OUT" $'hello from good\n\nreused: '"$1"
}

@test "an impostor that is reached through a chain of BIOs is refused" {
    local version mode
    for version in tls1.2 tls1.3; do
        for mode in read handshake buffer 'handshake buffer'; do
            # shellcheck disable=SC2086 # words
            held bio_chain $mode $version
        done
    done
}

@test "what is written into a chain of BIOs does not reach an impostor" {
    local version mode
    for version in tls1.2 tls1.3; do
        reader impostor
        for mode in read handshake buffer; do
            silent bio_chain "$PORT" $mode $version
        done
    done
}

@test "a chain of BIOs to a server with an anonymous suite carries nothing" {
    local mode
    reader good -nocert -cipher aNULL:@SECLEVEL=0 -tls1_2
    for mode in read handshake buffer; do
        silent bio_chain "$PORT" tls1.2 cipher=aNULL:@SECLEVEL=0 $mode
    done
    reaches bio_chain tls1.2 cipher=aNULL:ECDHE:@SECLEVEL=0
    # What the shim builds on: above level 0 libssl by itself offers none.
    capture bare "$PATHS/bio_chain" 127.0.0.1 "$PORT" tls1.2 cipher=aNULL:ECDHE:@SECLEVEL=0 text=OFFERED
    equals "$STATUS" 0
    capture bare "$PATHS/bio_chain" 127.0.0.1 "$PORT" tls1.2 cipher=aNULL:ECDHE:@SECLEVEL=1 text=WITHHELD
    [ "$STATUS" -ne 0 ] || explain 'an anonymous suite was offered'
    run -1 grep -a WITHHELD "$READER"
}

@test "an impostor's session from before is not resumed for a pinned name, and the impostor is refused" {
    local version way
    for version in tls1.2 tls1.3; do
        for way in set copy dup clear der pem 'set late' 'copy late' 'der late' 'pem late'; do
            # shellcheck disable=SC2086 # words
            set -- $way $version first=other.example
            capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" "$@"
            has "$OUT" $'hello from impostor\n\nreused: 1'
            refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" "$@"
            has "$OUT" 'second SSL_connect: -1, error 1, verify result 28'
            has "$OUT" 'reused: 0'
        done
        refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" set bio $version first=other.example
        has "$OUT" 'reused: 0'
    done
}

@test "an impostor's session is not resumed for a pinned name although the good certificate was written into it, or verified for it" {
    local version way
    for version in tls1.2 tls1.3; do
        for way in rewritten by-hand; do
            capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" $way "certificate=$LAB/good.pem" $version first=other.example
            has "$OUT" $'hello from impostor\n\nreused: 1'
            refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" $way "certificate=$LAB/good.pem" $version first=other.example
            has "$OUT" 'second SSL_connect: -1, error 1, verify result 28'
            has "$OUT" 'reused: 0'
        done
    done
}

@test "a session for another name is not resumed by a client that gives no name" {
    local version
    pins "localhost spki-sha256:$PIN_GOOD"
    for version in tls1.2 tls1.3; do
        capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" set $version first=other.example second=localhost nameless
        has "$OUT" $'hello from impostor\n\nreused: 1'
        refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" set $version first=other.example second=localhost nameless
        has "$OUT" 'second SSL_connect: -1, error 1, verify result 28'
    done
}

@test "an SSL that has resumed a session for another name, and is used again for a pinned one, resumes nothing" {
    local version way
    for version in tls1.2 tls1.3; do
        for way in state set reset; do
            capture bare "$PATHS/reuse" 127.0.0.1 "$IMPOSTOR" $way $version first=other.example
            has "${OUT#*the third connection}" 'hello from impostor'
            refused "$PATHS/reuse" 127.0.0.1 "$IMPOSTOR" $way $version first=other.example
            has "$OUT" 'the third connection'
            lacks "${OUT#*the third connection}" 'hello from'
            accepted "$PATHS/reuse" 127.0.0.1 "$GOOD" $way $version
            has "${OUT#*the third connection}" 'hello from good'
        done
    done
}

@test "a session for another name is not resumed where the ciphers are asked for before the name is set" {
    local version way
    for version in tls1.2 tls1.3; do
        for way in set 'set late'; do
            # shellcheck disable=SC2086 # words
            set -- $way ciphers $version
            capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" "$@" first=other.example
            has "$OUT" 'reused: 1'
            refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" "$@" first=other.example
            has "$OUT" 'second SSL_connect: -1, error 1, verify result 28'
            has "$OUT" 'reused: 0'
            # Where the shim does not see who asks, the handshake seems to start.
            if is_inside && [[ $way == *late* ]]; then resumes 0 "$@"; else resumes 1 "$@"; fi
        done
    done
}

@test "a session for another name is not resumed where a callback sets the name when the handshake starts" {
    local version
    for version in tls1.2 tls1.3; do
        capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" named $version first=other.example
        has "$OUT" 'reused: 1'
        refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" named $version first=other.example
        has "$OUT" 'second SSL_connect: -1, error 1, verify result 28'
        accepted "$PATHS/resume" 127.0.0.1 "$GOOD" named $version first=other.example
        has "${OUT#*second SSL_connect}" 'hello from good'
    done
}

@test "a chain of BIOs whose target is known only by its resolved name resumes no session for another name" {
    local version
    pins "localhost spki-sha256:$PIN_GOOD"
    for version in tls1.2 tls1.3; do
        set -- $version first=other.example resolved=localhost
        capture bare "$PATHS/bio_chain" 127.0.0.1 "$IMPOSTOR" "$@"
        has "${OUT#*the chain}" 'hello from impostor'
        has "$OUT" 'reused: 1'
        refused "$PATHS/bio_chain" 127.0.0.1 "$IMPOSTOR" "$@"
        lacks "${OUT#*the chain}" 'hello from'
        has "$OUT" 'reused: 0'
        accepted "$PATHS/bio_chain" 127.0.0.1 "$GOOD" "$@"
        has "${OUT#*the chain}" 'hello from good'
    done
}

@test "a rule that allows one of the target's names does not let a forged session in for another" {
    local version saved=$BATS_TEST_TMPDIR/session
    for version in tls1.2 tls1.3; do
        pins '* allow'
        capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" set $version "save=$saved"
        equals "$STATUS" 0
        /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/forge.py" "$saved" "$LAB/impostor.pem" "$LAB/good.pem"
        for allowed in '**.allowed.example allow' '* allow'; do
            pins "127.0.0.1 spki-sha256:$PIN_GOOD" "$allowed"
            set -- set $version "load=$saved" second=www.allowed.example
            capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" "$@"
            has "$OUT" $'hello from impostor\n\nreused: 1'
            refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" "$@"
            has "$OUT" 'reused: 0'
            resumes 0 "$@"
        done
    done
}

@test "a forged session is not resumed although the program has verified the certificate in it" {
    local version saved=$BATS_TEST_TMPDIR/session
    for version in tls1.2 tls1.3; do
        capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" set $version "save=$saved"
        equals "$STATUS" 0
        /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/forge.py" "$saved" "$LAB/impostor.pem" "$LAB/good.pem"
        set -- by-hand $version "load=$saved"
        capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" "$@"
        has "$OUT" $'hello from impostor\n\nreused: 1'
        refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" "$@"
        has "$OUT" 'reused: 0'
        resumes 0 "$@"
    done
}

@test "a session that a callback sets when the handshake starts is judged like any other" {
    local version saved=$BATS_TEST_TMPDIR/session
    for version in tls1.2 tls1.3; do
        capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" callback $version first=other.example
        has "$OUT" 'reused: 1'
        refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" callback $version first=other.example
        has "$OUT" 'second SSL_connect: -1, error 1, verify result 28'
        # It says that it is of the good server, but any process may have written that.
        capture bare "$PATHS/resume" 127.0.0.1 "$GOOD" set $version "save=$saved"
        resumes 0 callback $version "load=$saved"
        resumes 1 callback $version
        # libssl asks several times when a handshake starts. Before 3.0 it has decided by then.
        ! readelf -d "$PATHS/resume" | grep -qF libssl.so.1.1 && [[ $(openssl version) != *' 1.1.1'* ]] || continue
        capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" asked $version first=other.example
        has "$OUT" 'reused: 1'
        refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" asked $version first=other.example
        has "$OUT" 'second SSL_connect: -1, error 1, verify result 28'
        resumes 0 asked $version "load=$saved"
        resumes 1 asked $version
    done
}

@test "an SSL that shares its certificates with one in the middle of its handshake resumes no session for another name" {
    local version
    for version in tls1.2 tls1.3; do
        fails within $version
        fails within $version late
        fails within $version function
        fails within $version function late
        reaches within $version
        reaches within $version late
    done
}

@test "a chain of BIOs that is reset resumes no session for another name, and its new peer is judged anew" {
    local how
    for how in tls1.2 tls1.3 fixed 'tls1.2 read' 'tls1.3 read' 'tls1.3 connect' 'fixed connect'; do
        # An impostor's session from before.
        # shellcheck disable=SC2086 # words
        set -- $how first=other.example
        capture bare "$PATHS/reset" 127.0.0.1 "$IMPOSTOR" "$IMPOSTOR" "$@"
        has "${OUT#*second answer}" 'hello from impostor'
        has "$OUT" 'reused: 1'
        refused "$PATHS/reset" 127.0.0.1 "$IMPOSTOR" "$IMPOSTOR" "$@"
        lacks "${OUT#*second answer}" 'hello from'
        # The good server was confirmed, and an impostor follows.
        # shellcheck disable=SC2086 # words
        set -- $how
        refused "$PATHS/reset" 127.0.0.1 "$GOOD" "$IMPOSTOR" "$@"
        has "${OUT%second answer*}" 'hello from good'
        lacks "${OUT#*second answer}" 'hello from'
        accepted "$PATHS/reset" 127.0.0.1 "$GOOD" "$GOOD" "$@"
        has "${OUT#*second answer}" 'hello from good'
    done
}

@test "a session of the good server is not resumed by an impostor" {
    local version way
    for version in tls1.2 tls1.3; do
        for way in set copy clear der; do
            refused "$PATHS/resume" 127.0.0.1 "$GOOD" $way $version "second-port=$IMPOSTOR"
            has "$OUT" 'second SSL_connect: -1, error 1, verify result 28'
        done
    done
}

@test "a session whose server this process has verified is resumed" {
    local version way
    for version in tls1.2 tls1.3; do
        for way in set copy dup clear der 'set late' 'copy late' 'der late' 'set bio' 'copy bio' 'set late bio'; do
            # Under TLS 1.3 libssl shows a session with a ticket only to programs that have a callback for it.
            [[ $version != tls1.3 || $way != der* ]] || ! is_inside || continue
            # shellcheck disable=SC2086 # words
            resumes 1 $way $version
        done
    done
    fails connect
}

@test "a session whose server this process has verified is resumed after it went through PEM" {
    local version
    # From 3.6 on libssl writes PEM without a call that could be seen: a full handshake.
    [[ ! $(openssl version) =~ \ (3\.[6-9]|[4-9]\.) ]] || skip 'leads to a full handshake from 3.6 on'
    for version in tls1.2 tls1.3; do
        [[ $version != tls1.3 ]] || ! is_inside || continue
        resumes 1 pem $version
        resumes 1 pem late $version
    done
    fails connect
}

@test "a session that another process has written leads to a full handshake" {
    local version saved=$BATS_TEST_TMPDIR/session
    for version in tls1.2 tls1.3; do
        capture shim "$PATHS/resume" 127.0.0.1 "$GOOD" set $version "save=$saved"
        equals "$STATUS" 0
        capture bare "$PATHS/resume" 127.0.0.1 "$GOOD" set $version "load=$saved"
        has "$OUT" 'reused: 1'
        resumes 0 set $version "load=$saved"
        capture bare "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" set $version "save=$saved"
        equals "$STATUS" 0
        refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" set $version "load=$saved"
        has "$OUT" 'second SSL_connect: -1, error 1, verify result 28'
    done
}

@test "what a program verifies beside its connection is left alone" {
    local version
    for version in tls1.2 tls1.3; do
        held verify_other $version "ca=$LAB/ca.pem" "other=$LAB/impostor.pem"
        accepted "$PATHS/verify_other" 127.0.0.1 "$GOOD" $version "ca=$LAB/ca.pem" "other=$LAB/impostor.pem"
        equals "$(grep -c 'X509_verify_cert: 1' <<<"$OUT")" 2
    done
}

@test "an issuer that only the program's own verification knows is seen where it is revoked" {
    seen
    local version peer
    for version in tls1.2 tls1.3; do
        for peer in '' peer; do
            # shellcheck disable=SC2086 # no word, or one
            set -- 127.0.0.1 "$GOOD" beside $peer $version "ca=$LAB/ca.pem"
            pins '* allow'
            accepted "$PATHS/verify_callback" "$@"
            has "$OUT" 'hello from good'
            has "$OUT" 'own verification called: 1'
            pins '* allow' "@revoked spki-sha256:$(lab_spki "$LAB/ca.pem")"
            refused "$PATHS/verify_callback" "$@"
            has "$(lines refused)" "$PINS:2 revokes "
        done
    done
}

@test "early data does not reach an impostor" {
    reader impostor -early_data -tls1_3
    silent early_data "$PORT" first=other.example
    run -0 grep -a 'Early data received' "$READER"
}

@test "early data does not reach an impostor through a chain of BIOs whose target is known only by its resolved name" {
    pins "localhost spki-sha256:$PIN_GOOD"
    reader impostor -early_data -tls1_3
    silent early_data "$PORT" chain first=other.example second=localhost
    run -0 grep -a 'Early data received' "$READER"
    reader good -early_data -tls1_3
    arrives shim early_data "$PORT" first=other.example second=other.example
}

@test "nothing is written in clear text after a handshake that a callback has left by a jump, nor within a callback" {
    seen
    local version how
    relay "$IMPOSTOR"
    for version in tls1.2 tls1.3; do
        for how in '' within; do
            # shellcheck disable=SC2086 # no word, or one
            set -- $how $version
            capture shim "$PATHS/jump" 127.0.0.1 "$PORT" "$@" text=LEAKED
            has "$OUT" 'SSL_write: -1'
            run -1 grep 'SSL_write: [0-9]' <<<"$OUT"
        done
        capture bare "$PATHS/jump" 127.0.0.1 "$PORT" $version text=ARRIVED
        lab_wait grep -aq ARRIVED "$RELAYED"
        run -1 grep -a LEAKED "$RELAYED"
    done
}

@test "nothing is written in clear text after early data that a callback has left by a jump, nor within a callback" {
    seen
    local how
    reader good -early_data -tls1_3
    relay "$PORT"
    for how in '' within; do
        # shellcheck disable=SC2086 # no word, or one
        capture shim "$PATHS/jump" 127.0.0.1 "$PORT" early tls1.3 $how text=LEAKED
        # From 3.5 on the handshake goes on.
        has "$OUT" 'SSL_write: '
    done
    capture bare "$PATHS/jump" 127.0.0.1 "$PORT" early tls1.3 text=ARRIVED
    lab_wait grep -aq ARRIVED "$RELAYED"
    run -1 grep -a LEAKED "$RELAYED"
}

# once_more [OPTION...]: after a callback of the program left that handshake does what it does without the shim, and is called as often: at least once,
# where the shim asks as well
once_more() {
    local without status
    capture bare "$PATHS/left" 127.0.0.1 "$GOOD" "$@"
    without=$(grep -v '^Date: ' <<<"$OUT")
    status=$STATUS
    has "$OUT" 'SSL_connect: 1,'
    capture shim "$PATHS/left" 127.0.0.1 "$GOOD" "$@"
    lacks "$ERR" 'pinshim['
    equals "$STATUS" "$status"
    if is_inside; then
        without=$(sed -E 's/: [1-9][0-9]*/: some/' <<<"$without")
        OUT=$(sed -E 's/: [1-9][0-9]*/: some/' <<<"$OUT")
    fi
    equals "$(grep -v '^Date: ' <<<"$OUT")" "$without"
}

@test "a callback of the program's that was left by a jump is called again, and the good server is reached" {
    local version deep
    for version in tls1.2 tls1.3; do
        for deep in '' deep; do
            once_more security $version $deep
            once_more security skip=1 $version $deep
            once_more own $version $deep
            once_more info skip=4 $version $deep
            once_more message $version $deep
            once_more query $version $deep
        done
    done
    # Under TLS 1.3 it is called by a read, and libssl reads no more tickets after that.
    once_more session tls1.2
    has "$OUT" 'called: '
    lacks "$OUT" 'called: 0'
    for deep in '' deep; do
        capture bare "$PATHS/left" 127.0.0.1 "$IMPOSTOR" message tls1.2 $deep
        has "$OUT" 'hello from impostor'
        capture shim "$PATHS/left" 127.0.0.1 "$IMPOSTOR" message tls1.2 $deep
        lacks "$OUT" 'hello from'
        equals "$(count_lines refused)" 1
    done
}

@test "a security callback that calls the one which it has found before each call is asked, and the calls end" {
    local version
    for version in tls1.2 tls1.3; do
        held security each $version
        has "$OUT" 'called: 1'
    done
}

@test "after a handshake, or a query, that a callback has left by a jump, a session of another process is not resumed" {
    local version how saved=$BATS_TEST_TMPDIR/session
    for version in tls1.2 tls1.3; do
        capture bare "$PATHS/resume" 127.0.0.1 "$GOOD" set $version "save=$saved"
        for how in message 'message deep' 'message server' query 'query deep'; do
            # shellcheck disable=SC2086 # words
            set -- $how $version
            capture bare "$PATHS/left" 127.0.0.1 "$GOOD" "$@" "load=$saved"
            has "$OUT" 'reused: 1'
            capture shim "$PATHS/left" 127.0.0.1 "$GOOD" "$@" "load=$saved"
            has "$OUT" 'reused: 0'
            has "$OUT" 'SSL_connect: 1,'
        done
    done
}

@test "a thread can be cancelled after a callback for client certificates that it has left by a jump" {
    local version
    cp "$LAB/good.pem" "$LAB/asking.pem"
    cp "$LAB/good.key" "$LAB/asking.key"
    lab_nginx asking "ssl_client_certificate $LAB/ca.pem; ssl_verify_client optional;"
    chmod 600 "$LAB/good.key"
    pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/good.pem client-key=$LAB/good.key"
    for version in tls1.2 tls1.3; do
        for how in bare shim; do
            capture $how "$PATHS/left" 127.0.0.1 "$PORT" client $version
            has "$OUT" $'cancels: 1\ncalled: 1,'
            has "$OUT" 'SSL_connect: 1,'
        done
    done
}

@test "early data is judged at each write: a name that is set in between counts" {
    seen
    reader impostor -early_data -tls1_3
    silent early_data "$PORT" first=other.example second=other.example then=www.pinned.example
    run -0 grep -a BEFORE "$READER"
    reader good -early_data -tls1_3
    arrives shim early_data "$PORT" then=www.pinned.example
    run -0 grep -a BEFORE "$READER"
}

@test "an SSL that is reset amid early data, and given a name whose pins its session does not satisfy, fails as without the shim" {
    local how name
    for how in connect accept; do
        for name in other.example www.pinned.example; do
            reader impostor -early_data -tls1_3
            set -- 127.0.0.1 "$PORT" first=other.example second=other.example then=$name reset=$how text=LEAKED
            capture bare "$PATHS/early_data" "$@"
            has "$OUT" 'SSL_write_early_data: 0'
            run -0 grep -a BEFORE "$READER"
            capture shim "$PATHS/early_data" "$@"
            has "$OUT" 'SSL_write_early_data: 0'
            [ "$STATUS" -lt 128 ] || explain "killed: $how, $name"
            run -1 grep -a LEAKED "$READER"
        done
    done
}

@test "early data reaches the good server on a session that this process has verified" {
    reader good -early_data -tls1_3
    arrives shim early_data "$PORT"
    run -0 grep -a 'Early data received' "$READER"
    fails connect
}

@test "an impostor gets nothing from a client that writes early data for the good server, whatever it calls between" {
    local call
    for call in read read_ex peek write write_ex handshake connect; do
        capture shim "$PATHS/alike" "lab=$LAB" fd early tls1.3 "drive=$call" sni=www.pinned.example impostor
        has "$OUT" $'early: 1, error 0'
        # Up to 3.x libssl itself fails at a read where the server does not resume.
        case $call in
            read* | peek) [ "$(count_lines refused)" -le 1 ] || explain 'logged more than once' ;;
            *) equals "$(count_lines refused)" 1 ;;
        esac
        equals "$(grep -c 'server: "' <<<"$OUT")" 0
        lacks "$OUT" '"two"'
    done
    capture bare "$PATHS/alike" "lab=$LAB" fd early tls1.3 drive=write sni=www.pinned.example impostor
    has "$OUT" 'server: "three"'
}

@test "a server that only knows the client's pre-shared key gets nothing" {
    local version where how key=0102030405060708090a0b0c0d0e0f10
    for version in tls1.2 tls1.3; do
        # shellcheck disable=SC2046 # words
        reader good -nocert -psk $key $([ $version = tls1.2 ] && echo -tls1_2 -cipher PSK:@SECLEVEL=0 || echo -tls1_3)
        for where in connection context; do
            for how in function bio; do
                silent psk "$PORT" $version $where $how
                if [[ $version != tls1.2 && ! $how =~ bio|chain ]]; then
                    capture shim "$PATHS/psk" 127.0.0.1 "$PORT" $version $where $how
                    equals "$(count_lines 'refused|notice')" 1
                fi
                arrives shim psk "$PORT" $version $where $how sni=other.example
            done
        done
    done
    # TLS 1.3 with the callback that is meant for TLS 1.2.
    silent psk "$PORT" old-callback
}

@test "a pre-shared key is not offered before the address is known where addresses have rules" {
    local version where key=0102030405060708090a0b0c0d0e0f10
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    for version in tls1.2 tls1.3; do
        # shellcheck disable=SC2046 # words
        reader good -nocert -psk $key $([ $version = tls1.2 ] && echo -tls1_2 -cipher PSK:@SECLEVEL=0 || echo -tls1_3)
        silent psk "$PORT" $version context chain to=localhost
    done
    # TLS 1.3 with the callback that is meant for TLS 1.2.
    for where in connection context; do
        silent psk "$PORT" tls1.3 old-callback $where chain to=localhost
    done
    held psk tls1.3 old-callback context chain to=localhost
    pins 'unrelated.example deny'
    arrives shim psk "$PORT" tls1.3 context chain to=localhost
}

@test "a client that has a pre-shared key reaches the good server by its certificate" {
    local version where
    for version in tls1.2 tls1.3; do
        for where in connection context; do
            held psk $version $where
            held psk $version $where bio
        done
    done
}

@test "an impostor is refused on an SSL that was a server's, and the refused SSL reads nothing as a server's either" {
    local version
    for version in tls1.2 tls1.3; do
        held turned $version
        refused "$PATHS/turned" 127.0.0.1 "$IMPOSTOR" $version
        has "$OUT" 'again as a server: -1, error 1, verify result 28'
    done
    # That the shim drives its handshake shows where no certificate could be refused: the program is told why.
    reader good -nocert -cipher aNULL:@SECLEVEL=0 -tls1_2
    capture shim "$PATHS/turned" 127.0.0.1 "$PORT" tls1.2 cipher=aNULL:@SECLEVEL=0
    equals "$STATUS" 1
    if is_inside; then
        has "$(lines refused)" 'an anonymous suite) was not offered'
    else
        has "$(lines refused)" "no certificate for the pin of $PINS:1"
    fi
}

@test "an impostor is refused where SSL_accept runs a client's handshake" {
    held accept tls1.2
    held accept tls1.3
}

@test "a client that verifies the chain itself does not overrule a pin" {
    local version
    for version in tls1.2 tls1.3; do
        held verify_callback accept-all $version
        has "$OUT" 'own verification called: 1'
        held verify_callback accept-all peer $version
        held verify_callback per-connection $version
        held verify_callback accept-all null per-connection $version
        held verify_callback accept-all null $version
        has "$OUT" 'own verification called: 0'
        held bio_chain accept-all $version
    done
}

@test "verification callbacks with ever new arguments take no memory, and the last one is in force" {
    held verify_callback per-connection before=200000
    has "$OUT" $'memory taken: 0\n'
    has "$OUT" 'own verification called: 1'
    held verify_callback accept-all null per-connection before=7
    held verify_callback accept-all per-connection before=8
}

@test "a client whose verification starts over with a store of its own does not overrule a pin" {
    local version how
    for version in tls1.2 tls1.3; do
        for how in function bio; do
            held verify_callback reinit peer $how $version "ca=$LAB/ca.pem"
            has "$OUT" 'own verification called: 1'
        done
    done
    held verify_callback reinit "ca=$LAB/ca.pem"
}

@test "a client certificate does not go to an impostor where the verification starts over" {
    local version how
    reader impostor -verify 1
    for version in tls1.2 tls1.3; do
        for how in function bio; do
            capture shim "$PATHS/verify_callback" 127.0.0.1 "$PORT" reinit peer $how $version "ca=$LAB/ca.pem" \
                "identity=$LAB/good" text=LEAKED
            equals "$(count_lines refused)" 1
        done
    done
    arrives bare verify_callback "$PORT" reinit peer "ca=$LAB/ca.pem"
    run -1 grep -aE 'LEAKED|CN *= *good' "$READER"
    arrives bare verify_callback "$PORT" reinit peer "ca=$LAB/ca.pem" "identity=$LAB/good"
    lab_wait grep -aqE 'CN *= *good' "$READER"
}

@test "a name that a verify callback has verified is a target" {
    local version
    for version in tls1.2 tls1.3; do
        held verify_callback name nameless peer $version "ca=$LAB/ca.pem"
    done
    pins "other.example deny"
    accepted "$PATHS/verify_callback" 127.0.0.1 "$IMPOSTOR" name nameless peer "ca=$LAB/ca.pem"
}

@test "an anonymous handshake that SSL_connect begins and a chain of BIOs finishes carries nothing" {
    refused "$PATHS/one_process" "$LAB/good" anonymous
    lacks "$OUT" 'the server received'
    capture bare "$PATHS/one_process" "$LAB/good" anonymous
    has "$OUT" 'the server received SECRET with A'
    accepted "$PATHS/one_process" "$LAB/good" anonymous sni=other.example
    has "$OUT" 'the server received SECRET with A'
    accepted "$PATHS/one_process" "$LAB/good" anonymous plain
    has "$OUT" 'the server received SECRET with ECDHE-ECDSA'
    refused "$PATHS/one_process" "$LAB/impostor" anonymous plain
}

@test "a server that only knows a session's secret gets nothing through a chain of BIOs" {
    capture bare "$PATHS/one_process" "$LAB/good" secret
    has "$OUT" 'the server received SECRET'
    capture shim "$PATHS/one_process" "$LAB/good" secret
    equals "$STATUS" 1
    equals "$OUT" ''
    accepted "$PATHS/one_process" "$LAB/good" secret sni=other.example
    has "$OUT" 'the server received SECRET'
    accepted "$PATHS/one_process" "$LAB/good" secret plain
    refused "$PATHS/one_process" "$LAB/impostor" secret plain
}

@test "a callback that leaves by a jump to SSL_write sends nothing to a server without a certificate" {
    reader good -nocert -cipher aNULL:@SECLEVEL=0 -tls1_2
    silent tail_call "$PORT" tls1.2 cipher=aNULL:@SECLEVEL=0
    arrives shim tail_call "$PORT" tls1.2 cipher=aNULL:@SECLEVEL=0 sni=other.example
    reader good
    arrives shim tail_call "$PORT"
}

@test "an impostor that takes the good server's place in a renegotiation is refused" {
    local who how
    for who in server client; do
        for how in function bio; do
            refused "$PATHS/renegotiate" "$LAB/good" "$LAB/impostor" $who $how
            lacks "$OUT" 'the server received'
            capture bare "$PATHS/renegotiate" "$LAB/good" "$LAB/impostor" $who $how
            has "$OUT" 'the server received SECRET'
            accepted "$PATHS/renegotiate" "$LAB/good" "$LAB/good" $who $how
            has "$OUT" 'the server received SECRET'
        done
    done
}

@test "a client certificate that is asked for after the handshake does not go to an impostor" {
    local how
    for how in function bio; do
        refused "$PATHS/post_handshake" "$LAB/impostor" "$LAB/good" tls1.3 $how
        lacks "$OUT" 'the server saw'
        capture bare "$PATHS/post_handshake" "$LAB/impostor" "$LAB/good" tls1.3 $how
        has "$OUT" 'the server saw /CN=good'
        accepted "$PATHS/post_handshake" "$LAB/good" "$LAB/impostor" tls1.3 $how
        has "$OUT" 'the server saw /CN=impostor'
    done
}

@test "a DTLS impostor is refused, on a connected socket and on one that is not" {
    local how server
    reader impostor -dtls
    server=$PORT
    for how in connected unconnected; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
        silent dtls "$server" $how sni=www.pinned.example
        # By its address.
        pins "127.0.0.1 spki-sha256:$PIN_GOOD"
        silent dtls "$server" $how
        pins "127.0.0.1:$server spki-sha256:$PIN_GOOD"
        silent dtls "$server" $how
    done
    pins "127.0.0.2 spki-sha256:$PIN_GOOD"
    arrives shim dtls "$server" connected
}

@test "on a datagram socket the target is where the handshake was started to, whoever answers" {
    local how
    reader impostor -dtls
    # It takes what is sent to 127.0.0.1, and answers from 127.0.0.2.
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/elsewhere.py" "$PORT" >"$BATS_TEST_TMPDIR/elsewhere" 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait grep -q . "$BATS_TEST_TMPDIR/elsewhere"
    PORT=$(<"$BATS_TEST_TMPDIR/elsewhere")
    for how in unconnected told late own; do
        pins "127.0.0.1 spki-sha256:$PIN_GOOD"
        silent dtls "$PORT" $how
        # What answers has a rule, which is not asked.
        pins "127.0.0.1:$PORT spki-sha256:$PIN_GOOD" '127.0.0.2 allow' '* allow'
        silent dtls "$PORT" $how
        pins '127.0.0.2 deny'
        arrives shim dtls "$PORT" $how
    done
}

@test "a good DTLS server is reached, on a connected socket and on one that is not" {
    reader good -dtls
    arrives shim dtls "$PORT" connected sni=www.pinned.example
    arrives shim dtls "$PORT" unconnected sni=www.pinned.example
    pins "127.0.0.1:$PORT spki-sha256:$PIN_GOOD"
    arrives shim dtls "$PORT" connected
    pins "127.0.0.1:$PORT spki-sha256:$PIN_IMPOSTOR"
    refused "$PATHS/dtls" 127.0.0.1 "$PORT" connected
    has "$LINE" "refused 127.0.0.1:$PORT: no pin of $PINS:1 matched"
}

@test "a client that ignores its failures and goes on moves no byte" {
    local version how
    reader impostor
    for version in tls1.2 tls1.3; do
        for how in plain unshut; do
            capture shim "$PATHS/go_on" 127.0.0.1 "$PORT" LEAKED $version $how
            equals "$STATUS" 1
            equals "${OUT##*$'\n'}" 'moved: 0'
            equals "$(count_lines refused)" 1
            capture bare "$PATHS/go_on" 127.0.0.1 "$PORT" ARRIVED $version $how
            lab_wait grep -aq ARRIVED "$READER"
            run -1 grep -a LEAKED "$READER"
        done
    done
}

@test "an impostor is refused where every function is found by dlsym or dlvsym" {
    seen
    local by first
    for by in dlsym dlvsym; do
        for first in SSL_write SSL_connect SSL_do_handshake; do
            held by_dlsym $by $first
        done
    done
}

@test "what dlsym and dlerror say of symbols that are not there is as without the shim" {
    seen
    capture bare "$PATHS/by_dlsym" errors
    equals "$STATUS" 0
    local without=$OUT
    has "$without" 'of another library: missing, '
    capture shim "$PATHS/by_dlsym" errors
    equals "$OUT" "$without"
    fails by_dlsym
}

@test "another preloaded object finds what stands next after it" {
    seen
    local order program port by library
    for order in "$LAB/helper.so $SHIM_SO" "$SHIM_SO $LAB/helper.so"; do
        capture env LD_PRELOAD="$order" PINSHIM_PINS="$PINS" "$PATHS/connect" 127.0.0.1 "$GOOD"
        has "$OUT" 'hello from good'
        has "$ERR" 'helper: gethostname the same'
        capture env LD_PRELOAD="$order" PINSHIM_PINS="$PINS" "$PATHS/connect" 127.0.0.1 "$IMPOSTOR"
        equals "$STATUS" 1
        lacks "$OUT" 'hello from'
        equals "$(count_lines refused)" 1
    done
    # By a handle neither comes in between. The helper may look for libssl's function by one, too.
    library=$(ldd "$PATHS/connect" | sed -n 's/.*libssl[^ ]* => \([^ ]*\).*/\1/p')
    for program in connect by_dlsym; do
        for port in "$GOOD" "$IMPOSTOR"; do
            for order in "$LAB/helper.so $SHIM_SO" "$SHIM_SO $LAB/helper.so"; do
                for by in '' "$library"; do
                    capture env ${by:+HELPER_LIBRARY="$by"} LD_PRELOAD="$order" PINSHIM_PINS="$PINS" "$PATHS/$program" 127.0.0.1 "$port" SSL_connect
                    [[ $program = by_dlsym || $order = "$SHIM_SO "* ]] || has "$ERR" 'helper: SSL_connect'
                    [ $program = connect ] || lacks "$ERR" 'helper: SSL_connect'
                    [ "$port" = "$IMPOSTOR" ] || has "$OUT" 'hello from good'
                    [ "$port" = "$GOOD" ] || equals "$STATUS $(count_lines refused)" '1 1'
                done
            done
        done
    done
}

@test "a session for another name is not resumed where an object behind the shim finds every function by RTLD_NEXT" {
    seen
    local version
    for version in tls1.2 tls1.3; do
        PRELOAD_ALSO=$LAB/next.so held next $version
        has "$OUT" 'reused: 1'
    done
}

@test "a session that another process has left is not resumed there, and the impostor is refused" {
    seen
    local version
    export PRELOAD_ALSO=$LAB/next.so
    for version in tls1.2 tls1.3; do
        capture bare "$PATHS/next" 127.0.0.1 "$IMPOSTOR" $version "save=$BATS_TEST_TMPDIR/session"
        equals "$STATUS" 0
        capture bare "$PATHS/next" 127.0.0.1 "$IMPOSTOR" $version "load=$BATS_TEST_TMPDIR/session"
        has "$OUT" 'reused: 1'
        refused "$PATHS/next" 127.0.0.1 "$IMPOSTOR" $version "load=$BATS_TEST_TMPDIR/session"
        lacks "$OUT" 'hello from'
        accepted "$PATHS/next" 127.0.0.1 "$GOOD" $version "load=$BATS_TEST_TMPDIR/session"
        has "$OUT" 'hello from good'
    done
}

@test "an impostor is refused where a program that exports OpenSSL's names itself finds a libssl's functions by dlsym" {
    local version
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -DOWN -rdynamic -o "$LAB/own" "$BATS_TEST_DIRNAME/paths/by_dlsym.c" -ldl
    for version in tls1.2 tls1.3; do
        PATHS=$LAB held own SSL_connect $version
        PATHS=$LAB held own $version
    done
}

@test "an impostor is refused in an object that libc loads into a program that is linked with libc alone" {
    local converter=(env "GCONV_PATH=$LAB/gconv" HOST=127.0.0.1 iconv -f pinshim -t utf-8 /dev/null)
    mkdir -p "$LAB/gconv"
    cp "$LAB/plugin.so" "$LAB/gconv/converter.so"
    echo 'module PINSHIM// INTERNAL converter 1' >"$LAB/gconv/gconv-modules"
    if [[ $BATS_TEST_FILENAME == */paths_musl.bats ]]; then
        # musl loads none.
        echo 'int main(void) { return iconv_open("utf-8", "pinshim") != (iconv_t)-1; }' | "$CC" -include iconv.h -o "$LAB/converter" -x c -
        capture bare "${converter[@]:0:3}" "PORT=$IMPOSTOR" "$LAB/converter"
        equals "$STATUS: $OUT" '0: '
        fails connect
        return
    fi
    if [ -n "${SHIM_OPENSSL:-}" ]; then
        # It may need another libc than iconv has.
        echo 'int main(void) { return iconv_open("utf-8", "pinshim") == (iconv_t)-1; }' | "$CC" -include iconv.h -o "$LAB/converter" -x c -
        converter=("${converter[@]:0:3}" "$LAB/converter")
    fi
    # On arm64 the loader is among them.
    equals "$(readelf -d "$(type -P "${converter[3]}")" | grep NEEDED | grep -vc ld-linux)" 1
    refused env "PORT=$IMPOSTOR" "${converter[@]}"
    lacks "$OUT" 'hello from'
    accepted env "PORT=$GOOD" "${converter[@]}"
    has "$OUT" 'hello from good'
}

@test "where dlsym is nowhere to be found, programs without TLS live and clients reach nobody" {
    seen
    local program without=$BATS_TEST_TMPDIR/without.so
    sed -e 's/dlerror/dlnrror/g' -e 's/__libc_dlopen_mode/__libc_dlopen_node/g' "$SHIM_SO" >"$without"
    run -1 cmp -s "$SHIM_SO" "$without"
    SHIM_SO=$without
    capture shim sh -c 'echo running | cat && getent hosts localhost'
    equals "$STATUS" 0
    has "$OUT" running
    equals "$ERR" ''
    for program in connect verify_callback; do
        capture shim "$PATHS/$program" 127.0.0.1 "$GOOD"
        [ "$STATUS" -ne 0 ] || explain 'not refused'
        [ "$STATUS" -lt 128 ] || explain 'killed'
        lacks "$OUT" 'hello from'
        equals "$(grep '^pinshim' <<<"$ERR")" 'pinshim: dlsym was found neither in glibc nor in musl'
    done
}

@test "a verification of the program's own that it sets in the midst of the handshake does not let an impostor in" {
    local version
    for version in tls1.2 tls1.3; do
        held addon $version own
        held addon $version
    done
}

@test "a verification of the program's own that it sets in the midst of a handshake with RSA key exchange does not let an impostor in" {
    KEY_KIND=RSA lab_cert good-rsa /CN=good
    KEY_KIND=RSA lab_cert impostor-rsa /CN=impostor
    lab_nginx good-rsa 'ssl_ciphers ALL:@SECLEVEL=0;'
    local good=$PORT
    lab_nginx impostor-rsa 'ssl_ciphers ALL:@SECLEVEL=0;'
    pins "www.pinned.example spki-sha256:$(lab_spki "$LAB/good-rsa.pem")"
    GOOD=$good IMPOSTOR=$PORT
    held addon tls1.2 static own
    held addon tls1.2 static
}

@test "an impostor is refused where the program has a security callback of its own, on whatever it is set" {
    local way
    for way in ssl dup before after copy to from; do
        held security $way permit
        held security $way permit tls1.2
    done
}

@test "memory functions of the program's own are taken as without the shim, and an impostor is refused" {
    local when
    for when in '' late used; do
        # shellcheck disable=SC2086 # words
        held memory $when
    done
}

@test "what was kept for another SSL at the same address does not count, where processes share OpenSSL's memory" {
    seen
    pins "127.0.0.1:$IMPOSTOR spki-sha256:$PIN_GOOD"
    fails shared "before=$GOOD" tls1.2
    fails shared "before=$GOOD" tls1.3
}

@test "an impostor is refused where the program interposes dl_iterate_phdr" {
    held own_iterate tls1.2
    held own_iterate tls1.3
    EARLY=1 held own_iterate tls1.3
}

@test "an impostor is refused, and the good server reached, where the program has connected before libc knew its environment" {
    held preinit tls1.2
    held preinit tls1.3
}

@test "an impostor is refused in a plugin that is loaded with RTLD_DEEPBIND" {
    local depth version
    for version in tls1.2 tls1.3; do
        for depth in shallow deepbind; do
            held plugin "$LAB/plugin.so" $depth $version
            held plugin "$LAB/plugin.so" $depth $version bio
        done
    done
}

@test "an impostor is refused in a plugin that is loaded with RTLD_DEEPBIND by dlmopen, or by a dlopen or dlsym that was found in libc's handle" {
    local by
    for by in dlmopen handle version dlsym; do
        held plugin "$LAB/plugin.so" deepbind by=$by
        held plugin "$LAB/plugin.so" deepbind by=$by bio
    done
}

@test "an impostor is refused in a plugin whose own verification ends in a jump to the library's" {
    local version own
    for version in tls1.2 tls1.3; do
        for own in verify check; do
            held plugin "$LAB/plugin.so" $own $version
            held plugin "$LAB/plugin.so" $own $version bio
        done
    done
}

@test "an impostor is refused in a plugin that is loaded into a namespace of its own" {
    local version
    for version in tls1.2 tls1.3; do
        held plugin "$LAB/plugin.so" by=space $version
        held plugin "$LAB/plugin.so" by=space $version bio
    done
}

@test "an impostor is refused in a plugin that contains OpenSSL, whose calls are bound within it" {
    local version by
    # shellcheck disable=SC2046 # words
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -shared -fPIC -DPLUGIN -o "$LAB/within.so" "$BATS_TEST_DIRNAME/paths/plugin.c" -Wl,-Bsymbolic \
        -Wl,--whole-archive -l:libssl.a -l:libcrypto.a -Wl,--no-whole-archive $(compressors) -ldl -lpthread
    for version in tls1.2 tls1.3; do
        for by in dlopen space; do
            held plugin "$LAB/within.so" by=$by $version
            held plugin "$LAB/within.so" by=$by $version bio
        done
    done
}

@test "another TLS library whose functions have OpenSSL's names is left alone" {
    seen
    local name
    for name in foreign foreign-named; do
        held foreign "$LAB/$name.so" "$LAB/plugin.so"
        has "$OUT" 'other library: unharmed'
        has "$OUT" "other library's SSL_connect by name: 1017"
    done
}

@test "a client with a library context of its own is held to the pins" {
    seen
    needs library_context
    held library_context tls1.2
    held library_context tls1.3
}

@test "an SSL at the address of one that was refused is judged afresh, also where the thread has another library context by then" {
    seen
    local way
    needs library_context
    for way in '' default; do
        # shellcheck disable=SC2086 # words
        capture shim "$PATHS/library_context" 127.0.0.1 "$GOOD" before="$IMPOSTOR" $way
        equals "$STATUS" 0
        has "$OUT" $'before: -1\nthe same address: 1'
        has "$OUT" 'hello from good'
        equals "$(count_lines refused)" 1
        fails library_context $way
    done
}

@test "threads that make their first SSL_CTX at the same moment are judged, and none of them crashes" {
    capture shim "$PATHS/threads" 127.0.0.1 "$GOOD" times=30
    equals "$OUT" 'answers 240 of 240, crashed 0'
    lacks "$ERR" 'pinshim['
    capture shim "$PATHS/threads" 127.0.0.1 "$IMPOSTOR" times=30
    equals "$OUT" 'answers 0 of 240, crashed 0'
    capture bare "$PATHS/threads" 127.0.0.1 "$IMPOSTOR" times=2
    equals "$OUT" 'answers 16 of 16, crashed 0'
}

@test "a program's callbacks that call those before them are called, and no callback calls itself" {
    local version on
    for version in tls1.2 tls1.3; do
        for on in ctx ssl; do
            held chains $on $version
            has "$OUT" 'asked 1, told 1'
        done
    done
}

@test "what a program keeps on OpenSSL's objects, also beside its own index, stays, and its functions are called as without the shim" {
    local version way
    for version in tls1.2 tls1.3; do
        for way in '' late session 'late session'; do
            # shellcheck disable=SC2086 # words
            held ex_data $version $way
            has "$OUT" 'reused: 1'
        done
    done
}

@test "an impostor is refused where libssl reaches a libcrypto within the program, and its sessions are not resumed" {
    local version program
    PATHS=$LAB/beside
    mkdir -p "$PATHS"
    for program in connect resume ex_data; do
        # shellcheck disable=SC2046 # words
        ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wno-deprecated-declarations -o "$PATHS/$program" "$BATS_TEST_DIRNAME/paths/$program.c" \
            -lssl -l:libcrypto.a $(compressors) -ldl -lpthread
        [ "$(nm -D --defined-only "$PATHS/$program" | grep -c ' X509_')" -gt 100 ] || explain 'libcrypto is not exported'
        has "$("$(loader_of "$PATHS/$program")" --list "$PATHS/$program")" libcrypto
    done
    for version in tls1.2 tls1.3; do
        held connect $version
        held ex_data $version
        resumes 1 set $version
        resumes 1 der $version
        refused "$PATHS/resume" 127.0.0.1 "$IMPOSTOR" set $version first=other.example
        has "$OUT" 'reused: 0'
    done
    pins "www.pinned.example ca-file:$LAB/ca.pem"
    accepted "$PATHS/connect" 127.0.0.1 "$IMPOSTOR"
    pins "www.pinned.example pkix"
    refused "$PATHS/connect" 127.0.0.1 "$IMPOSTOR"
    pins "@revoked ca-file:$LAB/ca.pem" "www.pinned.example spki-sha256:$PIN_GOOD"
    refused "$PATHS/connect" 127.0.0.1 "$GOOD"
}

@test "an impostor is refused where one object holds libssl and libcrypto and calls within itself" {
    seen
    local version library=library=$LAB/merged.so
    merged merged -Wl,-Bsymbolic
    for version in tls1.2 tls1.3; do
        held by_dlsym SSL_connect $version "$library"
        held by_dlsym $version "$library"
    done
    # In the handshake already, although its call of X509_verify_cert cannot be seen.
    reader impostor
    silent by_dlsym "$PORT" SSL_connect "$library"
    lab_wait grep -q 'alert bad certificate' "$READER"
}

@test "an impostor is refused where libssl has its symbols in a hash table of the older kind alone" {
    seen
    local version library=library=$LAB/old-hash.so
    merged old-hash -Wl,--hash-style=sysv
    for version in tls1.2 tls1.3; do
        held by_dlsym SSL_connect $version "$library"
        held by_dlsym $version "$library"
    done
}

@test "an impostor is refused where libssl was linked for an address above the one where it lies" {
    seen
    local library=library=$LAB/high.so
    merged high -Wl,-Ttext-segment=0x7ffffff00000
    held by_dlsym SSL_connect "$library"
    held by_dlsym "$library"
}
