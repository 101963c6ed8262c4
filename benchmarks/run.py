"""Run the benchmarks: `make bench`, or `python benchmarks/run.py --only online --quick`.

Each benchmark is a module with `run(folder, *, quick)` that returns tables; it runs in a process of its own. Figures go
to benchmarks/results/<name>.json, and all of them to docs/benchmarks.md.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from page import environment, write_page

HERE = Path(__file__).parent
ROOT = HERE.parent
NAMES = (
    "online",
    "on_demand",
    "predict",
    "nearest",
    "online_servers",
    "point_in_time",
    "shapes",
    "big_point_in_time",
    "ingest",
    "statistics_cost",
    "change_aware",
    "hot_cold",
    "small_commits",
    "layout",
    "object_storage",
    "direct",
    "external",
    "windows",
    "push",
    "stream",
    "http_reads",
    "http_keys",
    "pages",
    "flight",
    "soak",
    "serving_log",
    "footprint",
    "beside_feast",
    "beside_feast_serve",
    "beside_feast_slow",
)
SLOW = ("beside_feast_slow",)
"""Those that need `--slow`, or to be named; their last figures stay on the page."""


def main():
    """Run what was asked for, and write the page."""
    options = parsed()
    results = Path(options.results)
    results.mkdir(parents=True, exist_ok=True)
    if options.inside:
        return inside(options.inside, results, quick=options.quick)
    for name in options.only or [name for name in NAMES if options.slow or name not in SLOW]:
        if name.startswith("beside_feast") and options.no_feast:
            continue
        command = [sys.executable, __file__, "--inside", name, "--results", str(results)]
        subprocess.run(command + ["--quick"] * options.quick, check=True)
    write_page(Path(options.page), results, NAMES)
    print(f"written: {options.page}")
    return 0


def inside(name, results, *, quick):
    """Run one benchmark in this process."""
    print(f"{name} ...", flush=True)
    start = time.perf_counter()
    scratch = ROOT / ".bench"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=scratch) as folder:
        tables = importlib.import_module(name).run(Path(folder), quick=quick)
    took = time.perf_counter() - start
    result = {"quick": quick, "seconds": round(took, 1), **environment(), "tables": [asdict(t) for t in tables]}
    (results / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"{name}: {took:.0f} s", flush=True)
    return 0


def parsed():
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument("--only", action="append", choices=NAMES, help="this one; may be repeated")
    parser.add_argument("--slow", action="store_true", help="also what takes minutes and tells little that is new")
    parser.add_argument("--no-feast", action="store_true", help="without the comparison with Feast")
    parser.add_argument("--results", default=HERE / "results", help="folder of the JSON files")
    parser.add_argument("--page", default=ROOT / "docs" / "benchmarks.md", help="the page to write")
    parser.add_argument("--inside", choices=NAMES, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
