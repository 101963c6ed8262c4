"""Draw docs/windows.svg: which events each kind of window holds, asked of the code itself."""

import argparse
import sys
from pathlib import Path

from asof.windows.kinds import Window

HOUR = 3_600_000_000
EVENTS = [at * HOUR // 4 for at in (2, 9, 17, 20, 22, 28, 34, 37, 41)]
T = 10 * HOUR + HOUR // 2
KINDS = {
    'exact: over="4h"': Window("exact", 4 * HOUR),
    'hop("4h", every="2h")': Window("hop", 4 * HOUR, 2 * HOUR),
    'sawtooth("4h", every="2h")': Window("sawtooth", 4 * HOUR, 2 * HOUR),
    'session(gap="90m")': Window("session", 3 * HOUR // 2),
    "lifetime()": Window("lifetime"),
}
LEFT, STEP, ROW, HOURS = 210, 46, 46, 12


def x(moment):
    """Return where a time lies."""
    return LEFT + moment / HOUR * STEP


def row(number, name, window):
    """Return the drawing of one kind."""
    y = 40 + number * ROW
    after, until = window.bounds(T)
    held = [at for at in EVENTS if (after is None or at > after) and at <= until]
    held = held[window.count_from(held, T) :]
    begin = held[0] - HOUR // 12 if window.kind == "session" else 0 if after is None else after
    parts = [
        f'<text x="10" y="{y + 4}">{name}</text>',
        f'<line x1="{x(0)}" y1="{y}" x2="{x(HOURS * HOUR)}" y2="{y}" class="axis"/>',
        f'<rect x="{x(begin):.0f}" y="{y - 12}" width="{x(until) - x(begin):.0f}" height="24" rx="4" class="window"/>',
    ]
    dots = ((at, "in" if at in held else "out") for at in EVENTS)
    return [*parts, *(f'<circle cx="{x(at):.0f}" cy="{y}" r="5" class="{kind}"/>' for at, kind in dots)]


def drawing():
    """Return the picture."""
    height = 60 + len(KINDS) * ROW
    width = x(HOURS * HOUR) + 20
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'role="img" aria-label="Which events each kind of window holds at T">'
        ),
        (
            "<style>text{font:13px sans-serif;fill:#222}.axis{stroke:#999}.window{fill:#b9d4f0;fill-opacity:.7}"
            ".in{fill:#0b5cad}.out{fill:#fff;stroke:#777}.t{stroke:#c0392b;stroke-dasharray:4 3}</style>"
        ),
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (name, window) in enumerate(KINDS.items()):
        parts += row(number, name, window)
    bottom = 40 + len(KINDS) * ROW
    parts += [
        f'<line x1="{x(T):.0f}" y1="14" x2="{x(T):.0f}" y2="{bottom - 16}" class="t"/>',
        f'<text x="{x(T) + 5:.0f}" y="18">T</text>',
        *(f'<text x="{x(h * HOUR) - 8}" y="{bottom}">{h}h</text>' for h in range(0, HOURS + 1, 2)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main():
    """Draw it, or look whether it is as drawn."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="change nothing; exit 1 if the picture is another one")
    place = Path(__file__).parent.parent / "docs" / "windows.svg"
    if options.parse_args().check:
        return int(not place.exists() or place.read_text() != drawing())
    place.write_text(drawing())
    return 0


if __name__ == "__main__":
    sys.exit(main())
