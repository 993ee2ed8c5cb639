# SPDX-License-Identifier: MIT
"""Long lists: as JSON, a line each, or CSV, packed or not; every connection once, whatever changes meanwhile; in the memory of a
page, whoever reads how slowly."""

import csv
import gzip
import io
import json
import os
import re
import socket
import threading
import time

from harness import CLIENT4, SERVER4, Host, Pipeline, main, note, wait_for
from proc import status_bytes

CONNECTIONS = int(os.environ.get("PS_EXPORT", "20000"))
GROWTH_KB = 8 << 10


class Download:
    """One answer, read at leisure."""

    def __init__(self, ns, target, headers="", buffer=None):
        with ns.entered():
            self.sock = socket.socket()
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(120)
        self.sock.connect(("127.0.0.1", 8080))
        self.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n".encode())
        self.raw = b""

    def all(self):
        parts = [self.raw]
        while part := self.sock.recv(1 << 20):
            parts.append(part)
        self.sock.close()
        head, body = b"".join(parts).split(b"\r\n\r\n", 1)
        self.head = head.decode()
        if "transfer-encoding: chunked" in self.head.lower():
            whole, at = [], 0
            while True:
                end = body.index(b"\r\n", at)
                size = int(body[at:end], 16)
                if not size:
                    break
                whole.append(body[end + 2:end + 2 + size])
                at = end + 2 + size + 2
            body = b"".join(whole)
        if "content-encoding: gzip" in self.head.lower():
            self.packed = len(body)
            body = gzip.decompress(body)
        return body.decode()


def memory(pipeline, part="gateway"):
    return status_bytes(pipeline.part_pid(part), "VmRSS") >> 10


def cpu(pipeline):
    """Seconds of CPU that the gateway has used."""
    with open(f"/proc/{pipeline.part_pid('gateway')}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Patient(Pipeline):
    """Connections do not end while we look at them."""

    def environment(self):
        return {**super().environment(), "PACKETSCOPE_TIMEOUT_UDP": "3600s", "PACKETSCOPE_TIMEOUT_UDP_STREAM": "3600s"}


class Memory(threading.Thread):
    """The most that the gateway had, while this runs."""

    def __init__(self, pipeline):
        super().__init__(daemon=True)
        self.pid = pipeline.part_pid("gateway")
        self.most, self.stop = 0, threading.Event()
        self.start()

    def run(self):
        while not self.stop.wait(0.02):
            self.most = max(self.most, status_bytes(self.pid, "VmRSS") >> 10)


def make_connections(host, n):
    """n UDP connections that nobody answers, a datagram each."""
    with host.client.datagrams(SERVER4) as sock:
        sock.bind((CLIENT4, 7777))
        for i in range(n):
            sock.sendto(b"x", (SERVER4, 1024 + i))
            if i % 500 == 499:
                time.sleep(0.01)


def ours(records):
    return [c["id"] for c in records if c["src_ip"] == CLIENT4 and c["src_port"] == 7777]


def formats(report, host, pipeline):
    lines = Download(host.server, "/api/connections?format=ndjson").all().splitlines()
    ids = ours(map(json.loads, lines))
    report.equal("a line each: every connection, once", (len(ids), len(set(ids))), (CONNECTIONS, CONNECTIONS))
    array = ours(json.loads(Download(host.server, "/api/connections?format=json").all()))
    report.equal("as an array the same", sorted(array), sorted(ids))
    accepted = Download(host.server, "/api/connections", "Accept: application/x-ndjson\r\n")
    report.equal("Accept says it too", len(accepted.all().splitlines()), len(lines))
    table = Download(host.server, "/api/connections?format=csv&proto=udp")
    rows = list(csv.DictReader(io.StringIO(table.all(), newline="")))
    report.equal("CSV has them", sorted(ours({**row, "src_port": int(row["src_port"])} for row in rows)), sorted(ids))
    report.check("with its type", "\r\nContent-Type: text/csv; charset=utf-8; header=present\r\n" in table.head, table.head)
    one = json.loads(next(line for line in lines if "7777" in line))
    row = next(row for row in rows if row["id"] == one["id"])
    differ = {name: (row[name], one[name]) for name in row if row[name] != ("" if one[name] is None else str(one[name]).lower()
              if isinstance(one[name], bool) else str(one[name])) and name not in ("duration",)}
    report.equal("and the same fields, with the same values", (differ, set(row)), ({}, set(one) - {"key", "info"}))
    packed = Download(host.server, "/api/connections?format=ndjson", "Accept-Encoding: gzip\r\n")
    report.equal("packed the same", sorted(ours(map(json.loads, packed.all().splitlines()))), sorted(ids))
    note(f"{len(lines)} connections: {sum(map(len, lines)) >> 20} MiB, packed {packed.packed >> 10} KiB")
    page = Download(host.server, "/api/connections?limit=1000", "Accept-Encoding: br, gzip;q=0.5\r\n")
    report.equal("a page is packed too", (len(json.loads(page.all())), "\r\nContent-Encoding: gzip" in page.head), (1000, True))
    plain = Download(host.server, "/api/connections?limit=1000", "Accept-Encoding: gzip;q=0\r\n")
    report.equal("not for those who don't take it", (len(json.loads(plain.all())), "Content-Encoding" in plain.head), (1000, False))
    few = Download(host.server, f"/api/connections?format=ndjson&limit=1500&sort=dst_port&order=asc&ip={CLIENT4}").all().splitlines()
    ports = [json.loads(line)["dst_port"] for line in few]
    report.equal("sorted and bounded", (ports, len(ports)), (list(range(1024, 1024 + 1500)), 1500))
    status, _, body = pipeline.api.request("GET", "/api/connections?format=xml")
    report.check("another format is refused", status == 400 and body["field"] == "format", status)


def bounded_memory(report, host, pipeline):
    before = memory(pipeline)
    watch = Memory(pipeline)
    slow = [Download(host.server, "/api/connections?format=ndjson", buffer=4096) for _ in range(3)]
    begin, used = time.monotonic(), cpu(pipeline)
    size = len(Download(host.server, "/api/connections?format=ndjson").all())
    took, used = time.monotonic() - begin, cpu(pipeline) - used
    status = pipeline.api.request("GET", "/api/stats")[0]
    for download in slow:
        download.sock.close()
    watch.stop.set()
    grown = watch.most - before
    note(f"{size >> 20} MiB in {took:.1f} s, {used / CONNECTIONS * 1e6:.1f} us of the gateway's CPU a connection, beside three who do not read; the gateway grew by {grown} KiB")
    report.check(f"the gateway grew by less than {GROWTH_KB >> 10} MiB", grown < GROWTH_KB, f"{grown} KiB")
    report.equal("and answers others", status, 200)


def while_it_changes(report, host, pipeline, stop):
    """Pages and exports while connections come and move: those that live all the while are there exactly once."""
    lasting = set(ours(map(json.loads, Download(host.server, "/api/connections?format=ndjson").all().splitlines())))

    def traffic():
        with host.client.datagrams(SERVER4) as sock, host.client.datagrams(SERVER4) as other:
            sock.bind((CLIENT4, 7777))
            n = 0
            while not stop.wait(0.002):
                for _ in range(20):
                    n += 7919
                    sock.sendto(b"x", (SERVER4, 1024 + n % CONNECTIONS))
                    other.sendto(b"x", (SERVER4, 1024 + n % 60000))

    thread = threading.Thread(target=traffic, daemon=True)
    thread.start()
    for what, found in (("export", lambda: ours(map(json.loads, Download(host.server, "/api/connections?format=ndjson").all().splitlines()))),
                        ("pages by first_seen", lambda: ours(pipeline.api.every("/api/connections?sort=first_seen")))):
        got = found()
        report.equal(f"{what}: nothing left out that lives all the while", len(lasting - set(got)), 0)
        report.equal(f"{what}: nothing twice", len(got) - len(set(got)), 0)
    stop.set()
    thread.join()


def test(report):
    stop = threading.Event()
    with Host("psex") as host, Patient(host.server, "ps0", ["--max-connections", max(65536, 2 * CONNECTIONS)]) as pipeline:
        make_connections(host, CONNECTIONS)
        wait_for("all connections are known", lambda: pipeline.api.get("/api/stats")["table"]["known"] >= CONNECTIONS, 30)
        formats(report, host, pipeline)
        bounded_memory(report, host, pipeline)
        while_it_changes(report, host, pipeline, stop)


if __name__ == "__main__":
    main(test)
