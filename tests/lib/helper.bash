# Shared by the tests with real clients: a good server and an impostor with an equally valid chain, served by nginx and by
# "openssl s_server", and the assertion that the shim in $SHIM_SO, and nothing else, makes a client refuse the impostor.

SHIM_SO=${SHIM_SO:-$BATS_TEST_DIRNAME/../build/libpinshim.so}
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export SHIM_SO PATH
unset LD_PRELOAD PINSHIM_PINS PINSHIM_MODE PINSHIM_LOG PINSHIM_LOG_FORMAT PINSHIM_LOG_LEVEL
unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

# shellcheck source=tests/lib/lab.bash
. "$BATS_TEST_DIRNAME/lib/lab.bash"

# A server is written "SOFTWARE VERSION". nginx speaks both versions of TLS and the client chooses; each s_server speaks one.
every_server=('nginx 1.2' 'nginx 1.3' 's_server 1.2' 's_server 1.3')

# start_servers: for setup_file
start_servers() {
    local name version
    export LAB=$BATS_FILE_TMPDIR/lab
    lab_make "$LAB"
    for name in good impostor; do
        lab_nginx "$name" "return 200 \"hello from $name over \$ssl_protocol\\n\";"
        echo "$PORT $LAB/nginx-$name/error.log" | tee "$LAB/at-$name-nginx-1.2" >"$LAB/at-$name-nginx-1.3"
        for version in 1.2 1.3; do
            lab_s_server "$name" "-tls${version/./_}"
            echo "$PORT $(grep -l "^ACCEPT .*:$PORT\$" "$LAB"/s_server-*)" >"$LAB/at-$name-s_server-$version"
        done
    done
}

# prepare: for setup; $PINNED is the pin of the good server
prepare() {
    CA=$LAB/ca.pem
    PINS=$BATS_TEST_TMPDIR/pins
    PINNED="sha256//$(lab_spki "$LAB/good.pem")"
    export CA PINS PINNED
    with_servers "${every_server[@]}"
    farewell='alert bad certificate'
}

# with_servers SERVER...: the servers that "holds" uses
with_servers() { servers=("$@"); }

# drops_alerts: for a client that closes the socket without sending the alert that OpenSSL wrote, as it does on every failure
drops_alerts() {
    farewell='peer closed connection in SSL handshake|unexpected eof while reading'
    # The s_server of 1.1.1 does not report that.
    [[ $(openssl version) != *' 1.1.1'* ]] || with_servers 'nginx 1.2' 'nginx 1.3'
}

# with_pins RULE...: writes the pins file, one rule per line; the first is line 3
with_pins() {
    printf '%s\n' '# pins of the test' '' "$@" >"$PINS"
}

# port_of good|impostor SERVER; log_of good|impostor SERVER
port_of() { cut -d' ' -f1 "$LAB/at-$1-${2/ /-}"; }
log_of() { cut -d' ' -f2- "$LAB/at-$1-${2/ /-}"; }

# client COMMAND...: every client is started by this; "run_client" decides whether the shim is preloaded
client() {
    timeout -k 1 20 env "${client_environment[@]}" "$@"
}

# request: the HTTP request for clients that only pass on bytes
request() {
    printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n'
}

# run_client bare|shim good|impostor SERVER FUNCTION: calls FUNCTION PORT VERSION; sets $STATUS, $OUT, $ERR, $CALL
run_client() {
    local way=$1 name=$2 server=$3 function=$4
    client_environment=()
    [ "$way" = bare ] || client_environment=("LD_PRELOAD=$SHIM_SO" "PINSHIM_PINS=$PINS")
    CALL="$function, $way, with the $name $server"
    STATUS=0
    "$function" "$(port_of "$name" "$server")" "${server##* }" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" </dev/null || STATUS=$?
    OUT=$(<"$BATS_TEST_TMPDIR/out")
    ERR=$(<"$BATS_TEST_TMPDIR/err")
}

# failed TEXT: fails the test, and prints the last call
failed() {
    printf '%s\n' "$CALL: $1" "exit status $STATUS" '--- stdout' "$OUT" '--- stderr' "$ERR" '--- pins' "$(cat "$PINS")" >&2
    return 1
}

# received good|impostor SERVER: the client printed this server's body, which names the version of TLS
received() {
    local name=$1 server=$2
    case $server in
    nginx*) [[ $OUT == *"hello from $name over TLSv${server##* }"* ]] ;;
    *) [[ $OUT == *"/$name.pem "* && $OUT == *"New, TLSv${server##* }, Cipher is "* ]] ;;
    esac || failed "the body of the $name server was not received" || return 1
    [ "$STATUS" -eq 0 ] || failed 'the exit status tells of a failure' || return 1
    [[ $ERR != *'pinshim['* ]] || failed 'the object spoke without a reason'
}

# refused HOST LINE SERVER: the client failed, has nothing of the impostor, and one line on stderr names HOST and the rule
refused() {
    local host=${1//./\\.} line=$2 server=$3 lines expected
    [[ $OUT != *'hello from'* && $OUT != *impostor.pem* && $OUT != *HTTP/1* ]] || failed 'a body was received' || return 1
    [ "$STATUS" -ne 0 ] || failed 'the exit status tells of success' || return 1
    [ "$STATUS" -ne 124 ] || failed 'the client hung' || return 1
    lines=$(grep -F 'pinshim[' <<<"$ERR") || failed 'no line tells of the refusal' || return 1
    expected="^pinshim\\[[0-9]+\\]: refused $host(:$(port_of impostor "$server"))?: no pin of $PINS:$line matched; "
    expected+='peer spki-sha256:[^ ]+ cert-sha256:[^ ]+ subject "CN=impostor"; wanted spki-sha256:[^ ]+$'
    [[ $lines =~ $expected && $lines != *$'\n'* ]] || failed "not the one line that was expected, $expected"
}

farewells() { grep -cE "$farewell" "$1" || true; }
more_farewells() { [ "$(farewells "$1")" -gt "$2" ]; }
served() { wc -l <"$LAB/nginx-impostor/access.log"; }
served_more() { [ "$(served)" -gt "$1" ]; }

# holds HOST LINE FUNCTION: for each of ${servers[@]}, without the shim FUNCTION gets the impostor's body; with it, the good
# server's body, and from the impostor nothing: the rule of HOST in the pins file's LINE refuses it, and all that the impostor
# gets is a fatal alert
holds() {
    local host=$1 line=$2 function=$3 server log before requests
    for server in "${servers[@]}"; do
        requests=$(served)
        run_client bare impostor "$server" "$function"
        received impostor "$server" || return 1
        if [[ $server == nginx* ]]; then
            lab_wait served_more "$requests" || failed 'no request in the access log' || return 1
        fi

        run_client shim good "$server" "$function"
        received good "$server" || return 1

        log=$(log_of impostor "$server")
        before=$(farewells "$log")
        requests=$(served)
        run_client shim impostor "$server" "$function"
        refused "$host" "$line" "$server" || return 1
        lab_wait more_farewells "$log" "$before" || failed "the impostor's log does not say '$farewell'" || return 1
        [ "$(served)" -eq "$requests" ] || failed 'the impostor got a request' || return 1
    done
}

# spares FUNCTION SERVER: no rule applies to this call, and the impostor's body is received with the shim as without
spares() {
    run_client shim impostor "$2" "$1"
    received impostor "$2"
}

# with_port_pins TARGET SERVER: a rule for TARGET at the port of each of the two servers, and first one for another port
with_port_pins() {
    with_pins "$1:9 deny" "$1:$(port_of good "$2") $PINNED" "$1:$(port_of impostor "$2") $PINNED"
}

# holds_at_port TARGET FUNCTION: the rule for the port applies to that port, and to no other
holds_at_port() {
    local server
    for server in "${every_server[@]}"; do
        with_servers "$server"
        with_port_pins "$1" "$server"
        holds "$1" 5 "$2" || return 1
        with_pins "$1:$(port_of good "$server") $PINNED"
        spares "$2" "$server" || return 1
    done
}

# holds_with_port TARGET FUNCTION: the rule for the impostor's port, the only one in the file, applies
holds_with_port() {
    local server
    for server in "${every_server[@]}"; do
        with_servers "$server"
        with_pins "$1:$(port_of impostor "$server") $PINNED"
        holds "$1" 3 "$2" || return 1
    done
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# traces: for tests that need a server's trace; Debian 11 builds s_server without it
traces() {
    [[ $(openssl version) != *' 1.1.1'* ]] || skip 'this s_server has no -trace'
}

# records LOG: the type of each record that an s_server received, the inner one where there is one
records() {
    awk -F'= ' '
        /^(Received|Sent) (TLS )?Record/ { if (type) print type; type = ""; received = /^Received/ }
        received && /^ *(Inner )?Content Type = / { type = $2 }
        END { if (type) print type }
    ' "$1"
}

# trace VERSION bare|shim FUNCTION: run_client with an impostor that serves one connection; its trace goes to $TRACE
trace() {
    local pid
    TRACE=$BATS_TEST_TMPDIR/trace-$2
    lab_s_server impostor "-tls${1/./_}" -naccept 1 -trace -msgfile "$TRACE"
    pid=$(tail -n 1 "$LAB/pids")
    echo "$PORT -" >"$LAB/at-impostor-traced-$1"
    run_client "$2" impostor "traced $1" "$3"
    # It writes the trace out when it ends.
    lab_wait gone "$pid"
    sed -i "/^$pid\$/d" "$LAB/pids"
}

# sees_only_an_alert VERSION HOST LINE FUNCTION: as "holds", from the records that the impostor received
sees_only_an_alert() {
    local version=$1 types
    trace "$version" bare "$4" || return 1
    received impostor "traced $version" || return 1
    types=$(records "$TRACE")
    [[ $types == *'ApplicationData (23)'* ]] || failed "the impostor received no request, but: $types" || return 1
    trace "$version" shim "$4" || return 1
    refused "$2" "$3" "traced $version" || return 1
    types=$(records "$TRACE")
    [[ $types == *'Alert (21)' && $types != *ApplicationData* ]] || failed "the impostor received: $types" || return 1
    grep -qF 'Level=fatal(2), description=bad certificate(42)' "$TRACE" || failed 'the alert is not a fatal "bad certificate"'
}
