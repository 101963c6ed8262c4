"""Charts as inline SVG: axes with units, a value at each mark when a pointer rests on it, colours of the style sheet.

Sizes are those of a box 440 wide; the page scales it to its column, so text stays legible at 400 px.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from asof.clock import from_us
from asof.ui.shown import moment, short

WIDTH, HEIGHT = 440, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 26, 26
"""Margins: numbers at the left, the unit above, names of places or times below."""

WIDEST = 48
"""Of a bar."""

LEAST = 1e-300
"""A shorter axis has no numbers that floats could tell apart: it is drawn as that of zero."""

TICKS = 4
"""Numbers at the upright axis, about."""

COLOURS = 4
"""Of lines: the next ones begin again."""

NAMED, NAME_WIDE, NAME_LETTERS = 3, 108, 15
"""So many lines have their names above, each in so much room, cut to so many letters."""

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar.

    Attributes:
        label: What it stands for: a day, a range, a name.
        value: How high it is; 0 or more.
        hover: What is said of it; its label and value if empty.
    """

    label: str
    value: float
    hover: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a line: a time in microseconds, and a value; None breaks the line."""

    at_us: int
    value: float | None


def bars(each: Sequence[Bar], *, unit: str, about: str) -> Markup:
    """Return a chart of bars, one for each day, range or name, in their order.

    Args:
        each: The bars.
        unit: What their heights are, such as "rows per day".
        about: What the chart shows, for who cannot see it.
    """
    top, ticks = _scale(max((bar.value for bar in each), default=0.0))
    step = _across() / max(len(each), 1)
    width = min(max(step - (2 if step > 6 else 0.5), 0.5), WIDEST)  # noqa: PLR2004 - where gaps can be seen
    parts = [_axis(0.0, top, ticks, unit)]
    for number, bar in enumerate(each):
        x, height = LEFT + number * step, _down() * bar.value / top
        hover = escape(bar.hover or f"{bar.label}: {bar.value:,.6g} {unit}")
        parts.append(
            f'<g class="mark"><title>{hover}</title>'
            f'<rect class="hit" x="{x:.1f}" y="{TOP}" width="{step:.2f}" height="{_down()}"/>'
            f'<rect class="bar" x="{x + (step - width) / 2:.1f}" y="{TOP + _down() - height:.1f}" '
            f'width="{width:.2f}" height="{height:.1f}"/></g>'
        )
    places = [(LEFT + (number + 0.5) * step, each[number].label) for number in _spread(len(each))]
    return _chart([*parts, _below(places)], about)


def line(points: Sequence[Point], *, unit: str, about: str, level: float | None = None, named: str = "") -> Markup:
    """Return a chart of a value over time.

    Args:
        points: The points, by time.
        unit: What the values are.
        about: What the chart shows, for who cannot see it.
        level: A value that is drawn as a line across, such as a limit.
        named: What that line is.
    """
    return lines({"": points}, unit=unit, about=about, level=level, named=named)


def lines(
    series: Mapping[str, Sequence[Point]], *, unit: str, about: str, level: float | None = None, named: str = ""
) -> Markup:
    """Return a chart of several values over time: a line for each, named above.

    Args:
        series: The points of each line, by time, under its name. Of many the last ones have their names above.
        unit: What the values are.
        about: What the chart shows, for who cannot see it.
        level: A value that is drawn as a line across, such as a limit.
        named: What that line is.
    """
    every = [point for points in series.values() for point in points]
    values = [point.value for point in every if point.value is not None] + ([] if level is None else [level])
    low = min(0.0, *values) if values else 0.0
    top, ticks = _scale(max(values, default=0.0), low)
    first, last = min((p.at_us for p in every), default=0), max((p.at_us for p in every), default=1)
    wide = max(last - first, 1)

    def place(point: Point) -> tuple[float, float]:
        x = LEFT + _across() * ((point.at_us - first) / wide if last > first else 0.5)
        return x, TOP + _down() * (1 - ((point.value or 0.0) - low) / (top - low))

    parts = [_axis(low, top, ticks, unit)]
    if level is not None:
        y = TOP + _down() * (1 - (level - low) / (top - low))
        parts.append(
            f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="level-name" x="{WIDTH - RIGHT}" y="{y - 4:.1f}" text-anchor="end">{escape(named)}</text>'
        )
    for number, (name, points) in enumerate(series.items()):
        after = len(series) - 1 - number
        parts.append(f'<g class="series-{number % COLOURS}">{_name_of_line(name, after)}')
        parts += [*_drawn(points, place, unit if not name else f"{unit}, {name}"), "</g>"]
    times = [first, (first + last) // 2, last] if last > first else [first]
    places = [(LEFT + _across() * (at_us - first) / wide, _when(at_us, wide)) for at_us in times]
    return _chart([*parts, _below(places)], about)


def _name_of_line(name: str, after: int) -> str:
    """Return the name of a line, above the chart; `after` lines stand to its right."""
    if not name or after >= NAMED:
        return ""
    short_name = name if len(name) <= NAME_LETTERS else f"…{name[1 - NAME_LETTERS :]}"
    x = WIDTH - RIGHT - after * NAME_WIDE
    return f'<text x="{x}" y="12" text-anchor="end"><title>{escape(name)}</title>{escape(short_name)}</text>'


def _drawn(points: Sequence[Point], place: Callable[[Point], tuple[float, float]], unit: str) -> list[str]:
    """Return a line, and its points with what is said of them."""
    parts = [f'<polyline class="line" points="{run}"/>' for run in _runs(points, place)]
    for point in points:
        if point.value is not None:
            x, y = place(point)
            hover = escape(f"{moment(point.at_us)}: {point.value:,.6g} {unit}")
            parts.append(f'<g class="mark"><title>{hover}</title><circle class="hit" cx="{x:.1f}" cy="{y:.1f}" r="7"/>')
            parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2"/></g>')
    return parts


def sparkline(values: Sequence[float], *, about: str) -> Markup:
    """Return a small line without axes, for a cell of a table."""
    top = max(values, default=0.0) or 1.0
    step = 96 / max(len(values) - 1, 1)
    points = " ".join(f"{2 + number * step:.1f},{22 - 20 * value / top:.1f}" for number, value in enumerate(values))
    return Markup(  # noqa: S704 - numbers, and escaped text
        f'<svg class="sparkline" viewBox="0 0 100 24" role="img" aria-label="{escape(about)}">'
        f'<title>{escape(about)}</title><polyline class="line" points="{points}"/></svg>'
    )


def _across() -> int:
    return WIDTH - LEFT - RIGHT


def _down() -> int:
    return HEIGHT - TOP - BOTTOM


def _scale(greatest: float, low: float = 0.0) -> tuple[float, list[float]]:
    """Return the top of an upright axis, and its numbers: multiples of 1, 2 or 5 times a power of ten."""
    reach = greatest - low if greatest - low > LEAST else 1.0
    rough = reach / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(max(greatest, low + reach) / step - 1e-9)
    return last * step, [number * step for number in range(first, last + 1)]


def _axis(low: float, top: float, ticks: Sequence[float], unit: str) -> str:
    parts = [f'<text class="unit" x="0" y="12">{escape(unit)}</text>']
    for tick in ticks:
        if low <= tick <= top:
            y = TOP + _down() * (1 - (tick - low) / (top - low))
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    return "".join(parts)


def _below(places: Sequence[tuple[float, str]]) -> str:
    """Return what stands below: the first begins at the left, the last ends at the right."""
    parts: list[str] = []
    for number, (x, label) in enumerate(places):
        last = number == len(places) - 1
        anchor = "middle" if len(places) == 1 or (number > 0 and not last) else "end" if last else "start"
        at = LEFT if anchor == "start" else WIDTH - RIGHT if anchor == "end" else x
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{escape(label)}</text>')
    return "".join(parts)


def _spread(count: int) -> list[int]:
    """Return which of so many marks have a name below: the first, the one in the middle, the last."""
    return sorted({0, (count - 1) // 2, count - 1}) if count else []


def _runs(points: Sequence[Point], place: Callable[[Point], tuple[float, float]]) -> list[str]:
    """Return the lines between points, broken where there is no value."""
    runs: list[list[str]] = [[]]
    for point in points:
        if point.value is None:
            runs.append([])
        else:
            x, y = place(point)
            runs[-1].append(f"{x:.1f},{y:.1f}")
    return [" ".join(run) for run in runs if len(run) > 1]


def _when(at_us: int, wide_us: int) -> str:
    at = from_us(at_us)
    return at.strftime("%Y-%m-%d") if wide_us > 2 * DAY_US else at.strftime("%d %b %H:%M")


def _chart(parts: Sequence[str], about: str) -> Markup:
    return Markup(  # noqa: S704 - numbers, and escaped text
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(about)}">'
        f"{''.join(parts)}</svg>"
    )
