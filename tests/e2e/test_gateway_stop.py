# SPDX-License-Identifier: MIT
"""The gateway is told to stop while requests wait for a part that does not answer, more of them stand in line behind those, and
event streams are open: it ends in order, every time."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from harness import BIN, main, skip
from lab import die_with_parent, wait_for

ROUNDS = int(os.environ.get("PS_STOPS", "10"))


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def once(report, directory, number):
    port = free_port()
    gateway = subprocess.Popen(
        [os.path.join(BIN, "packetscope-gateway"), "--run-dir", directory, "--state-dir", directory, "--config", "/dev/null", "--api",
         f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)

    def connect():
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), 2)
        return None

    sockets = [wait_for("the gateway listens", connect, 10)]
    sockets += [connect() for _ in range(30)]
    request = b"GET /api/stats HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for i, sock in enumerate(sockets):
        sock.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n" if i % 5 == 0 else request * (1 + i % 3))
    time.sleep(0.3)
    gateway.send_signal(signal.SIGTERM)
    for sock in sockets[::2]:  # what comes while it stops
        with contextlib.suppress(OSError):
            sock.sendall(request)
    try:
        status = gateway.wait(10)
    except subprocess.TimeoutExpired:
        gateway.kill()
        status = "did not end"
    report.check(f"stop {number + 1} of {ROUNDS}", status == 0, f"status {status}: {gateway.stderr.read()[-300:]}")
    for sock in sockets:
        sock.close()


def test(report):
    try:
        import zmq
    except ImportError:
        skip("python3-zmq is not installed (packaging/setup.sh test)")
    directory = tempfile.mkdtemp(prefix="pse2e-stop-")
    context = zmq.Context()
    silent = context.socket(zmq.ROUTER)
    silent.bind(f"ipc://{directory}/control.sock")
    try:
        for number in range(ROUNDS):
            once(report, directory, number)
    finally:
        context.destroy(0)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(test))
