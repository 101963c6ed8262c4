"""From a user's frame to rows that may be stored: conformed, checked, one per key and event time, in order.

Source: SEMANTICS sections 1, 2 and 7.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal, cast

import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.conform import check_future, conform, conform_time
from asof.arrow.frames import Frame, to_table
from asof.arrow.layout import declared_schema, stored_rows
from asof.arrow.order import OnConflict, arrange
from asof.arrow.rows import encode_rows
from asof.checks import Checking
from asof.clock import show_us
from asof.definitions.names import checked_text
from asof.errors import DataError, NotFoundError, UsageError, warn
from asof.ingest.quarantine import sorted_out
from asof.records import AVAILABLE_COLUMN, OWN_KEY, Availability, CommitKind, Draft, Taken
from asof.registry.registered import RegisteredGroup

Absent = Literal["keep", "retire"]

ON_CONFLICT = ("error", "last")
ABSENT = ("keep", "retire")
SKEW_US = 60_000_000
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows that may be stored, and the commit they are to become.

    Attributes:
        group: Their group.
        rows: In the shape and order of a data file.
        draft: The commit, without files.
        absent: What becomes of the keys that are not among the rows.
        items: Rows that broke a check, in the shape of a data file of the group's quarantine; None: there are none.
    """

    group: RegisteredGroup
    rows: pa.Table
    draft: Draft
    absent: Absent = "keep"
    items: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller may say about a write; see `asof.store.Store.write` for each."""

    available_at: str | None = None
    on_conflict: OnConflict = "error"
    truncate: bool = False
    idempotency_key: str = ""
    meta: dict[str, str] | None = None
    absent: Absent = "keep"
    writer: str = ""
    taken: Taken | None = None

    @property
    def compared(self) -> bool:
        """Whether the content is kept as a hash: the same key may come with other content."""
        return bool(self.idempotency_key) and not str(self.idempotency_key).startswith(OWN_KEY)


def prepare(  # noqa: PLR0913 - one write
    group: RegisteredGroup,
    frame: Frame,
    kind: CommitKind,
    options: Options,
    *,
    now_us: int,
    checking: Checking,
    part: bool = False,
    warns: bool = True,
) -> Prepared:
    """Return a frame as rows that may be stored; it says if most are old, unless it was said before.

    Args:
        group: The group.
        frame: The rows.
        kind: What the commit does.
        options: What the caller said.
        now_us: The time.
        checking: The checks of this write.
        part: Whether more rows of the write come: then what is said of all of them is not asked yet.
        warns: Whether to say that most rows are old.

    Raises:
        DataError: The rows break a rule; nothing was written.
        UsageError: The call does not fit the group.
    """
    definition = writable(group).definition
    where = f"group {definition.name}"
    if options.on_conflict not in ON_CONFLICT:  # callers err
        raise UsageError(f"on_conflict={options.on_conflict!r} is not known", where=where, todo='use "error" or "last"')
    if options.absent not in ABSENT:  # callers err
        raise UsageError(f"absent={options.absent!r} is not known", where=where, todo='use "keep" or "retire"')
    table, _ = to_table(frame, where=where)
    arrivals = _arrivals(group, table, options, now_us, kind)
    extra = () if options.available_at is None else (options.available_at,)
    rows = conform(table, definition, extra=extra, truncate=options.truncate)
    if definition.event_time is not None:
        check_future(rows.column(definition.event_time), now_us + SKEW_US, where)
    if arrivals is not None:
        rows = rows.append_column(AVAILABLE_COLUMN, arrivals)
    rows, items = sorted_out(definition, rows, checking, now_us=now_us, part=part)
    if kind == "write" and group.known == "served" and warns:
        _warn_of_old_rows(group, rows, now_us)
    rows = arrange(
        rows,
        definition.keys,
        definition.event_time,
        arrivals=None if arrivals is None else AVAILABLE_COLUMN,
        on_conflict=options.on_conflict,
        where=where,
    )
    stored = stored_rows(definition, rows, arrivals=None if arrivals is None else rows.column(AVAILABLE_COLUMN))
    availability: Availability = "commit" if kind != "backfill" else "delay" if arrivals is None else "column"
    draft = _draft(group, stored, kind, availability, options)
    count = 0 if items is None else items.num_rows
    if count or (checking.asked and kind != "push"):
        told = "" if part else checking.report(set_aside=count).to_json()
        draft = replace(draft, quarantined=draft.quarantined + count, report=told)
    absent = options.absent if draft.rows or not count else "keep"  # else it says of no key that it ended
    if absent == "retire":
        _check_full_load(draft, options, where)
    return Prepared(group, stored, draft, absent=absent, items=items)


def writable(group: RegisteredGroup) -> RegisteredGroup:
    """Return a group that may be written to.

    Raises:
        UsageError: Its rows lie outside of the store.
    """
    if group.definition.external is None:
        return group
    raise UsageError(
        f"the rows of group {group.definition.name!r} stay at {group.definition.external}: the store only reads them",
        todo="write them there; or declare the group without external= under another name, and backfill it",
    )


def _check_full_load(draft: Draft, options: Options, where: str) -> None:
    """Refuse a frame that cannot be a full load: it has no moment at which the absent keys ended."""
    if not draft.rows:
        raise UsageError('absent="retire" with an empty frame would retire every key', where=where, todo="use retire")
    if options.available_at is not None:
        raise UsageError('absent="retire" knows no arrivals of the rows that are absent', where=where)
    check_one_moment({draft.min_event_us, draft.max_event_us}, where)


def check_one_moment(moments: Collection[int | None], where: str) -> None:
    """Refuse a load with `absent="retire"` whose rows have several event times, or parts of one."""
    if len(moments) > 1:
        raise UsageError(
            'absent="retire" needs a full load of one event time: at that the absent keys end',
            where=where,
            todo="write one load after the other",
        )


def prepare_retirement(
    group: RegisteredGroup, keys: Frame, event_us: int | None, options: Options, *, now_us: int
) -> Prepared:
    """Return keys as the rows of a retirement.

    Raises:
        DataError: The keys break a rule. UsageError: A time for a static group, or none for another.
    """
    definition = writable(group).definition
    where = f"group {definition.name}"
    if definition.static and event_us is not None:
        raise UsageError("a static group has no event time", where=where, todo="leave out event_time")
    if not definition.static and event_us is None:
        raise UsageError("when did it end?", where=where, todo="pass event_time=")
    table, _ = to_table([keys] if isinstance(keys, dict) else keys, where=where)
    schema = pa.schema([declared_schema(definition).field(key) for key in definition.keys])
    rows = conform(table, definition, columns=schema)
    if definition.event_time is not None and event_us is not None:
        field = declared_schema(definition).field(definition.event_time)
        times = pa.repeat(pa.scalar(event_us, pa.int64()), rows.num_rows).cast(field.type)
        rows = rows.append_column(field, times)
        check_future(rows.column(definition.event_time), now_us + SKEW_US, where)
    rows = arrange(rows, definition.keys, definition.event_time, where=where)
    stored = stored_rows(definition, rows, retired=True)
    return Prepared(group, stored, _draft(group, stored, "retire", "commit", options))


def _draft(
    group: RegisteredGroup, stored: pa.Table, kind: CommitKind, availability: Availability, options: Options
) -> Draft:
    least, greatest = None, None
    if group.definition.event_time is not None and stored.num_rows:
        bounds = pc.min_max(stored.column(group.definition.event_time).cast(pa.int64()))
        least, greatest = bounds["min"].as_py(), bounds["max"].as_py()
    digest = digest_of(stored) if options.compared else ""
    if digest and options.absent == "retire":  # it is another thing to say of the same rows
        digest = full_digest(digest)
    drafted = draft_of(group, kind, options, rows=stored.num_rows, events=(least, greatest), digest=digest)
    return replace(drafted, availability=availability)


def draft_of(  # noqa: PLR0913 - what a commit is made of
    group: RegisteredGroup,
    kind: CommitKind,
    options: Options,
    *,
    rows: int,
    events: tuple[int | None, int | None],
    digest: str,
    payload: bytes | None = None,
) -> Draft:
    """Return a commit of some rows, whose least and greatest event times are `events`.

    Raises:
        UsageError: meta or idempotency_key are no text.
    """
    _check_text(options, f"group {group.definition.name}")
    return Draft(
        group_id=group.id,
        kind=kind,
        rows=rows,
        payload=payload,
        min_event_us=events[0],
        max_event_us=events[1],
        idempotency_key=options.idempotency_key,
        digest=digest,
        meta=options.meta or {},
        writer=options.writer,
        taken=options.taken,
        quarantined=0 if options.taken is None else len(options.taken.letters),
    )


def _check_text(options: Options, where: str) -> None:
    """Refuse what callers may pass by mistake, before anything is staged."""
    if not options.meta and options.idempotency_key == "":  # most pushes
        return
    meta = cast("object", options.meta or {})
    if not isinstance(meta, dict) or not all(
        isinstance(part, str) for item in cast("dict[object, object]", meta).items() for part in item
    ):
        raise UsageError(f"meta={meta!r} is no dict of text", where=where, todo='pass it as {"name": "text"}')
    for name, value in cast("dict[str, str]", meta).items():
        checked_text(name + value, "meta", where=where)
    checked_text(options.idempotency_key, "idempotency_key", where=where)


def full_digest(digest: str) -> str:
    """Return the hash of a load with `absent="retire"` whose rows have a hash."""
    return hashlib.sha256(f"absent {digest}".encode()).hexdigest()


def digest_of(table: pa.Table) -> str:
    """Return the hash of the canonical values of ordered rows, never of file bytes.

    A column of nulls says nothing: so the same frame has the same digest before and after a feature is added.
    """
    return digest_of_parts(table.to_batches)


def digest_of_parts(read: Callable[[], Iterable[pa.RecordBatch]]) -> str:
    """Return the hash of ordered rows that come in batches, whatever their sizes; they are read twice."""
    names = sorted({n for batch in read() for n in batch.schema.names if batch.column(n).null_count < batch.num_rows})
    digest = hashlib.sha256("\n".join(names).encode())
    for batch in read():
        for row in encode_rows(pa.Table.from_batches([batch]).select(names)):
            digest.update(len(row).to_bytes(4, "big"))
            digest.update(row)
    return digest.hexdigest()


def _arrivals(
    group: RegisteredGroup, table: pa.Table, options: Options, now_us: int, kind: CommitKind
) -> pa.ChunkedArray | None:
    name = options.available_at
    if name is None:
        return None
    where = f"group {group.definition.name}"
    if kind != "backfill":
        raise UsageError("rows that arrive now have no recorded arrival", where=where, todo="use backfill")
    if group.definition.static:
        raise UsageError("backfilled rows of a static group count as available always", where=where)
    if name not in table.column_names:
        todo = NotFoundError.named("column", name, table.column_names).todo
        raise DataError(f"column {name!r} of arrivals is missing", where=where, todo=todo)
    spot = f"{where}, column {name}"
    arrivals = conform_time(table.column(name), spot, timezone=group.definition.timezone, truncate=options.truncate)
    if arrivals.null_count:
        row = int(pc.index(pc.is_null(arrivals), True).as_py())
        raise DataError(f"null arrival in row {row}", where=spot, todo="filter or fill it", data={"row": row})
    check_future(arrivals, now_us, spot)
    return arrivals


def _warn_of_old_rows(group: RegisteredGroup, rows: pa.Table, now_us: int) -> None:
    definition = group.definition
    if definition.event_time is None or not rows.num_rows:
        return
    old = pc.sum(pc.less(rows.column(definition.event_time).cast(pa.int64()), now_us - DAY_US)).as_py()
    if old * 2 > rows.num_rows:
        warn(
            f"{old:,} of {rows.num_rows:,} rows written to {definition.name!r} are more than a day old "
            f"(before {show_us(now_us - DAY_US)}); a write counts as known only from now on: "
            "load history with backfill"
        )
