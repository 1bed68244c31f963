#!/usr/bin/env bats
# Goal: after "make install" ld.so finds the shim by its bare name (it would start programs without a library that it does not find). Building
# a package changes nothing in the system; installing where ld.so does not search prints that the full path is needed.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2030,SC2031,SC2153

load lib/programs

setup_file() {
    programs_lab
    # This tree and what was built, with the object that is tested. Who installs it may be another user.
    MADE=$(mktemp -d)
    export MADE
    chmod 0755 "$MADE"
    mkdir "$MADE/tree"
    tar -C "$BATS_TEST_DIRNAME/.." -c --exclude=./.git --exclude=./build/fastify --exclude=./build/runtimes --exclude=./build/deb . | tar -C "$MADE/tree" -x
    cp "$SHIM_SO" "$MADE/tree/build/libpinshim.so"
    cp "$LAB/ca.pem" "$MADE"
    echo "localhost spki-sha256:$PIN_GOOD" >"$MADE/pins"
}

teardown_file() {
    lab_stop
    rm -rf "$MADE"
}

setup() {
    MAKE=(env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make --no-print-directory -C "$MADE/tree")
}

# own: what throw_away changes instead of the system's
own() {
    OWN=$BATS_TEST_TMPDIR/own
    mkdir -p "$OWN/local" "$OWN/ldconfig"
    cp -a /etc "$OWN/etc"
}

# throw_away COMMAND...: where /usr/local is empty at first, and /etc and what ldconfig knows are copies
throw_away() {
    # shellcheck disable=SC2016 # the inner shell expands it
    unshare --mount bash -euc '
        mount --bind "$0/local" /usr/local
        mount --bind "$0/etc" /etc
        mount --bind "$0/ldconfig" /var/cache/ldconfig
        exec "$@"' "$OWN" "$@"
}

# as_nobody COMMAND...: with nothing but this in the environment
as_nobody() {
    local run=()
    [ "$1" != throw_away ] || { run=(throw_away) && shift; }
    "${run[@]}" setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH=/usr/local/bin:/usr/bin:/bin "$@"
}

# fetch PORT COMMAND...: a client without rights, where it was installed
fetch() {
    capture as_nobody throw_away "${@:2}" curl -sS --max-time 20 --cacert "$MADE/ca.pem" "https://localhost:$1/"
}

# stopped: the last client received nothing, and one line says so
stopped() {
    equals "$STATUS: $OUT" '60: '
    equals "$(count_lines refused)" 1
}

@test "after make install the bare name is enough, for a user without rights as well; after make uninstall it is gone" {
    local line=(PINSHIM_PINS="$MADE/pins" LD_PRELOAD=libpinshim.so)
    local before
    needs_mounts
    own
    before=$(stat -c %i "$OWN/etc/ld.so.cache")
    fetch "$IMPOSTOR" "${line[@]}"
    equals "$STATUS: $OUT" '0: hello from impostor'
    has "$ERR" "object 'libpinshim.so' from LD_PRELOAD cannot be preloaded"

    # What is only packed leaves the cache as it was.
    capture throw_away "${MAKE[@]}" DESTDIR="$OWN/packed" install
    equals "$STATUS" 0
    lacks "$OUT" 'ld.so does not find it'
    capture throw_away "${MAKE[@]}" DESTDIR="$OWN/packed" uninstall
    equals "$STATUS: $(find "$OWN/packed" -name '*pinshim*')" '0: '
    equals "$(stat -c %i "$OWN/etc/ld.so.cache")" "$before"

    capture throw_away "${MAKE[@]}" install
    equals "$STATUS" 0
    lacks "$OUT" 'ld.so does not find it'
    fetch "$GOOD" "${line[@]}"
    equals "$STATUS: $OUT$ERR" '0: hello from good'
    fetch "$IMPOSTOR" "${line[@]}"
    stopped
    fetch "$IMPOSTOR" pinshim run --pins "$MADE/pins" --
    stopped

    capture throw_away "${MAKE[@]}" uninstall
    equals "$STATUS" 0
    equals "$(find "$OWN/local" -name '*pinshim*')" ''
    equals "$(throw_away ldconfig -p | grep -c libpinshim)" 0
}

@test "a compiler that is missing is not asked for before it is needed" {
    capture "${MAKE[@]}" CC=no-such-compiler help
    equals "$STATUS$ERR" 0
}

@test "a user without rights who installs into a directory of their own is told that there the path must be written" {
    local home=$MADE/home object=$MADE/home/lib/libpinshim.so
    [ "$(id -u)" -eq 0 ] || skip 'it takes root to become another user'
    mkdir -m 0777 "$home"
    # The command is made anew: it knows where the object will be.
    chown -R 65534:65534 "$MADE/tree"
    capture as_nobody "${MAKE[@]}" PREFIX="$home" install
    equals "$STATUS" 0
    has "$OUT" "ld.so does not find it by its name alone: write LD_PRELOAD=$object"
    # The drop-in for services has the path of where it was installed.
    equals "$(grep -c "=$object\$" "$home/share/doc/pinshim/examples/systemd/pinshim.conf"):$(grep -c /usr/lib/ "$home/share/doc/pinshim/examples/systemd/pinshim.conf")" 2:0
    fetch_here() { capture as_nobody "$@" curl -sS --max-time 20 --cacert "$MADE/ca.pem" "https://localhost:$IMPOSTOR/"; }
    fetch_here PINSHIM_PINS="$MADE/pins" LD_PRELOAD="$object"
    stopped
    fetch_here "$home/bin/pinshim" run --pins "$MADE/pins" --
    stopped
    capture as_nobody "${MAKE[@]}" PREFIX="$home" uninstall
    equals "$STATUS: $(find "$home" -name '*pinshim*')" '0: '
}
