#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a running installation of the default size takes when nothing happens: memory of the four programs (RSS) and of the kernel
maps they hold, and CPU time over some seconds, in a network namespace of its own."""

import contextlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))

from harness import Api, Host, wait_for  # noqa: E402
from programs import Programs  # noqa: E402

PARTS = ("collector", "aggregator", "gateway", "ai-worker")
PORT = 8080
SECONDS = 2 if "PS_BENCH_SMOKE" in os.environ else 20
ROUNDS = 1 if "PS_BENCH_SMOKE" in os.environ else 7
TICK = os.sysconf("SC_CLK_TCK")


def resident(pid):
    """RSS, without the kernel's maps that are mapped: those are counted as maps."""
    total, counted = 0, True
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        for line in file:
            word = line.split(None, 1)[0]
            if not word.endswith(":"):
                counted = "bpf-map" not in line
            elif word == "Rss:" and counted:
                total += int(line.split()[1]) * 1024
    return total


def scheduled(pid):
    """CPU time in ns of all threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def kernel_maps(pids):
    maps = {}
    for pid in pids:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
                fields = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
                if "map_id" in fields:
                    maps[fields["map_id"]] = int(fields["memlock"])
    return sum(maps.values())


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
        programs_bytes, maps_bytes = sum(resident(pid) for pid in pids), kernel_maps(pids)
        say("host.rss", "MB", [programs_bytes / 1e6])
        say("host.maps", "MB", [maps_bytes / 1e6])
        say("host.memory", "MB", [(programs_bytes + maps_bytes) / 1e6])
        shares = []
        for _ in range(ROUNDS):
            before, begun = sum(scheduled(pid) for pid in pids), time.monotonic_ns()
            time.sleep(SECONDS / ROUNDS)
            shares.append(100 * (sum(scheduled(pid) for pid in pids) - before) / (time.monotonic_ns() - begun))
        say("host.cpu", "%", shares)
    return 0


sys.exit(main())
