"""Bring published commits to the online store, in commit order, once. Source: SEMANTICS section 3."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from asof.arrow.keys import encode_keys
from asof.arrow.order import arrange, newest_per_key
from asof.arrow.rows import encode_rows
from asof.engine.port import EVENT_COLUMN, Rows
from asof.errors import BackendError, ConflictError, NotFoundError, TransientError
from asof.online.port import Applied, Change, version_head
from asof.parts import Parts, pinned_rows
from asof.records import COMMIT_COLUMN, RETIRED_COLUMN, Commit
from asof.registry.port import RegisteredGroup

STEP_ROWS = 500_000
"""Rows of one step of a bulk load: what one transaction holds in memory."""

ATTEMPTS = 1000
"""Other writers may be first this often in a row; each time we made progress ourselves, or they did."""

SIGN = 1 << 63


@dataclass(frozen=True, slots=True)
class Published:
    """A commit that was just published, with its rows at hand.

    Attributes:
        group: Its group.
        commit: The commit.
        rows: In the shape and order of a data file; None if they must be read from history (a retract).
        record: In place of the rows: the key, event time and payload of the only one.
    """

    group: RegisteredGroup
    commit: Commit
    rows: pa.Table | None
    record: tuple[bytes, int, bytes] | None = None


def encode_online(rows: pa.Table, group: RegisteredGroup) -> tuple[list[bytes], list[bytes]]:
    """Return keys and rows as the online store keeps them.

    Args:
        rows: One row a key: the keys, `__event_us`, `__commit`, `__retired`, and the features.
        group: Their group.
    """
    if not rows.num_rows:
        return [], []
    heads = np.empty((rows.num_rows, 2), dtype=">u8")
    heads[:, 0] = rows.column(EVENT_COLUMN).to_numpy().view(np.uint64) ^ np.uint64(SIGN)
    heads[:, 1] = rows.column(COMMIT_COLUMN).to_numpy()
    raw = heads.tobytes()
    payloads = encode_rows(rows.select(list(group.layout)))
    retired = np.flatnonzero(rows.column(RETIRED_COLUMN).to_numpy())
    for row in retired:
        payloads[row] = b""
    values = [raw[at * 16 : at * 16 + 16] + payload for at, payload in enumerate(payloads)]
    keys = encode_keys(rows.select(list(group.definition.keys)))
    order = None if all(a < b for a, b in pairwise(keys)) else sorted(range(len(keys)), key=keys.__getitem__)
    if order is not None:  # rows come in the order of their keys, but Arrow and bytes may see that differently
        keys, values = [keys[i] for i in order], [values[i] for i in order]
    return keys, values


def newest_of(rows: pa.Table, group: RegisteredGroup, commit: int) -> pa.Table:
    """Return the newest row of each key of one commit's rows, in the shape that `encode_online` takes."""
    newest = newest_per_key(rows, group.definition.keys)
    time = group.definition.event_time
    events = (
        pa.array(np.zeros(newest.num_rows, dtype=np.int64)) if time is None else newest.column(time).cast(pa.int64())
    )
    newest = newest.append_column(EVENT_COLUMN, events)
    numbers = pa.repeat(pa.scalar(commit, pa.int64()), newest.num_rows)
    return newest.set_column(newest.schema.get_field_index(COMMIT_COLUMN), COMMIT_COLUMN, numbers)


class OnlineFeed:
    """Applies commits to the online store; any process may apply any other's commits."""

    def __init__(self, parts: Parts) -> None:
        """Keep the parts."""
        self._parts = parts

    def apply(self, published: Sequence[Published]) -> None:
        """Make just published commits readable online, all in one step if they are small.

        A group that was offline is looked up again: another process may have turned it online before the commit was
        there to be seen.

        Raises:
            BackendError: The online store failed. The commits are published; they are applied when it is back.
        """
        online = published
        try:
            online = [item for item in published if self._is_online(item.group)]
            if online:
                self._apply(online)
        except BackendError as error:
            stored = ", ".join(item.commit.id for item in online)
            raise type(error)(
                f"{stored} is stored in history, but not readable online yet: {error.what}",
                where=error.where,
                todo="do not write it again: the next write, or opening the store, serves it" + f"; {error.todo}",
            ) from error

    def _is_online(self, group: RegisteredGroup) -> bool:
        try:
            return group.definition.online or current_group(self._parts, group).definition.online
        except ConflictError:  # it is gone
            return False

    def _apply(self, online: Sequence[Published]) -> None:
        changes = [change for item in online if (change := _change(item)) is not None]
        if len(changes) < len(online):
            for item in online:
                self.catch_up(item.group)
            return
        groups = {item.group.id: item.group for item in online}
        for _ in range(ATTEMPTS):
            reached = self._parts.online.apply(changes)
            behind = {c.group_id for c in changes if reached[c.group_id].commit < c.commit}
            if not behind:
                return
            for group_id in behind:
                first = min(c.after for c in changes if c.group_id == group_id)
                self.catch_up(groups[group_id], until=first)
        raise TransientError("other writers kept changing the online store", todo="try again")

    def catch_up(self, group: RegisteredGroup, *, until: int | None = None) -> int:
        """Apply the commits of a group that the online store lacks.

        Args:
            group: The group.
            until: The last commit to apply; None for all.

        Returns:
            How many rows were put.
        """
        put = 0
        for _ in range(ATTEMPTS):
            with self._parts.online.snapshot() as snapshot:
                applied = snapshot.applied.get(group.id, Applied())
            missing = self._parts.log.commits(group, after=applied.commit)
            missing = [c for c in missing if until is None or c.number <= until]
            if not missing:
                return put
            group = current_group(self._parts, group)  # they may hold features that were added since we were called
            plain = next((at for at, commit in enumerate(missing) if commit.kind == "retract"), len(missing))
            try:
                if plain:
                    put += self._apply_rows(group, applied, missing[plain - 1])
                else:
                    put += self._apply_retract(group, applied, missing[0])
            except ConflictError:  # retention dropped rows of that time: only the present can be built
                return put + self.rebuild(group)
        raise TransientError(f"other writers kept changing {group.ref} online", todo="try again")

    def rebuild(self, group: RegisteredGroup) -> int:
        """Build a group's online rows anew from history; return how many rows were put."""
        self._parts.online.clear(group.id)
        commits = self._parts.log.commits(group, limit=1)
        if not commits:
            return self.catch_up(group)
        group = current_group(self._parts, group)
        return self._apply_rows(group, Applied(), commits[0]) + self.catch_up(group)

    def _apply_rows(self, group: RegisteredGroup, applied: Applied, last: Commit) -> int:
        """Apply the newest rows of the commits after `applied` up to `last`.

        None of them is a retract, unless nothing is applied: then there are no rows that it would have to hide.
        """
        rows, _ = pinned_rows(self._parts, group, pin=last.number, after=applied.commit)
        put = 0
        steps = self._steps(self._newest(rows, group))
        current = next(steps, None)
        while current is not None:
            following = next(steps, None)
            keys, values = encode_online(current, group)
            self._parts.online.apply(
                [
                    Change(
                        group.id,
                        applied.commit,
                        last.number,
                        last.committed_at_us,
                        keys,
                        values,
                        final=following is None,
                    )
                ]
            )
            put += len(keys)
            current = following
        if not put:
            self._parts.online.apply([Change(group.id, applied.commit, last.number, last.committed_at_us)])
        return put

    def _newest(self, rows: Rows, group: RegisteredGroup) -> Iterator[pa.Table]:
        if not rows.files and rows.journal is not None and not rows.retracted:
            yield _newest_of_journal(rows.journal, group)
            return
        for batch in self._parts.engine.newest(rows):
            yield pa.Table.from_batches([batch])

    def _apply_retract(self, group: RegisteredGroup, applied: Applied, retract: Commit) -> int:
        """Recompute the keys of a retracted commit from history up to the retract, no further."""
        assert retract.target is not None  # noqa: S101 - every retract has one
        touched, _ = pinned_rows(self._parts, group, pin=retract.target, after=retract.target - 1)
        names = list(group.definition.keys)
        visible = replace(touched, retracted={})
        keys = pa.Table.from_batches(
            [batch.select(names) for batch in self._parts.engine.newest(visible)],
            schema=pa.schema([touched.schema.field(name) for name in names]),
        )
        whole, _ = pinned_rows(self._parts, group, pin=retract.number)
        rows = self._parts.engine.newest(whole, keys=keys).read_all()
        have, values = encode_online(rows, group)
        found = dict(zip(have, values, strict=True))
        every = sorted(encode_keys(keys)) if keys.num_rows else []
        self._parts.online.apply(
            [
                Change(
                    group.id,
                    applied.commit,
                    retract.number,
                    retract.committed_at_us,
                    every,
                    [found.get(key) for key in every],
                    replace=True,
                )
            ]
        )
        return len(every)

    def _steps(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            for start in range(0, table.num_rows, STEP_ROWS):
                yield table.slice(start, STEP_ROWS)


def current_group(parts: Parts, group: RegisteredGroup) -> RegisteredGroup:
    """Return a group as it is registered now; read it after the rows, and it has all features that they have.

    Raises:
        ConflictError: It was removed.
    """
    try:
        current = parts.registry.group(group.ref)
    except NotFoundError:
        current = None
    if current is None or current.id != group.id:
        raise ConflictError(f"{group.ref} was removed meanwhile", todo="apply its definition again")
    return current


def _change(item: Published) -> Change | None:
    """Return what a commit does; None if it must be read from history, or is too large for one step."""
    if item.record is not None:
        key, event_us, payload = item.record
        row = version_head(event_us, item.commit.number) + payload
        number = item.commit.number
        return Change(item.group.id, number - 1, number, item.commit.committed_at_us, [key], [row])
    newest = None if item.rows is None else newest_of(item.rows, item.group, item.commit.number)
    if newest is None or newest.num_rows > STEP_ROWS:
        return None
    keys, rows = encode_online(newest, item.group)
    number = item.commit.number
    return Change(item.group.id, number - 1, number, item.commit.committed_at_us, keys, rows)


def _newest_of_journal(journal: pa.Table, group: RegisteredGroup) -> pa.Table:
    """Return the newest row of each key of journal rows, which come in commit order: no engine needed."""
    definition = group.definition
    # In commit order the last of equal event times is the newest, which is what "last" keeps.
    ordered = arrange(journal, definition.keys, definition.event_time, on_conflict="last")
    newest = newest_per_key(ordered, definition.keys)
    time = definition.event_time
    events = (
        pa.array(np.zeros(newest.num_rows, dtype=np.int64)) if time is None else newest.column(time).cast(pa.int64())
    )
    return newest.append_column(EVENT_COLUMN, events)
