# SPDX-License-Identifier: MIT
"""GET /metrics: what Prometheus reads is what /api/stats says; its own checker has nothing to complain of; the alert rules and the
dashboard name only what is there; and when the other parts are gone it still answers, and says so."""

import json
import os
import re
import shutil
import signal
import subprocess

from harness import SOURCE, SERVER4, Host, Pipeline, main, note, run, wait_for

RULES = os.path.join(SOURCE, "packaging/prometheus/packetscope.rules.yml")
DASHBOARD = os.path.join(SOURCE, "packaging/grafana/packetscope.json")


def parse(text):
    """{(name, labels): number}, and the names with their types."""
    samples, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            types[name] = kind
        elif not line.startswith("#"):
            name, labels, number = re.fullmatch(r"(\w+)(\{[^}]*\})? (\S+)", line).groups()
            samples[name, labels or ""] = float(number)
    return samples, types


def promtool(report, text):
    if not shutil.which("promtool"):
        note("promtool is not installed (packaging/setup.sh test): its checks are left out")
        return
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    report.check("promtool check metrics finds nothing", checked.returncode == 0 and not checked.stdout + checked.stderr, checked.stdout + checked.stderr)
    checked = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
    report.check("promtool check rules finds nothing", checked.returncode == 0, checked.stdout + checked.stderr)


def expressions():
    """Every expression of the alert rules and the dashboard."""
    with open(RULES, encoding="utf-8") as file:
        yield from re.findall(r"expr: (.*)", file.read())
    with open(DASHBOARD, encoding="utf-8") as file:
        dashboard = json.load(file)
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test(report):
    with Host("psme") as host, Pipeline(host.server, "ps0") as pipeline:
        api = pipeline.api
        api.rule({"rule_type": "icmp", "icmp_type": 8, "enabled": True})
        api.rule({"rule_type": "tcp", "dst_port": 9})
        host.client.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", SERVER4, check=False)
        wait_for("the drops", lambda: api.get("/api/stats")["DroppedPackets"] >= 3)
        status, headers, text = api.request("GET", "/metrics")
        stats = api.get("/api/stats")
        report.equal("it answers", status, 200)
        report.equal("in the format that Prometheus knows", headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        promtool(report, text)
        samples, types = parse(text)
        names = {name for name, _ in samples}
        report.equal("every sample has a type", sorted(names - set(types)), [])
        report.equal("counters, and nothing else, end in _total", sorted(name for name, kind in types.items() if (kind == "counter") != name.endswith("_total")), [])
        for key, value in stats["counters"].items():
            name = f"packetscope_{key}_total"
            if not key.startswith(("ev_", "lost_")):
                report.check(f"{name} is the counter", 0 <= value - samples.get((name, ""), -1) <= 50, f"{value}, {samples.get((name, ''))}")
        report.check("three pings were dropped", samples["packetscope_dropped_packets_total", ""] >= 3)
        report.check("and counted by type", samples["packetscope_icmp_messages_total", '{type="8"}'] >= 3)
        report.equal("rules by state", [samples["packetscope_rules", f'{{state="{state}"}}'] for state in ("enabled", "disabled")], [1, 1])
        report.equal("every part is up", [samples["packetscope_up", f'{{part="{part}"}}'] for part in ("collector", "aggregator", "gateway", "ai-worker")], [1] * 4)
        report.equal("the interface is watched", samples["packetscope_interface_attached", '{iface="ps0"}'], 1)
        labels = {label for _, found in samples for label in re.findall(r"(\w+)=", found)}
        report.check("no address and no port is a label", not re.search(r"\d+\.\d+\.\d+\.\d+|:\d", re.sub(r'version="[^"]*"', "", " ".join(found for _, found in samples))), labels)
        used = {name for expression in expressions() for name in re.findall(r"packetscope_\w+", expression)}
        report.equal("alerts and dashboard name only what there is", sorted(used - names), [])
        note(f"{len(names)} metrics, {len(samples)} samples, {len(text)} bytes; {len(used)} used in packaging")
        without_the_others(report, host, pipeline)


def without_the_others(report, host, pipeline):
    os.kill(pipeline.part_pid("up"), signal.SIGSTOP)  # it would start them again
    try:
        for part in ("aggregator", "ai-worker", "collector"):
            os.kill(pipeline.part_pid(part), signal.SIGKILL)

        def gone():
            samples, _ = parse(pipeline.api.request("GET", "/metrics")[2])
            return all(samples["packetscope_up", f'{{part="{part}"}}'] == 0 for part in ("collector", "aggregator", "ai-worker")) and samples

        samples = wait_for("the others are reported as down", gone, 15)
        report.equal("the gateway answers for itself", samples["packetscope_up", '{part="gateway"}'], 1)
        report.check("without numbers that it does not know", ("packetscope_packets_total", "") not in samples)
    finally:
        os.kill(pipeline.part_pid("up"), signal.SIGCONT)


if __name__ == "__main__":
    main(test)
