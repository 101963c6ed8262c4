"""Rows of a training set for loops that learn: read batch by batch, shuffled, sharded, as NumPy, PyTorch, Hugging Face.

The two packages are the user's own: neither is imported before it is asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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

    A vector of numbers is a matrix of shape (rows, its length), a null a row of NaN. Times and dates are
    datetime64[us]; all else is a list of Python's values.
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
            self._epoch = torch.tensor(stream.epoch).share_memory_()  # workers that go on from epoch to epoch see it

        def set_epoch(self, epoch: int) -> None:
            self._epoch.fill_(epoch)

        def __iter__(self) -> Iterator[dict[str, Value]]:
            worker = data.get_worker_info()
            mine = replace(self.stream, epoch=int(self._epoch))
            if worker is not None:
                mine = mine.of(worker.id, worker.num_workers)
            if mine.batch_size is not None:
                return (tensors(batch, torch) for batch in mine)
            return (row for batch in replace(mine, batch_size=BLOCK_ROWS) for row in _rows(tensors(batch, torch)))

        def __reduce__(self) -> str:
            todo = 'have workers forked: DataLoader(..., multiprocessing_context="fork")'
            raise UsageError("rows of a store are not handed to a process that starts anew", todo=todo)

    return Streamed()


def tensors(batch: dict[str, Value], torch: Any) -> dict[str, Value]:  # noqa: ANN401 - the module
    """Return a batch with tensors in place of arrays: times are microseconds since 1970, null is the least int64.

    Texts and the like stay.
    """
    return {
        name: torch.as_tensor(_numbers(each)) if isinstance(each, np.ndarray) else each for name, each in batch.items()
    }


def _numbers(array: Any) -> Any:  # noqa: ANN401 - arrays: numpy has no name for "of numbers or times"
    return array.astype("datetime64[us]").astype(np.int64) if array.dtype.kind == "M" else array


def _rows(columns: dict[str, Value]) -> Iterator[dict[str, Value]]:
    """Return the rows of a batch one by one."""
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


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
    if types.is_fixed_size_list(dtype) and _is_number(dtype.value_type):
        return _matrix(column, dtype.list_size)
    if types.is_timestamp(dtype) or types.is_date(dtype):
        return column.cast(pa.timestamp("us")).to_numpy()
    if types.is_boolean(dtype) and column.null_count:
        column = column.cast(pa.int8())
    if types.is_integer(column.type) and column.null_count:
        column = column.cast(pa.float64(), safe=False)
    if _is_number(column.type):
        return np.array(column.to_numpy())  # writable, as tensors must be
    return column.to_pylist()


def _is_number(dtype: pa.DataType) -> bool:
    return pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_boolean(dtype)


def _matrix(column: pa.ChunkedArray, width: int) -> Value:
    valid = np.asarray(column.is_valid())
    numbers = _array(pc.list_flatten(column.drop_null())).reshape(-1, width)
    if valid.all():
        return numbers
    found = np.full((len(column), width), np.nan, numbers.dtype if numbers.dtype.kind == "f" else np.float64)
    found[valid] = numbers
    return found


def _imported(module: str, *, extra: str) -> Any:  # noqa: ANN401 - a module of somebody else's package
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(module.partition(".")[0], extra=extra) from error
