# SPDX-License-Identifier: MIT
"""What goes on while programs change places: pings that must be answered, and probes that must not arrive. Both end once they are
told to stop and have sent as many as they were to send at least."""

import socket
import threading
import time

PING_STEP, PROBE_BURST, PROBE_STEP = 0.005, 20, 0.01  # 200 pings and 2,000 probes a second


class Steady(threading.Thread):
    """From a namespace to an address; `sent` grows meanwhile."""

    def __init__(self, ns, address, least):
        super().__init__(daemon=True)
        self.ns, self.address, self.least = ns, address, least
        self.sent = 0
        self.stopping = threading.Event()

    def going(self):
        return self.sent < self.least or not self.stopping.is_set()

    def end(self):
        self.stopping.set()
        self.join()


def settle(server, *threads):
    """Ends the threads; how many datagrams had come to the server when the last ones were through. Closes it only then."""
    for thread in threads:
        thread.end()
    time.sleep(0.3)
    received = server.received
    server.close()
    return received


class Pings(Steady):
    """In series of a hundred, so that none is under way when it ends."""

    def __init__(self, ns, address, least=100):
        super().__init__(ns, address, least)
        self.answered = 0

    def run(self):
        while self.going():
            out = self.ns.run("ping", "-n", "-q", "-c", "100", "-i", str(PING_STEP), "-W", "1", self.address, check=False)
            words = next(line for line in out.splitlines() if "transmitted" in line).split()
            self.sent += int(words[0])
            self.answered += int(words[3])


class Probes(Steady):
    """Datagrams to the blocked port: half on one connection, half from ever other ports."""

    def __init__(self, ns, address, port, least=1000):
        super().__init__(ns, address, least)
        self.port = port

    def run(self):
        with self.ns.entered():
            steady = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            due = time.monotonic()
            while self.going():
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as fresh:
                    for sock in (steady, fresh):
                        for _ in range(PROBE_BURST // 2):
                            sock.sendto(b"x" * 32, (self.address, self.port))
                            self.sent += 1
                due += PROBE_STEP
                time.sleep(max(0.0, due - time.monotonic()))
            steady.close()
