"""Fetches / from each of several ports, all with one SSLContext, and prints the bodies.

Usage: one_context.py HOST 1.2|1.3 CAFILE PORT...
"""
import http.client
import ssl
import sys

host, tls, cafile = sys.argv[1:4]
context = ssl.create_default_context(cafile=cafile)
version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
context.minimum_version = context.maximum_version = version

for port in sys.argv[4:]:
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    connection.request("GET", "/", headers={"Connection": "close"})
    sys.stdout.write(connection.getresponse().read().decode())
