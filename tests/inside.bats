#!/usr/bin/env bats
# Goal: clients whose OpenSSL is within the program are judged like all others: Node.js, as its makers build it. Each way reaches the good server, and
# refuses an impostor with a valid chain in the handshake, with and without verification of its own; nothing else of the program changes.
# tests/paths_inside*.bats has programs in C. "make matrix" runs this with more releases of Node.js (make nodes).

# shellcheck disable=SC2030,SC2031,SC2153,SC2154

load lib/programs

setup_file() {
    programs_lab
    lab_cert client '/CN=client of the rule' 'extendedKeyUsage=clientAuth'
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-deprecated-declarations -shared -fPIC -DADDON -o "$LAB/addon.node" \
        "$BATS_TEST_DIRNAME/paths/addon.c"
}

teardown_file() {
    lab_stop
}

setup() {
    build=$BATS_TEST_DIRNAME/../build
    nodes=("$build"/runtimes/node_modules/node-*/bin/node)
    [ ! -e "$build/nodes/fetched" ] || nodes+=("$build"/nodes/node_modules/node-*/bin/node)
    program=$BATS_TEST_DIRNAME/stacks/Node.mjs
    pins "localhost spki-sha256:$PIN_GOOD"
}

# node HOW PORT [NAME=VALUE...]: the client, of the release $node; $trust: whether it verifies the chain
node() {
    printf '%s\n' env "${trust[@]}" "${settings[@]}" "$node" "${options[@]}" --no-warnings "$program" "$@"
}

# each FUNCTION: call it for each release of Node.js, with and without verification
each() {
    settings=() options=()
    for node in "${nodes[@]}"; do
        for trust in NODE_TLS_REJECT_UNAUTHORIZED=0 NODE_EXTRA_CA_CERTS="$LAB/ca.pem"; do
            "$@"
        done
    done
}

served() { wc -l <"$LAB/nginx-impostor/access.log"; }
served_more() { [ "$(served)" -gt "$1" ]; }

# held HOW [NAME=VALUE...]: without the shim the impostor gets the request, with it nothing, and the log has one line of a judged library; the good server
# is reached
held() {
    local before
    mapfile -t command < <(node "$1" "$IMPOSTOR" "${@:2}" "$(cat "$BATS_TEST_TMPDIR/$1-impostor" 2>/dev/null)")
    before=$(served)
    capture bare timeout 30 "${command[@]}"
    has "$OUT" 'hello from impostor'
    lab_wait served_more "$before" || explain 'no request in the access log'
    before=$(served)
    PINSHIM_LOG_FORMAT=json capture shim timeout 30 "${command[@]}"
    [ "$STATUS" -ne 124 ] || explain 'hangs'
    lacks "$OUT" 'hello from'
    equals "$(served)" "$before"
    equals "$(grep -c '"verdict":"refused"' <<<"$ERR")" 1
    has "$ERR" '"library":"openssl '
    has "$ERR" '"target":"localhost'
    has "$ERR" "no pin of $PINS:1 matched"
    mapfile -t command < <(node "$1" "$GOOD" "${@:2}" "$(cat "$BATS_TEST_TMPDIR/$1-good" 2>/dev/null)")
    capture shim timeout 30 "${command[@]}"
    has "$OUT" 'hello from good'
    equals "$STATUS" 0
    lacks "$ERR" 'pinshim['
}

versions() {
    held "$1" version=TLSv1.2
    held "$1" version=TLSv1.3
}

@test "https and tls, over TLS 1.2 and 1.3" {
    each versions https
    each versions tls
}

@test "fetch" {
    fetching() { [[ $node == */node-16* ]] || held fetch; }
    each fetching
}

@test "http2" {
    local name
    for name in good impostor; do
        /usr/bin/node -e 'const http2 = require("http2"), fs = require("fs"), [name, log] = process.argv.slice(1);
            const server = http2.createSecureServer({ key: fs.readFileSync(name + ".key"), cert: fs.readFileSync(name + ".pem") });
            server.on("stream", (stream) => { fs.appendFileSync(log, "asked\n"); stream.respond({}); stream.end("hello from " + name.split("/").pop() + "\n"); });
            server.listen(0, "127.0.0.1", () => console.log(server.address().port));' "$LAB/$name" "$LAB/nginx-impostor/access.log" >"$LAB/h2-$name" 3>&- &
        echo $! >>"$LAB/pids"
        lab_wait test -s "$LAB/h2-$name"
    done
    GOOD=$(<"$LAB/h2-good") IMPOSTOR=$(<"$LAB/h2-impostor")
    each held http2
}

@test "worker threads, cluster, fork, and a context of the program's own" {
    local how
    for how in worker cluster fork context; do
        each held "$how"
    done
}

@test "through a proxy that is asked in plain text, and in TLS" {
    local name
    for name in good impostor; do
        relay "$([ $name = good ] && echo "$GOOD" || echo "$IMPOSTOR")"
        echo "proxy=$PORT" >"$BATS_TEST_TMPDIR/connect-$name"
        unwrap "$PORT" good
        echo "proxy=$PORT" >"$BATS_TEST_TMPDIR/within-$name"
    done
    each held connect
    each held within
}

@test "an agent resumes its sessions, as without the shim" {
    resumes() {
        local version
        for version in TLSv1.2 TLSv1.3; do
            mapfile -t command < <(node agent "$GOOD" "version=$version")
            capture shim timeout 30 "${command[@]}"
            equals "$(grep -c 'reused: true' <<<"$OUT")" 2
            equals "$STATUS" 0
            lacks "$ERR" 'pinshim['
        done
    }
    each resumes
}
