#!/usr/bin/env bats
# Goal: a rule's client certificate goes to the server that satisfies the rule, and to no other, whatever the server, the mode or the program
# does; its files may have any usual format; one that cannot be used is a fault that names the file and the reason.

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
    PINNED="localhost spki-sha256:$(lab_spki "$LAB/good.pem")"
    DIR=$BATS_TEST_TMPDIR
    LINT=$BATS_TEST_DIRNAME/../build/pinshim
}

# learns_it VERSION: a curious server with the pinned key is shown client1, by the pins file as it is
learns_it() {
    curious good "-tls${1/./_}"
    fetch shim 'curl -k' "$ASKED" "$1"
    equals "$STATUS" 0
    has "$OUT" s_server
    offered client1
    lab_wait got client1
}

# learns_nothing NAME VERSION: a curious server with $LAB/NAME.pem is reached, and shown nothing
learns_nothing() {
    curious "$1" "-tls${2/./_}"
    fetch shim 'curl -k' "$ASKED" "$2"
    equals "$STATUS" 0
    has "$OUT" s_server
    lacks "$ERR" 'client certificate'
    got_nothing
}

# refuses NAME VERSION: one is refused, and shown nothing
refuses() {
    curious "$1" "-tls${2/./_}"
    fetch shim 'curl -k' "$ASKED" "$2"
    refused_server
    got_nothing
}

@test "only the server that the rule knows is shown the identity, not one that is refused, reported, allowed, or ruled by nothing" {
    local version
    for version in 1.2 1.3; do
        pins "$PINNED $(as client1)"
        learns_it "$version"
        refuses impostor "$version"
        PINSHIM_MODE=report learns_it "$version"

        # What is let live all the same is shown nothing.
        curious impostor "-tls${version/./_}"
        PINSHIM_MODE=report fetch shim 'curl -k' "$ASKED" "$version"
        has "$OUT" s_server
        equals "$(count_lines reported)" 1
        got_nothing
        pins "$PINNED mode=report $(as client1)"
        learns_it "$version"
        curious impostor "-tls${version/./_}"
        fetch shim 'curl -k' "$ASKED" "$version"
        has "$OUT" s_server
        equals "$(count_lines reported)" 1
        got_nothing

        pins "other.example ${PINNED#* } $(as client1)"
        learns_nothing good "$version"
        pins 'localhost allow' "* ${PINNED#* } $(as client1)"
        learns_nothing good "$version"
        # The more specific target has none.
        pins "$PINNED" "* ${PINNED#* } $(as client1)"
        learns_nothing good "$version"
    done
}

@test "a server that has rules by name and by address is shown the identity of either, if it satisfies both" {
    local version good=${PINNED#* } other
    other=spki-sha256:$(lab_spki "$LAB/impostor.pem")
    for version in 1.2 1.3; do
        pins "localhost $good" "127.0.0.1 $good $(as client1)"
        learns_it "$version"
        pins "localhost $good $(as client1)" "127.0.0.1 $good"
        learns_it "$version"
        pins "localhost $good $(as client1)" '127.0.0.1 allow'
        learns_it "$version"
        pins "localhost $other" "127.0.0.1 $good $(as client1)"
        refuses good "$version"
        pins "localhost $good $(as client1)" "127.0.0.1 $other"
        refuses good "$version"
        # One of them only reports.
        pins "localhost $other mode=report" "127.0.0.1 $good $(as client1)"
        learns_nothing good "$version"
        pins "localhost $good $(as client1)" "127.0.0.1 $other mode=report"
        learns_nothing good "$version"
    done
}

@test "a server that satisfies its rule by pkix alone is shown the identity, and another is not" {
    local version
    pins "localhost pkix $(as client1)"
    lab_cert elsewhere /CN=elsewhere 'subjectAltName=DNS:elsewhere.example' 'extendedKeyUsage=serverAuth'
    for version in 1.2 1.3; do
        SSL_CERT_FILE=$CA learns_it "$version"
        SSL_CERT_FILE=$CA refuses elsewhere "$version"
        refuses good "$version"
    done
}

@test "a server with an expired or revoked pin is shown nothing" {
    local version
    for version in 1.2 1.3; do
        pins "$PINNED expires=2020-01-01 $(as client1)"
        refuses good "$version"
        pins "$PINNED $(as client1)" "@revoked ${PINNED#* }"
        refuses good "$version"
        pins "$PINNED expires=2099-01-01 $(as client1)"
        learns_it "$version"
    done
}

@test "with RSA key exchange, where a server can replay the pinned certificate and prove its key afterwards, no identity is shown" {
    KEY_KIND='RSA -pkeyopt rsa_keygen_bits:2048' lab_cert rsa /CN=rsa
    pins "localhost spki-sha256:$(lab_spki "$LAB/rsa.pem") $(as client1)"
    curious rsa -tls1_2 -cipher kRSA
    fetch shim 'curl -k' "$ASKED" 1.2
    has "$OUT" s_server
    equals "$(count_lines fault)" 1
    has "$(lines fault)" 'the server has not proven its key'
    bare curl -sSk --cert "$LAB/client4.pem" --key "$LAB/client4.plain" -o "$LAB/own" "https://localhost:$ASKED/"
    got_nothing
    curious rsa -tls1_2
    fetch shim 'curl -k' "$ASKED" 1.2
    offered client1
    lab_wait got client1
}

@test "one program, and one of its contexts, shows each server its own identity, or none" {
    local version first second third
    asking_nginx good
    first=$PORT
    lab_cert second /CN=second
    asking_nginx second
    second=$PORT
    lab_cert third /CN=third
    asking_nginx third
    third=$PORT
    pins "localhost:$first ${PINNED#* } $(as client1)" "localhost:$second spki-sha256:$(lab_spki "$LAB/second.pem") $(as client2)"
    for version in 1.2 1.3; do
        capture shim timeout 20 /usr/bin/python3 "$CLIENTS/one_context.py" localhost "$version" "$CA" "$first" "$second" "$first" "$third"
        equals "$(grep -oE 'CN=client[0-9]|400 No required SSL certificate' <<<"$OUT" | uniq)" \
            $'CN=client1\nCN=client2\nCN=client1\n400 No required SSL certificate'
    done
}

@test "an identity that the program has itself is shown, and the rule's is not" {
    local version way
    pins "$PINNED $(as client1)"
    for version in 1.2 1.3; do
        # shellcheck disable=SC2046 # words
        set -- $(own client2)
        for way in curl python 'ruby set' 'ruby callback' s_client; do
            curious good "-tls${version/./_}"
            case $way in
            curl) fetch shim curl "$ASKED" "$version" "$@" ;;
            python) own_identity /usr/bin/python3 own_identity.py verify ;;
            ruby*) own_identity ruby own_identity.rb "${way#* }" ;;
            s_client) capture shim PINSHIM_LOG_LEVEL=all openssl s_client -connect "localhost:$ASKED" -cert "$LAB/client2.pem" \
                -key "$LAB/client2.plain" -brief ;;
            esac
            equals "$STATUS" 0
            lacks "$ERR" 'client certificate'
            equals "$(count_lines accepted)" 1
            lab_wait got client2 || explain "client2 was not shown, by $way with $version"
            run ! got client1
        done
        learns_it "$version"
    done
}
own_identity() { # INTERPRETER SCRIPT WAY
    capture shim PINSHIM_LOG_LEVEL=all timeout 20 "$1" "$CLIENTS/$2" localhost "$ASKED" "$3" "$version" "$CA" "$LAB/client2.pem" \
        "$LAB/client2.key" "$PASSPHRASE"
}

@test "a program that drives TLS through memory gets in, too" {
    local version
    asking_nginx good
    for version in 1.2 1.3; do
        pins "$PINNED $(as client1)"
        capture shim PINSHIM_LOG_LEVEL=all timeout 20 /usr/bin/python3 "$CLIENTS/asyncio_http.py" localhost "$PORT" verify "$version" "$CA"
        equals "$OUT" "you are CN=client1, serial $(serial client1), over TLSv$version"
        offered client1
        curious impostor "-tls${version/./_}"
        capture shim timeout 20 /usr/bin/python3 "$CLIENTS/asyncio_http.py" localhost "$ASKED" verify "$version" "$CA"
        refused_server
        got_nothing
    done
}

@test "a server that asks for nothing is shown nothing, and a JSON line says whether an identity was offered" {
    local version
    pins "$PINNED $(as client1)"
    for version in 1.2 1.3; do
        lab_s_server good "-tls${version/./_}"
        PINSHIM_LOG_FORMAT=json fetch shim curl "$PORT" "$version"
        equals "$STATUS" 0
        has "$ERR" '"verdict":"accepted"'
        has "$ERR" '"client_cert":false'
        curious good "-tls${version/./_}"
        PINSHIM_LOG_FORMAT=json fetch shim curl "$ASKED" "$version"
        equals "$STATUS" 0
        equals "$(grep -c '"verdict":"accepted"' <<<"$ERR")" 1
        has "$ERR" '"client_cert":true'
    done
}

# Forms of an identity

# lets_in FIELDS NAME: the rule with these fields gets in, over both versions, as CN=NAME
lets_in() {
    local version
    pins "$PINNED $1"
    for version in 1.2 1.3; do
        fetch shim 'curl -k' "$PORT" "$version"
        equals "$OUT" "you are CN=$2, serial $(serial "$2"), over TLSv$version"
        equals "$(count_lines fault)" 0
        offered "$2"
    done
}

# private FILE: what standard input brings, for this user alone
private() {
    rm -f "$1"
    (umask 077 && cat >"$1")
}

# each_key FUNCTION: for an identity of each kind of key, FUNCTION NAME
each_key() {
    local kind
    asking_nginx good
    for kind in RSA EC ED25519; do
        case $kind in
        RSA) KEY_KIND='RSA -pkeyopt rsa_keygen_bits:2048' identity "$kind" ;;
        EC) identity "$kind" ;;
        ED25519) KEY_KIND=ED25519 identity "$kind" ;;
        esac
        "$1" "$kind"
    done
}

@test "RSA, EC and Ed25519 keys are read from PEM and DER, open and encrypted" {
    forms() {
        local cert=client-cert=$LAB/$1.pem pass=client-key-pass-file=$LAB/pass
        lets_in "$cert client-key=$LAB/$1.plain" "$1"
        lets_in "$cert client-key=$LAB/$1.plain $pass" "$1"
        grep -q 'BEGIN ENCRYPTED PRIVATE KEY' "$LAB/$1.key"
        lets_in "$cert client-key=$LAB/$1.key $pass" "$1"
        openssl pkey -in "$LAB/$1.plain" -outform DER | private "$DIR/key"
        lets_in "$cert client-key=key" "$1"
        openssl pkcs8 -topk8 -in "$LAB/$1.plain" -v2 aes256 -passout "pass:$PASSPHRASE" -outform DER | private "$DIR/key"
        lets_in "$cert client-key=key $pass" "$1"
        openssl x509 -in "$LAB/$1.pem" -outform DER >"$DIR/cert"
        lets_in "client-cert=cert client-key=$LAB/$1.plain" "$1"
    }
    each_key forms
}

@test "keys are read from the traditional form of PEM, open and encrypted" {
    traditional() {
        # There is none for Ed25519.
        [ "$1" != ED25519 ] || return 0
        openssl pkey -in "$LAB/$1.plain" -traditional | private "$DIR/key"
        grep -q "BEGIN $1 PRIVATE KEY" "$DIR/key"
        lets_in "client-cert=$LAB/$1.pem client-key=key" "$1"
        openssl pkey -in "$LAB/$1.plain" -traditional -aes256 -passout "pass:$PASSPHRASE" | private "$DIR/key"
        grep -q 'Proc-Type: 4,ENCRYPTED' "$DIR/key"
        lets_in "client-cert=$LAB/$1.pem client-key=key client-key-pass-file=$LAB/pass" "$1"
    }
    each_key traditional
}

@test "the certificate's file may hold the key as well, before or after the certificate" {
    together() {
        cat "$LAB/$1.pem" "$LAB/$1.key" | private "$DIR/both"
        lets_in "client-cert=both client-key-pass-file=$LAB/pass" "$1"
        cat "$LAB/$1.plain" "$LAB/$1.pem" | private "$DIR/both"
        lets_in client-cert=both "$1"
        lets_in 'client-cert=both client-key=both' "$1"
    }
    each_key together
}

@test "PKCS#12 is known by what is in it, and needs no file of its own for the key" {
    archives() {
        local export=(openssl pkcs12 -export -in "$LAB/$1.pem" -inkey "$LAB/$1.plain")
        "${export[@]}" -passout "pass:$PASSPHRASE" | private "$DIR/archive.pem"
        lets_in "client-cert=archive.pem client-key-pass-file=$LAB/pass" "$1"
        lets_in "client-cert=archive.pem client-key=archive.pem client-key-pass-file=$LAB/pass" "$1"
        lets_in "client-cert=$LAB/$1.pem client-key=archive.pem client-key-pass-file=$LAB/pass" "$1"
        "${export[@]}" -passout pass: | private "$DIR/archive.pem"
        lets_in client-cert=archive.pem "$1"
    }
    each_key archives
}

@test "a passphrase ends with its line, and may hold blanks" {
    local key=$DIR/key
    asking_nginx good
    openssl pkey -in "$LAB/client1.plain" -aes256 -passout 'pass: two  words # and more ' | private "$key"
    for end in '' '\n' '\r\n' '\nanother line\n'; do
        # shellcheck disable=SC2059 # it is a format
        printf " two  words # and more $end" | private "$DIR/pass"
        lets_in "client-cert=$LAB/client1.pem client-key=key client-key-pass-file=pass" client1
    done
}

@test "what stands between the client and the server's CA is sent along, from PEM and from PKCS#12" {
    local from
    asking_nginx good
    lab_cert middle '/CN=pinshim test CA 2' 'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign'
    (
        cp "$CA" "$LAB/root.pem"
        cp "$LAB/ca.key" "$LAB/root.key"
        cp "$LAB/middle.pem" "$CA"
        cp "$LAB/middle.key" "$LAB/ca.key"
        identity below
        mv "$LAB/root.pem" "$CA"
        mv "$LAB/root.key" "$LAB/ca.key"
    )
    pins "$PINNED client-cert=$LAB/below.pem client-key=$LAB/below.plain"
    fetch shim 'curl -k' "$PORT" 1.3
    has "$OUT" '400 The SSL certificate error'
    offered below

    cat "$LAB/below.pem" "$LAB/middle.pem" >"$DIR/chain"
    lets_in "client-cert=chain client-key=$LAB/below.plain" below
    cat "$DIR/chain" "$LAB/below.plain" | private "$DIR/all"
    lets_in client-cert=all below
    openssl pkcs12 -export -in "$LAB/below.pem" -inkey "$LAB/below.plain" -certfile "$LAB/middle.pem" -passout "pass:$PASSPHRASE" |
        private "$DIR/archive"
    lets_in "client-cert=archive client-key-pass-file=$LAB/pass" below
}

# Faults

# fault REASON FIELD...: a rule with these fields refuses the good server, which asks for a client certificate, and says why, and at which
# column (a ^ stands before it); so does lint; and no terminal is asked
fault() {
    local reason=$1 line before expected
    needs_terminal
    shift
    line="$PINNED $*"
    pins "${line/^/}"
    before=${line%%^*}
    # The fault stands on the last line.
    expected="$PINS:$(wc -l <"$PINS"):$((${#before} - $(head -n -1 "$PINS" | wc -c) + 1)): "
    # With a terminal of its own, which is there to be asked.
    capture shim timeout 20 script -qefc "curl -sSk https://localhost:$PORT/" /dev/null
    [[ $STATUS != 0 && $STATUS != 124 ]] || explain "not refused, or waiting: $*"
    OUT=${OUT//$'\r'/}
    [[ $OUT != *'you are'* && $OUT != *'400 No'* && $OUT != *'pass phrase:'* && $OUT != *assword:* ]] || explain "let in, or asked: $*"
    [[ $(grep -F "]: fault: $expected" <<<"$OUT") =~ $reason ]] || explain "no fault $expected$reason"

    capture "$LINT" lint "$PINS"
    equals "$STATUS" 1
    [[ $(grep -F "$expected" <<<"$OUT$ERR") =~ $reason ]] || explain "lint does not say $expected$reason"
}

@test "an identity that cannot be used is a fault, at the file that is to blame, and nobody is asked for a passphrase" {
    local cert=client-cert=$LAB/client1.pem key=client-key=$LAB/client1.key pass=client-key-pass-file=$LAB/pass
    asking_nginx good
    echo nonsense | private "$DIR/nonsense"
    echo other | private "$DIR/other"
    private "$DIR/empty" </dev/null
    head -c 150 "$LAB/client1.plain" | private "$DIR/cut"
    head -c 150 "$LAB/client1.pem" >"$DIR/cut.pem"
    openssl pkcs12 -export -in "$LAB/client1.pem" -inkey "$LAB/client1.plain" -passout "pass:$PASSPHRASE" | private "$DIR/archive"
    openssl pkcs12 -export -in "$LAB/client1.pem" -nokeys -passout "pass:$PASSPHRASE" | private "$DIR/keyless"
    openssl pkey -in "$LAB/client1.plain" -traditional -aes256 -passout "pass:$PASSPHRASE" | private "$DIR/traditional"
    head -c 150 "$DIR/archive" | private "$DIR/cut.archive"
    mkfifo "$DIR/fifo"

    # There is a terminal, and who wants to ask it does.
    needs_terminal
    answer() { echo "$PASSPHRASE" | timeout 10 script -qefc "$1" /dev/null; }
    capture answer "curl -sSk --cert $LAB/client1.pem --key $LAB/client1.key https://localhost:$PORT/"
    has "$OUT" 'PEM pass phrase:'

    # The certificate
    fault 'gone.*No such file' "client-cert=^gone $key $pass"
    fault 'nonsense.*(cannot be read|no certificate)' "client-cert=^nonsense $key $pass"
    fault 'empty.*(cannot be read|no certificate)' "client-cert=^empty $key $pass"
    fault 'cut.pem.*cannot be read' "client-cert=^cut.pem $key $pass"
    fault 'not a regular file' "client-cert=^. $key $pass"
    fault 'not a regular file' "client-cert=^fifo $key $pass"
    fault 'no certificate' "client-cert=^$LAB/client1.plain"
    private "$DIR/alone" <"$LAB/client1.pem"
    fault 'no private key' client-cert=^alone
    # The key
    fault 'gone.*No such file' "$cert client-key=^gone"
    fault 'no private key' "$cert client-key=^nonsense $pass"
    fault 'no private key' "$cert client-key=^empty"
    fault 'no private key' "$cert client-key=^cut"
    fault 'not a regular file' "$cert client-key=^fifo"
    fault 'does not match' "$cert client-key=^$LAB/client2.plain"
    fault 'does not match' "$cert $pass client-key=^$LAB/client2.key"
    # The passphrase
    fault 'encrypted.*client-key-pass-file' "$cert client-key=^$LAB/client1.key"
    fault 'encrypted.*client-key-pass-file' "$cert client-key=^traditional"
    fault 'gone.*No such file' "$cert $key client-key-pass-file=^gone"
    fault 'passphrase does not decrypt' "$cert client-key=^$LAB/client1.key client-key-pass-file=other"
    fault 'passphrase does not decrypt' "$cert client-key=^traditional client-key-pass-file=other"
    fault 'passphrase does not decrypt' "$cert client-key=^$LAB/client1.key client-key-pass-file=empty"
    # PKCS#12
    fault 'encrypted.*client-key-pass-file' 'client-cert=^archive'
    fault 'passphrase does not decrypt' 'client-cert=^archive client-key-pass-file=other'
    fault 'cannot be read' "client-cert=^cut.archive $pass"
    fault 'no certificate with a key' "client-cert=^keyless $pass"
    fault 'does not match' "client-cert=archive client-key=^$LAB/client2.key $pass"
}

@test "a key or a passphrase that others may read or write is a fault, and one of the group is not" {
    local cert=client-cert=$LAB/client1.pem mode
    asking_nginx good
    cp "$LAB/client1.key" "$LAB/client1.plain" "$LAB/pass" "$DIR"
    cat "$LAB/client1.pem" "$LAB/client1.plain" | private "$DIR/both"
    openssl pkcs12 -export -in "$LAB/client1.pem" -inkey "$LAB/client1.plain" -passout "pass:$PASSPHRASE" | private "$DIR/archive"
    for mode in 0644 0604 0602; do
        chmod "$mode" "$DIR"/{client1.key,client1.plain,both,archive}
        fault 'expected a mode such as 06' "$cert client-key=^client1.plain"
        fault 'expected a mode such as 06' "$cert client-key=^client1.key client-key-pass-file=pass"
        fault 'expected a mode such as 06' 'client-cert=^both'
        fault 'expected a mode such as 06' 'client-cert=^archive client-key-pass-file=pass'
        chmod 0640 "$DIR"/{client1.key,client1.plain,both,archive}
        chmod "$mode" "$DIR/pass"
        fault 'expected a mode such as 06' "$cert client-key=client1.key client-key-pass-file=^pass"
        chmod 0640 "$DIR/pass"
    done
    lets_in "$cert client-key=client1.key client-key-pass-file=pass" client1
    lets_in 'client-cert=archive client-key-pass-file=pass' client1
    lets_in client-cert=both client1
}

@test "a line that gives an identity to nobody, to anybody, or two of them, is an error" {
    local cert=client-cert=$LAB/client1.pem
    asking_nginx good
    fault 'client-cert=' "client-key=^$LAB/client1.plain"
    fault 'client-cert=' "client-key-pass-file=^$LAB/pass"
    fault 'path' 'client-cert=^'
    fault 'second' "$cert client-key=$LAB/client1.plain ^client-key=x"
    PINNED='localhost ^allow' fault 'alone on its line' "$cert client-key=$LAB/client1.plain"
    PINNED='localhost ^deny' fault 'alone on its line' "$cert client-key=$LAB/client1.plain"
    PINNED=$'localhost allow\nlocalhost' fault 'line 1' "client-cert=^$LAB/client1.pem client-key=$LAB/client1.plain"
    PINNED=$'localhost deny\nlocalhost' fault 'line 1' "client-cert=^$LAB/client1.pem client-key=$LAB/client1.plain"
    PINNED="@revoked ${PINNED#* }" fault '@revoked' "^client-cert=$LAB/client1.pem client-key=$LAB/client1.plain"
    PINNED='^localhost' fault 'without a pin or pkix' "$cert client-key=$LAB/client1.plain"
    PINNED="$PINNED $(as client1)"$'\n'localhost fault 'second client certificate.* line 1' \
        "client-cert=^$LAB/client2.pem client-key=$LAB/client2.plain"
}
