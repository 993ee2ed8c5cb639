#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""REST under wrk: 64 clients that keep asking, with 100,000 connections in the tables. Requests a second, and the 99th percentile
of the time an answer takes."""

import contextlib
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))

from harness import Api, Host, wait_for  # noqa: E402
from programs import Programs, attached_program, begin_connections  # noqa: E402

SMOKE = "PS_BENCH_SMOKE" in os.environ
CONNECTIONS, ROUNDS, SECONDS = (1000, 1, 1) if SMOKE else (100000, 7, 2)
PORT = 8080
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def wrk(ns, path):
    """(requests a second, p99 in ms)"""
    process = ns.popen("wrk", "-t1", "-c64", f"-d{SECONDS}s", "--latency", f"http://127.0.0.1:{PORT}{path}", stdout=-1, text=True)
    said = process.communicate(timeout=60)[0]
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
    if "Non-2xx" in said:
        raise RuntimeError(said)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)), float(value) * UNITS[unit]


def say(name, unit, values):
    print(json.dumps({"series": name, "unit": unit, "values": values}), flush=True)


def main():
    if not shutil.which("wrk"):
        print("wrk is not installed (packaging/setup.sh bench)", file=sys.stderr)
        return 77
    with Host("psbr") as host, Programs(host.server, "ps0") as programs:
        programs.start("collector", "--iface=ps0", f"--max-connections={CONNECTIONS * 2}")
        wait_for("the collector is ready", lambda: "ready" in programs.log("collector"), 20)
        programs.start("aggregator", "--timeout-syn-sent=3600", "--timeout-udp=3600", "--timeout-udp-stream=3600")
        programs.start("gateway", f"--api=127.0.0.1:{PORT}")
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
        series = {"rest.stats": [], "rest.stats.p99": [], "rest.conns": [], "rest.p99": []}
        for _ in range(ROUNDS):
            for path, rate, late in (("/api/stats", "rest.stats", "rest.stats.p99"), ("/api/connections?limit=100", "rest.conns", "rest.p99")):
                a_second, p99 = wrk(host.server, path)
                series[rate].append(a_second)
                series[late].append(p99)
        for name, values in series.items():
            say(name, "ms" if name.endswith("p99") else "/s", values)
    return 0


sys.exit(main())
