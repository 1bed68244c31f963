#!/usr/bin/env bats
# Goal: with PINSHIM_INHERIT=force the programs that a program starts have the shim, however it starts them and whatever it removes from their
# environment; the rest of their environment is as the program sets it.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153

load lib/programs

setup_file() {
    programs_lab
    names
    export STARTS=$BATS_TEST_DIRNAME/../build/programs/starts
}

teardown_file() {
    lab_stop
}

setup() {
    pins "localhost spki-sha256:$PIN_GOOD"
    GET=(curl -sk --max-time 20)
    URL_GOOD=https://localhost:$GOOD/
    URL_IMPOSTOR=https://localhost:$IMPOSTOR/
    export PINSHIM_INHERIT=force
}

# inherits COMMAND...: each command starts curl with an environment that lacks the shim: the impostor is reached under "keep", and refused under "force".
inherits() {
    PINSHIM_INHERIT=keep capture shim "$@" "${GET[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 0
    equals "$(count_lines refused)" 0
    capture shim "$@" "${GET[@]}" "$URL_GOOD"
    equals "$STATUS" 0
    capture shim "$@" "${GET[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 60
    equals "$OUT" ''
    equals "$(count_lines refused)" 1
}

@test "every function that starts a program" {
    local way

    for way in execve execv execvp execvpe fexecve execveat syscall execl execlp execle vfork posix_spawn posix_spawnp system popen; do
        inherits "$STARTS" "$way"
    done
}

@test "programs start while another thread loads and unloads libraries" {
    local way

    for way in execve execvp fexecve execl vfork posix_spawn posix_spawnp system popen; do
        capture shim "$STARTS" "loading+$way" true
        equals "$way $STATUS $OUT" "$way 0 0 ended"
    done
}

@test "an environment of 20,000 variables, on a small stack" {
    for way in 20000+execve 20000+execl 20000+vfork 20000+posix_spawn; do
        inherits "$STARTS" "$way"
    done
}

@test "programs that clean the environment" {
    inherits env -i
    inherits sh -c 'unset LD_PRELOAD PINSHIM_PINS; exec "$@"' sh
    inherits bash -c 'env -u LD_PRELOAD -u PINSHIM_PINS "$@"' bash
    inherits python3 -c 'import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:], env={}).returncode)'
    inherits python3 -c 'import os, sys; os.environ.clear(); sys.exit(os.waitstatus_to_exitcode(os.system(" ".join(sys.argv[1:]))))'
    inherits python3 -c 'import os, sys; sys.exit(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawnp(sys.argv[1], sys.argv[1:], {}), 0)[1]))'
    inherits perl -e '%ENV = (PATH => "/usr/bin"); exit(system(@ARGV) >> 8)'
    inherits timeout 20 env -i
    inherits python3 -c 'import ctypes, sys; argv = [a.encode() for a in sys.argv[1:]] + [None]
ctypes.CDLL("libc.so.6").execve(b"/usr/bin/curl", (ctypes.c_char_p * len(argv))(*argv), (ctypes.c_char_p * 2)(b"PATH=/usr/bin", None))'
}

@test "all else of the environment is as the program wants it" {
    local expected=$'PATH=/usr/bin:/bin\nKEPT=as it\'s\nLD_PRELOAD='$SHIM_SO$'\nPINSHIM_INHERIT=force\nPINSHIM_PINS='$PINS
    local way

    for way in execve execv execvp vfork posix_spawn; do
        capture shim "$STARTS" "$way" env
        equals "$STATUS" 0
        equals "$(sort <<<"$OUT")" "$(sort <<<"$expected")"
    done
    for way in system popen; do
        capture shim "$STARTS" "$way" env
        equals "$(grep -v -e ^_= -e ^PWD= <<<"$OUT" | sort)" "$(sort <<<"$expected")"
    done
    # One that has all of it is passed on as it is.
    capture shim env A=1 env
    equals "$(grep -c ^LD_PRELOAD <<<"$OUT")" 1
    # What the program says itself, holds.
    capture shim env PINSHIM_MODE=report PINSHIM_LOG=none env -u PINSHIM_PINS "${GET[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 0
    PINSHIM_MODE=report capture shim env PINSHIM_MODE=enforce "${GET[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 60
}

@test "LD_PRELOAD of the program's own keeps its objects, and a sanitizer's runtime stays the first" {
    local asan=$BATS_TEST_TMPDIR/libasan.so.8 other=$BATS_TEST_TMPDIR/other.so

    gcc -shared -x c -o "$other" - <<<'int other;'
    cp "$other" "$asan"
    capture shim env LD_PRELOAD="$other" env
    has "$OUT" "LD_PRELOAD=$SHIM_SO:$other"
    capture shim env LD_PRELOAD="$asan:$other" env
    has "$OUT" "LD_PRELOAD=$asan:$SHIM_SO:$other"
    # As an object before the shim's, and by names that only look alike
    capture shim env LD_PRELOAD="$other $SHIM_SO" env
    has "$OUT" "LD_PRELOAD=$other $SHIM_SO"
    cp "$other" "$BATS_TEST_TMPDIR/not${SHIM_SO##*/}"
    capture shim env LD_PRELOAD="$BATS_TEST_TMPDIR/not${SHIM_SO##*/}" env
    has "$OUT" "LD_PRELOAD=$SHIM_SO:$BATS_TEST_TMPDIR/not${SHIM_SO##*/}"
}

@test "an LD_PRELOAD with a path of the object that is not there any more is none" {
    local stale=$BATS_TEST_TMPDIR/gone/${SHIM_SO##*/} copy=$BATS_TEST_TMPDIR/copy/${SHIM_SO##*/} way

    capture shim env LD_PRELOAD="$stale" env
    has "$OUT" "LD_PRELOAD=$SHIM_SO:$stale"
    inherits env LD_PRELOAD="$stale"
    inherits sh -c "LD_PRELOAD=$stale "'exec "$@"' sh
    for way in 'subprocess.run(sys.argv[1:]).returncode' 'os.waitstatus_to_exitcode(os.system(" ".join(sys.argv[1:])))' \
        'os.waitstatus_to_exitcode(os.waitpid(os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ), 0)[1])'; do
        inherits python3 -c "import os, subprocess, sys; os.environ['LD_PRELOAD'] = '$stale'; sys.exit($way)"
    done
    capture shim env LD_PRELOAD="$stale:$SHIM_SO" env
    has "$OUT" "LD_PRELOAD=$stale:$SHIM_SO"
    # It is not taken for the object's own either.
    capture bare env PINSHIM_PINS="$PINS" LD_PRELOAD="$stale $SHIM_SO" env -i "${GET[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 60
    # By another path that leads there, or as the loader alone finds it
    mkdir "${copy%/*}"
    ln -s "$SHIM_SO" "$copy"
    for way in "$copy" "${SHIM_SO##*/}" "/usr/\$LIB/${SHIM_SO##*/}"; do
        capture shim env LD_PRELOAD="$way" env
        has "$OUT"$'\n' "LD_PRELOAD=$way"$'\n'
    done
}

@test "an object that the other program will not find is said" {
    [ "$(id -u)" -eq 0 ] || skip 'needs root'
    local root=$BATS_TEST_TMPDIR/root

    mkdir -p "$root/bin"
    gcc -static -x c -o "$root/bin/hello" - <<<'#include <stdio.h>
int main(void) { puts("hello"); return 0; }'
    capture shim chroot "$root" /bin/hello
    equals "$OUT" hello
    equals "$(count_lines notice)" 1
    has "$(lines notice)" "$SHIM_SO is not there for the programs that this one starts"
    PINSHIM_INHERIT=keep capture shim chroot "$root" /bin/hello
    equals "$ERR" ''
}

@test "that the loader ignores LD_PRELOAD where a program is started with another effective user or group is said" {
    [ "$(id -u)" -eq 0 ] || skip 'needs root'
    local as change

    # Squid starts its workers like this.
    for as in seteuid setegid; do
        for PINSHIM_INHERIT in keep force; do
            capture shim python3 -c "import os, sys; os.$as(65534); os.execvp(sys.argv[1], sys.argv[1:])" "${GET[@]}" "$URL_IMPOSTOR"
            equals "$STATUS" 0
            equals "$(count_lines notice)" 1
            has "$(lines notice)" 'LD_PRELOAD is ignored for programs that this one starts with another effective user or group than its own: they run without pinshim'
        done
        # An environment that is to be without the object
        PINSHIM_INHERIT=keep capture shim python3 -c "import os, sys; os.$as(65534); os.execve(sys.argv[1], sys.argv[1:], {})" /usr/bin/true
        equals "$ERR" ''
    done
    PINSHIM_INHERIT=force
    # Where the rights are dropped for good it is not ignored.
    for change in 'os.setresgid(65534, 65534, 65534)' 'os.setresuid(65534, 65534, 65534)' 'os.seteuid(65534); os.seteuid(0)'; do
        capture shim python3 -c "import os, sys; $change; os.execvp(sys.argv[1], sys.argv[1:])" "${GET[@]}" "$URL_IMPOSTOR"
        equals "$STATUS" 60
        equals "$(count_lines notice)" 0
    done
}

@test "that LD_PRELOAD is ignored where a set-group-ID program starts itself again as another group is said" {
    [ "$(id -u)" -eq 0 ] || skip 'needs root'
    local own=$BATS_TEST_TMPDIR/own again change

    cp "$(realpath /usr/bin/python3)" "$own"
    export PYTHONHOME=/usr
    again="os.execv('$own', ['$own', '-c', 'print(\"again\")'])"
    for PINSHIM_INHERIT in keep force; do
        # Exim starts itself like this, by its user, for each delivery.
        chmod 2755 "$own"
        capture shim "$own" -c "import os; os.setresgid(65534, 65534, 65534); $again"
        equals "$OUT" again
        equals "$(count_lines notice)" 1
        has "$(lines notice)" "$own is set-user-ID or set-group-ID, so that LD_PRELOAD is ignored where this program starts it again: they run without pinshim"
        # As the same group; where rights are not to be gained; and another program
        for change in pass 'import ctypes; ctypes.CDLL(None).prctl(38, 1, 0, 0, 0); os.setresgid(65534, 65534, 65534)'; do
            capture shim "$own" -c "import os; $change; $again"
            equals "$OUT" again
            equals "$ERR" ''
        done
        capture shim python3 -c "import os; os.setresgid(65534, 65534, 65534); $again"
        equals "$ERR" ''
        chmod 755 "$own"
        capture shim "$own" -c "import os; os.setresgid(65534, 65534, 65534); $again"
        equals "$ERR" ''
    done
}

@test "another value is a configuration fault; without the variable nothing is put back" {
    PINSHIM_INHERIT=always capture shim "${GET[@]}" "$URL_GOOD"
    equals "$STATUS" 60
    has "$ERR" 'PINSHIM_INHERIT is "always"; expected keep or force'
    unset PINSHIM_INHERIT
    capture shim env -i "${GET[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 0
}

@test "pinshim run holds what it starts, and what that starts" {
    unset PINSHIM_INHERIT
    capture "$BATS_TEST_DIRNAME/../build/pinshim" run --pins "$PINS" -- sh -c 'env -i "$@"' sh "${GET[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 60
    has "$ERR" 'refused localhost'
    for removed in -i '-u LD_PRELOAD' 'LD_PRELOAD=' '-u PINSHIM_PINS'; do
        # shellcheck disable=SC2086
        capture "$BATS_TEST_DIRNAME/../build/pinshim" run --pins "$PINS" -- env $removed "${GET[@]}" "$URL_IMPOSTOR"
        equals "$STATUS" 60
        has "$ERR" 'refused localhost'
    done
    # But not against the user's own word
    PINSHIM_INHERIT=keep capture "$BATS_TEST_DIRNAME/../build/pinshim" run --pins "$PINS" -- sh -c 'env -i "$@"' sh "${GET[@]}" "$URL_IMPOSTOR"
    equals "$STATUS" 0
}
