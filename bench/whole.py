#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""End to end: new connections a second, from a packet in the kernel to a row in the table of user space, without loss. One CPU
makes the packets (bench_pour); the rest of the machine is for the collector and the aggregator, as they run everywhere; and, in
turn with them, for a reader that packs each record by msgpack-c into a message of its own and a subscriber that unpacks it and
puts it into an ordinary table (bench_naive), on the same kernel part.

A trial pours connections at one rate into empty tables. It counts when every one of them has arrived, and its rate is that of
arrival: connections divided by the time from the first packet until the last one is in the table. The rate is raised by steps until
a trial loses something, then both sides take turns: up a small step after a trial without loss, down one after a loss.

The programs of a side stay for all of its trials, and pour as many connections as a trial can have before the first: what is measured
is a host on which connections come and go, not how long the machine takes to give memory away for the first time (a virtual one may
take 20 us a page). Between trials the tables become empty: ours by its time-outs, the other's by hand."""

import contextlib
import ctypes
import json
import mmap
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))

from harness import BIN, Host, wait_for  # noqa: E402
from proc import cpu_ns  # noqa: E402
from programs import BPF_OBJ_GET, BPF_OBJ_GET_INFO_BY_FD, Programs, bpf, buffer  # noqa: E402

SMOKE = "PS_BENCH_SMOKE" in os.environ
ROUNDS = 0 if SMOKE else int(os.environ.get("PS_BENCH_ROUNDS", "7"))
SECONDS = 2.0
START, CEILING, FLOOR = (20_000, 20_000, 20_000) if SMOKE else (100_000, 4_000_000, 5_000)
LEAP, STEP = 2.0, 1.15
MOST = 2_000 if SMOKE else 1_200_000  # connections of a trial
WARM = 0 if SMOKE else 300_000  # a second, at which the memory is touched; whatever is lost then
SILENCE = 5  # seconds after which a SYN is forgotten: longer than a trial that loses nothing
HERE = os.path.dirname(os.path.abspath(__file__))


class Rig:
    """A collector, and what reads its events; a subclass says what that is."""

    name = None

    def __init__(self, prefix):
        self.prefix, self.stack, self.used = prefix, contextlib.ExitStack(), False

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.host = stack.enter_context(Host(self.prefix))
            self.programs = stack.enter_context(Programs(self.host.server, "ps0"))
            self.programs.start("collector", "--iface=ps0", f"--max-connections={MOST + MOST // 16}")
            wait_for("the collector is ready", lambda: "ready" in self.programs.log("collector"), 30)
            maps = os.path.join(self.programs.pin_root, "maps")
            self.maps = os.path.join(maps, os.listdir(maps)[0])
            self.tags = stack.enter_context(self.map_tags())
            self.begin(stack)
            time.sleep(0.5)  # it subscribes
            if WARM:
                self.pour(WARM, MOST)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *why):
        return self.stack.__exit__(*why)

    def map_tags(self):
        """The tags of the kernel's connections, all zero when there are none."""
        path, info = ctypes.create_string_buffer(os.fsencode(os.path.join(self.maps, "ps_tags"))), (ctypes.c_uint32 * 20)()
        fd = bpf(BPF_OBJ_GET, buffer("=Q", ctypes.addressof(path)))
        try:
            bpf(BPF_OBJ_GET_INFO_BY_FD, buffer("=IIQ", fd, ctypes.sizeof(info), ctypes.addressof(info)))
            return mmap.mmap(fd, -(-info[3] * info[4] // mmap.PAGESIZE) * mmap.PAGESIZE)
        finally:
            os.close(fd)

    def begin(self, stack):
        raise NotImplementedError

    def empty(self):
        raise NotImplementedError

    def pids(self):
        return [process.pid for process in self.programs.running.values()]

    def pour(self, rate, most, *counter):
        """What bench_pour says, and what each of the two processes used for a connection, in ns."""
        if self.used:
            self.empty()
        self.used = True
        link = os.path.join(self.programs.pin_root, "link", "xdp-ps0")
        command = [os.path.join(BIN, "bench_pour"), link, self.maps, str(rate), str(most), *counter]
        before = [cpu_ns(pid) for pid in self.pids()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise RuntimeError(done.stderr)
        said = json.loads(done.stdout)
        said["ns"] = [round((cpu_ns(pid) - was) / max(said["arrived"], 1)) for pid, was in zip(self.pids(), before)]
        return said


class Ours(Rig):
    name = "whole.own"

    def begin(self, stack):
        self.programs.start("aggregator", f"--timeout-syn-sent={SILENCE}s")
        wait_for("the aggregator is ready", lambda: "ready" in self.programs.log("aggregator"), 30)

    def empty(self):
        wait_for("the connections are forgotten", lambda: self.tags[:] == bytes(len(self.tags)), 60)
        time.sleep(1)  # and what was lost is made good


class Naive(Rig):
    """The collector holds the kernel part and does nothing else: it is stopped."""

    name = "whole.naive"

    def begin(self, stack):
        collector = self.programs.running["collector"].pid
        os.kill(collector, signal.SIGSTOP)
        stack.callback(os.kill, collector, signal.SIGCONT)
        endpoint, self.counter = f"ipc://{self.programs.directory}/naive", os.path.join(self.programs.directory, "counter")
        program = os.path.join(BIN, "bench_naive")
        self.table = self.host.server.popen(program, "table", endpoint, self.counter)
        stack.callback(self.kill, self.table)
        self.reader = self.host.server.popen(program, "collect", self.maps, endpoint)
        stack.callback(self.kill, self.reader)

    @staticmethod
    def kill(process):
        process.kill()
        process.wait()

    def empty(self):
        self.tags[:] = bytes(len(self.tags))
        with open(self.counter, "r+b") as file:
            file.write(bytes(8))
        time.sleep(1)  # it forgets

    def pids(self):
        return [self.reader.pid, self.table.pid]

    def pour(self, rate, most):
        self.reader.send_signal(signal.SIGCONT)
        try:
            return super().pour(rate, most, self.counter)
        finally:
            self.reader.send_signal(signal.SIGSTOP)  # it looks into its rings a thousand times a second


def lossless(said):
    return not said["lost"] and not said["refused"] and said["arrived"] == said["sent"]


class Side:
    def __init__(self, rig):
        self.name, self.rig, self.rate = rig.name, rig, START
        self.rates, self.best = [], None

    def run(self):
        """True if all of them arrived."""
        said = self.rig.pour(int(self.rate), min(int(self.rate * SECONDS), MOST))
        fine = lossless(said)
        print(f"{self.name}: {self.rate / 1000:.0f} k/s: {'all' if fine else 'LOST'} {said}", file=sys.stderr, flush=True)
        if fine:
            self.rates.append(said["arrived"] / said["seconds"])
            if self.rates[-1] == max(self.rates):
                self.best = said
        return fine

    def climb(self):
        """Between the highest rate without loss and the lowest with one, by leaps."""
        if self.run():
            while self.rate < CEILING:
                self.rate *= LEAP
                if not self.run():
                    break
        else:
            while self.rate > FLOOR:
                self.rate /= LEAP
                if self.run():
                    break
            self.rate *= LEAP
        self.rate /= LEAP ** 0.5

    def turn(self):
        self.rate = min(self.rate * STEP, CEILING) if self.run() else self.rate / STEP


def say(name, unit, values):
    print(json.dumps({"series": name, "unit": unit, "values": values}), flush=True)


def main():
    with Ours("psbw") as ours, Naive("psbn") as naive:
        sides = [Side(ours), Side(naive)]
        for side in sides:
            side.climb()
        for _ in range(ROUNDS):
            for side in sides:
                side.turn()
    for side in sides:
        if not side.rates:
            print(json.dumps({"note": side.name, "text": f"loses some at {int(side.rate)} a second already"}), flush=True)
            continue
        say(side.name, "/s", side.rates)
        print(json.dumps({"note": side.name, "text": "CPU a connection at the best rate, with the bus: reader {} ns, table {} ns"
                          .format(*side.best["ns"])}), flush=True)
    return 0


sys.exit(main())
