# SPDX-License-Identifier: MIT
"""kill -9 of each program in turn, PS_KILLS times each (20), under traffic: nothing blocked passes, nothing allowed is lost, no
other program dies, the killed one is back within two seconds, and no counter in the API ever goes backwards."""

import http.client
import os
import re
import signal
import socket
import threading
import time

from harness import PARTS, SERVER4, SOURCE, Host, Pipeline, main, need, note, wait_for
from lab import Server, http_get, http_server

KILLS = int(os.environ.get("PS_KILLS", "20"))
BACK_WITHIN = 2.0  # what `up` starts again
UP_BACK_WITHIN = 5.0  # `up` itself, which first sends the parts of the one before away; nobody but us started it again
BLOCKED, ALLOWED, RATE = 7777, 7778, 200


class Stream(threading.Thread):
    """UDP to a port at RATE a second: every other packet on one long connection, the rest from a new source port each."""

    def __init__(self, ns, port):
        super().__init__(daemon=True)
        self.ns, self.port = ns, port
        self.sent = 0
        self.stopping = threading.Event()

    def run(self):
        with self.ns.entered():
            steady = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            due = time.monotonic()
            while not self.stopping.is_set():
                if self.sent % 2:
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as fresh:
                        fresh.sendto(b"x" * 64, (SERVER4, self.port))
                else:
                    steady.sendto(b"x" * 64, (SERVER4, self.port))
                self.sent += 1
                due += 1 / RATE
                time.sleep(max(0.0, due - time.monotonic()))
            steady.close()

    def stop(self):
        self.stopping.set()
        self.join()


class Browsing(threading.Thread):
    """HTTP requests, one after the other."""

    def __init__(self, ns):
        super().__init__(daemon=True)
        self.ns = ns
        self.done = 0
        self.failed = []
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            try:
                http_get(self.ns, SERVER4, 80, "/")
                self.done += 1
            except OSError as error:
                self.failed.append(repr(error))
            time.sleep(0.05)

    def stop(self):
        self.stopping.set()
        self.join()


def kernel_counters():
    """Names of the kernel's counters, from the table that defines them."""
    with open(os.path.join(SOURCE, "bpf", "stats.def"), encoding="utf-8") as file:
        return set(re.findall(r"^PS_STAT\((\w+),", file.read(), re.MULTILINE))


class Watch(threading.Thread):
    """Asks the API all the time and remembers whatever went backwards."""

    CAMEL = ("TotalPackets", "TotalBytes", "DroppedPackets", "MalformedPackets", "TCPRetrans", "TCPDuplicateAck", "TCPOutOfOrder",
             "TCPZeroWindow", "TCPSmallWindow")

    def __init__(self, api):
        super().__init__(daemon=True)
        self.api = api
        self.names = kernel_counters() | set(self.CAMEL)
        self.seen = {}
        self.backwards = []
        self.polls = 0
        self.unanswered = 0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            try:
                self.poll()
                self.polls += 1
            except (OSError, http.client.HTTPException, RuntimeError):
                self.unanswered += 1
            time.sleep(0.05)

    def poll(self):
        stats = self.api.get("/api/stats", timeout=3)
        self.compare("stats", dict(self.counters(stats)))
        for rule in self.api.get("/api/filters", timeout=3):
            self.compare(f"filter {rule['id']}", {name: rule[name] for name in ("packets", "bytes")})
        for conn in self.api.get(f"/api/connections?port={BLOCKED}&limit=50", timeout=3) + \
                self.api.get(f"/api/connections?port={ALLOWED}&limit=50", timeout=3):
            self.compare(f"connection {conn['id']}", {name: value for name, value in conn.items()
                                                      if name.endswith(("_packets", "_bytes"))})

    def counters(self, value, path=""):
        """Every counter below `value`: kernel counters and the documented names wherever they stand, and the whole ledger."""
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from self.counters(inner, f"{path}/{name}")
        elif isinstance(value, list):
            if path.rsplit("/", 1)[-1] in ("ICMPTypeCounts", "ICMPCodeCounts"):
                yield from ((f"{path}/{index}", number) for index, number in enumerate(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            if path.rsplit("/", 1)[-1] in self.names or "/ledger/" in path:
                yield path, value

    def compare(self, what, counters):
        for name, value in counters.items():
            key = (what, name)
            before = self.seen.get(key)
            if before is not None and value < before:
                self.backwards.append(f"{what} {name}: {before} -> {value}")
            self.seen[key] = value

    def stop(self):
        self.stopping.set()
        self.join()


def all_pids(pipeline):
    """part -> pid for the five programs, or None if one is missing or twice there."""
    found = {}
    for pid, name in pipeline.processes().items():
        part = "up" if name == "packetscope" else name.removeprefix("packetscope-")
        if part in found:
            return None
        found[part] = pid
    return found if set(found) == {"up", *PARTS} else None


def healthy(pipeline):
    try:
        return pipeline.api.request("GET", "/api/health", timeout=1)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def kill_one(pipeline, part):
    """Kills a part once; returns the seconds until all is well again and the names of those that died with it."""
    before = wait_for("five programs", lambda: all_pids(pipeline), 5)
    os.kill(before[part], signal.SIGKILL)
    if part == "up":
        # The others go on without it; whoever starts it again (systemd, an operator) gets parts of its own.
        pipeline.process.wait(2)
        time.sleep(0.3)
        alive = pipeline.processes()
        died = [other for other in PARTS if before[other] not in alive]
        pipeline.start()
    started = time.monotonic()

    fresh = (part, *PARTS) if part == "up" else (part,)

    def back():
        now = all_pids(pipeline)
        return now if now and all(now[one] != before[one] for one in fresh) and healthy(pipeline) else None

    after = wait_for(f"{part} is back", back, 10, 0.02)
    seconds = time.monotonic() - started
    if part != "up":
        died = [other for other in after if other != part and after[other] != before[other]]
    return seconds, died


def kill_in_turn(report, pipeline, parts):
    """Each part once a round, so that none dies younger than a round: one that does is held back as crashing at start."""
    times, others = {part: [] for part in parts}, []
    for _ in range(KILLS):
        for part in parts:
            seconds, died = kill_one(pipeline, part)
            times[part].append(seconds)
            others += [f"{other} with {part}" for other in died]
            time.sleep(0.1)
    for part in parts:
        note(f"{part}: back after {min(times[part]):.2f} to {max(times[part]):.2f} s")
        limit = UP_BACK_WITHIN if part == "up" else BACK_WITHIN
        report.check(f"{part} killed {KILLS} times: back within {limit:g} s each time", max(times[part]) <= limit,
                     ", ".join(f"{seconds:.2f}" for seconds in times[part] if seconds > limit))
    report.equal(f"{', '.join(parts)} killed {KILLS} times: nothing else died", others, [])


def settled(report, what, value, expected):
    try:
        wait_for(what, lambda: value() == expected, 5, 0.2)
    except TimeoutError:
        pass
    report.equal(what, value(), expected)


def test(report):
    need("ethtool")
    with Host() as host, Pipeline(host.server, "ps0") as pipeline:
        web = Server(host.server.listen(socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0", 80), http_server(lambda path: 20_000))
        blocked = Server(host.server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, BLOCKED), lambda data: None)
        allowed = Server(host.server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, ALLOWED), lambda data: None)
        pipeline.api.rule({"rule_type": "udp", "dst_port": BLOCKED, "enabled": True, "comment": "probe"})
        bad, good, browsing = Stream(host.client, BLOCKED), Stream(host.client, ALLOWED), Browsing(host.client)
        watch = Watch(pipeline.api)
        for thread in (bad, good, browsing, watch):
            thread.start()
        kill_in_turn(report, pipeline, PARTS)
        kill_in_turn(report, pipeline, ("up",))
        for thread in (bad, good, browsing):
            thread.stop()
        watch.stop()
        time.sleep(0.3)
        report.equal(f"blocked packets that passed, of {bad.sent}", blocked.received, 0)
        report.equal(f"allowed packets that arrived, of {good.sent}", allowed.received, good.sent)
        report.equal(f"failed HTTP requests, of {browsing.done}", browsing.failed, [])
        settled(report, "packets that the rule counted", lambda: pipeline.api.get("/api/filters/0")["packets"], bad.sent)
        note(f"{watch.polls} polls of the API answered, {watch.unanswered} not; {len(watch.seen)} counters watched")
        report.equal("counters that went backwards", watch.backwards[:10], [])
        report.check("the API was watched", watch.polls > KILLS, watch.polls)
        for server in (web, blocked, allowed):
            server.close()


main(test)
