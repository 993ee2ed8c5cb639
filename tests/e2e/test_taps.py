# SPDX-License-Identifier: MIT
"""Taps in C and in Python (docs/examples) listen at once under traffic, some from the start, one late; each has the aggregator's
table in the end. Killing a tap affects nobody."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import BUILD, SERVER4, SERVER6, SOURCE, Host, Pipeline, main, need, note, run, skip
from lab import Server, dns_query, dns_server, http_get, http_server

EXAMPLES = os.path.join(SOURCE, "docs", "examples")
MODULE = os.path.join(SOURCE, "python")
SAME = ("id", "proto", "src_ip", "src_port", "dst_ip", "dst_port", "iface", "state", "orig_packets", "resp_packets", "orig_bytes",
        "resp_bytes", "orig_tcp_flags", "resp_tcp_flags", "history")


def install_client(directory):
    """libpacketscope as a package would install it; returns its prefix."""
    prefix = os.path.join(directory, "usr")
    run("cmake", "--install", BUILD, "--component", "client", "--prefix", prefix)
    return prefix


def compile_tap(directory, *pkg_config):
    """The C example, with nothing but what pkg-config says."""
    prefix, program = install_client(directory), os.path.join(directory, f"tap{len(pkg_config)}")
    where = next(path for path, _, names in os.walk(prefix) if "packetscope.pc" in names)
    flags = run("pkg-config", "--cflags", "--libs", *pkg_config, "packetscope", env={**os.environ, "PKG_CONFIG_PATH": where}).split()
    library = os.path.dirname(where)
    if pkg_config:
        flags = [os.path.join(library, "libpacketscope.a") if flag == "-lpacketscope" else flag for flag in flags]
    else:
        flags.append(f"-Wl,-rpath,{library}")
    run("cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, os.path.join(EXAMPLES, "tap.c"), *flags)
    return program


class Tap:
    def __init__(self, pipeline, name, command, seconds):
        self.name = name
        self.process = pipeline.ns.popen(*command, "--run-dir", pipeline.run_dir, "--dump-after", seconds, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": MODULE})
        self.said = ["", ""]
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        self.said[:] = self.process.communicate()

    def table(self):
        self.reader.join(15)
        return {record["id"]: record for record in map(json.loads, self.said[0].splitlines())}


def traffic(host, seconds):
    until = time.monotonic() + seconds
    with host.client.datagrams(SERVER4) as steady:
        steady.settimeout(1)
        number = 0
        while time.monotonic() < until:
            for address in (SERVER4, SERVER6):
                http_get(host.client, address, 80, "/")
            steady.sendto(dns_query("steady.example.test", number % 65536), (SERVER4, 53))
            steady.recv(512)
            with host.client.datagrams(SERVER4) as fresh:
                fresh.sendto(b"x", (SERVER4, 40000 + number % 100))
            number += 1
            time.sleep(0.005)
    return number


def shown(record):
    return {name: record.get(name) or None for name in SAME}


def compare(report, name, table, live):
    wrong = [f"{key}: tap {shown(table[key])}, API {shown(live[key])}" for key in table if key in live and shown(table[key]) != shown(live[key])]
    report.check(f"{name}: the same {len(live)} connections as the API",
                 set(table) == set(live), f"missing {len(set(live) - set(table))}, too many {len(set(table) - set(live))} of {len(live)}")
    report.check(f"{name}: the same counters", not wrong, f"{len(wrong)} differ: {wrong[:2]}")


def test(report):
    need("cc", "pkg-config", "cmake", "ethtool")
    if subprocess.run([sys.executable, "-c", "import zmq, msgpack"], capture_output=True, check=False).returncode:
        skip("python3-zmq or python3-msgpack is not installed (packaging/setup.sh test)")
    with Host() as host, Pipeline(host.server, "ps0") as pipeline:
        servers = [Server(host.server.listen(socket.AF_INET6, socket.SOCK_STREAM, "::", 80), http_server(lambda path: 5000)),
                   Server(host.server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, 53), dns_server())]
        in_c, in_python = [compile_tap(pipeline.directory)], [sys.executable, os.path.join(EXAMPLES, "tap.py")]
        static = [compile_tap(pipeline.directory, "--static")]
        raw = [sys.executable, os.path.join(EXAMPLES, "raw_tap.py")]
        taps = [Tap(pipeline, "tap in C", in_c, 13), Tap(pipeline, "tap in C, static", static, 13),
                Tap(pipeline, "tap in Python", in_python, 13), Tap(pipeline, "tap with ZeroMQ and msgpack alone", raw, 13)]
        victims = [Tap(pipeline, "victim", command, 60) for command in (in_c, in_python)]
        time.sleep(1.5)
        running = threading.Thread(target=traffic, args=(host, 4))
        running.start()
        time.sleep(2)
        for victim in victims:
            victim.process.send_signal(signal.SIGKILL)
        late = Tap(pipeline, "late tap in Python", in_python, 9)
        running.join()
        tables = {tap.name: tap.table() for tap in (*taps, late)}
        live = {conn["id"]: conn for conn in pipeline.api.connections() if conn["end_reason"] is None}
        report.check("there was traffic", len(live) > 100, len(live))
        for tap in (*taps, late):
            note(f"{tap.name}: {tap.said[1].strip()}")
            compare(report, tap.name, tables[tap.name], live)
            report.check(f"{tap.name}: lost nothing", " 0 messages lost" in tap.said[1], tap.said[1])
        ledger = pipeline.api.get("/api/stats")["ledger"]
        report.equal("the aggregator missed nothing", {name: row["missed"] for name, row in ledger.items() if isinstance(row, dict) and row["missed"]}, {})
        report.equal("all parts are well", pipeline.api.request("GET", "/api/health")[0], 200)
        for server in servers:
            server.close()


if __name__ == "__main__":
    main(test)
