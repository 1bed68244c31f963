#!/usr/bin/env bats
# Goal: programs that resolve names by themselves and give OpenSSL none are held to the rule of the name: by what they read from their name server, and under
# torsocks and proxychains by what they asked for. Each reaches the impostor without the shim. In a network of its own, where port 53 is free.

# Every bats test is a subshell of its own: what one sets is meant for it alone. What is read and not set here is lib/programs'.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154

load lib/programs

setup_file() {
    local name
    export BATS_TEST_TIMEOUT=${SHIM_TEST_TIMEOUT:-60} NO_NETWORK=
    NO_NETWORK=$(unshare --net --mount true 2>&1) || return 0
    chmod 0755 "$BATS_RUN_TMPDIR"
    lab_make "$BATS_FILE_TMPDIR/lab"
    lab_network
    lab_nginx good
    export LAB GOOD=$PORT
    lab_nginx impostor
    export IMPOSTOR=$PORT
    started names good="$GOOD" impostor="$IMPOSTOR" /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/nameserver.py"
    lab_wait lab_listens 53
    started other_names /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/nameserver.py" 5353
    started socks /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/socks.py"
    lab_wait lab_listens 9050
    for name in postgres smtp+starttls; do
        started "$name" /usr/bin/python3 "$BATS_TEST_DIRNAME/clients/server.py" "$LAB" "$name"
        lab_wait test -s "$LAB/$name"
    done
}

# started NAME [NAME=VALUE...] COMMAND...: until the end of the file, within its network; what it prints goes to $LAB/NAME
started() {
    $LAB_INSIDE env "${@:2}" >"$LAB/$1" 2>"$LAB/$1.err" </dev/null 3>&- &
    echo $! >>"$LAB/pids"
}

teardown_file() {
    [ -n "$NO_NETWORK" ] || lab_stop
}

setup() {
    [ -z "$NO_NETWORK" ] || skip "no network namespace: ${NO_NETWORK#unshare: }"
    cd "$BATS_TEST_TMPDIR" || return 1
    PIN_GOOD=$(lab_spki "$LAB/good.pem")
    # As others than root see it.
    chmod 0755 .
}

inside() { $LAB_INSIDE env "${preload[@]}" timeout 20 "$@"; }

# server PORT COMMAND... -- ASKING...: within the network, a program that listens at PORT and connects when it is asked; then it is ended
server() {
    local listening=$1 pid status=0 command=()
    shift
    while [ "$1" != -- ]; do command+=("$1") && shift; done
    $LAB_INSIDE env "${preload[@]}" "${command[@]}" >server.out 2>&1 3>&- &
    pid=$!
    lab_wait lab_listens "$listening"
    $LAB_INSIDE timeout 20 "${@:2}" || status=$?
    kill "$pid"
    wait "$pid" || true
    return "$status"
}

# turn [NAME=VALUE...] COMMAND...: run it with this in the environment of what it runs; $SAID is what was printed, $LOGGED what the shim had to say
turn() {
    preload=()
    while [[ $1 == *=* ]]; do preload+=("$1") && shift; done
    rm -f log && : >log && chmod 0666 log
    capture "$@"
    SAID=$OUT LOGGED=$(<log)
}

# held HOST FUNCTION [GOOD IMPOSTOR]: FUNCTION gets the body of the server at the port that it is given; by the rule of HOST, not the impostor's. $FIRST and $LAST
# are objects to preload before the shim and after it.
held() {
    local good=${3:-$GOOD} impostor=${4:-$IMPOSTOR} under
    pins "$1 sha256//$PIN_GOOD"
    under=("PINSHIM_PINS=$PINS" "PINSHIM_LOG=$PWD/log" "LD_PRELOAD=${FIRST:+$FIRST }$SHIM_SO${LAST:+ $LAST}")
    turn "LD_PRELOAD=${FIRST:-}${LAST:-}" "$2" "$impostor"
    has "$SAID" 'hello from impostor'
    turn "${under[@]}" "$2" "$good"
    has "$SAID" 'hello from good'
    equals "$LOGGED" ''
    turn "${under[@]}" "$2" "$impostor"
    lacks "$SAID" 'hello from'
    has "$LOGGED" ": refused $1"
    has "$LOGGED" ": no pin of $PINS:1 matched"
}

# asks OPTION...: the program that asks in all ways
asks() { held "${NAME:-www.pinned.example}" asking; }
asking() { inside "${PATHS:-$BATS_TEST_DIRNAME/../build/paths}/asks" "$1" "${options[@]}"; }

@test "the resolver's functions of libc tell the name, by each of their names" {
    local by
    for by in {,__}res_{,n}{query,search,querydomain,send}; do
        options=("by=$by") && asks
    done
}

@test "each function that receives tells the name, from datagrams and from pieces of a stream" {
    local by
    for by in recv recvfrom recvmsg recvmmsg read readv __recv_chk __recvfrom_chk __read_chk; do
        options=("by=$by") && asks
        options=("by=$by" stream) && asks
        options=("by=$by" stream apart) && asks
    done
}

@test "each function that sends a question is seen, connected or not" {
    local with
    for with in send sendto sendmsg sendmmsg write writev; do
        options=("with=$with") && asks
    done
    for with in send sendmsg sendmmsg write writev fastopen; do
        options=("with=$with" stream) && asks
    done
    # At whatever port.
    options=(server=5353) && asks
}

@test "a program for musl is held as well: by libc's functions, and by what it reads and sends itself" {
    local how
    PATHS=$BATS_TEST_DIRNAME/../build/musl/paths
    for how in by=res_{query,search,querydomain,send} by=recv{,from,msg,mmsg} by=read{,v} with=send{,to,msg,mmsg} with=write{,v}; do
        options=("$how") && asks
    done
    options=(by=read stream) && asks
    resolving() { inside "$PATHS/resolved" 127.0.0.1 "$1"; }
    held www.pinned.example resolving
}

@test "an answer counts for the name that was asked for, not for the one that it gives" {
    pins "www.pinned.example sha256//$PIN_GOOD"
    options=(name=liar.pinned.example)
    turn "PINSHIM_PINS=$PINS" "PINSHIM_LOG=$PWD/log" "LD_PRELOAD=$SHIM_SO" asking "$IMPOSTOR"
    has "$SAID" 'hello from impostor'
    NAME=liar.pinned.example asks
}

nginx_to() {
    mkdir -p nginx
    cat >nginx.conf <<CONF
daemon off; pid $PWD/nginx/pid; error_log $PWD/nginx/error.log info; user nobody nogroup; worker_processes 2;
events { worker_connections 64; }
http {
    access_log off; client_body_temp_path $PWD/nginx/1; proxy_temp_path $PWD/nginx/2; fastcgi_temp_path $PWD/nginx/3; uwsgi_temp_path $PWD/nginx/4;
    scgi_temp_path $PWD/nginx/5;
    resolver 127.0.0.1 ipv6=off;
    server { listen 127.0.0.1:8080; location / { set \$to $name; proxy_pass https://\$to:$1; } }
}
CONF
    server 8080 nginx -c "$PWD/nginx.conf" -- curl -s http://127.0.0.1:8080/
}

@test "what another peer sends on the descriptor of a socket that was closed unseen answers nothing that was asked there" {
    local how
    pins "www.pinned.example sha256//$PIN_GOOD"
    for how in seen stream closed; do
        preload=("PINSHIM_PINS=$PINS" "LD_PRELOAD=$SHIM_SO")
        # shellcheck disable=SC2016
        capture inside /usr/bin/python3 -c '
import ctypes, os, socket, ssl, struct, sys
how, port = sys.argv[1], int(sys.argv[2])
libc = ctypes.CDLL(None)
itself = os.pidfd_open(os.getpid())
stream = how == "stream"
kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
server, other = (socket.create_server(("127.0.0.1", 0)) if stream else socket.socket(type=kind) for i in range(2))
for one in (server, other) if not stream else ():
    one.bind(("127.0.0.1", 0))
apart = socket.socket(type=kind)
apart.connect(other.getsockname())
asking = socket.socket(type=kind)
asking.connect(server.getsockname())
name = b"\3www\6pinned\7example\0" + struct.pack(">HH", 1, 1)
question = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + name
answer = struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0) + name + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton("127.0.0.1")
if stream:
    question, answer = (struct.pack(">H", len(one)) + one for one in (question, answer))
asking.send(question)
number = asking.fileno()
if how == "seen":
    server.sendto(answer, asking.getsockname())
else:
    number = asking.detach()
    os.closerange(number, number + 1)
    assert libc.syscall(438, itself, apart.fileno(), 0) == number # pidfd_getfd
    if stream:
        other.accept()[0].send(answer)
    else:
        other.sendto(answer, apart.getsockname())
assert os.read(number, 512) == answer
tls = ssl._create_unverified_context().wrap_socket(socket.create_connection(("127.0.0.1", port)))
tls.send(b"GET / HTTP/1.0\r\n\r\n")
print(tls.recv(1000).decode())' "$how" "$IMPOSTOR"
        if [ "$how" = seen ]; then
            has "$(lines refused)" "refused www.pinned.example:$IMPOSTOR: no pin of $PINS:1 matched"
        else
            equals "$how $(count_lines refused)" "$how 0"
            has "$OUT" 'hello from impostor'
        fi
    done
}

@test "nginx with a resolver is held to the name in proxy_pass" {
    name=www.pinned.example
    held "$name" nginx_to
}

@test "nginx whose name server answers over TCP is held" {
    name=stream.pinned.example
    held "$name" nginx_to
}

haproxy_to() {
    local line="$to:$1"
    [[ $to != _* ]] || line=${to/PORT/$([ "$1" = "$GOOD" ] && echo good || echo impostor)}
    cat >haproxy.cfg <<CFG
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
    retries 0
resolvers dns
    nameserver one $transport
    accepted_payload_size 8192
frontend in
    bind 127.0.0.1:8080
    default_backend out
backend out
    server-template s 1 $line ssl verify none resolvers dns resolve-prefer ipv4 init-addr none check inter 500ms
CFG
    # shellcheck disable=SC2016 # the inner shell's
    server 8080 haproxy -W -f "$PWD/haproxy.cfg" -- bash -c 'for _ in $(seq 40); do curl -sf http://127.0.0.1:8080/ && exit; grep -q refused "$0" && exit 1; sleep 0.1; done' "$PWD/log"
}

@test "haproxy with resolvers is held to its server's name" {
    to=www.pinned.example transport=127.0.0.1:53
    held "$to" haproxy_to
}

@test "haproxy whose name server is asked over TCP is held" {
    to=www.pinned.example transport=tcp@127.0.0.1:53
    held "$to" haproxy_to
}

@test "haproxy is held to the name of a host that an SRV record gives" {
    to=_https._tcp.PORT.pinned.example transport=127.0.0.1:53
    held node.pinned.example haproxy_to
}

pgbouncer_to() {
    printf '%s\n' '[databases]' "* = host=$name port=$1 user=u" '[pgbouncer]' 'listen_addr = 127.0.0.1' 'listen_port = 6432' 'auth_type = any' 'user = nobody' \
        'unix_socket_dir =' 'server_connect_timeout = 3' 'query_wait_timeout = 3' 'server_tls_sslmode = require' >pgbouncer.ini
    server 6432 pgbouncer "$PWD/pgbouncer.ini" -- /usr/lib/postgresql/*/bin/psql 'host=127.0.0.1 port=6432 user=u dbname=d sslmode=disable' -Atc 'select 1'
}

@test "pgbouncer, which resolves with c-ares, is held to its server's name" {
    read -r good impostor _ <"$LAB/postgres"
    name=www.pinned.example
    held "$name" pgbouncer_to "$good" "$impostor"
    # From /etc/hosts.
    name=listed.pinned.test
    held "$name" pgbouncer_to "$good" "$impostor"
}

postfix_to() {
    local box=$PWD/postfix
    rm -rf "$box"
    postfix_box "$box" "$relay:$1" encrypt dns "${preload[*]}"
    $LAB_INSIDE postfix -c "$box/conf" start >postfix.out 2>&1
    printf 'Subject: hello\n\nhello\n' | $LAB_INSIDE sendmail -C "$box/conf" -f a@here.example b@there.example
    lab_wait grep -q 'status=' "$box/log" || cat "$box/log" >&2
    # What the server at this port got.
    ! grep -q 'status=sent' "$box/log" || echo "hello from $(tail -n 1 "$LAB/smtp+starttls")"
    $LAB_INSIDE postfix -c "$box/conf" stop >postfix.out 2>&1
}

@test "Postfix is held to the name of the relay that it looks up, and of the relay's mail server" {
    read -r good impostor _ <"$LAB/smtp+starttls"
    relay='[mx.pinned.example]' && held mx.pinned.example postfix_to "$good" "$impostor"
    relay='pinned.example' && held mx.pinned.example postfix_to "$good" "$impostor"
}

@test "torsocks and proxychains: a client is held to the name that it asked for, though its socket leads to the proxy" {
    printf '%s\n' strict_chain proxy_dns '[ProxyList]' 'socks5 127.0.0.1 9050' >proxychains.conf
    export PROXYCHAINS_QUIET_MODE=1 PROXYCHAINS_CONF_FILE=$PWD/proxychains.conf
    nameless() { inside openssl s_client -quiet -noservername -connect "www.pinned.example:$1" < <(printf 'GET / HTTP/1.0\r\n\r\n' && sleep 1); }
    LAST=$(ls /usr/lib/*/torsocks/libtorsocks.so)
    held www.pinned.example nameless
    LAST=$(ls /usr/lib/*/libproxychains.so.4)
    held www.pinned.example nameless
}

python_to() { inside /usr/bin/python3 "$BATS_TEST_DIRNAME/clients/resolving.py" "$1" "$way"; }

@test "a client with dnspython is held, over UDP, TCP and asynchronously" {
    for way in udp tcp async copy split; do held www.pinned.example python_to; done
}

perl_to() { inside perl "$BATS_TEST_DIRNAME/clients/resolving.pl" "$1" "$way"; }

@test "a client with Net::DNS is held, over UDP and TCP" {
    for way in udp tcp; do held www.pinned.example perl_to; done
}

ruby_to() { inside ruby "$BATS_TEST_DIRNAME/clients/resolving.rb" "$1" "$name"; }

@test "a client with Ruby's Resolv is held, over UDP and TCP" {
    for name in www.pinned.example stream.pinned.example; do held "$name" ruby_to; done
}

# coap_at CERTIFICATE: a CoAP server that shows it; the port of its DTLS goes into $PORT
coap_at() {
    PORT=$(lab_free_port)
    started "coap-$1" coap-server-openssl -A 10.9.9.9 -p $((PORT - 1)) -c "$LAB/$1.pem" -j "$LAB/$1.key" -n
    preload=()
    lab_wait inside coap-client-openssl -n -R "$LAB/ca.pem" -B 1 "coaps://10.9.9.9:$PORT/"
}

coap_to() {
    local server=good
    [ "$1" = "$good" ] || server=impostor
    inside "coap-client-$library" "${trust[@]}" -B 3 "coaps://sensor.pinned.test:$1/" | sed -n "s/.*test server made with libcoap.*/hello from $server/p"
}

@test "libcoap's client, which sends \"localhost\" to every host, is held to the rule of the name that it resolved" {
    local good impostor library trust
    command -v coap-client-openssl >/dev/null && command -v coap-client-gnutls >/dev/null || skip 'libcoap3-bin is not installed'
    $LAB_INSIDE ip addr add 10.9.9.9/32 dev lo
    echo '10.9.9.9 sensor.pinned.test' >>"$LAB/hosts"
    coap_at good && good=$PORT
    coap_at impostor && impostor=$PORT
    for library in openssl gnutls; do
        trust=() && held sensor.pinned.test coap_to "$good" "$impostor"
        trust=(-R "$LAB/ca.pem") && held sensor.pinned.test coap_to "$good" "$impostor"
    done
    # A rule for localhost is asked as well.
    pins "localhost sha256//$PIN_GOOD"
    turn "PINSHIM_PINS=$PINS" "PINSHIM_LOG=$PWD/log" "LD_PRELOAD=$SHIM_SO" coap_to "$impostor"
    has "$LOGGED" ': refused localhost'
}
