# SPDX-License-Identifier: MIT
"""`packetscope top` on a terminal: it draws, takes keys, leaves the terminal as it was; without a terminal it prints."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

from harness import BIN, Host, Pipeline, main
from lab import wait_for


def read_for(fd, seconds):
    out, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                out += os.read(fd, 65536)
            except OSError:
                break
    return out.decode(errors="replace")


def on_terminal(report, pipeline):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 120, 0, 0))
    before = termios.tcgetattr(slave)
    top = pipeline.ns.popen(os.path.join(BIN, "packetscope"), "top", "--interval", "0.3", "--api", f"127.0.0.1:{pipeline.port}",
                            stdin=slave, stdout=slave, stderr=slave, env={**pipeline.environment(), "TERM": "xterm"})
    text = read_for(master, 2)
    pictures = text.count("\x1b[H")
    report.check("draws again and again on the second screen", text.startswith("\x1b[?1049h") and pictures >= 3, f"{pictures}: {text[:80]!r}")
    report.check("names what it shows", "10.203.0.2" in text and "LAST SEEN" in text, repr(text[-600:]))
    report.check("never more lines than there are", all(picture.count("\n") < 20 for picture in text.split("\x1b[H")))
    os.write(master, b"p")
    read_for(master, 0.5)
    report.equal("p holds the picture", read_for(master, 1).count("\x1b[H"), 0)
    os.write(master, b"q")
    report.equal("q ends it", top.wait(5), 0)
    report.check("the first screen is back", read_for(master, 0.3).endswith("\x1b[?25h\x1b[?1049l"))
    report.equal("and the terminal's settings", termios.tcgetattr(slave), before)
    os.close(master)
    os.close(slave)


def test(report):
    with Host() as host, Pipeline(host.server, "ps0") as pipeline:
        with host.server.listen(2, 1, "10.203.0.1", 8000), host.client.connect("10.203.0.1", 8000):
            wait_for("a connection", pipeline.api.connections, 5)
            on_terminal(report, pipeline)
            printed = pipeline.cli("top", "--count", "2", "--interval", "0.2", "--api", f"127.0.0.1:{pipeline.port}")
            report.check("without a terminal it prints", printed.count("LAST SEEN") == 2 and "\x1b" not in printed, printed[:300])


if __name__ == "__main__":
    sys.exit(main(test))
