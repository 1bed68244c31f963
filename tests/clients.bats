#!/usr/bin/env bats
# Goal: common TLS clients, as Debian ships them, are pinned: with the shim preloaded each gets the good server's answer and refuses an
# impostor with a valid chain, whether or not it verifies anything itself; and the rule that applies is the one for the client's target.
# "make clients" runs many more programs.
# "holds" (lib/helper.bash) makes each call three times: without the shim to the impostor, to see that the attack works; with the shim to the
# good server; with the shim to the impostor. It does so with nginx and with "openssl s_server", over TLS 1.2 and TLS 1.3.

bats_require_minimum_version 1.5.0
load lib/helper

setup_file() {
    export BATS_TEST_TIMEOUT=${SHIM_TEST_TIMEOUT:-60}
    start_servers
}

teardown_file() {
    lab_stop
}

setup() {
    prepare
    with_pins "localhost $PINNED"
    CLIENTS=$BATS_TEST_DIRNAME/clients
}

# The clients. Each takes PORT and VERSION, and prints the body.

curl_at() { # URL VERSION [OPTION...]
    local url=$1 version=$2
    shift 2
    client curl -sS "--tlsv$version" --tls-max "$version" "$@" "$url"
}
curl_verified() { curl_at "https://localhost:$1/" "$2" --cacert "$CA"; }
curl_unverified() { curl_at "https://localhost:$1/" "$2" -k; }
curl_address() { curl_at "https://127.0.0.1:$1/" "$2" --cacert "$CA"; }
curl_resolve() { curl_at "https://www.pinned.example:$1/" "$2" --cacert "$CA" --resolve "www.pinned.example:$1:127.0.0.1"; }
curl_connect_to() { curl_at "https://www.pinned.example:$1/" "$2" -k --connect-to "www.pinned.example:$1:127.0.0.1:$1"; }

s_client_at() { # TARGET VERSION [OPTION...]
    local target=$1 version=$2
    shift 2
    request | client openssl s_client -quiet -ign_eof "-tls${version/./_}" "$@" -connect "$target"
}
s_client_unverified() { s_client_at "localhost:$1" "$2"; }
s_client_nameless() { s_client_at "localhost:$1" "$2" -noservername; }
s_client_address() { s_client_at "127.0.0.1:$1" "$2" -noservername; }
s_client_sni() { s_client_at "127.0.0.1:$1" "$2" -servername www.pinned.example; }

python() { # SCRIPT HOST PORT verify|noverify VERSION [NAME]
    client /usr/bin/python3 "$CLIENTS/$1" "$2" "$3" "$4" "$5" "$CA" "${@:6}"
}
python_verified() { python http_client.py localhost "$1" verify "$2"; }
python_unverified() { python http_client.py localhost "$1" noverify "$2"; }
python_nameless() { python tls_socket.py localhost "$1" noverify "$2"; }
python_sni() { python tls_socket.py 127.0.0.1 "$1" verify "$2" www.pinned.example; }
python_sni_unverified() { python tls_socket.py 127.0.0.1 "$1" noverify "$2" www.pinned.example; }
python_address() { python http_client.py 127.0.0.1 "$1" verify "$2"; }
asyncio_sni() { python asyncio_http.py 127.0.0.1 "$1" verify "$2" www.pinned.example; }
asyncio_address() { python asyncio_http.py 127.0.0.1 "$1" verify "$2"; }

php_streams_unverified() { client php "$CLIENTS/streams.php" localhost "$1" noverify "$2" "$CA"; }

socat_nameless() {
    request | client socat -t 10 - "OPENSSL:localhost:$1,openssl-min-proto-version=TLS$2,openssl-max-proto-version=TLS$2,verify=0,no-sni=1"
}

# A cut of tests/clients/table: clients that are on most machines, and some that need few packages

# program NAME: with and without verification, against the servers of tests/clients/server.py
program() {
    run "$CLIENTS/run" "$1"
    [ "$status" -eq 0 ] || { echo "$output" && return 1; }
    [[ $output != *' # skip '* ]] || skip 'not installed'
}

@test "curl refuses an impostor whose chain is valid" { program curl; }
@test "openssl s_client refuses an impostor whose chain is valid" { program s_client; }
@test "Python's http.client refuses an impostor whose chain is valid" { program python-http.client; }
@test "Python's asyncio refuses an impostor whose chain is valid" { program python-asyncio; }
@test "Ruby's Net::HTTP refuses an impostor whose chain is valid" { program ruby-net-http; }
@test "Perl's IO::Socket::SSL refuses an impostor whose chain is valid" { program perl-io-socket-ssl; }
@test "Perl's HTTP::Tiny refuses an impostor whose chain is valid" { program perl-http-tiny; }
@test "Perl's LWP refuses an impostor whose chain is valid" { program perl-lwp; }
@test "PHP's streams refuse an impostor whose chain is valid" { program php-streams; }
@test "PHP's curl extension refuses an impostor whose chain is valid" { program php-curl; }
@test "socat refuses an impostor whose chain is valid" { program socat; }
@test "ncat refuses an impostor whose chain is valid" { program ncat; }
@test "w3m refuses an impostor whose chain is valid" { program w3m; }
@test "links refuses an impostor whose chain is valid" { program links; }
@test "ab refuses an impostor whose chain is valid" { program ab; }
@test "nginx before a server refuses an impostor whose chain is valid" { program nginx; }
@test "Apache before a server refuses an impostor whose chain is valid" { program apache; }
@test "haproxy before a server refuses an impostor whose chain is valid" { program haproxy; }
@test "stunnel refuses an impostor whose chain is valid" { program stunnel; }
@test "redis-cli refuses an impostor whose chain is valid" { program redis-cli; }
@test "mosquitto_pub refuses an impostor whose chain is valid" { program mosquitto_pub; }
@test "fetchmail refuses an impostor whose chain is valid" { program fetchmail; }
@test "mbsync with STARTTLS refuses an impostor whose chain is valid" { program mbsync-starttls; }
@test "s-nail with STARTTLS refuses an impostor whose chain is valid" { program s-nail-starttls; }

# The same, of those that use GnuTLS

@test "wget refuses an impostor whose chain is valid" { program wget; }
@test "git refuses an impostor whose chain is valid" { program git; }
@test "apt refuses an impostor whose chain is valid" { program apt; }
@test "Python's pycurl refuses an impostor whose chain is valid" { program python-pycurl; }
@test "lynx refuses an impostor whose chain is valid" { program lynx; }
@test "aria2 refuses an impostor whose chain is valid" { program aria2; }
@test "gnutls-cli refuses an impostor whose chain is valid" { program gnutls-cli; }
@test "glib-networking refuses an impostor whose chain is valid" { program glib-networking; }
@test "msmtp with STARTTLS refuses an impostor whose chain is valid" { program msmtp-starttls; }
@test "mutt refuses an impostor whose chain is valid" { program mutt; }
@test "kdig refuses an impostor whose chain is valid" { program kdig-tls; }
@test "ldapsearch refuses an impostor whose chain is valid" { program ldapsearch; }

# What the impostor sees

@test "over TLS 1.2 the impostor gets a fatal alert and not one record of application data" {
    # Goal: the verdict falls before the request is sent; seen from the server's side of the connection.
    traces
    sees_only_an_alert 1.2 localhost 3 curl_unverified
}

@test "over TLS 1.3 the impostor gets a fatal alert and not one record of application data" {
    # Goal: the same where the client may send as soon as it has sent its Finished.
    traces
    sees_only_an_alert 1.3 localhost 3 curl_unverified
}

# What the client tells of its target

@test "a client that gives no SNI is held to the rule of the name that it resolved" {
    # Goal: "openssl s_client -noservername" gives OpenSSL no name; the name comes from the resolver.
    holds localhost 3 s_client_nameless
}

@test "socat with no-sni=1 is held to the rule of the name that it resolved" {
    # Goal: the same for a client that resolves in its own way.
    holds localhost 3 socat_nameless
}

@test "Python without server_hostname is held to the rule of the name that it resolved" {
    # Goal: the same for an interpreter, whose resolver and TLS are two modules.
    holds localhost 3 python_nameless
}

@test "a client that connects to an address is held to the rule of the address" {
    # Goal: no name is needed, with blocking and with non-blocking sockets.
    with_pins "127.0.0.1 $PINNED"
    holds 127.0.0.1 3 curl_address
    holds 127.0.0.1 3 s_client_address
    holds 127.0.0.1 3 python_address
}

@test "asyncio that verifies an address is held to the rule of the address" {
    # Goal: without a socket and without SNI, the address that OpenSSL was told to verify is the target.
    with_pins "127.0.0.1 $PINNED"
    drops_alerts
    holds 127.0.0.1 3 asyncio_address
}

@test "a client that connects by name is held to the rule of the address as well" {
    # Goal: the SNI has no rule, the address that the socket is connected to has.
    with_pins "www.pinned.example deny" "127.0.0.1 $PINNED"
    with_servers 'nginx 1.3' 's_server 1.2'
    holds 127.0.0.1 4 curl_verified
    holds 127.0.0.1 4 s_client_unverified
    holds 127.0.0.1 4 python_verified
    holds 127.0.0.1 4 php_streams_unverified
}

@test "a rule for an address with a port holds at that port and at no other" {
    # Goal: the port comes from the socket.
    holds_at_port 127.0.0.1 s_client_address
    holds_at_port 127.0.0.1 curl_address
}

@test "a rule for a name with a port holds at that port and at no other" {
    # Goal: the same for a name in the SNI.
    holds_at_port localhost s_client_unverified
    holds_at_port localhost python_unverified
}

@test "curl is held to a rule for a name with a port" {
    # Goal: curl gives OpenSSL a BIO of its own in place of the socket, and knows "localhost" without the resolver.
    holds_with_port localhost curl_unverified
}

@test "the name in the SNI is the target, whatever address it is sent to" {
    # Goal: "openssl s_client -servername" is held to the rule of that name, the second rule of the file.
    with_pins 'localhost deny' "www.pinned.example $PINNED"
    holds www.pinned.example 4 s_client_sni
}

@test "curl --resolve and --connect-to are held to the rule of the name in the URL" {
    # Goal: the name counts, not where the user sent the connection.
    with_pins 'localhost deny' "www.pinned.example $PINNED"
    holds www.pinned.example 4 curl_resolve
    holds www.pinned.example 4 curl_connect_to
}

@test "Python's server_hostname is the target" {
    # Goal: a name given to wrap_socket or asyncio and not to the resolver, verified or not.
    with_pins 'localhost deny' "www.pinned.example $PINNED"
    holds www.pinned.example 4 python_sni
    holds www.pinned.example 4 python_sni_unverified
    drops_alerts
    holds www.pinned.example 4 asyncio_sni
}
