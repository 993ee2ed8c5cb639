#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A tap with nothing but ZeroMQ and msgpack: listens to Packet Scope's bus and keeps a table of the live connections.

    apt install python3-zmq python3-msgpack
    sudo python3 raw_tap.py                    # a line for each change
    sudo python3 raw_tap.py --dump-after 10    # the table after ten seconds, one JSON object a line

A message is three msgpack frames: topic, header, payload. The header names the columns (`fields`), so no schema is needed, and
numbers the messages of its topic (`seq`), so a gap is a loss. A tap subscribes first, then asks for a snapshot, then applies
what it heard meanwhile. Two publishers speak of connections: `events` is what the kernel reported, `state` is what the
aggregator found when it looked (ends by time, last packets). They are not ordered with each other, so the record with
more packets wins, and an id that has ended stays ended.
"""

import argparse
import itertools
import json
import sys
import time

import msgpack
import zmq

TOPICS = ("conn.new", "conn.update", "conn.end")
ENDED_MAX = 100000  # ids of ended connections that are remembered
NUMBERS = itertools.count(1)


class Table:
    def __init__(self):
        self.live, self.ended = {}, {}

    def apply(self, topic, record):
        """Folds one record in; returns whether it said anything new."""
        key = record["id"]
        known = self.live.get(key)
        if key in self.ended or (topic != "conn.end" and known and weight(known) > weight(record)):
            return False
        if topic == "conn.end":
            self.live.pop(key, None)
            self.ended[key] = True
            if len(self.ended) > ENDED_MAX:
                del self.ended[next(iter(self.ended))]
        else:
            self.live[key] = record
        return True

    def replace(self, records):
        """A snapshot: what it does not hold is gone, unless it is so young that the aggregator may not know it yet; what it
        holds may be older than what we know."""
        young = time.time_ns() - 10**9
        self.live = {key: known for key, known in self.live.items() if key in records or known["last_seen"] > young}
        for record in records.values():
            self.apply("snapshot", record)


def weight(record):
    return record["orig_packets"] + record["resp_packets"], record["last_seen"]


def rows(fields, payload):
    return (dict(zip(fields, row)) for row in msgpack.unpackb(payload))


def request(control, op, args):
    """One request to the aggregator; header {v, id, op, peer} and arguments, answered by header, body and perhaps records."""
    number = next(NUMBERS)
    control.send_multipart([msgpack.packb({"v": 1, "id": number, "op": op, "peer": "tap"}), msgpack.packb(args)])
    while True:
        frames = control.recv_multipart()  # zmq.Again: no answer in time
        header = msgpack.unpackb(frames[0])
        if header["id"] == number:
            break
    if header["status"] >= 400:
        raise RuntimeError(header["error"]["message"])
    return msgpack.unpackb(frames[1]), frames[2] if len(frames) > 2 else b"\x90"


def snapshot(control):
    """All live connections, and the numbers of the messages that they already contain, by publisher."""
    records, valid_at, args = {}, None, {}
    while True:
        body, payload = request(control, "snapshot", args)
        valid_at = valid_at or body["seq"]
        records.update((record["id"], record) for record in rows(body["fields"], payload))
        if body["next"] is None:
            return records, valid_at
        args = {"cursor": body["next"]}


class Tap:
    def __init__(self, run_dir):
        self.context = zmq.Context()
        self.sources = {self.subscribe(f"ipc://{run_dir}/{name}.sock"): name for name in ("events", "state")}
        self.control = self.context.socket(zmq.DEALER)
        self.control.setsockopt(zmq.RCVTIMEO, 2000)
        self.control.setsockopt(zmq.LINGER, 0)
        self.control.connect(f"ipc://{run_dir}/control.sock")
        self.table, self.seen, self.valid_at = Table(), {}, {}
        self.lost, self.stale = 0, True
        time.sleep(0.2)  # the subscriptions must have reached the publishers before a snapshot is taken

    def subscribe(self, endpoint):
        socket = self.context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 100000)  # what comes during the snapshot waits here
        for topic in TOPICS:
            socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        socket.connect(endpoint)
        return socket

    def resync(self):
        try:
            records, self.valid_at = snapshot(self.control)
        except (zmq.Again, RuntimeError) as error:  # no answer; or it was restarted between two pages
            print(f"no snapshot: {error}; trying again", file=sys.stderr)
            return
        self.table.replace(records)
        self.stale = False

    def take(self, socket):
        """One message; yields what was new in it."""
        topic, header, payload = socket.recv_multipart()
        topic, header, source = topic.decode(), msgpack.unpackb(header), self.sources[socket]
        epoch, seq = header["epoch"], header["seq"]
        old_epoch, old_seq = self.seen.get((source, topic), (epoch, None))
        if epoch != old_epoch:
            self.stale = True  # the publisher was restarted: nobody knows what it said meanwhile
        elif old_seq is not None and seq > old_seq + 1:
            self.lost += seq - old_seq - 1
            self.stale = True
        self.seen[source, topic] = epoch, seq
        valid_at = self.valid_at.get(source, {})
        if valid_at.get("epoch") == epoch and seq <= valid_at.get(topic, 0):
            return  # the snapshot has it
        for record in rows(header["fields"], payload):
            if self.table.apply(topic, record):
                yield topic, record

    def run(self, until, show):
        poller = zmq.Poller()
        for socket in self.sources:
            poller.register(socket, zmq.POLLIN)
        while time.monotonic() < until:
            if self.stale:
                self.resync()
            for socket, _ in poller.poll(100):
                for topic, record in self.take(socket):
                    show(topic, record)


def show_line(topic, record):
    print(f"{topic:12} {record['proto']} {record['src_ip']}:{record['src_port']} -> {record['dst_ip']}:{record['dst_port']} "
          f"{record['state']} {record['orig_packets']}/{record['resp_packets']} packets", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run-dir", default="/run/packetscope")
    parser.add_argument("--dump-after", type=float, metavar="SECONDS")
    args = parser.parse_args()
    tap = Tap(args.run_dir)
    quiet = args.dump_after is not None
    try:
        tap.run(time.monotonic() + args.dump_after if quiet else float("inf"), (lambda *_: None) if quiet else show_line)
    except KeyboardInterrupt:
        pass
    for key in sorted(tap.table.live) if quiet else ():
        print(json.dumps(tap.table.live[key]))
    print(f"{len(tap.table.live)} connections, {tap.lost} messages lost", file=sys.stderr)


main()
