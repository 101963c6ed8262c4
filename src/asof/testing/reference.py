"""The rules of time and truth in plain Python: the oracle that every engine and store is held to.

Slow on purpose: each answer looks at every row ever stored. All times are int microseconds, UTC.
Source: SEMANTICS.md, sections 1 to 3, and `retire` and `retract` of section 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from asof.testing.values import canonical

Status = Literal["PRESENT", "NULL", "MISSING", "EXPIRED", "RETIRED"]
Kind = Literal["write", "push", "backfill", "retire", "retract"]
Known = Literal["served", "event"] | int  # an int is the moment K: "as known at K"
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """What the rules need to know of a group."""

    features: tuple[str, ...]
    static: bool = False
    ttl_us: int | None = None
    delay_us: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A row as a caller hands it over."""

    key: Key
    event_time: int | None  # None in a static group
    values: Mapping[str, object]  # {} for a retirement; a feature left out is null
    retired: bool = False
    arrival: int | None = None  # recorded arrival: a backfill with available_at="column"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Row):
    """A row as history keeps it: values canonical, one for each feature, null in a retirement."""

    kind: Kind
    commit: int
    available_at: int | None  # None: always (a backfilled row of a static group)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one feature; `event_time` is the answering row's, None if MISSING or static."""

    value: object
    status: Status
    event_time: int | None


class Reference:
    """The history of one group. Commits go in at the top, answers come out at the bottom."""

    def __init__(self, group: Group) -> None:
        """Start empty."""
        timed = group.ttl_us is not None or group.delay_us != 0
        _refuse({"a static group has no ttl and no delay": group.static and timed})
        self.group = group
        self._clocks: dict[int, int] = {}  # commit: committed_at
        self._targets: dict[int, int] = {}  # retract: the commit that it hides
        self._rows: list[Stored] = []

    def commit(  # noqa: PLR0913 - all that a store could be told of a commit
        self,
        kind: Kind,
        rows: Sequence[Row] = (),
        *,
        now: int,
        target: int | None = None,
        on_conflict: Literal["error", "last"] = "error",
        number: int | None = None,
        committed_at: int | None = None,
    ) -> int:
        """Add a commit and return its number; nothing is stored when it is refused.

        `number` (gaps are fine) and `committed_at` (groups written together share it) are computed unless
        given. `target` is the commit that a retract hides. The skew limit is not checked: a group knows none.

        Raises:
            ValueError: the rules refuse the rows, the target or the given clock.
        """
        last = max(self._clocks, default=0)
        number = last + 1 if number is None else number
        kept = self._without_duplicates([self._checked(row, kind, now) for row in rows], on_conflict)
        after = self._clocks[last] + 1 if last else now
        least = max([now, after, *(row.event_time for row in kept if row.event_time is not None)])
        committed_at = least if committed_at is None else committed_at
        _refuse({
            "a commit comes after the last one": number <= last or committed_at < least,
            "a retract, and only that, has a target": (kind == "retract") != (target is not None),
            "a retract has no rows": kind == "retract" and len(rows) > 0,
            "there is no such commit to retract": target is not None and target not in self._clocks,
            "a retract of a retract: write the rows again": target in self._targets,
            "recorded arrivals are for all rows or for none": len({row.arrival is None for row in kept}) > 1,
        })  # fmt: skip
        self._clocks[number] = committed_at
        if target is not None:
            self._targets[number] = target
        for row in kept:
            clock = self._available_at(row, kind, committed_at)
            content = (row.key, row.event_time, row.values, row.retired, row.arrival)
            self._rows.append(Stored(*content, kind=kind, commit=number, available_at=clock))
        return number

    def _checked(self, row: Row, kind: Kind, now: int) -> Row:
        late = row.arrival is not None and row.arrival > now
        _refuse({
            "a key has no null": None in row.key,
            "a row has an event_time, in a static group none": (row.event_time is None) != self.group.static,
            "a retire, and only that, holds retirements": row.retired != (kind == "retire"),
            "a feature is declared, and a retirement has no values": not set(row.values)
            <= set(() if row.retired else self.group.features),
            "an arrival is recorded by a backfill of a group with event times, and not later than now": late
            or (row.arrival is not None and (kind != "backfill" or self.group.static)),
        })  # fmt: skip
        return replace(row, values={name: canonical(row.values.get(name)) for name in self.group.features})

    def _without_duplicates(self, rows: Sequence[Row], on_conflict: Literal["error", "last"]) -> list[Row]:
        """Keep one row per key and event_time, the last one; of equal rows the earliest arrival."""
        kept: dict[tuple[Key, int | None], Row] = {}
        for row in rows:
            rivals = [rival for rival in rows if (rival.key, rival.event_time) == (row.key, row.event_time)]
            equal = [rival for rival in rivals if rival.values == row.values]
            _refuse({"rows of one key and time are equal": on_conflict == "error" and equal != rivals})
            arrivals = [rival.arrival for rival in equal if rival.arrival is not None]
            kept[row.key, row.event_time] = replace(row, arrival=min(arrivals, default=None))
        return list(kept.values())

    def _available_at(self, row: Row, kind: Kind, committed_at: int) -> int | None:
        if kind != "backfill" or row.event_time is None:
            return None if kind == "backfill" else committed_at
        return min(row.event_time + self.group.delay_us, committed_at) if row.arrival is None else row.arrival

    def committed_at(self, number: int) -> int:
        """Give the clock of a commit."""
        return self._clocks[number]

    def rows(self, pin: int | None = None, *, retracted: bool = False) -> list[Stored]:
        """Give all stored versions in commit order; those hidden by a pinned retract only if asked for."""
        pinned = [row for row in self._rows if _in_pin(row.commit, pin)]
        return [row for row in pinned if retracted or not self._retracts(row, pin)]

    def _retracts(self, row: Stored, pin: int | None) -> list[int]:
        """Give the clocks of the pinned commits that retract the row."""
        retracts = [number for number, target in self._targets.items() if target == row.commit]
        return [self._clocks[number] for number in retracts if _in_pin(number, pin)]

    def answer(self, key: Key, t: int, *, known: Known, pin: int | None = None) -> dict[str, Answer]:
        """Answer for `key` at time `t`, feature by feature. A `pin` C sees the commits up to C only."""
        own = [row for row in self._rows if row.key == key]
        candidates = [row for row in own if self.is_candidate(row, t, known=known, pin=pin)]
        if None in key or not candidates:
            return {name: Answer(None, "MISSING", None) for name in self.group.features}
        newest = max(candidates, key=lambda row: (row.event_time or 0, row.commit))  # static: commit alone
        return {name: self._judge(newest, name, t) for name in self.group.features}

    def label(self, key: Key, t: int, horizon_us: int, *, known: Known, pin: int | None = None) -> dict[str, Answer]:
        """Give what became of `key` after `t`: by the newest row with event_time in (t, t + horizon].

        It is what was known at t + horizon. A value does not expire: it happened. The group is not static.
        """
        moment = t + horizon_us
        own = [row for row in self._rows if row.key == key and row.event_time is not None and row.event_time > t]
        candidates = [row for row in own if self.is_candidate(row, moment, known=known, pin=pin)]
        if None in key or not candidates:
            return {name: Answer(None, "MISSING", None) for name in self.group.features}
        newest = max(candidates, key=lambda row: (row.event_time or 0, row.commit))
        found: dict[str, Answer] = {}
        for name in self.group.features:
            value = newest.values.get(name)  # null in a retirement
            status: Status = "RETIRED" if newest.retired else "NULL" if value is None else "PRESENT"
            found[name] = Answer(value, status, newest.event_time)
        return found

    def is_candidate(self, row: Stored, t: int, *, known: Known, pin: int | None) -> bool:
        """Tell whether a row is one of those of which the newest answers at T."""
        if not _in_pin(row.commit, pin) or (row.event_time is not None and row.event_time > t):
            return False
        if self.is_retracted(row, t, known=known, pin=pin):
            return False
        moment = t if known == "served" else known
        return moment == "event" or row.available_at is None or row.available_at <= moment

    def is_retracted(self, row: Stored, t: int, *, known: Known, pin: int | None) -> bool:
        """Tell whether a row does not count at T because its commit was retracted."""
        clocks = self._retracts(row, pin)
        moment = t if known == "served" else known
        # A backfill rewrites the past, so taking it back does too. A live row was served until its retract.
        return any(row.kind == "backfill" or moment == "event" or clock <= moment for clock in clocks)

    def _judge(self, row: Stored, feature: str, t: int) -> Answer:
        if row.retired:
            return Answer(None, "RETIRED", row.event_time)
        ttl_us = self.group.ttl_us
        if ttl_us is not None and row.event_time is not None and row.event_time <= t - ttl_us:
            return Answer(None, "EXPIRED", row.event_time)
        value = row.values.get(feature)  # null in a row from before the feature was added
        return Answer(value, "NULL" if value is None else "PRESENT", row.event_time)

    def online(self, key: Key, now: int, pin: int | None = None) -> tuple[int, dict[str, Answer]]:
        """Give the clock T and, by law 3, the answers of a store that applied the commits up to `pin`."""
        t = max([now, *(clock for number, clock in self._clocks.items() if _in_pin(number, pin))])
        return t, self.answer(key, t, known="served", pin=pin)


def _in_pin(number: int, pin: int | None) -> bool:
    return pin is None or number <= pin


def _refuse(faults: Mapping[str, bool]) -> None:
    """Raise the rules that were broken."""
    if broken := [rule for rule, is_broken in faults.items() if is_broken]:
        raise ValueError("; ".join(broken))
