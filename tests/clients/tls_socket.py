"""Connects a plain socket, wraps it for a server name of its own, fetches / and prints the body.

Usage: tls_socket.py HOST PORT verify|noverify 1.2|1.3 CAFILE [SERVER_HOSTNAME]
Without SERVER_HOSTNAME, OpenSSL learns no name at all.
"""
import socket
import ssl
import sys

host, port, verify, tls, cafile = sys.argv[1:6]
server_hostname = sys.argv[6] if len(sys.argv) > 6 else None
context = ssl.create_default_context(cafile=cafile if verify == "verify" else None)
context.check_hostname = verify == "verify" and server_hostname is not None
if verify != "verify":
    context.verify_mode = ssl.CERT_NONE
version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
context.minimum_version = context.maximum_version = version

with socket.create_connection((host, int(port)), timeout=10) as plain:
    with context.wrap_socket(plain, server_hostname=server_hostname) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b""
        while block := connection.recv(4096):
            answer += block
sys.stdout.write(answer.partition(b"\r\n\r\n")[2].decode())
