#!/usr/bin/env bats
# Goal: whatever certificate a server presents, the verdict is right, the client does not crash, and the log gets one line of plain text.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153

load lib/programs

setup_file() {
    programs_lab
}

teardown_file() {
    lab_stop
}

# served STEP...: a server whose certificate has these oddities, in $PORT; $PIN pins its key
served() {
    ODD=$(mktemp -u "$LAB/odd-XXXXXX")
    ODD=${ODD##*/}
    "$PROGRAMS/certificate" "$LAB/$ODD" "$@"
    lab_s_server "$ODD"
    PIN=$(lab_spki "$LAB/$ODD.pem")
    CLIENT=("$PROGRAMS/probe" sni=www.pinned.example "open=$PORT" connect must)
}

# one_plain_line: standard error is one line of printable ASCII
one_plain_line() {
    equals "$(wc -l <"$ERR_FILE")" 1
    equals "$(tr -d ' -~\n' <"$ERR_FILE" | wc -c)" 0
    [ "$(wc -c <"$ERR_FILE")" -le 8192 ] || explain 'a line of more than 8192 bytes'
}

# judged_well: the server of served() is refused under another key's pin, with one line that shows what it presented and that
# has each of the strings given; and accepted under its own, by key and by certificate
judged_well() {
    local text
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    refused "${CLIENT[@]}"
    one_plain_line
    has "$LINE" "no pin of $PINS:1 matched; peer spki-sha256:$PIN cert-sha256:"
    for text in "$@"; do
        has "$LINE" "$text"
    done
    capture shim env PINSHIM_LOG_FORMAT=json "${CLIENT[@]}"
    equals "$STATUS" 1
    one_plain_line
    equals "$(/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["spki_sha256"])' "$ERR_FILE")" "$PIN"
    pins "www.pinned.example spki-sha256:$PIN"
    accepted "${CLIENT[@]}"
    pins "www.pinned.example cert-sha256:$(lab_fingerprint "$LAB/$ODD.pem")"
    accepted "${CLIENT[@]}"
    capture shim env PINSHIM_LOG_LEVEL=all "${CLIENT[@]}"
    equals "$(count_lines accepted)" 1
    one_plain_line
}

hex() {
    printf '%b' "$1" | od -An -v -tx1 | tr -d ' \n'
}

@test "RSA, EC and Ed25519 keys are pinned alike" {
    local key
    for key in rsa ec ed25519; do
        served "key=$key" "utf8=$(hex server)"
        judged_well 'subject "CN=server"'
    done
}

@test "a certificate without a subject" {
    served
    judged_well 'subject ""'
}

@test "an expired certificate that a pin accepts is accepted where the program does not verify, and only there" {
    served days=-1 "utf8=$(hex expired)"
    judged_well 'subject "CN=expired"'
    pins "www.pinned.example spki-sha256:$PIN"
    capture shim "$PROGRAMS/probe" "ca=$LAB/$ODD.pem" verify=peer sni=www.pinned.example "open=$PORT" connect
    has "$OUT" 'connect: returned -1, error 1, errno 0, verify result 10'
    equals "$ERR" ''
}

@test "a self-signed certificate that a pin accepts is refused by the program that verifies" {
    served "utf8=$(hex self-signed)"
    judged_well 'subject "CN=self-signed"'
    pins "www.pinned.example spki-sha256:$PIN"
    capture shim "$PROGRAMS/probe" verify=peer sni=www.pinned.example "open=$PORT" connect
    has "$OUT" 'connect: returned -1, error 1, errno 0, verify result 18'
    equals "$ERR" ''
}

@test "newlines in a subject forge no second line" {
    served "utf8=$(hex 'evil\npinshim[1]: accepted www.pinned.example\r\n\r\n')"
    judged_well 'evil'
    served "utf8=$(hex 'evil\nline')" "utf8=$(hex 'second\vname\f')" "printable=$(hex 'not\nprintable')"
    judged_well 'evil' 'second'
}

@test "escape sequences and control characters in a subject do not reach the terminal" {
    served "utf8=$(hex '\e]0;title\a\e[31mred\e[2J')"
    judged_well 'title' 'red'
    served "utf8=$(hex 'bell\a tab\t backspace\b delete\x7f')"
    judged_well 'bell'
    # C1 controls, a change of writing direction, a line separator, an invisible character.
    served "utf8=$(hex '\xc2\x9b31m \xe2\x80\xaeexample \xe2\x80\xa8 \xe2\x80\x8b')"
    judged_well 'example'
    served "t61=$(hex 'before\x9b31mafter')"
    judged_well 'before'
    served "bmp=$(hex '\0a\0\n\0b\x20\x2e')"
    judged_well
}

@test "a NUL in a subject does not end the name that is shown" {
    served "utf8=$(hex 'www.pinned.example\0.evil.example')"
    judged_well 'www.pinned.example' 'evil.example'
}

@test "quotes and backslashes in a subject do not end what is quoted" {
    served "utf8=$(hex 'a"; peer spki-sha256:forged \\\\ "')"
    judged_well
    [[ ! $LINE =~ [^\\]\"\;\ peer\ spki-sha256:forged ]] || explain 'a quote that is not escaped'
}

@test "format directives in a subject are plain text" {
    served "utf8=$(hex '%s%n%d%99999999d')"
    judged_well '%s%n%d%99999999d'
}

@test "a subject of 40000 characters is cut short" {
    served times=40000 "utf8=$(hex 'A')"
    judged_well 'subject "CN=AAAA'
    served times=20000 "utf8=$(hex '\n\e')"
    judged_well
}

@test "a certificate of 100 kB is pinned like any other, and one that OpenSSL refuses changes nothing" {
    served padding=100000 "utf8=$(hex large)"
    judged_well 'subject "CN=large"'
    # Above SSL_CTX_set_max_cert_list.
    served padding=200000 "utf8=$(hex larger)"
    capture bare "${CLIENT[@]}"
    equals "$STATUS" 1
    local without=$OUT
    capture shim "${CLIENT[@]}"
    equals "$STATUS" 1
    equals "$OUT" "$without"
    equals "$ERR" ''
}

@test "a certificate for 2500 names is pinned like any other" {
    local names
    names=$(seq -f 'DNS:host-%g.some.where.example' 1 2500 | paste -sd,)
    lab_cert many /CN=many "subjectAltName=$names"
    ODD=many
    lab_s_server many
    PIN=$(lab_spki "$LAB/many.pem")
    CLIENT=("$PROGRAMS/probe" sni=www.pinned.example "open=$PORT" connect must)
    judged_well 'subject "CN=many"'
}

@test "what follows the leaf in the list decides nothing" {
    # The impostor shows the good certificate behind its own.
    lab_s_server impostor -cert_chain "$LAB/good.pem"
    pins "www.pinned.example spki-sha256:$PIN_GOOD cert-sha256:$(lab_fingerprint "$LAB/good.pem")"
    CLIENT=("$PROGRAMS/probe" sni=www.pinned.example "open=$PORT" connect must)
    refused "${CLIENT[@]}"
    has "$LINE" 'subject "CN=impostor"'
    run -0 bash -c "openssl s_client -connect 127.0.0.1:$PORT -showcerts </dev/null 2>/dev/null | grep -c 'BEGIN CERTIFICATE'"
    equals "$output" 2
}

# many NAME COUNT CN [CURVE]: that many certificates of one name and key, issuers of each other, in $LAB/NAME.pem
many() {
    "$PROGRAMS/certificate" "$LAB/$1" "many=$2" "utf8=$(hex "$3")" "key=${4:-ec}"
}

# costs RULE...: how many milliseconds of processor time more a handshake with the server at $PORT costs than without the shim, in $COST; it is
# refused
costs() {
    local alone
    pins "$@"
    refused "${CLIENT[@]}"
    alone=$(bare "$PROGRAMS/again" www.pinned.example "$PORT" <<<'cost 5')
    COST=$(shim "$PROGRAMS/again" www.pinned.example "$PORT" <<<'cost 5' 2>/dev/null)
    [[ $COST == *.* && $alone == *.* ]] || explain 'not measured'
    COST=$((${COST%.*} - ${alone%.*}))
}

@test "many certificates of one name cost an impostor's client little, whatever the rule" {
    local curve rule
    many bundle 100 'bundled CA'
    openssl x509 -req -in "$LAB/impostor.csr" -CA "$LAB/ca.pem" -CAkey "$LAB/ca.key" -set_serial 99 -days 30 \
        -extfile <(cat "$LAB/impostor.ext" && lab_no_identifiers) -out "$LAB/flooding.pem" 2>>"$LAB/openssl.log"
    cp "$LAB/impostor.key" "$LAB/flooding.key"
    for curve in ec secp384r1 brainpoolP512r1; do
        many flood 62 'pinshim test CA' "$curve"
        lab_s_server flooding -cert_chain "$LAB/flood.pem"
        CLIENT=("$PROGRAMS/probe" sni=www.pinned.example "open=$PORT" connect must)
        for rule in "ca-file:$LAB/bundle.pem" pkix "ca-file:$LAB/bundle.pem pkix"; do
            SSL_CERT_FILE=$LAB/bundle.pem costs "www.pinned.example $rule"
            [ "$COST" -lt 50 ] || explain "$curve, $rule: $COST ms"
        done
    done
}

@test "a chain that costs too much to verify is refused, and the line says so" {
    local cost='its certificates are too many, or cost too much to verify'
    # Each has issued each.
    many knot 60 'pinshim test CA'
    openssl x509 -req -in "$LAB/impostor.csr" -CA "$LAB/knot.pem" -CAkey "$LAB/knot.key" -set_serial 99 -days 30 \
        -extfile <(cat "$LAB/impostor.ext" && lab_no_identifiers) -out "$LAB/knotted.pem" 2>>"$LAB/openssl.log"
    cp "$LAB/impostor.key" "$LAB/knotted.key"
    lab_s_server knotted -cert_chain "$LAB/knot.pem"
    CLIENT=("$PROGRAMS/probe" sni=www.pinned.example "open=$PORT" connect must)
    costs "www.pinned.example ca-file:$LAB/ca.pem"
    [ "$COST" -lt 50 ] || explain "$COST ms"
    has "$LINE" "no pin of $PINS:1 matched ($cost)"
    costs 'www.pinned.example pkix'
    [ "$COST" -lt 50 ] || explain "$COST ms"
    has "$LINE" "pkix of $PINS:1 is not satisfied ($cost)"
    # It might be hidden there.
    costs '* allow' "@revoked spki-file:$LAB/ca.pem"
    [ "$COST" -lt 50 ] || explain "$COST ms"
    has "$LINE" "whether @revoked applies to one of its issuers cannot be determined ($cost)"
    # The pin of the key needs no path.
    pins "www.pinned.example spki-sha256:$PIN_IMPOSTOR"
    accepted "${CLIENT[@]}"
}

@test "an ordinary client meets each of them with its own exit status and a readable line" {
    local oddity script='
import ssl, sys, urllib.request
connection = ssl._create_unverified_context()
urllib.request.urlopen("https://localhost:" + sys.argv[1], context=connection).read()'
    pins "www.pinned.example spki-sha256:$PIN_GOOD" "localhost spki-sha256:$PIN_GOOD"
    for oddity in "utf8=$(hex 'a\nb\e[31m')" padding=90000 days=-1 "utf8=$(hex 'a\0b')"; do
        served "$oddity"
        refused curl -sk --resolve "www.pinned.example:$PORT:127.0.0.1" "https://www.pinned.example:$PORT/"
        equals "$STATUS" 60
        one_plain_line
        refused /usr/bin/python3 -c "$script" "$PORT"
        equals "$STATUS" 1
        has "$ERR" 'CERTIFICATE_VERIFY_FAILED'
        equals "$(tr -d ' -~' <<<"$LINE" | tr -d '\n' | wc -c)" 0
    done
}

@test "of 300 broken forms of the pinned certificate, exactly those that still are that certificate or have its key are accepted" {
    local kind refusals
    for kind in cert spki; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
        [ "$kind" = spki ] || pins "www.pinned.example cert-sha256:$(lab_fingerprint "$LAB/good.pem")"
        capture bare "$PROGRAMS/mutate" "$kind" "$LAB/good" "$LAB/impostor" 1 300
        equals "$STATUS" 1
        has "$OUT" 'not pinned, but accepted'
        capture shim env PINSHIM_LOG_FORMAT=json "$PROGRAMS/mutate" "$kind" "$LAB/good" "$LAB/impostor" 1 300
        equals "$STATUS" 0
        refusals=$(sed -n 's/.*accepted, \([0-9]*\) refused.*/\1/p' <<<"$OUT" | paste -sd+)
        equals "$(wc -l <"$ERR_FILE")" "$((refusals))"
        equals "$(tr -d ' -~\n' <"$ERR_FILE" | wc -c)" 0
        /usr/bin/python3 -c 'import json, sys; [json.loads(line)["verdict"] for line in open(sys.argv[1])]' "$ERR_FILE"
    done
}

@test "whichever allocation on the shim's behalf fails, an impostor is refused and the client continues" {
    local number=1
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -shared -fPIC -o "$BATS_TEST_TMPDIR/starve.so" "$BATS_TEST_DIRNAME/lib/starve.c"
    pins "www.pinned.example spki-sha256:$PIN_GOOD client-cert=$LAB/good.pem client-key=$LAB/good.key"
    CLIENT=("$PROGRAMS/probe" sni=www.pinned.example "open=$IMPOSTOR" connect must)
    capture bare "${CLIENT[@]}"
    equals "$STATUS" 0
    PRELOAD_ALSO=$BATS_TEST_TMPDIR/starve.so
    export STARVE=shim STARVE_TOLD=$BATS_TEST_TMPDIR/told
    while :; do
        rm -f "$STARVE_TOLD"
        STARVE_FROM=$number capture shim "${CLIENT[@]}"
        [ -e "$STARVE_TOLD" ] || break
        # 2: the program itself got no memory. With 139 it would have been ended by a signal.
        [ "$STATUS" -eq 1 ] || [ "$STATUS" -eq 2 ] || explain "allocation $number"
        number=$((number + 1))
    done
    [ "$number" -gt 200 ] || explain "only $number allocations"
    equals "$(count_lines refused)" 1
}
