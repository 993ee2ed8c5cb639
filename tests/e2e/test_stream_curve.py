# SPDX-License-Identifier: MIT
"""Taps over tcp: a listed key gets the stream, a snapshot and nothing more; a stranger's key, no key, and a wrong idea of the server's
key get nothing; the list is read anew. Without keys an address that others reach is refused."""

import json
import os
import shutil
import socket
import subprocess
import time

from harness import BIN, SERVER4, Host, Pipeline, main, need, run
from lab import Server, http_get, http_server
from stream import need_module

PORTS = {"events": 5556, "state": 5557, "query": 5558}
AT = {name: f"tcp://{SERVER4}:{port}" for name, port in PORTS.items()}


def keygen(directory, *names):
    for name in names:
        run(os.path.join(BIN, "packetscope"), "keygen", os.path.join(directory, name))


class Keys:
    def __init__(self, directory):
        self.directory = directory
        self.allow = os.path.join(directory, "allow")
        os.makedirs(self.allow)
        keygen(directory, "server", "friend", "stranger")
        self.list("friend")

    def public(self, name):
        return os.path.join(self.directory, f"{name}.key")

    def secret(self, name):
        return os.path.join(self.directory, f"{name}.key_secret")

    def list(self, name):
        shutil.copy(self.public(name), self.allow)

    def strike(self, name):
        os.remove(os.path.join(self.allow, f"{name}.key"))


def tap_hears(host, packetscope, keys, seconds=4):
    """What a tap from the other host gets while something happens there: records, live connections, whether it is in step."""
    with host.client.entered():
        with packetscope.Tap(events=AT["events"], state=AT["state"], query=AT["query"], keys=keys, table=True) as tap:
            got, until = 0, time.monotonic() + seconds
            while time.monotonic() < until:
                http_get(host.client, SERVER4, 80, "/")
                while tap.next(0.1):
                    got += 1
            return got, len(tap.live), tap.in_step


def ask(host, keys, op, args):
    """One request to the query socket, as a listed client; the header of the answer."""
    import msgpack
    import zmq
    from zmq import auth

    with host.client.entered():
        context = zmq.Context()
        sock = context.socket(zmq.DEALER)
        sock.curve_publickey, sock.curve_secretkey = auth.load_certificate(keys.secret("friend"))
        sock.curve_serverkey = auth.load_certificate(keys.public("server"))[0]
        sock.setsockopt(zmq.RCVTIMEO, 3000)
        sock.setsockopt(zmq.LINGER, 0)
        sock.connect(AT["query"])
        sock.send_multipart([msgpack.packb({"v": 1, "id": 1, "op": op, "peer": "far"}), msgpack.packb(args)])
        header = msgpack.unpackb(sock.recv_multipart()[0])
        sock.close()
        context.term()
        return header


def refused(report, host, directory):
    """Without keys."""
    where = ["--run-dir", os.path.join(directory, "other"), "--state-dir", directory, "--pin-root", os.path.join(directory, "none")]
    for option in ("--state-bind", "--query-bind"):
        done = subprocess.run(host.server.command(os.path.join(BIN, "packetscope-aggregator"), option, "tcp://0.0.0.0:5999", *where),
                              capture_output=True, text=True, timeout=10, check=False)
        said = done.stdout + done.stderr
        report.check(f"{option} without keys is refused on an address that others reach", done.returncode != 0 and "--curve-key" in said, said)
    loose = host.server.popen(os.path.join(BIN, "packetscope-aggregator"), "--state-bind", "tcp://0.0.0.0:5999", "--insecure", *where,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(0.7)
    report.check("--insecure binds it all the same", loose.poll() is None, "it ended")
    loose.terminate()
    loose.communicate(timeout=5)


def test(report):
    need("ethtool")
    packetscope = need_module()
    with Host() as host:
        pipeline = Pipeline(host.server, "ps0")
        keys = Keys(pipeline.directory)
        pipeline.args = ["--interval", "0", "--curve-key", keys.secret("server"), "--curve-allow", keys.allow,
                         *(word for name, port in PORTS.items() for word in (f"--{name}-bind", f"tcp://0.0.0.0:{port}"))]
        with pipeline:
            web = Server(host.server.listen(socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0", 80), http_server(lambda path: 500))
            friend = (keys.secret("friend"), keys.public("server"))
            got, live, in_step = tap_hears(host, packetscope, friend)
            report.check(f"a listed key gets the stream: {got} records, a table of {live}", got > 10 and live > 5 and in_step, (got, live, in_step))
            for who, pair in (("a stranger's key", (keys.secret("stranger"), keys.public("server"))), ("no key", None),
                              ("a wrong key of the server", (keys.secret("friend"), keys.public("stranger")))):
                report.equal(f"{who} gets nothing", tap_hears(host, packetscope, pair), (0, 0, False))
            watch = subprocess.run(
                host.client.command(os.path.join(BIN, "packetscope"), "watch", "--json", "--table", "--count", "5", "--events", AT["events"],
                                    "--state", AT["state"], "--query", AT["query"], "--curve-key", friend[0], "--server-key", friend[1]),
                capture_output=True, text=True, timeout=15, check=False)
            records = [json.loads(line) for line in watch.stdout.splitlines()]
            report.check("packetscope watch with the listed key shows the table", len(records) == 5 and all(one["topic"].startswith("conn.") for one in records),
                         watch.stderr)
            report.equal("the query socket answers what changes nothing", ask(host, keys, "status", {})["status"], 200)
            changing = ask(host, keys, "rules.create", {"rule": {"rule_type": "tcp", "enabled": True}})
            report.equal("and refuses what changes something", (changing["status"], changing["error"]["code"]), (403, "read_only"))
            report.equal("no rule was made", pipeline.api.get("/api/filters"), [])

            keys.list("stranger")
            keys.strike("friend")
            got, live, in_step = tap_hears(host, packetscope, (keys.secret("stranger"), keys.public("server")))
            report.check("a key that was added comes in without a restart", got > 10 and in_step, (got, live, in_step))
            report.equal("one that was taken off does not", tap_hears(host, packetscope, friend), (0, 0, False))
            report.check("the log tells of those turned away", "turned away" in pipeline.log() or "turned away" in _logs(pipeline), pipeline.log()[-300:])
            refused(report, host, pipeline.directory)
            web.close()


def _logs(pipeline):
    with open(pipeline.log_path, encoding="utf-8", errors="replace") as file:
        return file.read()


main(test)
