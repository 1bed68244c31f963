#!/usr/bin/env bats
# Goal: a connection through a proxy is judged as the host and port that the proxy was asked for, however it was asked, and never as the proxy.

# Every bats test is a subshell of its own: what one sets is meant for it alone. What is read and not set here is lib/programs'.
# shellcheck disable=SC2030,SC2031,SC2153

load lib/programs

setup_file() {
    programs_lab
    PATHS=$BATS_TEST_DIRNAME/../build/paths
    relay "$IMPOSTOR"
    TO_IMPOSTOR=$PORT
    relay "$GOOD"
    TO_GOOD=$PORT
    unwrap "$TO_IMPOSTOR" impostor
    TLS_TO_IMPOSTOR=$PORT
    unwrap "$TO_GOOD" impostor
    TLS_TO_GOOD=$PORT
    export PATHS TO_IMPOSTOR TO_GOOD TLS_TO_IMPOSTOR TLS_TO_GOOD
}

teardown_file() {
    lab_stop
}

# through RULE-TARGET COMMAND...: the client, in which @PROXY@ stands for the port of a proxy, reaches the good server, and is refused the
# impostor; by $VIA_GOOD and $VIA_IMPOSTOR these are other proxies
through() {
    local target=$1 good=${VIA_GOOD:-$TO_GOOD} impostor=${VIA_IMPOSTOR:-$TO_IMPOSTOR}
    shift
    accepted "${@//@PROXY@/$good}"
    has "$OUT" 'hello from good'
    refused "${@//@PROXY@/$impostor}"
    lacks "$OUT" 'hello from'
    has "$LINE" "refused $target: no pin of $PINS:1 matched"
}

# asks [WORD...]: build/paths/proxy, which names nothing to OpenSSL and asks for 192.0.2.7
asks() {
    through 192.0.2.7:443 "$PATHS/proxy" 127.0.0.1 @PROXY@ nameless host=192.0.2.7 "$@"
}

curl_by() {
    through "${TARGET:-192.0.2.7:443}" curl -sk --noproxy '' "$@" "https://${TARGET:-192.0.2.7}/"
}

with_password() {
    relay "$IMPOSTOR" auth
    VIA_IMPOSTOR=$PORT
    relay "$GOOD" auth
    VIA_GOOD=$PORT
}

@test "curl's target decides through proxies of every kind, where it names none to OpenSSL" {
    local proxy
    pins "192.0.2.7 spki-sha256:$PIN_GOOD" '127.0.0.1 deny'
    for proxy in http socks4 socks4a socks5 socks5h; do
        curl_by -x "$proxy://127.0.0.1:@PROXY@"
    done
    curl_by -p -x "http://localhost:@PROXY@"
}

@test "curl's target decides through a proxy that asks for a password" {
    pins "192.0.2.7:443 spki-sha256:$PIN_GOOD"
    with_password
    curl_by --proxy-anyauth --proxy-user me:secret -x "http://127.0.0.1:@PROXY@"
    curl_by --proxy-digest --proxy-user me:secret -x "http://127.0.0.1:@PROXY@"
    curl_by --proxy-user me:secret -x "socks5h://127.0.0.1:@PROXY@"
    # Of one letter: it could be the type of a message of GSS-API.
    curl_by --proxy-user u:secret -x "socks5://127.0.0.1:@PROXY@"
}

@test "curl's target decides through a proxy that is spoken to over TLS, and the proxy is judged as itself" {
    pins "192.0.2.7:443 spki-sha256:$PIN_GOOD"
    VIA_GOOD=$TLS_TO_GOOD VIA_IMPOSTOR=$TLS_TO_IMPOSTOR curl_by --proxy-insecure -x "https://127.0.0.1:@PROXY@"
    pins '127.0.0.1 deny'
    refused curl -sk --noproxy '' --proxy-insecure -x "https://127.0.0.1:$TLS_TO_GOOD" https://192.0.2.7/
    has "$LINE" "refused 127.0.0.1:$TLS_TO_GOOD: $PINS:1 says deny"
}

@test "curl's target decides through a proxy at a UNIX socket" {
    local name
    pins "192.0.2.7:443 spki-sha256:$PIN_GOOD"
    curl -sk --noproxy '' -x socks5h://localhost/nowhere https://192.0.2.7/ 2>&1 | grep -q 'resolve proxy' && skip 'this curl knows no such proxies'
    for name in good impostor; do
        relay "$([ $name = good ] && echo "$GOOD" || echo "$IMPOSTOR")" auth "unix=$BATS_TEST_TMPDIR/$name"
    done
    VIA_GOOD=$BATS_TEST_TMPDIR/good VIA_IMPOSTOR=$BATS_TEST_TMPDIR/impostor curl_by -x socks5h://localhost@PROXY@
}

@test "the target of other programs decides through a proxy" {
    local kind request="printf 'GET / HTTP/1.0\r\n\r\n'"
    pins "192.0.2.7:443 spki-sha256:$PIN_GOOD"
    accepted openssl s_client -brief -proxy "127.0.0.1:$TO_GOOD" -connect 192.0.2.7:443
    refused openssl s_client -brief -proxy "127.0.0.1:$TO_IMPOSTOR" -connect 192.0.2.7:443
    for kind in http socks4 socks5; do
        through 192.0.2.7:443 bash -c "$request | ncat --ssl --proxy 127.0.0.1:@PROXY@ --proxy-type $kind 192.0.2.7 443 | grep hello"
    done
    # It hands OpenSSL memory, and the proxy's socket to no one.
    through 192.0.2.7:443 /usr/bin/python3 -c '
import asyncio, ssl, sys
class Speaks(asyncio.Protocol):
    def __init__(self): self.done, self.got = asyncio.get_running_loop().create_future(), b""
    def data_received(self, data):
        self.got += data
        if b"\r\n\r\n" in self.got and not self.done.done() and self.got.startswith(b"HTTP/1.1 200"): self.done.set_result(None)
    def connection_lost(self, why):
        if not self.done.done(): self.done.set_exception(why or OSError("lost"))
async def main():
    loop = asyncio.get_running_loop()
    plain, speaks = await loop.create_connection(Speaks, "127.0.0.1", int(sys.argv[1]))
    plain.write(b"CONNECT 192.0.2.7:443 HTTP/1.1\r\n\r\n")
    await speaks.done
    speaks.done, speaks.got = loop.create_future(), b""
    tls = await loop.start_tls(plain, speaks, ssl._create_unverified_context(), server_hostname="")
    tls.write(b"GET / HTTP/1.0\r\n\r\n")
    try: await asyncio.wait_for(speaks.done, 10)
    except OSError: pass
    print(speaks.got.decode())
asyncio.run(main())' @PROXY@
}

@test "the target of a program under proxychains or torsocks decides" {
    local kind way name
    command -v proxychains4 torsocks || skip 'neither is here'
    pins "192.0.2.7:443 spki-sha256:$PIN_GOOD"
    for kind in http socks4 socks5; do
        for way in "$TO_GOOD" "$TO_IMPOSTOR"; do
            printf '%s\n' strict_chain proxy_dns '[ProxyList]' "$kind 127.0.0.1 $way" >"$BATS_TEST_TMPDIR/chain-$way"
        done
        through 192.0.2.7:443 proxychains4 -q -f "$BATS_TEST_TMPDIR/chain-@PROXY@" curl -sk https://192.0.2.7/
    done
    through 192.0.2.7:443 torsocks -a 127.0.0.1 -P @PROXY@ curl -sk https://192.0.2.7/
}

@test "the target decides, whatever call sends the request, whole or in pieces" {
    local by
    pins "192.0.2.7 spki-sha256:$PIN_GOOD"
    for by in write send sendto writev sendmsg fprintf fprintf_chk fputs fputs_unlocked fwrite fwrite_unlocked fputc putc dprintf dprintf_chk; do
        asks by=$by
        asks by=$by pieces=7
        [[ $by == *writev || $by == sendmsg ]] || asks by=$by pieces=1
    done
}

@test "the target decides for each protocol, also where the proxy leads to another" {
    local how
    pins "192.0.2.7:443 spki-sha256:$PIN_GOOD" 'proxy.example deny'
    for how in connect four four-a five five-address; do
        asks ask=$how
        asks ask=$how pieces=1
    done
    with_password
    asks ask=five-password
    asks ask=five-password pieces=1
    asks again
    asks again pieces=1 by=fputs
    relay "$IMPOSTOR" chain
    VIA_IMPOSTOR=$PORT
    relay "$GOOD" chain
    VIA_GOOD=$PORT
    for how in connect four-a five; do
        asks chain ask=$how
    done
}

@test "the target decides on another descriptor of the connection, in a child, and after the one that asked was closed" {
    pins "192.0.2.7 spki-sha256:$PIN_GOOD"
    asks on=dup
    asks on=dup pieces=1
    asks on=fork
    asks on=passed
    asks by=fputs fclose
    asks by=fprintf fclose on=fork
}

@test "the target decides where a forked child has asked for it and ended" {
    local how
    pins "192.0.2.7 spki-sha256:$PIN_GOOD"
    for how in connect four five; do
        asks child ask=$how
        asks child ask=$how pieces=1
    done
    asks child by=fprintf
    asks child on=dup
    asks child on=fork
    # And where a proxy was asked for another host before, or a child has asked for the next one.
    with_password
    asks again child
}

@test "the target decides where the request is in small letters or comes after an empty line" {
    local how
    pins "192.0.2.7 spki-sha256:$PIN_GOOD"
    for how in small after-line 'small after-line'; do
        # shellcheck disable=SC2086 # words
        asks $how
        # shellcheck disable=SC2086
        asks $how pieces=1
        # shellcheck disable=SC2086
        asks $how by=fputc
    done
}

@test "the target decides where the proxy is spoken to over TLS, by a chain of BIOs or through memory" {
    pins "192.0.2.7:443 spki-sha256:$PIN_GOOD"
    VIA_GOOD=$TLS_TO_GOOD VIA_IMPOSTOR=$TLS_TO_IMPOSTOR
    asks tls
    asks tls pieces=1
    asks tls memory
    asks tls memory cut=5
    asks tls memory cut=43
    # A name that has no rule does not count instead.
    VIA_GOOD=$TLS_TO_GOOD VIA_IMPOSTOR=$TLS_TO_IMPOSTOR through 192.0.2.7:443 "$PATHS/proxy" 127.0.0.1 @PROXY@ sni=shared.example host=192.0.2.7 tls memory cut=7
    pins 'proxy.example deny'
    refused "$PATHS/proxy" 127.0.0.1 "$TLS_TO_GOOD" tls
}

@test "the target is remembered among 20,000 other connections to proxies" {
    pins "192.0.2.7 spki-sha256:$PIN_GOOD"
    /usr/bin/python3 -c '
import socket
listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
print(listener.getsockname()[1], flush=True)
while True: listener.accept()[0].close()' >"$LAB/sink" 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$LAB/sink"
    asks others=20000 "others-port=$(cat "$LAB/sink")"
    asks others=20000 "others-port=$(cat "$LAB/sink")" on=dup
}

@test "what was asked on a connection before says nothing of the next one, whatever becomes of its descriptor" {
    local how
    pins "127.0.0.1:$IMPOSTOR spki-sha256:$PIN_GOOD" '192.0.2.7 allow'
    for how in closed fclosed dissolved replaced; do
        refused "$PATHS/proxy" 127.0.0.1 "$TO_GOOD" nameless host=192.0.2.7 reuse=$how "direct=$IMPOSTOR"
        has "$LINE" "refused 127.0.0.1:$IMPOSTOR: no pin of $PINS:1 matched"
    done
}

# unseen CLOSE GET PROXY SERVER: a client that asks a proxy for 192.0.2.7, closes that socket by CLOSE, which the shim does not see, has the same descriptor
# again by GET, for a connection to the server, and speaks TLS there without a name. With `dissolve` it is the same socket, too.
unseen() {
    "${UNSEEN_BY:-refused}" /usr/bin/python3 -c '
import ctypes, fcntl, os, socket, ssl, struct, subprocess, sys
how, get, proxy, server = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
libc = ctypes.CDLL(None)
here, there = socket.socketpair()
listening = socket.create_server(("127.0.0.1", 0))
other = socket.create_connection(("127.0.0.1", server))
socket.send_fds(there, [b"x"], [other.fileno()])
if get == "accept":
    # Who connects here is another program, which leads to the server.
    subprocess.Popen([sys.executable, "-c", """
import socket, sys, threading
near, far = (socket.create_connection(("127.0.0.1", int(port))) for port in sys.argv[1:])
def pump(a, b):
    while data := a.recv(65536): b.sendall(data)
    b.shutdown(socket.SHUT_WR)
threading.Thread(target=pump, args=(far, near), daemon=True).start()
pump(near, far)""", str(listening.getsockname()[1]), str(server)], env={}, stderr=subprocess.DEVNULL)
itself = os.pidfd_open(os.getpid())
asked = socket.create_connection(("127.0.0.1", proxy))
asked.sendall(b"CONNECT 192.0.2.7:443 HTTP/1.1\r\n\r\n")
asked.recv(100)
number = asked.detach()
{"dissolve": lambda: libc.syscall(42 if os.uname().machine == "x86_64" else 203, number, bytes(16), 16), "closerange": lambda: os.closerange(number, number + 1), "close_range": lambda: libc.close_range(number, number, 0),
    "closefrom": lambda: libc.closefrom(number), "syscall": lambda: libc.syscall(3 if os.uname().machine == "x86_64" else 57, number)}[how]()
if get == "accept":
    new = listening.accept()[0].detach()
elif get == "passed":
    new = socket.recv_fds(here, 1, 1)[1][0]
elif get == "dup":
    new = os.dup(other.fileno())
elif get == "getfd":
    new = libc.syscall(438, itself, other.fileno(), 0) # pidfd_getfd
elif get == "fcntl":
    new = fcntl.fcntl(other.fileno(), fcntl.F_DUPFD, 0)
else:
    calls = (41, 42) if os.uname().machine == "x86_64" else (198, 203)
    to = struct.pack("=H", socket.AF_INET) + struct.pack(">H", server) + socket.inet_aton("127.0.0.1") + bytes(8)
    new = number if how == "dissolve" else libc.syscall(calls[0], socket.AF_INET, socket.SOCK_STREAM, 0)
    assert libc.syscall(calls[1], new, to, len(to)) == 0
assert new == number
tls = ssl._create_unverified_context().wrap_socket(socket.socket(fileno=new))
tls.send(b"GET / HTTP/1.0\r\n\r\n")
print(tls.recv(1000).decode())' "$@"
}

@test "what was asked on a socket that was closed unseen says nothing of the next one that has its descriptor" {
    local how get
    for how in dissolve closerange close_range closefrom syscall; do
        for get in accept passed dup fcntl getfd syscall; do
            [ $how != dissolve ] || [ $get = syscall ] || continue
            pins "127.0.0.1 spki-sha256:$PIN_GOOD" '192.0.2.7 allow'
            unseen $how $get "$TO_GOOD" "$IMPOSTOR"
            has "$LINE" "refused 127.0.0.1:"
            has "$LINE" "no pin of $PINS:1 matched"
            pins "127.0.0.1 spki-sha256:$PIN_GOOD" '192.0.2.7 deny'
            UNSEEN_BY=accepted unseen $how $get "$TO_GOOD" "$GOOD"
        done
    done
}

@test "what is asked on the descriptor by which a ClientHello was sent, and that is another socket's by now, says nothing of it" {
    pins "127.0.0.1:$IMPOSTOR spki-sha256:$PIN_GOOD" '192.0.2.7 allow'
    refused /usr/bin/python3 -c '
import socket, ssl, sys
server, proxy = int(sys.argv[1]), int(sys.argv[2])
near = socket.create_connection(("127.0.0.1", server))
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = ssl._create_unverified_context().wrap_bio(incoming, outgoing)
def turn(call):
    global near
    while True:
        try: result = call()
        except ssl.SSLWantReadError: result = None
        data = outgoing.read()
        if data: near.sendall(data)
        if result is not None: return result
        data = near.recv(65536)
        other()
        incoming.write(data)
done = False
def other():
    # It goes on by another descriptor, and its number becomes that of a connection to a proxy.
    global near, done, asked
    if done: return
    done = True
    number = near.fileno()
    copy = near.dup()
    near.close()
    asked = socket.create_connection(("127.0.0.1", proxy))
    assert asked.fileno() == number
    asked.sendall(b"CONNECT 192.0.2.7:443 HTTP/1.1\r\n\r\n")
    asked.recv(100)
    near = copy
turn(lambda: tls.do_handshake() or True)
turn(lambda: tls.write(b"GET / HTTP/1.0\r\n\r\n"))
print(turn(lambda: tls.read(1000)).decode())' "$IMPOSTOR" "$TO_GOOD"
    has "$LINE" "refused 127.0.0.1:$IMPOSTOR: no pin of $PINS:1 matched"
}

@test "a proxy's own name, address and port have no say in what is behind it" {
    local host
    for host in localhost 127.0.0.1; do
        pins "www.pinned.example:443 spki-sha256:$PIN_GOOD" "$host deny" "www.pinned.example:$TO_GOOD deny" "www.pinned.example:$TO_IMPOSTOR allow"
        TARGET=www.pinned.example through www.pinned.example:443 curl -sk --noproxy '' -x "http://$host:@PROXY@" https://www.pinned.example/
        through www.pinned.example:443 /usr/bin/python3 -c '
import http.client, ssl, sys
connection = http.client.HTTPSConnection(sys.argv[1], int(sys.argv[2]), context=ssl._create_unverified_context(), timeout=20)
connection.set_tunnel("www.pinned.example", 443)
connection.request("GET", "/")
sys.stdout.write(connection.getresponse().read().decode())' $host @PROXY@
    done
}

@test "the name that a proxy was asked for is a target beside the name in the SNI" {
    pins "www.pinned.example:443 spki-sha256:$PIN_GOOD"
    through www.pinned.example:443 "$PATHS/proxy" 127.0.0.1 @PROXY@ sni=other.example
    through www.pinned.example:443 "$PATHS/proxy" 127.0.0.1 @PROXY@ nameless
    pins "other.example spki-sha256:$PIN_GOOD" 'www.pinned.example allow'
    through other.example:443 "$PATHS/proxy" 127.0.0.1 @PROXY@ sni=other.example
}

@test "a request that cannot be read leaves the rules of the address and all those of the name in force" {
    pins "www.pinned.example:1 spki-sha256:$PIN_GOOD" "www.pinned.example:$TO_IMPOSTOR allow"
    through www.pinned.example "$PATHS/proxy" 127.0.0.1 @PROXY@ malformed
    pins "127.0.0.1 spki-sha256:$PIN_GOOD"
    refused "$PATHS/proxy" 127.0.0.1 "$TO_IMPOSTOR" malformed
    has "$LINE" "no pin of $PINS:1 matched"
    # Of a client without a name nothing is known.
    pins "unrelated.example spki-sha256:$PIN_GOOD"
    refused "$PATHS/proxy" 127.0.0.1 "$TO_GOOD" malformed nameless
    has "$LINE" 'refused unknown target: unidentifiable'
    pins "@unknown spki-sha256:$PIN_GOOD"
    accepted "$PATHS/proxy" 127.0.0.1 "$TO_GOOD" malformed nameless
    refused "$PATHS/proxy" 127.0.0.1 "$TO_IMPOSTOR" malformed nameless
}

@test "a ClientHello that no judged library has made is held to the target, too, and not to the proxy" {
    pins "192.0.2.7:443 spki-sha256:$PIN_GOOD"
    local client=(wget -qO- --no-check-certificate -e use_proxy=yes https://192.0.2.7/ -e)
    refused "${client[@]}" "https_proxy=http://127.0.0.1:$TO_IMPOSTOR"
    has "$LINE" 'refused 192.0.2.7:443: '
    pins '127.0.0.1 deny' '192.0.2.7 allow'
    accepted "${client[@]}" "https_proxy=http://127.0.0.1:$TO_GOOD"
    has "$OUT" 'hello from good'
}
