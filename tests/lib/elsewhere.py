# elsewhere.py PORT: a relay for datagrams, for one client at a time. Takes what is sent to 127.0.0.1 at a port that it prints, passes it on to PORT, and
# sends the answers from 127.0.0.2.
import select
import socket
import sys

taking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taking.bind(("127.0.0.1", 0))
answering = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answering.bind(("127.0.0.2", taking.getsockname()[1]))
servers = {}  # each client has a socket of its own
print(taking.getsockname()[1], flush=True)
while True:
    for ready in select.select([taking, answering, *servers.values()], [], [])[0]:
        if ready in (taking, answering):
            datagram, client = ready.recvfrom(65536)
            if client not in servers:
                servers[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                servers[client].connect(("127.0.0.1", int(sys.argv[1])))
            try:
                servers[client].send(datagram)
            except OSError:
                pass
            continue
        client = next(known for known, server in servers.items() if server is ready)
        try:
            answering.sendto(ready.recv(65536), client)
        except OSError:
            pass
