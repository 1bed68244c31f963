"""Terminate TLS and relay the plaintext to a port of loopback.

usage: unwrap.py BACKEND-PORT NAME; shows NAME.pem with NAME.key, and prints the port that it listens on.
"""

import asyncio
import ssl
import sys


async def pump(source, sink):
    """Copy until the source ends or either side breaks."""
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    sink.close()


async def serve(client, to_client):
    server, to_server = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    await asyncio.gather(pump(client, to_server), pump(server, to_client))


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2] + ".pem", sys.argv[2] + ".key")
    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()


asyncio.run(main())
