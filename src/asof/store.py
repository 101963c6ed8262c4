"""The store: what people type. Each method is one call into the floors below."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, overload

from asof.access import Keys
from asof.acting import acting
from asof.arrow.frames import Frame
from asof.arrow.order import OnConflict
from asof.arrow.streams import whole
from asof.catalog import Catalog
from asof.catalog.python_file import Definition, definitions_of
from asof.clock import bounds_us, system_clock
from asof.erasure import DeletesOf, Eraser
from asof.errors import warn
from asof.forks import opened
from asof.ingest.around import check_checks
from asof.ingest.infer import unregistered
from asof.ingest.materialize import materialize, unit_of
from asof.ingest.prepare import Absent, Options
from asof.ingest.reading import reading
from asof.ingest.transform import check_code
from asof.ingest.upkeep import Compaction
from asof.ingest.write import Together, Writer
from asof.models import Models
from asof.models.examining import examine
from asof.parts import OfParts, Parts, Pins, open_parts
from asof.progress import Progress, showing
from asof.quality import Quality
from asof.quality.verify import Verification, verify
from asof.records import Commit
from asof.registry.plan import Plan
from asof.serving.log import ServingLog
from asof.serving.named import FeaturesOf, Named, Names
from asof.serving.nearest.reader import NearestReader
from asof.serving.nearest.verb import NearestOf
from asof.serving.online import OnlineReader, Vector, Vectors
from asof.serving.receipt import Receipt, Requests
from asof.serving.replay import Replayed, replay
from asof.training.frame import HistoricalFrame
from asof.training.historical import HistoricalReader
from asof.training.read import read_rows
from asof.training.sets.verb import TrainingSetsOf


class Store(DeletesOf, FeaturesOf, TrainingSetsOf, NearestOf, OfParts):
    """A feature store in a folder; open one with `asof.open`. Safe to use from several threads and processes.

    Attributes:
        catalog: Everything about knowing.
        quality: Everything about trust.
        keys: Who may ask a server for what.
        models: Models, and predictions with them.
    """

    _held = (
        "_parts", "_writer", "_eraser", "_history", "_log", "_named", "_nearest", "_online",
        "catalog", "keys", "models", "quality",
    )  # fmt: skip

    def __init__(self, parts: Parts) -> None:
        """Serve a store from its parts."""
        super().__init__(parts)
        self._writer = Writer(parts)
        self._history = HistoricalReader(parts)
        self._log = ServingLog(parts, self._writer)
        self._nearest = NearestReader(parts)
        self._eraser = Eraser(parts, self._writer, flush=self._log.flush, drop=self._nearest.drop)
        self._online = OnlineReader(parts, log=self._log, patient=True)
        self.catalog = Catalog(parts, self._defined_anew)
        self._named = Named(self.catalog.groups, self.catalog.views)
        self.keys = Keys(parts)
        self.models = Models(lambda: self._parts, self, lambda: self._log)
        self.quality = Quality(parts, self._writer, self._log, lambda repair: examine(self._parts, repair=repair))
        opened.add(self)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        create: bool = True,
        clock: Callable[[], datetime] | None = None,
        repair: bool = False,
        progress: Progress | bool = False,
    ) -> "Store":
        """Open a store and repair what a crash left; see `asof.open`."""
        parts = open_parts(Path(path), create=create, clock=clock or system_clock, repair=repair)
        store = cls(parts)
        try:
            with showing(f"opening {path}", progress=progress, unit="groups") as advance:
                store._writer.recover(tolerant=repair, advance=advance)
            store._eraser.resume()
            store._writer.upkeep.let_go_of_copies()
        except BaseException:  # an interrupt too: repairing may take minutes
            parts.close()
            raise
        return store

    def plan(self, *definitions: Definition | str | Path) -> Plan:
        """Return what `apply` would change, and change nothing."""
        return self._parts.registry.plan(definitions_of(definitions))

    def apply(self, *definitions: Definition | str | Path) -> Plan:
        """Register definitions, all or none; repeating it changes nothing.

        Args:
            definitions: Groups and views, or Python files that define them at their top level.

        Returns:
            What changed.

        Raises:
            UsageError, NotFoundError, ConflictError: A definition does not fit; nothing was registered.
        """
        parts, found = self._parts, definitions_of(definitions)
        check_code(parts, found)
        check_checks(parts, found)
        plan = parts.registry.apply(found, now_us=parts.now_us(), writer=parts.writer)
        self._defined_anew()
        self._writer.recover()
        return plan

    def write(  # noqa: PLR0913 - pinned
        self,
        group: str,
        frame: Frame,
        *,
        keys: Sequence[str] | None = None,
        event_time: str | None = None,
        meta: dict[str, str] | None = None,
        idempotency_key: str = "",
        on_conflict: OnConflict = "error",
        truncate: bool = False,
        absent: Absent = "keep",
        progress: Progress | bool = False,
    ) -> Commit:
        """Store rows arriving now, as one commit: all or nothing, durable, and readable online when it returns.

        Args:
            group: Name of the group. An unknown one is inferred and registered if `keys` are given.
            frame: The rows: pandas, polars, pyarrow, DuckDB, a dict of columns, a list of dicts, a Parquet file's path.
            keys: Key columns, to infer a group from the frame.
            event_time: Event time column, to infer a group from the frame.
            meta: Kept with the commit.
            idempotency_key: The same key with the same rows is stored once; with other rows it is refused.
            on_conflict: What to do with differing rows of one key and event time: "error", or "last" to keep the last.
            truncate: Cut event times to whole microseconds.
            absent: "retire" for a full load of one event time: keys that it lacks are retired then, in the same commit.
            progress: True for a bar (on a terminal, in a notebook), or a callable that is told (done, total): rows
                read of a frame that is not in memory yet, and all rows when they are stored.

        Raises:
            DataError: The rows break a rule; nothing was written.
            NotFoundError: Unknown group. ConflictError: The idempotency_key has other content.
            BackendError: A part of the store failed.

        Source: SEMANTICS sections 1 to 3.
        """
        options = Options(None, on_conflict, truncate, idempotency_key, meta, absent)
        with reading(group, frame, progress=progress) as (rows, stored):
            known = rows if keys is None else self._inferred(group, whole(rows), options, keys, event_time)
            return stored(self._writer.write(group, known, "write", options))

    def backfill(  # noqa: PLR0913 - pinned
        self,
        group: str,
        frame: Frame,
        *,
        available_at: str | None = None,
        meta: dict[str, str] | None = None,
        idempotency_key: str = "",
        on_conflict: OnConflict = "error",
        truncate: bool = False,
        absent: Absent = "keep",
        progress: Progress | bool = False,
    ) -> Commit:
        """Store history as one commit: its rows count as known since their event time plus the group's delay.

        Args:
            group: Name of the group.
            frame: The rows, as in `write`.
            available_at: Column of recorded arrivals, in place of the delay.
            meta: As in `write`.
            idempotency_key: As in `write`.
            on_conflict: As in `write`.
            truncate: As in `write`.
            absent: As in `write`; not with `available_at`.
            progress: As in `write`.

        Raises:
            As `write`.
        """
        options = Options(available_at, on_conflict, truncate, idempotency_key, meta, absent)
        with reading(group, frame, progress=progress) as (rows, stored):
            return stored(self._writer.write(group, rows, "backfill", options))

    def push(
        self,
        group: str,
        records: Mapping[str, object] | Sequence[Mapping[str, object]],
        *,
        meta: dict[str, str] | None = None,
        idempotency_key: str = "",
        on_conflict: OnConflict = "error",
    ) -> Commit:
        """Store single records arriving now: durable, and readable online when it returns.

        Cheaper than `write` for a few records: they go to the group's journal, and to files in the background.

        Raises:
            As `write`.
        """
        options = Options(None, on_conflict, False, idempotency_key, meta, writer=acting())  # noqa: FBT003 - a dataclass
        return self._writer.push(group, [records] if isinstance(records, Mapping) else records, options)

    def materialize(
        self,
        group: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        full: bool = False,
        backfill: bool = False,
        progress: Progress | bool = False,
    ) -> list[Commit]:
        """Make the rows of a group from what is new in its `source=`; see docs/transformations.md.

        Args:
            group: Name of the group.
            start: Exclusive lower bound of event times. With bounds these rows are made again; but the first run of
                all makes no others, and the next ones go on from there.
            end: Inclusive upper bound of event times.
            full: Make all rows again; those from before are retracted in the same step.
            backfill: The rows are history, and known as those of `backfill` are; only of files and functions.
            progress: True for a bar, or a callable that is told (done, total) of the source's rows or bytes.

        Returns:
            The new commits, retracts too. What was published stays if a later one fails; the next run goes on there.

        Raises:
            UsageError: It has no source, or code that cannot be run. ConflictError: The code is another now.
            DataError: It failed, or made rows that do not fit; of files, the others are stored.
        """
        bounds = bounds_us(start, end)
        with showing(f"materializing {group}", progress=progress, unit=unit_of(self._parts, group)) as advance:
            return materialize(self._parts, self._writer, group, bounds, full=full, backfill=backfill, advance=advance)

    def together(self) -> Together:
        """Write several groups as one: `with store.together() as tx: tx.write(...); tx.write(...)`."""
        return Together(self._parts, self._writer)

    def historical(  # noqa: PLR0913 - pinned
        self,
        view: Names,
        spine: Frame,
        *,
        time: str | datetime | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        statuses: bool = False,
        full_names: bool = False,
        timezone: str | None = None,
        truncate: bool = False,
        explain: bool = False,
        batch_rows: int | None = None,
        progress: Progress | bool = False,
    ) -> HistoricalFrame:
        """Answer a spine point in time: for each row the values that were known at its time.

        Args:
            view: Name of a view, or of a group; or a list of features, as for `get_features`.
            spine: Keys and times, and whatever else: one output row for each, in order, other columns untouched.
            time: The spine's column of times, or one aware datetime for all rows.
            known: "served" (what the online store could have answered), "event" (by event time alone), or a datetime
                (what was known then); default: each group's.
            commits: Pins of an earlier frame, or the name of a tag, to read the same again.
            statuses: Add a column `<feature>__status` for each feature.
            full_names: Name features `group__feature`.
            timezone: Zone of naive times.
            truncate: Cut times to whole microseconds.
            explain: Have `frame.report.plan` say how each group was read, and how long that took.
            batch_rows: Answer so many rows of the spine at a time, when `frame.batches()` comes to them: for results
                that do not fit memory. Each batch reads the history again.
            progress: True for a bar, or a callable that is told (done, total) of the spine's rows: by batches, or else
                as each group that is looked up counts for its share of them.

        Raises:
            NotFoundError: Unknown view, or the spine lacks a column.
            DataError: Null or naive times, keys that do not fit.

        Source: SEMANTICS section 2.
        """
        return self._history.read(
            self._named(view), spine, time=time, known=known, commits=commits, statuses=statuses, full_names=full_names,
            timezone=timezone, truncate=truncate, explain=explain, batch_rows=batch_rows, progress=progress,
        )  # fmt: skip

    def read(  # noqa: PLR0913 - pinned
        self,
        group: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        latest: bool = False,
        clocks: bool = False,
        batch_rows: int | None = None,
    ) -> HistoricalFrame:
        """Return the stored rows of a group: all versions, or with `latest` the newest of each key.

        Args:
            group: Name of the group.
            start: Exclusive lower bound of event times.
            end: Inclusive upper bound of event times.
            columns: The columns wanted; default: all.
            known: A datetime keeps rows that were available then.
            commits: Pins, or the name of a tag.
            latest: Only the newest row of each key.
            clocks: Add `__commit` and `__available_at`.
            batch_rows: Read at most so many rows at a time, when `frame.batches()` comes to them: for rows that do not
                fit memory.

        Raises:
            NotFoundError: Unknown group or column. DataError: Of a serving log, times before its retention.
        """
        start_us, end_us = bounds_us(start, end)
        return read_rows(
            self._parts, group, start_us=start_us, end_us=end_us, columns=columns, known=known, commits=commits,
            latest=latest, clocks=clocks, batch_rows=batch_rows,
        )  # fmt: skip

    @overload
    def online(self, view: Names, keys: Mapping[str, Any], *, request: Mapping[str, Any] | None = None) -> Vector: ...
    @overload
    def online(self, view: Names, keys: Sequence[Mapping[str, Any]], *, request: Requests = None) -> Vectors: ...
    def online(
        self, view: Names, keys: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, request: Requests = None
    ) -> Vector | Vectors:
        """Return the newest values: one vector for one key set, or a sequence of them.

        Args:
            view: Name of a view, or of a group; or a list of features, as for `get_features`.
            keys: The view's key columns with their values; None as a value gives MISSING.
            request: Inputs of the request, kept in the receipt: numbers, text, times, lists and dicts of them. With
                several key sets one dict for all, or a list with one for each.

        Raises:
            NotFoundError: Unknown view or key column.
            UsageError: A key, or an input that the view wants of the request, is missing or of the wrong type.
            UnsupportedError: A group of the view is not online.

        Source: SEMANTICS section 3.
        """
        return self._online.read(view if isinstance(view, str) else self._named(view), keys, request)

    def waits(self, view: str) -> bool:
        """Return whether the next `online` of a view waits for another process, such as Redis, or for the registry."""
        return self._online.waits(view)

    def replay(self, receipt: Receipt | Mapping[str, Any]) -> Replayed:
        """Answer a receipt again, from history: the same values and statuses.

        Args:
            receipt: A receipt, what its `to_dict` gave, or a row of a serving log as a dict.

        Raises:
            UsageError: It is none of them. NotFoundError: Its view or group is gone.
            ConflictError: Retention dropped rows that it saw.
        """
        return replay(self._parts, receipt)

    def verify(
        self,
        view: str,
        *,
        instants: int = 40,
        keys: int = 50,
        logged: int = 500,
        progress: Progress | bool = False,
    ) -> Verification:
        """Prove on this store's data that online equals offline.

        History is read into memory, encoded as for the online store, and put, newest wins, into one in memory under a
        moving clock; sampled keys are read when the clock stands at T and compared with history at T. So are
        today's answers, and those of the serving log. Differences have a cause; only a "defect" should not be.

        Args:
            view: Name of a view, or of a group.
            instants: At how many times to stand.
            keys: How many key sets to read at each.
            logged: How many answers of the serving log to compare: a sample of the newest.
            progress: True for a bar, or a callable that is told (done, total) of the times.

        Source: SEMANTICS section 9, law 3.
        """
        self._log.flush()
        with showing(f"verifying {view}", progress=progress) as advance:
            return verify(self._parts, view, instants=instants, keys=keys, logged=logged, progress=advance)

    def compact(self, group: str | None = None, *, progress: Progress | bool = False) -> list[Compaction]:
        """Merge small files and the journal of one group or all, and drop what retention no longer keeps.

        No answer changes, but for times before a group's retention: they are refused, and older answers of a log go.

        Args:
            group: Name of a group; None for all.
            progress: True for a bar, or a callable that is told (done, total) of their rows.
        """
        groups = self.catalog.groups() if group is None else [self._parts.registry.group(group)]
        with showing("compacting", progress=progress, unit="rows") as advance:
            return self._writer.upkeep.compact_all(groups, now_us=self._parts.now_us(), advance=advance)

    def close(self) -> None:
        """Finish background work and release the store; closing twice is harmless."""
        if not self._closed and "_parts" in vars(self):
            self._online.close()
            self._log.close()
            self._writer.close()
            self._parts.close()
            self._let_go()
        self._closed = True

    def _defined_anew(self) -> None:
        self._online.forget_plans()
        self._nearest.forget_definitions()
        self._named.forget()

    def _inferred(
        self, group: str, frame: Frame, options: Options, keys: Sequence[str], event_time: str | None
    ) -> Frame:
        """Return a frame, of whose columns the group is made if there is none."""
        made = unregistered(self._parts, group, frame, keys, event_time)
        if made is not None:
            self._writer.rehearse(made, frame, options)
            warn(f"group {group!r} was inferred and registered:\n{self.plan(made)}")
            self.apply(made)
        return frame
