#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs every measuring program, makes figures of what they say, and prints them as one table: figure, ours, reference, ratio,
goal, met or not. Writes results.json (an array of {id, figure, ours, reference, ratio, goal, met, note}), table.md and the plots.

    sudo make bench                                   # all of it
    sudo python3 bench/bench.py --only live,codec     # some of it
    sudo python3 bench/bench.py --smoke               # tiny sizes: does it run? Nothing is judged.

Values of one figure come from one process, rounds interleaved; ratios are of the least round, the note has the medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import plot

HERE = os.path.dirname(os.path.abspath(__file__))
SMOKE = {"PS_BENCH_ROUNDS": "1", "PS_BENCH_REPEAT": "2000", "PS_BENCH_BITS": "10", "PS_BENCH_SMOKE": "1"}
SKIPPED = 77

# What runs: a name, and the command. The order is that of the figures.
RUNS = [
    ("live", ["{bin}/bench_live"]),
    ("new", ["{bin}/bench_new"]),
    ("classify", ["{bin}/bench_classify"]),
    ("peers", ["{bin}/bench_peers"]),
    ("rules", ["{bin}/bench_rules"]),
    ("codec", ["{bin}/bench_codec"]),
    ("whole", [sys.executable, os.path.join(HERE, "whole.py")]),
    ("fold", ["{bin}/bench_fold"]),
    ("json", ["{bin}/bench_json"]),
    ("rest", [sys.executable, os.path.join(HERE, "rest.py")]),
    ("host", [sys.executable, os.path.join(HERE, "host.py")]),
]

# (id, figure, ours, reference, "<=" or ">=", goal, what limits it when it is not met). A value is a series, or a difference
# "series - floor", taken round by round. With ">=" the ratio is reference : ours, how many times better ours is.
FIGURES = [
    ("1.skb", "added, 1,000 hot TCP connections, 10,000 mixed rules : the packet's own way (parse and PASS)",
     "live.hot.10k - live.hot.parse", "live.hot.parse", "<=", 0.35,
     "memory, a third of it: a connection's tags, counters and TCP analysis on four pages (the ratio is 0.8 to 0.9 of this in a table for 65,536, 0.7 "
     "in one for 1,000); then two locked additions of 5 ns each, which wait for the stores before them; the rest is instructions: name and hash, segment, "
     "clock, statistics. Needed: a bucket with all of its lines on one page, and counters that one CPU owns"),
    ("1.10k", "added, 10,000 mixed rules : none", "live.hot.10k - live.hot.parse", "live.hot.0 - live.hot.parse", "<=", 1.05,
     "noise of a shared machine: the verdict is in the connection"),
    ("1.100k", "added, 100,000 rules : none", "live.hot.100k - live.hot.parse", "live.hot.0 - live.hot.parse", "<=", 1.10,
     "noise of a shared machine: the verdict is in the connection"),
    ("2", "added, all connections, uniform : LRU_HASH", "live.uniform.own - live.uniform.parse",
     "live.uniform.lru - live.uniform.parse", "<=", 0.6,
     "one miss of cache and TLB, in which tags, counters and TCP analysis overlap, for the half of the connections that stand in their "
     "preferred slot; two for the others"),
    ("3", "added, all connections, Zipf : LRU_HASH", "live.zipf.own - live.zipf.parse",
     "live.zipf.lru - live.zipf.parse", "<=", 0.6, "as figure 2"),
    ("4", "new connection with its event, 10,000 rules : nf_conntrack's, each over passing the same packet",
     "new.10k - new.parse", "new.conntrack - new.plain", "<=", 0.8,
     "the lines of a new record are written once into the table and once into the ring: 9 and 6 of them, TCP"),
    ("4.rules", "new connection with its event, 10,000 mixed rules : none", "new.10k - new.parse", "new.0 - new.parse", "<=", 1.15,
     "lines of the indexes of rules that other lines have pushed out of the cache since"),
    ("5.linear", "100,000 rules in 16 tuples : 1,000 rules walked one by one, each over parse", "classify.16 - classify.parse",
     "classify.linear - classify.parse", ">=", 100, "the indexes leave 1.5 tuples a packet to be looked up, of 10,000 mixed rules 0.1: none of 22 in 100 "
     "packets, one of 34, two of 26, so that the end of the search is predicted wrong about once a packet. With 65,536 rows instead of 16,384 in the "
     "fine indexes the ratio is 1.4 times as large, but 10,000 mixed rules take a quarter more, and the maps 1.5 MB"),
    ("5.linear.10k", "10,000 mixed rules : 1,000 rules walked one by one, each over parse", "classify.10k - classify.parse",
     "classify.linear - classify.parse", ">=", None, ""),
    ("6", "tracking and 10,000 mixed rules : xdp-filter with a set of 10,000 addresses, each over passing",
     "peer.own - peer.pass", "peer.xdp-filter - peer.pass", "<=", 1.3,
     "what tracking reads and writes for each segment, four lines of its connection and two locked additions; xdp-filter keeps no state but a counter"),
    ("6.ip", "the same : its smallest program, which reads addresses only", "peer.own - peer.pass",
     "peer.xdp-filter.ip - peer.pass", "<=", None, ""),
    ("6.nft", "the same : nft's ingress hook with 1,000 rules one by one", "peer.own - peer.pass", "peer.nft - peer.pass", ">=", 100,
     "as figure 1.skb"),
    ("7", "kernel bytes a connection, IPv4 and IPv6 alike : LRU_HASH of the same content", "memory.own", "memory.lru", "<=", 0.6,
     "320 of its bytes are the record itself (192 of them TCP analysis, also set aside for UDP); the index is 2 bytes a slot and a "
     "fifth of the slots to spare, the LRU hash's 90 and more. TCP lines from a pool, with an index of 4 bytes a slot: 0.81 for TCP, 0.38 for UDP, so 0.6 when "
     "every other connection is UDP; for TCP alone the record would have to be 208 bytes"),
    ("8", "read all connections : BPF_MAP_LOOKUP_BATCH on the LRU_HASH", "snapshot.own", "snapshot.lru", ">=", 50,
     "one read of each line, without the copy, takes two thirds of the time: the memory itself"),
    ("9", "end to end, new connections a second without loss : one record a message, msgpack-c, an ordinary table", "whole.own",
     "whole.naive", ">=", 4, "the reference's memory is warm as well"),
    ("9.conntrack", "the same : what one CPU takes with nf_conntrack, the packet's own way included", "whole.own", "conntrack.rate",
     ">=", 1.3, "as 9.rate"),
    ("9.rate", "the same : 1.2 million", "whole.own", 1.2e6, ">=", 1.0,
     "the rings, which overflow first: at 500,000 a second they hold 12 ms of one CPU's events, and collector, aggregator and both "
     "their bus threads share what pouring leaves of two CPUs. The table's side is misses: twelve lines of a record, its index and its slot"),
    ("10.write", "hot record written : msgpack-c", "codec.write.own", "codec.write.msgpack-c", ">=", 10,
     "the texts of addresses and the id, which both write"),
    ("10.read", "hot record read : msgpack-c", "codec.read.own", "codec.read.msgpack-c", ">=", 10,
     "a third of the instructions read two addresses; 38 of the 54 columns are looked at one by one"),
    ("11", "new connections with their events by two CPUs at once : by one, ns a connection", "two.both", "two.one", ">=", 1.3,
     "both share the last cache and the memory behind it"),
    ("12", "fold of one record into the table : one by one into a chained hash, each connection allocated by itself", "fold.own",
     "fold.ordinary", ">=", 3, "copying the record, seven lines; both do it"),
    ("12.unbatched", "fold of one record into the table : one by one into the same table", "fold.own", "fold.unbatched", ">=", None, ""),
    ("12.bytes", "bytes a connection in the aggregator", "fold.bytes", None, None, None, ""),
    ("13", "JSON of a connection with key and info, from the aggregator's row : cJSON of the fields", "json.rows", "json.cjson", ">=", 40,
     "three quarters of the instructions write 1,300 bytes, among them 33 numbers, and key and info that cJSON is spared; the rest reads the row"),
    ("13.record", "JSON of a connection's fields from a record : cJSON", "json.own", "json.cjson", ">=", None, ""),
    ("13.rest", "JSON of a connection with key and info from a record : cJSON of the fields", "json.rest", "json.cjson", ">=", None, ""),
    ("13.memory", "the gateway's memory while it streams a million connections as JSON and CSV, ten clients that read and ten that do not, MB",
     "rest.memory", 8.0, "<=", 1.0, "a page of 1,000 connections, 1.5 MB, for each client"),
    ("14.stats", "GET /api/stats, requests a second at 64 connections : libmicrohttpd with a constant of the same size", "rest.stats",
     "rest.stats.constant", ">=", 0.8, "what a request takes beside libmicrohttpd's own work: five headers, access, route"),
    ("14.conns", "GET /api/connections?limit=100 of 100,000, requests a second at 64 connections : a constant of the same size", "rest.conns",
     "rest.conns.constant", ">=", 0.8, "as 14.stats"),
    ("14.stats.cpu", "CPU of gateway and aggregator a GET /api/stats, us : of the constant's server", "rest.stats.cpu",
     "rest.stats.constant.cpu", "<=", None, ""),
    ("14.conns.cpu", "CPU of gateway and aggregator a GET /api/connections?limit=100, us : of the constant's server",
     "rest.conns.cpu", "rest.conns.constant.cpu", "<=", None, ""),
    ("14.p99", "p99 of /api/connections?limit=100 at 64 connections, ms", "rest.conns.p99", 20.0, "<=", 1.0,
     "64 requests wait for each other on a processor that others want too; the constant's p99 is beside it"),
    ("14.p99.constant", "p99 of the constant of that size, ms", "rest.conns.constant.p99", None, None, None, ""),
    ("16.memory", "at rest: four programs and kernel maps, MB", "host.memory", 50.0, "<=", 1.0,
     "26.4 MB are the table of 65,536 connections, 11 other maps; of the programs all but 2 MB are libraries, counted in each of the four (16.pss: once): 1.5 MB libstdc++ each, for libzmq. "
     "Needed: a libzmq without GSSAPI, norm and pgm, linked statically; TCP lines from a pool (figure 7)"),
    ("16.maps", "at rest: kernel maps alone, MB", "host.maps", None, None, None, ""),
    ("16.pss", "at rest: the four programs, what they share counted once (PSS), MB", "host.pss", None, None, None, ""),
    ("16.wakeups", "at rest: wake-ups of all threads a second", "host.wakeups", None, None, None, ""),
    ("16.traffic", "50,000 packets/s of 1,000 connections: user-space CPU, percent of a core", "host.traffic", 1.0, "<=", 1.0,
     "each of the 1,000 connections is told once a second, to two subscribers, in some 15 messages that wake five threads each"),
    ("16.cpu", "at rest: user-space CPU, percent of a core", "host.cpu", 0.1, "<=", 1.0,
     "six wake-ups a second (16.wakeups), each of which finds cold caches where others work beside them"),
]

# Of these the greatest round counts, and ">=" asks for ours : reference.
RATES = ("rest.stats", "rest.conns", "rest.stats.constant", "rest.conns.constant", "whole.own", "whole.naive", "conntrack.rate")


# Of the figures that a program prints whole: what keeps one that is not met where it is.
LIMITS = {
    "15.10k": "compiling the rules, nine tenths of it (5.4 ms of processor time); putting them into the maps takes the rest",
}


class Figures:
    def __init__(self):
        self.series, self.units, self.notes, self.rows, self.missing = {}, {}, {}, [], {}

    def take(self, line):
        try:
            said = json.loads(line)
        except ValueError:
            return
        if "series" in said:
            self.series[said["series"]] = said["values"]
            self.units[said["series"]] = said["unit"]
        elif "note" in said and "text" in said:
            self.notes[said["note"]] = said["text"]
        elif "figure" in said:
            said["met"] = bool(said["met"]) if said["reference"] else None
            if said["met"] is False and said["id"] in LIMITS:
                said["note"] += f"; limited by: {LIMITS[said['id']]}"
            self.rows.append(said)

    def values(self, expression):
        """The rounds of a series, or of the difference between two; None if one is missing."""
        if isinstance(expression, float):
            return [expression]
        names = expression.split(" - ")
        if any(name not in self.series for name in names):
            return None
        if len(names) == 1:
            return self.series[names[0]]
        ours, floor = (self.series[name] for name in names)
        # of both the least: a round in which only one was disturbed says nothing
        return [min(ours) - min(floor)] + [a - b for a, b in zip(ours, floor)]

    def said_of(self, *expressions):
        """What the programs said about the series of a figure."""
        names = [name for e in expressions if isinstance(e, str) for name in e.split(" - ")]
        return "; ".join(dict.fromkeys(self.notes[name] for name in names if name in self.notes))

    @staticmethod
    def sums(expression, values):
        """(least, median); the least of a difference is that of the two leasts."""
        if isinstance(expression, str) and " - " in expression:
            return values[0], statistics.median(values[1:])
        return (max if expression in RATES else min)(values), statistics.median(values)

    def figure(self, ident, text, ours, reference, sense, goal, limit):
        said = self.said_of(ours, reference)
        values = self.values(ours)
        if values is None:
            self.rows.append({"id": ident, "figure": text, "ours": None, "reference": None, "ratio": None, "goal": None, "met": None,
                              "note": said or "not measured in this run"})
            return
        least, middle = self.sums(ours, values)
        row = {"id": ident, "figure": text, "ours": round(least, 3), "reference": None, "ratio": None, "goal": None, "met": None,
               "note": f"{self.units.get(ours.split(' - ')[0], '')}, median {middle:.1f}"}
        theirs = self.values(reference) if reference is not None else None
        if theirs:
            their_least, their_middle = self.sums(reference, theirs)
            row["reference"] = round(their_least, 3)
            ratio, middle_ratio = least / their_least, middle / their_middle if their_middle else 0
            if sense == ">=" and ours not in RATES:
                ratio, middle_ratio = 1 / ratio if ratio else 0, 1 / middle_ratio if middle_ratio else 0
            row["ratio"] = round(ratio, 3)
            row["note"] += f" : {their_middle:.1f}, ratio of medians {middle_ratio:.2f}" if len(theirs) > 1 else ""
            if goal is not None:
                row["goal"] = f"{sense} {goal:g}"
                row["met"] = ratio <= goal if sense == "<=" else ratio >= goal
        elif reference is not None:
            row["note"] += "; the reference is not here"
        row["note"] += f"; {said}" if said else ""
        if row["met"] is False and limit:
            row["note"] += f"; limited by: {limit}"
        self.rows.append(row)

    def finish(self):
        if "new.conntrack" in self.series:
            self.series["conntrack.rate"] = [1e9 / ns for ns in self.series["new.conntrack"]]
        for figure in FIGURES:
            self.figure(*figure)
        for name, why in self.missing.items():
            self.rows.append({"id": name, "figure": f"not measured: {name}", "ours": None, "reference": None, "ratio": None, "goal": None,
                              "met": None, "note": why})
        for row in self.rows:
            if isinstance(row["goal"], (int, float)):
                row["goal"] = f"<= {row['goal']:g}"

        def order(row):
            head, _, tail = str(row["id"]).partition(".")
            return (int(head) if head.isdigit() else 99, tail)

        self.rows.sort(key=order)


def say(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def met(row):
    return {True: "met", False: "NOT MET", None: "-"}[row["met"]]


def table(rows):
    head = ["id", "figure", "ours", "reference", "ratio", "goal", ""]
    lines = [[str(r["id"]), r["figure"], say(r["ours"]), say(r["reference"]), say(r["ratio"]), say(r["goal"]), met(r)] for r in rows]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in [head, *lines])


def markdown(rows):
    lines = ["| id | figure | ours | reference | ratio | goal | | note |", "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        cells = [r["id"], r["figure"], say(r["ours"]), say(r["reference"]), say(r["ratio"]), say(r["goal"]), met(r), r["note"]]
        lines.append("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def run(name, command, figures, options):
    command = [part.format(bin=options.bin) for part in command]
    if not os.path.exists(command[-1]):
        figures.missing[name] = f"{os.path.basename(command[-1])} is not there"
        return True
    env = {**os.environ, "PS_BIN": os.path.abspath(options.bin), "PS_SOURCE": os.path.dirname(HERE),
           "PS_BUILD": os.path.dirname(os.path.abspath(options.bin)), **(SMOKE if options.smoke else {})}
    begun = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, check=False, timeout=600)
    for line in done.stdout.splitlines():
        figures.take(line)
    print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    if done.returncode == SKIPPED:
        figures.missing[name] = (done.stderr.strip().splitlines() or ["skipped"])[-1]
    elif done.returncode:
        figures.missing[name] = f"ended with {done.returncode}: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
        print(done.stderr, file=sys.stderr)
    return done.returncode in (0, SKIPPED)


def plots(figures, directory):
    curves = []
    for who, label in (("own", "Packet Scope's table"), ("lru", "LRU_HASH")):
        points = []
        for name, values in figures.series.items():
            part = name.split(".")
            floor = figures.series.get(f"size.parse.{part[-1]}")
            if part[0] == "size" and part[1] == who and floor:
                points.append((int(part[2]), max(0.0, min(values) - min(floor))))
        curves.append((label, sorted(points)))
    plot.write(os.path.join(directory, "cost-connections.svg"), "Added to a packet, by number of connections (uniform)",
               "connections", "ns", curves)
    curves = []
    for kind, label in (("tuples", "16 combinations of prefixes"), ("mixed", "rules of all kinds")):
        points = [(int(name.split(".")[-1]), min(v)) for name, v in figures.series.items() if name.startswith(f"classify.{kind}.")]
        curves.append((label, sorted(points)))
    plot.write(os.path.join(directory, "cost-rules.svg"), "Reading a random packet and finding its rule, by number of rules", "rules",
               "ns", curves)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(HERE, "..", "build", "bin"))
    parser.add_argument("--out", default=os.path.join(HERE, "..", "build", "bench"))
    parser.add_argument("--only", help="of " + ",".join(name for name, _ in RUNS))
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: needs root", file=sys.stderr)
        return SKIPPED
    wanted = options.only.split(",") if options.only else [name for name, _ in RUNS]
    os.makedirs(options.out, exist_ok=True)
    figures, fine = Figures(), True
    for name, command in RUNS:
        if name in wanted:
            try:
                fine = run(name, command, figures, options) and fine
            except subprocess.TimeoutExpired:
                figures.missing[name], fine = "took too long", False
    figures.finish()
    for row in figures.rows if options.smoke else []:
        row["met"] = None
    print(table(figures.rows))
    with open(os.path.join(options.out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(figures.rows, file, indent=1)
    with open(os.path.join(options.out, "table.md"), "w", encoding="utf-8") as file:
        file.write(markdown(figures.rows))
    with open(os.path.join(options.out, "series.json"), "w", encoding="utf-8") as file:
        json.dump(figures.series, file, indent=1)
    plots(figures, options.out)
    if not figures.rows:
        return 1
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
