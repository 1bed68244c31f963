"""stderr.py KIND COMMAND...: runs the command with a standard error of that kind, from which nothing is read before it has ended; then prints on
its own what was written there, and exits with the command's status, 124 after 20 seconds,
99 where it was stopped.

pipe, socket    a pipe, a stream socket, that keep what fits
full            a pipe without room
stopped         a terminal whose output is stopped (Ctrl-S)
background      a terminal that stops background processes that write to it (stty tostop); the command is one"""
import fcntl
import os
import signal
import socket
import sys
import termios
import time

FILL = b"\0" * 4096


def ends(kind):
    if kind == "socket":
        return [end.detach() for end in socket.socketpair()]
    if kind in ("pipe", "full"):
        reader, writer = os.pipe()
        if kind == "full":
            os.set_blocking(writer, False)
            try:
                while True:
                    os.write(writer, FILL)
            except BlockingIOError:
                os.set_blocking(writer, True)
        return reader, writer
    return os.openpty()


def run(kind, reader, writer, command):
    os.close(reader)
    if kind == "background":
        os.setsid()
        fcntl.ioctl(writer, termios.TIOCSCTTY, 0)
        mode = termios.tcgetattr(writer)
        mode[3] |= termios.TOSTOP
        termios.tcsetattr(writer, termios.TCSANOW, mode)
        # The foreground belongs to another process group: start a new one.
        inner = os.fork()
        if inner:
            _, status = os.waitpid(inner, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                os.kill(inner, signal.SIGKILL)
            os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
        os.setpgid(0, 0)
    elif kind == "stopped":
        termios.tcflow(writer, termios.TCOOFF)
    os.dup2(writer, 2)
    os.close(writer)
    # Python ignores these, and programs started by it would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execvp(command[0], command)


kind, command = sys.argv[1], sys.argv[2:]
reader, writer = ends(kind)
pid = os.fork()
if pid == 0:
    run(kind, reader, writer, command)
for _ in range(2000):
    done, status = os.waitpid(pid, os.WNOHANG)
    if done:
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        break
    time.sleep(0.01)
else:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    code = 124
if kind == "stopped":
    termios.tcflow(writer, termios.TCOON)
os.set_blocking(reader, False)
time.sleep(0.05)
while True:
    try:
        got = os.read(reader, 65536)
    except OSError:
        break
    if not got:
        break
    os.write(2, got.replace(b"\r\n", b"\n").replace(FILL, b""))
sys.exit(code)
