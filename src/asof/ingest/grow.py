"""Bring the events of a group to the online trees of the groups that are made of it. Source: SEMANTICS section 4.

Each change replaces whole nodes, and is applied only after the commit that its trees were read at: of two writers the
second one begins again. So a change has whole commits, and what a commit moves is held in memory.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeGuard

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.keys import encode_keys
from asof.arrow.rows import to_wire
from asof.engine.port import NO_TIME, Rows
from asof.errors import ConflictError, PermanentError, TransientError
from asof.ingest.spans import count_after, spans
from asof.online.port import Applied, Change, OnlineSnapshot, StaleSnapshotError, version_of
from asof.parts import Parts, pinned_rows
from asof.parts.pinned import journal_rows
from asof.parts.trees import SHAPE_KEY, SWEPT_KEY, Built, Trees, swept_row
from asof.records import COMMIT_COLUMN, RETIRED_COLUMN, Commit
from asof.registry.registered import RegisteredGroup
from asof.windows.nodes import Kept, Op, Order

ATTEMPTS = 1000
"""Others may be first this often in a row."""

STEP_ROWS = 100_000
"""Rows of the commits that one change has, unless one commit has more."""


PART_ROWS = 4_000_000
"""Events of the trees that are built in memory at once, if entities have equally many: some 0.3 GB, at 80 bytes each (a
count, a sum and the last 5). Each part reads the whole history, 1 us a row, and takes the events of its entities."""

NODES = 20_000
"""Nodes that one change may have while trees are built in parts: nobody reads them yet."""


FEW = 1000
"""Rows whose predecessors are looked for online first."""


Ops = dict[bytes, dict[Order, Kept | None]]
"""What becomes of the events of an entity."""

Read = Callable[[Sequence[bytes]], Sequence[bytes | None]]
"""Gives the rows of keys."""


class Found(NamedTuple):
    """The newest row of an event.

    Attributes:
        entity: The encoded key of the entity that it names; None if it names none.
        kept: The event; None if it is retired.
    """

    entity: bytes | None
    kept: Kept | None


Fresh = Sequence[tuple[Commit, bytes | None]]
"""Commits of a source that were just published, in order, each with its block of the journal if that is at hand."""


class Grower:
    """Keeps the trees of a group that is made of events.

    Attributes:
        group: The group.
    """

    def __init__(self, parts: Parts, group: RegisteredGroup) -> None:
        """Keep the parts."""
        self.group = group
        self._parts = parts
        self._trees = Trees(group)
        self._source = self._trees.source
        self._of = group.definition.source_columns
        self._fixed = set(self._of) <= set(self._source.definition.keys)

    def catch_up(self, fresh: Fresh = ()) -> int:
        """Apply the commits of the source that the trees lack; return how many events they moved.

        Args:
            fresh: Commits that the trees may lack: these are enough; without any, all that there are.

        Raises:
            TransientError: Others were always first.
        """
        moved = 0
        for _ in range(ATTEMPTS):
            with self._parts.online.snapshot() as snapshot:
                (shape,) = snapshot.get([(self.group.id, SHAPE_KEY)])
                mark = snapshot.applied.get(self.group.id, Applied())
            built = self._trees.built(shape) if mark.commit else None
            if mark.commit and shape != self._trees.mark and built is None:  # the group has other features by now
                self._parts.online.clear(self.group.id)
                continue
            if fresh and mark.commit >= fresh[-1][0].number and built is None:
                return moved
            try:
                if built is not None:
                    moved += self._build_part(mark, built)
                    continue
                table = self._at_hand(mark, fresh)
                if table is not None:
                    moved += self._move(mark, fresh[-1][0], table, ())
                elif missing := self._parts.log.commits(self._source, after=mark.commit):
                    moved += self._apply(mark, missing)
                else:
                    return moved
            except StaleSnapshotError:  # others changed what was read
                continue
            except ConflictError:  # retention dropped rows of that time: only the present can be built
                self._parts.online.clear(self.group.id)
        raise TransientError(f"other writers kept changing {self.group.ref} online", todo="try again")

    def compare(self) -> tuple[int, int]:
        """Compare the trees with history; return how many there should be, and how many are otherwise."""
        with self._parts.online.snapshot() as snapshot:
            mark = snapshot.applied.get(self.group.id, Applied())
            rows, past = pinned_rows(self._parts, self._source, pin=mark.commit)
            until_us = max(self._trees.shape.needless_until(mark.committed_at_us), past.horizon_us or NO_TIME)
            wanted: dict[bytes, list[Kept]] = {}
            for order, (entity, kept) in sorted(self.found(self._stamped(rows), rows.retracted).items()):
                if entity is not None and kept is not None and order[0] > until_us:
                    wanted.setdefault(entity, []).append(kept)
            wrong = sum(not self._holds(snapshot, entity, events, until_us) for entity, events in wanted.items())
        return len(wanted), wrong

    def _holds(self, snapshot: OnlineSnapshot, entity: bytes, events: Sequence[Kept], until_us: int) -> bool:
        """Return whether a tree has these events, and knows what is made of them."""
        group, trees = self.group.id, self._trees
        (root,) = snapshot.get([(group, trees.key(entity))])
        tree = trees.tree(entity, root, lambda key: snapshot.get([(group, key)])[0])
        try:
            held = [event for event in tree.events() if event.time_us > until_us]
        except PermanentError:  # a node is missing
            return False
        plain = [(event.time_us, event.identity, repr(list(event.values))) for event in held]
        return plain == [(event.time_us, event.identity, repr(list(event.values))) for event in events]

    def _apply(self, mark: Applied, missing: list[Commit]) -> int:
        """Apply some of the commits that are missing, at least one."""
        if not mark.commit:
            return self._build(missing[-1])
        if missing[0].kind == "retract":
            return self._retract(mark, missing[0])
        last, count = missing[0], missing[0].rows
        for commit in missing[1:]:
            count += commit.rows
            if commit.kind == "retract" or count > STEP_ROWS:
                break
            last = commit
        rows, _ = pinned_rows(self._parts, self._source, pin=last.number, after=mark.commit)
        return self._move(mark, last, self._stamped(rows), rows.retracted)

    def _build(self, commit: Commit) -> int:
        """Build all trees up to a commit in one step, or begin to build them in parts if they are too many for that."""
        last = Applied.of(commit)
        rows, _ = pinned_rows(self._parts, self._source, pin=last.commit)
        needless_us = self._trees.shape.needless_until(last.committed_at_us)
        parts = -(-count_after(rows, needless_us) // PART_ROWS)
        if parts > 1:
            self._replace(Applied(), last, {SHAPE_KEY: self._trees.building(Built(parts))})
            return 0
        nodes, count = self._built(rows, last, Built(1))
        self._replace(Applied(), last, {**nodes, SWEPT_KEY: swept_row(needless_us)})
        return count

    def _build_part(self, mark: Applied, built: Built) -> int:
        """Build the next part of the trees, unless somebody did meanwhile; the last one makes all of them readable.

        Trees of a part are the same whoever builds them, up to the commit that is applied; and there are no later ones
        before all parts are there. So what was interrupted is done once more, and two may build at the same time.
        """
        rows, _ = pinned_rows(self._parts, self._source, pin=mark.commit)
        nodes, count = self._built(rows, mark, built)
        with self._parts.online.snapshot() as snapshot:
            (shape,) = snapshot.get([(self.group.id, SHAPE_KEY)])
        if self._trees.built(shape) != built:
            return 0
        keys = [*nodes]
        for at in range(0, len(keys), NODES):
            self._replace(mark, mark, {SHAPE_KEY: shape} | {key: nodes[key] for key in keys[at : at + NODES]})
        following = built._replace(done=built.done + 1)
        if following.done < following.parts:
            self._replace(mark, mark, {SHAPE_KEY: self._trees.building(following)})
        else:
            needless_us = self._trees.shape.needless_until(mark.committed_at_us)
            self._replace(mark, mark, {SWEPT_KEY: swept_row(needless_us)})
        return count

    def _built(self, rows: Rows, last: Applied, built: Built) -> tuple[dict[bytes, bytes | None], int]:
        """Return the rows of the trees of the next part, and how many events they have.

        Some time of the events comes after the other: there are no trees from which an event could move.
        """
        nodes: dict[bytes, bytes | None] = {}

        def read(keys: Sequence[bytes]) -> list[bytes | None]:
            return [nodes.get(key) for key in keys]

        count = 0
        for after_us, until_us in spans(rows, self._trees.shape.needless_until(last.committed_at_us), most=STEP_ROWS):
            table = self._parts.engine.stamped(rows, after_us=after_us, until_us=until_us).read_all()
            table = table if built.parts == 1 else self._of_part(table, built)
            ops: Ops = {}
            for order, (entity, kept) in self.found(table, rows.retracted).items():
                if kept is not None and self._is_of_part(entity, built):
                    ops.setdefault(entity, {})[order] = kept
                    count += 1
            nodes.update(self._grown(read, ops, last))
        return nodes, count

    def _of_part(self, table: pa.Table, built: Built) -> pa.Table:
        """Return all rows of the events of which some row names an entity of the next part."""
        rows = pa.array(np.arange(table.num_rows))
        named = table.select(list(self._of)).append_column("__row", rows)
        distinct = named.group_by(list(self._of)).aggregate([("__row", "list")])
        ours = [self._is_of_part(entity, built) for entity in self.entities(distinct)]
        mine = np.zeros(table.num_rows, np.bool_)
        mine[_flat(distinct.filter(pa.array(ours, pa.bool_())))] = True
        if not self._fixed:  # a correction may name another entity, and a retirement none
            event = [*self._source.definition.keys, self._source.definition.event_time or ""]
            rivals = table.select(event).append_column("__row", rows).append_column("__ours", pa.array(mine))
            events = rivals.group_by(event).aggregate([("__row", "list"), ("__ours", "any")])
            mine[_flat(events.filter(events.column("__ours_any")))] = True
        return table.filter(pa.array(mine))

    def _is_of_part(self, entity: bytes | None, built: Built) -> TypeGuard[bytes]:
        return entity is not None and self._trees.part(entity, built.parts) == built.done

    def is_unfinished(self) -> bool:
        """Return whether the trees are being built in parts."""
        with self._parts.online.snapshot() as snapshot:
            (shape,) = snapshot.get([(self.group.id, SHAPE_KEY)])
        return self._trees.built(shape) is not None

    def _at_hand(self, mark: Applied, fresh: Fresh) -> pa.Table | None:
        """Return the rows of all commits that the trees lack, as far as is known; None if some are not at hand."""
        lacking = [(commit, block) for commit, block in fresh if commit.number > mark.commit and block is not None]
        numbers = [commit.number for commit, _ in lacking]
        if not mark.commit or not numbers or numbers != [*range(mark.commit + 1, fresh[-1][0].number + 1)]:
            return None
        return journal_rows(self._source, lacking)

    def _move(self, mark: Applied, last: Commit, table: pa.Table, hidden: Collection[int]) -> int:
        """Apply the rows of the commits from a mark to another, without those of hidden ones."""
        before = {} if self._fixed or self._new(mark, table) else self._newest(mark.commit, table)
        return self.put(mark, Applied.of(last), self.found(table, hidden), before)

    def _retract(self, mark: Applied, retract: Commit) -> int:
        """Let the events of a retracted commit be again what they are without it."""
        assert retract.target is not None  # noqa: S101 - every retract has one
        rows, _ = pinned_rows(self._parts, self._source, pin=retract.target, after=retract.target - 1)
        table = self._stamped(rows)
        before, now = self._newest(mark.commit, table), self._newest(retract.number, table)
        touched = self.found(table, ())
        return self.put(
            mark,
            Applied.of(retract),
            {o: now.get(o, Found(found.entity, None)) for o, found in touched.items()},
            before,
        )

    def _new(self, mark: Applied, table: pa.Table) -> bool:
        """Return whether it is known without a look at history that no event of some rows was there at a mark.

        The source's online rows tell: they are the newest of their keys, and are put after our trees.
        """
        if not self._source.definition.online or table.num_rows > FEW:
            return False
        keys = encode_keys(table.select(list(self._source.definition.keys)))
        times = table.column(self._source.definition.event_time or "").cast(pa.int64()).to_pylist()
        with self._parts.online.snapshot() as snapshot:
            rows = snapshot.get([(self._source.id, key) for key in keys])
            there = snapshot.applied.get(self._source.id, Applied())
        if there.commit != mark.commit or there.applying:
            return False
        return all(row is None or version_of(row)[0] < at for row, at in zip(rows, times, strict=True))

    def _newest(self, pin: int, table: pa.Table) -> dict[Order, Found]:
        """Return the newest rows at a commit of the events of source keys, by their orders."""
        keys = list(self._source.definition.keys)
        if not table.num_rows:
            return {}
        rows, _ = pinned_rows(self._parts, self._source, pin=pin)
        asked = table.select(keys).group_by(keys).aggregate([]).select(keys)
        return self.found(self._stamped(rows, asked), rows.retracted)

    def _stamped(self, rows: Rows, keys: pa.Table | None = None) -> pa.Table:
        """Return rows with their commits, all features filled in."""
        if not rows.files and rows.journal is not None and keys is None:
            return rows.journal
        if not rows.files and rows.journal is None:
            return rows.schema.empty_table()
        return self._parts.engine.stamped(rows, keys=keys).read_all()

    def found(self, table: pa.Table, hidden: Collection[int]) -> dict[Order, Found]:
        """Return the newest row of each event among rows, without those of hidden commits; by the events' orders."""
        if hidden:
            table = table.filter(pc.invert(pc.is_in(table.column(COMMIT_COLUMN), pa.array(list(hidden), pa.int64()))))
        if not table.num_rows:
            return {}
        table = table.take(pa.array(np.argsort(table.column(COMMIT_COLUMN).to_numpy(), kind="stable")))
        definition = self._source.definition
        identities = encode_keys(table.select(list(definition.keys)), whole=True)
        times = table.column(definition.event_time or "").cast(pa.int64()).to_pylist()
        values = to_wire(table.select(list(self._trees.shape.columns)))
        rows = zip(*(column.to_pylist() for column in values.columns), strict=True)
        kept = map(Kept, times, identities, rows if values.num_columns else [()] * table.num_rows)
        retired = table.column(RETIRED_COLUMN).to_pylist()
        return {
            (event.time_us, event.identity): Found(entity, None if gone else event)
            for event, entity, gone in zip(kept, self.entities(table), retired, strict=True)
        }

    def entities(self, table: pa.Table) -> list[bytes | None]:
        """Return the encoded key of the entity that each row names."""
        named = table.select(list(self._of))
        valid = np.ones(table.num_rows, dtype=bool)
        for column in named.columns:
            valid &= pc.is_valid(column).to_numpy()
        found: list[bytes | None] = [None] * table.num_rows
        if valid.any():
            for at, key in zip(np.flatnonzero(valid), encode_keys(named.filter(pa.array(valid))), strict=True):
                found[at] = key
        return found

    def put(self, mark: Applied, last: Applied, now: Mapping[Order, Found], before: Mapping[Order, Found]) -> int:
        """Bring the trees from a mark to another, unless somebody was first; return how many events were touched.

        Args:
            mark: What is applied.
            last: What will be.
            now: The events that it and those before it touched, as they are by then.
            before: The same events as they were, unless each is the entity's for good.
        """
        ops: Ops = {}
        for order, (entity, kept) in now.items():
            old = entity if self._fixed else _holder(before.get(order))
            if old is not None:
                ops.setdefault(old, {})[order] = None
            if entity is not None and kept is not None:
                ops.setdefault(entity, {})[order] = kept
        with self._parts.online.snapshot() as snapshot:
            rows = self._grown(lambda keys: snapshot.get([(self.group.id, key) for key in keys]), ops, last)
            if snapshot.applied.get(self.group.id, Applied()).commit != mark.commit:
                return 0  # somebody was first
        self._replace(mark, last, rows)
        return len(now)

    def _replace(self, mark: Applied, last: Applied, rows: Mapping[bytes, bytes | None]) -> None:
        """Replace rows by those of a later commit, unless somebody was first."""
        rows = {SHAPE_KEY: self._trees.mark, **rows}
        keys = sorted(rows)
        change = Change(
            self.group.id, mark.commit, last.commit, last.committed_at_us, keys, [rows[k] for k in keys], replace=True
        )
        self._parts.online.apply([change])

    def _grown(self, read: Read, ops: Ops, last: Applied) -> dict[bytes, bytes | None]:
        """Return the rows of the trees after the ops."""
        trees = self._trees
        entities = sorted(ops)
        roots = read([trees.key(entity) for entity in entities])
        until_us = trees.shape.needless_until(last.committed_at_us)
        found: dict[bytes, bytes | None] = {}
        for entity, root in zip(entities, roots, strict=True):
            tree = trees.tree(entity, root, lambda key: read([key])[0])
            wanted: list[Op] = [(order, kept) for order, kept in sorted(ops[entity].items()) if order[0] > until_us]
            tree.prune(until_us)  # first: what a sweep took out meanwhile must not be a part of what is made now
            tree.update(wanted)
            found |= trees.rows(entity, tree, last.commit)
        return found


def _flat(grouped: pa.Table) -> np.ndarray:
    """Return the rows of groups."""
    return pc.list_flatten(grouped.column("__row_list")).to_numpy()


def _holder(found: Found | None) -> bytes | None:
    """Return the entity whose event a row is."""
    return None if found is None or found.kept is None else found.entity
