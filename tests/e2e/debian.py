# SPDX-License-Identifier: MIT
"""A small Debian system, for the tests that install into one: made once a build directory, from this machine's own package sources."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time

from harness import BUILD, need, skip

RELEASE = "bookworm"
TOO_OLD = 24 * 3600  # its packages would be newer by now


def _fresh(path):
    with contextlib.suppress(FileNotFoundError):
        return time.time() - os.stat(path).st_mtime < TOO_OLD
    return False


def root_tar():
    """The path of a tar file of it. Whoever comes while it is being made waits for it."""
    path = os.path.join(BUILD, "tests", f"debian-{RELEASE}.tar")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _fresh(path):
            _make(path)
    return path


def _make(path):
    need("mmdebstrap")
    sources = [name for name in ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list") if os.path.exists(name)]
    work = tempfile.mkdtemp(prefix="pse2e-debian-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        done = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", RELEASE, f"{work}/root.tar", *sources[:1]],
            env={**os.environ, "TMPDIR": work}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500, check=False)
        if done.returncode:
            skip(f"a Debian system can't be made here: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        shutil.move(f"{work}/root.tar", path + ".new")
        os.rename(path + ".new", path)
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", work], check=False)
