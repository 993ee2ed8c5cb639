# SPDX-License-Identifier: MIT
"""The detectors, from the packets to the finding: captures with known answers and captures made here through replay, scans and
guesses between namespaces through the running parts. What is only like an attack must not be found."""

import json
import os
import random
import re
import socket
import subprocess
import tempfile
import time

from harness import BIN, SERVER4, CLIENT4, SOURCE, Host, Pipeline, main, need, note
from lab import Server, http_get, http_server, wait_for
from packets import RST, SYN, ACK, conversation, echo, framed, pcap, tcp, udp

TRACES = os.environ.get("PS_TRACES", os.path.join(SOURCE, "..", "shared", "traces"))
T0 = 1_600_000_000.0
INSIDE, OUTSIDE, SERVER = "10.0.0.5", "198.51.100.7", "192.0.2.1"

# Kind, source and target of the one finding of each capture; those that are not here have none.
KNOWN = {
    "tcp-synscan": ("port_scan", "172.16.0.8", "64.13.134.52"),
    "tcp-syn-flood": ("syn_flood", "192.0.2.10", "198.51.100.5:443"),
    "ssh-bruteforce": ("brute_force", "192.168.56.1", "192.168.56.103:22"),
    "icmp-tunnel": ("icmp_tunnel", "192.168.154.131", "192.168.154.132"),
}
MEMBERS = ["id", "kind", "severity", "confidence", "source", "target", "first", "last", "count", "numbers", "title", "connections",
           "rule", "open"]


def replay(path, *args):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PACKETSCOPE_")}
    done = subprocess.run([os.path.join(BIN, "packetscope-replay"), "--json", path, *args], capture_output=True, text=True, check=False,
                          env=clean)
    if done.returncode != 0:
        raise RuntimeError(f"{path}: status {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def names(findings):
    return [(f["kind"], f["source"], f["target"]) for f in findings]


def check_shape(report, what, output, finding):
    report.equal(f"{what}: members", list(finding), MEMBERS)
    known = {c["id"] for c in output["connections"]}
    report.check(f"{what}: at most 20 connections, all of them known", set(finding["connections"]) <= known and
                 len(set(finding["connections"])) == len(finding["connections"]) <= 20, finding["connections"])
    times = sorted(r["first_seen"] for r in output["connections"] + output["icmp"])
    report.check(f"{what}: first and last lie in the capture", times[0] <= finding["first"] <= finding["last"], finding)
    rule = finding["rule"]
    report.equal(f"{what}: the rule is a proposal", (rule["enabled"], rule["mode"], rule["action"], rule["ttl"], rule["source"]),
                 (False, "shadow", "drop", 3600, "detector"))


# --- captures with known answers ----------------------------------------------------------------------


def check_traces(report):
    if not os.path.isdir(TRACES):
        note(f"the captures with known answers are not there ({TRACES}); PS_TRACES names their directory")
        return
    for file in sorted(os.listdir(TRACES)):
        name, extension = os.path.splitext(file)
        if extension != ".pcap":
            continue
        output = replay(os.path.join(TRACES, file))
        report.equal(f"{name}", names(output["findings"]), [KNOWN[name]] if name in KNOWN else [])
        for finding in output["findings"]:
            check_shape(report, name, output, finding)


# --- captures made here -------------------------------------------------------------------------------


def sweep():
    for n in range(1, 255):
        yield T0 + n * 0.01, echo(OUTSIDE, f"192.0.2.{n}")
        if n % 12 == 0:
            yield T0 + n * 0.01 + 0.001, echo(f"192.0.2.{n}", OUTSIDE, reply=True)


def reflected():
    """A name server that is asked in the victim's name."""
    for n in range(150):
        yield T0 + n * 0.02, udp(OUTSIDE, 1024 + n, SERVER, 53, b"q" * 40)
        for part in range(2):
            yield T0 + n * 0.02 + 0.001 * (part + 1), udp(SERVER, 53, OUTSIDE, 1024 + n, b"a" * 1400)


def unasked():
    for n in range(200):
        yield T0 + n * 0.01, udp(f"203.0.113.{n}", 123, SERVER, 4444, b"m" * 440)


def beacon():
    jitter = random.Random(7)
    for n in range(20):
        yield from conversation(T0 + 60 * n + jitter.uniform(-3, 3), INSIDE, 40000 + n, OUTSIDE, 443, 300, 500)


def horizontal_scan():
    for n in range(1, 200):
        yield T0 + n * 0.05, tcp(OUTSIDE, 40000 + n, f"192.0.2.{n}", 445, SYN, 1)
        if n % 5 == 0:
            yield T0 + n * 0.05 + 0.001, tcp(f"192.0.2.{n}", 445, OUTSIDE, 40000 + n, RST | ACK, 0, 2)


def forged_flood():
    for n in range(1000):
        yield T0 + n * 0.002, tcp(f"11.{n % 200}.7.{n % 250}", 1024 + n, SERVER, 80, SYN, n)


def monitoring():
    """Two hundred machines, every minute, of which one in twenty is down; and one connection to each, every five."""
    for minute in range(15):
        for n in range(200):
            at = T0 + minute * 60 + n * 0.02
            yield at, echo(INSIDE, f"10.0.1.{n + 1}", number=minute)
            if n % 20:
                yield at + 0.001, echo(f"10.0.1.{n + 1}", INSIDE, reply=True, number=minute)


def proxy():
    """Clients that come all the time, sites that are up and down."""
    dice = random.Random(3)
    for n in range(900):
        at = T0 + n * 0.1 + dice.uniform(0, 0.1)
        yield from conversation(at, f"10.0.1.{dice.randrange(1, 40)}", 20000 + n, INSIDE, 3128, 400, 3000, 0.001)
        site = f"198.18.{dice.randrange(4)}.{dice.randrange(1, 250)}"
        if dice.random() < 0.05:
            yield at + 0.01, tcp(INSIDE, 40000 + n, site, 443, SYN, 1)
        else:
            yield from conversation(at + 0.01, INSIDE, 40000 + n, site, 443, 400, 3000, 0.001)


def network_time():
    for n in range(60):
        for client in range(20):
            at = T0 + n * 64 + client * 0.1
            yield at, udp(f"10.0.1.{client + 1}", 123, INSIDE, 123, b"n" * 48)
            yield at + 0.001, udp(INSIDE, 123, f"10.0.1.{client + 1}", 123, b"n" * 48)


def backup():
    for hour in range(30):
        yield from conversation(T0 + hour * 3600, INSIDE, 41000 + hour, OUTSIDE, 22, 400000, 2000)


def names_asked():
    """A resolver at work, with answers of every size."""
    dice = random.Random(5)
    for n in range(2000):
        server = f"203.0.113.{dice.randrange(1, 60)}"
        yield T0 + n * 0.03, udp(INSIDE, 1024 + n, server, 53, b"q" * 40)
        yield T0 + n * 0.03 + 0.02, udp(server, 53, INSIDE, 1024 + n, b"a" * dice.choice((60, 80, 120, 200, 400, 1200)))


MADE = (
    ("a sweep", sweep, [("icmp_sweep", OUTSIDE, "192.0.2.0/24")]),
    ("a name server as reflector", reflected, [("udp_amplification", OUTSIDE, f"{SERVER}:53")]),
    ("answers that nobody asked for", unasked, [("udp_amplification", None, SERVER)]),
    ("a beacon", beacon, [("beaconing", INSIDE, f"{OUTSIDE}:443")]),
    ("a scan for one port", horizontal_scan, [("port_scan", OUTSIDE, "192.0.2.0/24")]),
    ("a flood with forged sources", forged_flood, [("syn_flood", None, f"{SERVER}:80")]),
    ("a monitoring host", monitoring, []),
    ("a busy web proxy", proxy, []),
    ("network time", network_time, []),
    ("a backup every hour", backup, []),
    ("a resolver", names_asked, []),
)


def check_made(report, directory):
    for what, packets, expected in MADE:
        path = os.path.join(directory, "made.pcap")
        with open(path, "wb") as file:
            file.write(pcap(framed(sorted(packets(), key=lambda packet: packet[0]))))
        output = replay(path)
        report.equal(what, names(output["findings"]), expected)
        for finding in output["findings"]:
            check_shape(report, what, output, finding)
    with open(path, "wb") as file:
        file.write(pcap(framed(sorted(sweep(), key=lambda packet: packet[0]))))
    report.equal("a threshold of one's own", replay(path, "--detect-sweep-hosts", "250")["findings"], [])
    tables = subprocess.run([os.path.join(BIN, "packetscope-replay"), path], capture_output=True, text=True, check=True).stdout
    report.check("the tables show it", re.search(r"icmp_sweep +low .*198\.51\.100\.7 .*192\.0\.2\.0/24", tables), tables)


# --- live ----------------------------------------------------------------------------------------------


def scan(host, ports):
    for port in ports:
        with host.client.entered(), socket.socket() as probe:
            probe.settimeout(1)
            probe.connect_ex((SERVER4, port))


def guess(host, times):
    for _ in range(times):
        with host.client.entered(), socket.create_connection((SERVER4, 22), 2) as s:
            s.recv(64)
            s.sendall(b"SSH-2.0-guess\r\n")
            s.recv(64)


def login_server(connection):
    with connection:
        connection.sendall(b"SSH-2.0-test\r\n")
        connection.recv(64)
        connection.sendall(b"no\r\n")


def of_kind(api, kind):
    found = [f for f in api.get("/api/findings") if f["kind"] == kind]
    return found[0] if found else None


def check_live(report):
    need("ethtool")
    with Host("psf") as host, Pipeline(host.server, "ps0") as pipeline:
        api = pipeline.api
        servers = [Server(host.server.listen(socket.AF_INET6, socket.SOCK_STREAM, "::", 80), http_server(lambda path: 500)),
                   Server(host.server.listen(socket.AF_INET, socket.SOCK_STREAM, SERVER4, 22), login_server)]
        watch = host.server.popen(os.path.join(BIN, "packetscope"), "watch", "--json", "--topics", "finding", "--count", "2",
                                  "--run-dir", pipeline.run_dir, stdout=subprocess.PIPE, text=True, env=pipeline.environment())
        stream = host.server.popen("curl", "-sN", "--max-time", "40", "http://127.0.0.1:8080/api/events?topics=finding",
                                   stdout=subprocess.PIPE, text=True)
        for _ in range(150):
            http_get(host.client, SERVER4, 80, "/")
        time.sleep(1)
        report.equal("no finding without a reason", api.get("/api/findings"), [])

        scan(host, range(2000, 2060))
        found = wait_for("the scan is found", lambda: of_kind(api, "port_scan"), 15)
        report.equal("the scan", names([found]), [("port_scan", CLIENT4, SERVER4)])
        guess(host, 12)
        found = wait_for("the guesses are found", lambda: of_kind(api, "brute_force"), 15)
        report.equal("the guesses", names([found]), [("brute_force", CLIENT4, f"{SERVER4}:22")])
        report.equal("nothing else", len(api.get("/api/findings?limit=10")), 2)
        report.equal("one of them", len(api.get("/api/findings?limit=1&open=true")), 1)
        report.equal("bad arguments are named", [api.request("GET", f"/api/findings?{q}")[2].get("field") for q in
                                                 ("limit=0", "limit=x", "open=maybe")], ["limit", "limit", "open"])
        detect = api.get("/api/ai/status")["detect"]
        report.equal("the detectors tell of themselves", (detect["found"], detect["open"], detect["missed"], detect["malformed"],
                                                          detect["records"] > 300), (2, 2, 0, 0, True))
        ids = {c["id"] for c in api.every("/api/connections?ended=true")}
        report.check("its connections are those of the API", set(found["connections"]) <= ids, found["connections"])

        told = [json.loads(line) for line in watch.communicate(timeout=10)[0].splitlines()]
        report.equal("a tap heard both", [t["kind"] for t in told], ["port_scan", "brute_force"])
        report.check("with times in ns", all(isinstance(t["first"], int) and t["first"] > 1e18 for t in told), told)
        stream.terminate()
        events = [json.loads(line[6:]) for line in stream.communicate(timeout=10)[0].splitlines() if line.startswith("data: ")]
        report.equal("a stream heard both", [e["kind"] for e in events], ["port_scan", "brute_force"])
        report.check("with times as text", all(re.fullmatch(r"\d{4}-.*Z", e["first"]) for e in events), events)
        rule = found["rule"]
        status, _, made = api.request("POST", "/api/filters", rule)
        report.check("the proposed rule is a rule", status == 201 and made["enabled"] is False, made)
        for server in servers:
            server.close()


def test(report):
    need("curl")
    check_traces(report)
    with tempfile.TemporaryDirectory(prefix="psfind-") as directory:
        check_made(report, directory)
    check_live(report)


main(test)
