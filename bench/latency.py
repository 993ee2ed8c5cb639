#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From the packet to the tap: how long after the first packet of a new connection was sent does a tap have its `conn.new`?

    sudo python3 bench/latency.py              # BENCH_CONNECTIONS=1000 BENCH_RATE=50
    sudo chrt -f 5 python3 bench/latency.py    # where other work takes the CPUs: it is not to be measured

At a light load (50 new connections a second), through the whole pipeline between two network namespaces; sender and tap read
one clock. Prints one line of JSON, milliseconds: {"what": "latency", "n": …, "p50": …, "p99": …, "max": …}, and exits with 1 if
the 99th percentile is 10 ms or more.
"""

import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))

from harness import SERVER4, Host, Pipeline  # noqa: E402
from lab import exit_on_signals  # noqa: E402
from stream import need_module  # noqa: E402

CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "1000"))
RATE = float(os.environ.get("BENCH_RATE", "50"))
GOAL_MS = 10.0
FIRST_PORT = 2000


def percentile(values, part):
    return values[min(len(values) - 1, int(len(values) * part))]


def listen(tap, seen, stopping):
    while not stopping.is_set():
        record = tap.next(0.1)
        if record:
            seen.setdefault(record["dst_port"], time.monotonic_ns())


def measure(host, run_dir, packetscope):
    sent, seen, stopping = {}, {}, threading.Event()
    with packetscope.Tap(run_dir, topics=("conn.new",)) as tap, host.client.datagrams(SERVER4) as sock:
        listener = threading.Thread(target=listen, args=(tap, seen, stopping))
        listener.start()
        time.sleep(1.5)
        due = time.monotonic()
        for number in range(CONNECTIONS):
            port = FIRST_PORT + number
            sent[port] = time.monotonic_ns()
            sock.sendto(b"x", (SERVER4, port))
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
        time.sleep(1)
        stopping.set()
        listener.join()
    return sorted((seen[port] - sent[port]) / 1e6 for port in sent if port in seen), len(sent)


def main():
    exit_on_signals()
    packetscope = need_module()
    with Host(prefix="psl") as host, Pipeline(host.server, "ps0", ["--interval", "0"]) as pipeline:
        latencies, sent = measure(host, pipeline.run_dir, packetscope)
    if len(latencies) < sent:
        print(f"{sent - len(latencies)} of {sent} connections never reached the tap", file=sys.stderr)
        return 1
    result = {"what": "latency", "n": sent, "rate": RATE, "p50": round(percentile(latencies, 0.5), 2),
              "p99": round(percentile(latencies, 0.99), 2), "max": round(latencies[-1], 2)}
    print(json.dumps(result))
    return 0 if result["p99"] < GOAL_MS else 1


sys.exit(main())
