# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: a host with clients, the running pipeline, its REST interface, captures, checks.

A test is a program of steps; each step prints a line. It exits with 0, with 1 if any check failed, or with 77 and a reason if
the machine lacks what it needs. Whatever it made is gone when it ends: processes, namespaces, pins, directories.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from lab import Lab, Namespace, exit_on_signals, run, wait_for

SKIP = 77
SOURCE = os.environ.get("PS_SOURCE", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("PS_BUILD", os.path.join(SOURCE, "build"))
BIN = os.environ.get("PS_BIN", os.path.join(BUILD, "bin"))
BPFFS = "/sys/fs/bpf"
PARTS = ("collector", "aggregator", "gateway", "ai-worker")

SERVER4, CLIENT4 = "10.203.0.1", "10.203.0.2"
SERVER6, CLIENT6 = "fd00:203::1", "fd00:203::2"


class Report:
    """Checks and their outcome. A failed one is printed with what was expected and the test goes on."""

    def __init__(self):
        self.failed = 0
        self.passed = 0

    def check(self, what, ok, detail=""):
        if ok:
            self.passed += 1
            print(f"ok   {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL {what}{': ' if detail else ''}{detail}", flush=True)
        return ok

    def equal(self, what, got, expected):
        return self.check(what, got == expected, f"got {got!r}, expected {expected!r}")


def note(text):
    print(f"     {text}", flush=True)


def skip(reason):
    print(f"skipped: {reason}", flush=True)
    sys.exit(SKIP)


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            skip(f"{program} is not installed (packaging/setup.sh test)")


def main(test):
    """Runs test(report) and exits with its verdict."""
    exit_on_signals()
    if os.geteuid() != 0:
        skip("needs root: namespaces and BPF programs (sudo make test)")
    for part in ("packetscope", *(f"packetscope-{part}" for part in PARTS)):
        if not os.access(os.path.join(BIN, part), os.X_OK):
            print(f"FAIL {BIN}/{part} is not there: build first (make)")
            sys.exit(1)
    if not os.path.ismount(BPFFS):
        run("mount", "-t", "bpf", "bpf", BPFFS)
    report = Report()
    started = time.monotonic()
    try:
        test(report)
    except Exception as error:  # the verdict must be printed, whatever went wrong
        import traceback

        traceback.print_exc()
        report.check(f"test ran to its end: {type(error).__name__}", False, str(error))
    print(f"{report.passed} passed, {report.failed} failed ({time.monotonic() - started:.1f} s)", flush=True)
    sys.exit(1 if report.failed or not report.passed else 0)


class Api:
    """The REST interface, as seen from inside a namespace."""

    def __init__(self, ns, host="127.0.0.1", port=8080):
        self.ns, self.host, self.port = ns, host, port

    def request(self, method, path, body=None, headers=None, timeout=10, raw=None):
        """Status, headers, body (parsed if it is JSON). `raw` is sent as it stands, `body` as JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        with self.ns.entered():
            connection.connect()
        try:
            data = raw if body is None else json.dumps(body)
            sent = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, answer.headers, json.loads(text) if "json" in kind and text else text
        finally:
            connection.close()

    def get(self, path, **kwargs):
        status, _, body = self.request("GET", path, **kwargs)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body}")
        return body

    def every(self, path):
        """All elements of a paged list, following the Link headers."""
        found = []
        path += ("&" if "?" in path else "?") + "limit=1000"
        for _ in range(1000):
            status, headers, body = self.request("GET", path)
            if status != 200:
                raise RuntimeError(f"GET {path}: {status} {body}")
            found += body
            following = re.search(r'<([^>]*)>;\s*rel="?next"?', headers.get("Link", ""))
            if not following:
                return found
            path = re.sub(r"^https?://[^/]*", "", following.group(1))
        raise RuntimeError(f"{path}: pages without end")

    def connections(self):
        return self.every("/api/connections")

    def rule(self, body):
        """Creates a rule and returns it."""
        status, _, rule = self.request("POST", "/api/filters", body)
        if status != 201:
            raise RuntimeError(f"POST /api/filters: {status} {rule}")
        return rule


class Pipeline:
    """`packetscope up` in a namespace with files of its own. A context: on the way out it is stopped, detached and checked for
    leftovers, whatever state it is in."""

    def __init__(self, ns, iface, args=(), port=8080, name="up", env=None):
        self.ns, self.iface, self.args, self.port = ns, iface, [str(arg) for arg in args], port
        self.env = env or {}
        self.directory = tempfile.mkdtemp(prefix="pse2e-")
        self.run_dir = os.path.join(self.directory, "run")
        self.state_dir = os.path.join(self.directory, "state")
        self.pin_root = os.path.join(BPFFS, os.path.basename(self.directory))
        self.log_path = os.path.join(self.directory, f"{name}.log")
        self.api = Api(ns, port=port)
        self.process = None

    def __enter__(self):
        try:
            self.start()
            self.ready()
        except BaseException:
            self.show_log()
            self.close()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind is not None and kind is not SystemExit:
            self.show_log()
        self.close()

    def paths(self):
        return ["--run-dir", self.run_dir, "--pin-root", self.pin_root, "--state-dir", self.state_dir]

    def environment(self):
        """What the user's own environment and files say must not reach a test."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PACKETSCOPE_")}
        return {**clean, "PACKETSCOPE_CONFIG": "/dev/null", **self.env}

    def start(self):
        log = open(self.log_path, "ab")  # noqa: SIM115 (the child writes to it)
        with log:
            self.process = self.ns.popen(
                os.path.join(BIN, "packetscope"), "up", "--iface", self.iface, "--api", f"127.0.0.1:{self.port}",
                *self.paths(), *self.args, stdout=log, stderr=log, env=self.environment(), start_new_session=True)

    def ready(self, seconds=15):
        """Waits until every part says that it is well."""

        def well():
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"packetscope up ended with status {self.process.returncode}")
            try:
                return self.api.request("GET", "/api/health", timeout=2)[0] == 200
            except (OSError, http.client.HTTPException):
                return False

        wait_for("the pipeline is ready", well, seconds)

    def cli(self, *args, check=True):
        return run(*self.ns.command(os.path.join(BIN, "packetscope"), *args), check=check, env=self.environment())

    def log(self):
        with contextlib.suppress(OSError), open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()
        return ""

    def show_log(self, lines=40):
        print("---- last lines of the log", *self.log().splitlines()[-lines:], "----", sep="\n", flush=True)

    def processes(self):
        """pid -> name of every program that works on our files."""
        found = {}
        marker = self.directory.encode()
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    line = file.read()
                if marker not in line and marker not in _environment_of(entry):
                    continue
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                        continue
            except OSError:
                continue
            found[int(entry)] = os.path.basename(line.split(b"\0", 1)[0].decode())
        return found

    def part_pid(self, part):
        """The pid of one of PARTS or of `up` itself; None if it does not run."""
        program = "packetscope" if part == "up" else f"packetscope-{part}"
        for pid, name in self.processes().items():
            if name == program:
                return pid
        return None

    def interrupt(self, seconds=10):
        """Ctrl-C, as the terminal would send it; returns the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(seconds)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                self.interrupt()
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        # Pins hold the programs on the interface: away with them, whether or not `detach` would have managed it.
        shutil.rmtree(self.pin_root, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def leftovers(self):
        """Processes, pins and sockets that should be gone after a clean stop."""
        found = [f"process {pid} ({name})" for pid, name in self.processes().items()]
        for top in (self.pin_root, self.run_dir):
            for directory, _, names in os.walk(top):
                # A lock file is not a lock; removing one would race with the next start.
                found += [os.path.join(directory, name) for name in names if not name.endswith(".lock")]
        return found


def _environment_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read()


class Host(Lab):
    """The usual stage: a `server` namespace whose interface ps0 is watched, and a client behind it. No super-packets unless
    asked for, so that a capture shows what the wire would carry."""

    def __init__(self, prefix="pse", offload=False):
        super().__init__(f"{prefix}{os.getpid()}")
        self.offload = offload

    def __enter__(self):
        try:
            self.server, self.client = self.namespace("server"), self.namespace("client")
            self.server_mac, self.client_mac = self.link(
                self.server, "ps0", [f"{SERVER4}/24", f"{SERVER6}/64"],
                self.client, "ps1", [f"{CLIENT4}/24", f"{CLIENT6}/64"], quiet=True)
            self.set_offload(self.offload)
            return self
        except BaseException:
            self.close()
            raise

    def set_offload(self, on):
        state = "on" if on else "off"
        for ns, iface in ((self.server, "ps0"), (self.client, "ps1")):
            ns.run("ethtool", "-K", iface, "tso", state, "gso", state, "gro", state)


class Capture:
    """tcpdump on an interface; counts() is what tshark reads from it."""

    def __init__(self, ns, iface, directory):
        self.path = os.path.join(directory, f"{iface}-{time.monotonic_ns()}.pcap")
        self.process = ns.popen("tcpdump", "-i", iface, "-w", self.path, "-U", "-s", "160", "-B", "32768", "-Z", "root",
                                "--immediate-mode", stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        while "listening on" not in self.process.stderr.readline():
            if self.process.poll() is not None:
                raise RuntimeError("tcpdump did not start")

    def stop(self):
        time.sleep(0.2)  # what has been sent is in the socket; let it be read
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=10)[1]
        lost = re.search(r"(\d+) packets dropped by kernel", said)
        if lost and int(lost.group(1)):
            raise RuntimeError(f"tcpdump lost {lost.group(1)} packets; the comparison would be worthless")

    def frames(self):
        """One dictionary a frame, fields as tshark prints them."""
        names = ("frame.len", "ip.src", "ip.dst", "ip.len", "ipv6.src", "ipv6.dst", "ipv6.plen", "tcp.srcport", "tcp.dstport",
                 "tcp.len", "tcp.hdr_len", "udp.srcport", "udp.dstport", "icmp.type", "icmp.code", "icmpv6.type", "icmpv6.code")
        fields = [word for name in names for word in ("-e", name)]
        out = run("tshark", "-n", "-r", self.path, "-T", "fields", "-E", "occurrence=f", *fields)
        return [dict(zip(names, line.split("\t"))) for line in out.splitlines()]


def tally(frames, mss=None):
    """From frames to {(proto, src, sport, dst, dport): [packets, bytes]} by direction, ICMP under ("icmp", src, type, dst, code),
    and the number of frames. With `mss`, a super-packet counts as the segments that the wire would carry."""
    flows, total = {}, 0
    for frame in frames:
        six = bool(frame["ipv6.src"])
        if not six and not frame["ip.src"]:
            continue
        src, dst = (frame["ipv6.src"], frame["ipv6.dst"]) if six else (frame["ip.src"], frame["ip.dst"])
        size = int(frame["ipv6.plen"]) + 40 if six else int(frame["ip.len"])
        packets = 1
        if frame["icmp.type"]:
            key = ("icmp", src, int(frame["icmp.type"]), dst, int(frame["icmp.code"]))
        elif frame["icmpv6.type"]:
            key = ("icmpv6", src, int(frame["icmpv6.type"]), dst, int(frame["icmpv6.code"]))
        elif frame["tcp.srcport"]:
            key = ("tcp", src, int(frame["tcp.srcport"]), dst, int(frame["tcp.dstport"]))
            payload = int(frame["tcp.len"])
            if mss and payload > mss:
                packets = -(-payload // mss)
                size = payload + packets * (size - payload)
        elif frame["udp.srcport"]:
            key = ("udp", src, int(frame["udp.srcport"]), dst, int(frame["udp.dstport"]))
        else:
            continue
        entry = flows.setdefault(key, [0, 0])
        entry[0] += packets
        entry[1] += size
        total += packets
    return flows, total


__all__ = [
    "Api", "BIN", "BUILD", "CLIENT4", "CLIENT6", "Capture", "Host", "Lab", "Namespace", "PARTS", "Pipeline", "Report", "SERVER4",
    "SERVER6", "SOURCE", "main", "need", "note", "run", "skip", "tally", "wait_for",
]
