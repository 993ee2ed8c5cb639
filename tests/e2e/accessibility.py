# SPDX-License-Identifier: MIT
"""axe-core's verdict on a page. axe-core is fetched by npm when it is first wanted (tests/e2e/axe names its version), into the build
directory."""

import os
import shutil
import subprocess

from harness import BUILD, SOURCE, note

HERE = os.path.join(SOURCE, "tests", "e2e", "axe")
PLACE = os.path.join(BUILD, "axe")


def source():
    """The text of axe-core, or None where npm cannot get it; says why."""
    path = os.path.join(PLACE, "node_modules", "axe-core", "axe.min.js")
    if not os.path.exists(path):
        if not shutil.which("npm"):
            note("accessibility is not checked: npm is not installed (packaging/setup.sh build)")
            return None
        os.makedirs(PLACE, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(HERE, name), PLACE)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", os.path.join(PLACE, "cache")],
                              cwd=PLACE, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            note(f"accessibility is not checked: npm cannot get axe-core: {done.stderr.strip().splitlines()[-1:]}")
            return None
    with open(path, encoding="utf-8") as file:
        return file.read()


def violations(page, axe):
    """Serious and critical findings, a line each. The text comes through the debugger, so the page's policy need not allow it."""
    page.evaluate(f"{axe}; true")
    found = page.evaluate("""axe.run(document, {resultTypes: ["violations"]}).then((result) => result.violations
        .filter((v) => v.impact === "serious" || v.impact === "critical")
        .map((v) => v.id + ": " + v.help + " at " + v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join(", ")))""")
    return found
