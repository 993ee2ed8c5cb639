#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes the pictures of the page that the README shows, from the traffic of the demo: docs/images/page.png (light) and
page-dark.png. Needs root, Chromium, and the built programs (make)."""

import argparse
import os
import signal
import subprocess
import sys
import time

import browser as chromium
from lab import Namespace, die_with_parent, exit_on_signals, wait_for

SOURCE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
ADDRESS = "127.0.0.1:18094"
WIDTH, HEIGHT = 1440, 1080
BYTES_MAX = 300_000


def take(page, path):
    page.screenshot(path)
    size = os.path.getsize(path)
    print(f"{path}: {size} bytes")
    if size > BYTES_MAX:
        sys.exit(f"{path} has more than {BYTES_MAX} bytes")


def main():
    parser = argparse.ArgumentParser(description="Takes the pictures of the page for the README.")
    parser.add_argument("--programs", default=os.path.join(SOURCE, "build", "bin"))
    parser.add_argument("--to", default=os.path.join(SOURCE, "docs", "images"))
    parser.add_argument("--seconds", type=int, default=150, help="of traffic before the picture, so that the plots have a past")
    args = parser.parse_args()
    exit_on_signals()
    demo = subprocess.Popen([sys.executable, os.path.join(SOURCE, "tests", "demo", "demo.py"), "--programs", args.programs, "--api", ADDRESS],
                            stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        with chromium.Browser(Namespace(None), WIDTH, HEIGHT) as browser:
            time.sleep(5)
            page = browser.open(f"http://{ADDRESS}/")
            page.size(WIDTH, HEIGHT)
            wait_for("the page is live", lambda: page.evaluate("document.querySelector('#link')?.dataset.state === 'live'"), 30, 0.5)
            time.sleep(args.seconds)
            for scheme, name in (("light", "page"), ("dark", "page-dark")):
                page.prefer(scheme)
                time.sleep(1.5)
                take(page, os.path.join(args.to, f"{name}.png"))
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(120)  # it stops a dozen clients and the four programs, and then takes its namespaces away


main()
