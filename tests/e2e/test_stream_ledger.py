# SPDX-License-Identifier: MIT
"""The ledger closes to zero whatever happens: the collector stopped for ten seconds at full rate, the aggregator stopped for four,
each killed PS_KILLS times under traffic. What is reported as lost is what the kernel's maps say was lost."""

import os
import signal
import time

from harness import Host, Pipeline, main, need, note, wait_for
from stream import EVENT_TYPES, Recorder, Sender, closes, from_maps, need_module

KILLS = int(os.environ.get("PS_KILLS", "3"))
COLLECTOR_STOPPED = float(os.environ.get("PS_COLLECTOR_STOPPED", "10"))
AGGREGATOR_STOPPED = 4.0


def show(ledger):
    columns = ("produced", "ring_lost", "received", "abandoned", "published", "refused", "applied", "missed")
    for name in EVENT_TYPES:
        if ledger[name]["produced"]:
            note(f"{name}: " + ", ".join(f"{column} {ledger[name][column]}" for column in columns))


def total(ledger, column):
    return sum(ledger[name][column] for name in EVENT_TYPES)


def reported(report, what, pipeline, recorder):
    """The maps, the API and the headers of the stream tell the same losses."""
    time.sleep(1.5)  # a mark of each topic has told the last `lost`
    maps, ledger = from_maps(pipeline), pipeline.api.get("/api/stats")["ledger"]
    for name in EVENT_TYPES:
        real = maps[name]["produced"] - maps[name]["received"]
        if real or ledger[name]["ring_lost"] or recorder.lost.get(name):
            note(f"{name}: {real} of {maps[name]['produced']} never reached the collector")
        report.equal(f"{what}: {name}: lost in the rings, by the maps, the API and the stream",
                     (real, maps[name]["ring_lost"], ledger[name]["ring_lost"], recorder.lost.get(name, 0)), (real, real, real, real))


def stopped(report, host, pipeline, part, seconds):
    before = pipeline.api.get("/api/stats")["ledger"]
    sender = Sender(host.client)
    time.sleep(1)
    pid = pipeline.part_pid(part)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)
    time.sleep(1)
    sender.stop()
    left = closes(pipeline, 15)
    report.equal(f"{part} stopped for {seconds:g} s at full rate: the ledger closes to 0", left, {})
    after = pipeline.api.get("/api/stats")["ledger"]
    note(f"{sender.sent} packets sent; " + ", ".join(f"{column} +{total(after, column) - total(before, column)}" for column in
                                                     ("produced", "ring_lost", "refused", "missed", "applied")))
    show(after)
    return before, after


def killed(report, host, pipeline, part):
    """Kill, let it come back, stop the traffic, look; as often as asked."""
    open_ledgers, lost = [], 0
    for number in range(KILLS):
        sender = Sender(host.client, 8000, first=1024 + number % 50 * 100)
        time.sleep(0.3 + number % 10 * 0.02)
        pid = pipeline.part_pid(part)
        os.kill(pid, signal.SIGKILL)
        wait_for(f"{part} is back", lambda: pipeline.part_pid(part) not in (None, pid), 10)
        time.sleep(0.3)
        sender.stop()
        left = closes(pipeline, 12)
        if left:
            open_ledgers.append((number, left))
        # One that dies younger than that is held back as crashing at start.
        time.sleep(1.2)
    ledger = pipeline.api.get("/api/stats")["ledger"]
    lost = total(ledger, "abandoned") + total(ledger, "missed")
    report.equal(f"{part} killed {KILLS} times under traffic: the ledger closes to 0 each time", open_ledgers, [])
    note(f"abandoned {total(ledger, 'abandoned')}, missed {total(ledger, 'missed')} (both parts, so far)")
    return lost


def test(report):
    need("ethtool")
    need_module()
    with Host() as host, Pipeline(host.server, "ps0", ["--interval", "0"]) as pipeline:
        recorder = Recorder(pipeline.run_dir)
        time.sleep(1.5)
        before, after = stopped(report, host, pipeline, "collector", COLLECTOR_STOPPED)
        report.check("the rings overflowed meanwhile", total(after, "ring_lost") > total(before, "ring_lost"), after)
        reported(report, "collector stopped", pipeline, recorder)
        stopped(report, host, pipeline, "aggregator", AGGREGATOR_STOPPED)
        reported(report, "aggregator stopped", pipeline, recorder)
        for part in ("collector", "aggregator"):
            killed(report, host, pipeline, part)
        reported(report, "after all", pipeline, recorder)
        recorder.stop()


main(test)
