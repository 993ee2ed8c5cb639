# SPDX-License-Identifier: MIT
"""From packets to REST: HTTP, DNS, pings and a port scan of known size. Every connection's and every ICMP group's packets and
bytes, both ways, are what tshark read on the watched interface."""

import re
import socket
import time

from harness import (CLIENT4, CLIENT6, SERVER4, SERVER6, Capture, Host, Pipeline, main, need, note, tally, wait_for)
from lab import Server, dns_query, dns_server, http_get, http_server

SCAN_PORTS = range(20000, 20200)
BODIES = {"/small": 120, "/page": 48_000, "/large": 900_000}
KEY = re.compile(r"^(\[[0-9a-f:]+\]|[0-9.]+):\d+ -> (\[[0-9a-f:]+\]|[0-9.]+):\d+ \((TCP|UDP)\)$")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
INFO_TCP = re.compile(rf"^Packets: \d+, Bytes: \d+, TCP Flags: \d+, Seq: \d+, Ack: \d+, .*Last Seen: {TIME}$")
INFO_UDP = re.compile(rf"^Packets: \d+, Bytes: \d+, IP ID: \d+, .*Last Seen: {TIME}$|^Packets: \d+, Bytes: \d+, IP ID: \d+, Last Seen: {TIME}$")


def serve(host):
    """Servers on both sides, so that connections begin at either end."""
    servers = []
    for ns in (host.server, host.client):
        servers.append(Server(ns.listen(socket.AF_INET6, socket.SOCK_STREAM, "::", 80), http_server(BODIES.__getitem__)))
    for family, address in ((socket.AF_INET, SERVER4), (socket.AF_INET6, SERVER6)):
        servers.append(Server(host.server.listen(family, socket.SOCK_DGRAM, address, 53), dns_server()))
    return servers


def scan(ns, address, ports):
    """A connection attempt to each port; returns how many were refused."""
    refused = 0
    for port in ports:
        try:
            ns.connect(address, port, timeout=2).close()
        except ConnectionRefusedError:
            refused += 1
    return refused


def traffic(host, report):
    for address in (SERVER4, SERVER6):
        for path, size in BODIES.items():
            report.equal(f"GET {path} from {address}", http_get(host.client, address, 80, path), size)
        with host.client.datagrams(address) as sock:
            sock.settimeout(2)
            for number in range(20):
                sock.sendto(dns_query(f"host{number}.example.test", number), (address, 53))
                sock.recv(512)
        host.client.run("ping", "-n", "-c", "7", "-i", "0.01", "-s", "200", address)
    for address in (CLIENT4, CLIENT6):
        report.equal(f"GET /page from {address}, seen from the other side", http_get(host.server, address, 80, "/page"), 48_000)
        host.server.run("ping", "-n", "-c", "3", "-i", "0.01", address)
    report.equal("ports refused in the scan", scan(host.client, SERVER4, SCAN_PORTS), len(SCAN_PORTS))
    with host.client.datagrams(SERVER4) as sock:  # to a closed port: an ICMP error that quotes it
        sock.sendto(b"anyone there?", (SERVER4, 40001))


def as_flows(connections, icmp):
    """The API's answer in the form of tally()."""
    flows = {}
    for conn in connections:
        ends = (conn["src_ip"], conn["src_port"]), (conn["dst_ip"], conn["dst_port"])
        for side, (a, b) in (("orig", ends), ("resp", ends[::-1])):
            if conn[f"{side}_packets"]:
                flows[(conn["proto"], *a, *b)] = [conn[f"{side}_packets"], conn[f"{side}_bytes"]]
    for group in icmp:
        proto = "icmpv6" if ":" in group["src_ip"] else "icmp"
        key = (proto, group["src_ip"], group["icmp_type"], group["dst_ip"], group["icmp_code"])
        flows[key] = [group["packets"], group["bytes"]]
    return flows


def difference(seen, captured):
    lines = [f"{key}: API {seen.get(key)}, capture {captured.get(key)}" for key in sorted(set(seen) | set(captured), key=str)
             if seen.get(key) != captured.get(key)]
    return f"{len(lines)} of {len(captured)} differ: " + "; ".join(lines[:6]) if lines else ""


def compare(report, what, api, captured, keep=lambda key: True):
    """The API follows the kernel within an interval: ask until it agrees, at most 5 s."""
    expected = {key: value for key, value in captured.items() if keep(key)}
    last = {}

    def agrees():
        last.clear()
        last.update((key, value) for key, value in as_flows(api.connections(), api.every("/api/icmp")).items() if keep(key))
        return last == expected

    try:
        wait_for(what, agrees, 5, 0.25)
    except TimeoutError:
        pass
    report.check(f"{what}: {len(expected)} flows, packets and bytes both ways", last == expected, difference(last, expected))


def check_form(report, connections, icmp, started):
    """key and info as existing clients read them, times in wall-clock terms."""
    bad = [conn["key"] for conn in connections if not KEY.match(conn["key"])]
    report.check("key of every connection has the documented form", not bad, bad[:3])
    bad = [conn["info"] for conn in connections if not (INFO_TCP if conn["proto"] == "tcp" else INFO_UDP).match(conn["info"])]
    report.check("info of every connection has the documented form", not bad, bad[:3])
    for conn in connections:
        packets = conn["orig_packets"] + conn["resp_packets"]
        size = conn["orig_bytes"] + conn["resp_bytes"]
        if not conn["info"].startswith(f"Packets: {packets}, Bytes: {size}, "):
            report.check("info repeats the structured counters", False, f"{conn['info']} for {packets}, {size}")
            break
    http = [conn for conn in connections if conn["dst_port"] == 80 and conn["dst_ip"] == SERVER4]
    report.equal("HTTP connections to the server", len(http), len(BODIES))
    report.check("originator and responder are told apart", all(conn["src_ip"] == CLIENT4 for conn in http), http[:1])
    now = time.time()
    seen = [_seconds(conn["last_seen"]) for conn in connections]
    report.check("last_seen is wall-clock time", all(started - 1 <= when <= now + 1 for when in seen),
                 f"{min(seen)}…{max(seen)} for {started}…{now}")
    report.check("ICMP groups have key and info", all(group["key"] and group["info"].startswith("Packets: ") for group in icmp), icmp[:1])
    asked = [group for group in icmp if group["icmp_type"] in (8, 128)]
    report.check("every ping was answered, and the round trip is known",
                 len(asked) == 4 and all(group["answered"] == group["packets"] and group["unanswered"] == 0 and
                                         0 < group["rtt_us"] < 1_000_000 for group in asked), asked[:2])
    quoting = [group for group in icmp if group["icmp_type"] == 3 and group["inner_dst_port"] == 40001]
    report.check("the ICMP error names the packet it quotes",
                 len(quoting) == 1 and quoting[0]["inner_protocol"] == "udp" and quoting[0]["inner_dst_ip"] == SERVER4, quoting)


def _seconds(text):
    import calendar

    whole, _, fraction = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")


def check_stats(report, api, before, flows):
    def grown():
        after = api.get("/api/stats")
        return {name: after[name] - before[name] for name in ("TotalPackets", "TotalBytes", "DroppedPackets", "MalformedPackets")}

    packets, size = (sum(flow[i] for flow in flows.values()) for i in (0, 1))
    expected = {"TotalPackets": packets, "TotalBytes": size, "DroppedPackets": 0, "MalformedPackets": 0}
    try:
        wait_for("totals", lambda: grown() == expected, 5, 0.25)
    except TimeoutError:
        pass
    report.equal("/api/stats grew by what was captured", grown(), expected)
    types = api.get("/api/stats")["ICMPTypeCounts"]
    for kind in (0, 3, 8):
        expected = sum(flow[0] for key, flow in flows.items() if key[0] == "icmp" and key[2] == kind)
        report.equal(f"ICMPTypeCounts[{kind}]", types[kind] - before["ICMPTypeCounts"][kind], expected)


def quiet(api):
    """Waits until nothing but our own traffic is on the wire and returns the counters at that time."""
    last = [None]

    def still():
        now = api.get("/api/stats")
        same = last[0] is not None and last[0]["TotalPackets"] == now["TotalPackets"]
        last[0] = now
        return now if same else None

    return wait_for("the link is quiet", still, 10, 1.5)


def test(report):
    need("tcpdump", "tshark", "ethtool", "ping")
    with Host() as host, Pipeline(host.server, "ps0") as pipeline:
        api = pipeline.api
        before = quiet(api)
        report.equal("the connection table begins empty", api.get("/api/connections"), [])
        started = time.time()
        servers = serve(host)
        capture = Capture(host.server, "ps0", pipeline.directory)
        traffic(host, report)
        time.sleep(0.5)  # the last FINs and ACKs
        capture.stop()
        flows, total = tally(capture.frames())
        note(f"{total} packets captured in {len(flows)} directions of connections and ICMP groups")
        compare(report, "the API agrees with tshark", api, flows, lambda key: not (key[0] == "icmpv6" and key[2] in (131, 132, 143)))
        check_stats(report, api, before, flows)
        check_form(report, api.connections(), api.every("/api/icmp"), started)

        note("super-packets: the same with segmentation left to the interface")
        host.set_offload(True)
        capture = Capture(host.client, "ps1", pipeline.directory)
        for address, overhead in ((SERVER4, 52), (SERVER6, 72)):
            report.equal(f"GET /large from {address}", http_get(host.client, address, 80, "/large"), 900_000)
            time.sleep(0.5)
            capture.stop()
            frames = capture.frames()
            merged = sum(1 for frame in frames if int(frame["tcp.len"] or 0) > 1448)
            note(f"{merged} of {len(frames)} captured packets are longer than a segment")
            flows, _ = tally(frames, mss=1500 - overhead)
            compare(report, f"segments of {address}", api, flows, set(flows).__contains__)
            capture = Capture(host.client, "ps1", pipeline.directory)
        capture.stop()
        for server in servers:
            server.close()


main(test)
