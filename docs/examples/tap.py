#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A tap on the Python module: keeps a table of the live connections in step with the aggregator's.

    PYTHONPATH=python sudo -E python3 docs/examples/tap.py                    # a line for each change
    PYTHONPATH=python sudo -E python3 docs/examples/tap.py --dump-after 10    # the table after ten seconds, one JSON object a line
"""

import argparse
import json
import sys
import time

import packetscope


def on_gap(gap):
    if gap.restarted:
        print(f"restarted {gap.source}", file=sys.stderr)
    else:
        print(f"gap {gap.source} {gap.topic} {gap.messages} messages {gap.records} records before {gap.seq}", file=sys.stderr)


def show(record):
    print(f"{record.topic:12} {record['proto']} {record['src_ip']}:{record['src_port']} -> {record['dst_ip']}:{record['dst_port']} "
          f"{record['state']} {record['orig_packets']}/{record['resp_packets']} packets", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run-dir", default="/run/packetscope")
    parser.add_argument("--dump-after", type=float, metavar="SECONDS")
    args = parser.parse_args()
    until = time.monotonic() + args.dump_after if args.dump_after else float("inf")
    with packetscope.Tap(args.run_dir, table=True, on_gap=on_gap) as tap:
        try:
            while (left := until - time.monotonic()) > 0:
                record = tap.next(min(left, 1))
                if record and not args.dump_after:
                    show(record)
        except KeyboardInterrupt:
            pass
        for key in sorted(tap.live) if args.dump_after else ():
            print(json.dumps(tap.live[key]))
        print(f"{len(tap.live)} connections, {tap.counters.lost_messages} messages lost, {tap.counters.resyncs} snapshots, "
              f"{'in step' if tap.in_step else 'not in step'}", file=sys.stderr)


main()
