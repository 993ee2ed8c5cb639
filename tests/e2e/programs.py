# SPDX-License-Identifier: MIT
"""The programs one by one, and connections by the hundred thousand: begun in the kernel by BPF_PROG_TEST_RUN on the very program
that is attached.

    with Host("psm") as host, Programs(host.server, "ps0") as programs:
        programs.start("collector", "--iface=ps0")
        program = attached_program(os.path.join(programs.pin_root, "link", "xdp-ps0"))
        sent = begin_connections(program, 100_000)
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

from harness import BIN, BPFFS

SERVER = socket.inet_aton("10.203.0.1")
SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}[os.uname().machine]
BPF_OBJ_GET, BPF_PROG_TEST_RUN, BPF_PROG_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD = 7, 10, 13, 15

_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    result = _libc.syscall(SYS_BPF, command, attr, len(attr))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command})")
    return result


def buffer(layout, *values, size=128):
    out = ctypes.create_string_buffer(size)
    struct.pack_into(layout, out, 0, *values)
    return out


def attached(pin):
    """The ids of a pinned link and of the program that it runs."""
    path, info = ctypes.create_string_buffer(os.fsencode(pin)), ctypes.create_string_buffer(64)
    link = bpf(BPF_OBJ_GET, buffer("=Q", ctypes.addressof(path)))
    try:
        bpf(BPF_OBJ_GET_INFO_BY_FD, buffer("=IIQ", link, len(info), ctypes.addressof(info)))
    finally:
        os.close(link)
    return struct.unpack_from("=III", info)[1:]


def attached_program(pin):
    """A descriptor of the program that a pinned link runs."""
    return bpf(BPF_PROG_GET_FD_BY_ID, buffer("=I", attached(pin)[1]))


class Frame:
    """One frame that is run through the program again and again, with another client each time."""

    def __init__(self, program, proto, reply=False):
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 if proto == 6 else 28, 1, 0, 64, proto, 0, SERVER, SERVER)
        ports = (53, 4000) if reply else (4000, 443 if proto == 6 else 53)
        rest = struct.pack("!HHIIBBHHH", *ports, 1, 0, 0x50, 2, 65535, 0, 0) if proto == 6 else struct.pack("!HHHH", *ports, 8, 0)
        self.data = ctypes.create_string_buffer(b"\2" * 6 + b"\4" * 6 + b"\x08\0" + ip + rest)
        self.client = 30 if reply else 26
        size = len(self.data) - 1  # without the terminator
        self.attr = buffer("=IIIIQQI", program, 0, size, 0, ctypes.addressof(self.data), 0, 1)

    def run(self, number):
        struct.pack_into("!I", self.data, self.client, 0x0B000000 + number)
        bpf(BPF_PROG_TEST_RUN, self.attr)


class Programs:
    """The three programs, each startable alone."""

    def __init__(self, ns, iface):
        self.ns, self.iface = ns, iface
        self.directory = tempfile.mkdtemp(prefix="psmil-")
        self.pin_root = os.path.join(BPFFS, os.path.basename(self.directory))
        self.running = {}

    def __enter__(self):
        return self

    def start(self, part, *args, directory=BIN):
        """`directory`: where its program is."""
        paths = [f"--{key}={os.path.join(self.directory, name)}" for key, name in (("run-dir", "run"), ("state-dir", "state"))]
        with open(os.path.join(self.directory, f"{part}.log"), "ab") as log:
            self.running[part] = self.ns.popen(os.path.join(directory, f"packetscope-{part}"), *paths, f"--pin-root={self.pin_root}", *args,
                                               stdout=log, stderr=log, env={**os.environ, "PACKETSCOPE_CONFIG": "/dev/null"})
        return self.running[part].pid

    def stop(self, part):
        process = self.running.pop(part)
        process.send_signal(signal.SIGTERM)
        return process.wait(20)

    def log(self, part):
        with open(os.path.join(self.directory, f"{part}.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def __exit__(self, kind, *_):
        if kind:
            for part in self.running:
                print(f"---- {part}", *self.log(part).splitlines()[-10:], sep="\n", flush=True)
        for part in list(self.running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop(part)
        self.start("collector", "--detach", "--purge")
        self.running.pop("collector").wait(20)
        shutil.rmtree(self.pin_root, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def begin_connections(program, number):
    """Half TCP (a SYN), half UDP (question and answer), each from an address of its own. Packets sent."""
    syn, question, answer = Frame(program, 6), Frame(program, 17), Frame(program, 17, reply=True)
    for i in range(number):
        if i % 2:
            question.run(i)
            answer.run(i)
        else:
            syn.run(i)
    return number // 2 * 3 + number % 2


__all__ = ["Programs", "attached", "attached_program", "begin_connections"]
