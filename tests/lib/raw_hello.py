"""Sends a ClientHello of no library at all to a server of its own, in one of many ways, and prints how much of it has arrived.

usage: raw_hello.py HOW [SNI [FILE]]. With FILE, it is written there instead. HOW: whole, bytes, pieces, gathered, writev, pwritev2, many (sendmmsg), syscall-NAME (by syscall(3)), copied (dup), high (to a
large number),
passed (to another process), child, records, tds, behind (a header of a relay), asked (behind the greeting and the request of SOCKS 5 for www.asked.example), asked-late (behind that request, when the
greeting has left), asked-end (behind the end of a CONNECT request), stdio, handle (by libc's own), datagram, datagram-to, pair (a pair of
sockets), pipe, file, again (twice), crowd (in pieces, when a hundred others have begun), crowd-of-bytes, reused (on a descriptor on which one has
begun, and which was closed by a system call), again-connected (on a socket on which one has begun elsewhere), old (in the format of SSL 2.0), old-bytes, old-pieces, frames (of WebSocket, which begin like it,
when a hundred others have begun), quic (an Initial packet), quic-to, quic-many, quic-gathered, quic-2 (version 2), quic-twice (in one call), quic-pieces (two
datagrams, the later half first), quic-halves (the earlier half, with the name, first), quic-late (the later one to the
server's connection ID), quic-stream (over TCP),
quic-bit (with the QUIC bit cleared), quic-bit-2, quic-early (behind a packet of 0-RTT, version 2), filtered (seccomp(2) refuses fstat), torn (with more behind it, of which not all can be read). Prints "N of M", and the error if there was one.
"""
import ctypes
import ctypes.util
import fcntl
import hmac
import mmap
import os
import resource
import socket
import struct
import sys
import threading

how, sni = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "localhost"


def listed(size, data):
    return len(data).to_bytes(size, "big") + data


def message(datagram):
    name = listed(2, listed(2, b"\0" + listed(2, sni.encode()))) if sni else None
    extensions = b"\0\x15" + listed(2, bytes(300)) + (b"\0\0" + name if name else b"") + b"\0\x17\0\0"
    return (b"\xfe\xfd" if datagram else b"\3\3") + os.urandom(32) + b"\0" + (b"\0" if datagram else b"") + listed(2, b"\x13\1\x13\2") + \
        listed(1, b"\0") + listed(2, extensions)


def hello(record=16384):
    whole = b"\1" + listed(3, message(False))
    parts = [whole[at:at + record] for at in range(0, len(whole), record)]
    return b"".join(b"\x16\3\1" + listed(2, part) for part in parts)


def datagram():
    body = message(True)
    handshake = b"\1" + len(body).to_bytes(3, "big") + bytes(5) + len(body).to_bytes(3, "big") + body
    return b"\x16\xfe\xff" + bytes(8) + listed(2, handshake)


def encrypt(cipher, key, iv, header, text):
    """With libcrypto; of an AEAD with the tag."""
    crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
    crypto.EVP_CIPHER_CTX_new.restype = getattr(crypto, cipher).restype = ctypes.c_void_p
    context, out, size = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new()), ctypes.create_string_buffer(len(text)), ctypes.c_int()
    assert crypto.EVP_EncryptInit_ex(context, ctypes.c_void_p(getattr(crypto, cipher)()), None, key, iv) == 1
    if not header:
        assert crypto.EVP_EncryptUpdate(context, out, ctypes.byref(size), text, len(text)) == 1
        return out.raw
    tag = ctypes.create_string_buffer(16)
    assert crypto.EVP_EncryptUpdate(context, None, ctypes.byref(size), header, len(header)) == 1
    assert crypto.EVP_EncryptUpdate(context, out, ctypes.byref(size), text, len(text)) == 1
    assert crypto.EVP_EncryptFinal_ex(context, tag, ctypes.byref(size)) == 1
    assert crypto.EVP_CIPHER_CTX_ctrl(context, 16, 16, tag) == 1  # EVP_CTRL_AEAD_GET_TAG
    return out.raw + tag.raw


def initial(identity, number, second, begin, end, origin=None):
    """An Initial packet (RFC 9001; RFC 9369) with this part of the ClientHello."""
    salt, prefix = ("0dede3def700a6db819381be6e269dcbf9bd2ed9", b"quicv2 ") if second else ("38762cf7f55934b34d179ae6a4c80cadccbb7f0a", b"quic ")
    part = quic_hello[begin:end]
    payload = b"\6" + (0x4000 | begin).to_bytes(2, "big") + (0x4000 | len(part)).to_bytes(2, "big") + part
    payload += bytes(1162 - len(payload))
    header = bytes([0xd3 if second else 0xc3]) + (0x6b3343cf if second else 1).to_bytes(4, "big") + listed(1, identity) + b"\0\0" + (0x4000 | 4 + 1162 + 16).to_bytes(2, "big")
    secret = hmac.digest(bytes.fromhex(salt), origin or identity, "sha256")

    def expand(label, size):
        return hmac.digest(secret, size.to_bytes(2, "big") + listed(1, b"tls13 " + label) + b"\0\1", "sha256")[:size]

    secret = expand(b"client in", 32)
    iv = bytearray(expand(prefix + b"iv", 12))
    iv[11] ^= number
    sealed = encrypt("EVP_aes_128_gcm", expand(prefix + b"key", 16), bytes(iv), header + number.to_bytes(4, "big"), payload)
    mask = encrypt("EVP_aes_128_ctr", expand(prefix + b"hp", 16), sealed[:16], b"", bytes(16))
    return bytes([header[0] ^ mask[0] & 15]) + header[1:] + bytes(a ^ b for a, b in zip(number.to_bytes(4, "big"), mask[1:])) + sealed


class Msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int), ("len", ctypes.c_uint)]


NUMBERS = {"x86_64": {"close": 3, "fstat": 5, "write": 1, "writev": 20, "sendto": 44, "sendmsg": 46, "sendmmsg": 307, "pwritev2": 328},
           "aarch64": {"close": 57, "fstat": 80, "write": 64, "writev": 66, "sendto": 206, "sendmsg": 211, "sendmmsg": 269, "pwritev2": 287}}[os.uname().machine]


def call(fd, data, name, raw):
    buffer = ctypes.create_string_buffer(data, len(data))
    iov = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), len(data))
    header = Msghdr(None, 0, ctypes.addressof(iov), 1, None, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    number = [ctypes.c_long(NUMBERS[name])] if raw else []
    length, none = ctypes.c_size_t(len(data)), ctypes.c_long(0)
    arguments = {"write": [buffer, length], "sendto": [buffer, length, none, none, none], "writev": [iov, ctypes.c_long(1)],
                 "pwritev2": [iov, ctypes.c_long(1), ctypes.c_long(-1), ctypes.c_long(-1), none], "sendmsg": [ctypes.byref(header), none],
                 "sendmmsg": [ctypes.byref(header), ctypes.c_long(1), none]}[name]
    if not raw and name == "pwritev2":  # the kernel has the offset in two parts
        del arguments[3]
    if getattr(libc, "syscall" if raw else name)(*number, ctypes.c_long(fd), *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


kind = socket.SOCK_DGRAM if how.startswith(("datagram", "quic")) and how != "quic-stream" else socket.SOCK_STREAM
listening = socket.socket(socket.AF_INET, kind)
listening.bind(("127.0.0.1", 0))
arrived = bytearray()


def receive():
    there = listening
    if kind == socket.SOCK_STREAM:
        there = listening.accept()[0]
    there.settimeout(10 if kind == socket.SOCK_STREAM else 1)
    try:
        while True:
            data = there.recv(65536)
            if not data:
                break
            arrived.extend(data)
    except OSError:
        pass


if kind == socket.SOCK_STREAM:
    listening.listen()
others = socket.create_server(("127.0.0.1", 0), backlog=200)
others_at = others.getsockname()
receiver = threading.Thread(target=receive)
error = ""
data = datagram() if kind == socket.SOCK_DGRAM else hello(40 if how == "records" else 16384)
if how.startswith("quic"):
    quic_hello = b"\1" + listed(3, message(False))
    identity, second, half = os.urandom(8), how in ("quic-2", "quic-bit-2", "quic-early"), len(quic_hello) // 2
    packets = [initial(identity, 0, second, 0, len(quic_hello))]
    if how in ("quic-twice", "quic-pieces"):
        packets = [initial(identity, 1, second, half, len(quic_hello)), initial(identity, 0, second, 0, half)]
    if how == "quic-late":
        packets = [initial(identity, 0, second, 0, 60), initial(os.urandom(18), 1, second, 60, len(quic_hello), identity)]
    if how == "quic-halves":
        half = len(quic_hello) - 6
        packets = [initial(identity, 0, second, 0, half), initial(identity, 1, second, half, len(quic_hello))]
    data = b"".join(packets)
    if how.startswith("quic-bit"):
        data = bytes([data[0] ^ 0x40]) + data[1:]
    if how == "quic-early":
        data = b"\xe5" + data[1:15] + (0x4000 | 100).to_bytes(2, "big") + bytes(100) + data
    if len(sys.argv) > 3:
        open(sys.argv[3], "wb").write(data)
        sys.exit()
if how == "tds":
    data = bytes.fromhex("1201010000000100") + data
if how.startswith("old"):
    specs, challenge = bytes.fromhex("00002f000035010080"), os.urandom(32)
    data = b"\1\3\3" + len(specs).to_bytes(2, "big") + b"\0\0" + len(challenge).to_bytes(2, "big") + specs + challenge
    data = (0x8000 | len(data)).to_bytes(2, "big") + data
if how == "frames":
    data = b"\x81\5hello"
heads = [b"\5\1\0", b"\5\1\0\3\21www.asked.example\1\273"]
if how == "asked-end":
    heads = [b"CONNECT www.asked.example:443 HTTP/1.1\r\n", b"Host: www.asked.example:443\r\n\r\n"]
if how.startswith("asked"):
    data = b"".join(heads) + data
if how == "behind":
    data = b"PROXY TCP4 192.0.2.1 192.0.2.7 40000 443\r\n" + data


def send(out):
    fd = out.fileno()
    if how in ("whole", "old", "behind", "asked", "records", "tds", "datagram", "quic", "quic-2", "quic-twice", "quic-stream", "quic-bit", "quic-bit-2", "quic-early"):
        out.send(data)
    elif how == "again":
        for _ in range(2):
            out.send(data)
    elif how.startswith("asked-"):
        out.send(data[:len(heads[0])])
        out.send(data[len(heads[0]):])
    elif how in ("bytes", "old-bytes"):
        for at in range(len(data)):
            os.write(fd, data[at:at + 1])
    elif how in ("pieces", "old-pieces"):
        for at in range(0, len(data), 7):
            out.send(data[at:at + 7])
    elif how == "frames":
        others = []
        for _ in range(100):
            others.append(socket.create_connection(others_at))
            others[-1].send(data[:2])
        out.send(data[:2])
        out.send(data[2:])
    elif how in ("quic-pieces", "quic-halves", "quic-late"):
        for packet in packets:
            out.send(packet)
    elif how in ("gathered", "quic-gathered"):
        out.sendmsg([b"", data[:3], b"", data[3:100], data[100:]])
    elif how == "writev":
        os.writev(fd, [data[:1], data[1:50], data[50:]])
    elif how in ("many", "quic-many"):
        call(fd, data, "sendmmsg", False)
    elif how == "pwritev2":
        call(fd, data, how, False)
    elif how.startswith("syscall-"):
        call(fd, data, how.partition("-")[2], True)
    elif how.startswith("crowd"):
        others = []
        for _ in range(100):
            others.append(socket.create_connection(others_at))
            try:
                for at in range(5):
                    others[-1].send(data[at:at + 1])
            except OSError:
                pass
        size = 1 if how == "crowd-of-bytes" else 7
        for at in range(0, len(data), size):
            os.write(fd, data[at:at + size])
    elif how == "reused":
        other = socket.create_connection(others_at)
        number = other.detach()
        os.write(number, data[:7])
        ctypes.CDLL(None).syscall(ctypes.c_long(NUMBERS["close"]), ctypes.c_long(number))
        again = socket.socket()
        assert again.fileno() == number
        again.connect(listening.getsockname())
        again.send(data)
    elif how == "again-connected":
        out.connect(others_at)
        out.send(data[:7])
        nowhere = ctypes.create_string_buffer(16)  # AF_UNSPEC
        assert ctypes.CDLL(None).connect(fd, nowhere, 16) == 0
        out.connect(listening.getsockname())
        out.send(data)
    elif how == "filtered":
        # A filter that refuses fstat(2): load the number; is it that? EPERM; else allow.
        filter_ = struct.pack("HBBIHBBIHBBIHBBI", 0x20, 0, 0, 0, 0x15, 0, 1, NUMBERS["fstat"], 6, 0, 0, 0x50001, 6, 0, 0, 0x7fff0000)
        buffer = ctypes.create_string_buffer(filter_, len(filter_))
        program = struct.pack("HxxxxxxQ", 4, ctypes.addressof(buffer))
        libc = ctypes.CDLL(None)
        assert libc.prctl(38, ctypes.c_long(1), ctypes.c_long(0), ctypes.c_long(0), ctypes.c_long(0)) == 0
        assert libc.prctl(22, ctypes.c_long(2), ctypes.c_char_p(program), ctypes.c_long(0), ctypes.c_long(0)) == 0
        out.send(data)
    elif how == "copied":
        other = os.dup(fd)
        os.write(other, data)
        os.close(other)
    elif how == "high":
        # A number beyond those that much is kept of, of which it was seen that it is a file, and not that it was closed.
        high = 5000
        resource.setrlimit(resource.RLIMIT_NOFILE, (high + 10, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        os.dup2(os.open("/dev/null", os.O_WRONLY), high)
        os.write(high, b"a file")
        os.closerange(high, high + 1)
        os.write(fcntl.fcntl(fd, fcntl.F_DUPFD, high), data)
    elif how == "stdio":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fdopen.restype = ctypes.c_void_p
        stream = ctypes.c_void_p(libc.fdopen(os.dup(fd), b"w"))
        sent = libc.fwrite(data, 1, len(data), stream)
        if libc.fclose(stream) != 0 or sent != len(data):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    elif how == "handle":
        libc = ctypes.CDLL("libc.so.6", use_errno=True)
        if libc.send(fd, data, len(data), 0) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    elif how == "torn":
        libc = ctypes.CDLL(None, use_errno=True)
        memory = mmap.mmap(-1, 131072)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        memory.write(data)
        if libc.mprotect(ctypes.c_void_p(start + 40960), ctypes.c_size_t(90112), 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
        # The kernel sends what is before.
        if libc.write(fd, ctypes.c_void_p(start), ctypes.c_size_t(131072)) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    elif how in ("datagram-to", "quic-to"):
        out.sendto(data, listening.getsockname())


def report(error):
    print(f"{len(arrived)} of {len(data)}{error}", flush=True)


if how in ("pair", "pipe", "file"):
    if how == "pair":
        here, there = socket.socketpair()
        reading, writing = there.fileno(), here.fileno()
    elif how == "pipe":
        reading, writing = os.pipe()
    else:
        writing = os.memfd_create("hello")
        reading = os.open(f"/proc/self/fd/{writing}", os.O_RDONLY)
    try:
        os.write(writing, data)
        arrived.extend(os.read(reading, 65536))
    except OSError as failure:
        error = " " + failure.strerror
    report(error)
    sys.exit()

receiver.start()
out = socket.socket(socket.AF_INET, kind)
if how not in ("datagram-to", "quic-to", "reused", "again-connected"):
    out.connect(listening.getsockname())
try:
    if how in ("passed", "child"):
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        child = os.fork()
        if child == 0:
            fd = out.fileno()
            if how == "passed":
                out.close()
                fd = struct.unpack("i", there.recvmsg(1, 100)[1][0][2])[0]
            try:
                os.write(fd, data)
                os._exit(0)
            except OSError:
                os._exit(1)
        if how == "passed":
            here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", out.fileno()))])
        if os.waitpid(child, 0)[1] != 0:
            error = " in the child"
    else:
        send(out)
except OSError as failure:
    error = " " + failure.strerror
out.close()
receiver.join()
report(error)
