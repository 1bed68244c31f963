#!/usr/bin/env bats
# Goal: however a client on GnuTLS drives its handshake, and whatever takes the place of a certificate, an impostor gets no byte of the program's data and no
# client certificate, and the program none of the impostor's; the good server is reached as without the shim.

# shellcheck disable=SC2030,SC2031,SC2153,SC2154

load lib/programs

setup_file() {
    export BATS_TEST_TIMEOUT=${SHIM_TEST_TIMEOUT:-60}
    lab_make "$BATS_FILE_TMPDIR/lab"
    GNUTLS=$BATS_TEST_DIRNAME/../build/gnutls
    export LAB GNUTLS
    lab_cert client1 /CN=client1 'extendedKeyUsage=clientAuth'
    lab_cert client2 /CN=client2 'extendedKeyUsage=clientAuth'
    chmod 600 "$LAB"/client?.key
    openssl pkey -in "$LAB/impostor.key" -pubout -out "$LAB/impostor.pub"
    openssl pkey -in "$LAB/good.key" -pubout -out "$LAB/good.pub"
    KEY_KIND='RSA -pkeyopt rsa_keygen_bits:2048' lab_cert rsa /CN=rsa
    # libgnutls does not resume under another name, and openssl does.
    lab_nginx impostor
    OTHER=$PORT
    export OTHER
    serves good
    GOOD=$PORT GOOD_EVENTS=$EVENTS
    serves impostor
    IMPOSTOR=$PORT IMPOSTOR_EVENTS=$EVENTS
    PIN_GOOD=$(lab_spki "$LAB/good.pem")
    PIN_IMPOSTOR=$(lab_spki "$LAB/impostor.pem")
    export GOOD GOOD_EVENTS IMPOSTOR IMPOSTOR_EVENTS PIN_GOOD PIN_IMPOSTOR
    object by_dlsym plugin PLUGIN
    object by_dlsym next NEXT
}

teardown_file() {
    lab_stop
}

setup() {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    # Under this name the same tests are run with clients that verify the chain.
    [[ $BATS_TEST_FILENAME != */gnutls_verified.bats ]] || export PATHS_TRUST=$LAB/ca.pem
}

# object PROGRAM NAME MACRO: the object $LAB/NAME.so from the source of a program
object() {
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -shared -fPIC "-D$3" -o "$LAB/$2.so" "$BATS_TEST_DIRNAME/gnutls/$1.c" -Wl,--as-needed -lgnutls -ldl
}

# serves NAME [WORD...]: a server of tests/gnutls; sets $PORT, and $EVENTS to the file with what it says
serves() {
    EVENTS=$(mktemp "$LAB/events-XXXXXX")
    "$GNUTLS/server" "$LAB" "$@" >>"$EVENTS" 2>"$EVENTS.err" </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$EVENTS" || { cat "$EVENTS.err" && return 1; }
    PORT=$(head -n 1 "$EVENTS")
}

# ended: $EVENTS tells of as many ends as $CONNECTIONS, one if that is not set
ended() { [ "$(grep -c '^end$' "$EVENTS")" -ge "${CONNECTIONS:-1}" ]; }

# heard: waits for the end of the connection and sets $HEARD to what the server said
heard() {
    local _
    for _ in $(seq 600); do
        ! ended || break
        sleep 0.02
    done
    ended || explain 'the server saw no end' || return 1
    HEARD=$(<"$EVENTS")
}

# asks bare|shim PORT PROGRAM [OPTION...]: runs the program, and sets $HEARD to what the server behind $EVENTS said
asks() {
    : >"$EVENTS"
    capture "$1" timeout 50 "$GNUTLS/$3" 127.0.0.1 "$2" "${@:4}"
    [ "$STATUS" -ne 77 ] || skip 'this GnuTLS has none'
    [ "$STATUS" -lt 124 ] || explain 'killed, or it hangs'
    heard
}

# got_nothing: the server behind $HEARD has not got a byte of the program, nor its certificate
got_nothing() {
    ! grep -aE '^(data|early|identity|plain)' <<<"$HEARD" || explain "the impostor got: $HEARD"
}

# fails PORT PROGRAM [OPTION...]: without the shim the program is the impostor's prey, whose events go to $EVENTS; with it nothing leaves, and one line
# says why; sets $WITHOUT to what the impostor got without it
fails() {
    asks bare "$@"
    equals "$STATUS" 0
    has "$OUT" "hello from ${SERVER:-impostor}"
    has "$HEARD" 'data GET /secret'
    WITHOUT=$HEARD
    asks shim "$@"
    [ "$STATUS" -ne 0 ] || explain "not refused: $*"
    lacks "$OUT" 'hello from'
    got_nothing || return 1
    equals "$(count_lines refused)" 1
    LINE=$(lines refused)
    # By its certificate, not because it cannot be judged.
    has "$LINE" "no pin of $PINS:"
}

# reaches PORT PROGRAM [OPTION...]: under the shim it gets the good server's answer, and prints what it prints without
reaches() {
    local without
    asks bare "$@"
    without=$OUT
    asks shim "$@"
    equals "$STATUS" 0
    has "$OUT" 'hello from good'
    equals "$OUT" "$without"
    lacks "$ERR" 'pinshim['
}

# held PROGRAM [OPTION...]: both, with the two servers of this file
held() {
    EVENTS=$IMPOSTOR_EVENTS fails "$IMPOSTOR" "$@"
    EVENTS=$GOOD_EVENTS reaches "$GOOD" "$@"
}

# farewell TEXT: the server says that it failed so
farewell() {
    has "$HEARD" "failed $1"
}

@test "an impostor is refused, whatever way the bytes take to the socket" {
    local version way
    for version in tls1.2 tls1.3; do
        for way in '' ptr ptr2 int2 push vec memory thread pair loop 'loop thread' nonblocking 'nonblocking push' 'push late-name'; do
            # shellcheck disable=SC2086 # words
            held connect $version $way
        done
        EVENTS=$IMPOSTOR_EVENTS fails "$IMPOSTOR" connect "$version"
        farewell 'Certificate is bad'
    done
}

@test "an impostor is refused where a program sends the library's bytes in pieces, and its address is the target" {
    local version size
    for version in tls1.2 tls1.3; do
        for size in 1 2 3 5 7 16 100; do
            held connect $version push pieces=$size
            pins "127.0.0.1 spki-sha256:$PIN_GOOD"
            held connect $version sni= push pieces=$size
            pins "www.pinned.example spki-sha256:$PIN_GOOD"
        done
    done
    pins "www.pinned.example:$IMPOSTOR spki-sha256:$PIN_GOOD"
    EVENTS=$IMPOSTOR_EVENTS fails "$IMPOSTOR" connect push pieces=1
}

@test "a name that is given after the ClientHello has gone out takes nothing back" {
    local version
    for version in tls1.2 tls1.3; do
        held connect $version renamed
        held connect $version renamed loop
    done
}

@test "gnutls_handshake that is called again on an established connection changes nothing" {
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    held connect tls1.3 sni= twice
    held connect tls1.3 sni= push twice
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    EVENTS=$GOOD_EVENTS PINSHIM_LOG_LEVEL=all asks shim "$GOOD" connect tls1.3 twice
    equals "$STATUS$(count_lines '[a-z]+')" 01
}

@test "an impostor is refused whatever the priority string leaves out, and where the program has taken the number of the shim's extension" {
    local how
    for how in tls1.2\ priority=%NO_EXTENSIONS priority=%COMPAT priority=%DISABLE_TLS13_COMPAT_MODE priority=%NO_TICKETS tls1.2\ priority=-KX-ALL:+ECDHE-ECDSA:%NO_ETM taken 'taken tls1.2'; do
        # shellcheck disable=SC2086 # words
        held connect $how
        # By its address, which is that of the socket on which its ClientHello leaves.
        pins "127.0.0.1 spki-sha256:$PIN_GOOD"
        # shellcheck disable=SC2086
        held connect sni= push $how
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
    done
}

@test "what is sent reaches no impostor, whichever call sends it" {
    local version way
    for version in tls1.2 tls1.3; do
        for way in send2 cork pieces; do
            held connect $version $way
        done
    done
    held connect tls1.2 range priority=-CIPHER-ALL:+AES-128-CBC
    # Not before 3.7.3.
    held connect tls1.3 file
    held connect tls1.2 file
}

@test "a verification that accepts everything does not overrule a pin, wherever it is set and whenever" {
    local version how
    for version in tls1.2 tls1.3; do
        for how in credentials session both swap null status 'credentials after' 'session cleared' 'credentials cleared' 'session interrupted' 'credentials interrupted' \
            'session hook=2' 'session hook=11' 'session hook=11 early' 'none hook=2' 'none hook=254' 'session hook=2 replaced' 'session hook=11 replaced early' 'session hook=2 off' 'credentials hook=11 off'; do
            # shellcheck disable=SC2086 # words
            held verify $how $version
        done
    done
}

@test "GnuTLS's own verification of the chain, set in either way, goes with a pin" {
    local version how
    # Alone it would let the impostor pass, whose chain is valid.
    PATHS_TRUST=$LAB/ca.pem
    export PATHS_TRUST
    for version in tls1.2 tls1.3; do
        for how in cert cert2; do
            held verify $how $version
            held verify $how $version sni=
        done
    done
    # And it still refuses what the pin would accept.
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$LAB/nobody.key" -out "$LAB/nobody.pem" -days 30 -subj /CN=nobody 2>/dev/null
    PATHS_TRUST=$LAB/nobody.pem
    for how in cert cert2; do
        EVENTS=$GOOD_EVENTS asks shim "$GOOD" verify $how
        equals "$STATUS" 1
        has "$OUT" 'gnutls_handshake: GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR'
        lacks "$ERR" 'pinshim['
    done
}

@test "a server without a certificate satisfies no pin: pre-shared keys, anonymous suites" {
    local how
    serves impostor nocert
    # The client would do without; the good server shows its own nevertheless.
    EVENTS=$GOOD_EVENTS reaches "$GOOD" connect tls1.2 anonymous priority=+ANON-ECDH
    for how in 'psk tls1.2 priority=-KX-ALL:+ECDHE-PSK:+DHE-PSK:+PSK' 'psk tls1.3 priority=+ECDHE-PSK:+DHE-PSK:+PSK' 'psk tls1.3 priority=-KX-ALL:+PSK' \
        'psk nocert priority=+ECDHE-PSK:+DHE-PSK:+PSK' 'anonymous tls1.2 priority=-KX-ALL:+ANON-ECDH' 'anonymous tls1.2 priority=-KX-ALL:+ANON-DH' 'anonymous tls1.2 nocert priority=+ANON-ECDH:+ANON-DH'; do
        # shellcheck disable=SC2086 # words
        silent_unless_allowed connect $how
    done
    # This has a certificate beside.
    serves rsa old
    silent_unless_allowed connect psk tls1.2 priority=-KX-ALL:+RSA-PSK
}

@test "a server without a certificate satisfies no pin: SRP" {
    local how
    serves impostor nocert old
    for how in 'srp tls1.2 priority=-KX-ALL:+SRP' 'srp tls1.2 nocert priority=+SRP'; do
        # shellcheck disable=SC2086
        silent_unless_allowed connect $how
    done
    serves rsa old
    silent_unless_allowed connect srp tls1.2 priority=-KX-ALL:+SRP-RSA
}

@test "a peer without a certificate gets nothing from another thread that sends before the handshake has returned" {
    local how mode count=60
    serves impostor nocert
    for how in 'tls1.3 priority=-KX-ALL:+PSK' 'tls1.2 priority=-KX-ALL:+ECDHE-PSK' 'tls1.2 false-start priority=-KX-ALL:+ECDHE-PSK'; do
        for mode in bare shim; do
            : >"$EVENTS"
            # shellcheck disable=SC2086 # words
            capture "$mode" timeout 50 "$GNUTLS/crowd" 127.0.0.1 "$GOOD" "$PORT" hasty "$count" $how
            [ "$mode" = shim ] || has "$OUT" "answers: 0 good, $count impostor"
        done
        CONNECTIONS=$count heard
        got_nothing || return 1
        has "$OUT" 'answers: 0 good, 0 impostor'
        equals "$(count_lines refused)" "$count"
        # And without a pin nothing is locked out.
        pins '* allow'
        # shellcheck disable=SC2086
        capture shim timeout 50 "$GNUTLS/crowd" 127.0.0.1 "$GOOD" "$PORT" hasty 20 $how
        has "$OUT" 'answers: 0 good, 20 impostor'
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
    done
}

@test "a peer without a certificate gets nothing from another thread while a session of the good server is offered, and early data" {
    local count=60
    serves impostor nocert secret=6
    capture shim timeout 50 "$GNUTLS/crowd" 127.0.0.1 "$GOOD" "$PORT" hasty "$count" tls1.3 early priority=+ECDHE-PSK:+PSK
    [ "$STATUS" -ne 77 ] || skip 'this GnuTLS crashes'
    CONNECTIONS=$count heard
    got_nothing || return 1
    has "$OUT" 'answers: 0 good, 0 impostor'
    equals "$(count_lines refused)" "$count"
}

# silent_unless_allowed PROGRAM [OPTION...]: at the server of $PORT
silent_unless_allowed() {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    silent "$PORT" "$@"
    pins '* allow'
    asks shim "$PORT" "$@"
    equals "$STATUS" 0
}

# silent PORT PROGRAM [OPTION...]: as fails, where the shim may have withheld what would have been accepted, so that the library's failure is its own
silent() {
    asks bare "$@"
    equals "$STATUS" 0
    has "$HEARD" 'data GET /secret'
    asks shim "$@"
    [ "$STATUS" -ne 0 ] || explain "not refused: $*"
    lacks "$OUT" 'hello from'
    got_nothing || return 1
    [ "$(count_lines '[a-z]+')" -le 1 ] || explain 'logged more than once'
    lacks "$ERR" 'cannot be judged'
}

@test "a session that both sides know before (gnutls_session_set_premaster), without a certificate, satisfies no pin" {
    local how suite=priority=-KX-ALL:+RSA:-CIPHER-ALL:+AES-128-GCM:%NO_TICKETS:%NO_SESSION_HASH
    for how in tls1.2 dtls; do
        # shellcheck disable=SC2046 # no word, or one
        serves rsa known "$suite" $(grep dtls <<<$how)
        silent_unless_allowed connect known "$suite" $how
        has "$HEARD" resumed
        pins "www.pinned.example spki-sha256:$(lab_spki "$LAB/rsa.pem")"
        silent "$PORT" connect known "$suite" $how
    done
}

@test "a raw public key satisfies pins of keys only" {
    # There is no chain to verify.
    unset PATHS_TRUST
    serves impostor raw "raw-key=$LAB/impostor.pub"
    fails "$PORT" connect rawkey
    fails "$PORT" connect rawkey tls1.2
    pins "www.pinned.example cert-sha256:$(lab_fingerprint "$LAB/good.pem")" "www.pinned.example ca-file:$LAB/ca.pem"
    SERVER=good
    serves good raw "raw-key=$LAB/good.pub"
    fails "$PORT" connect rawkey
    pins 'www.pinned.example pkix'
    silent "$PORT" connect rawkey
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    reaches "$PORT" connect rawkey
    reaches "$PORT" connect rawkey tls1.2
}

# again_to PORT OPTION...: the events of both connections
again_to() {
    CONNECTIONS=2 asks "$@"
}

@test "an impostor's session from before is not resumed for a pinned name, and the impostor is refused" {
    local version how
    for version in tls1.2 tls1.3; do
        for how in get get2 'get late' 'get2 late' 'get2 twice'; do
            # shellcheck disable=SC2086 # words
            set -- 127.0.0.1 "$OTHER" $how $version first=other.example
            capture bare "$GNUTLS/resume" "$@"
            has "${OUT#*the second connection}" 'resumed: 1'
            has "${OUT#*the second connection}" 'hello from impostor'
            refused "$GNUTLS/resume" "$@"
            has "${OUT%the second connection*}" 'hello from impostor'
            lacks "${OUT#*the second connection}" 'hello from'
            has "$LINE" "no pin of $PINS:1"
        done
    done
}

@test "a session for one name is not resumed by a client that gives no name, and one without a name not for a pinned name" {
    local version
    for version in tls1.2 tls1.3; do
        pins "localhost spki-sha256:$PIN_GOOD" '* allow'
        set -- 127.0.0.1 "$OTHER" get2 $version first=other.example second= second-host=localhost
        capture bare "$GNUTLS/resume" "$@"
        has "$OUT" 'resumed: 1'
        refused "$GNUTLS/resume" "$@"
        lacks "${OUT#*the second connection}" 'hello from'
        pins "www.pinned.example spki-sha256:$PIN_GOOD" '* allow'
        set -- 127.0.0.1 "$OTHER" get2 $version first=
        capture bare "$GNUTLS/resume" "$@"
        has "$OUT" 'resumed: 1'
        capture shim "$GNUTLS/resume" "$@"
        equals "$STATUS" 1
        lacks "${OUT#*the second connection}" 'hello from'
    done
}

@test "a session whose server this process has verified is resumed; one of another process or host leads to a full handshake" {
    local version how saved=$BATS_TEST_TMPDIR/session
    EVENTS=$GOOD_EVENTS
    for version in tls1.2 tls1.3; do
        for how in get get2 'get late' 'get2 twice'; do
            # shellcheck disable=SC2086 # words
            again_to shim "$GOOD" resume $how $version
            equals "$STATUS" 0
            has "${OUT#*the second connection}" 'resumed: 1'
            lacks "$ERR" 'pinshim['
        done
        asks shim "$GOOD" resume get2 $version "save=$saved"
        equals "$STATUS" 0
        asks bare "$GOOD" resume get2 $version "load=$saved"
        has "$OUT" 'resumed: 1'
        asks shim "$GOOD" resume get2 $version "load=$saved"
        equals "$STATUS" 0
        has "$OUT" 'resumed: 0'
        # Written by the impostor's client.
        EVENTS=$IMPOSTOR_EVENTS asks bare "$IMPOSTOR" resume get2 $version "save=$saved"
        EVENTS=$IMPOSTOR_EVENTS asks bare "$IMPOSTOR" resume get2 $version "load=$saved"
        has "$OUT" 'resumed: 1'
        EVENTS=$IMPOSTOR_EVENTS asks shim "$IMPOSTOR" resume get2 $version "load=$saved"
        equals "$STATUS" 1
        got_nothing
    done
}

@test "a session is held to the rules of now: what they say of the key that it was made with" {
    local version
    EVENTS=$GOOD_EVENTS
    for version in tls1.2 tls1.3; do
        pins "first.example spki-sha256:$PIN_IMPOSTOR" "www.pinned.example spki-sha256:$PIN_GOOD"
        set -- 127.0.0.1 "$OTHER" get2 $version first=first.example
        capture bare "$GNUTLS/resume" "$@"
        has "$OUT" 'resumed: 1'
        refused "$GNUTLS/resume" "$@"
        lacks "${OUT#*the second connection}" 'hello from'
        pins "www.pinned.example spki-sha256:$PIN_GOOD" "@revoked spki-sha256:$PIN_GOOD"
        CONNECTIONS=1 asks shim "$GOOD" resume get2 $version first=other.example
        equals "$STATUS" 1
        got_nothing
    done
}

@test "an impostor that has the good server's ticket key does not resume a session of before in another process" {
    local version saved=$BATS_TEST_TMPDIR/session
    EVENTS=$GOOD_EVENTS
    for version in tls1.2 tls1.3; do
        asks bare "$GOOD" resume get2 $version "save=$saved"
        EVENTS=$IMPOSTOR_EVENTS asks bare "$IMPOSTOR" resume get2 $version "load=$saved"
        has "$OUT" 'resumed: 1'
        EVENTS=$IMPOSTOR_EVENTS asks shim "$IMPOSTOR" resume get2 $version "load=$saved"
        equals "$STATUS" 1
        lacks "$OUT" 'hello from'
        got_nothing
        equals "$(count_lines refused)" 1
    done
}

@test "early data does not reach an impostor, nor what follows a refusal while it is under way" {
    local server
    reader impostor -early_data -tls1_3
    server=$PORT
    capture shim "$GNUTLS/resume" 127.0.0.1 "$server" get2 tls1.3 mute first=other.example early=LEAKED
    equals "$STATUS" 1
    equals "$(count_lines refused)" 1
    capture bare "$GNUTLS/resume" 127.0.0.1 "$server" get2 tls1.3 mute first=other.example early=ARRIVED
    equals "$STATUS" 0
    lab_wait grep -aq ARRIVED "$READER"
    run -1 grep -a LEAK "$READER"
    run -0 grep -a 'Early data received' "$READER"
    # Its tickets are another server's: the early data is thrown away, and what comes after it must not be sent either.
    reader impostor -tls1_3
    server=$PORT
    capture shim "$GNUTLS/resume" 127.0.0.1 "$GOOD" get2 tls1.3 mute early=LEAKED "second-port=$server"
    equals "$STATUS" 1
    has "$OUT" 'gnutls_record_send: GNUTLS_E'
    equals "$(count_lines refused)" 1
    capture bare "$GNUTLS/resume" 127.0.0.1 "$GOOD" get2 tls1.3 mute early=ARRIVED "second-port=$server"
    equals "$STATUS" 0
    lab_wait grep -aq ARRI "$READER"
    run -1 grep -a LEAK "$READER"
}

@test "early data reaches the good server on a proven session, and all for which there is no rule, as without the shim" {
    local rule how without
    EVENTS=$GOOD_EVENTS
    for how in '' psk unsaid 'unsaid psk' 'late psk'; do
        # shellcheck disable=SC2086 # words
        again_to bare "$GOOD" resume get2 tls1.3 early=ARRIVED $how
        without=$OUT
        has "$HEARD" 'early ARRIVED'
        for rule in "www.pinned.example spki-sha256:$PIN_GOOD" "other.example spki-sha256:$PIN_IMPOSTOR" '* allow' "127.0.0.1 spki-sha256:$PIN_GOOD"; do
            pins "$rule"
            # shellcheck disable=SC2086
            again_to shim "$GOOD" resume get2 tls1.3 early=ARRIVED $how
            equals "$OUT" "$without"
            has "$HEARD" 'early ARRIVED'
            lacks "$ERR" 'pinshim['
        done
    done
}

@test "early data that is dropped with its session does not seem to have been taken" {
    EVENTS=$GOOD_EVENTS
    # The name, and the address, come after it.
    again_to bare "$GOOD" resume get2 tls1.3 early=ARRIVED late soon
    has "$OUT" 'early data taken: 1'
    has "$HEARD" 'early ARRIVED'
    again_to shim "$GOOD" resume get2 tls1.3 early=ARRIVED late soon
    equals "$STATUS" 0
    has "$OUT" 'early data taken: 0'
    lacks "$HEARD" early
}

@test "a client that gives up while it offers a session, whose target is still in doubt, is not said to be refused" {
    local without
    pins "127.0.0.9 spki-sha256:$PIN_GOOD" "www.pinned.example spki-sha256:$PIN_GOOD"
    EVENTS=$GOOD_EVENTS
    asks bare "$GOOD" resume get2 tls1.3 cancel
    without=$OUT
    has "$OUT" 'gnutls_handshake: GNUTLS_E_AGAIN'
    asks shim "$GOOD" resume get2 tls1.3 cancel
    equals "$OUT" "$without"
    equals "$(count_lines refused)" 0
}

@test "gnutls-cli: early data reaches the good server, and no impostor" {
    command -v gnutls-cli >/dev/null || skip 'no gnutls-cli here'
    local rule how
    printf EARLY >"$BATS_TEST_TMPDIR/early"
    set -- gnutls-cli --earlydata="$BATS_TEST_TMPDIR/early" --insecure --resume --waitresumption localhost -p
    EVENTS=$GOOD_EVENTS
    for rule in "localhost spki-sha256:$PIN_GOOD" "other.example spki-sha256:$PIN_GOOD" '* allow'; do
        pins "$rule"
        for how in bare shim; do
            : >"$EVENTS"
            capture "$how" timeout 20 "$@" "$GOOD"
            [[ $how = shim || $ERR != *'error sending early data'* ]] || skip 'this gnutls-cli sends none'
            CONNECTIONS=2 heard
            equals "$STATUS" 0
            has "$OUT" 'This is a resumed session'
            has "$HEARD" 'early EARLY'
            lacks "$ERR" 'pinshim['
        done
    done
    pins "localhost spki-sha256:$PIN_GOOD"
    EVENTS=$IMPOSTOR_EVENTS
    : >"$EVENTS"
    capture shim timeout 20 "$@" "$IMPOSTOR"
    heard
    equals "$STATUS" 1
    got_nothing
    equals "$(count_lines refused)" 1
}

@test "false start sends nothing to an impostor" {
    held connect tls1.2 false-start
}

@test "an impostor that takes the good server's place in a renegotiation is refused" {
    local how
    serves good again=impostor
    for how in own-id 'reauth own-id'; do
        # shellcheck disable=SC2086 # words
        asks bare "$PORT" again tls1.2 $how
        has "$HEARD" 'data GET'
        # shellcheck disable=SC2086
        asks shim "$PORT" again tls1.2 $how
        equals "$STATUS" 1
        got_nothing
        equals "$(count_lines refused)" 1
    done
    serves good again=good
    for how in '' own-id 'reauth own-id'; do
        # shellcheck disable=SC2086 # words
        asks bare "$PORT" again tls1.2 $how
        equals "$STATUS" 0
        # shellcheck disable=SC2086
        asks shim "$PORT" again tls1.2 $how
        equals "$STATUS" 0
        has "$HEARD" 'data GET'
        lacks "$ERR" 'pinshim['
    done
    held again tls1.2 client
}

@test "a client certificate that is asked for after the handshake does not go to an impostor" {
    local how
    for how in '' reauth; do
        serves impostor later request=no
        # shellcheck disable=SC2086 # no word, or one
        asks bare "$PORT" again tls1.3 $how "identity=$LAB/client1"
        has "$HEARD" 'identity client1'
        # shellcheck disable=SC2086
        asks shim "$PORT" again tls1.3 $how "identity=$LAB/client1"
        equals "$STATUS" 1
        got_nothing
        equals "$(count_lines refused)" 1
        serves good later request=no
        # shellcheck disable=SC2086
        asks shim "$PORT" again tls1.3 $how "identity=$LAB/client1"
        equals "$STATUS" 0
        has "$HEARD" 'identity client1'
        lacks "$ERR" 'pinshim['
    done
}

@test "a program's own client certificate goes to no impostor, wherever it comes from" {
    local version how
    for version in tls1.2 tls1.3; do
        for how in file mem key retrieve retrieve2 retrieve3 'file late' 'retrieve3 late' inside hook; do
            # Under TLS 1.3 it is chosen before the function is called.
            [ "$version $how" != 'tls1.3 inside' ] || continue
            # shellcheck disable=SC2086 # words
            set -- identity "$LAB/client1" $how $version
            EVENTS=$IMPOSTOR_EVENTS
            fails "$IMPOSTOR" "$@"
            has "$WITHOUT" 'identity client1'
            EVENTS=$GOOD_EVENTS
            reaches "$GOOD" "$@"
            has "$HEARD" 'identity client1'
        done
    done
}

@test "a rule's client certificate goes to the server that satisfies the rule, and to no other" {
    local version how
    for version in tls1.2 tls1.3; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/client2.pem client-key=$LAB/client2.key"
        EVENTS=$GOOD_EVENTS
        asks shim "$GOOD" identity "$LAB/client1" none $version
        equals "$STATUS" 0
        has "$HEARD" 'identity client2'
        EVENTS=$IMPOSTOR_EVENTS
        fails "$IMPOSTOR" identity "$LAB/client1" none $version
        # Nor to a server without a rule.
        asks shim "$IMPOSTOR" identity "$LAB/client1" none $version sni=other.example
        equals "$STATUS" 0
        run -1 grep -a '^identity' <<<"$HEARD"
        # Nor where the verdict is only reported.
        pins "www.pinned.example spki-sha256:$PIN_GOOD mode=report client-cert=$LAB/client2.pem client-key=$LAB/client2.key"
        asks shim "$IMPOSTOR" identity "$LAB/client1" none $version
        equals "$STATUS" 0
        has "$OUT" 'hello from impostor'
        run -1 grep -a '^identity' <<<"$HEARD"
        # The program's own wins.
        pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/client2.pem client-key=$LAB/client2.key"
        EVENTS=$GOOD_EVENTS
        for how in file retrieve retrieve2 retrieve3 'file late'; do
            # shellcheck disable=SC2086 # words
            asks shim "$GOOD" identity "$LAB/client1" $how $version
            equals "$STATUS" 0
            has "$HEARD" 'identity client1'
        done
    done
}

@test "a client that ignores its failures and goes on moves no byte" {
    local version how
    for version in tls1.2 tls1.3; do
        for how in '' fresh; do
            EVENTS=$IMPOSTOR_EVENTS
            # shellcheck disable=SC2086 # no word, or one
            asks bare "$IMPOSTOR" go_on ARRIVED $version $how
            has "$HEARD" 'data ARRIVED'
            # shellcheck disable=SC2086
            asks shim "$IMPOSTOR" go_on LEAKED $version $how
            equals "$STATUS" 1
            has "$OUT" 'moved: 0'
            got_nothing
            [ "$(count_lines refused)" -ge 1 ] || explain 'not logged'
            [ -n "$how" ] || equals "$(count_lines refused)" 1
        done
    done
}

@test "a DTLS impostor is refused" {
    local how server
    serves impostor dtls
    server=$PORT
    for how in '' push 'push unconnected' nonblocking; do
        # shellcheck disable=SC2086 # no word, or one
        fails "$server" connect dtls $how
        pins "127.0.0.1:$server spki-sha256:$PIN_GOOD"
        # shellcheck disable=SC2086
        fails "$server" connect dtls sni= $how
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
    done
    serves good dtls
    for how in '' push 'push unconnected' nonblocking; do
        # shellcheck disable=SC2086
        reaches "$PORT" connect dtls $how
    done
}

# in_process VERDICT SERVER [OPTION...]: the client and its server of tests/gnutls/quic
in_process() {
    capture "$1" timeout 30 "$GNUTLS/quic" "$LAB/$2" "${@:3}"
    [ "$STATUS" -lt 124 ] || explain 'killed, or it hangs'
}

@test "an impostor gets nothing where QUIC drives the handshake, resumed or not" {
    in_process bare impostor "identity=$LAB/client1"
    has "$OUT" 'the server received SECRET'
    has "$OUT" 'the server saw a certificate'
    in_process shim impostor "identity=$LAB/client1"
    equals "$STATUS" 1
    lacks "$OUT" 'the server received'
    lacks "$OUT" "the application's secret"
    lacks "$OUT" 'the server saw'
    has "$OUT" 'alert of the client: fatal, Certificate is bad'
    equals "$(count_lines refused)" 1
    has "$(lines refused)" "no pin of $PINS:1"
    in_process bare good
    local without=$OUT
    in_process shim good
    equals "$OUT" "$without"
    lacks "$ERR" 'pinshim['
    # A session.
    in_process bare impostor first=other.example
    has "$OUT" 'resumed: 1'
    in_process shim impostor first=other.example
    equals "$STATUS" 1
    lacks "${OUT#*the second connection}" 'resumed: 1'
    lacks "${OUT#*the second connection}" "the application's secret"
    in_process shim good first=www.pinned.example
    has "$OUT" 'resumed: 1'
    # Of no name, and no address.
    in_process shim impostor sni=
    equals "$STATUS" 1
    has "$(lines refused)" unidentifiable
    pins "@unknown spki-sha256:$PIN_GOOD"
    in_process shim impostor sni=
    equals "$STATUS" 1
    in_process shim good sni=
    equals "$STATUS" 0
}

# quic_server NAME: ngtcp2's server; sets $PORT, and $ASKED to the file that tells of its requests
quic_server() {
    ASKED=$(mktemp "$LAB/quic-XXXXXX")
    mkdir -p "$LAB/documents-$1" && echo "hello from $1" >"$LAB/documents-$1/index.html"
    PORT=$(lab_free_port)
    gtlsserver -d "$LAB/documents-$1" 127.0.0.1 "$PORT" "$LAB/$1.key" "$LAB/$1.pem" >"$ASKED" 2>&1 </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait grep -q "0100007F:$(printf %04X "$PORT")" /proc/net/udp
}

# quic_client bare|shim [OPTION...]: ngtcp2's client asks the server of $PORT, on $HOST (localhost); sets $ARRIVED to how many requests arrived there
quic_client() {
    local before
    before=$(requests)
    capture "$1" timeout 20 gtlsclient --exit-on-all-streams-close --timeout=3s "${@:2}" "${HOST:-localhost}" "$PORT" "https://localhost:$PORT/index.html"
    sleep 0.3
    ARRIVED=$(($(requests) - before))
}

requests() { grep -ac '\[:path: /index.html\]' "$ASKED" || true; }

@test "QUIC: ngtcp2's client gives an impostor nothing, resumed and with early data or not" {
    command -v gtlsclient >/dev/null || skip 'no ngtcp2 here'
    local saved=("--session-file=$BATS_TEST_TMPDIR/session" "--tp-file=$BATS_TEST_TMPDIR/parameters")
    pins "localhost spki-sha256:$PIN_GOOD"
    quic_server impostor
    quic_client bare
    equals "$ARRIVED" 1
    quic_client shim
    equals "$ARRIVED" 0
    equals "$(count_lines refused)" 1
    has "$(lines refused)" "refused localhost:$PORT: no pin of $PINS:1"
    quic_client bare "${saved[@]}"
    quic_client bare "${saved[@]}"
    equals "$ARRIVED" 1
    has "$ERR" 0RTT
    quic_client shim "${saved[@]}"
    equals "$ARRIVED" 0
    equals "$(count_lines refused)" 1
    quic_server good
    quic_client shim "${saved[@]}"
    equals "$ARRIVED" 1
    equals "$(count_lines '[a-z]+')" 0
}

@test "QUIC: an impostor is refused by the rule for its address, whatever name its client gave" {
    command -v gtlsclient >/dev/null || skip 'no ngtcp2 here'
    local HOST version
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    quic_server impostor
    # With a number for a name it says "localhost" as well.
    for HOST in localhost 127.0.0.1; do
        for version in v1 v2draft; do
            quic_client bare --version=$version --preferred-versions=$version
            equals "$ARRIVED" 1
            quic_client shim --version=$version --preferred-versions=$version
            equals "$ARRIVED" 0
            equals "$(count_lines refused)" 1
            has "$(lines refused)" "refused 127.0.0.1:$PORT: no pin of $PINS:1"
        done
    done
    quic_server good
    for HOST in localhost 127.0.0.1; do
        quic_client shim
        equals "$ARRIVED" 1
        equals "$(count_lines '[a-z]+')" 0
    done
}

@test "an impostor is refused where every function is found by dlsym or dlvsym, in a library opened in whatever way" {
    local by how
    for by in dlsym dlvsym; do
        for how in '' local 'local deepbind' deepbind twice; do
            # shellcheck disable=SC2086 # words
            held_by_dlsym tls1.3 by=$by $how
        done
        held_by_dlsym tls1.2 by=$by
    done
    held_by_dlsym by=dlmopen
    held_by_dlsym by=dlmopen deepbind
    # In a namespace of its own.
    held_by_dlsym by=namespace tls1.2
    held_by_dlsym by=namespace tls1.3
}

# held_by_dlsym [OPTION...]: as held, where a copy may stand for the other
held_by_dlsym() {
    EVENTS=$IMPOSTOR_EVENTS
    asks bare "$IMPOSTOR" by_dlsym "$@"
    has "$OUT" 'hello from impostor'
    asks shim "$IMPOSTOR" by_dlsym "$@"
    [ "$STATUS" -ne 0 ] || explain "not refused: $*"
    lacks "$OUT" 'hello from'
    got_nothing || return 1
    equals "$(count_lines refused)" 1
    has "$(lines refused)" "no pin of $PINS:"
    EVENTS=$GOOD_EVENTS CONNECTIONS=1 reaches "$GOOD" by_dlsym "$@"
}

@test "an impostor is refused in a plugin that is loaded with RTLD_DEEPBIND, and in a copy of the library beside the library" {
    local how copy=$LAB/copied/libgnutls.so.30
    mkdir -p "$LAB/copied"
    cp "$(ldconfig -p | sed -n 's/.*libgnutls\.so\.30 .* => //p' | head -n 1)" "$copy"
    for how in '' deepbind 'by=dlmopen deepbind' 'by=dlvsym local'; do
        # shellcheck disable=SC2086 # words
        held_by_dlsym "plugin=$LAB/plugin.so" $how
    done
    held_by_dlsym "library=$copy"
    held_by_dlsym "library=$copy" twice
    held_by_dlsym "library=$copy" deepbind local
    mv "$copy" "$LAB/copied/other-name.so"
    held_by_dlsym "library=$LAB/copied/other-name.so"
}

# another: a copy of the library, $ANOTHER, that calls itself another release and has another name; $RELEASES are the two
another() {
    local release
    LIBRARY=$(ldconfig -p | sed -n 's/.*libgnutls\.so\.30 .* => //p' | head -n 1)
    release=$(grep -aoE '^3\.[0-9]+\.[0-9]+' <<<"$(strings -n 5 "$LIBRARY")" | head -n 1)
    RELEASES=("$release" "${release%?}0")
    [ "${RELEASES[0]}" != "${RELEASES[1]}" ]
    mkdir -p "$LAB/another"
    ANOTHER=$LAB/another/libgnutlz.so.30
    sed -e "s/${release//./\\.}/${RELEASES[1]}/g" -e 's/libgnutls\.so\.30/libgnutlz.so.30/g' "$LIBRARY" >"$ANOTHER"
}

# plugin_of_another: one that is linked to it
plugin_of_another() {
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -shared -fPIC -DPLUGIN -o "$LAB/another/plugin.so" "$BATS_TEST_DIRNAME/gnutls/by_dlsym.c" "$ANOTHER" -ldl -Wl,-rpath,"$LAB/another"
}

# held_beside [OPTION...]: three clients, of two libraries, are each judged by the library that the program has asked
held_beside() {
    local names wrong
    EVENTS=$IMPOSTOR_EVENTS CONNECTIONS=3 asks bare "$IMPOSTOR" by_dlsym "$@"
    equals "$STATUS" 0
    equals "$(grep -c 'hello from impostor' <<<"$OUT")" 3
    # Where one of them is global, the other one calls functions of it.
    wrong=$(grep -c wrong <<<"$OUT") || true
    EVENTS=$IMPOSTOR_EVENTS CONNECTIONS=3 PINSHIM_LOG_FORMAT=json asks shim "$IMPOSTOR" by_dlsym "$@"
    [ "$STATUS" -ne 0 ] || explain "not refused: $*"
    lacks "$OUT" 'hello from'
    [ "$(grep -c wrong <<<"$OUT")" -le "$wrong" ] || explain 'the wrong library'
    got_nothing || return 1
    equals "$(grep -c "\"verdict\":\"refused\".*no pin of $PINS:" <<<"$ERR")" 3
    names=$(grep -aoE '"library":"[^"]*"' <<<"$ERR" | tr '\n' ' ')
    equals "$names" "$(printf '"library":"gnutls %s" ' "${USED[@]:-${RELEASES[@]}}")"
    EVENTS=$GOOD_EVENTS CONNECTIONS=3 reaches "$GOOD" by_dlsym "$@"
    equals "$(grep -c 'hello from good' <<<"$OUT")" 3
}

@test "an impostor is refused in each of two libraries whose functions are found by dlsym, by the one that was asked" {
    local by how version
    another
    USED=("${RELEASES[0]}" "${RELEASES[1]}" "${RELEASES[0]}")
    for version in tls1.2 tls1.3; do
        for how in '' late closed 'late closed' deepbind apart; do
            # shellcheck disable=SC2086 # words
            held_beside $version local "beside=$ANOTHER" $how
        done
    done
    for by in dlvsym dlmopen namespace; do
        held_beside by=$by local "beside=$ANOTHER"
    done
    # One of them is global.
    held_beside "beside=$ANOTHER"
    held_beside "beside=$ANOTHER" late
    held_beside local "beside=$ANOTHER" wide
    # Each opened before the other.
    USED=("${RELEASES[1]}" "${RELEASES[0]}" "${RELEASES[1]}")
    held_beside local "library=$ANOTHER" beside=libgnutls.so.30
    held_beside local "library=$ANOTHER" beside=libgnutls.so.30 late
    held_beside "library=$ANOTHER" beside=libgnutls.so.30 late
}

# copies COUNT: so many files, the library and another release by turns: $LAB/many/1 and so on
copies() {
    local i from
    another
    mkdir -p "$LAB/many"
    for ((i = 1; i <= $1; i++)); do
        from=$LIBRARY
        [ $((i % 2)) = 1 ] || from=$ANOTHER
        sed "s/libgnutl[sz]\.so\.30/libgn$(printf %04d "$i").so.30/g" "$from" >"$LAB/many/$i"
    done
}

@test "each of many libraries that are opened one after the other is judged, and is gone when the program closes it" {
    local count=20 clients=20 more=''
    copies 20
    for _ in alone beside; do
        # shellcheck disable=SC2086 # words
        EVENTS=$IMPOSTOR_EVENTS CONNECTIONS=$clients asks shim "$IMPOSTOR" by_dlsym local count=$count "library=$LAB/many/" $more stale
        lacks "$OUT" 'hello from'
        got_nothing || return 1
        equals "$(count_lines refused)" $((clients + 1))
        equals "$(grep -c "no pin of $PINS:" <<<"$ERR")" "$clients"
        equals "$(grep -c 'refused: a function was called that dlsym had found in a GnuTLS which was closed since' <<<"$ERR")" 1
        equals "$(grep -c '^gone$' <<<"$OUT")" "$count"
        equals "$(grep -c '^stale: -59$' <<<"$OUT")" "$count"
        # shellcheck disable=SC2086 # words
        EVENTS=$GOOD_EVENTS CONNECTIONS=$clients reaches "$GOOD" by_dlsym local count=$count "library=$LAB/many/" $more
        equals "$(grep -c 'hello from good' <<<"$OUT")" "$clients"
        equals "$(grep -c '^gone$' <<<"$OUT")" "$count"
        more=beside=$ANOTHER clients=$((2 * count))
    done
}

@test "a client of one library and a server of another, found by dlsym, are each handled by their own" {
    local version
    another
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    for version in tls1.2 tls1.3; do
        capture bare "$GNUTLS/by_dlsym" - - $version local "beside=$ANOTHER" "serves=$LAB/impostor"
        equals "$OUT" "$(printf 'the server got "GET /secret"\n%.0s' 1 2)"
        capture shim env PINSHIM_LOG_FORMAT=json "$GNUTLS/by_dlsym" - - $version local "beside=$ANOTHER" "serves=$LAB/impostor"
        equals "$OUT" "$(printf 'the server got ""\n%.0s' 1 2)"
        equals "$(grep -aoE '"library":"[^"]*"' <<<"$ERR" | tr '\n' ' ')" "$(printf '"library":"gnutls %s" ' "${RELEASES[@]}")"
        accepted "$GNUTLS/by_dlsym" - - $version local "beside=$ANOTHER" "serves=$LAB/good"
        equals "$OUT" "$(printf 'the server got "GET /secret"\n%.0s' 1 2)"
    done
}

@test "an impostor is refused in plugins that are linked to libraries of different names" {
    local how
    another
    plugin_of_another
    USED=("${RELEASES[0]}" "${RELEASES[1]}" "${RELEASES[0]}")
    for how in '' late 'late closed'; do
        # shellcheck disable=SC2086 # words
        held_beside local "plugin=$LAB/plugin.so" "beside=$LAB/another/plugin.so" $how
    done
    # What was bound stays bound.
    held_beside local "plugin=$LAB/plugin.so" "beside=$LAB/another/plugin.so" late wide
    # What is global comes first.
    USED=("${RELEASES[0]}" "${RELEASES[0]}" "${RELEASES[0]}")
    held_beside "plugin=$LAB/plugin.so" "beside=$LAB/another/plugin.so"
    held_beside "plugin=$LAB/plugin.so" "beside=$LAB/another/plugin.so" late
}

@test "a library that is too old to be judged, beside one that is not, keeps its sessions" {
    local order
    another
    sed -i 's/gnutls_session_ext_register/gnutls_session_ext_missing_/g' "$ANOTHER"
    plugin_of_another
    for order in "plugin=$LAB/plugin.so beside=$LAB/another/plugin.so" "plugin=$LAB/another/plugin.so beside=$LAB/plugin.so" \
        "beside=$ANOTHER" "library=$ANOTHER beside=libgnutls.so.30"; do
        pins '* allow'
        # shellcheck disable=SC2086 # words
        EVENTS=$GOOD_EVENTS CONNECTIONS=3 reaches "$GOOD" by_dlsym local $order
        equals "$(grep -c 'hello from good' <<<"$OUT")" 3
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
        # shellcheck disable=SC2086 # words
        EVENTS=$IMPOSTOR_EVENTS CONNECTIONS=3 asks shim "$IMPOSTOR" by_dlsym local $order
        lacks "$OUT" 'hello from'
        got_nothing || return 1
        equals "$(count_lines refused)" 3
        has "$(lines refused)" "no pin of $PINS:"
        has "$(lines refused)" 'cannot be judged'
    done
}

@test "where it cannot be known for which library a function is called, the call fails, and one line says so" {
    local line='refused: gnutls_certificate_allocate_credentials was called, and it is not known of which GnuTLS: there are several, and the caller is linked to none'
    another
    plugin_of_another
    held_by_dlsym local "plugin=$LAB/plugin.so" passed
    EVENTS=$GOOD_EVENTS CONNECTIONS=3 asks bare "$GOOD" by_dlsym local "plugin=$LAB/plugin.so" passed "beside=$LAB/another/plugin.so"
    equals "$STATUS" 0
    pins '* allow'
    EVENTS=$GOOD_EVENTS asks shim "$GOOD" by_dlsym local "plugin=$LAB/plugin.so" passed "beside=$LAB/another/plugin.so"
    equals "$STATUS" 2
    lacks "$OUT" 'hello from'
    equals "$(grep -c '^pinshim' <<<"$ERR")" 1
    has "$ERR" "]: $line"
}

@test "an impostor gets nothing where an object behind the shim finds every function by RTLD_NEXT" {
    EVENTS=$IMPOSTOR_EVENTS
    PRELOAD_ALSO=$LAB/next.so asks bare "$IMPOSTOR" connect
    has "$OUT" 'hello from impostor'
    PRELOAD_ALSO=$LAB/next.so asks shim "$IMPOSTOR" connect
    [ "$STATUS" -ne 0 ] || explain 'not refused'
    lacks "$OUT" 'hello from'
    got_nothing
    equals "$(count_lines refused)" 1
}

# mixed HOW COUNT GOOD: of so many clients, half of them to each server, the good server answers that many
mixed() {
    capture bare timeout 50 "$GNUTLS/crowd" 127.0.0.1 "$GOOD" "$IMPOSTOR" "$1" "$2"
    has "$OUT" "answers: $3 good, $3 impostor"
    capture shim timeout 50 "$GNUTLS/crowd" 127.0.0.1 "$GOOD" "$IMPOSTOR" "$1" "$2"
    equals "$OUT" "answers: $3 good, 0 impostor"
    [ "$1" = cancelled ] || equals "$(count_lines refused)" "$3"
}

@test "one connection within the verify function of another, or two as coroutines of one thread, have each their own verdict" {
    mixed coroutines 10 10
    # Those that verify ask the other server, which answers without the shim.
    capture bare timeout 50 "$GNUTLS/crowd" 127.0.0.1 "$GOOD" "$IMPOSTOR" nested 10
    has "$OUT" 'answers: 10 good, 10 impostor'
    capture shim timeout 50 "$GNUTLS/crowd" 127.0.0.1 "$GOOD" "$IMPOSTOR" nested 10
    has "$OUT" 'answers: 10 good, 0 impostor'
    equals "$(count_lines refused)" 10
}

@test "in threads, one after the other, after fork and beside cancelled threads each connection has its own verdict" {
    mixed threads 60 30
    mixed sequence 20 10
    mixed fork 20 10
    mixed cancelled 60 1
}

@test "the target is what the client said, looked up or connected to" {
    local how
    EVENTS=$IMPOSTOR_EVENTS
    # Another name, without a rule.
    asks shim "$IMPOSTOR" connect sni=other.example
    equals "$STATUS" 0
    has "$OUT" 'hello from impostor'
    fails "$IMPOSTOR" connect sni=WWW.Pinned.Example
    # As a careless program writes it; a server on libgnutls takes no such name.
    for how in "www.pinned.example:$OTHER" www.pinned.example.; do
        refused "$GNUTLS/connect" 127.0.0.1 "$OTHER" "sni=$how"
        lacks "$OUT" 'hello from'
        has "$LINE" "no pin of $PINS:1"
    done
    # Only the address, and through functions of the program's own.
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    for how in '' ptr push vec memory thread pair 'nonblocking push'; do
        # shellcheck disable=SC2086 # words
        held connect sni= $how
        # shellcheck disable=SC2086
        held connect sni=other.example $how
    done
    pins "127.0.0.1:$IMPOSTOR spki-sha256:$PIN_GOOD"
    EVENTS=$IMPOSTOR_EVENTS fails "$IMPOSTOR" connect sni= push
    has "$LINE" "refused 127.0.0.1:$IMPOSTOR: "
    pins "127.0.0.1:1 deny" "www.pinned.example:1 deny"
    EVENTS=$GOOD_EVENTS reaches "$GOOD" connect sni=other.example
    # Only looked up.
    pins "localhost spki-sha256:$PIN_GOOD"
    held connect sni= resolved=localhost
    # A name beyond ASCII goes out as A-labels.
    pins "xn--bcher-kva.example spki-sha256:$PIN_GOOD"
    EVENTS=$IMPOSTOR_EVENTS fails "$IMPOSTOR" connect sni=bücher.example
    EVENTS=$IMPOSTOR_EVENTS fails "$IMPOSTOR" connect sni=xn--bcher-kva.example
    # No name.
    pins "@unknown spki-sha256:$PIN_GOOD"
    fails "$IMPOSTOR" connect sni= pair
    EVENTS=$GOOD_EVENTS reaches "$GOOD" connect sni= pair
    pins "@unknown allow" "www.pinned.example spki-sha256:$PIN_GOOD"
    EVENTS=$IMPOSTOR_EVENTS
    asks shim "$IMPOSTOR" connect sni= pair
    equals "$STATUS" 0
}

@test "a name that GnuTLS is told to verify is a target beside the one in the SNI" {
    export PATHS_TRUST=$LAB/ca.pem
    held connect sni= verified=www.pinned.example
    held connect sni=other.example verified=www.pinned.example
    held verify cert2 sni=
    # The library does not look at the size that a name is given.
    held verify cert2 sni= size=4
}

@test "a name or an address for which the program itself checks the certificate is a target, and the session is held to it" {
    local how
    for how in hostname hostname2 peers3 peers list named stored inside inside-peers3; do
        EVENTS=$IMPOSTOR_EVENTS
        asks bare "$IMPOSTOR" check $how "store=$LAB/ca.pem"
        has "$HEARD" 'data GET'
        asks shim "$IMPOSTOR" check $how "store=$LAB/ca.pem"
        equals "$STATUS" 1
        lacks "$OUT" 'is right'
        got_nothing
        has "$(lines refused)" "refused www.pinned.example:$IMPOSTOR: no pin of $PINS:1 matched"
        equals "$(count_lines refused)" 1
        EVENTS=$GOOD_EVENTS
        asks bare "$GOOD" check $how "store=$LAB/ca.pem"
        local without=$OUT
        asks shim "$GOOD" check $how "store=$LAB/ca.pem"
        equals "$OUT" "$without"
        has "$HEARD" 'data GET'
    done
    # Under another name, without a rule; of a certificate that nobody has presented.
    EVENTS=$IMPOSTOR_EVENTS
    asks shim "$IMPOSTOR" check hostname name=localhost
    equals "$STATUS" 0
    asks shim "$IMPOSTOR" check other "store=$LAB/good.pem"
    equals "$STATUS" 0
    has "$OUT" 'is right'
    pins 'other.example deny' "127.0.0.1 spki-sha256:$PIN_GOOD"
    fails "$IMPOSTOR" check ip
    # Of two connections with one certificate it is the one whose program gave no name.
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    EVENTS=$IMPOSTOR_EVENTS CONNECTIONS=2 asks shim "$IMPOSTOR" check hostname beside=other.example
    equals "$STATUS$(grep -c '^data' <<<"$HEARD")" 11
    has "$OUT" 'beside: 1'
    has "$(lines refused)" "refused www.pinned.example:$IMPOSTOR: "
    # In another thread only the check fails.
    EVENTS=$IMPOSTOR_EVENTS asks shim "$IMPOSTOR" check hostname thread
    lacks "$OUT" 'is right'
    # The session is of that name as well.
    for how in hostname inside; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD" '@unknown allow'
        printf '%s\n' "www.pinned.example spki-sha256:$PIN_IMPOSTOR" '@unknown allow' '# changed' >"$BATS_TEST_TMPDIR/next"
        EVENTS=$GOOD_EVENTS CONNECTIONS=2 asks shim "$GOOD" check $how "again=$BATS_TEST_TMPDIR/next"
        has "${OUT#*the second connection}" 'resumed: 0'
        equals "$STATUS$(count_lines '[a-z]+')" 00
    done
}

@test "a session does not outlive the rules that it was made under" {
    printf '%s\n' "127.0.0.1 spki-sha256:$PIN_GOOD" >"$BATS_TEST_TMPDIR/stricter"
    pins '* allow'
    EVENTS=$IMPOSTOR_EVENTS
    CONNECTIONS=2 asks shim "$IMPOSTOR" check hostname name=localhost "again=$BATS_TEST_TMPDIR/stricter"
    equals "$STATUS" 1
    has "${OUT%the second connection*}" 'hello from impostor'
    lacks "${OUT#*the second connection}" 'hello from'
    equals "$(grep -c '^data' <<<"$HEARD")" 1
    has "$(lines refused)" "refused 127.0.0.1:$IMPOSTOR: no pin of $PINS:1 matched"
    printf '%s\n' "127.0.0.1 spki-sha256:$PIN_GOOD" >"$BATS_TEST_TMPDIR/stricter"
    pins '* allow'
    EVENTS=$GOOD_EVENTS
    CONNECTIONS=2 asks shim "$GOOD" check hostname name=localhost "again=$BATS_TEST_TMPDIR/stricter"
    equals "$STATUS" 0
    has "${OUT#*the second connection}" 'hello from good'
}

@test "a client without a name that reached its peer through a proxy is judged by what it asked the proxy for" {
    pins "www.pinned.example:443 spki-sha256:$PIN_GOOD" '127.0.0.1 allow'
    relay "$IMPOSTOR"
    EVENTS=$IMPOSTOR_EVENTS fails "$PORT" connect sni= proxy=www.pinned.example:443
    has "$LINE" 'refused www.pinned.example:443: '
    EVENTS=$IMPOSTOR_EVENTS fails "$PORT" connect sni= push proxy=www.pinned.example:443
    EVENTS=$IMPOSTOR_EVENTS asks shim "$PORT" connect sni= proxy=www.pinned.example:444
    equals "$STATUS" 0
    relay "$GOOD"
    EVENTS=$GOOD_EVENTS reaches "$PORT" connect sni= proxy=www.pinned.example:443
}

@test "a client without a name that asks a proxy within TLS, by whichever call, is judged by what it asked for" {
    local how
    pins "www.pinned.example:443 spki-sha256:$PIN_GOOD"
    relay "$IMPOSTOR"
    unwrap "$PORT" good
    local proxy=$PORT
    for how in send send2 cork pieces range itself; do
        set -- within www.pinned.example:443 $how
        # Only there are ranges possible.
        [ $how != range ] || set -- "$@" tls1.3
        EVENTS=$IMPOSTOR_EVENTS fails "$proxy" "$@"
        has "$LINE" 'refused www.pinned.example:443: '
        EVENTS=$IMPOSTOR_EVENTS fails "$proxy" "$@" sni=other.example
    done
    relay "$GOOD"
    unwrap "$PORT" good
    for how in send pieces itself; do
        EVENTS=$GOOD_EVENTS reaches "$PORT" within www.pinned.example:443 $how
    done
    # Not before 3.7.3.
    for how in file left; do
        EVENTS=$GOOD_EVENTS reaches "$PORT" within www.pinned.example:443 $how
        EVENTS=$IMPOSTOR_EVENTS fails "$proxy" within www.pinned.example:443 $how
    done
}

@test "a rule's client certificate is given where the program's own function has none, and not where none of its kind is wanted" {
    local how version
    pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/client2.pem client-key=$LAB/client2.key"
    EVENTS=$GOOD_EVENTS
    for version in tls1.2 tls1.3; do
        for how in retrieve retrieve2 retrieve3; do
            asks bare "$GOOD" identity "$LAB/client1" $how empty $version
            run -1 grep -a '^identity' <<<"$HEARD"
            asks shim "$GOOD" identity "$LAB/client1" $how empty $version
            equals "$STATUS" 0
            has "$HEARD" 'identity client2'
        done
    done
    # A raw public key.
    unset PATHS_TRUST
    serves good raw "raw-key=$LAB/good.pub" priority=+CTYPE-CLI-RAWPK
    asks bare "$PORT" connect rawkey priority=-CTYPE-ALL:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK
    equals "$STATUS" 0
    asks shim "$PORT" connect rawkey priority=-CTYPE-ALL:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK
    equals "$STATUS" 0
    run -1 grep -a '^identity' <<<"$HEARD"
}

@test "a rule's client certificate does not go to a server that shows the pinned certificate without its key" {
    KEY_KIND='RSA -pkeyopt rsa_keygen_bits:2048' lab_cert rsa2 /CN=rsa2
    pins "www.pinned.example spki-sha256:$(lab_spki "$LAB/rsa.pem") client-cert=$LAB/client2.pem client-key=$LAB/client2.key"
    serves rsa old
    # It has its key.
    asks shim "$PORT" identity "$LAB/client1" none tls1.2
    equals "$STATUS" 0
    has "$HEARD" 'identity client2'
    serves rsa old key=rsa2
    for how in priority=-KX-ALL:+RSA priority=-KX-ALL:+ECDHE-RSA; do
        asks bare "$PORT" identity "$LAB/client1" file tls1.2 "$how"
        [[ $how != *+RSA ]] || [[ $how == *ECDHE* ]] || has "$HEARD" 'identity client1'
        asks shim "$PORT" identity "$LAB/client1" none tls1.2 "$how"
        [ "$STATUS" -ne 0 ] || explain 'it was reached'
        got_nothing
    done
    serves good key=impostor
    pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/client2.pem client-key=$LAB/client2.key"
    asks shim "$PORT" identity "$LAB/client1" none tls1.3
    equals "$STATUS" 1
    got_nothing
}

@test "a rule's client certificate is read from PEM with an encrypted key, DER and PKCS#12, and its chain goes along" {
    local files
    (umask 077 && echo julio >"$LAB/pass" &&
        openssl pkey -in "$LAB/client2.key" -aes256 -passout pass:julio -out "$LAB/client2.encrypted" &&
        openssl pkey -in "$LAB/client2.key" -outform DER -out "$LAB/client2.der" &&
        openssl pkcs12 -export -in "$LAB/client2.pem" -inkey "$LAB/client2.key" -passout pass:julio -out "$LAB/client2.p12")
    EVENTS=$GOOD_EVENTS
    for files in "client-cert=$LAB/client2.pem client-key=$LAB/client2.encrypted client-key-pass-file=$LAB/pass" "client-cert=$LAB/client2.pem client-key=$LAB/client2.der" \
        "client-cert=$LAB/client2.p12 client-key=$LAB/client2.p12 client-key-pass-file=$LAB/pass"; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD $files"
        PINSHIM_LOG_LEVEL=all asks shim "$GOOD" identity "$LAB/client1" none
        equals "$STATUS" 0
        has "$HEARD" 'identity client2'
        has "$(lines accepted)" 'client certificate "CN=client2" offered'
    done
    # Faults refuse.
    for files in "client-cert=$LAB/client2.pem client-key=$LAB/client1.key" "client-cert=$LAB/client2.pem client-key=$LAB/client2.encrypted" "client-cert=$LAB/client2.pem client-key=$LAB/nothing"; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD $files"
        asks shim "$GOOD" identity "$LAB/client1" none
        equals "$STATUS" 1
        has "$(lines refused)" 'configuration fault'
    done
}

@test "each verdict is logged as for OpenSSL, with the library's name and release" {
    local release
    release=$("$GNUTLS/connect" 127.0.0.1 "$GOOD" release | sed -n 's/^release: //p')
    export PINSHIM_LOG_FORMAT=json PINSHIM_LOG_LEVEL=all
    EVENTS=$GOOD_EVENTS asks shim "$GOOD" connect tls1.3
    equals "$(json "$ERR" verdict library target port tls matched subject resumed)" "accepted|gnutls $release|www.pinned.example:$GOOD|$GOOD|TLSv1.3|spki-sha256:$PIN_GOOD|CN=good|False"
    EVENTS=$IMPOSTOR_EVENTS asks shim "$IMPOSTOR" connect tls1.2
    equals "$(json "$ERR" verdict library target address port rule tls spki_sha256 issuer)" \
        "refused|gnutls $release|www.pinned.example:$IMPOSTOR|127.0.0.1|$IMPOSTOR|$PINS:1|TLSv1.2|$PIN_IMPOSTOR|CN=pinshim test CA"
    EVENTS=$IMPOSTOR_EVENTS asks shim "$IMPOSTOR" connect sni=other.example
    equals "$(json "$ERR" verdict library target)" "unpinned|gnutls $release|other.example:$IMPOSTOR"
    EVENTS=$IMPOSTOR_EVENTS
    PINSHIM_MODE=report asks shim "$IMPOSTOR" connect
    equals "$STATUS" 0
    has "$OUT" 'hello from impostor'
    equals "$(json "$ERR" verdict library)" "reported|gnutls $release"
    EVENTS=$GOOD_EVENTS CONNECTIONS=2 asks shim "$GOOD" resume get2
    equals "$(json "$(tail -n 1 <<<"$ERR")" verdict resumed)" 'accepted|True'
}

# json LINE FIELD...: what the fields say
json() {
    /usr/bin/python3 -c 'import json, sys; it = json.loads(sys.argv[1]); print("|".join(str(it.get(name)) for name in sys.argv[2:]))' "$@"
}

@test "learn writes pins for what a client on GnuTLS has spoken to, which hold" {
    local pinshim=$BATS_TEST_DIRNAME/../build/pinshim
    [ -x "$pinshim" ] || skip 'the command is not built here'
    EVENTS=$GOOD_EVENTS
    capture timeout 50 "$pinshim" learn -o "$BATS_TEST_TMPDIR/learnt" -- "$GNUTLS/connect" 127.0.0.1 "$GOOD"
    equals "$STATUS" 0
    has "$(grep -v '^#' "$BATS_TEST_TMPDIR/learnt")" "spki-sha256:$PIN_GOOD"
    sed "s/$GOOD/$IMPOSTOR/" "$BATS_TEST_TMPDIR/learnt" >"$PINS"
    EVENTS=$IMPOSTOR_EVENTS fails "$IMPOSTOR" connect
}

@test "no ClientHello of another make passes the guard while the thread is in a judged handshake" {
    local how
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    relay "$IMPOSTOR"
    for how in tls1.3 tls1.2 'tls1.2 priority=%NO_EXTENSIONS' taken; do
        # shellcheck disable=SC2086 # words
        set -- connect push sni=other.example $how "smuggled=$PORT"
        EVENTS=$GOOD_EVENTS asks bare "$GOOD" "$@"
        has "$OUT" 'smuggled: all'
        lab_wait test -s "$RELAYED"
        EVENTS=$GOOD_EVENTS asks shim "$GOOD" "$@"
        has "$OUT" 'smuggled: nothing'
        has "$(lines refused)" "refused www.pinned.example:$PORT: "
        equals "$(count_lines refused)" 1
    done
}

@test "a server in the same process is left alone" {
    # Its client is refused, its server shakes hands as before: the test server itself, under the shim and rules that forbid all.
    local file=$LAB/events-server
    pins '* deny'
    shim "$GNUTLS/server" "$LAB" good >>"$file" 2>"$file.err" </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$file"
    EVENTS=$file
    PORT=$(head -n 1 "$file")
    : >"$file"
    asks bare "$PORT" identity "$LAB/client1" file
    equals "$STATUS" 0
    has "$OUT" 'hello from good'
    has "$HEARD" 'identity client1'
    equals "$(<"$file.err")" ''
    asks shim "$PORT" connect
    equals "$STATUS" 1
    got_nothing
}
