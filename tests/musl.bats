#!/usr/bin/env bats
# Goal: the same object holds programs for musl (Alpine's libc): it loads into them however they are started, its rules decide, and what it interposes in libc is found
# in musl. The programs have Debian's own OpenSSL; tests/paths_musl.bats is the longer half of this.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154

load lib/programs

setup_file() {
    programs_lab
    MUSL=$(realpath "${SHIM_MUSL:-$BATS_TEST_DIRNAME/../build/musl}")
    PATHS=$MUSL/paths CC=$MUSL/cc LOADER=/lib/ld-musl-$(uname -m).so.1
    export MUSL PATHS CC LOADER
    names
}

teardown_file() {
    lab_stop
}

setup() {
    PROGRAMS=$MUSL/programs
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
}

# held COMMAND...: with @PORT@ for the port; without the shim it gets the impostor's answer, and with it the good server's alone
held() {
    refused "${@//@PORT@/$IMPOSTOR}"
    lacks "$OUT" 'hello from'
    capture bare "${@//@PORT@/$IMPOSTOR}"
    has "$OUT" 'hello from impostor'
    accepted "${@//@PORT@/$GOOD}"
    has "$OUT" 'hello from good'
}

CONNECT=(127.0.0.1 @PORT@)

@test "each kind of pin decides, and each option of a rule" {
    local rule
    for rule in "sha256//$PIN_GOOD" "cert-sha384:$(lab_fingerprint "$LAB/good.pem" sha384)" "spki-file:$LAB/good.pem" "cert-file:$LAB/good.pem" \
        "spki-sha512:$(lab_spki "$LAB/good.pem" sha512) expires=2100-01-01"; do
        pins "www.pinned.example $rule" '* deny'
        held "$PATHS/connect" "${CONNECT[@]}"
        PATHS_TRUST=$LAB/ca.pem held "$PATHS/connect" "${CONNECT[@]}" tls1.2
    done
    pins '**.example deny' "www.pinned.example ca-file:$LAB/ca.pem"
    accepted "$PATHS/connect" 127.0.0.1 "$IMPOSTOR"
    pins "www.pinned.example ca-file:$LAB/ca.pem" "@revoked cert-file:$LAB/impostor.pem"
    held "$PATHS/connect" "${CONNECT[@]}"
    pins 'www.pinned.example pkix'
    refused "$PATHS/connect" 127.0.0.1 "$IMPOSTOR"
    SSL_CERT_FILE=$LAB/ca.pem accepted "$PATHS/connect" 127.0.0.1 "$IMPOSTOR"
    pins "www.pinned.example spki-sha256:$PIN_GOOD mode=report"
    capture shim "$PATHS/connect" 127.0.0.1 "$IMPOSTOR"
    has "$OUT" 'hello from impostor'
    equals "$(count_lines reported)" 1
    pins 'www.pinned.example nonsense'
    refused_with_fault
}

# refused_with_fault: a faulty file refuses, and says where it is faulty
refused_with_fault() {
    capture shim "$PATHS/connect" 127.0.0.1 "$GOOD"
    equals "$STATUS" 1
    has "$(lines fault)" "$PINS:1:"
}

# values TEXT NAME...: those of a JSON object
values() {
    /usr/bin/python3 -c 'import json, sys; it = json.loads(sys.argv[1]); print(*(it[name] for name in sys.argv[2:]))' "$@"
}

@test "in JSON the line is that of a program under glibc" {
    PINSHIM_LOG_FORMAT=json capture shim "$PATHS/connect" 127.0.0.1 "$IMPOSTOR"
    equals "$(values "$ERR" verdict exe address port rule)" "refused $PATHS/connect 127.0.0.1 $IMPOSTOR $PINS:1"
}

@test "however the program is started, and wherever musl is" {
    local copy=$BATS_TEST_TMPDIR/ld.so
    held "$LOADER" "$PATHS/connect" "${CONNECT[@]}"
    held "$LOADER" --argv0 '' "$PATHS/connect" "${CONNECT[@]}"
    held bash -c "exec -a '' '$PATHS/connect' \"\$@\"" bash "${CONNECT[@]}"
    # A program that is not moved by the loader, and one whose loader has another name.
    "$CC" -std=gnu11 -D_GNU_SOURCE -no-pie -o "$BATS_TEST_TMPDIR/fixed" "$BATS_TEST_DIRNAME/paths/connect.c" -lssl -lcrypto
    held "$BATS_TEST_TMPDIR/fixed" "${CONNECT[@]}"
    cp "$LOADER" "$copy"
    "$CC" -std=gnu11 -D_GNU_SOURCE -Wl,--dynamic-linker="$copy" -o "$BATS_TEST_TMPDIR/other" "$BATS_TEST_DIRNAME/paths/connect.c" -lssl -lcrypto
    held "$BATS_TEST_TMPDIR/other" "${CONNECT[@]}"
    held "$copy" "$BATS_TEST_TMPDIR/other" "${CONNECT[@]}"
    # By the names of its directory, relative.
    cd "$MUSL"
    SHIM_SO=./libpinshim.so
    cp "$BATS_TEST_DIRNAME/../build/libpinshim.so" .
    held paths/connect "${CONNECT[@]}"
    LD_LIBRARY_PATH=$MUSL SHIM_SO=libpinshim.so held paths/connect "${CONNECT[@]}"
}

@test "its libraries may be gone, or out of reach, when it connects" {
    local way answer input root=$BATS_TEST_TMPDIR/root
    [ "$(id -u)" -eq 0 ] || skip 'only root may change the root directory'
    pins "localhost spki-sha256:$PIN_GOOD"
    for way in removed replaced chroot; do
        mkdir -p "$root/lib"
        cp "$MUSL"/lib*.so.[0-9]* "$MUSL/libcompat.so" "$SHIM_SO" "$root/lib/"
        coproc AGAIN { exec env LD_LIBRARY_PATH="$root/lib" LD_PRELOAD="$root/lib/libpinshim.so" PINSHIM_PINS="$PINS" "$PROGRAMS/again" localhost "$IMPOSTOR" 3>&- 2>"$BATS_TEST_TMPDIR/said"; }
        echo 'descriptors many' >&"${AGAIN[1]}"
        read -r -t 10 answer <&"${AGAIN[0]}"
        case $way in
        removed) rm "$root"/lib/* ;;
        replaced) for file in "$root"/lib/*; do cp "$file" "$file.new" && mv "$file.new" "$file"; done ;;
        chroot) echo "chroot $root" >&"${AGAIN[1]}" && read -r -t 10 answer <&"${AGAIN[0]}" ;;
        esac
        echo connect >&"${AGAIN[1]}"
        read -r -t 10 answer <&"${AGAIN[0]}"
        equals "$way: $answer" "$way: -1 certificate verify failed"
        input=${AGAIN[1]}
        exec {input}>&-
        wait "$AGAIN_PID" || true
        capture cat "$BATS_TEST_TMPDIR/said"
        has "$OUT" "refused localhost:$IMPOSTOR: no pin of $PINS:1 matched"
        rm -rf "$root"
    done
}

@test "in a thread with musl's small stack" {
    local format
    pins "www.pinned.example ca-file:$LAB/impostor.pem" "www.pinned.example spki-file:$LAB/good.pem pkix" "@revoked cert-file:$LAB/impostor.pem"
    for format in text json; do
        PINSHIM_LOG_LEVEL=debug PINSHIM_LOG_FORMAT=$format SSL_CERT_FILE=$LAB/ca.pem capture shim "$PATHS/connect" 127.0.0.1 "$IMPOSTOR" thread
        equals "$STATUS" 1
        PINSHIM_LOG_LEVEL=debug PINSHIM_LOG_FORMAT=$format SSL_CERT_FILE=$LAB/ca.pem capture shim "$PATHS/connect" 127.0.0.1 "$GOOD" thread
        equals "$STATUS" 0
    done
    capture bare "$PATHS/connect" 127.0.0.1 "$IMPOSTOR" thread
    has "$OUT" 'hello from impostor'
}

@test "a name that it resolved, by either function, is its target" {
    pins "localhost spki-sha256:$PIN_GOOD"
    held "$PATHS/resolved" "${CONNECT[@]}" name=localhost
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    PRELOAD_ALSO=$NAMES held "$PATHS/resolved" "${CONNECT[@]}"
}

@test "the target decides, whatever call sends a request to a proxy" {
    local by
    pins "192.0.2.7 spki-sha256:$PIN_GOOD"
    relay "$IMPOSTOR"
    IMPOSTOR=$PORT
    relay "$GOOD"
    GOOD=$PORT
    for by in write send sendto writev sendmsg fprintf fprintf_chk fputs fputs_unlocked fwrite fwrite_unlocked fputc putc dprintf dprintf_chk; do
        held "$PATHS/proxy" "${CONNECT[@]}" nameless host=192.0.2.7 by=$by
        held "$PATHS/proxy" "${CONNECT[@]}" nameless host=192.0.2.7 by=$by pieces=7
    done
    for by in four-a five; do
        held "$PATHS/proxy" "${CONNECT[@]}" nameless host=192.0.2.7 ask=$by
    done
}

@test "GnuTLS, and an OpenSSL within the program that exports its functions, are judged; one that hides them is guarded" {
    local within=$BATS_TEST_TMPDIR/within version needs
    for version in VERS-TLS1.2 VERS-TLS1.3; do
        held "$MUSL/gnutls/connect" "${CONNECT[@]}" "priority=-VERS-ALL:+$version"
        PATHS_TRUST=$LAB/ca.pem held "$MUSL/gnutls/connect" "${CONNECT[@]}" "priority=-VERS-ALL:+$version"
    done
    cp "$MUSL/libgnutls.so.30" "$BATS_TEST_TMPDIR/another.so"
    capture shim "$MUSL/gnutls/by_dlsym" 127.0.0.1 "$IMPOSTOR" local "beside=$BATS_TEST_TMPDIR/another.so"
    equals "$(count_lines refused)" 3
    lacks "$OUT" 'hello from'
    accepted "$MUSL/gnutls/by_dlsym" 127.0.0.1 "$GOOD" local "beside=$BATS_TEST_TMPDIR/another.so"
    lacks "$OUT" wrong
    # What the libcrypto.a of newer releases needs.
    mapfile -t needs < <(find "$MUSL" -name 'libz.so*' -o -name 'libzstd.so*' -o -name 'libbrotli*.so*')
    "$CC" -std=gnu11 -D_GNU_SOURCE -rdynamic -o "$within" "$BATS_TEST_DIRNAME/paths/connect.c" -Wl,--whole-archive -l:libssl.a -l:libcrypto.a -Wl,--no-whole-archive "${needs[@]}"
    for version in tls1.2 tls1.3; do
        held "$within" "${CONNECT[@]}" $version
        PATHS_TRUST=$LAB/ca.pem held "$within" "${CONNECT[@]}" $version
    done
    "$CC" -std=gnu11 -D_GNU_SOURCE -o "$within" "$BATS_TEST_DIRNAME/paths/connect.c" -l:libssl.a -l:libcrypto.a "${needs[@]}"
    refused "$within" 127.0.0.1 "$IMPOSTOR"
    has "$LINE" 'which cannot be judged'
}

@test "a ClientHello that no judged library made is not sent, by whatever call" {
    local how
    relay "$IMPOSTOR"
    for how in write send sendto writev sendmsg sendmmsg pieces copied syscall fwrite fputc; do
        capture bare "$PROGRAMS/raw" "$PORT" "$how"
        equals "$OUT" sent
        lab_wait grep -qa pinned.example "$RELAYED"
        : >"$RELAYED"
        capture shim "$PROGRAMS/raw" "$PORT" "$how"
        equals "$OUT" 'Permission denied'
        has "$(lines refused)" "refused www.pinned.example:$PORT: "
        equals "$(grep -ca pinned.example "$RELAYED" || true)" 0
    done
    pins '* allow'
    accepted "$PROGRAMS/raw" "$PORT" write
}

@test "where TLS is required nothing else is sent, by stdio neither" {
    relay "$IMPOSTOR"
    pins "127.0.0.1 spki-sha256:$PIN_GOOD tls=required"
    capture shim "$PROGRAMS/says" "$PORT" secret
    equals "$(count_lines refused)" 1
    run -1 grep -a secret "$RELAYED"
    capture bare "$PROGRAMS/says" "$PORT" secret
    lab_wait grep -qa secret "$RELAYED"
}

@test "what it starts has the shim as well, however it starts it" {
    local way
    export PINSHIM_INHERIT
    pins "localhost spki-sha256:$PIN_GOOD"
    for way in execve execv execvp execvpe fexecve execveat syscall execl execlp execle vfork posix_spawn posix_spawnp system popen \
        20000+execve 20000+execl 20000+vfork 20000+posix_spawn; do
        # Emulators lack it.
        [ $way != execveat ] || bare "$PROGRAMS/starts" $way true || continue
        PINSHIM_INHERIT=keep capture shim "$PROGRAMS/starts" $way curl -sk --max-time 20 "https://localhost:$IMPOSTOR/"
        equals "$way: $OUT" "$way: hello from impostor"
        PINSHIM_INHERIT=force capture shim "$PROGRAMS/starts" $way curl -sk --max-time 20 "https://localhost:$IMPOSTOR/"
        equals "$way: $STATUS $OUT" "$way: 60 "
        equals "$(count_lines refused)" 1
    done
}

@test "a program that forbids itself system calls (seccomp) is not ended by those of the shim, and is pinned" {
    local installed alone
    can_filter
    for installed in prctl syscall dlsym; do
        for way in 'connect filter handshake' 'warm connect filter handshake' "ca=$LAB/ca.pem connect filter handshake"; do
            # shellcheck disable=SC2086 # words
            set -- $installed $way
            capture bare "$PROGRAMS/sandbox" "$IMPOSTOR" "$@"
            equals "$*: $STATUS ${OUT%%$'\n'*}" "$*: 0 connected"
            alone=$OUT
            capture shim "$PROGRAMS/sandbox" "$GOOD" "$@"
            equals "$*: $STATUS $OUT$ERR" "$*: 0 $alone"
            capture shim "$PROGRAMS/sandbox" "$IMPOSTOR" "$@"
            equals "$*: $STATUS $OUT" "$*: 0 ${alone//connected/refused}"
        done
    done
}

# pinshim COMMAND...: the command, beside the object that is tested
pinshim() {
    mkdir -p "$BATS_FILE_TMPDIR/bin"
    cp -u "$BATS_TEST_DIRNAME/../build/pinshim" "$SHIM_SO" "$BATS_FILE_TMPDIR/bin/"
    "$BATS_FILE_TMPDIR/bin/pinshim" "$@"
}

@test "run starts it under the shim, and doctor says what it is" {
    capture pinshim doctor --json "$PATHS/connect"
    equals "$STATUS $(values "$OUT" verdict code mapped)" '0 judged openssl True'
    has "$OUT" "\"$MUSL/libssl.so."
    capture pinshim run --pins "$PINS" -- "$PATHS/connect" 127.0.0.1 "$IMPOSTOR"
    equals "$STATUS" 1
    equals "$(count_lines refused)" 1
    capture pinshim run --pins "$PINS" -- "$PATHS/connect" 127.0.0.1 "$GOOD"
    has "$OUT" 'hello from good'
    capture pinshim run --pins "$PINS" -- "$PROGRAMS/starts" posix_spawn curl -sk "https://localhost:$IMPOSTOR/"
    equals "$OUT" 'hello from impostor'
    capture pinshim doctor --json "$PROGRAMS/raw"
    equals "$(values "$OUT" code)" no-tls
}

@test "doctor finds its libraries as musl does" {
    local name at=$BATS_TEST_TMPDIR
    mkdir -p "$at"/{lib,etc,first,second,third} "$at/usr/lib"
    cp "$LOADER" "$at/lib/ld-musl-any.so.1"
    build() { "$CC" -x c - -x none -Wl,--no-as-needed,--dynamic-linker="$at/lib/ld-musl-any.so.1" "$@"; }
    for name in first second third usr/lib; do
        echo 'int gnutls(void) { return 0; }' | "$CC" -shared -fPIC -x c - -o "$at/$name/libbearssl.so.7" -Wl,-soname,libbearssl.so.7
    done
    echo 'int gnutls(void); int between(void) { return gnutls(); }' | "$CC" -shared -fPIC -x c - -x none -o "$at/first/libbetween.so" -Wl,--no-as-needed "$at/first/libbearssl.so.7"
    rm "$at/first/libbearssl.so.7"
    # found DIRECTORY [VARIABLE...]: there doctor finds it, and musl
    found() {
        capture env "${@:2}" "$at/lib/ld-musl-any.so.1" --list "$at/program"
        equals "$(awk '$1 == "libbearssl.so.7" { print $3 }' <<<"$OUT")" "$at/$1/libbearssl.so.7"
        (export "${@:2}" none=; capture pinshim doctor --json "$at/program"
        has "$OUT" "\"path\":\"$at/$1/libbearssl.so.7\"")
    }
    echo 'int between(void); int main(void) { return between(); }' >"$at/program.c"
    # A DT_RUNPATH is handed down, and LD_LIBRARY_PATH goes before it.
    # shellcheck disable=SC2016 # the loader's
    build -o "$at/program" "-Wl,-rpath,$at/first:"'$ORIGIN/second',--enable-new-dtags -Wl,--allow-shlib-undefined "$at/first/libbetween.so" <"$at/program.c"
    found second
    found third "LD_LIBRARY_PATH=:$at/none::$at/third"
    # Then the list of directories beside the loader.
    build -o "$at/program" "-Wl,-rpath,$at/first" -Wl,--allow-shlib-undefined "$at/first/libbetween.so" <"$at/program.c"
    printf '%s\n' "$at/none" "$at/usr/lib" >"$at/etc/ld-musl-$(uname -m).path"
    found usr/lib
}

@test "a musl that does not load the object says so, and run does not start the program" {
    local loader=$BATS_TEST_TMPDIR/ld-musl-other.so.1
    # musl is silent about an object that it does not find; so run asks it first. One function is missing in this one.
    sed 's/program_invocation_short_name/program_invocation_short_none/g' "$LOADER" >"$loader"
    chmod +x "$loader"
    "$CC" -std=gnu11 -D_GNU_SOURCE -Wl,--dynamic-linker="$loader" -o "$BATS_TEST_TMPDIR/program" "$BATS_TEST_DIRNAME/paths/connect.c" -lssl -lcrypto
    capture bare "$BATS_TEST_TMPDIR/program" 127.0.0.1 "$IMPOSTOR"
    has "$OUT" 'hello from impostor'
    capture env LD_PRELOAD=/no/such/libpinshim.so "$PATHS/connect" 127.0.0.1 "$IMPOSTOR"
    has "$OUT" 'hello from impostor'
    equals "$ERR" ''
    capture pinshim run --pins "$PINS" -- "$BATS_TEST_TMPDIR/program" 127.0.0.1 "$IMPOSTOR"
    equals "$STATUS: $OUT" '125: '
    has "$ERR" 'its loader does not load the shim: Error relocating'
    capture pinshim doctor --json "$BATS_TEST_TMPDIR/program"
    equals "$(values "$OUT" code)" shim-not-loadable
}
