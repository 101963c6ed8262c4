"""What an orchestrator calls: the steps of a pipeline as plain functions, on a store that exists and on a file.

They take and return plain JSON values (text, numbers, dicts, lists), so each is a task, an asset or a component as it
stands; the orchestrator's package is the caller's own. Each opens the store, does one thing and closes it: tasks run
in processes of their own, and any of them may be tried again.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import asof
from asof.clock import parse_time
from asof.definitions import FeatureGroup
from asof.definitions.monitor import monitors_from
from asof.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from asof.records import Commit
    from asof.store import Store

Document = dict[str, Any]
"""JSON: the foreign edge where Any is honest."""


def validate(store: str | Path, group: str, file: str | Path) -> Document:
    """Say what the checks of a group say of a file's rows, and store nothing.

    Args:
        store: A folder, or the URL of a server.
        group: Name of a group.
        file: CSV, Parquet or Arrow, by its suffix; it is read into memory. A CSV is read with the types that the group
            declares, and refused for a minute while its last line has no end: its writer may write on.

    Returns:
        The verdict: `group`, `rows`, `passed`, `broken` (a sentence for each check that is broken), `report` (text).

    Raises:
        NotFoundError: No such store, group or file. DataError: The file is damaged, or has other columns or types.
    """
    with _opened(store) as opened:
        report = opened.quality.check(group, _rows(opened, group, file).read_all())
    broken = [str(result) for result in report.broken]
    return {
        "group": report.group,
        "rows": report.rows,
        "passed": report.passed,
        "broken": broken,
        "report": str(report),
    }


def write(store: str | Path, group: str, file: str | Path, *, idempotency_key: str = "") -> Document:
    """Store the rows of a file as arriving now, as one commit; see `Store.write`.

    Args:
        store: As in `validate`.
        group: As in `validate`.
        file: As in `validate`, but Parquet and Arrow may be larger than memory.
        idempotency_key: The run's name, the same in each try: a try that follows one which stored the rows stores
            nothing, and returns its commit with `repeated` true. Without a key each try stores them.

    Returns:
        The commit, as `asof write --json` prints it.

    Raises:
        As `validate`; and DataError: The rows break a check, and the group refuses such.
        ConflictError: The idempotency_key has other content.
    """
    with _opened(store) as opened:
        return _document(opened.write(group, _rows(opened, group, file), idempotency_key=idempotency_key))


def backfill(store: str | Path, group: str, file: str | Path, *, idempotency_key: str = "") -> Document:
    """Store the rows of a file as history, as one commit; see `Store.backfill`. For runs over days that are past.

    Args:
        store: As in `write`.
        group: As in `write`.
        file: As in `write`.
        idempotency_key: As in `write`.

    Returns:
        As `write`.

    Raises:
        As `write`.
    """
    with _opened(store) as opened:
        return _document(opened.backfill(group, _rows(opened, group, file), idempotency_key=idempotency_key))


def materialize(
    store: str | Path, group: str, start: str | datetime | None = None, end: str | datetime | None = None
) -> Document:
    """Make the rows of a group from what is new in its source, once; see `Store.materialize`.

    Args:
        store: As in `validate`.
        group: Name of a group that has a source.
        start: Exclusive lower bound of event times, "2026-01-01T12:00:00Z". With bounds these rows are made again: for
            repairs. Without, a try that follows one which made the rows makes none.
        end: Inclusive upper bound of event times.

    Returns:
        `rows` that were made, and the `commits`, as `asof materialize --json` prints them.

    Raises:
        As `Store.materialize`. UsageError: A bound is no time, or has no zone.
    """
    bounds = _moment(start, "start"), _moment(end, "end")
    with _opened(store) as opened:
        commits = opened.materialize(group, *bounds)
    return {"rows": sum(commit.rows for commit in commits), "commits": [_document(commit) for commit in commits]}


def verify(store: str | Path, view: str) -> Document:
    """Prove that online equals history, on samples; see `Store.verify`.

    Args:
        store: As in `validate`.
        view: Name of a view, or of a group.

    Returns:
        `view`, `compared` (values), `differences`, `defects` (those that nothing explains), `passed` (there is no
        defect), and `report` (text).

    Raises:
        NotFoundError: No such store or view.
    """
    with _opened(store) as opened:
        found = opened.verify(view)
    return {
        "view": found.view,
        "compared": found.compared,
        "differences": len(found.differences),
        "defects": len(found.defects),
        "passed": not found.defects,
        "report": str(found),
    }


def monitor(store: str | Path, monitors: Mapping[str, Mapping[str, Any]]) -> Document:
    """Run monitors, and keep what they find; see `Quality.monitor`. Nobody is told: that is the orchestrator's.

    Args:
        store: As in `validate`.
        monitors: A table for each, by its name, as in monitors.toml: {"fresh": {"view": "departure", "max_age": "3h"}}.

    Returns:
        `passed` (there is no alert), `runs` (as `asof monitor run --json` prints them), and `report` (text).

    Raises:
        UsageError: One is no monitor. NotFoundError: No such store, view, feature or tag.
    """
    if not isinstance(monitors, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"the monitors are a {type(monitors).__name__}", todo="pass a dict: a table for each name")
    chosen = monitors_from(monitors)
    with _opened(store) as opened:
        found = [opened.quality.monitor(each) for each in chosen]
    return {
        "passed": not any(each.alerts for each in found),
        "runs": msgspec.json.decode(msgspec.json.encode(found)),  # lists for tuples, null for NaN
        "report": "\n".join(map(str, found)),
    }


@contextmanager
def _opened(store: str | Path) -> Generator["Store"]:
    """Open a store that exists: with a wrong path a scheduler would else fill a new one, and all would look well."""
    if not isinstance(store, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        todo = "pass its folder or URL: a store cannot be handed from one process to another"
        raise UsageError(f"the store is a {type(store).__name__}", todo=todo)
    with asof.open(store, create=False) as opened:
        yield opened


def _rows(opened: "Store", group: str, file: str | Path) -> "pa.RecordBatchReader":
    """Return the rows of a file, batch by batch."""
    import pyarrow as pa  # noqa: PLC0415 - DAG files are read again and again: this module is light

    from asof.arrow.layout import declared_schema  # noqa: PLC0415 - the same
    from asof.ingest.sources.reading import read_file  # noqa: PLC0415 - the same

    if not isinstance(file, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"the file is a {type(file).__name__}", where=f"group {group}", todo="pass its path")
    definition = opened.catalog.find(group).definition
    if not isinstance(definition, FeatureGroup):
        raise UsageError(f"{group!r} is a view", todo="rows are written to groups")
    if not Path(file).is_file():
        raise NotFoundError(f"there is no file {str(file)!r}", where=f"group {group}")
    types = {field.name: field.type for field in declared_schema(definition)}
    tables = read_file(Path(file), types, only=False, timezone=definition.timezone)
    first = next(tables)

    def batches() -> "Iterator[pa.RecordBatch]":
        for table in chain([first], tables):
            yield from table.to_batches()

    return pa.RecordBatchReader.from_batches(first.schema, batches())


def _document(commit: "Commit") -> Document:
    from asof.catalog.answers import commit_answer  # noqa: PLC0415 - as in `_rows`

    return msgspec.to_builtins(commit_answer(commit))


def _moment(text: str | datetime | None, what: str) -> datetime | None:
    return parse_time(text, what=what) if isinstance(text, str) else text
