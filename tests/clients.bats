#!/usr/bin/env bats
# Goal: the TLS clients that people really run, as Debian ships them, are held to the pins: with the object preloaded each gets
# the good server's answer and refuses an impostor whose chain is valid, whether or not it verifies anything itself.
# "holds" (lib/helper.bash) does each call three times: bare with the impostor, to see the attack work; preloaded with the good
# server; preloaded with the impostor. It does so with nginx and with "openssl s_server", over TLS 1.2 and TLS 1.3.
# Not here: wget and lynx, which Debian builds with GnuTLS.

bats_require_minimum_version 1.5.0
load lib/helper

setup_file() {
    export BATS_TEST_TIMEOUT=${PINSHIM_TEST_TIMEOUT:-60}
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
s_client_verified() { s_client_at "localhost:$1" "$2" -CAfile "$CA" -verify_return_error -verify_hostname localhost; }
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
asyncio_verified() { python asyncio_http.py localhost "$1" verify "$2"; }
asyncio_unverified() { python asyncio_http.py localhost "$1" noverify "$2"; }
asyncio_sni() { python asyncio_http.py 127.0.0.1 "$1" verify "$2" www.pinned.example; }
asyncio_address() { python asyncio_http.py 127.0.0.1 "$1" verify "$2"; }

ruby_verified() { client ruby "$CLIENTS/http.rb" localhost "$1" verify "$2" "$CA"; }
ruby_unverified() { client ruby "$CLIENTS/http.rb" localhost "$1" noverify "$2" "$CA"; }

perl_socket_verified() { client perl "$CLIENTS/socket.pl" localhost "$1" verify "$2" "$CA"; }
perl_socket_unverified() { client perl "$CLIENTS/socket.pl" localhost "$1" noverify "$2" "$CA"; }
perl_tiny_verified() { client perl "$CLIENTS/tiny.pl" localhost "$1" verify "$2" "$CA"; }
perl_tiny_unverified() { client perl "$CLIENTS/tiny.pl" localhost "$1" noverify "$2" "$CA"; }
perl_lwp_verified() { client perl "$CLIENTS/lwp.pl" localhost "$1" verify "$2" "$CA"; }
perl_lwp_unverified() { client perl "$CLIENTS/lwp.pl" localhost "$1" noverify "$2" "$CA"; }

php_streams_verified() { client php "$CLIENTS/streams.php" localhost "$1" verify "$2" "$CA"; }
php_streams_unverified() { client php "$CLIENTS/streams.php" localhost "$1" noverify "$2" "$CA"; }
php_curl_verified() { client php "$CLIENTS/curl.php" localhost "$1" verify "$2" "$CA"; }
php_curl_unverified() { client php "$CLIENTS/curl.php" localhost "$1" noverify "$2" "$CA"; }

socat_at() { # TARGET VERSION OPTIONS
    request | client socat -t 10 - "OPENSSL:$1,openssl-min-proto-version=TLS$2,openssl-max-proto-version=TLS$2,$3"
}
socat_verified() { socat_at "localhost:$1" "$2" "verify=1,cafile=$CA"; }
socat_unverified() { socat_at "localhost:$1" "$2" verify=0; }
socat_nameless() { socat_at "localhost:$1" "$2" verify=0,no-sni=1; }

# ncat cannot be told the version of TLS. A recent one may lose the answer when its input has ended.
ncat_at() { { request && sleep 0.3; } | client ncat "$@"; }
ncat_verified() { ncat_at --ssl-verify --ssl-trustfile "$CA" localhost "$1"; }
ncat_unverified() { ncat_at --ssl localhost "$1"; }

w3m_at() { # PORT VERSION [OPTION...]
    local port=$1 version=$2
    shift 2
    # A version is reached by forbidding what is above (7 is TLS 1.3) or below; Debian 11's has no option for that.
    [ "$version" != 1.2 ] || set -- -o ssl_forbid_method=7 "$@"
    ! grep -aq ssl_min_version "$(command -v w3m)" || set -- -o "ssl_min_version=TLSv$version" "$@"
    client w3m -dump "$@" "https://localhost:$port/"
}
w3m_verified() { w3m_at "$1" "$2" -o ssl_verify_server=1 -o "ssl_ca_file=$CA"; }
w3m_unverified() { w3m_at "$1" "$2" -o ssl_verify_server=0; }

# One test for each client

@test "curl refuses an impostor whose chain is valid" {
    # Goal: curl's own verification, which the impostor passes, is not the last word.
    holds localhost 3 curl_verified
}

@test "curl -k refuses an impostor whose chain is valid" {
    # Goal: the pins hold where the user switched verification off.
    holds localhost 3 curl_unverified
}

@test "openssl s_client refuses an impostor whose chain is valid" {
    # Goal: a client with a verify callback and an expected name of its own is held to the pins.
    holds localhost 3 s_client_verified
}

@test "openssl s_client refuses an impostor though it ignores verification errors" {
    # Goal: a verify callback that lets everything pass does not let the impostor pass.
    holds localhost 3 s_client_unverified
}

@test "Python's http.client refuses an impostor whose chain is valid" {
    # Goal: a verifying client on a socket with a timeout is held to the pins.
    holds localhost 3 python_verified
}

@test "Python's http.client with an unverified context refuses an impostor" {
    # Goal: the pins hold under CERT_NONE.
    holds localhost 3 python_unverified
}

@test "Python's asyncio refuses an impostor whose chain is valid" {
    # Goal: TLS over memory BIOs, where OpenSSL has no socket, is held to the pins.
    drops_alerts
    holds localhost 3 asyncio_verified
}

@test "Python's asyncio with an unverified context refuses an impostor" {
    # Goal: over memory BIOs the name in the SNI is enough.
    drops_alerts
    holds localhost 3 asyncio_unverified
}

@test "Ruby's Net::HTTP with VERIFY_PEER refuses an impostor whose chain is valid" {
    # Goal: a library that loads OpenSSL as a plugin is held to the pins.
    holds localhost 3 ruby_verified
}

@test "Ruby's Net::HTTP with VERIFY_NONE refuses an impostor" {
    # Goal: the same without verification.
    holds localhost 3 ruby_unverified
}

@test "Perl's IO::Socket::SSL refuses an impostor whose chain is valid" {
    # Goal: Net::SSLeay's verify callback does not stand in the way.
    holds localhost 3 perl_socket_verified
}

@test "Perl's IO::Socket::SSL with SSL_VERIFY_NONE refuses an impostor" {
    # Goal: the same without verification.
    holds localhost 3 perl_socket_unverified
}

@test "Perl's HTTP::Tiny refuses an impostor, verifying or not" {
    # Goal: the HTTP client that comes with Perl is held to the pins. It rejects the headers of s_server, pins or no pins.
    with_servers 'nginx 1.2' 'nginx 1.3'
    holds localhost 3 perl_tiny_verified
    holds localhost 3 perl_tiny_unverified
}

@test "Perl's LWP refuses an impostor whose chain is valid" {
    # Goal: LWP, which reads without blocking, is held to the pins.
    holds localhost 3 perl_lwp_verified
}

@test "Perl's LWP without verification refuses an impostor" {
    # Goal: the same without verification.
    holds localhost 3 perl_lwp_unverified
}

@test "PHP's streams refuse an impostor whose chain is valid" {
    # Goal: PHP's own TLS code, which checks the name itself after the handshake, is held to the pins.
    holds localhost 3 php_streams_verified
}

@test "PHP's streams with verify_peer off refuse an impostor" {
    # Goal: the same without verification.
    holds localhost 3 php_streams_unverified
}

@test "PHP's curl extension refuses an impostor whose chain is valid" {
    # Goal: an extension loaded with RTLD_DEEPBIND, which looks past preloaded objects, is held to the pins.
    holds localhost 3 php_curl_verified
}

@test "PHP's curl extension without verification refuses an impostor" {
    # Goal: the same without verification.
    holds localhost 3 php_curl_unverified
}

@test "socat with verify=1 refuses an impostor whose chain is valid" {
    # Goal: a tool that carries bytes for others is held to the pins.
    holds localhost 3 socat_verified
}

@test "socat with verify=0 refuses an impostor" {
    # Goal: the same without verification.
    holds localhost 3 socat_unverified
}

@test "ncat --ssl-verify refuses an impostor whose chain is valid" {
    # Goal: non-blocking handshakes of an event library are held to the pins.
    with_servers 'nginx 1.3' 's_server 1.2' 's_server 1.3'
    may_exit '0|1' # ncat's write after the server closed may fail
    insists # with OpenSSL 1.1.1
    holds localhost 3 ncat_verified
}

@test "ncat --ssl refuses an impostor" {
    # Goal: the same without verification.
    with_servers 'nginx 1.3' 's_server 1.2' 's_server 1.3'
    may_exit '0|1'
    insists
    holds localhost 3 ncat_unverified
}

@test "w3m refuses an impostor whose chain is valid" {
    # Goal: a browser that checks the chain itself after the handshake is held to the pins.
    complains_with "Can't load https://localhost:"
    holds localhost 3 w3m_verified
}

@test "w3m without verification refuses an impostor" {
    # Goal: the same without verification.
    complains_with "Can't load https://localhost:"
    holds localhost 3 w3m_unverified
}

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
