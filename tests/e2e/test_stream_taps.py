# SPDX-License-Identifier: MIT
"""Ten taps under a steady stream, two of them stopped for ten seconds: the others and the aggregator miss nothing; the two see on
waking exactly what they lost, and come back to a table equal to the aggregator's."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

from harness import SOURCE, Host, Pipeline, main, need, note
from stream import MODULE, Recorder, Sender, need_module
from test_taps import EXAMPLES, compile_tap

RATE = int(os.environ.get("PS_STREAM_RATE", "600"))  # new connections a second
STOPPED = float(os.environ.get("PS_STREAM_STOPPED", "10"))
GAP = re.compile(r"^gap (\S+) (\S+) (\d+) messages (\d+) records before (\d+)$", re.MULTILINE)
SAME = ("proto", "src_ip", "src_port", "dst_ip", "dst_port", "state", "orig_packets", "resp_packets", "orig_bytes", "resp_bytes")


class Tap:
    def __init__(self, pipeline, name, command, seconds):
        self.name = name
        self.process = pipeline.ns.popen(*command, "--run-dir", pipeline.run_dir, "--dump-after", seconds, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": MODULE})
        self.said = ["", ""]
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        self.said[:] = self.process.communicate()

    def end(self):
        self.reader.join(60)
        self.gaps = [(source, topic, int(messages), int(records), int(seq))
                     for source, topic, messages, records, seq in GAP.findall(self.said[1])]
        self.table = {}
        for line in self.said[0].splitlines():
            record = json.loads(line)
            self.table[record["id"]] = tuple(record[name] for name in SAME)
        return self


def exact(recorder, gap):
    """Is this gap what the recorder has between the two messages?"""
    source, topic, messages, records, seq = gap
    return recorder.records(source, topic, seq - messages, seq - 1) == records


def test(report):
    need("cc", "pkg-config", "cmake", "ethtool")
    need_module()
    long_lived = {"PACKETSCOPE_TIMEOUT_UDP": "3600"}
    with Host() as host, Pipeline(host.server, "ps0", ["--interval", "0"], env=long_lived) as pipeline:
        in_c, in_python = [compile_tap(pipeline.directory)], [sys.executable, os.path.join(EXAMPLES, "tap.py")]
        recorder = Recorder(pipeline.run_dir)
        length = STOPPED + 14
        began = time.monotonic()
        taps = [Tap(pipeline, f"tap {number} in {'Python' if number % 3 == 2 else 'C'}", in_python if number % 3 == 2 else in_c,
                    length - (time.monotonic() - began)) for number in range(10)]
        victims, others = taps[1:3], taps[:1] + taps[3:]
        time.sleep(2)
        sender = Sender(host.client, RATE)
        time.sleep(2)
        for victim in victims:
            victim.process.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED)
        for victim in victims:
            victim.process.send_signal(signal.SIGCONT)
        time.sleep(1)
        sender.stop()
        time.sleep(max(0, began + length - 1.5 - time.monotonic()))
        live = {conn["id"]: tuple(conn[name] for name in SAME) for conn in pipeline.api.connections() if conn["end_reason"] is None}
        for tap in taps:
            tap.end()
        recorder.stop()
        ledger = pipeline.api.get("/api/stats")["ledger"]

        report.check(f"a table of some size: {len(live)} connections", len(live) > RATE * STOPPED, len(live))
        report.equal("the recorder has every message", recorder.holes(), [])
        report.equal("the aggregator missed nothing",
                     {name: row for name, row in ledger.items() if isinstance(row, dict) and (row["missed"] or row["refused"] or row["ring_lost"])}, {})
        for tap in others:
            report.equal(f"{tap.name}: lost nothing", tap.gaps, [])
        for tap in victims:
            lost = sum(gap[2] for gap in tap.gaps), sum(gap[3] for gap in tap.gaps)
            note(f"{tap.name}, stopped for {STOPPED:g} s: {len(tap.gaps)} gaps, {lost[0]} messages, {lost[1]} records; {tap.said[1].splitlines()[-1]}")
            report.check(f"{tap.name}: fell behind", lost[0] > 0, tap.gaps)
            report.equal(f"{tap.name}: each gap is exactly what it lost", [gap for gap in tap.gaps if not exact(recorder, gap)], [])
        for tap in taps:
            report.check(f"{tap.name}: in step at the end", tap.said[1].rstrip().endswith(", in step"), tap.said[1][-200:])
            wrong = [key for key in tap.table.keys() & live.keys() if tap.table[key] != live[key]]
            report.check(f"{tap.name}: its table is the aggregator's",
                         tap.table == live, f"missing {len(live.keys() - tap.table.keys())}, too many {len(tap.table.keys() - live.keys())}, "
                         f"{len(wrong)} differ: {[(tap.table[key], live[key]) for key in wrong[:2]]}")


if __name__ == "__main__":
    main(test)
