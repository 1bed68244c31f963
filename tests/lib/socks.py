"""socks.py: a SOCKS5 proxy on 127.0.0.1:9050 that leads everything to 127.0.0.1, and resolves names to 192.0.2.7 as Tor does (cmd F0). Prints each request."""
import socket
import threading


def exactly(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def carry(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(client):
    try:
        exactly(client, exactly(client, 2)[1])
        client.sendall(b"\5\0")
        command, kind = exactly(client, 4)[1::2]
        if kind == 3:
            host = exactly(client, exactly(client, 1)[0]).decode()
        else:
            host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, exactly(client, 4 if kind == 1 else 16))
        port = int.from_bytes(exactly(client, 2), "big")
        print(command, host, port, flush=True)
        client.sendall(b"\5\0\0\1" + bytes([192, 0, 2, 7]) + b"\0\0")
        if command != 1:
            return
        server = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=carry, args=(server, client), daemon=True).start()
        carry(client, server)
    except (EOFError, OSError):
        pass


listening = socket.create_server(("127.0.0.1", 9050), backlog=50)
while True:
    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
