"""`asof demo`."""

import sys
from pathlib import Path

import click

from asof.cli.command import Answer
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

SHAPE: Document = {
    "folder": "demo-store",
    "seconds": 60.1,
    "loaded_rows": 700000,
    "load_rows_per_second": 500000.0,
    "training_rows": 326000,
    "training_seconds": 3.2,
    "statuses": {"weather": {"PRESENT": 300000, "MISSING": 10}},
    "leaked": {"weather": 100},
    "auc_honest": 0.7,
    "auc_promised": 0.8,
    "auc_kept": 0.6,
    "windows_unknown": {"carrier_arrivals": 5000000, "route_arrivals": 600000},
    "windows_auc_honest": 0.7,
    "windows_auc_promised": 0.8,
    "windows_auc_kept": 0.6,
    "windows_auc_without": 0.7,
    "p50_us": 20.0,
    "p99_us": 60.0,
    "windows_p50_us": 500.0,
    "windows_p99_us": 900.0,
    "live_messages": 900,
    "live_p50_ms": 50.0,
    "live_worst_ms": 200.0,
    "compared": 20000,
    "differences": 0,
    "pipelines": {
        "feature_pipeline.py": "landings: 81,344 rows are new\n",
        "training_pipeline.py": "late-departures@1: ROC AUC 0.667\n",
        "inference_pipeline.py": "69 of 69 are the same online, to the bit\n",
    },
}


@asof_command("demo", shape=SHAPE)
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--quick", is_flag=True, help="Train on one departure in twenty, and read and verify less.")
def command(folder: Path | None, quick: bool) -> Answer:  # noqa: FBT001 - click's flag
    """Show the whole main job on real flights.

    It defines features, loads their history, trains on it point in time, also with windows over landings, serves
    the same features, reads a day of landings as a live stream, and verifies all of them. Then three pipelines run as
    processes of their own: features, training, inference; see `asof init --template fti`.

    Needs the extra `demo` (pip install "asof[demo]"). The store stays in FOLDER, by default demo-store. The exit
    code is 1 if online and history differ.
    """
    from rich.console import Console

    import asof.demo

    # With --json the document alone belongs on stdout.
    as_json = bool(click.get_current_context().meta.get("asof.json"))
    result = asof.demo.run(folder, quick=quick, console=Console(file=sys.stderr if as_json else sys.stdout))
    document = {name: getattr(result, name) for name in SHAPE}
    return Answer(document, lambda _screen: None, 1 if result.differences else 0)
