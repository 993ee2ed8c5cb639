# SPDX-License-Identifier: MIT
"""A million connections at once, through the real programs: begun in the kernel by BPF_PROG_TEST_RUN on the very program that is
attached, listed page by page, counted, found again after a restart of the aggregator, and expired. Prints what one connection
costs in memory. PS_MILLION=N for another number; 50,000 make a quick run."""

import contextlib
import json
import os
import re
import time

from harness import Api, Host, main, note, wait_for
from proc import map_bytes, status_bytes
from programs import Programs, attached_program, begin_connections

CONNECTIONS = int(os.environ.get("PS_MILLION", "1000000"))
PORT = 8080
LIST_SECONDS = 0.3  # for a page of 100, at a million

def page(api, path):
    begun = time.monotonic()
    status, headers, body = api.request("GET", path, timeout=60)
    if status != 200:
        raise RuntimeError(f"GET {path}: {status} {body}")
    following = re.search(r'<([^>]*)>;\s*rel="?next"?', headers.get("Link", ""))
    return body, int(headers["X-Total-Count"]), following and following.group(1), time.monotonic() - begun


def all_pages(api, path):
    """(ids, clients, packets, totals) over every page."""
    ids, clients, packets, totals = [], set(), 0, set()
    while path:
        body, total, path, _ = page(api, path)
        totals.add(total)
        for conn in body:
            ids.append(conn["id"])
            clients.add(conn["src_ip"])
            packets += conn["orig_packets"] + conn["resp_packets"]
    return ids, clients, packets, totals


def lists(report, api):
    for query in ("", "&sort=orig_bytes", "&sort=src_ip&order=asc", "&proto=udp&port=53", "&q=11.0.200."):
        times = sorted(page(api, f"/api/connections?limit=100{query}")[3] for _ in range(7))
        report.check(f"a page of 100{query or ' in the default order'}: {times[3] * 1000:.0f} ms", times[3] < LIST_SECONDS,
                     f"more than {LIST_SECONDS} s")


def counters(api):
    return api.get("/api/stats", timeout=60)


def test(report):
    with Host("psm") as host, Programs(host.server, "ps0") as programs:
        api = Api(host.server, port=PORT)
        collector = programs.start("collector", "--iface=ps0", f"--max-connections={CONNECTIONS}")
        wait_for("the collector is ready", lambda: "ready" in programs.log("collector"), 20)
        aggregator = programs.start("aggregator", "--timeout-syn-sent=3600", "--timeout-udp=3600", "--timeout-udp-stream=3600")
        programs.start("gateway", f"--api=127.0.0.1:{PORT}")

        def well():
            with contextlib.suppress(OSError):
                return api.request("GET", "/api/health", timeout=2)[0] in (200, 503) and counters(api)
            return None

        wait_for("the gateway answers", well, 20)
        empty = status_bytes(aggregator, "RssAnon")
        program = attached_program(os.path.join(programs.pin_root, "link", "xdp-ps0"))
        begun = time.monotonic()
        sent = begin_connections(program, CONNECTIONS)
        os.close(program)
        note(f"{sent} packets in {time.monotonic() - begun:.1f} s")

        def settled():
            now = counters(api)
            return now if now["table"]["known"] == now["table"]["used"] else None

        stats = wait_for("the tables agree", settled, 60, 1)
        count, table = stats["counters"], stats["table"]
        live = count["conns_new"] - count["conns_recycled"]
        note(f"begun {count['conns_new']}, given up {count['conns_recycled']}, untracked {count['untracked']}; "
             f"events produced {count['ev_conn_new']}, lost in the ring {count['lost_conn_new']}, resyncs {stats['ledger']['resyncs']}")
        # not the total: the stack may still have something to say to its neighbours
        report.equal("packets counted", count["tcp_packets"] + count["udp_packets"], sent)
        report.equal("connections in the kernel's table", table["used"], live)
        report.check("all but the untracked and the given up are there", live + count["untracked"] + count["conns_recycled"] >= CONNECTIONS,
                     live)
        report.check("of a full table, at most one in a thousand finds no place", live >= CONNECTIONS * 0.999, live)
        report.equal("X-Total-Count", page(api, "/api/connections?limit=1")[1], live)
        lists(report, api)
        kernel, private = map_bytes(collector), status_bytes(aggregator, "RssAnon") - empty
        note(f"kernel: {kernel / 1e6:.0f} MB in all maps, {table['slots']} slots: {kernel / table['slots']:.0f} bytes a slot, "
             f"{kernel / CONNECTIONS:.0f} a connection")
        note(f"aggregator: {private / 1e6:.0f} MB private: {private / live:.0f} bytes a connection")

        begun = time.monotonic()
        ids, clients, packets, totals = all_pages(api, "/api/connections?limit=1000")
        note(f"{len(ids)} rows on pages of 1000 in {time.monotonic() - begun:.1f} s")
        report.equal("rows on all pages", len(ids), live)
        report.equal("none twice", len(set(ids)), live)
        report.equal("clients", len(clients), live)
        report.equal("X-Total-Count stays", totals, {live})
        report.equal("packets of all rows, and of those that are not there", packets + count["untracked"] + count["conns_recycled"], sent)

        report.equal("the aggregator's exit status", programs.stop("aggregator"), 0)
        begun = time.monotonic()
        programs.start("aggregator", "--timeout-syn-sent=5", "--timeout-udp=5", "--timeout-udp-stream=5")

        def gone():
            with contextlib.suppress(OSError, RuntimeError, KeyError):
                now = counters(api)
                return now if now["ledger"]["expired"] and now["table"]["used"] == 0 == now["table"]["known"] else None
            return None

        stats = wait_for("everything has expired", gone, 120, 0.5)
        note(f"all gone {time.monotonic() - begun:.1f} s after a start with short timeouts")
        report.equal("connections expired", stats["ledger"]["expired"], live)
        report.equal("X-Total-Count when all are gone", page(api, "/api/connections?limit=1")[1], 0)
        print(json.dumps({"connections": live, "kernel_bytes_per_slot": round(kernel / table["slots"]),
                          "kernel_bytes_per_connection": round(kernel / CONNECTIONS),
                          "aggregator_bytes_per_connection": round(private / live)}), flush=True)


main(test)
