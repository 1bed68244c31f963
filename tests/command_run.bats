#!/usr/bin/env bats
# Goal: "pinshim run" starts programs that the shim judges or guards, exactly as they would run without it, and no others; "pinshim doctor"
# reports which a program is, and why; "pinshim learn" writes pins that "run" can then enforce.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153

load lib/programs

# The command is copied beside the shim under test, because it uses the one in its own directory.
setup_file() {
    programs_lab
    mkdir "$LAB/bin" "$LAB/made"
    cp "$BATS_TEST_DIRNAME/../build/pinshim" "$SHIM_SO" "$LAB/bin/"
    [ "${SHIM_SO##*/}" = libpinshim.so ] || mv "$LAB/bin/${SHIM_SO##*/}" "$LAB/bin/libpinshim.so"
    export PATH=$LAB/bin:/usr/sbin:/usr/bin:/sbin:/bin MADE=$LAB/made
    export PIN_CA
    PIN_CA=$(lab_spki "$LAB/ca.pem")
    unset PINSHIM_PINS PINSHIM_MODE PINSHIM_LOG PINSHIM_LOG_FORMAT PINSHIM_LOG_LEVEL LD_PRELOAD LD_LIBRARY_PATH
    printf '#include <stdio.h>\nint main(void) { puts("ran"); return 0; }\n' >"$MADE/plain.c"
    make_programs
}

teardown_file() {
    lab_stop
}

setup() {
    pins "localhost spki-sha256:$PIN_GOOD" "127.0.0.1 spki-sha256:$PIN_GOOD"
    cd "$BATS_TEST_TMPDIR" || return 1
}

# made NAME [OPTION...]: a program that prints "ran"
made() {
    gcc -o "$MADE/$1" "$MADE/plain.c" "${@:2}"
}

# library FILE [OPTION...]: a shared object from standard input, for programs to need
library() {
    gcc -shared -fPIC -x c - -x none -o "$MADE/$1" -Wl,-soname,"${1##*/}" "${@:2}"
}

make_programs() {
    mkdir "$MADE/lib" "$MADE/deep" "$MADE/empty"
    made plain
    made static -static
    made static-pie -static-pie
    made libc -Wl,--dynamic-linker=/lib/ld-other.so.1
    made set-user-id
    made set-group-id
    ! [ "$(id -u)" -eq 0 ] || chown 65534:65534 "$MADE/set-user-id" "$MADE/set-group-id"
    chmod u+s "$MADE/set-user-id"
    chmod g+s "$MADE/set-group-id"
    made capable
    ! [ "$(id -u)" -eq 0 ] || setcap cap_net_raw+ep "$MADE/capable"
    # The header of a program for another processor is enough: it ends there.
    printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\267\0\1\0\0\0' >"$MADE/arm64"
    printf '\177ELF\1\1\1\0\0\0\0\0\0\0\0\0\2\0\3\0\1\0\0\0' >"$MADE/i386"
    printf '\177ELF\1\2\1\0\0\0\0\0\0\0\0\0\0\2\0\24\0\0\0\1' >"$MADE/big-endian"
    chmod +x "$MADE/arm64" "$MADE/i386" "$MADE/big-endian"
    # Libraries by their names, found through DT_RUNPATH, and through the DT_RPATH of what needs the library that needs them.
    echo 'int gnutls(void) { return 0; }' | library lib/libgnutls.so.30
    echo 'int nss(void) { return 0; }' | library lib/libssl3.so
    echo 'int gnutls(void); int between(void) { return gnutls(); }' | library deep/libbetween.so "$MADE/lib/libgnutls.so.30"
    made gnutls -Wl,--no-as-needed,-rpath,'$ORIGIN/lib',--enable-new-dtags "$MADE/lib/libgnutls.so.30"
    made nss -Wl,--no-as-needed,-rpath,'${ORIGIN}/lib',--enable-new-dtags "$MADE/lib/libssl3.so"
    made rpath -Wl,--no-as-needed,-rpath,'$ORIGIN/deep:$ORIGIN/lib',--disable-new-dtags,-rpath-link,"$MADE/lib" "$MADE/deep/libbetween.so"
    made both -Wl,--no-as-needed,-rpath,'$ORIGIN/lib' "$MADE/lib/libgnutls.so.30" -lssl
    made beside -Wl,--no-as-needed,-rpath,'$ORIGIN/deep:$ORIGIN/lib',--disable-new-dtags,-rpath-link,"$MADE/lib" -lssl "$MADE/deep/libbetween.so"
    made by-path -Wl,--no-as-needed "$MADE/lib/libgnutls.so.30" -Wl,-rpath,"$MADE/empty"
    # Code of other libraries, by what stands in their objects.
    echo 'const char *name(void) { return "../src/ssl/ssl_key_share.cc"; } int SSL_CTX_new, SSL_connect;' | library lib/libboring.so
    made boringssl -Wl,--no-as-needed,-rpath,'$ORIGIN/lib' "$MADE/lib/libboring.so"
    echo 'const char *name(void) { return "LibreSSL 3.8.2"; } int SSL_CTX_new, SSL_connect;' | library lib/liblibre.so
    made libressl -Wl,--no-as-needed,-rpath,'$ORIGIN/lib' "$MADE/lib/liblibre.so"
    echo 'const char *name(void) { return "OpenSSL 1.0.2u  20 Dec 2019"; } int SSL_CTX_new, SSL_connect;' | library lib/libssl.so.1.0.0
    made old-openssl -Wl,--no-as-needed,-rpath,'$ORIGIN/lib' "$MADE/lib/libssl.so.1.0.0"
    printf '#include <stdio.h>\nint main(void) { puts("/cargo/rustls-0.21.7/src/client/hs.rs"); return 0; }\n' >"$MADE/rust.c"
    gcc -o "$MADE/rustls" "$MADE/rust.c"
    printf '#include <stdio.h>\nint main(void) { puts("crypto/tls.(*Conn).clientHandshake"); return 0; }\n' >"$MADE/go.c"
    gcc -o "$MADE/go-without" "$MADE/go.c"
    echo >"$MADE/info"
    objcopy --add-section .go.buildinfo="$MADE/info" "$MADE/go-without" "$MADE/go"
    objcopy --add-section .go.buildinfo="$MADE/info" "$MADE/plain" "$MADE/go-alone"
    echo 'const char *go(void) { return "crypto/tls.(*Conn).clientHandshake"; }' | library deep/libgo.so
    objcopy --add-section .go.buildinfo="$MADE/info" "$MADE/deep/libgo.so"
    echo 'const char *go(void); const char *uses(void) { return go(); }' | library deep/libusesgo.so "$MADE/deep/libgo.so"
    made with-go -Wl,--no-as-needed,-rpath,'$ORIGIN/deep' "$MADE/deep/libgo.so" -lssl
    made go-beside -Wl,--no-as-needed,-rpath,'$ORIGIN/deep',--disable-new-dtags,-rpath-link,"$MADE/deep" -lssl "$MADE/deep/libusesgo.so"
    echo 'int pq(void) { return 0; }' | library lib/libpq.so.5
    made libpq -Wl,--no-as-needed,-rpath,'$ORIGIN/lib' -lssl "$MADE/lib/libpq.so.5"
    gcc -o "$MADE/inside" "$BATS_TEST_DIRNAME/paths/connect.c" -D_GNU_SOURCE -l:libssl.a -l:libcrypto.a -lpthread -ldl
    gcc -o "$MADE/static-crypto" "$BATS_TEST_DIRNAME/paths/connect.c" -D_GNU_SOURCE -lssl -l:libcrypto.a -lpthread -ldl
    printf '#include <dlfcn.h>\nint main(void) { return dlopen("libssl.so.3", RTLD_NOW) == 0; }\n' >"$MADE/later.c"
    gcc -o "$MADE/later" "$MADE/later.c"
    # What the loader says: a library that is not there, and an interpreter that tells that it was started.
    echo 'int gone;' | library lib/libgone.so
    made missing -Wl,--no-as-needed "$MADE/lib/libgone.so"
    rm "$MADE/lib/libgone.so"
    printf '#!/bin/sh\ntouch "%s"\n' "$LAB/loader-ran" >"$MADE/ld-linux-own.so"
    chmod +x "$MADE/ld-linux-own.so"
    ! [ "$(id -u)" -eq 0 ] || chown nobody "$MADE/ld-linux-own.so"
    made own-loader -Wl,--dynamic-linker="$MADE/ld-linux-own.so"
}

# run ARGUMENT...: is bats'; so this one is "under": pinshim run with the pins of this test
under() {
    capture pinshim run --pins "$PINS" "$@"
}

# json EXPRESSION: of the object "it" on the last command's standard output
json() {
    /usr/bin/python3 -c 'import json, sys; it = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$OUT_FILE" "$1"
}

# doctor CODE VERDICT STATUS COMMAND...: what doctor says of it; VERDICT ends in -if where there is a condition
doctor() {
    capture pinshim doctor --json -- "${@:4}"
    [ -n "$OUT" ] || explain "doctor says nothing of $4"
    [ "$(json 'it["code"] + " " + it["verdict"] + ("-if" if "condition" in it else "")') $STATUS" = "$1 $2 $3" ] || explain "of $4, not $1 $2 $3"
}

# not_started TEXT COMMAND...: run refuses with the text, says what to do, and the command did not run
not_started() {
    under -- "${@:2}"
    [ "$STATUS" -eq 125 ] || explain "started: $2"
    has "$ERR" "$1"
    has "$ERR" 'next: '
    equals "$OUT" ''
}

@test "run holds a program to its pins, and passes its exit status" {
    under -- curl -sS --cacert "$LAB/ca.pem" "https://localhost:$GOOD/"
    equals "$STATUS" 0
    has "$OUT" 'hello from good'
    equals "$ERR" ''
    under -- curl -sS --cacert "$LAB/ca.pem" "https://localhost:$IMPOSTOR/"
    equals "$STATUS" 60
    equals "$OUT" ''
    has "$(lines refused)" "refused localhost:$IMPOSTOR: no pin of $PINS:1 matched"
    under -- sh -c 'exit 7'
    equals "$STATUS" 7
    under -- sh -c 'kill -KILL $$'
    equals "$STATUS" 137
}

@test "run passes every argument as it is" {
    under -- printf '<%s>' 'a b' '' $'c\nd' '*' -- --pins
    equals "$OUT" $'<a b><><c\nd><*><--><--pins>'
    under printf '<%s>' --report
    equals "$OUT" '<--report>'
}

@test "run becomes the program: its process, its signals" {
    pinshim run --pins "$PINS" -- sh -c 'echo $$ >pid; exec sleep 60' 3>&- &
    started=$!
    lab_wait test -s pid
    equals "$(cat pid)" "$started"
    lab_wait grep -qz '^sleep$' "/proc/$started/cmdline"
    kill -TERM "$started"
    STATUS=0
    wait "$started" || STATUS=$?
    equals "$STATUS" 143
}

@test "run sets the environment, with absolute paths, and keeps what is preloaded already" {
    names
    cp "$PINS" ./relative
    LD_PRELOAD="$NAMES" capture pinshim run --pins relative --report --log run.log --json -- env
    has "$OUT" "LD_PRELOAD=$LAB/bin/libpinshim.so:$NAMES"
    has "$OUT" "PINSHIM_PINS=$PWD/relative"
    has "$OUT" 'PINSHIM_MODE=report'
    has "$OUT" "PINSHIM_LOG=$PWD/run.log"
    has "$OUT" 'PINSHIM_LOG_FORMAT=json'
    under --log-level all -- env
    has "$OUT" 'PINSHIM_LOG_LEVEL=all'
    under -- env
    has "$OUT" 'PINSHIM_MODE=enforce'
    has "$OUT" 'PINSHIM_LOG=stderr'
    has "$OUT" 'PINSHIM_LOG_FORMAT=text'
    # Twice is as good as once.
    under -- pinshim run --pins "$PINS" -- sh -c 'echo "$LD_PRELOAD"; LD_PRELOAD="$1" sh -c "grep -c names.so /proc/self/maps"' sh "$NAMES"
    equals "$(head -n 1 <<<"$OUT")" "$LAB/bin/libpinshim.so"
}

@test "run takes what its options do not say from the environment" {
    PINSHIM_PINS=$PINS PINSHIM_MODE=report PINSHIM_LOG_FORMAT=json capture pinshim run -- curl -sk "https://localhost:$IMPOSTOR/"
    equals "$STATUS" 0
    has "$OUT" 'hello from impostor'
    has "$ERR" '"verdict":"reported"'
}

@test "in report mode run lets live and logs to a file, below the directory it was started in" {
    under --report --json --log run.log -- sh -c 'cd / && exec curl -sk "https://localhost:$1/"' sh "$IMPOSTOR"
    equals "$STATUS" 0
    has "$OUT" 'hello from impostor'
    equals "$ERR" ''
    has "$(cat run.log)" '"verdict":"reported"'
}

@test "run says what was probably meant: of the command line, of the pins file's mode, of a variable" {
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD"
    capture pinshim run --pins "$PINS" -- FOO=1 curl
    equals "$STATUS" 127
    has "$ERR" '"FOO=1" is not found: it sets a variable, which takes a shell or env'
    has "$ERR" 'next: put env before it: -- env FOO=1 COMMAND'
    capture pinshim run --pins "$PINS" -- 'curl https://localhost/'
    equals "$STATUS" 127
    has "$ERR" 'a whole command line in quotes is taken for the name of a program'
    has "$ERR" 'next: give it without quotes: -- curl https://localhost/; or, if it needs a shell: -- sh -c '
    chmod o+w "$PINS"
    capture pinshim run --pins "$PINS" -- true
    equals "$STATUS" 125
    has "$ERR" "next: let nobody else write it: chmod o-w $PINS"
    chmod 0644 "$PINS"
    capture env PINSHIM_PIN=x pinshim run -q --pins "$PINS" -- true
    equals "$STATUS$ERR" '0pinshim: pinshim has no variable of this name, and it has no effect: PINSHIM_PIN (did you mean PINSHIM_PINS?)'
    [ "$(id -u)" -eq 0 ] || skip 'what this user may not read takes another user'
    chmod 0600 "$PINS"
    # Where another user may search.
    cp -r "$LAB/bin" "$(dirname "$SHIM_SO")/of-all"
    mv "$PINS" "$(dirname "$SHIM_SO")/of-all"
    PINS=$(dirname "$SHIM_SO")/of-all/pins
    capture setpriv --reuid=65534 --regid=65534 --clear-groups "$(dirname "$SHIM_SO")/of-all/pinshim" run --pins "$PINS" -- true
    rm -r "$(dirname "$SHIM_SO")/of-all"
    equals "$STATUS" 125
    has "$ERR" "let this user read it: chmod a+r $PINS"
}

@test "doctor lists the commands of a shell script, each with its line and verdict" {
    cat >"$BATS_TEST_TMPDIR/entry" <<'EOF'
#!/bin/sh
# curl is not run here
set -eu
VERSION=$(git ls-remote https://example.com/ | head -n 1)
fetch() { wget -qO- "$1"; }
if ! env LC_ALL=C curl -s "https://$HOST/" >/dev/null 2>&1; then fetch x; fi
case $1 in
start | go) exec nice -n 5 /usr/bin/python3 -m x ;;
esac
cat <<END | openssl s_client -connect x
lynx is a word of the text
END
for each in a b; do "$CLIENT" "$each"; done
./static
EOF
    chmod +x "$BATS_TEST_TMPDIR/entry"
    cp "$MADE/static" "$BATS_TEST_TMPDIR"
    capture pinshim doctor "$BATS_TEST_TMPDIR/entry"
    equals "$STATUS" 0
    equals "$(sed -n 's/^\([0-9][0-9]*\)  *\([^ ]*\) .* \(judged\|guarded\|neither\|unknown\)  .*/\1 \2 \3/p' "$OUT_FILE" | tr '\n' ';')" \
        "4 git judged;5 wget judged;6 env judged;8 nice judged;10 openssl judged;13 '\$CLIENT' unknown;14 ./static neither;"
    has "$OUT" 'Without TLS of their own: head, cat'
    lacks "$OUT" 'next:'
    lacks "$OUT" lynx
    lacks "$OUT" 'Not found here'
    capture pinshim doctor --json sh -c 'curl x; "$Y"'
    equals "$(jq -r '[.commands[].verdict] | join(" ")' "$OUT_FILE")" 'judged unknown'
    # What trap and eval run is a script, too; what is not found here is named.
    capture pinshim doctor sh -c 'trap "rm x; openssl version" EXIT; trap - INT; eval "curl x"; no-such-tool'
    equals "$(sed -n 's/^\([0-9][0-9]*\)  *\([^ ]*\)  *\(judged\|unknown\)  .*/\2 \3/p' "$OUT_FILE" | tr '\n' ';')" 'openssl judged;curl judged;'
    has "$OUT" 'Without TLS of their own: rm'
    has "$OUT" 'Not found here: no-such-tool'
}

@test "run and doctor look into a shell script: what it starts without protection, what goes on in plaintext, what its arguments start" {
    cd "$BATS_TEST_TMPDIR"
    # As images begin.
    printf '%s\n' '#!/bin/sh' 'set -e' 'echo begins' 'exec nice "$@"' >entry
    printf '%s\n' '#!/bin/sh' 'shift' '"$@"' >shifts
    printf '%s\n' '#!/bin/sh' 'also() { "$@"; }' 'also true' >within
    chmod +x entry shifts within
    capture pinshim doctor --json ./entry "$MADE/static" x
    equals "$(jq -r '[.commands[] | .line, .command, .verdict] | map(tostring) | join(" ")' "$OUT_FILE")" "4 nice $MADE/static x neither"
    capture pinshim doctor --json ./entry
    equals "$(jq -r '[.commands[] | .verdict] | join(" ")' "$OUT_FILE")" unknown
    capture pinshim doctor --json sh -c '"$@"' name "$MADE/static"
    equals "$(jq -r '[.commands[] | .verdict] | join(" ")' "$OUT_FILE")" neither
    for script in ./shifts ./within; do
        capture pinshim doctor --json "$script" "$MADE/static"
        equals "$(jq -r '[.commands[] | select(.command | contains("@")) | .verdict] | join(" ")' "$OUT_FILE")" unknown
    done
    under -- ./entry "$MADE/static"
    equals "$STATUS: $OUT" $'0: begins\nran'
    has "$ERR" "pinshim: ./entry starts what is neither judged nor guarded, and goes on without protection: nice $MADE/static (line 4); next: see \"pinshim doctor ./entry $MADE/static\""
    under -q -- ./entry "$MADE/static"
    equals "$ERR" ''
    under -- ./entry true
    lacks "$ERR" 'without protection'
    under -- sh -c "$MADE/libpq"
    has "$ERR" "pinshim: $MADE/libpq (line 1 of sh): after a refusal, libpq.so.5 by default connects again in plaintext"
    under -- sh -c "PGSSLMODE=require $MADE/libpq"
    lacks "$ERR" plaintext
    for setting in sslmode=require 'host=x sslmode=verify-full' 'postgresql://x/y?sslmode=verify-ca'; do
        under -- "$MADE/libpq" "$setting"
        equals "$ERR" ''
    done
    under -- "$MADE/libpq" sslmode=prefer
    has "$ERR" 'tls=required'
}

@test "learn names hosts that were reached by TLS that cannot be judged, on standard error and in the file" {
    capture pinshim learn -o learnt -- sh -c "curl -sk https://localhost:$GOOD/; tstclnt -4 -h localhost -p $IMPOSTOR -o -D -Q"
    has "$ERR" "localhost:$IMPOSTOR was reached by TLS that cannot be judged, of tstclnt: there is no pin for it"
    grep -F " spki-sha256:$PIN_GOOD" learnt | grep -q "^localhost:$GOOD "
    grep -qxF "# localhost:$IMPOSTOR" learnt
    grep -qF 'was reached by TLS that cannot be judged, of tstclnt: there is no pin.' learnt
    has "$ERR" '1 pin written to learnt'
    capture pinshim learn -o none -- tstclnt -4 -h localhost -p "$IMPOSTOR" -o -D -Q
    has "$ERR" 'no TLS that can be judged was seen; nothing is written'
}

@test "run -q prints no conditions, and a job that goes well leaves standard error empty; --json logs them" {
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD" "localhost:$IMPOSTOR spki-sha256:$PIN_GOOD"
    capture pinshim run -q --pins "$PINS" -- sh -c "curl -sS --cacert $LAB/ca.pem -o /dev/null https://localhost:$GOOD/"
    equals "$STATUS$ERR" 0
    # What goes wrong is said.
    capture pinshim run -q --pins "$PINS" -- sh -c "curl -sS --cacert $LAB/ca.pem https://localhost:$IMPOSTOR/"
    equals "$STATUS" 60
    has "$ERR" "refused localhost:$IMPOSTOR: no pin of $PINS:2 matched"
    lacks "$ERR" 'judged if'
    capture pinshim run -q --pins "$PINS" -- "$MADE/static"
    equals "$STATUS" 125
    has "$ERR" 'neither judged nor guarded'
    # Without it, once, and not if the program is not started.
    capture pinshim run --pins "$PINS" -- sh -c :
    equals "$(grep -c 'is judged if the programs that it starts are' "$ERR_FILE")$(wc -l <"$ERR_FILE")" 11
    capture pinshim run --pins nowhere -- sh -c :
    lacks "$ERR" 'judged if'
    capture pinshim run --json --pins "$PINS" -- sh -c :
    equals "$(jq -r .verdict,.reason "$ERR_FILE")" \
        $'notice\nsh is judged if the programs that it starts are: a shell itself does no TLS, and its children inherit the shim'
    capture pinshim run --json --log "$BATS_TEST_TMPDIR/log" --pins "$PINS" -- sh -c :
    equals "$ERR$(jq -r .verdict "$BATS_TEST_TMPDIR/log")" notice
    capture pinshim run -q --json --log "$BATS_TEST_TMPDIR/log" --pins "$PINS" -- sh -c :
    equals "$ERR$(wc -l <"$BATS_TEST_TMPDIR/log")" 1
}

@test "lines that a program has no right to write to run's log, or no directory, go to standard error, which may be a socket" {
    local log=$BATS_TEST_TMPDIR/logs/log client=(curl -sk "https://localhost:$IMPOSTOR/")
    [ "$(id -u)" -eq 0 ] || skip 'changing the user takes root'
    mkdir "${log%/*}"
    chmod 0755 "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR"
    under --log "$log" -- runuser -u nobody -- "${client[@]}"
    equals "$STATUS $(count_lines refused) $(wc -c <"$log")" '60 1 0'
    has "$(lines notice)" "the log file $log cannot be written: Permission denied; its lines go to standard error"
    under --log "$log" -- sh -c 'rm -r "$0" && exec "$@"' "${log%/*}" "${client[@]}"
    equals "$STATUS $(count_lines refused)" '60 1'
    has "$(lines notice)" "the log file $log cannot be written: No such file or directory; its lines go to standard error"
    capture /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/stderr.py" socket pinshim run --pins "$PINS" --log /dev/stderr -- "${client[@]}"
    equals "$STATUS $(count_lines refused) $(count_lines notice)" '60 1 0'
}

@test "run finds its command as a shell does, and exits with 126 and 127 as env" {
    mkdir first second third
    printf '#!/bin/sh\necho first\n' >first/tool
    printf '#!/bin/sh\necho second\n' >second/tool
    chmod +x second/tool
    PATH=$PWD/first:$PWD/second:$PATH under -- tool
    equals "$STATUS $OUT" '0 second'
    cp "$MADE/plain" third/
    under -- third/plain
    equals "$STATUS $OUT" '0 ran'
    cp "$MADE/plain" here
    under -- ./here
    equals "$STATUS $OUT" '0 ran'
    PATH=:$PATH under -- here
    equals "$STATUS $OUT" '0 ran'
    under -- first/tool
    equals "$STATUS" 126
    has "$ERR" '"first/tool" cannot be run: Permission denied'
    has "$ERR" 'next: '
    PATH=$PWD/first:$PATH under -- tool
    equals "$STATUS" 126
    under -- ./third
    equals "$STATUS" 126
    has "$ERR" '"./third" is a directory'
    under -- no-such-tool
    equals "$STATUS" 127
    has "$ERR" '"no-such-tool" is not found'
    has "$ERR" 'next: '
    under -- ''
    equals "$STATUS" 127
    printf '#!/no/such/interpreter\n' >second/tool
    under -- second/tool
    equals "$STATUS" 127
    has "$ERR" "the script second/tool begins with \"#!/no/such/interpreter\", and \"/no/such/interpreter\" is not found"
    printf 'a\0b' >second/tool
    under -- second/tool
    equals "$STATUS" 126
}

@test "run refuses what the shim cannot be loaded into" {
    for name in static static-pie; do
        not_started 'it is linked statically' "$MADE/$name"
    done
    not_started 'its C library is neither glibc nor musl' "$MADE/libc"
    not_started 'it is set-user-ID' "$MADE/set-user-id"
    not_started 'it is set-group-ID' "$MADE/set-group-id"
    not_started 'it is for aarch64' "$MADE/arm64"
    not_started 'it is for 32-bit x86' "$MADE/i386"
    not_started 'it is for 32-bit machine 20' "$MADE/big-endian"
    not_started 'it would not start without the shim either' "$MADE/missing"
    not_started 'removes or changes the variables that the shim needs' env PINSHIM_PINS=/nowhere curl --version
    PINSHIM_INHERIT=keep not_started 'removes or changes the variables that the shim needs' env -i curl --version
    PINSHIM_INHERIT=keep not_started 'removes or changes the variables that the shim needs' env -u LD_PRELOAD curl --version
    PINSHIM_INHERIT=keep not_started 'removes or changes the variables that the shim needs' env LD_PRELOAD= curl --version
    not_started 'removes or changes the variables that the shim needs' env PINSHIM_MODE=report curl --version
}

# where_others_search: what run needs, copied to where every user may search; sets $THERE
where_others_search() {
    THERE=$(mktemp -d "$(dirname "$SHIM_SO")/there-XXXXXX")
    chmod 0755 "$THERE"
    cp "$LAB/bin/pinshim" "$LAB/bin/libpinshim.so" "$PINS" "$THERE"
    chmod 0644 "$THERE/pins"
}

@test "run refuses a program with file capabilities, unless root starts it: that gains nothing, and the loader heeds LD_PRELOAD" {
    [ "$(id -u)" -eq 0 ] || skip 'needs root'
    capture pinshim run --pins "$PINS" -- "$MADE/capable"
    equals "$STATUS$OUT" 0ran
    where_others_search
    cp "$MADE/capable" "$THERE"
    setcap cap_net_raw+ep "$THERE/capable"
    capture setpriv --reuid=65534 --regid=65534 --clear-groups "$THERE/pinshim" run --pins "$THERE/pins" -- "$THERE/capable"
    rm -r "$THERE"
    equals "$STATUS$OUT" 125
    has "$ERR" 'it has file capabilities'
}

@test "run follows sudo, su, runuser and other wrappers, and what they start is pinned" {
    local wrapper
    [ "$(id -u)" -eq 0 ] || skip 'changing the user takes root'
    pins "localhost spki-sha256:$PIN_GOOD"
    where_others_search
    while read -r wrapper; do
        eval "capture '$THERE/pinshim' run --pins '$THERE/pins' -- $wrapper"
        [ "$(count_lines refused)" -eq 1 ] || explain "not refused: $wrapper"
        lacks "$OUT" 'hello'
    done <<TEXT
sudo -u nobody curl -sk https://localhost:$IMPOSTOR/
sudo -u nobody A=b curl -sk https://localhost:$IMPOSTOR/
su nobody -s /bin/sh -c 'curl -sk https://localhost:$IMPOSTOR/'
su - nobody -s /bin/sh -c 'curl -sk https://localhost:$IMPOSTOR/'
runuser -u nobody -- curl -sk https://localhost:$IMPOSTOR/
setpriv --reuid=65534 --clear-groups curl -sk https://localhost:$IMPOSTOR/
start-stop-daemon --start --exec /usr/bin/curl -- -sk https://localhost:$IMPOSTOR/
unshare --fork curl -sk https://localhost:$IMPOSTOR/
chroot / curl -sk https://localhost:$IMPOSTOR/
TEXT
    rm -r "$THERE"
}

@test "run names what it cannot hold, and the command line that can" {
    local root=$BATS_TEST_TMPDIR/root line
    mkdir "$root"
    not_started "it runs in the root directory $root, where $LAB/bin/libpinshim.so is missing: the loader would start it without the shim" chroot "$root" curl
    not_started "it runs in the root directory $root" unshare --root="$root" curl
    not_started "it runs in the root directory $root" start-stop-daemon -S -r "$root" -x /usr/bin/curl
    not_started 'it runs in another root directory, of which it is not known' nsenter -t 1 --mount curl
    not_started 'systemd-run -p Nice=1 pinshim run -- curl -s x' systemd-run -p Nice=1 curl -s x
    has "$ERR" 'the service manager starts the command, with an environment of its own'
    not_started 'packaging/systemd/pinshim.conf is a drop-in for it' systemctl start x
    PINSHIM_INHERIT=keep not_started 'postfix cleans the environment of what it starts, and PINSHIM_INHERIT=keep leaves that so' postfix status
    PINSHIM_INHERIT=keep not_started 'sudo cleans the environment of what it starts' sudo -n curl --version
    # With the shim there, it is started; what there is not can be no program.
    install -D "$LAB/bin/libpinshim.so" "$root$LAB/bin/libpinshim.so"
    capture pinshim doctor chroot "$root" curl
    has "$OUT" 'curl: judged'
    # bwrap, by its name alone: the root as it is, or one put together.
    ln -s /bin/true "$BATS_TEST_TMPDIR/bwrap"
    not_started 'it runs in another root directory' "$BATS_TEST_TMPDIR/bwrap" --ro-bind /usr /usr --proc /proc -- curl x
    capture pinshim doctor "$BATS_TEST_TMPDIR/bwrap" --bind / / --dev /dev curl x
    has "$OUT" 'curl: judged'
    # For those for whom they are set-user-ID.
    [ "$(id -u)" -eq 0 ] || skip 'changing the user takes root'
    where_others_search
    while IFS='|' read -r wrapper line; do
        eval "capture setpriv --reuid=65534 --regid=65534 --clear-groups '$THERE/pinshim' run --pins '$THERE/pins' -- $wrapper"
        equals "$STATUS" 125
        has "$ERR" 'is set-user-ID, and the loader ignores LD_PRELOAD in such programs'
        has "$ERR" "next: put \"pinshim run\" before the command itself: $line"
    done <<'TEXT'
sudo -n -u www-data A=b curl -s x|sudo -n -u www-data A=b pinshim run -- curl -s x
su www-data -s /bin/sh -c 'curl x'|su www-data -s /bin/sh -c 'pinshim run -- curl x'
TEXT
    rm -r "$THERE"
}

@test "run puts a sanitizer's runtime before the shim" {
    pins "localhost spki-sha256:$PIN_GOOD"
    gcc -fsanitize=address -o "$MADE/sanitized" "$BATS_TEST_DIRNAME/lib/bio_client.c" -lssl -lcrypto
    capture bare env LD_PRELOAD="$LAB/bin/libpinshim.so" PINSHIM_PINS="$PINS" "$MADE/sanitized" "localhost:$GOOD"
    has "$ERR" 'ASan runtime does not come first'
    under -- "$MADE/sanitized" "localhost:$GOOD"
    equals "$STATUS $OUT" '0 connected'
    under -- "$MADE/sanitized" "localhost:$IMPOSTOR"
    equals "$STATUS $OUT $(count_lines refused)" '0 refused 1'
}

@test "run starts what does its TLS with another library, and says in one line what becomes of it" {
    local name library
    while read -r name library; do
        under -- "$MADE/$name"
        [ "$STATUS" -eq 0 ] || explain "not started: $name"
        equals "$(wc -l <<<"$ERR")" 1
        has "$ERR" "$MADE/$name is guarded: its TLS is $library"
        has "$ERR" 'which cannot be judged: connections to targets that the rules pin or deny are refused; next: use '
    done <<'TEXT'
gnutls GnuTLS (libgnutls.so.30)
nss NSS (libssl3.so)
boringssl BoringSSL (libboring.so)
libressl LibreSSL 3.8.2 (liblibre.so)
rustls rustls
TEXT
    under --report -- "$MADE/gnutls"
    has "$ERR" 'which cannot be judged: connections to targets that the rules pin or deny are only reported;'
    under -- "$MADE/both"
    has "$ERR" 'are refused; that of OpenSSL '
    under -- "$MADE/beside"
    equals "$STATUS $OUT $ERR" '0 ran '
    under -- tstclnt -4 -h localhost -p "$IMPOSTOR" -o -D -Q
    has "$ERR" 'pinshim: tstclnt is guarded: its TLS is NSS (libssl3.so), which '
    has "$(lines refused)" "refused localhost:$IMPOSTOR: the TLS is that of NSS"
    # GnuTLS is judged.
    under -- wget -qO- --tries=1 --no-check-certificate "https://localhost:$IMPOSTOR/"
    equals "$OUT" ''
    equals "$(count_lines refused) $(wc -l <<<"$ERR")" '1 1'
    has "$(lines refused)" "refused localhost:$IMPOSTOR: no pin of "
    not_started 'OpenSSL 1.0.2u (libssl.so.1.0.0) lacks ' "$MADE/old-openssl"
    under -- "$MADE/go-without"
    equals "$STATUS" 0
}

@test "run refuses what makes its system calls itself, and says where such a library is a small part of a program" {
    not_started "its TLS is Go's crypto/tls" "$MADE/go"
    not_started 'its language is Go, and Go makes its system calls itself' "$MADE/go-alone"
    not_started "its TLS is Go's crypto/tls linked into libgo.so, and Go makes" "$MADE/with-go"
    under -- "$MADE/go-beside"
    equals "$STATUS $OUT" '0 ran'
    has "$ERR" "is judged if it does no TLS with Go's crypto/tls (libgo.so, through libusesgo.so), which is neither: its TLS is OpenSSL "
}

@test "run starts a program that has OpenSSL within, which sends nothing to an impostor" {
    under -- "$MADE/inside" localhost "$IMPOSTOR"
    equals "$STATUS" 1
    lacks "$OUT" 'hello from'
    has "$ERR" "$MADE/inside is guarded: its TLS is OpenSSL "
    has "$ERR" ' linked into the program, which cannot be judged: '
    equals "$(count_lines refused)" 1
}

@test "where PINSHIM_UNJUDGED switches the guard off, what would be guarded is neither" {
    export PINSHIM_UNJUDGED=allow
    doctor other-tls neither 1 "$MADE/gnutls"
    doctor openssl-beside-other judged-if 0 "$MADE/beside"
    doctor openssl judged 0 openssl
    not_started 'and PINSHIM_UNJUDGED=allow switches the guard off' "$MADE/inside" localhost "$IMPOSTOR"
    under --force -- "$MADE/inside" localhost "$IMPOSTOR"
    has "$OUT" 'hello from impostor'
    has "$ERR" 'started anyway'
}

@test "doctor and run say where libpq would go on in plaintext, unless the rules or the environment hinder it" {
    doctor openssl judged 0 "$MADE/libpq"
    has "$(json 'it["plaintext"]')" 'libpq.so.5 by default connects again in plaintext (sslmode=prefer); next: add tls=required'
    capture pinshim doctor "$MADE/libpq"
    has "$OUT" 'plaintext: after a refusal, libpq.so.5 by default '
    under -- "$MADE/libpq"
    equals "$ERR" "pinshim: $MADE/libpq: after a refusal, libpq.so.5 by default connects again in plaintext (sslmode=prefer); next: add tls=required to the rules for its servers (pins(5)), or set PGSSLMODE=require"
    PGSSLMODE=verify-full under -- "$MADE/libpq"
    equals "$ERR" ''
    PGSSLMODE=allow under -- "$MADE/libpq"
    has "$ERR" tls=required
    # What is not pinned may speak plaintext: run leaves that variable alone.
    under -- sh -c 'echo "${PGSSLMODE-unset}"'
    equals "$OUT" unset
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    under -- "$MADE/libpq"
    equals "$STATUS $OUT $ERR" '0 ran '
}

@test "with --force run starts what it would refuse, and warns" {
    under --force -- "$MADE/static"
    equals "$STATUS $OUT" '0 ran'
    has "$ERR" 'is neither judged nor guarded: it is linked statically'
    under --force -- no-such-tool
    equals "$STATUS" 127
}

@test "run does not start anything with a pins file that is missing or faulty" {
    not_started_with() {
        capture pinshim run --pins "$1" -- touch started
        equals "$STATUS" 125
        has "$ERR" "$2"
        has "$ERR" 'next: '
        [ ! -e started ] || explain 'started'
    }
    not_started_with nowhere "pinshim: $PWD/nowhere: cannot open the pins file: No such file or directory"
    printf 'localhost spki-sha256:nothing\n' >faulty
    not_started_with faulty "pinshim: $PWD/faulty:1:"
    cp "$PINS" everybodys
    chmod 0666 everybodys
    not_started_with everybodys 'is world-writable'
    : >empty
    not_started_with empty 'no rule in the file'
}

@test "run does not start anything where the shim would refuse everything, or could not log" {
    PINSHIM_MODE=enforced under -- touch started
    equals "$STATUS" 125
    has "$ERR" 'PINSHIM_MODE is "enforced"; expected enforce or report'
    PINSHIM_LOG_LEVEL=some under -- touch started
    equals "$STATUS" 125
    under --log-level some -- touch started
    equals "$STATUS" 125
    has "$ERR" '"some"; expected refused, all or debug'
    under --log nowhere/log -- touch started
    equals "$STATUS" 125
    has "$ERR" "the log $PWD/nowhere/log cannot be written: No such file or directory"
    [ ! -e started ]
}

# with_object FILE: run by a command that has that file beside it
with_object() {
    rm -rf other
    mkdir other
    cp "$LAB/bin/pinshim" other/
    [ -z "$1" ] || cp -p "$1" other/libpinshim.so
    capture other/pinshim run --pins "$PINS" -- touch started
    equals "$STATUS" 125
    has "$ERR" 'next: '
    [ ! -e started ] || explain 'started'
}

@test "run does not start anything where the object is missing, hollow, not safe, or not to be loaded" {
    with_object "$LAB/bin/libpinshim.so" 2>/dev/null && explain 'refused with the right object'
    rm -f started
    echo text >text
    with_object text
    has "$ERR" 'libpinshim.so is not a shared object'
    echo 'int nothing;' | gcc -shared -x c - -o hollow.so
    with_object hollow.so
    has "$ERR" 'is not the shim'
    echo 'int wanted;' | gcc -shared -x c - -o libwanted.so -Wl,-soname,libwanted.so
    echo 'int X509_verify_cert, SSL_connect;' | gcc -shared -x c - -x none -o needy.so -Wl,--no-as-needed ./libwanted.so
    with_object needy.so
    has "$ERR" 'its loader does not load the shim: '
    has "$ERR" 'libwanted.so'
    cp "$LAB/bin/libpinshim.so" everybodys.so
    chmod 0666 everybodys.so
    with_object everybodys.so
    has "$ERR" 'is world-writable'
    mkdir 'a b'
    cp "$LAB/bin/"* 'a b/'
    capture 'a b/pinshim' run --pins "$PINS" -- touch started
    equals "$STATUS" 125
    has "$ERR" 'has a blank or a colon in its path'
}

@test "run does not start anything where the program's glibc is too old for the object" {
    printf 'GLIBC_2.99 { global: future; };' >map
    echo 'int future(void) { return 0; }' | gcc -shared -nostdlib -fPIC -x c - -o libc.so.6 -Wl,-soname,libc.so.6,--version-script=map
    echo 'int future(void); int X509_verify_cert, SSL_connect; int use(void) { return future(); }' |
        gcc -shared -nostdlib -fPIC -x c - -x none ./libc.so.6 -o new.so
    with_object new.so
    has "$ERR" 'its glibc has no GLIBC_2.99'
    # And with the right one it starts.
    under -- true
    equals "$STATUS" 0
}

@test "scripts are followed to their interpreter, and what they start is held to the pins" {
    printf '#!/usr/bin/env -S A=1 sh -u\ncurl -sk "https://localhost:%s/"\n' "$IMPOSTOR" >script
    chmod +x script
    under -- ./script
    equals "$STATUS" 60
    has "$(lines refused)" "refused localhost:$IMPOSTOR"
    doctor starts-others judged-if 0 ./script
    has "$(json 'it["program"]')" dash
    printf '#!/usr/bin/env -S -i sh\n' >script
    PINSHIM_INHERIT=keep not_started 'removes or changes the variables that the shim needs' ./script
    printf '#!%s\n' "$MADE/static" >script
    not_started 'it is linked statically' ./script
    printf '#! %s/script2 x\n' "$PWD" >script
    printf '#!%s\n' "$MADE/libc" >script2
    chmod +x script2
    not_started 'its C library is neither glibc nor musl' ./script
    printf 'curl -sk "https://localhost:%s/"\n' "$GOOD" >script
    under -- ./script
    has "$OUT" 'hello from good'
    printf '#!%s/script\n' "$PWD" >script
    under -- ./script
    equals "$STATUS" 126
    under -- env A=1 curl -sk "https://localhost:$IMPOSTOR/"
    equals "$STATUS" 60
    not_started 'it is linked statically' env -S "$MADE/static 'a b'"
    not_started 'it is linked statically' env -C "$MADE" ./static
    not_started 'it is linked statically' env PATH="$MADE" static
    # The kernel looks for an interpreter without a slash in the working directory, not in PATH.
    printf '#!curl\n' >script
    cp "$MADE/static" curl
    not_started 'it is linked statically' ./script
}

@test "a library that holds libcrypto beside libssl is not taken for one that the shim can interpose" {
    echo 'int SSL_CTX_new, SSL_connect, X509_verify_cert; const char *what = "SSL for verify callback OpenSSL 3.0.19 "; int use(void) { return 0; }' |
        gcc -shared -fPIC -x c - -o libboth.so -Wl,-soname,libboth.so
    echo 'int use(void); int main(void) { return use(); }' | gcc -x c - -x none -o both ./libboth.so -Wl,-rpath,"$PWD"
    under -- ./both
    has "$ERR" './both is guarded: its TLS is OpenSSL 3.0.19 linked into libboth.so, which cannot be judged'
}

# linked_to_ssl NAME CODE: a program of that code, which is linked to libssl
linked_to_ssl() {
    printf '#define _GNU_SOURCE\n#include <stdio.h>\n#include <unistd.h>\nint SSL_connect(void *);\nint main(int argc, char **argv) { if (argc > 9) { %s; SSL_connect(argv); } puts("ran"); }\n' "$2" |
        gcc -x c - -o "$1" -lssl
}

@test "run and doctor say beforehand where a program may start others for which LD_PRELOAD is ignored" {
    local users='the shim is in /etc/ld.so.preload, or it starts no program with another effective user than its real one (setresuid)'
    local itself='the shim is in /etc/ld.so.preload, or it does not start itself again as another user, for whom it is set-user-ID'
    [ "$(id -u)" -eq 0 ] || skip 'for root'
    where_others_search
    linked_to_ssl "$THERE/users" 'setresuid(-1, 1, -1); execvp(argv[1], argv)'
    linked_to_ssl "$THERE/groups" 'setresgid(1, 1, 1); setresuid(1, 1, 1); execvp(argv[1], argv)'
    linked_to_ssl "$THERE/alone" 'setresuid(-1, 1, -1)'
    linked_to_ssl "$THERE/itself" 'execvp(argv[1], argv)'
    for name in users groups alone itself; do
        doctor openssl "$([ $name = users ] && echo judged-if || echo judged)" 0 "$THERE/$name"
    done
    chmod u+s "$THERE/itself"
    for name in users itself; do
        doctor openssl judged-if 0 "$THERE/$name"
        equals "$(json 'it["condition"]')" "${!name}"
        has "$(json 'it["next"]')" '/libpinshim.so into /etc/ld.so.preload, see docs/fleet.md'
        under -- "$THERE/$name"
        equals "$STATUS $OUT" '0 ran'
        has "$ERR" "$name is judged if ${!name}: its TLS is OpenSSL"
    done
    # Who is not root cannot have another effective user.
    capture setpriv --reuid=65534 --regid=65534 --clear-groups "$THERE/pinshim" run --pins "$THERE/pins" -- "$THERE/users"
    equals "$STATUS $OUT $ERR" '0 ran '
    # With the object in that file, whatever starts has it.
    mkdir "$THERE/etc"
    cp /etc/ld.so.cache "$THERE/etc"
    echo "$THERE/libpinshim.so" >"$THERE/etc/ld.so.preload"
    for name in users itself; do
        capture unshare -m sh -c "mount --bind '$THERE/etc' /etc && exec '$THERE/pinshim' doctor '$THERE/$name'"
        has "$OUT" "$name: judged: "
        has "$OUT" 'what the program starts as another user has it, too, but with the default settings'
    done
    rm -r "$THERE"
}

@test "ordinary wrappers are followed to their command, and told nothing of where they start none" {
    local wrapper
    for wrapper in 'nice' 'nice -n 5' 'nice -n5 --' 'nice -7' 'nice --adjustment 5' 'nohup' 'timeout 9' 'timeout -k 5 --signal=KILL 9' 'timeout --kill 5 -s9 9' \
        'setsid -w' 'stdbuf -oL -e 0' 'stdbuf --output=L' 'ionice -c2 -n 0' 'ionice --class 3' 'chrt -f 5' 'chrt -o' 'chrt -d -T 5 --sched-period 9 0' \
        '/usr/bin/time -p' '/usr/bin/time -f %e -o x' 'taskset 1' 'taskset -c 0,1' 'xargs -n 1 -I{} -0' 'xargs -d x --max-procs 2' \
        'env A=1 nice timeout 9 nohup setsid stdbuf -oL env B=2'; do
        # shellcheck disable=SC2086
        not_started 'static is neither judged nor guarded: it is linked statically' $wrapper "$MADE/static"
    done
    for wrapper in 'nice' 'ionice -p' 'taskset -p' 'chrt -p' 'timeout --help' 'xargs -r'; do
        # shellcheck disable=SC2086
        doctor no-tls judged-if 0 $wrapper
    done
    doctor static neither 1 nice -n 5 "$MADE/static"
    # By their names alone.
    for wrapper in 'mptcpize run' 'mptcpize run -d' 'proxychains4 -q -f x'; do
        ln -sf /bin/true "${wrapper%% *}"
        # shellcheck disable=SC2086
        not_started 'static is neither judged nor guarded: it is linked statically' ./$wrapper "$MADE/static"
    done
    doctor no-tls judged-if 0 ./mptcpize enable curl
    # What starts it in a way of its own is not known.
    doctor no-tls judged-if 0 setarch -R wget
    under -- nice timeout 9 "$MADE/plain"
    equals "$STATUS $OUT" '0 ran'
    under -- stdbuf -oL curl -sk "https://localhost:$IMPOSTOR/"
    equals "$STATUS" 60
}

@test "run says in one line what the condition of a verdict is, and doctor what to do" {
    under -- "$MADE/plain"
    equals "$ERR" 'pinshim: '"$MADE/plain"' is judged if the libraries that it loads later, and the programs that it starts, do TLS with OpenSSL or GnuTLS: it has no TLS library itself'
    under -- openssl version
    equals "$ERR" ''
    for name in sh "$MADE/plain" "$MADE/go-beside" "$MADE/gnutls" "$MADE/inside"; do
        capture pinshim doctor --json "$name"
        equals "$STATUS" 0
        json 'it["next"]' >/dev/null || explain "no next step for $name"
    done
    capture pinshim doctor "$MADE/plain" 'a b'
    has "$OUT" "next: see which connections are checked: PINSHIM_LOG_LEVEL=all pinshim run -- $MADE/plain 'a b'"
}

@test "what run and doctor say can be done again as it stands, and names the program" {
    under -- env A=1 "$MADE/static" "it's" 'a b'
    has "$ERR" "$MADE/static is neither judged nor guarded: it is linked statically"
    has "$ERR" "\"pinshim doctor env A=1 $MADE/static 'it'\\''s' 'a b'\" shows"
    capture pinshim doctor env "$MADE/gnutls"
    has "$OUT" "$MADE/gnutls: guarded: "
}

@test "doctor says nothing twice on a terminal" {
    needs_terminal
    capture env TERM=xterm NO_COLOR=1 script -qec 'pinshim doctor no-such-tool' /dev/null
    equals "$(grep -c 'is not found' <<<"$OUT")" 1
    capture pinshim doctor no-such-tool
    has "$ERR" 'is not found'
}

@test "run on a terminal leaves it to the program: input, size, and Ctrl-C" {
    needs_terminal
    cat >session.py <<'PY'
import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
while b"ready" not in seen:
    seen += os.read(terminal, 4096)
os.write(terminal, b"typed\n")
while b"got typed" not in seen:
    seen += os.read(terminal, 4096)
os.write(terminal, b"\x03")
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
    capture timeout 20 /usr/bin/python3 session.py pinshim run --pins "$PINS" -- \
        sh -c 'test -t 0 && test -t 1 && test -t 2 && stty size >/dev/null && echo ready; read -r line; echo "got $line"; exec sleep 60'
    equals "$STATUS $OUT" '0 -2'
}

@test "doctor tells apart what is judged, what is guarded, and what is neither" {
    doctor openssl judged 0 openssl
    doctor openssl-later judged 0 /usr/bin/python3
    doctor openssl-later judged 0 perl
    doctor openssl-later judged 0 ruby
    doctor openssl-beside-other judged 0 "$MADE/beside"
    doctor later judged 0 "$MADE/later"
    doctor starts-others judged-if 0 sh
    doctor no-tls judged-if 0 "$MADE/plain"
    doctor static neither 1 "$MADE/static"
    doctor static neither 1 "$MADE/static-pie"
    doctor no-program neither 1 "$MADE/lib/libssl3.so"
    doctor libc neither 1 "$MADE/libc"
    doctor set-user-id neither 1 "$MADE/set-user-id"
    doctor set-user-id neither 1 "$MADE/set-group-id"
    doctor architecture neither 1 "$MADE/arm64"
    doctor architecture neither 1 "$MADE/i386"
    PINSHIM_INHERIT=keep doctor environment neither 1 env -i openssl version
    doctor openssl judged 0 env -i openssl version
    doctor missing-library neither 1 "$MADE/missing"
    doctor openssl-inside guarded 0 "$MADE/inside"
    doctor openssl-unusable neither 1 "$MADE/old-openssl"
    doctor gnutls judged 0 "$MADE/by-path"
    doctor gnutls judged 0 wget
    for name in gnutls nss rpath both boringssl libressl rustls; do
        doctor other-tls guarded 0 "$MADE/$name"
    done
    doctor system-calls neither 1 "$MADE/go"
    doctor not-found neither 127 no-such-tool
    doctor cannot-run neither 126 "$MADE"
    has "$ERR" 'pinshim: '
}

@test "doctor names the version of OpenSSL and the way to it, as ldd finds it" {
    doctor openssl judged 0 openssl
    equals "$(json 'it["tls"][0]["name"] + " " + it["tls"][0]["version"]')" "$(openssl version | cut -d' ' -f1,2)"
    capture pinshim doctor --json curl
    equals "$(json '[t["path"] for t in it["tls"] if t["name"] == "OpenSSL"][0]')" "$(ldd /usr/bin/curl | awk '$1 ~ /^libssl/ { print $3 }')"
    equals "$(json '[t["through"] for t in it["tls"] if t["name"] == "OpenSSL"][0]')" libcurl.so.4
    equals "$(json 'it["mapped"]')" True
    equals "$(json '[t.get("crypto") for t in it["tls"] if t["name"] == "OpenSSL"][0]')" None
    doctor openssl judged 0 "$MADE/static-crypto"
    equals "$(json 'it["tls"][0]["crypto"]')" "$MADE/static-crypto"
    capture pinshim doctor "$MADE/static-crypto"
    has "$OUT" ", loaded at start, with the libcrypto within $MADE/static-crypto"
    doctor openssl-later judged 0 /usr/bin/python3
    has "$(json 'it["tls"][0]["through"]')" _ssl.
    doctor other-tls guarded 0 "$MADE/rpath"
    equals "$(json 'it["tls"][0]["path"]')" "$(ldd "$MADE/rpath" | awk '/libgnutls/ { print $3 }')"
    equals "$(json 'it["tls"][0]["through"]')" libbetween.so
    LD_LIBRARY_PATH=$MADE/lib capture pinshim doctor "$MADE/plain"
    equals "$STATUS" 0
}

@test "doctor finds libraries through ld.so.cache" {
    needs_mounts
    echo 'int bear(void) { return 0; }' | gcc -shared -fPIC -x c - -o "$MADE/empty/libbearssl.so.7" -Wl,-soname,libbearssl.so.7
    made by-cache -Wl,--no-as-needed "$MADE/empty/libbearssl.so.7"
    echo "$MADE/empty" >conf
    ldconfig -C "$PWD/cache" -f conf
    capture unshare --mount sh -c 'mount --bind cache /etc/ld.so.cache && pinshim doctor --json "$1"' sh "$MADE/by-cache"
    equals "$STATUS" 0
    equals "$(json 'it["tls"][0]["path"]')" "$MADE/empty/libbearssl.so.7"
}

@test "doctor starts no loader that is not root's; run does, and refuses" {
    [ "$(id -u)" -eq 0 ] || skip 'needs root'
    rm -f "$LAB/loader-ran"
    capture pinshim doctor "$MADE/own-loader"
    equals "$STATUS" 0
    has "$OUT" 'not tried: the loader'
    [ ! -e "$LAB/loader-ran" ] || explain 'the loader was started'
    not_started 'its loader does not load the shim' "$MADE/own-loader"
    [ -e "$LAB/loader-ran" ]
}

# Of $!: what doctor says of it in the end. What starts it is the process itself until then.
of_process() {
    lab_wait test -e started
    capture pinshim doctor --json --pid "$!"
    kill "$!"
    rm started
    [ "$(json 'it["code"] + " " + it["verdict"] + ("-if" if "condition" in it else "")') $STATUS" = "$*" ] || explain "not $*"
}

@test "doctor --pid goes by what is loaded into a process now" {
    local waits='import time; open("started", "w"); time.sleep(60)' object=$LAB/bin/libpinshim.so
    export PINSHIM_PINS=$PINS
    /usr/bin/python3 -c "import ssl; $waits" 3>&- &
    of_process not-loaded neither 1
    has "$(json 'it["next"]')" 'start its program with "pinshim run"'
    LD_PRELOAD=$object /usr/bin/python3 -c "import ssl; $waits" 3>&- &
    of_process openssl judged 0
    equals "$(json 'it["program"]')" "$(readlink -f /usr/bin/python3)"
    has "$(json 'it["seen"]')" "PINSHIM_PINS=$PINS"
    has "$(json 'it["tls"][0]["through"]')" _ssl.
    equals "$(json 'it["tls"][0]["how"] + " " + it["tls"][0]["version"]')" "mapped $(openssl version | cut -d' ' -f2)"
    LD_PRELOAD=$object /usr/bin/python3 -c "$waits" 3>&- &
    of_process no-tls judged-if 0
    LD_PRELOAD=$object /usr/bin/python3 -c "import ctypes, ssl; ctypes.CDLL('$MADE/lib/libgnutls.so.30'); $waits" 3>&- &
    of_process other-tls guarded 0
    has "$(json 'it["reason"]')" 'that of OpenSSL '
    PINSHIM_UNJUDGED=allow LD_PRELOAD=$object /usr/bin/python3 -c "import ctypes; ctypes.CDLL('$MADE/lib/libgnutls.so.30'); $waits" 3>&- &
    of_process other-tls neither 1
    # The object, and the libraries, that were replaced since.
    cp "$object" "$MADE/lib/libgnutls.so.30" .
    LD_PRELOAD=./libpinshim.so /usr/bin/python3 -c "import ctypes; ctypes.CDLL('./libgnutls.so.30'); import os; os.unlink('libpinshim.so'); os.unlink('libgnutls.so.30'); $waits" 3>&- &
    of_process other-tls guarded 0
    # Where the mapping cannot be followed, what is at its place now counts; if that is gone, too, nothing is said of it.
    cp "$MADE/lib/libgnutls.so.30" .
    LD_PRELOAD=$object /usr/bin/python3 -c "import ctypes, os; ctypes.CDLL('./libgnutls.so.30'); os.unlink('libgnutls.so.30'); $waits" 3>&- &
    lab_wait test -e started
    if [ "$(id -u)" -eq 0 ]; then
        capture setpriv --bounding-set=-sys_admin,-checkpoint_restore pinshim doctor --json --pid "$!"
        has "$(json 'it["verdict"] + " if " + it["condition"]')" "judged if the libraries"
        has "$(json 'it["condition"]')" "/libgnutls.so.30, which is loaded but cannot be read, does no TLS"
        cp "$MADE/lib/libgnutls.so.30" .
        capture setpriv --bounding-set=-sys_admin,-checkpoint_restore pinshim doctor --json --pid "$!"
        equals "$(json 'it["verdict"]')" guarded
    fi
    kill "$!"
    rm started
    printf '#include <fcntl.h>\n#include <unistd.h>\nint main(void) { open("started", O_CREAT, 0600); sleep(60); return 0; }\n' >waits.c
    gcc -static -o waits waits.c
    LD_PRELOAD=$object ./waits 3>&- &
    of_process static neither 1
}

@test "doctor --pid says of which process it cannot tell" {
    /bin/true &
    wait "$!"
    capture pinshim doctor --pid "$!"
    equals "$STATUS" 127
    has "$ERR" "there is no process $! with a program"
    [ "$(id -u)" -ne 0 ] || capture setpriv --reuid 65534 --regid 65534 --clear-groups pinshim doctor --pid "$$"
    [ "$(id -u)" -ne 0 ] || equals "$STATUS" 126
    for word in 0 -1 1x '' 99999999999; do
        capture pinshim doctor --pid "$word"
        equals "$STATUS" 2
        has "$ERR" "\"$word\" is not a process ID"
    done
    capture pinshim doctor --pid 1 curl
    equals "$STATUS" 2
}

@test "doctor prints for people on a terminal, in colour unless NO_COLOR is set, and plainly into a pipe" {
    capture pinshim doctor openssl
    has "$OUT" 'openssl: judged: its TLS is OpenSSL'
    has "$OUT" "$LAB/bin/libpinshim.so: "
    lacks "$OUT" $'\e'
    needs_terminal
    capture env TERM=xterm script -qec 'pinshim doctor openssl' /dev/null
    has "$OUT" $'\e['
    has "$OUT" 'judged'
    capture env TERM=xterm NO_COLOR=1 script -qec 'pinshim doctor openssl' /dev/null
    has "$OUT" 'openssl: judged: its TLS is OpenSSL'
    lacks "$OUT" $'\e['
    cp "$MADE/plain" $'evil\e[31m'
    capture pinshim doctor $'./evil\e[31m'
    equals "$STATUS" 0
    lacks "$OUT" $'\e'
}

@test "learn writes pins that run then holds the program to" {
    mkdir tmp
    TMPDIR=$PWD/tmp capture pinshim learn -o learnt -- sh -c 'test "$(ls tmp | wc -l)" -eq 1 || exit 9; curl -sS --cacert "$1" "https://localhost:$2/"; curl -sk "https://127.0.0.1:$2/" >/dev/null; exit 3' \
        sh "$LAB/ca.pem" "$GOOD"
    equals "$STATUS" 3
    equals "$OUT" 'hello from good'
    has "$ERR" '2 pins written to learnt; next: '
    equals "$(grep -v '^#' learnt | grep . | sort | tr -s ' ')" "127.0.0.1:$GOOD spki-sha256:$PIN_GOOD
localhost:$GOOD spki-sha256:$PIN_GOOD"
    has "$(cat learnt)" '#   subject  CN=good'
    has "$(cat learnt)" '#   issuer   CN=pinshim test CA'
    expires=$(openssl x509 -in "$LAB/good.pem" -noout -enddate | cut -d= -f2)
    has "$(cat learnt)" "#   expires  $(date -u -d "$expires" +%Y-%m-%dT%H:%M:%SZ)"
    PINS=$PWD/learnt
    under -- curl -sS --cacert "$LAB/ca.pem" "https://localhost:$GOOD/"
    equals "$STATUS" 0
    sed -i "s/$GOOD/$IMPOSTOR/" learnt
    under -- curl -sS --cacert "$LAB/ca.pem" "https://localhost:$IMPOSTOR/"
    equals "$STATUS" 60
    # The backup candidate, once it is no comment.
    has "$(tr -s ' ' <learnt)" "#localhost:$IMPOSTOR ca-sha256:$PIN_CA #"
    sed -n 's/^#localhost/localhost/p' learnt >issuer
    PINS=$PWD/issuer
    under -- curl -sS --cacert "$LAB/ca.pem" "https://localhost:$IMPOSTOR/"
    equals "$STATUS" 0
    equals "$(ls tmp)" ''
}

@test "learn writes the port of each target, which check then finds, also of a child without an environment" {
    capture pinshim learn -o learnt -- curl -sk -o /dev/null "https://localhost:$GOOD/"
    equals "$STATUS" 0
    capture pinshim learn -o cleared -- sh -c 'env -i /usr/bin/curl -sk -o /dev/null "$0"' "https://localhost:$GOOD/"
    equals "$STATUS" 0
    has "$(tr -s ' ' <cleared)" "localhost:$GOOD spki-sha256:$PIN_GOOD"
    PINSHIM_INHERIT=keep capture pinshim learn -o kept -- sh -c 'env -i /usr/bin/curl -sk -o /dev/null "$0"' "https://localhost:$GOOD/"
    has "$ERR" 'pinshim: '
    [ ! -e kept ]
    capture pinshim check learnt
    equals "$STATUS" 0
    has "$OUT" accepted
}

# connect.py PORT:HOST[:NAME]...: connects to each in turn, for that name (or none), without a verification
connect_py() {
    cat >connect.py <<'PY'
import socket, ssl, sys
context = ssl._create_unverified_context()
for argument in sys.argv[1:]:
    port, host, name = (argument.split(":") + [""])[:3]
    with socket.create_connection((host, int(port))) as plain:
        with context.wrap_socket(plain, server_hostname=name or None) as tls:
            print(tls.version())
PY
}

@test "learn pins a name and its address at two ports, so that run lets both live" {
    connect_py
    set -- /usr/bin/python3 connect.py "$GOOD:localhost:localhost" "$IMPOSTOR:127.0.0.1:127.0.0.1"
    capture pinshim learn -o learnt -- "$@"
    equals "$STATUS" 0
    has "$ERR" '2 pins written'
    PINS=$PWD/learnt
    under -- "$@"
    equals "$STATUS" 0
}

@test "learn leaves out a pin that refuses a connection that was seen, and says so" {
    # A server that has one key for a name and another where it is given none.
    lab_s_server impostor -servername localhost -cert2 "$LAB/good.pem" -key2 "$LAB/good.key"
    connect_py
    set -- /usr/bin/python3 connect.py "$PORT:127.0.0.1" "$PORT:localhost:localhost"
    capture pinshim learn -o learnt -- "$@"
    equals "$STATUS" 0
    has "$ERR" "127.0.0.1:$PORT is written as a comment: its pin would have refused a connection to localhost:$PORT"
    has "$ERR" '1 pin written'
    equals "$(grep -v '^#' learnt | grep . | tr -s ' ')" "localhost:$PORT spki-sha256:$PIN_GOOD"
    has "$(tr -s ' ' <learnt)" "#127.0.0.1:$PORT spki-sha256:$PIN_IMPOSTOR"
    PINS=$PWD/learnt
    under -- "$@"
    equals "$STATUS" 0
    # Where the name was resolved first, its pin is asked of the connection without a name as well.
    capture pinshim learn -- /usr/bin/python3 connect.py "$PORT:localhost:localhost" "$PORT:127.0.0.1"
    equals "$STATUS" 125
    has "$ERR" "localhost:$PORT is written as a comment: its pin would have refused a connection to 127.0.0.1:$PORT"
    has "$ERR" 'nothing is written'
}

@test "learn parts by port where a host has two keys" {
    capture pinshim learn -- sh -c 'for port; do curl -sk -o /dev/null "https://localhost:$port/"; done' sh "$GOOD" "$IMPOSTOR" "$GOOD"
    equals "$STATUS" 0
    equals "$(grep -v '^#' <<<"$OUT" | grep . | tr -s ' ')" "localhost:$GOOD spki-sha256:$PIN_GOOD
localhost:$IMPOSTOR spki-sha256:$PIN_IMPOSTOR"
    PINS=$BATS_TEST_TMPDIR/learnt
    echo "$OUT" >"$PINS"
    under -- sh -c 'for port; do curl -sk -o /dev/null "https://localhost:$port/" || exit; done' sh "$GOOD" "$IMPOSTOR"
    equals "$STATUS" 0
}

@test "learn writes a host without a port where several of its ports showed one key" {
    lab_s_server good
    capture pinshim learn -o learnt -- sh -c 'for port; do curl -sk -o /dev/null "https://localhost:$port/"; done' sh "$GOOD" "$PORT" "$IMPOSTOR" "$GOOD"
    equals "$STATUS" 0
    equals "$(grep -v '^#' learnt | grep . | sort | tr -s ' ')" "localhost spki-sha256:$PIN_GOOD
localhost:$IMPOSTOR spki-sha256:$PIN_IMPOSTOR"
    equals "$(grep -c '^#   Several ports of this host were used: the rule applies to every port' learnt)" 1
}

@test "learn writes what is held to @unknown, of a client that nothing identifies" {
    capture pinshim learn -o learnt -- "$PROGRAMS/memory" bio "$LAB/good.pem" "$LAB/good.key"
    equals "$STATUS" 0
    equals "$(grep -v '^#' learnt | grep . | tr -s ' ')" "@unknown spki-sha256:$PIN_GOOD"
    has "$(<learnt)" '#   The program gave its TLS library neither a name nor an address'
    capture pinshim run --pins learnt -- "$PROGRAMS/memory" bio "$LAB/good.pem" "$LAB/good.key"
    equals "$STATUS" 0
    capture pinshim run --pins learnt -- "$PROGRAMS/memory" bio "$LAB/impostor.pem" "$LAB/impostor.key"
    [ "$STATUS" -ne 0 ] || explain 'not refused'
}

@test "learn makes no rule of what a program gives for a name and is none" {
    local name
    cat >given.py <<'PY'
import ctypes, socket, sys
ssl = ctypes.CDLL("libssl.so.3")
for function in "TLS_client_method", "SSL_CTX_new", "SSL_new":
    getattr(ssl, function).restype = ctypes.c_void_p
context = ctypes.c_void_p(ssl.SSL_CTX_new(ctypes.c_void_p(ssl.TLS_client_method())))
peer = socket.create_connection(("localhost", int(sys.argv[1])))
this = ctypes.c_void_p(ssl.SSL_new(context))
ssl.SSL_set_fd(this, peer.fileno())
ssl.SSL_ctrl(this, 55, ctypes.c_long(0), ctypes.c_char_p(sys.argv[2].encode()))
sys.exit(ssl.SSL_connect(this) != 1)
PY
    for name in '*' '**.example' '@unknown' 'unknown target' '@revoked' 'a.example allow #' 'a.example deny #' '*.example'; do
        capture pinshim learn -o learnt -f -- /usr/bin/python3 given.py "$GOOD" "$name"
        equals "$STATUS" 125
        has "$ERR" 'nothing is written'
        [ ! -e learnt ] || explain "a rule for $name: $(<learnt)"
    done
    capture pinshim learn -o learnt -- /usr/bin/python3 given.py "$GOOD" c.example
    equals "$(grep -v '^#' learnt | grep . | tr -s ' ')" "c.example:$GOOD spki-sha256:$PIN_GOOD"
}

@test "learn says of a GnuTLS program what it says of others" {
    capture pinshim learn -- gnutls-cli --insecure --no-ca-verification --sni-hostname='' --disable-sni -p "$GOOD" 127.0.0.1
    has "$OUT" '#   The program gave its TLS library no name.'
    lacks "$OUT" OpenSSL
}

@test "learn takes the port that a proxy was asked for, and not the proxy's own" {
    relay "$GOOD"
    capture pinshim learn -o learnt -- curl -sk --noproxy '' -x "http://127.0.0.1:$PORT" -o /dev/null https://www.pinned.example/
    equals "$STATUS" 0
    equals "$(grep -v '^#' learnt | grep . | tr -s ' ')" "www.pinned.example:443 spki-sha256:$PIN_GOOD"
    capture pinshim learn -o named -- curl -sk --noproxy '' -x "http://localhost:$PORT" -o /dev/null https://www.pinned.example/
    equals "$(grep -v '^#' named | grep . | tr -s ' ')" "www.pinned.example:443 spki-sha256:$PIN_GOOD"
    # Nor a port in doubt that no proxy was asked on for a port that is not known.
    capture pinshim learn -o resolved -- curl -sk --resolve "www.pinned.example:$GOOD:127.0.0.1" -o /dev/null "https://www.pinned.example:$GOOD/"
    equals "$(grep -v '^#' resolved | grep . | tr -s ' ')" "www.pinned.example:$GOOD spki-sha256:$PIN_GOOD"
}

@test "learn writes a comment for a server that shows no certificate" {
    lab_s_server good -nocert -tls1_2 -cipher aNULL@SECLEVEL=0
    capture pinshim learn -- sh -c 'openssl s_client -connect "localhost:$1" -servername localhost -tls1_2 -cipher aNULL@SECLEVEL=0 >/dev/null 2>&1
        curl -sk -o /dev/null "https://127.0.0.1:$2/"' sh "$PORT" "$GOOD"
    equals "$STATUS" 0
    has "$OUT" "# localhost:$PORT, TLSv1.2
#   presented neither a certificate nor a key: there is nothing to pin"
    equals "$(grep -v '^#' <<<"$OUT" | grep . | tr -s ' ')" "127.0.0.1:$GOOD spki-sha256:$PIN_GOOD"
}

@test "learn replaces a file only with -f, and says so before it starts anything" {
    echo before >learnt
    capture pinshim learn -o learnt -- touch started
    equals "$STATUS" 125
    has "$ERR" 'learnt exists and is not replaced; next: '
    equals "$(cat learnt)" before
    [ ! -e started ]
    capture pinshim learn -f -o learnt -- curl -sk "https://localhost:$GOOD/"
    equals "$STATUS" 0
    has "$(cat learnt)" "spki-sha256:$PIN_GOOD"
    equals "$(stat -c %a learnt)" 644
    # One that comes to be meanwhile is not replaced either.
    capture pinshim learn -o meanwhile -- sh -c 'curl -sk -o /dev/null "https://localhost:$1/"; echo mine >meanwhile' sh "$GOOD"
    equals "$STATUS" 125
    equals "$(cat meanwhile)" mine
    has "$ERR" 'meanwhile cannot be written: File exists'
    # What cannot be written at all is told before.
    capture pinshim learn -o nowhere/learnt -- touch started
    equals "$STATUS" 125
    has "$ERR" 'nowhere/learnt cannot be written: No such file or directory; next: '
    [ ! -e started ]
    # What cannot be written afterwards is not lost.
    mkdir nowhere
    capture pinshim learn -o nowhere/learnt -- sh -c 'curl -sk -o /dev/null "https://localhost:$1/"; rmdir nowhere' sh "$GOOD"
    equals "$STATUS" 125
    has "$OUT" "spki-sha256:$PIN_GOOD"
    has "$ERR" 'nowhere/learnt cannot be written'
    equals "$(echo learnt* meanwhile*)" 'learnt meanwhile'
}

@test "learn writes nothing where nothing was spoken to, and does not start what is neither judged nor guarded" {
    capture pinshim learn -o learnt -- true
    equals "$STATUS" 125
    has "$ERR" 'no TLS connection was seen; nothing is written'
    capture pinshim learn -o learnt -- false
    equals "$STATUS" 1
    capture pinshim learn -o learnt -- "$MADE/static"
    equals "$STATUS $OUT" '125 '
    has "$ERR" 'it is linked statically'
    capture pinshim learn -o learnt -- no-such-tool
    equals "$STATUS" 127
    [ ! -e learnt ]
}

@test "learn writes no argument of the command, and says where the command failed" {
    capture pinshim learn -o learnt -- sh -c 'curl -sk -o /dev/null "https://localhost:$1/"; exit 7' secret "$GOOD"
    equals "$STATUS" 7
    has "$(cat learnt)" '# Learnt from: sh'
    lacks "$(cat learnt)" secret
    has "$ERR" 'sh ended with 7: the pins may be incomplete'
    capture pinshim learn -- curl -sk -o /dev/null "https://localhost:$GOOD/"
    lacks "$ERR" 'ended with'
    # How to run it under the pins is told on standard error alone, whole.
    capture pinshim learn -o other -- curl -sk -o /dev/null "https://localhost:$GOOD/"
    has "$ERR" "\"pinshim run --pins other -- curl -sk -o /dev/null https://localhost:$GOOD/\""
}

@test "learn fails where its pins cannot be written to standard output" {
    STATUS=0
    pinshim learn -- curl -sk -o got "https://localhost:$GOOD/" >/dev/full 2>err || STATUS=$?
    equals "$STATUS" 125
    equals "$(tail -n 1 err)" 'pinshim: cannot write to standard output: No space left on device'
    equals "$(cat got)" 'hello from good'
}

@test "learn passes signals on, and keeps what was learnt until then" {
    pinshim learn -o learnt -- sh -c 'curl -sk -o /dev/null "https://localhost:$1/"; : >ready; exec sleep 60' sh "$GOOD" 2>err 3>&- &
    started=$!
    lab_wait test -e ready
    kill -TERM "$started"
    STATUS=0
    wait "$started" || STATUS=$?
    equals "$STATUS" 143
    has "$(cat learnt)" "spki-sha256:$PIN_GOOD"
}

@test "run starts nothing under a pins file that has only a descriptor's number" {
    local path
    for path in /dev/fd/7 /dev/stdin "/proc/self/root$PINS"; do
        capture pinshim run --pins "$path" -- true 7<"$PINS"
        equals "$STATUS" 125
        has "$ERR" "pinshim: $path: the pins file is reached through /proc or /dev/fd, where "
        has "$ERR" 'not started; next: put the pins into a file'
    done
    capture pinshim run --pins <(cat "$PINS") -- true
    equals "$STATUS" 125
    has "$ERR" 'reached through /proc or /dev/fd'
    capture pinshim run --pins "$PINS" -- curl -sk "https://localhost:$GOOD/"
    equals "$STATUS" 0
}

@test "run, doctor and learn say how they are used" {
    for name in run doctor learn; do
        capture pinshim "$name" --help
        equals "$STATUS" 0
        has "$OUT" "usage: pinshim $name "
        has "$OUT" 'Exit status: '
        capture pinshim "$name" --no-such-option x
        [ "$name" = doctor ] && equals "$STATUS" 2 || equals "$STATUS" 125
        has "$ERR" '"--no-such-option" is not an option of'
        capture pinshim "$name"
        [ "$name" = doctor ] && equals "$STATUS" 2 || equals "$STATUS" 125
        has "$ERR" "needs a command"
    done
    # All of which holds where there is something to start.
    under -- true
    equals "$STATUS" 0
}
