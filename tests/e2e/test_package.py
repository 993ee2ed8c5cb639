# SPDX-License-Identifier: MIT
"""The .deb in a clean Debian root: it installs with what it depends on, its units say what they should, the programs start
from the units' own command lines, users and capabilities; the package of the next version (another layout of maps: tests/next)
takes over under traffic, the way back is refused, then goes as the refusal says; and nothing is left after a purge.

Skipped where mmdebstrap or dpkg-deb is missing, or a root can't be made. PS_ROOT names a root to use instead (it is copied).
"""

import contextlib
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from debian import root_tar
from harness import BPFFS, BUILD, SERVER4, Api, Host, main, need, note
from lab import Server, die_with_parent, run, wait_for
from steady import Pings, Probes, settle

UNITS = ("collector", "aggregator", "gateway", "ai-worker")
ARGUMENTS = {"collector": ["--iface", "ps0"]}
NEXT_VERSION = "99.0"
BLOCKED = 7777
CHROOT_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def build_package(directory):
    run("cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", directory)
    return glob.glob(os.path.join(directory, "packetscope_*.deb"))[0]


def next_package(directory, package):
    """The package of the next version: the same with the programs of tests/next, its version, and the layout that it knows."""
    tree = os.path.join(directory, "next")
    run("dpkg-deb", "-R", package, tree)
    for part in ("collector", "aggregator"):
        run("install", "-s", os.path.join(BUILD, "tests", "next", f"packetscope-{part}"), os.path.join(tree, "usr/bin"))
    for name, pattern, new in (("control", r"(?m)^Version: .*", f"Version: {NEXT_VERSION}"),
                               ("preinst", r"-gt \d+ |knows layout \d+", lambda found: re.sub(r"\d+", next_layout, found.group()))):
        path = os.path.join(tree, "DEBIAN", name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(pattern, new, text))
    run("dpkg-deb", "-Znone", "-b", tree, os.path.join(directory, "next.deb"))
    return os.path.join(directory, "next.deb")


def next_layout(found):
    return str(int(found.group()) + 1)


def make_root(root):
    given = os.environ.get("PS_ROOT")
    if given:
        run("cp", "-a", f"{given}/.", root)
        return
    run("tar", "-C", root, "--numeric-owner", "-xf", root_tar())


@contextlib.contextmanager
def mounted(root):
    """What a running system has: /proc, /dev, and a BPF file system."""
    targets = []
    try:
        for kind, source, where in (("proc", "proc", "proc"), (None, "/dev", "dev"), ("sysfs", "sysfs", "sys"), (None, BPFFS, "sys/fs/bpf")):
            target = os.path.join(root, where)
            run("mount", *(["-t", kind] if kind else ["--bind"]), source, target)
            targets.append(target)
        shutil.copy("/etc/resolv.conf", os.path.join(root, "etc/resolv.conf"))
        yield
    finally:
        for target in reversed(targets):
            run("umount", "-l", target, check=False)


def chroot(root, *args, check=True, seconds=300):
    done = subprocess.run(["chroot", root, *args], env=CHROOT_ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
                          check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(args)}: status {done.returncode}: {(done.stderr or done.stdout)[-1500:]}")
    return done


def unit(root, name):
    """The keys of [Service]; a key may stand several times."""
    found = {}
    with open(os.path.join(root, f"usr/lib/systemd/system/packetscope-{name}.service"), encoding="utf-8") as file:
        for line in file:
            key, _, value = line.strip().partition("=")
            if value and not line.startswith("#"):
                found.setdefault(key, []).append(value)
    return found


def check_units(report, root):
    for name in UNITS:
        text = run("systemd-analyze", "security", "--offline=true",
                   os.path.join(root, f"usr/lib/systemd/system/packetscope-{name}.service"), check=False)
        score = re.search(r"exposure level.*?: ([0-9.]+)", text)
        report.check(f"{name}: exposure below 3.0", bool(score) and float(score.group(1)) < 3.0, text[-200:])
        service = unit(root, name)
        report.check(f"{name}: tells when it is ready, and is watched",
                     service["Type"] == ["notify"] and "WatchdogSec" in service and service["User"] != ["root"])


class Service:
    """A unit started as its manager would: user, group, capabilities, environment, command line; and its notifications."""

    def __init__(self, root, name, ns, extra):
        service = unit(root, name)
        for line in service.get("ExecStartPre", []):
            command = line.lstrip("+")
            chroot(root, "/bin/sh", "-c", re.fullmatch(r"/bin/sh -c '(.*)'", command).group(1))
        for directory in service.get("StateDirectory", []):
            path = os.path.join("/var/lib", directory)
            chroot(root, "install", "-d", "-o", service["User"][0], "-g", service["Group"][0], "-m", service["StateDirectoryMode"][0], path)
        caps = service.get("AmbientCapabilities", [""])[0].lower().replace("cap_", "").split()
        granted = ",".join(f"+{cap}" for cap in caps) or "-all"
        bounding = "-all" + "".join(f",+{cap}" for cap in caps)
        notify = os.path.join(root, f"run/notify-{name}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(notify)
        os.chmod(notify, 0o777)
        self.socket.settimeout(20)
        environment = dict(word.split("=", 1) for word in service.get("Environment", []))
        self.process = subprocess.Popen(
            [*ns.command("chroot", root, "setpriv", f"--reuid={service['User'][0]}", f"--regid={service['Group'][0]}", "--init-groups",
                         "--no-new-privs", f"--inh-caps={granted}", f"--ambient-caps={granted}", f"--bounding-set={bounding}"),
             *service["ExecStart"][0].split(), *extra],
            env={**CHROOT_ENV, **environment, "NOTIFY_SOCKET": f"/run/notify-{name}"}, stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent)

    def ready(self):
        return self.socket.recv(64) == b"READY=1"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10)
        os.unlink(self.socket.getsockname())
        self.socket.close()
        return status


class Services:
    """All of them, as the manager starts and stops them: one after the other in the order of their units."""

    def __init__(self, report, root, host):
        self.report, self.root, self.host = report, root, host
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, when=""):
        for name in UNITS:
            service = Service(self.root, name, self.host.server, ARGUMENTS.get(name, []))
            self.running.append((name, service))
            self.report.check(f"{name}: ready{when}", service.ready())

    def stop(self):
        while self.running:
            name, service = self.running.pop()
            self.report.equal(f"{name}: stops in order", service.stop(), 0)

    def well(self):
        api = Api(self.host.server)

        def answer():
            with contextlib.suppress(OSError):
                return api.request("GET", "/api/health")[0] == 200
            return False

        wait_for("every part is well", answer, 15)
        return api


def check_services(report, root, host, services):
    services.start()
    api = services.well()
    host.client.run("ping", "-c", "2", "-i", "0.1", SERVER4)
    report.check("traffic is in the API", wait_for("ICMP", lambda: len(api.get("/api/icmp")) >= 2, 5))
    blocked = api.rule({"rule_type": "icmp", "icmp_type": 8, "src_ip": "10.203.0.2", "enabled": True})
    out = host.client.run("ping", "-c", "2", "-i", "0.1", "-W", "1", SERVER4, check=False)
    report.check("a rule is in force", " 0 received" in out, out)
    report.equal("a rule can be taken away", api.request("DELETE", f"/api/filters/{blocked['id']}")[0] // 100, 2)
    for name, program in (("collector", "packetscope-collector"), ("aggregator", "packetscope-aggregator")):
        done = host.server.run("chroot", root, program, "--health", check=False)
        report.equal(f"{name}: says that it is well", done.strip(), "ok")


@contextlib.contextmanager
def manager(root):
    """A system whose manager writes down what it is told: the maintainer scripts ask for /run/systemd/system, and call systemctl."""
    log, program = os.path.join(root, "run/told"), os.path.join(root, "usr/bin/systemctl")
    os.makedirs(os.path.join(root, "run/systemd/system"), exist_ok=True)
    with open(program, "w", encoding="ascii") as file:
        file.write('#!/bin/sh\necho "$*" >>/run/told\n')
    os.chmod(program, 0o755)
    try:
        yield lambda: open(log, encoding="ascii").read().splitlines()
    finally:
        os.remove(program)
        shutil.rmtree(os.path.join(root, "run/systemd"))


def installed(root):
    return chroot(root, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", "packetscope").stdout


def layouts():
    return sorted(os.listdir(os.path.join(BPFFS, "packetscope/maps")))


def rule_counts(api, sent):
    """The counters of the one rule, once all that was sent is in them."""
    def counted():
        return api.get("/api/filters")[0]["packets"] >= sent

    with contextlib.suppress(TimeoutError, RuntimeError):
        wait_for("the rule has counted", counted, 5)
    return [(rule["dst_port"], rule["comment"], rule["packets"]) for rule in api.get("/api/filters")]


def upgrade(report, root, host, services):
    """apt installs the newer package over the one at work, and its scripts say what is to be restarted."""
    old, version = layouts(), installed(root)
    api = services.well()
    api.rule({"rule_type": "udp", "dst_port": BLOCKED, "enabled": True, "comment": "kept"})
    arrived = Server(host.server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, BLOCKED), lambda data: None)
    pings, probes = Pings(host.client, SERVER4), Probes(host.client, SERVER4, BLOCKED)
    for thread in (pings, probes):
        thread.start()
    try:
        with manager(root) as told:
            chroot(root, "apt-get", "-q", "install", "-y", "--no-install-recommends", "/tmp/next.deb")
            restarted = [line.split()[1:] for line in told() if line.startswith("try-restart")]
            report.equal("upgrade: all that ran is restarted, once", restarted, [[f"packetscope-{name}.service" for name in UNITS]])
        report.equal("upgrade: the newer package is in place", installed(root), f"ii {NEXT_VERSION}")
        services.stop()
        services.start(" after the upgrade")
        api = services.well()
        wait_for("the newer layout", lambda: len(layouts()) == 1 and layouts() != old, 15)
        with manager(root):
            back = chroot(root, "apt-get", "-q", "install", "-y", "--allow-downgrades", "/tmp/packetscope.deb", check=False)
        report.check("downgrade: refused while the newer one is at work", back.returncode != 0 and "a newer version is at work" in
                     back.stdout + back.stderr and installed(root) == f"ii {NEXT_VERSION}", f"{back} {installed(root)}")
        report.equal("downgrade: every part goes on", api.request("GET", "/api/health")[0], 200)
    finally:
        passed = settle(arrived, pings, probes)
    report.equal(f"upgrade: pings lost, of {pings.sent}", pings.sent - pings.answered, 0)
    report.equal(f"upgrade: blocked probes that passed, of {probes.sent}", passed, 0)
    report.equal("upgrade: the rule and its counter", rule_counts(api, probes.sent), [(BLOCKED, "kept", probes.sent)])
    services.stop()
    report.equal("downgrade: what the refusal says", chroot(root, "packetscope-collector", "--detach", "--purge").returncode, 0)
    chroot(root, "apt-get", "-q", "install", "-y", "--allow-downgrades", "/tmp/packetscope.deb")
    report.equal("downgrade: the older package is in place", installed(root), version)
    services.start(" after the downgrade")
    report.equal("downgrade: the rule is there", [row[:2] for row in rule_counts(services.well(), 0)], [(BLOCKED, "kept")])
    report.equal("downgrade: with the layout of before", layouts(), old)


def files(root):
    """Everything but what apt and dpkg keep for themselves."""
    skipped = ("proc", "sys", "dev", "var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "tmp", "run", "root", "usr/share/doc", "etc/ld.so.cache")
    found = set()
    for top, directories, names in os.walk(root):
        below = os.path.relpath(top, root)
        directories[:] = [name for name in directories if os.path.normpath(os.path.join(below, name)) not in skipped]
        found.update(os.path.normpath(os.path.join(below, name)) for name in names + directories)
    return {path for path in found if "packetscope" in path}


def test(report):
    need("cpack", "setpriv", "systemd-analyze")
    directory = tempfile.mkdtemp(prefix="pse2e-package-")
    root = os.path.join(directory, "root")
    os.mkdir(root)
    try:
        package = build_package(os.path.join(directory, "cpack"))
        note(f"{os.path.basename(package)}: {os.path.getsize(package) >> 10} KiB")
        make_root(root)
        os.chmod(directory, 0o755)
        shutil.copy(package, os.path.join(root, "tmp/packetscope.deb"))
        shutil.copy(next_package(directory, package), os.path.join(root, "tmp/next.deb"))
        with mounted(root), Host("psp") as host:
            chroot(root, "apt-get", "-q", "update")
            chroot(root, "apt-get", "-q", "install", "-y", "--no-install-recommends", "systemd-standalone-sysusers",
                   "systemd-standalone-tmpfiles", "libcap2-bin")
            before = files(root)
            chroot(root, "apt-get", "-q", "install", "-y", "--no-install-recommends", "/tmp/packetscope.deb")
            for program in ("packetscope", *(f"packetscope-{name}" for name in (*UNITS, "replay"))):
                report.check(f"{program} runs", "0." in chroot(root, program, "--version", check=False).stdout)
            report.equal("the configuration file is whole", chroot(root, "packetscope", "check-config", check=False).returncode, 0)
            check_units(report, root)
            with Services(report, root, host) as services:
                check_services(report, root, host, services)
                started = time.monotonic()
                upgrade(report, root, host, services)
                note(f"upgrade and downgrade: {time.monotonic() - started:.1f} s")
            chroot(root, "apt-get", "-q", "remove", "-y", "packetscope")
            report.check("remove takes the kernel part off", not glob.glob(os.path.join(BPFFS, "packetscope/link/*")))
            report.check("and keeps rules and configuration", {"etc/packetscope/packetscope.conf", "var/lib/packetscope/rules.json"} <= files(root))
            chroot(root, "apt-get", "-q", "purge", "-y", "packetscope")
            report.equal("purge leaves nothing", sorted(files(root) - before), [])
            users = open(os.path.join(root, "etc/passwd"), encoding="utf-8").read() + open(os.path.join(root, "etc/group"), encoding="utf-8").read()
            report.check("not even users", "packetscope" not in users)
    finally:
        shutil.rmtree(os.path.join(BPFFS, "packetscope"), ignore_errors=True)
        run("rm", "-rf", "--one-file-system", directory, check=False)


if __name__ == "__main__":
    sys.exit(main(test))
