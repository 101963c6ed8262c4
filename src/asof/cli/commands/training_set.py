"""`asof training-set`: make, ls, show, rebuild, leakage, export, rm."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document
from asof.cli.files import FILE_IN, FILE_OUT, read_table, write_batches
from asof.cli.lookup import find, known_mode
from asof.cli.screen import counted, progress
from asof.cli.writing import column_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asof.cli.screen import Advance, Screen
    from asof.definitions import Label
    from asof.definitions.splits import Split
    from asof.store import Store
    from asof.training.sets.training_set import TrainingSet

SHAPE: Document = {
    "name": "departure-2026-11",
    "version": 1,
    "view": "departure@1",
    "rows": 34,
    "given": 40,
    "left_out": {"label not mature": 6},
    "parts": {"train": 24, "test": 10},
    "label": "arr_delay",
    "features": ["temp", "visib"],
    "commits": {"weather@1": 17},
    "erased": {},
    "digest": "b37d6e4e078f...",
    "created_at": "2026-11-22T12:00:00Z",
    "created_by": "ana@host",
    "code_commit": "b96394e57849...",
}
LEAK: Document = {
    "kind": "late value", "what": "temp", "count": 3, "of": 34, "measure": "", "found": True,
}  # fmt: skip


@click.group("training-set", short_help="Make, list, show, rebuild, examine and export training sets.")
def command() -> None:
    """Training sets: saved as they were made, versioned, and made again from history.

    NAME is that of a training set, its newest version, or of one version, "departure-2026-11@1".
    """


@asof_command("make", shape=SHAPE)
@store_argument
@click.argument("name")
@click.argument("view")
@click.argument("spine_file", type=FILE_IN)
@click.option("--time", metavar="COL", help="The spine's column of times; none for a view of static groups.")
@click.option("--label", metavar="COL", help="A column of the spine; or GROUP.FEATURE, with --after.")
@click.option("--after", metavar="LENGTH", help="How long after its row's time a label is known, such as 12h.")
@click.option(
    "--on", "keys", multiple=True, metavar="KEY=COL", help="The spine's column of a key of the label's group; repeat."
)
@click.option("--split", type=click.Choice(["time", "random", "group"]), help="How the rows are parted.")
@click.option("--shares", metavar="NAME=SHARE,...", help="The parts and their shares, such as train=0.8,test=0.2.")
@click.option("--cut", "cuts", multiple=True, metavar="TIME", help="With --split time, the end of a part; repeat.")
@click.option("--gap", default="0s", metavar="LENGTH", help="With --split time, what is left out before each cut.")
@click.option("--by", metavar="COL,COL", help="With --split group, the columns whose values stay together.")
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="N", help="Of the split; default: 0.")
@click.option("--known", metavar="WHEN", help='"served", "event", or a time such as 2026-01-01T12:00:00Z.')
@click.option("--commits", metavar="TAG", help="Read the store as it stood at a tag, see `asof tag`.")
@click.option("--timezone", metavar="ZONE", help="Zone of naive times in the spine.")
@click.option("--truncate", is_flag=True, help="Cut times to whole microseconds instead of refusing finer ones.")
@click.option("--batch-rows", type=click.IntRange(min=1), metavar="N", help="Rows of the spine answered at once.")
def make(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    name: str,
    view: str,
    spine_file: Path,
    time: str | None,
    label: str | None,
    after: str | None,
    keys: tuple[str, ...],
    split: str | None,
    shares: str | None,
    cuts: tuple[str, ...],
    gap: str,
    by: str | None,
    seed: int,
    known: str | None,
    commits: str | None,
    timezone: str | None,
    truncate: bool,  # noqa: FBT001 - click's flag
    batch_rows: int | None,
) -> Answer:
    """Make a training set, or find the version with the same content.

    The spine (Parquet, which need not fit memory; CSV or Arrow IPC) is answered point in time, as by `historical`, and
    the rows are kept. Rows whose label is not mature yet are left out, and counted.
    """
    mode = known_mode(known)
    parted = _split(split, shares, cuts, gap, by, seed)
    with open_store(store) as opened, progress(f"making {name}", unit="rows") as advance:
        made = opened.training_set(
            name,
            view,
            _spine(opened, view, spine_file, time, timezone),
            time=time,
            split=parted,
            label=_label(opened, label, after, keys),
            known=mode,
            commits=commits,
            timezone=timezone,
            truncate=truncate,
            batch_rows=batch_rows,
            progress=advance,
        )
    return _shown(made)


@asof_command("ls", shape={"training_sets": [SHAPE]})
@store_argument
def ls(store: str) -> Answer:
    """List the training sets of a store, every version."""
    with open_store(store) as opened:
        every = opened.catalog.training_sets()
    rows = [(each.ref, each.view, len(each), each.label, ", ".join(each.splits), each.created_at) for each in every]
    columns = ("training set", "view", "rows", "label", "parts", "made")
    empty = "no training sets yet -> asof training-set make STORE NAME VIEW SPINE_FILE --time COL"
    return Answer(
        {"training_sets": [_document(each) for each in every]},
        lambda screen: screen.table(columns, rows) if rows else screen.line(empty),
    )


@asof_command("show", shape=SHAPE)
@store_argument
@click.argument("name")
def show(store: str, name: str) -> Answer:
    """Say how a training set was made."""
    with open_store(store) as opened:
        return _shown(opened.training_set(name))


@asof_command("rebuild", shape=SHAPE)
@store_argument
@click.argument("name")
def rebuild(store: str, name: str) -> Answer:
    """Make a training set again from history, and compare; nothing is replaced.

    It fails, and says why, if the rows are not the same to the bit.
    """
    with open_store(store) as opened:
        again = opened.training_set(name).rebuild()
    return Answer(
        _document(again), lambda screen: screen.line(f"{again.ref} is the same: {again.digest}", style="green")
    )


@asof_command("leakage", shape={"training_set": "departure-2026-11@1", "leaks": [LEAK], "unmeasured": {}, "method": []})
@store_argument
@click.argument("name")
def leakage(store: str, name: str) -> Answer:
    """Look for what may tell a model more than it will know."""
    import msgspec

    with open_store(store) as opened:
        report = opened.training_set(name).leakage()
    document = {
        "training_set": report.ref,
        "leaks": msgspec.to_builtins(report.leaks),
        "unmeasured": dict(report.unmeasured),
        "method": list(report.METHOD),
    }

    def told(screen: "Screen") -> None:
        screen.line(f"{len(report.found)} of {len(report.leaks)} found", style="red" if report.found else "green")
        screen.table(("", "kind", "what", "count", "measure"), report.rows())
        for feature, why in report.unmeasured.items():
            screen.line(f"not measured: {feature} ({why})", style="dim")
        for line in report.METHOD:
            screen.line(line, style="dim")

    return Answer(document, told)


@asof_command("export", shape={"training_set": "departure-2026-11@1", "rows": 24, "out": "train.parquet"})
@store_argument
@click.argument("name")
@click.argument("out", type=FILE_OUT)
@click.option("--split", metavar="PART", help="Only a part of the split.")
def export(store: str, name: str, out: Path, split: str | None) -> Answer:
    """Write the rows of a training set to a file: Parquet, CSV or Arrow IPC by its suffix."""
    with open_store(store) as opened, progress(f"exporting {name}", unit="rows") as advance:
        found = opened.training_set(name)
        rows = found.splits[split] if split in found.splits else len(found)
        batches = _told(found, split, rows, advance)
        first = next(batches, None)
        schema = found.to_arrow(split).schema if first is None else first.schema
        done = [0]
        write_batches(schema, _all(first, batches, done), out)
    text = f"{counted(done[0], 'row')} of {found.ref} in {out}"
    document = {"training_set": found.ref, "rows": done[0], "out": str(out)}
    return Answer(document, lambda screen: screen.line(text, style="green"))


@asof_command("rm", shape={"removed": ["departure-2026-11@1"]})
@store_argument
@click.argument("name")
def rm(store: str, name: str) -> Answer:
    """Remove a training set with its rows: one version, or all."""
    with open_store(store) as opened:
        gone = opened.catalog.remove_training_set(name)
    return Answer({"removed": gone}, lambda screen: screen.line(f"removed {', '.join(gone)}", style="green"))


for each in (make, ls, show, rebuild, leakage, export, rm):
    command.add_command(each)


def _spine(opened: "Store", view: str, file: Path, time: str | None, timezone: str | None) -> Any:  # noqa: ANN401 - a path, or a pyarrow.Table
    if file.suffix.lower() in {".parquet", ".pq"}:
        return file
    from asof.arrow.types import TIMESTAMP, arrow_type
    from asof.ingest.key_texts import key_types

    types = {name: arrow_type(dtype) for name, dtype in key_types(find(opened, view)).items()}
    return read_table(file, types | ({} if time is None else {time: TIMESTAMP}), timezone=timezone)


def _label(opened: "Store", label: str | None, after: str | None, keys: tuple[str, ...]) -> "str | Label | None":
    """Return what the options name: a column of the spine, or a feature of a group."""
    if label is None or after is None:
        if after is not None or keys or (label is not None and "." in label):
            raise click.UsageError("a label that is looked up needs both -> --label GROUP.FEATURE --after LENGTH")
        return label
    from asof.definitions import FeatureGroup

    group, dot, feature = label.partition(".")
    found = find(opened, group)
    if not dot or not isinstance(found, FeatureGroup):
        raise click.UsageError(f"--label {label!r} names no feature of a group -> write GROUP.FEATURE")
    on = dict(each.split("=", 1) for each in keys if "=" in each)
    if len(on) < len(keys):
        raise click.UsageError("--on takes KEY=COL")
    return found.on(**on)[feature].after(after)


def _split(  # noqa: PLR0917 - one for each option
    kind: str | None, shares: str | None, cuts: tuple[str, ...], gap: str, by: str | None, seed: int
) -> "Split | None":
    """Return the split that the options name."""
    if kind is None:
        if shares or cuts or by:
            raise click.UsageError("how are the rows parted? -> --split time, random or group")
        return None
    from asof.definitions import GroupSplit, RandomSplit, TimeSplit

    parts = {} if shares is None else dict(_share(each) for each in shares.split(","))
    match kind:
        case "time" if cuts:
            return TimeSplit(list(cuts), names=list(parts) or None, gap=gap)
        case "time":
            return TimeSplit(shares=parts, gap=gap)
        case "random":
            return RandomSplit(parts, seed)
        case _:
            return GroupSplit(column_list(by) or [], parts, seed)


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        return name.strip(), float(share or "nan")
    except ValueError:
        raise click.UsageError(f"{text!r} is no part with its share -> write train=0.8,test=0.2") from None


def _told(found: "TrainingSet", split: str | None, rows: int, advance: "Advance") -> "Iterator[Any]":
    done = 0
    for batch in found.batches(split):
        yield batch
        done += batch.num_rows
        advance(done, max(rows, done))


def _all(first: Any, batches: "Iterator[Any]", done: list[int]) -> "Iterator[Any]":  # noqa: ANN401 - a pyarrow.RecordBatch
    """Iterate over all batches, and count their rows."""
    from itertools import chain

    for batch in chain([] if first is None else [first], batches):
        done[0] += batch.num_rows
        yield batch


def _shown(found: "TrainingSet") -> Answer:
    facts = (("rows", f"{len(found):,}"), *found.facts())

    def told(screen: "Screen") -> None:
        screen.line(f"training set {found.ref}", style="bold")
        screen.facts(facts)

    return Answer(_document(found), told)


def _document(found: "TrainingSet") -> dict[str, Any]:
    from asof.clock import show_us, to_us

    said = found.manifest
    return {
        "name": found.name,
        "version": found.version,
        "view": found.view,
        "rows": len(found),
        "given": said.given,
        "left_out": dict(said.left_out),
        "parts": found.splits,
        "label": found.label,
        "features": list(found.features),
        "commits": found.commits,
        "erased": dict(said.erased),
        "digest": found.digest,
        "created_at": show_us(to_us(found.created_at)),
        "created_by": found.writer,
        "code_commit": said.code_commit,
    }
