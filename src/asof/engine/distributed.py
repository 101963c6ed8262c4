"""What an engine does beside `Engine` if frames may lie on many machines: they go from it to it, and to nobody else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from asof.engine.near import NearEngine
from asof.engine.port import Engine, Known, Rows
from asof.errors import UnsupportedError
from asof.windows.aggregation import Aggregation

FarFrame = Any
"""A frame of the engine's own kind: nobody else looks into it."""

Make = Callable[[pa.Table], pa.Table]
"""Makes a part of a frame of a part of another one; it travels to other machines."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Where a frame has what is asked, and where it gets the answer.

    Attributes:
        keys: Columns of the keys, or of `Engine.aggregate`'s `on`, in their order and types.
        time: Column of the times.
        features: Features to the columns that they become.
        status: Becomes `__status`, see `Engine.look_up`.
        event: Becomes `__event_us`.
    """

    keys: Sequence[str]
    time: str
    features: Mapping[str, str]
    status: str
    event: str


class FarFrames(Protocol):
    """Computes over frames that lie on many machines. Nothing is computed until somebody asks for rows."""

    def takes(self, frame: object) -> bool:
        """Return whether a frame is of this kind."""
        ...

    def schema(self, frame: FarFrame) -> pa.Schema:
        """Return the columns of a frame, in Arrow's types."""
        ...

    def mapped(self, frame: FarFrame, make: Make, schema: pa.Schema) -> FarFrame:
        """Return what is made of a frame, part by part.

        Args:
            frame: The frame.
            make: Gives for some rows any number of rows of the schema.
            schema: The columns that come out.
        """
        ...

    def looked_up(self, frame: FarFrame, rows: Rows, *, asking: Asking, known: Known, ttl_us: int | None) -> FarFrame:
        """Return a frame with the answers of `Engine.look_up` beside its own columns, in no order.

        Raises:
            UnsupportedError: The rows lie outside of the store.
        """
        ...

    def aggregated(
        self,
        frame: FarFrame,
        rows: Rows,
        *,
        asking: Asking,
        on: Sequence[str],
        aggregations: Sequence[Aggregation],
        known: Known,
    ) -> FarFrame:
        """Return a frame with the answers of `Engine.aggregate` beside its own columns, in no order."""
        ...

    def selected(self, frame: FarFrame, columns: Mapping[str, str]) -> FarFrame:
        """Return some columns of a frame under other names: new ones to those that it has."""
        ...

    def collected(self, frame: FarFrame, schema: pa.Schema) -> pa.Table:
        """Return the rows of a frame in this process, in the types of a schema."""
        ...


@runtime_checkable
class Distributing(Protocol):
    """An engine that takes frames that lie on many machines."""

    @property
    def frames(self) -> FarFrames:
        """What it does with them."""
        ...


def frames_of(engine: Engine, frame: object) -> FarFrames | None:
    """Return what takes a frame where it lies; None if the engine is of one machine, or the frame is in this process.

    Raises:
        UnsupportedError: The history does not lie on a disk that all machines see.
    """
    far = False
    while not isinstance(engine, Distributing):
        far = far or isinstance(engine, NearEngine)
        inner: Engine | None = getattr(engine, "engine", None)
        if inner is None:
            return None
        engine = inner
    frames = engine.frames
    if not frames.takes(frame):
        return None
    if far:
        raise UnsupportedError(
            "frames on many machines are answered from files on a disk that all of them see, not from object storage",
            todo="collect the spine: it is answered through the file cache",
        )
    return frames
