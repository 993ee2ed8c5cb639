# SPDX-License-Identifier: MIT
"""Captures played by tcpreplay into a watched interface give the same table as `packetscope replay` of the same files: the same
program, once behind the driver and once behind BPF_PROG_TEST_RUN.

Times differ by nature, so that what rests on them is left out: round-trip times, and a connection that is silent for so long in
the capture that it ends there and begins anew. Connections of one name are added up on both sides for that reason, and words are
compared where there is one of that name in both. Of frames that the capture holds only in part, zero bytes stand in for the rest,
as replay has it."""

import collections
import contextlib
import json
import os
import re

from harness import BIN, SOURCE, Host, Pipeline, main, need, note, run, skip, wait_for

TRACES = os.environ.get("PS_TRACES", os.path.join(SOURCE, "..", "shared", "traces"))
SHORT = 0.5  # seconds: what takes no longer is played as it was recorded
FASTEST = 2000  # packets a second: a veth holds 256 of them for a receiver that has to wait for its turn
SUMS = ("packets", "bytes", "retrans_packets", "retrans_bytes", "out_of_order", "dup_acks", "gap_bytes", "zero_windows",
        "small_windows", "dropped_packets")
WORDS = ("src_ip", "src_port", "conn_state", "history", "midstream", "flipped", "community_id")


def connections_of(found):
    """{(proto, vlans, the two ends in order): [counters and flags of the one end, of the other, words of each record]}."""
    table = collections.defaultdict(lambda: [[0] * len(SUMS) + [0], [0] * len(SUMS) + [0], []])
    for conn in found:
        ends = [(conn[f"{end}_ip"], conn[f"{end}_port"]) for end in ("src", "dst")]
        sides = ["orig", "resp"]
        if ends[1] < ends[0]:
            ends.reverse()
            sides.reverse()
        row = table[conn["proto"], conn["vlan"], conn["inner_vlan"], *ends]
        for total, side in zip(row, sides):
            for i, name in enumerate(SUMS):
                total[i] += conn[f"{side}_{name}"]
            total[-1] |= conn[f"{side}_tcp_flags"]
        row[2].append([conn[word] for word in WORDS])
    return dict(table)


def comparable(live, replayed):
    """Both, without the words of what time has divided."""
    divided = {key for table in (live, replayed) for key, row in table.items() if len(row[2]) > 1}
    return [{key: row[:2] if key in divided else row for key, row in table.items()} for table in (live, replayed)]


def groups_of(found):
    return {tuple(group[name] for name in ("src_ip", "dst_ip", "icmp_type", "icmp_code")): [group["packets"], group["bytes"]]
            for group in found}


def difference(live, replayed):
    lines = [f"{key}: live {live.get(key)}, replay {replayed.get(key)}" for key in sorted(set(live) | set(replayed), key=str)
             if live.get(key) != replayed.get(key)]
    return f"{len(lines)} of {len(replayed)} differ: " + "; ".join(lines[:4])


class Trace:
    """A capture and what its frames are like."""

    def __init__(self, path):
        self.path, self.name = path, os.path.basename(path)
        lines = run("tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.len", "-e", "frame.cap_len",
                    "-e", "frame.time_relative").splitlines()
        frames = [line.split("\t") for line in lines]
        self.packets = len(frames)
        self.cut = sum(1 for frame in frames if frame[0] != frame[1])
        self.seconds = float(frames[-1][2])

    def play(self, ns, iface, directory):
        path = self.path
        if self.cut:
            path = os.path.join(directory, self.name)
            run("tcprewrite", "--fixlen=pad", "-i", self.path, "-o", path)
        pace = ("--multiplier=1",) if self.seconds <= SHORT else (f"--pps={FASTEST}",)
        said = ns.run("tcpreplay", "--intf1", iface, *pace, path)
        return int(re.search(r"Successful packets:\s+(\d+)", said).group(1))


def compare(report, host, trace):
    replayed = json.loads(run(os.path.join(BIN, "packetscope"), "replay", "--json", "--limit", "100000", trace.path))
    groups = groups_of(replayed["icmp"])
    with Pipeline(host.server, "ps0", ["--interval", 1]) as pipeline:
        sent = trace.play(host.client, "ps1", pipeline.directory)
        report.equal(f"{trace.name}: frames played", sent, trace.packets)

        def tables():
            return (*comparable(connections_of(pipeline.api.connections()), connections_of(replayed["connections"])),
                    groups_of(pipeline.api.every("/api/icmp")))

        def agree():
            live, expected, live_groups = tables()
            return live == expected and live_groups == groups

        with contextlib.suppress(TimeoutError):
            wait_for("the tables agree", agree, 10, 0.5)
        live, expected, live_groups = tables()
        totals = pipeline.api.get("/api/stats")
    whole = sum(1 for row in expected.values() if len(row) == 3)
    report.check(f"{trace.name}: {len(expected)} connections, {whole} of them word by word", live == expected,
                 difference(live, expected))
    report.check(f"{trace.name}: {len(groups)} ICMP groups", live_groups == groups, difference(live_groups, groups))
    names = [name for name in totals if re.match(r"(Total|Dropped|Malformed|TCP|ICMP)", name)]
    report.equal(f"{trace.name}: totals", {name: totals[name] for name in names},
                 {name: replayed["stats"][name] for name in names})


def test(report):
    need("tcpreplay", "tcprewrite", "tshark", "ethtool")
    if not os.path.isdir(TRACES):
        skip(f"no captures: {TRACES} is not there")
    traces = [Trace(os.path.join(TRACES, name)) for name in sorted(os.listdir(TRACES)) if re.search(r"\.pcap(ng)?$", name)]
    with Host(prefix="pst") as host:
        for ns, iface in ((host.server, "ps0"), (host.client, "ps1")):
            ns.run("ip", "addr", "flush", "dev", iface)  # nobody answers, and nobody has anything to say
            ns.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{iface}/disable_ipv6")  # nor a late multicast report
            ns.run("ip", "link", "set", iface, "mtu", 1508)  # two tags and a full packet behind them
            ns.run("ethtool", "-K", iface, "txvlan", "off", "rxvlan", "off")  # tags stay in the frame
        for trace in traces:
            if trace.cut:
                note(f"{trace.name}: {trace.cut} of {trace.packets} frames are recorded in part only")
            compare(report, host, trace)


main(test)
