"""Online answers of groups that are made of events: aggregates of the windows at T, from an entity's tree."""

from collections.abc import Sequence

import msgspec

from asof.arrow.rows import into_wire
from asof.arrow.types import arrow_type
from asof.definitions import Feature
from asof.engine.port import NO_TIME
from asof.online.port import OnlineSnapshot, StaleSnapshotError, version_head
from asof.parts.trees import SHAPE_KEY, Trees
from asof.registry.registered import RegisteredGroup

_encode = msgspec.msgpack.Encoder().encode


class MadeRows:
    """Makes the row of an entity at a T, as if it were stored: with the event time of the newest event that counts.

    Attributes:
        mark: The request for the row that says what the trees keep.
    """

    def __init__(self, group: RegisteredGroup, features: Sequence[Feature]) -> None:
        """Keep what is wanted.

        Args:
            group: The group.
            features: Features whose values are wanted; the others are null.
        """
        self._group_id = group.id
        self._trees = Trees(group)
        self._layout = group.layout
        self._names = [feature.name for feature in features]
        self._wires = {
            feature.name: convert
            for feature in features
            if (convert := into_wire(arrow_type(feature.dtype))) is not None
        }
        self.mark = (group.id, SHAPE_KEY)

    def key(self, entity: bytes) -> bytes:
        """Return the key of an entity's row."""
        return self._trees.key(entity)

    def check(self, mark: bytes | None) -> None:
        """Refuse trees that were made for other features.

        Raises:
            StaleSnapshotError: They are about to be made anew, or are being made.
        """
        if mark is None or mark == self._trees.mark:
            return
        built = self._trees.built(mark)
        if built is not None:
            what = f"the windows of {self._trees.group.ref} are being built online: {built.done} of {built.parts} parts"
            raise StaleSnapshotError(what, todo="try again; if its builder was killed, opening the store goes on")
        todo = "try again, or run `asof doctor --repair`"
        raise StaleSnapshotError(f"{self._trees.group.ref} has other features than are kept online", todo=todo)

    def row(self, snapshot: OnlineSnapshot, entity: bytes, root: bytes | None, t_us: int) -> bytes:
        """Return the row of an entity at T, which is not before any event that is applied.

        Raises:
            DataError: A value does not fit its type.
        """
        group_id = self._group_id
        tree = self._trees.tree(entity, root, lambda key: snapshot.get([(group_id, key)])[0])
        values, newest_us = tree.answers(self._names, t_us)
        for name, convert in self._wires.items():
            if values[name] is not None:
                values[name] = convert(values[name])
        head = version_head(NO_TIME if newest_us is None else newest_us, 0)
        return head + _encode([values.get(name) for name in self._layout])
