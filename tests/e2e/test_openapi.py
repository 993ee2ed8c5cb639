# SPDX-License-Identifier: MIT
"""The API document against the program: every route is asked so that it succeeds and so that it fails, and each answer must be one
that the document promises. Then every route is asked nonsense for a while (PS_FUZZ_SECONDS): nothing may crash, and no answer may
say that the fault was ours."""

import gzip
import http.client
import json
import os
import random
import re
import socket
import time
import urllib.parse

from harness import CLIENT4, SERVER4, Host, Pipeline, main, note, skip, wait_for
from lab import Server

SECONDS = float(os.environ.get("PS_FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("PS_FUZZ_SEED", str(int(time.time()))))
UNPLANNED = {500, 501, 502, 504}
RULE = {"rule_type": "tcp", "dst_port": 9, "comment": "of the document's test"}


class Document:
    def __init__(self, api):
        import jsonschema

        self.text = api.get("/openapi.json")
        self.validator = jsonschema.validators.Draft202012Validator
        self.paths = self.text["paths"]
        for schema in self.text["components"]["schemas"].values():
            self.validator.check_schema(schema)

    def operations(self):
        return [(path, method) for path, methods in self.paths.items() for method in methods]

    def errors(self, schema, value):
        whole = {**schema, "components": self.text["components"]}
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}"[:200] for error in self.validator(whole).iter_errors(value)]

    def judge(self, path, method, status, headers, body):
        """What is wrong with an answer, as a list of sentences."""
        answers = self.paths[path][method]["responses"]
        answer = answers.get(str(status)) or (answers["default"] if status >= 400 else None)
        if answer is None:
            return [f"status {status} is not documented"]
        kind = headers.get("Content-Type", "").split(";")[0]
        content = answer.get("content", {})
        if not content:
            return [] if not body else [f"{status} should have no body"]
        if kind not in content and "*/*" not in content:
            return [f"{status} has type {kind!r}, documented are {list(content)}"]
        schema = content.get(kind, content.get("*/*"))["schema"]
        return self.errors(schema, body) if is_json(kind) else []


class Asker:
    """Asks, has the answer judged, and remembers which routes succeeded and failed."""

    def __init__(self, report, document, api):
        self.report, self.document, self.api = report, document, api
        self.succeeded, self.failed = set(), set()

    def __call__(self, method, target, body=None, expect=200, headers=None, path=None, raw=None):
        path = path or self.path_of(method.lower(), target.split("?")[0])
        status, answered, got = ask(self.api, method, target, body if raw is None else raw, headers, raw is None)
        wrong = self.document.judge(path, method.lower(), status, answered, got)
        self.report.check(f"{method} {target} answers {expect} as documented", status == expect and not wrong, f"{status} {wrong} {str(got)[:300]}")
        (self.succeeded if status < 400 else self.failed).add((path, method.lower()))
        return got

    def path_of(self, method, target):
        fits = [path for path, methods in self.document.paths.items()
                if method in methods and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", path), target)]
        return min(fits, key=lambda path: path.count("{"))


def is_json(kind):
    return kind.split(";")[0] in ("application/json", "application/problem+json")


def ask(api, method, target, body=None, headers=None, encode=True, timeout=30):
    """Status, headers and body; of an endless answer the head alone."""
    connection = http.client.HTTPConnection(api.host, api.port, timeout=timeout)
    with api.ns.entered():
        connection.connect()
    try:
        data = body if body is None or not encode else json.dumps(body)
        connection.request(method, target, data, headers or {})
        answer = connection.getresponse()
        kind = answer.headers.get("Content-Type", "")
        if kind.startswith("text/event-stream"):
            return answer.status, answer.headers, ": "
        text = answer.read()
        if answer.headers.get("Content-Encoding") == "gzip":
            text = gzip.decompress(text)
        return answer.status, answer.headers, json.loads(text) if is_json(kind) and text else text.decode(errors="replace")
    finally:
        connection.close()


def every_route(report, asks, api):
    """Success and failure of each, in an order that makes sense."""
    asks("GET", "/")
    asset = re.search(r'(?:src|href)="/?(assets/[^"]+)"', api.get("/")).group(1)
    asks("GET", f"/{asset}")
    asks("GET", "/assets/nothing.js", expect=404)
    asks("GET", "/openapi.json")
    asks("GET", "/metrics")
    asks("GET", "/api/health")
    asks("GET", "/api/stats")
    asks("GET", "/api/icmp")
    asks("GET", "/api/icmp?limit=x", expect=400)
    asks("GET", "/api/top?by=packets&limit=3")
    asks("GET", "/api/top?by=colour", expect=400)
    connections = asks("GET", "/api/connections?limit=5&sort=first_seen&order=asc")
    asks("GET", "/api/connections?sort=nothing", expect=400)
    asks("GET", "/api/connections?colour=red", expect=400)
    asks("GET", f"/api/connections/{connections[0]['id']}")
    asks("GET", "/api/connections/0000000000000001", expect=404)
    asks("GET", "/api/connections/xyz", expect=400)
    asks("GET", "/api/events?topics=rule")
    asks("GET", "/api/events?topics=gossip", expect=400)
    rules(asks)
    ai(asks)


def rules(asks):
    asks("GET", "/api/filters")
    made = asks("POST", "/api/filters", RULE, 201)
    one = f"/api/filters/{made['id']}"
    asks("POST", "/api/filters", {"dst_port": -1}, 400)
    asks("POST", "/api/filters", raw="{", expect=400)
    asks("GET", one)
    asks("GET", "/api/filters/99999", expect=404)
    asks("GET", "/api/filters/x", expect=400)
    asks("PUT", one, {"comment": "put"})
    asks("PUT", "/api/filters/99999", {"comment": "put"}, 404)
    asks("PATCH", one, {"comment": "patched"})
    asks("PATCH", one, {"icmp_type": 8}, 400)
    for verb in ("enable", "disable"):
        asks("POST", f"{one}/{verb}")
        asks("POST", f"/api/filters/99999/{verb}", expect=404)
    asks("PUT", one, {"comment": "late"}, 412, {"If-Match": "nonsense"})
    asks("GET", "/api/filters/export")
    asks("GET", "/api/filters/export?format=list")
    asks("GET", "/api/filters/export?format=xml", expect=400)
    rest = asks("GET", "/api/filters")
    asks("DELETE", f"/api/filters/{rest[0]['id']}", expect=204)
    asks("DELETE", "/api/filters/99999", expect=404)


def rules_life(asks):
    """From a candidate to a set that was confirmed."""
    made = asks("POST", "/api/filters", RULE, 201)
    one = f"/api/filters/{made['id']}"
    asks("PATCH", one, {"comment": "late"}, 412, {"If-Match": '"999999"'})
    asks("POST", "/api/filters/preview", RULE)
    asks("POST", "/api/filters/preview", [RULE])
    asks("POST", "/api/filters/preview", {"dst_port": "x"}, 400)
    shadow = asks("POST", "/api/filters", {**RULE, "mode": "shadow", "enabled": True}, 201)
    asks("POST", f"/api/filters/{shadow['id']}/promote")
    asks("POST", "/api/filters/99999/promote", expect=404)
    tried = asks("POST", "/api/filters?confirm_within=60", {**RULE, "dst_port": 10, "enabled": True}, 201)
    asks("POST", f"/api/filters/{tried['id']}/confirm")
    asks("POST", "/api/filters/99999/confirm", expect=404)
    asks("PUT", "/api/filters?dry_run=1", [{**RULE, "dst_port": port} for port in (11, 12)])
    asks("PUT", "/api/filters?confirm_within=60", [{**RULE, "dst_port": port} for port in (11, 12)])
    asks("POST", "/api/filters/confirm", expect=200)
    asks("POST", "/api/filters/confirm", expect=409)
    asks("PUT", "/api/filters", [{"dst_port": "x"}], 400)
    asks("PUT", "/api/filters", {}, 400)
    asks("POST", "/api/filters/import?action=drop&enabled=0", raw="192.0.2.1\n198.51.100.0/24 # a network\n")
    asks("POST", "/api/filters/import", [RULE])
    asks("POST", "/api/filters/import", raw="192.0.2.300\n", expect=400)
    asks("GET", "/api/protected")
    asks("PUT", "/api/protected", ["203.0.113.0/24"])
    asks("PUT", "/api/protected", ["nowhere"], 400)
    asks("PUT", "/api/protected", [])


def ai(asks):
    question = {"include_tcp": True, "include_icmp": True, "include_stats": True}
    asks("GET", "/api/findings?limit=5")
    asks("GET", "/api/findings?limit=0", expect=400)
    asks("GET", "/api/ai/status")
    asks("GET", "/api/ai/config")
    asks("POST", "/api/ai/config", {"timeout": 60})
    asks("POST", "/api/ai/config", {"timeout": "soon"}, 400)
    asks("POST", "/api/ai/analyze", question)
    asks("POST", "/api/ai/analyze", raw="{", expect=400)
    asks("POST", "/api/ai/generate", {"analyze_type": "security", **question})
    asks("POST", "/api/ai/generate", {"analyze_type": "sorcery"}, 400)
    job = asks("POST", "/api/ai/generate?async=1", {"analyze_type": "balanced", **question}, 202)
    asks("GET", f"/api/ai/jobs/{job['job']}")
    asks("GET", "/api/ai/jobs/j-99999", expect=404)
    asks("DELETE", "/api/ai/jobs/j-99999", expect=404)
    asks("DELETE", f"/api/ai/jobs/{job['job']}", expect=204)


def every_route_fails(asks):
    """Those that can fail only as a whole: another method, a parameter or body that does not belong."""
    for path, method in asks.document.operations():
        if (path, method) in asks.failed:
            continue
        target = re.sub(r"\{[^}]*\}", "1", path)
        # A foreign Host is refused by every route, also by those that take anything.
        asks(method.upper(), target, expect=403, headers={"Host": "evil.example"}, path=path)


WORDS = ["", "0", "1", "-1", "any", "tcp", "udp", "ANY", "10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32", "65536", "255", "null", "true",
         "99999999999999999999999", "1e309", "%00", "%", "../../etc/passwd", "\u00e9", "\U0001f600", "a" * 300, "<script>", "'; drop table", "SYN|ACK",
         "8000-8100", "22,80,443", "1-", "9-1", "drop", "shadow", "asc", "last_seen", "\x7f", "{}", "[]"]
LEAVES = [None, True, False, 0, 1, -1, 255, 256, 65535, 65536, 2**31, 2**53, 2**63, -2**63, 2**64, 0.5, 1e300, *WORDS]


def value(draw, schema, document, depth=0):
    """Something that fits the schema, nearly."""
    if draw.random() < 0.15 or depth > 6:
        return draw.choice([*LEAVES, [], {}, [[[[]]]], {"a": {"b": []}}])
    if "$ref" in schema:
        schema = document.text["components"]["schemas"][schema["$ref"].split("/")[-1]]
    if "anyOf" in schema:
        return value(draw, draw.choice(schema["anyOf"]), document, depth + 1)
    if "enum" in schema:
        return draw.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        names = list(schema.get("properties", {}))
        chosen = draw.sample(names, draw.randint(0, min(len(names), 6)))
        made = {name: value(draw, schema["properties"][name], document, depth + 1) for name in chosen}
        if draw.random() < 0.1:
            made[draw.choice(WORDS)] = draw.choice(LEAVES)
        return made
    if kind == "array":
        return [value(draw, schema.get("items", {}), document, depth + 1) for _ in range(draw.choice([0, 1, 2, 40]))]
    if kind in ("integer", "number"):
        return draw.choice([0, 1, 22, 255, 256, 65535, 65536, -1, 2**32, 2**63, 0.5])
    return draw.choice(WORDS) if kind == "string" else draw.choice(LEAVES)


def nonsense(draw, document):
    """Method, target, headers, body of one request."""
    path, method = draw.choice(document.operations())
    operation = document.paths[path][method]
    target = re.sub(r"\{[^}]*\}", lambda _: urllib.parse.quote(draw.choice(["0", "1", "7", *WORDS]), safe="%") or "0", path)
    names = [p["name"] for p in operation["parameters"] if p["in"] == "query"] + ["limit", "x"]
    pairs = [f"{draw.choice(names)}={urllib.parse.quote(draw.choice(WORDS), safe='%')}" for _ in range(draw.choice([0, 0, 1, 2, 5]))]
    target += "?" + "&".join(pairs) if pairs else ""
    headers = {}
    for name in ("If-Match", "If-None-Match", "Accept", "Accept-Encoding", "Last-Event-ID", "Content-Type", "Range", "Expect"):
        if draw.random() < 0.08:
            headers[name] = draw.choice(['"1"', "*", "W/\"1\"", "gzip", "text/csv", "application/x-ndjson", "text/plain", "bytes=0-1", "0-1", "gzip;q=0", "x" * 200])
    body = None
    content = operation.get("requestBody", {}).get("content", {})
    if content and draw.random() < 0.9:
        schema = content.get("application/json", {"schema": {}})["schema"]
        text = json.dumps(value(draw, schema, document)).encode()
        if draw.random() < 0.1:
            at = draw.randrange(len(text) + 1)
            text = text[:at] + bytes([draw.randrange(256)]) + text[at + 1:]
        body = draw.choice([text] * 12 + [text[:len(text) // 2], b"", b"10.0.0.1\n#x\n10.0.0.0/8\n", os.urandom(40)])
    elif draw.random() < 0.1:
        body = os.urandom(draw.randrange(100))
    return path, method, target, headers, body


def fuzz(report, document, api, pipeline):
    draw, until = random.Random(SEED), time.monotonic() + SECONDS
    parts = {part: pipeline.part_pid(part) for part in ("gateway", "aggregator", "ai-worker", "collector")}
    statuses, bad, n = {}, [], 0
    while time.monotonic() < until:
        path, method, target, headers, body = nonsense(draw, document)
        if path in ("/api/ai/generate", "/api/ai/analyze") and draw.random() < 0.9:
            continue  # each of these takes a while
        n += 1
        try:
            status, answered, got = ask(api, method.upper(), target, body, headers, False)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not isinstance(error, http.client.InvalidURL) and "header" not in str(error):  # what this client does not even send
                bad.append(f"{method} {target} {body!r}: {error!r}")
            continue
        statuses[status] = statuses.get(status, 0) + 1
        wrong = document.judge(path, method, status, answered, got) if status not in (404, 405) else []
        if status in UNPLANNED or wrong:
            bad.append(f"{method} {target} {headers} {body!r}: {status} {wrong} {str(got)[:200]}")
    note(f"seed {SEED}: {n} requests, {', '.join(f'{count} x {status}' for status, count in sorted(statuses.items()))}")
    report.check("no nonsense gets an answer that is not documented, or that takes the blame", not bad, "\n       ".join(bad[:5]))
    report.equal("every part still runs, as the same process", {part: pipeline.part_pid(part) for part in parts}, parts)
    report.check("the log has no alarm", not re.search(r"Sanitizer|runtime error|segfault|assert", pipeline.log()), pipeline.log()[-2000:])


def test(report):
    try:
        import jsonschema
    except ImportError:
        skip("python3-jsonschema is not installed (packaging/setup.sh test)")
    if not hasattr(jsonschema.validators, "Draft202012Validator"):
        skip("this python3-jsonschema does not know JSON Schema 2020-12")
    with Host("psoa") as host, Pipeline(host.server, "ps0") as pipeline:
        server = Server(host.server.listen(socket.AF_INET, socket.SOCK_STREAM, SERVER4, 9000), lambda conn: conn.sendall(conn.recv(16)))
        with host.client.connect(SERVER4, 9000) as sock:
            sock.sendall(b"x")
            sock.recv(16)
        host.client.run("ping", "-n", "-c", "1", "-W", "1", SERVER4, check=False)
        wait_for("the connection", lambda: any(c["src_ip"] == CLIENT4 for c in pipeline.api.connections()))
        document = Document(pipeline.api)
        asks = Asker(report, document, pipeline.api)
        every_route(report, asks, pipeline.api)
        rules_life(asks)
        report.equal("every route was asked so that it succeeds", sorted(set(document.operations()) - asks.succeeded), [])
        every_route_fails(asks)
        report.equal("every route was asked so that it fails", sorted(set(document.operations()) - asks.failed), [])
        note(f"{len(document.operations())} routes")
        fuzz(report, document, pipeline.api, pipeline)
        server.close()


if __name__ == "__main__":
    main(test)
