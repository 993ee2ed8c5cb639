# SPDX-License-Identifier: MIT
"""Clients that send a byte now and then, or take one, are closed in time, and a normal client does not notice them."""

import resource
import socket
import time

from harness import SERVER4, Host, Pipeline, main, note

SLOW = 200
STEP_S = 3     # a byte each
CLOSED_S = 15
P99_MS = 50


class Slow:
    """Sends a request byte by byte."""

    def __init__(self, ns, number):
        with ns.entered():
            self.sock = socket.socket()
        self.sock.settimeout(5)
        self.sock.connect(("127.0.0.1", 8080))
        self.sock.setblocking(False)
        self.text = (b"GET /api/stats HTTP/1.1\r\nHost: localhost\r\nX-Slow: " if number % 2 else
                     b"POST /api/filters HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n") + b"x" * 1000
        self.sent, self.opened, self.closed = 0, time.monotonic(), None
        if number % 2 == 0:  # the body is what comes slowly
            self.sent = self.sock.send(self.text[:self.text.index(b"x" * 1000)])

    def step(self):
        if self.closed:
            return
        try:
            self.sock.send(self.text[self.sent:self.sent + 1])
            self.sent += 1
        except BlockingIOError:
            pass
        except OSError:
            self.closed = time.monotonic()
        self.look()

    def look(self):
        if self.closed:
            return
        try:
            if not self.sock.recv(4096):
                self.closed = time.monotonic()
        except BlockingIOError:
            pass
        except OSError:
            self.closed = time.monotonic()


def percentile(times, share):
    return sorted(times)[int(len(times) * share)] * 1000


def quiet(api, seconds):
    """Times of a normal client that asks all the time."""
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        begin = time.monotonic()
        status = api.request("GET", "/api/stats")[0]
        times.append(time.monotonic() - begin)
        if status != 200:
            raise RuntimeError(f"a normal client got {status}")
        time.sleep(0.02)
    return times


def slow_senders(report, host, api):
    before = quiet(api, 2)
    clients = [Slow(host.server, number) for number in range(SLOW)]
    times, began, stepped = [], time.monotonic(), 0.0
    while time.monotonic() - began < CLOSED_S + 2 and not all(client.closed for client in clients):
        if time.monotonic() - stepped > STEP_S:
            stepped = time.monotonic()
            for client in clients:
                client.step()
        times += quiet(api, 0.3)
        for client in clients:
            client.look()
    ages = [client.closed - client.opened for client in clients if client.closed]
    report.equal(f"all of {SLOW} slow clients are closed", len(ages), SLOW)
    report.check(f"each within {CLOSED_S} s", max(ages, default=99) < CLOSED_S, f"{max(ages, default=99):.1f} s")
    note(f"closed after {min(ages):.1f} to {max(ages):.1f} s; a normal client: p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms of "
         f"{len(times)}; before: p50 {percentile(before, 0.5):.1f} ms, p99 {percentile(before, 0.99):.1f} ms")
    report.check(f"a normal client's p99 stays below {P99_MS} ms", percentile(times, 0.99) < max(P99_MS, 2 * percentile(before, 0.99)), f"{percentile(times, 0.99):.1f} ms")
    for client in clients:
        client.sock.close()


def more_than_places(report, host, api):
    """More connections than there are places: whoever waits longest gives way."""
    idle = []
    for _ in range(300):
        with host.server.entered():
            sock = socket.socket()
        sock.settimeout(2)
        sock.connect(("127.0.0.1", 8080))
        idle.append(sock)
    times = quiet(api, 1)
    report.check("a normal client gets a place among 300 idle connections", len(times) > 10)
    note(f"p99 {percentile(times, 0.99):.1f} ms")
    for sock in idle:
        sock.close()


def test(report):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, max(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with Host("pssl") as host, Pipeline(host.server, "ps0") as pipeline:
        slow_senders(report, host, pipeline.api)
        more_than_places(report, host, pipeline.api)


if __name__ == "__main__":
    main(test)
