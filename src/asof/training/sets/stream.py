"""Rows of a training set for loops that learn: read batch by batch, shuffled, sharded, as NumPy, PyTorch, Hugging Face.

The two packages are the user's own: neither is imported before it is asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, cast

import numpy as np
import pyarrow as pa

from asof.errors import MissingDependencyError, UsageError

BLOCK_ROWS = 16_384
"""Rows that are read at once."""

POOL_ROWS = 262_144
"""Rows among which is drawn when rows are shuffled: of so many and fewer every order is as likely."""

Value = Any
"""A value, an array of them, or a tensor: the foreign edge where Any is honest."""

Batches = Callable[[int], Iterator[pa.RecordBatch]]
"""Reads the rows in their order, in batches of at most so many."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows that are read while they are taken; each `iter` begins again.

    Attributes:
        batches: Reads them.
        batch_size: Rows of a batch; None: one row after the other.
        shuffle: Whether their order is drawn by lot.
        seed: Of the lots.
        shard: (i, n): only every n-th row, from the i-th on, so that n readers share the rows.
        epoch: Another number, another order of the same rows.
    """

    batches: Batches
    batch_size: int | None = None
    shuffle: bool = False
    seed: int = 0
    shard: tuple[int, int] = (0, 1)
    epoch: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        size, (at, of) = self.batch_size, self.shard
        if size is not None and (isinstance(size, bool) or size < 1):
            raise UsageError(f"batch_size={size!r} is no number of rows", todo="pass 1 or more")
        if not 0 <= at < of:
            raise UsageError(f"shard={self.shard!r} is none", todo="pass (i, n), i from 0 to n - 1")
        if self.seed < 0:
            raise UsageError(f"seed={self.seed!r} is no seed", todo="pass 0 or more")

    def __iter__(self) -> Iterator[dict[str, Value]]:
        """Iterate over the rows, dicts of values; or over batches, dicts of arrays, see `arrays`."""
        mine = self._mixed() if self.shuffle else self._mine()
        if self.batch_size is None:
            for table in mine:
                yield from table.to_pylist()
        else:
            for table in _regular(mine, self.batch_size):
                yield arrays(table)

    def of(self, at: int, many: int) -> "Stream":
        """Return the part of this shard that the one at a place of so many workers reads."""
        i, n = self.shard
        return replace(self, shard=(i + n * at, n * many))

    def _mine(self) -> Iterator[pa.Table]:
        """Return the rows of the shard, in their order."""
        at, of = self.shard
        first = 0
        for batch in self.batches(BLOCK_ROWS):
            table = pa.Table.from_batches([batch])
            if of > 1:
                table = table.take(np.arange((at - first) % of, batch.num_rows, of))
            first += batch.num_rows
            if table.num_rows:
                yield table

    def _mixed(self) -> Iterator[pa.Table]:
        """Return the rows of the shard, drawn from a pool into which those that are read come."""
        lots = np.random.default_rng([self.seed, self.epoch])
        pool: pa.Table | None = None
        for table in self._mine():
            pool = table if pool is None else pa.concat_tables([pool, table])
            if pool.num_rows >= POOL_ROWS + BLOCK_ROWS:
                order = lots.permutation(pool.num_rows)
                yield pool.take(order[:BLOCK_ROWS])
                pool = pool.take(order[BLOCK_ROWS:])
        if pool is not None:
            yield pool.take(lots.permutation(pool.num_rows))


def arrays(table: pa.Table) -> dict[str, Value]:
    """Return rows as arrays by column: numbers and booleans as they are, with nulls as float64 with NaN.

    Times are datetime64[us]; all else is a list of Python's values.
    """
    return {name: _array(table.column(name)) for name in table.column_names}


def torch_dataset(stream: Stream) -> Any:  # noqa: ANN401 - a torch.utils.data.IterableDataset
    """Return a stream as a dataset of PyTorch, whose batches hold tensors; workers of a DataLoader share the rows.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    torch = _imported("torch", extra="torch")
    data = _imported("torch.utils.data", extra="torch")

    class Streamed(data.IterableDataset):
        """The rows; `set_epoch(n)` has them drawn in another order."""

        def __init__(self) -> None:
            self.stream = stream

        def set_epoch(self, epoch: int) -> None:
            self.stream = replace(self.stream, epoch=epoch)

        def __iter__(self) -> Iterator[dict[str, Value]]:
            worker = data.get_worker_info()
            mine = self.stream if worker is None else self.stream.of(worker.id, worker.num_workers)
            return (tensors(batch, torch) for batch in mine)

    return Streamed()


def tensors(batch: dict[str, Value], torch: Any) -> dict[str, Value]:  # noqa: ANN401 - the module
    """Return a batch with tensors in place of arrays of numbers; times, texts and the like stay."""
    return {name: torch.as_tensor(each) if _is_numbers(each) else each for name, each in batch.items()}


def _is_numbers(given: Value) -> bool:
    return isinstance(given, np.ndarray) and cast("np.ndarray[Any, Any]", given).dtype.kind in "biuf"


def huggingface_dataset(stream: Stream, name: str) -> Any:  # noqa: ANN401 - a datasets.IterableDataset
    """Return a stream as a `datasets.IterableDataset`: its rows, or its batches.

    Args:
        stream: The rows.
        name: What tells them from all other rows.

    Raises:
        MissingDependencyError: datasets is not installed.
    """
    datasets = _imported("datasets", extra="huggingface")
    return datasets.IterableDataset.from_generator(_taken, gen_kwargs={"rows": _Named(stream, name)})


class _Named:
    """Rows that are told from others by a name: Hugging Face pickles what it is given, to hash it."""

    def __init__(self, stream: Stream, name: str) -> None:
        self.stream = stream
        self._name = name

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        stream = self.stream
        words = (stream.batch_size, stream.shuffle, stream.seed, stream.shard, stream.epoch)
        return _elsewhere, (f"{self._name} {words}",)

    def __deepcopy__(self, _: object) -> "_Named":
        return self


def _elsewhere(name: str) -> object:
    todo = "open the store there, and ask it for the training set"
    raise UsageError(f"the rows of {name} are not handed to another process", todo=todo)


def _taken(rows: _Named) -> Iterator[dict[str, Value]]:
    yield from rows.stream


def _regular(tables: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """Return rows in tables of exactly so many, but for the last."""
    held: pa.Table | None = None
    for table in tables:
        rows = table if held is None else pa.concat_tables([held, table])
        whole = rows.num_rows - rows.num_rows % size
        for at in range(0, whole, size):
            yield rows.slice(at, size)
        held = rows.slice(whole) if whole < rows.num_rows else None
    if held is not None:
        yield held


def _array(column: pa.ChunkedArray) -> Value:
    types, dtype = pa.types, column.type
    if types.is_timestamp(dtype):
        return column.cast(pa.timestamp("us")).to_numpy()
    if types.is_boolean(dtype) and column.null_count:
        column = column.cast(pa.int8())
    if types.is_integer(column.type) and column.null_count:
        column = column.cast(pa.float64(), safe=False)
    if types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type):
        return np.array(column.to_numpy())  # writable, as tensors must be
    return column.to_pylist()


def _imported(module: str, *, extra: str) -> Any:  # noqa: ANN401 - a module of somebody else's package
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(module.partition(".")[0], extra=extra) from error
