"""What `asof write` and `asof backfill` share."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from asof.cli.command import pairs
from asof.cli.files import FILE_IN, SUFFIXES, read_batches, read_table
from asof.cli.screen import counted

if TYPE_CHECKING:
    from asof.cli.screen import Advance, Screen
    from asof.definitions import FeatureGroup
    from asof.records import Commit
    from asof.store import Store

F = TypeVar("F", bound=Callable[..., Any])


def file_arguments(function: F) -> F:
    """Add the arguments GROUP and FILE."""
    return click.argument("group")(click.argument("file", type=FILE_IN)(function))


def write_options(function: F) -> F:
    """Add the options that every way to write has."""
    for option in (
        click.option(
            "--truncate", is_flag=True, help="Cut times to whole microseconds instead of refusing finer ones."
        ),
        click.option(
            "--on-conflict",
            type=click.Choice(["error", "last"]),
            default="error",
            show_default=True,
            help="Of rows of one key and time that differ: refuse them, or keep the last.",
        ),
        click.option("--idempotency-key", default="", metavar="TEXT", help="The same key and rows are stored once."),
        click.option("--meta", multiple=True, metavar="NAME=VALUE", help="Kept with the commit; may be repeated."),
    ):
        function = option(function)
    return function


def absent_option(function: F) -> F:
    """Add the option --absent."""
    return click.option(
        "--absent",
        type=click.Choice(["keep", "retire"]),
        default="keep",
        show_default=True,
        help="Keys that a full load of one event time lacks: leave them, or retire them then.",
    )(function)


def column_list(text: str | None) -> list[str] | None:
    """Return comma-separated names."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def rows_for(group: "FeatureGroup | None", file: Path, advance: "Advance", *, times: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - a pyarrow.Table or RecordBatchReader; loaded when needed
    """Return the rows of a file, batch by batch; a CSV whole, with the types that the group declares.

    Args:
        group: The group, None if there is none yet.
        file: The file.
        advance: Called with (rows read, rows of the file).
        times: Further columns of times.
    """
    if SUFFIXES[file.suffix.lower()] != "csv":
        return read_batches(file, advance)
    if group is None:
        return read_table(file, {})
    from asof.arrow.layout import declared_schema
    from asof.arrow.types import TIMESTAMP

    types = {field.name: field.type for field in declared_schema(group)} | dict.fromkeys(times, TIMESTAMP)
    return read_table(file, types, timezone=group.timezone)


def meta_of(texts: tuple[str, ...]) -> dict[str, str] | None:
    """Return what `--meta` says."""
    return pairs(texts, what="meta") or None


def split_command(opened: "Store", store: str, commit: "Commit") -> str:
    """Return the command that would store cold features apart; "" if there are none, or they are."""
    if not commit.cold or any(group.ref == commit.group and group.cold for group in opened.catalog.groups()):
        return ""
    return f"asof split {shlex.quote(store)} {commit.group} --cold {','.join(commit.cold)}"


def show_commit(screen: "Screen", commit: "Commit", split: str = "") -> None:
    """Print what a commit did; `split` is the command that would store its cold features apart."""
    if commit.repeated:
        screen.line(f"{commit.id}: these rows were stored before, under this idempotency key", style="yellow")
        return
    extra = [
        f"{count:,} {what}"
        for count, what in (
            (commit.unchanged, "unchanged"),
            (commit.retired, "absent keys retired"),
            (commit.quarantined, "quarantined"),
        )
        if count
    ]
    rest = f" ({', '.join(extra)})" if extra else ""
    screen.line(f"{commit.id}: {commit.kind} of {counted(commit.rows, 'row')}{rest}", style="green")
    if commit.compared:
        screen.line(f"changed since their predecessors: {change_rates(commit)}")
    if split:
        screen.line(
            f"{', '.join(commit.cold)} hardly ever change, and are stored again whenever the others do;"
            f" to store them apart: {split}",
            style="yellow",
        )


def change_rates(commit: "Commit", *, most: int = 8) -> str:
    """Return in what share of the rows compared each feature changed, the most changed first."""
    ordered = sorted(commit.changed.items(), key=lambda item: -item[1])
    told = [f"{name} {count / commit.compared:.1%}" for name, count in ordered[:most]]
    return ", ".join([*told, *([f"{len(ordered) - most} more"] if len(ordered) > most else [])])
