# SPDX-License-Identifier: MIT
"""The table of connections with 100,000 rows, begun in the kernel: how much of it is in the document, how soon any part of it is there,
and how much the page works for a frame while it scrolls. PS_ROWS=N for another number."""

import contextlib
import json
import os
import time

import browser as chromium
from harness import BUILD, Api, Host, main, note, skip, wait_for
from programs import Programs, attached_program, begin_connections

ROWS = int(os.environ.get("PS_ROWS", "100000"))
# 60 frames a second leave 16.7 ms for one. That is compared with the processor time of the page's main thread: how long a frame takes
# by the clock says more about what else the machine does, and is printed. At 90,000 pixels a second every row is another one in each
# frame; 30 frames a second are enough to see where one is.
SHOWN_S = 6.0
FRAMES = 120

SCROLL = """new Promise((resolve) => {
    const box = document.querySelector("#conn-table"), times = [], step = STEP;
    let last = performance.now();
    const frame = (now) => {
        times.push(now - last);
        last = now;
        box.scrollTop += step;
        if (times.length <= FRAMES) requestAnimationFrame(frame);
        else resolve(times.slice(1).sort((a, b) => a - b));
    };
    requestAnimationFrame(frame);
})"""


def well(api):
    with contextlib.suppress(OSError):
        return api.request("GET", "/api/health", timeout=2)[0] in (200, 503)
    return False


def shown(page):
    """Rows of the visible part that are there and not a place-holder."""
    return page.evaluate("""(() => { const box = document.querySelector("#conn-table").getBoundingClientRect();
        const rows = [...document.querySelectorAll("#conn-table .tbody .tr")].filter((tr) => { const b = tr.getBoundingClientRect();
            return b.bottom > box.top + 34 && b.top < box.bottom; });
        return rows.length > 5 && rows.every((tr) => tr.dataset.key); })()""")


def test(report):
    if not chromium.find():
        skip("no Chromium on this machine (packaging/setup.sh test, where the release has the package)")
    with Host("psr") as host, Programs(host.server, "ps0") as programs:
        api = Api(host.server)
        programs.start("collector", "--iface=ps0", f"--max-connections={ROWS}")
        wait_for("the collector is ready", lambda: "ready" in programs.log("collector"), 20)
        programs.start("aggregator", "--timeout-syn-sent=3600", "--timeout-udp=3600", "--timeout-udp-stream=3600")
        programs.start("ai-worker")
        programs.start("gateway", "--api=127.0.0.1:8080")
        wait_for("the gateway answers", lambda: well(api), 20)
        program = attached_program(os.path.join(programs.pin_root, "link", "xdp-ps0"))
        begin_connections(program, ROWS)
        os.close(program)
        wait_for("all are listed", lambda: int(api.request("GET", "/api/connections?limit=1")[1]["X-Total-Count"]) >= ROWS * 0.999, 60, 0.5)
        with chromium.Browser(host.server, 1440, 900) as browser:
            page = browser.open("http://127.0.0.1:8080/#connections")
            page.wait("document.querySelectorAll('#conn-table .tbody .tr[data-key]').length > 10", 20)
            total = page.evaluate("Number(document.querySelector('#conn-table').getAttribute('aria-rowcount')) - 1")
            report.check("the table has them all", total >= ROWS * 0.999, f"{total}")
            nodes = page.evaluate("document.querySelectorAll('#conn-table .tbody .tr').length")
            report.check(f"{nodes} rows of them are in the document", nodes < 120)
            times = {}
            for name, step, limit in (("slowly", 40, 16.7), ("fast", 1500, 33.4)):
                worked = page.work()
                frames = page.evaluate(SCROLL.replace("STEP", str(step)).replace("FRAMES", str(FRAMES)), seconds=120)
                work = (page.work() - worked) * 1000 / len(frames)
                times[name] = {"work": round(work, 1), "median": round(frames[len(frames) // 2], 1), "p95": round(frames[int(len(frames) * 0.95)], 1)}
                report.check(f"scrolling {name}: {work:.1f} ms of work a frame", work <= limit, json.dumps(times[name]))
                note(f"by the clock a frame took {times[name]['median']} ms, 95 of 100 at most {times[name]['p95']} ms")
            for part in (0.5, 0.98, 0.0):
                begun = time.monotonic()
                page.evaluate(f"(() => {{ const b = document.querySelector('#conn-table'); b.scrollTop = {part} * b.scrollHeight; }})()")
                time.sleep(0.05)
                wait_for("the rows there", lambda: shown(page), 10, 0.02)
                took = time.monotonic() - begun
                report.check(f"rows at {part:.0%} are there after {took * 1000:.0f} ms", took < SHOWN_S)
            begun = time.monotonic()
            page.fill("#q", "11.0.0.77")
            page.wait("document.querySelector('#conn-shown').textContent === '1 connection'")
            note(f"a filter takes {(time.monotonic() - begun) * 1000:.0f} ms")
            page.fill("#q", "")
            begun = time.monotonic()
            page.click("#conn-table .th.src button")
            first = "document.querySelector('#conn-table .tbody .tr[data-key] .src')?.textContent"
            page.wait(f"{first}?.startsWith('11.0.0.0:')")
            note(f"another order takes {(time.monotonic() - begun) * 1000:.0f} ms")
            page.screenshot(os.path.join(BUILD, "screenshots", "rows.png"))
            report.equal("errors in the console", page.complaints(), [])
            heap = page.evaluate("performance.memory?.usedJSHeapSize ?? 0")
            print(json.dumps({"rows": total, "frame_ms": times, "heap_mb": round(heap / 1e6, 1)}), flush=True)


main(test)
