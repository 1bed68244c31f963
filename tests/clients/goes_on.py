"""Does a TLS handshake that verifies nothing, and when it fails says "secret" in clear text on the same socket.

usage: goes_on.py socket|memory|duplicate PORT [SERVER_NAME]. Prints "sent" if the clear text could be sent.
"""
import os
import socket
import ssl
import sys

how, port = sys.argv[1], int(sys.argv[2])
name = sys.argv[3] if len(sys.argv) > 3 else None
context = ssl._create_unverified_context()
plain = socket.create_connection(("127.0.0.1", port))
plain.settimeout(10)


def over_memory():
    """Returns whether the handshake is done; all that it has to say is sent, an alert as well."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    while True:
        try:
            tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = None
        except ssl.SSLError as error:
            print("refused", error.reason)
            done = False
        if outgoing.pending:
            plain.sendall(outgoing.read())
        if done is not None:
            return done
        incoming.write(plain.recv(65536))


def over_socket():
    there = plain if how == "socket" else socket.socket(fileno=os.dup(plain.fileno()))
    try:
        context.wrap_socket(there, server_hostname=name, do_handshake_on_connect=False).do_handshake()
        return True
    except ssl.SSLError as error:
        print("refused", error.reason)
        return False


again = os.dup(plain.fileno())
if over_memory() if how == "memory" else over_socket():
    print("done")
    sys.exit(0)
try:
    os.write(again if how != "memory" else plain.fileno(), b"secret\r\n")
    print("sent")
except OSError as error:
    print("not sent", error.strerror)
    sys.exit(1)
