#!/usr/bin/env bats
# Goal: with tls=required, programs that go on in plaintext where TLS was refused send nothing of it to a pinned target, and those that ask for TLS
# within a protocol are not disturbed.

# Every bats test is a subshell of its own: what one sets is meant for it alone. What is read and not set here is lib/programs'.
# shellcheck disable=SC2030,SC2031,SC2034,SC2153

load lib/programs

setup_file() {
    programs_lab
}

teardown_file() {
    lab_stop
}

# opportunist PROTOCOL NAME: a server with the certificate of NAME; sets $PORT and $CLEAR, the file of what it got in the clear
opportunist() {
    CLEAR=$(mktemp "$LAB/clear-XXXXXX")
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/opportunist.py" "$1" "$LAB/$2.pem" "$LAB/$2.key" "$CLEAR" >"$CLEAR.port" 2>/dev/null </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -s "$CLEAR.port"
    PORT=$(cat "$CLEAR.port")
}

# held SECRET PROTOCOL FUNCTION: the impostor gets SECRET in the clear with a pin alone, and with tls=required nothing but what may be said before TLS;
# the pinned server gets everything, by TLS.
held() {
    opportunist "$2" impostor
    pins "localhost spki-sha256:$PIN_GOOD"
    capture shim "$3"
    # On the same socket nothing more leaves after a refusal.
    if [ "${4:-}" = same-socket ]; then
        equals "$(count_lines refused)" 1
    else
        grep -qa "$1" "$CLEAR" || explain "nothing in the clear without tls=required"
    fi
    for pins in "localhost spki-sha256:$PIN_GOOD tls=required" "localhost:$PORT spki-sha256:$PIN_GOOD tls=required" \
        "127.0.0.1 spki-sha256:$PIN_GOOD tls=required"; do
        pins "$pins"
        : >"$CLEAR"
        capture shim "$3"
        ! grep -qa "$1" "$CLEAR" || explain "in the clear: $(cat -v "$CLEAR")"
        has "$(lines refused)" "$PINS:1"
    done
    opportunist "$2" good
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    PINSHIM_LOG_LEVEL=all capture shim "$3"
    equals "$(count_lines refused)" 0
    has "$(lines accepted)" "localhost:$PORT"
    ! grep -qa "$1" "$CLEAR" || explain "in the clear: $(cat -v "$CLEAR")"
}

# env has to start it
shim() {
    local command
    command=$(declare -f "$1" >/dev/null && "$1" || printf '%s' "$*")
    env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" PORT="$PORT" HOME="$BATS_TEST_TMPDIR" bash -c "$command"
}

psql_prefer() {
    # shellcheck disable=SC2016
    echo 'cd / && PGPASSWORD=hunter2 exec timeout 20 /usr/lib/postgresql/*/bin/psql "host=localhost port=$PORT user=bob dbname=d" -Atc "select 1"'
}

swaks_optional() {
    # shellcheck disable=SC2016
    echo 'exec timeout 20 swaks --server localhost --port "$PORT" --helo here --from a@localhost --to b@localhost --tls-optional --auth PLAIN --auth-user bob --auth-password hunter2'
}

fetchmail_unchecked() {
    # shellcheck disable=SC2016
    echo 'umask 077; echo "poll localhost protocol pop3 port $PORT user bob password hunter2 no sslcertck" >~/rc; cd ~; exec timeout 20 fetchmail -f rc --pidfile pid --nodetach -c'
}

@test "psql with its default sslmode sends no password in the clear" {
    held hunter2 postgres psql_prefer
}

@test "swaks --tls-optional sends no password in the clear" {
    held AGJvYgBodW50ZXIy smtp swaks_optional same-socket
}

@test "fetchmail without sslcertck sends no password in the clear" {
    held hunter2 pop3 fetchmail_unchecked
}

@test "a signal handler that interrupts malloc writes first on an inherited socket, or is refused" {
    local _
    opportunist pop3 good
    exec 7<>"/dev/tcp/127.0.0.1/$PORT"
    pins "localhost spki-sha256:$PIN_GOOD" "other.example spki-sha256:$PIN_GOOD tls=required"
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" "$PROGRAMS/interrupted" 7 60 3>&-
    equals "$OUT$ERR" '60 60'
    pins "localhost spki-sha256:$PIN_GOOD tls=required" "other.example spki-file:$LAB/good.pem"
    for _ in {1..20}; do
        exec 7<>"/dev/tcp/127.0.0.1/$PORT"
        capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" "$PROGRAMS/interrupted" 7 1 3>&-
        equals "$OUT $(count_lines refused)" '1 0 1'
    done
    exec 7>&-
}

@test "plaintext to a target that must have TLS is refused, and said once" {
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    local say='import socket, sys
s = socket.create_connection(("localhost", int(sys.argv[1])))
try:
    for i in range(3): s.sendall(b"GET / HTTP/1.1\r\n")
except PermissionError as e: print(e.errno)
except BrokenPipeError as e: print("broken")'
    opportunist smtp good
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c "$say" "$PORT"
    equals "$OUT" 13
    equals "$(count_lines refused)" 1
    has "$(lines refused)" "refused 127.0.0.1:$PORT: what is sent there is neither TLS nor a request to start it, and $PINS:1 says tls=required"
    equals "$(cat "$CLEAR")" ''
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" PINSHIM_UNJUDGED=allow /usr/bin/python3 -c "$say" "$PORT"
    equals "$OUT$ERR" ''
    for mode in PINSHIM_MODE=report PINSHIM_UNJUDGED=report; do
        capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" $mode /usr/bin/python3 -c "$say" "$PORT"
        equals "$OUT" ''
        equals "$(count_lines reported)" 1
    done
    pins "localhost spki-sha256:$PIN_GOOD tls=required mode=report"
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c "$say" "$PORT"
    equals "$OUT$(count_lines reported)" 1
    # curl does not ask libc for localhost. Another server, since what the first has got may come late.
    opportunist smtp good
    pins "localhost:$PORT spki-sha256:$PIN_GOOD tls=required"
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" curl -s --max-time 5 "http://localhost:$PORT/"
    equals "$(count_lines refused)" 1
    equals "$(cat "$CLEAR")" ''
    # Another port, and another host
    pins "localhost:1 spki-sha256:$PIN_GOOD tls=required" "other.example spki-sha256:$PIN_GOOD tls=required"
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c "$say" "$PORT"
    equals "$OUT$ERR" ''
}

@test "plaintext is refused on a socket that was connected before the program's seccomp filter forbids to ask what it is" {
    local sandbox=$BATS_TEST_DIRNAME/../build/programs/sandbox also
    pins "127.0.0.1 spki-sha256:$PIN_GOOD tls=required"
    for also in open stat; do
        opportunist smtp good
        capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" "$sandbox" "$PORT" prctl also=$also connect filter send=SECRET
        [ "$STATUS" -ne 77 ] || skip 'no seccomp filters here'
        equals "$OUT" 'not sent'
        equals "$(count_lines refused)" 1
        equals "$(cat "$CLEAR")" ''
        capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" PINSHIM_UNJUDGED=allow "$sandbox" "$PORT" prctl also=$also connect filter send=SECRET
        equals "$OUT" sent
    done
}

@test "a pins file that has become faulty says so where the last good one refuses plaintext" {
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    opportunist smtp good
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c '
import os, socket, ssl, sys
s = socket.create_connection(("localhost", int(sys.argv[1])))
with open(os.environ["PINSHIM_PINS"], "a") as pins: pins.write("nonsense\n")
ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
try: s.sendall(b"GET / HTTP/1.1\r\n")
except PermissionError: print("refused")' "$PORT"
    equals "$OUT" refused
    equals "$(count_lines refused)" 1
    has "$(lines fault)" "$PINS:2:"
}

@test "a server's sockets that get the descriptor of one that was closed unseen are not disturbed" {
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    opportunist smtp good
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c '
import os, socket, sys
s = socket.create_connection(("localhost", int(sys.argv[1])))
os.closerange(s.fileno(), s.fileno() + 1)
a, b = socket.socketpair()
for one in a, b:
    one.sendall(b"plaintext\n")
pipe = os.pipe()
os.write(pipe[1], b"plaintext\n")
# As some wake up their threads
listening = socket.create_server(("127.0.0.1", 0))
near = socket.create_connection(listening.getsockname())
far = listening.accept()[0]
for i in range(9): near.send(b"X")
print("fine")' "$PORT"
    equals "$OUT$ERR" fine
    # Nor are those that a program is started for.
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c '
import socket, subprocess
listening = socket.create_server(("127.0.0.1", 0))
near = socket.create_connection(listening.getsockname())
far = listening.accept()[0]
subprocess.run(["/bin/echo", "fine"], stdout=far)
subprocess.run("/bin/echo fine | cat", shell=True, stdout=far)
far.close()
print(near.makefile().read())'
    equals "$OUT$ERR" $'fine\nfine'
    # Nor are files and pipes, also after a proxy was asked.
    local request
    for request in '' $'CONNECT www.pinned.example:443 HTTP/1.1\r\n\r\n'; do
        [ -z "$request" ] || pins "www.pinned.example spki-sha256:$PIN_GOOD tls=required" '127.0.0.1 allow'
        capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c '
import os, socket, sys
pipe = os.pipe()
for path in "/dev/null", "/proc/self/fd/%d" % pipe[1]:
    for said in b"plaintext\n", b"GET http://www.pinned.example/ HTTP/1.0\r\n\r\n":
        s = socket.create_connection(("localhost", int(sys.argv[1])))
        if sys.argv[2]: s.sendall(sys.argv[2].encode())
        number = s.detach()
        os.closerange(number, number + 1)
        assert os.open(path, os.O_WRONLY) == number
        os.write(number, said)
        os.close(number)
        assert path == "/dev/null" or os.read(pipe[0], 99) == said
print("fine")' "$PORT" "$request"
        equals "$OUT$ERR" fine
    done
}

# MADE: python, for what needs no call that the shim sees: made(KIND), a socket; copied(SOCKET), another descriptor of it; lost(SOCKET), a descriptor that is closed
MADE='import ctypes, os, socket, ssl, sys
libc = ctypes.CDLL(None)
intel = os.uname().machine == "x86_64"
def made(kind):
    pair = (ctypes.c_int * 2)(-1, -1)
    if kind == "unix":
        assert libc.syscall(53 if intel else 199, socket.AF_UNIX, socket.SOCK_STREAM, 0, pair) == 0
        return pair[0], pair[1]
    return libc.syscall(41 if intel else 198, socket.AF_NETLINK, socket.SOCK_RAW, 0), None
def copied(s):
    return libc.syscall(438, itself, s.fileno(), 0) # pidfd_getfd
itself = os.pidfd_open(os.getpid())
def lost(s):
    number = s.detach()
    os.closerange(number, number + 1)
    return number
'

@test "sockets of other families that get the descriptor of one that was closed unseen, by calls that are not seen, are not disturbed" {
    local rule kind
    opportunist smtp good
    for rule in www.pinned.example localhost; do
        pins "$rule spki-sha256:$PIN_GOOD tls=required" '* allow'
        for kind in unix netlink; do
            # shellcheck disable=SC2016
            capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c "$MADE"'
for said in b"plaintext, and more\n", b"GET http://www.pinned.example/ HTTP/1.0\r\n\r\n":
    s = socket.create_connection(("localhost", int(sys.argv[1])))
    s.sendall(b"EHLO here\r\n" if sys.argv[3] == "localhost" else b"GET http:")
    number = lost(s)
    new, far = made(sys.argv[2])
    assert new == number
    assert os.write(new, said) == len(said)
    assert os.writev(new, [said, said]) == 2 * len(said)
    with open("/etc/passwd") as file: assert os.sendfile(new, file.fileno(), 0, 9) == 9
    os.close(new)
print("fine")' "$PORT" "$kind" "$rule"
            equals "$OUT$ERR" fine
        done
    done
}

@test "what TLS has begun on one connection does not stand for the next one that has its descriptor" {
    opportunist smtp good
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c "$MADE"'
other = socket.create_connection(("localhost", int(sys.argv[2])))
tls = ssl._create_unverified_context().wrap_socket(socket.create_connection(("localhost", int(sys.argv[1]))), server_hostname="localhost")
# The rest of the record never comes.
os.write(tls.fileno(), b"\x17\x03\x03\x3f\xffx")
number = lost(tls)
new = copied(other)
assert new == number
try: print("sent", os.write(new, b"AUTH PLAIN hunter2\r\n"))
except PermissionError: print("refused")' "$GOOD" "$PORT"
    equals "$OUT" refused
    has "$(lines refused)" "refused 127.0.0.1:$PORT: what is sent there is neither TLS nor a request to start it, and $PINS:1 says tls=required"
    equals "$(cat "$CLEAR")" ''
}

@test "through a proxy it is the host that the proxy was asked for" {
    local say='import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"CONNECT www.pinned.example:%d HTTP/1.1\r\n\r\n" % int(sys.argv[2]))
s.recv(4096)
try: s.sendall(sys.argv[3].encode() + b"\r\n"); print("sent")
except PermissionError: print("refused")'
    opportunist smtp good
    local server=$PORT
    relay "$server"
    pins "127.0.0.1 allow" "www.pinned.example:$server spki-sha256:$PIN_GOOD tls=required"
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c "$say" "$PORT" "$server" 'AUTH PLAIN hunter2'
    equals "$OUT" refused
    has "$(lines refused)" "refused www.pinned.example:$server: what is sent there"
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c "$say" "$PORT" "$server" 'EHLO here'
    equals "$OUT$ERR" sent
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c "$say" "$PORT" 1 'AUTH PLAIN hunter2'
    equals "$OUT$ERR" sent
}

@test "a proxy is not asked in plaintext for a host that must have TLS, and is for others" {
    local command url commands
    opportunist smtp good
    commands=('curl -s -m 10 -u bob:hunter2 -x http://127.0.0.1:@PORT@ @URL@'
        'curl -s -m 10 -T /etc/hostname -H "X: hunter2" -x http://127.0.0.1:@PORT@ @URL@'
        'wget -qO- -t 1 -T 1 --auth-no-challenge --user bob --password hunter2 -e http_proxy=http://127.0.0.1:@PORT@ @URL@'
        'http_proxy=http://127.0.0.1:@PORT@ git ls-remote @URL@/hunter2'
        "/usr/bin/python3 -c 'import urllib.request as r
r.install_opener(r.build_opener(r.ProxyHandler({\"http\": \"http://127.0.0.1:@PORT@\"})))
r.urlopen(r.Request(\"@URL@\", headers={\"X\": \"hunter2\"}), timeout=10)'"
        "exec 3<>/dev/tcp/127.0.0.1/@PORT@; printf 'GET @URL@/hunter2 HTTP/1.0\\r\\n\\r\\n' >&3; read -r -t 5 -u 3; read -r -t 5 -u 3; true"
        "exec 3<>/dev/tcp/127.0.0.1/@PORT@; /bin/echo 'get @URL@/hunter2 HTTP/1.0' >&3; read -r -t 5 -u 3; read -r -t 5 -u 3; true")
    for command in "${commands[@]}"; do
        for url in http://www.pinned.example http://www.pinned.example:8080 http://other.example; do
            : >"$CLEAR"
            pins "www.pinned.example spki-sha256:$PIN_GOOD tls=required" '127.0.0.1 allow'
            capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" timeout 20 bash -c "$(sed "s|@PORT@|$PORT|; s|@URL@|$url|" <<<"$command")"
            case $url in
            *other*)
                lab_wait grep -qa other.example "$CLEAR" || explain "did not arrive: $command"
                equals "$(count_lines '[a-z]+')" 0
                ;;
            *)
                sleep 0.2
                ! grep -qaE 'hunter2|pinned|Ym9i' "$CLEAR" || explain "$command: in the clear: $(cat -v "$CLEAR")"
                [ "$(count_lines refused)" -ge 1 ] || explain "no line: $command"
                has "$(lines refused)" "refused www.pinned.example:$([[ $url == *:8080 ]] && echo 8080 || echo 80): what is sent there through a proxy is neither TLS nor a request to start it, and $PINS:1 says tls=required"
                ;;
            esac
        done
        # It is only said where the rule only reports, and another port is another target.
        : >"$CLEAR"
        pins "www.pinned.example spki-sha256:$PIN_GOOD tls=required mode=report"
        capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" timeout 20 bash -c "$(sed "s|@PORT@|$PORT|; s|@URL@|http://www.pinned.example|" <<<"$command")"
        lab_wait grep -qa www.pinned.example "$CLEAR"
        [ "$(count_lines reported)" -ge 1 ] || explain "no line: $command"
        : >"$CLEAR"
        pins "www.pinned.example:443 spki-sha256:$PIN_GOOD tls=required"
        capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" timeout 20 bash -c "$(sed "s|@PORT@|$PORT|; s|@URL@|http://www.pinned.example|" <<<"$command")"
        lab_wait grep -qa www.pinned.example "$CLEAR"
        equals "$(count_lines '[a-z]+')" 0
    done
}

@test "a later request on the same connection to a proxy is held as well, whatever call sends it, and nothing follows" {
    local how
    opportunist smtp good
    pins "www.pinned.example spki-sha256:$PIN_GOOD tls=required"
    for how in write writev sendmsg dup makefile; do
        : >"$CLEAR"
        capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c '
import os, socket, sys
how, s = sys.argv[1], socket.create_connection(("127.0.0.1", int(sys.argv[2])))
fd = os.dup(s.fileno()) if how == "dup" else s.fileno()
def give(text):
    if how == "writev": os.writev(fd, [text[:9], text[9:]])
    elif how == "sendmsg": s.sendmsg([b"", text])
    elif how == "makefile":
        with s.makefile("wb") as file: file.write(text)
    else: os.write(fd, text)
give(b"GET http://other.example/ HTTP/1.1\r\n\r\n")
give(b"body of something else\r\n")
# Each of the three lines is answered.
got = b""
while got.count(b"ok") < 3: got += s.recv(4096)
try: give(b"POST ws://bob:hunter2@www.pinned.example/ HTTP/1.1\r\n\r\nhunter2")
except PermissionError: print("refused")
try: give(b"hunter2")
except OSError: print("gone")' "$how" "$PORT"
        equals "$OUT" $'refused\ngone'
        lab_wait grep -qa 'something else' "$CLEAR"
        ! grep -qa hunter2 "$CLEAR" || explain "$how: in the clear: $(cat -v "$CLEAR")"
        equals "$(count_lines refused)" 1
    done
}

@test "copies of the descriptor, stdio and other spellings of the address are held as well" {
    local how
    opportunist smtp good
    pins "127.0.0.1 spki-sha256:$PIN_GOOD tls=required"
    for how in plain dup dup2 fcntl any fastopen sendfile splice passed forked unseen records alert lines '/dev/tcp' cat echo git fdopen putc_unlocked; do
        : >"$CLEAR"
        case $how in
        /dev/tcp) capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" bash -c "exec 3<>/dev/tcp/127.0.0.1/$PORT; printf 'AUTH PLAIN secret\r\n' >&3" ;;
        # The child's own descriptor, and its standard output
        cat) capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" bash -c "exec 3<>/dev/tcp/127.0.0.1/$PORT; printf 'AUTH PLAIN secret\r\n' | cat >&3" ;;
        echo) capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" bash -c "exec 3<>/dev/tcp/127.0.0.1/$PORT; exec /bin/echo AUTH PLAIN secret >&3" ;;
        git) capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" timeout 20 git ls-remote "git://127.0.0.1:$PORT/secret" ;;
        fdopen) capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" "$PROGRAMS/says" "$PORT" secret ;;
        putc_unlocked) capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" "$PROGRAMS/says" "$PORT" secret putc_unlocked ;;
        *) capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c '
import ctypes, fcntl, os, socket, struct, sys
how, port = sys.argv[1], int(sys.argv[2])
secret = b"AUTH PLAIN secret\r\n"
s = socket.socket()
if how == "fastopen":
    try: s.sendto(secret, socket.MSG_FASTOPEN, ("127.0.0.1", port))
    except PermissionError: print("refused")
    sys.exit()
if how == "forked":
    if os.fork() == 0:
        s.connect(("127.0.0.1", port))
        os._exit(0)
    os.wait()
elif how == "unseen":
    to = struct.pack("=HH4sQ", socket.AF_INET, socket.htons(port), bytes([127, 0, 0, 1]), 0)
    getattr(ctypes.CDLL(None), "__connect")(s.fileno(), to, len(to))
else: s.connect(("0.0.0.0" if how == "any" else "127.0.0.1", port))
fd = s.fileno()
if how == "passed":
    ends = socket.socketpair(socket.AF_UNIX)
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-c", "import os, socket; fd = socket.recv_fds(socket.socket(fileno=%d), 1, 1)[1][0]\ntry: os.write(fd, %r)\nexcept PermissionError: print(\"refused\")" % (os.dup2(ends[1].fileno(), 60, True), secret)])
    socket.send_fds(ends[0], [b"x"], [fd])
    os.wait()
    sys.exit()
if how == "dup": fd = os.dup(fd)
if how == "dup2": fd = os.dup2(fd, 77)
if how == "fcntl": fd = fcntl.fcntl(fd, fcntl.F_DUPFD, 50)
os.write(fd, b"EHLO here\r\n")
# What looks like TLS, of which nothing has begun, and a request that comes after so many as nobody has
if how == "records": secret = b"\x17\3\3\0\6secret"
if how == "alert": secret = b"\x15\3\3\0\6secret"
if how == "lines":
    os.write(fd, b"EHLO here\r\n" * 15)
    secret = b"EHLO secret\r\n"
file = open(os.environ["PINSHIM_PINS"] + "-secret", "w+b", 0)
file.write(secret)
pipe = os.pipe()
os.write(pipe[1], secret)
try:
    if how == "sendfile": os.sendfile(fd, file.fileno(), 0, len(secret))
    elif how == "splice": os.splice(pipe[0], fd, len(secret))
    else: os.write(fd, secret)
except PermissionError: print("refused")' "$how" "$PORT"
            equals "$OUT" refused ;;
        esac
        sleep 0.2
        ! grep -qa secret "$CLEAR" || explain "$how: in the clear: $(cat -v "$CLEAR")"
        equals "$(count_lines refused)" 1
    done
}

@test "after TLS has begun nothing but records leaves, however they are cut" {
    local goes_on='
import os, socket, ssl, sys
s = socket.create_connection(("localhost", int(sys.argv[1])))
answers = s.makefile("rb", 0)
for line in b"", b"EHLO here\r\n", b"STARTTLS\r\n":
    s.sendall(line)
    while answers.readline()[3:4] == b"-": pass
answers.close()
first = os.dup(s.fileno())
if sys.argv[2] == "elsewhere":
    # Another process has the ClientHello sent.
    if os.fork() == 0:
        t = ssl._create_unverified_context().wrap_socket(s, server_hostname="localhost")
        t.detach()
        os._exit(0)
    os.wait()
elif sys.argv[2] != "hello": t = ssl._create_unverified_context().wrap_socket(s, server_hostname="localhost"); t.sendall(b"NOOP\r\n"); s = t
fd = first if sys.argv[2] in ("before", "elsewhere") else os.dup(s.detach())
if fd == first: os.write(fd, b"\x17\3\3\0\5hello")
hello = b"\x16\3\1\0\4\1ell"
try: os.write(fd, (hello if sys.argv[2] == "hello" else b"") + b"AUTH PLAIN secret\r\n")
except PermissionError: print("refused")'
    opportunist smtp good
    pins "localhost spki-sha256:$PIN_GOOD" '@unknown allow'
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" /usr/bin/python3 -c "$goes_on" "$PORT" after
    equals "$OUT$ERR" ''
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    for how in after hello before elsewhere; do
        capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" timeout 20 /usr/bin/python3 -c "$goes_on" "$PORT" $how
        equals "$OUT" refused
        has "$(lines refused)" 'says tls=required'
    done
    # A server that reads slowly, and a client that sends as much as it can.
    capture env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" timeout 60 /usr/bin/python3 -c '
import select, socket, ssl, sys, threading, time
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(sys.argv[1] + ".pem", sys.argv[1] + ".key")
listening = socket.create_server(("127.0.0.1", 0))
listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
got = []
def serve():
    s = server.wrap_socket(listening.accept()[0], server_side=True)
    while True:
        data = s.recv(100000)
        if not data: return
        got.append(len(data))
        time.sleep(0.0005)
thread = threading.Thread(target=serve)
thread.start()
raw = socket.socket()
raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5000)
raw.connect(listening.getsockname())
s = ssl._create_unverified_context().wrap_socket(raw, server_hostname="localhost")
s.setblocking(False)
data, waits = memoryview(bytes(20000000)), 0
while data:
    try: data = data[s.send(data[:100000]):]
    except ssl.SSLWantWriteError: waits += 1; select.select([], [s], [])
s.setblocking(True)
s.shutdown(socket.SHUT_WR)
thread.join()
print(sum(got), waits > 100)' "$LAB/good"
    equals "$OUT$ERR" '20000000 True'
}

@test "programs that resolve in a forked child send no password in the clear" {
    [ "$(id -u)" -eq 0 ] || skip 'needs root'
    local browser
    printf '%s\n' '127.0.0.1 localhost plain.example' >"$BATS_TEST_TMPDIR/hosts"
    opportunist smtp impostor
    for browser in links lynx; do
        for pins in 'plain.example deny' "plain.example spki-sha256:$PIN_GOOD tls=required"; do
            pins "$pins"
            : >"$CLEAR"
            # shellcheck disable=SC2016
            capture unshare --mount sh -c 'mount --bind "$0/hosts" /etc/hosts && HOME=$0 exec "$@"' "$BATS_TEST_TMPDIR" \
                env LD_PRELOAD="$SHIM_SO" PINSHIM_PINS="$PINS" timeout 3 $browser -dump "http://plain.example:$PORT/hunter2"
            if [[ $pins == *tls=required ]]; then
                ! grep -qa hunter2 "$CLEAR" || explain "$browser in the clear: $(cat -v "$CLEAR")"
                has "$(lines refused)" 'says tls=required'
            else
                grep -qa hunter2 "$CLEAR" || explain "$browser: nothing in the clear without tls=required"
            fi
        done
    done
}

@test "s-nail, which was not told to use TLS, sends no password" {
    snail() {
        # shellcheck disable=SC2016
        echo 'echo hello | exec timeout 20 s-nail -n -S v15-compat -S mta=smtp://bob:hunter2@localhost:$PORT -S smtp-auth=plain -S from=a@localhost -s s b@localhost'
    }
    opportunist smtp good
    pins "localhost spki-sha256:$PIN_GOOD"
    capture shim snail
    grep -qa AGJvYgBodW50ZXIy "$CLEAR" || explain "nothing in the clear without tls=required: $(cat -v "$CLEAR")"
    : >"$CLEAR"
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    capture shim snail
    ! grep -qa AGJvYgBodW50ZXIy "$CLEAR" || explain "in the clear: $(cat -v "$CLEAR")"
    equals "$(count_lines refused)" 1
}

settled() {
    grep -q status=sent "$BOX/log" || [ "$(grep -c status=deferred "$BOX/log")" -gt 2 ]
}

# postfix_may: sends a mail through the server at $PORT, with TLS if that works; its log goes to $LOGGED, the shim's to $SAID. CHROOTED: from within its queue
# directory
postfix_may() {
    # Where Postfix's own user may search.
    BOX=$(mktemp -d /tmp/postfix-XXXXXX) && cp "$PINS" "$BOX/pins" && chmod 755 "$BOX" && : >"$BOX/shim" && chmod 666 "$BOX/shim"
    postfix_box "$BOX" "[localhost]:$PORT" may native "LD_PRELOAD=$SHIM_SO PINSHIM_PINS=$BOX/pins PINSHIM_LOG=$BOX/shim" \
        'minimal_backoff_time = 1s' 'queue_run_delay = 1s'
    if [ -n "${CHROOTED:-}" ]; then
        sed -i 's/^smtp unix - - n/smtp unix - - y/' "$BOX/conf/master.cf"
        mkdir -p "$BOX/queue/etc" && cp /etc/hosts /etc/services "$BOX/queue/etc"
    fi
    postfix -c "$BOX/conf" start >"$BOX/out" 2>&1 3>&- || explain "$(cat "$BOX/out" "$BOX/log")"
    printf 'Subject: hello\n\nhunter2\n' | sendmail -C "$BOX/conf" -f a@here.example b@there.example
    # It goes on in plaintext when it tries again.
    # Where a run of the queue meets the mail before it is done with, Postfix may leave it for a while.
    lab_wait settled || { postqueue -c "$BOX/conf" -f && lab_wait settled; } || cat "$BOX/log"
    postfix -c "$BOX/conf" stop >"$BOX/out" 2>&1 || true
    SAID=$(cat "$BOX/shim") LOGGED=$(cat "$BOX/log")
    rm -rf "$BOX"
}

@test "Postfix with opportunistic TLS sends no mail in the clear" {
    [ "$(id -u)" -eq 0 ] || skip 'needs root'
    local bin=$PATH
    PATH=/usr/sbin:$PATH
    opportunist smtp impostor
    pins "localhost spki-sha256:$PIN_GOOD"
    postfix_may
    grep -qa hunter2 "$CLEAR" || explain "nothing in the clear without tls=required: $(cat -v "$CLEAR") $LOGGED"
    : >"$CLEAR"
    # In its queue directory, as Debian has it, it reaches neither the pins nor the log.
    CHROOTED=y postfix_may
    has "$SAID" "refused localhost:$PORT: no pin of"
    : >"$CLEAR"
    pins "localhost spki-sha256:$PIN_GOOD tls=required"
    postfix_may
    ! grep -qa hunter2 "$CLEAR" || explain "in the clear: $(cat -v "$CLEAR")"
    has "$SAID" 'says tls=required'
    opportunist smtp good
    postfix_may
    has "$LOGGED" 'status=sent'
    ! grep -qa hunter2 "$CLEAR" || explain "in the clear: $(cat -v "$CLEAR")"
    PATH=$bin
}

@test "what a program sends to a proxy that it has asked is held, though a ClientHello stands behind it" {
    local client=$BATS_TEST_TMPDIR/client.py
    cat >"$client" <<'EOF'
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing, server_hostname="www.asked.example")
try:
    tls.do_handshake()
except ssl.SSLWantReadError:
    pass
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as proxy:
    proxy.sendall(b"CONNECT www.asked.example:443 HTTP/1.1\r\n\r\n")
    proxy.sendall(b"secret" + outgoing.read())
EOF
    relay "$IMPOSTOR"
    pins "www.asked.example spki-sha256:$PIN_GOOD tls=required"
    capture shim /usr/bin/python3 "$client" "$PORT"
    has "$(lines refused)" 'says tls=required'
    run -1 grep -a secret "$RELAYED"
    capture bare /usr/bin/python3 "$client" "$PORT"
    lab_wait grep -qa secret "$RELAYED"
}
