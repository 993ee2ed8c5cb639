# SPDX-License-Identifier: MIT
"""The web page in a real browser against a live pipeline, view by view: rows move, a rule made there stops what its preview named, a
shadow rule is promoted, an unconfirmed one rolls back, a proposal is accepted and another rejected, and the page lives on through
a restart of the gateway. Pictures are left in build/screenshots/; axe-core looks for what shuts people out."""

import json
import os
import signal
import socket
import threading
import time

import accessibility
import browser as chromium
import llm
from harness import BUILD, CLIENT4, SERVER4, Host, Pipeline, main, need, note, skip, wait_for
from lab import Server, dns_query, dns_server, http_get, http_server

SHOTS = os.path.join(BUILD, "screenshots")
DNS_PORT, CLOSED_PORT, TCP_PORT = 53999, 9, 8090
TABLE = "[...document.querySelectorAll('#%s .tbody .tr')].find((tr) => %s)"
RULE = "[...document.querySelectorAll('#rule-table tbody tr')].find((tr) => tr.textContent.includes(%s))"


class Traffic(threading.Thread):
    """A DNS client that never stops asking from one port, a web client, and one that knocks at a closed port."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.host = host
        self.stopping = threading.Event()

    def run(self):
        number = 0
        with self.host.client.datagrams(SERVER4) as sock, self.host.client.datagrams(SERVER4) as closed:
            sock.bind(("", DNS_PORT))  # a port that only begins like 53
            sock.settimeout(0.3)
            while not self.stopping.wait(0.1):
                try:
                    sock.sendto(dns_query("page.example.test", number % 65536), (SERVER4, 53))
                    sock.recv(512)
                    if number % 10 == 0:
                        http_get(self.host.client, SERVER4, 80, "/")
                        closed.sendto(b"anybody there?", (SERVER4, CLOSED_PORT))
                except OSError:
                    pass  # a rule of the test is in the way
                number += 1

    def stop(self):
        self.stopping.set()
        self.join()


def scan(host):
    """Knocks at many ports, for the detectors."""
    for port in range(1000, 1400):
        try:
            host.client.connect(SERVER4, port, timeout=0.2).close()
        except OSError:
            pass


def answered(host, count=3):
    """How many of so many pings come back."""
    out = host.client.run("ping", "-n", "-c", str(count), "-i", "0.05", "-W", "1", SERVER4, check=False)
    return int(out.split(" received")[0].rsplit(" ", 1)[1])


class Walk:
    """What the checks of one view have in common."""

    def __init__(self, report, page, host, axe):
        self.report, self.page, self.host, self.axe = report, page, host, axe

    def go(self, view):
        self.page.click(f"#nav-{view}")
        self.page.wait(f"!!document.querySelector('#view-{view}')")

    def done(self, name):
        """Picture and accessibility of what is shown now."""
        self.page.screenshot(os.path.join(SHOTS, f"{name}.png"))
        if self.axe:
            self.report.equal(f"{name}: serious violations that axe-core sees", accessibility.violations(self.page, self.axe), [])

    def number(self, where):
        text = self.page.evaluate(f"({where})?.textContent ?? ''")
        digits = "".join(char for char in text if char.isdigit())
        return int(digits) if digits else -1

    def grows(self, where):
        first = self.number(where)
        try:
            return wait_for("growth", lambda: self.number(where) > first >= 0, 8, 0.2)
        except TimeoutError:
            return False

    def rule(self, fields, enabled=True):
        """Opens the form of a new rule and fills it in."""
        self.go("rules")
        self.page.click("#rule-new")
        self.page.wait("!!document.querySelector('#rule-dialog[open]')")
        for name, text in fields.items():
            self.page.fill(f"#rule-form [name={name}]", text)
        if enabled:
            self.page.click("#rule-form [name=enabled]")

    def create(self, comment):
        """Submits it; the row that it got, as an expression."""
        self.page.click("#rule-form [type=submit]")
        self.page.wait("!document.querySelector('#rule-dialog')")
        row = RULE % json.dumps(comment)
        self.page.wait(f"!!({row})")
        return row

    def press_in(self, row, selector):
        self.page.evaluate(f"({row}).querySelector({json.dumps(selector)}).click()")

    def delete(self, row):
        self.press_in(row, "button.delete")
        self.page.wait("!!document.querySelector('#ask-dialog[open]')")
        self.page.click("#ask-yes")
        self.page.wait(f"!({row})")


def overview(walk):
    walk.page.wait("document.querySelectorAll('#flows svg .node').length >= 3", 15)
    walk.report.check("the flow diagram has originator, service and responder", True)
    walk.page.wait(f"document.querySelector('#talkers')?.textContent.includes('{CLIENT4}')")
    walk.report.check("the client is among the top talkers", True)
    walk.report.check("packets in all go up", walk.grows("document.querySelector('#tile-packets .note')"))
    drawn = """(() => { const c = document.querySelector('#plot-packets canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
        for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; })()"""
    walk.report.check("the plots are drawn", walk.page.evaluate(drawn) > 500)
    walk.done("overview")


def connections(walk):
    page, report = walk.page, walk.report
    walk.go("connections")
    dns = TABLE % ("conn-table", r"/:53(?!\d)/.test(tr.textContent)")
    http = TABLE % ("conn-table", "tr.textContent.includes(':80')")
    page.wait(f"!!({dns})")
    page.wait(f"!!({http})")
    report.check("the DNS connection and the HTTP connections have rows", True)
    report.check("packets from the client go up", walk.grows(f"({dns}).querySelector('.opk')"))
    report.check("packets from the server go up", walk.grows(f"({dns}).querySelector('.rpk')"))
    walk.done("connections")
    page.press("/")
    page.wait("document.activeElement.id === 'q'")
    page.fill("#q", ":53")
    page.wait(f"!({http}) && !!({dns})")
    report.check("the filter leaves only what it names",
                 page.evaluate(f"![...document.querySelectorAll('#conn-table .tbody .tr')].some((tr) => !/:53(?!\\d)/.test(tr.textContent))"))
    page.fill("#q", "")
    page.wait(f"!!({http})")
    page.evaluate(f"({http}).click()")
    page.wait("!!document.querySelector('#details .sides')")
    text = page.evaluate("document.querySelector('#details').textContent")
    report.check("details: both directions, round-trip time, retransmissions, history in words",
                 all(word in text for word in ("Originator", "Responder", "smoothed RTT", "Retransmitted", "asks for a connection")), text)
    walk.done("connection")
    page.fill("#q", "8")  # what is typed while the details are open outlives them
    page.wait(f"!!({http})")
    page.evaluate("document.activeElement.blur()")  # in a search box Escape empties it
    page.press("Escape")
    page.wait("!document.querySelector('#details')")
    report.equal("Escape closes the details and leaves the filter", page.evaluate("document.querySelector('#q').value"), "8")
    page.fill("#q", "")
    page.wait(f"!!({dns}) && !!({http})")
    page.evaluate("document.querySelector('#conn-table').focus()")
    page.press("ArrowDown")
    page.press("Enter")
    page.wait("!!document.querySelector('#details')")
    report.check("arrow and Enter open a row", True)
    page.press("Escape")
    page.wait("!document.querySelector('#details')")  # the table takes its place, and the headers move
    page.click("#conn-table .th.ob button")
    page.wait("document.querySelector('#conn-table .th.ob').getAttribute('aria-sort') === 'descending'")
    report.check("a click on a header sorts", True)


def icmp(walk):
    page = walk.page
    walk.go("icmp")
    row = TABLE % ("icmp-table", "tr.textContent.includes('Destination unreachable')")
    page.wait(f"!!({row})")
    page.wait(f"!!({TABLE % ('icmp-table', 'tr.textContent.includes(`Echo request`)')})")
    walk.report.check("pings and errors have rows", True)
    page.evaluate(f"({row}).click()")
    page.wait("!!document.querySelector('#icmp-details .packet')")
    quoted = page.evaluate("document.querySelector('#icmp-details .packet').textContent")
    walk.report.check("the quoted packet is shown", "UDP" in quoted and f"{SERVER4}:{CLOSED_PORT}" in quoted, quoted)
    walk.done("icmp")
    page.press("Escape")
    page.wait("!document.querySelector('#icmp-details')")
    walk.report.check("Escape closes the details", True)


def rule_stops_ping(walk):
    page, report = walk.page, walk.report
    walk.rule({"rule_type": "icmp", "icmp_type": "8", "comment": "no pings"})
    page.wait("document.querySelector('#rule-preview').dataset.state === 'known'")
    walk.done("new-rule")
    row = walk.create("no pings")
    report.equal("pings that come back", answered(walk.host), 0)
    hits = wait_for("the hits", lambda: max(walk.number(f"({row}).querySelector('.hits')"), 0), 8, 0.2)
    report.equal("hits shown", hits, 3)
    walk.done("rules")
    walk.press_in(row, ".switch")
    wait_for("switched off", lambda: answered(walk.host, 1), 5)
    report.equal("switched off: pings that come back", answered(walk.host), 3)
    walk.delete(row)
    report.check("the deleted rule's row is gone", True)


def preview_names(walk):
    page, report = walk.page, walk.report
    walk.rule({"rule_type": "udp", "dst_port": "53", "comment": "no DNS"})
    page.wait(f"document.querySelector('#preview-connections')?.textContent.includes(':{DNS_PORT} -> {SERVER4}:53')")
    report.check("the preview names the connection", True)
    report.check("and counts it as newly dropped", walk.number("document.querySelector('#rule-preview .impact-live')") >= 1)
    page.screenshot(os.path.join(SHOTS, "preview.png"))
    row = walk.create("no DNS")
    before = walk.number(f"({row}).querySelector('.hits')")
    wait_for("the rule bites", lambda: walk.number(f"({row}).querySelector('.hits')") > max(before, 0), 8, 0.2)
    report.check("and the rule hits it", True)
    walk.delete(row)


def shadow_and_promote(walk):
    walk.rule({"rule_type": "icmp", "icmp_type": "8", "mode": "shadow", "comment": "maybe no pings"})
    row = walk.create("maybe no pings")
    walk.report.equal("shadow: pings that come back", answered(walk.host), 3)
    hits = wait_for("the shadow's hits", lambda: max(walk.number(f"({row}).querySelector('.hits')"), 0), 8, 0.2)
    walk.report.equal("shadow: hits counted all the same", hits, 3)
    walk.press_in(row, "button.promote")
    walk.page.wait(f"!!({row}) && !({row}).querySelector('button.promote')")
    walk.report.equal("promoted: pings that come back", answered(walk.host), 0)
    walk.delete(row)


def confirm_rolls_back(walk):
    page, report = walk.page, walk.report
    walk.rule({"rule_type": "icmp", "icmp_type": "8", "comment": "for a moment"})
    # the shortest choice is 30 s; the test has no time for that
    page.evaluate("(() => { const s = document.querySelector('#rule-form [name=confirm_within]'); const o = new Option('4 s', '4');"
                  "s.add(o); s.value = '4'; s.dispatchEvent(new Event('change', {bubbles: true})); })()")
    row = walk.create("for a moment")
    page.wait("!!document.querySelector('#pending .countdown')")
    report.equal("until it is confirmed, pings that come back", answered(walk.host, 1), 0)
    first = walk.number("document.querySelector('#pending .countdown')")
    wait_for("the countdown", lambda: walk.number("document.querySelector('#pending .countdown')") < first, 4)
    walk.done("confirm")
    page.wait(f"!({row}) || ({row}).dataset.off === 'true'", 10)
    report.equal("rolled back: pings that come back", answered(walk.host), 3)
    page.wait("!document.querySelector('#pending')")
    if page.evaluate(f"!!({row})"):
        walk.delete(row)


def edit(walk):
    page = walk.page
    walk.rule({"rule_type": "tcp", "dst_port": str(TCP_PORT), "comment": "to be edited"}, enabled=False)
    row = walk.create("to be edited")
    walk.press_in(row, "button.edit")
    page.wait("!!document.querySelector('#rule-dialog[open]')")
    page.fill("#rule-form [name=dst_port]", "8000-8100")
    page.click("#rule-form [type=submit]")
    page.wait("!document.querySelector('#rule-dialog')")
    page.wait(f"({row})?.textContent.includes('8000-8100')")
    walk.report.check("an edited rule shows its new ports", True)
    walk.delete(row)


def import_rules(walk):
    page = walk.page
    walk.go("rules")
    page.click("#rule-import")
    page.wait("!!document.querySelector('#import-dialog[open]')")  # which takes the focus
    page.fill("#import-text", "203.0.113.0/24\n198.51.100.7 # one\n")
    walk.done("import")
    page.click("#import-go")
    for text in ("203.0.113.0/24", "198.51.100.7"):
        row = RULE % json.dumps(text)
        page.wait(f"!!({row})")
        walk.delete(row)
    walk.report.check("an imported list becomes rules", True)


def findings(walk):
    page = walk.page
    walk.go("findings")
    page.wait("document.querySelectorAll('#finding-list .finding').length > 0", 40)
    text = page.evaluate("document.querySelector('#finding-list').textContent")
    walk.report.check("the port scan is found", "scan" in text.lower(), text)
    page.click("#finding-list .finding button[aria-expanded]")
    page.wait("!!document.querySelector('.finding-body')")
    walk.report.check("with the connections behind it", page.evaluate("document.querySelectorAll('.finding-body .chips a').length") > 0)
    walk.done("findings")


def assistant(walk):
    page, report = walk.page, walk.report
    walk.go("assistant")
    page.wait("!!document.querySelector('#ai-config')")
    page.fill("#ai-config [name=api_key]", "sk-test-never-shown")
    page.fill("#ai-config [name=model]", "some-model")
    page.click("#ai-config [type=submit]")
    page.wait("document.querySelector('#ai-config [name=api_key]').placeholder.startsWith('set')")
    report.check("the key is kept and not shown", page.evaluate("!document.documentElement.innerHTML.includes('sk-test-never-shown')"
                 " && document.querySelector('#ai-config [name=api_key]').value === ''"))
    page.click("#ai-generate")
    page.wait("!!document.querySelector('#ai-proposals')", 40)
    cards = page.evaluate("document.querySelectorAll('.proposal-card').length")
    report.check("rules are proposed", cards >= 1, f"{cards}")
    report.check("each with its impact", page.evaluate("[...document.querySelectorAll('.proposal-card')].every((c) => c.querySelector('.impact'))"))
    walk.done("assistant")
    rules = "fetch('/api/filters').then((r) => r.json())"
    before = len(page.evaluate(rules))
    page.click(".proposal-card .reject")
    page.wait("document.querySelector('.proposal-card').dataset.state === 'rejected'")
    report.equal("a rejected proposal is no rule", len(page.evaluate(rules)), before)
    page.click("#ai-generate")
    page.wait("document.querySelectorAll('.proposal-card').length > 0 && !document.querySelector('.proposal-card[data-state]')", 40)
    page.click(".proposal-card .accept-shadow")
    page.wait("document.querySelector('.proposal-card').dataset.state === 'accepted as shadow'")
    after = page.evaluate(rules)
    report.equal("an accepted one is", len(after), before + 1)
    report.check("from the AI worker or a detector, as shadow", after[-1]["source"] in ("ai", "detector") and after[-1]["mode"] == "shadow", after[-1])


def jobs_by_stream(walk, model):
    """A model that takes its time: the stream tells how far it is, so the page asks when it begins and when it has ended, not in between."""
    page = walk.page
    settings = {"openai_endpoint": model.url, "model": "slow", "timeout": 30}
    page.evaluate(f"fetch('/api/ai/config', {{method: 'POST', body: JSON.stringify({json.dumps(settings)})}}).then((r) => r.status)")
    page.browser.drain()
    before = len(page.browser.events)
    page.click("#ai-analyze")
    page.wait("document.querySelector('.progress')?.textContent.includes('asking slow')", 10)
    walk.report.check("a job's stage is shown", True)
    page.wait("document.querySelector('#ai-analysis')?.textContent.includes('the slow model says so')", 30)
    page.browser.drain()
    asked = [event["params"]["request"]["url"] for event in page.browser.events[before:] if event["method"] == "Network.requestWillBeSent"]
    walk.report.check("for a job that the stream tells of the page asks twice at most", 1 <= sum("/api/ai/jobs/" in url for url in asked) <= 2, asked)


def events(walk):
    page = walk.page
    walk.go("events")
    page.wait("document.querySelectorAll('#event-lines li').length > 3", 15)
    walk.report.check("connections begin before one's eyes", "conn.new" in page.evaluate("document.querySelector('#event-lines').textContent"))
    rule = {"rule_type": "udp", "dst_port": CLOSED_PORT, "mode": "shadow", "enabled": True, "priority": 1}  # before the one accepted as shadow
    number = page.evaluate(f"fetch('/api/filters', {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: JSON.stringify({json.dumps(rule)})}})"
                           ".then((r) => r.json()).then((r) => r.id)")
    line = f"[...document.querySelectorAll('#event-lines li')].find((li) => li.textContent.includes('dropped by rule {number}: udp {CLIENT4}:'))"
    page.wait(f"!!({line})", 10)
    told = page.evaluate(f"[({line}).querySelector('.badge').textContent, ({line}).querySelector('.badge').dataset.kind, ({line}).textContent]")
    walk.report.check("what a shadow rule would drop is told as that", told[:2] == ["would drop", "shadow"] and "would be dropped by" in told[2], told)
    walk.done("events")
    page.evaluate(f"fetch('/api/filters/{number}', {{method: 'DELETE'}}).then((r) => r.status)")


def health(walk):
    page = walk.page
    walk.go("health")
    page.wait("document.querySelectorAll('.parts-list li[data-state=ok]').length >= 4")
    page.wait("document.querySelector('#ledger')?.textContent.includes('conn.new')")
    walk.report.check("every part is well, and the ledger is there", True)
    page.wait("document.querySelector('#link').dataset.state === 'live'")
    walk.report.check("figures come by the stream", True)
    walk.done("health")


def looks(walk):
    """Light, narrow: pictures, contrast, nothing wider than the screen."""
    page = walk.page
    page.prefer("light")
    for view in ("overview", "connections", "rules", "health"):
        walk.go(view)
        time.sleep(0.4)
        walk.done(f"{view}-light")
    page.size(390, 844)
    for view in ("overview", "connections", "icmp", "rules", "findings", "assistant", "events", "health"):
        walk.go(view)
        time.sleep(0.4)
        wide = page.evaluate("Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth)")
        walk.report.check(f"{view}: fits into 390 pixels", wide <= 390, f"{wide} pixels wide")
        walk.done(f"{view}-narrow")
    page.size(1440, 900)
    page.prefer("dark")


def survives_restart(walk, pipeline):
    """The browser itself writes failed requests into its console, so from here on only exceptions count."""
    page, report = walk.page, walk.report
    walk.go("overview")
    was = pipeline.part_pid("gateway")
    os.kill(was, signal.SIGKILL)
    page.wait("document.querySelector('#link').dataset.state !== 'live'")
    report.check("the page says that the stream was lost", True)
    wait_for("another gateway", lambda: pipeline.part_pid("gateway") not in (None, was), 15)
    page.wait("document.querySelector('#link').dataset.state === 'live'", 20)
    report.check("and is live again after a restart of the gateway", walk.grows("document.querySelector('#tile-packets .note')"))


def refusal(walk):
    page = walk.page
    walk.rule({"rule_type": "tcp", "dst_port": "70000"}, enabled=False)
    page.click("#rule-form [type=submit]")
    page.wait("!!document.querySelector('#rule-error')")
    walk.report.equal("the field that is wrong is marked", page.evaluate("document.querySelector('#rule-form [aria-invalid]')?.name"), "dst_port")
    page.click("#rule-cancel")
    page.wait("!document.querySelector('#rule-dialog')")  # which gives the focus back


def lockout(walk):
    """A protected network: the refusal is shown with its reason, and can be overruled."""
    page = walk.page
    walk.go("rules")
    page.fill(".protected [name=cidr]", f"{CLIENT4}/32")
    page.click(".protected [type=submit]")
    page.wait("!!document.querySelector('.protected .chips button')")
    walk.rule({"rule_type": "basic", "src_ip": CLIENT4, "comment": "cuts it off"})
    page.wait("!!document.querySelector('#rule-preview .guard')")
    walk.report.check("the preview warns of a protected network", True)
    page.click("#rule-form [type=submit]")
    page.wait("!!document.querySelector('#rule-force')")
    walk.report.check("and the rule is refused", CLIENT4 in page.evaluate("document.querySelector('#rule-error').textContent"))
    page.screenshot(os.path.join(SHOTS, "lockout.png"))
    page.click("#rule-force")
    page.wait("!document.querySelector('#rule-dialog')")
    row = RULE % json.dumps("cuts it off")
    page.wait(f"!!({row})")
    walk.report.equal("unless it is forced: pings that come back", answered(walk.host, 1), 0)
    walk.delete(row)
    page.click(".protected .chips button")
    page.wait("!document.querySelector('.protected .chips button')")


def test(report):
    need("ping", "ethtool")
    if not chromium.find():
        skip("no Chromium on this machine (packaging/setup.sh test, where the release has the package)")
    axe = accessibility.source()
    with Host() as host, Pipeline(host.server, "ps0") as pipeline:
        servers = [Server(host.server.listen(socket.AF_INET, socket.SOCK_STREAM, SERVER4, 80), http_server(lambda path: 3000)),
                   Server(host.server.listen(socket.AF_INET, socket.SOCK_DGRAM, SERVER4, 53), dns_server())]
        model = llm.Llm(host.server)
        model.behaviour = llm.slow(2.5, llm.answers(lambda _: {"summary": "", "analysis": "the slow model says so", "suggestions": [], "filters": []}))
        traffic = Traffic(host)
        traffic.start()
        report.equal("pings that come back at first", answered(host), 3)
        scan(host)
        with chromium.Browser(host.server, 1440, 900) as browser:
            started = time.monotonic()
            page = browser.open("http://127.0.0.1:8080/")
            page.prefer("dark")
            note(f"the page stands after {time.monotonic() - started:.1f} s")
            walk = Walk(report, page, host, axe)

            def step(view, *args):
                try:
                    view(walk, *args)
                except BaseException:
                    page.screenshot(os.path.join(SHOTS, "failed.png"))
                    raise

            for view in (overview, connections, icmp, rule_stops_ping, preview_names, shadow_and_promote, confirm_rolls_back, edit,
                         import_rules, findings, assistant):
                step(view)
            step(jobs_by_stream, model)
            for view in (events, health, looks):
                step(view)
            report.equal("requests that left for another host", [
                event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent" and
                not event["params"]["request"]["url"].startswith(("http://127.0.0.1:8080/", "data:", "blob:"))], [])
            report.equal("errors in the console", page.complaints(), [])
            step(refusal)
            step(lockout)
            step(survives_restart, pipeline)
            report.equal("exceptions", [text for text in page.complaints() if "Failed to load resource" not in text and "ERR_" not in text], [])
        traffic.stop()
        model.close()
        for server in servers:
            server.close()


main(test)
