# SPDX-License-Identifier: MIT
"""The lock-out guard against whoever posts rules without force: thousands of random ones and crafted ones, over an API session that
runs through the filtered interface, while an SSH-like session, a resolver and pings of the default gateway do the same. All four
survive, every time.

PS_RULES_RANDOM sets how many random rules (400; the full measure is 10000).
"""

import http.client
import json
import os
import random
import socket
import threading
import time

from harness import BIN, CLIENT4, SERVER4, Host, Pipeline, main, need, note, wait_for
from lab import Server, dns_query, dns_server

RANDOM = int(os.environ.get("PS_RULES_RANDOM", "400"))
DNS4 = "10.203.0.53"


class WithResolver(Pipeline):
    """The pipeline with a resolv.conf of its own."""

    def start(self):
        path = os.path.join(self.directory, "resolv.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"nameserver {DNS4}\n")
        with open(self.log_path, "ab") as log:
            self.process = self.ns.popen(
                "unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && shift && exec "$@"', "sh", path,
                os.path.join(BIN, "packetscope"), "up", "--iface", self.iface, *self.paths(), *self.args,
                stdout=log, stderr=log, env=self.environment(), start_new_session=True)


class Session(threading.Thread):
    """Something that must go on: step() raises when it does not."""

    def __init__(self, name, step, pause):
        super().__init__(daemon=True)
        self.name, self.step, self.pause = name, step, pause
        self.rounds, self.error, self.ending = 0, None, False
        self.start()

    def run(self):
        while not self.ending and not self.error:
            try:
                self.step()
                self.rounds += 1
            except (OSError, AssertionError, RuntimeError) as error:
                self.error = f"{type(error).__name__} {error}"
            time.sleep(self.pause)

    def stop(self):
        self.ending = True
        self.join(20)


def ssh_like(host):
    """An echo session on port 22, one byte at a time."""
    listener = host.server.listen(socket.AF_INET, socket.SOCK_STREAM, SERVER4, 22)

    def echo(conn):
        while data := conn.recv(4096):
            conn.sendall(data)

    server = Server(listener, echo)
    client = host.client.connect(SERVER4, 22)
    client.settimeout(6)

    def step():
        client.sendall(b"x")
        assert client.recv(1) == b"x", "the session ended"

    return server, step


def resolver(host):
    """As libc does it: a new port each time, two tries."""
    server = Server(host.client.listen(socket.AF_INET, socket.SOCK_DGRAM, DNS4, 53), dns_server())
    counter = iter(range(1 << 30))

    def step():
        for _ in range(3):
            with host.server.datagrams(DNS4) as sock:
                sock.settimeout(1)
                ident = next(counter) & 0xFFFF
                sock.sendto(dns_query("lab.example", ident), (DNS4, 53))
                try:
                    if sock.recv(512)[:2] == ident.to_bytes(2, "big"):
                        return
                except TimeoutError:
                    continue
        raise RuntimeError("no answer to three questions")

    return server, step


def pings(host):
    def step():
        for ns, to in ((host.client, SERVER4), (host.server, CLIENT4)):
            ns.run("ping", "-n", "-c", "1", "-W", "2", to)

    return step


class Caller:
    """One API session from the other side of the filtered interface."""

    def __init__(self, ns):
        self.connection = http.client.HTTPConnection(SERVER4, 8080, timeout=15)
        with ns.entered():
            self.connection.connect()

    def request(self, method, path, body=None):
        self.connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None


def random_rule(rnd):
    """A rule of a world so small that it often meets what must live."""
    nets = ("any", "any", CLIENT4, SERVER4, DNS4, "10.203.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "10.203.0.0/28",
            f"10.203.{rnd.randint(0, 3)}.{rnd.randint(0, 255)}", f"192.0.2.{rnd.randint(0, 255)}")
    low = rnd.choice((22, 53, 8080, rnd.randint(1, 65000)))
    ports = (0, 22, 53, 8080, low, f"{low}-{min(65535, low + rnd.randint(0, 20000))}", f"{low},{rnd.randint(1, 65535)}", "1-65535")
    rule = {"rule_type": rnd.choice(("basic", "tcp", "udp", "icmp")), "src_ip": rnd.choice(nets), "dst_ip": rnd.choice(nets),
            "direction": rnd.choice(("ingress", "egress", "both")), "enabled": rnd.random() < 0.9,
            "action": "allow" if rnd.random() < 0.15 else "drop", "priority": rnd.choice((1, 500, 1000, 1000, 2000)),
            "mode": "shadow" if rnd.random() < 0.1 else "enforce"}
    if rule["rule_type"] in ("tcp", "udp"):
        rule["src_port"], rule["dst_port"] = rnd.choice(ports), rnd.choice(ports)
    if rule["rule_type"] == "tcp" and rnd.random() < 0.4:
        rule["tcp_flags"] = rnd.randint(0, 255)
        rule["tcp_flags_mask"] = rule["tcp_flags"] | rnd.choice((0, 2, 16, 18, 255))
    if rule["rule_type"] == "icmp":
        rule["icmp_type"] = rnd.choice((0, 3, 8, 11, 255))
        if rnd.random() < 0.2:
            rule["inner_protocol"] = "udp"
            rule["icmp_type"] = 3
    if rule["action"] == "drop" and rnd.random() < 0.15:
        rule["rate_limit"] = rnd.choice((1, 10, 99, 1000))
    if rnd.random() < 0.15:
        rule["ttl"] = rnd.randint(1, 5)
    return rule


def crafted_rules():
    """Two hundred attempts by someone who means it, each of which must be refused."""
    cut = []
    for direction, mine, theirs in (("ingress", "src_ip", "dst_ip"), ("egress", "dst_ip", "src_ip")):
        for net in ("any", "0.0.0.0/0", "0.0.0.0/1", "10.0.0.0/8", "10.203.0.0/16", "10.203.0.0/24", "10.203.0.0/28", "10.203.0.2"):
            for other in ("any", SERVER4, "10.203.0.0/30"):
                cut.append({mine: net, theirs: other, "direction": direction})
                cut.append({mine: net, theirs: other, "direction": "both"})
                cut.append({mine: net, theirs: other, "direction": direction, "rule_type": "tcp"})
        here, there = ("dst_port", "src_port") if direction == "ingress" else ("src_port", "dst_port")
        for port in (22, 8080, "22,8080", "1-65535", "20-25", "8000-9000", "1-22"):
            cut.append({"rule_type": "tcp", here: port, "direction": direction})
        for flags, mask in (("ACK", None), ("PSH", None), ("ACK|PSH", None), (16, 255), (24, 255), (0, 2), (0, 4), (16, 18), (0, 32)):
            rule = {"rule_type": "tcp", "tcp_flags": flags, "direction": direction, here: 22}
            if mask:
                rule["tcp_flags_mask"] = mask
            cut.append(rule)
        cut.append({"rule_type": "udp", there: 53, "direction": direction})
        cut.append({"rule_type": "udp", "direction": direction})
        cut.append({"rule_type": "udp", here: "32768-60999", "direction": direction})
        cut.append({"rule_type": "icmp", "icmp_type": 0, "direction": direction})
        cut.append({"rule_type": "icmp", "icmp_type": 8, "direction": direction})
        cut.append({"rule_type": "icmp", "direction": direction})
        for rate in (1, 50):
            cut.append({"rule_type": "tcp", "dst_port": 22, "rate_limit": rate, "direction": "both"})
            cut.append({"rate_limit": rate, "direction": direction})
        cut.append({"direction": direction, "ttl": 5})
        cut.append({"direction": direction, "confirm_within": 5})
    return [{"enabled": True, "action": "drop", **rule} for rule in cut if rule.get("tcp_flags") != 0 or rule["tcp_flags_mask"]]


def check_crafted(report, caller, sessions):
    rules = crafted_rules()
    accepted = []
    for rule in rules:
        status, answer = caller.request("POST", "/api/filters", rule)
        if status != 409 or answer.get("code") != "lockout" or not answer.get("guard"):
            accepted.append((rule, status, answer))
        if status == 201:
            caller.request("DELETE", f"/api/filters/{answer['id']}")
    report.equal(f"of {len(rules)} crafted rules that would cut something, not refused", accepted[:3], [])
    report.check("there are two hundred of them", len(rules) >= 200, len(rules))
    report.equal("what lives on", [s.error for s in sessions if s.error], [])


def check_ways_round(report, caller):
    """The same by other doors: an allow rule taken away, disabled, moved or changed; a disabled rule enabled; a shadow promoted; a
    whole set; an import."""
    allow = caller.request("POST", "/api/filters", {"action": "allow", "src_ip": CLIENT4, "priority": 1, "enabled": True})[1]["id"]
    drop = caller.request("POST", "/api/filters", {"rule_type": "tcp", "dst_port": 22, "enabled": True})
    report.equal("a drop below an allow is taken", drop[0], 201)
    drop = drop[1]["id"]
    off = caller.request("POST", "/api/filters", {"enabled": False, "priority": 0})[1]["id"]
    shadow = caller.request("POST", "/api/filters", {"enabled": True, "mode": "shadow", "priority": 0})[1]["id"]
    for what, method, path, body in (
            ("delete the allow", "DELETE", f"/api/filters/{allow}", None),
            ("disable the allow", "POST", f"/api/filters/{allow}/disable", None),
            ("let the allow expire", "PATCH", f"/api/filters/{allow}", {"ttl": 1}),
            ("move the allow", "PUT", f"/api/filters/{allow}", {"priority": 5000}),
            ("narrow the allow", "PATCH", f"/api/filters/{allow}", {"rule_type": "udp"}),
            ("turn the allow", "PATCH", f"/api/filters/{allow}", {"action": "drop"}),
            ("move the drop", "PATCH", f"/api/filters/{drop}", {"priority": 0}),
            ("widen the drop", "PATCH", f"/api/filters/{drop}", {"priority": 0, "dst_port": "1-65535"}),
            ("enable a drop", "POST", f"/api/filters/{off}/enable", None),
            ("promote a shadow", "POST", f"/api/filters/{shadow}/promote", None),
            ("replace the set", "PUT", "/api/filters", [{"enabled": True}]),
            ("replace it without the allow", "PUT", "/api/filters", [{"rule_type": "tcp", "dst_port": 22, "enabled": True}]),
            ("import", "POST", "/api/filters/import?priority=0", [{"src_ip": CLIENT4}])):
        status, answer = caller.request(method, path, body)
        report.equal(f"{what}: refused", (status, answer.get("code") if answer else None), (409, "lockout"))
    status, preview = caller.request("POST", "/api/filters/preview", {"rule_type": "tcp", "dst_port": "22,8080", "priority": 0})
    report.equal("the preview names both", (status, {entry["kind"] for entry in preview["guard"]}), (200, {"ssh", "caller"}))
    report.equal("the whole set goes", caller.request("PUT", "/api/filters", [])[0], 200)


def check_random(report, caller, sessions):
    rnd = random.Random(4)
    seen = {}
    for i in range(RANDOM):
        if i % 100 == 99:  # begin anew: one broad allow rule makes everything after it harmless
            caller.request("PUT", "/api/filters", [])
        kind = rnd.random()
        if kind < 0.8:
            status, _ = caller.request("POST", "/api/filters", random_rule(rnd))
        else:
            number = rnd.randint(0, 60)
            if kind < 0.85:
                status, _ = caller.request("DELETE", f"/api/filters/{number}")
            elif kind < 0.9:
                status, _ = caller.request("POST", f"/api/filters/{number}/{rnd.choice(('enable', 'disable', 'promote'))}")
            else:
                status, _ = caller.request("PATCH", f"/api/filters/{number}", {"priority": rnd.randint(0, 3000)})
        seen[status] = seen.get(status, 0) + 1
        if any(s.error for s in sessions):
            break
    note(f"{RANDOM} random changes: {seen}")
    report.check("some are taken, some are refused", seen.get(201, 0) > RANDOM // 10 and seen.get(409, 0) > RANDOM // 20, seen)
    report.equal("none failed in another way", set(seen) - {200, 201, 204, 400, 404, 409}, set())
    time.sleep(6)  # what has a ttl goes, and what stood behind it must not bite
    for session in sessions:
        report.equal(f"{session.name} lives on", session.error, None)
        report.check(f"{session.name} was busy", session.rounds > 20, session.rounds)
    status, _ = caller.request("GET", "/api/health")
    report.equal("the API session lives on", status, 200)


def check_force(report, caller, pipeline):
    status, answer = caller.request("POST", "/api/filters", {
        "rule_type": "tcp", "dst_port": 22, "tcp_flags": "SYN", "tcp_flags_mask": "SYN|ACK", "enabled": True, "force": True})
    report.equal("with force it is done", status, 201)
    caller.request("DELETE", f"/api/filters/{answer['id']}")
    status, shown = caller.request("PUT", "/api/protected", ["172.16.0.0/12"])
    report.equal("a network is protected", (status, shown), (200, [{"cidr": "172.16.0.0/12", "origin": "api"}]))
    for net in ("172.16.9.9", "172.0.0.0/8", "any"):
        status, answer = caller.request("POST", "/api/filters", {"rule_type": "tcp", "dst_port": 23, "src_ip": net, "enabled": True})
        report.equal(f"a rule against {net} is refused", (status, [entry["kind"] for entry in answer.get("guard", [])]), (409, ["protected"]))
    report.equal("one against another is taken", caller.request("POST", "/api/filters", {"src_ip": "172.32.0.1", "enabled": True})[0], 201)


def test(report):
    need("ping", "unshare")
    with Host("psg") as host:
        host.client.run("ip", "addr", "add", f"{DNS4}/24", "dev", "ps1")
        mac = host.client_mac
        host.server.run("ip", "neigh", "replace", DNS4, "lladdr", mac, "dev", "ps0", "nud", "permanent")
        host.server.run("ip", "route", "add", "default", "via", CLIENT4)
        with WithResolver(host.server, "ps0", ["--api", ":8080", "--insecure"]) as pipeline:
            ssh_server, ssh_step = ssh_like(host)
            dns, dns_step = resolver(host)
            sessions = [Session("the SSH-like session", ssh_step, 0.02), Session("the resolver", dns_step, 0.05),
                        Session("the gateway's pings", pings(host), 0.1)]
            caller = Caller(host.client)
            wait_for("the session is known", lambda: any(
                c["dst_port"] == 22 and c["state"] == "established" for c in pipeline.api.connections()))
            try:
                caller.request("PUT", "/api/protected", [])
                check_force(report, caller, pipeline)
                caller.request("PUT", "/api/filters", [])
                caller.request("PUT", "/api/protected", [])
                check_crafted(report, caller, sessions)
                check_ways_round(report, caller)
                check_random(report, caller, sessions)
            finally:
                for session in sessions:
                    session.stop()
                ssh_server.close()
                dns.close()


if __name__ == "__main__":
    main(test)
