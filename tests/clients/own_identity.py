"""Fetches / with a client certificate of its own and prints the body.

Usage: own_identity.py HOST PORT verify|noverify 1.2|1.3 CAFILE CERTIFICATE KEY PASSPHRASE
"""
import http.client
import ssl
import sys

host, port, verify, tls, cafile, certificate, key, passphrase = sys.argv[1:9]
if verify == "verify":
    context = ssl.create_default_context(cafile=cafile)
else:
    context = ssl._create_unverified_context()
version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
context.minimum_version = context.maximum_version = version
context.load_cert_chain(certificate, key, passphrase)

connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
connection.request("GET", "/", headers={"Connection": "close"})
sys.stdout.write(connection.getresponse().read().decode())
