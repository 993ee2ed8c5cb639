# SPDX-License-Identifier: MIT
"""`packetscope doctor`: what it finds on hosts that lack something, and the command that it names."""

import http.server
import json
import os
import socketserver
import subprocess
import tempfile
import threading

from harness import BIN, main


class Engine(socketserver.ThreadingUnixStreamServer):
    """What a Docker engine of that version says of itself (Docker Engine API, GET /version)."""

    daemon_threads = True

    def __init__(self, path, version):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps({"Version": version, "ApiVersion": "1.41"} if self.path == "/version" else {}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(path, Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def finding(name, **env):
    done = subprocess.run([os.path.join(BIN, "packetscope"), "doctor", "--iface", "lo", "--json"], env={**os.environ, **env},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    return next((f for f in json.loads(done.stdout)["findings"] if f["check"] == name), None)


def test(report):
    with tempfile.TemporaryDirectory(prefix="pse2e-doctor-") as directory:
        for version, health in (("20.10.24+dfsg1", "warn"), ("23.0.0", "ok"), ("28.2.2", "ok")):
            path = os.path.join(directory, version)
            with Engine(path, version) as engine:
                found = finding("docker", DOCKER_HOST=f"unix://{path}")
                engine.shutdown()
            report.check(f"Docker {version}: {health}", found and found["health"] == health and version in found["message"], found)
            if health == "warn":
                report.check("with what to set", all(word in found["remedy"] for word in ("PS_CAP1=SYS_ADMIN", "PS_CAP2=CAP_NET_ADMIN")), found)
        report.equal("no engine: not a word", finding("docker", DOCKER_HOST=f"unix://{directory}/none"), None)
    found = finding("interface")
    report.check("an interface that is there", found and found["health"] == "ok", found)


main(test)
