# SPDX-License-Identifier: MIT
"""Captures with known answers, replayed: what comes out is compared, connection by connection, with what scapy, tshark and Zeek
say of the same files. Any difference that docs/traces.md does not list, with its reason, is a failure; so is one that it lists and
that is no more."""

import collections
import json
import os
import re
import subprocess

from harness import BIN, SOURCE, main, skip

TRACES = os.environ.get("PS_TRACES", os.path.join(SOURCE, "..", "shared", "traces"))
DOCUMENT = os.path.join(SOURCE, "docs", "traces.md")

# What the projects that the captures come from publish of them.
PUBLISHED = {
    "tcp-retransmit": {"originator": "10.0.88.85", "conn_state": "RSTO", "history": "ShADaGdgtR", "packets": "17/22",
                       "bytes": "1250/28961"},
    "tcp-handshake-reorder": {"originator": "141.142.228.5", "community_id": "1:yvyB8h+3dnggTZW0UEITWCst97w="},
    "tcp-size-flip": {"originator": "192.168.1.108", "history": "^hAfdtFr", "packets": "8/8", "bytes": "320/370"},
    "tcp-single-rst": {"conn_state": "OTH", "history": "R"},
    "tcp-syn-then-rst": {"conn_state": "RSTOS0", "history": "SR"},
    "tcp-lone-syn": {"state": "syn_sent", "orig_tcp_flags": "2"},
    "udp-long-dns": {"packets": "11/11"},
}


def replay(path, *args):
    command = [os.path.join(BIN, "packetscope-replay"), "--json", path, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{path}: status {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def name_of(proto, vlan, one, other):
    return proto, tuple(vlan), frozenset([one, other])


def our_flows(output):
    """What each side of a connection sent, by name: {name: {endpoint: (packets, bytes)}}."""
    flows = collections.defaultdict(list)
    for c in output["connections"]:
        src, dst = (c["src_ip"], c["src_port"]), (c["dst_ip"], c["dst_port"])
        vlan = [tag for tag in (c["vlan"], c["inner_vlan"]) if tag]
        flows[name_of(c["proto"], vlan, src, dst)].append(
            {src: (c["orig_packets"], c["orig_bytes"]), dst: (c["resp_packets"], c["resp_bytes"])})
    return flows


def expected_flows(expected):
    for c in expected.get("connections", expected.get("first_connections")):
        src, dst = (c["src"], c["sport"]), (c["dst"], c["dport"])
        yield name_of(c["proto"], c["vlan"], src, dst), [
            {src: (c["fwd_packets"], c["fwd_ip_bytes"]), dst: (c["rev_packets"], c["rev_ip_bytes"])}]


class Comparison:
    """One capture: every figure as (what, ours, theirs)."""

    def __init__(self, name, expected):
        self.name, self.expected = name, expected
        self.output = replay(os.path.join(TRACES, name + ".pcap"))
        self.rows = []
        self.compare_packets()
        self.compare_flows()
        self.compare_tcp()
        self.compare_published()

    def row(self, what, ours, theirs):
        self.rows.append((what, str(ours), str(theirs)))

    def differences(self):
        return [row for row in self.rows if row[1] != row[2]]

    def total(self, field):
        return sum(c[side + field] for c in self.output["connections"] for side in ("orig_", "resp_"))

    def compare_packets(self):
        counters, icmp4 = self.output["stats"]["counters"], {}
        for i in self.output["icmp"]:
            if ":" not in i["src_ip"]:
                icmp4[f"{i['src_ip']}>{i['dst_ip']} type {i['icmp_type']} code {i['icmp_code']}"] = i["packets"]
        self.row("packets", self.output["stats"]["TotalPackets"], self.expected["packets"])
        self.row("ICMP groups", dict(sorted(icmp4.items())), dict(sorted(self.expected["icmp"].items())))
        self.row("non-first fragments", counters["fragments"], self.expected["non_first_fragments"])
        # Theirs: whatever is neither TCP, UDP, ICMP of IPv4 nor a fragment.
        self.row("other packets", counters["packets"] - counters["tcp_packets"] - counters["udp_packets"] -
                 counters["fragments"] - sum(icmp4.values()), self.expected["other"])

    def compare_flows(self):
        ours = our_flows(self.output)
        whole = "connections" in self.expected
        count = len(self.expected["connections"]) if whole else self.expected["connection_count"]
        self.row("connections", len(self.output["connections"]), count)
        wrong = 0
        for name, flow in expected_flows(self.expected):
            if ours.pop(name, None) != flow:
                wrong += 1
        self.row("connections that differ in a count", wrong, 0)
        if whole:
            self.row("connections nobody expected", len(ours), 0)

    def compare_tcp(self):
        theirs = self.expected["tshark_tcp_analysis"]
        # tshark's fast and spurious retransmissions are among its retransmissions.
        self.row("retransmissions", self.total("retrans_packets"), theirs["retransmission"])
        self.row("out of order", self.total("out_of_order"), theirs["out_of_order"])
        self.row("duplicate ACKs", self.total("dup_acks"), theirs["duplicate_ack"])
        self.row("zero windows", self.total("zero_windows"), theirs["zero_window"])

    def compare_published(self):
        conns = self.output["connections"]
        for what, theirs in PUBLISHED.get(self.name, {}).items():
            if what == "originator":
                ours = "/".join(c["src_ip"] for c in conns)
            elif what in ("packets", "bytes"):
                ours = ", ".join(f"{c['orig_' + what]}/{c['resp_' + what]}" for c in conns)
            else:
                ours = ", ".join(str(c[what]) for c in conns)
            self.row("published " + what, ours, theirs)


def check_udp(report, name, output):
    """Zeek: an answered UDP flow is SF with history Dd, another S0 with D."""
    for c in output["connections"]:
        if c["proto"] == "udp":
            expected = ("SF", "Dd") if c["resp_packets"] else ("S0", "D")
            got = (c["conn_state"], c["history"])
            if got != expected:
                report.equal(f"{name}: UDP {c['key']}", got, expected)
    report.check(f"{name}: UDP flows have Zeek's words", True)


def check_details(report, outputs):
    quoted = outputs["icmp-unreachable-udp"]["icmp"][0]
    report.equal("icmp-unreachable-udp: the quoted packet",
                 (quoted["inner_src_ip"], quoted["inner_src_port"], quoted["inner_dst_ip"], quoted["inner_dst_port"],
                  quoted["inner_protocol"], quoted["unmatched"]),
                 ("192.168.1.1", 53, "192.168.1.102", 59207, "udp", True))
    vlans = outputs["vlan-collisions"]["connections"]
    report.equal("vlan-collisions: one connection a VLAN, 7/7 packets each",
                 sorted((c["vlan"], c["inner_vlan"], c["orig_packets"], c["resp_packets"]) for c in vlans),
                 [(0, 0, 7, 7), (10, 20, 7, 7), (42, 0, 7, 7)])
    requests, replies = sorted(outputs["icmp-tunnel"]["icmp"], key=lambda i: -i["icmp_type"])
    report.equal("icmp-tunnel: request and reply have one Community ID", requests["community_id"], replies["community_id"])
    for name in ("web-browsing", "udp-long-dns"):
        check_udp(report, name, outputs[name])


def listed_differences():
    """Rows | `capture` | what | ours | theirs | why | of the document."""
    listed = {}
    with open(DOCUMENT, encoding="utf-8") as file:
        for line in file:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) == 5 and re.fullmatch(r"`[\w-]+`", cells[0]):
                listed[cells[0].strip("`"), cells[1]] = (cells[2].strip("`"), cells[3].strip("`"), cells[4])
    return listed


def print_table(comparisons):
    """Ours, and theirs behind a stroke where they differ."""
    columns = ["packets", "connections", "non-first fragments", "retransmissions", "out of order", "duplicate ACKs",
               "zero windows", "published conn_state", "published history"]
    lines = [["capture", "packets", "conns", "frags", "retrans", "ooo", "dupack", "zerowin", "conn_state", "history", "differences"]]
    for c in comparisons:
        cells = {what: ours if ours == theirs else f"{ours}|{theirs}" for what, ours, theirs in c.rows}
        lines.append([c.name, *(cells.get(column, "") for column in columns), str(len(c.differences()))])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip(), flush=True)


def compare(report, comparisons):
    listed = listed_differences()
    for c in comparisons:
        unexplained = []
        for what, ours, theirs in c.differences():
            known = listed.pop((c.name, what), None)
            if not known or known[:2] != (ours, theirs) or not known[2]:
                unexplained.append(f"{what}: ours {ours}, theirs {theirs}")
        report.check(f"{c.name}: equal, or docs/traces.md says why not", not unexplained, "; ".join(unexplained))
    names = {c.name for c in comparisons}
    stale = [key for key in listed if key[0] in names]
    report.check("docs/traces.md lists no difference that is no more", not stale, str(stale))


def test(report):
    with open(os.path.join(TRACES, "expected.json"), encoding="utf-8") as file:
        expected = json.load(file)
    comparisons = [Comparison(name.removesuffix(".pcap"), answer) for name, answer in expected.items()]
    print_table(comparisons)
    compare(report, comparisons)
    check_details(report, {c.name: c.output for c in comparisons})


if not os.path.exists(os.path.join(TRACES, "expected.json")):
    skip(f"no captures at {TRACES}")
main(test)
