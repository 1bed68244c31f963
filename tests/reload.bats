#!/usr/bin/env bats
# Goal: a changed pins file is in force at the next handshake of a running program; if it is missing or faulty, the last good pins stay in
# force, and one line reports why.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2030,SC2031,SC2153

load lib/programs

setup_file() {
    programs_lab
    openssl req -x509 -config "$LAB/ca.cnf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$LAB/other.key" -out "$LAB/other.pem" \
        -days 30 -subj '/CN=another CA' 2>>"$LAB/openssl.log"
}

teardown_file() {
    lab_stop
}

setup() {
    STRICT="www.pinned.example spki-sha256:$PIN_IMPOSTOR"
    EASY="www.pinned.example spki-sha256:$PIN_GOOD"
    REFUSED='-1 certificate verify failed'
    PROGRAM='' OPEN=''
    pins "$EASY"
}

teardown() {
    exec 8>&-
    [ -z "$PROGRAM" ] || kill "$PROGRAM" 2>/dev/null || true
    [ -z "$OPEN" ] || rm -r "$OPEN"
}

# start COMMAND...: the program that runs on, under the shim, with the good server; it does what `tell` says. With LATE it uses OpenSSL only then.
start() {
    ERR_FILE=$BATS_TEST_TMPDIR/err TOLD=0
    mkfifo "$BATS_TEST_TMPDIR/told"
    : >"$BATS_TEST_TMPDIR/answers"
    shim "$@" "$PROGRAMS/again" www.pinned.example "$GOOD" ${LATE:+late} <"$BATS_TEST_TMPDIR/told" >"$BATS_TEST_TMPDIR/answers" \
        2>"$ERR_FILE" 3>&- &
    PROGRAM=$!
    exec 8>"$BATS_TEST_TMPDIR/told"
}

# stop: end it
stop() {
    exec 8>&-
    kill "$PROGRAM" 2>/dev/null || true
    wait "$PROGRAM" 2>/dev/null || true
    PROGRAM=''
    rm "$BATS_TEST_TMPDIR/told"
}

answered() {
    [ "$(wc -l <"$BATS_TEST_TMPDIR/answers")" -ge "$TOLD" ]
}

# tell PATTERN LINE: the program does that, and answers so; $ERR is all that was logged until then
tell() {
    TOLD=$((TOLD + 1))
    echo "$2" >&8
    lab_wait answered || explain "no answer to \"$2\""
    OUT=$(tail -n 1 "$BATS_TEST_TMPDIR/answers")
    ERR=$(cat "$ERR_FILE")
    # shellcheck disable=SC2053 # a pattern
    [[ $OUT == $1 ]] || explain "expected \"$1\" to \"$2\", got \"$OUT\""
}

accepts() {
    tell 1 connect
}

refuses() {
    tell "$REFUSED" connect
}

# put LINE...: other content in the place of the pins file, as a whole
put() {
    printf '%s\n' "$@" >"$PINS.new"
    mv "$PINS.new" "$PINS"
}

# faults COUNT: so many were logged until now
faults() {
    equals "$(count_lines fault)" "$1"
}

@test "a pins file that is replaced by rename is in force at the next handshake" {
    start
    accepts
    accepts
    put "$STRICT"
    refuses
    refuses
    has "$(lines refused)" "no pin of $PINS:1 matched"
    put '# another' "$STRICT"
    refuses
    has "$(lines refused)" "no pin of $PINS:2 matched"
    put "$EASY"
    accepts
    put '* deny'
    refuses
    put "$EASY"
    accepts
    faults 0
}

@test "a server that presents another certificate than the one before it, on the same SSL_CTX, is judged by its own" {
    local first second port
    # They differ in the signature alone.
    openssl req -x509 -key "$LAB/good.key" -subj /CN=www.pinned.example -days 30 -out "$LAB/first.pem"
    openssl x509 -in "$LAB/first.pem" -signkey "$LAB/good.key" -preserve_dates -out "$LAB/second.pem" \
        -set_serial "0x$(openssl x509 -in "$LAB/first.pem" -noout -serial | cut -d= -f2)" 2>>"$LAB/openssl.log"
    cp "$LAB/good.key" "$LAB/first.key"
    cp "$LAB/good.key" "$LAB/second.key"
    lab_nginx first
    first=$PORT
    lab_nginx second
    second=$PORT
    start
    for _ in 1 2; do
        put "$EASY" "@revoked cert-sha256:$(lab_fingerprint "$LAB/second.pem")"
        for port in "$first" "$GOOD" "$first" "$first"; do
            tell "$port" "port $port"
            accepts
        done
        for port in "$second" "$second"; do
            tell "$port" "port $port"
            refuses
        done
        put "www.pinned.example cert-sha256:$(lab_fingerprint "$LAB/first.pem")"
        for port in "$second" "$IMPOSTOR" "$GOOD"; do
            tell "$first" "port $first"
            accepts
            accepts
            tell "$port" "port $port"
            refuses
        done
        put "$EASY"
        for port in "$first" "$second" "$GOOD"; do
            tell "$port" "port $port"
            accepts
            accepts
            tell "$IMPOSTOR" "port $IMPOSTOR"
            refuses
        done
    done
}

@test "a symbolic link that is replaced, or one among its directories, brings the new pins file into force" {
    local volume=$BATS_TEST_TMPDIR/volume
    mkdir -p "$volume/first" "$volume/second" "$volume/third"
    echo "$EASY" >"$volume/first/pins"
    echo "$STRICT" >"$volume/second/pins"
    echo "$EASY" >"$volume/third/pins"
    # As a Kubernetes volume is made: the file leads through ..data, which is swapped.
    ln -s first "$volume/..data"
    ln -s ..data/pins "$volume/pins"
    PINS=$volume/pins
    start
    accepts
    ln -s second "$volume/..data_tmp"
    mv -T "$volume/..data_tmp" "$volume/..data"
    refuses
    rm -r "$volume/first"
    ln -s third "$volume/..data_tmp"
    mv -T "$volume/..data_tmp" "$volume/..data"
    accepts
    ln -s second/pins "$volume/pins_tmp"
    mv -T "$volume/pins_tmp" "$volume/pins"
    refuses
    faults 0
}

@test "a pins file that is rewritten in place is in force at the next handshake, however soon and of whatever length" {
    local _
    start
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        echo "$STRICT" >"$PINS"
        refuses
        # The same length, and maybe the same tick of the file system's clock.
        echo "$EASY" >"$PINS"
        accepts
    done
    echo '* deny' >>"$PINS"
    accepts
    printf '# %s\n%s\n' "$EASY" "$STRICT" >"$PINS"
    refuses
    faults 0
}

# dropped LINE: that line, by which nothing is accepted, is left out in place: that counts once the file has been quiet, and nothing is faulty
dropped() {
    put "$EASY" "$1"
    refuses
    echo "$EASY" >"$PINS"
    refuses
    sleep 4
    accepts
    faults 0
}

@test "a pins file that is rewritten line by line loses no target before it has been quiet for two seconds" {
    local other="other.example spki-sha256:$PIN_GOOD" many target
    many=$(for target in {1..200}; do echo "host-$target.example deny"; done)
    pins "$EASY"
    start
    for target in www.pinned.example "www.pinned.example:$GOOD" '*.pinned.example' '**.example' '*' 127.0.0.1; do
        put "$other" "$many" "$target spki-sha256:$PIN_IMPOSTOR"
        refuses
        echo "$other" >"$PINS"
        refuses
        refuses
        echo "$target spki-sha256:$PIN_GOOD" >>"$PINS"
        accepts
    done
    put "$other" "$STRICT"
    refuses
    echo "$other" >"$PINS"
    refuses
    echo "$EASY" >>"$PINS"
    accepts
    # What comes in one piece counts at once.
    put "$other" "$STRICT" "@revoked spki-sha256:$PIN_GOOD"
    refuses
    put "$other"
    accepts
    dropped "@revoked spki-sha256:$PIN_GOOD"
}

@test "a program that starts while its pins file is being written in place waits for the rest" {
    local writer _
    # On a busy machine the writer may be late itself: then it says so, and nothing is known.
    for _ in {1..10}; do
        rm "$PINS"
        /usr/bin/python3 -c 'if True:
            import sys, time
            gaps, before = [], time.monotonic()
            with open(sys.argv[1], "w") as pins:
                for line in [f"host-{number}.example deny" for number in range(20)] + [sys.argv[2]]:
                    print(line, file=pins, flush=True)
                    gaps.append(time.monotonic() - before)
                    before += gaps[-1]
                    time.sleep(0.01)
            sys.exit(max(gaps[1:]) > 0.08)' "$PINS" "$STRICT" &
        writer=$!
        lab_wait test -s "$PINS"
        start
        tell '*' connect
        if wait "$writer"; then
            [ "$OUT" = "$REFUSED" ] || explain 'the rest was not waited for'
            faults 0
            return
        fi
        stop
    done
    explain 'the writer was always late'
}

@test "a pins file that is rewritten line by line, or in pieces of lines, loses no option of a target that is there at once" {
    start env SSL_CERT_FILE="$LAB/other.pem" SSL_CERT_DIR=/nowhere
    put "$EASY"
    accepts
    put "$EASY" 'www.pinned.example pkix'
    refuses
    echo "$EASY" >"$PINS"
    refuses
    echo 'www.pinned.example pkix' >>"$PINS"
    refuses
    put "$EASY pkix"
    refuses
    printf %s "$EASY" >"$PINS"
    refuses
    # Of a target that is new, what a wider one demanded.
    put '*.pinned.example pkix'
    refuses
    echo "$EASY" >"$PINS"
    refuses
    # A new pin on a line without an end does not count yet.
    put "$STRICT"
    refuses
    printf %s "$EASY" >"$PINS"
    refuses
    echo >>"$PINS"
    accepts
    dropped 'www.pinned.example pkix'
    stop
    # A pin beside pkix.
    put 'www.pinned.example pkix'
    start env SSL_CERT_FILE="$LAB/ca.pem" SSL_CERT_DIR=/nowhere
    accepts
    put 'www.pinned.example pkix' "$STRICT"
    refuses
    echo 'www.pinned.example pkix' >"$PINS"
    refuses
    echo "$EASY" >>"$PINS"
    accepts
    faults 0
}

@test "a pins file whose times are put back to what they were is in force all the same" {
    start
    touch -d '2020-01-01' "$PINS"
    accepts
    echo "$STRICT" >"$PINS"
    touch -d '2020-01-01' "$PINS"
    refuses
    cp -p "$PINS" "$PINS.kept"
    echo "$EASY" >"$PINS"
    accepts
    mv "$PINS.kept" "$PINS"
    refuses
}

@test "a pins file that is gone leaves the last good one in force, and one line says so" {
    start
    accepts
    rm "$PINS"
    accepts
    accepts
    accepts
    faults 1
    has "$(lines fault)" "$PINS: cannot open the pins file: No such file or directory"
    equals "$(wc -l <"$ERR_FILE")" 1
    put "$STRICT"
    refuses
    rm "$PINS"
    refuses
    refuses
    faults 2
    put "$EASY"
    accepts
    faults 2
}

@test "a faulty successor leaves the last good one in force, and each of its errors is logged once" {
    start
    accepts
    put "$STRICT" 'one.example nonsense' 'two.example nonsense'
    accepts
    accepts
    accepts
    faults 2
    has "$(lines fault)" "$PINS:2:13: \"nonsense\" is not known"
    has "$(lines fault)" "$PINS:3:13: \"nonsense\" is not known"
    equals "$(wc -l <"$ERR_FILE")" 2
    put "$STRICT"
    refuses
    put "$EASY" nonsense
    refuses
    refuses
    faults 3
    # The same fault after another change.
    put "$EASY" nonsense
    refuses
    refuses
    faults 4
    put "$EASY"
    accepts
    faults 4
}

@test "what must not be a pins file leaves the last good one in force, and stops no program" {
    local told=0 why
    start
    accepts
    for why in 'no rule in the file' 'is not a regular file' 'is not a regular file' 'is world-writable' \
        'cannot open the pins file'; do
        told=$((told + 1))
        rm -rf "$PINS"
        case $told in
        1) : >"$PINS" ;;
        2) mkfifo "$PINS" ;;
        3) mkdir "$PINS" ;;
        4) echo "$STRICT" >"$PINS" && chmod 0666 "$PINS" ;;
        5) ln -s pins "$PINS" ;;
        esac
        accepts
        accepts
        faults "$told"
        has "$(lines fault | tail -n 1)" "$why"
    done
    rm "$PINS"
    put "$STRICT"
    refuses
    faults 5
}

@test "a world-writable pins file leaves the last good one in force until that is fixed" {
    start
    accepts
    echo "$STRICT" >"$PINS"
    chmod 0666 "$PINS"
    accepts
    accepts
    faults 1
    chmod 0644 "$PINS"
    refuses
    faults 1
}

@test "after a first load that failed, a good pins file is in force at the next handshake" {
    rm "$PINS"
    start
    refuses
    refuses
    faults 1
    has "$(lines refused | tail -n 1)" 'configuration fault: '
    put "$EASY" nonsense
    refuses
    refuses
    faults 2
    has "$(lines refused | tail -n 1)" "configuration fault: $PINS:2:9: "
    put "$EASY"
    accepts
    faults 2
    rm "$PINS"
    accepts
    faults 3
}

@test "what hinders the reading of a new pins file and passes without a trace is tried again" {
    start
    accepts
    put "$STRICT"
    tell limited 'descriptors few'
    accepts
    accepts
    faults 1
    has "$(lines fault)" 'cannot open the pins file: Too many open files'
    tell limited 'descriptors many'
    refuses
    faults 1
}

@test "an unknown value of a variable goes on refusing, whatever becomes of the pins file" {
    start env PINSHIM_MODE=off
    refuses
    put '* allow'
    refuses
    rm "$PINS"
    refuses
    faults 1
    # Without that value the file allows it.
    put '* allow'
    exec 8>&-
    rm "$BATS_TEST_TMPDIR/told"
    start
    accepts
    put "$STRICT"
    refuses
}

@test "report mode obeys the new pins file" {
    start env PINSHIM_MODE=report
    accepts
    equals "$ERR" ''
    put "$STRICT"
    accepts
    equals "$(count_lines reported)" 1
    put "$EASY"
    accepts
    equals "$(count_lines reported)" 1
}

@test "every thread obeys the new pins file at its next handshake" {
    echo "$EASY" >"$PINS.0"
    echo "$STRICT" >"$PINS.1"
    start
    accepts
    tell '4 0' "threads 200 $PINS"
    faults 0
    refuses
    put "$EASY"
    accepts
}

@test "a forked child obeys the new pins file, and so does its child" {
    start
    accepts
    tell forked fork
    accepts
    put "$STRICT"
    refuses
    tell forked fork
    refuses
    put "$EASY"
    accepts
    put nonsense
    accepts
    accepts
    faults 1
}

# changed_root: a directory in which a file is found at the path of the pins file
changed_root() {
    [ "$(id -u)" -eq 0 ] || skip 'only root may change the root directory'
    ROOT=$BATS_TEST_TMPDIR/root
    mkdir -p "$ROOT/${PINS%/*}"
}

@test "after chroot what was loaded before stays in force, whatever is there at that path" {
    changed_root
    echo "$STRICT" >"$ROOT/$PINS"
    put "$STRICT"
    start
    refuses
    put "$EASY"
    accepts
    tell 1 "chroot $ROOT"
    tell 1 'setuid 65534'
    accepts
    put "$STRICT"
    accepts
    rm "$ROOT/$PINS" "$PINS"
    accepts
    # The one refusal at the start.
    equals "$(wc -l <"$ERR_FILE")" 1
}

@test "a program that had reloaded before chroot keeps what was loaded last" {
    changed_root
    start
    accepts
    put "$STRICT"
    refuses
    tell 1 "chroot $ROOT"
    put "$EASY"
    refuses
    refuses
    faults 0
}

@test "after chroot pkix, ca- pins and @revoked go by the trust store that stood there when the pins were loaded" {
    local store=$BATS_TEST_TMPDIR/store.pem kind
    changed_root
    echo "$EASY" >"$ROOT/$PINS"
    for kind in file directory; do
        mkdir -p "$BATS_TEST_TMPDIR/certs" "$ROOT/$BATS_TEST_TMPDIR/certs"
        rm -f "$BATS_TEST_TMPDIR/certs/"* "$ROOT/$BATS_TEST_TMPDIR/certs/"*
        cp "$LAB/other.pem" "$store"
        if [ "$kind" = file ]; then
            cp "$LAB/ca.pem" "$ROOT/$store"
        else
            cp "$LAB/ca.pem" "$ROOT/$BATS_TEST_TMPDIR/certs/$(openssl x509 -in "$LAB/ca.pem" -noout -subject_hash).0"
        fi
        # A CA that is only there.
        for rule in 'www.pinned.example pkix' "www.pinned.example ca-sha256:$(lab_spki "$LAB/ca.pem")"; do
            put "$rule"
            start env SSL_CERT_FILE="$store" SSL_CERT_DIR="$BATS_TEST_TMPDIR/certs"
            tell 1 "chroot $ROOT"
            refuses
            refuses
            stop
        done
        # A CA that is not.
        if [ "$kind" = file ]; then
            mv "$ROOT/$store" "$store"
        else
            mv "$ROOT/$BATS_TEST_TMPDIR/certs/"* "$BATS_TEST_TMPDIR/certs/"
        fi
        for rule in 'www.pinned.example pkix' "www.pinned.example ca-sha256:$(lab_spki "$LAB/ca.pem")"; do
            put "$rule"
            start env SSL_CERT_FILE="$store" SSL_CERT_DIR="$BATS_TEST_TMPDIR/certs"
            tell 1 "chroot $ROOT"
            tell 1 'setuid 65534'
            accepts
            stop
        done
    done
}

@test "after chroot no handshake opens a file of the new root for the pins" {
    changed_root
    put 'www.pinned.example pkix' "*.other.example ca-file:$LAB/ca.pem client-cert=$LAB/good.pem client-key=$LAB/good.key"
    mkdir "$BATS_TEST_TMPDIR/certs"
    cp "$LAB/ca.pem" "$BATS_TEST_TMPDIR/certs/$(openssl x509 -in "$LAB/ca.pem" -noout -subject_hash).0"
    start env SSL_CERT_DIR="$BATS_TEST_TMPDIR/certs" strace -f -e trace=file -o "$BATS_TEST_TMPDIR/trace"
    tell 1 "chroot $ROOT"
    accepts
    accepts
    sed '1,/ chroot(/d' "$BATS_TEST_TMPDIR/trace" >"$BATS_TEST_TMPDIR/after"
    # To look whether the root is another one.
    has "$(cat "$BATS_TEST_TMPDIR/after")" '"/"'
    # libcrypto itself opens the time zone, with gmtime_r.
    run -1 grep -E '^[^"]*open(at)?\([^"]*"/(.*pins|.*certs|.*\.pem|.*\.key|.*/lib/ssl)' "$BATS_TEST_TMPDIR/after"
}

@test "a program that first uses TLS after chroot is held to the pins that stood outside" {
    local way
    changed_root
    for way in chroot syscall; do
        put "$EASY" "*.other.example pkix"
        LATE=late start
        tell 1 "$way $ROOT"
        tell 1 'setuid 65534'
        accepts
        tell "$IMPOSTOR" "port $IMPOSTOR"
        refuses
        # What is found there does not count.
        echo "$STRICT" >"$ROOT/$PINS"
        refuses
        faults 0
        stop
        rm "$ROOT/$PINS"
    done
}

@test "after chroot the file there counts only if there was none before" {
    changed_root
    rm "$PINS"
    echo "$STRICT" >"$ROOT/$PINS"
    LATE=late start
    tell 1 "chroot $ROOT"
    refuses
    tell "$IMPOSTOR" "port $IMPOSTOR"
    accepts
    faults 0
    stop
    # A faulty one refuses.
    put nonsense
    LATE=late start
    tell 1 "chroot $ROOT"
    refuses
    faults 1
}

@test "where chroot fails nothing has changed" {
    changed_root
    LATE=late start
    tell 0 "chroot $ROOT/nothing"
    accepts
    put "$STRICT"
    refuses
    tell 1 "chroot /"
    put "$EASY"
    accepts
}

@test "a trust store that changes is read again at the next handshake" {
    local store=$BATS_TEST_TMPDIR/store.pem
    cp "$LAB/other.pem" "$store"
    put 'www.pinned.example pkix'
    start env SSL_CERT_FILE="$store" SSL_CERT_DIR=/nowhere
    refuses
    cp "$LAB/ca.pem" "$store.new"
    mv "$store.new" "$store"
    accepts
    accepts
    rm "$store"
    refuses
    faults 0
}

@test "a trust store is read as a directory of hashed names, too, and only those count" {
    local certs=$BATS_TEST_TMPDIR/certs hash
    mkdir "$certs"
    hash=$(openssl x509 -in "$LAB/ca.pem" -noout -subject_hash)
    put 'www.pinned.example pkix'
    cp "$LAB/ca.pem" "$certs/ca.pem"
    start env SSL_CERT_FILE=/nowhere SSL_CERT_DIR="/nowhere:$certs"
    refuses
    cp "$LAB/ca.pem" "$certs/00000000.0"
    refuses
    ln -s ca.pem "$certs/$hash.0"
    accepts
    rm "$certs/$hash.0"
    refuses
}

# for_everybody: the pins file in a directory that every user may search, as none of the test's own is
for_everybody() {
    [ "$(id -u)" -eq 0 ] || skip 'only root may become another user'
    OPEN=$(mktemp -d)
    chmod 0755 "$OPEN"
    PINS=$OPEN/pins
}

@test "a program without the right to read the pins file any more goes on with the last good one, and says so once it has changed" {
    for_everybody
    (umask 077 && put "$EASY")
    start
    tell 1 'setuid 65534'
    accepts
    accepts
    equals "$ERR" ''
    (umask 077 && put "$STRICT")
    accepts
    accepts
    accepts
    faults 1
    has "$(lines fault)" "$PINS: cannot open the pins file: Permission denied"
    equals "$(wc -l <"$ERR_FILE")" 1
    chmod 0644 "$PINS"
    refuses
    faults 1
}

@test "a program without the right to search the pins file's directory any more goes on with the last good one, and says so once" {
    for_everybody
    put "$STRICT"
    start
    refuses
    put "$EASY"
    accepts
    tell 1 'setuid 65534'
    chmod 0700 "$OPEN"
    accepts
    put "$STRICT"
    accepts
    accepts
    faults 1
    has "$(lines fault)" "$PINS: cannot open the pins file: Permission denied"
    chmod 0755 "$OPEN"
    refuses
    faults 1
}

@test "a session made under the old pins is not resumed against the new" {
    local version
    for version in 1.2 1.3; do
        put "$EASY"
        rm -f "$BATS_TEST_TMPDIR/told"
        lab_s_server good "-tls${version/./_}"
        GOOD=$PORT start
        tell 1 keep
        tell '1 resumed' resume
        put "$STRICT"
        tell "$REFUSED" resume
        put "$EASY" '# again'
        tell '1 resumed' resume
        put "www.pinned.example spki-sha256:$PIN_IMPOSTOR" "www.pinned.example spki-sha256:$PIN_GOOD"
        tell '1 resumed' resume
        faults 0
        exec 8>&-
    done
}

@test "2000 new pins files are obeyed one after the other, and take no memory" {
    echo "$EASY" >"$PINS.0"
    { echo "$STRICT" && seq -f 'n%.0f.example allow' 500; } >"$PINS.1"
    start
    accepts
    tell '1000 0 *' "replace 2000 $PINS"
    # Of a hundred KiB each, had they been kept.
    [ "${OUT##* }" -lt 1024 ] || explain "grew by ${OUT##* } KiB"
    equals "$(count_lines refused)" 1000
    faults 0
}
