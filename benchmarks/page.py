"""Write docs/benchmarks.md from the results."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version

import chart
from measure import shown

PACKAGES = ("asof", "duckdb", "pyarrow", "deltalake", "lmdb", "msgspec", "numpy", "sqlalchemy")

HEAD = """# Benchmarks

Written by `make bench` (`benchmarks/run.py`); the figures lie in `benchmarks/results/`, a JSON file each. Sides of a
comparison take turns within one run (A B A B), one round that does not count comes first, and a figure is the median of
the rounds. Compare ratios rather than times: the machine may have been busy. Slow results stand here too.
"""


def environment():
    """Return what the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).date().isoformat(),  # noqa: TID251 - a report says when it was made
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "load": round(os.getloadavg()[0], 1),
    }


def write_page(page, results, names):
    """Write the page, and a chart for each benchmark beside it, from whatever results there are."""
    parts = [HEAD]
    page.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = results / f"{name}.json"
        if not file.exists():
            continue
        result = json.loads(file.read_text())
        parts += [table_text(table) for table in result["tables"]]
        picture = page.parent / page.stem / f"{name}.svg"
        picture.parent.mkdir(exist_ok=True)
        picture.write_text(chart.page(result["tables"]))
        parts.append(f"![{name}]({page.stem}/{name}.svg)\n")
        parts.append(footer(name, result))
    page.write_text("\n".join(parts))


def table_text(table):
    """Return a table as Markdown."""
    columns = list(dict.fromkeys(name for row in table["rows"] for name in row))
    numbers = {name for name in columns if all(not isinstance(row.get(name), str) for row in table["rows"])}
    lines = [
        f"## {table['title']}",
        "",
        f"{table['about']}" + (f"; {table['rounds']} rounds" if table["rounds"] else ""),
        "",
        "| " + " | ".join(name.replace("_", " ") for name in columns) + " |",
        "|" + "|".join("---:" if name in numbers else "---" for name in columns) + "|",
    ]
    lines += ["| " + " | ".join(shown(row.get(name)) for name in columns) + " |" for row in table["rows"]]
    return "\n".join([*lines, ""])


def footer(name, result):
    """Return where and how the tables above were made."""
    versions = ", ".join(f"{package} {number}" for package, number in result["versions"].items())
    quick = " --quick: sizes too small to mean anything." if result["quick"] else ""
    return (
        f"<sub>`python benchmarks/run.py --only {name}`, {result['date']}, {result['cores']} cores, "
        f"{result['memory_gib']} GiB, load {result['load']}, Python {result['python']}, {versions}; "
        f"{result['seconds']} s.{quick}</sub>\n"
    )
