# SPDX-License-Identifier: MIT
"""An OpenAI-shaped server that answers as it is told: correctly, badly, slowly, or not at all.

    llm = Llm(ns)
    llm.behaviour = answers(lambda data: {"analysis": "…", "suggestions": [], "filters": []})
    … POST {"openai_endpoint": llm.url} to /api/ai/config …
    llm.requests[-1].body, llm.requests[-1].headers
"""

import contextlib
import json
import re
import socket
import threading
import time


class Request:
    """One call: headers (lower case), the body as JSON, and the data that the prompt holds."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.text = path, headers, body.decode()
        self.body = json.loads(body)
        self.system = self.body["messages"][0]["content"]
        self.user = self.body["messages"][1]["content"]
        found = re.search(r"<data>\n(.*)\n</data>", self.user, re.S)
        self.data = json.loads(found.group(1)) if found else {}

    def connections(self):
        """Rows of the connection table as dictionaries."""
        columns = self.data.get("connection_columns", [])
        return [dict(zip(columns, row)) for row in self.data.get("connections", [])]


class Llm:
    """Listens on 127.0.0.1 of a namespace. `behaviour(request, connection)` answers; requests are kept."""

    def __init__(self, ns, address="127.0.0.1", port=0, family=socket.AF_INET):
        self.sock = ns.listen(family, socket.SOCK_STREAM, address, port)
        self.port = self.sock.getsockname()[1]
        self.url = f"http://{address}:{self.port}/v1/chat/completions"
        self.requests = []
        self.behaviour = None
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError, ConnectionError):
            connection.settimeout(30)
            while True:
                request = self._read(connection)
                if request is None:
                    return
                with self.lock:
                    self.requests.append(request)
                if self.behaviour(request, connection) is False:
                    return

    @staticmethod
    def _read(connection):
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                return None
            head += part
        head, rest = head.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        while len(rest) < int(headers.get("content-length", 0)):
            rest += connection.recv(65536)
        return Request(lines[0].split(" ")[1], headers, rest)


def send(connection, status, body, kind="application/json", headers=()):
    data = body if isinstance(body, bytes) else body.encode()
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {kind}", f"Content-Length: {len(data)}", *headers]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + data)


def completion(text, tokens=250, finish="stop"):
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": tokens - 50, "completion_tokens": 50, "total_tokens": tokens}})


def says(text):
    """The model says this text (or what text(request) returns)."""

    def behave(request, connection):
        send(connection, 200, completion(text(request) if callable(text) else text))

    return behave


def answers(make):
    """The model answers with the object that make(request) returns."""
    return says(lambda request: json.dumps(make(request)))


def status(code, message="scripted", headers=()):
    def behave(_request, connection):
        send(connection, code, json.dumps({"error": {"message": message, "type": "scripted"}}), headers=headers)

    return behave


def raw(data, close=True):
    """These bytes, and then the end of the connection."""

    def behave(_request, connection):
        connection.sendall(data)
        return not close

    return behave


def in_turn(*behaviours):
    """One after the other; the last one stays."""
    left = list(behaviours)

    def behave(request, connection):
        return (left.pop(0) if len(left) > 1 else left[0])(request, connection)

    return behave


def slow(seconds, then):
    def behave(request, connection):
        time.sleep(seconds)
        return then(request, connection)

    return behave


def endless(_request, connection):
    """A byte now and then, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1\r\n \r\n")
        time.sleep(0.1)


def huge(_request, connection):
    """20 MB of an answer."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20971520\r\n\r\n")
    for _ in range(320):
        connection.sendall(b" " * 65536)
    return False
