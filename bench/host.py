#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a running installation of the default size takes when nothing happens: memory of the four programs (RSS, and PSS, in which
what they share counts once) and of the kernel maps they hold, CPU time and wake-ups over some seconds, in a network namespace of its
own. And what its programs take while 50,000 packets a second of 1,000 connections pass the hooks."""

import contextlib
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))

from harness import BIN, Api, Host, wait_for  # noqa: E402
from proc import cpu_ns, map_bytes, wakeups  # noqa: E402
from programs import Programs  # noqa: E402

PARTS = ("collector", "aggregator", "gateway", "ai-worker")
PORT = 8080
SECONDS = 2 if "PS_BENCH_SMOKE" in os.environ else 20
ROUNDS = 1 if "PS_BENCH_SMOKE" in os.environ else 7
RATE, FLOWS = 50_000, 1_000


def resident(pid, what="Rss:"):
    """RSS or PSS, without the kernel's maps that are mapped: those are counted as maps."""
    total, counted = 0, True
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        for line in file:
            word = line.split(None, 1)[0]
            if not word.endswith(":"):
                counted = "bpf-map" not in line
            elif word == what and counted:
                total += int(line.split()[1]) * 1024
    return total


def shares(pids, seconds, rounds):
    """Percent of a core that each program took, round by round."""
    found = []
    for _ in range(rounds):
        before, begun = [cpu_ns(pid) for pid in pids], time.monotonic_ns()
        time.sleep(seconds / rounds)
        found.append([100 * (cpu_ns(pid) - was) / (time.monotonic_ns() - begun) for pid, was in zip(pids, before)])
    return found


def sender(ns, iface, direction, seconds):
    return ns.popen(os.path.join(BIN, "bench_traffic"), iface, direction, str(FLOWS), str(RATE // 2), str(seconds),
                    stdout=subprocess.PIPE, text=True)


def traffic(host, api, pids):
    """CPU of the programs while the packets flow, and how many came to the hooks in a second."""
    seconds = SECONDS / 2
    senders = [sender(host.client, "ps1", "request", SECONDS), sender(host.server, "ps0", "reply", SECONDS)]
    time.sleep(seconds / 4)
    before, begun = api.get("/api/stats")["TotalPackets"], time.monotonic()
    found = shares(pids, seconds, ROUNDS)
    rate = (api.get("/api/stats")["TotalPackets"] - before) / (time.monotonic() - begun)
    for process in senders:
        process.communicate(timeout=60)
    say("host.traffic.rate", "/s", [rate])
    say("host.traffic", "%", [sum(row) for row in found])
    each = ", ".join(f"{part} {min(row[i] for row in found):.2f}" for i, part in enumerate(PARTS))
    print(json.dumps({"note": "16.traffic", "text": f"{rate:.0f} packets/s; {each}"}), flush=True)


def say(name, unit, values):
    print(json.dumps({"series": name, "unit": unit, "values": values}), flush=True)


def main():
    with Host("psbh") as host, Programs(host.server, "ps0") as programs:
        pids = [programs.start("collector", "--iface=ps0")]
        wait_for("the collector is ready", lambda: "ready" in programs.log("collector"), 20)
        pids += [programs.start("aggregator"), programs.start("gateway", f"--api=127.0.0.1:{PORT}"), programs.start("ai-worker")]
        api = Api(host.server, port=PORT)

        def well():
            with contextlib.suppress(OSError):
                return api.request("GET", "/api/health", timeout=2)[0] == 200
            return False

        wait_for("all parts are well", well, 30)
        time.sleep(1 if SECONDS < 5 else 5)
        programs_bytes, maps_bytes = sum(resident(pid) for pid in pids), map_bytes(*pids)
        say("host.rss", "MB", [programs_bytes / 1e6])
        say("host.pss", "MB", [sum(resident(pid, "Pss:") for pid in pids) / 1e6])
        say("host.maps", "MB", [maps_bytes / 1e6])
        say("host.memory", "MB", [(programs_bytes + maps_bytes) / 1e6])
        before, begun = wakeups(*pids), time.monotonic()
        say("host.cpu", "%", [sum(row) for row in shares(pids, SECONDS, ROUNDS)])
        say("host.wakeups", "/s", [(wakeups(*pids) - before) / (time.monotonic() - begun)])
        traffic(host, api, pids)
    return 0


sys.exit(main())
