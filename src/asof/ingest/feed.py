"""Bring published commits to the online store, in commit order, once. Source: SEMANTICS section 3."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import msgspec
import numpy as np
import pyarrow as pa

from asof.arrow.keys import encode_keys
from asof.arrow.order import arrange, newest_per_key
from asof.arrow.rows import encode_rows
from asof.engine.port import EVENT_COLUMN, Rows
from asof.errors import BackendError, ConflictError, NotFoundError, TransientError, UsageError
from asof.ingest.grow import Fresh, Grower
from asof.online.port import HEAD_BYTES, Applied, Change, version_head
from asof.parts import Parts, pinned_rows
from asof.records import COMMIT_COLUMN, RETIRED_COLUMN, Commit
from asof.registry.registered import RegisteredGroup

STEP_ROWS = 500_000
"""Rows of one step of a bulk load: what one transaction holds in memory."""

ATTEMPTS = 1000
"""Other writers may be first this often in a row; each time we made progress ourselves, or they did."""

SIGN = 1 << 63

Slices = Callable[[], Iterator[pa.Table]]
"""Gives the rows of a commit in several tables, the rows of a key all in one."""


class Published(msgspec.Struct, frozen=True):
    """A commit that was just published, with its rows at hand.

    Attributes:
        group: Its group.
        commit: The commit.
        rows: In the shape and order of a data file, perhaps in slices; None if they must be read from history (a
            retract).
        record: In place of the rows: the key, event time and payload of the only one.
        block: The rows as the journal holds them, if it does.
    """

    group: RegisteredGroup
    commit: Commit
    rows: pa.Table | Slices | None
    record: tuple[bytes, int, bytes] | None = None
    block: bytes | None = None


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


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a group lacks online: at least one commit after those that are applied."""

    group: RegisteredGroup
    applied: Applied
    missing: Sequence[Commit]


def applicable(first: int, backlog: Mapping[int, Backlog]) -> dict[int, int]:
    """Return how many commits of a group, and of those written together with it, can become visible in one step.

    Commits that were written together share their time, and none of them may be left behind. A retract is applied
    by itself, so what lies after it has to wait.
    """
    places = {each: {c.committed_at_us: at for at, c in enumerate(item.missing)} for each, item in backlog.items()}
    lengths = {
        each: next((at for at, commit in enumerate(item.missing) if commit.kind == "retract"), len(item.missing))
        for each, item in backlog.items()
    }
    linked = [first]
    settled = False
    while not settled:
        settled = True
        for each in linked:
            for at, commit in enumerate(backlog[each].missing[: lengths[each]]):
                others = [other for other in backlog if other != each and commit.committed_at_us in places[other]]
                new = [other for other in others if other not in linked]
                linked += new
                cut = any(places[other][commit.committed_at_us] >= lengths[other] for other in others)
                if cut:
                    lengths[each] = at
                settled = settled and not new and not cut
                if cut:
                    break
    return {each: lengths[each] for each in linked}


class OnlineFeed:
    """Applies commits to the online store; any process may apply any other's commits."""

    def __init__(self, parts: Parts) -> None:
        """Keep the parts."""
        self._parts = parts
        self._growers: dict[int, Grower] = {}

    def apply(self, published: Sequence[Published], *, made: Sequence[RegisteredGroup] | None = None) -> None:
        """Make just published commits readable online, all in one step if they are small.

        A group that was offline is looked up again: another process may have turned it online before the commit was
        there to be seen.

        Args:
            published: The commits.
            made: What `made_of` says of their groups; None: it is asked.

        Raises:
            BackendError: The online store failed. The commits are published; they are applied when it is back.
        """
        online = published
        try:
            made = self.made_of({item.group.id for item in published}) if made is None else made
            for group in made:  # before the rows: see `Grower`
                fresh = [(item.commit, item.block) for item in published if item.group.id == group.stored.id]
                self._grow(group, fresh)
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

    def serve(self, group: RegisteredGroup) -> None:
        """Apply what the online store lacks of a group and of those that are made of it, as far as they are online."""
        for made in self.made_of({group.id}):  # first, as in `apply`
            self.catch_up(made)
        if self._is_online(group):
            self.catch_up(group)

    def made_of(self, sources: Collection[int]) -> list[RegisteredGroup]:
        """Return the groups that are made of others and served."""
        made = self._parts.registry.made()
        return [group for group in made if group.definition.online and group.stored.id in sources]

    def _grow(self, group: RegisteredGroup, fresh: Fresh = ()) -> int:
        """Bring commits to a group's trees; return how many events they moved.

        Where a user's function is not, or is another one by now, the trees wait for somebody who has it: reads fail
        here, and `doctor` tells.
        """
        known = self._growers.get(group.id)
        if known is None or known.group is not group:
            try:
                self._growers[group.id] = known = Grower(self._parts, group)
            except (NotFoundError, UsageError, ConflictError):
                return 0
        return known.catch_up(fresh)

    def _is_online(self, group: RegisteredGroup) -> bool:
        try:
            return group.definition.online or current_group(self._parts, group).definition.online
        except ConflictError:  # it is gone
            return False

    def _apply(self, online: Sequence[Published]) -> None:
        groups = {item.group.id: item.group for item in online}
        changes = _changes(online)
        if changes is None:
            if len(online) == 1 and self._in_steps(online[0]):
                return
            for group in groups.values():
                self.catch_up(group)
            return
        for _ in range(ATTEMPTS):
            reached = self._parts.online.apply(changes)
            behind = {c.group_id for c in changes if reached[c.group_id].commit < c.commit}
            if not behind:
                return
            for group_id in behind:
                first = min(c.after for c in changes if c.group_id == group_id)
                self.catch_up(groups[group_id], until=first)
        raise TransientError("other writers kept changing the online store", todo="try again")

    def _in_steps(self, item: Published) -> bool:
        """Apply the rows of a large commit that are at hand; return False if others come first, or it failed.

        Whoever applies the commit at the same time puts the same rows.
        """
        if item.rows is None or (isinstance(item.rows, pa.Table) and not item.rows.num_rows):
            return False
        with self._parts.online.snapshot() as snapshot:
            applied = snapshot.applied.get(item.group.id, Applied())
        if applied.commit != item.commit.number - 1:
            return False
        tables = iter([item.rows]) if isinstance(item.rows, pa.Table) else item.rows()
        newest = (newest_of(table, item.group, item.commit.number) for table in tables)
        try:
            _, reached = self._put(item.group, applied, item.commit, newest)
        except TransientError:
            if isinstance(item.rows, pa.Table):
                raise
            return False  # slices may have been merged into other files meanwhile
        return reached.commit >= item.commit.number

    def catch_up(self, group: RegisteredGroup, *, until: int | None = None) -> int:
        """Apply the commits of a group that the online store lacks.

        Args:
            group: The group.
            until: The last commit that is wanted; None for all. Those that were written together with later ones come
                with them.

        Returns:
            How many rows were put.
        """
        if group.source is not None:
            return self._grow(group)
        put = 0
        for _ in range(ATTEMPTS):
            with self._parts.online.snapshot() as snapshot:
                applied = dict(snapshot.applied)
            missing = self._parts.log.commits(group, after=applied.get(group.id, Applied()).commit)
            missing = [c for c in missing if until is None or c.number <= until]
            if not missing:
                return put
            if any(commit.kind == "write" for commit in missing):  # other kinds are never written together
                backlog = self._backlog(group, applied)
            else:
                backlog = {group.id: Backlog(group, applied.get(group.id, Applied()), missing)}
            # After the commits: they may hold features that were added since we were called.
            group = current_group(self._parts, group)
            backlog[group.id] = replace(backlog[group.id], group=group)
            try:
                put += self._apply_backlog(group.id, backlog)
            except ConflictError:  # retention dropped rows of that time: only the present can be built
                return put + self.rebuild(group)
        raise TransientError(f"other writers kept changing {group.ref} online", todo="try again")

    def _backlog(self, first: RegisteredGroup, applied: Mapping[int, Applied]) -> dict[int, Backlog]:
        """Return what online groups lack; in one state of the log, or half of what was written together is missing."""
        others = [
            each
            for each in self._parts.registry.groups()
            if each.definition.online and each.id != first.id and each.source is None
        ]
        asked = [first, *others]
        marks = [applied.get(group.id, Applied()) for group in asked]
        missing = self._parts.log.commits_together([(g, mark.commit) for g, mark in zip(asked, marks, strict=True)])
        current = {group.id: group for group in self._parts.registry.groups()}
        return {
            group.id: Backlog(current.get(group.id, group), mark, commits)
            for group, mark, commits in zip(asked, marks, missing, strict=True)
            if commits and (group is first or group.id in current)
        }

    def _apply_backlog(self, first: int, backlog: dict[int, Backlog]) -> int:
        """Apply as much of a group's backlog as can be now; what was written together becomes visible as one."""
        lengths = applicable(first, backlog)
        parts = [(backlog[each], backlog[each].missing[length - 1]) for each, length in lengths.items() if length]
        if not parts:  # a retract lies before it, in this group or in one that was written together with it
            item = next(backlog[each] for each in lengths if backlog[each].missing[0].kind == "retract")
            return self._apply_retract(item.group, item.applied, item.missing[0])
        if len(parts) > 1:
            changes = [self._in_one_step(item, last) for item, last in parts]
            if None not in changes:
                self._parts.online.apply([change for change in changes if change is not None])
                return sum(len(change.keys) for change in changes if change is not None)
        return sum(self._apply_rows(item.group, item.applied, last) for item, last in parts)

    def _in_one_step(self, item: Backlog, last: Commit) -> Change | None:
        """Return the commits of a backlog up to one as one change; None if they are too many rows for one step."""
        rows, _ = pinned_rows(self._parts, item.group, pin=last.number, after=item.applied.commit)
        tables: list[pa.Table] = []
        for table in newest_rows(self._parts, rows, item.group):
            tables.append(table)
            if sum(each.num_rows for each in tables) > STEP_ROWS:
                return None
        keys, values = encode_online(pa.concat_tables(tables), item.group) if tables else ([], [])
        return Change(item.group.id, item.applied.commit, last.number, last.committed_at_us, keys, values)

    def is_foreign(self, group: RegisteredGroup, mark: Applied) -> bool:
        """Return whether a mark is not of this history: it, or the online store, came from a backup."""
        if not mark.commit:
            return False
        commits = self._parts.log.commits(group.stored, after=mark.commit - 1)
        return not commits or commits[0].committed_at_us != mark.committed_at_us

    def rebuild(self, group: RegisteredGroup) -> int:
        """Build a group's online rows anew from history; return how many rows were put."""
        self._parts.online.clear(group.id)
        if group.source is not None:
            return self._grow(group)
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
        put, _ = self._put(group, applied, last, newest_rows(self._parts, rows, group))
        return put

    def _put(
        self, group: RegisteredGroup, applied: Applied, last: Commit, tables: Iterator[pa.Table]
    ) -> tuple[int, Applied]:
        """Put rows that bring a group from what is applied to a commit; return how many, and how far it got."""
        change = Change(group.id, applied.commit, last.number, last.committed_at_us)
        put, reached = 0, applied
        steps = self._steps(tables)
        current = next(steps, None)
        while current is not None:
            following = next(steps, None)
            keys, values = encode_online(current, group)
            step = replace(change, keys=keys, rows=values, final=following is None)
            reached = self._parts.online.apply([step])[group.id]
            put += len(keys)
            current = following
        if not put:
            reached = self._parts.online.apply([change])[group.id]
        return put, reached

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


def _changes(items: Sequence[Published]) -> list[Change] | None:
    """Return what commits do; None if some must be read from history, or are too large for one step."""
    changes: list[Change] = []
    runs: list[list[Published]] = []
    open_runs: dict[int, list[Published]] = {}
    for item in items:
        run = open_runs.get(item.group.id)
        if item.record is None or run is None or run[0].record is None:
            run = open_runs[item.group.id] = []
            runs.append(run)
        run.append(item)
    for run in runs:
        change = _change(run[0]) if run[0].record is None else _change_of_records(run)
        if change is None:
            return None
        changes.append(change)
    return changes


def _change_of_records(run: Sequence[Published]) -> Change:
    """Return what the commits of single records do that follow each other in one group: they were published as one."""
    rows: dict[bytes, bytes] = {}
    for item in run:
        assert item.record is not None  # noqa: S101 - the caller looked
        key, event_us, payload = item.record
        row = version_head(event_us, item.commit.number) + payload
        if row[:HEAD_BYTES] > rows.get(key, b"")[:HEAD_BYTES]:
            rows[key] = row
    first, last = run[0].commit, run[-1].commit
    keys = sorted(rows)
    return Change(
        run[0].group.id, first.number - 1, last.number, last.committed_at_us, keys, [rows[key] for key in keys]
    )


def _change(item: Published) -> Change | None:
    """Return what a commit does; None if it must be read from history, or is too large for one step."""
    if not isinstance(item.rows, pa.Table):
        return None
    newest = newest_of(item.rows, item.group, item.commit.number)
    if newest.num_rows > STEP_ROWS:
        return None
    keys, rows = encode_online(newest, item.group)
    number = item.commit.number
    return Change(item.group.id, number - 1, number, item.commit.committed_at_us, keys, rows)


def newest_rows(parts: Parts, rows: Rows, group: RegisteredGroup) -> Iterator[pa.Table]:
    """Give the newest row of each key of a history in several tables, as `Engine.newest` does."""
    if not rows.files and rows.journal is not None and not rows.retracted:
        yield _newest_of_journal(rows.journal, group)
        return
    for batch in parts.engine.newest(rows):
        yield pa.Table.from_batches([batch])


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
