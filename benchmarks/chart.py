"""Charts as SVG, readable on light and dark pages: bars for each row of a table, or a line along a column."""

from html import escape
from itertools import groupby

from measure import shown

COLORS = ("#3b7dd8", "#d9893b", "#6aa84f", "#a64d79")
GREY = "#808080"
LABEL, BARS, FIGURES = 330, 430, 110
HEIGHT, GAP, HEAD = 13, 9, 26
WORDS, DEPTH = 52, 180


def drawn(table):
    """Return the columns to draw: the first that is no whole number, and those of its unit (the last word)."""
    floats = [name for row in table["rows"] for name, cell in row.items() if isinstance(cell, float)]
    floats = list(dict.fromkeys(name for name in floats if "ratio" not in name))
    return [name for name in floats if name.split("_")[-1] == floats[0].split("_")[-1]][: len(COLORS)]


def bars(table):
    """Return the chart of a table, and its height; bars begin at zero."""
    names = drawn(table)
    rows = [row for row in table["rows"] if any(row.get(name) is not None for name in names)]
    most = max((row.get(name) or 0 for row in rows for name in names), default=0) or 1
    parts, y = [_text(0, 14, table["title"], size=13, bold=True)], HEAD
    if len(names) > 1:
        x = 0
        for name, color in zip(names, COLORS, strict=False):
            parts.append(f'<rect x="{x}" y="{y - 2}" width="10" height="10" fill="{color}"/>')
            parts.append(_text(x + 14, y + 7, name.replace("_", " ")))
            x += 30 + 7 * len(name)
        y += 18
    for row in rows:
        parts.append(_text(0, y + HEIGHT * len(names) / 2 + 4, label(row)))
        for name, color in zip(names, COLORS, strict=False):
            figure = row.get(name)
            if figure is not None:
                width = max(1.0, BARS * figure / most)
                parts.append(
                    f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{HEIGHT - 2}" fill="{color}"/>'
                    + _text(LABEL + width + 5, y + HEIGHT - 3, shown(figure))
                )
            y += HEIGHT
        y += GAP
    return parts, y + GAP


def line(table):
    """Return the chart of a table's figures along a column, from zero, and its height; what is missing is a gap."""
    along, names = table["along"], drawn(table)
    right = max(row[along] for row in table["rows"]) or 1
    top = max(row[name] for row in table["rows"] for name in names if row.get(name) is not None) or 1
    parts = [
        _text(0, 14, table["title"], size=13, bold=True),
        f'<path d="M{FIGURES} {HEAD} V{HEAD + DEPTH} H{FIGURES + BARS}" fill="none" stroke="{GREY}"/>',
        _text(0, HEAD + DEPTH + 16, along.replace("_", " ")),
    ]
    for at, (name, color) in enumerate(zip(names, COLORS, strict=False)):
        parts.append(_text(0, HEAD + 8 + 16 * at, name.replace("_", " "), color=color if len(names) > 1 else GREY))
        points = [
            (FIGURES + BARS * row[along] / right, HEAD + DEPTH * (1 - (row.get(name) or 0) / top), row)
            for row in table["rows"]
        ]
        for there, run in groupby(points, key=lambda point, name=name: point[2].get(name) is not None):
            if there:
                corners = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in run)
                parts.append(f'<polyline points="{corners}" fill="none" stroke="{color}"/>')
        for x, y, row in points if len(names) == 1 else (points[0], points[-1]) if at == 0 else ():
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>')
            parts.append(_text(x + 6, y + 12, shown(row[name])) + _text(x - 20, HEAD + DEPTH + 16, f"{row[along]:,}"))
    return parts, HEAD + DEPTH + 2 * HEAD


def page(tables):
    """Return one SVG with the charts of tables below each other."""
    parts, y = [], 0
    for table in tables:
        chart, height = line(table) if table.get("along") else bars(table)
        parts.append(f'<g transform="translate(0 {y})">{"".join(chart)}</g>')
        y += height
    width = LABEL + BARS + FIGURES
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" '
        f'font-family="sans-serif" font-size="11">{"".join(parts)}</svg>\n'
    )


def label(row):
    """Return what a row is about: its words, and the whole numbers before them."""
    told = []
    for name, cell in row.items():
        if isinstance(cell, float):
            break
        told.append(cell if isinstance(cell, str) else f"{cell:,} {name.replace('_', ' ')}")
    words = ", ".join(told)
    return words if len(words) <= WORDS else words[: WORDS - 1] + "…"


def _text(x, y, words, *, size=11, bold=False, color=GREY):
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{color}"{weight}>{escape(words)}</text>'
