# SPDX-License-Identifier: MIT
"""Who may ask what: no token, a wrong one, one that may only read, one that may do all; foreign Hosts and Origins; a token file that
is missing, empty or open to others; and what the audit log says of each change."""

import json
import os
import re
import subprocess

from harness import BIN, CLIENT4, SERVER4, Api, Host, Pipeline, main, note, wait_for

FOREIGN = "https://evil.example"


def routes(api, headers):
    """(method, path with every {name} filled in, scope) of the API document."""
    document = api.get("/openapi.json", headers=headers)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), re.sub(r"\{[^}]*\}", "0", path), operation.get("x-scope", "open")


def tokens(report, host, pipeline, remote):
    """Every route, from the client's host."""
    path = os.path.join(pipeline.state_dir, "api-token")
    report.equal("the token file is its owner's alone", oct(os.stat(path).st_mode & 0o777), "0o600")
    report.check("the log does not say the token", "correct-horse-battery" not in pipeline.log())
    admin = {"Authorization": f"Bearer {open(path).read().split()[0]}"}
    reader = {"Authorization": "Bearer the-wall-in-the-hall"}
    table = list(routes(remote, admin))
    report.check("the document names the scope of every route", len(table) > 30 and {scope for *_, scope in table} == {"open", "read", "admin"}, table)
    wrong = {"no token": [], "read for admin": [], "read": []}
    for method, target, scope in table:
        if scope == "open":
            continue
        status, headers, body = remote.request(method, target)
        if status != 401 or body["code"] != "token_needed" or not headers["WWW-Authenticate"].startswith("Bearer"):
            wrong["no token"].append((method, target, status))
        status, _, body = remote.request(method, target, headers=reader) if target != "/api/events" else (200, None, None)
        if (status == 403 and body["code"] == "scope") != (scope == "admin") or status == 401:
            wrong["read" if scope == "read" else "read for admin"].append((method, target, status))
    for what, found in wrong.items():
        report.equal(f"every route: {what}", found, [])
    report.equal("the page itself is open: it asks for the token", remote.request("GET", "/")[0], 200)
    report.equal("an unknown path tells nothing without a token", remote.request("GET", "/api/nothing")[0], 401)
    report.equal("the host itself needs none", pipeline.api.request("GET", "/api/stats")[0], 200)
    status, _, rule = remote.request("POST", "/api/filters", {"rule_type": "tcp", "dst_port": 9}, headers=admin)
    report.equal("an admin may change", status, 201)
    pipeline.api.request("DELETE", f"/api/filters/{rule['id']}")
    with open(os.path.join(pipeline.state_dir, "audit.jsonl"), encoding="utf-8") as file:
        audit = [json.loads(line) for line in file]
    report.equal("the audit log says who", [line["who"] for line in audit[-2:]], [CLIENT4, "127.0.0.1"])
    return admin


def guesses(report, remote, admin):
    answers = [remote.request("GET", "/api/stats", headers={"Authorization": f"Bearer guess-number-{n:08d}"})[0] for n in range(12)]
    report.equal("ten wrong tokens are refused, then none is looked at", answers, [401] * 10 + [429] * 2)
    status, headers, body = remote.request("GET", "/api/stats", headers=admin)
    report.check("not even the right one, from that address", status == 429 and body["code"] == "too_many_failures" and headers["Retry-After"], status)


def browsers(report, api):
    for name in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example"):
        status, _, body = api.request("GET", "/api/stats", headers={"Host": name})
        report.check(f"Host {name} gets 403", status == 403 and body["code"] == "bad_host", status)
    status, headers, _ = api.request("GET", "/api/stats", headers={"Origin": FOREIGN})
    report.check("a foreign Origin gets no CORS header", status == 200 and not [name for name in headers if name.lower().startswith("access-control")], headers)
    status, headers, _ = api.request("OPTIONS", "/api/filters", headers={"Origin": FOREIGN, "Access-Control-Request-Method": "POST"})
    report.check("not for the preflight either", status == 204 and not [name for name in headers if name.lower().startswith("access-control")], headers)
    status, _, body = api.request("POST", "/api/filters", {"rule_type": "tcp"}, headers={"Origin": FOREIGN})
    report.check("and changes nothing", status == 403 and body["code"] == "bad_origin" and api.get("/api/filters") == [], status)
    report.equal("our own page may", api.request("POST", "/api/filters/preview", headers={"Origin": "http://127.0.0.1:8080", "Host": "127.0.0.1:8080"})[0], 400)


def gateway(host, pipeline, *args):
    """Starts a second gateway that should refuse to; returns its status and its last line."""
    command = host.server.command(os.path.join(BIN, "packetscope-gateway"), "--api", "127.0.0.1:8099", "--require-token", *pipeline.paths(), *args)
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=pipeline.environment())
    return done.returncode, (done.stderr + done.stdout).strip()


def token_files(report, host, pipeline):
    path = os.path.join(pipeline.state_dir, "api-token")
    with open(path, encoding="utf-8") as file:
        good = file.read()
    cases = (("empty", "", 0o600, "There is no API token in"), ("only a comment", "# soon\n", 0o600, "There is no API token in"),
             ("too short", "secret\n", 0o600, "16 to 256 characters"), ("open to others", good, 0o644, "chmod 600"))
    for what, text, mode, says in cases:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        status, line = gateway(host, pipeline)
        report.check(f"a token file that is {what} stops the start, and the log says what to do", status == 1 and says in line and path in line, f"{status} {line}")
    os.unlink(path)
    os.mkdir(path)
    status, line = gateway(host, pipeline)
    report.check("one that cannot be read too", status == 1 and path in line, f"{status} {line}")
    os.rmdir(path)
    command = host.server.command(os.path.join(BIN, "packetscope-gateway"), "--api", "127.0.0.1:8099", "--require-token", *pipeline.paths())
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=pipeline.environment())
    try:
        line = process.stderr.readline()
        with open(path, encoding="utf-8") as file:
            made = file.read().strip()
        report.check("where there is none one is made, and the log says where", path in line and made not in line and len(made) == 64, line)
        report.equal("for its owner alone", oct(os.stat(path).st_mode & 0o777), "0o600")
    finally:
        process.terminate()
        process.wait(5)


def test(report):
    with Host("psac") as host:
        pipeline = Pipeline(host.server, "ps0", ["--api", ":8080"])
        os.makedirs(pipeline.state_dir)
        path = os.path.join(pipeline.state_dir, "api-token")
        with open(path, "w", encoding="utf-8") as file:
            file.write("correct-horse-battery admin\nthe-wall-in-the-hall read\n")
        os.chmod(path, 0o600)
        with pipeline:
            remote = Api(host.client, SERVER4)
            admin = tokens(report, host, pipeline, remote)
            browsers(report, pipeline.api)
            guesses(report, remote, admin)
            wait_for("nothing more", lambda: True)
            note("a second gateway with unfit token files")
            token_files(report, host, pipeline)


if __name__ == "__main__":
    main(test)
