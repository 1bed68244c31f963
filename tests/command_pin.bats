#!/usr/bin/env bats
# Goal: the output of "pinshim pin", "lint" and "check" is right: it can be pasted and read by people and programs, in a pipe and on a
# terminal; the verdicts are those of the shim; every error says what to do.

# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154

load lib/programs

setup_file() {
    programs_lab
    PINSHIM=$BATS_TEST_DIRNAME/../build/pinshim
    export PINSHIM
    # The renewal, with a key of its own.
    lab_cert renewal /CN=renewal
    PIN_RENEWAL=$(lab_spki "$LAB/renewal.pem")
    PIN_CA=$(lab_spki "$LAB/ca.pem")
    export PIN_RENEWAL PIN_CA
}

teardown_file() {
    lab_stop
}

# pinshim ARGUMENT...: through a pipe; sets $STATUS, $OUT and $ERR
pinshim() {
    capture "$PINSHIM" "$@"
}

# on_terminal ARGUMENT...: the same on a terminal of 100 columns, or of $WIDTH; what it writes there is in $OUT
on_terminal() {
    needs_terminal
    capture env TERM=xterm "${terminal_environment[@]}" /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/terminal.py" "${WIDTH:-100}" "$PINSHIM" "$@"
}

# json EXPRESSION: of what the last command printed, which is called "it"
json() {
    /usr/bin/python3 -c 'import json, sys; it = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$OUT_FILE" "$1"
}

# pin_lines: the lines of $OUT that are no comments
pin_lines() {
    grep -v '^#' <<<"$OUT" || true
}

# talker PROTOCOL: a server that begins without TLS; sets $PORT
talker() {
    local out
    out=$(mktemp "$LAB/talker-XXXXXX")
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/starttls.py" "$LAB/good.pem" "$LAB/good.key" "$1" >"$out" 2>"$out.err" </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$out" || return 1
    PORT=$(cat "$out")
}

# silent: a server that never answers; sets $PORT
silent() {
    local out
    out=$(mktemp "$LAB/silent-XXXXXX")
    /usr/bin/python3 -c 'import socket, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
time.sleep(600)' >"$out" </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$out" || return 1
    PORT=$(cat "$out")
}

# two_pins TARGET: lines that leave nothing to be desired
two_pins() {
    printf '%s spki-sha256:%s\n' "$1" "$PIN_GOOD" "$1" "$PIN_RENEWAL"
}

@test "help is printed for the command and for each subcommand, within 80 columns; wrong usage exits with 2 and points to it" {
    local subcommand
    pinshim --help
    equals "$STATUS" 0
    equals "$(grep -cE '^.{81}' "$OUT_FILE")" 0
    for subcommand in pin lint check; do
        pinshim --help
        has "$OUT" "  pinshim $subcommand "
        pinshim "$subcommand" --help
        equals "$STATUS" 0
        equals "$ERR" ''
        has "$OUT" "usage: pinshim $subcommand "
        has "$OUT" 'Exit status: 0 '
        equals "$(grep -cE '^.{81}' "$OUT_FILE")" 0
        pinshim "$subcommand" --nonsense x
        equals "$STATUS" 2
        has "$ERR" "pinshim: \"--nonsense\" is not an option of \"pinshim $subcommand\""
    done
    pinshim pin
    equals "$STATUS" 2
    equals "$OUT" ''
    has "$ERR" 'pinshim: see "pinshim pin --help"'
    pinshim check --next
    equals "$STATUS" 2
    has "$ERR" 'pinshim: the option --next needs a value'
    pinshim lint --json=yes x
    equals "$STATUS" 2
    has "$ERR" 'pinshim: the option --json takes no value'
    pinshim pin --timeout 0 localhost
    equals "$STATUS" 2
    pinshim pin --starttls gopher localhost
    equals "$STATUS" 2
    has "$ERR" '"gopher" is not known; expected smtp'
    pinshim pin --for 'a b' localhost
    equals "$STATUS" 2
}

@test "help is printed as well for -h and for the subcommand help" {
    local arguments subcommand whole
    pinshim --help
    whole=$OUT
    for arguments in -h help 'help --help' 'help help'; do
        # shellcheck disable=SC2086
        pinshim $arguments
        equals "$STATUS$ERR" 0
        equals "$OUT" "$whole"
    done
    for subcommand in run doctor learn pin lint check; do
        pinshim "$subcommand" --help
        whole=$OUT
        for arguments in "help $subcommand" "$subcommand -h"; do
            # shellcheck disable=SC2086
            pinshim $arguments
            equals "$STATUS$ERR" 0
            equals "$OUT" "$whole"
        done
    done
    pinshim check --json -h
    has "$OUT" 'usage: pinshim check'
    pinshim help nonsense
    equals "$STATUS" 2
    has "$ERR" '"nonsense" is not a command'
    pinshim prov curl
    equals "$STATUS$ERR" '2pinshim: "prov" is not a command; did you mean "pinshim prove"?'
}

@test "lint and check without a file take the one that run would" {
    local subcommand
    pins "$(two_pins "localhost:$GOOD")" "localhost:$GOOD spki-sha256:$PIN_GOOD"
    export PINSHIM_PINS=$PINS
    pinshim lint
    equals "$STATUS" 0
    has "$OUT" "$PINS:3: warning: the same pin of localhost:$GOOD as in line 1"
    pinshim check
    equals "$STATUS" 0
    has "$OUT" "$PINS:1 matched"
    unset PINSHIM_PINS
    [ ! -e /etc/pinshim/pins ] || skip 'there is /etc/pinshim/pins'
    for subcommand in lint check; do
        pinshim "$subcommand"
        equals "$STATUS" 1
        has "$OUT$ERR" '/etc/pinshim/pins: cannot open the pins file'
    done
}

@test "lint - reads standard input, however long" {
    local i
    two_pins www.example.com >"$BATS_TEST_TMPDIR/input"
    for ((i = 0; i < 3000; i++)); do
        echo "n$i.example.com deny # and forty characters more of comment"
    done >>"$BATS_TEST_TMPDIR/input"
    echo "www.example.com spki-file:good.pem nonsense" >>"$BATS_TEST_TMPDIR/input"
    cd "$LAB"
    capture bash -c 'cat "$1" | "$PINSHIM" lint -' _ "$BATS_TEST_TMPDIR/input"
    equals "$STATUS" 1
    has "$OUT" '-:3003:36: '
    equals "$(wc -l <"$OUT_FILE")" 1
    sed -i 's/ nonsense//' "$BATS_TEST_TMPDIR/input"
    capture bash -c '"$PINSHIM" lint --json - <"$1"' _ "$BATS_TEST_TMPDIR/input"
    equals "$STATUS" 0
    equals "$(json '(it["file"], it["errors"])')" "('-', 0)"
}

@test "lint says nothing of a good file, and names every error of a faulty one; a missing file is an error" {
    pins "$(two_pins www.example.com)" "*.example.com ca-sha256:$PIN_CA" '* deny'
    pinshim lint "$PINS"
    equals "$STATUS" 0
    equals "$OUT$ERR" ''
    pins 'www.example.com spki-sha256:short' 'ww/w deny' "a.example.com spki-sha256:$PIN_GOOD"
    pinshim lint "$PINS"
    equals "$STATUS" 1
    equals "$(cut -d: -f1-3 <<<"$OUT")" "$PINS:1:29
$PINS:2:1"
    lacks "$OUT" warning
    pinshim lint "$BATS_TEST_TMPDIR/missing"
    equals "$STATUS" 1
    has "$OUT" 'missing: cannot open the pins file: No such file or directory'
}

# warns LINE TEXT: lint warns of that line, and of nothing else; without --strict that is no failure
warns() {
    pinshim lint "$PINS"
    equals "$STATUS" 0
    has "$OUT" "$2"
    has "$OUT" "$PINS:$1: warning: "
    equals "$(wc -l <"$OUT_FILE")" 1
    pinshim lint --strict "$PINS"
    equals "$STATUS" 1
}

@test "lint warns of what is likely to hurt, with the line and what to do" {
    pins '' "www.example.com spki-sha256:$PIN_GOOD"
    warns 2 'no backup pin: if the server has to change this key, www.example.com is refused'
    pins '* allow' "www.example.com:443 cert-sha256:$(lab_fingerprint "$LAB/good.pem")" "www.example.com:443 spki-sha256:$PIN_RENEWAL"
    warns 2 'it no longer matches after the next renewal of www.example.com:443; pin its key instead'
    pins "$(two_pins '*.example.com')" "*.example.com sha256/$PIN_GOOD"
    warns 3 'the same pin of *.example.com as in line 1; delete one'
    pins "www.example.com spki-sha256:$PIN_GOOD spki-sha256:$PIN_GOOD spki-sha256:$PIN_RENEWAL"
    warns 1 'the same pin of '
    pins "$(two_pins '[::1]:8443')" "[::1]:8443 spki-sha256:$PIN_CA expires=$(date -u -d '+30 days' +%F)"
    warns 3 "expire on $(date -u -d '+30 days' +%F) (days left: 30), and no longer match for [::1]:8443 from then on"
    pins "$(two_pins www.example.com)" "www.example.com spki-sha256:$PIN_CA expires=$(date -u -d '+31 days' +%F)"
    pinshim lint "$PINS"
    equals "$OUT" ''
    pins "$(two_pins www.example.com)" "www.example.com spki-sha256:$PIN_CA expires=$(date -u +%F)"
    warns 3 "expired on $(date -u +%F) and no longer match"
    pins "$(two_pins www.example.com)" "www.example.com ca-sha256:$PIN_CA" "@revoked spki-sha256:$PIN_CA"
    warns 3 'this pin of www.example.com can never match: line 4 revokes it'
}

@test "lint warns of ports on which programs go on in plaintext" {
    local port
    for port in 25 143 389 587 3306 5222 5432; do
        pins "$(two_pins "db.example.com:$port")"
        warns 1 'clients may continue in plaintext if TLS fails (db.example.com'
        has "$OUT" 'add tls=required'
        pins "$(two_pins "db.example.com:$port")" "db.example.com:$port tls=required"
        pinshim lint "$PINS"
        equals "$STATUS$OUT" 0
    done
}

@test "lint warns of a rule for FTP's port alone, and of what @unknown cannot satisfy" {
    local port
    for port in 21 990; do
        pins "$(two_pins "ftp.example.com:$port")" "ftp.example.com:$port tls=required"
        warns 1 "a rule for port $port alone: FTP's data connections go to other ports of the host, which have no rule; write ftp.example.com without the port"
    done
    pins "$(two_pins '*.example.com:990')" '*.example.com deny' 'www.example.com:21 deny' 'old.example.com:21 allow' "$(two_pins ftp.example.com)" \
        "$(two_pins www.example.com:443)" "$(two_pins @unknown)"
    pinshim lint "$PINS"
    equals "$STATUS$OUT" 0
    for port in '' :8883; do
        pins "@unknown$port ca-sha256:$PIN_CA"
        warns 1 "@unknown$port is for connections without a known name: pkix and ca- pins match only if the certificate is valid for the address"
        pins "@unknown$port pkix"
        warns 1 'never if that is unknown; pin the key'
    done
}

@test "pin --for @unknown prints a line for it, and check passes it over" {
    pinshim pin --for @unknown "$LAB/good.pem"
    equals "$STATUS" 0
    equals "$(grep -v '^#' <<<"$OUT" | tr -s ' ')" "@unknown spki-sha256:$PIN_GOOD"
    pins "@unknown spki-sha256:$PIN_GOOD"
    pinshim check "$PINS"
    lacks "$OUT" MISMATCH
    lacks "$OUT" unknown:
    pinshim pin --for @revoke "$LAB/good.pem"
    equals "$STATUS" 2
}

@test "a pin that accepts no more is no backup, and one of a CA needs none" {
    pins "www.example.com spki-sha256:$PIN_GOOD" "www.example.com spki-sha256:$PIN_RENEWAL expires=2020-01-01"
    pinshim lint "$PINS"
    has "$OUT" "$PINS:1: warning: no backup pin"
    has "$OUT" "$PINS:2: warning: the pins of this line expired on 2020-01-01"
    pins "www.example.com ca-sha256:$PIN_CA" 'mail.example.com pkix'
    pinshim lint "$PINS"
    equals "$STATUS$OUT" 0
}

@test "lint says of a target that has only expired pins that it is refused now" {
    pins "www.example.com spki-sha256:$PIN_GOOD expires=2020-01-01" "www.example.com spki-sha256:$PIN_RENEWAL expires=2021-01-01"
    pinshim lint "$PINS"
    has "$OUT" "$PINS:1: warning: no valid pin of www.example.com is left: every connection to it is refused now"
    lacks "$OUT" 'no backup'
    pins "www.example.com spki-sha256:$PIN_GOOD expires=2020-01-01 mode=report"
    pinshim lint "$PINS"
    has "$OUT" 'would be refused now, but is only logged'
    # With one that is left, it is that which has no backup.
    pins "www.example.com spki-sha256:$PIN_GOOD expires=2020-01-01" "www.example.com spki-sha256:$PIN_RENEWAL"
    pinshim lint "$PINS"
    lacks "$OUT" 'no valid pin'
    has "$OUT" "$PINS:2: warning: no backup pin"
}

@test "lint warns of certificates in files that expire within 30 days" {
    pins "$(two_pins www.example.com)" "www.example.com spki-file:$LAB/good.pem"
    sed -i 1d "$PINS"
    warns 2 "a certificate in $LAB/good.pem expires on $(date -u -d '+30 days' +%F)"
    openssl x509 -req -in "$LAB/good.csr" -signkey "$LAB/good.key" -days 40 -out "$LAB/longer.pem" 2>/dev/null
    pins "www.example.com spki-file:$LAB/longer.pem" "www.example.com spki-sha256:$PIN_RENEWAL"
    pinshim lint "$PINS"
    equals "$STATUS$OUT" 0
    chmod 0600 "$LAB/renewal.key"
    pins "$(two_pins www.example.com)" "www.example.com client-cert=$LAB/renewal.pem client-key=$LAB/renewal.key"
    warns 3 "the client certificate in $LAB/renewal.pem expires on $(date -u -d '+30 days' +%F)"
}

@test "lint --json is one object with each finding" {
    pins "www.example.com spki-sha256:$PIN_GOOD" 'old.example.com deny'
    pinshim lint --json "$PINS"
    equals "$STATUS" 0
    equals "$(json '(it["file"], it["errors"], it["warnings"], it["findings"][0]["line"])')" "('$PINS', 0, 1, 1)"
    equals "$(json 'it["findings"][0]["severity"]')" warning
    pins $'a\xff deny' 'b ??"'
    pinshim lint --json "$PINS"
    equals "$STATUS" 1
    equals "$(json '[(f["severity"], f["line"], f["column"]) for f in it["findings"]]')" "[('error', 1, 2), ('error', 2, 3)]"
}

@test "lint and check are coloured on a terminal only, and not with NO_COLOR" {
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD"
    pinshim lint "$PINS"
    lacks "$OUT" $'\033'
    has "$OUT" warning
    on_terminal lint "$PINS"
    equals "$STATUS" 0
    has "$OUT" $'\033[33mwarning:\033[0m'
    pinshim check "$PINS"
    lacks "$OUT$ERR" $'\033'
    on_terminal check "$PINS"
    equals "$STATUS" 0
    has "$OUT" $'\033[32maccepted\033[0m'
    has "$OUT" '1 of 1 checked'
    terminal_environment=(NO_COLOR=1)
    on_terminal lint "$PINS"
    has "$OUT" ': warning: no backup'
    on_terminal check "$PINS"
    has "$OUT" accepted
    lacks "$OUT" $'\033[32m'
    terminal_environment=(TERM=dumb)
    on_terminal check "$PINS"
    lacks "$OUT" $'\033'
    lacks "$OUT" '1 of 1'
}

@test "pin of a live server gives lines that lint and check accept, as comments whose they are, and that nothing verified it" {
    serve_chain
    pinshim pin "localhost:$PORT"
    equals "$STATUS$ERR" 0
    equals "$(pin_lines)" "localhost:$PORT   spki-sha256:$PIN_GOOD"
    has "$OUT" 'Not verified: '
    has "$OUT" "subject \"CN=good\", issuer \"CN=pinshim test CA\", valid until $(date -u -d '+30 days' +%F)"
    has "$OUT" "#localhost:$PORT   ca-sha256:$PIN_CA"
    cp "$OUT_FILE" "$BATS_TEST_TMPDIR/printed"
    pinshim lint "$BATS_TEST_TMPDIR/printed"
    equals "$STATUS" 0
    pinshim check "$BATS_TEST_TMPDIR/printed"
    equals "$STATUS" 0
    # The candidate as well, when its # is taken away.
    grep '^#localhost' "$BATS_TEST_TMPDIR/printed" | sed 's/^#//' >"$BATS_TEST_TMPDIR/authority"
    pinshim check "$BATS_TEST_TMPDIR/authority"
    equals "$STATUS" 0
    has "$OUT" "authority:1 matched ca-sha256:$PIN_CA"
    on_terminal pin "localhost:$PORT"
    equals "$(pin_lines)" "localhost:$PORT   spki-sha256:$PIN_GOOD"
}

# serve_chain: the good server, which sends its CA as well; sets $PORT
serve_chain() {
    lab_s_server good -cert_chain "$LAB/ca.pem"
}

@test "pin reaches IPv6, takes the SNI from the host, and works where a client certificate is asked for" {
    local version
    lab_s_server good -accept '[::1]:0' -cert2 "$LAB/renewal.pem" -key2 "$LAB/renewal.key" -servername localhost
    pinshim pin "[::1]:$PORT"
    equals "$(pin_lines)" "[::1]:$PORT   spki-sha256:$PIN_GOOD"
    lab_s_server good -cert2 "$LAB/renewal.pem" -key2 "$LAB/renewal.key" -servername localhost
    pinshim pin "127.0.0.1:$PORT" "localhost:$PORT"
    equals "$(pin_lines)" "127.0.0.1:$PORT   spki-sha256:$PIN_GOOD
localhost:$PORT   spki-sha256:$PIN_RENEWAL"
    for version in 1_2 1_3; do
        lab_s_server good "-tls$version" -Verify 1
        pinshim pin "localhost:$PORT"
        equals "$STATUS$ERR" 0
        has "$OUT" "localhost:$PORT   spki-sha256:$PIN_GOOD"
        has "$OUT" '# The server requests a client certificate'
    done
}

# shows PORT ADDRESS CERTIFICATE...: a TLS server with these certificates ($LAB/CERTIFICATE.pem, .key); PORT 0: any. Sets $PORT
shows() {
    local out
    out=$(mktemp "$LAB/shows-XXXXXX")
    /usr/bin/python3 -c 'import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
for name in sys.argv[4:]:
    context.load_cert_chain(f"{sys.argv[1]}/{name}.pem", f"{sys.argv[1]}/{name}.key")
server = socket.create_server((sys.argv[3], int(sys.argv[2])))
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    try:
        context.wrap_socket(connection, server_side=True).close()
    except OSError:
        connection.close()' "$LAB" "$@" >"$out" </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$out" || return 1
    PORT=$(cat "$out")
}

@test "lint says what was probably meant, of a line, of a file, and of what may not be read" {
    cd "$BATS_TEST_TMPDIR"
    pins "a.example spki-sha265:$PIN_GOOD" "b.example sha256:$PIN_GOOD" '.c.example allow' "d.example sha256//$PIN_GOOD;sha256//$PIN_GOOD"
    pinshim lint "$PINS"
    equals "$STATUS" 1
    has "$OUT" "is not known; expected perhaps spki-sha256:$PIN_GOOD"
    has "$OUT" 'expected spki-sha256: (the public key), or cert-sha256: (the certificate, as "openssl x509 -fingerprint" prints it)'
    has "$OUT" 'expected *.c.example (names with one more label), **.c.example (one or more), or c.example (the name itself)'
    has "$OUT" 'a ";" after a pin; expected a blank instead'
    pinshim lint "$LAB/good.pem"
    equals "$STATUS$OUT" "1$LAB/good.pem: this is a certificate or a key, not a pins file; next: \"pinshim pin $LAB/good.pem\" prints the lines for it"
    openssl x509 -in "$LAB/good.pem" -outform DER -out good.der
    pinshim lint good.der
    has "$OUT" 'next: "pinshim pin good.der" prints'
    pins "localhost ca-file:$LAB/good.pem"
    pinshim lint "$PINS"
    equals "$STATUS" 0
    has "$OUT" "a certificate in $LAB/good.pem is no CA's, so that it has issued no other; for a server's own key write spki-file:$LAB/good.pem"
    pins "localhost ca-file:$LAB/ca.pem"
    pinshim lint "$PINS"
    lacks "$OUT" "no CA's"
}

@test "pin --into adds what a file does not have, and puts the new file in the place of the old one" {
    local inode
    cd "$BATS_TEST_TMPDIR"
    pinshim pin --into new "localhost:$GOOD" "$LAB/renewal.key"
    equals "$STATUS$ERR" 0
    equals "$(grep -v '^#' new)" "localhost:$GOOD   spki-sha256:$PIN_GOOD
localhost:$GOOD   spki-sha256:$PIN_RENEWAL"
    has "$OUT" "new:3: added localhost:$GOOD   spki-sha256:$PIN_GOOD"
    has "$OUT" 'next: pinshim lint new, and pinshim check new'
    lacks "$(cat new)" 'No backup pin'
    # By rename, through a symbolic link, with its mode; what is there stays as it is.
    printf '# mine\r\n%s\n' '*.example.com deny   # all' >real
    chmod 0640 real
    inode=$(stat -c %i real)
    ln -s real link
    pinshim pin --into link "localhost:$GOOD" --for localhost
    equals "$STATUS$(stat -c %a real)$(readlink link)" 0640real
    [ "$(stat -c %i real)" != "$inode" ]
    equals "$(head -n 2 real)" $'# mine\r\n*.example.com deny   # all'
    equals "$(tail -n 1 real)" "localhost   spki-sha256:$PIN_GOOD"
    cp real before
    pinshim pin --into link "localhost:$GOOD" --for localhost
    equals "$STATUS" 0
    has "$OUT" "link has this already: localhost   spki-sha256:$PIN_GOOD"
    cmp real before
    # Nothing is changed if something fails, or if it would be faulty.
    pinshim pin --into real "localhost:$GOOD" localhost:1
    equals "$STATUS" 1
    has "$ERR" 'real is not changed'
    cmp real before
    echo 'localhost deny' >deny
    pinshim pin --into deny --for localhost "$LAB/good.pem"
    equals "$STATUS$(cat deny)" '1localhost deny'
    has "$ERR" 'contradicts line 1, which says deny'
    has "$ERR" 'deny would be faulty and is not changed'
    echo 'localhost bogus' >faulty
    pinshim pin --into faulty --for localhost "$LAB/good.pem"
    equals "$STATUS$(cat faulty)" '1localhost bogus'
    has "$ERR" 'faulty is faulty and is not changed; fix it first'
    equals "$(find . -name '*.??????' | wc -l)" 0
}

@test "pin --replace puts one pin in the place of another, on its line" {
    cd "$BATS_TEST_TMPDIR"
    printf '%s\n' "a.example  spki-sha256:$PIN_GOOD spki-sha256:$PIN_IMPOSTOR pkix # spki-sha256:$PIN_GOOD" "b.example sha256//$PIN_GOOD tls=required" \
        "c.example cert-sha256:$PIN_GOOD" >rotated
    pinshim pin --into rotated --replace "$LAB/good.pem" "$LAB/renewal.key"
    equals "$STATUS$ERR" 0
    equals "$(cat rotated)" "a.example  spki-sha256:$PIN_RENEWAL spki-sha256:$PIN_IMPOSTOR pkix # spki-sha256:$PIN_GOOD
b.example spki-sha256:$PIN_RENEWAL tls=required
c.example cert-sha256:$PIN_GOOD"
    has "$OUT" "rotated:2: replaced with spki-sha256:$PIN_RENEWAL"
    pinshim pin --into rotated --replace "spki-sha256:$PIN_RENEWAL" "localhost:$GOOD"
    equals "$STATUS$(grep -c "spki-sha256:$PIN_RENEWAL" rotated)" 00
    pinshim pin --into rotated --replace "$LAB/renewal.pem" "$LAB/good.pem"
    equals "$STATUS" 1
    has "$ERR" 'rotated does not have the pin that is to be replaced; nothing is written'
    pinshim pin --into rotated --replace "$LAB/good.pem" "$LAB/good.pem" "$LAB/impostor.pem"
    equals "$STATUS" 1
    has "$ERR" '--replace puts one pin in the place of another'
    pinshim pin --replace x "$LAB/good.pem"
    equals "$STATUS" 2
}

@test "pin --replace puts what it says of the new pin in the place of what it said of the old one" {
    cd "$BATS_TEST_TMPDIR"
    pinshim pin --into rotated "localhost:$GOOD" "$LAB/impostor.key"
    grep -q "^# Key of localhost:$GOOD" rotated
    printf '%s\n' '# mine' '#   subject  CN=old' "b.example spki-sha256:$PIN_GOOD" '# Certificate: subject "CN=two"' "c.example spki-sha256:$PIN_GOOD spki-sha256:$PIN_IMPOSTOR" \
        '# Certificate: subject "CN=last"' >>rotated
    pinshim pin --into rotated --replace "$LAB/good.pem" "$LAB/renewal.key"
    equals "$STATUS$ERR" 0
    equals "$(cat rotated)" "# $LAB/renewal.key: a key. Usable as a backup pin
localhost:$GOOD   spki-sha256:$PIN_RENEWAL
# $LAB/impostor.key: a key. Usable as a backup pin
localhost:$GOOD   spki-sha256:$PIN_IMPOSTOR
# mine
# $LAB/renewal.key: a key. Usable as a backup pin
b.example spki-sha256:$PIN_RENEWAL
# Certificate: subject \"CN=two\"
c.example spki-sha256:$PIN_RENEWAL spki-sha256:$PIN_IMPOSTOR
# Certificate: subject \"CN=last\""
    has "$OUT" "rotated:2: replaced with spki-sha256:$PIN_RENEWAL"
    has "$OUT" "rotated:7: replaced with spki-sha256:$PIN_RENEWAL"
    has "$OUT" "rotated:9: replaced with spki-sha256:$PIN_RENEWAL"
    # What was fetched from a server says so.
    pinshim pin --into rotated --replace "$LAB/impostor.pem" "localhost:$GOOD"
    equals "$STATUS$(grep -A 2 "^# Key of localhost:$GOOD" rotated | tail -n 1)" "0localhost:$GOOD   spki-sha256:$PIN_GOOD"
}

@test "pin --into says where what it adds does not count because of a port, and that a pin which is there has expired" {
    cd "$BATS_TEST_TMPDIR"
    # What learn writes has a port.
    echo "localhost:$GOOD spki-sha256:$PIN_GOOD" >ports
    pinshim pin --into ports "localhost:$GOOD" --for localhost "$LAB/renewal.key"
    equals "$STATUS" 0
    equals "$ERR" "pinshim: ports:1: on port $GOOD the rule for localhost:$GOOD takes precedence, and spki-sha256:$PIN_RENEWAL, for localhost, does not count there; next: add that with --for localhost:$GOOD, too"
    has "$(pinshim lint ports && cat "$OUT_FILE")" "ports:1: warning: no backup pin"
    pinshim pin --into ports --for "localhost:$GOOD" "$LAB/renewal.key"
    equals "$STATUS$ERR" 0
    pinshim lint ports
    equals "$OUT" ''
    # The other way round.
    echo "localhost spki-sha256:$PIN_IMPOSTOR" >ports
    pinshim pin --into ports "localhost:$GOOD" "$LAB/renewal.key"
    equals "$STATUS" 0
    equals "$ERR" "pinshim: ports:1: on port $GOOD the rule for localhost:$GOOD takes precedence now, and pins for localhost alone do not count there any more; next: add them with --for localhost:$GOOD, too"
    pinshim pin --into ports --for "localhost:$GOOD" "$LAB/impostor.key"
    equals "$STATUS$ERR" 0
    echo "localhost:$GOOD spki-sha256:$PIN_GOOD expires=2020-01-01" >ports
    pinshim pin --into ports "localhost:$GOOD"
    equals "$STATUS" 1
    has "$OUT" "ports has this already: localhost:$GOOD"
    has "$ERR" "ports:1: that pin expired on 2020-01-01; next: set a later day there"
    echo "localhost:$GOOD spki-sha256:$PIN_GOOD" >>ports
    pinshim pin --into ports "localhost:$GOOD"
    equals "$STATUS$ERR" 0
}

@test "pin --issuer makes a rule of the issuer's pin, which the server sends or the trust store has" {
    cd "$BATS_TEST_TMPDIR"
    export SSL_CERT_FILE=$LAB/ca.pem SSL_CERT_DIR=$BATS_TEST_TMPDIR
    shows 0 127.0.0.1 good
    pinshim pin "localhost:$PORT"
    has "$OUT" "#localhost:$PORT   ca-sha256:$PIN_CA"
    has "$OUT" "Somebody else's: uncomment the line of its issuer (ca-)"
    pinshim pin --into issued "localhost:$PORT"
    has "$OUT" "no backup pin: if it is your server, give a spare key's file as well; if not, its issuer's pin: --issuer"
    pinshim pin --into issued --issuer "localhost:$PORT"
    equals "$STATUS$ERR$(grep -v '^#' issued)" "0localhost:$PORT   spki-sha256:$PIN_GOOD
localhost:$PORT   ca-sha256:$PIN_CA"
    lacks "$OUT" 'no backup pin'
    pinshim lint issued
    equals "$OUT" ''
    # The next key is accepted.
    pinshim check --next "$LAB/renewal.pem" issued
    equals "$STATUS" 0
    # An issuer that nobody knows is not asked for in vain.
    unset SSL_CERT_FILE
    SSL_CERT_FILE=$BATS_TEST_TMPDIR/none pinshim pin "localhost:$PORT"
    has "$OUT" "Somebody else's: pin its issuer's certificate (\"pinshim pin --for TARGET FILE\")"
    SSL_CERT_FILE=$BATS_TEST_TMPDIR/none pinshim pin --into none --issuer "localhost:$PORT"
    equals "$STATUS" 1
    has "$ERR" 'no issuer is known: its certificate is neither sent nor in the trust store'
    has "$ERR" 'none is not made'
    [ ! -e none ]
    pinshim pin --into issued --replace "$LAB/good.pem" --issuer "$LAB/renewal.key"
    equals "$STATUS" 2
    # Of a file with a chain, the first.
    cat "$LAB/good.pem" "$LAB/ca.pem" >chain.pem
    pinshim pin --issuer --for localhost chain.pem
    equals "$(pin_lines)" "localhost   spki-sha256:$PIN_GOOD
localhost   ca-sha256:$PIN_CA"
}

@test "pin, lint and learn say what to do about a server that has no backup key for one" {
    pinshim pin "localhost:$GOOD"
    has "$OUT" "# No backup pin. Your server: add the pin of a spare key (\"pinshim pin KEY\"). Somebody else's: "
    pinshim pin "localhost:$GOOD" "$LAB/renewal.key"
    lacks "$OUT" 'No backup pin'
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD"
    pinshim lint "$PINS"
    has "$OUT" 'or, if it is not your server, of its issuer (ca-)'
}

@test "pin and check look at both kinds of key, and at every address of a name" {
    local rsa
    KEY_KIND=rsa lab_cert rsa /CN=rsa
    rsa=$(lab_spki "$LAB/rsa.pem")
    [ "$rsa" != "$PIN_GOOD" ]
    shows 0 127.0.0.1 good rsa
    pinshim pin "localhost:$PORT"
    equals "$STATUS$ERR" 0
    equals "$(pin_lines | sort)" "$(printf '%s\n' "localhost:$PORT   spki-sha256:$PIN_GOOD" "localhost:$PORT   spki-sha256:$rsa" | sort)"
    has "$OUT" "# Another key of localhost:$PORT (127.0.0.1:$PORT)"
    pins "localhost:$PORT spki-sha256:$PIN_GOOD"
    pinshim check "$PINS"
    equals "$STATUS" 1
    grep -qE "^localhost:$PORT +accepted " "$OUT_FILE"
    grep -E "^localhost:$PORT +refused " "$OUT_FILE" | grep -qF "its pin is spki-sha256:$rsa (at 127.0.0.1)"
    pins "localhost:$PORT spki-sha256:$PIN_GOOD spki-sha256:$rsa"
    pinshim check "$PINS"
    equals "$STATUS" 0
    # A name with two addresses, and one that nobody listens on.
    needs_mounts
    shows "$PORT" 127.0.0.2 impostor
    printf '%s\n' '127.0.0.1 two.example' '127.0.0.2 two.example' >"$BATS_TEST_TMPDIR/hosts"
    pins "two.example:$PORT spki-sha256:$PIN_GOOD spki-sha256:$rsa"
    capture unshare --mount sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$BATS_TEST_TMPDIR/hosts" "$PINSHIM" check "$PINS"
    equals "$STATUS$(grep -c "^two.example:$PORT  *accepted" "$OUT_FILE")" 12
    grep -E "^two.example:$PORT +refused " "$OUT_FILE" | grep -qF "its pin is spki-sha256:$PIN_IMPOSTOR (at 127.0.0.2)"
    capture unshare --mount sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$BATS_TEST_TMPDIR/hosts" "$PINSHIM" pin "two.example:$PORT"
    equals "$(pin_lines | wc -l)" 3
    has "$OUT" "two.example:$PORT   spki-sha256:$PIN_IMPOSTOR"
}

@test "check prints metrics for Prometheus" {
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD spki-sha256:$PIN_RENEWAL" "localhost:$IMPOSTOR spki-sha256:$PIN_GOOD" 'localhost:1 pkix'
    pinshim check --prometheus "$PINS"
    equals "$STATUS" 1
    equals "$(grep -c '^# TYPE pinshim_[a-z_]* gauge$' "$OUT_FILE")" 5
    equals "$(sed -n 's/^pinshim_\(server_accepted\|pins_matching\|pins_backup\){.*target="localhost:\([0-9]*\)".*} /\1 \2 /p' "$OUT_FILE" | sort)" \
        "$(printf '%s\n' "server_accepted $GOOD 1" "server_accepted $IMPOSTOR 0" 'server_accepted 1 0' "pins_matching $GOOD 1" "pins_backup $GOOD 1" \
            "pins_matching $IMPOSTOR 0" "pins_backup $IMPOSTOR 1" | sort)"
    # They were made for 30 days, perhaps in this very second.
    equals "$(sed -n 's/^pinshim_certificate_days_left{.*} \([0-9]*\).*/\1/p' "$OUT_FILE" | grep -cxE '29|30')" 2
    grep -qF 'pinshim_server_accepted{file="'"$PINS"'",target="localhost:'"$GOOD"'",address="127.0.0.1",spki_sha256="'"$PIN_GOOD"'"} 1' "$OUT_FILE"
    pinshim check --json --prometheus "$PINS"
    equals "$STATUS" 2
    pinshim check --prometheus --json "$PINS"
    equals "$STATUS" 2
}

@test "check gives the hints at mistaken pins that the log gives, and takes no host for accepted that nothing pins" {
    local fingerprint
    fingerprint=$(openssl x509 -in "$LAB/good.pem" -outform DER | openssl dgst -sha256 -binary | base64)
    pins "localhost:$GOOD spki-sha256:$fingerprint"
    pinshim check "$PINS"
    equals "$STATUS" 1
    has "$OUT" "no pin of $PINS:1 matched (that of line 1 is the certificate's fingerprint; its SPKI pin is spki-sha256:$PIN_GOOD)"
    pins "localhost:$GOOD cert-sha256:$PIN_GOOD"
    pinshim check "$PINS"
    has "$OUT" "(that of line 1 is the SPKI pin, not a fingerprint; write spki-sha256:$PIN_GOOD)"
    pins "www.pined.example spki-sha256:$PIN_GOOD" '* allow'
    pinshim check "$PINS" "localhost:$GOOD"
    equals "$STATUS" 1
    grep -qE "^localhost:$GOOD +unpinned .*only $PINS:2 applies, which allows every host; is it spelled right\?" "$OUT_FILE"
    pins "localhost:$GOOD allow"
    pinshim check "$PINS" "localhost:$GOOD"
    equals "$STATUS" 0
}

@test "pin of a server that begins without TLS" {
    local protocol
    for protocol in smtp imap pop3 ftp sieve nntp postgres mysql ldap xmpp; do
        talker "$protocol"
        pinshim pin --starttls "$protocol" "localhost:$PORT"
        equals "$STATUS$ERR" 0
        equals "$(pin_lines)" "localhost:$PORT   spki-sha256:$PIN_GOOD"
        pins "localhost:$PORT spki-sha256:$PIN_GOOD"
        pinshim check --starttls "$protocol" "$PINS"
        equals "$STATUS" 0
        # Otherwise it does not come to TLS.
        pinshim pin --timeout 2 "localhost:$PORT"
        equals "$STATUS" 1
    done
    talker mysql-without
    pinshim pin --starttls mysql "localhost:$PORT"
    equals "$STATUS" 1
    has "$ERR" 'the server offers no TLS (mysql); is TLS enabled there?'
    talker unwilling
    pinshim pin --starttls smtp "localhost:$PORT"
    equals "$STATUS" 1
    has "$ERR" 'the server does not start TLS (smtp): it answers "502 \x1b[31mno"'
}

@test "pin of a certificate, a request and a key, in PEM and DER, gives the same pin, for the names that they are for" {
    local file
    openssl x509 -in "$LAB/good.pem" -outform DER -out "$LAB/good.der"
    openssl req -in "$LAB/good.csr" -outform DER -out "$LAB/good-csr.der"
    openssl pkey -in "$LAB/good.key" -outform DER -out "$LAB/good-key.der"
    openssl ec -in "$LAB/good.key" -out "$LAB/good-ec.key" 2>/dev/null
    openssl pkey -in "$LAB/good.key" -pubout -out "$LAB/good.pub"
    openssl pkey -in "$LAB/good.key" -pubout -outform DER -out "$LAB/good-pub.der"
    cat "$LAB/good.key" "$LAB/good.pem" "$LAB/ca.pem" >"$LAB/all.pem"
    for file in good.pem good.der good.csr good-csr.der good.key good-key.der good-ec.key good.pub good-pub.der all.pem; do
        pinshim pin --for www.example.com "$LAB/$file"
        equals "$STATUS$ERR" 0
        equals "$(pin_lines)" "www.example.com   spki-sha256:$PIN_GOOD"
    done
    pinshim pin "$LAB/all.pem"
    equals "$(pin_lines)" "localhost            spki-sha256:$PIN_GOOD
www.pinned.example   spki-sha256:$PIN_GOOD
127.0.0.1            spki-sha256:$PIN_GOOD
[::1]                spki-sha256:$PIN_GOOD"
    has "$OUT" "#www.pinned.example   ca-sha256:$PIN_CA"
    pinshim pin --for www.example.com "$LAB/good.key"
    has "$OUT" 'Usable as a backup pin'
    pinshim pin --for www.example.com "$LAB/ca.pem"
    equals "$(pin_lines)" "www.example.com   ca-sha256:$PIN_CA"
    pinshim pin --for @revoked - <"$LAB/good.pem"
    equals "$STATUS" 1
    capture bash -c '"$PINSHIM" pin --for @revoked - <"$LAB/good.pem"'
    equals "$(pin_lines)" "@revoked   spki-sha256:$PIN_GOOD"
    # A file in this directory, without a slash.
    cd "$LAB"
    pinshim pin --for www.example.com good.key
    equals "$(pin_lines)" "www.example.com   spki-sha256:$PIN_GOOD"
}

@test "pin of a file that is for no known name is a comment that says what to do, and a failure where nothing else is printed" {
    local file
    openssl req -new -key "$LAB/good.key" -subj / -out "$LAB/nameless.csr"
    for file in "$LAB/good.key" "$LAB/nameless.csr" "$LAB/ca.pem"; do
        pinshim pin "$file"
        equals "$STATUS" 1
        equals "$(pin_lines)" ''
        has "$OUT" 'give HOST or --for TARGET'
        has "$ERR" 'every line is a comment'
        # The name is all that is to be put in.
        sed -n 's/^#NAME/www.example.com/p' "$OUT_FILE" >"$BATS_TEST_TMPDIR/named"
        pinshim lint "$BATS_TEST_TMPDIR/named"
        equals "$STATUS" 0
    done
    pinshim pin "$LAB/good.key" "$LAB/renewal.pem"
    equals "$STATUS" 0
    equals "$(pin_lines | head -n 1)" "localhost            spki-sha256:$PIN_RENEWAL"
}

@test "pin of a key is for the HOST beside it, before it or after" {
    pinshim pin "$LAB/renewal.key" "localhost:$GOOD"
    equals "$STATUS$ERR" 0
    equals "$(pin_lines)" "localhost:$GOOD   spki-sha256:$PIN_GOOD
localhost:$GOOD   spki-sha256:$PIN_RENEWAL"
    pinshim pin "localhost:$IMPOSTOR" "127.0.0.1:$GOOD" "$LAB/renewal.key"
    equals "$STATUS$ERR" 0
    equals "$(pin_lines | tail -n 1)" "127.0.0.1:$GOOD   spki-sha256:$PIN_RENEWAL"
}

@test "pin of a backup alone is a comment where the server itself could not be asked" {
    local file
    for file in "$LAB/renewal.key" "$LAB/ca.pem"; do
        pinshim pin localhost:1 "$file"
        equals "$STATUS" 1
        equals "$(pin_lines)" ''
        has "$OUT" 'The server did not answer. A backup pin alone'
        grep -q '^#localhost:1   [a-z]*-sha256:' "$OUT_FILE"
    done
    pinshim pin --for www.example.com "$LAB/renewal.key" localhost:1
    equals "$(pin_lines)" ''
    # What says its names itself stands for itself, and what is refused everywhere locks no server out.
    pinshim pin localhost:1 "$LAB/renewal.pem"
    equals "$(pin_lines | head -n 1)" "localhost            spki-sha256:$PIN_RENEWAL"
    pinshim pin --for @revoked localhost:1 "$LAB/renewal.key"
    equals "$(pin_lines)" "@revoked   spki-sha256:$PIN_RENEWAL"
}

@test "pin --for @revoked offers no pins of issuers, and lint takes what it prints" {
    local argument
    cat "$LAB/good.pem" "$LAB/ca.pem" >"$LAB/bundle.pem"
    serve_chain
    for argument in "localhost:$PORT" "$LAB/bundle.pem"; do
        pinshim pin --for @revoked "$argument"
        equals "$STATUS$ERR" 0
        equals "$(pin_lines)" "@revoked   spki-sha256:$PIN_GOOD"
        lacks "$OUT" ca-sha256
        lacks "$OUT" 'To accept'
    done
    pinshim pin --for @revoked "$LAB/ca.pem"
    equals "$(pin_lines)" "@revoked   spki-sha256:$PIN_CA"
    has "$OUT" 'The line refuses every server whose certificate it issued'
    cp "$OUT_FILE" "$BATS_TEST_TMPDIR/printed"
    pinshim lint "$BATS_TEST_TMPDIR/printed"
    equals "$STATUS$OUT" 0
}

@test "pin offers no issuer with the key of the certificate itself: one that signs itself, or is sent twice" {
    openssl req -x509 -key "$LAB/good.key" -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 30 -out "$LAB/itself.pem"
    cp "$LAB/good.key" "$LAB/itself.key"
    pinshim pin "$LAB/itself.pem"
    equals "$(pin_lines)" "localhost   spki-sha256:$PIN_GOOD"
    lacks "$OUT" ca-sha256
    lab_s_server itself -cert_chain "$LAB/itself.pem"
    pinshim pin "localhost:$PORT"
    equals "$(pin_lines)" "localhost:$PORT   spki-sha256:$PIN_GOOD"
    lacks "$OUT" ca-sha256
    # A CA whose common name could be a server's is a CA for all that.
    openssl req -x509 -key "$LAB/good.key" -subj /CN=root -addext keyUsage=keyCertSign -days 30 -out "$LAB/root.pem"
    pinshim pin --for www.example.com "$LAB/root.pem"
    equals "$(pin_lines)" "www.example.com   ca-sha256:$PIN_GOOD"
}

@test "pin of a server and of a key makes a pins file of which lint has nothing to say" {
    capture bash -c '"$PINSHIM" pin "localhost:$GOOD" "$LAB/renewal.key" >"$BATS_TEST_TMPDIR/pins"'
    equals "$STATUS$ERR" 0
    pinshim lint "$BATS_TEST_TMPDIR/pins"
    equals "$STATUS$OUT" 0
    pinshim check "$BATS_TEST_TMPDIR/pins"
    equals "$STATUS" 0
}

@test "names in a certificate cannot smuggle a line into what pin prints" {
    cat >"$LAB/evil.cnf" <<'CNF'
[req]
distinguished_name = dn
x509_extensions = ext
prompt = no
[dn]
CN = evil
[ext]
subjectAltName = @names
[names]
DNS.1 = "a.example.com\n* allow"
DNS.2 = "b.example.com allow"
DNS.3 = "@revoked"
DNS.4 = good.example.com
CNF
    openssl req -x509 -config "$LAB/evil.cnf" -key "$LAB/good.key" -out "$LAB/evil.pem" -days 30
    openssl x509 -in "$LAB/evil.pem" -noout -text | grep -q 'DNS:b.example.com allow'
    pinshim pin "$LAB/evil.pem"
    equals "$STATUS" 0
    equals "$(pin_lines)" "good.example.com   spki-sha256:$PIN_GOOD"
}

# odd_names KIND FILE NAME...: a certificate (cert) or a request (req) of good.key with these as dNSNames, whatever they are, and two good ones
odd_names() {
    /usr/bin/python3 -c 'import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
kind, key, out, *names = sys.argv[1:]
key = serialization.load_pem_private_key(open(key, "rb").read(), None)
subject = x509.Name([])
names = x509.SubjectAlternativeName([x509.DNSName(name) for name in ["first.example", *names, "*.last.example"]])
now = datetime.datetime.utcnow()
made = x509.CertificateSigningRequestBuilder() if kind == "req" else x509.CertificateBuilder().issuer_name(subject).public_key(key.public_key()
    ).serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(9))
made = made.subject_name(subject).add_extension(names, False).sign(key, hashes.SHA256())
open(out, "wb").write(made.public_bytes(serialization.Encoding.PEM))' "$1" "$LAB/good.key" "$2" "${@:3}" 2>/dev/null
}

@test "names of a certificate that a pins file reads as something else are left out, and pin says which and why" {
    local kind
    cd "$BATS_TEST_TMPDIR"
    for kind in cert req; do
        odd_names "$kind" odd.pem '*' '@unknown' '**.deep.example' 'b.example:443' '*:443' '@revoked' 'c.example allow' $'d.example\n* allow' 'e.example#' '[::1]' \
            '*.*.example'
        pinshim pin odd.pem
        equals "$STATUS" 0
        equals "$(pin_lines | tr -s ' ')" "first.example spki-sha256:$PIN_GOOD
*.last.example spki-sha256:$PIN_GOOD"
        has "$ERR" 'odd.pem: the name "*" is left out: in a pins file it has another meaning than in a certificate'
        has "$ERR" 'the name "@unknown" is left out: in a pins file it has another meaning'
        has "$ERR" 'the name "**.deep.example" is left out: in a pins file it has another meaning'
        has "$ERR" 'the name "b.example:443" is left out: in a pins file it has another meaning'
        has "$ERR" 'the name "c.example allow" is left out: it is neither a host name nor *.SUFFIX'
        has "$ERR" 'the name "d.example\x0a* allow" is left out: it is neither'
        has "$ERR" '1 more names are left out'
        equals "$(grep -c 'left out' <<<"$ERR")" 11
        echo "other.example spki-sha256:$PIN_IMPOSTOR" >into
        pinshim pin --into into odd.pem
        equals "$STATUS" 0
        has "$ERR" 'the name "@unknown" is left out'
        equals "$(grep -v '^#' into | cut -d' ' -f1)" 'other.example
first.example
*.last.example'
        # With a target of its own no name is asked.
        pinshim pin --for g.example odd.pem
        equals "$ERR" ''
    done
    # Nor does a name such as that choose what a renewal is judged for.
    odd_names cert odd.pem '*'
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD" "127.0.0.1:$IMPOSTOR spki-sha256:$PIN_IMPOSTOR"
    lab_cert both /CN=both 'subjectAltName=DNS:*,DNS:localhost' 'extendedKeyUsage=serverAuth'
    pinshim check --next "$LAB/both.pem" "$PINS"
    grep -qE "^127.0.0.1:$IMPOSTOR +accepted +- " "$OUT_FILE"
}

@test "check and pin reach a link-local address, by the rule alone at each interface, and at the one that is given" {
    local inside
    cd "$BATS_TEST_TMPDIR"
    pins "[fe80::7]:4441 spki-sha256:$PIN_GOOD"
    # shellcheck disable=SC2016
    inside='ip link set lo up && ip link add eth7 type veth peer name eth8 && ip link set eth7 up && ip link set eth8 up && ip addr add fe80::7/64 dev lo nodad || exit
        openssl s_server -quiet -accept "[::]:4441" -cert "$LAB/$0.pem" -key "$LAB/$0.key" </dev/null >/dev/null 2>&1 3>&- &
        trap "kill $!" EXIT
        for i in $(seq 100); do ss -tlnH "sport = :4441" | grep -q . && break; sleep 0.05; done
        "$@"'
    capture unshare --net sh -c "$inside" good "$PINSHIM" check "$PINS"
    equals "$STATUS" 0
    has "$OUT" accepted
    capture unshare --net sh -c "$inside" good "$PINSHIM" check "$PINS" '[fe80::7%lo]:4441'
    equals "$STATUS" 0
    has "$OUT" accepted
    capture unshare --net sh -c "$inside" impostor "$PINSHIM" check "$PINS"
    equals "$STATUS" 1
    has "$OUT" refused
    capture unshare --net sh -c "$inside" good "$PINSHIM" check "$PINS" '[fe80::7%eth7]:4441'
    equals "$STATUS" 1
    has "$OUT" 'cannot connect to [fe80::7%eth7]:4441: '
    capture unshare --net sh -c "$inside" good "$PINSHIM" pin '[fe80::7%lo]:4441'
    equals "$STATUS" 0
    has "$OUT" "[fe80::7]:4441   spki-sha256:$PIN_GOOD"
    has "$OUT" '([fe80::7%lo]:4441)'
    pinshim check "$PINS" 'localhost%lo'
    equals "$STATUS" 2
    has "$ERR" 'a "%" is only before the interface of a link-local address'
}

@test "lint's words for an address without brackets and for tls=required lead to rules that mean what was meant" {
    pins 'fd00::9:443 allow' '2001:db8::99999 allow' 'fd00::a allow'
    pinshim lint "$PINS"
    has "$OUT" ':1:1: an IPv6 address without brackets; expected [fd00::9]:443, if that is its port, or [fd00::9:443]'
    has "$OUT" ':3:1: an IPv6 address without brackets; expected [fd00::a]'
    pins 'good.example tls=required'
    pinshim lint "$PINS"
    equals "$STATUS" 1
    has "$OUT" 'tls=required for a target without a pin, pkix or allow; expected a pin or pkix, here or on another line, or allow alone on another'
    pins 'good.example tls=required' 'good.example allow'
    pinshim lint "$PINS"
    equals "$STATUS" 0
}

@test "what pin cannot read or reach is an error that says what to do, and the others are printed" {
    openssl pkey -in "$LAB/good.key" -aes128 -passout pass:x -out "$LAB/encrypted.key"
    openssl ec -in "$LAB/good.key" -aes128 -passout pass:x -out "$LAB/encrypted-ec.key" 2>/dev/null
    openssl pkcs8 -topk8 -in "$LAB/good.key" -outform DER -passout pass:x -out "$LAB/encrypted.der"
    openssl pkcs12 -export -in "$LAB/good.pem" -inkey "$LAB/good.key" -passout pass:x -out "$LAB/good.p12"
    head -c 300 "$LAB/good.pem" >"$LAB/cut.pem"
    : >"$LAB/empty.pem"
    local file
    for file in encrypted.key encrypted-ec.key encrypted.der; do
        # Nothing may ask for a passphrase.
        capture timeout 10 "$PINSHIM" pin "$LAB/$file"
        equals "$STATUS" 1
        has "$ERR" "pinshim: $LAB/$file: its key is encrypted, and pinshim asks for no passphrase; give"
    done
    for file in good.p12:openssl\ pkcs12 cut.pem:'cannot be read; expected' empty.pem:empty missing.pem:'is the path right?'; do
        pinshim pin "$LAB/${file%%:*}"
        equals "$STATUS" 1
        has "$ERR" "pinshim: $LAB/${file%%:*}: "
        has "$ERR" "${file#*:}"
    done
    pinshim pin nohost.invalid "$LAB/good.key"
    equals "$STATUS" 1
    has "$ERR" 'pinshim: nohost.invalid: cannot resolve its name'
    has "$OUT" "#nohost.invalid   spki-sha256:$PIN_GOOD"
    pinshim pin "https://localhost:$GOOD/"
    equals "$STATUS" 1
    has "$ERR" 'this is a URL; write only the host'
    pinshim pin 127.0.0.1:1
    equals "$STATUS" 1
    has "$ERR" 'cannot connect to 127.0.0.1:1: Connection refused; is the server running, on this port?'
    talker smtp
    pinshim pin "localhost:$PORT"
    equals "$STATUS" 1
    has "$ERR" 'If not: --starttls'
    silent
    pinshim pin --timeout 1 "localhost:$PORT"
    equals "$STATUS" 1
    has "$ERR" 'no answer within 1 seconds, while in the TLS handshake'
}

@test "check names the pin that matches each server, in aligned columns" {
    pins '# a comment' "localhost:$GOOD spki-sha256:$PIN_GOOD" "127.0.0.1:$IMPOSTOR spki-sha256:$PIN_RENEWAL" \
        "127.0.0.1:$IMPOSTOR ca-file:$LAB/ca.pem" '*.example.com deny' '**.pinned.example pkix'
    pinshim check "$PINS"
    equals "$STATUS$ERR" 0
    has "$OUT" "accepted  $(date -u -d '+30 days' +%F)  $PINS:2 matched spki-sha256:$PIN_GOOD"
    has "$OUT" "accepted  $(date -u -d '+30 days' +%F)  $PINS:4 matched ca-sha256:$PIN_CA"
    has "$OUT" 'not checked: give a HOST'
    # Each column begins where its heading does.
    equals "$(wc -l <"$OUT_FILE")" 5
    local heading column
    for heading in SERVER UNTIL WHY; do
        column=$(head -n 1 "$OUT_FILE" | grep -bo "$heading" | cut -d: -f1)
        equals "$(cut -c"$((column - 1))-$((column + 1))" "$OUT_FILE" | grep -cE '^  [^ ]$')" 5
    done
}

@test "check fails where a server has changed, and says what it shows" {
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD" "localhost:$IMPOSTOR spki-sha256:$PIN_GOOD"
    pinshim check "$PINS"
    equals "$STATUS" 1
    grep -qE "^localhost:$GOOD +accepted " "$OUT_FILE"
    grep -qE "^localhost:$IMPOSTOR +refused " "$OUT_FILE"
    has "$OUT" "no pin of $PINS:2 matched; its pin is spki-sha256:$PIN_IMPOSTOR"
    has "$ERR" 'pinshim: 1 of 2 not accepted'
    on_terminal check "$PINS"
    equals "$STATUS" 1
    has "$OUT" $'\033[31mrefused\033[0m'
    # It would only be reported; that is no success either.
    pins "localhost:$IMPOSTOR spki-sha256:$PIN_GOOD mode=report"
    pinshim check "$PINS"
    equals "$STATUS" 1
    grep -qE "^localhost:$IMPOSTOR +reported " "$OUT_FILE"
}

@test "lint and check show what is only reported, and until when" {
    local tomorrow
    tomorrow=$(date -u -d tomorrow +%F)
    pins "localhost:$IMPOSTOR spki-sha256:$PIN_GOOD" "localhost:$IMPOSTOR spki-sha256:$PIN_RENEWAL report-until=$tomorrow"
    warns 1 "refusals for localhost:$IMPOSTOR are only logged until $tomorrow (days left: 1)"
    pinshim check "$PINS"
    equals "$STATUS" 1
    grep -qE "^localhost:$IMPOSTOR +reported .*no pin of $PINS:1,2 matched; refusals are only logged until $tomorrow; its pin is" "$OUT_FILE"
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD report-until=$tomorrow"
    pinshim check "$PINS"
    equals "$STATUS" 0
    has "$OUT" "refusals are only logged until $tomorrow"
    pins "www.example.com spki-sha256:$PIN_GOOD report-until=2020-01-01" "www.example.com spki-sha256:$PIN_RENEWAL"
    warns 1 'report-until=2020-01-01 has passed, and refusals for www.example.com are enforced; delete it'
    pins "www.example.com spki-sha256:$PIN_GOOD mode=report" "www.example.com spki-sha256:$PIN_RENEWAL"
    warns 1 'refusals for www.example.com are only logged, without an end (mode=report); report-until=YYYY-MM-DD ends by itself'
}

# advises ADVICE ARGUMENT...: check of $PINS accepts none, and closes with that advice alone
advises() {
    local advice=$1
    shift
    pinshim check "$@" "$PINS"
    equals "$STATUS" 1
    has "$ERR" "pinshim: 1 of 1 not accepted"
    has "$ERR" "$advice"
    equals "$(grep -c ^pinshim: "$ERR_FILE")" 2
    [[ $advice == *'if the key was changed'* ]] || lacks "$ERR" 'pinshim pin HOST'
}

@test "the advice that check closes with is for what it found" {
    pins "localhost:$IMPOSTOR spki-sha256:$PIN_GOOD"
    advises 'if the key was changed, confirm that with the server'\''s owner'
    pins "localhost:1 spki-sha256:$PIN_GOOD"
    advises 'failed: the pins were not tested'
    pins "nohost.invalid spki-sha256:$PIN_GOOD"
    advises 'failed: the pins were not tested'
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD expires=2020-01-01"
    advises 'set a later day'
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD" "@revoked spki-sha256:$PIN_GOOD"
    advises 'do not pin it again'
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD pkix"
    advises 'the certificate does not satisfy pkix'
    pins "localhost:$IMPOSTOR spki-sha256:$PIN_GOOD mode=report"
    advises 'mode=report'
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD"
    advises "pinshim pin --for TARGET $LAB/renewal.pem" --next "$LAB/renewal.pem"
    pins "localhost:$GOOD ca-file:$LAB/ca.pem"
    advises 'unknown: give the certificate' --next "$LAB/renewal.key"
    pins "localhost:$GOOD deny" "127.0.0.1:$GOOD allow"
    pinshim check "$PINS" "localhost:$GOOD" "localhost:$IMPOSTOR"
    has "$ERR" 'pinshim: 2 of 2 not accepted'
    has "$ERR" 'the rule is deny'
    has "$ERR" 'unpinned: add a rule'
    lacks "$ERR" 'if the key was changed'
}

@test "check asks the HOSTs that are given, by the rules that are for them" {
    pins "local* deny"
    pinshim check "$PINS" localhost
    equals "$STATUS" 1
    has "$ERR" 'see "pinshim lint"'
    pins "**.pinned.example spki-sha256:$PIN_GOOD" "localhost:$IMPOSTOR deny" 'old.example.com deny'
    pinshim check "$PINS"
    equals "$STATUS" 2
    has "$ERR" 'nothing was checked'
    names
    PRELOAD_ALSO=$NAMES
    capture bare "$PINSHIM" check "$PINS" "a.b.pinned.example:$GOOD"
    equals "$STATUS" 0
    has "$OUT" "$PINS:1 matched"
    capture bare "$PINSHIM" check "$PINS" "a.pinned.example:$IMPOSTOR"
    equals "$STATUS" 1
    pinshim check "$PINS" "localhost:$IMPOSTOR"
    equals "$STATUS" 1
    has "$OUT" 'says deny'
    # What no rule is for is not pinned: that is no success.
    pinshim check "$PINS" "localhost:$GOOD"
    equals "$STATUS" 1
    grep -qE "^localhost:$GOOD +unpinned .*the file has no rule for this host" "$OUT_FILE"
    pinshim check "$PINS" 'x y'
    equals "$STATUS" 2
}

@test "check judges as the shim does" {
    local rule verdict
    for rule in "localhost spki-sha256:$PIN_GOOD" "localhost ca-file:$LAB/ca.pem" "localhost pkix" "localhost cert-file:$LAB/good.pem" \
        "localhost:$GOOD spki-sha256:$PIN_IMPOSTOR" "localhost spki-file:$LAB/good.pem expires=2020-01-01" "* ca-file:$LAB/ca.pem" \
        "127.0.0.1 deny" "@revoked spki-sha256:$PIN_GOOD" "@revoked spki-sha256:$PIN_CA" "localhost allow" "* pkix spki-sha256:$PIN_GOOD"; do
        pins "$rule" "localhost spki-sha256:$PIN_GOOD"
        [[ $rule != *allow ]] || pins "$rule"
        capture shim openssl s_client -brief -connect "localhost:$GOOD" -servername localhost
        verdict=$STATUS
        pinshim check "$PINS" "localhost:$GOOD"
        equals "$rule: $((STATUS > 0))" "$rule: $((verdict > 0))"
    done
}

# next_is VERDICT FILE: what check says of the target in $PINS with --next FILE
next_is() {
    pinshim check --next "$2" "$PINS"
    equals "$STATUS" $(($1 != 0))
    case $1 in
    0)
        grep -qE "^localhost:$GOOD +accepted +accepted " "$OUT_FILE"
        has "$OUT" "; next: $PINS:2 matched spki-sha256:$PIN_RENEWAL"
        ;;
    1)
        grep -qE "^localhost:$GOOD +accepted +refused " "$OUT_FILE"
        has "$OUT" "; next: no pin of $PINS:1,2 matched"
        ;;
    esac
}

@test "check --next: a renewal on the backup pin is accepted, from a certificate, a request and a key; another is refused" {
    local file
    pins "$(two_pins "localhost:$GOOD")"
    for file in renewal.pem renewal.csr renewal.key; do
        next_is 0 "$LAB/$file"
        next_is 1 "$LAB/impostor.${file##*.}"
    done
    pinshim check --next "$LAB/missing" "$PINS"
    equals "$STATUS" 1
    has "$ERR" "pinshim: $LAB/missing: cannot open it"
}

@test "check --next: what a key alone does not tell is not taken for accepted" {
    pins "localhost:$GOOD ca-file:$LAB/ca.pem"
    pinshim check --next "$LAB/renewal.pem" "$PINS"
    equals "$STATUS" 0
    pinshim check --next "$LAB/renewal.key" "$PINS"
    equals "$STATUS" 1
    grep -qE "^localhost:$GOOD +accepted +unknown .*give the certificate\$" "$OUT_FILE"
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD pkix" "localhost:$GOOD spki-sha256:$PIN_RENEWAL"
    export SSL_CERT_FILE=$LAB/ca.pem
    pinshim check --next "$LAB/renewal.pem" "$PINS"
    equals "$STATUS" 0
    pinshim check --next "$LAB/renewal.csr" "$PINS"
    equals "$STATUS" 1
    grep -qE "^localhost:$GOOD +accepted +unknown .*pkix requires a certificate" "$OUT_FILE"
}

@test "check --next: issuers come from its file, or are those that the server sends now" {
    serve_chain
    pins "localhost:$PORT ca-sha256:$PIN_CA"
    pinshim check --next "$LAB/renewal.pem" "$PINS"
    equals "$STATUS" 0
    cat "$LAB/renewal.pem" "$LAB/ca.pem" >"$LAB/renewal-chain.pem"
    pins "localhost:1 ca-sha256:$PIN_CA"
    pinshim check --json --next "$LAB/renewal-chain.pem" "$PINS"
    equals "$(json '[(t["verdict"], t["next"]["verdict"]) for t in it["targets"]]')" "[('failed', 'accepted')]"
    pinshim check --json --next "$LAB/renewal.pem" "$PINS"
    equals "$(json '[(t["verdict"], t["next"]["verdict"]) for t in it["targets"]]')" "[('failed', 'refused')]"
}

@test "check --next is asked for the targets that the certificate names, or for those that are given" {
    lab_cert elsewhere /CN=elsewhere 'subjectAltName=DNS:localhost' 'extendedKeyUsage=serverAuth'
    pins "localhost:$GOOD spki-sha256:$PIN_GOOD" "localhost:$GOOD spki-file:$LAB/elsewhere.csr" \
        "127.0.0.1:$IMPOSTOR spki-sha256:$PIN_IMPOSTOR"
    pinshim check --next "$LAB/elsewhere.pem" "$PINS"
    equals "$STATUS" 0
    grep -qE "^127.0.0.1:$IMPOSTOR +accepted +- " "$OUT_FILE"
    pinshim check --next "$LAB/elsewhere.pem" "$PINS" "127.0.0.1:$IMPOSTOR"
    equals "$STATUS" 1
    grep -qE "^127.0.0.1:$IMPOSTOR +accepted +refused " "$OUT_FILE"
}

@test "check --json is one object with each target" {
    pins "$(two_pins "localhost:$GOOD")" "127.0.0.1:$IMPOSTOR spki-sha256:$PIN_GOOD" '*.example.com deny'
    pinshim check --json --next "$LAB/renewal.key" "$PINS"
    equals "$STATUS" 1
    equals "$(json '(it["checked"], it["not_accepted"], [t["verdict"] for t in it["targets"]])')" "(2, 1, ['accepted', 'refused', 'not-checked'])"
    equals "$(json '{tuple(sorted(t)) for t in it["targets"]} == {tuple(sorted(it["targets"][0]))}')" True
    equals "$(json '(it["targets"][2]["address"], it["targets"][2]["port"], it["targets"][2]["next"])')" '(None, None, None)'
    equals "$(json 'it["targets"][0]["next"]["matched"]')" "spki-sha256:$PIN_RENEWAL"
    equals "$(json '[it["targets"][0][k] for k in ("address", "port", "rule", "matched", "spki_sha256", "subject")]')" \
        "['127.0.0.1', $GOOD, '$PINS:1', 'spki-sha256:$PIN_GOOD', '$PIN_GOOD', 'CN=good']"
    on_terminal check --json "$PINS"
    equals "$(sed -n 's/^[^{]*{/{/p' "$OUT_FILE" | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["not_accepted"])')" 1
}

@test "servers that do not answer are asked side by side, and each for its own time" {
    local _ begun lines=()
    for _ in 1 2 3 4 5 6; do
        silent
        lines+=("localhost:$PORT spki-sha256:$PIN_GOOD")
    done
    pins "${lines[@]}" "localhost:$GOOD spki-sha256:$PIN_GOOD"
    begun=$SECONDS
    pinshim check --timeout 2 "$PINS"
    [ $((SECONDS - begun)) -lt 8 ] || explain "took $((SECONDS - begun)) seconds"
    equals "$STATUS" 1
    equals "$(grep -c 'failed .*no answer within 2 seconds' "$OUT_FILE")" 6
    grep -qE "^localhost:$GOOD +accepted " "$OUT_FILE"
    # Whatever the caller did with the signal that limits the time.
    capture timeout 20 bash -c 'trap "" ALRM; exec "$PINSHIM" check --timeout 1 "$1" "localhost:$2"' _ "$PINS" "$PORT"
    equals "$STATUS" 1
    has "$OUT" 'no answer within 1 seconds'
}

@test "output that cannot be written is a failure" {
    local arguments
    pins "$(two_pins "localhost:$GOOD")" "localhost:$GOOD cert-file:$LAB/good.pem"
    for arguments in "pin localhost:$GOOD" "pin --for www.example.com $LAB/good.key" "lint $PINS" "check $PINS"; do
        # shellcheck disable=SC2086
        pinshim $arguments
        equals "$STATUS" 0
        # shellcheck disable=SC2086
        run -1 bash -c '"$PINSHIM" "$@" >/dev/full' _ $arguments
        has "$output" 'pinshim: cannot write to standard output: No space left on device'
    done
}

@test "a long reason is folded on a terminal, and a line in a pipe" {
    pins "localhost:$IMPOSTOR spki-sha256:$PIN_GOOD"
    on_terminal check "$PINS"
    equals "$(sed 's/\x1b\[[0-9;]*[mK]//g; s/^.*\r//' "$OUT_FILE" | grep -v '^pinshim: ' | grep -cE '^.{101}')" 0
    has "$OUT" $'\n                 '
    pinshim check "$PINS"
    equals "$(wc -l <"$OUT_FILE")" 2
}

# too_wide WIDTH: of the lines that the last command wrote to a terminal, how many are wider
too_wide() {
    sed 's/\x1b\[[0-9;]*[mK]//g; s/^.*\r//' "$OUT_FILE" | grep -v '^pinshim: ' | grep -cE "^.{$(($1 + 1))}" || true
}

@test "a table keeps to the width of the terminal, whichever cell is long" {
    local long label
    label=$(printf '%050d' 0 | tr 0 x)
    for long in "$label.example" "$label.$label.example" "*.$label.$label.example"; do
        pins "$long deny" "localhost:$GOOD spki-sha256:$PIN_GOOD" "localhost:$IMPOSTOR spki-sha256:$PIN_GOOD"
        for WIDTH in 40 80 200; do
            on_terminal check "$PINS"
            equals "$WIDTH: $(too_wide "$WIDTH")" "$WIDTH: 0"
        done
        # Digests stay whole, to be copied.
        WIDTH=80 on_terminal check "$PINS"
        has "$OUT" "spki-sha256:$PIN_IMPOSTOR"
        # In a pipe, a row is a line, and the others stay where they would be.
        pinshim check "$PINS"
        equals "$(wc -l <"$OUT_FILE")" 4
        equals "$(grep -cE '^localhost:[0-9]+ {1,30}(accepted|refused) ' "$OUT_FILE")" 2
        grep -qF "$long  -  -  not checked: its rule is deny" "$OUT_FILE"
    done
}

@test "check --next does not print the same reason twice" {
    pins "$(two_pins "localhost:$GOOD")"
    pinshim check --next "$LAB/good.key" "$PINS"
    equals "$STATUS" 0
    has "$OUT" "$PINS:1 matched spki-sha256:$PIN_GOOD; next: the same"
    equals "$(grep -o 'spki-sha256:' "$OUT_FILE" | wc -l)" 1
}

@test "the line of the log that README.md shows is what the steps before it lead to" {
    local shown real
    serve_chain
    cd "$BATS_TEST_TMPDIR"
    "$PINSHIM" pin --into pins "localhost:$PORT" "$LAB/renewal.key"
    # The server of the example has another key than that of the first step.
    sed -i "s|$PIN_GOOD|$PIN_IMPOSTOR|" pins
    capture "$PINSHIM" run --pins pins -- curl -ksS "https://localhost:$PORT/"
    real=$(grep -m1 '^pinshim\[' "$ERR_FILE")
    shown=$(grep -A1 '^ *pinshim\[4711\]: refused' "$BATS_TEST_DIRNAME/../README.md" | tr -s ' \n' ' ' | sed 's/^ //; s/ $//')
    real=${real//localhost:$PORT/www.example.com:443}
    real=${real//$BATS_TEST_TMPDIR//home/you}
    equals "$(blurred "$shown")" "$(blurred "$real")"
}

# blurred LINE: without what differs from one server and process to another
blurred() {
    sed -E 's/pinshim\[[0-9]+\]/pinshim[N]/; s/(spki|cert)-sha256:[^ ]+/\1-sha256:.../g; s/"CN=[^"]*"/"CN"/' <<<"$1"
}
