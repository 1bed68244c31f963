"""Relay connections to a port of loopback, keeping what the clients sent; answer CONNECT and SOCKS 4, 4a and 5 as a proxy does, whatever host is asked for.

usage: relay.py BACKEND-PORT RECORD-FILE [auth] [chain] [unix=PATH]; prints the port that it listens on. auth: the first CONNECT of a connection gets
a 407, and SOCKS 5 needs a password. chain: what is behind the proxy is another one. unix: it listens there instead.
"""

import socket
import sys
import threading

WORDS = sys.argv[3:]


def pump(source, sink, record):
    """Copy until the source ends or either side breaks."""
    try:
        while data := source.recv(65536):
            if record:
                record(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Client:
    """What a client has sent, by bytes."""

    def __init__(self, sock, record):
        self.sock, self.record, self.kept = sock, record, b""

    def take(self, count):
        while len(self.kept) < count:
            data = self.sock.recv(65536)
            if not data:
                raise OSError
            self.kept += data
        taken, self.kept = self.kept[:count], self.kept[count:]
        self.record(taken)
        return taken

    def until(self, end):
        taken = b""
        while not taken.endswith(end):
            taken += self.take(1)
        return taken

    def starts(self, what):
        while len(self.kept) < len(what) and what.startswith(self.kept):
            data = self.sock.recv(65536)
            if not data:
                break
            self.kept += data
        return self.kept.startswith(what)


def connect(client, refuse):
    client.until(b"\r\n\r\n")
    if refuse:
        client.sock.sendall(b'HTTP/1.1 407 No\r\nProxy-Authenticate: Digest realm="a", nonce="b"\r\nProxy-Authenticate: Basic realm="a"\r\n'
                            b"Content-Length: 4\r\n\r\nnone")
    else:
        client.sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")


def socks4(client):
    if client.take(8)[4:7] == b"\0\0\0":
        client.until(b"\0")
    client.until(b"\0")
    client.sock.sendall(b"\0\x5a\0\0\0\0\0\0")


def socks5(client):
    methods = client.take(client.take(2)[1])
    method = 2 if "auth" in WORDS and 2 in methods else 0
    client.sock.sendall(bytes([5, method]))
    if method:
        client.take(client.take(2)[1])
        client.take(client.take(1)[0])
        client.sock.sendall(b"\1\0")
    kind = client.take(4)[3]
    client.take({1: 4, 4: 16, 3: 0}[kind] or client.take(1)[0])
    client.take(2)
    client.sock.sendall(b"\5\0\0\1\0\0\0\0\0\0")


def serve(sock, backend, record):
    client, requests = Client(sock, record), 0
    try:
        while requests < (2 if "auth" in WORDS or "chain" in WORDS else 1):
            while client.starts(b"\r\n"):
                client.take(2)
            if client.starts(b"CONNECT ") or client.starts(b"connect "):
                requests += 1
                connect(client, "auth" in WORDS and requests == 1)
                continue
            if client.starts(b"\4\1"):
                socks4(client)
            elif client.starts(b"\5"):
                socks5(client)
            else:
                break
            requests += 1 if "chain" in WORDS else 2
        server = socket.create_connection(("127.0.0.1", backend))
        if client.kept:
            record(client.kept)
            server.sendall(client.kept)
        back = threading.Thread(target=pump, args=(server, sock, None))
        back.start()
        pump(sock, server, record)
        back.join()
        server.close()
    except OSError:
        pass
    sock.close()


def main():
    backend, path = int(sys.argv[1]), sys.argv[2]
    where = [word[5:] for word in WORDS if word.startswith("unix=")]
    with socket.socket(socket.AF_UNIX) if where else socket.create_server(("127.0.0.1", 0)) as listener, open(path, "ab", buffering=0) as file:
        if where:
            listener.bind(where[0])
            listener.listen(64)
        print(0 if where else listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, backend, file.write), daemon=True).start()


main()
