# SPDX-License-Identifier: MIT
"""A curve or two over a logarithmic axis, as SVG that reads on a light and on a dark page."""

import math
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 64, 16, 40, 48
COLOURS = ["#2f7ed8", "#d9822b", "#4a9d5f"]
GREY = "#808080"


def _steps(top):
    """Round numbers from 0 to a little above top."""
    step = 10 ** math.floor(math.log10(top / 4)) if top > 0 else 1
    for factor in (1, 2, 5, 10):
        if top / (step * factor) <= 6:
            step *= factor
            break
    return [step * i for i in range(int(top / step) + 2)]


def _number(value):
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}" if value % size == 0 else f"{value / size:.1f}{letter}"
    return f"{value:g}"


def write(path, title, x_name, y_name, curves):
    """curves: [(name, [(x, y), …])]; those without points are left out. Both axes logarithmic if y spans more than 50 times."""
    curves = [(name, points) for name, points in curves if points]
    if not curves:
        return
    xs = [x for _, points in curves for x, _ in points]
    ys = [y for _, points in curves for _, y in points]
    low, high = math.log10(min(xs)), math.log10(max(xs)) if max(xs) > min(xs) else math.log10(min(xs)) + 1
    steep = min(ys) > 0 and max(ys) / min(ys) > 50
    ticks = [10.0 ** e for e in range(math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys))) + 1)] if steep else _steps(max(ys))

    def x_at(x):
        return LEFT + (math.log10(x) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y_at(y):
        part = math.log10(max(y, ticks[0]) / ticks[0]) / math.log10(ticks[-1] / ticks[0]) if steep else y / ticks[-1]
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" '
           f'fill="{GREY}" role="img"><title>{escape(title)}</title>',
           f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>']
    for tick in ticks:
        y = y_at(tick)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GREY}" stroke-opacity="0.3"/>'
                   f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    for x in sorted(set(xs)):
        out.append(f'<text x="{x_at(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_number(x)}</text>')
    out.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(x_name)}</text>'
               f'<text x="8" y="{TOP - 4}">{escape(y_name)}</text>')
    for i, (name, points) in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        line = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3" fill="{colour}"><title>{_number(x)}: {y:.1f}</title></circle>'
                for x, y in points]
        out.append(f'<text x="{LEFT + 12}" y="{TOP + 16 + 16 * i}" fill="{colour}">{escape(name)}</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n</svg>\n")
