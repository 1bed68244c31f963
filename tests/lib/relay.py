"""Relay connections to a port of loopback, keeping what the clients sent; answer CONNECT as a proxy does.

usage: relay.py BACKEND-PORT RECORD-FILE; prints the port that it listens on.
"""

import socket
import sys
import threading


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


def serve(client, backend, record):
    try:
        first = client.recv(65536)
        while len(first) < 8 and b"CONNECT ".startswith(first):
            first += client.recv(65536)
        if first.startswith(b"CONNECT "):
            while b"\r\n\r\n" not in first:
                first += client.recv(65536)
            record(first)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            first = b""
        server = socket.create_connection(("127.0.0.1", backend))
        if first:
            record(first)
            server.sendall(first)
        back = threading.Thread(target=pump, args=(server, client, None))
        back.start()
        pump(client, server, record)
        back.join()
        server.close()
    except OSError:
        pass
    client.close()


def main():
    backend, path = int(sys.argv[1]), sys.argv[2]
    with socket.create_server(("127.0.0.1", 0)) as listener, open(path, "ab", buffering=0) as file:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, backend, file.write), daemon=True).start()


main()
