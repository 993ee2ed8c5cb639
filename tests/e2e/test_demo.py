# SPDX-License-Identifier: MIT
"""The demo as a newcomer starts it: within 15 s everything it promises is there to see, and when it ends nothing is left."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time

from harness import BIN, SOURCE, main, need, note, run, wait_for
from lab import die_with_parent

PORT = 18089


def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=3)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return json.loads(body) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def shown():
    """name -> whether it can be seen now."""
    conns = get("/api/connections?limit=1000") or []
    icmp = get("/api/icmp?limit=1000") or []
    filters = get("/api/filters") or []

    def any_conn(proto, port, six, replied=True):
        return any(c["proto"] == proto and c["dst_port"] == port and (":" in c["src_ip"]) == six and
                   (c["resp_packets"] > 0) == replied for c in conns)

    return {
        "HTTP over IPv4": any_conn("tcp", 80, False), "HTTP over IPv6": any_conn("tcp", 80, True),
        "DNS over IPv4": any_conn("udp", 53, False), "DNS over IPv6": any_conn("udp", 53, True),
        "ping over IPv4": {0, 8} <= {g["icmp_type"] for g in icmp if ":" not in g["src_ip"]},
        "ping over IPv6": {128, 129} <= {g["icmp_type"] for g in icmp if ":" in g["src_ip"]},
        "the port scan": sum(1 for c in conns if c["proto"] == "tcp" and c["dst_port"] not in (23, 80)) >= 150,
        "blocked telnet": any_conn("tcp", 23, False, replied=False) and any(rule["packets"] for rule in filters),
        "a round-trip time of the far link": any(c["rtt_us"] > 0 for c in conns if c["src_ip"] == "10.203.1.2"),
    }


def leftovers():
    found = [line for line in (run("ip", "netns", "list") + run("ip", "-br", "link")).splitlines() if "psdemo" in line]
    for directory in ("/sys/fs/bpf", "/tmp"):
        found += [name for name in os.listdir(directory) if name.startswith("psdemo")]
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                if b"psdemo" in file.read():
                    found.append(f"process {entry}")
        except OSError:
            pass
    return found


def demo(*args):
    return subprocess.Popen([sys.executable, os.path.join(SOURCE, "tests", "demo", "demo.py"), "--programs", BIN, "--api",
                             f"127.0.0.1:{PORT}", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent, start_new_session=True)


def test(report):
    need("ip", "ping", "nsenter")
    before = leftovers()
    started = time.monotonic()
    process = demo("--seconds", "20")
    seen = {}
    try:
        wait_for("everything is there to see", lambda: all(seen.values()) if (seen.update(shown()) or seen) else False, 15, 0.3)
        note(f"after {time.monotonic() - started:.1f} s")
    except TimeoutError:
        pass
    for what, there in seen.items():
        report.check(f"within 15 s: {what}", there)
    out, _ = process.communicate(timeout=40)
    if not report.equal("ends by itself", process.returncode, 0) or not all(seen.values()):
        print(out[-4000:])
    report.check("prints the address of the page", f"http://127.0.0.1:{PORT}/" in out)
    report.equal("leaves nothing behind", [name for name in leftovers() if name not in before], [])

    process = demo()
    wait_for("the demo runs", lambda: get("/api/health"), 20)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    if not report.equal("Ctrl-C ends it", process.returncode, 0):
        print(out[-4000:])
    report.equal("and nothing is left behind", [name for name in leftovers() if name not in before], [])


main(test)
