# SPDX-License-Identifier: MIT
"""PS_BOMBS bombs (1000) to every socket that anybody can speak to: nested arrays, huge counts, wrong types, cut-off messages. Each is
refused, no program's memory grows by 64 KiB, and none dies. Servers are bombed in a running pipeline; clients (aggregator, worker,
gateway, a tap in C, a tap in Python) by an impostor that serves their sockets."""

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

from harness import BIN, Api, Host, Pipeline, main, need, note, wait_for
from proc import status_bytes
from stream import need_module

BOMBS = int(os.environ.get("PS_BOMBS", "1000"))
ROUNDS = 8  # at most: the first fills what the allocator and libzmq keep for the next burst; soon one leaves nothing behind
GROWTH = 64 * 1024
TOPICS = ("conn.new", "conn.update", "conn.end", "icmp", "drop", "stats", "rule", "finding", "snapshot")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Bombs:
    """Bytes that are no msgpack of ours; all from one seed."""

    def __init__(self, seed=1):
        import msgpack

        self.pack = msgpack.packb
        self.random = random.Random(seed)
        self.kinds = (self.nested, self.nested_maps, self.huge, self.cut, self.reserved, self.wrong, self.many, self.noise, self.trailing,
                      self.nothing)

    def nested(self):
        return b"\x91" * self.random.choice((17, 1000, 100_000)) + b"\xc0"

    def nested_maps(self):
        return b"\x81\xa1a" * self.random.choice((17, 1000, 30_000)) + b"\xc0"

    def huge(self):
        return self.random.choice((b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9")) + b"\xff\xff\xff\xff" + b"\1" * self.random.randrange(64)

    def cut(self):
        whole = self.pack({"v": 1, "id": 7, "op": "status", "peer": "x" * 40, "list": list(range(100))})
        return whole[:self.random.randrange(1, len(whole))]

    def reserved(self):
        return b"\x82\xa1v\xc1\xa2id\xc1"

    def wrong(self):
        return self.pack(self.random.choice(([1, 2], "text", 5, None, True, 1.5, [[]] * 50)))

    def many(self):
        return b"\xdd" + (200_000).to_bytes(4, "big") + b"\x90" * 200_000

    def noise(self):
        return bytes([0xc1]) + self.random.randbytes(self.random.choice((1, 40, 4000)))

    def trailing(self):
        return self.pack({"v": 1}) + b"\xc0" * self.random.randrange(1, 50)

    def nothing(self):
        return b""

    def one(self, number):
        return self.kinds[number % len(self.kinds)]()


def header(bombs, number):
    """A header map that is right but for one thing."""
    good = {"v": 1, "host": "h", "epoch": 5, "seq": number + 1, "ts": 1, "n": 1, "lost": 0, "before": 0, "fields": ["id", "proto"]}
    key = bombs.random.choice(("v", "host", "epoch", "seq", "ts", "n", "lost"))
    good[key] = bombs.random.choice((-1, "9", None, [9], {"a": 1}, 1.5)) if key != "host" else 7
    return bombs.pack(good)


def message(bombs, number):
    """The frames of a publisher's message, none of it right."""
    topic = TOPICS[number % len(TOPICS)].encode()
    good = bombs.pack({"v": 1, "host": "h", "epoch": 5, "seq": number + 1, "ts": 1, "n": 1, "lost": 0, "fields": ["id", "proto"]})
    how = number // len(TOPICS) % 5
    if how == 0:
        return [topic, bombs.one(number), b"\x90"]
    if how == 1:
        return [topic, header(bombs, number), b"\x91\x92\xc0\xc0"]
    if how == 2:
        return [topic, good, b"\xc0" + bombs.one(number)]  # no array, no map
    if how == 3:
        return [topic] + [bombs.one(number)] * bombs.random.choice((0, 1, 3, 7))
    return [topic + b"x", good, bombs.one(number)]


def request(bombs, number):
    """The frames of a request, none of it right."""
    good = bombs.pack({"v": 1, "id": number, "op": "status", "peer": "test"})
    how = number % 5
    if how == 0:
        return [bombs.one(number // 5), b"\x80"]
    if how == 1:
        return [good, bombs.one(number // 5) or b"\xc1"]
    if how == 2:
        return [good] + [b"\x80"] * bombs.random.choice((0, 2, 5))
    if how == 3:
        return [bombs.pack({"v": bombs.random.choice((0, 2, "1", None)), "id": 1, "op": "status", "peer": ""}), b"\x80"]
    return [bombs.pack({"v": 1, "id": bombs.random.choice((-1, "7", None)), "op": bombs.random.choice(("status", 5, "x" * 500, ""))}), b"\x80"]


class Bomber:
    """Sockets of one kind that connect, and what is sent through them. The other side hangs up on what is too large."""

    def __init__(self):
        import zmq

        self.zmq = zmq
        self.context = zmq.Context()

    def run(self, endpoint, kind, make, count, wait=0.3, linger=30000):
        sock = self.context.socket(kind)
        sock.setsockopt(self.zmq.LINGER, linger)
        sock.setsockopt(self.zmq.SNDHWM, 0)
        sock.setsockopt(self.zmq.RECONNECT_IVL, 5)
        sock.connect(endpoint)
        for number in range(count):
            sock.send_multipart(make(number))
            if number % 20 == 19:
                time.sleep(0.005)
        time.sleep(wait)
        sock.close()


# Every socket that listens, and whose it is.
SOCKETS = {"control": "aggregator", "ai": "ai-worker", "events": "collector", "feed": "collector", "state": "aggregator", "findings": "ai-worker"}


def flood(bomber, run_dir, name, count):
    zmq, bombs, endpoint = bomber.zmq, Bombs(count), f"ipc://{run_dir}/{name}.sock"
    if name in ("control", "ai"):
        bomber.run(endpoint, zmq.DEALER, lambda number: request(bombs, number), count)
        return
    # Peers come, subscribe, and go.
    for _ in range(count // 5):
        bomber.run(endpoint, zmq.XSUB, lambda _: [b"\x01conn"], 1, wait=0.01)
    # Upstream a publisher takes subscriptions; anything else it must pass over. And what is subscribed to is freed again.
    bomber.run(endpoint, zmq.XSUB, lambda number: [b"\x02" + bombs.one(number)], count // 2)
    bomber.run(endpoint, zmq.XSUB, lambda number: [b"\x01" + bombs.one(number)[:400]], count - count // 2)


def settle(pids):
    time.sleep(1.5)
    return {name: status_bytes(pid, "RssAnon") for name, pid in pids.items()}


def growth_of(name, memory):
    sizes = [one[name] for one in memory]
    return min((after - before for before, after in zip(sizes, sizes[1:])), default=GROWTH)


def settled(memory):
    """Has each program had a round that left nothing behind? A leak has none."""
    return bool(memory) and all(growth_of(name, memory) < GROWTH for name in memory[0])


def compare(report, what, pids, memory):
    """memory: by round, by name."""
    for name, pid in pids.items():
        report.check(f"{what}: {name} lives", alive(pid))
        growth = growth_of(name, memory)
        report.check(f"{what}: {BOMBS} bombs leave {growth} bytes in {name}, less than {GROWTH}", growth < GROWTH,
                     [one[name] for one in memory])


def refused_requests(pipeline, before):
    """How many the aggregator has thrown away since; it tells once a second."""
    last = 0
    for _ in range(60):
        now = pipeline.api.get("/api/stats")["ledger"]["broken_requests"] - before
        if now == last and now:
            break
        last = now
        time.sleep(1.2)
    return last


def servers(report, pipeline):
    bomber = Bomber()
    for name, part in SOCKETS.items():
        pid, memory = {part: pipeline.part_pid(part)}, []
        while len(memory) < ROUNDS and not settled(memory):
            broken = pipeline.api.get("/api/stats")["ledger"]["broken_requests"]
            flood(bomber, pipeline.run_dir, name, BOMBS)
            memory.append(settle(pid))
            if name == "control":
                report.equal(f"the aggregator refused each of {BOMBS} requests", refused_requests(pipeline, broken), BOMBS)
        compare(report, name, pid, memory)
    report.equal("all parts are well", pipeline.api.request("GET", "/api/health")[0], 200)
    bomber.context.term()


class Impostor(threading.Thread):
    """Serves the sockets of a run directory: bombs instead of messages, and instead of replies."""

    def __init__(self, directory):
        super().__init__(daemon=True)
        import msgpack
        import zmq

        self.zmq, self.msgpack = zmq, msgpack
        self.context = zmq.Context()
        self.publishers = {}
        for name in ("events", "state", "feed", "findings"):
            sock = self.publishers[name] = self.context.socket(zmq.PUB)
            sock.setsockopt(zmq.SNDHWM, 0)
            sock.setsockopt(zmq.LINGER, 0)
            sock.bind(f"ipc://{directory}/{name}.sock")
        self.answering = {}
        for name in ("control", "ai"):
            sock = self.context.socket(zmq.ROUTER)
            sock.setsockopt(zmq.LINGER, 0)
            sock.bind(f"ipc://{directory}/{name}.sock")
            self.answering[sock] = name
        self.bombs = Bombs(7)
        self.answered = 0
        self.stopping = threading.Event()

    def answer(self, frames):
        """Under the right id, so that it is looked at."""
        identity, head = frames[0], self.msgpack.unpackb(frames[1])
        reply = self.msgpack.packb({"v": 1, "id": head["id"], "status": self.bombs.random.choice((200, 200, 404, 7, "200", None))})
        how = self.answered % 4
        if how == 0:
            return [identity, reply, self.bombs.one(self.answered)]
        if how == 1:
            return [identity, self.bombs.one(self.answered), b"\x80"]
        if how == 2:
            body = self.msgpack.packb({"total": self.bombs.random.choice((1, -1, "x")), "fields": ["id", 5], "seq": [], "next": 9})
            return [identity, reply, body, self.bombs.one(self.answered)]
        return [identity, reply] + [self.bombs.one(self.answered)] * self.bombs.random.choice((0, 3))

    def run(self):
        poller = self.zmq.Poller()
        for sock in self.answering:
            poller.register(sock, self.zmq.POLLIN)
        while not self.stopping.is_set():
            for sock, _ in poller.poll(50):
                frames = sock.recv_multipart()
                with contextlib.suppress(Exception):
                    sock.send_multipart(self.answer(frames))
                    self.answered += 1
        for sock in (*self.answering, *self.publishers.values()):
            sock.close(0)
        self.context.term()

    def publish(self, count):
        bombs = Bombs(count)
        for number in range(count):
            for sock in self.publishers.values():
                sock.send_multipart(message(bombs, number))
            if number % 10 == 9:
                time.sleep(0.01)
        time.sleep(0.5)

    def stop(self):
        self.stopping.set()
        self.join()


def clients(report, ns, directory):
    packetscope = need_module()
    bad, own = os.path.join(directory, "bad"), os.path.join(directory, "own")
    os.makedirs(bad)
    os.makedirs(own)
    impostor = Impostor(bad)
    impostor.start()
    at = {name: f"ipc://{bad}/{name}.sock" for name in ("events", "state", "feed", "control")}
    common = ["--state-dir", directory, "--pin-root", os.path.join(directory, "none"), "--log-level", "debug"]
    environment = {**os.environ, "PACKETSCOPE_CONFIG": "/dev/null"}
    programs = {
        "aggregator": ["packetscope-aggregator", "--run-dir", own, "--feed", at["feed"], *common],
        "ai-worker": ["packetscope-ai-worker", "--run-dir", own, "--state", at["state"], "--events", at["events"], "--control", at["control"], *common],
        "gateway": ["packetscope-gateway", "--run-dir", bad, "--api", "127.0.0.1:8099", *common],
        "tap in C": ["packetscope", "watch", "--run-dir", bad, "--table", "--topics", "all"],
    }
    logs = {name: open(os.path.join(directory, f"{name}.log"), "wb") for name in programs}  # noqa: SIM115
    children = {name: ns.popen(os.path.join(BIN, command[0]), *command[1:], stdout=logs[name], stderr=logs[name], env=environment)
                for name, command in programs.items()}
    api = Api(ns, port=8099)

    def ask(count):
        """The gateway asks on behalf of these; what it gets are bombs."""
        seen = set()
        for number in range(count):
            with contextlib.suppress(OSError):
                seen.add(api.request("GET", ("/api/connections", "/api/stats", "/api/filters", "/api/icmp")[number % 4], timeout=5)[0])
        return seen

    wait_for("the gateway listens", lambda: not ask(1).isdisjoint({200, 502, 503, 500}), 10)
    stream = ns.popen("curl", "-sN", "--max-time", "120", "http://127.0.0.1:8099/api/events?topics=conn.new,conn.update,conn.end,icmp,drop,stats,rule,finding",
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pids = {}
    try:
        with packetscope.Tap(bad, table=True, topics=TOPICS) as tap:
            while tap.next(0.2):
                pass
            time.sleep(0.5)
            pids.update({name: child.pid for name, child in children.items()})
            memory, got, statuses = [], 0, set()
            malformed, refused = tap.counters.malformed, _count(directory, "aggregator")
            while len(memory) < ROUNDS and not settled(memory):
                impostor.publish(BOMBS)
                statuses |= ask(6)
                while tap.next(0.5):
                    got += 1
                memory.append(settle(pids))
            compare(report, "clients", pids, memory)
            report.equal("tap in Python: took no record", got, 0)
            report.check("tap in Python: refused each of both publishers'", tap.counters.malformed - malformed >= len(memory) * BOMBS,
                         tap.counters.malformed - malformed)
            report.equal("tap in Python: has no table", len(tap.live), 0)
        report.equal("the aggregator refused each of the feed's topics", _count(directory, "aggregator") - refused, len(memory) * _of_feed(BOMBS))
        report.check("what the gateway could not read is an error to its clients", not statuses.isdisjoint({502, 503}), statuses)
        report.equal("tap in C: showed nothing", _lines(directory, "tap in C"), 0)
        note(f"{impostor.answered} replies were bombs")
    finally:
        stream.terminate()
        stream.wait(5)
        time.sleep(0.5)
        for child in children.values():
            child.terminate()
        for child in children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(5)
        for log in logs.values():
            log.close()
        impostor.stop()
    for name, child in ((name, child) for name, child in children.items() if name != "gateway"):  # it lived until we ended it
        report.check(f"{name} ended in order", child.returncode in (0, -15, 143), f"{child.returncode}: {_tail(directory, name)}")


def _count(directory, name):
    with open(os.path.join(directory, f"{name}.log"), encoding="utf-8", errors="replace") as file:
        return sum("breaks the format" in line for line in file)


def _tail(directory, name):
    with open(os.path.join(directory, f"{name}.log"), encoding="utf-8", errors="replace") as file:
        return file.read()[-600:]


def _lines(directory, name):
    with open(os.path.join(directory, f"{name}.log"), encoding="utf-8", errors="replace") as file:
        return sum(not line.startswith("packetscope: ") for line in file)


def _of_feed(count):
    """Of the messages, those whose topic begins with one that the aggregator subscribes to."""
    wanted = ("conn.new", "conn.update", "conn.end", "icmp", "drop")
    return sum(TOPICS[number % len(TOPICS)] in wanted for number in range(count))


def test(report):
    need("curl", "ethtool")
    need_module()
    with Host() as host, Pipeline(host.server, "ps0", ["--interval", "0"]) as pipeline:
        servers(report, pipeline)
        with tempfile.TemporaryDirectory(prefix="psb-") as directory:
            clients(report, host.server, directory)


main(test)
