"""opportunist.py PROTOCOL CERTIFICATE KEY LOG: a server that offers TLS within a protocol and goes on without it as well; whatever comes in the clear is
written to LOG. Prints its port."""
import os
import socket
import ssl
import sys
import threading

protocol, certificate, key, log = sys.argv[1:5]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
LINES = {
    "smtp": (b"220 here ESMTP\r\n", {b"EHLO": b"250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n", b"STARTTLS": b"220 go\r\n", b"AUTH": b"235 in\r\n",
             b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}, b"250 ok\r\n"),
    "pop3": (b"+OK here\r\n", {b"CAPA": b"+OK\r\nSTLS\r\nUSER\r\n.\r\n", b"STLS": b"+OK\r\n", b"STAT": b"+OK 0 0\r\n"}, b"+OK\r\n"),
}


class Peer:
    """The plaintext of one connection, kept until TLS starts."""

    def __init__(self, peer):
        self.peer, self.clear, self.held = peer, True, b""

    def read(self):
        got = self.peer.recv(4096)
        if self.clear and got:
            with open(log, "ab") as file:
                file.write(got)
        return got

    def line(self):
        while b"\n" not in self.held:
            got = self.read()
            if not got:
                return None
            self.held += got
        line, self.held = self.held.split(b"\n", 1)
        return line.rstrip(b"\r")

    def secure(self):
        self.clear, self.held = False, b""
        self.peer = context.wrap_socket(self.peer, server_side=True)


def postgres(peer):
    while True:
        got = peer.read()
        if not got:
            return
        if got[4:8] == b"\x04\xd2\x16\x2f":
            peer.peer.sendall(b"S")
            peer.secure()
        elif got[4:8] == b"\x04\xd2\x16\x30":
            peer.peer.sendall(b"N")
        elif got[:1] == b"p" or got[4:8] == b"\0\3\0\0":
            # The password in the clear, then all is well, and no query has a result.
            peer.peer.sendall(b"R\0\0\0\x08\0\0\0\3" if got[:1] != b"p" else b"R\0\0\0\x08\0\0\0\0Z\0\0\0\5I")
        else:
            peer.peer.sendall(b"C\0\0\0\x0dSELECT 0\0Z\0\0\0\5I")


def lines(peer):
    greeting, answers, other = LINES[protocol]
    peer.peer.sendall(greeting)
    while True:
        line = peer.line()
        if line is None:
            return
        verb = line.upper().split(b" ")[0]
        if line.upper() == b"AUTH PLAIN":
            peer.peer.sendall(b"334 \r\n")
            peer.line()
        peer.peer.sendall(answers.get(verb, other))
        if verb in (b"STARTTLS", b"STLS"):
            peer.secure()
        if verb == b"DATA":
            while line not in (None, b"."):
                line = peer.line()
            peer.peer.sendall(other)
        if verb == b"QUIT":
            return


def serve(peer):
    try:
        (postgres if protocol == "postgres" else lines)(Peer(peer))
    except (OSError, ValueError):
        pass
    peer.close()


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
    if os.getppid() == 1:
        break
