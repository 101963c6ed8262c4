"""What was learned of the training split: plain data, which JSON holds exactly.

A state belongs to one column, or is that of a transformer of scikit-learn over several. Python writes and reads floats
so that no bit is lost.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import msgspec

from asof.definitions.transform import Scalar
from asof.definitions.types import DType

Value = Any
"""A Python value of a column: the foreign edge."""


class State(msgspec.Struct, frozen=True, tag_field="kind", forbid_unknown_fields=True):
    """What was learned, for one transform."""


class Scaled(State, frozen=True, tag="scaled"):
    """(x - center) / scale."""

    center: float
    scale: float


class Ranged(State, frozen=True, tag="ranged"):
    """(x - least) / span * (high - low) + low; with `clip` within [low, high]."""

    least: float
    span: float
    low: float
    high: float
    clip: bool


class Clipped(State, frozen=True, tag="clipped"):
    """Values below `low` become it, values above `high` become that; None leaves a side open."""

    low: float | None
    high: float | None


class Logged(State, frozen=True, tag="logged"):
    """ln(x + plus)."""

    plus: float


class Bucketed(State, frozen=True, tag="bucketed"):
    """How many edges are at or below x."""

    edges: tuple[float, ...]


class OneOf(State, frozen=True, tag="one_of"):
    """0 and 1 for each category; categories as `said` says them."""

    dtype: str
    categories: tuple[Scalar, ...]


class Coded(State, frozen=True, tag="coded"):
    """The place of each category; others are `unknown`, None for null."""

    dtype: str
    categories: tuple[Scalar, ...]
    unknown: int | None


class Hashed(State, frozen=True, tag="hashed"):
    """A bucket by the hash of a value."""

    dtype: str
    buckets: int


class Filled(State, frozen=True, tag="filled"):
    """What a null becomes; `as_float` makes float64 of the column."""

    dtype: str
    value: Scalar
    as_float: bool


Built = Scaled | Ranged | Clipped | Logged | Bucketed | OneOf | Coded | Hashed | Filled


class Columns(State, frozen=True, tag="columns"):
    """A stage of ours: a state for each column.

    Attributes:
        step: What it was declared as, for people.
        states: In the order of columns.
    """

    step: str
    states: tuple[Built, ...]


class Estimated(State, frozen=True, tag="estimated"):
    """A stage of a transformer of scikit-learn, which takes all columns.

    Attributes:
        step: What it was declared as, for people.
        document: The definition of the transformer: classes, parameters, hashes of sources.
        body: What was learned, as skops writes it, in base64.
        types: The types of the columns that it takes.
        outputs: The names and types of those that it gives.
        at_once: Whether it is given whole batches; otherwise a row at a time, so that no answer depends on the batch.
        takes_null: Whether it is given rows with a null; otherwise all that is made of them is null.
    """

    step: str
    document: dict[str, Any]
    body: str
    types: tuple[str, ...]
    outputs: tuple[tuple[str, str], ...]
    at_once: bool
    takes_null: bool


Stage = Columns | Estimated


def said(value: Value) -> Scalar:
    """Return a value of a column as JSON has it: dates by ISO 8601, bytes as hexadecimal digits."""
    match value:
        case bytes():
            return value.hex()
        case date():
            return value.isoformat()
        case _:
            return value


def meant(label: Scalar, dtype: DType) -> Value:
    """Return the value of a column that `said` said."""
    make = _MEANT.get(dtype.name)
    return label if make is None else make(label)


_MEANT: Mapping[str, Callable[[Any], Value]] = {"bytes": bytes.fromhex, "date": date.fromisoformat}
