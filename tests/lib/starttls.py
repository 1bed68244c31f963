"""starttls.py CERTIFICATE KEY PROTOCOL: a server that starts with that protocol, and with TLS when the client requests it. Prints its port."""
import socket
import ssl
import sys

TEXT = {
    "smtp": [(b"220-one moment\r\n220 ready\r\n", b"EHLO "), (b"250-here\r\n250 STARTTLS\r\n", b"STARTTLS"), (b"220 go\r\n", None)],
    "imap": [(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", b"a STARTTLS"), (b"* BYE not yet\r\na OK begin\r\n", None)],
    "pop3": [(b"+OK ready\r\n", b"STLS"), (b"+OK begin\r\n", None)],
    "ftp": [(b"220-welcome\r\n here\r\n220 ready\r\n", b"AUTH TLS"), (b"234 go\r\n", None)],
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
