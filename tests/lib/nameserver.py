"""nameserver.py [PORT]: a name server on 127.0.0.1, over UDP and TCP. Every name below pinned.example has the address 127.0.0.1; www.pinned.example is an alias. The
mail server of pinned.example is mx.pinned.example; the service _https._tcp.NAME.pinned.example is at node.pinned.example, port $NAME. Of names that begin with
"stream" UDP says nothing but that there is more; TCP sends answers in pieces of seven bytes. The
question in the answer for liar.pinned.example is one for www.pinned.example. Prints each question."""
import os
import socket
import struct
import sys
import threading
import time

ADDRESS = bytes([127, 0, 0, 1])


def packed(name):
    return b"".join(bytes([len(part)]) + part for part in name.split(b".") if part) + b"\0"


def record(owner, kind, data):
    return owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def answer(query, stream):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]])
        at += 1 + query[at]
    kind, = struct.unpack_from(">H", query, at + 1)
    name = b".".join(labels).lower()
    print(name.decode(), kind, "tcp" if stream else "udp", flush=True)
    answers, further = [], []
    if name.startswith(b"stream") and not stream:
        return query[:2] + b"\x87\x80\0\1" + bytes(6) + query[12:at + 5]
    if name == b"pinned.example" and kind == 15:
        answers.append(record(b"\xc0\x0c", 15, b"\0\1\2mx\xc0\x0c"))
    elif name.startswith(b"_https._tcp.") and kind == 33:
        answers.append(record(b"\xc0\x0c", 33, struct.pack(">HHH", 0, 1, int(os.environ[labels[2].decode()])) + packed(b"node.pinned.example")))
        further.append(record(packed(b"node.pinned.example"), 1, ADDRESS))
    elif name == b"www.pinned.example" and kind == 1:
        answers.append(record(b"\xc0\x0c", 5, packed(b"host.pinned.example")))
        answers.append(record(packed(b"host.pinned.example"), 1, ADDRESS))
    elif name.endswith(b".pinned.example") and kind == 1:
        answers.append(record(b"\xc0\x0c", 1, ADDRESS))
    if name == b"liar.pinned.example":
        query, at = query[:12] + packed(b"www.pinned.example") + query[at + 1:], 12 + len(packed(b"www.pinned.example")) - 1
    head = query[:2] + b"\x85\x80" + struct.pack(">HHHH", 1, len(answers), 0, len(further))
    return head + query[12:at + 5] + b"".join(answers + further)


def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = b""
    while True:
        more = connection.recv(4096)
        if not more:
            return
        buffer += more
        while len(buffer) >= 2 and len(buffer) >= 2 + struct.unpack(">H", buffer[:2])[0]:
            size, = struct.unpack(">H", buffer[:2])
            message = answer(buffer[2:2 + size], True)
            buffer = buffer[2 + size:]
            message = struct.pack(">H", len(message)) + message
            for i in range(0, len(message), 7):
                connection.sendall(message[i:i + 7])
                time.sleep(0.005)


def accept(listening):
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


port = int(sys.argv[1]) if len(sys.argv) > 1 else 53
listening = socket.create_server(("127.0.0.1", port))
threading.Thread(target=accept, args=(listening,), daemon=True).start()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", port))
while True:
    query, sender = datagrams.recvfrom(4096)
    datagrams.sendto(answer(query, False), sender)
