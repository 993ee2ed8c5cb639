# SPDX-License-Identifier: MIT
"""The web page in a real browser against a live pipeline: rows appear and their numbers move, a rule made in the page blocks a ping
and, switched off and deleted there, lets it pass. Pictures are left in build/screenshots/."""

import os
import socket
import threading
import time

import browser as chromium
from harness import BUILD, CLIENT4, SERVER4, Host, Pipeline, main, need, note, skip, wait_for
from lab import Server, dns_query, dns_server, http_get, http_server

SHOTS = os.path.join(BUILD, "screenshots")
ROW = "[...document.querySelectorAll('#%s tbody tr')].find((tr) => %s)"


class Traffic(threading.Thread):
    """A DNS client that never stops asking from one port, and a web client."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.host = host
        self.stopping = threading.Event()

    def run(self):
        number = 0
        with self.host.client.datagrams(SERVER4) as sock:
            sock.bind(("", 53999)) # a port that only begins like 53
            sock.sendto(b"not DNS", (SERVER4, 80))
        with self.host.client.datagrams(SERVER4) as sock:
            sock.settimeout(1)
            while not self.stopping.wait(0.1):
                sock.sendto(dns_query("page.example.test", number % 65536), (SERVER4, 53))
                sock.recv(512)
                if number % 10 == 0:
                    http_get(self.host.client, SERVER4, 80, "/")
                number += 1

    def stop(self):
        self.stopping.set()
        self.join()


def answered(host):
    """How many of three pings come back."""
    out = host.client.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", SERVER4, check=False)
    return int(out.split(" received")[0].rsplit(" ", 1)[1])


def number(page, table, row, cell):
    text = page.evaluate(f"({ROW % (table, row)})?.querySelector('td.{cell}')?.textContent ?? ''")
    digits = "".join(char for char in text if char.isdigit())
    return int(digits) if digits else -1


def grows(page, table, row, cell):
    first = number(page, table, row, cell)
    try:
        return wait_for("growth", lambda: number(page, table, row, cell) > first >= 0, 6, 0.2)
    except TimeoutError:
        return False


def check_connections(report, page):
    dns = r"/:53(?!\d)/.test(tr.textContent)"
    other = "tr.textContent.includes(':53999')"
    page.wait(f"!!{ROW % ('conn-table', dns)}")
    report.check("the DNS connection has a row", True)
    page.wait(f"!!{ROW % ('conn-table', 'tr.textContent.includes(`:80`)')}")
    report.check("the HTTP connections have rows", True)
    page.wait(f"!!{ROW % ('conn-table', other)}")
    report.check("packets from the client go up", grows(page, "conn-table", dns, "opk"))
    report.check("packets from the server go up", grows(page, "conn-table", dns, "rpk"))
    page.screenshot(os.path.join(SHOTS, "connections.png"))
    page.fill("#q", ":53")
    page.wait(f"!({ROW % ('conn-table', 'tr.textContent.includes(`:80`)')})")
    page.wait(f"!({ROW % ('conn-table', other)})")
    report.check("the filter leaves only what it names", bool(page.evaluate(f"!!{ROW % ('conn-table', dns)}")))
    page.fill("#q", "")


def check_icmp(report, page):
    page.click("#tab-icmp")
    row = f"tr.textContent.includes('{CLIENT4}')"
    page.wait(f"!!{ROW % ('icmp-table', row)}")
    report.check("the pings have a row", True)
    page.screenshot(os.path.join(SHOTS, "icmp.png"))


def check_rules(report, page, host):
    page.click("#tab-rules")
    page.click("#rule-new")
    page.wait("document.querySelector('#rule-dialog').open")
    page.fill("#rule-form [name=rule_type]", "icmp")
    page.fill("#rule-form [name=icmp_type]", "8")
    page.fill("#rule-form [name=comment]", "made in the page")
    page.click("#rule-form [name=enabled]")
    page.screenshot(os.path.join(SHOTS, "new-rule.png"))
    page.click("#rule-form [type=submit]")
    row = "tr.textContent.includes('made in the page')"
    page.wait(f"!!{ROW % ('rule-table', row)}")
    report.check("the new rule has a row", True)
    report.equal("pings that come back", answered(host), 0)
    hits = wait_for("the hits", lambda: max(number(page, "rule-table", row, "hits"), 0), 6, 0.2)
    report.equal("hits shown", hits, 3)
    page.screenshot(os.path.join(SHOTS, "rules.png"))
    page.click("#rule-table .switch")
    wait_for("switched off", lambda: answered(host), 5)
    report.equal("switched off: pings that come back", answered(host), 3)
    page.click("#rule-table .danger")
    page.wait("document.querySelector('#ask-dialog').open")
    page.click("#ask-yes")
    page.wait(f"!({ROW % ('rule-table', row)})")
    report.check("the deleted rule's row is gone", True)


def check_refusal(report, page):
    """The browser itself writes the 400 into its console, so this comes after the look at it."""
    page.click("#rule-new")
    page.fill("#rule-form [name=rule_type]", "tcp")
    page.fill("#rule-form [name=dst_port]", "70000")
    page.click("#rule-form [type=submit]")
    page.wait("!document.querySelector('#rule-error').hidden")
    report.equal("the field that is wrong is marked",
                 page.evaluate("document.querySelector('#rule-form [aria-invalid]')?.name"), "dst_port")
    page.click("#rule-cancel")


def test(report):
    need("ping", "ethtool")
    if not chromium.find():
        skip("no Chromium on this machine (packaging/setup.sh test, where the release has the package)")
    with Host() as host, Pipeline(host.server, "ps0") as pipeline:
        servers = [Server(host.server.listen(socket.AF_INET, socket.SOCK_STREAM, SERVER4, 80), http_server(lambda path: 3000)),
                   Server(host.server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, 53), dns_server())]
        traffic = Traffic(host)
        traffic.start()
        report.equal("pings that come back at first", answered(host), 3)
        with chromium.Browser(host.server) as browser:
            started = time.monotonic()
            page = browser.open("http://127.0.0.1:8080/")
            note(f"the page stands after {time.monotonic() - started:.1f} s")
            check_connections(report, page)
            check_icmp(report, page)
            check_rules(report, page, host)
            report.equal("errors in the console", page.complaints(), [])
            check_refusal(report, page)
        traffic.stop()
        for server in servers:
            server.close()


main(test)
