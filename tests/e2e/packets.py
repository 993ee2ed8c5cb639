# SPDX-License-Identifier: MIT
"""Packets and captures made here: IPv4, TCP, UDP, Ethernet, pcap. Checksums are left out; nothing on the way looks at them."""

import socket
import struct

SYN, FIN, RST, ACK = 2, 1, 4, 16


def ip4(src, dst, proto, payload):
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0, socket.inet_aton(src),
                       socket.inet_aton(dst)) + payload


def udp(src, sport, dst, dport, data=b"x" * 10):
    return ip4(src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data)


def tcp(src, sport, dst, dport, flags, seq=0, ack=0, data=b"", window=8192):
    return ip4(src, dst, 6, struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, window, 0, 0) + data)


def ethernet(packet):
    return b"\2\0\0\0\0\1\2\0\0\0\0\2" + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0") + packet


def pcap(frames, link=1, order="<", nanoseconds=False):
    """frames: (time, bytes) or (time, bytes, length on the wire)."""
    magic, unit = (0xa1b23c4d, 1e9) if nanoseconds else (0xa1b2c3d4, 1e6)
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
    for time, data, *wire in frames:
        fraction = round((time - int(time)) * 1e6) * round(unit / 1e6)
        out += struct.pack(order + "IIII", int(time), fraction, len(data), wire[0] if wire else len(data)), data
    return b"".join(out)


def framed(packets):
    return [(time, ethernet(packet)) for time, packet in packets]


def echo(src, dst, reply=False, number=1, data=b"e" * 56):
    return ip4(src, dst, 1, struct.pack(">BBHHH", 0 if reply else 8, 0, 0, 7, number) + data)


def conversation(start, src, sport, dst, dport, asked=100, answered=100, step=0.01):
    """A whole TCP connection with so many bytes each way, as (time, IP packet)."""
    c, s = (src, sport, dst, dport), (dst, dport, src, sport)
    packets = [tcp(*c, SYN, 1000), tcp(*s, SYN | ACK, 5000, 1001), tcp(*c, ACK, 1001, 5001)]
    sent = heard = 0
    while sent < asked:
        part = min(1400, asked - sent)
        packets.append(tcp(*c, ACK, 1001 + sent, 5001, b"q" * part))
        sent += part
    while heard < answered:
        part = min(1400, answered - heard)
        packets.append(tcp(*s, ACK, 5001 + heard, 1001 + sent, b"r" * part))
        heard += part
    packets += [tcp(*c, FIN | ACK, 1001 + sent, 5001 + heard), tcp(*s, FIN | ACK, 5001 + heard, 1002 + sent),
                tcp(*c, ACK, 1002 + sent, 5002 + heard)]
    return [(start + i * step, packet) for i, packet in enumerate(packets)]
