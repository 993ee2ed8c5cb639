# SPDX-License-Identifier: MIT
"""A network of one's own: namespaces joined by veth pairs, and the means to open sockets and start programs in them.

Everything carries one prefix and goes away when the context ends, also after a failure or SIGTERM:

    with Lab("pse") as lab:
        server, client = lab.namespace("server"), lab.namespace("client")
        lab.link(server, "eth0", ["10.203.0.1/24"], client, "eth0", ["10.203.0.2/24"])
        with client.entered():
            sock = socket.create_connection(("10.203.0.1", 80))
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def run(*args, check=True, **kwargs):
    """Runs a short command and returns what it printed; its error text is in the exception."""
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, **kwargs)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(args)}: status {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_for(what, condition, seconds=10.0, step=0.05):
    """Returns the first true value of condition(); raises TimeoutError, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(step)


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def exit_on_signals():
    """Makes SIGTERM and SIGHUP end the program through its `with` and `finally` blocks."""

    def leave(signum, _frame):
        signal.signal(signum, signal.SIG_IGN)
        sys.exit(128 + signum)

    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, leave)


class Namespace:
    """A network namespace; name None is the one this program was started in."""

    def __init__(self, name):
        self.name = name
        self.path = f"/run/netns/{name}" if name else "/proc/self/ns/net"
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self):
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in the namespace; a socket opened here stays in it."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._setns(self._fd)
            try:
                yield self
            finally:
                self._setns(back)
        finally:
            os.close(back)

    @staticmethod
    def _setns(fd):
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def command(self, *args):
        """The command line that runs args here. Not `ip netns exec`: that hides /sys/fs/bpf."""
        return (["nsenter", f"--net={self.path}"] if self.name else []) + [str(arg) for arg in args]

    def run(self, *args, **kwargs):
        return run(*self.command(*args), **kwargs)

    def popen(self, *args, **kwargs):
        """A child that dies with this program, whatever happens to it."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(*args), preexec_fn=die_with_parent, **kwargs)

    def sysctl(self, key, value):
        """Writes /proc/sys/net/KEY of this namespace."""
        with self.entered(), open(f"/proc/sys/net/{key}", "w", encoding="ascii") as file:
            file.write(str(value))

    def listen(self, family, kind, address, port):
        with self.entered():
            sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(128)
        return sock

    def connect(self, address, port, timeout=5.0, source_port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.entered():
            sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            if source_port:
                sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", source_port))
            sock.connect((address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def datagrams(self, address):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.entered():
            return socket.socket(family, socket.SOCK_DGRAM)

    def raw(self, iface):
        """A packet socket: sends and receives whole frames, also those that we sent."""
        with self.entered():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            sock.bind((iface, 0))
        return sock


class Lab:
    def __init__(self, prefix):
        self.prefix = prefix
        self.namespaces = []
        self._root_links = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        for iface in self._root_links:
            run("ip", "link", "del", iface, check=False)
        self._root_links.clear()
        for ns in self.namespaces:
            ns.close()
            run("ip", "netns", "del", ns.name, check=False)
        self.namespaces.clear()

    def namespace(self, name):
        full = f"{self.prefix}-{name}"
        run("ip", "netns", "add", full)
        ns = Namespace(full)
        self.namespaces.append(ns)
        ns.run("ip", "link", "set", "lo", "up")
        return ns

    def link(self, a, a_name, a_addresses, b, b_name, b_addresses, quiet=False):
        """A veth pair between two namespaces; returns both MAC addresses. `quiet`: neighbours are known from the start, so that
        after a second nothing crosses it but our own traffic."""
        temporary = f"{self.prefix}x"[:15]
        run("ip", "link", "add", temporary, "type", "veth", "peer", "name", f"{temporary[:14]}y")
        ends = ((a, a_name, a_addresses, temporary), (b, b_name, b_addresses, f"{temporary[:14]}y"))
        for ns, name, _, now in ends:
            if ns.name:
                run("ip", "link", "set", now, "netns", ns.name)
            else:
                self._root_links.append(name)
            ns.run("ip", "link", "set", now, "name", name)
        macs = []
        for ns, name, addresses, _ in ends:
            if quiet:
                ns.run("ip", "link", "set", name, "multicast", "off", "addrgenmode", "none")
            for address in addresses:
                ns.run("ip", "addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
            ns.run("ip", "link", "set", name, "up")
            with ns.entered():
                macs.append(_mac(name))
        if quiet:
            for (ns, name, _, _), (_, _, addresses, _), mac in ((ends[0], ends[1], macs[1]), (ends[1], ends[0], macs[0])):
                for address in addresses:
                    ns.run("ip", "neigh", "replace", address.split("/")[0], "lladdr", mac, "dev", name, "nud", "permanent")
        return macs

    def leftovers(self):
        """Namespaces and links of our prefix that still exist."""
        out = run("ip", "netns", "list") + run("ip", "-br", "link")
        return [line.split()[0] for line in out.splitlines() if line.startswith(self.prefix)]


def _mac(iface):
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        raw = fcntl.ioctl(sock.fileno(), 0x8927, struct.pack("256s", iface.encode()[:15]))
    return ":".join(f"{byte:02x}" for byte in raw[18:24])


class Server(threading.Thread):
    """Answers on one socket until closed. TCP: handler(connection) in a thread each; UDP: handler(datagram) -> reply or None."""

    def __init__(self, sock, handler):
        super().__init__(daemon=True)
        self.sock = sock
        self.handler = handler
        self.received = 0
        self.stream = sock.type == socket.SOCK_STREAM
        self.start()

    def run(self):
        while True:
            try:
                if self.stream:
                    conn, _ = self.sock.accept()
                    self.received += 1
                    threading.Thread(target=self._serve, args=(conn,), daemon=True).start()
                else:
                    data, peer = self.sock.recvfrom(65536)
                    if peer is None:  # shut down: no datagram
                        return
                    self.received += 1
                    reply = self.handler(data)
                    if reply is not None:
                        self.sock.sendto(reply, peer)
            except OSError:
                return

    def _serve(self, conn):
        with conn, contextlib.suppress(OSError):
            self.handler(conn)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def http_server(size_of):
    """Handler of a small HTTP/1.1 server: GET /N answers size_of(path) bytes and closes."""

    def handle(conn):
        conn.settimeout(10)
        request = b""
        while b"\r\n\r\n" not in request:
            part = conn.recv(4096)
            if not part or len(request) > 16384:
                return
            request += part
        path = request.split(b" ", 2)[1].decode("ascii", "replace")
        size = size_of(path)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
        conn.sendall(head.encode() + b"x" * size)

    return handle


def http_get(ns, address, port, path):
    """Fetches and returns the number of bytes of the body."""
    with ns.connect(address, port) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := sock.recv(65536):
            answer += part
    return len(answer.split(b"\r\n\r\n", 1)[1])


def dns_query(name, ident, qtype=1):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return ident.to_bytes(2, "big") + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0" + qtype.to_bytes(2, "big") + b"\0\1"


def dns_server(address="192.0.2.1"):
    """Handler of a name server that knows one answer to every question of type A."""

    def handle(query):
        if len(query) < 17:
            return None
        head = query[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
        return head + query[12:] + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton(address)

    return handle
