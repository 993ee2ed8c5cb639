# SPDX-License-Identifier: MIT
"""`packetscope up` as an operator uses it: what it prints, how it ends, what stays with --keep, how it refuses."""

import json
import os
import signal
import socket
import subprocess
import time

from harness import BIN, SERVER4, Host, Pipeline, main, need, note, wait_for
from lab import Server

BLOCKED = 7777


def link_of(ns):
    """What the interface says of XDP and TC programs."""
    return ns.run("ip", "-d", "link", "show", "ps0"), ns.run("tc", "filter", "show", "dev", "ps0", "egress", check=False)


def attached(ns):
    return "prog/xdp" in link_of(ns)[0]


def within(seconds, condition):
    """Whether it becomes true in time."""
    try:
        return bool(wait_for("condition", condition, seconds))
    except TimeoutError:
        return False


class Probe:
    """UDP datagrams to a port that a rule blocks."""

    def __init__(self, host):
        self.host = host
        self.server = Server(host.server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, BLOCKED), lambda data: None)

    def passes(self):
        before = self.server.received
        with self.host.client.datagrams(SERVER4) as sock:
            for _ in range(10):
                sock.sendto(b"x", (SERVER4, BLOCKED))
        time.sleep(0.2)
        return self.server.received - before


def stops_cleanly(report, host, pipeline, what, signum):
    pipeline.process.send_signal(signum)
    try:
        status = pipeline.process.wait(10)
    except subprocess.TimeoutExpired:
        status = "still running after 10 s"
    if not report.equal(f"{what}: exit status", status, 0):
        pipeline.show_log()
    report.equal(f"{what}: nothing is left", pipeline.leftovers(), [])
    report.check(f"{what}: the interface is free", not attached(host.server), link_of(host.server)[0])
    report.check(f"{what}: egress is free", "packetscope" not in link_of(host.server)[1] and "ps_" not in link_of(host.server)[1],
                 link_of(host.server)[1])


def check_single_dashes(report, host):
    """The prototype's command line, with and without the verb."""
    for words in (("up",), ()):
        what = " ".join(("packetscope", *words, "-iface … -interval 1 -api …"))
        pipeline = Pipeline(host.server, "ps0")
        try:
            with open(pipeline.log_path, "ab") as log:
                pipeline.process = host.server.popen(
                    os.path.join(BIN, "packetscope"), *words, "-iface", "ps0", "-interval", "1", "-api", "127.0.0.1:8080",
                    *pipeline.paths(), stdout=log, stderr=log, env=pipeline.environment(), start_new_session=True)
            pipeline.ready()
            report.check(f"{what}: XDP is on the interface", attached(host.server))
            report.check(f"{what}: says where the page is", within(5, lambda: "http://127.0.0.1:8080" in pipeline.log()), pipeline.log())
            host.client.run("ping", "-n", "-c", "2", "-i", "0.2", SERVER4)
            size = len(pipeline.log())
            report.check(f"{what}: prints a summary every interval", within(4, lambda: len(pipeline.log()) > size + 20), pipeline.log())
            stops_cleanly(report, host, pipeline, f"{what}, {'Ctrl-C' if words else 'SIGTERM'}", signal.SIGINT if words else signal.SIGTERM)
        finally:
            pipeline.close()


def check_verbs(report, host):
    with Pipeline(host.server, "ps0") as pipeline:
        host.client.run("ping", "-n", "-c", "2", "-i", "0.2", SERVER4)
        with host.client.datagrams(SERVER4) as sock:
            sock.sendto(b"x", (SERVER4, 9))
        time.sleep(1.2)
        api = ("--api", "127.0.0.1:8080")
        status = json.loads(pipeline.cli("status", "--json", *api))
        report.check("status --json", bool(status), status)
        conns = json.loads(pipeline.cli("conns", "--json", *api))
        report.check("conns --json shows the datagram", any(c["dst_port"] == 9 for c in conns), conns)
        report.check("conns prints a table", SERVER4 in pipeline.cli("conns", *api))
        pipeline.cli("filters", "add", "rule_type=udp", f"dst_port={BLOCKED}", "enabled=true", *api)
        rules = json.loads(pipeline.cli("filters", "list", "--json", *api))
        report.equal("filters add, filters list", [(r["id"], r["dst_port"], r["enabled"]) for r in rules], [(0, BLOCKED, True)])
        pipeline.cli("filters", "rm", "0", *api)
        report.equal("filters rm", json.loads(pipeline.cli("filters", "list", "--json", *api)), [])
        report.check("doctor", host.server.run(os.path.join(BIN, "packetscope"), "doctor", "--iface", "ps0", check=False) != "")


def check_keep(report, host):
    probe = Probe(host)
    pipeline = Pipeline(host.server, "ps0", ["--keep"])
    try:
        pipeline.start()
        pipeline.ready()
        report.equal("before the rule, datagrams pass", probe.passes(), 10)
        pipeline.api.rule({"rule_type": "udp", "dst_port": BLOCKED, "enabled": True})
        report.equal("the rule stops them", probe.passes(), 0)
        report.equal("--keep: Ctrl-C", pipeline.interrupt(), 0)
        report.equal("--keep: no process is left", pipeline.processes(), {})
        report.check("--keep: says that the kernel part stays and how to end it", "detach" in pipeline.log(), pipeline.log()[-400:])
        report.check("--keep: XDP stays on the interface", attached(host.server))
        report.equal("--keep: the rule still stops them", probe.passes(), 0)
        pipeline.cli("detach", "--pin-root", pipeline.pin_root, "--run-dir", pipeline.run_dir)
        report.check("detach frees the interface", not attached(host.server))
        report.equal("after detach, datagrams pass", probe.passes(), 10)
        report.equal("after detach, nothing is left", pipeline.leftovers(), [])
    finally:
        pipeline.close()
        probe.server.close()


def check_refusals(report, host):
    pipeline = Pipeline(host.server, "nosuch0")
    try:
        pipeline.start()
        try:
            status = pipeline.process.wait(10)
        except subprocess.TimeoutExpired:
            status = 0
        report.check("an interface that does not exist is an error", status != 0, pipeline.log()[-400:])
        report.check("and it is named", "nosuch0" in pipeline.log(), pipeline.log()[-400:])
        report.equal("and nothing is left", pipeline.leftovers(), [])
    finally:
        pipeline.close()

    with Pipeline(host.server, "ps0") as pipeline:
        second = host.server.popen(os.path.join(BIN, "packetscope"), "up", "--iface", "ps0", "--api", "127.0.0.1:8081", *pipeline.paths(),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=pipeline.environment())
        try:
            out, _ = second.communicate(timeout=10)
            report.check("a second `up` on the same files is refused", second.returncode != 0, out)
        except subprocess.TimeoutExpired:
            second.send_signal(signal.SIGINT)
            second.wait(10)
            report.check("a second `up` on the same files is refused", False, "it runs")
        report.check("and the first goes on", pipeline.api.request("GET", "/api/health")[0] == 200)
        note(f"{len(pipeline.processes())} processes")


def test(report):
    need("ip", "tc", "ping", "ethtool")
    with Host() as host:
        check_single_dashes(report, host)
        check_verbs(report, host)
        check_keep(report, host)
        check_refusals(report, host)


main(test)
