"""Rows that broke a check: what checks said, the rows themselves, and how they come back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.conform import conform
from asof.arrow.frames import Frame, Origin, to_table
from asof.arrow.layout import declared_schema, stored_rows
from asof.arrow.types import TIMESTAMP
from asof.checks import Checking, CheckReport, refuse, report_from
from asof.clock import from_us
from asof.definitions.quarantine import AT, ITEM, quarantine_name
from asof.errors import NotFoundError, UsageError, warn
from asof.ingest.around import StoreAround
from asof.ingest.prepare import Options, Prepared, prepare
from asof.ingest.quarantine import as_files, rows_of
from asof.ingest.write import Writer
from asof.parts import Parts, pinned_rows, seen_pins
from asof.records import COMMIT_COLUMN, Commit, Draft
from asof.registry.registered import RegisteredGroup
from asof.training.frame import HistoricalFrame

ITEM_COLUMN = "__item"
OWN = pa.schema(
    [
        (ITEM_COLUMN, pa.string()),
        ("__reasons", pa.string()),
        ("__row", pa.int64()),
        ("__set_aside_at", TIMESTAMP),
        (COMMIT_COLUMN, pa.string()),
    ]
)
"""What is said of a row in quarantine: its name there, the checks that it broke, its number in the frame, when it
was put aside, and the commit of the other rows of that frame."""


def reports(parts: Parts, group: str, *, limit: int | None) -> list[CheckReport]:
    """Return what checks said of writes; see `Quality.reports`."""
    registered = parts.registry.group(group).written
    found: list[CheckReport] = []
    for kept in parts.reports.of(registered, limit=limit):
        commit = f"{kept.group}:{kept.commit}" if kept.commit else ""
        told = report_from(kept.body)
        found.append(
            msgspec.structs.replace(told, group=kept.group, commit=commit, at_us=kept.at_us, writer=kept.writer)
        )
    return found


def check(parts: Parts, group: str, frame: Frame) -> CheckReport:
    """Return what the checks of a group say of rows; see `Quality.check`."""
    registered = parts.registry.group(group).written
    checking = Checking(registered.definition, StoreAround(parts, registered), now_us=parts.now_us())
    table, _ = to_table(frame, where=f"group {registered.definition.name}")
    checking.add(conform(table, registered.definition))
    return msgspec.structs.replace(checking.report(), group=registered.ref)


def quarantine(parts: Parts, group: str) -> HistoricalFrame:
    """Return the rows that broke a check and did not come again since; see `Quality.quarantine`."""
    registered = parts.registry.group(group).written
    kept = _open(parts, registered)
    declared = pa.schema([(field.name, field.type) for field in declared_schema(registered.definition)])
    empty = pa.schema([*declared, *OWN]).empty_table()
    pins = seen_pins({each.quarantine.ref: pinned_rows(parts, each.quarantine)[0] for each in kept})
    return HistoricalFrame(pa.concat_tables([empty, *(each.rows for each in kept)]), Origin("arrow"), pins)


def replay(parts: Parts, writer: Writer, group: str, frame: Frame | None, *, backfill: bool) -> list[Commit]:
    """Store rows of a quarantine, and take them out of it; see `Quality.replay`."""
    registered = parts.registry.group(group).writable
    where = f"group {registered.definition.name}"
    kept = _open(parts, registered)
    if frame is not None:
        kept = _mended(frame, kept, where)
    work = [_Replay(parts, registered, each) for each in kept if each.rows.num_rows]
    left = sum(int(each.broken.sum()) for each in work)
    if left and all(each.broken.all() for each in work):
        refuse(work[0].checking.report(), where)
    commits = [writer.publish([each.prepared(backfill=backfill)])[0] for each in work if not each.broken.all()]
    if left:
        told = "1 row still breaks a check and stays" if left == 1 else f"{left:,} rows still break a check and stay"
        warn(f"{where}: {told} in quarantine")
    return commits


def dismiss(parts: Parts, writer: Writer, group: str, items: Sequence[str], *, reason: str) -> int:
    """Take rows out of a quarantine; see `Quality.dismiss`."""
    registered = parts.registry.group(group).written
    if not isinstance(reason, str) or not reason.strip():  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError("a dismissal needs a reason", todo='pass reason="..."')
    if isinstance(items, str):
        raise UsageError("one text is no list of items", todo="pass a list")
    kept = _open(parts, registered)
    _check_open(items, kept, f"group {registered.definition.name}")
    now = from_us(parts.now_us())
    for each in kept:
        mine = each.named(items)
        if mine.num_rows:
            ended = pa.table({ITEM: mine.column(ITEM_COLUMN)})
            writer.retire(each.quarantine.ref, ended, now, Options(meta={"reason": reason}))
    return len(set(items))


@dataclass(frozen=True, slots=True)
class _Kept:
    """The open items of one version of a quarantine: rows of the group, with what is said of them."""

    quarantine: RegisteredGroup
    rows: pa.Table

    def named(self, items: Collection[str]) -> pa.Table:
        """Return those of some names."""
        return self.rows.filter(pc.is_in(self.rows.column(ITEM_COLUMN), value_set=pa.array(items, pa.string())))


class _Replay:
    """Rows of one quarantine that are to be stored, as far as they keep the checks of now."""

    def __init__(self, parts: Parts, group: RegisteredGroup, kept: _Kept) -> None:
        definition = group.definition
        self.parts = parts
        self.group = group
        self.kept = kept
        self.now_us = parts.now_us()
        self.rows = conform(kept.rows.drop_columns([n for n in OWN.names if n in kept.rows.column_names]), definition)
        self.checking = self.checks()
        broken = self.checking.add(self.rows).broken
        self.broken = broken if definition.on_violation in ("strict", "quarantine") else np.zeros_like(broken)

    def checks(self) -> Checking:
        """Return the checks of single rows: what is said of a batch was said of the one that they came in."""
        return Checking(self.group.definition, StoreAround(self.parts, self.group), now_us=self.now_us, whole=False)

    def prepared(self, *, backfill: bool) -> Prepared:
        """Return the rows that keep the checks, with the end of their items."""
        good = pa.array(~self.broken)
        ready = prepare(
            self.group,
            self.rows.filter(good),
            "backfill" if backfill else "write",
            Options(meta={"replayed": self.kept.quarantine.ref}),
            now_us=self.now_us,
            checking=self.checks(),
            warns=False,
        )
        ended = self.ended(self.kept.rows.column(ITEM_COLUMN).filter(good))
        return replace(ready, draft=replace(ready.draft, aside=ended))

    def ended(self, items: pa.ChunkedArray) -> Draft:
        """Return a commit that says that items ended."""
        into = self.kept.quarantine
        time = pa.repeat(pa.scalar(self.now_us, pa.int64()).cast(TIMESTAMP), len(items))
        rows = stored_rows(into.definition, pa.table({ITEM: items, AT: time}).sort_by(ITEM), retired=True)
        return as_files(self.parts, into, rows, "retire")


def _open(parts: Parts, group: RegisteredGroup) -> list[_Kept]:
    """Return the items that were neither replayed nor dismissed, and whose key and time did not come again since."""
    name = quarantine_name(group.definition.name)
    versions = [each for each in parts.registry.groups() if each.definition.name == name]
    found = [_Kept(each, _items(parts, group, each)) for each in versions]
    return [_Kept(each.quarantine, _without_later(parts, group, each.rows)) for each in found if each.rows.num_rows]


def _items(parts: Parts, group: RegisteredGroup, quarantine: RegisteredGroup) -> pa.Table:
    rows, _ = pinned_rows(parts, quarantine)
    columns = list(quarantine.definition.columns)
    items = parts.engine.scan(rows, columns=columns, latest=True, clocks=True).read_all()
    said = {commit.number: commit.meta.get("commit", "") for commit in parts.log.commits(quarantine)}
    own = [
        items.column(ITEM),
        items.column("reasons"),
        items.column("row"),
        items.column(AT),
        pa.array([said.get(number, "") for number in items.column(COMMIT_COLUMN).to_pylist()], pa.string()),
    ]
    table = rows_of(group.definition, items)
    for field, column in zip(OWN, own, strict=True):
        table = table.append_column(field, column.cast(field.type))
    return table


def _without_later(parts: Parts, group: RegisteredGroup, items: pa.Table) -> pa.Table:
    """Return items without those whose key and event time came again in a later commit, good or bad."""
    definition = group.definition
    time = definition.event_time
    identity = [*definition.keys, *(() if time is None else (time,))]
    refs = [commit.rpartition(":") for commit in items.column(COMMIT_COLUMN).to_pylist()]
    numbers = pa.array([int(number) if ref == group.ref else 0 for ref, _, number in refs], pa.int64())
    mine = items.select(identity).append_column(COMMIT_COLUMN, numbers)
    after: int | None = None
    until: int | None = None
    if time is not None:
        bounds = pc.min_max(items.column(time).cast(pa.int64()))
        after, until = int(bounds["min"].as_py()) - 1, int(bounds["max"].as_py())
    rows, _ = pinned_rows(parts, group)
    wanted = mine.group_by(identity).aggregate([])
    came = [mine]
    for batch in parts.engine.scan(rows, columns=identity, after_us=after, until_us=until, clocks=True):
        stored = pa.Table.from_batches([batch]).select([*identity, COMMIT_COLUMN])
        came.append(stored.join(wanted, identity, join_type="inner").select(mine.column_names).cast(mine.schema))
    last = pa.concat_tables(came).group_by(identity).aggregate([(COMMIT_COLUMN, "max")])
    placed = mine.append_column("__place", pa.array(np.arange(items.num_rows)))
    joined = placed.join(last, identity, join_type="inner").sort_by("__place")
    return items.filter(pc.equal(joined.column(COMMIT_COLUMN), joined.column(f"{COMMIT_COLUMN}_max")))


def _mended(frame: Frame, kept: Sequence[_Kept], where: str) -> list[_Kept]:
    """Return rows that a caller mended in the place of the open items that they stand for.

    Raises:
        UsageError: It does not say for which, or says it twice. NotFoundError: An item is not open.
    """
    table, _ = to_table(frame, where=where)
    if ITEM_COLUMN not in table.column_names:
        todo = "start from store.quality.quarantine(group), and keep that column"
        raise UsageError(
            f"the frame has no column {ITEM_COLUMN}: nobody knows which rows it mends", where=where, todo=todo
        )
    names = table.column(ITEM_COLUMN).to_pylist()
    if len(set(names)) < len(names):
        raise UsageError(f"the frame has two rows for one item in {ITEM_COLUMN}", where=where, todo="drop one")
    _check_open(names, kept, where)
    table = table.drop_columns([name for name in OWN.names if name in table.column_names and name != ITEM_COLUMN])
    return [
        _Kept(each.quarantine, _Kept(each.quarantine, table).named(each.rows.column(ITEM_COLUMN).to_pylist()))
        for each in kept
    ]


def _check_open(items: Collection[str], kept: Sequence[_Kept], where: str) -> None:
    known = {item for each in kept for item in each.rows.column(ITEM_COLUMN).to_pylist()}
    unknown = [item for item in items if item not in known]
    if unknown:
        todo = "see `asof quarantine list`: it may have been replayed or dismissed"
        raise NotFoundError(f"{unknown[0]!r} is no row in quarantine", where=where, todo=todo)
