#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""REST under wrk: 64 clients that keep asking, with 100,000 connections in the tables. Requests a second, and the 99th percentile
of the time an answer takes; beside each, in turn, libmicrohttpd with the gateway's flags answering a constant of as many bytes
(bench_http_constant). At last what the gateway's memory grows by while it gives all connections as files to ten clients that read and ten that do not.
PS_BENCH_CONNECTIONS, PS_BENCH_ROUNDS: other numbers."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))

from harness import BIN, Api, Host, wait_for  # noqa: E402
from proc import cpu_ns, status_bytes  # noqa: E402
from programs import Programs, attached_program, begin_connections  # noqa: E402

SMOKE = "PS_BENCH_SMOKE" in os.environ
CONNECTIONS = int(os.environ.get("PS_BENCH_CONNECTIONS", "1000" if SMOKE else "100000"))
ROUNDS = int(os.environ.get("PS_BENCH_ROUNDS", "1" if SMOKE else "7"))
SECONDS = 1 if SMOKE else 2
PORT, CONSTANT_PORT = 8080, 8090
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
PATHS = {"stats": "/api/stats", "conns": "/api/connections?limit=100"}
# All connections as a file: how many clients read it at once, ten times 100,000 in all; as many again ask and do not read.
FILES = {"ndjson": 4, "json": 3, "csv": 3}


def wrk(ns, port, path, pids):
    """(requests a second, p99 in ms, CPU time of the processes that answer, in us a request)"""
    before = cpu_ns(*pids)
    process = ns.popen("wrk", "-t1", "-c64", f"-d{SECONDS}s", "--latency", f"http://127.0.0.1:{port}{path}", stdout=-1, text=True)
    said = process.communicate(timeout=60)[0]
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    requests = int(re.search(r"(\d+) requests in", said).group(1))
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)), float(value) * UNITS[unit],
            (cpu_ns(*pids) - before) / 1000 / max(requests, 1))


def say(name, unit, values):
    print(json.dumps({"series": name, "unit": unit, "values": values}), flush=True)


def answer(ns, path):
    """A socket that has asked for the path."""
    with ns.entered():
        s = socket.create_connection(("127.0.0.1", PORT), timeout=120)
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return s


def read_all(s, seen):
    """Reads an answer to its end: seen gets its lines, those of the chunks' lengths among them."""
    lines, head, tail = 0, b"", b""
    with contextlib.closing(s):
        while piece := s.recv(1 << 18):
            head, tail = head or piece[:15], (tail + piece)[-5:]
            lines += piece.count(b"\n")
    seen.append(lines if head == b"HTTP/1.1 200 OK" and tail == b"0\r\n\r\n" else 0)


def growth(ns, pid):
    """The most that the gateway's own memory grew by while it gave files to clients that read and to some that do not."""
    before = most = status_bytes(pid, "RssAnon")
    for name, clients in FILES.items():
        path = f"/api/connections?format={name}&ended=true"
        idle = [answer(ns, path) for _ in range(clients)]  # these ask and do not read
        seen = []
        readers = [threading.Thread(target=read_all, args=(answer(ns, path), seen)) for _ in range(clients)]
        for reader in readers:
            reader.start()
        while any(reader.is_alive() for reader in readers):
            readers[0].join(0.02)
            most = max(most, status_bytes(pid, "RssAnon"))
        for s in idle:
            s.close()
        if len(seen) != clients or min(seen) < CONNECTIONS * 0.99:
            raise RuntimeError(f"{path}: answers of {seen} lines")
    return most - before


def size_of(ns, path):
    """Bytes of the body."""
    with contextlib.closing(answer(ns, path)) as s:
        text = b""
        while piece := s.recv(1 << 18):
            text += piece
    head, _, body = text.partition(b"\r\n\r\n")
    if b"200 OK" not in head:
        raise RuntimeError(head.decode())
    return len(body)


@contextlib.contextmanager
def constants(ns):
    """Port and process of a constant as long as each answer is now."""
    running, ports = [], {}
    try:
        for i, (name, path) in enumerate(PATHS.items()):
            port = CONSTANT_PORT + i
            process = ns.popen(os.path.join(BIN, "bench_http_constant"), str(port), str(size_of(ns, path)), stdout=subprocess.PIPE, text=True)
            running.append(process)
            ports[name] = (port, [process.pid])
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("bench_http_constant does not start")
        yield ports
    finally:
        for process in running:
            process.terminate()
            process.wait(10)


def main():
    if not shutil.which("wrk"):
        print("wrk is not installed (packaging/setup.sh bench)", file=sys.stderr)
        return 77
    with Host("psbr") as host, Programs(host.server, "ps0") as programs:
        programs.start("collector", "--iface=ps0", f"--max-connections={CONNECTIONS * 2}")
        wait_for("the collector is ready", lambda: "ready" in programs.log("collector"), 20)
        aggregator = programs.start("aggregator", "--timeout-syn-sent=3600", "--timeout-udp=3600", "--timeout-udp-stream=3600")
        gateway = programs.start("gateway", f"--api=127.0.0.1:{PORT}")
        api = Api(host.server, port=PORT)

        def known():
            with contextlib.suppress(OSError, KeyError, RuntimeError):
                return api.get("/api/stats", timeout=10)["table"]["known"]
            return -1

        wait_for("the gateway answers", lambda: known() >= 0, 30)
        program = attached_program(os.path.join(programs.pin_root, "link", "xdp-ps0"))
        begin_connections(program, CONNECTIONS)
        os.close(program)
        wait_for("all connections are known", lambda: known() >= CONNECTIONS * 0.99, 60, 1)
        series = {}
        with constants(host.server) as ports:
            for _ in range(ROUNDS):
                for name, path in PATHS.items():
                    for who, port, pids in ((f"rest.{name}", PORT, [gateway, aggregator]), (f"rest.{name}.constant", *ports[name])):
                        a_second, p99, cpu = wrk(host.server, port, path, pids)
                        series.setdefault(who, []).append(a_second)
                        series.setdefault(f"{who}.p99", []).append(p99)
                        series.setdefault(f"{who}.cpu", []).append(cpu)
        for name, values in series.items():
            say(name, {"p99": "ms", "cpu": "us"}.get(name.split(".")[-1], "/s"), values)
        say("rest.memory", "MB", [growth(host.server, gateway) / 1e6])
    return 0


sys.exit(main())
