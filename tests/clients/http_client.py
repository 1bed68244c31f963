"""Fetches / with http.client over a blocking socket and prints the body.

Usage: http_client.py HOST PORT verify|noverify 1.2|1.3 CAFILE
"""
import http.client
import ssl
import sys

host, port, verify, tls, cafile = sys.argv[1:6]
if verify == "verify":
    context = ssl.create_default_context(cafile=cafile)
else:
    context = ssl._create_unverified_context()
version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
context.minimum_version = context.maximum_version = version

connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
connection.request("GET", "/", headers={"Connection": "close"})
sys.stdout.write(connection.getresponse().read().decode())
