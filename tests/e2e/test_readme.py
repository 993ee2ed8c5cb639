# SPDX-License-Identifier: MIT
"""Every README block that is marked <!-- tested --> works as it stands, in order, against a running pipeline; what is marked
<!-- tested: they run on --> is still at it after three seconds."""

import os
import re
import subprocess

from harness import BIN, SERVER4, SOURCE, Host, Pipeline, main, need


RUN_ON = 3  # seconds


def blocks(name, mark="tested"):
    with open(os.path.join(SOURCE, name), encoding="utf-8") as file:
        return re.findall(rf"^<!-- {mark} -->\n```bash\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)


def commands(block):
    """The block's commands, one at a time, so that a failure can be named."""
    current = ""
    for line in block.splitlines():
        if not current and (not line.strip() or line.startswith("#")):
            continue
        current += line + "\n"
        if current.count("'") % 2 == 0 and not line.endswith("\\"):
            yield current.strip()
            current = ""


def test(report):
    need("curl")
    found = blocks("README.md")
    report.check("README.md has tested blocks", len(found) >= 2, len(found))
    with Host() as host, Pipeline(host.server, "ps0") as pipeline:
        host.client.run("ping", "-n", "-c", "1", SERVER4)
        environment = {**pipeline.environment(), "PACKETSCOPE_RUN_DIR": pipeline.run_dir, "PACKETSCOPE_PIN_ROOT": pipeline.pin_root,
                       "PACKETSCOPE_STATE_DIR": pipeline.state_dir}
        for block in found:
            for command in commands(block):
                # curl fails on an HTTP error here, so that a command which answers 400 does not count as working.
                script = command.replace("curl ", "curl -sS --fail ").replace("build/bin/", f"{BIN}/")
                done = subprocess.run(host.server.command("bash", "-c", script), cwd=SOURCE, env=environment, capture_output=True,
                                      text=True, timeout=30, check=False)
                report.check(command.splitlines()[0], done.returncode == 0, done.stderr[-300:] + done.stdout[-300:])
        for block in blocks("README.md", "tested: they run on"):
            for command in commands(block):
                script = command.replace("sudo ", "").replace("build/bin/", f"{BIN}/")
                done = subprocess.run(host.server.command("timeout", str(RUN_ON), "bash", "-c", script), cwd=SOURCE, capture_output=True, text=True,
                                      env={**environment, "PATH": f"/usr/bin:{os.environ['PATH']}"}, check=False)
                report.check(command, done.returncode == 124, f"{done.returncode}: {done.stderr[-300:]}")
        report.equal("the rules that were made are gone again", pipeline.api.get("/api/filters"), [])


main(test)
