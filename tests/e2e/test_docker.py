# SPDX-License-Identifier: MIT
"""compose.yaml on a real engine: images built from this checkout, a veth pair to watch, and both versions of Compose.

Traffic appears in the API on the host; a posted filter blocks it; a container that dies is back within seconds and no blocked
packet passes meanwhile; `up` with the images of the next version (another layout of maps: tests/next) leaves no gap; `down` takes
the programs off and keeps the rules; each container has the rights it needs and no more.

Skipped, with the reason, where no engine runs or can be started, or where no base image can be had.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from debian import root_tar
from harness import BPFFS, BUILD, SOURCE, Api, main, note, skip
from lab import Lab, Namespace, Server, run, wait_for
from steady import Pings, Probes, settle

DEBIAN = "debian:bookworm-slim"
IMAGES = "packetscope-test"
BASE = f"{IMAGES}/debian:bookworm"
PARTS = ("collector", "aggregator", "gateway", "ai-worker")
USERS = {"janitor": 0, "collector": 0, "aggregator": 990, "gateway": 991, "ai-worker": 992}
CAPS = {"NET_ADMIN": 12, "SYS_ADMIN": 21, "PERFMON": 38, "BPF": 39}
HOST, CLIENT = "10.231.7.1", "10.231.7.2"
NEXT = "next"
BLOCKED = 7777
PORT = int(os.environ.get("PS_DOCKER_PORT", "18095"))
UPGRADES = int(os.environ.get("PS_DOCKER_UPGRADES", "2"))  # versions of Compose that bring the next version's images
HEAL_SECONDS = float(os.environ.get("PS_DOCKER_HEAL", "5"))


@contextlib.contextmanager
def engine():
    """The engine that runs, or one of our own for the time of the test."""
    if subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False).returncode == 0:
        try:
            yield
        finally:
            if os.environ.get("PS_DOCKER_KEEP") != "1":
                names = run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
                run("docker", "image", "rm", "-f", *(name for name in names if name.startswith(f"{IMAGES}/")), check=False)
        return
    if not shutil.which("dockerd"):
        skip("no Docker engine runs here, and dockerd is not installed (packaging/setup.sh docker)")
    directory = tempfile.mkdtemp(prefix="pse2e-docker-")
    log_path = os.path.join(directory, "log")
    os.environ["DOCKER_HOST"] = f"unix://{directory}/sock"
    with open(log_path, "wb") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec", "--pidfile", f"{directory}/pid",
             "-H", os.environ["DOCKER_HOST"]], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        def up():
            if daemon.poll() is not None:
                with open(log_path, encoding="utf-8", errors="replace") as file:
                    skip(f"no Docker engine can start here: {file.read().splitlines()[-1]}")
            return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0

        wait_for("the Docker engine answers", up, 60, 0.5)
        yield
    finally:
        daemon.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(30)
        for mount in reversed(re.findall(rf" ({re.escape(directory)}/\S+) ", open("/proc/mounts", encoding="utf-8").read())):
            run("umount", "-l", mount, check=False)
        shutil.rmtree(directory, ignore_errors=True)


def base_image():
    """The name of an image of Debian: the engine's own, or one made here. The engine's owner's names are left alone."""
    for name in (DEBIAN, BASE):
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0:
            return name
    if not shutil.which("mmdebstrap"):
        if subprocess.run(["docker", "pull", "-q", DEBIAN], capture_output=True, timeout=300, check=False).returncode:
            skip(f"{DEBIAN} is not here and can't be pulled, nor made: mmdebstrap is not installed (packaging/setup.sh test)")
        return DEBIAN
    run("docker", "import", "-c", 'CMD ["bash"]', root_tar(), BASE)
    return BASE


@contextlib.contextmanager
def checkout():
    """What a user's checkout has, and nothing else: the files that git knows (all, where it is no checkout of git's). With the
    page of this build, unless PS_DOCKER_NPM=1 asks for one made in the image."""
    directory = tempfile.mkdtemp(prefix="pse2e-checkout-")
    try:
        known = subprocess.run(["git", "-c", f"safe.directory={SOURCE}", "-C", SOURCE, "ls-files", "-z"], capture_output=True, text=True,
                               check=False)
        if known.returncode:
            shutil.copytree(SOURCE, directory, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build", ".git"))
        for name in filter(None, known.stdout.split("\0")):
            target = os.path.join(directory, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # deleted, and not committed yet
                shutil.copy2(os.path.join(SOURCE, name), target, follow_symlinks=False)
        page = os.path.join(BUILD, "web", "page")
        if os.environ.get("PS_DOCKER_NPM") != "1" and os.path.isdir(page):
            shutil.copytree(page, os.path.join(directory, "web", "page"))
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def versions():
    found = []
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        found.append(["docker", "compose"])
    if shutil.which("docker-compose"):
        found.append(["docker-compose"])
    return found


class Project:
    """One installation by one version of Compose."""

    def __init__(self, compose, iface, source, base):
        self.name = f"pse{os.getpid()}"
        self.directory = tempfile.mkdtemp(prefix="pse2e-")
        self.containers = {}
        self.tag = "latest"
        engine_version = int(run("docker", "version", "--format", "{{.Server.Version}}").split(".")[0])
        self.caps = {"NET_ADMIN", "BPF", "PERFMON"} if engine_version >= 23 else {"NET_ADMIN", "SYS_ADMIN"}
        settings = {"PS_IFACE": iface, "PS_API": f"127.0.0.1:{PORT}", "PS_NAME": self.name, "PS_IMAGE": IMAGES,
                    "PS_BASE_IMAGE": base}
        if engine_version < 23:
            settings.update(PS_CAP1="SYS_ADMIN", PS_CAP2="CAP_NET_ADMIN")
        env = os.path.join(self.directory, "env")
        with open(env, "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in settings.items())
        self.source = source  # 1.29 looks for the seccomp profile from where it is called
        self.command = [*compose, "--env-file", env, "-p", self.name, "-f", os.path.join(source, "compose.yaml")]
        if len(compose) == 1:
            self.command[1:1] = ["--project-directory", source]

    def compose(self, *args, seconds=300, check=True):
        done = subprocess.run([*self.command, *args], cwd=self.source, env={**os.environ, "PS_TAG": self.tag}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=seconds, check=False)
        if check and done.returncode:
            raise RuntimeError(f"compose {' '.join(args)}: {done.stderr[-2000:]}")
        return done.stdout

    def up(self):
        self.containers = {}
        if self.command[0] == "docker":
            self.compose("up", "-d", "--wait")
            return
        self.compose("up", "-d")  # 1.29 has no --wait
        wait_for("every part is healthy", lambda: all(self.healthy(part) for part in PARTS), 120, 0.5)

    def container(self, part):
        """Its id, asked for once: Compose takes seconds to say it."""
        if part not in self.containers:
            self.containers[part] = self.compose("ps", "-q", part).split()[0]
        return self.containers[part]

    def inspect(self, part):
        return json.loads(run("docker", "inspect", self.container(part)))[0]

    def healthy(self, part):
        state = self.inspect(part)["State"]
        return state["Running"] and state.get("Health", {}).get("Status") == "healthy"

    def answers(self, part):
        """Asks now, instead of waiting for the engine's next look."""
        state = self.inspect(part)["State"]
        if not state["Running"]:
            return 0
        args = ["--pin-root=/bpf"] if part == "collector" else []
        done = subprocess.run(["docker", "exec", self.container(part), f"packetscope-{part}", "--health", *args],
                              capture_output=True, timeout=20, check=False)
        return state["Pid"] if done.returncode == 0 else 0

    def close(self):
        self.compose("down", "-v", "--remove-orphans", check=False)
        shutil.rmtree(os.path.join(BPFFS, self.name), ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def capabilities(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        status = dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)
    effective = int(status["CapEff"], 16)
    names = {name for name, bit in CAPS.items() if effective >> bit & 1}
    other = effective & ~sum(1 << bit for bit in CAPS.values())
    return names, other, int(status["Uid"].split()[0]), status["NoNewPrivs"] == "1", status["Seccomp"]


def listening(pid):
    """TCP and UDP sockets that the process itself holds and others can reach."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}")))
    found = []
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                word = line.split()
                if word[3] == state and word[9] in inodes:
                    found.append((table, int(word[1].split(":")[1], 16)))
    return found


def check_rights(report, project):
    for part, uid in USERS.items():
        container = project.inspect(part)
        pid = container["State"]["Pid"]
        caps, other, has_uid, no_new, seccomp = capabilities(pid)
        wanted = project.caps if part in ("collector", "janitor") else set()
        report.check(f"{part}: capabilities {sorted(wanted) or 'none'}", caps == wanted and other == 0, f"{caps} {other:x}")
        report.check(f"{part}: user {uid}, no new privileges, seccomp", (has_uid, no_new, seccomp) == (uid, True, "2"),
                     f"{has_uid} {no_new} {seccomp}")
        writable = sorted(m["Destination"] for m in container["Mounts"] if m["RW"])
        expected = {"collector": ["/bpf", "/run/packetscope"], "janitor": ["/bpf", "/run/packetscope"],
                    "aggregator": ["/bpf", "/run/packetscope", "/var/lib/packetscope"],
                    "gateway": ["/run/packetscope", "/var/lib/packetscope"],
                    "ai-worker": ["/run/packetscope", "/var/lib/packetscope"]}[part]
        secrets = ["/run/secrets/openai_api_key"] if part == "ai-worker" else []
        report.check(f"{part}: writable paths", container["HostConfig"]["ReadonlyRootfs"] and
                     [path for path in writable if path not in secrets] == expected, f"{writable}")
        report.equal(f"{part}: open ports", listening(pid), [("tcp", PORT)] if part == "gateway" else [])
        report.check(f"{part}: memory is limited", container["HostConfig"]["Memory"] > 0)


class Probe:
    """Pings that a rule blocks, all the time; counts what comes back."""

    def __init__(self, ns):
        self.process = ns.popen("ping", "-i", "0.02", "-W", "1", HOST, stdout=subprocess.PIPE, text=True)

    def stop(self):
        self.process.send_signal(2)
        out = self.process.communicate(timeout=10)[0]
        sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", out).groups()
        return int(sent), int(received)


def pings(ns, count=3):
    out = ns.run("ping", "-c", str(count), "-i", "0.1", "-W", "1", HOST, check=False)
    return int(re.search(r"(\d+) received", out).group(1))


def heal(report, project, client):
    probe = Probe(client)
    for part in PARTS:
        before = project.inspect(part)["State"]["Pid"]
        os.kill(before, 9)
        started = time.monotonic()
        wait_for(f"{part} is back", lambda part=part, before=before: project.answers(part) not in (0, before), 60, 0.1)
        took = time.monotonic() - started
        report.check(f"{part}: back after its death within {HEAL_SECONDS:g} s", took <= HEAL_SECONDS, f"{took:.1f} s")
        note(f"{took:.1f} s")
    sent, received = probe.stop()
    report.check("no blocked packet passed meanwhile", received == 0 and sent > 20, f"{received} of {sent}")


def next_images():
    """Those of the next version: of each image of a part that knows the layout nothing but the program is replaced."""
    directory = tempfile.mkdtemp(prefix="pse2e-next-")
    try:
        for part in PARTS:
            lines = [f"FROM {IMAGES}/{part}:latest"]
            if part in ("collector", "aggregator"):
                run("install", "-s", os.path.join(BUILD, "tests", "next", f"packetscope-{part}"), directory)
                lines.append(f"COPY packetscope-{part} /usr/bin/")
            with open(os.path.join(directory, "Dockerfile"), "w", encoding="ascii") as file:
                file.write("\n".join(lines) + "\n")
            run("docker", "build", "-q", "-t", f"{IMAGES}/{part}:{NEXT}", directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def upgrade(report, project, client, api):
    """`up` with another PS_TAG under pings and blocked probes; the older collector, which refuses; the newer again."""
    def layouts():
        return os.listdir(os.path.join(BPFFS, project.name, "maps"))

    def rule():
        return next(rule for rule in api.get("/api/filters") if rule["dst_port"] == BLOCKED)

    api.rule({"rule_type": "udp", "dst_port": BLOCKED, "src_ip": CLIENT, "enabled": True})
    old = layouts()
    arrived = Server(Namespace(None).listen(socket.AF_INET, socket.SOCK_DGRAM, HOST, BLOCKED), lambda data: None)
    answered, probes = Pings(client, HOST), Probes(client, HOST, BLOCKED)
    for thread in (answered, probes):
        thread.start()
    try:
        started = time.monotonic()
        project.tag = NEXT
        project.up()
        wait_for("the newer layout", lambda: len(layouts()) == 1 and layouts() != old, 15)
        note(f"another PS_TAG: up after {time.monotonic() - started:.1f} s")
        newer = layouts()
        project.tag = "latest"
        project.compose("up", "-d", "--no-deps", "collector")
        wait_for("the older collector refuses", lambda: "newer_pins" in project.compose("logs", "collector"), 20, 0.5)
        report.equal("downgrade: what the newer version made is as it was", layouts(), newer)
        project.tag = NEXT
        project.up()
    finally:
        passed = settle(arrived, answered, probes)
    report.equal(f"upgrade: pings lost, of {answered.sent}", answered.sent - answered.answered, 0)
    report.equal(f"upgrade: blocked probes that passed, of {probes.sent}", passed, 0)
    with contextlib.suppress(TimeoutError):
        wait_for("all are counted", lambda: rule()["packets"] == probes.sent, 10)
    report.equal("upgrade: what the rule has counted", rule()["packets"], probes.sent)


def cycle(report, client, upgrades, *given):
    api = Api(Namespace(None), port=PORT)
    project = Project(*given)
    try:
        started = time.monotonic()
        project.up()
        note(f"{' '.join(given[0])}: up after {time.monotonic() - started:.1f} s")
        report.equal("the page answers on the host", api.request("GET", "/")[0], 200)
        report.equal("pings are answered", pings(client), 3)
        report.check("and are in the API", wait_for(
            "ICMP in the API", lambda: any(row["src_ip"] == CLIENT for row in api.get("/api/icmp")), 5))
        check_rights(report, project)
        rule = api.rule({"rule_type": "icmp", "icmp_type": 8, "src_ip": CLIENT, "enabled": True, "action": "drop"})
        report.equal("a posted filter blocks them", pings(client), 0)
        heal(report, project, client)
        report.check("the command line answers", '"status"' in project.compose("run", "--rm", "cli", "status", "--json"))
        project.compose("restart", "collector")
        wait_for("the collector answers", lambda: project.answers("collector"), 30)
        report.equal("a restarted collector leaves no gap", pings(client), 0)
        project.compose("down")
        report.equal("down takes the programs off", pings(client), 3)
        project.up()
        report.equal("up again has the rule in force", pings(client), 0)
        kept = api.get("/api/filters")
        report.check("with its counters", [r["id"] for r in kept] == [rule["id"]] and kept[0]["packets"] > 3, f"{kept}")
        report.equal("the rule can be taken away", api.request("DELETE", f"/api/filters/{rule['id']}")[0] // 100, 2)
        if upgrades:
            upgrade(report, project, client, api)
    finally:
        project.close()


def check_settings(report):
    with open(os.path.join(SOURCE, "compose.yaml"), encoding="utf-8") as file:
        used = set(re.findall(r"\$\{(\w+)", file.read()))
    with open(os.path.join(SOURCE, ".env.example"), encoding="utf-8") as file:
        told = set(re.findall(r"(?m)^#?([A-Z0-9_]+)=", file.read()))
    report.equal("settings of compose.yaml and of .env.example that the other has not", used ^ told, set())


def test(report):
    if not shutil.which("docker"):
        skip("docker is not installed (packaging/setup.sh docker)")
    check_settings(report)
    with engine(), checkout() as source:
        base = base_image()
        found = versions()
        if not found:
            skip("neither `docker compose` nor docker-compose is installed")
        with Lab(f"psdk{os.getpid()}") as lab:
            client = lab.namespace("client")
            lab.link(Namespace(None), "psdk0", [f"{HOST}/24"], client, "psdk1", [f"{CLIENT}/24"], quiet=True)
            builder = Project(found[0], "psdk0", source, base)
            started = time.monotonic()
            try:
                builder.compose("build", *USERS, "cli", seconds=1500)
            finally:
                builder.close()
            note(f"images built in {time.monotonic() - started:.0f} s")
            next_images()
            for number, compose in enumerate(found):
                cycle(report, client, number < UPGRADES, compose, "psdk0", source, base)


if __name__ == "__main__":
    sys.exit(main(test))
