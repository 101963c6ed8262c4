"""A training set: rows that stay as they were made, and how they were."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof import notebook
from asof.arrow.frames import Frame, to_pandas, to_polars
from asof.arrow.numbers import floats, is_number
from asof.clock import from_us, show_us
from asof.definitions.splits import Split
from asof.definitions.training_set import SPLIT
from asof.definitions.types import DType
from asof.errors import ConflictError, NotFoundError, UnsupportedError, UsageError
from asof.fitted import Fitted
from asof.registry.training_sets import KeptSet
from asof.statistics import GroupStatistics
from asof.statistics.packing import unpack
from asof.training.sets.fitting import transformed
from asof.training.sets.inputs import Inputs, Takes, checked_takes
from asof.training.sets.leakage import Leakage, leakage_of
from asof.training.sets.manifest import Manifest
from asof.training.sets.rows import Shape
from asof.training.sets.stream import Stream, huggingface_dataset, torch_dataset

BATCH_ROWS = 65_536

Rows = Callable[[int], Iterator[pa.Table]]
"""Reads the rows, in their order, in tables of at most so many."""


class Makes(Protocol):
    """What a training set asks of the store that keeps it, here or behind a server."""

    def rows(self, kept: KeptSet, rows: int) -> Iterator[pa.Table]:
        """Read the rows that are kept, in tables of at most so many, as callers see them."""
        ...

    def rebuilt(self, kept: KeptSet) -> Rows:
        """Make the rows again from history, and return what reads them.

        Raises:
            ConflictError: They are not the same, or cannot be made; it says why.
        """
        ...

    def late(self, kept: KeptSet) -> Mapping[str, int]:
        """Return for each feature in how many rows its value was not servable at the row's time."""
        ...


class TrainingSet:
    """A version of a training set; make and open one with `store.training_set`.

    Attributes:
        name: Its name.
        version: Number of the version, from 1.
        view: The view, or group, that it was made with, "departure@1".
        digest: Hash of its canonical values, never of file bytes, with names, order and types of the columns.
        label: The column of the label; None if there is none.
        features: The columns of the features.
        spine: The columns of the caller.
        commits: The last commit that counts of each group version: pass it to `historical(..., commits=...)`.
        manifest: How it was made.
        created_at: When.
        writer: By whom.
    """

    def __init__(self, kept: KeptSet, makes: Makes, rows: Rows | None = None) -> None:
        """Keep the parts; `rows` reads other rows than those that are kept."""
        self._kept = kept
        self._makes = makes
        self._rows = rows
        self.manifest = Manifest.from_json(kept.manifest)
        self._shape = Shape.of(self.manifest)
        self.name, self.version, self.view, self.digest = kept.name, kept.version, kept.view, kept.digest
        said = self.manifest.label
        self.label = None if said is None else said.column
        self.features = tuple(column.name for column in self.manifest.answers)
        self.spine = tuple(column.name for column in self.manifest.spine)
        self.commits = dict(self.manifest.pins)
        self.writer = kept.writer

    @property
    def kept(self) -> KeptSet:
        """What the registry keeps of it."""
        return self._kept

    @property
    def makes(self) -> Makes:
        """The store that keeps it, as far as a training set asks it."""
        return self._makes

    @property
    def ref(self) -> str:
        """The version's name, such as "departure-2026-11@1"."""
        return self._kept.ref

    @property
    def created_at(self) -> datetime:
        """When it was made."""
        return from_us(self._kept.created_at_us)

    @property
    def split(self) -> Split | None:
        """The split, with its cuts."""
        return self.manifest.parted

    @property
    def splits(self) -> dict[str, int]:
        """Rows of each part of the split, as it was made."""
        return dict(self.manifest.parts)

    @property
    def statistics(self) -> GroupStatistics:
        """Statistics of features and label, of all parts.

        Raises:
            UnsupportedError: An erasure that took rows was broken off before they were counted again.
        """
        if self._kept.statistics is None:
            todo = "open the store: it finishes the erasure"
            raise UnsupportedError(f"the statistics of {self.ref} are being made again", todo=todo)
        return unpack(self._kept.statistics)

    @property
    def schema(self) -> pa.Schema:
        """The columns: the caller's, the features, a label that was looked up, and with a split its part."""
        return self._shape.schema

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return self.schema.names

    def rebuild(self) -> "TrainingSet":
        """Make it again from history, at the pins that were kept; it replaces nothing.

        Every row is answered again. Later writes, late data and compaction change nothing.

        Returns:
            The training set whose rows are read from history whenever they are asked for.

        Raises:
            ConflictError: Its rows are not the same, or cannot be made: rows were erased, retention dropped some, the
                rules have another version. It says which columns differ, and the first row.
        """
        return TrainingSet(self._kept, self._makes, self._makes.rebuilt(self._kept))

    def leakage(self) -> Leakage:
        """Look for what may tell a model more than it will know; print it, or show it in a notebook.

        That are answers of the row's very time, values that were not servable yet, features that predict the label
        too well alone, and keys that are in several parts of the split; see `Leakage.METHOD`. Rows are read once, and
        answered once more.
        """
        return leakage_of(self)

    def late(self) -> dict[str, int]:
        """Return for each feature in how many rows its value was not servable yet at the row's time.

        All rows are answered again, at the same pins, under `known="served"`.

        Raises:
            ConflictError: They cannot be made again.
        """
        return dict(self._makes.late(self._kept))

    @cached_property
    def fitted(self) -> Fitted:
        """The view's transforms, as they were fitted on the training part: the first of the split, or all rows.

        Raises:
            UsageError: The view has none. ConflictError: They went with rows that were erased.
            MissingDependencyError: A transformer of scikit-learn, which is not installed.
        """
        where, said = f"training set {self.ref}", self.manifest
        if said.transforms is not None:
            return Fitted.from_document(said.transforms, where=where)
        if said.erased:
            what = "what its transforms learned went with the rows that were erased"
            raise ConflictError(what, where=where, todo="make a new version, and train on it")
        raise UsageError(f"the view {self.view} has no transforms", where=where, todo="declare transforms= in the view")

    def transform(self, given: Frame | Mapping[str, Any], *, raw: bool = False) -> Any:  # noqa: ANN401 - of the kind that is given
        """Return rows with the transformed view in place of the view's features; see docs/transforms.md.

        The same transforms, bit for bit, for what `historical` gives, for online answers and for plain rows.

        Args:
            given: A frame of any kind that has the view's features, of which the transformed one is returned; or an
                online answer, or a dict of one row's values, which gives a dict.
            raw: Whether to keep raw values beside, under names that end in "__raw".

        Raises:
            As `fitted`. DataError: A column that is made has the name of another one.
        """
        return transformed(self.fitted, given, raw=raw)

    @property
    def transforming(self) -> Fitted | None:
        """The view's fitted transforms; None if it has none.

        Raises:
            As `fitted`.
        """
        declared = self.manifest.documents.get(self.view, {}).get("transforms")
        return self.fitted if declared or self.manifest.transforms is not None else None

    @property
    def inputs(self) -> dict[str, DType]:
        """The columns that a model of it is given: the features, or what the view's transforms make of them.

        Raises:
            ConflictError: What the transforms learned went with rows that were erased.
        """
        if self.transforming is not None:
            return dict(self.transforming.outputs)
        return {column.name: column.kept.dtype for column in self.manifest.answers}

    def xy(self, split: str | None = None, *, takes: Takes = "pandas") -> tuple[Any, np.ndarray]:
        """Return what a model learns from: its inputs, as they will be given to it when it predicts, and the labels.

        Numbers and booleans are float64, a null is NaN; text is an object. Rows whose label is null are left out.

        Args:
            split: A part of the split; None for all rows.
            takes: "pandas", "numpy" (a float64 matrix) or "arrow".

        Returns:
            The inputs, and an array of labels: of its own type, numbers with fractions as float64.

        Raises:
            UsageError: There is no label. NotFoundError: There is no such part. ConflictError: As `fitted`.
            UnsupportedError: A feature is no input of a model that takes this.
        """
        where = f"training set {self.ref}"
        if self.label is None:
            raise UsageError("it has no label", where=where, todo="pass label= when it is made")
        inputs = Inputs(self.inputs, checked_takes(takes))
        table = self.to_arrow(split)
        table = table.filter(pc.is_valid(table.column(self.label)))
        answers = table.select(list(self.features))
        found = answers if self.transforming is None else self.transforming.table(answers)
        return inputs.of_table(found), table.column(self.label).to_numpy().copy()  # writable

    def batches(self, split: str | None = None, *, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Read, and iterate over the rows in their order, in batches of at most `rows`.

        Args:
            split: A part of the split; None for all rows, with the column `split`.
            rows: Rows of a batch.

        Raises:
            NotFoundError: There is no such part.
        """
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"rows={rows!r} is no number of rows", todo="pass 1 or more")
        self._check(split)
        return self._batches(split, rows)

    def to_arrow(self, split: str | None = None) -> pa.Table:
        """Return the rows as a pyarrow table; see `batches`."""
        schema = self.schema if split is None else self._part_schema
        return pa.Table.from_batches(self.batches(split), schema)

    def to_pandas(self, split: str | None = None) -> Frame:
        """Return the rows as a pandas frame: int64 with nulls as Int64.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        return to_pandas(self.to_arrow(split))

    def to_polars(self, split: str | None = None) -> Frame:
        """Return the rows as a polars frame.

        Raises:
            MissingDependencyError: polars is not installed.
        """
        return to_polars(self.to_arrow(split))

    def to_numpy(self, split: str | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the features, and the label, as float64 arrays; null becomes NaN.

        Returns:
            A matrix of shape (rows, features), its columns in the order of `features`; and the labels, None without.

        Raises:
            UnsupportedError: A feature, or the label, is neither a number nor a boolean.
        """
        table = self.to_arrow(split)
        matrix = np.empty((table.num_rows, len(self.features)))
        for at, name in enumerate(self.features):
            matrix[:, at] = _floats(table.column(name), name)
        return matrix, None if self.label is None else _floats(table.column(self.label), self.label)

    def stream(
        self,
        split: str | None = None,
        *,
        batch_size: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        shard: tuple[int, int] = (0, 1),
    ) -> Stream:
        """Iterate over rows, or batches of NumPy arrays, while they are read: `for batch in made.stream("train", ...)`.

        Args:
            split: A part of the split.
            batch_size: Rows of a batch, a dict of arrays; None: one row after the other, a dict of values.
            shuffle: Draw their order by lot, from a pool of 262,144 rows.
            seed: Of the lots: the same seed, the same order.
            shard: (i, n): only every n-th row, from the i-th on.

        Raises:
            NotFoundError: There is no such part. UsageError: A number that makes no sense.
        """
        self._check(split)
        return Stream(lambda rows: self.batches(split, rows=rows), batch_size, shuffle, seed, shard)

    def torch(
        self,
        split: str | None = None,
        *,
        batch_size: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        shard: tuple[int, int] = (0, 1),
    ) -> Any:  # noqa: ANN401 - a torch.utils.data.IterableDataset
        """Return the rows as a `torch.utils.data.IterableDataset`, numbers and times as tensors; see `stream`.

        Its batches are whole: `DataLoader(made.torch("train", batch_size=256), batch_size=None)`. Workers share the
        rows, and must be forked. `set_epoch(n)` before an epoch draws another order.

        Raises:
            As `stream`. MissingDependencyError: torch is not installed.
        """
        return torch_dataset(self.stream(split, batch_size=batch_size, shuffle=shuffle, seed=seed, shard=shard))

    def huggingface(
        self,
        split: str | None = None,
        *,
        batch_size: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        shard: tuple[int, int] = (0, 1),
    ) -> Any:  # noqa: ANN401 - a datasets.IterableDataset
        """Return the rows as a `datasets.IterableDataset` of Hugging Face; see `stream`.

        Raises:
            As `stream`. MissingDependencyError: datasets is not installed.
        """
        stream = self.stream(split, batch_size=batch_size, shuffle=shuffle, seed=seed, shard=shard)
        return huggingface_dataset(stream, f"{self.ref} {self.digest} {split}")

    def __len__(self) -> int:
        """Return the number of rows, without those that were erased."""
        return self.manifest.rows - sum(self.manifest.erased.values())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows to anything that reads Arrow streams, while they are read."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches()).__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        """Return what it is, a fact a line."""
        return "\n".join([f"<training set {self.ref}: {len(self):,} rows>", *(f"  {k:<9}{v}" for k, v in self.facts())])

    def _repr_html_(self) -> str:
        return notebook.paragraph(f"training set {self.ref}: {len(self):,} rows") + notebook.table(
            ("what", "how"), self.facts()
        )

    def facts(self) -> Sequence[tuple[str, str]]:
        """Return what there is to know, (what, how) in the order to show."""
        said = self.manifest
        label = said.label
        facts = [
            ("view", f"{self.view}, {len(self.features):,} features"),
            ("made", f"{show_us(self._kept.created_at_us)} by {self.writer}, asof {said.asof}, rules {said.semantics}"),
            ("code", said.code_commit),
            ("time", said.time or ("" if said.moment_us is None else show_us(said.moment_us))),
            ("known", "" if said.known is None else said.known if isinstance(said.known, str) else show_us(said.known)),
            ("pins", ", ".join(f"{ref}:{number}" for ref, number in said.pins.items())),
            ("split", "" if said.split is None else f"{said.parted} ({_counted(said.parts)})"),
            ("label", "" if label is None else f"{label.column} ({_counted(label.counts)})"),
            ("fitted", "" if said.transforms is None else ", ".join(self.fitted.inputs)),
            ("left out", _counted({why: count for why, count in said.left_out.items() if count})),
            ("erased", _counted({f"erasure {number}": count for number, count in said.erased.items()})),
            ("digest", self.digest),
        ]
        return [(what, how) for what, how in facts if how]

    @property
    def _part_schema(self) -> pa.Schema:
        return pa.schema([each for each in self.schema if each.name != SPLIT or not self._shape.parts])

    def _check(self, split: object) -> None:
        if split is not None and split not in self._shape.parts:
            where = f"training set {self.ref}"
            raise NotFoundError.named("part of the split", str(split), self._shape.parts, where=where)

    def _batches(self, split: str | None, rows: int) -> Iterator[pa.RecordBatch]:
        for table in self._makes.rows(self._kept, rows) if self._rows is None else self._rows(rows):
            found = table
            if split is not None:
                found = table.filter(pc.equal(table.column(SPLIT), split)).select(self._part_schema.names)
            yield from found.to_batches(max_chunksize=rows)


def _floats(column: pa.ChunkedArray, name: str) -> np.ndarray:
    if not is_number(column.type):
        todo = "take to_arrow or to_pandas, and encode it yourself"
        raise UnsupportedError(f"column {name!r} of type {column.type} does not fit a float array", todo=todo)
    return floats(column)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in counts.items())
