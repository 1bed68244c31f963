"""typed.py COMMAND...: runs an interactive shell on a pseudo-terminal, and types the lines of standard input, \\t for the tab key, each when
the shell has printed its prompt, "ready> ", again. Prints everything that it wrote there."""
import os
import pty
import re
import select
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
lines = sys.stdin.read().splitlines()
written = b""
prompts = 0
while True:
    try:
        got = os.read(terminal, 4096) if select.select([terminal], [], [], 20)[0] else b""
    except OSError:
        break  # how Linux tells of the end
    if not got:
        break
    written += got
    # A line editor may print its prompt again: only one at the very end is a shell that waits.
    while lines and re.search(rb"ready> (\x1b\[[?0-9;]*[a-zA-Z])*$", written[prompts:]):
        prompts = len(written)
        os.write(terminal, lines.pop(0).replace("\\t", "\t").encode() + b"\n")
sys.stdout.buffer.write(written.replace(b"\r", b""))
