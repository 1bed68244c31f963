"""Fetches / again and again, each time over a new connection, and prints a line for each: the status, the SHA-256 digest of the
server's certificate and the body's first line; or "failed" and why. It is ended from outside.

Usage: loop.py HOST PORT verify|noverify 1.2|1.3 CAFILE
"""
import hashlib
import http.client
import ssl
import sys
import time

host, port, verify, tls, cafile = sys.argv[1:6]
if verify == "verify":
    context = ssl.create_default_context(cafile=cafile)
else:
    context = ssl._create_unverified_context()
version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
context.minimum_version = context.maximum_version = version


def fetch():
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    connection.request("GET", "/", headers={"Connection": "close"})
    digest = hashlib.sha256(connection.sock.getpeercert(True)).hexdigest()
    answer = connection.getresponse()
    return f"{answer.status} {digest} {answer.read().decode().splitlines()[0]}"


while True:
    try:
        print(fetch(), flush=True)
    except OSError as error:
        print("failed", error, flush=True)
    except http.client.HTTPException as error:
        print("failed", repr(error), flush=True)
    time.sleep(0.02)
