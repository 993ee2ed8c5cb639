# SPDX-License-Identifier: MIT
"""Filter rules over REST and what they do to packets.

A universe of probes, several of each kind, goes to the watched interface as raw frames; a packet socket behind it counts what
gets through. A rule must stop the kinds it names, all of them, and nothing else, and its own counter must say so.
"""

import json
import socket
import struct
import time

from harness import (CLIENT4, CLIENT6, SERVER4, SERVER6, Host, Pipeline, main, need, note, run, wait_for)

COPIES = 5
PORTS = (23, 135, 445, 139, 1433, 3306, 3389, 5900)

# Bodies exactly as a client sends them, with the kinds of probe that each must stop.
QUOTING_UDP = {"unreach-udp-dns", "unreach-udp-high", "unreach-udp-unknown"}
UNREACHABLE = QUOTING_UDP | {"unreach-tcp"}
EXAMPLES = (
    ("ping, posted disabled", '{"rule_type": "icmp", "protocol": "icmp", "icmp_type": 8, "icmp_code": 0, "action": "drop",'
     ' "enabled": false, "comment": "Block all ICMP ping requests (Echo Request)"}', {"echo"}),
    ("destination unreachable", '{"rule_type": "icmp", "protocol": "icmp", "icmp_type": 3, "action": "drop", "enabled": true,'
     ' "comment": "Block ICMP Destination Unreachable messages"}', UNREACHABLE),
    ("source quench", '{"rule_type": "icmp", "protocol": "icmp", "icmp_type": 4, "action": "drop", "enabled": true,'
     ' "comment": "Block ICMP Source Quench messages"}', {"quench-udp"}),
    ("unreachable that quotes UDP", '{"rule_type": "icmp", "protocol": "icmp", "icmp_type": 3, "inner_protocol": "udp",'
     ' "action": "drop", "enabled": true, "comment": "Block ICMP Destination Unreachable with inner UDP packets"}', QUOTING_UDP),
    ("the same, neither action nor enabled", '{"rule_type": "icmp", "protocol": "icmp", "icmp_type": 3, "inner_protocol": "udp",'
     ' "inner_dst_ip": "", "comment": "Block ICMP errors exposing DNS queries"}', QUOTING_UDP),
    ("time exceeded that quotes UDP", '{"rule_type": "icmp", "protocol": "icmp", "icmp_type": 11, "inner_protocol": "udp",'
     ' "action": "drop", "enabled": true, "comment": "Block UDP traceroute attempts (ICMP Time Exceeded)"}', {"exceeded-udp"}),
    ("ping, any code", '{"rule_type": "icmp", "protocol": "icmp", "icmp_type": 8, "action": "drop", "enabled": true,'
     ' "comment": "Block all ICMP Echo Requests (comprehensive ping block)"}', {"echo", "echo-code5"}),
    *((f"TCP port {port}", f'{{"rule_type": "tcp", "protocol": "tcp", "dst_port": {port}, "action": "drop", "enabled": true,'
       f' "comment": "Block TCP port {port}"}}', {f"tcp-{port}"} | ({"tcp6-23", "tcp-ack-23"} if port == 23 else set())) for port in PORTS),
)
# What the rest of the fields can say.
MORE = (
    ("source address", {"src_ip": CLIENT6}, {"tcp6-23", "tcp6-80", "udp6", "echo6", "unreach6-udp"}),
    ("source and destination", {"src_ip": CLIENT4, "dst_ip": SERVER4, "protocol": "udp"}, {"udp-23", "udp-3306"}),
    ("UDP port", {"rule_type": "udp", "dst_port": 23}, {"udp-23", "udp6"}),
    ("source port", {"rule_type": "tcp", "src_port": 23}, {"tcp-from-23"}),
    ("SYN without ACK", {"rule_type": "tcp", "tcp_flags": 2, "tcp_flags_mask": 18, "dst_port": 80}, {"tcp-80", "tcp6-80"}),
    ("ACK to a port", {"rule_type": "tcp", "tcp_flags": "ACK", "dst_port": 23}, {"tcp-ack-23"}),
    ("wildcard type and code", {"rule_type": "icmp", "icmp_type": 255, "icmp_code": 255, "inner_dst_port": 53}, {"unreach-udp-dns"}),
    ("ICMPv6", {"protocol": "icmpv6", "rule_type": "icmp", "icmp_type": 128}, {"echo6"}),
    ("quoted source", {"rule_type": "icmp", "inner_src_ip": "192.0.2.99"}, {"unreach-udp-unknown"}),
    ("quoted destination port of an address that no probe has", {"rule_type": "icmp", "inner_dst_ip": SERVER4, "inner_dst_port": 53}, set()),
)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(src, dst, proto, payload, ident=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, 0, 64, proto, 0, socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(src, dst, proto, payload):
    return struct.pack("!IHBB", 6 << 28, len(payload), proto, 64) + socket.inet_pton(socket.AF_INET6, src) + \
        socket.inet_pton(socket.AF_INET6, dst) + payload


def pseudo(src, dst, proto, length):
    family = socket.AF_INET6 if ":" in src else socket.AF_INET
    tail = struct.pack("!IHBB", length, 0, 0, proto) if family == socket.AF_INET6 else struct.pack("!BBH", 0, proto, length)
    return socket.inet_pton(family, src) + socket.inet_pton(family, dst) + tail


def packet(src, dst, proto, payload, at):
    """An IP packet whose checksum field at offset `at` of the payload is filled in."""
    covered = payload if proto == 1 else pseudo(src, dst, proto, len(payload)) + payload
    payload = payload[:at] + struct.pack("!H", checksum(covered)) + payload[at + 2:]
    return ipv6(src, dst, proto, payload) if ":" in src else ipv4(src, dst, proto, payload)


def tcp(src, dst, sport, dport, flags, tag):
    return packet(src, dst, 6, struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 0x50, flags, 8192, 0, 0) + tag, 16)


def udp(src, dst, sport, dport, tag):
    return packet(src, dst, 17, struct.pack("!HHHH", sport, dport, 8 + len(tag), 0) + tag, 6)


def icmp(src, dst, kind, code, rest, proto=1):
    return packet(src, dst, proto, struct.pack("!BBHI", kind, code, 0, 0) + rest, 2)


def universe():
    """name -> IP packet; each ends with "<name>" so that the receiver can tell it."""
    probes = {}

    def add(name, make):
        probes[name] = make(f"<{name}>".encode())

    def quoted(proto, dport, src=SERVER4):
        ports = struct.pack("!HHHH", 40000, dport, 30, 0)
        return ipv4(src, CLIENT4, proto, ports + (b"\0\0\0\1\x50\x10\0\0\0\0\0\0" if proto == 6 else b""))

    a, b = CLIENT4, SERVER4
    add("echo", lambda tag: icmp(a, b, 8, 0, tag))
    add("echo-code5", lambda tag: icmp(a, b, 8, 5, tag))
    add("echo-reply", lambda tag: icmp(a, b, 0, 0, tag))
    add("timestamp", lambda tag: icmp(a, b, 13, 0, tag))
    add("unreach-udp-dns", lambda tag: icmp(a, b, 3, 1, quoted(17, 53) + tag))
    add("unreach-udp-high", lambda tag: icmp(a, b, 3, 3, quoted(17, 33434) + tag))
    add("unreach-udp-unknown", lambda tag: icmp(a, b, 3, 10, quoted(17, 9999, "192.0.2.99") + tag))
    add("unreach-tcp", lambda tag: icmp(a, b, 3, 1, quoted(6, 443) + tag))
    add("quench-udp", lambda tag: icmp(a, b, 4, 0, quoted(17, 33434) + tag))
    add("exceeded-udp", lambda tag: icmp(a, b, 11, 0, quoted(17, 33434) + tag))
    add("exceeded-tcp", lambda tag: icmp(a, b, 11, 0, quoted(6, 443) + tag))
    for port in (*PORTS, 22, 80):
        add(f"tcp-{port}", lambda tag, port=port: tcp(a, b, 40000, port, 2, tag))
    add("tcp-ack-23", lambda tag: tcp(a, b, 40001, 23, 16, tag))
    add("tcp-ack-80", lambda tag: tcp(a, b, 40001, 80, 16, tag))
    add("tcp-synack-80", lambda tag: tcp(a, b, 40002, 80, 18, tag))
    add("tcp-from-23", lambda tag: tcp(a, b, 23, 40003, 2, tag))
    add("udp-23", lambda tag: udp(a, b, 40000, 23, tag))
    add("udp-3306", lambda tag: udp(a, b, 40000, 3306, tag))
    a, b = CLIENT6, SERVER6
    add("echo6", lambda tag: icmp(a, b, 128, 0, tag, 58))
    inner6 = ipv6(SERVER6, CLIENT6, 17, struct.pack("!HHHH", 40000, 53, 30, 0))
    add("unreach6-udp", lambda tag: icmp(a, b, 1, 1, inner6 + tag, 58))
    add("tcp6-23", lambda tag: tcp(a, b, 40000, 23, 2, tag))
    add("tcp6-80", lambda tag: tcp(a, b, 40000, 80, 2, tag))
    add("udp6", lambda tag: udp(a, b, 40000, 23, tag))
    return probes


class Range:
    """Sends the universe and counts what arrives behind the watched interface."""

    def __init__(self, host):
        self.host = host
        self.sender = host.client.raw("ps1")
        self.receiver = host.server.raw("ps0")
        self.receiver.setblocking(False)
        self.probes = universe()
        ether = bytes.fromhex((host.server_mac + host.client_mac).replace(":", ""))
        self.frames = {name: ether + (b"\x86\xdd" if data[0] >> 4 == 6 else b"\x08\x00") + data for name, data in self.probes.items()}

    def drain(self):
        arrived = []
        while True:
            try:
                data, where = self.receiver.recvfrom(2048)
            except BlockingIOError:
                return arrived
            if where[2] != socket.PACKET_OUTGOING:
                arrived.append(data)

    def shoot(self):
        """name -> how many of COPIES arrived."""
        self.drain()
        for _ in range(COPIES):
            for frame in self.frames.values():
                self.sender.send(frame)
        time.sleep(0.15)
        counts = dict.fromkeys(self.frames, 0)
        for data in self.drain():
            for name in self.frames:
                if data.endswith(f"<{name}>".encode()):
                    counts[name] += 1
                    break
        return counts


def curl(pipeline, *args):
    """What the documented command line does; returns (status, body)."""
    out = run(*pipeline.ns.command("curl", "-s", "-w", "\n%{http_code}", *args))
    body, _, status = out.rpartition("\n")
    return int(status), json.loads(body) if body.strip() else None


def post(pipeline, body):
    return curl(pipeline, "-X", "POST", "http://localhost:8080/api/filters", "-H", "Content-Type: application/json", "-d", body)


def stopped_by(report, what, pipeline, field, rule_id, expected):
    """The one enabled rule stops exactly `expected`, and its counter says how many."""
    before = pipeline.api.get(f"/api/filters/{rule_id}")["packets"]
    counts = field.shoot()
    stopped = {name for name, count in counts.items() if count == 0}
    partly = {name: count for name, count in counts.items() if count not in (0, COPIES)}
    ok = report.check(f"{what}: stops {len(expected)} kinds of {len(counts)} and nothing else",
                      stopped == expected and not partly,
                      f"wrongly stopped {sorted(stopped - expected)}, passed {sorted(expected - stopped)}, in part {partly}")
    hits = len(expected) * COPIES
    rule = {}

    def counted():
        rule.update(pipeline.api.get(f"/api/filters/{rule_id}"))
        return rule["packets"] - before == hits

    try:
        wait_for("rule counter", counted, 3)
    except TimeoutError:
        pass
    return report.equal(f"{what}: packets counted by the rule", rule["packets"] - before, hits) and ok


def check_examples(report, pipeline, field):
    for what, body, expected in EXAMPLES:
        status, rule = post(pipeline, body)
        if not report.equal(f"{what}: POST answers", status, 201):
            note(str(rule))
            continue
        asked = json.loads(body)
        shown = {key: rule.get(key) for key in asked if asked[key] != ""}
        report.equal(f"{what}: the answer has the fields posted", shown, {key: value for key, value in asked.items() if value != ""})
        report.check(f"{what}: and the defaults", rule["action"] == "drop" and rule["src_ip"] == "any" and rule["dst_ip"] == "any", rule)
        url = f"http://localhost:8080/api/filters/{rule['id']}"
        if not asked.get("enabled"):
            report.equal(f"{what}: not enabled", rule["enabled"], False)
            stopped_by(report, f"{what}, disabled", pipeline, field, rule["id"], set())
            report.equal(f"{what}: enable answers", curl(pipeline, "-X", "POST", f"{url}/enable")[0], 200)
        stopped_by(report, what, pipeline, field, rule["id"], expected)
        report.equal(f"{what}: disable answers", curl(pipeline, "-X", "POST", f"{url}/disable")[0], 200)
        stopped_by(report, f"{what}, disabled again", pipeline, field, rule["id"], set())
        report.equal(f"{what}: DELETE answers", curl(pipeline, "-X", "DELETE", url)[0], 204)


def check_more(report, pipeline, field):
    for what, body, expected in MORE:
        status, _, rule = pipeline.api.request("POST", "/api/filters", {**body, "enabled": True})
        if report.equal(f"{what}: POST answers", status, 201):
            stopped_by(report, what, pipeline, field, rule["id"], expected)
            pipeline.api.request("DELETE", f"/api/filters/{rule['id']}")
        else:
            note(str(rule))


def check_egress(report, pipeline, field):
    """On egress the same rule meets the answers: the resets that the probes from port 23 get."""
    rule = pipeline.api.rule({"rule_type": "tcp", "dst_port": 23, "direction": "egress", "enabled": True})
    answers = field.host.client.raw("ps1")
    answers.setblocking(False)
    counts = field.shoot()
    report.equal("egress rule: what did not arrive", [name for name, count in counts.items() if count != COPIES], [])
    resets = []
    while True:
        try:
            data, where = answers.recvfrom(2048)
        except BlockingIOError:
            break
        if where[2] != socket.PACKET_OUTGOING and data[12:14] == b"\x08\x00" and data[23] == 6:
            resets.append(struct.unpack("!H", data[36:38])[0])
    answers.close()
    report.check("egress rule: other resets reach the client", len(resets) >= COPIES * len(PORTS), len(resets))
    report.equal("egress rule: resets to port 23 that reach the client", resets.count(23), 0)
    wait_for("counter", lambda: pipeline.api.get(f"/api/filters/{rule['id']}")["packets"], 3)
    report.equal("egress rule: packets counted", pipeline.api.get(f"/api/filters/{rule['id']}")["packets"], COPIES)
    pipeline.api.request("DELETE", f"/api/filters/{rule['id']}")


def check_together(report, pipeline, field):
    """Several at once: the first by priority decides, `allow` ends the search, counters stay apart."""
    api = pipeline.api
    drop = api.rule({"rule_type": "tcp", "dst_port": 23, "enabled": True})
    allow = api.rule({"rule_type": "tcp", "dst_port": 23, "tcp_flags": "ACK", "action": "allow", "priority": 10, "enabled": True})
    ping = api.rule({"rule_type": "icmp", "icmp_type": 8, "enabled": True})
    report.equal("ids are the lowest free ones", [drop["id"], allow["id"], ping["id"]], [0, 1, 2])
    counts = field.shoot()
    report.equal("allow before drop: what was stopped", {name for name, count in counts.items() if not count},
                 {"tcp-23", "tcp6-23", "echo", "echo-code5"})
    hits = wait_for("counters", lambda: (now := [api.get(f"/api/filters/{i}")["packets"] for i in range(3)])[2] and now)
    report.equal("packets of each rule", hits, [2 * COPIES, COPIES, 2 * COPIES])
    api.request("DELETE", "/api/filters/1")
    report.equal("deleting one leaves the others' counters", [rule["packets"] for rule in api.get("/api/filters")], [hits[0], hits[2]])
    for number in (0, 2):
        api.request("DELETE", f"/api/filters/{number}")


def check_put(report, pipeline, field):
    status, rule = post(pipeline, '{"rule_type": "icmp", "icmp_type": 8, "icmp_code": 0, "action": "drop", "enabled": true,'
                                  ' "comment": "Block ICMP ping requests"}')
    report.equal("the first rule is number 0 again", (status, rule and rule["id"]), (201, 0))
    client = field.host.client
    report.check("ping is blocked", "0 received" in client.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", SERVER4, check=False))
    status, changed = curl(pipeline, "-X", "PUT", "http://localhost:8080/api/filters/0", "-H", "Content-Type: application/json", "-d",
                           '{"id": 0, "action": "drop", "enabled": false, "comment": "Temporarily disabled"}')
    report.equal("PUT answers", status, 200)
    ignored = ("enabled", "comment", "packets", "bytes", "first_hit", "last_hit", "warnings", "impact", "generation")
    report.equal("PUT keeps what it does not name", {key: value for key, value in changed.items() if key not in ignored},
                 {key: value for key, value in rule.items() if key not in ignored})
    report.equal("PUT changes what it names", (changed["enabled"], changed["comment"]), (False, "Temporarily disabled"))
    report.check("ping passes", "3 received" in client.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", SERVER4, check=False))
    report.equal("GET shows the same", pipeline.api.get("/api/filters/0")["comment"], "Temporarily disabled")
    status, _, patched = pipeline.api.request("PATCH", "/api/filters/0", {"icmp_code": 255})
    report.equal("PATCH merges too", (status, patched["icmp_code"], patched["icmp_type"]), (200, 255, 8))
    report.equal("DELETE answers", curl(pipeline, "-X", "DELETE", "http://localhost:8080/api/filters/0"), (204, None))


def check_errors(report, pipeline):
    api = pipeline.api
    for body, field in (
            ({"rule_type": "tcp", "dst_port": 70000}, "dst_port"),
            ({"rule_type": "smtp"}, "rule_type"),
            ({"protocol": "udp", "tcp_flags": 2}, "tcp_flags"),
            ({"src_ip": "300.1.1.1"}, "src_ip"),
            ({"rule_type": "icmp", "icmp_type": 256}, "icmp_type"),
            ({"rule_type": "icmp", "inner_protocol": "warp"}, "inner_protocol"),
            ({"action": "explode"}, "action"),
            ({"enabled": "maybe"}, "enabled"),
            ({"dst_prot": 23}, "dst_prot"),
            ({"src_ip": "10.0.0.1", "dst_ip": "fd00::1"}, None),
    ):
        status, headers, problem = api.request("POST", "/api/filters", body)
        named = problem.get("field") if isinstance(problem, dict) else None
        report.check(f"POST {json.dumps(body)} is refused",
                     status == 400 and headers["Content-Type"].startswith("application/problem+json") and
                     (named in ("src_ip", "dst_ip") if field is None else named == field), f"{status} {problem}")
    for body in ("", "{", "[]", "nonsense", '{"rule_type": "tcp"} trailing', "[" * 10000):
        report.equal(f"POST of {body[:24]!r} is refused", post(pipeline, body)[0], 400)
    for method, path in (("GET", "/api/filters/99"), ("PUT", "/api/filters/99"), ("DELETE", "/api/filters/99"),
                         ("POST", "/api/filters/99/enable"), ("POST", "/api/filters/99/disable"), ("GET", "/api/nothing"),
                         ("GET", "/api/connections/0000000000000000")):
        status, headers, _ = api.request(method, path, {"comment": "x"} if method == "PUT" else None)
        report.equal(f"{method} {path} answers", (status, headers["Content-Type"].split(";")[0]), (404, "application/problem+json"))
    report.equal("DELETE of the stats is not allowed", api.request("DELETE", "/api/stats")[0], 405)
    report.equal("nothing of that left a rule", api.get("/api/filters"), [])


def check_restart(report, pipeline, field):
    """Rules and their enforcement outlive the programs."""
    rule = pipeline.api.rule({"rule_type": "tcp", "dst_port": 23, "enabled": True, "comment": "stays"})
    stopped_by(report, "before the restart", pipeline, field, rule["id"], {"tcp-23", "tcp6-23", "tcp-ack-23"})
    count = pipeline.api.get("/api/filters/0")["packets"]
    pipeline.interrupt()
    pipeline.start()
    pipeline.ready()
    again = pipeline.api.get("/api/filters")
    report.equal("the rule is there after a restart", [(r["id"], r["comment"], r["enabled"]) for r in again], [(0, "stays", True)])
    report.check("with --keep, its counter went on", again and again[0]["packets"] >= count, again)
    stopped_by(report, "after the restart", pipeline, field, rule["id"], {"tcp-23", "tcp6-23", "tcp-ack-23"})


def test(report):
    need("curl", "ping", "ethtool")
    with Host() as host, Pipeline(host.server, "ps0", ["--keep"]) as pipeline:
        field = Range(host)
        report.equal("no rules: an empty list", curl(pipeline, "http://localhost:8080/api/filters"), (200, []))
        report.equal("without a rule every probe arrives", [name for name, count in field.shoot().items() if count != COPIES], [])
        check_examples(report, pipeline, field)
        check_more(report, pipeline, field)
        check_egress(report, pipeline, field)
        check_together(report, pipeline, field)
        check_put(report, pipeline, field)
        check_errors(report, pipeline)
        check_restart(report, pipeline, field)


main(test)
