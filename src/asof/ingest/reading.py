"""How far a load is: the rows of a frame are counted while they are read."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import pyarrow as pa

from asof.arrow.frames import Frame
from asof.arrow.streams import known_rows, to_batches
from asof.progress import Progress, showing, unheard
from asof.records import Commit

Stored = Callable[[Commit], Commit]
"""Called with the commit that a load became; returns it."""


@contextmanager
def reading(group: str, frame: Frame, *, progress: Progress | bool) -> Generator[tuple[Frame, Stored]]:
    """Show how far a load is while the block runs; see `asof.progress.showing`.

    Yields:
        The frame that is to be loaded, and what is to be called in the end.
    """
    with showing(f"loading {group}", progress=progress, unit="rows") as advance:
        read = 0
        if advance is not unheard and (batches := to_batches(frame, where=f"group {group}")) is not None:
            rows, total = batches, known_rows(frame)

            def counted() -> Iterator[pa.RecordBatch]:
                nonlocal read
                for batch in rows:
                    yield batch
                    read += batch.num_rows
                    advance(read, max(read, total))

            frame = pa.RecordBatchReader.from_batches(rows.schema, counted())

        def stored(commit: Commit) -> Commit:
            every = read or commit.rows
            advance(every, every)
            return commit

        yield frame, stored
