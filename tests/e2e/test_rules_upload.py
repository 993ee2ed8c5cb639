# SPDX-License-Identifier: MIT
"""What is exported can be put back, however much it is: PS_UPLOAD_RULES rules (10,000: more than 8 MB) in pieces, in bounded memory. A
set that is wrong at its end, cut off, or brought beside another changes nothing."""

import json
import os
import socket
import time

from harness import Host, Pipeline, main, need, note, wait_for

RULES = int(os.environ.get("PS_UPLOAD_RULES", "10000"))
KEPT = 4 << 20  # bytes that the gateway may have needed more than before


def peak(pid):
    """The most memory of its own that a program has had since the last reset."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line.split()[1] for line in file if line.startswith("VmHWM"))) * 1024


def reset_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def address(number):
    return f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def made():
    return [{"id": number, "rule_type": "tcp", "src_ip": address(number), "dst_port": 1 + number % 60000, "enabled": number % 3 > 0,
             "comment": f"number {number}, as \\\"written\\\" [by] {{someone}} {'.' * 400}"} for number in range(RULES)]


def put(api, raw, path="/api/filters", method="PUT"):
    return api.request(method, path, raw=raw, headers={"Content-Type": "application/json"}, timeout=120)


def export(api):
    status, _, body = api.request("GET", "/api/filters/export", timeout=120)
    assert status == 200, body
    return body


def begin(ns, text):
    """Sends the head and `text` of a longer body; the socket."""
    with ns.entered():
        sock = socket.create_connection(("127.0.0.1", 8080), timeout=20)
    head = f"PUT /api/filters HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text) + 1000000}\r\n\r\n"
    sock.sendall(head.encode() + text)
    return sock


def test(report):
    need("ethtool")
    with Host() as host, Pipeline(host.server, "ps0", ["--interval", "0"]) as pipeline:
        api = pipeline.api
        status, _, body = put(api, json.dumps(made()))
        report.check(f"a set of {RULES} rules is taken", status == 200 and body["rules"] == RULES, (status, body))
        rules = export(api)
        text = json.dumps(rules)
        report.equal("rules exported", len(rules), RULES)
        note(f"the export has {len(text) / 1e6:.1f} MB")
        status, _, body = put(api, "[]")
        report.check("an empty set empties it", status == 200 and export(api) == [], (status, body))

        pid = pipeline.part_pid("gateway")
        reset_peak(pid)
        before, started = peak(pid), time.monotonic()
        status, _, body = put(api, text)
        took, grew = time.monotonic() - started, peak(pid) - before
        report.check("what was exported is taken back", status == 200 and body["rules"] == RULES, (status, body))
        report.check(f"with {grew / 1e6:.1f} MB of memory in the gateway, less than {KEPT / 1e6:.1f}", grew < KEPT)
        note(f"taken in {took:.1f} s")
        report.check("and it is the same", export(api) == rules)

        status, _, body = put(api, json.dumps([*rules[:-1], {**rules[-1], "dst_port": 70000}]))
        report.check("a wrong rule at its end is named", status == 400 and body.get("field") == "dst_port" and f"rule number {RULES}:" in body["detail"], (status, body))
        status, _, body = put(api, text[:-1])
        report.check("an array that does not end is refused", status == 400 and body.get("code") == "bad_json", (status, body))
        with begin(host.server, text[:1000000].encode()) as sock:
            other = wait_for("the other set is on its way", lambda: (answer := put(api, text))[0] == 503 and answer, 20)
            report.equal("beside another: busy", other[2].get("code"), "busy")
            sock.shutdown(socket.SHUT_RDWR)
        report.check("cut off, and the next is taken", wait_for("the stage is free", lambda: put(api, text)[0] == 200, 20))
        for number in range(4):  # the end comes with the last bytes; the aggregator alone would forget it after 30 s
            begin(host.server, text[:1000006 + number].encode()).close()
            report.check(f"vanished {number + 1}, and the next is taken", wait_for("the stage is free", lambda: put(api, text)[0] == 200, 20))
        report.check("none of them changed anything", export(api) == rules)

        n = RULES // 10
        more = [{"rule_type": "udp", "dst_ip": address(number), "comment": "x" * 500} for number in range(n)]
        status, _, body = put(api, json.dumps(more), "/api/filters/import?mode=shadow&priority=7", "POST")
        report.check("an import in pieces adds to it", status == 200 and body["added"] == n and body["rules"] == RULES + n, (status, body))
        added = api.get(f"/api/filters/{RULES + n - 1}")
        report.check("with what its query says of every piece", (added["mode"], added["priority"], added["source"]) == ("shadow", 7, "import"), added)
        path = os.path.join(pipeline.directory, "rules.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(pipeline.cli("filters", "export"))
        rules = export(api)
        put(api, "[]")
        pipeline.cli("filters", "replace", path)
        report.check("the command line brings back what it saved", len(rules) == RULES + n and export(api) == rules)
        report.equal("status of the whole", api.request("GET", "/api/health")[0], 200)


main(test)
