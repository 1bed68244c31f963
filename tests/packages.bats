#!/usr/bin/env bats
# Goal: the RPM package is built, installed and removed; AppArmor's parser takes the abstraction, which covers where the shim is installed; the pictures in the
# documents are what the demo shows now, and are well-formed. (tests/fleet.bats has the Debian package.)

# shellcheck disable=SC2030,SC2031,SC2153,SC2154

load lib/programs

setup_file() {
    programs_lab
    # A package is built.
    export BATS_TEST_TIMEOUT=${SHIM_TEST_TIMEOUT:-300}
    export TOP=$BATS_TEST_DIRNAME/..
}

teardown_file() {
    lab_stop
}

@test "the RPM package is built, installed, used and removed" {
    local root=$BATS_TEST_TMPDIR/root package file
    [ "$(id -u)" -eq 0 ] || skip 'rpm --root takes root'
    package=$("$TOP/packaging/rpm/build" "$BATS_TEST_TMPDIR/made")
    equals "$(rpm -qp --qf '%{NAME} %{VERSION} %{LICENSE}' "$package")" "pinshim $(cat "$TOP/VERSION") MIT"
    mkdir "$root"
    rpm --root "$root" --initdb
    rpm --root "$root" --nodeps -i "$package"
    for file in bin/pinshim lib64/libpinshim.so lib64/libpinshim-prove.so share/man/man1/pinshim.1* share/doc/pinshim/README.md; do
        [ -f "$root/usr/$file" ] || compgen -G "$root/usr/$file" >/dev/null || explain "$file"
    done
    cmp "$root/etc/apparmor.d/abstractions/pinshim" "$TOP/packaging/apparmor/pinshim"
    equals "$("$root/usr/bin/pinshim" --version)" "pinshim $(cat "$TOP/VERSION")"
    # What was installed refuses the impostor.
    pins "localhost spki-sha256:$PIN_GOOD"
    capture env LD_PRELOAD="$root/usr/lib64/libpinshim.so" PINSHIM_PINS="$PINS" curl -sk "https://localhost:$IMPOSTOR/"
    equals "$OUT$(count_lines refused)" 1
    capture env LD_PRELOAD="$root/usr/lib64/libpinshim.so" PINSHIM_PINS="$PINS" curl -sk "https://localhost:$GOOD/"
    has "$OUT" 'hello from good'
    rpm --root "$root" -e pinshim
    equals "$(find "$root/usr" "$root/etc" -type f)" ''
}

# parses: AppArmor's parser takes a profile with the abstraction in $BATS_TEST_TMPDIR/aa
parses() {
    printf '%s\n' 'abi <abi/3.0>,' 'include <tunables/global>' 'profile confined /usr/bin/confined {' 'include <abstractions/base>' 'include <abstractions/pinshim>' '}' \
        >"$BATS_TEST_TMPDIR/profile"
    capture apparmor_parser --skip-kernel-load --skip-cache -I "$BATS_TEST_TMPDIR/aa" -I /etc/apparmor.d "$@" "$BATS_TEST_TMPDIR/profile"
}

@test "AppArmor's parser takes the abstraction, and no faulty one" {
    local rule path covered
    mkdir -p "$BATS_TEST_TMPDIR/aa/abstractions"
    cp "$TOP/packaging/apparmor/pinshim" "$BATS_TEST_TMPDIR/aa/abstractions"
    parses
    equals "$STATUS" 0
    parses --preprocess
    has "$OUT" '/etc/pinshim/** r,'
    # Where the shim is installed: in /usr/local, by Debian's package, by the RPM package, on Alpine.
    rule=$(sed -n 's/^ *\(.*\)libpinshim{,-prove}.so mr,$/\1/p' "$TOP/packaging/apparmor/pinshim")
    for path in /usr/local/lib/ "/usr/lib/$(gcc -print-multiarch)/" "/lib/$(gcc -print-multiarch)/" /usr/lib64/ /usr/lib/; do
        covered=no
        while read -r each; do
            # shellcheck disable=SC2053 # a pattern
            [[ $path != $each ]] || covered=yes
        done < <(eval "set -f; printf '%s\n' $rule")
        equals "$path $covered" "$path yes"
    done
    sed -i 's/libpinshim{,-prove}.so mr,/libpinshim.so mq,/' "$BATS_TEST_TMPDIR/aa/abstractions/pinshim"
    parses
    [ "$STATUS" -ne 0 ]
}

# words FILE: the text of a picture, without what differs from one run to another
words() {
    /usr/bin/python3 -c 'import sys, xml.etree.ElementTree as tree
for each in tree.parse(sys.argv[1]).iter("{http://www.w3.org/2000/svg}text"): print("".join(each.itertext()))' "$1" |
        sed -E 's/localhost:[0-9]+ */localhost:PORT /; s/pinshim\[[0-9]+\]/pinshim[N]/; s/openssl [0-9.]+ */openssl V /; s/python[0-9.]+ */python V /; /^(TARGET|[A-Za-z0-9+\/=]{6,}.*sha256|.*"CN=)/d; s/spki-sha256:.*//; s/ +/ /g; s/ $//'
}

@test "the pictures in the documents are what the demo shows" {
    local picture
    mkdir "$BATS_TEST_TMPDIR/made"
    "$TOP/demo/picture" "$BATS_TEST_TMPDIR/made"
    for picture in demo.svg refusal.svg; do
        equals "$(words "$BATS_TEST_TMPDIR/made/$picture")" "$(words "$TOP/docs/$picture")"
        grep -q 'prefers-color-scheme: dark' "$TOP/docs/$picture"
    done
    equals "$(words "$TOP/docs/demo.svg" | grep -c 'got in got in got in refused$')" 4
    has "$(words "$TOP/docs/refusal.svg")" 'proven: the impostor was refused for 2 of 2 pinned targets, and got nothing'
    grep -q '(docs/demo.svg)' "$TOP/README.md"
    grep -q '(refusal.svg)' "$TOP/docs/paths.md"
}
