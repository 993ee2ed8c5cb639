# SPDX-License-Identifier: MIT
"""A real inference engine behind the AI worker: llama.cpp with a model of random weights. What it says has the shape that was asked for
and no sense at all: nothing may crash, and nothing of it may pass as a rule that is none.

PS_LLM_CALLS: how many questions. PS_LLM_MODULES: a directory with node-llama-cpp in node_modules; without it, npm is asked for one."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

from harness import BUILD, SERVER4, Host, Pipeline, main, need, note, skip, wait_for
from lab import Server

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "engine"))
import gguf  # noqa: E402

PACKAGES = ("node-llama-cpp@3", "@node-llama-cpp/linux-x64@3")
CALLS = int(os.environ.get("PS_LLM_CALLS", "3"))


def modules():
    """A directory with the engine; installed once a build directory."""
    given = os.environ.get("PS_LLM_MODULES")
    if given:
        return given
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    if int(version.strip().lstrip("v").split(".")[0] or 0) < 20:
        skip(f"node {version.strip()} is too old for node-llama-cpp, which wants 20")
    directory = os.path.join(BUILD, "llm-engine")
    if not os.path.isdir(os.path.join(directory, "node_modules", "node-llama-cpp")):
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "package.json"), "w", encoding="utf-8") as file:
            file.write('{"private": true}\n')
        try:
            done = subprocess.run(["npm", "install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", *PACKAGES], cwd=directory,
                                  capture_output=True, text=True, timeout=240, check=False)
        except subprocess.TimeoutExpired:
            shutil.rmtree(directory, ignore_errors=True)
            skip("npm did not bring node-llama-cpp within four minutes")
        if done.returncode != 0:
            shutil.rmtree(directory, ignore_errors=True)
            skip(f"npm cannot bring node-llama-cpp: {done.stderr.strip().splitlines()[-1:]}")
    return directory


class Small(Pipeline):
    """Questions and answers as short as they may be: the engine reads and writes them byte by byte."""

    def environment(self):
        return {**super().environment(), "PACKETSCOPE_PROMPT_TOKENS": "1000", "PACKETSCOPE_ANSWER_TOKENS": "1000"}


class Engine:
    def __init__(self, ns, directory):
        model = os.path.join(directory, "noise.gguf")
        gguf.write(model, seed=20261124)
        script = os.path.join(os.path.dirname(gguf.__file__), "server.mjs")
        self.log = open(os.path.join(directory, "engine.log"), "w+", encoding="utf-8")  # noqa: SIM115
        self.process = ns.popen("node", script, model, modules(), stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            self.log.seek(0)
            skip(f"the engine does not run here: {self.log.read()[-300:]}")
        self.url = f"http://127.0.0.1:{line.strip()}/v1/chat/completions"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


def ask(report, pipeline, number, counts):
    kind = ("security", "performance", "balanced")[number % 3]
    status, _, answer = pipeline.api.request("POST", "/api/ai/generate", {"analyze_type": kind}, timeout=620)
    if status != 200 or not isinstance(answer.get("success"), bool) or (not answer["success"] and not answer.get("error")):
        report.check(f"call {number}", False, answer)
        return
    counts["answered" if answer["success"] else "refused"] += 1
    if os.environ.get("PS_LLM_SHOW"):
        note(json.dumps(answer)[:400])
    counts["rejected"] += len(answer.get("rejected", []))
    for rule in answer.get("filters", []):
        counts["proposed"] += 1
        code, _, made = pipeline.api.request("POST", "/api/filters", rule)
        if code == 201:
            pipeline.api.request("DELETE", f"/api/filters/{made['id']}")
        else:
            counts["invalid"] += 1
            note(json.dumps(rule))


def test(report):
    need("node", "npm", "ethtool")
    directory = tempfile.mkdtemp(prefix="pse2e-engine-")
    with Host() as host:
        engine = Engine(host.server, directory)
        server = Server(host.server.listen(socket.AF_INET, socket.SOCK_STREAM, SERVER4, 8000), lambda connection: connection.recv(10))
        client = host.client.connect(SERVER4, 8000)
        try:
            with Small(host.server, "ps0") as pipeline:
                wait_for("a snapshot", lambda: pipeline.api.get("/api/ai/status").get("snapshot_age") is not None, 20)
                code = pipeline.api.request("POST", "/api/ai/config", {"openai_endpoint": engine.url, "model": "noise", "temperature": 1.0, "timeout": 600})[0]
                report.equal("configured without a key", (code, pipeline.api.get("/api/ai/status")["is_configured"]), (200, True))
                worker = pipeline.part_pid("ai-worker")
                counts = dict.fromkeys(("answered", "refused", "proposed", "rejected", "invalid"), 0)
                for number in range(CALLS):
                    ask(report, pipeline, number, counts)
                note(json.dumps(counts))
                report.equal(f"{CALLS} calls, each with an answer or a reason", counts["answered"] + counts["refused"], CALLS)
                report.equal("crashes of the worker and the engine", (pipeline.part_pid("ai-worker"), engine.process.poll()), (worker, None))
                report.equal("invalid rules returned as valid", counts["invalid"], 0)
                report.equal("rules installed", pipeline.api.get("/api/filters"), [])
        finally:
            client.close()
            server.close()
            engine.close()
            shutil.rmtree(directory, ignore_errors=True)


main(test)
