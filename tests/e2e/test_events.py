# SPDX-License-Identifier: MIT
"""GET /api/events: what happens on the wire and to the rules arrives as it happens, to five hundred at once; a stream that was
away goes on where it was; one that does not read is cut, and nobody else notices."""

import json
import os
import resource
import select
import socket
import subprocess
import time

from harness import BIN, CLIENT4, SERVER4, Host, Pipeline, main, note, wait_for
from proc import status_bytes
from lab import Server

STREAMS = 500
CHANGES = 250
FIELDS = {"conn.new": "community_id", "conn.end": "end_reason", "icmp": "icmp_type", "drop": "rule_id", "rule": "action", "stats": "TotalPackets"}


class Stream:
    """One client. lines() are the events that have come so far: (id, event, data)."""

    def __init__(self, ns, path, headers="", small=False):
        with ns.entered():
            self.sock = socket.socket()
        if small:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(10)
        self.sock.connect(("127.0.0.1", 8080))
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        self.raw, self.body, self.head, self.closed = b"", b"", None, False

    def close(self):
        self.sock.close()

    def read(self):
        """Takes what is there without waiting."""
        self.sock.setblocking(False)
        try:
            while not self.closed:
                part = self.sock.recv(1 << 20)
                self.closed = not part
                self.raw += part
        except BlockingIOError:
            pass
        except ConnectionError:
            self.closed = True
        if self.head is None and b"\r\n\r\n" in self.raw:
            head, self.raw = self.raw.split(b"\r\n\r\n", 1)
            self.head = head.decode()
        while self.head and b"\r\n" in self.raw:  # chunks
            size, rest = self.raw.split(b"\r\n", 1)
            n = int(size, 16)
            if len(rest) < n + 2:
                break
            self.body += rest[:n]
            self.raw = rest[n + 2:]
        return self

    def events(self):
        found = []
        for block in self.read().body.decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if "event" in fields:
                found.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
        return found

    def of(self, topic):
        return [data for _, name, data in self.events() if name == topic]

    def status(self):
        wait_for("an answer", lambda: self.read().head or self.closed)
        return int((self.head or "- 0").split()[1])


def traffic(host):
    with host.client.connect(SERVER4, 9000) as sock:
        sock.sendall(b"x")
        sock.recv(16)
    host.client.run("ping", "-n", "-c", "1", "-W", "1", SERVER4, check=False)


def echo(conn):
    conn.sendall(conn.recv(16))


def arrivals(report, host, api):
    stream = Stream(host.server, "/api/events?topics=conn.new,conn.end,icmp,drop,rule,stats")
    report.equal("a stream opens", stream.status(), 200)
    report.check("as text/event-stream", "\r\nContent-Type: text/event-stream" in stream.head, stream.head)
    report.check("that nobody keeps", "\r\nCache-Control: no-store" in stream.head, stream.head)
    wait_for("statistics", lambda: stream.of("stats"))
    rule = api.rule({"rule_type": "icmp", "icmp_type": 8, "enabled": True, "comment": "stop\nping"})
    changed = wait_for("the rule", lambda: stream.of("rule"))
    report.check("a new rule arrives", changed[0]["action"] == "create" and changed[0]["after"]["id"] == rule["id"], changed)
    traffic(host)
    for topic, field in FIELDS.items():
        got = wait_for(topic, lambda topic=topic: stream.of(topic), 15)
        report.check(f"{topic} arrives with {field}", all(field in data for data in got), got[:1])
    ends = [c for c in stream.of("conn.new") if c["src_ip"] == CLIENT4 and c["dst_port"] == 9000]
    report.check("the connection is the one that was made", len(ends) == 1 and ends[0]["key"].startswith(CLIENT4), ends)
    report.check("the drop names the rule", stream.of("drop")[0]["rule_id"] == rule["id"], stream.of("drop"))
    ids = [ident for ident, _, _ in stream.events() if ident]
    numbers = [int(ident.split("-")[1]) for ident in ids]
    report.check("ids only grow", numbers == sorted(set(numbers)), numbers)
    stream.close()
    return rule, ids


def modes(report, host, pipeline):
    """A rule in shadow mode and one in force: what they hit is told by the same record, on the bus, by SSE and in a terminal."""
    api = pipeline.api
    stream = Stream(host.server, "/api/events?topics=drop,rule&proto=udp")
    report.equal("a stream of drops opens", stream.status(), 200)
    rules = {mode: api.rule({"rule_type": "udp", "dst_port": port, "enabled": True, "mode": mode}) for port, mode in ((7201, "shadow"), (7202, "enforce"))}
    wait_for("both rules on the bus", lambda: len(stream.of("rule")) == 2)
    generation = stream.of("rule")[-1]["generation"]  # of the set that is in force
    taps = [host.server.popen(os.path.join(BIN, "packetscope"), "watch", "--run-dir", pipeline.run_dir, "--topics", "drop", "--where", where, "--count",
                              count, *more, stdout=subprocess.PIPE, text=True, env=pipeline.environment())
            for where, count, more in (("proto=udp", "2", ["--json"]), ("proto=udp", "2", []), ("proto=udp,mode=shadow", "1", ["--fields", "mode,dst_port"]))]
    time.sleep(1)  # until the publisher has the subscriptions
    with host.client.datagrams(SERVER4) as sock:
        for port in (7201, 7202):
            sock.sendto(b"x", (SERVER4, port))
        wait_for("both hits", lambda: len(stream.of("drop")) == 2)
    heard, said, chosen = (tap.communicate(timeout=10)[0] for tap in taps)
    wait_for("both connections", lambda: len(to_port(api, 7201) + to_port(api, 7202)) == 2)
    expected = [(mode, rule["id"], generation, to_port(api, rule["dst_port"])[0]["id"]) for mode, rule in rules.items()]
    for name, records in (("a tap", [json.loads(line) for line in heard.splitlines()]), ("SSE", stream.of("drop"))):
        told = [(record["mode"], record["rule_id"], record["generation"], record["connection"]) for record in records]
        report.equal(f"{name} is told mode, rule, generation and connection", sorted(told), sorted(expected))
    for mode, words in (("shadow", "would have dropped"), ("enforce", "dropped")):
        report.check(f"watch: a rule {words}", f" rule {rules[mode]['id']} {words} udp {CLIENT4} " in said, said)
    report.check("watch: the shadow alone", chosen.strip().endswith("mode=shadow dst_port=7201"), chosen)
    report.equal("what was dropped counts as dropped, and that alone",
                 [to_port(api, port)[0]["orig_dropped_packets"] for port in (7201, 7202)], [0, 1])
    stream.close()
    for rule in rules.values():
        api.request("DELETE", f"/api/filters/{rule['id']}")


def to_port(api, port):
    return [conn for conn in api.connections() if conn["proto"] == "udp" and conn["dst_port"] == port]


def returns(report, host, api, rule, ids):
    """Away, and back with the id of the last event that was seen."""
    api.request("POST", f"/api/filters/{rule['id']}/disable")
    api.request("POST", f"/api/filters/{rule['id']}/enable")
    back = Stream(host.server, "/api/events?topics=rule", f"Last-Event-ID: {ids[-1]}\r\n")
    wait_for("what happened meanwhile", lambda: len(back.of("rule")) >= 2)
    report.equal("what happened meanwhile arrives", [data["action"] for data in back.of("rule")], ["disable", "enable"])
    report.equal("without a gap", back.of("gap"), [])
    back.close()
    other = Stream(host.server, "/api/events?topics=rule", "Last-Event-ID: 00000000-5\r\n")
    wait_for("a gap", lambda: other.of("gap"))
    report.equal("an id of another run is a gap", other.of("gap"), [{"lost": None, "topic": None, "reason": "restarted"}])
    other.close()


def filters(report, host):
    mine = Stream(host.server, f"/api/events?topics=conn.new&proto=tcp&port=9000&ip={CLIENT4}")
    not_mine = Stream(host.server, "/api/events?topics=conn.new&port=9001")
    mine.status(), not_mine.status()
    traffic(host)
    wait_for("the connection", lambda: mine.of("conn.new"))
    time.sleep(0.2)
    report.equal("a filter lets nothing else through", not_mine.of("conn.new"), [])
    mine.close()
    not_mine.close()
    for query, field in (("topics=conn", "topics"), ("ip=host", "ip"), ("port=70000", "port"), ("proto=foo", "proto"), ("x=1", "x")):
        bad = Stream(host.server, f"/api/events?{query}")
        report.equal(f"{query} is refused", bad.status(), 400)
        wait_for("the reason", lambda bad=bad: b"}" in bad.read().raw or bad.closed)
        report.check(f"naming {field}", f'"field":"{field}"'.encode() in bad.raw, bad.raw)
        bad.close()


def crowd(report, host, api, pipeline):
    """500 streams, one of which does not read, while rules change and a normal client asks."""
    before = memory(pipeline)
    streams = [Stream(host.server, "/api/events?topics=rule,stats") for _ in range(STREAMS)]
    report.equal(f"{STREAMS} streams open", sum(stream.status() == 200 for stream in streams), STREAMS)
    lazy = Stream(host.server, "/api/events?topics=rule,conn.new,conn.update,icmp,drop,stats", small=True)
    rule = api.rule({"rule_type": "tcp", "dst_port": 1, "comment": "x" * 400})
    times, lazy_cut = [], None
    started = time.monotonic()
    changes = 1
    while time.monotonic() - started < 40 and (lazy_cut is None or changes < CHANGES):
        for _ in range(25 if changes < CHANGES else 1):
            begin = time.monotonic()
            status = api.request("PATCH", f"/api/filters/{rule['id']}", {"comment": f"{changes:06d}" + "x" * 400})[0]
            times.append(time.monotonic() - begin)
            changes += status == 200
        for stream in streams:
            stream.read()
        time.sleep(0.1 if changes < CHANGES else 1)
        if lazy_cut is None and cut(lazy):
            lazy_cut = time.monotonic() - started
    wait_for("every change at every stream",
             lambda: all(len(stream.of("rule")) == changes for stream in streams) or any(s.closed for s in streams), 20, 0.2)
    report.equal("every stream has every change", sum(len(stream.of("rule")) == changes for stream in streams), STREAMS)
    report.equal("and no gap", sum(len(stream.of("gap")) for stream in streams), 0)
    report.check("one that does not read is cut", lazy_cut is not None)
    note(f"after {lazy_cut or 0:.0f} s")
    times.sort()
    note(f"{changes} changes, p50 {times[len(times) // 2] * 1000:.1f} ms, p99 {times[int(len(times) * 0.99)] * 1000:.1f} ms, "
         f"gateway grew by {(memory(pipeline) - before) >> 10} MiB for {STREAMS} streams")
    report.check("a normal client still gets a place", api.request("GET", "/api/stats")[0] == 200)
    more = [Stream(host.server, "/api/events?topics=rule") for _ in range(20)]
    report.check("beyond the limit they are told so", 503 in [stream.status() for stream in more])
    for stream in [*streams, *more, lazy]:
        stream.close()
    wait_for("the places are free again", lambda: free_again(host), 10)
    report.check("places of streams that left are free again", True)


def free_again(host):
    stream = Stream(host.server, "/api/events?topics=rule")
    try:
        return stream.status() == 200
    finally:
        stream.close()


def cut(stream):
    """Was the connection reset? Without reading what was sent before."""
    poll = select.poll()
    poll.register(stream.sock, 0)
    return bool(poll.poll(0))


class Brisk(Pipeline):
    """A connection that was closed is over a second later."""

    def environment(self):
        return {**super().environment(), "PACKETSCOPE_TIMEOUT_TIME_WAIT": "1s"}


def memory(pipeline):
    return status_bytes(pipeline.part_pid("gateway"), "VmRSS") >> 10


def test(report):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, max(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with Host("psev") as host, Brisk(host.server, "ps0") as pipeline:
        server = Server(host.server.listen(socket.AF_INET, socket.SOCK_STREAM, SERVER4, 9000), echo)
        silent, opened = Stream(host.server, "/api/events?topics=finding"), time.monotonic()
        rule, ids = arrivals(report, host, pipeline.api)
        returns(report, host, pipeline.api, rule, ids)
        modes(report, host, pipeline)
        filters(report, host)
        crowd(report, host, pipeline.api, pipeline)
        wait_for("a sign of life", lambda: b": keep-alive\n\n" in silent.read().body, 20)
        note(f"a silent stream spoke within {time.monotonic() - opened:.0f} s")
        report.check("a silent stream says that it lives", not silent.closed)
        silent.close()
        server.close()


if __name__ == "__main__":
    main(test)
