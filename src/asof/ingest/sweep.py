"""Take events that no window reaches any more out of trees that nobody writes to.

A tree that is written to loses them then. Who else has some, history says: the source's events of the time since the
last sweep name their entities. So a sweep reads what has aged since, and no list of entities is kept.

A step is some time of the source. Its entities are visited some at a time, each lot in one change, and only where the
commit that it was read at is still the one applied: a writer who was first makes it begin again, and itself makes no
writer begin again. The time is noted at the end, so what was interrupted is done once more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa

from asof.engine.port import Rows
from asof.errors import TransientError
from asof.ingest.grow import Grower
from asof.ingest.spans import first_span
from asof.online.port import Applied, Change, OnlineSnapshot, StaleSnapshotError
from asof.parts import Parts, pinned_rows
from asof.parts.trees import SHAPE_KEY, SWEPT_KEY, Trees, swept_row, swept_until
from asof.registry.registered import RegisteredGroup

PARTS = 8
"""A sweep is due when this part of the longest window has passed since the last one."""

STEP_ROWS = 100_000
"""Events of a step, as far as files tell."""

LOT = 256
"""Entities that one change may touch."""

ATTEMPTS = 100
"""Writers may be first this often in a row."""


class Sweep:
    """Sweeps the trees of one group that is made of events."""

    def __init__(self, parts: Parts, group: RegisteredGroup) -> None:
        """Keep the parts."""
        self._parts = parts
        self._group = group
        self._trees = Trees(group)
        self._grower = Grower(parts, group)
        self._source = self._trees.source

    def step(self, *, least_us: int | None = None) -> bool:
        """Sweep some time, if it is due.

        Args:
            least_us: So much must have aged since the last sweep; None: a part of the longest window.

        Returns:
            Whether something was done: then there may be more.

        Raises:
            TransientError: Writers were always first.
        """
        with self._parts.online.snapshot() as snapshot:
            shape, swept = snapshot.get([(self._group.id, key) for key in (SHAPE_KEY, SWEPT_KEY)])
            mark = snapshot.applied.get(self._group.id, Applied())
        reach_us = self._trees.shape.reach_us
        if reach_us is None or shape != self._trees.mark:  # they hold all events, or are about to be built anew
            return False
        after_us, until_us = swept_until(swept), self._trees.shape.needless_until(mark.committed_at_us)
        if until_us - after_us <= (reach_us // PARTS if least_us is None else least_us):
            return False
        rows, _ = pinned_rows(self._parts, self._source, pin=mark.commit)
        after_us, until_us = first_span(rows, after_us, until_us, most=STEP_ROWS)
        for entities in self._entities(rows, after_us, until_us):
            for at in range(0, len(entities), LOT):
                self._visit(entities[at : at + LOT])
        self._replace(lambda _, __: {SWEPT_KEY: swept_row(until_us)})
        return True

    def all(self) -> None:
        """Sweep whatever has aged.

        Raises:
            TransientError: Writers were always first.
        """
        while self.step(least_us=0):
            pass

    def _entities(self, rows: Rows, after_us: int, until_us: int) -> Iterator[list[bytes]]:
        """Give the entities that events of some time name."""
        columns = list(dict.fromkeys(self._group.definition.source_columns))
        for batch in self._parts.engine.scan(rows, columns=columns, after_us=after_us, until_us=until_us):
            table = pa.Table.from_batches([batch])
            yield sorted({entity for entity in self._grower.entities(table) if entity is not None})

    def _visit(self, entities: Sequence[bytes]) -> None:
        """Take what is needless out of the trees of some entities."""

        def pruned(snapshot: OnlineSnapshot, mark: Applied) -> dict[bytes, bytes | None]:
            group, trees = self._group.id, self._trees
            until_us = trees.shape.needless_until(mark.committed_at_us)
            roots = snapshot.get([(group, trees.key(entity)) for entity in entities])
            found: dict[bytes, bytes | None] = {}
            for entity, root in zip(entities, roots, strict=True):
                if root is None:
                    continue
                tree = trees.tree(entity, root, lambda key: snapshot.get([(group, key)])[0])
                if tree.prune(until_us):
                    found |= trees.rows(entity, tree, mark.commit)
            return found

        self._replace(pruned)

    def _replace(self, made: Callable[[OnlineSnapshot, Applied], Mapping[bytes, bytes | None]]) -> None:
        """Replace rows by what is made of them, where they are still those that it was made of.

        Raises:
            TransientError: Writers were always first.
        """
        for _ in range(ATTEMPTS):
            try:
                with self._parts.online.snapshot() as snapshot:
                    (shape,) = snapshot.get([(self._group.id, SHAPE_KEY)])
                    mark = snapshot.applied.get(self._group.id, Applied())
                    ours = mark.commit > 0 and shape == self._trees.mark
                    rows = dict(made(snapshot, mark)) if ours else dict[bytes, bytes | None]()
            except StaleSnapshotError:
                continue
            if not rows:
                return
            keys = sorted(rows)
            change = Change(
                self._group.id,
                mark.commit,
                mark.commit,
                mark.committed_at_us,
                keys,
                [rows[k] for k in keys],
                replace=True,
            )
            if self._parts.online.apply([change])[self._group.id].commit == mark.commit:
                return
        raise TransientError(f"writers kept changing {self._group.ref} online", todo="try again")
