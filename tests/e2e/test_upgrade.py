# SPDX-License-Identifier: MIT
"""Upgrade in place and the way back, under traffic: the programs are replaced by themselves, by the next version (another layout
of TCP lines, events and rules: tests/next), which is killed half-way, by the older one, which must refuse, and by the next again.
PS_PINGS (3,000) pings and PS_PROBES (30,000) blocked datagrams go on meanwhile: no ping is lost, no probe passes, and rules,
counters and connections are there afterwards. PS_OLD_BIN: a directory with the programs of an older version, to begin with."""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

from harness import BIN, BUILD, SERVER4, Api, Host, main, need, note, wait_for
from lab import Server
from programs import Programs, attached
from steady import Pings, Probes

PINGS, PROBES = int(os.environ.get("PS_PINGS", "3000")), int(os.environ.get("PS_PROBES", "30000"))
BLOCKED, ALLOWED, OTHER, ECHO = 7777, 7778, 7779, 7780
OLD = os.environ.get("PS_OLD_BIN", BIN)
NEXT = BIN if "PS_OLD_BIN" in os.environ else os.path.join(BUILD, "tests", "next")
HELD = 3  # exit status: something else is at work there


class Talk(threading.Thread):
    """One TCP connection with a question and an answer all the time, and datagrams that are allowed."""

    def __init__(self, ns):
        super().__init__(daemon=True)
        self.sock = ns.connect(SERVER4, ECHO)
        self.port = self.sock.getsockname()[1]
        with ns.entered():
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.connect((SERVER4, ALLOWED))
        self.udp_port = self.udp.getsockname()[1]
        self.rounds = 0
        self.failed = None
        self.stopping = threading.Event()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.sock.sendall(b"question " * 20)
                if not self.sock.recv(4096):
                    raise OSError("closed")
                self.udp.send(b"datagram")
                self.rounds += 1
                time.sleep(0.005)
        except OSError as error:
            self.failed = repr(error)
        finally:
            self.sock.close()
            self.udp.close()


def echo(conn):
    while data := conn.recv(4096):
        conn.sendall(data)


class Stage:
    """What is looked at between the steps."""

    def __init__(self, report, host, programs, api):
        self.report, self.host, self.programs, self.api = report, host, programs, api
        self.link = os.path.join(programs.pin_root, "link", "xdp-ps0")
        self.rules, self.conns, self.stats = {}, {}, {}

    def versions(self):
        return sorted(os.listdir(os.path.join(self.programs.pin_root, "maps")))

    def start(self, *parts, directory):
        for part in parts:
            self.programs.start(part, *(("--iface=ps0",) if part == "collector" else ()), directory=directory)

    def stop(self, *parts):
        for part in parts:
            self.report.equal(f"{part} ends in order", self.programs.stop(part), 0)

    def lines(self, part, text):
        return self.programs.log(part).count(text)

    def heard(self, part, text, before, seconds=10):
        wait_for(f"{part} says '{text}'", lambda: self.lines(part, text) > before, seconds)

    def answers(self):
        """Rules, connections and counters, once the aggregator has read them all."""

        def get():
            try:
                rules = self.api.get("/api/filters", timeout=2)
                conns = self.api.get(f"/api/connections?port={ECHO}", timeout=2) + \
                    self.api.get(f"/api/connections?port={ALLOWED}", timeout=2)
                stats = self.api.get("/api/stats", timeout=2)
            except (OSError, http.client.HTTPException, RuntimeError):
                return None
            return (rules, conns, stats) if self.api.request("GET", "/api/health", timeout=2)[0] == 200 else None

        return wait_for("the API answers", get, 10)

    def check(self, when):
        """Nothing that was there is gone, nothing has gone back."""
        rules, conns, stats = self.answers()
        rules = {rule["id"]: rule for rule in rules}
        conns = {conn["id"]: conn for conn in conns}
        self.report.equal(f"{when}: the same rules", [(rule["id"], rule["dst_port"], rule["enabled"], rule["comment"])
                                                      for rule in rules.values()],
                          [(rule["id"], rule["dst_port"], rule["enabled"], rule["comment"])
                           for rule in (self.rules or rules).values()])
        lower = [f"rule {number}: {name} {before[name]} -> {rules[number][name]}" for number, before in self.rules.items()
                 for name in ("packets", "bytes") if number in rules and rules[number][name] < before[name]]
        self.report.check(f"{when}: the same connections", set(self.conns) <= set(conns), f"{set(self.conns)} in {set(conns)}")
        lower += [f"connection {number}: {name} {before[name]} -> {conns[number][name]}" for number, before in self.conns.items()
                  for name in before if name.endswith(("_packets", "_bytes")) and number in conns
                  and conns[number][name] < before[name]]
        lower += [f"{name}: {self.stats[name]} -> {stats[name]}" for name in ("TotalPackets", "TotalBytes", "DroppedPackets")
                  if self.stats and stats[name] < self.stats[name]]
        self.report.equal(f"{when}: counters that went back", lower, [])
        self.rules, self.conns, self.stats = rules, conns, stats


def same_version(report, stage):
    before = attached(stage.link)
    replaced = stage.lines("collector", "program replaced in place")
    stage.stop("collector", "aggregator")
    stage.start("collector", "aggregator", directory=OLD)
    stage.heard("collector", "program replaced in place", replaced)
    after = attached(stage.link)
    report.check("the same version again: same link, another program", before[0] == after[0] and before[1] != after[1],
                 f"{before} {after}")
    stage.check("the same version again")


def upgrade(report, stage):
    old = stage.versions()
    before = attached(stage.link)
    stage.stop("collector", "aggregator")
    waiting = "go on until the aggregator"
    for attempt in ("", " again, killed meanwhile"):
        told = stage.lines("collector", waiting)
        stage.start("collector", directory=NEXT)
        stage.heard("collector", waiting, told)
        time.sleep(0.3)
        report.equal(f"upgrade{attempt}: without an aggregator the programs of before go on", attached(stage.link), before)
        report.check(f"upgrade{attempt}: old and new maps are there", len(stage.versions()) == 2, stage.versions())
        if not attempt:
            process = stage.programs.running.pop("collector")
            process.send_signal(signal.SIGKILL)
            process.wait(5)
    health = stage.host.server.run(os.path.join(NEXT, "packetscope-collector"), "--health", f"--pin-root={stage.programs.pin_root}",
                                   check=False)
    note(f"the collector's health while it waits: {health.strip() or 'well'}")
    stage.start("aggregator", directory=NEXT)
    stage.heard("collector", "took over from a former version", 0)
    after = attached(stage.link)
    report.check("upgrade: same link, another program", before[0] == after[0] and before[1] != after[1], f"{before} {after}")
    report.check("upgrade: only the new maps are left", len(stage.versions()) == 1 and stage.versions() != old, stage.versions())
    stage.check("upgrade")


def downgrade(report, stage):
    before, maps = attached(stage.link), stage.versions()
    stage.stop("collector", "aggregator")
    stage.start("collector", directory=OLD)
    report.equal("downgrade: the older collector refuses", stage.programs.running.pop("collector").wait(10), HELD)
    said = next(line for line in stage.programs.log("collector").splitlines() if "newer_pins" in line)
    report.check("downgrade: it names both layouts and the way out", all(text in said for text in (
        f"layout {maps[0][1:]}", "this version knows layout", "packetscope-collector --detach --purge")), said)
    stage.start("aggregator", directory=OLD)
    wait_for("the older aggregator says what it found", lambda: "is of a newer version" in stage.programs.log("aggregator"), 10)
    stage.stop("aggregator")
    report.equal("downgrade: the newer programs go on", (attached(stage.link), stage.versions()), (before, maps))
    took = stage.lines("collector", "program replaced in place")
    stage.start("collector", "aggregator", directory=NEXT)
    stage.heard("collector", "program replaced in place", took)
    stage.check("the newer version again")


def settled(stage, sent):
    """What the rule has counted at last."""
    counted = None
    for _ in range(50):
        counted = stage.api.get("/api/filters/0")["packets"]
        if counted == sent:
            break
        time.sleep(0.1)
    return counted


def way_back(report, stage, blocked):
    """As the refusal says; the rules are in the state directory."""
    stage.stop("collector", "aggregator")
    stage.programs.start("collector", "--detach", "--purge", directory=OLD)
    report.equal("the way out: detach --purge of the older version", stage.programs.running.pop("collector").wait(10), 0)
    stage.start("collector", "aggregator", directory=OLD)
    stage.answers()
    report.equal("the way out: the older version's maps", len(stage.versions()), 1)
    with stage.host.client.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", (SERVER4, BLOCKED))
    report.equal("the way out: the rule counts in the older version", settled(stage, 1), 1)
    report.equal("the way out: and blocks", blocked.received, 0)


def newer_rules(report, stage):
    path = os.path.join(stage.programs.directory, "state", "rules.json")
    stage.stop("aggregator")
    with open(path, encoding="utf-8") as file:
        kept = json.load(file)
    text = json.dumps({**kept, "version": 99, "colour": "red"})
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    stage.start("aggregator", directory=BIN)
    try:
        status = stage.programs.running.pop("aggregator").wait(10)
    except subprocess.TimeoutExpired:
        status = None
    report.equal("rules of a newer version: the aggregator does not start", status, HELD)
    said = stage.programs.log("aggregator").splitlines()[-1]
    report.check("rules of a newer version: it says why and what to do", "format 99" in said and "install the newer version" in said,
                 said)
    with open(path, encoding="utf-8") as file:
        report.equal("rules of a newer version are left as they are", file.read(), text)


def test(report):
    need("ethtool", "ping")
    with Host("psu") as host, Programs(host.server, "ps0") as programs:
        stage = Stage(report, host, programs, Api(host.server))
        stage.start("collector", "aggregator", directory=OLD)
        programs.start("gateway", "--api=127.0.0.1:8080")
        stage.answers()
        blocked = Server(host.server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, BLOCKED), lambda data: None)
        allowed = Server(host.server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, ALLOWED), lambda data: None)
        talker = Server(host.server.listen(socket.AF_INET, socket.SOCK_STREAM, SERVER4, ECHO), echo)
        stage.api.rule({"rule_type": "udp", "dst_port": BLOCKED, "enabled": True, "comment": "probe"})
        stage.api.rule({"rule_type": "udp", "dst_port": OTHER, "enabled": True, "comment": "other"})
        stage.api.rule({"rule_type": "tcp", "dst_port": ECHO, "enabled": True, "action": "allow", "comment": "counts"})
        wary = stage.versions() != ["v1"]  # version 1 knows nothing of newer ones
        pings, probes, talk = Pings(host.client, SERVER4, PINGS), Probes(host.client, SERVER4, BLOCKED, PROBES), Talk(host.client)
        for thread in (pings, probes, talk):
            thread.start()
        wait_for("both connections", lambda: len(stage.answers()[1]) >= 2, 10)
        stage.check("the older version")
        ids = set(stage.conns)
        same_version(report, stage)
        upgrade(report, stage)
        if wary:
            downgrade(report, stage)
        for thread in (pings, probes, talk):
            thread.stopping.set()
        for thread in (pings, probes, talk):
            thread.join()
        time.sleep(0.3)
        report.equal(f"pings lost, of {pings.sent}", pings.sent - pings.answered, 0)
        report.equal(f"blocked probes that passed, of {probes.sent}", blocked.received, 0)
        report.equal(f"allowed datagrams that arrived, of {talk.rounds}", allowed.received, talk.rounds)
        report.equal("the TCP connection went on", talk.failed, None)
        report.equal("probes that the rule has counted", settled(stage, probes.sent), probes.sent)
        conns = {conn["id"]: conn for conn in stage.answers()[1]}
        tcp = next((conn for conn in conns.values() if conn["src_port"] == talk.port), {})
        report.equal("the connection has the id that it had", tcp.get("id") in ids, True)
        report.equal("nothing was made up on the way", {name: tcp.get(name) for name in (
            "midstream", "orig_gap_bytes", "resp_gap_bytes", "orig_retrans_packets", "resp_retrans_packets", "orig_out_of_order",
            "resp_out_of_order")}, {"midstream": False, **dict.fromkeys((
                "orig_gap_bytes", "resp_gap_bytes", "orig_retrans_packets", "resp_retrans_packets", "orig_out_of_order",
                "resp_out_of_order"), 0)})
        report.check("its history began with the handshake", str(tcp.get("history", "")).startswith("Sh"), tcp.get("history"))
        if wary:
            way_back(report, stage, blocked)
            newer_rules(report, stage)
        for server in (blocked, allowed, talker):
            server.close()


main(test)
