"""resolving.py PORT udp|tcp|async: asks for www.pinned.example with dnspython, and gets a page there without a name in TLS."""
import asyncio
import socket
import ssl
import sys

import dns.asyncquery
import dns.message
import dns.query

question = dns.message.make_query("www.pinned.example", "A")
if sys.argv[2] == "async":
    answer = asyncio.run(dns.asyncquery.udp(question, "127.0.0.1", timeout=5))
else:
    answer = getattr(dns.query, sys.argv[2])(question, "127.0.0.1", timeout=5)
address = [item.address for section in answer.answer for item in section if section.rdtype == 1][0]
context = ssl._create_unverified_context()
with context.wrap_socket(socket.create_connection((address, int(sys.argv[1])))) as connection:
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    while data := connection.recv(4096):
        sys.stdout.write(data.decode())
