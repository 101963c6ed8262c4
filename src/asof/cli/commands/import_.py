"""`asof import`: a folder of CSV files, or a repository of Feast."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from asof.cli.command import Answer
from asof.cli.command import command as asof_command
from asof.cli.commands.import_feast import import_feast
from asof.cli.documents import Document
from asof.cli.screen import counted, progress

if TYPE_CHECKING:
    from asof.cli.loading import Loaded
    from asof.cli.screen import Screen
    from asof.ingest.csv_folder import Proposal, Wish

SHAPE: Document = {
    "dry_run": False,
    "store": "store",
    "new_store": True,
    "files": [
        {
            "file": "weather.csv",
            "group": "weather",
            "exists": False,
            "rows": 144,
            "keys": {"origin": "string"},
            "event_time": "time_hour",
            "timezone": None,
            "features": {"temp": "float64"},
            "renamed": {"Temp": "temp"},
            "commit": "weather@1:1",
            "problem": None,
        }
    ],
}


@click.group("import", short_help="Take over a folder of CSV files, or the definitions of Feast.")
def command() -> None:
    """Take over what others have: data, or definitions."""


@asof_command("csv", shape=SHAPE)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("store")
@click.option("--yes", is_flag=True, help="Load the files; without it they are only looked at.")
@click.option("--keys", multiple=True, metavar="FILE=COL,COL", help="Key columns of a file; may be repeated.")
@click.option("--event-time", multiple=True, metavar="FILE=COL", help="Its event time; `FILE=` makes a static group.")
@click.option("--timezone", multiple=True, metavar="[FILE=]ZONE", help="Zone of naive times, of a file or of all.")
@click.option("--name", multiple=True, metavar="FILE=NAME", help="The group's name.")
@click.option(
    "--on-conflict",
    type=click.Choice(["error", "last"]),
    default="error",
    show_default=True,
    help="Of rows of one key and time that differ: refuse the file, or keep the last.",
)
def import_csv(  # noqa: PLR0913, PLR0917 - one for each option
    folder: Path,
    store: str,
    yes: bool,  # noqa: FBT001 - click's flag
    keys: tuple[str, ...],
    event_time: tuple[str, ...],
    timezone: tuple[str, ...],
    name: tuple[str, ...],
    on_conflict: Literal["error", "last"],
) -> Answer:
    """Make a group of each CSV file in a folder.

    Without --yes nothing is loaded: what each file would become is shown. For each file a name, keys, event time
    and types are proposed and tried on all its rows. The event time is a column of times, best one called time,
    timestamp, date, *_at or *_time. Keys are the fewest columns that are unique together with it, best ones called
    id, *_id, *_code and the like. Files with a problem are listed and leave nothing behind; the exit code is then
    1.

    Groups are offline. The rows of a file whose group exists are added to it; a file that was loaded is not loaded
    again. STORE is made if there is none.
    """
    from asof.cli.loading import groups_of, load, look_at
    from asof.ingest.csv_folder import csv_files

    files = csv_files(folder)
    wishes = _wishes([file.name for file in files], keys, event_time, timezone, name)
    known = groups_of(store)
    with progress("looking at the files") as advance:
        proposals = look_at(files, wishes, known or {}, on_conflict, advance)
    loaded: Mapping[str, Loaded] = {}
    if yes and any(proposal.group for proposal in proposals):
        with progress("loading") as advance:
            loaded = load(proposals, store, on_conflict, advance)
    documents = [_document(proposal, loaded) for proposal in proposals]
    head = {"dry_run": not yes, "store": store, "new_store": known is None}
    into = f"the new store {store}" if known is None else f"{store}, which has {counted(len(known), 'group')}"
    return Answer(
        {**head, "files": documents},
        lambda screen: _show(screen, documents, loaded, into, dry_run=not yes),
        1 if any(document["problem"] for document in documents) else 0,
    )


command.add_command(import_csv)
command.add_command(import_feast)


def _wishes(
    files: list[str],
    keys: tuple[str, ...],
    event_time: tuple[str, ...],
    timezone: tuple[str, ...],
    name: tuple[str, ...],
) -> "Mapping[str, Wish]":
    from asof.cli.writing import column_list
    from asof.ingest.csv_folder import Wish

    by_keys = _by_file("--keys", keys, files)
    by_time = _by_file("--event-time", event_time, files)
    by_name = _by_file("--name", name, files)
    zones = _by_file("--timezone", tuple(zone for zone in timezone if "=" in zone), files)
    everywhere = next((zone for zone in timezone if "=" not in zone), None)
    return {
        file: Wish(by_name.get(file), column_list(by_keys.get(file)), by_time.get(file), zones.get(file, everywhere))
        for file in files
    }


def _by_file(option: str, texts: tuple[str, ...], files: list[str]) -> dict[str, str]:
    from asof.errors import NotFoundError

    found: dict[str, str] = {}
    for text in texts:
        file, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"{option} {text!r}: write it as FILE.csv=...")
        if file not in files:
            raise click.UsageError(f"{option} {text!r}: {NotFoundError.named('file', file, files)}")
        found[file] = value
    return found


def _document(proposal: "Proposal", loaded: "Mapping[str, Loaded]") -> dict[str, Any]:
    group = proposal.group
    result = loaded.get(proposal.file.name)
    commit = None if result is None else result.commit
    return {
        "file": proposal.file.name,
        "group": proposal.name,
        "exists": proposal.exists,
        "rows": proposal.rows,
        "keys": {} if group is None else {key: str(dtype) for key, dtype in group.entity.keys.items()},
        "event_time": None if group is None else group.event_time,
        "timezone": None if group is None else group.timezone,
        "features": {} if group is None else {feature.name: str(feature.dtype) for feature in group.features},
        "renamed": proposal.renamed,
        "commit": None if commit is None else commit.id,
        "problem": proposal.problem or (result.problem if result else "") or None,
    }


def _show(
    screen: "Screen", documents: list[dict[str, Any]], loaded: "Mapping[str, Loaded]", into: str, *, dry_run: bool
) -> None:
    good = [document for document in documents if not document["problem"]]
    bad = [document for document in documents if document["problem"]]
    if good:
        columns = ("file", "group", "keys", "event time", "features", "rows", "it would" if dry_run else "commit")
        screen.table(columns, [_row(document, loaded) for document in good])
        screen.line()
    if good and dry_run:
        screen.line("their features", style="bold")
        screen.facts([(document["group"], _by_type(document["features"])) for document in good])
        screen.line()
    renamed = [(document["file"], old, new) for document in good for old, new in document["renamed"].items()]
    if renamed and dry_run:
        screen.table(("file", "its column", "becomes"), renamed)
        screen.line()
    if bad:
        screen.line("cannot be loaded:" if dry_run else "not loaded:", style="bold red")
        for document in bad:
            screen.line(f"  {document['file']}: {document['problem']}")
        screen.line()
    new = [d for d in good if dry_run or not _was_loaded(d, loaded)]
    files = f"{len(new)} of {len(documents)} files, {counted(sum(d['rows'] for d in new), 'row')}"
    if not dry_run:
        screen.line(f"loaded {files}, into {into}", style="green" if new else "")
    elif good:
        screen.line(f"nothing was loaded yet: --yes loads {files}, into {into}", style="bold")
    else:
        screen.line("nothing can be loaded", style="red")


def _row(document: dict[str, Any], loaded: "Mapping[str, Loaded]") -> list[Any]:
    zone = f" ({document['timezone']})" if document["timezone"] else ""
    result = document["commit"] or ("add rows" if document["exists"] else "make a group")
    return [
        document["file"],
        document["group"],
        ", ".join(f"{name} {dtype}" for name, dtype in document["keys"].items()),
        (document["event_time"] or "static") + zone,
        len(document["features"]),
        document["rows"],
        result + (" (was loaded before)" if _was_loaded(document, loaded) else ""),
    ]


def _was_loaded(document: dict[str, Any], loaded: "Mapping[str, Loaded]") -> bool:
    result = loaded.get(document["file"])
    return result is not None and result.commit is not None and result.commit.repeated


def _by_type(columns: Mapping[str, str]) -> str:
    """Return columns by their types: "float64 temp, humid; int64 year"."""
    by_type: dict[str, list[str]] = {}
    for name, dtype in columns.items():
        by_type.setdefault(dtype, []).append(name)
    return "; ".join(f"{dtype} {', '.join(names)}" for dtype, names in by_type.items())
