# SPDX-License-Identifier: MIT
"""packetscope replay on captures made here: link types, clocks, expiry, snap lengths, rules, the host's side, what it refuses."""

import json
import os
import socket
import struct
import subprocess
import tempfile

from harness import BIN, main, note
from packets import ACK, FIN, SYN, ethernet, framed, pcap, tcp, udp

REPLAY = os.path.join(BIN, "packetscope-replay")
CLI = os.path.join(BIN, "packetscope")
T0 = 1_600_000_000.0
CLIENT, SERVER = "192.0.2.10", "198.51.100.5"

# --- captures ------------------------------------------------------------------------------------------


def pcapng(frames):
    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 0))
    for time, data in frames:
        ticks = round(time * 1e6)
        out += block(6, struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data)) + data)
    return out


def session(port=40000, start=T0, data=100):
    """A whole TCP connection, as (time, IP packet)."""
    c, s = (CLIENT, port, SERVER, 80), (SERVER, 80, CLIENT, port)
    packets = [tcp(*c, SYN, 1000), tcp(*s, SYN | ACK, 5000, 1001), tcp(*c, ACK, 1001, 5001),
               tcp(*c, ACK, 1001, 5001, b"q" * data), tcp(*s, ACK, 5001, 1001 + data, b"r" * data),
               tcp(*c, FIN | ACK, 1001 + data, 5001 + data), tcp(*s, FIN | ACK, 5001 + data, 1002 + data),
               tcp(*c, ACK, 1002 + data, 5002 + data)]
    return [(start + i * 0.01, packet) for i, packet in enumerate(packets)]


# --- running -------------------------------------------------------------------------------------------


class Workshop:
    def __init__(self, directory):
        self.directory = directory

    def file(self, name, content):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def run(self, *args, program=REPLAY, **kwargs):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PACKETSCOPE_")}
        return subprocess.run([program, *args], capture_output=True, check=False, env=clean, **kwargs)

    def replay(self, capture, *args):
        """The output as a tree, and what was said."""
        path = self.file("capture", capture)
        done = self.run("--json", path, *args)
        if done.returncode != 0:
            raise RuntimeError(f"status {done.returncode}: {done.stderr.decode()}")
        return json.loads(done.stdout), done.stderr.decode()


def words(connection):
    return (connection["conn_state"], connection["history"], connection["orig_packets"], connection["resp_packets"],
            connection["orig_bytes"], connection["resp_bytes"], connection["end_reason"])


# --- checks --------------------------------------------------------------------------------------------


def check_formats(report, shop):
    """One connection, in every file format and link type: always the same."""
    whole = words(shop.replay(pcap(framed(session())))[0]["connections"][0])
    report.equal("a whole connection", whole, ("SF", "ShADdFf", 5, 3, 300, 220, None))
    sll2 = struct.pack(">HHIHBB8s", 0x0800, 0, 1, 1, 0, 6, b"\0" * 8)
    forms = {
        "pcapng": pcapng(framed(session())),
        "big endian": pcap(framed(session()), order=">"),
        "nanoseconds": pcap(framed(session()), nanoseconds=True),
        "raw IP": pcap(session(), link=101),
        "IPv4": pcap(session(), link=228),
        "Linux cooked": pcap([(t, b"\0\0\0\1\0\6" + b"\0" * 8 + b"\x08\0" + p) for t, p in session()], link=113),
        "Linux cooked v2": pcap([(t, sll2 + p) for t, p in session()], link=276),
        "BSD loopback": pcap([(t, b"\2\0\0\0" + p) for t, p in session()], link=0),
        "OpenBSD loopback": pcap([(t, b"\0\0\0\2" + p) for t, p in session()], link=108),
    }
    for name, capture in forms.items():
        output, said = shop.replay(capture)
        report.equal(f"{name}: the same", [words(c) for c in output["connections"]], [whole])
        report.equal(f"{name}: without a warning", said, "")


def check_times(report, shop):
    output, said = shop.replay(pcap(framed(session()), nanoseconds=True))
    c = output["connections"][0]
    report.equal("times are the capture's", (c["first_seen"], c["last_seen"], round(c["duration"], 6)),
                 ("2020-09-13T12:26:40.000000Z", "2020-09-13T12:26:40.070000Z", 0.07))
    report.equal("rates are means over the capture", round(output["stats"]["rates"]["packets"]), round(8 / 0.07))
    back = framed(session())
    back[4] = (T0 - 100, back[4][1])
    output, said = shop.replay(pcap(back))
    report.equal("a time that goes back doesn't turn the clock",
                 (len(output["connections"]), output["connections"][0]["duration"] < 1, output["stats"]["capture"]["late"]),
                 (1, True, 1))
    report.check("and is told", "reordercap" in said, said)
    output, _ = shop.replay(pcap([(i * 0.01, frame) for i, (_, frame) in enumerate(framed(session()))]))
    report.equal("a capture may begin in 1970", words(output["connections"][0])[0], "SF")


def check_expiry(report, shop):
    """As live: UDP ends after 30 s of silence, 120 s once it was answered."""
    question, answer = udp(CLIENT, 5000, SERVER, 53), udp(SERVER, 53, CLIENT, 5000)
    output, _ = shop.replay(pcap(framed([(T0, question), (T0 + 29, question), (T0 + 70, question)])))
    report.equal("silence ends a flow, and the next packet begins another",
                 [(c["orig_packets"], c["end_reason"]) for c in output["connections"]], [(2, "timeout"), (1, None)])
    output, _ = shop.replay(pcap(framed([(T0, question), (T0 + 0.1, answer), (T0 + 100, question)])))
    report.equal("an answered one lives longer", len(output["connections"]), 1)
    output, _ = shop.replay(pcap(framed([(T0, question), (T0 + 70, question)])), "--timeout-udp", "100")
    report.equal("--timeout-udp", len(output["connections"]), 1)
    hours = [(T0 + 3600 * i, question) for i in range(50)]
    output, _ = shop.replay(pcap(framed(hours)))
    report.equal("hours pass at once", [c["end_reason"] for c in output["connections"]], ["timeout"] * 49 + [None])
    closed = framed(session() + session(start=T0 + 1) + session(start=T0 + 600))
    output, _ = shop.replay(pcap(closed))
    report.equal("a port that is used again is another connection",
                 [c["end_reason"] for c in output["connections"]], ["fin", "fin", None])


def check_many(report, shop):
    """More connections that ended than the aggregator remembers, more at once than the table holds."""
    n = 30000
    flood = [(T0 + i * 0.01, udp(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", 1000 + i % 50000, SERVER, 53)) for i in range(n)]
    output, said = shop.replay(pcap(framed(flood)))
    report.equal("every connection is kept", (len(output["connections"]), sum(c["orig_packets"] for c in output["connections"])),
                 (n, n))
    report.equal("none twice", len({c["id"] for c in output["connections"]}), n)
    lost = [events["ring_lost"] for events in output["stats"]["ledger"].values() if isinstance(events, dict)]
    report.equal("no event was lost", lost, [0] * 5)
    output, said = shop.replay(pcap(framed((T0, packet) for _, packet in flood[:5000])), "--max-connections", "64")
    report.equal("a table that is too small gives up half-open ones, and they are reported",
                 (sum(c["orig_packets"] for c in output["connections"]), "--max-connections" in said), (5000, True))
    path = shop.file("many", pcap(framed(flood[:3000])))
    report.equal("the same capture gives the same bytes", shop.run("--json", path).stdout, shop.run("--json", path).stdout)


def check_cut(report, shop):
    cut = [(t, ethernet(p)[:54], 14 + len(p)) for t, p in session(data=1000)]
    output, said = shop.replay(pcap(cut))
    report.equal("a snap length hides no bytes", words(output["connections"][0])[:6], ("SF", "ShADdFf", 5, 3, 1200, 1120))
    report.equal("but is told", (output["stats"]["capture"]["cut"], "snap length" in said), (2, True))
    odd = [(T0, b"short"), (T0, b"\0" * 13), *framed(session()), (T0, ethernet(udp(CLIENT, 1, SERVER, 2)), 200000)]
    output, said = shop.replay(pcap(odd))
    capture = output["stats"]["capture"]
    report.equal("frames that can't be replayed are left out and counted",
                 (capture["packets"], capture["replayed"], capture["too_short"], capture["too_long"]), (11, 8, 2, 1))
    whole = pcap(framed(session()))
    output, said = shop.replay(whole[:-30])
    report.equal("a file that breaks off counts as far as it goes",
                 (output["stats"]["capture"]["complete"], output["stats"]["TotalPackets"], "breaks off" in said), (False, 7, True))
    output, _ = shop.replay(pcap([]))
    report.equal("an empty capture", (output["connections"], output["icmp"], output["filters"], output["findings"]), ([], [], [], []))
    jumbo = tcp(CLIENT, 4000, SERVER, 80, ACK, 1, 1, b"j" * 60000)
    output, _ = shop.replay(pcap(framed([(T0, jumbo)])))
    report.equal("a merged packet is one packet",
                 [(c["orig_packets"], c["orig_bytes"]) for c in output["connections"]], [(1, 60040)])


def check_local(report, shop):
    whole = pcap(framed(session()))
    without, with_local = shop.replay(whole)[0], shop.replay(whole, "--local", f"10.0.0.0/8,{SERVER}")[0]
    report.equal("--local: what the host sent leaves it",
                 (with_local["stats"]["counters"]["ingress_packets"], with_local["stats"]["counters"]["egress_packets"]), (5, 3))
    report.equal("without it everything comes in", without["stats"]["counters"]["ingress_packets"], 8)
    report.equal("and the records are the same", with_local["connections"], without["connections"])
    rule = shop.file("egress.json", [{"src_ip": SERVER, "direction": "egress", "enabled": True}])
    output = shop.replay(whole, "--local", SERVER, "--filters", rule)[0]
    report.equal("a rule on egress meets what the host sent", output["filters"][0]["packets"], 3)
    output = shop.replay(whole, "--filters", rule)[0]
    report.equal("and nothing that came in", output["filters"][0]["packets"], 0)
    large = tcp(SERVER, 80, CLIENT, 4000, ACK, 1, 1, b"j" * 60000)
    output, said = shop.replay(pcap(framed([(T0, large)])), "--local", SERVER)
    report.equal("a frame too long for egress is not lost", [c["orig_bytes"] for c in output["connections"]], [60040])


def check_filters(report, shop):
    flood = [(T0 + i * 0.001, tcp(CLIENT, 1000 + i, SERVER, 443, SYN, 1)) for i in range(100)]
    capture = pcap(framed(flood + session(port=40001, start=T0 + 1)))
    rules = [{"rule_type": "tcp", "dst_port": 443, "enabled": True, "comment": "no TLS"},
             {"id": 9, "src_ip": CLIENT, "action": "allow", "enabled": True, "priority": 2000},
             {"src_ip": "203.0.113.9", "enabled": True}, {"src_ip": CLIENT, "priority": 1}]
    output, _ = shop.replay(capture, "--filters", shop.file("rules.json", rules))
    hits = {rule["id"]: (rule["packets"], rule["enabled"]) for rule in output["filters"]}
    report.equal("rules and their hits", hits, {0: (100, True), 9: (5, True), 1: (0, True), 2: (0, False)})
    report.equal("first and last hit", [output["filters"][0][key] for key in ("first_hit", "last_hit")],
                 ["2020-09-13T12:26:40.000000Z", "2020-09-13T12:26:40.099000Z"])
    verdicts = [(c["verdict"], c["rule_id"], c["orig_dropped_packets"]) for c in output["connections"]]
    report.equal("connections say what decided", verdicts, [("drop", 0, 1)] * 100 + [("allow", 9, 0)])
    report.equal("dropped packets are counted", output["stats"]["DroppedPackets"], 100)
    again, _ = shop.replay(capture, "--filters", shop.file("again.json", {"version": 1, "rules": output["filters"]}))
    report.equal("what comes out goes in again", again["filters"], output["filters"])
    _, said = shop.replay(capture, "--filters", shop.file("off.json", [{"src_ip": CLIENT}]))
    report.check("rules that are all disabled are told", "no rule is enabled" in said, said)


def check_refusals(report, shop):
    good = shop.file("good", pcap(framed(session())))
    bad_rule = shop.file("bad.json", [{"rule_type": "udp", "tcp_flags": 2}])
    cases = {
        "no file named": ([], 2, "FILE"),
        "no such file": (["/nonexistent.pcap"], 2, "No such file"),
        "a directory": ([shop.directory], 2, "directory"),
        "no capture": ([shop.file("text", b"hello, world, this is no capture at all")], 2, "pcap and pcapng"),
        "a link type without IP": ([shop.file("wifi", pcap([], link=127))], 2, "IEEE802_11"),
        "a bad network": ([good, "--local", "10.0.0.0/33"], 2, "local"),
        "a bad rule": ([good, "--filters", bad_rule], 2, "rules[0].tcp_flags"),
        "no rule file": ([good, "--filters", "/nonexistent.json"], 2, "filters"),
        "an unknown option": ([good, "--nonsense"], 2, "nonsense"),
    }
    for name, (args, status, word) in cases.items():
        done = shop.run(*args)
        report.check(f"{name}: refused, and why", done.returncode == status and word in done.stderr.decode() and not done.stdout,
                     f"status {done.returncode}: {done.stderr.decode()}")
    nobody = shop.file("readable", pcap(framed(session())))
    os.chmod(shop.directory, 0o755)
    os.chmod(nobody, 0o644)
    done = shop.run(nobody, user=65534, group=65534, extra_groups=[])
    report.check("without privilege: refused, and what is needed", done.returncode == 1 and "CAP_BPF" in done.stderr.decode(),
                 f"status {done.returncode}: {done.stderr.decode()}")


def check_people(report, shop):
    capture = shop.file("capture", pcap(framed(session() + [(T0 + 1, udp(CLIENT, 1, SERVER, 2))])))
    done = shop.run("replay", capture, program=CLI)
    text = done.stdout.decode()
    report.check("packetscope replay: tables", done.returncode == 0 and "ShADdFf" in text and "9 packets" in text, text)
    report.check("no bar where there is no terminal", done.stderr == b"", done.stderr.decode())
    done = shop.run("replay", capture, "--json", "--local", SERVER, program=CLI)
    report.equal("packetscope replay --json --local", json.loads(done.stdout)["stats"]["counters"]["egress_packets"], 3)
    with open(capture, "rb") as file:
        done = shop.run("replay", "--json", "-", program=CLI, stdin=file)
    report.equal("from standard input", len(json.loads(done.stdout)["connections"]), 2)
    done = shop.run("--limit", "1", capture)
    report.check("--limit", "the first 1 of 2" in done.stdout.decode(), done.stdout.decode())
    with open("/dev/full", "wb") as full:
        clean = subprocess.run([REPLAY, "--json", capture], stdout=full, stderr=subprocess.PIPE, check=False)
    report.check("a full disk is told", clean.returncode == 1 and b"No space" in clean.stderr, clean.stderr.decode())


def test(report):
    note("captures are made by this test; nothing is attached, pinned or sent")
    with tempfile.TemporaryDirectory(prefix="pse2e-replay-") as directory:
        shop = Workshop(directory)
        for check in (check_formats, check_times, check_expiry, check_many, check_cut, check_local, check_filters,
                      check_refusals, check_people):
            check(report, shop)


main(test)
