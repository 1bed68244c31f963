"""Fetches / with asyncio, which drives TLS through memory BIOs, and prints the body.

Usage: asyncio_http.py HOST PORT verify|noverify 1.2|1.3 CAFILE [SERVER_HOSTNAME]
"""
import asyncio
import ssl
import sys

host, port, verify, tls, cafile = sys.argv[1:6]
server_hostname = sys.argv[6] if len(sys.argv) > 6 else host
if verify == "verify":
    context = ssl.create_default_context(cafile=cafile)
else:
    context = ssl._create_unverified_context()
version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
context.minimum_version = context.maximum_version = version


async def fetch():
    reader, writer = await asyncio.open_connection(
        host, int(port), ssl=context, server_hostname=server_hostname
    )
    writer.write(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
    await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer


sys.stdout.write(asyncio.run(fetch()).partition(b"\r\n\r\n")[2].decode())
