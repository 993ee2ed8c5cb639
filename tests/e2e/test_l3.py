# SPDX-License-Identifier: MIT
"""Interfaces without an Ethernet header: two hosts joined by a tunnel whose every packet passes through this program, which counts
it by connection. The pipeline on one end must have the same packets and bytes, both ways."""

import contextlib
import fcntl
import os
import select
import socket
import struct
import threading

from harness import CLIENT4, CLIENT6, SERVER4, SERVER6, Lab, Pipeline, main, need, note, skip, wait_for
from lab import Server, dns_query, dns_server, http_get, http_server

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
BODIES = {"/small": 120, "/large": 400_000}


def tun(ns, name, addresses):
    """A tun device that is up; its descriptor."""
    with ns.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    ns.run("ip", "link", "set", name, "multicast", "off", "addrgenmode", "none")
    for address in addresses:
        ns.run("ip", "addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
    ns.run("ip", "link", "set", name, "up")
    return fd


def flow_of(packet):
    """(key in the form of as_flows(), IP bytes), read from the packet itself."""
    if packet[0] >> 4 == 4:
        src, dst = (socket.inet_ntop(socket.AF_INET, packet[at:at + 4]) for at in (12, 16))
        proto, at, size = packet[9], (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
    else:
        src, dst = (socket.inet_ntop(socket.AF_INET6, packet[at:at + 16]) for at in (8, 24))
        proto, at, size = packet[6], 40, int.from_bytes(packet[4:6], "big") + 40
    if proto in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        sport, dport = struct.unpack("!HH", packet[at:at + 4])
        return ("tcp" if proto == socket.IPPROTO_TCP else "udp", src, sport, dst, dport), size
    return ("icmp", src, packet[at], dst, packet[at + 1]), size


class Tunnel(threading.Thread):
    """Carries packets between two descriptors and counts them."""

    def __init__(self, a, b):
        super().__init__(daemon=True)
        self.ends = {a: b, b: a}
        self.flows = {}
        self.stopping = False
        self.start()

    def run(self):
        while not self.stopping:
            for fd in select.select(list(self.ends), [], [], 0.1)[0]:
                with contextlib.suppress(BlockingIOError):
                    packet = os.read(fd, 65536)
                    key, size = flow_of(packet)
                    entry = self.flows.setdefault(key, [0, 0])
                    entry[0] += 1
                    entry[1] += size
                    os.write(self.ends[fd], packet)

    def stop(self):
        self.stopping = True
        self.join()


def as_flows(api):
    flows = {}
    for conn in api.connections():
        ends = (conn["src_ip"], conn["src_port"]), (conn["dst_ip"], conn["dst_port"])
        for side, (a, b) in (("orig", ends), ("resp", ends[::-1])):
            if conn[f"{side}_packets"]:
                flows[(conn["proto"], *a, *b)] = [conn[f"{side}_packets"], conn[f"{side}_bytes"]]
    for group in api.every("/api/icmp"):
        key = ("icmp", group["src_ip"], group["icmp_type"], group["dst_ip"], group["icmp_code"])
        flows[key] = [group["packets"], group["bytes"]]
    return flows


def traffic(report, server, client):
    servers = [Server(ns.listen(socket.AF_INET6, socket.SOCK_STREAM, "::", 80), http_server(BODIES.__getitem__))
               for ns in (server, client)]
    servers.append(Server(server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, 53), dns_server()))
    for ns, addresses in ((client, (SERVER4, SERVER6)), (server, (CLIENT4, CLIENT6))):
        for address in addresses:
            for path, size in BODIES.items():
                report.equal(f"GET {path} from {address}", http_get(ns, address, 80, path), size)
            ns.run("ping", "-n", "-c", "5", "-i", "0.01", address)
    with client.datagrams(SERVER4) as sock:
        sock.settimeout(2)
        for number in range(20):
            sock.sendto(dns_query(f"host{number}.example.test", number), (SERVER4, 53))
            sock.recv(512)
    with client.datagrams(SERVER4) as sock:  # to a closed port: an error that quotes it
        sock.sendto(b"anyone there?", (SERVER4, 40001))
    return servers


def test(report):
    need("ping", "ip")
    if not os.path.exists("/dev/net/tun"):
        skip("no /dev/net/tun: the kernel has no tun driver")
    with Lab(f"psl{os.getpid()}") as lab:
        server, client = lab.namespace("server"), lab.namespace("client")
        ends = tun(server, "tun0", [f"{SERVER4}/24", f"{SERVER6}/64"]), tun(client, "tun1", [f"{CLIENT4}/24", f"{CLIENT6}/64"])
        tunnel = Tunnel(*ends)
        with Pipeline(server, "tun0") as pipeline:
            servers = traffic(report, server, client)
            seen = {}

            def agree():
                seen.clear()
                seen.update(as_flows(pipeline.api))
                return seen == tunnel.flows

            with contextlib.suppress(TimeoutError):
                wait_for("the tables agree", agree, 8, 0.25)
            wrong = [f"{key}: API {seen.get(key)}, tunnel {tunnel.flows.get(key)}"
                     for key in sorted(set(seen) | set(tunnel.flows), key=str) if seen.get(key) != tunnel.flows.get(key)]
            report.check(f"{len(tunnel.flows)} flows, packets and bytes both ways", not wrong, "; ".join(wrong[:6]))
            note(f"{sum(flow[0] for flow in tunnel.flows.values())} packets went through the tunnel")
            stats = pipeline.api.get("/api/stats")
            report.equal("packets in all", stats["TotalPackets"], sum(flow[0] for flow in tunnel.flows.values()))
            report.equal("malformed packets", stats["MalformedPackets"], 0)
            drop = pipeline.api.rule({"rule_type": "tcp", "src_ip": CLIENT4, "dst_port": 80, "enabled": True})
            try:
                http_get(client, SERVER4, 80, "/small")
                report.check("a rule drops there too", False, "the server answered")
            except OSError:
                hit = wait_for("the packets of the rule", lambda: pipeline.api.get(f"/api/filters/{drop['id']}").get("packets"), 5)
                report.check("a rule drops there too", True, hit)
            for each in servers:
                each.close()
        tunnel.stop()
        for fd in ends:
            os.close(fd)


main(test)
