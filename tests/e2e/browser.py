# SPDX-License-Identifier: MIT
"""Headless Chromium, driven through its DevTools pipe (null-separated JSON on file descriptors 3 and 4): needs nothing but the
browser itself.

    with Browser(namespace) as browser:
        page = browser.open("http://127.0.0.1:8080/")
        page.evaluate("document.title")
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from lab import die_with_parent, wait_for

# Where the middle of an element is: null until it stands still for two frames and nothing lies over it. What a click needs to know, for
# the page may still be drawing what the last one changed.
AT_REST = """(async (selector) => {
    const e = document.querySelector(selector);
    if (!e) return null;
    e.scrollIntoView({block: 'center', behavior: 'instant'});
    const box = () => { const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2, b.width]; };
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const was = box();
    await frame();
    await frame();
    const now = box();
    const over = document.elementFromPoint(now[0], now[1]);
    const free = e.contains(over) || over?.closest('label')?.control === e;
    if (!e.isConnected || !now[2] || !free || !now.every((v, i) => v === was[i])) return null;
    window.psClicked = false;
    e.addEventListener('click', () => { window.psClicked = true; }, {capture: true, once: true});
    return now;
})(%s)"""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find():
    """The path of a Chromium that runs, or None. Ubuntu's chromium-browser is a stand-in for a snap, which may be absent."""
    for name in NAMES:
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    return None


class Browser:
    def __init__(self, ns, width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix="pse2e-browser-")
        child_in, self._out = os.pipe()
        self._in, child_out = os.pipe()

        def plumb():
            die_with_parent()
            # Through high numbers first, since 3 and 4 may be one of the four.
            os.dup2(child_in, 60)
            os.dup2(child_out, 61)
            os.dup2(60, 3)
            os.dup2(61, 4)

        command = ns.command(find(), "--headless=new", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={self.profile}",
                             "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                             f"--window-size={width},{height}", "about:blank")
        self.process = subprocess.Popen(command, preexec_fn=plumb, close_fds=False, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(child_in)
        os.close(child_out)
        self._pending = b""
        self._number = 0
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            self.call("Browser.close", seconds=5)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, 9)
            self.process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _message(self, deadline):
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            part = os.read(self._in, 1 << 16)
            if not part:
                raise RuntimeError("the browser closed its pipe")
            self._pending += part
        one, self._pending = self._pending.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, params=None, session=None, seconds=20):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            answer = self._message(deadline)
            if answer is None:
                raise TimeoutError(f"{method}: no answer from the browser in {seconds} s")
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def drain(self, seconds=0.2):
        """Reads events that came without a call."""
        deadline = time.monotonic() + seconds
        while (event := self._message(deadline)) is not None:
            self.events.append(event)

    def open(self, url):
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        page = Page(self, self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.call("Performance.enable", {"timeDomain": "threadTicks"})
        page.call("Page.navigate", {"url": url})
        page.wait("document.readyState === 'complete'")
        return page


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def call(self, method, params=None, seconds=20):
        return self.browser.call(method, params, self.session, seconds)

    def evaluate(self, expression, seconds=20):
        """The value of a JavaScript expression; a promise is awaited."""
        answer = self.call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True}, seconds)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def wait(self, expression, seconds=20):
        return wait_for(expression, lambda: self.evaluate(expression), seconds, 0.1)

    def click(self, selector):
        """A real click at the middle of the element, as the mouse would do it; again if it moved away from under it."""

        def clicked():
            box = self.wait(AT_REST % json.dumps(selector))
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", {"type": kind, "x": box[0], "y": box[1], "button": "left", "clickCount": 1})
            return self.evaluate("window.psClicked !== false")

        wait_for(f"a click on {selector}", clicked, 20, 0.1)

    def fill(self, selector, text):
        """Types into a field, replacing what it has; chooses in a select."""
        name = json.dumps(selector)
        kind = self.wait(f"document.querySelector({name})?.tagName")
        if kind == "SELECT":
            self.evaluate(f"(() => {{ const e = document.querySelector({name}); e.value = {json.dumps(text)};"
                          "e.dispatchEvent(new Event('input', {bubbles: true}));"
                          "e.dispatchEvent(new Event('change', {bubbles: true})); })()")
            return

        def typed():  # something else may take the focus between the two
            self.evaluate(f"(() => {{ const e = document.querySelector({name}); e?.focus(); e?.select?.(); }})()")
            self.call("Input.insertText", {"text": text})
            return self.evaluate(f"document.querySelector({name})?.value") == text

        wait_for(f"{selector} holds {text!r}", typed, 20, 0.1)

    def work(self):
        """Seconds of processor time that the page's main thread has used: what it does whoever else uses the machine."""
        metrics = self.call("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    def press(self, key, code=None, text=None):
        """A key of the keyboard: "Escape", "ArrowDown", "/" …"""
        text = text if text is not None else key if len(key) == 1 else {"Enter": "\r"}.get(key)
        event = {"key": key, "code": code or key, **({"text": text} if text else {})}
        codes = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "Home": 36, "End": 35, "PageDown": 34, "Tab": 9}
        event["windowsVirtualKeyCode"] = codes.get(key, ord(key.upper()) if len(key) == 1 else 0)
        self.call("Input.dispatchKeyEvent", {"type": "keyDown", **event})
        self.call("Input.dispatchKeyEvent", {"type": "keyUp", **event})

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def prefer(self, scheme):
        """dark or light"""
        self.call("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def screenshot(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", {"format": "png"})["data"]))

    def complaints(self):
        """Errors in the console, uncaught exceptions, and requests that failed; since the last time this was asked."""
        self.browser.drain()
        found = []
        for event in self.browser.events:
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
                found.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        self.browser.events.clear()
        return found
