"""A good server and an impostor, over TLS 1.3 and over TLS 1.2, that speak as much of a protocol as its clients need to be content.

usage: server.py LAB PROTOCOL[+starttls]; shows LAB/good.pem and LAB/impostor.pem. Its first line has the ports: good and impostor over TLS 1.3,
good and impostor over TLS 1.2. Each line after that is an event: NAME VERSION, and "handshake" (finished), "data" (decrypted bytes),
"failed" and why, or "plain" and what a client said without TLS beside the beginnings that the protocol has.
"""
import re
import socket
import ssl
import struct
import sys
import threading


class Peer:
    """The other side of one connection."""

    def __init__(self, plain, name, version, context):
        self.socket, self.name, self.version, self.context = plain, name, version, context
        self.secure, self.buffer = False, b""

    def event(self, *words):
        # One write a line: the connections are threads.
        sys.stdout.write(" ".join((self.name, self.version) + words) + "\n")
        sys.stdout.flush()

    def begin_tls(self):
        self.socket = self.context.wrap_socket(self.socket, server_side=True)
        self.secure, self.buffer = True, b""
        self.event("handshake")

    def more(self):
        """Read once; an end of the stream ends the conversation."""
        # Where TLS is still to come, nothing of it is to be taken.
        data = self.socket.recv(65536 if self.secure else 1)
        if not data:
            raise EOFError
        if self.secure:
            self.event("data", str(len(data)))
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        return self.take(self.buffer.index(mark) + len(mark))

    def send(self, data):
        self.socket.sendall(data)

    def hello(self):
        return f"hello from {self.name}\n".encode()


# Protocols of lines: a greeting, then (what a line matches, the answer). {0} is the line's first word, {name} the server's name. STARTTLS stands
# for "after this answer, TLS", END for "after this one, the end".
STARTTLS, END = object(), object()
LINES = {
    "smtp": (
        "220 {name} ready\r\n",
        (r"EHLO|LHLO", "250-{name}\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"),
        (r"HELO", "250 {name}\r\n"),
        (r"STARTTLS", "220 go\r\n", STARTTLS),
        (r"AUTH", "235 welcome\r\n"),
        (r"DATA", "354 go on\r\n"),
        (r"QUIT", "221 bye\r\n", END),
        (r"(MAIL|RCPT|RSET|NOOP|\.\r)", "250 fine\r\n"),
        (r"", ""),  # the message's lines
    ),
    "imap": (
        "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] {name} ready\r\n",
        (r"\S+ STARTTLS", "{0} OK begin\r\n", STARTTLS),
        (r"\S+ CAPABILITY", "* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n{0} OK\r\n"),
        (r"\S+ AUTHENTICATE \S+\r", "+ \r\n"),
        (r"\S+ (SELECT|EXAMINE)", "* FLAGS ()\r\n* 0 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] .\r\n* OK [UIDNEXT 1] .\r\n{0} OK [READ-WRITE] .\r\n"),
        (r"\S+ (LIST|LSUB)", '* LIST () "/" INBOX\r\n{0} OK\r\n'),
        (r"\S+ STATUS", "* STATUS INBOX (MESSAGES 0 RECENT 0 UNSEEN 0 UIDNEXT 1)\r\n{0} OK\r\n"),
        (r"\S+ (UID )?SEARCH", "* SEARCH\r\n{0} OK\r\n"),
        (r"\S+ LOGOUT", "* BYE\r\n{0} OK\r\n", END),
        (r"\S+ \S+", "{0} OK\r\n"),
        (r"", "a OK\r\n"),
    ),
    "pop3": (
        "+OK {name} ready\r\n",
        (r"STLS", "+OK begin\r\n", STARTTLS),
        (r"CAPA", "+OK\r\nSTLS\r\nUSER\r\nUIDL\r\n.\r\n"),
        (r"AUTH\r", "-ERR none\r\n"),
        (r"STAT", "+OK 0 0\r\n"),
        (r"(LIST|UIDL)", "+OK\r\n.\r\n"),
        (r"QUIT", "+OK bye\r\n", END),
        (r"", "+OK\r\n"),
    ),
    "nntp": (
        "200 {name} ready\r\n",
        (r"STARTTLS", "382 begin\r\n", STARTTLS),
        (r"CAPABILITIES", "101 here\r\nVERSION 2\r\nREADER\r\nSTARTTLS\r\n.\r\n"),
        (r"MODE", "200 fine\r\n"),
        (r"GROUP", "211 0 1 0 {name}\r\n"),
        (r"(LIST|NEWGROUPS)", "215 here\r\n.\r\n"),
        (r"QUIT", "205 bye\r\n", END),
        (r"", "500 what\r\n"),
    ),
    "ftp": (
        "220 {name} ready\r\n",
        (r"AUTH TLS", "234 go\r\n", STARTTLS),
        (r"USER", "331 and the password\r\n"),
        (r"PASS", "230 welcome\r\n"),
        (r"PWD", '257 "/"\r\n'),
        (r"QUIT", "221 bye\r\n", END),
        (r"(PBSZ|PROT|TYPE|OPTS|NOOP|CWD)", "200 fine\r\n"),
        (r"", "502 no\r\n"),
    ),
    "irc": (
        "",
        (r"CAP LS", ":{name} CAP * LS :\r\n"),
        (r"USER", ":{name} 001 u :hello from {name}\r\n:{name} 376 u :end\r\n"),
        (r"PING", ":{name} PONG {name} :x\r\n"),
        (r"QUIT", "ERROR :bye\r\n", END),
        (r"", ""),
    ),
}
# What a client says before STARTTLS, beside that.
BEGINNINGS = re.compile(rb"EHLO|HELO|STARTTLS|\S+ STARTTLS|\S+ CAPABILITY|\S+ (ID|NOOP|LOGOUT)|CAPA|STLS|MODE|AUTH TLS|AUTH SSL|QUIT|FEAT|RSET|NOOP", re.I)


def lines(peer, protocol):
    greeting, *answers = LINES[protocol]
    peer.send(greeting.format(name=peer.name).encode())
    while True:
        line = peer.until(b"\n")
        if not peer.secure and not BEGINNINGS.match(line):
            peer.event("plain", repr(line))
        text = line.decode("latin-1")
        for pattern, answer, *then in answers:
            if re.match(pattern, text, re.I):
                break
        words = text.split() or [""]
        peer.send(answer.format(words[0], name=peer.name).encode())
        if re.match(r"\S+ AUTHENTICATE \S+\r", text, re.I):
            peer.until(b"\n")
            peer.send(f"{words[0]} OK\r\n".encode())
        if END in then:
            return
        if STARTTLS in then:
            peer.begin_tls()


def dns_answer(query):
    """To any question: 192.0.2.1."""
    end = query.index(b"\0", 12) + 5
    return query[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, 1, 0, 0) + query[12:end] + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\xc0\0\2\1"


def http(peer):
    while True:
        head = peer.until(b"\r\n\r\n")
        length = re.search(rb"^Content-Length: *(\d+)", head, re.I | re.M)
        body = peer.take(int(length.group(1)) if length else 0)
        if head.startswith(b"CONNECT"):
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            continue
        answer, kind = peer.hello(), b"text/plain"
        if b"application/dns-message" in head:
            answer, kind = dns_answer(body), b"application/dns-message"
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (kind, len(answer)))
        peer.send(b"" if head.startswith(b"HEAD") else answer)
        return


def h2(peer):
    def frame(kind, flags, stream, payload=b""):
        peer.send(struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload)

    peer.take(24)
    frame(4, 0, 0)
    body = b""
    while True:
        length, kind, flags, stream = struct.unpack(">IBBI", b"\0" + peer.take(9))
        payload = peer.take(length)
        if kind == 4 and not flags & 1:
            frame(4, 1, 0)
        elif kind == 7:
            return
        if kind == 0:
            body += payload
        if kind in (0, 1) and flags & 1:
            answer = dns_answer(body) if body else peer.hello()
            media = b"\x0f\x10\x17application/dns-message" if body else b""
            frame(1, 4, stream, b"\x88" + media)
            frame(0, 1, stream, answer)
            body = b""


def dns(peer):
    while True:
        (length,) = struct.unpack(">H", peer.take(2))
        answer = dns_answer(peer.take(length))
        peer.send(struct.pack(">H", len(answer)) + answer)


def mqtt(peer):
    while True:
        kind = peer.take(1)[0] >> 4
        length, shift = 0, 0
        while True:
            byte = peer.take(1)[0]
            length += (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = peer.take(length)
        if kind == 1:
            peer.send(b"\x20\2\0\0")
        elif kind == 8:
            peer.send(b"\x90\3" + body[:2] + b"\0")
        elif kind == 12:
            peer.send(b"\xd0\0")
        elif kind == 14:
            return


def postgres(peer):
    def message(kind, payload):
        return kind + struct.pack(">I", len(payload) + 4) + payload

    ready = message(b"Z", b"I")
    while True:
        (length,) = struct.unpack(">I", peer.take(4))
        start = peer.take(length - 4)
        if start == b"\x04\xd2\x16\x30":  # GSSAPI
            peer.send(b"N")
        elif start == b"\x04\xd2\x16\x2f":
            peer.send(b"S")
            peer.begin_tls()
        else:
            break
    if not peer.secure:
        peer.event("plain", repr(start))
    version = message(b"S", b"server_version\0" b"15.0\0") + message(b"S", b"client_encoding\0UTF8\0")
    peer.send(message(b"R", b"\0\0\0\0") + version + message(b"K", b"\0" * 8) + ready)
    while True:
        kind = peer.take(1)
        (length,) = struct.unpack(">I", peer.take(4))
        peer.take(length - 4)
        if kind == b"X":
            return
        if kind == b"Q":
            text = peer.hello().strip()
            column = b"\0\1said\0" + struct.pack(">IHIHIH", 0, 0, 25, 0xFFFF, 0xFFFFFFFF, 0)
            row = struct.pack(">HI", 1, len(text)) + text
            peer.send(message(b"T", column) + message(b"D", row) + message(b"C", b"SELECT 1\0") + ready)


def mysql(peer):
    def packet(number, payload):
        return struct.pack("<I", len(payload))[:3] + bytes((number,)) + payload

    def read():
        head = peer.take(4)
        return head[3], peer.take(struct.unpack("<I", head[:3] + b"\0")[0])

    capabilities = 0x000FAA0F  # with SSL, secure connection, plugin authentication
    peer.send(packet(0, b"\x0a5.5.5-10.11.0-MariaDB\0\1\0\0\0" + b"12345678\0" + struct.pack("<HBHHB", capabilities & 0xFFFF, 33, 2, capabilities >> 16, 21)
                     + b"\0" * 10 + b"123456789012\0mysql_native_password\0"))
    number, login = read()
    if len(login) == 32:
        peer.begin_tls()
        number, login = read()
    else:
        peer.event("plain", repr(login))
    fine = b"\0\0\0\2\0\0\0"
    peer.send(packet(number + 1, fine))
    while True:
        number, command = read()
        if command[:1] == b"\1":
            return
        if command[:1] != b"\3" or not re.match(rb"\3\s*select", command, re.I):
            peer.send(packet(number + 1, fine))
            continue
        text = peer.hello().strip()
        end = b"\xfe\0\0\2\0"
        column = b"\3def\0\0\0\4said\0\x0c\x21\0\xff\0\0\0\xfd\0\0\0\0\0"
        answers = (b"\1", column, end, bytes((len(text),)) + text, end)
        peer.send(b"".join(packet(number + 1 + i, answer) for i, answer in enumerate(answers)))


def redis(peer):
    while True:
        peer.until(b"\r\n")
        peer.buffer = b""
        peer.send(b"+" + peer.hello().strip() + b"\r\n")


def xmpp(peer):
    def stream(features):
        while b"<stream:stream" not in peer.until(b">"):
            pass
        peer.send(b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='localhost' "
                  b"version='1.0'><stream:features>" + features + b"</stream:features>")

    if not peer.secure:
        stream(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>")
        said = peer.until(b">")
        if not said.startswith(b"<starttls"):
            peer.event("plain", repr(said))
            return
        peer.send(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        peer.begin_tls()
    stream(b"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>")
    peer.until(b">")
    peer.send(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure></stream:stream>")


def rdp(peer):
    peer.take(struct.unpack(">HH", peer.take(4))[1] - 4)
    peer.send(bytes.fromhex("030000130ed000001234000200080001000000"))
    peer.begin_tls()
    peer.more()


def ldap(peer):
    def element(tag, content):
        return bytes((tag, len(content))) + content

    while True:
        length = peer.take(2)[1]
        if length > 127:
            length = int.from_bytes(peer.take(length & 127), "big")
        body = peer.take(length)
        number, kind = body[:2 + body[1]], body[2 + body[1]]
        if kind == 0x77 and not peer.secure:  # StartTLS
            peer.send(element(0x30, number + element(0x78, b"\x0a\1\0\4\0\4\0")))
            peer.begin_tls()
            continue
        if not peer.secure:
            peer.event("plain", repr(body))
        if kind == 0x42:
            return
        done = {0x60: 0x61, 0x63: 0x65}.get(kind, 0x78)
        peer.send(element(0x30, number + element(done, b"\x0a\1\0\4\0\4\0")))


def nbd(peer):
    peer.send(b"NBDMAGICIHAVEOPT\0\3")
    peer.take(4)
    while True:
        _, kind, length = struct.unpack(">8sII", peer.take(16))
        peer.take(length)
        peer.send(struct.pack(">QIII", 0x3E889045565A9, kind, 1 if kind in (2, 5) else 0x80000001, 0))
        if kind == 5:
            peer.begin_tls()
        elif kind == 2:
            return


def libvirt(peer):
    """The server says first that it takes the client's certificate."""
    peer.send(b"\1")
    once(peer)


def once(peer):
    """For the rest: whatever comes first is answered with a line, and what comes after that with nothing."""
    peer.more()
    peer.send(peer.hello())
    peer.socket.settimeout(1)
    try:
        while True:
            peer.more()
    except (socket.timeout, ssl.SSLError):
        pass


# By name: what speaks, what ALPN offers, and whether it goes over to TLS by itself.
SPEAKS = {
    "https": (http, ["http/1.1"], False),
    "h2": (h2, ["h2"], False),
    "dns": (dns, ["dot"], False),
    "mqtt": (mqtt, [], False),
    "postgres": (postgres, [], True),
    "mysql": (mysql, [], True),
    "redis": (redis, [], False),
    "xmpp": (xmpp, [], False),
    "rdp": (rdp, [], True),
    "ldap": (ldap, [], False),
    "nbd": (nbd, [], True),
    "libvirt": (libvirt, [], False),
    "once": (once, [], False),
}


def serve(connection, name, version, context, speaks, starttls):
    peer = Peer(connection, name, version, context)
    connection.settimeout(10)
    try:
        if not starttls:
            peer.begin_tls()
        speaks(peer)
        if peer.secure:
            # Until the client has what it was sent.
            peer.socket.settimeout(1)
            peer.socket = peer.socket.unwrap()
    except (EOFError, ConnectionError):
        if not peer.secure and not starttls:
            peer.event("failed", "the end")
    except (OSError, ValueError) as error:
        peer.event("failed", getattr(error, "reason", None) or str(error))
    peer.socket.close()


def listen(name, version, context, speaks, starttls):
    for _ in range(50):
        sockets = [socket.create_server(("127.0.0.1", 0))]
        try:
            if socket.has_ipv6:
                sockets.append(socket.create_server(("::1", sockets[0].getsockname()[1]), family=socket.AF_INET6))
        except OSError as error:
            if error.errno == 98:  # the port is somebody else's there
                sockets[0].close()
                continue
        break

    def accept(listening):
        while True:
            arguments = (listening.accept()[0], name, version, context, speaks, starttls)
            threading.Thread(target=serve, args=arguments, daemon=True).start()

    for listening in sockets:
        threading.Thread(target=accept, args=(listening,), daemon=True).start()
    return str(sockets[0].getsockname()[1])


def main():
    lab, protocol = sys.argv[1:3]
    protocol, _, starttls = protocol.partition("+")
    if protocol in LINES:
        speaks, alpn, late = (lambda peer: lines(peer, protocol)), [], False
    else:
        speaks, alpn, late = SPEAKS[protocol]
    ports = []
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        for name in ("good", "impostor"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{lab}/{name}.pem", f"{lab}/{name}.key")
            context.minimum_version = context.maximum_version = version
            # Its client takes tickets for an end.
            if protocol == "libvirt":
                context.num_tickets = 0
            if alpn:
                context.set_alpn_protocols(alpn)
            ports.append(listen(name, version.name[-3:].replace("_", "."), context, speaks, bool(starttls) or late))
    print(*ports, flush=True)
    threading.Event().wait()


main()
