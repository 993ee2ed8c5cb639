# SPDX-License-Identifier: MIT
"""What is said of TCP connections, against what the kernel that sends says of them: retransmissions and round-trip times over
a link of 20 ms that loses 1 %, none at all over one that loses nothing or to a receiver that has closed its window.

	server (watched: ps0) ── m0 [link] m1 ── ps1 client

The link is tc netem where the kernel has it, else link_emulator; 10 ms and 1 % each way. What is compared where:

- The watched host sends: its egress program stands before the loss and sees every segment, so orig_retrans_packets is the number
  that `ss -ti` gives as retransmitted (retrans:now/TOTAL), segment by segment.
- The watched host receives: what was lost before it is not seen. A segment that was sent again either fills a hole, which is out
  of order for an onlooker, or repeats what had arrived. Both together are what the sender repeated, less what the link lost of
  that.

Window probes (RFC 9293 3.8.6.1) repeat nothing, for us as for the kernel. A receiver without memory may throw away what it had
offered to take, though; what its peer then sends again counts as sent again, for us as for the kernel and tshark.
"""

import collections
import contextlib
import fcntl
import json
import math
import os
import re
import signal
import socket
import statistics
import struct
import subprocess
import termios
import threading
import time

from harness import BIN, CLIENT4, SERVER4, Host, Lab, Pipeline, main, need, note, wait_for

DELAY_US = 10_000  # each way
RTT_US = 2 * DELAY_US
LOSS = 0.01  # each way
SEED = 20
STREAMS = 4
SECONDS = int(os.environ.get("PS_LOSSY_SECONDS", "8"))
LOSSLESS_BYTES = int(os.environ.get("PS_LOSSLESS_MIB", "300")) << 20


class Link:
    """The link between m0 and m1, as long as it is entered."""

    def __init__(self, ns):
        self.ns = ns
        self.process = None
        self.directions = {}

    def __enter__(self):
        self.kind = "tc netem" if self.netem() else "link_emulator"
        if self.kind == "link_emulator":
            self.emulator()
        return self

    def netem(self):
        """True if the kernel took it; then a bridge joins the ends."""
        shape = ("root", "netem", "delay", f"{DELAY_US}us", "loss", f"{LOSS:.0%}", "limit", "100000")
        try:
            self.ns.run("tc", "qdisc", "add", "dev", "m0", *shape)
        except RuntimeError:
            return False
        self.ns.run("tc", "qdisc", "add", "dev", "m1", *shape)
        self.ns.run("ip", "link", "add", "joint", "type", "bridge")
        for iface in ("m0", "m1"):
            self.ns.run("ip", "link", "set", iface, "master", "joint")
        self.ns.run("ip", "link", "set", "joint", "up")
        return True

    def emulator(self):
        self.process = self.ns.popen(os.path.join(BIN, "link_emulator"), "--delay-us", DELAY_US, "--loss-ppm", int(LOSS * 1e6),
                                     "--seed", SEED, "m0", "m1", stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("link_emulator did not start")

    def __exit__(self, *_):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        for line in self.process.communicate(timeout=10)[0].splitlines():
            source, _, *counters = line.split()
            self.directions[source] = {name: int(value) for name, value in (word.split("=") for word in counters)}

    def check(self, report):
        """Nothing but the loss asked for was lost."""
        for source, counted in self.directions.items():
            note(f"link from {source}: {counted}")
            unasked = {name: counted[name] for name in ("overflow", "oversize", "refused", "missed") if counted[name]}
            report.check(f"the link from {source} lost only what it was to lose", not unasked, unasked)


class Far(Lab):
    """A watched server, a client, and between them a namespace that holds a Link's ends."""

    def __init__(self, gso):
        super().__init__(f"psl{os.getpid()}")
        self.gso = gso

    def __enter__(self):
        try:
            self.server, self.middle, self.client = (self.namespace(name) for name in ("server", "middle", "client"))
            ends = []
            for ns, name, address, inner in ((self.server, "ps0", SERVER4, "m0"), (self.client, "ps1", CLIENT4, "m1")):
                mac, _ = self.link(ns, name, [f"{address}/24"], self.middle, inner, [])
                ends.append((ns, name, address, mac))
            for (ns, name, _, _), (_, _, address, mac) in (ends, ends[::-1]):
                ns.run("ip", "neigh", "replace", address, "lladdr", mac, "dev", name, "nud", "permanent")
                # The stack itself cuts super-packets (GSO), after the egress program has seen them; the link sees segments.
                ns.run("ethtool", "-K", name, "tso", "off", "gso", "on" if self.gso else "off", "gro", "off")
                ns.sysctl("ipv4/tcp_congestion_control", "reno")  # what every kernel has and every namespace may choose
            return self
        except BaseException:
            self.close()
            raise


Kernel = collections.namedtuple("Kernel", "segments again rtt_us")


def counted_by_kernel(ns):
    """{(local port, peer port): Kernel} of all connections that this end's kernel has."""
    found = {}
    for line in ns.run("ss", "-tinaOH").splitlines():
        _, _, _, here, there, *_ = line.split()
        sent, again, rtt = (re.search(form, line) for form in (r"\bsegs_out:(\d+)", r"\bretrans:\d+/(\d+)", r"\brtt:([\d.]+)/"))
        if sent and rtt:
            ends = tuple(int(end.rpartition(":")[2]) for end in (here, there))
            found[ends] = Kernel(int(sent.group(1)), int(again.group(1)) if again else 0, float(rtt.group(1)) * 1000)
    return found


def records(api, keys, final):
    """{(originator's port, responder's port): record} of `keys`, once final(key, record) is true of all, or after 10 s anyway:
    a connection reports once a second. What has left the table meanwhile is as it was last."""
    found = {}

    def all_final():
        for conn in api.connections():
            if conn["proto"] == "tcp" and (conn["src_port"], conn["dst_port"]) in keys:
                found[conn["src_port"], conn["dst_port"]] = conn
        return len(found) == len(keys) and all(final(key, conn) for key, conn in found.items())

    with contextlib.suppress(TimeoutError):
        wait_for("all is reported", all_final, 10, 0.25)
    return found


def median_near(report, what, values, target):
    """Within a tenth: the median, as a lost segment of a handshake or a busy machine spoils a single one."""
    known = [value for value in values if value]
    middle = statistics.median(known) if known else 0
    report.check(f"{what}: {middle:.0f} µs of {target:.0f} µs", abs(middle - target) <= target / 10, known)


class Watch(threading.Thread):
    """While entered: what the sender's kernel says of its connections to or from `port`, until each is gone, and every rtt_us,
    the kernel's and ours: each is of the last few samples only."""

    def __init__(self, ns, api, port):
        super().__init__(daemon=True)
        self.ns, self.api, self.port = ns, api, port
        self.again, self.kernel_rtts, self.our_rtts = {}, [], []
        self.over = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def run(self):
        turn = 0
        while not self.over.wait(0.1):
            turn += 1
            for ends, kernel in counted_by_kernel(self.ns).items():
                if self.port in ends:
                    self.again[ends] = kernel.again
                    # Those that carry data: the other end of a control connection acknowledges late.
                    if turn % 5 == 0 and kernel.segments > 100:
                        self.kernel_rtts.append(kernel.rtt_us)
            if turn % 5 == 0:
                with contextlib.suppress(OSError):
                    self.our_rtts += [conn["rtt_us"] for conn in self.api.connections()
                                      if conn["dst_port"] == self.port and conn["rtt_us"] and
                                      max(conn["orig_packets"], conn["resp_packets"]) > 100]

    def __exit__(self, *_):
        time.sleep(1)  # what is still under way
        self.over.set()
        self.join(10)

    def compare_rtt(self, report, what):
        """Ours, within a tenth of the delay that was set. A quarter may be earlier and the rest later, as a machine that stands
        still now and then adds to the delay and never takes from it."""
        kernel, ours = (statistics.quantiles(rtts, n=4)[0] if len(rtts) > 1 else 0 for rtts in (self.kernel_rtts, self.our_rtts))
        report.check(f"{what}: rtt_us {ours:.0f} µs of {RTT_US} µs, the kernel's {kernel:.0f} µs",
                     abs(ours - RTT_US) <= RTT_US / 10, self.our_rtts)


# --- The watched host's own transfers, compared exactly ---------------------------------------------------------------------


class Transfer:
    """`size` bytes over each of `streams` connections that stay open, so that the kernel can be asked about them."""

    def __init__(self, sender, receiver, address, port, streams, size):
        self.sender, self.port, self.size = sender, port, size
        self.received = 0
        self.sockets = []
        listener = receiver.listen(socket.AF_INET, socket.SOCK_STREAM, address, port)
        threads = []
        with listener:
            for _ in range(streams):
                sock = sender.connect(address, port, timeout=60)
                self.sockets.append(sock)
                other, _ = listener.accept()
                self.sockets.append(other)
                threads += [threading.Thread(target=self._send, args=(sock,), daemon=True),
                            threading.Thread(target=self._receive, args=(other,), daemon=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.complete = self.received == streams * size
        for sock in self.sockets[::2]:
            wait_for("all is acknowledged", lambda sock=sock: _unacknowledged(sock) == 0, 10)
        self.ports = [sock.getsockname()[1] for sock in self.sockets[::2]]

    def _send(self, sock):
        block = b"x" * 65536
        for at in range(0, self.size, len(block)):
            sock.sendall(block[:self.size - at])

    def _receive(self, sock):
        left = self.size
        while left:
            part = len(sock.recv(min(left, 1 << 18)))
            if not part:
                break
            left -= part
        self.received += self.size - left  # one addition a thread, under the interpreter's lock

    def compare(self, api):
        """{ports: (segments sent, of them sent again)}, the same as it is reported, and the records."""
        counted = counted_by_kernel(self.sender)
        kernel = {(port, self.port): counted[port, self.port][:2] for port in self.ports}
        found = records(api, kernel, lambda key, conn: conn["orig_packets"] == kernel[key][0])
        return kernel, {key: (conn["orig_packets"], conn["orig_retrans_packets"]) for key, conn in found.items()}, found

    def close(self):
        for sock in self.sockets:
            sock.close()


def _unacknowledged(sock):
    return struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]


def exact(report, far, api, what):
    with Watch(far.server, api, 5001) as watch:
        transfer = Transfer(far.server, far.client, CLIENT4, 5001, STREAMS, 4 << 20)
    with contextlib.closing(transfer):
        kernel, ours, _ = transfer.compare(api)
    again = sum(counted[1] for counted in kernel.values())
    report.check(f"{what}: {STREAMS} × 4 MiB arrived", transfer.complete)
    report.check(f"{what}: segments, and the {again} sent again, are the kernel's, connection by connection",
                 again > 0 and ours == kernel, f"got {ours}, kernel {kernel}")
    watch.compare_rtt(report, what)


# --- iperf3 -----------------------------------------------------------------------------------------------------------------


def iperf3(client, server, address, port, *args):
    """What iperf3 says at its end."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    listening = server.popen("iperf3", "-s", "-1", "-B", address, "-p", port, **silent)
    try:
        wait_for("iperf3 listens", lambda: f":{port} " in server.run("ss", "-tlnH"), 10)
        answer = json.loads(client.run("iperf3", "-J", "-c", address, "-p", port, *args, check=False))
        if "error" in answer:
            raise RuntimeError(f"iperf3: {answer['error']}")
        return answer
    finally:
        if listening.poll() is None:
            listening.terminate()
        listening.wait(10)


def through_iperf3(report, far, api, what, begins, sends, fields, arriving=1.0):
    """iperf3 from the namespace `begins`, data from the namespace `sends`: the sum over the data streams, within 2 % of the
    kernel's. iperf3 asks it before the last data is across, we do until shortly before the socket is gone: who asked last is
    right."""
    port = 5201
    server, address = (far.client, CLIENT4) if begins is far.server else (far.server, SERVER4)
    args = ("-P", STREAMS, "-t", SECONDS, *(() if begins is sends else ("-R",)))
    with Watch(sends, api, port) as watch:
        answer = iperf3(begins, server, address, port, *args)
    ends = [(stream["local_port"], stream["remote_port"]) for stream in answer["start"]["connected"]]
    # Its sockets end with a reset where data is still under way.
    found = records(api, ends, lambda _, conn: conn["state"] in ("time_wait", "close"))
    report.equal(f"{what}: streams found", len(found), STREAMS)
    side = "orig" if begins is sends else "resp"
    by_socket = {stream["sender"]["socket"]: stream["sender"]["retransmits"] for stream in answer["end"]["streams"]}
    by_iperf3 = [by_socket[stream["socket"]] for stream in answer["start"]["connected"]]
    by_ss = [watch.again.get(end if begins is sends else end[::-1], 0) for end in ends]
    kernel = sum(max(both) for both in zip(by_ss, by_iperf3))
    ours = sum(conn[f"{side}_{field}"] for conn in found.values() for field in fields)
    expected = kernel * arriving
    off = abs(ours - expected) / expected if expected else 1.0
    note(f"{what}: sent again {sum(by_ss)} (ss), {sum(by_iperf3)} (iperf3); {ours} reported")
    # How many of them the link lost is known by its probability only: three standard deviations.
    scatter = 3 * math.sqrt(kernel * (1 - arriving)) / expected if expected else 0
    report.check(f"{what}: segments sent again {off:.2%} off", off <= 0.02 + scatter, f"{ours} of {expected:.1f}")
    if sends is far.server:
        watch.compare_rtt(report, what)
    median_near(report, f"{what}: rtt_handshake_us", [conn["rtt_handshake_us"] for conn in found.values()], RTT_US)


def lossy(report, gso):
    with Far(gso) as far, Link(far.middle) as link, Pipeline(far.server, "ps0") as pipeline:
        api = pipeline.api
        name = f"{link.kind}, GSO {'on' if gso else 'off'}"
        note(f"{name}: {DELAY_US / 1000:g} ms and {LOSS:.0%} each way")
        exact(report, far, api, f"{name}, own sender")
        through_iperf3(report, far, api, f"{name}, upload", far.server, far.server, ["retrans_packets"])
        through_iperf3(report, far, api, f"{name}, others download", far.client, far.server, ["retrans_packets"])
        through_iperf3(report, far, api, f"{name}, download, of what arrives", far.server, far.client,
                       ["retrans_packets", "out_of_order"], 1 - LOSS)
    link.check(report)


# --- No loss ----------------------------------------------------------------------------------------------------------------


def steady(host):
    """So that the stage itself neither loses anything (a veth holds 256 frames) nor repeats in case something got lost (a tail
    loss probe, when an acknowledgement is a few milliseconds late; all, when it is late by 200 ms: a busy machine's are)."""
    for ns, iface, address in ((host.server, "ps0", SERVER4), (host.client, "ps1", CLIENT4)):
        ns.sysctl("ipv4/tcp_wmem", "4096 131072 131072")
        ns.sysctl("ipv4/tcp_early_retrans", 0)
        network = address.rpartition(".")[0] + ".0/24"
        ns.run("ip", "route", "change", network, "dev", iface, "proto", "kernel", "scope", "link", "src", address,
               "rto_min", "3s")


def lossless(report, offload):
    with Host(prefix="psn", offload=offload) as host, Pipeline(host.server, "ps0") as pipeline:
        steady(host)
        ways = (("upload", host.server, host.client, CLIENT4), ("download", host.client, host.server, SERVER4))
        for way, sender, receiver, address in ways:
            what = f"no loss, TSO, GSO and GRO {'on' if offload else 'off'}, {way}"
            for attempt in range(3):
                transfer = Transfer(sender, receiver, address, 6001 + attempt, 2, LOSSLESS_BYTES // 2)
                with contextlib.closing(transfer):
                    kernel, ours, found = transfer.compare(pipeline.api)
                segments, again = (sum(counted[i] for counted in kernel.values()) for i in (0, 1))
                if not again:
                    break
                note(f"{what}: the kernel did send {again} segments again, so once more")
            report.equal(f"{what}: segments that the kernel sent again", again, 0)
            report.check(f"{what}: {LOSSLESS_BYTES >> 20} MiB arrived", transfer.complete)
            report.check(f"{what}: the kernel's {segments} segments, connection by connection", ours == kernel,
                         f"got {ours}, kernel {kernel}")
            fields = ("retrans_packets", "retrans_bytes", "out_of_order", "gap_bytes")
            anomalies = {f"{side}_{field}": sum(conn[f"{side}_{field}"] for conn in found.values())
                         for side in ("orig", "resp") for field in fields}
            report.check(f"{what}: none sent again, out of order or missing", not any(anomalies.values()), anomalies)


# --- Closed windows ---------------------------------------------------------------------------------------------------------


def window_probes(ns):
    names, values = (line.split() for line in ns.run("cat", "/proc/net/netstat").splitlines() if line.startswith("TcpExt:"))
    return int(dict(zip(names, values))["TCPWinProbe"])


def closed_window(report, host, api, what, ends, port, memory):
    """Sends to a receiver that does not read until nothing more is taken, waits for probes, lets it read."""
    sender, receiver, address = ends
    probes = window_probes(sender)
    with receiver.listen(socket.AF_INET, socket.SOCK_STREAM, address, port) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, memory)
        sock = sender.connect(address, port)
        other, _ = listener.accept()
    with sock, other:
        sock.settimeout(0.5)
        sent = received = 0
        with contextlib.suppress(TimeoutError):
            while True:
                sent += sock.send(b"x" * 65536)
        time.sleep(3)
        probes = window_probes(sender) - probes
        other.settimeout(15)
        while received < sent:
            received += len(other.recv(65536))
        wait_for("all is acknowledged", lambda: _unacknowledged(sock) == 0, 10)
        key = (sock.getsockname()[1], port)
        kernel = counted_by_kernel(sender)[key][:2]
        conn = records(api, [key], lambda _, conn: conn["orig_packets"] == kernel[0])[key]
    report.check(f"{what}: the window was closed", conn["resp_zero_windows"] > 0, conn)
    if memory < 65536:
        report.check(f"{what}: {probes} probes", probes >= 3)
    report.equal(f"{what}: segments, and the {kernel[1]} sent again, are the kernel's",
                 (conn["orig_packets"], conn["orig_retrans_packets"]), kernel)
    report.equal(f"{what}: out of order, missing", [conn["orig_out_of_order"], conn["orig_gap_bytes"]], [0, 0])


def closed_windows(report):
    with Host(prefix="psz") as host, Pipeline(host.server, "ps0") as pipeline:
        for ns in (host.server, host.client):
            ns.sysctl("ipv4/tcp_early_retrans", 0)
        ways = ((host.server, host.client, CLIENT4), (host.client, host.server, SERVER4))
        for number, (way, ends) in enumerate(zip(("upload", "download"), ways)):
            for memory in (4096, 65536):
                what = f"closed window, {way}, receiver with {memory} bytes"
                closed_window(report, host, pipeline.api, what, ends, 7001 + number, memory)


def test(report):
    need("iperf3", "ethtool", "ss", "tc")
    for on in (False, True):
        lossless(report, on)
    closed_windows(report)
    for on in (False, True):
        lossy(report, on)


main(test)
