"""Play a history on a real store and on the oracle, and hold the store's answers to the oracle's.

Works on anything that behaves like `asof.Store`: embedded or remote, over whatever back ends.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa

from asof.arrow.types import TIMESTAMP, arrow_type
from asof.clock import from_us, to_us
from asof.definitions import Entity, Feature, FeatureGroup
from asof.definitions.types import parse_type
from asof.records import Commit
from asof.testing.reference import Answer, Key, Known, Reference, Stored, canonical
from asof.testing.strategies import BASE_US, FEATURE_TYPES, Case, History, Op

Store = Any
"""An `asof.Store`, which stands above this package, or what behaves like one."""

ARRIVED = "arrived"


class Clock:
    """A clock that stands where it was put.

    Attributes:
        now_us: The time that it shows.
    """

    def __init__(self, now_us: int = BASE_US) -> None:
        """Put it somewhere."""
        self.now_us = now_us

    def __call__(self) -> datetime:
        """Return the time."""
        return from_us(self.now_us)


def declared(
    history: History, name: str, *, online: bool = True, types: Mapping[str, str] = FEATURE_TYPES
) -> FeatureGroup:
    """Return the definition of a history's group; its keys are k1, k2 and its event time is `at`."""
    group = history.group
    return FeatureGroup(
        name,
        entity=Entity(f"{name}_entity", keys=_key_types(history)),
        features=[Feature(feature, dtype) for feature, dtype in types.items()],
        event_time=None if group.static else "at",
        ttl=None if group.ttl_us is None else timedelta(microseconds=group.ttl_us),
        delay=timedelta(microseconds=group.delay_us),
        online=online,
        on_unchanged=history.on_unchanged,
    )


def _key_types(history: History) -> dict[str, str]:
    return {f"k{place}": dtype for place, dtype in enumerate(history.key_types, 1)}


def key_columns(history: History, keys: Sequence[Key]) -> dict[str, pa.Array]:
    """Return keys as columns."""
    return {
        name: pa.array([key[place] for key in keys], arrow_type(parse_type(dtype)))
        for place, (name, dtype) in enumerate(_key_types(history).items())
    }


def rows_table(history: History, op: Op, types: Mapping[str, str] = FEATURE_TYPES) -> pa.Table:
    """Return the rows of an op as a user's frame."""
    columns = key_columns(history, [row.key for row in op.rows])
    if not history.group.static:
        columns["at"] = times([row.event_time for row in op.rows])
    for feature, dtype in types.items():
        columns[feature] = pa.array([row.values.get(feature) for row in op.rows], arrow_type(parse_type(dtype)))
    if op.has_arrivals:
        columns[ARRIVED] = times([row.arrival for row in op.rows])
    return pa.table(columns)


def times(moments_us: Iterable[int | None]) -> pa.Array:
    """Return microseconds as a column of times."""
    return pa.array(list(moments_us), pa.int64()).cast(TIMESTAMP)


class Played:
    """One history, as a version of a group of a store and as the oracle.

    Attributes:
        name: The group.
        ref: The version, "g@1".
        definition: Its definition.
        reference: The oracle.
        commits: The store's commit for each op played, in their order.
        default: The knowledge mode of a question that names none.
    """

    def __init__(
        self, store: Store, clock: Clock, history: History, name: str, *, online: bool = True, version: int = 1
    ) -> None:
        """Register the group; a version above 1 must be what its definition makes."""
        self.store = store
        self.clock = clock
        self.history = history
        self.name = name
        self.ref = f"{name}@{version}"
        self.definition = declared(history, name, online=online)
        self.reference = Reference(history.group)
        self.commits: list[Commit] = []
        self.default: Known = "served" if online else "event"
        (change,) = store.apply(self.definition)
        assert f"{change.name}@{change.version}" == self.ref

    @property
    def types(self) -> dict[str, str]:
        """The features that the group has by now, with their types."""
        return {feature.name: str(feature.dtype) for feature in self.definition.features}

    def amended(self, *, online: bool | None = None, features: Mapping[str, str] | None = None) -> FeatureGroup:
        """Return the definition with features added, or turned online or off; apply it, then `adopt` it."""
        online = self.definition.online if online is None else online
        return declared(self.history, self.name, online=online, types={**self.types, **(features or {})})

    def adopt(self, definition: FeatureGroup) -> None:
        """Go on with an amended definition, which the store has."""
        self.definition = definition
        self.reference.group = replace(self.reference.group, features=tuple(self.types))

    def play(self) -> "Played":
        """Play all ops."""
        for op in self.history.ops:
            self.step(op)
        return self

    def step(self, op: Op) -> Commit:
        """Play one op, on both."""
        self.clock.now_us = op.now
        return self.take(op, self.do(op))

    def take(self, op: Op, commit: Commit, *, committed_at: int | None = None) -> Commit:
        """Hold a commit of the store to what the oracle makes of its op.

        Args:
            op: What was done.
            commit: What the store says of it.
            committed_at: The clock that it shares with the groups written together with it.
        """
        number = self.reference.commit(
            op.kind, op.rows, now=op.now, target=op.target, on_conflict=op.on_conflict, committed_at=committed_at
        )
        self.commits.append(commit)
        assert commit.kind == op.kind
        assert commit.committed_at_us == self.reference.committed_at(number), f"the clock of commit {number}"
        assert all(one.number < other.number for one, other in pairwise(self.commits)), "commit order"
        assert op.kind == "retract" or commit.rows == sum(
            row.commit == number for row in self.reference.rows(retracted=True)
        )
        return commit

    def table(self, op: Op) -> pa.Table:
        """Return the rows of an op as a user's frame."""
        return rows_table(self.history, op, self.types)

    def do(self, op: Op, *, key: str = "") -> Commit:
        """Play one op on the store alone, with an idempotency key if its kind takes one."""
        store, name = self.store, self.ref
        options: dict[str, Any] = {"on_conflict": op.on_conflict, "idempotency_key": key}
        match op.kind:
            case "write":
                return store.write(name, self.table(op), **options)
            case "backfill":
                arrived = ARRIVED if op.has_arrivals else None
                return store.backfill(name, self.table(op), available_at=arrived, **options)
            case "push":
                return store.push(name, self.table(op).to_pylist(), **options)
            case "retire":
                keys = pa.table(key_columns(self.history, [row.key for row in op.rows]))
                ended = op.rows[0].event_time
                return store.retire(name, keys, event_time=None if ended is None else from_us(ended))
            case "retract":
                assert op.target is not None
                return store.retract(self.commits[op.target - 1], reason="wrong")

    def pins(self, pin: int | None) -> dict[str, int] | None:
        """Return a pin of the oracle as the store takes it."""
        return None if pin is None else {self.ref: self.commits[pin - 1].number if pin else 0}

    def spine(self, rows: Sequence[tuple[Key, int]]) -> pa.Table:
        """Return (key, T) as a spine, with a column of the caller's own."""
        columns = key_columns(self.history, [key for key, _ in rows])
        return pa.table({**columns, "t": times(t for _, t in rows), "mine": pa.array(range(len(rows)), pa.int64())})

    def check_historical(
        self, rows: Sequence[tuple[Key, int]], known: Known | None, pin: int | None = None, *, view: str = ""
    ) -> None:
        """Compare a historical read.

        Args:
            rows: Keys and times.
            known: The mode; None for the group's default, which is that of its first definition.
            pin: A number as in `Op`.
            view: A view of some features of the group, in its place.
        """
        spine = self.spine(rows)
        mode = None if known is None else known_of(known)
        frame = self.store.historical(
            view or self.ref, spine, time="t", known=mode, commits=self.pins(pin), statuses=True
        )
        answered: pa.Table = frame.to_arrow()
        assert answered.select(spine.column_names).equals(spine), "the caller's columns are untouched"
        known = self.default if known is None else known
        features = [name for name in self.types if not view or name in answered.column_names]
        expected = [self.reference.answer(key, t, known=known, pin=pin) for key, t in rows]
        for row, found, wanted in zip(rows, answered.to_pylist(), expected, strict=True):
            for feature in features:
                got = (canonical(found[feature]), found[f"{feature}__status"])
                answer = wanted[feature]
                assert got == (answer.value, answer.status), f"{feature} of {row}, known={known}, pin={pin}"
        for status, count in frame.report.counts[self.name].items():
            assert count == sum(wanted[name].status == status for wanted in expected for name in features), status

    def check_case(self, case: Case) -> None:
        """Compare the read of a case, and the same spine in the other modes."""
        self.check_historical(case.spine, case.known, case.pin)
        others: list[Known] = ["served", "event"]
        for known in others:
            if known != case.known:
                self.check_historical(case.spine, known, case.pin)

    def check_read(self, known: int | None = None, pin: int | None = None) -> None:
        """Compare the stored rows, and the newest of each key; `known` is a moment K."""
        expected = self._visible_rows(known, pin)
        moment = None if known is None else from_us(known)
        options: dict[str, Any] = {"known": moment, "commits": self.pins(pin), "clocks": True}
        kept = [row for row in expected if not row.retired]
        assert self._read(**options) == [self._as_read(row) for row in kept]
        newest = {row.key: row for row in expected}  # in version order, so the last of a key stays
        latest = [self._as_read(row) for row in newest.values() if not row.retired]
        assert self._read(latest=True, **options) == latest

    def _visible_rows(self, known: int | None, pin: int | None) -> list[Stored]:
        places = {commit.number: place for place, commit in enumerate(self.commits, 1)}
        retracts = [(places[c.target], c.committed_at_us) for c in self.commits[:pin] if c.target is not None]
        hidden = {n: None if self.commits[n - 1].kind == "backfill" else clock for n, clock in retracts}

        def visible(row: Stored) -> bool:
            if known is not None and row.available_at is not None and row.available_at > known:
                return False
            since = hidden.get(row.commit, -1)
            return since == -1 or (known is not None and since is not None and known < since)

        def order(row: Stored) -> Any:  # noqa: ANN401 - keys have no type that sorts
            return (row.key, row.event_time or 0, row.commit)

        return sorted(filter(visible, self.reference.rows(pin, retracted=True)), key=order)

    def _as_read(self, row: Stored) -> tuple[object, ...]:
        number: int = self.commits[row.commit - 1].number
        values = [row.values.get(name) for name in self.types]  # null before an amendment
        return (row.key, row.event_time, values, number, row.available_at)

    def _read(self, **options: Any) -> list[tuple[object, ...]]:  # noqa: ANN401 - the words of Store.read
        table: pa.Table = self.store.read(self.ref, **options).to_arrow()
        events = [None] * table.num_rows if self.history.group.static else _us(table.column("at"))
        keys = zip(*(table.column(key).to_pylist() for key in self.definition.keys), strict=True)
        values = [canonical(list(row.values())) for row in table.select(list(self.types)).to_pylist()]
        clocks = (table.column("__commit").to_pylist(), _us(table.column("__available_at")))
        return list(zip(keys, events, values, *clocks, strict=True))

    def check_online(self, keys: Iterable[Key]) -> None:
        """Compare the online answers, their clock and their receipts; and history at the receipts (law 3)."""
        every = list(dict.fromkeys(keys))
        vectors = self.store.online(self.ref, [self.key_set(key) for key in every])
        assert len(vectors) == len(every)
        for key, vector in zip(every, vectors, strict=True):
            t_us, wanted = self.reference.online(key, self.clock.now_us)
            assert vector.receipt.clock_us == t_us
            applied = {self.ref: self.commits[-1].number if self.commits else 0}
            assert vector.receipt.commits == applied, "every commit is applied"
            assert not vector.receipt.applying
            assert answers_of(vector) == wanted, f"online {key}"

    def check_law_3(self, keys: Iterable[Key]) -> None:
        """Hold online answers to history at their receipts, without the oracle."""
        for key in keys:
            vector = self.store.online(self.ref, self.key_set(key))
            receipt = vector.receipt
            spine = self.spine([(key, receipt.clock_us)])
            frame = self.store.historical(
                self.ref, spine, time="t", known="served", commits=receipt.commits, statuses=True
            )
            (row,) = frame.to_arrow().to_pylist()
            for feature in self.types:
                pair = (canonical(vector.values[feature]), vector.statuses[feature])
                assert pair == (canonical(row[feature]), row[f"{feature}__status"])
            assert answers_of(self.store.replay(receipt)) == answers_of(vector)

    def key_set(self, key: Key) -> Mapping[str, object]:
        """Return a key as an online read takes it."""
        return dict(zip(self.definition.keys, key, strict=True))


def answers_of(answered: Any) -> dict[str, Answer]:  # noqa: ANN401 - a Vector or what replays one
    """Return an online or a replayed answer in the oracle's shape."""
    events = {name: None if at is None else to_us(at) for name, at in answered.event_times.items()}
    return {
        name: Answer(canonical(value), answered.statuses[name], events[name]) for name, value in answered.values.items()
    }


def _us(column: pa.ChunkedArray) -> list[int | None]:
    return column.cast(pa.int64()).to_pylist()


def known_of(known: Known) -> str | datetime:
    """Return a knowledge mode of the oracle as a store takes it."""
    return from_us(known) if isinstance(known, int) else known


def names(prefix: str = "g") -> Callable[[], str]:
    """Return a function that gives a new group name at each call."""
    count = 0

    def following() -> str:
        nonlocal count
        count += 1
        return f"{prefix}{count}"

    return following
