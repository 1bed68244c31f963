"""terminal.py COLUMNS COMMAND...: runs the command on a pseudo-terminal of that width, for standard output and error alike; prints what it
wrote there, and exits with its status."""
import fcntl
import os
import pty
import struct
import sys
import termios

pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
while True:
    try:
        got = os.read(terminal, 4096)
    except OSError:
        break  # how Linux tells of the end
    if not got:
        break
    sys.stdout.buffer.write(got.replace(b"\r\n", b"\n"))
sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
