"""starttls.py CERTIFICATE KEY PROTOCOL: a server that starts with that protocol, and with TLS when the client requests it. Prints its port."""
import socket
import ssl
import sys

TEXT = {
    "smtp": [(b"220-one moment\r\n220 ready\r\n", b"EHLO "), (b"250-here\r\n250 STARTTLS\r\n", b"STARTTLS"), (b"220 go\r\n", None)],
    "imap": [(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", b"a STARTTLS"), (b"* BYE not yet\r\na OK begin\r\n", None)],
    "pop3": [(b"+OK ready\r\n", b"STLS"), (b"+OK begin\r\n", None)],
    "ftp": [(b"220-welcome\r\n here\r\n220 ready\r\n", b"AUTH TLS"), (b"234 go\r\n", None)],
    "sieve": [(b'"IMPLEMENTATION" "OK not yet"\r\n"STARTTLS"\r\nOK "ready"\r\n', b"STARTTLS"), (b'OK "begin"\r\n', None)],
    "nntp": [(b"201 ready\r\n", b"STARTTLS"), (b"382 go\r\n", None)],
    "unwilling": [(b"220 ready\r\n", b"EHLO "), (b"250 here\r\n", b"STARTTLS"), (b"502 \x1b[31mno\r\n", None)],
}


def read(client, count):
    got = b""
    while len(got) < count:
        more = client.recv(1)
        if not more:
            sys.exit(1)
        got += more
    return got


def read_line(client):
    line = b""
    while not line.endswith(b"\r\n"):
        line += read(client, 1)
    return line


def begin(client, protocol):
    if protocol == "postgres":
        assert read(client, 8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
        client.sendall(b"S")
        return
    if protocol.startswith("mysql"):
        # Version, thread, salt, abilities (with SSL or without), charset, state, the rest of them, length of the salt.
        able = b"\xff\xff" if protocol == "mysql" else b"\xff\xf7"
        greeting = b"\x0a8.0.1\0" + b"\1\0\0\0" + b"saltsalt\0" + able + b"\x21\2\0\xff\xc1\x15" + b"\0" * 10 + b"saltsaltsalt\0"
        client.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
        request = read(client, 36)
        assert request[:4] == b"\x20\0\0\1" and request[5] & 0x08
        return
    if protocol == "ldap":
        assert read(client, 31) == b"\x30\x1d\2\1\1\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
        client.sendall(b"\x30\x84\0\0\0\x0c\2\1\1\x78\7\x0a\1\0\4\0\4\0")
        return
    if protocol == "xmpp":
        header = b""
        while not header.endswith(b"version='1.0'>"):
            header += read(client, 1)
        assert b"to='localhost'" in header
        client.sendall(b"<?xml version='1.0'?><stream:stream from='localhost' id='1' version='1.0'><stream:features><starttls xmlns='x'/></stream:features>")
        assert read(client, 51) == b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
        client.sendall(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        return
    for sent, expected in TEXT[protocol]:
        client.sendall(sent)
        if expected is not None:
            assert read_line(client).startswith(expected)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    try:
        begin(connection, sys.argv[3])
        context.wrap_socket(connection, server_side=True).close()
    except (AssertionError, OSError, SystemExit):
        connection.close()
