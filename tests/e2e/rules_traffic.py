# SPDX-License-Identifier: MIT
"""Probes for tests of rules: datagrams as raw frames at a steady rate, and who counts them behind the watched interface."""

import socket
import struct
import threading
import time

from harness import CLIENT4, SERVER4


class Counter(threading.Thread):
    """Counts UDP datagrams by destination port behind the programs; what we send ourselves is not counted."""

    def __init__(self, ns, iface, ports):
        super().__init__(daemon=True)
        self.ports = ports
        self.sock = ns.raw(iface)
        self.sock.settimeout(0.05)
        self.counts = dict.fromkeys(ports, 0)
        self.ending = False
        self.start()

    def run(self):
        while True:
            try:
                data, where = self.sock.recvfrom(2048)
            except TimeoutError:
                if self.ending:
                    return
                continue
            if where[2] == socket.PACKET_OUTGOING or len(data) < 38 or data[12:14] != b"\x08\x00" or data[23] != 17:
                continue
            port = struct.unpack("!H", data[36:38])[0]
            if port in self.counts:
                self.counts[port] += 1

    def reset(self):
        self.counts.update(dict.fromkeys(self.ports, 0))

    def stop(self):
        self.ending = True
        self.join(5)
        self.sock.close()
        return dict(self.counts)


def datagram(server_mac, client_mac, port, tag=b"probe"):
    """A frame; its IP checksum is right, UDP goes without."""
    udp = struct.pack("!HHHH", 40000, port, 8 + len(tag), 0) + tag
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton(CLIENT4), socket.inet_aton(SERVER4))
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:]
    return bytes.fromhex((server_mac + client_mac).replace(":", "")) + b"\x08\x00" + head + udp


class Sender(threading.Thread):
    """One datagram to each port, again and again, at about 1000 rounds a second."""

    def __init__(self, ns, server_mac, client_mac, ports):
        super().__init__(daemon=True)
        self.sock = ns.raw("ps1")
        self.frames = [datagram(server_mac, client_mac, port) for port in ports]
        self.sent = 0
        self.ending = False

    def run(self):
        while not self.ending:
            for frame in self.frames:
                self.sock.send(frame)
            self.sent += 1
            time.sleep(0.001)

    def stop(self):
        self.ending = True
        self.join(5)
        self.sock.close()
        return self.sent
