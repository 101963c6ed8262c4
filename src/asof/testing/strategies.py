"""Small, nasty histories of one group, and questions about them, for `Reference` and for a real store alike.

Few keys and few distinct times, so that the edges are the common case: ties, late rows, corrections, equal
duplicates, `T == event_time`, `T == event_time + ttl`, `T == committed_at`, each also one microsecond off.
`play(history)` gives the oracle. A real store plays the same ops with its clock set to `op.now`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal, TypeVar

from hypothesis import strategies as st

from asof.testing.reference import Group, Key, Kind, Known, Reference, Row

BASE_US = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z
HOUR_US = 3_600_000_000
SKEW_US = 60_000_000  # the default skew: no event_time is further ahead of its op's now
FEATURE_TYPES: Mapping[str, str] = {"x": "float64", "n": "int64", "s": "string"}

T = TypeVar("T")

OnUnchanged = Literal["store", "skip"]

_LATTICE = [BASE_US + hour * HOUR_US for hour in range(5)]
_KEYS: Mapping[tuple[str, ...], list[Key]] = {
    ("string",): [("a",), ("b",), ("",)],
    ("string", "int64"): [("a", 11), ("a1", 1), ("a", 1)],  # the first two collide when joined as text
}
# 2**53 + 1 is the first integer that a trip through float loses
_VALUES: Mapping[str, st.SearchStrategy[object]] = {
    "x": st.sampled_from([None, 0.0, -0.0, math.nan, 1.5, math.inf]),
    "n": st.sampled_from([None, 0, 1, 2, 3, -1, 2**53 + 1]),
    "s": st.sampled_from([None, "", "a", "é"]),  # "" and "a" are keys too: a key may come from an answer
}
_DICTS: st.SearchStrategy[Mapping[str, object]] = st.fixed_dictionaries(dict(_VALUES))
_FEW_DICTS = st.lists(_DICTS, min_size=1, max_size=2)
_OFFSETS = (0, 0, 1, -1, -SKEW_US)
_NOWS = st.builds(int.__add__, st.sampled_from(_LATTICE), st.sampled_from(_OFFSETS))


# To make a strategy costs as much as to draw from it: those below are made once, and draw numbers of things.


@cache
def _up_to(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most)


@cache
def _numbers(many: int, least: int, most: int) -> st.SearchStrategy[list[int]]:
    return st.lists(_up_to(many - 1), min_size=least, max_size=most)


@cache
def _nows(least: int, most: int) -> st.SearchStrategy[list[int]]:
    return st.lists(_NOWS, min_size=least, max_size=most)


@cache
def _rows(
    keys: int, times: int, arrivals: int, dicts: int, least: int
) -> st.SearchStrategy[list[tuple[int, int, int, int | Mapping[str, object]]]]:
    values: st.SearchStrategy[int | Mapping[str, object]] = _up_to(dicts - 1) if dicts else _DICTS
    row = st.tuples(_up_to(keys - 1), _up_to(times - 1), _up_to(arrivals - 1), values)
    return st.lists(row, min_size=least, max_size=5)


@cache
def _pins(most: int) -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), _up_to(most))


_TWICE = st.booleans()
_NAMED_MODES: list[Known] = ["served", "event"]
_MODES = st.sampled_from(_NAMED_MODES)


@lru_cache(1000)
def _spines(keys: int, times: int, size: int) -> st.SearchStrategy[tuple[list[tuple[int, int]], bool]]:
    row = st.tuples(_up_to(keys - 1), _up_to(times - 1))
    return st.tuples(st.lists(row, min_size=size, max_size=size), _TWICE)


def _pick(draw: st.DrawFn, things: Sequence[T]) -> T:
    return things[draw(_up_to(len(things) - 1))]


@dataclass(frozen=True, slots=True)
class Op:
    """One commit, made while the clock stands at `now`.

    The op at position i of a history makes commit i + 1, and `target` is such a number: a store whose own
    numbers have gaps keeps a list of them. All rows of a retire have one event_time, as in `Store.retire`.
    """

    kind: Kind
    now: int
    rows: tuple[Row, ...] = ()
    target: int | None = None
    on_conflict: Literal["error", "last"] = "error"

    @property
    def has_arrivals(self) -> bool:
        """Tell whether the rows of this backfill carry recorded arrivals."""
        return any(row.arrival is not None for row in self.rows)


@dataclass(frozen=True, slots=True)
class History:
    """A group and its commits, each of which the rules accept. The features are those of FEATURE_TYPES.

    `on_unchanged` is for a store: the oracle stores every row.
    """

    group: Group
    key_types: tuple[str, ...]
    ops: tuple[Op, ...]
    on_unchanged: OnUnchanged = "store"


@dataclass(frozen=True, slots=True)
class Case:
    """A history and one historical read of it."""

    history: History
    spine: tuple[tuple[Key, int], ...]  # keys, some unknown or with a null, and T
    known: Known
    pin: int | None  # a number as in Op: the first `pin` ops are seen


def play(history: History) -> Reference:
    """Apply the ops to the oracle."""
    reference = Reference(history.group)
    for op in history.ops:
        reference.commit(op.kind, op.rows, now=op.now, target=op.target, on_conflict=op.on_conflict)
    return reference


def groups(*, static: bool | None = None) -> st.SearchStrategy[Group]:
    """Make groups, static ones too unless `static` says which."""
    if static is None:
        return _ANY_GROUPS
    return _STATIC_GROUPS if static else _TIMED_GROUPS


_TIMED_GROUPS = st.builds(
    Group,
    st.just(tuple(FEATURE_TYPES)),
    ttl_us=st.sampled_from([None, 1, HOUR_US, 2 * HOUR_US]),
    delay_us=st.sampled_from([0, 0, 1, HOUR_US]),
)
_STATIC_GROUPS = st.just(Group(tuple(FEATURE_TYPES), static=True))
_ANY_GROUPS = st.sampled_from([False, False, False, True]).flatmap(
    lambda static: _STATIC_GROUPS if static else _TIMED_GROUPS
)


@st.composite
def histories(
    draw: st.DrawFn,
    *,
    static: bool | None = None,
    kinds: Sequence[Kind] = ("write", "push", "backfill", "retire", "retract"),
    max_ops: int = 6,
    clock_steps_back: bool = True,
) -> History:
    """Make a history of a few commits of the given kinds (retract cannot be the only one).

    A retract names an earlier commit that is neither a retract nor retracted. `clock_steps_back=False` keeps
    the clock from going backwards; it may stand still in either case.
    """
    group = draw(groups(static=static))
    key_types = _pick(draw, [*_KEYS])
    # By themselves lists are short; most errors need three commits.
    least = draw(_up_to(max_ops))
    nows = draw(_nows(least, max_ops))
    if not clock_steps_back or _pick(draw, [True, True, True, False]):
        nows = sorted(nows)
    unchanged: list[OnUnchanged] = ["store", "skip"]
    on_unchanged = _pick(draw, unchanged)
    few = draw(_FEW_DICTS) if on_unchanged == "skip" else []  # so that rows are often equal
    ops: list[Op] = []
    for now in nows:
        open_targets = _retractable(ops)
        legal: list[Kind] = [kind for kind in kinds if kind != "retract" or open_targets]
        kind = _pick(draw, legal)
        if kind == "retract":
            ops.append(Op(kind, now, target=_pick(draw, open_targets)))
        else:
            ops.append(_op_with_rows(draw, group, _KEYS[key_types], few, kind=kind, now=now))
    return History(group, key_types, tuple(ops), on_unchanged)


def _retractable(ops: Sequence[Op]) -> list[int]:
    targets = {op.target for op in ops}
    return [number for number, op in enumerate(ops, 1) if op.kind != "retract" and number not in targets]


def _op_with_rows(
    draw: st.DrawFn, group: Group, keys: Sequence[Key], few: Sequence[Mapping[str, object]], *, kind: Kind, now: int
) -> Op:
    times: Sequence[int | None] = [None]
    if not group.static:
        legal = _event_times(now)
        times = [legal[number] for number in draw(_numbers(len(legal), 1, 3))]  # few, so that duplicates are common
    if kind == "retire":
        event_time = _pick(draw, times)
        retired = [keys[number] for number in draw(_numbers(len(keys), 1, 2))]
        return Op(kind, now, tuple(Row(key, event_time, {}, retired=True) for key in retired))
    recorded = kind == "backfill" and not group.static and _pick(draw, [False, True, True])
    arrivals: Sequence[int | None] = _arrivals(now) if recorded else [None]
    # An empty frame makes a commit of 0 rows; a push of nothing is not defined.
    drawn = draw(_rows(len(keys), len(times), len(arrivals), len(few), 1 if kind == "push" else 0))
    rows = [
        Row(keys[key], times[time], few[values] if isinstance(values, int) else values, arrival=arrivals[arrival])
        for key, time, arrival, values in drawn
    ]
    choices: list[Literal["error", "last"]] = ["error", "error", "last"]
    on_conflict = _pick(draw, choices)
    if on_conflict == "error":
        rows = _without_conflicts(rows)
    return Op(kind, now, tuple(rows), on_conflict=on_conflict)


def _event_times(now: int) -> list[int]:
    """Give few times, all legal at `now`: whole hours, the ends of the skew, and a neighbour."""
    hours = [hour for hour in _LATTICE if hour <= now + SKEW_US]
    return [*hours, hours[-1] - 1, now, now + SKEW_US]


def _arrivals(now: int) -> list[int]:
    return [*(hour + late for hour in _LATTICE for late in (0, 1) if hour + late <= now), now, now - HOUR_US]


def _without_conflicts(rows: Sequence[Row]) -> list[Row]:
    """Make rows of one key and event_time equal as the rules see it, though not always to the bit."""
    first: dict[tuple[Key, int | None], Row] = {}
    for row in rows:
        first.setdefault((row.key, row.event_time), row)
    settled: list[Row] = []
    for row in rows:
        model = first[row.key, row.event_time]
        twin = {name: _twin(value) for name, value in model.values.items()}
        settled.append(row if row is model else replace(row, values=twin))
    return settled


def _twin(value: object) -> object:
    return -value if isinstance(value, float) and (value == 0.0 or math.isnan(value)) else value


def clocks(history: History) -> list[int]:
    """Give the `committed_at` of each commit, in commit order."""
    return _clocks(history, play(history))


def _clocks(history: History, played: Reference) -> list[int]:
    return [played.committed_at(number) for number in range(1, len(history.ops) + 1)]


def instants(history: History) -> list[int]:
    """Give the times at which an answer may change, in order, each with its neighbours 1 us off."""
    return _instants(history, play(history))


def _instants(history: History, played: Reference) -> list[int]:
    points = {BASE_US, *_clocks(history, played), *(op.now for op in history.ops), *turns(played)}
    return sorted({point + step for point in points for step in (-1, 0, 1)})


def turns(reference: Reference) -> set[int]:
    """Give the times at which rows become events, become available, or expire."""
    points: set[int] = set()
    for row in reference.rows(retracted=True):
        if row.available_at is not None:
            points.add(row.available_at)
        if row.event_time is not None:
            points |= {row.event_time, row.event_time + (reference.group.ttl_us or 0)}
    return points


def _spine_keys(history: History) -> list[Key]:
    """Give keys, those with rows more often; one is unknown, and each part is null in one."""
    keys = _KEYS[history.key_types]
    first = keys[0]
    nulls: list[Key] = [(*first[:i], None, *first[i + 1 :]) for i in range(len(first))]
    return [*(row.key for op in history.ops for row in op.rows), *keys, ("zz", *first[1:]), *nulls]


def spines(history: History, *, max_size: int = 12) -> st.SearchStrategy[tuple[tuple[Key, int], ...]]:
    """Make the rows (key, T) of a spine, in no order, some twice."""
    played = play(history)
    times = _instants(history, played)
    # Early times see little, and a retract shows at its own clock only.
    times += [*times[len(times) // 2 :], *_clocks(history, played) * 2]
    keys = _spine_keys(history)

    def rows(drawn: tuple[list[tuple[int, int]], bool]) -> tuple[tuple[Key, int], ...]:
        numbers, twice = drawn
        rows = [(keys[key], times[time]) for key, time in numbers]
        return (*rows, *rows[:2]) if twice else (*rows,)

    # By themselves lists are short.
    return _up_to(max_size - 2).flatmap(lambda size: _spines(len(keys), len(times), size)).map(rows)


def modes(history: History) -> st.SearchStrategy[Known]:
    """Make knowledge modes; K is a time that matters."""
    times = instants(history)
    return st.one_of(_MODES, _up_to(len(times) - 1).map(times.__getitem__))


def pins(history: History) -> st.SearchStrategy[int | None]:
    """Make pins: none, or the first so many ops of the history (0 sees nothing)."""
    return _pins(len(history.ops))


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    static: bool | None = None,
    kinds: Sequence[Kind] = ("write", "push", "backfill", "retire", "retract"),
    max_ops: int = 6,
    clock_steps_back: bool = True,
) -> Case:
    """Make a history and one read of it; the options are those of `histories`."""
    history = draw(histories(static=static, kinds=kinds, max_ops=max_ops, clock_steps_back=clock_steps_back))
    return Case(history, draw(spines(history)), draw(modes(history)), draw(pins(history)))
