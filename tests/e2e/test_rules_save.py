# SPDX-License-Identifier: MIT
"""Rules and a disk that fails: full, and with a file that someone broke by hand."""

import os
import signal
import time

from harness import SERVER4, Host, Pipeline, main, note, run, wait_for
from rules_traffic import Counter


class SmallDisk(Pipeline):
    """The state directory is a file system of 64 KiB."""

    def start(self):
        os.makedirs(self.state_dir, exist_ok=True)
        if not os.path.ismount(self.state_dir):
            run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.state_dir)
        super().start()

    def close(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        run("umount", "-l", self.state_dir, check=False)
        super().close()


def passes(host, port):
    counter = Counter(host.server, "ps0", (port,))
    out = host.client.datagrams(SERVER4)
    for _ in range(5):
        out.sendto(b"probe", (SERVER4, port))
    time.sleep(0.2)
    out.close()
    return counter.stop()[port] == 5


def check_full(report, host, pipeline):
    api = pipeline.api
    rule = api.rule({"rule_type": "udp", "dst_port": 7200, "enabled": True})
    report.check("the rule blocks", not passes(host, 7200))
    answers = {}
    for i in range(400):
        status, _, problem = api.request("POST", "/api/filters", {
            "rule_type": "udp", "dst_port": 7201, "enabled": True, "comment": "x" * 500})
        answers[status] = answers.get(status, 0) + 1
        if status != 201:
            break
    note(f"answers until the disk was full: {answers}")
    report.equal("a full disk answers", (status, problem.get("code")), (507, "disk_full"))
    known = {r["id"] for r in api.get("/api/filters")}
    status = api.request("PATCH", f"/api/filters/{rule['id']}", {"dst_port": 7202})[0]
    report.check("and again", status in (500, 507), status)
    report.check("the kernel's rules are as they were", not passes(host, 7200) and passes(host, 7202))
    report.equal("so is the list", {r["id"] for r in api.get("/api/filters")}, known)
    os.kill(pipeline.part_pid("aggregator"), signal.SIGKILL)
    pipeline.ready(20)
    report.equal("and so it is after a kill", {r["id"] for r in api.get("/api/filters")}, known)
    report.check("the kernel too", not passes(host, 7200))
    run("mount", "-o", "remount,size=4m", pipeline.state_dir)
    report.equal("with room again it goes on", api.request("PATCH", f"/api/filters/{rule['id']}", {"dst_port": 7202})[0], 200)
    report.check("in the kernel as well", passes(host, 7200) and not passes(host, 7202))


def check_broken(report, pipeline):
    api = pipeline.api
    before = api.get("/api/filters")
    path = os.path.join(pipeline.state_dir, "rules.json")
    with open(path, "r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write(text[: len(text) // 2])
        file.truncate()
    os.kill(pipeline.part_pid("aggregator"), signal.SIGKILL)
    pipeline.ready(20)
    report.equal("a rules.json that is half gone: the last good set is in force", [r["id"] for r in api.get("/api/filters")],
                 [r["id"] for r in before])
    kept = [name for name in os.listdir(pipeline.state_dir) if name.startswith("rules.json.bad-")]
    report.equal("the bad file is kept beside it", len(kept), 1)
    report.check("the reason is in the log", "rules.json cannot be used" in pipeline.log())
    health = api.get("/api/health")
    report.check("and in /api/health", "rules.json" in str(health), health)


def test(report):
    with Host("psd") as host, SmallDisk(host.server, "ps0", ["--keep"]) as pipeline:
        check_full(report, host, pipeline)
        check_broken(report, pipeline)
        wait_for("health", lambda: pipeline.api.get("/api/health"), 5)


main(test)
