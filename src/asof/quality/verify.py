"""Proof on the user's own data that online equals offline: law 3 of SEMANTICS section 9.

The pinned history is fed, in the order in which its rows became visible, through the real put path into a fresh
online store, under a clock that moves. When the clock stands at T, sampled keys are read and compared with history.
Then today's online values are compared with history at the commits that are applied.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.order import key_codes
from asof.arrow.types import TIMESTAMP, arrow_type
from asof.clock import show_us
from asof.definitions import FeatureView
from asof.engine.port import EVENT_COLUMN, FOUND, NO_TIME, RETIRED, STATUS_COLUMN, TIME_COLUMN, Rows
from asof.ingest.feed import encode_online
from asof.online.port import Applied, Change
from asof.parts import Parts, Question, open_online, pinned_rows, resolve
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, RETIRED_COLUMN, Status
from asof.registry.port import RegisteredGroup
from asof.serving.online import OnlineReader, Vector
from asof.training.historical import HistoricalReader

INSTANTS = 40
KEYS = 50
SHOWN = 10
POOL_ROWS = 2000
"""Rows from which keys are sampled; the keys of smaller histories are all among them."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that online and history do not agree on.

    Attributes:
        stage: "replay" or "today".
        clock_us: T.
        keys: The keys.
        feature: The feature.
        online: (value, status) online.
        history: (value, status) from history.
        cause: What explains it.
    """

    stage: str
    clock_us: int
    keys: Mapping[str, Any]
    feature: str
    online: tuple[Any, Status]
    history: tuple[Any, Status]
    cause: str = "defect"

    def __str__(self) -> str:
        """Return it as a line."""
        return (
            f"{self.feature} of {dict(self.keys)} at {show_us(self.clock_us)} ({self.stage}): "
            f"online {self.online[0]!r} {self.online[1]}, history {self.history[0]!r} {self.history[1]} [{self.cause}]"
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found.

    Attributes:
        view: The view's version.
        compared: Values compared.
        instants: Times at which the clock stood.
        keys: Key sets read at each of them, on average.
        rows: Rows fed.
        statuses: How many of the compared values have each status.
        differences: Where online and history do not agree.
    """

    view: str
    compared: int
    instants: int
    keys: int
    rows: int
    statuses: Mapping[Status, int]
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        """Return it as text."""
        counts = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items() if count)
        head = f"{self.view}: {self.compared:,} values compared ({counts}) at {self.instants} instants, "
        head += f"{self.rows:,} rows fed: {len(self.differences):,} differences"
        return "\n".join((head, *map(str, self.differences[:SHOWN])))


def verify(
    parts: Parts,
    name: str,
    *,
    instants: int = INSTANTS,
    keys: int = KEYS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Compare online with history; see `Store.verify`."""
    question = resolve(parts, name)
    OnlineReader(parts).plan(name)  # refuses a view with offline groups
    random = np.random.default_rng(seed)
    with parts.online.snapshot() as snapshot:
        applied = dict(snapshot.applied)
    commits = {group.ref: applied.get(group.id, Applied()).commit for group in question.groups.values()}
    pinned = _pinned_to(parts, question, commits)
    feeds = {g: _Feed(parts, group, pinned[g]) for g, group in question.groups.items()}
    times = _instants(feeds.values(), random, instants, parts.now_us())
    pool = _key_pool(question.view, feeds, random)
    fresh = replace(parts, online=open_online("memory:"))
    clock = [0]
    reader = OnlineReader(fresh, lambda: clock[0])
    replayed: list[_Asked] = []
    for done, t_us in enumerate(times):
        clock[0] = t_us
        for feed in feeds.values():
            feed.advance(fresh, t_us)
        sampled = _sample(pool, random, keys)
        vectors = reader.read_many(name, sampled)
        replayed += [_Asked("replay", t_us, k, v) for k, v in zip(sampled, vectors, strict=True)]
        if progress is not None:
            progress(done + 1, len(times) + 2)
    tally = _Tally(question, parts)
    tally.compare(replayed, pinned)
    if progress is not None:
        progress(len(times) + 1, len(times) + 2)
    sampled = _sample(pool, random, keys)
    vectors = OnlineReader(parts).read_many(name, sampled)
    today = [_Asked("today", v.receipt.clock_us, k, v) for k, v in zip(sampled, vectors, strict=True)]
    tally.compare(today, _pinned_to(parts, question, vectors[0].receipt.commits))
    if progress is not None:
        progress(len(times) + 2, len(times) + 2)
    return Verification(
        question.ref,
        tally.compared,
        len(times),
        keys,
        sum(feed.total for feed in feeds.values()),
        tally.statuses,
        tuple(tally.differences),
    )


class _Feed:
    """The rows of one group in the order in which they became visible, put as the clock moves."""

    def __init__(self, parts: Parts, group: RegisteredGroup, rows: Rows) -> None:
        self.parts = parts
        self.group = group
        self.rows = rows
        table = parts.engine.stamped(rows).read_all()
        names = [*rows.keys, *group.layout]
        time = rows.event_time
        events = np.zeros(table.num_rows, np.int64) if time is None else _us(table.column(time))
        commits = table.column(COMMIT_COLUMN).to_numpy()
        arrivals = _us(pc.fill_null(table.column(AVAILABLE_COLUMN).cast(pa.int64()), NO_TIME))
        never = [commit for commit, since in rows.retracted.items() if since is None]
        visible = arrivals if time is None else np.maximum(events, arrivals)
        order = np.flatnonzero(~np.isin(commits, never))
        # By visibility, then version: the order in which a store that was there would have put them.
        order = order[np.lexsort((commits[order], events[order], visible[order]))]
        self.visible = visible[order]
        self.events = events[order]
        self.table = (
            table.select(names)
            .append_column(EVENT_COLUMN, pa.array(events))
            .append_column(COMMIT_COLUMN, table.column(COMMIT_COLUMN))
            .append_column(RETIRED_COLUMN, table.column(RETIRED_COLUMN))
            .take(order)
        )
        self.total = self.table.num_rows
        self.hidden = sorted((since, commit) for commit, since in rows.retracted.items() if since is not None)
        self.fed = 0
        self.step = 0

    def advance(self, fresh: Parts, t_us: int) -> None:
        """Put what became visible up to T, and take back what was hidden by then, each at its moment."""
        while self.hidden and self.hidden[0][0] <= t_us:
            since, commit = self.hidden.pop(0)
            self._put(fresh, since - 1)
            self._retract(fresh, commit, since)
        self._put(fresh, t_us)

    def _put(self, fresh: Parts, t_us: int) -> None:
        until = int(np.searchsorted(self.visible, t_us, side="right"))
        while self.fed < until:
            part = self.table.slice(self.fed, until - self.fed)
            codes = key_codes(part, self.rows.keys)
            order = np.lexsort((part.column(COMMIT_COLUMN).to_numpy(), part.column(EVENT_COLUMN).to_numpy(), codes))
            last = np.append(codes[order][1:] != codes[order][:-1], True)
            keys, rows = encode_online(part.take(order[last]), self.group)
            self._change(fresh, keys, rows)
            self.fed = until

    def _retract(self, fresh: Parts, commit: int, since: int) -> None:
        mine = pc.equal(self.table.column(COMMIT_COLUMN), commit)
        keys = self.table.select(list(self.rows.keys)).filter(mine)
        if not keys.num_rows:
            return
        spine = keys.append_column(TIME_COLUMN, pa.repeat(pa.scalar(since), keys.num_rows).cast(TIMESTAMP))
        found = self.parts.engine.look_up(spine, self.rows, columns=self.group.layout, known="served", ttl_us=None)
        status = found.column(STATUS_COLUMN).to_numpy()
        rows = (
            keys.append_column(EVENT_COLUMN, pc.fill_null(found.column(EVENT_COLUMN), 0))
            .append_column(COMMIT_COLUMN, pc.fill_null(found.column(COMMIT_COLUMN), 0))
            .append_column(RETIRED_COLUMN, pa.array(status == RETIRED))
        )
        for name in self.group.layout:
            rows = rows.append_column(name, found.column(name))
        if self.rows.event_time is None:
            rows = rows.set_column(
                rows.schema.get_field_index(EVENT_COLUMN),
                EVENT_COLUMN,
                pa.array(np.zeros(keys.num_rows, np.int64)),
            )
        kept = (status == FOUND) | (status == RETIRED)
        every = dict.fromkeys(encode_online(rows, self.group)[0])
        here = dict(zip(*encode_online(rows.filter(pa.array(kept)), self.group), strict=True))
        self._change(fresh, list(every), [here.get(key) for key in every], replace=True)

    def _change(
        self,
        fresh: Parts,
        keys: list[bytes],
        rows: list[bytes] | list[bytes | None],
        *,
        replace: bool = False,
    ) -> None:
        self.step += 1
        fresh.online.apply([Change(self.group.id, self.step - 1, self.step, NO_TIME, keys, rows, replace=replace)])


@dataclass(frozen=True, slots=True)
class _Asked:
    """One online answer: when it was asked, for which keys, and what came."""

    stage: str
    t_us: int
    keys: dict[str, Any]
    vector: Vector


def _pinned_to(parts: Parts, question: Question, commits: Mapping[str, int]) -> dict[str, Rows]:
    return {name: pinned_rows(parts, group, pin=commits[group.ref])[0] for name, group in question.groups.items()}


class _Tally:
    """Compares answers with history and counts."""

    def __init__(self, question: Question, parts: Parts) -> None:
        self.question = question
        self.lookups = question.view.lookups()
        self.reader = HistoricalReader(parts)
        self.compared = 0
        self.statuses: dict[Status, int] = dict.fromkeys(("PRESENT", "NULL", "MISSING", "EXPIRED", "RETIRED"), 0)
        self.differences: list[Difference] = []

    def compare(self, asked: Sequence[_Asked], pinned: Mapping[str, Rows]) -> None:
        """Compare online answers with history, each at its own time: one look-up a group for all of them."""
        spine = pa.table(
            {
                name: pa.array([each.keys[name] for each in asked], arrow_type(dtype))
                for name, dtype in self.question.view.spine_keys.items()
            }
        )
        times = pa.chunked_array([pa.array([each.t_us for each in asked], pa.int64()).cast(TIMESTAMP)])
        whole = {name: (rows, None) for name, rows in pinned.items()}
        for answer in self.reader.answer(self.question, self.lookups, spine, times, whole, "served"):
            statuses = answer.statuses()
            for name, column in answer.values().items():
                values, states = column.to_pylist(), statuses[name].to_pylist()
                for each, value, state in zip(asked, values, states, strict=True):
                    online = (each.vector.values[name], each.vector.statuses[name])
                    self.compared += 1
                    self.statuses[state] += 1
                    if online[1] != state or not _same(online[0], value):
                        difference = Difference(each.stage, each.t_us, each.keys, name, online, (value, state))
                        self.differences.append(difference)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - values of any of our types
    """Return whether two values are equal; NaN equals NaN, also inside lists and structs."""
    if isinstance(one, list) and isinstance(other, list):
        here, there = cast("list[Any]", one), cast("list[Any]", other)
        return len(here) == len(there) and all(map(_same, here, there))
    if isinstance(one, dict) and isinstance(other, dict):
        mine, its = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return mine.keys() == its.keys() and all(_same(mine[name], its[name]) for name in mine)
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124 - NaN


def _us(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.int64()).to_numpy()


def _instants(feeds: Iterable[_Feed], random: np.random.Generator, count: int, now_us: int) -> list[int]:
    """Return times at which to stand: spread over history, on the edges of rows and of their ttl, and now."""
    chosen = {now_us}
    for feed in feeds:
        rows = len(feed.visible)
        if not rows:
            continue
        picked = np.unique(
            np.concatenate([random.integers(0, rows, count), np.linspace(0, rows - 1, count).astype(int)])
        )
        for at in picked:
            edge = int(feed.visible[at])
            if edge <= NO_TIME:
                continue
            chosen |= {edge, edge - 1}
            ttl = feed.group.definition.ttl_us
            if ttl is not None:
                chosen |= {int(feed.events[at]) + ttl, int(feed.events[at]) + ttl - 1}
    times = sorted(t for t in chosen if t <= now_us)
    if len(times) > count:
        kept = set(random.choice(len(times) - 1, count - 1, replace=False).tolist()) | {len(times) - 1}
        times = [times[at] for at in sorted(kept)]
    return times


def _key_pool(
    view: FeatureView, feeds: Mapping[str, _Feed], random: np.random.Generator
) -> list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
    """Return, for the spine columns that one look-up uses together, key sets that its group has."""
    pool: list[tuple[tuple[str, ...], list[tuple[Any, ...]]]] = []
    for lookup in view.lookups():
        pairs = [(k, s) for k, s in zip(lookup.group.keys, lookup.sources, strict=True) if isinstance(s, str)]
        if not pairs:
            continue
        table = feeds[lookup.group.name].table.select([key for key, _ in pairs])
        if table.num_rows > POOL_ROWS:
            table = table.take(random.integers(0, table.num_rows, POOL_ROWS))
        rows = list(dict.fromkeys(zip(*(column.to_pylist() for column in table.columns), strict=True)))
        pool.append((tuple(source for _, source in pairs), rows))
    return pool


def _sample(
    pool: list[tuple[tuple[str, ...], list[tuple[Any, ...]]]], random: np.random.Generator, count: int
) -> list[dict[str, Any]]:
    sampled: list[dict[str, Any]] = []
    for _ in range(count):
        keys: dict[str, Any] = {}
        for place in random.permutation(len(pool)).tolist():
            columns, rows = pool[int(place)]
            row = rows[int(random.integers(len(rows)))] if rows else (None,) * len(columns)
            for column, value in zip(columns, row, strict=True):
                keys.setdefault(column, value)
        sampled.append(keys)
    return sampled
