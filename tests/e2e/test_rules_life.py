# SPDX-License-Identifier: MIT
"""The life of filter rules over REST, with traffic on the wire: how fast many load, swaps that are never half-way, deadlines that
hold with every process dead, expiry, shadow and promotion, what an allow rule saves, and connections that are cut in the middle.

PS_RULES_SWAPS and PS_RULES_DEADLINES set how often (40 and 2; the full measure is 1000 and 50).
"""

import json
import os
import random
import signal
import socket
import subprocess
import time

from harness import BIN, CLIENT4, SERVER4, SOURCE, Host, Pipeline, main, note, wait_for
from rules_traffic import Counter, Sender

SWAPS = int(os.environ.get("PS_RULES_SWAPS", "40"))
DEADLINES = int(os.environ.get("PS_RULES_DEADLINES", "2"))


def mixed_rules(count, seed):
    """Rules of every kind, none of which meets a packet of these tests."""
    rnd = random.Random(seed)
    rules = []
    for _ in range(count):
        length = rnd.randint(12, 32)
        base = (198 << 24 | 18 << 16 | rnd.getrandbits(17)) & (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
        rule = {"enabled": True, "priority": rnd.randint(500, 1500), "action": rnd.choice(("drop", "drop", "allow"))}
        if length >= 15:
            rule["src_ip"] = ".".join(str(base >> shift & 255) for shift in (24, 16, 8, 0)) + (f"/{length}" if length < 32 else "")
        else:
            rule["src_ip"] = f"2001:db8:{rnd.getrandbits(16):x}::/48"
        kind = rnd.choice(("tcp", "udp", "basic", "icmp"))
        rule["rule_type"] = kind
        if kind in ("tcp", "udp"):
            low = rnd.randint(1, 60000)
            rule["dst_port"] = rnd.choice((low, f"{low}-{low + rnd.randint(1, 500)}", f"{low},{low + 10},{low + 20}"))
        if kind == "tcp" and rnd.random() < 0.2:
            rule.update(tcp_flags="SYN", tcp_flags_mask="SYN|ACK")
        if kind == "icmp":
            if ":" in rule["src_ip"]:
                rule["src_ip"] = "198.18.0.0/15"
            rule["icmp_type"] = rnd.choice((3, 8, 11))
            if rnd.random() < 0.3:
                rule.update(icmp_type=3, inner_protocol="udp", inner_dst_port=rnd.randint(1, 60000))
        rules.append(rule)
    return rules


def timed(work):
    started = time.monotonic()
    result = work()
    return result, time.monotonic() - started


def check_load(report, pipeline):
    """Ten thousand mixed rules and a hundred thousand addresses, and one more rule on top of them."""
    api = pipeline.api
    rules = mixed_rules(10000, 1)
    addresses = "\n".join(f"100.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}" for i in range(100000)) + "\n"
    (status, _, body), first = timed(lambda: api.request("PUT", "/api/filters", rules, timeout=60))
    report.equal("PUT of 10,000 mixed rules answers", (status, body.get("rules") if isinstance(body, dict) else body), (200, 10000))
    (status, _, body), second = timed(lambda: api.request(
        "POST", "/api/filters/import", raw=addresses, headers={"Content-Type": "text/plain"}, timeout=60))
    report.equal("import of 100,000 addresses answers",
                 (status, {key: body.get(key) for key in ("added", "duplicates", "rules")} if isinstance(body, dict) else body),
                 (200, {"added": 100000, "duplicates": 0, "rules": 110000}))
    note(f"10,000 mixed rules in {first:.2f} s, 100,000 addresses in {second:.2f} s")
    report.check("both load within 10 s (5 s on a machine that does nothing else)", first + second < 10, f"{first + second:.2f} s")
    times = []
    for port in range(10):
        (status, _, body), took = timed(lambda port=port: api.request(
            "POST", "/api/filters", {"rule_type": "tcp", "dst_port": 61000 + port, "src_ip": "203.0.113.77", "enabled": True}))
        report.equal("one rule on top answers", status, 201)
        times.append(took)
    times.sort()
    note(f"one rule on top of 110,000: median {times[5] * 1000:.0f} ms, most {times[-1] * 1000:.0f} ms")
    report.check("one rule on top is in force within 150 ms (50 ms on a machine that does nothing else)", times[5] < 0.15, times)
    before = len(api.get("/api/filters", timeout=60))
    os.kill(pipeline.part_pid("aggregator"), signal.SIGKILL)
    pipeline.ready(30)
    report.equal("a kill and a restart keep them all", len(api.get("/api/filters", timeout=60)), before)
    status, _, body = api.request("PUT", "/api/filters", [], timeout=30)
    report.equal("an empty set takes them all away", (status, api.get("/api/filters")), (200, []))


def check_swaps(report, host, pipeline):
    """Two sets that drop one of two kinds each, and both a third: no packet is judged by a mixture. While they are swapped, probes
    come as triples; the third kind never passes, and of the other two never both in one go or none for long."""
    api = pipeline.api
    common = {"rule_type": "udp", "dst_port": 7003, "enabled": True}
    filler = [{"rule_type": "udp", "dst_port": 20000 + i, "src_ip": "198.18.0.1", "enabled": True} for i in range(50)]
    sets = [[{"rule_type": "udp", "dst_port": port, "enabled": True}, *filler, common] for port in (7001, 7002)]
    api.request("PUT", "/api/filters", sets[0])
    counter = Counter(host.server, "ps0", (7001, 7002, 7003))
    sender = Sender(host.client, host.server_mac, host.client_mac, (7001, 7002, 7003))
    time.sleep(0.1)
    counter.reset()
    sender.start()
    answers = set()
    started = time.monotonic()
    for i in range(SWAPS):
        answers.add(api.request("PUT", "/api/filters", sets[(i + 1) % 2])[0])
    took = time.monotonic() - started
    sent = sender.stop()
    time.sleep(0.3)
    arrived = counter.stop()
    note(f"{SWAPS} swaps in {took:.1f} s under {sent} triples of probes; arrived {arrived}")
    report.equal("every swap answers", answers, {200})
    report.equal("of the probe that both sets drop, none came through", arrived[7003], 0)
    # Each triple is sent back to back; exactly one of its first two passes, unless a swap falls between the two.
    report.check("of the other two one passes each time, give or take the swaps themselves",
                 abs(arrived[7001] + arrived[7002] - sent) <= SWAPS, f"{arrived} of {sent}")
    report.check("both sets were in force", arrived[7001] > 0 and arrived[7002] > 0, arrived)
    api.request("PUT", "/api/filters", [])


def probe(host, port):
    """Does a datagram to that port come through?"""
    counter = Counter(host.server, "ps0", (port,))
    out = host.client.datagrams(SERVER4)
    for _ in range(5):
        out.sendto(b"probe", (SERVER4, port))
        time.sleep(0.01)
    time.sleep(0.1)
    out.close()
    return counter.stop()[port]


def check_deadlines(report, host, pipeline):
    """An unconfirmed rule, and an unconfirmed set, with every process killed in between."""
    api = pipeline.api
    good = 0
    for i in range(DEADLINES):
        whole = i % 2
        if whole:
            status = api.request("PUT", "/api/filters?confirm_within=2", [{"rule_type": "udp", "dst_port": 7100, "enabled": True}])[0]
        else:
            status = api.request("POST", "/api/filters",
                                 {"rule_type": "udp", "dst_port": 7100, "enabled": True, "confirm_within": 2})[0]
        asked = time.monotonic()
        blocked = probe(host, 7100) == 0
        for pid in pipeline.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        pipeline.process.wait(5)
        still = probe(host, 7100) == 0
        time.sleep(max(0.0, asked + 2 - time.monotonic() - 0.5))
        try:
            wait_for("the rule stops matching", lambda: probe(host, 7100) > 0, 3)
            late = time.monotonic() - asked - 2
        except TimeoutError:
            late = 99
        pipeline.start()
        pipeline.ready()
        listed = api.get("/api/filters")
        ok = status in (200, 201) and blocked and still and late < 1 and listed == []
        good += ok
        if not ok:
            note(f"round {i}: status {status}, blocked {blocked}, with all dead {still}, {late:.2f} s late, listed {listed}")
    report.equal("unconfirmed changes undone within a second of their deadline, all processes dead", good, DEADLINES)


def check_confirm(report, host, pipeline):
    api = pipeline.api
    rule = api.rule({"rule_type": "udp", "dst_port": 7101, "enabled": True, "confirm_within": 2})
    report.check("the answer says until when", rule["confirm_by"], rule)
    report.equal("confirm answers", api.request("POST", f"/api/filters/{rule['id']}/confirm")[0], 200)
    time.sleep(2.5)
    report.equal("a confirmed rule stays", (probe(host, 7101), api.get(f"/api/filters/{rule['id']}")["confirm_by"]), (0, None))
    status = api.request("DELETE", f"/api/filters/{rule['id']}?confirm_within=2")[0]
    passed = probe(host, 7101) > 0
    status2, _, problem = api.request("POST", "/api/filters", {"enabled": False})
    report.equal("while a deletion waits nothing else is taken", (status, passed, status2, problem.get("code")),
                 (204, True, 409, "confirm_pending"))
    wait_for("the deletion is undone", lambda: probe(host, 7101) == 0, 5)
    wait_for("the list follows", lambda: api.get("/api/filters"), 5)
    api.request("DELETE", f"/api/filters/{rule['id']}")


def check_ttl(report, host, pipeline):
    api = pipeline.api
    rule = api.rule({"rule_type": "udp", "dst_port": 7102, "enabled": True, "ttl": 2})
    report.equal("a rule with a ttl blocks", probe(host, 7102), 0)
    wait_for("its time is up", lambda: probe(host, 7102) > 0, 4)
    shown = api.get(f"/api/filters/{rule['id']}")
    report.equal("it stays listed as expired", shown["expired"], True)
    api.request("DELETE", f"/api/filters/{rule['id']}")


def check_shadow(report, host, pipeline):
    api = pipeline.api
    rule = api.rule({"rule_type": "udp", "dst_port": 7103, "enabled": True, "mode": "shadow"})
    report.equal("a shadow rule drops nothing", probe(host, 7103), 5)
    wait_for("it counts", lambda: api.get(f"/api/filters/{rule['id']}")["packets"] == 5, 3)
    status, _, shown = api.request("POST", f"/api/filters/{rule['id']}/promote")
    report.equal("promote answers", (status, shown["mode"]), (200, "enforce"))
    report.equal("and now it does", probe(host, 7103), 0)
    wait_for("its counter went on", lambda: api.get(f"/api/filters/{rule['id']}")["packets"] == 10, 3)
    api.request("DELETE", f"/api/filters/{rule['id']}")


def check_established(report, host, pipeline):
    """A connection in the middle of its life is cut at its next packet, and goes on when the rule goes."""
    api = pipeline.api
    server = host.server.listen(socket.AF_INET, socket.SOCK_STREAM, SERVER4, 7104)
    client = host.client.connect(SERVER4, 7104)
    peer, _ = server.accept()
    peer.settimeout(0.7)
    client.sendall(b"a")
    report.equal("before the rule data arrives", peer.recv(1), b"a")
    wait_for("its event arrives", lambda: api.get("/api/connections?port=7104"), 3)
    status, _, rule = api.request("POST", "/api/filters/preview", {"rule_type": "tcp", "dst_port": 7104})
    report.equal("the preview sees the connection", (status, rule["live"], rule["newly_dropped"]), (200, 1, 1))
    rule = api.rule({"rule_type": "tcp", "dst_port": 7104, "enabled": True})
    report.equal("the answer says what it hits", rule["impact"]["live"], 1)
    client.sendall(b"b")
    try:
        got = peer.recv(1)
    except TimeoutError:
        got = None
    report.equal("with it nothing does", got, None)
    allow = api.rule({"rule_type": "tcp", "dst_port": 7104, "src_ip": CLIENT4, "action": "allow", "priority": 1, "enabled": True})
    peer.settimeout(5)
    report.equal("an allow rule above it opens the way again", peer.recv(1), b"b")
    for number in (rule["id"], allow["id"]):
        api.request("DELETE", f"/api/filters/{number}")
    for sock in (client, peer, server):
        sock.close()


def check_rate(report):
    """A flood of 200 SYNs from one source: 100 pass at once, then 100 a second; the rest is dropped and counted."""
    capture = os.path.join(SOURCE, "..", "shared", "traces", "tcp-syn-flood.pcap")
    if not os.path.exists(capture):
        note("no captures beside the source: the flood is left out")
        return
    rules = json.dumps([{"rule_type": "tcp", "tcp_flags": "SYN", "rate_limit": 100, "enabled": True}])
    done = subprocess.run([os.path.join(BIN, "packetscope-replay"), "--filters", "-", "--json", capture], input=rules, text=True,
                          capture_output=True, check=True)
    shown = json.loads(done.stdout)
    seconds = 0.199  # of the capture: what a bucket of 100 a second gets back while it lasts
    dropped = shown["filters"][0]["packets"]
    report.check("a flood with a rate_limit of 100", abs(dropped - (100 - int(100 * seconds))) <= 2, dropped)
    report.equal("the statistics say the same", shown["stats"]["DroppedPackets"], dropped)


def test(report):
    check_rate(report)
    with Host("psr") as host, Pipeline(host.server, "ps0", ["--keep"]) as pipeline:
        check_established(report, host, pipeline)
        check_shadow(report, host, pipeline)
        check_ttl(report, host, pipeline)
        check_confirm(report, host, pipeline)
        check_swaps(report, host, pipeline)
        check_deadlines(report, host, pipeline)
        check_load(report, pipeline)


if __name__ == "__main__":
    main(test)
