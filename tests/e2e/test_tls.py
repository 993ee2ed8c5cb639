# SPDX-License-Identifier: MIT
"""HTTPS: the whole of the gateway behind a certificate, event streams too; certificates that do not fit stop the start."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import time

from harness import BIN, Host, Pipeline, main, need, note, run, wait_for


class Https(Pipeline):
    """The pipeline behind a certificate that nobody signed but itself."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cert, self.key = os.path.join(self.directory, "cert.pem"), os.path.join(self.directory, "key.pem")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", self.key, "-out", self.cert)
        os.chmod(self.key, 0o600)
        self.args += ["--tls-cert", self.cert, "--tls-key", self.key]
        self.context = ssl.create_default_context(cafile=self.cert)

    def connect(self, **kwargs):
        with self.ns.entered():
            sock = socket.create_connection(("127.0.0.1", 8080), timeout=10)
        return self.context.wrap_socket(sock, server_hostname="localhost", **kwargs)

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPSConnection("localhost", 8080, context=self.context)
        connection.sock = self.connect()
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def ready(self, seconds=15):
        def well():
            if self.process.poll() is not None:
                raise RuntimeError(f"packetscope up ended with status {self.process.returncode}")
            try:
                return self.request("GET", "/api/health")[0] == 200
            except OSError:
                return False

        wait_for("the pipeline is ready", well, seconds)


def refused(report, pipeline, what, cert, key, says):
    command = pipeline.ns.command(os.path.join(BIN, "packetscope-gateway"), "--api", "127.0.0.1:8099", *pipeline.paths(), "--tls-cert", cert, "--tls-key", key)
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=pipeline.environment())
    report.check(f"{what} stops the start and says why", done.returncode == 2 and says in done.stderr, f"{done.returncode} {done.stderr}")


def test(report):
    need("openssl")
    with Host("pstl") as host, Https(host.server, "ps0") as pipeline:
        with pipeline.connect() as sock:
            note(f"{sock.version()} {sock.cipher()[0]}")
            report.check("TLS 1.2 or 1.3", sock.version() in ("TLSv1.2", "TLSv1.3"), sock.version())
        status, _, body = pipeline.request("POST", "/api/filters", {"rule_type": "tcp", "dst_port": 9}, {"Origin": "https://localhost:8080", "Host": "localhost:8080"})
        report.equal("our own page may change rules", status, 201)
        status, headers, body = pipeline.request("GET", "/api/connections?format=ndjson", headers={"Accept-Encoding": "gzip"})
        report.equal("streamed answers too", status, 200)
        with pipeline.connect() as sock:
            sock.sendall(b"GET /api/events?topics=rule HTTP/1.1\r\nHost: localhost\r\n\r\n")
            text = b""
            while b"retry:" not in text:
                text += sock.recv(4096)
            rule = json.loads(pipeline.request("GET", "/api/filters")[2])[0]
            pipeline.request("PATCH", f"/api/filters/{rule['id']}", {"comment": "x"})
            while b"event: rule" not in text:
                text += sock.recv(4096)
            while b'"action":"update"' not in text:
                text += sock.recv(4096)
            report.check("events arrive", b"event: rule" in text, text)
        with pipeline.ns.connect("127.0.0.1", 8080) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            report.check("plain HTTP gets no answer of ours", not sock.recv(4096).startswith(b"HTTP/"))
        listed = json.loads(pipeline.cli("filters", "list", "--json", "--tls-cert", pipeline.cert))
        report.equal("the command line reaches it", [found["id"] for found in listed], [rule["id"]])
        report.check("and packetscope up itself", "not ready" not in pipeline.log(), pipeline.log())
        silent = [pipeline.ns.connect("127.0.0.1", 8080) for _ in range(5)]
        begin = time.monotonic()
        for sock in silent:
            sock.settimeout(20)
            while sock.recv(4096):
                pass
        report.check("who never begins the handshake is closed within 15 s", time.monotonic() - begin < 15, f"{time.monotonic() - begin:.1f} s")
        health = pipeline.ns.command(os.path.join(BIN, "packetscope-gateway"), "--health", "--tls-cert", pipeline.cert, "--tls-key", pipeline.key)
        report.equal("--health asks it", subprocess.run(health, capture_output=True, text=True, env=pipeline.environment()).stdout, "ok\n")
        refused(report, pipeline, "a certificate without its key", pipeline.cert, "", "give --tls-cert and --tls-key")
        refused(report, pipeline, "a file that is not there", "/nowhere/cert.pem", pipeline.key, "/nowhere/cert.pem")
        refused(report, pipeline, "a file that is no certificate", "/etc/hostname", pipeline.key, "no PEM")
        refused(report, pipeline, "a key in place of the certificate", pipeline.key, pipeline.key, "belong together")
        os.chmod(pipeline.key, 0o644)
        refused(report, pipeline, "a key that others may read", pipeline.cert, pipeline.key, "chmod o=")


if __name__ == "__main__":
    main(test)
