"""`store.nearest`: the nearest vectors among what `online` would answer now. Source: SEMANTICS section 3."""

import threading
from collections.abc import Sequence

import pyarrow as pa

from asof.arrow.types import arrow_type
from asof.definitions import view_of_group
from asof.derived.inputs import Given
from asof.engine.port import EVENT_COLUMN
from asof.errors import TransientError, UnsupportedError
from asof.online.port import HEAD_BYTES, Applied, StaleSnapshotError, version_head, version_of
from asof.parts import Parts
from asof.parts import Question as Asked
from asof.records import COMMIT_COLUMN, RETIRED_COLUMN
from asof.registry.registered import RegisteredGroup
from asof.serving.cached import Cached
from asof.serving.columns import columns
from asof.serving.nearest.answer import DISTANCE, Found, Neighbours
from asof.serving.nearest.asking import Question, checked
from asof.serving.nearest.index import Index, State, segment_of
from asof.serving.nearest.search import Hit, Search, prepare
from asof.serving.nearest.where import Conditions
from asof.serving.plan import Plan, RawRow

NOTHING: Given = {}

ATTEMPTS = 20
"""Tries at a state of the online store that the index agrees with; more than one are needed while others write."""

LARGEST_BYTES = 2_000_000_000
"""So much memory the indexes of a store may take together; one alone may be larger, or it could not be asked."""


class NearestReader:
    """Answers which vectors are nearest. Safe to use from several threads."""

    def __init__(self, parts: Parts) -> None:
        """Hold no index yet."""
        self._parts = parts
        self._plans: Cached[tuple[RegisteredGroup, Plan]] = Cached(self._compiled)
        self._indexes: dict[tuple[int, str], Index] = {}  # that asked last at the end
        self._bytes: dict[tuple[int, str], int] = {}
        self._lock = threading.Lock()

    def read(  # noqa: PLR0913 - the words of `Store.nearest`
        self,
        name: str,
        feature: str,
        vector: object,
        k: int,
        *,
        metric: str,
        where: Conditions | Sequence[Conditions] | None,
        columns: Sequence[str] | None,
        exact: bool,
    ) -> Neighbours:
        """Answer a question; see `Store.nearest`."""
        group, plan = self._plans(name)
        asked = checked(group.definition, feature, vector, k, metric=metric, where=where, columns=columns, exact=exact)
        index = self._index(group, feature)
        for attempt in range(ATTEMPTS):
            try:
                answer = self._tried(group, plan, index, asked, inside=attempt >= ATTEMPTS // 2)
            except StaleSnapshotError:
                continue
            if answer is not None:
                return answer
        raise TransientError(f"others kept changing {group.ref} online", todo="try again")

    def forget_definitions(self) -> None:
        """Look definitions up anew at the next question; indexes of groups that are gone go."""
        self._plans.forget()
        known = {group.id for group in self._parts.registry.groups()} if self._indexes else set[int]()
        with self._lock:
            for key in [key for key in self._indexes if key[0] not in known]:
                del self._indexes[key]

    def drop(self) -> None:
        """Hold no rows any more: some are to be forgotten."""
        with self._lock:
            indexes = list(self._indexes.values())
        for index in indexes:
            index.drop()

    def _index(self, group: RegisteredGroup, feature: str) -> Index:
        """Return the index of a feature, as the one that was asked last."""
        key = group.id, feature
        with self._lock:
            index = self._indexes.pop(key, None) or Index(self._parts, group, feature)
            self._indexes[key] = index
            return index

    def _bound(self, key: tuple[int, str], state: State) -> None:
        """Let go of the indexes that were asked longest ago, as long as all take too much; not of the one asked now."""
        with self._lock:
            if key in self._indexes:
                self._bytes[key] = state.nbytes
            self._bytes = {each: self._bytes.get(each, 0) for each in self._indexes}
            for each in list(self._indexes):
                if each != key and sum(self._bytes.values()) > LARGEST_BYTES:
                    del self._indexes[each], self._bytes[each]

    def _compiled(self, name: str) -> tuple[RegisteredGroup, Plan]:
        group = self._parts.registry.group(name)
        plan = Plan(Asked(group.ref, view_of_group(group.definition), {group.definition.name: group}))
        if group.source is not None:
            raise UnsupportedError(
                f"{group.ref} is made of windows, which have no stored rows to search",
                where=f"group {group.definition.name}",
                todo="search a group that is written",
            )
        return group, plan

    def _applied(self, group: RegisteredGroup) -> Applied:
        with self._parts.online.snapshot() as snapshot:
            return snapshot.applied.get(group.id, Applied())

    def _tried(
        self, group: RegisteredGroup, plan: Plan, index: Index, asked: Question, *, inside: bool
    ) -> Neighbours | None:
        """Return the answer from one state of the online store; None if the index has another one, and was mended.

        What the index lacks is read before, since a snapshot is to be kept short; where others always come in between,
        the little that is left is read within.
        """
        wanted = asked.where.columns - frozenset(group.definition.keys)
        known = self._applied(group).commit
        state = index.at(known, wanted)
        if state.commit > known and self._applied(group).commit < state.commit:
            index.drop()  # the online store was built anew, and is not done; else another thread was ahead of us
            return None
        prepare(state, asked)
        self._bound((group.id, asked.feature), state)
        with self._parts.online.snapshot() as snapshot:
            now_us = self._parts.now_us()
            applied = snapshot.applied.get(group.id, Applied())
            if applied.commit > state.commit and inside:
                state = index.at(applied.commit, wanted)
            if applied.commit != state.commit:
                return None
            t_us = plan.clock_us({group.id: applied}, now_us)
            ttl_us = plan.steps[0].ttl_us
            search = Search(state, asked, None if ttl_us is None else t_us - ttl_us)
            hits = search.hits()
            (rows,) = snapshot.get_many([(group.id, [hit.key for hit in hits])]) if hits else ([],)
        wrong = [at for at, (hit, row) in enumerate(zip(hits, rows, strict=True)) if not _is_same(hit, row)]
        if wrong:
            stale, newer = [hits[at] for at in wrong], [rows[at] for at in wrong]
            index.mend(state, _mended(plan, group, asked, state, stale, newer))
            return None
        found = Found(search.exact, search.recall, search.compared, t_us, applied.applying)
        return Neighbours(_table(plan, group, asked, hits, rows), {group.ref: state.commit}, found)


def _is_same(hit: Hit, row: RawRow) -> bool:
    return row is not None and row[:HEAD_BYTES] == version_head(*hit.version)


def _mended(  # noqa: PLR0917 - a state, and what is wrong with it
    plan: Plan, group: RegisteredGroup, asked: Question, state: State, stale: Sequence[Hit], rows: Sequence[RawRow]
) -> State:
    """Return a state with the rows that the online store has: some are of a load that is being applied, some erased."""
    state = state.without([hit.key for hit in stale])
    there = [(hit, row) for hit, row in zip(stale, rows, strict=True) if row is not None]
    if not there:
        return state
    table = _keys(group, [hit for hit, _ in there])
    versions = [version_of(row) for _, row in there]
    table = table.append_column(EVENT_COLUMN, pa.array([event for event, _ in versions], pa.int64()))
    table = table.append_column(COMMIT_COLUMN, pa.array([commit for _, commit in versions], pa.int64()))
    table = table.append_column(RETIRED_COLUMN, pa.array([len(row) == HEAD_BYTES for _, row in there]))
    for name, values in _values(plan, [row for _, row in there]).items():
        table = table.append_column(name, values)
    return state.after(segment_of(table, group.definition.keys, asked.feature, state.columns), state.commit)


def _table(
    plan: Plan, group: RegisteredGroup, asked: Question, hits: Sequence[Hit], rows: Sequence[RawRow]
) -> pa.Table:
    """Return an answer's rows."""
    table = _keys(group, hits).append_column(DISTANCE, pa.array([hit.distance for hit in hits], pa.float64()))
    values = _values(plan, rows)
    for name in asked.columns:
        table = table.append_column(name, values[name])
    return table


def _keys(group: RegisteredGroup, hits: Sequence[Hit]) -> pa.Table:
    """Return the key columns of rows."""
    definition = group.definition
    types = {name: arrow_type(dtype) for name, dtype in definition.entity.keys.items()}
    columns = {
        name: pa.array([hit.segment.table.column(name)[hit.place].as_py() for hit in hits], kind)
        for name, kind in types.items()
    }
    return pa.table(columns)


def _values(plan: Plan, rows: Sequence[RawRow]) -> dict[str, pa.Array]:
    """Return the features of raw rows; whether they are expired is not looked at."""
    times_us = [0 if row is None else version_of(row)[0] for row in rows]
    arrays, _ = columns(plan, plan.schema.types, [[row] for row in rows], times_us, [NOTHING] * len(rows))
    return dict(zip(plan.names, arrays, strict=True))
