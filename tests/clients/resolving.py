"""resolving.py PORT udp|tcp|async|copy|split: asks for www.pinned.example with dnspython, and gets a page there without a name in TLS. copy: the answer
is read from another descriptor of the socket; split: the question goes out in odd pieces."""
import asyncio
import os
import socket
import ssl
import sys

import dns.asyncquery
import dns.message
import dns.query

question = dns.message.make_query("www.pinned.example", "A")
if sys.argv[2] == "async":
    answer = asyncio.run(dns.asyncquery.udp(question, "127.0.0.1", timeout=5))
elif sys.argv[2] == "copy":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("127.0.0.1", 53))
        asking.send(question.to_wire())
        answer = dns.message.from_wire(os.read(os.dup(asking.fileno()), 4096))
elif sys.argv[2] == "split":
    with socket.create_connection(("127.0.0.1", 53)) as asking:
        asking.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = question.to_wire()
        wire = len(wire).to_bytes(2, "big") + wire
        for at in range(0, len(wire), 7):
            asking.send(wire[at:at + 7])
        stream = asking.makefile("rb")
        answer = dns.message.from_wire(stream.read(int.from_bytes(stream.read(2), "big")))
else:
    answer = getattr(dns.query, sys.argv[2])(question, "127.0.0.1", timeout=5)
address = [item.address for section in answer.answer for item in section if section.rdtype == 1][0]
context = ssl._create_unverified_context()
with context.wrap_socket(socket.create_connection((address, int(sys.argv[1])))) as connection:
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    while data := connection.recv(4096):
        sys.stdout.write(data.decode())
