# SPDX-License-Identifier: MIT
"""What the tests of the stream share: a steady sender of new connections, a recorder of the bus, the ledger's sums."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

from harness import SOURCE, SERVER4, run, skip, wait_for

MODULE = os.path.join(SOURCE, "python")
sys.path.insert(0, MODULE)

EVENT_TYPES = ("conn.new", "conn.update", "conn.end", "icmp", "drop")
# Index of the type in the arrays of struct ps_ledger, and its names in struct ps_stats (bpf/stats.def).
LEDGER_INDEX = {name: index for index, name in enumerate(EVENT_TYPES, 1)}


def need_module():
    """The Python module, or skip."""
    try:
        import packetscope
    except ImportError as error:
        skip(f"{error.name} is not installed (packaging/setup.sh test)")
    return packetscope


class Sender(threading.Thread):
    """UDP from one socket to ever new ports, `rate` connections a second (None: as fast as it goes), each heard of again after
    `again` seconds. No more than `most` connections."""

    def __init__(self, ns, rate=None, most=60000, again=1.2, first=1024):
        super().__init__(daemon=True)
        self.rate, self.most, self.again, self.first = rate, most, again, first
        self.sent = 0
        self.stopping = threading.Event()
        with ns.entered():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.start()

    def run(self):
        began, number, repeated = time.monotonic(), 0, 0
        while not self.stopping.is_set():
            elapsed = time.monotonic() - began
            until = self.most if self.rate is None else min(self.most, int(elapsed * self.rate))
            burst = min(until, number + 500)
            while number < burst:
                self._send(number)
                number += 1
            late = number if self.rate is None and number == self.most else int(max(0.0, elapsed - self.again) * (self.rate or 0))
            late = min(late, number, repeated + 500)
            while repeated < late:
                self._send(repeated)
                repeated += 1
            if self.rate is None:
                if number == self.most:
                    number = repeated = 0  # the same ones again: updates
            else:
                time.sleep(0.002)
        self.sock.close()

    def _send(self, number):
        try:
            self.sock.sendto(b"x", (SERVER4, self.first + number % 64000))
            self.sent += 1
        except OSError:  # a full queue of the device: this one did not go out
            time.sleep(0.001)

    def stop(self):
        self.stopping.set()
        self.join()


class Recorder(threading.Thread):
    """Everything that `events` and `state` say, as headers only: (source, topic) -> {(epoch, seq): (n, lost)}."""

    def __init__(self, run_dir):
        super().__init__(daemon=True)
        import msgpack
        import zmq

        self.unpack, self.zmq = msgpack.unpackb, zmq
        self.context = zmq.Context()
        self.sockets = {}
        for name in ("events", "state"):
            sock = self.context.socket(zmq.SUB)
            sock.setsockopt(zmq.RCVHWM, 0)
            sock.setsockopt(zmq.SUBSCRIBE, b"")
            sock.connect(f"ipc://{run_dir}/{name}.sock")
            self.sockets[sock] = name
        self.seen = {}
        self.lost = {}  # topic -> the last `lost` of `events`
        self.stopping = threading.Event()
        self.start()

    def run(self):
        poller = self.zmq.Poller()
        for sock in self.sockets:
            poller.register(sock, self.zmq.POLLIN)
        while not self.stopping.is_set():
            for sock, _ in poller.poll(50):
                topic, head, _ = sock.recv_multipart()
                header, topic = self.unpack(head), topic.decode()
                self.seen.setdefault((self.sockets[sock], topic), {})[header["epoch"], header["seq"]] = header["n"]
                if self.sockets[sock] == "events":
                    self.lost[topic] = header["lost"]
        for sock in self.sockets:
            sock.close(0)
        self.context.term()

    def stop(self):
        self.stopping.set()
        self.join()

    def records(self, source, topic, first, last):
        """How many records the messages from first to last held, in the last epoch; None if one of them is not known."""
        seen = self.seen.get((source, topic), {})
        epoch = max((epoch for epoch, _ in seen), default=0)
        held = [seen.get((epoch, seq)) for seq in range(first, last + 1)]
        return None if None in held else sum(held)

    def holes(self):
        """Numbers that the recorder itself has missed between those it has."""
        found = []
        for (source, topic), seen in self.seen.items():
            for epoch in {epoch for epoch, _ in seen}:
                numbers = sorted(seq for of, seq in seen if of == epoch)
                missing = numbers[-1] - numbers[0] + 1 - len(numbers)
                if missing:
                    found.append((source, topic, missing))
        return found


def differences(ledger):
    """What does not add up: {} when the ledger is closed."""
    found = {}
    for name in EVENT_TYPES:
        row = ledger[name]
        sums = {"kernel": row["produced"] - row["ring_lost"] - row["received"],
                "collector": row["received"] - row["abandoned"] - row["published"],
                "bus": row["published"] - row["refused"] - row["applied"] - row["missed"]}
        found.update({f"{name} {hop}": value for hop, value in sums.items() if value})
    return found


def closes(pipeline, seconds=6):
    """Waits until every sum is zero; returns what is left of the differences."""
    last = {}

    def closed():
        last.clear()
        try:
            last.update(differences(pipeline.api.get("/api/stats", timeout=3)["ledger"]))
        except (OSError, RuntimeError) as error:
            last["API"] = str(error)
        return not last

    try:
        wait_for("the ledger closes", closed, seconds, 0.2)
    except TimeoutError:
        pass
    return dict(last)


def from_maps(pipeline):
    """The kernel's own counters, past every program: {type: {produced, ring_lost, received}}."""
    root = os.path.join(pipeline.pin_root, "maps")
    maps = os.path.join(root, max(os.listdir(root)))

    def dump(name):
        out = subprocess.run([bpftool(), "-j", "map", "dump", "pinned", os.path.join(maps, name)], capture_output=True, text=True, check=True)
        return json.loads(out.stdout)[0]

    cpus = [one["value"] for one in dump("ps_stats")["formatted"]["values"]]
    ledger = dump("ps_ledger")["formatted"]["value"]
    found = {}
    for name in EVENT_TYPES:
        word = name.replace(".", "_")
        found[name] = {"produced": sum(cpu[f"ev_{word}"] for cpu in cpus), "ring_lost": sum(cpu[f"lost_{word}"] for cpu in cpus),
                       "received": ledger["received"][LEDGER_INDEX[name]]}
    return found


def bpftool():
    return run(os.path.join(SOURCE, "packaging", "setup.sh"), "bpftool").strip()
