# SPDX-License-Identifier: MIT
"""Traffic to look at, for somebody who meets Packet Scope for the first time (make demo).

Three network namespaces are made: `host`, where Packet Scope watches both interfaces, `office`, a client close by, and `far`, one
behind a slow link that loses packets. Clients and servers are real; nothing touches the machine's own interfaces, and an installation
that runs already is not disturbed. The page is reachable from the machine through a forwarder on the loopback address.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from lab import Lab, Server, dns_query, dns_server, exit_on_signals, http_get, http_server, run, wait_for  # noqa: E402

OFFICE, FAR = "10.203.0", "10.203.1"
SCAN_PORTS = 200


class Traffic:
    """Clients that repeat themselves until stopped, one thread each. What fails (a lost packet, a blocked port) is part of the show."""

    def __init__(self):
        self.stopping = threading.Event()
        self.threads = []

    def every(self, seconds, action, *args):
        def loop():
            while not self.stopping.is_set():
                with contextlib.suppress(OSError):
                    action(*args)
                self.stopping.wait(seconds * random.uniform(0.8, 1.2))

        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        self.threads.append(thread)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(1)


def browse(ns, address, port=80):
    http_get(ns, address, port, f"/{random.choice((400, 6_000, 60_000, 400_000))}")


def look_up(ns, address):
    with ns.datagrams(address) as sock:
        sock.settimeout(1)
        sock.sendto(dns_query(f"{random.choice(('www', 'mail', 'time'))}.example.test", random.randrange(65536)), (address, 53))
        sock.recv(512)


def telnet(ns, address):
    ns.connect(address, 23, timeout=2).close()


def database(ns, address):
    """One connection that stays, with a question and an answer ever so often."""
    with ns.connect(address, 5432) as sock:
        for _ in range(2000):
            sock.sendall(b"q" * random.randrange(80, 400))
            sock.recv(65536)
            time.sleep(random.uniform(0.05, 0.25))


def answer_questions(conn):
    while conn.recv(4096):
        conn.sendall(b"r" * random.randrange(200, 6000))


def backup(ns, address):
    """One connection that stays, and carries in one direction."""
    with ns.connect(address, 873) as sock:
        for _ in range(2000):
            sock.sendall(b"b" * random.randrange(4_000, 40_000))
            time.sleep(0.4)


def take_all(conn):
    while conn.recv(65536):
        pass


def set_clock(ns, address):
    with ns.datagrams(address) as sock:
        sock.settimeout(1)
        sock.sendto(b"\x23" + bytes(47), (address, 123))
        sock.recv(64)


def scan(ns, address):
    for port in random.sample(range(1, 10_000), SCAN_PORTS):
        if port in (23, 53, 80, 443, 873, 5432):
            continue
        with contextlib.suppress(OSError):
            ns.connect(address, port, timeout=0.5).close()


def body_size(path):
    return min(int(path.strip("/")), 1_000_000) if path.strip("/").isdigit() else 200


def build(lab):
    """The network; returns (host, office, far)."""
    host, office, far = (lab.namespace(name) for name in ("host", "office", "far"))
    for ns, iface, net, prefix in ((office, "office0", OFFICE, "fd00:203"), (far, "far0", FAR, "fd00:204")):
        lab.link(host, iface, [f"{net}.1/24", f"{prefix}::1/64"], ns, "eth0", [f"{net}.2/24", f"{prefix}::2/64"])
    try:
        host.run("tc", "qdisc", "add", "dev", "far0", "root", "netem", "delay", "20ms", "loss", "3%")
        far.run("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "20ms", "loss", "1%")
    except RuntimeError:
        print("demo: this kernel has no netem, so the far link is as good as the near one", flush=True)
    return host, office, far


def serve(host, office):
    servers = [Server(ns.listen(socket.AF_INET6, socket.SOCK_STREAM, "::", 80), http_server(body_size)) for ns in (host, office)]
    servers.append(Server(host.listen(socket.AF_INET, socket.SOCK_STREAM, f"{OFFICE}.1", 23), lambda conn: conn.sendall(b"login: ")))
    servers.append(Server(host.listen(socket.AF_INET6, socket.SOCK_STREAM, "::", 443), http_server(body_size)))
    servers.append(Server(host.listen(socket.AF_INET, socket.SOCK_STREAM, f"{OFFICE}.1", 5432), answer_questions))
    servers.append(Server(host.listen(socket.AF_INET, socket.SOCK_STREAM, f"{FAR}.1", 873), take_all))
    servers.append(Server(host.listen(socket.AF_INET, socket.SOCK_DGRAM, f"{FAR}.1", 123), lambda query: b"\x24" + query[1:48]))
    for family, address in ((socket.AF_INET, f"{OFFICE}.1"), (socket.AF_INET6, "fd00:203::1"), (socket.AF_INET, f"{FAR}.1")):
        servers.append(Server(host.listen(family, socket.SOCK_DGRAM, address, 53), dns_server()))
    return servers


def start_traffic(host, office, far):
    traffic = Traffic()
    traffic.every(0.4, browse, office, f"{OFFICE}.1")
    traffic.every(0.7, browse, office, "fd00:203::1")
    traffic.every(1.5, browse, host, f"{OFFICE}.2")
    traffic.every(1.0, browse, far, f"{FAR}.1")
    traffic.every(0.5, look_up, office, f"{OFFICE}.1")
    traffic.every(0.8, look_up, office, "fd00:203::1")
    traffic.every(1.0, look_up, far, f"{FAR}.1")
    traffic.every(1.0, telnet, office, f"{OFFICE}.1")
    traffic.every(1.2, browse, office, f"{OFFICE}.1", 443)
    traffic.every(2.5, browse, far, f"{FAR}.1", 443)
    traffic.every(0.5, database, office, f"{OFFICE}.1")
    traffic.every(0.5, backup, far, f"{FAR}.1")
    traffic.every(4.0, set_clock, far, f"{FAR}.1")
    traffic.every(15.0, scan, office, f"{OFFICE}.1")
    pings = [ns.popen("ping", "-n", "-i", "0.5", address, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
             for ns, address in ((office, f"{OFFICE}.1"), (office, "fd00:203::1"), (far, f"{FAR}.1"))]
    return traffic, pings


class Forwarder:
    """TCP from the machine's own loopback to the same address inside a namespace."""

    def __init__(self, ns, address, port):
        self.ns, self.address, self.port = ns, address, port
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(64)
        self.server = Server(listener, self.forward)

    def forward(self, outer):
        with self.ns.connect("127.0.0.1", self.port) as inner:
            inner.settimeout(None)
            back = threading.Thread(target=self.pump, args=(inner, outer), daemon=True)
            back.start()
            self.pump(outer, inner)
            back.join()

    @staticmethod
    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def request(url, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=3) as answer:
        return json.loads(answer.read() or "null")


def healthy(url, process):
    if process.poll() is not None:
        raise RuntimeError(f"packetscope up ended with status {process.returncode}")
    try:
        request(f"{url}/api/health")
        return True
    except (OSError, ValueError):
        return False


def tell(url):
    print(f"""
  Open {url}/ and watch:
    - HTTP, DNS and a database over IPv4 and IPv6 between {OFFICE}.2 and {OFFICE}.1, pings, and a port scan every 15 s
    - the same across a slow link that loses packets, {FAR}.2: round-trip times and retransmissions
    - telnet (port 23) from {OFFICE}.2, which filter 0 drops: its counter rises, no connection comes about
  Or ask:
    curl {url}/api/connections
    curl {url}/api/filters
""", flush=True)


def show(args, directory):
    address, _, port = args.api.rpartition(":")
    address, port = address or "127.0.0.1", int(port)
    url = f"http://{address}:{port}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PACKETSCOPE_")}
    pin_root = f"/sys/fs/bpf/{os.path.basename(directory)}"
    with Lab(f"psdemo{os.getpid()}") as lab, contextlib.ExitStack() as undo:
        host, office, far = build(lab)
        forwarder = Forwarder(host, address, port)
        undo.callback(forwarder.server.close)
        undo.callback(shutil.rmtree, pin_root, ignore_errors=True)
        up = host.popen(os.path.join(args.programs, "packetscope"), "up", "--iface", "office0,far0", "--api", f"127.0.0.1:{port}",
                        "--interval", str(args.interval), "--run-dir", f"{directory}/run", "--state-dir", f"{directory}/state",
                        "--pin-root", pin_root, env={**environment, "PACKETSCOPE_CONFIG": "/dev/null"}, start_new_session=True)
        undo.callback(stop, up)
        wait_for("packetscope is ready", lambda: healthy(url, up), 20, 0.1)
        for server in serve(host, office):
            undo.callback(server.close)
        request(f"{url}/api/filters", "POST", {"rule_type": "tcp", "dst_port": 23, "enabled": True, "comment": "No telnet"})
        traffic, pings = start_traffic(host, office, far)
        for ping in pings:
            undo.callback(ping.wait)
            undo.callback(ping.terminate)
        undo.callback(traffic.stop)
        tell(url)
        deadline = time.monotonic() + args.seconds if args.seconds else None
        while deadline is None or time.monotonic() < deadline:
            if up.poll() is not None:
                raise RuntimeError(f"packetscope up ended with status {up.returncode}")
            time.sleep(0.2)


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    if process.poll() is None:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description="Traffic to look at between network namespaces; Ctrl-C ends it.")
    parser.add_argument("--programs", default="build/bin", help="where the programs are")
    parser.add_argument("--api", default="127.0.0.1:8080", help="address of the page on this machine")
    parser.add_argument("--seconds", type=float, default=0, help="stop by itself after this time")
    parser.add_argument("--interval", type=int, default=5, help="seconds between two summaries")
    args = parser.parse_args()
    exit_on_signals()
    if os.geteuid() != 0:
        sys.exit("demo: needs root (sudo make demo)")
    if not os.path.ismount("/sys/fs/bpf"):
        run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
    directory = tempfile.mkdtemp(prefix="psdemo-")
    try:
        show(args, directory)
    except KeyboardInterrupt:
        pass
    except (OSError, RuntimeError, TimeoutError, urllib.error.URLError) as error:
        hint = " (another address: make demo DEMO_API=127.0.0.1:8081)" if isinstance(error, OSError) and error.errno == 98 else ""
        sys.exit(f"demo: {error}{hint}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print("demo: ended; nothing is left behind")


main()
