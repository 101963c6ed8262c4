"""`asof write`."""

from pathlib import Path
from typing import Literal

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import COMMIT_SHAPE, commit_document
from asof.cli.lookup import find_group
from asof.cli.screen import progress
from asof.cli.writing import (
    absent_option,
    column_list,
    file_arguments,
    meta_of,
    rows_for,
    show_commit,
    split_command,
    write_options,
)


@asof_command("write", shape=COMMIT_SHAPE)
@store_argument
@file_arguments
@click.option("--keys", metavar="COL,COL", help="Key columns: infers and registers a group that does not exist yet.")
@click.option("--event-time", metavar="COL", help="With --keys: the column that says when a row was true.")
@absent_option
@write_options
def command(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    group: str,
    file: Path,
    keys: str | None,
    event_time: str | None,
    absent: Literal["keep", "retire"],
    meta: tuple[str, ...],
    idempotency_key: str,
    on_conflict: Literal["error", "last"],
    truncate: bool,  # noqa: FBT001 - click's flag
) -> Answer:
    """Store the rows of a file as arriving now.

    They become one commit: all of them, or none. FILE is Parquet, CSV or Arrow IPC, by its suffix;
    all but CSV may be larger than memory. Rows of the past
    belong into `asof backfill`.
    """
    with open_store(store) as opened, progress(f"writing {group}", unit="rows") as advance:
        commit = opened.write(
            group,
            rows_for(find_group(opened, group), file, advance),
            keys=column_list(keys),
            event_time=event_time,
            meta=meta_of(meta),
            idempotency_key=idempotency_key,
            on_conflict=on_conflict,
            truncate=truncate,
            absent=absent,
        )
        split = split_command(opened, store, commit)
    return Answer(commit_document(commit), lambda screen: show_commit(screen, commit, split))
