#!/usr/bin/env bats
# Goal: certificates can be renewed while a program runs, and no request fails: the server's key by its backup pin, the client's certificate
# by replacing its file; and a client certificate that the server no longer accepts leads to a line in the log.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/mutual.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154

load lib/programs
load lib/mutual

setup_file() {
    mutual_lab
}

teardown_file() {
    mutual_stop
}

setup() {
    PROGRAM=''
    NGINX_MASTER=on
    PINNED="localhost spki-sha256:$(lab_spki "$LAB/good.pem")"
    DIR=$BATS_TEST_TMPDIR
    ANSWERS=$DIR/answers
}

teardown() {
    [ -z "$PROGRAM" ] || kill "$PROGRAM" 2>/dev/null || true
}

# start PORT VERSION: a Python program that fetches a page again and again
start() {
    : >"$ANSWERS"
    ERR_FILE=$DIR/err
    # No function: this must be the program's own process.
    env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 "$CLIENTS/loop.py" localhost "$1" verify "$2" "$CA" \
        >"$ANSWERS" 2>"$ERR_FILE" </dev/null 3>&- &
    PROGRAM=$!
}

# so_far REGEX: how many lines of what the program printed match
so_far() { grep -cE "$1" "$ANSWERS" || true; }
more() { [ "$(so_far "$2")" -gt "$1" ]; }

# goes_on REGEX: five more lines of the program match
goes_on() {
    lab_wait more $(($(so_far "$1") + 4)) "$1" || { OUT=$(tail -n 3 "$ANSWERS") ERR=$(tail -n 5 "$ERR_FILE") explain "no more $1"; }
}

# finish REGEX FAULTS: all that the program ever printed matches, and so many faults were logged, and no refusal
finish() {
    kill "$PROGRAM"
    wait "$PROGRAM" || true
    PROGRAM=
    OUT=$(grep -vE "$1" "$ANSWERS" || true)
    ERR=$(cat "$ERR_FILE")
    equals "$OUT" ''
    equals "$(count_lines fault)" "$2"
    equals "$(count_lines refused)" 0
}

# from SERIAL [DIGEST]: matches the answer to a client with that certificate, from a server with that one
from() { echo "^200 ${2:-[0-9a-f]*} you are CN=client1, serial $1, "; }

digest() { openssl x509 -in "$LAB/$1.pem" -outform DER | sha256sum | cut -d' ' -f1; }

# reload NAME: the nginx reads its files again
reload() { kill -HUP "$(cat "$LAB/nginx-$1/pid")"; }

@test "the server's certificate is renewed on its backup pin, and the client's in place, without a restart or a failed request" {
    local version old new
    lab_cert backup /CN=good
    for version in 1.2 1.3; do
        cp "$LAB/good.pem" "$LAB/served.pem"
        cp "$LAB/good.key" "$LAB/served.key"
        asking_nginx served
        cp -p "$LAB/client1.pem" "$LAB/client1.key" "$DIR"
        pins "$PINNED client-cert=client1.pem client-key=client1.key client-key-pass-file=$LAB/pass" \
            "localhost spki-sha256:$(lab_spki "$LAB/backup.pem")"
        old=$(serial client1)
        start "$PORT" "$version"
        goes_on "$(from "$old" "$(digest good)")"

        cp "$LAB/backup.pem" "$LAB/served.pem"
        cp "$LAB/backup.key" "$LAB/served.key"
        reload served
        goes_on "$(from "$old" "$(digest backup)")"

        # A key without its certificate, for a while: the old pair stays, and one line says why.
        identity renewed /CN=client1
        new=$(serial renewed)
        mv "$LAB/renewed.key" "$DIR/client1.key"
        goes_on "$(from "$old" "$(digest backup)")"
        goes_on "$(from "$old" "$(digest backup)")"
        mv "$LAB/renewed.pem" "$DIR/client1.pem"
        goes_on "$(from "$new" "$(digest backup)")"
        finish "$(from "($old|$new)")" 1
        has "$(lines fault)" '"client1.key" cannot be used'
    done
}

@test "a server's certificate that is on no pin stops the program that runs on, until the old one is back" {
    cp "$LAB/good.pem" "$LAB/served.pem"
    cp "$LAB/good.key" "$LAB/served.key"
    asking_nginx served
    pins "$PINNED $(as client1)"
    start "$PORT" 1.3
    goes_on "$(from "$(serial client1)" "$(digest good)")"
    cp "$LAB/impostor.pem" "$LAB/served.pem"
    cp "$LAB/impostor.key" "$LAB/served.key"
    reload served
    goes_on '^failed .*certificate verify failed'
    cp "$LAB/good.pem" "$LAB/served.pem"
    cp "$LAB/good.key" "$LAB/served.key"
    reload served
    goes_on "$(from "$(serial client1)" "$(digest good)")"
}

# settled: what the program reads has not changed for so long that it is only looked at, and not read again, at each handshake. The
# pins file was written last.
settled() { [ "$(date +%s)" -gt $(($(stat -c %Z "$PINS") + 3)) ]; }

# renewed_by FIELDS COMMAND...: the program offers what FIELDS say; each COMMAND with "old" or "new" puts that certificate there
renewed_by() {
    local old new
    identity old /CN=client1
    identity new /CN=client1
    old=$(serial old) new=$(serial new)
    asking_nginx good
    "$2" old
    pins "$PINNED $1"
    start "$PORT" 1.3
    lab_wait settled
    goes_on "$(from "$old")"
    "$2" new
    goes_on "$(from "$new")"
    "$2" old
    goes_on "$(from "$old")"
    finish "$(from "($old|$new)")" 0
}

@test "an identity in one file is renewed by a rename, and nothing is logged" {
    one_file() {
        (umask 077 && cat "$LAB/$1.pem" "$LAB/$1.key" >"$DIR/identity.new")
        mv "$DIR/identity.new" "$DIR/identity"
    }
    renewed_by "client-cert=identity client-key-pass-file=$LAB/pass" one_file
}

@test "an identity in a PKCS#12 file is renewed by a rename, and nothing is logged" {
    archive() {
        openssl pkcs12 -export -in "$LAB/$1.pem" -inkey "$LAB/$1.plain" -passout "file:$LAB/pass" -out "$DIR/identity.new"
        chmod 0600 "$DIR/identity.new"
        mv "$DIR/identity.new" "$DIR/identity"
    }
    renewed_by "client-cert=identity client-key-pass-file=$LAB/pass" archive
}

@test "an identity is renewed by a symbolic link to another directory, as Kubernetes does, and nothing is logged" {
    volume() {
        mkdir -p "$DIR/$1"
        cp -p "$LAB/$1.pem" "$DIR/$1/cert"
        cp -p "$LAB/$1.key" "$DIR/$1/key"
        ln -s "$1" "$DIR/..data_tmp"
        mv -T "$DIR/..data_tmp" "$DIR/..data"
    }
    renewed_by "client-cert=..data/cert client-key=..data/key client-key-pass-file=$LAB/pass" volume
}

@test "a key under another passphrase is taken with its new passphrase" {
    cp -p "$LAB/client1.key" "$LAB/pass" "$DIR"
    asking_nginx good
    pins "$PINNED client-cert=$LAB/client1.pem client-key=client1.key client-key-pass-file=pass"
    start "$PORT" 1.3
    goes_on "$(from "$(serial client1)")"
    openssl pkey -in "$LAB/client1.plain" -aes256 -passout pass:other -out "$DIR/client1.key.new"
    chmod 0600 "$DIR/client1.key.new"
    mv "$DIR/client1.key.new" "$DIR/client1.key"
    goes_on "$(from "$(serial client1)")"
    (umask 077 && echo other >"$DIR/pass.new")
    mv "$DIR/pass.new" "$DIR/pass"
    goes_on "$(from "$(serial client1)")"
    finish "$(from "$(serial client1)")" 1
}

@test "a faulty successor of an identity leaves the last good one in force, and one line for each says why" {
    local fault expected=0
    cp -p "$LAB/client1.pem" "$LAB/client1.key" "$DIR"
    asking_nginx good
    pins "$PINNED client-cert=client1.pem client-key=client1.key client-key-pass-file=$LAB/pass"
    start "$PORT" 1.3
    goes_on "$(from "$(serial client1)")"
    for fault in nonsense gone stranger open; do
        case $fault in
        nonsense) (umask 077 && echo nonsense >"$DIR/next") ;;
        gone) ;;
        stranger) cp -p "$LAB/client2.key" "$DIR/next" ;;
        open) cp -p "$LAB/client1.key" "$DIR/next" && chmod 0644 "$DIR/next" ;;
        esac
        if [ "$fault" = gone ]; then
            rm "$DIR/client1.key"
        else
            mv "$DIR/next" "$DIR/client1.key"
        fi
        expected=$((expected + 1))
        goes_on "$(from "$(serial client1)")"
        goes_on "$(from "$(serial client1)")"
        ERR=$(cat "$ERR_FILE")
        equals "$(count_lines fault)" "$expected"
        has "$(lines fault | tail -n 1)" '"client1.key" cannot be used'
    done
    chmod 0600 "$DIR/client1.key"
    goes_on "$(from "$(serial client1)")"
    finish "$(from "$(serial client1)")" "$expected"
}

@test "nginx turns a revoked identity away, and the lines of the client say which one it was" {
    local version
    certificate_list
    asking_nginx good "ssl_crl $LAB/crl.pem;"
    for version in 1.2 1.3; do
        certificate_list
        reload good
        pins "$PINNED $(as client1)"
        lab_wait let_in "$version"
        equals "$OUT" "you are CN=client1, serial $(serial client1), over TLSv$version"

        certificate_list client1
        reload good
        lab_wait turned_away "$version"
        has "$OUT" '400 The SSL certificate error'
        offered client1

        pins "$PINNED $(as client2)"
        fetch shim ruby "$PORT" "$version"
        equals "$OUT" "you are CN=client2, serial $(serial client2), over TLSv$version"
        offered client2
    done
}
let_in() { fetch shim ruby "$PORT" "$1" && [[ $OUT == *'you are'* ]]; }
turned_away() { fetch shim ruby "$PORT" "$1" && [[ $OUT != *'you are'* ]]; }

@test "Apache turns a revoked identity away with an alert, and one line of the client names the identity and the alert" {
    local client version
    certificate_list client1
    apache 'SSLVerifyClient require' 'SSLCARevocationCheck leaf' "SSLCARevocationFile $LAB/crl.pem"
    for client in 'curl -k' ruby 'php streams'; do
        for version in 1.2 1.3; do
            pins "$PINNED $(as client1)"
            fetch shim "$client" "$PORT" "$version"
            [ "$STATUS" -ne 0 ] || explain 'let in with a revoked certificate'
            equals "$OUT" ''
            # Ruby tries again by itself.
            equals "$(lines fault | sort -u | wc -l)" 1
            has "$(lines fault)" 'the server refused the client certificate "CN=client1"'
            has "$(lines fault)" 'certificate revoked'

            pins "$PINNED $(as client2)"
            fetch shim "$client" "$PORT" "$version"
            equals "$OUT" "you are CN=client2, over TLSv$version"
            equals "$(count_lines fault)" 0
        done
    done
}
