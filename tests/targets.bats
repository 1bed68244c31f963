#!/usr/bin/env bats
# Goal: the rule for the host that a program intends to reach is the one that decides, in every spelling of target and pin, and however
# the program identifies that host to OpenSSL.

# Each bats test runs in a subshell of its own: what it sets is for itself. What is only read here comes from lib/programs.
# shellcheck disable=SC2030,SC2031,SC2153

load lib/programs

setup_file() {
    programs_lab
    names
    PATHS=$BATS_TEST_DIRNAME/../build/paths
    export PATHS
    lab_s_server good
    # Unlike nginx, s_server takes every SNI as it comes.
    export ANY_SNI_GOOD=$PORT
    lab_s_server impostor
    export ANY_SNI_IMPOSTOR=$PORT
    HEX=$(base64 -d <<<"$PIN_GOOD" | od -An -v -tx1 | tr -d ' \n')
    export HEX
}

teardown_file() {
    lab_stop
}

# named VERDICT PORT NAME: what becomes of a client that names NAME in its SNI
named() {
    judged "$1" "$2" -servername "$3"
}

# both: the good server is accepted for www.pinned.example, and the impostor is not
both() {
    www accepted "$GOOD"
    www refused "$IMPOSTOR"
}

# memory VERDICT KIND CERTIFICATE [NAME]: a client and a server in one process
memory() {
    "$1" "$PROGRAMS/memory" "$2" "$LAB/$3.pem" "$LAB/$3.key" "${@:4}"
}

# resolving VERDICT PORT NAME...: a client that has the names resolved, one after the other, and names none to OpenSSL
resolving() {
    local name steps=()
    for name in "${@:3}"; do
        steps+=("resolve=$name")
    done
    "$1" "$PROGRAMS/probe" "${steps[@]}" "open=$2" connect must
}

@test "a rule for a name decides for that name alone" {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    both
    has "$LINE" "refused www.pinned.example"
    has "$LINE" "no pin of $PINS:1 matched; peer spki-sha256:$PIN_IMPOSTOR cert-sha256:"
    has "$LINE" "; wanted spki-sha256:$PIN_GOOD"
    named accepted "$IMPOSTOR" other.example
    named accepted "$IMPOSTOR" ww.pinned.example
    named accepted "$IMPOSTOR" www.www.pinned.example
    named accepted "$IMPOSTOR" www.pinned.example.org
    named accepted "$IMPOSTOR" pinned.example
}

@test "the case of a name and a trailing dot make no difference" {
    pins "WWW.Pinned.Example. spki-sha256:$PIN_GOOD"
    both
    named refused "$ANY_SNI_IMPOSTOR" wWw.pINNED.eXAMPLE
    named refused "$ANY_SNI_IMPOSTOR" www.pinned.example.
    named accepted "$ANY_SNI_GOOD" WWW.PINNED.EXAMPLE.
}

@test "deny refuses the target whatever it presents" {
    pins 'www.pinned.example deny'
    www refused "$GOOD"
    has "$LINE" "$PINS:1 says deny"
    www refused "$IMPOSTOR"
    named accepted "$GOOD" other.example
}

@test "allow exempts a target from a wider rule" {
    pins '* deny' 'www.pinned.example allow'
    www accepted "$IMPOSTOR"
    named refused "$IMPOSTOR" other.example
    has "$LINE" "$PINS:1 says deny"
}

@test "* holds for every target without a rule, named or not" {
    pins "* spki-sha256:$PIN_GOOD"
    both
    named refused "$IMPOSTOR" other.example
    judged accepted "$GOOD"
    judged refused "$IMPOSTOR"
    has "$LINE" "refused 127.0.0.1:$IMPOSTOR"
}

@test "*.SUFFIX holds for exactly one more label" {
    pins "*.pinned.example spki-sha256:$PIN_GOOD"
    both
    named refused "$IMPOSTOR" API.pinned.example
    named accepted "$IMPOSTOR" a.b.pinned.example
    named accepted "$IMPOSTOR" pinned.example
    named accepted "$IMPOSTOR" xpinned.example
}

@test "**.SUFFIX holds for one more label and for several" {
    pins "**.pinned.example spki-sha256:$PIN_GOOD"
    both
    named refused "$IMPOSTOR" a.pinned.example
    named refused "$IMPOSTOR" a.b.c.pinned.example
    named accepted "$IMPOSTOR" pinned.example
    named accepted "$IMPOSTOR" xpinned.example
}

@test "an exact name beats a wildcard, in either order" {
    pins "*.pinned.example spki-sha256:$PIN_IMPOSTOR" "**.example deny" '* deny' "www.pinned.example spki-sha256:$PIN_GOOD"
    both
    named accepted "$IMPOSTOR" other.pinned.example
    pins "www.pinned.example spki-sha256:$PIN_GOOD" '* deny' "*.pinned.example spki-sha256:$PIN_IMPOSTOR"
    both
}

@test "the longer suffix beats the shorter, and *. beats **. where they are equal" {
    pins '**.example deny' '**.pinned.example deny' "*.pinned.example spki-sha256:$PIN_GOOD" "*.b.pinned.example spki-sha256:$PIN_IMPOSTOR"
    both
    named accepted "$IMPOSTOR" a.b.pinned.example
    named refused "$GOOD" a.b.pinned.example
    named refused "$GOOD" a.b.c.pinned.example
    has "$LINE" "$PINS:2 says deny"
    named refused "$GOOD" other.example
    has "$LINE" "$PINS:1 says deny"
}

@test "a rule with the port beats the one without, and holds for that port alone" {
    local -x PRELOAD_ALSO=$NAMES
    local name=www.pinned.example
    pins "$name deny" "$name:$GOOD spki-sha256:$PIN_GOOD" "$name:$IMPOSTOR spki-sha256:$PIN_GOOD"
    accepted openssl s_client -brief -connect "$name:$GOOD"
    refused openssl s_client -brief -connect "$name:$IMPOSTOR"
    has "$LINE" "refused $name:$IMPOSTOR: no pin of $PINS:3 matched"
    accepted curl -sk "https://$name:$GOOD/"
    equals "$OUT" 'hello from good'
    refused curl -sk "https://$name:$IMPOSTOR/"
    # The third server's port has no rule of its own.
    refused openssl s_client -brief -connect "$name:$ANY_SNI_GOOD"
    has "$LINE" "$PINS:1 says deny"
}

@test "a rule for another port says nothing about this one" {
    local -x PRELOAD_ALSO=$NAMES
    pins "www.pinned.example:$GOOD deny" '* allow'
    refused openssl s_client -brief -connect "www.pinned.example:$GOOD"
    accepted openssl s_client -brief -connect "www.pinned.example:$IMPOSTOR"
    accepted curl -sk "https://www.pinned.example:$IMPOSTOR/"
}

@test "a rule for another port of localhost says nothing about this one, though the program did not resolve it" {
    local curl=(curl -sSk "https://localhost:$GOOD/")
    pins 'localhost:1 deny'
    accepted "${curl[@]}"
    has "$OUT" 'hello from good'
    pins "localhost:$GOOD deny"
    refused "${curl[@]}"
    # Of another name it cannot be told where it leads, and the line says so.
    pins 'www.pinned.example:1 deny'
    refused curl -sSk --resolve "www.pinned.example:$GOOD:127.0.0.1" "https://www.pinned.example:$GOOD/"
    has "$LINE" "says deny (its port is not the connection's, which is in doubt)"
}

@test "wildcards and * take a port as well" {
    local -x PRELOAD_ALSO=$NAMES
    pins "*.pinned.example:$IMPOSTOR spki-sha256:$PIN_GOOD" "*:$GOOD deny"
    refused openssl s_client -brief -connect "www.pinned.example:$IMPOSTOR"
    has "$LINE" "$PINS:1"
    refused openssl s_client -brief -connect "www.pinned.example:$GOOD"
    has "$LINE" "$PINS:2 says deny"
    accepted openssl s_client -brief -connect "www.pinned.example:$ANY_SNI_IMPOSTOR"
}

@test "an address is a target" {
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    judged accepted "$GOOD"
    judged refused "$IMPOSTOR"
    has "$LINE" "refused 127.0.0.1:$IMPOSTOR"
    pins "127.0.0.1:$IMPOSTOR deny"
    judged accepted "$GOOD"
    judged refused "$IMPOSTOR"
}

@test "an address with a rule must be satisfied beside the name's rule" {
    pins "127.0.0.1 spki-sha256:$PIN_GOOD" "www.pinned.example spki-sha256:$PIN_GOOD spki-sha256:$PIN_IMPOSTOR"
    both
    has "$LINE" "$PINS:1"
    pins "127.0.0.1 spki-sha256:$PIN_GOOD spki-sha256:$PIN_IMPOSTOR" "www.pinned.example spki-sha256:$PIN_GOOD"
    both
    has "$LINE" "$PINS:2"
}

@test "the IPv4 address of a pin holds for a socket that reaches it through IPv6" {
    pins '127.0.0.1 deny'
    refused /usr/bin/python3 -c '
import socket, ssl, sys
raw = socket.socket(socket.AF_INET6)
raw.connect(("::ffff:127.0.0.1", int(sys.argv[1])))
ssl._create_unverified_context().wrap_socket(raw)' "$GOOD"
    pins '127.0.0.2 deny'
    judged accepted "$GOOD"
}

@test "the name that a program has verified is a target, whatever its SNI says" {
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    judged accepted "$GOOD" -servername other.example -verify_hostname www.pinned.example
    judged refused "$IMPOSTOR" -servername other.example -verify_hostname www.pinned.example
    judged refused "$IMPOSTOR" -noservername -verify_hostname www.pinned.example
    judged accepted "$IMPOSTOR" -servername other.example -verify_hostname other.example
}

@test "each of any number of names that a program has verified is a target, wherever they stand" {
    local where count
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    for where in ssl ctx store verify-store own-store; do
        for count in 1 11 12 13 1000; do
            accepted "$PATHS/names" 127.0.0.1 "$GOOD" $where "count=$count" "ca=$LAB/ca.pem" sni=other.example
            refused "$PATHS/names" 127.0.0.1 "$IMPOSTOR" $where "count=$count" "ca=$LAB/ca.pem" sni=other.example
            has "$LINE" 'refused www.pinned.example'
        done
        # And where nothing is verified.
        accepted "$PATHS/names" 127.0.0.1 "$GOOD" $where count=13 sni=other.example
        refused "$PATHS/names" 127.0.0.1 "$IMPOSTOR" $where count=13 sni=other.example
    done
    # And those before it.
    pins 'n7.example deny'
    refused "$PATHS/names" 127.0.0.1 "$GOOD" ssl count=1000
    pins 'n1000.example deny'
    accepted "$PATHS/names" 127.0.0.1 "$GOOD" ssl count=1000
}

@test "a target that there is no memory for is refused, and the line says so" {
    local number=1 said=
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -shared -fPIC -o "$BATS_TEST_TMPDIR/starve.so" "$BATS_TEST_DIRNAME/lib/starve.c"
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    PRELOAD_ALSO=$BATS_TEST_TMPDIR/starve.so
    export STARVE=realloc STARVE_TOLD=$BATS_TEST_TMPDIR/told
    while :; do
        rm -f "$STARVE_TOLD"
        STARVE_FROM=$number capture shim "$PATHS/names" 127.0.0.1 "$IMPOSTOR" ssl count=13 sni=other.example
        [ -e "$STARVE_TOLD" ] || break
        [ "$STATUS" -eq 1 ] || [ "$STATUS" -eq 2 ] || explain "allocation $number"
        [[ $(lines refused) != *'internal error (out of memory for the names that the program gave)'* ]] || said=1
        number=$((number + 1))
        [ -z "$said" ] || break
    done
    equals "$said" 1
}

@test "an unpinned connection's session is not resumed for a name or an address that stands on the trust store alone" {
    local trust where version
    for version in tls1.2 tls1.3; do
        for where in ssl ctx store verify-store own-store; do
            pins "www.pinned.example spki-sha256:$PIN_GOOD"
            for trust in '' "ca=$LAB/ca.pem"; do
                capture bare "$PATHS/names" 127.0.0.1 "$IMPOSTOR" $where resume $version ${trust:+"$trust"}
                has "$OUT" 'reused: 1'
                refused "$PATHS/names" 127.0.0.1 "$IMPOSTOR" $where resume $version ${trust:+"$trust"}
                has "$LINE" 'refused www.pinned.example'
            done
            pins "192.0.2.7 spki-sha256:$PIN_GOOD"
            refused "$PATHS/names" 127.0.0.1 "$IMPOSTOR" $where resume address=192.0.2.7 $version
            has "$LINE" 'refused 192.0.2.7'
        done
    done
}

@test "an SNI that is an address is read as one" {
    pins "192.0.2.7 spki-sha256:$PIN_GOOD"
    named accepted "$ANY_SNI_GOOD" 192.0.2.7
    named refused "$ANY_SNI_IMPOSTOR" 192.0.2.7
    named accepted "$ANY_SNI_IMPOSTOR" 192.0.2.8
}

@test "an SNI of the form host:port is read as that name and port" {
    pins "www.pinned.example:443 spki-sha256:$PIN_GOOD" 'www.pinned.example:8443 deny'
    named accepted "$ANY_SNI_GOOD" www.pinned.example:443
    named refused "$ANY_SNI_IMPOSTOR" www.pinned.example:443
    has "$LINE" 'refused www.pinned.example:443:'
    named refused "$ANY_SNI_GOOD" www.pinned.example:8443
    named accepted "$ANY_SNI_IMPOSTOR" www.pinned.example:9443
}

@test "an SNI that cannot be read as a host is refused where the file has rules" {
    pins 'unrelated.example deny'
    named refused "$ANY_SNI_GOOD" 'www.pinned.example:443:443'
    has "$LINE" 'unidentifiable'
    named refused "$ANY_SNI_GOOD" $'evil\n\e[31mname'
    equals "$(grep -c . <<<"$LINE")" 1
    [[ ! $LINE =~ [[:cntrl:]] ]] || explain 'a control character in the log'
    named refused "$ANY_SNI_GOOD" 'two words'
    pins 'unrelated.example allow'
    named accepted "$ANY_SNI_GOOD" 'www.pinned.example:443:443'
}

@test "lines for one target add up, so that a backup pin is one more line" {
    pins "www.pinned.example spki-sha256:$PIN_IMPOSTOR"
    www refused "$GOOD"
    pins "www.pinned.example spki-sha256:$PIN_IMPOSTOR" 'other.example deny' "www.pinned.example spki-sha256:$PIN_GOOD"
    www accepted "$GOOD"
    www accepted "$IMPOSTOR"
    # Neither pin matches a third key.
    lab_cert third /CN=third
    lab_s_server third
    www refused "$PORT"
    has "$LINE" "no pin of $PINS:1,3 matched"
}

@test "several pins on one line add up" {
    pins "www.pinned.example spki-sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= spki-sha256:$PIN_GOOD"
    both
}

@test "a pin of the key accepts a renewed certificate, and a pin of the certificate does not" {
    local fingerprint
    fingerprint=$(lab_fingerprint "$LAB/good.pem")
    lab_cert renewed /CN=renewed
    openssl x509 -req -in "$LAB/good.csr" -CA "$LAB/ca.pem" -CAkey "$LAB/ca.key" -set_serial 77 -days 5 -out "$LAB/renewed.pem" 2>&1
    cp "$LAB/good.key" "$LAB/renewed.key"
    lab_s_server renewed
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    both
    www accepted "$PORT"
    pins "www.pinned.example cert-sha256:$fingerprint"
    both
    www refused "$PORT"
    has "$LINE" "; wanted cert-sha256:"
}

@test "SHA-384 and SHA-512 pins of key and certificate are compared in full" {
    local digest flipped
    for digest in sha384 sha512; do
        pins "www.pinned.example spki-$digest:$(lab_spki "$LAB/good.pem" $digest)"
        both
        pins "www.pinned.example cert-$digest:$(lab_fingerprint "$LAB/good.pem" $digest)"
        both
        # The last digit is another one.
        flipped=$(lab_fingerprint "$LAB/good.pem" $digest)
        case $flipped in *0) flipped=${flipped%?}1 ;; *) flipped=${flipped%?}0 ;; esac
        pins "www.pinned.example cert-$digest:$flipped"
        www refused "$GOOD"
    done
}

@test "every spelling of a pin means the same" {
    local spelling colons
    colons=$(sed 's/../&:/g; s/:$//' <<<"$HEX")
    for spelling in "spki-sha256:$PIN_GOOD" "spki-sha256:${PIN_GOOD%=}" "SPKI-SHA256:$PIN_GOOD" "sha256//$PIN_GOOD" "sha256/$PIN_GOOD" \
        "pin-sha256=\"$PIN_GOOD\"" "spki-sha256:$HEX" "spki-sha256:${HEX^^}" "spki-sha256:$colons" "spki-sha256:${colons^^}"; do
        pins "www.pinned.example $spelling"
        both
    done
}

@test "curl's own spelling of a pin and the shim agree" {
    pins "www.pinned.example sha256//$PIN_GOOD"
    local resolve=(--resolve "www.pinned.example:$GOOD:127.0.0.1" --resolve "www.pinned.example:$IMPOSTOR:127.0.0.1")
    # curl's pin is the good one in either case: it refuses the impostor by itself, and the shim refuses where curl has none.
    accepted curl -sk "${resolve[@]}" --pinnedpubkey "sha256//$PIN_GOOD" "https://www.pinned.example:$GOOD/"
    run -90 bare curl -sk "${resolve[@]}" --pinnedpubkey "sha256//$PIN_GOOD" "https://www.pinned.example:$IMPOSTOR/"
    refused curl -sk "${resolve[@]}" "https://www.pinned.example:$IMPOSTOR/"
    has "$LINE" "peer spki-sha256:$PIN_IMPOSTOR"
}

# nameless VERDICT PORT: a client over memory BIOs that names nobody and verifies nothing
nameless() {
    "$1" /usr/bin/python3 "$BATS_TEST_DIRNAME/clients/asyncio_http.py" 127.0.0.1 "$2" noverify 1.3 "$LAB/ca.pem" ''
}

@test "over memory BIOs the address is that of the socket on which the ClientHello was sent" {
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    nameless accepted "$GOOD"
    nameless refused "$IMPOSTOR"
    has "$LINE" "refused 127.0.0.1:$IMPOSTOR: no pin of $PINS:1 matched"
    # Rules for others are not asked.
    pins "192.0.2.7 spki-sha256:$PIN_GOOD" "www.pinned.example spki-sha256:$PIN_GOOD"
    nameless noticed "$IMPOSTOR"
    pins "127.0.0.1:$GOOD deny" "* spki-sha256:$PIN_GOOD"
    nameless refused "$IMPOSTOR"
    nameless refused "$GOOD"
    has "$LINE" "$PINS:1 says deny"
}

@test "dig +tls and gensio, whose BIOs know no socket, are pinned by address" {
    local good impostor rest
    /usr/bin/python3 "$BATS_TEST_DIRNAME/clients/server.py" "$LAB" dns >"$LAB/dns" 2>&1 </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$LAB/dns"
    read -r good impostor rest <"$LAB/dns"
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    accepted dig +tls @127.0.0.1 -p "$good" +tries=1 +time=4 example.org
    has "$OUT" 192.0.2.1
    # dig exits with 0 in either case.
    capture shim dig +tls @127.0.0.1 -p "$impostor" +tries=1 +time=4 example.org
    lacks "$OUT" 192.0.2.1
    has "$ERR" "refused 127.0.0.1:$impostor: no pin of $PINS:1 matched"
    capture shim timeout 10 gensiot -i 'stdio(self)' "ssl(allow-authfail),tcp,127.0.0.1,$good"
    lacks "$ERR" 'pinshim['
    capture shim timeout 10 gensiot -i 'stdio(self)' "ssl(allow-authfail),tcp,127.0.0.1,$impostor"
    has "$ERR" "refused 127.0.0.1:$impostor: no pin of $PINS:1 matched"
}

@test "a client of which neither name nor address is known is refused where the file has rules" {
    local kind
    for kind in bio socketpair; do
        pins 'unrelated.example deny'
        memory refused $kind good
        has "$LINE" 'refused unknown target: unidentifiable'
        has "$LINE" 'a line "@unknown allow" would allow it'
        has "$OUT" 'received ""'
        pins "unrelated.example spki-sha256:$PIN_GOOD"
        memory refused $kind good
        # Every rule is "allow": there is nothing to be afraid of.
        pins 'unrelated.example allow' '*.example allow'
        memory accepted $kind good
        has "$OUT" 'received "secret"'
        pins '* allow'
        memory accepted $kind good
    done
}

@test "@unknown decides on a client of which neither name nor address is known" {
    local kind
    for kind in bio socketpair; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD" "@unknown spki-sha256:$PIN_GOOD"
        memory accepted $kind good
        has "$OUT" 'received "secret"'
        memory refused $kind impostor
        has "$OUT" 'received ""'
        has "$LINE" "refused unknown target: no pin of $PINS:2 matched"
        memory accepted $kind impostor other.example
        pins "www.pinned.example spki-sha256:$PIN_GOOD" '@unknown allow'
        memory accepted $kind impostor
        has "$OUT" 'received "secret"'
        pins '* allow' '@unknown deny'
        memory refused $kind good
        has "$LINE" "$PINS:2 says deny"
        memory accepted $kind good www.pinned.example
        # No name: the certificate cannot be valid for it.
        pins "@unknown ca-file:$LAB/ca.pem"
        memory refused $kind good
        pins "@unknown spki-sha256:$PIN_GOOD mode=report"
        capture shim "$PROGRAMS/memory" $kind "$LAB/impostor.pem" "$LAB/impostor.key"
        has "$OUT" 'received "secret"'
        equals "$(count_lines reported)" 1
        # All that the file asks for is reported, so this is, too.
        pins "unrelated.example spki-sha256:$PIN_GOOD mode=report"
        capture shim "$PROGRAMS/memory" $kind "$LAB/impostor.pem" "$LAB/impostor.key"
        has "$OUT" 'received "secret"'
        equals "$(count_lines reported)" 1
        has "$ERR" unidentifiable
    done
}

@test "@unknown decides on a client of which only the address is known, together with a rule for that" {
    local -x PRELOAD_ALSO=$NAMES
    pins "@unknown spki-sha256:$PIN_GOOD" '* deny'
    judged accepted "$GOOD" -noservername
    judged refused "$IMPOSTOR" -noservername
    has "$LINE" "refused 127.0.0.1:$IMPOSTOR: no pin of $PINS:1 matched"
    # A name is known.
    judged refused "$GOOD" -servername www.pinned.example
    has "$LINE" "$PINS:2 says deny"
    resolving refused "$GOOD" www.pinned.example
    has "$LINE" "$PINS:2 says deny"
    pins '@unknown allow' "127.0.0.1 spki-sha256:$PIN_GOOD"
    judged accepted "$GOOD" -noservername
    judged refused "$IMPOSTOR" -noservername
    has "$LINE" "$PINS:2"
    pins "@unknown spki-sha256:$PIN_GOOD" '127.0.0.1 allow'
    judged accepted "$GOOD" -noservername
    judged refused "$IMPOSTOR" -noservername
    has "$LINE" "$PINS:1"
    pins "@unknown:$IMPOSTOR spki-sha256:$PIN_GOOD"
    judged accepted "$GOOD" -noservername
    judged refused "$IMPOSTOR" -noservername
    # The certificate is valid for the address.
    pins "@unknown ca-file:$LAB/ca.pem"
    judged accepted "$GOOD" -noservername
}

@test "a name that cannot be a host's is unidentifiable, and @unknown decides on it" {
    local name
    for name in www.pinned.example.. 127.1 2130706433 0x7f000001 0177.0.0.1 $'www.pinned.ex\xc3\xa4mple' '*.pinned.example' .pinned.example a..example; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
        named refused "$ANY_SNI_IMPOSTOR" "$name"
        has "$LINE" unidentifiable
        pins "@unknown spki-sha256:$PIN_GOOD"
        named accepted "$ANY_SNI_GOOD" "$name"
        named refused "$ANY_SNI_IMPOSTOR" "$name"
        has "$LINE" "no pin of $PINS:1 matched"
        pins "www.pinned.example spki-sha256:$PIN_GOOD" '@unknown allow'
        named accepted "$ANY_SNI_IMPOSTOR" "$name"
    done
    pins '127.0.0.1 deny'
    named refused "$ANY_SNI_GOOD" 127.0.0.1.
    has "$LINE" "$PINS:1 says deny"
}

@test "the first connection of a process to which rules for names could not be applied is noticed" {
    local client='
import socket, ssl, sys, os
context = ssl._create_unverified_context()
def connect():
    context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
connect()
connect()
if os.fork() == 0:
    connect()
    connect()
    os._exit(0)
os.wait()'
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    capture shim /usr/bin/python3 -c "$client" "$IMPOSTOR"
    equals "$STATUS" 0
    equals "$(count_lines notice)" 2
    has "$ERR" "notice 127.0.0.1:$IMPOSTOR: no name is known of this target"
    has "$ERR" "Rules for names in $PINS were not asked"
    equals "$(lines notice | cut -d: -f1 | sort -u | wc -l)" 2
    # Nothing is passed over.
    for rule in '@unknown allow' "127.0.0.1 spki-sha256:$PIN_IMPOSTOR"; do
        pins "www.pinned.example spki-sha256:$PIN_GOOD" "$rule"
        accepted /usr/bin/python3 -c "$client" "$IMPOSTOR"
    done
    pins 'www.pinned.example allow' '192.0.2.7 deny'
    accepted /usr/bin/python3 -c "$client" "$IMPOSTOR"
}

@test "where the port is in doubt, allow for one port of a name does not outweigh the pin of a wider name at another" {
    pins 'www.pinned.example:80 allow' "*.pinned.example:443 spki-sha256:$PIN_GOOD"
    memory accepted bio good www.pinned.example
    memory refused bio impostor www.pinned.example
    has "$LINE" "no pin of $PINS:2 matched"
    pins 'www.pinned.example:80 allow' 'www.pinned.example allow' "*.pinned.example:443 spki-sha256:$PIN_GOOD"
    memory accepted bio impostor www.pinned.example
}

# checks VERDICT PORT HOW [OPTION...]: a client that gives no name, and checks the certificate for one by itself. It connects before the name is
# known, which is noticed, but not for a name that is known in the verification.
checks() {
    "$1" "$PATHS/check_host" 127.0.0.1 "$2" "${@:3}"
}

@test "a name that a program checks the certificate for by itself is a target, in the verification and after it" {
    local how version said
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    for version in tls1.2 tls1.3; do
        for how in verify callback called own; do
            said=accepted
            [ $how != called ] || said=noticed
            checks $said "$GOOD" $how $version
            has "$OUT" 'hello from good'
            checks refused "$IMPOSTOR" $how $version
            has "$LINE" "refused www.pinned.example:$IMPOSTOR: no pin of $PINS:1 matched"
            lacks "$OUT" 'hello from'
            checks $said "$IMPOSTOR" $how $version name=other.example
        done
        checks noticed "$GOOD" thread $version
        has "$OUT" 'hello from good'
        checks refused "$IMPOSTOR" thread $version
        has "$OUT" 'handshake: 1, check: 0'
        has "$LINE" "refused www.pinned.example: no pin of $PINS:1 matched"
        capture shim "$PATHS/check_host" 127.0.0.1 "$IMPOSTOR" thread $version name=other.example
        equals "$(count_lines refused)" 0
        for how in after copy own-after; do
            checks noticed "$GOOD" $how $version
            has "$OUT" 'handshake: 1, check: 1'
            has "$OUT" 'hello from good'
            checks refused "$IMPOSTOR" $how $version
            has "$OUT" 'handshake: 1, check: 0'
            lacks "$OUT" 'hello from'
            has "$LINE" "refused www.pinned.example:$IMPOSTOR: no pin of $PINS:1 matched"
            checks noticed "$IMPOSTOR" $how $version name=other.example
            has "$OUT" 'hello from impostor'
        done
        checks noticed "$GOOD" after $version chain
        checks refused "$IMPOSTOR" after $version chain
        lacks "$OUT" 'hello from'
        checks refused "$IMPOSTOR" verify $version chain
        lacks "$OUT" 'hello from'
    done
    # Of a certificate that no peer has presented nothing is known.
    checks noticed "$IMPOSTOR" other "certificate=$LAB/good.pem"
    has "$OUT" 'check: 1'
    has "$OUT" 'hello from impostor'
    pins "192.0.2.7 spki-sha256:$PIN_GOOD"
    for how in after-asc after-ip; do
        checks refused "$IMPOSTOR" $how address=192.0.2.7
        lacks "$OUT" 'hello from'
        has "$LINE" 'refused 192.0.2.7'
        checks accepted "$IMPOSTOR" $how address=192.0.2.8
    done
}

@test "a session is resumed only if its peer satisfies the rules for the names that its certificate was checked for" {
    local how version pin reused
    for version in tls1.2 tls1.3; do
        for how in after verify; do
            reused=1
            for pin in "$PIN_GOOD" "$PIN_IMPOSTOR"; do
                pins "www.pinned.example spki-sha256:$PIN_GOOD" '@unknown allow'
                printf '%s\n' "www.pinned.example spki-sha256:$pin" '@unknown allow' '# changed' >"$PINS.next"
                capture shim "$PATHS/check_host" 127.0.0.1 "$GOOD" $how $version "again=$PINS.next"
                # A full handshake has the callback called again, which names it; in a resumption it is not called.
                if [ $how$reused = verify0 ]; then
                    has "$(lines refused)" "refused www.pinned.example:$GOOD"
                    lacks "$OUT" 'reused: '
                else
                    has "$OUT" "reused: $reused"
                    equals "$STATUS$(count_lines '[a-z]+')" 00
                fi
                reused=0
            done
        done
    done
}

# front PORT: an nginx under the shim that passes requests on to the server there; it sends no SNI, and checks the certificate for www.pinned.example
# after the handshake. Its port goes into $PORT, its errors into $BATS_TEST_TMPDIR/front/error.log.
front() {
    local to=$1 at=$BATS_TEST_TMPDIR/front
    mkdir -p "$at"
    PORT=$(lab_free_port)
    cat >"$at/nginx.conf" <<CONF
daemon off;
master_process off;
pid $at/pid;
error_log $at/error.log info;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $at/body;
    proxy_temp_path $at/proxy;
    fastcgi_temp_path $at/fastcgi;
    uwsgi_temp_path $at/uwsgi;
    scgi_temp_path $at/scgi;
    server {
        listen 127.0.0.1:$PORT;
        proxy_ssl_trusted_certificate $LAB/ca.pem;
        proxy_ssl_verify on;
        proxy_ssl_name www.pinned.example;
        location / { proxy_pass https://127.0.0.1:$to; }
    }
}
CONF
    rm -f "$at/log"
    PINSHIM_LOG=$at/log shim nginx -c "$at/nginx.conf" >"$at/out" 2>&1 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait lab_listens "$PORT"
}

@test "the name that nginx checks after the handshake (proxy_ssl_verify) is a target" {
    local at=$BATS_TEST_TMPDIR/front served _
    pins "www.pinned.example spki-sha256:$PIN_GOOD" '@unknown allow'
    front "$GOOD"
    # The second resumes the session of the first.
    for _ in 1 2; do
        capture bare curl -sS -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' "http://127.0.0.1:$PORT/"
        equals "$OUT" 200
        equals "$(<"$BATS_TEST_TMPDIR/body")" 'hello from good'
    done
    [ ! -e "$at/log" ] || explain "$(<"$at/log")"
    served=$(wc -l <"$LAB/nginx-impostor/access.log")
    front "$IMPOSTOR"
    for _ in 1 2; do
        capture bare curl -sS -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' "http://127.0.0.1:$PORT/"
        equals "$OUT" 502
    done
    equals "$(wc -l <"$LAB/nginx-impostor/access.log")" "$served"
    equals "$(grep -cF ']: refused www.pinned.example:' "$at/log")" 2
    has "$(<"$at/log")" "no pin of $PINS:1 matched"
    # It is the shim that refuses: the chain is valid, and so is the name.
    pins "www.pinned.example spki-sha256:$PIN_IMPOSTOR"
    capture bare curl -sS -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/"
    equals "$OUT" 200
}

# authenticator CERTIFICATE: a RADIUS server that shows it (PEAP); its port goes into $PORT, what it says into $HEARD
authenticator() {
    local at=$BATS_TEST_TMPDIR/eap-$1
    mkdir -p "$at"
    HEARD=$at/log
    PORT=$(lab_free_port)
    printf '%s\n' '127.0.0.1 secret' >"$at/clients"
    printf '%s\n' '"user" PEAP' '"user" MSCHAPV2 "password" [2]' >"$at/users"
    printf '%s\n' driver=none interface=lo "radius_server_clients=$at/clients" "radius_server_auth_port=$PORT" eap_server=1 "eap_user_file=$at/users" \
        "ca_cert=$LAB/ca.pem" "server_cert=$LAB/$1.pem" "private_key=$LAB/$1.key" >"$at/conf"
    hostapd "$at/conf" >"$HEARD" 2>&1 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait grep -q AP-ENABLED "$HEARD"
}

# supplicant shim|bare [ca_cert=FILE]: one of 802.1X that logs in with a password
supplicant() {
    printf '%s\n' 'network={' 'ssid="x"' 'key_mgmt=WPA-EAP' 'eap=PEAP' 'identity="user"' 'password="password"' 'phase2="auth=MSCHAPV2"' "${@:2}" '}' \
        >"$BATS_TEST_TMPDIR/eap.conf"
    "$1" env PINSHIM_LOG="$BATS_TEST_TMPDIR/eap-lines" eapol_test -c "$BATS_TEST_TMPDIR/eap.conf" -a 127.0.0.1 -p "$PORT" -s secret -t 5
}

@test "a supplicant of 802.1X, which names nobody and has TLS within EAP, is held to the pins of @unknown" {
    local verified rule said=$BATS_TEST_TMPDIR/eap-lines heard
    for verified in '' "ca_cert=\"$LAB/ca.pem\""; do
        authenticator good
        for rule in "@unknown spki-sha256:$PIN_GOOD" '@unknown allow'; do
            pins "www.pinned.example spki-sha256:$PIN_GOOD" "$rule"
            capture supplicant shim "$verified"
            equals "$STATUS" 0
            equals "${OUT##*$'\n'}" SUCCESS
            [ ! -e "$said" ] || explain "$(<"$said")"
        done
        authenticator impostor
        capture supplicant bare "$verified"
        equals "${OUT##*$'\n'}" SUCCESS
        heard=$(grep -c EAP-SUCCESS "$HEARD")
        for rule in "@unknown spki-sha256:$PIN_GOOD" "unrelated.example spki-sha256:$PIN_GOOD"; do
            pins "$rule"
            capture supplicant shim "$verified"
            [ "$STATUS" -ne 0 ] || explain 'not refused'
            equals "$(grep -c ']: refused unknown target: ' "$said")" 1
            equals "$(grep -c EAP-SUCCESS "$HEARD")" "$heard"
            rm "$said"
        done
    done
}

# vpn_at CERTIFICATE PROTOCOL: an OpenVPN server that shows it, for one client; its port goes into $PORT, what it says into $VPN
vpn_at() {
    VPN=$BATS_TEST_TMPDIR/vpn-$1-$2
    PORT=$(lab_free_port)
    openvpn --dev null --ifconfig-noexec --tls-server --dh none --local 127.0.0.1 --lport "$PORT" --ca "$LAB/ca.pem" --cert "$LAB/$1.pem" \
        --key "$LAB/$1.key" --proto "${2/tcp/tcp-server}" --ping 1 --ping-restart 3 >"$VPN" 2>&1 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait grep -qE 'Listening for incoming TCP|UDPv4 link local' "$VPN"
}

# vpn shim|bare PORT PROTOCOL: an OpenVPN client, which verifies the server's chain; it is ended when it is connected, and ends itself when TLS fails
vpn() {
    local log=$BATS_TEST_TMPDIR/client pid status=0
    : >"$log"
    "$1" openvpn --dev null --ifconfig-noexec --tls-client --nobind --remote 127.0.0.1 "$2" --proto "${3/tcp/tcp-client}" --ca "$LAB/ca.pem" --cert "$LAB/vpn.pem" \
        --key "$LAB/vpn.key" --connect-timeout 5 --connect-retry-max 1 --tls-exit --writepid "$log.pid" >"$log" 2>&1 3>&- &
    pid=$!
    lab_wait eval "grep -q 'Initialization Sequence Completed' '$log' || ! kill -0 $pid" || true
    grep -q 'Initialization Sequence Completed' "$log" || status=1
    # Of the program itself, not of the shell around it; it takes the file away when it ends.
    kill "$(cat "$log.pid" 2>/dev/null)" 2>/dev/null || true
    wait "$pid" || true
    cat "$log"
    grep -a '^pinshim' "$log" >&2 || true
    return $status
}

@test "OpenVPN, which names nobody and has TLS within a protocol of its own, is held to the pins of @unknown" {
    local protocol
    lab_cert vpn /CN=vpn 'extendedKeyUsage=clientAuth'
    for protocol in udp tcp; do
        for rule in "@unknown spki-sha256:$PIN_GOOD" '@unknown allow'; do
            pins "www.pinned.example spki-sha256:$PIN_GOOD" "$rule"
            vpn_at good $protocol
            capture vpn shim "$PORT" $protocol
            equals "$STATUS" 0
            equals "$(count_lines '[a-z]+')" 0
        done
        pins "www.pinned.example spki-sha256:$PIN_GOOD"
        vpn_at good $protocol
        capture vpn shim "$PORT" $protocol
        [ "$STATUS" -ne 0 ] || explain 'not refused'
        has "$(lines refused)" unidentifiable
        vpn_at impostor $protocol
        capture vpn bare "$PORT" $protocol
        equals "$STATUS" 0
        lab_wait grep -q 'Peer Connection Initiated' "$VPN"
        vpn_at impostor $protocol
        pins "www.pinned.example spki-sha256:$PIN_GOOD" "@unknown spki-sha256:$PIN_GOOD"
        capture vpn shim "$PORT" $protocol
        [ "$STATUS" -ne 0 ] || explain 'not refused'
        equals "$(count_lines refused)" 1
        has "$(lines refused)" "refused unknown target: no pin of $PINS:2 matched"
        run ! grep -q 'Peer Connection Initiated' "$VPN"
    done
}

@test "the name over memory BIOs decides" {
    local kind
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    for kind in bio socketpair; do
        memory accepted $kind good www.pinned.example
        has "$OUT" 'received "secret"'
        memory refused $kind impostor www.pinned.example
        has "$OUT" 'received ""'
        memory accepted $kind impostor other.example
    done
}

@test "the port of a name that did not resolve to the address is in doubt, and allow for one port does not outweigh the pin of another" {
    local rule
    # s_client connects to the address; nothing is resolved.
    for rule in 'www.pinned.example:1' 'www.pinned.example'; do
        pins "$rule spki-sha256:$PIN_GOOD"
        capture shim openssl s_client -connect "127.0.0.1:$ANY_SNI_IMPOSTOR" -servername www.pinned.example </dev/null
        equals "$(count_lines refused)" 1
        capture shim openssl s_client -connect "127.0.0.1:$ANY_SNI_GOOD" -servername www.pinned.example </dev/null
        equals "$(count_lines refused)" 0
    done
    for rule in 'www.pinned.example' 'www.pinned.example:2'; do
        pins "$rule allow" "www.pinned.example:1 spki-sha256:$PIN_GOOD"
        capture shim openssl s_client -connect "127.0.0.1:$ANY_SNI_IMPOSTOR" -servername www.pinned.example </dev/null
        equals "$(count_lines refused)" 1
    done
}

@test "where the port is not known all rules of the name count, and one of them must be satisfied" {
    pins "www.pinned.example:443 spki-sha256:$PIN_GOOD" 'unrelated.example:443 deny'
    memory accepted bio good www.pinned.example
    memory refused bio impostor www.pinned.example
    has "$LINE" "no pin of $PINS:1 matched"
    pins 'www.pinned.example:443 deny' "www.pinned.example:8443 spki-sha256:$PIN_GOOD" 'www.pinned.example:9443 deny'
    memory accepted bio good www.pinned.example
    memory refused bio impostor www.pinned.example
    pins "*.pinned.example:443 spki-sha256:$PIN_GOOD"
    memory accepted bio good www.pinned.example
    memory refused bio impostor www.pinned.example
    pins "*:443 spki-sha256:$PIN_GOOD"
    memory accepted bio good www.pinned.example
    memory refused bio impostor www.pinned.example
}

@test "what a forked child resolves its parent knows, and the child what the parent does" {
    local script='
import os, socket, ssl, sys
port, order = int(sys.argv[1]), sys.argv[2]
def resolve(): socket.getaddrinfo("www.pinned.example", port)
def connect():
    ssl._create_unverified_context().wrap_socket(socket.create_connection(("127.0.0.1", port)))
go = os.pipe()
child = os.fork()
if child == 0:
    try:
        if order == "child-resolves": resolve()
        else: os.read(go[0], 1), connect()
    except OSError: os._exit(1)
    os._exit(0)
if order == "parent-resolves": resolve()
os.write(go[1], b"x")
if os.waitpid(child, 0)[1] != 0: sys.exit(1)
if order == "child-resolves": connect()'
    PRELOAD_ALSO=$NAMES
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    for order in child-resolves parent-resolves; do
        accepted /usr/bin/python3 -c "$script" "$GOOD" $order
        refused /usr/bin/python3 -c "$script" "$IMPOSTOR" $order
        has "$LINE" "no pin of $PINS:1 matched"
    done
}

@test "large answers of DNS leave no connection without a name, and put only those in doubt whose name had to give way" {
    local script='
import socket, ssl, sys
port, before, answers, after = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
def resolve(name):
    if name: socket.getaddrinfo(name, port)
resolve(before)
for number in range(answers): socket.getaddrinfo("huge%d.example" % number, port)
resolve(after)
context = ssl._create_unverified_context()
context.wrap_socket(socket.create_connection(("127.0.0.1", port)))'
    pins "www.pinned.example spki-sha256:$PIN_GOOD" "other.example deny"
    PRELOAD_ALSO=$NAMES
    # Resolved after them: as if there were none.
    accepted /usr/bin/python3 -c "$script" "$GOOD" '' 12 www.pinned.example
    refused /usr/bin/python3 -c "$script" "$IMPOSTOR" '' 12 www.pinned.example
    has "$LINE" "no pin of $PINS:1 matched"
    # No name of the address was ever resolved.
    noticed /usr/bin/python3 -c "$script" "$IMPOSTOR" '' 12 ''
    # It was, and has given way.
    refused /usr/bin/python3 -c "$script" "$IMPOSTOR" www.pinned.example 12 ''
    has "$LINE" 'unidentifiable'
    refused /usr/bin/python3 -c "$script" "$GOOD" www.pinned.example 12 ''
    # A name with a rule counts, though another one of the address has given way.
    accepted /usr/bin/python3 -c "$script" "$GOOD" ftp.pinned.example 12 www.pinned.example
}

@test "a name resolved with gethostbyname is the target of a client that names none" {
    pins "localhost spki-sha256:$PIN_GOOD"
    resolving accepted "$GOOD" localhost
    resolving refused "$IMPOSTOR" localhost
    has "$LINE" "refused localhost:$IMPOSTOR: no pin of $PINS:1 matched"
    pins "localhost:$GOOD deny"
    resolving refused "$GOOD" localhost
    resolving accepted "$IMPOSTOR" localhost
}

@test "of two names resolved to one address, one with a rule must be satisfied" {
    local -x PRELOAD_ALSO=$NAMES
    pins "one.pinned.example spki-sha256:$PIN_GOOD" "two.pinned.example spki-sha256:$PIN_IMPOSTOR"
    resolving refused "$IMPOSTOR" one.pinned.example
    resolving refused "$GOOD" two.pinned.example
    resolving accepted "$GOOD" one.pinned.example two.pinned.example
    resolving accepted "$GOOD" two.pinned.example one.pinned.example
    resolving accepted "$IMPOSTOR" one.pinned.example two.pinned.example
    resolving accepted "$IMPOSTOR" two.pinned.example one.pinned.example
    resolving refused "$ANY_SNI_IMPOSTOR" one.pinned.example free.pinned.example
    has "$LINE" 'refused one.pinned.example'
    resolving refused "$ANY_SNI_IMPOSTOR" free.pinned.example one.pinned.example
    resolving accepted "$IMPOSTOR" free.pinned.example
    # Neither is satisfied.
    pins 'one.pinned.example deny' "two.pinned.example spki-sha256:$PIN_GOOD"
    resolving refused "$IMPOSTOR" one.pinned.example two.pinned.example
    resolving refused "$IMPOSTOR" two.pinned.example one.pinned.example
}

@test "a name that was resolved in the background is the target of a client that names none" {
    pins "localhost spki-sha256:$PIN_GOOD"
    local client=("$PATHS/resolved" 127.0.0.1)
    accepted "${client[@]}" "$GOOD" suspend name=localhost
    has "$OUT" 'hello from good'
    refused "${client[@]}" "$IMPOSTOR" suspend name=localhost
    has "$LINE" "refused localhost:$IMPOSTOR: no pin of $PINS:1 matched"
}

@test "a name in UTF-8 that was resolved with AI_IDN is its xn-- form; as it stands it could be any" {
    needs_mounts
    local name
    printf '%s\n' '127.0.0.1 localhost xn--bcher-kva.pinned.example bücher.hosts.example' >"$BATS_TEST_TMPDIR/hosts"
    cat >"$BATS_TEST_TMPDIR/client" <<'END'
#!/bin/sh
exec unshare --mount sh -c 'env -u LD_PRELOAD mount --bind "$0" /etc/hosts && exec "$@"' "$HOSTS" "$@"
END
    chmod +x "$BATS_TEST_TMPDIR/client"
    local -x HOSTS=$BATS_TEST_TMPDIR/hosts
    local client=("$BATS_TEST_TMPDIR/client" "$PATHS/resolved" 127.0.0.1)
    pins "xn--bcher-kva.pinned.example spki-sha256:$PIN_GOOD"
    for name in bücher.pinned.example BÜCHER.pinned.example; do
        accepted "${client[@]}" "$GOOD" idn "name=$name"
        has "$OUT" 'hello from good'
        refused "${client[@]}" "$IMPOSTOR" idn "name=$name"
        has "$LINE" "refused xn--bcher-kva.pinned.example:$IMPOSTOR: no pin of $PINS:1 matched"
    done
    refused "${client[@]}" "$GOOD" plain name=bücher.hosts.example
    has "$LINE" unidentifiable
    pins "xn--bcher-kva.pinned.example spki-sha256:$PIN_GOOD" "@unknown spki-sha256:$PIN_GOOD"
    accepted "${client[@]}" "$GOOD" plain name=bücher.hosts.example
    refused "${client[@]}" "$IMPOSTOR" plain name=bücher.hosts.example
    # A number is an address.
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    accepted "${client[@]}" "$GOOD" name=127.1
    refused "${client[@]}" "$IMPOSTOR" name=127.1
}

@test "a name with a leading dot that is to be verified names no host: the resolved name is the target" {
    local -x PRELOAD_ALSO=$NAMES
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    local client=("$PATHS/resolved" 127.0.0.1)
    accepted "${client[@]}" "$GOOD" verified=.pinned.example
    has "$OUT" 'hello from good'
    refused "${client[@]}" "$IMPOSTOR" verified=.pinned.example
    has "$LINE" "refused www.pinned.example:$IMPOSTOR: no pin of $PINS:1 matched"
    pins 'www.pinned.example deny'
    refused "${client[@]}" "$GOOD" verified=.pinned.example
    # Where none was resolved, it could be any.
    pins "www.pinned.example spki-sha256:$PIN_GOOD"
    refused openssl s_client -brief -noservername -verify_hostname .pinned.example -connect "127.0.0.1:$IMPOSTOR"
    has "$LINE" 'unidentifiable'
    pins "www.pinned.example spki-sha256:$PIN_GOOD" "@unknown spki-sha256:$PIN_GOOD"
    accepted openssl s_client -brief -noservername -verify_hostname .pinned.example -connect "127.0.0.1:$GOOD"
    refused openssl s_client -brief -noservername -verify_hostname .pinned.example -connect "127.0.0.1:$IMPOSTOR"
}

@test "a name that was merely resolved is no target of a client that names another one" {
    local -x PRELOAD_ALSO=$NAMES
    pins 'one.pinned.example deny'
    capture shim "$PROGRAMS/probe" resolve=one.pinned.example sni=other.example "open=$GOOD" connect
    has "$OUT" 'connect: returned 1,'
    equals "$ERR" ''
    resolving refused "$GOOD" one.pinned.example
}

@test "libc's functions that are found in its own handle are seen as well" {
    local how
    pins "localhost spki-sha256:$PIN_GOOD"
    for how in None '"libc.so.6"'; do
        refused /usr/bin/python3 -c "
import ctypes, socket, ssl, sys
port = sys.argv[1]
found = ctypes.c_void_p()
ctypes.CDLL($how).getaddrinfo(b'localhost', port.encode(), None, ctypes.byref(found))
s = ssl._create_unverified_context().wrap_socket(socket.create_connection(('127.0.0.1', int(port))))
s.sendall(b'GET / HTTP/1.0\r\n\r\n')
print(s.recv(99))" "$IMPOSTOR"
        has "$LINE" "refused localhost:$IMPOSTOR"
    done
}
