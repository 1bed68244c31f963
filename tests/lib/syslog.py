"""Stand in for syslogd: write each datagram that arrives at a socket as a line of a file.

usage: syslog.py SOCKET FILE; prints a line when it listens. A datagram "end" ends it.
"""

import os
import socket
import sys


def main():
    path, out = os.path.split(sys.argv[1]), os.path.abspath(sys.argv[2])
    # A socket's path is short.
    os.chdir(path[0])
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path[1])
    print("listens", flush=True)
    with open(out, "wb", buffering=0) as file:
        while (datagram := listener.recv(65536)) != b"end":
            file.write(datagram.replace(b"\n", b"\\n") + b"\n")


main()
