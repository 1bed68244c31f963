#!/usr/bin/env bats
# Goal: the guide to mutual TLS, docs/mutual-tls.md, works as written, command by command.

# shellcheck disable=SC2153 # $STATUS is set by capture

load lib/programs

setup_file() {
    export BATS_TEST_TIMEOUT=${SHIM_TEST_TIMEOUT:-120}
}

teardown() {
    # Where a command has failed, before the guide's last one.
    [ ! -s "$BATS_TEST_TMPDIR/guide/nginx.pid" ] || kill "$(cat "$BATS_TEST_TMPDIR/guide/nginx.pid")"
}

# indented FILE: the lines of its indented blocks; boxed FILE: those of its fenced blocks
indented() { awk '/^```/ { boxed = !boxed } !boxed && /^    / { print substr($0, 5) }' "$1"; }
boxed() { awk '/^```/ { boxed = !boxed; next } boxed' "$1"; }

# free_ports: two different ones
free_ports() {
    /usr/bin/python3 -c 'import socket
both = [socket.socket(), socket.socket()]
for each in both: each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in both))'
}

@test "the guide to mutual TLS works as it stands" {
    local guide=$BATS_TEST_DIRNAME/../docs/mutual-tls.md line pattern found rest
    mkdir "$BATS_TEST_TMPDIR/guide"
    cd "$BATS_TEST_TMPDIR/guide"
    read -r port impostor_port < <(free_ports)
    export port impostor_port pinshim=$BATS_TEST_DIRNAME/../build/pinshim
    indented "$guide" >"$BATS_TEST_TMPDIR/script"
    # shellcheck disable=SC2016 # expanded there
    capture bash -eu -o pipefail -c 'trap "kill \$(jobs -p) 2>/dev/null || true" EXIT; . "$1"' - "$BATS_TEST_TMPDIR/script"
    equals "$STATUS" 0

    # Each line of the fenced blocks is printed, in this order.
    rest=$OUT
    while read -r line; do
        # shellcheck disable=SC2001 # every character
        pattern=$(sed 's/[^.]/[&]/g; s/\[\^\]/\\^/g; s/\.\.\./.*/g' <<<"$line")
        found=$(grep -nm1 -xE "$pattern" <<<"$rest") || explain "not printed: $line"
        rest=$(tail -n "+$((${found%%:*} + 1))" <<<"$rest")
    done < <(boxed "$guide")
}
