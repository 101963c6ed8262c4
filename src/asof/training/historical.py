"""Point-in-time reads of views. Source: SEMANTICS sections 1 and 2."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.frames import Frame, to_table
from asof.arrow.types import TIMESTAMP
from asof.clock import show_us, to_us
from asof.definitions import Lookup
from asof.derived import Derived, derived_of
from asof.engine.distributed import FarFrame, FarFrames, frames_of
from asof.engine.port import (
    MISSING,
    NO_TIME,
    STATUS_COLUMN,
    TIME_COLUMN,
    Known,
    Profile,
    Rows,
)
from asof.errors import DataError, UsageError, warn
from asof.parts import Parts, Pins, Question, given_pins, pin_of, pinned_together, refuse_unknown, resolve, seen_pins
from asof.progress import Progress, showing, unheard
from asof.records import COMMIT_COLUMN
from asof.training.answered import STATUS_SUFFIX, Answered, coincide, label, shown
from asof.training.distributed import TIMES, Columns, DistributedFrame, Options
from asof.training.distributed import answer as answer_far
from asof.training.frame import HistoricalFrame
from asof.training.inputs import keys_of, times_of
from asof.training.plan import ReadPlan
from asof.training.report import Comparison, Report
from asof.training.streamed import StreamedFrame


def moment_us(parts: Parts, question: Question, time: datetime | None) -> int:
    """Return the one time of all rows: that which is given; of static groups now, if none is.

    Raises:
        UsageError: It is no aware datetime, or there is none, and a group needs one.
    """
    where, todo = f"view {question.ref}", 'pass time="column of the spine", or a datetime for all rows'
    if isinstance(time, datetime):
        return to_us(time, what="time")
    if time is not None:
        raise UsageError(f"time={time!r} is neither a column nor a datetime", where=where, todo=todo)
    if any(not group.static for group in question.view.groups):
        raise UsageError("at which time?", where=where, todo=todo)
    return now_us(parts, [group.stored.id for group in question.groups.values()])


def now_us(parts: Parts, groups: Iterable[int]) -> int:
    """Return the T of an online answer: never before what was committed to a group, wherever the clock stands."""
    heads = parts.log.heads()
    return max([parts.now_us(), *(heads[each].committed_at_us for each in groups if each in heads)])


class HistoricalReader:
    """Answers spines from history."""

    def __init__(self, parts: Parts) -> None:
        """Keep the parts."""
        self._parts = parts

    def read(  # noqa: PLR0913 - the words of `Store.historical`
        self,
        name: str,
        spine: Frame,
        *,
        time: str | datetime | None,
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
        """Answer a spine; see `Store.historical`."""
        if batch_rows is not None and batch_rows < 1:
            raise UsageError(f"batch_rows={batch_rows!r} is no number of rows", todo="pass 1 or more")
        question = resolve(self._parts, name)
        frames = frames_of(self._parts.engine, spine)
        if frames is not None:
            if batch_rows is not None or explain:
                what = "batch_rows and explain are of spines in this process"
                raise UsageError(
                    what, where="spine", todo="leave them out: Spark reads in parts, and has its own explain"
                )
            options = Options(time, known, commits, timezone, truncate, full_names, statuses)
            return self._read_far(frames, spine, question, options)
        table, origin = to_table(spine, where="spine")
        lookups = question.view.lookups(full_names=full_names)
        derived = derived_of(question.view, question.ref, full_names=full_names)
        times = self._times(question, table, time, timezone=timezone, truncate=truncate)
        outputs = question.view.output_names(full_names=full_names)
        _check_clash(question, table, outputs, statuses=statuses)
        pinned = self.pin(question, commits)
        mode = None if known is None else known_mode(known)
        check_horizon(pinned, times, mode)
        check_windows(lookups, pinned, times)
        seen = seen_pins({ref: rows for g, (rows, _) in pinned.items() for ref in question.groups[g].refs})

        def answered(at: int, count: int, advance: Progress = unheard) -> tuple[pa.Table, Report]:
            part = _Part(
                self, question, lookups, derived, table.slice(at, count), times.slice(at, count), pinned, advance
            )
            return part.read(mode, outputs, statuses=statuses, explain=explain)

        text, every = f"reading {name}", table.num_rows
        if batch_rows is None:
            with showing(text, progress=progress, unit="rows") as advance:
                result, report = answered(0, every, lambda done, of: advance(every * done // of, every))
            return HistoricalFrame(result, origin, seen, report)

        def chunks() -> Iterator[tuple[pa.Table, Report]]:
            with showing(text, progress=progress, unit="rows") as advance:
                for at in range(0, max(every, 1), batch_rows):
                    yield answered(at, batch_rows)
                    advance(min(at + batch_rows, every), every)

        return StreamedFrame(answered(0, 0)[0], table.num_rows, chunks, origin, seen)

    def _read_far(self, frames: FarFrames, spine: FarFrame, question: Question, asked: Options) -> DistributedFrame:
        """Answer a spine that lies on many machines, where it lies."""
        none = frames.schema(spine).empty_table()
        outputs = question.view.output_names(full_names=asked.full_names)
        _check_clash(question, none, outputs, statuses=asked.statuses)
        pinned = self.pin(question, asked.commits)
        time = asked.time if isinstance(asked.time, str) else moment_us(self._parts, question, asked.time)
        mode = None if asked.known is None else known_mode(asked.known)
        lookups = question.view.lookups(full_names=asked.full_names)
        columns = Columns(
            own=none.schema,
            time=time,
            timezone=asked.timezone,
            truncate=asked.truncate,
            lookups=lookups,
            modes=[question.groups[each.group.name].known if mode is None else mode for each in lookups],
            view=question.view,
            ref=question.ref,
            outputs=outputs,
            full_names=asked.full_names,
            statuses=asked.statuses,
        )
        if any(horizon is not None for _, horizon in pinned.values()):
            least = frames.collected(frames.mapped(spine, columns.least, TIMES), TIMES)
            times = least.column(0).cast(TIMESTAMP)
            check_horizon(pinned, times, mode)
            check_windows(lookups, pinned, times)
        rows = {name: rows for name, (rows, _) in pinned.items()}
        answered, schema = answer_far(frames, spine, columns, rows)
        seen = seen_pins({ref: rows[name] for name in rows for ref in question.groups[name].refs})
        return DistributedFrame(frames, answered, schema, columns, seen)

    def answer(  # noqa: PLR0913, PLR0917 - the parts of one question
        self,
        question: Question,
        lookups: Sequence[Lookup],
        spine: pa.Table,
        times: pa.ChunkedArray,
        pinned: Mapping[str, tuple[Rows, int | None]],
        known: Known | None,
        *,
        explain: bool = False,
        advance: Progress = unheard,
    ) -> list[Answered]:
        """Answer every look-up of a view; None for `known` takes each group's default."""
        answered: list[Answered] = []
        for lookup in lookups:
            group = question.groups[lookup.group.name]
            mode = group.known if known is None else known
            keys = self.keys(lookup, spine, answered).append_column(TIME_COLUMN, times)
            profile = Profile() if explain else None
            found = self._found(lookup, keys, pinned[lookup.group.name][0], mode, profile)
            answered.append(Answered(lookup, label(lookup, lookups), mode, found, profile))
            advance(len(answered), len(lookups))
        return answered

    def _found(self, lookup: Lookup, spine: pa.Table, rows: Rows, known: Known, profile: Profile | None) -> pa.Table:
        wanted = list(dict.fromkeys(feature for feature, _ in lookup.outputs))
        if lookup.group.source is None:
            names = [feature.name for feature in wanted]
            ttl_us = lookup.group.ttl_us
            return self._parts.engine.look_up(spine, rows, columns=names, known=known, ttl_us=ttl_us, profile=profile)
        columns = lookup.group.source_columns
        return self._parts.engine.aggregate(
            spine.rename_columns([*columns, TIME_COLUMN]),
            rows,
            on=columns,
            aggregations=[feature.aggregation for feature in wanted if feature.aggregation is not None],
            known=known,
            profile=profile,
        ).append_column(COMMIT_COLUMN, pa.nulls(spine.num_rows, pa.int64()))  # no single row answers

    def keys(self, lookup: Lookup, spine: pa.Table, answered: Sequence[Answered]) -> pa.Table:
        """Return the keys of a look-up; some may come from look-ups that were answered before."""
        return keys_of(lookup, spine, lambda index, feature: answered[index].found.column(feature))

    def _times(
        self,
        question: Question,
        spine: pa.Table,
        time: str | datetime | None,
        *,
        timezone: str | None,
        truncate: bool,
    ) -> pa.ChunkedArray:
        if not isinstance(time, str):
            moment = pa.repeat(pa.scalar(moment_us(self._parts, question, time), pa.int64()), spine.num_rows)
            return pa.chunked_array([moment.cast(TIMESTAMP)])
        return times_of(spine, time, timezone=timezone, truncate=truncate)

    def pin(self, question: Question, commits: Pins | str | None) -> dict[str, tuple[Rows, int | None]]:
        """Return the pinned history of each group by its name, with the horizon of its retention."""
        pins = given_pins(self._parts, commits)
        if isinstance(pins, Mapping):
            refuse_unknown(self._parts, pins, question.groups.values())
        wanted = [(group, pin_of(pins, group)) for group in question.groups.values()]
        every = pinned_together(self._parts, wanted)
        return {name: (rows, s.horizon_us) for name, (rows, s) in zip(question.groups, every, strict=True)}

    def warn_if_unavailable(
        self,
        answer: Answered,
        answered: Sequence[Answered],
        spine: pa.Table,
        times: pa.ChunkedArray,
        pinned: Mapping[str, tuple[Rows, int | None]],
    ) -> None:
        """Warn when most answers are missing only because the rows were not available yet."""
        missing = answer.found.column(STATUS_COLUMN).to_numpy() == MISSING
        if answer.known == "event" or missing.sum() * 2 <= len(missing) or answer.lookup.group.source is not None:
            return
        keys = self.keys(answer.lookup, spine, answered)
        rows, _ = pinned[answer.lookup.group.name]
        other = self._parts.engine.look_up(
            keys.append_column(TIME_COLUMN, times), rows, columns=[], known="event", ttl_us=None
        )
        only = missing & (other.column(STATUS_COLUMN).to_numpy() != MISSING)
        if only.sum() * 2 > len(missing):
            way = "load history with backfill" if rows.outside is None else "see its delay and available_at"
            warn(
                f"{only.sum():,} of {len(missing):,} answers of group {answer.lookup.group.name!r} are MISSING only "
                f'because the rows became available later than the spine\'s times: {way}, or pass known="event"'
            )


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of a spine, to be answered."""

    reader: HistoricalReader
    question: Question
    lookups: Sequence[Lookup]
    derived: Derived | None
    spine: pa.Table
    times: pa.ChunkedArray
    pinned: Mapping[str, tuple[Rows, int | None]]
    advance: Progress

    def read(
        self, mode: Known | None, outputs: Sequence[str], *, statuses: bool, explain: bool
    ) -> tuple[pa.Table, Report]:
        """Return the rows with their answers, and the report."""
        answered = self._answer(mode, explain=explain, advance=self.advance)
        table = shown(self.spine, answered, self.derived, outputs, where=f"view {self.question.ref}", statuses=statuses)
        for answer in answered:
            self.reader.warn_if_unavailable(answer, answered, self.spine, self.times, self.pinned)

        def compare() -> Comparison:
            other: Known = "served" if all(a.known == "event" for a in answered) else "event"
            return _comparison(str(other), answered, self._answer(other))

        report = Report(
            rows=self.spine.num_rows,
            counts={a.label: a.counts() for a in answered},
            coincide={a.label: coincide(a, self.times) for a in answered},
            known={a.label: a.known if isinstance(a.known, str) else show_us(a.known) for a in answered},
            external={g: rows.outside.read for g, (rows, _) in self.pinned.items() if rows.outside is not None},
            _compare=compare,
            _plan=ReadPlan({a.label: a.profile for a in answered if a.profile is not None}) if explain else None,
        )
        return table, report

    def _answer(self, mode: Known | None, *, explain: bool = False, advance: Progress = unheard) -> list[Answered]:
        parts = (self.question, self.lookups, self.spine, self.times, self.pinned)
        return self.reader.answer(*parts, mode, explain=explain, advance=advance)


def known_mode(known: str | datetime) -> Known:
    """Return a knowledge mode as engines take it.

    Raises:
        UsageError: It is none.
    """
    if isinstance(known, datetime):
        return to_us(known, what="known")
    if known == "served" or known == "event":  # noqa: PLR1714 - narrows the type
        return known
    raise UsageError(f"known={known!r} is no knowledge mode", todo='pass "served", "event" or a datetime')


def _check_clash(question: Question, spine: pa.Table, names: Sequence[str], *, statuses: bool) -> None:
    for name in (*names, *(n + STATUS_SUFFIX for n in names if statuses)):
        if name in spine.column_names:
            raise UsageError(
                f"the spine already has a column {name!r}",
                where=f"view {question.ref}",
                todo="pass full_names=True, rename the column, or give the feature an alias",
            )


def check_horizon(pinned: Mapping[str, tuple[Rows, int | None]], times: pa.ChunkedArray, known: Known | None) -> None:
    """Refuse times before what retention left.

    Raises:
        DataError: A time, or K, lies before a horizon.
    """
    horizons = {name: horizon for name, (_, horizon) in pinned.items() if horizon is not None}
    if not horizons or not len(times):
        return
    first = pc.min(times.cast(pa.int64())).as_py()
    first = min(first, known) if isinstance(known, int) else first
    for name, horizon in horizons.items():
        check_begin(name, horizon, first)


def check_windows(
    lookups: Sequence[Lookup], pinned: Mapping[str, tuple[Rows, int | None]], times: pa.ChunkedArray
) -> None:
    """Refuse windows that reach to before what the retention of their source left.

    Raises:
        DataError: One does.
    """
    for lookup in lookups:
        horizon_us = pinned[lookup.group.name][1]
        windows = [feature.aggregation.window for feature, _ in lookup.outputs if feature.aggregation is not None]
        if horizon_us is None or not windows or not len(times):
            continue
        first_us: int = pc.min(times.cast(pa.int64())).as_py()
        afters = [window.bounds(first_us)[0] for window in windows]
        after_us = min(NO_TIME if after is None else after for after in afters)
        if after_us < horizon_us:
            raise DataError(
                f"the history of the source of {lookup.group.name!r} begins at {show_us(horizon_us)}, "
                f"and a window reaches further back from {show_us(first_us)}",
                todo="its retention dropped older rows; ask for later times, or declare no retention",
            )


def check_begin(name: str, horizon_us: int, first_us: int) -> None:
    """Refuse a time before what the retention of a group left.

    Raises:
        DataError: It lies before.
    """
    if first_us < horizon_us:
        raise DataError(
            f"the history of group {name!r} begins at {show_us(horizon_us)}, the question at {show_us(first_us)}",
            todo="its retention dropped older rows; ask for later times",
        )


def _comparison(known: str, answered: Sequence[Answered], again: Sequence[Answered]) -> Comparison:
    values: dict[str, int] = {}
    differ: dict[str, int] = {}
    for one, other in zip(answered, again, strict=True):
        here, there = one.statuses(), other.statuses()
        mine, its = one.values(), other.values()
        count = 0
        for name in here:
            same = np.asarray(pc.equal(here[name], there[name])) & equal_values(mine[name], its[name])
            count += int((~same).sum())
        values[one.label] = one.found.num_rows * len(here)
        differ[one.label] = count
    return Comparison(known, values, differ)


def equal_values(one: pa.ChunkedArray, other: pa.ChunkedArray) -> np.ndarray:
    """Return for each row whether two columns hold the same value; null equals null and NaN equals NaN."""
    if pa.types.is_nested(one.type):
        return np.array([repr(a) == repr(b) for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True)], bool)
    same = pc.fill_null(pc.equal(one, other), fill_value=False)
    same = pc.or_(same, pc.and_(pc.is_null(one), pc.is_null(other)))
    if pa.types.is_floating(one.type):
        both = pc.and_(pc.fill_null(pc.is_nan(one), fill_value=False), pc.fill_null(pc.is_nan(other), fill_value=False))
        same = pc.or_(same, both)
    return same.to_numpy().astype(bool)
