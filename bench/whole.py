#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""End to end: new connections a second, from a packet in the kernel to a row in the table of user space, without loss. One CPU
makes the packets (bench_pour); the rest of the machine is for the collector and the aggregator, as they run everywhere; and, in
turn with them, for a reader that packs each record by msgpack-c into a message of its own and a subscriber that unpacks it and
puts it into an ordinary table (bench_naive), on the same kernel part.

A trial pours connections at one rate into empty tables. It counts when every one of them has arrived, and its rate is that of
arrival: connections divided by the time from the first packet until the last one is in the table. The rate is raised by steps until
a trial loses something, then both sides take turns: up a small step after a trial without loss, down one after a loss."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))

from harness import BIN, Host, wait_for  # noqa: E402
from proc import cpu_ns  # noqa: E402
from programs import Programs  # noqa: E402

SMOKE = "PS_BENCH_SMOKE" in os.environ
ROUNDS = 0 if SMOKE else int(os.environ.get("PS_BENCH_ROUNDS", "7"))
SECONDS = 2.0
START, CEILING, FLOOR = (20_000, 20_000, 20_000) if SMOKE else (100_000, 4_000_000, 5_000)
LEAP, STEP = 2.0, 1.15
MOST = 2_000 if SMOKE else 1_200_000  # connections of a trial
HERE = os.path.dirname(os.path.abspath(__file__))


@contextlib.contextmanager
def programs_in(host):
    """A collector whose tables are empty."""
    with Programs(host.server, "ps0") as programs:
        programs.start("collector", "--iface=ps0", f"--max-connections={MOST + MOST // 16}")
        wait_for("the collector is ready", lambda: "ready" in programs.log("collector"), 30)
        yield programs


def pour(programs, rate, pids, counter=None):
    """What bench_pour says, and what each of these processes used for a connection, in ns."""
    maps = os.path.join(programs.pin_root, "maps")
    (version,) = os.listdir(maps)
    command = [os.path.join(BIN, "bench_pour"), os.path.join(programs.pin_root, "link", "xdp-ps0"), os.path.join(maps, version),
               str(rate), str(min(int(rate * SECONDS), MOST)), *([counter] if counter else [])]
    before = [cpu_ns(pid) for pid in pids]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(done.stderr)
    said = json.loads(done.stdout)
    said["ns"] = [round((cpu_ns(pid) - was) / max(said["arrived"], 1)) for pid, was in zip(pids, before)]
    return said


def ours(host, rate):
    with programs_in(host) as programs:
        programs.start("aggregator")
        wait_for("the aggregator is ready", lambda: "ready" in programs.log("aggregator"), 30)
        time.sleep(0.3)  # it subscribes
        return pour(programs, rate, [process.pid for process in programs.running.values()])


def naive(host, rate):
    """The collector holds the kernel part and does nothing else: it is stopped."""
    with programs_in(host) as programs:
        os.kill(programs.running["collector"].pid, signal.SIGSTOP)
        endpoint, counter = f"ipc://{programs.directory}/naive", os.path.join(programs.directory, "counter")
        maps = os.path.join(programs.pin_root, "maps")
        maps = os.path.join(maps, os.listdir(maps)[0])
        program = os.path.join(BIN, "bench_naive")
        table = host.server.popen(program, "table", endpoint, counter)
        reader = host.server.popen(program, "collect", maps, endpoint)
        try:
            time.sleep(0.5)  # it subscribes
            return pour(programs, rate, [reader.pid, table.pid], counter)
        finally:
            for process in (reader, table):
                process.kill()
                process.wait()
            os.kill(programs.running["collector"].pid, signal.SIGCONT)


def lossless(said):
    return not said["lost"] and not said["refused"] and said["arrived"] == said["sent"]


class Side:
    def __init__(self, name, trial):
        self.name, self.trial, self.rate = name, trial, START
        self.rates, self.best = [], None

    def run(self, host):
        """True if all of them arrived."""
        said = self.trial(host, int(self.rate))
        fine = lossless(said)
        print(f"{self.name}: {self.rate / 1000:.0f} k/s: {'all' if fine else 'LOST'} {said}", file=sys.stderr, flush=True)
        if fine:
            self.rates.append(said["arrived"] / said["seconds"])
            if self.rates[-1] == max(self.rates):
                self.best = said
        return fine

    def climb(self, host):
        """Between the highest rate without loss and the lowest with one, by leaps."""
        if self.run(host):
            while self.rate < CEILING:
                self.rate *= LEAP
                if not self.run(host):
                    break
        else:
            while self.rate > FLOOR:
                self.rate /= LEAP
                if self.run(host):
                    break
            self.rate *= LEAP
        self.rate /= LEAP ** 0.5

    def turn(self, host):
        self.rate = min(self.rate * STEP, CEILING) if self.run(host) else self.rate / STEP


def say(name, unit, values):
    print(json.dumps({"series": name, "unit": unit, "values": values}), flush=True)


def main():
    sides = [Side("whole.own", ours), Side("whole.naive", naive)]
    with Host("psbw") as host:
        for side in sides:
            side.climb(host)
        for _ in range(ROUNDS):
            for side in sides:
                side.turn(host)
    for side in sides:
        if not side.rates:
            print(json.dumps({"note": side.name, "text": f"loses some at {int(side.rate)} a second already"}), flush=True)
            continue
        say(side.name, "/s", side.rates)
        print(json.dumps({"note": side.name, "text": "CPU a connection at the best rate, with the bus: reader {} ns, table {} ns"
                          .format(*side.best["ns"])}), flush=True)
    return 0


sys.exit(main())
