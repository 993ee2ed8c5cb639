# SPDX-License-Identifier: MIT
"""What the kernel says of a process (proc(5))."""

import contextlib
import os


def status_bytes(pid, field):
    """A size of /proc/PID/status: "VmRSS", "RssAnon"."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line.split()[1] for line in file if line.startswith(f"{field}:"))) * 1024


def cpu_ns(*pids):
    """CPU time of all threads of these processes."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total


def wakeups(*pids):
    """How often their threads have waited for something."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return total


def map_bytes(*pids):
    """Memory of every BPF map that they hold, each once, by what the kernel charges for it."""
    maps = {}
    for pid in pids:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
                fields = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
                if "map_id" in fields:
                    maps[fields["map_id"]] = int(fields["memlock"])
    return sum(maps.values())
