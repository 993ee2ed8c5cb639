# SPDX-License-Identifier: MIT
"""The collector alone: attaching and its fallbacks, refusals, interfaces that come and go, restarts, detaching. Traffic is pings
over a quiet link, so that every packet is known."""

import contextlib
import ctypes
import json
import os
import platform
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time

from harness import BIN, BPFFS, CLIENT4, SERVER4, Host, main, need, note, run, wait_for
from proc import status_bytes, wakeups

COLLECTOR = os.path.join(BIN, "packetscope-collector")
KILLS = int(os.environ.get("PS_KILLS", "20"))
REST_SECONDS = float(os.environ.get("PS_REST_SECONDS", "5"))
EXIT_USAGE, EXIT_HELD, EXIT_RUNNING = 2, 3, 4
ABI = "v2"

# --- a foreign XDP program, made with bpf(2) itself: no compiler, no object file -----------------

SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}.get(platform.machine())
BPF_PROG_LOAD, BPF_LINK_CREATE = 5, 28
BPF_PROG_TYPE_XDP, BPF_XDP = 6, 37
XDP_FLAGS_SKB_MODE = 2

# PS_IFACE_* of bpf/abi.h
HOOK_NATIVE, HOOK_TCX, HOOK_CLSACT = 0x100, 0x400, 0x800


def bpf(command, attr):
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(ctypes.c_long(SYS_BPF), ctypes.c_int(command), ctypes.byref(attr), ctypes.c_uint(len(attr)))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return fd


def attributes(*fields):
    """A union bpf_attr from (bytes, value) pairs, zero behind them."""
    data = b"".join(value if isinstance(value, bytes) else value.to_bytes(size, "little") for size, value in fields)
    return (ctypes.c_char * 128).from_buffer_copy(data.ljust(128, b"\0"))


@contextlib.contextmanager
def foreign_xdp(ns, iface, name=b"xdp_other"):
    """An XDP program of someone else on the interface, as long as the context lasts."""
    code = ctypes.create_string_buffer(bytes.fromhex("b700000002000000" "9500000000000000"), 16)  # return XDP_PASS
    licence = ctypes.create_string_buffer(b"GPL")
    program = bpf(BPF_PROG_LOAD, attributes(
        (4, BPF_PROG_TYPE_XDP), (4, 2), (8, ctypes.addressof(code)), (8, ctypes.addressof(licence)), (4, 0), (4, 0), (8, 0),
        (4, 0), (4, 0), (16, name.ljust(16, b"\0"))))
    link = -1
    try:
        with ns.entered():
            index = socket.if_nametoindex(iface)
            link = bpf(BPF_LINK_CREATE, attributes((4, program), (4, index), (4, BPF_XDP), (4, XDP_FLAGS_SKB_MODE)))
        yield
    finally:
        for fd in (link, program):
            if fd >= 0:
                os.close(fd)


# --- the program ---------------------------------------------------------------------------------


class Collector:
    """One collector with files of its own, or with those of `share`. A context that leaves nothing behind."""

    def __init__(self, ns, iface, *args, share=None):
        self.ns, self.iface, self.args = ns, iface, [str(arg) for arg in args]
        self.owner = share is None
        self.directory = tempfile.mkdtemp(prefix="pscol-") if self.owner else share.directory
        self.run_dir = os.path.join(self.directory, "run")
        self.pin_root = os.path.join(BPFFS, os.path.basename(self.directory))
        self.log_path = os.path.join(self.directory, "log")
        self.process = None
        self.wrapper = []  # a program and its arguments that runs the collector

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print("---- log", self.log(), "----", sep="\n", flush=True)
        self.kill()
        if self.owner:
            self.detach("--purge")
            shutil.rmtree(self.directory, ignore_errors=True)

    def command(self, *args):
        return self.ns.command(*self.wrapper, COLLECTOR, "--run-dir", self.run_dir, "--pin-root", self.pin_root, *args)

    def environment(self):
        return {**{k: v for k, v in os.environ.items() if not k.startswith("PACKETSCOPE_")}, "PACKETSCOPE_CONFIG": "/dev/null"}

    def spawn(self, *args):
        """Starts it with a fresh log."""
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command("--iface", self.iface, *self.args, *args), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment())

    def start(self, *args):
        self.spawn(*args)
        wait_for("the collector is ready", self.is_ready, 20)
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the collector ended with status {self.process.returncode}:\n{self.log()}")
        return 'msg="ready"' in self.log() or "msg=ready" in self.log()

    def refused(self, *args):
        """Starts it and expects it to end by itself: status and log."""
        self.spawn(*args)
        try:
            return self.process.wait(20), self.log()
        except subprocess.TimeoutExpired:
            self.kill()
            return None, self.log()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def detach(self, *args):
        """What --detach prints."""
        return subprocess.run(self.command("--detach", *args), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=self.environment(), check=False)

    def log(self):
        with contextlib.suppress(FileNotFoundError), open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()
        return ""

    def pins(self):
        return sorted(os.path.relpath(os.path.join(top, name), self.pin_root)
                      for top, _, names in os.walk(self.pin_root) for name in names)

    def pin(self, name):
        return os.path.join(self.pin_root, "maps", ABI, name)

    def map(self, name):
        return json.loads(run("bpftool", "-j", "map", "dump", "pinned", self.pin(name)))

    def stats(self, counter):
        """A counter of ps_stats, over all CPUs."""
        values = self.map("ps_stats")[0]["formatted"]["values"]
        return sum(value["value"][counter] for value in values)

    def ledger(self, counter):
        return self.map("ps_ledger")[0]["formatted"]["value"][counter]

    def interfaces(self):
        return {entry["formatted"]["key"]: entry["formatted"]["value"] for entry in self.map("ps_ifaces")}


def xdp_of(ns, iface):
    """(mode, program name) of what is on an interface, or None."""
    link = json.loads(ns.run("ip", "-d", "-j", "link", "show", "dev", iface))[0]
    if "xdp" not in link:
        return None
    number = link["xdp"]["prog"]["id"]
    name = json.loads(run("bpftool", "-j", "prog", "show", "id", str(number)))["name"]
    return {1: "native", 2: "generic"}.get(link["xdp"]["mode"]), name


def links_of(collector):
    """Pin -> link id and program id."""
    found = {}
    for name in collector.pins():
        if name.startswith("link/"):
            shown = json.loads(run("bpftool", "-j", "link", "show", "pinned", os.path.join(collector.pin_root, name)))
            found[name] = shown["id"], shown["prog_id"]
    return found


def clsact(ns, iface):
    return "clsact" in ns.run("tc", "qdisc", "show", "dev", iface)


def egress_filters(ns, iface):
    return ns.run("tc", "filter", "show", "dev", iface, "egress", check=False)


def ping(ns, address, count, interval=0.01):
    """Packets answered."""
    out = ns.run("ping", "-q", "-n", "-c", count, "-i", interval, "-W", "1", address, check=False)
    return int(out.split(" received")[0].rsplit(" ", 1)[1])


def counted_ping(report, collector, ns, address, count, what):
    """Each ping is two packets for the counters, no more and no less."""
    before = collector.stats("packets")
    report.equal(f"{what}: pings answered", ping(ns, address, count), count)
    report.equal(f"{what}: packets counted", collector.stats("packets") - before, 2 * count)


# --- checks --------------------------------------------------------------------------------------


def check_heartbeat(report, collector):
    """Once a second it says that it works; one that is stopped falls silent."""
    report.equal("the ledger knows its process", collector.ledger("pid"), collector.process.pid)
    before = collector.ledger("alive")
    report.check("and when it last worked", 0 <= time.clock_gettime_ns(time.CLOCK_BOOTTIME) - before < 2e9, before)
    wait_for("a sign of life", lambda: collector.ledger("alive") > before, 3)
    os.kill(collector.process.pid, signal.SIGSTOP)
    silent = collector.ledger("alive")
    time.sleep(1.5)
    report.equal("none while it is stopped", collector.ledger("alive"), silent)
    os.kill(collector.process.pid, signal.SIGCONT)


def check_start(report, collector, host):
    report.equal("native XDP", xdp_of(host.server, "ps0"), ("native", "ps_xdp"))
    report.check("no fallback warning", "generic XDP" not in collector.log())
    report.check("egress hook", "link/tc-ps0" in collector.pins() or "ps_tc_egress" in egress_filters(host.server, "ps0"))
    pins = [os.path.basename(name) for name in collector.pins()]
    wanted = ["ps_tags", "ps_hot", "ps_cold", "ps_tcp", "ps_stats", "ps_meta", "ps_ledger", "ps_rings", "ring-0"]
    report.equal("pinned maps", [name for name in wanted if name not in pins], [])
    meta = collector.map("ps_meta")[0]["formatted"]["value"]
    report.equal("buckets for 65536 connections at 80 % load", meta["buckets"], 10240)
    report.equal("buckets of the map", json.loads(run("bpftool", "-j", "map", "show", "pinned",
                                                      collector.pin("ps_tags")))["max_entries"], 10240)
    with host.server.entered():
        index = socket.if_nametoindex("ps0")
    entry = collector.interfaces().get(index, {})
    report.equal("ps_ifaces knows the MTU", (entry.get("mtu"), entry.get("flags", 0) & 0xff), (1500, 0))
    report.check("and the hooks", entry.get("flags", 0) & ~0xff in (HOOK_NATIVE | HOOK_TCX, HOOK_NATIVE | HOOK_CLSACT), hex(entry.get("flags", 0)))
    check_heartbeat(report, collector)
    counted_ping(report, collector, host.client, SERVER4, 20, "first traffic")


def check_modes(report, collector):
    def mode(path):
        return stat.S_IMODE(os.stat(path).st_mode), os.stat(path).st_gid

    report.equal("mode of a map's pin", mode(collector.pin("ps_stats")), (0o660, 65534))
    report.equal("mode of a ring's pin", mode(collector.pin("ring-0")), (0o660, 65534))
    report.equal("mode of the map directory", mode(os.path.dirname(collector.pin("x"))), (0o750, 65534))
    report.equal("mode of the link directory", mode(os.path.join(collector.pin_root, "link"))[0], 0o700)
    report.equal("mode of a socket", mode(os.path.join(collector.run_dir, "events.sock")), (0o660, 65534))


class Tap:
    """A subscriber of `events`: topics, headers, records as dictionaries."""

    def __init__(self, collector):
        import msgpack
        import zmq

        self.unpack = msgpack.unpackb
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(f"ipc://{collector.run_dir}/events.sock")
        time.sleep(0.3)  # the subscription has to arrive

    def messages(self, seconds=1.5):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.socket.poll(int(left * 1000)):
                topic, header, payload = self.socket.recv_multipart()
                header = self.unpack(header)
                yield topic.decode(), header, [dict(zip(header["fields"], row)) for row in self.unpack(payload)]

    def close(self):
        self.socket.close()
        self.context.term()


def check_stream(report, collector, host):
    tap = Tap(collector)
    try:
        with host.client.datagrams(SERVER4) as sock:
            sock.bind((CLIENT4, 40001))
            sock.sendto(b"x" * 32, (SERVER4, 40002))
        ping(host.client, SERVER4, 3)
        seen = list(tap.messages())
    finally:
        tap.close()
    conns = [record for topic, _, records in seen if topic == "conn.new" for record in records]
    ours = [conn for conn in conns if conn["src_port"] == 40001 and conn["dst_port"] == 40002]
    report.equal("one conn.new for the datagram", len(ours), 1)
    if ours:
        report.equal("where it was seen", (ours[0]["iface"], ours[0]["src_ip"], ours[0]["dst_ip"]), ("ps0", CLIENT4, SERVER4))
        age = time.time() - ours[0]["first_seen"] / 1e9
        report.check("its time is the wall clock's", 0 <= age < 10, f"{age:.3f} s ago")
    report.check("icmp is published", any(topic == "icmp" for topic, _, _ in seen), str([topic for topic, _, _ in seen]))
    for name in {topic for topic, _, _ in seen}:
        numbers = [header["seq"] for topic, header, _ in seen if topic == name]
        report.equal(f"{name} has no gap", numbers, list(range(numbers[0], numbers[0] + len(numbers))))
    wait_for("the ledger is settled", lambda: collector.ledger("received")[1:] == collector.ledger("published")[1:], 5)
    report.check("the ledger agrees", sum(collector.ledger("published")) > 0)
    report.equal("no event broke the ABI", collector.ledger("received")[0], 0)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check_pace(report, collector, host):
    """Many events, few wake-ups: one a millisecond, and not one an event."""
    pid = collector.process.pid
    before, received, started = wakeups(pid), collector.ledger("received")[1], time.monotonic()
    with host.client.entered():
        for port in range(20000, 24000):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((CLIENT4, port))
                sock.sendto(b"x", (SERVER4, 9))
    seconds = time.monotonic() - started
    wait_for("all are received", lambda: collector.ledger("received")[1] - received >= 4000, 5)
    woken = wakeups(pid) - before
    report.check("4000 new connections: paced", woken < 1100 * seconds + 50, f"{woken} wake-ups in {seconds:.2f} s")
    note(f"4000 events in {seconds:.2f} s took {woken} wake-ups")


def check_rest(report, collector):
    """What it costs when nothing happens."""
    pid = collector.process.pid
    time.sleep(1)
    before, woken = cpu_seconds(pid), wakeups(pid)
    time.sleep(REST_SECONDS)
    used, woken = cpu_seconds(pid) - before, wakeups(pid) - woken
    rss = status_bytes(pid, "VmRSS")
    note(f"at rest: {100 * used / REST_SECONDS:.2f} % of a CPU, {woken / REST_SECONDS:.1f} wake-ups/s, {rss / (1 << 20):.1f} MiB resident")
    report.check("idle: below 1 % of a CPU", used / REST_SECONDS < 0.01, f"{used:.3f} s of CPU in {REST_SECONDS} s")
    # The tick of the second, and libzmq's thread when a silent topic says so.
    report.check("idle: at most 4 wake-ups a second", woken / REST_SECONDS <= 4, f"{woken / REST_SECONDS:.1f}")


def check_single(report, collector, host):
    with Collector(host.server, "ps0", share=collector) as second:
        second.log_path += "2"
        status, log = second.refused()
        report.equal("a second collector: status", status, EXIT_RUNNING)
        report.check("it names the first", f"process {collector.process.pid}" in log, log)
        second.run_dir += "2"
        status, log = second.refused()
        report.equal("a second one with another run directory", status, EXIT_RUNNING)
    detach = collector.detach()
    report.equal("--detach while one runs", detach.returncode, EXIT_RUNNING)
    report.equal("it has removed nothing", xdp_of(host.server, "ps0"), ("native", "ps_xdp"))
    with Collector(host.server, "ps0") as other:
        status, log = other.refused()
        report.equal("another pin root on the same interface", status, EXIT_HELD)
        report.check("it is told of the leftover", "xdp_leftover" in log and "packetscope detach" in log, log)


def check_kills(report, collector, host):
    links = links_of(collector)
    sent = KILLS * 60
    before, received = collector.stats("packets"), sum(collector.ledger("received"))
    flood = host.client.popen("ping", "-q", "-n", "-c", str(sent), "-i", "0.01", "-W", "1", SERVER4, stdout=subprocess.PIPE,
                              text=True)
    last, backwards = (before, received), 0
    for _ in range(KILLS):
        collector.kill()
        collector.start()
        time.sleep(0.1)
        now = collector.stats("packets"), sum(collector.ledger("received"))
        backwards += now[0] < last[0] or now[1] < last[1]
        last = now
    out = flood.communicate(timeout=120)[0]
    answered = int(out.split(" received")[0].rsplit(" ", 1)[1])
    report.equal(f"{KILLS} times kill -9: pings answered", answered, sent)
    report.equal("packets counted through all of it", collector.stats("packets") - before, 2 * sent)
    report.equal("counters never went backwards", backwards, 0)
    after = links_of(collector)
    report.equal("the links are the same", {name: link for name, (link, _) in after.items()},
                 {name: link for name, (link, _) in links.items()})
    report.check("their programs are new", all(after[name][1] != links[name][1] for name in links), f"{links} {after}")
    report.check("replaced in place", "program replaced in place" in collector.log(), collector.log())


def check_rings_wait(report, collector, host):
    """Events of the time between two collectors are in the rings."""
    collector.kill()
    before, produced = collector.ledger("received")[1], collector.stats("ev_conn_new")
    with host.client.datagrams(SERVER4) as sock:
        for port in range(41001, 41011):
            sock.sendto(b"x", (SERVER4, port))
    # The server answers with ICMP errors; only the connections count here.
    produced = collector.stats("ev_conn_new") - produced
    report.equal("connections made without a collector", produced, 10)
    collector.start()
    wait_for("the rings are read", lambda: collector.ledger("received")[1] - before >= produced, 5)
    report.equal("no event of them was lost", collector.ledger("received")[1] - before, produced)


def check_settings(report, collector, host):
    collector.stop()
    collector.start("--max-connections", "1000")
    log = collector.log()
    report.check("another --max-connections: one warning with the remedy",
                 log.count("keep the size") == 1 and "detach --purge" in log, log)
    report.equal("and the old size", collector.map("ps_meta")[0]["formatted"]["value"]["max_connections"], 65536)
    collector.stop()
    collector.start("--xdp-mode", "generic")
    report.equal("--xdp-mode generic after native", xdp_of(host.server, "ps0"), ("generic", "ps_xdp"))
    report.check("asked for: no warning", "level=warn" not in collector.log(), collector.log())
    counted_ping(report, collector, host.client, SERVER4, 20, "generic")
    collector.stop()
    collector.start("--xdp-mode", "native")
    report.equal("and native again", xdp_of(host.server, "ps0"), ("native", "ps_xdp"))
    collector.stop()
    collector.start("--trace")
    counted_ping(report, collector, host.client, SERVER4, 20, "--trace")
    collector.stop()
    collector.start("--ingress-only")
    before = collector.stats("egress_packets")
    ping(host.client, SERVER4, 10)
    report.equal("--ingress-only: nothing on egress", collector.stats("egress_packets") - before, 0)
    report.check("--ingress-only: noted for the programs", all(i["flags"] & 0xff == 1 for i in collector.interfaces().values()))
    collector.stop()
    collector.start()
    counted_ping(report, collector, host.client, SERVER4, 20, "both again")
    with Collector(host.server, "ps0") as nowhere:
        status, log = nowhere.refused("--iface", "")
        report.check("no interface named and no default route: may be tried again", status == 1 and 'field="iface"' in log, f"{status} {log}")
    for args in (["--iface", "ps0,ps0"], ["--iface", "a/b"], ["--xdp-mode", "fast"],
                 ["--max-connections", "1"], ["--group", "no such"]):
        with Collector(host.server, "ps0") as wrong:
            status, log = wrong.refused(*args)
            report.check(f"{' '.join(args)!r} is refused by name",
                         status == EXIT_USAGE and args[0][2:] in log and not wrong.pins(), f"{status} {log}")


def check_clsact(report, collector, host):
    collector.stop()
    collector.start("--tc-mode", "clsact")
    report.check("clsact: the filter is there", "ps_tc_egress" in egress_filters(host.server, "ps0"))
    report.check("clsact: no TCX link beside it", "link/tc-ps0" not in collector.pins(), str(collector.pins()))
    counted_ping(report, collector, host.client, SERVER4, 20, "clsact")
    collector.kill()
    counted_ping(report, collector, host.client, SERVER4, 20, "clsact, collector dead")
    collector.start("--tc-mode", "clsact")
    report.equal("clsact: replaced, not added", egress_filters(host.server, "ps0").count("handle 0x"), 1)
    counted_ping(report, collector, host.client, SERVER4, 20, "clsact, restarted")
    collector.stop()
    collector.start()
    report.equal("back to TCX: filter and qdisc are gone", (egress_filters(host.server, "ps0"), clsact(host.server, "ps0")),
                 ("", False))
    counted_ping(report, collector, host.client, SERVER4, 20, "TCX again")


def recreate(host):
    host.link(host.server, "ps0", [f"{SERVER4}/24"], host.client, "ps1", [f"{CLIENT4}/24"], quiet=True)


def check_recreated(report, collector, host):
    before = collector.stats("packets")
    host.client.run("ip", "link", "del", "ps1")
    wait_for("the interface is missed", lambda: "interface gone" in collector.log(), 5)
    report.equal("its pins went with it", [name for name in collector.pins() if name.startswith("link/")], [])
    report.equal("and its row of ps_ifaces", collector.interfaces(), {})
    recreate(host)
    wait_for("attached again", lambda: collector.log().count("msg=attached") + collector.log().count('msg="attached"') > 0
             and xdp_of(host.server, "ps0"), 5)
    report.equal("attached to the new interface", xdp_of(host.server, "ps0"), ("native", "ps_xdp"))
    report.check("counters go on", collector.stats("packets") >= before)
    counted_ping(report, collector, host.client, SERVER4, 20, "new interface")
    # And when nobody was there to see it.
    collector.kill()
    host.client.run("ip", "link", "del", "ps1")
    recreate(host)
    collector.start()
    report.equal("re-created while the collector was dead", xdp_of(host.server, "ps0"), ("native", "ps_xdp"))
    counted_ping(report, collector, host.client, SERVER4, 20, "new interface, new collector")


def check_foreign(report, host):
    """Someone else's program on one of two interfaces: neither is touched."""
    host.server.run("ip", "link", "add", "br0", "type", "bridge")
    with Collector(host.server, "br0,ps0") as collector, foreign_xdp(host.server, "ps0"):
        status, log = collector.refused()
        report.equal("another's XDP program: status", status, EXIT_HELD)
        report.check("it is named, with what to do",
                     all(word in log for word in ("ps0", "xdp_other", "xdp_held", "ip link set dev ps0 xdpgeneric off")), log)
        report.equal("the other interface is left alone", xdp_of(host.server, "br0"), None)
        report.equal("the program is still there", xdp_of(host.server, "ps0"), ("generic", "xdp_other"))
        report.equal("no link is left", [name for name in collector.pins() if name.startswith("link/")], [])
    host.server.run("ip", "link", "del", "br0")


def check_late(report, host):
    """An interface that comes later, in the hands of someone else, who then lets go; and one that is renamed away."""
    with Collector(host.server, "late0", "--tc-mode", "tcx") as collector:
        collector.start()
        report.check("waits for an interface that is not there", "waiting for it" in collector.log(), collector.log())
        host.server.run("ip", "link", "add", "early0", "type", "bridge")
        with foreign_xdp(host.server, "early0"):
            host.server.run("ip", "link", "set", "early0", "name", "late0")
            wait_for("the trouble is logged", lambda: "xdp_held" in collector.log(), 5)
            time.sleep(2.5)
            report.equal("once", collector.log().count("xdp_held"), 1)
        wait_for("attached when it was free", lambda: xdp_of(host.server, "late0"), 5)
        report.equal("generic on a bridge", xdp_of(host.server, "late0"), ("generic", "ps_xdp"))
        report.equal("one warning about that", collector.log().count("generic XDP instead"), 1)
        report.equal("the collector is still the same", collector.process.poll(), None)
        host.server.run("ip", "link", "set", "late0", "name", "gone0")
        wait_for("the new name is noticed", lambda: xdp_of(host.server, "gone0") is None, 5)
        report.check("detached from an interface of another name", "another name" in collector.log(), collector.log())
        host.server.run("ip", "link", "set", "gone0", "name", "late0")
        wait_for("attached under the old name again", lambda: xdp_of(host.server, "late0"), 5)
        report.equal("still one warning", collector.log().count("generic XDP instead"), 1)
        for kind in ("xdp", "tc"):
            pin = os.path.join(collector.pin_root, "link", f"{kind}-late0")
            os.unlink(pin)
            wait_for(f"the {kind} link, removed by hand, comes back", lambda pin=pin: os.path.exists(pin), 15)
        report.equal("links removed by hand are back", xdp_of(host.server, "late0"), ("generic", "ps_xdp"))
    host.server.run("ip", "link", "del", "late0")


def check_several(report, host):
    """Two interfaces; then one of them is no longer asked for."""
    with Collector(host.server, "lo,ps0") as collector:
        collector.start()
        report.equal("loopback", xdp_of(host.server, "lo"), ("generic", "ps_xdp"))
        report.check("loopback has no egress hook", "link/tc-lo" not in collector.pins(), str(collector.pins()))
        report.check("and is not ingress-only", all(row["flags"] & 0xff == 0 for row in collector.interfaces().values()))
        counted_ping(report, collector, host.server, "127.0.0.1", 10, "loopback")
        counted_ping(report, collector, host.client, SERVER4, 10, "beside loopback")
        collector.stop()
        collector.iface = "ps0"
        collector.start()
        report.equal("no longer asked for: detached", xdp_of(host.server, "lo"), None)
        report.equal("and forgotten", len(collector.interfaces()), 1)


def check_detach(report, collector, host):
    report.equal("stops on SIGTERM", collector.stop(), 0)
    report.equal("and leaves the programs", xdp_of(host.server, "ps0"), ("native", "ps_xdp"))
    report.equal("its last word is that it ends", (collector.ledger("alive"), collector.ledger("pid")), (0, 0))
    report.check("ps_ifaces says that they are there", any(row["flags"] & HOOK_NATIVE for row in collector.interfaces().values()))
    done = collector.detach()
    report.equal("--detach", done.returncode, 0)
    report.check("says what it removed", "XDP program from ps0" in done.stdout and "TC program from ps0" in done.stdout, done.stdout)
    report.equal("no XDP program is left", xdp_of(host.server, "ps0"), None)
    report.check("no TC program is left", "ps_tc_egress" not in host.server.run("bpftool", "net", "show", "dev", "ps0"))
    report.check("ps_ifaces says so", not any(row["flags"] & ~0xff for row in collector.interfaces().values()), collector.interfaces())
    report.check("maps stay", "maps/v2/ps_meta" in collector.pins(), str(collector.pins()))
    done = collector.detach("--purge")
    report.check("--purge removes them", done.returncode == 0 and "maps" in done.stdout and not os.path.exists(collector.pin_root),
                 f"{done.stdout}{done.stderr}")
    done = collector.detach("--purge")
    report.equal("once more: nothing to do", (done.returncode, done.stdout), (0, ""))
    collector.start("--keep-on-exit=false")
    collector.stop()
    report.equal("--keep-on-exit=false detaches", xdp_of(host.server, "ps0"), None)


def check_names(report, host):
    """A dot, as VLAN interfaces have it, cannot stand in the name of a pin."""
    host.server.run("ip", "link", "add", "br0.7", "type", "bridge")
    with Collector(host.server, "br0.7", "--tc-mode", "tcx") as collector:
        collector.start()
        collector.kill()
        collector.start()
        report.check("an interface with a dot: replaced in place", "program replaced in place" in collector.log(), collector.log())
        collector.stop()
        report.check("and detached by its name", "XDP program from br0.7" in collector.detach().stdout)
        report.equal("nothing is on it", xdp_of(host.server, "br0.7"), None)
    host.server.run("ip", "link", "del", "br0.7")


def check_jumbo(report, host):
    """veth refuses a native program that does not know frames of several pieces."""
    host.server.run("ip", "link", "set", "ps0", "mtu", "9000")
    host.client.run("ip", "link", "set", "ps1", "mtu", "9000")
    with Collector(host.server, "ps0") as collector:
        collector.start()
        report.equal("MTU 9000", xdp_of(host.server, "ps0"), ("native", "ps_xdp"))
        report.equal("a frame of 8000 bytes passes", int(host.client.run(
            "ping", "-q", "-n", "-c", "3", "-i", "0.1", "-s", "8000", SERVER4).split(" received")[0].rsplit(" ", 1)[1]), 3)
        host.server.run("ip", "link", "set", "ps0", "mtu", "1500")
        wait_for("the new MTU is noted", lambda: [row["mtu"] for row in collector.interfaces().values()] == [1500], 5)
        report.check("a change of the MTU is noted", True)
    host.client.run("ip", "link", "set", "ps1", "mtu", "1500")


def check_capabilities(report, host):
    """Root without any capability but the three that doctor names, as in a container."""
    with Collector(host.server, "ps0") as collector:
        three = "-all,+net_admin,+bpf,+perfmon"
        collector.wrapper = ["setpriv", "--inh-caps", three, "--bounding-set", three, "--regid", "65534", "--clear-groups"]
        collector.start()
        report.equal("three capabilities suffice", xdp_of(host.server, "ps0"), ("native", "ps_xdp"))
        report.equal("pins have the group of the process", os.stat(collector.pin("ps_stats")).st_gid, 65534)
        collector.stop()
        report.equal("and they detach", collector.detach("--purge").returncode, 0)
        collector.wrapper = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
        status, log = collector.refused()
        report.check("without them: refused, and they are named", status == 1 and "CAP_BPF" in log, f"{status} {log}")


def check_suspend(report, host):
    """After a suspend the boot clock is ahead of the monotonic one; a time namespace shows the same."""
    with Collector(host.server, "ps0") as collector:
        collector.start()
        offset = collector.map("ps_runtime")[0]["formatted"]["value"]["clock_offset"]
        collector.stop()
        collector.wrapper = ["unshare", "--time", "--boottime", "3600", "--fork", "--kill-child"]
        collector.start("--report-interval", "2")
        runtime = collector.map("ps_runtime")[0]["formatted"]["value"]
        ahead = (runtime["clock_offset"] - offset) / 1e9
        report.check("the programs are told of an hour of suspend", abs(ahead - 3600) < 1, f"{ahead} s")
        report.equal("and of the report interval", runtime["report_interval"], 2_000_000_000)


def check_half_made(report, host):
    """A start that died while it made the maps."""
    with Collector(host.server, "ps0") as collector:
        collector.start()
        collector.kill()
        collector.detach()
        os.unlink(collector.pin("ps_meta"))
        collector.start()
        report.check("half-made maps are made anew", "made the maps" in collector.log(), collector.log())
        counted_ping(report, collector, host.client, SERVER4, 10, "after that")


def check_probe(report, host):
    with Collector(host.server, "") as collector:
        host.server.run("ip", "link", "add", "br0", "type", "bridge")
        with foreign_xdp(host.server, "br0"):
            found = json.loads(run(*collector.command("--probe", "--iface", "ps0,br0,nix0"), env=collector.environment()))
        host.server.run("ip", "link", "del", "br0")
        report.equal("--probe leaves nothing", os.path.exists(collector.pin_root), False)
    report.equal("--probe: kernel", (found["kernel"], found["kernel_ok"]), (os.uname().release, True))
    report.check("--probe: root can", all(found["capabilities"].values()) and found["pins"]["bpffs"], str(found))
    ifaces = {iface["name"]: iface for iface in found["interfaces"]}
    report.equal("--probe: a free interface", (ifaces["ps0"]["up"], ifaces["ps0"]["mtu"], ifaces["ps0"]["driver"], ifaces["ps0"]["xdp"]),
                 (True, 1500, "veth", None))
    report.equal("--probe: one that is held", (ifaces["br0"]["xdp"]["program"], ifaces["br0"]["xdp"]["ours"]), ("xdp_other", False))
    report.equal("--probe: one that is missing", ifaces["nix0"]["exists"], False)


def test(report):
    need("bpftool", "ping", "tc", "setpriv", "unshare")
    with Host("psc") as host:
        time.sleep(1)  # what a new link says of itself
        check_probe(report, host)
        with Collector(host.server, "ps0", "--group", "65534") as collector:
            collector.start()
            check_start(report, collector, host)
            check_modes(report, collector)
            check_stream(report, collector, host)
            check_pace(report, collector, host)
            check_rest(report, collector)
            check_single(report, collector, host)
            check_kills(report, collector, host)
            check_rings_wait(report, collector, host)
            check_settings(report, collector, host)
            check_clsact(report, collector, host)
            check_recreated(report, collector, host)
            check_detach(report, collector, host)
        check_foreign(report, host)
        check_late(report, host)
        check_several(report, host)
        check_half_made(report, host)
        check_names(report, host)
        check_jumbo(report, host)
        check_capabilities(report, host)
        check_suspend(report, host)
    report.equal("nothing is left", host.leftovers(), [])


if __name__ == "__main__":
    main(test)
