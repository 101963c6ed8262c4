"""`asof forget`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, pairs, store_argument
from asof.cli.command import command as asof_command
from asof.cli.files import FILE_IN, read_table
from asof.cli.lookup import key_values
from asof.cli.screen import counted, progress

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.definitions import FeatureGroup
    from asof.erasure import Certificate
    from asof.store import Store

SHAPE = {
    "erasure": 3,
    "entity": "airport",
    "keys": 1,
    "reason": "asked for by mail",
    "writer": "ana@host",
    "started_at": "2026-01-01T12:00:00Z",
    "finished_at": "2026-01-01T12:00:01Z",
    "erased": [
        {
            "place": "history",
            "what": "weather@1",
            "rows": 72,
            "files": [{"before": "a.parquet", "before_sha256": "0f...", "after": "b.parquet", "after_sha256": "1e..."}],
        }
    ],
    "places": ["history", "online", "spill", "settings", "registry"],
    "notes": [],
}


@asof_command("forget", shape=SHAPE)
@store_argument
@click.argument("entity")
@click.argument("keys", nargs=-1, metavar="KEY=VALUE...")
@click.option("--keys", "file", type=FILE_IN, metavar="FILE", help="Keys as a Parquet, CSV or Arrow IPC file.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the certificate.")
@click.option("--dry-run", is_flag=True, help="Only count what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    entity: str,
    keys: tuple[str, ...],
    file: Path | None,
    reason: str,
    dry_run: bool,  # noqa: FBT001 - click's flag
    yes: bool,  # noqa: FBT001 - click's flag
) -> Answer:
    """Erase keys of an entity for ever.

    Their rows go from history, journal, online store and serving logs, and no byte of them is left in the store's
    files. Everybody else's answers stay as they are. A certificate says what was done; it holds no key.
    """
    if (file is None) == (not keys):
        raise click.UsageError("which keys? -> pass KEY=VALUE..., or --keys FILE")
    with open_store(store) as opened:
        definition = _group_of(opened, entity)
        given = _keys(definition, keys, file)
        if not dry_run and not yes:
            _ask(opened, entity, given)
        with progress(f"forgetting {entity}") as advance:
            done = opened.forget(entity, given, reason=reason, dry_run=dry_run, progress=advance)
    return Answer(_document(done), lambda screen: _show(screen, done))


def _group_of(store: "Store", entity: str) -> "FeatureGroup | None":
    groups = [group.definition for group in store.catalog.groups() if group.definition.entity.name == entity]
    return groups[-1] if groups else None


def _keys(group: "FeatureGroup | None", keys: tuple[str, ...], file: Path | None) -> Any:  # noqa: ANN401 - a frame
    if file is not None:
        from asof.arrow.types import arrow_type

        types = {} if group is None else {name: arrow_type(dtype) for name, dtype in group.entity.keys.items()}
        return read_table(file, types)
    given = pairs(keys, what="key")
    return given if group is None else key_values(group, given)


def _ask(store: "Store", entity: str, keys: Any) -> None:  # noqa: ANN401 - a frame
    if not sys.stdin.isatty():
        raise click.UsageError(f"nothing was erased -> pass --yes to erase this {entity} without being asked")
    found = store.forget(entity, keys, dry_run=True)
    what = f"{counted(found.rows, 'row')} of {counted(found.keys, 'key')} of {entity}"
    click.confirm(f"Erase {what} for ever?", abort=True, err=True)


def _document(done: "Certificate") -> dict[str, Any]:
    import msgspec

    from asof.clock import show_us

    document = msgspec.to_builtins(done)
    return {
        "erasure": done.id,
        **{name: document[name] for name in ("entity", "keys", "reason", "writer")},
        "started_at": show_us(done.started_at_us),
        "finished_at": None if done.finished_at_us is None else show_us(done.finished_at_us),
        **{name: document[name] for name in ("erased", "places", "notes")},
    }


def _show(screen: "Screen", done: "Certificate") -> None:
    head, *rest = str(done).splitlines()
    screen.line(head, style="green" if done.finished_at_us is not None else "yellow")
    for line in rest:
        screen.line(line)
