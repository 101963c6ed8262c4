"""Transforms of a view that are fitted: applied alike to one row and to a table, and kept as JSON."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from asof.arrow.arrays import Array, one_maker, to_array
from asof.definitions.types import DType, parse_type
from asof.errors import AsofError, DataError, NotFoundError, PermanentError
from asof.fitted.estimators import ApplyAll, Column
from asof.fitted.given import column, taker
from asof.fitted.stages import stage_applier, stage_outputs
from asof.fitted.states import Stage, Value

FORMAT = 1
RAW_SUFFIX = "__raw"
"""Ends the names of raw values that are kept beside; no feature's name may hold it."""

Learned = tuple[tuple[str, ...], tuple[Stage, ...]]
"""Features, and what was learned for them."""

Document = dict[str, Any]  # JSON: the foreign edge where Any is honest


class _Chain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    features: tuple[str, ...]
    stages: tuple[Stage, ...]


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a document says."""

    format: int
    types: tuple[tuple[str, str], ...]
    chains: tuple[_Chain, ...]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A chain, ready to be applied."""

    features: tuple[str, ...]
    stages: tuple[ApplyAll, ...]
    outputs: tuple[Column, ...]
    make: tuple[Callable[[Value], Array], ...]
    take: tuple[Callable[[Array], Value], ...]

    def apply(self, arrays: list[Array]) -> list[Array]:
        for stage in self.stages:
            arrays = stage(arrays)
        return arrays


class Fitted:
    """The fitted transforms of a view.

    Args:
        types: The features of the view with their types, in their order.
        chains: The transformed features, and what was learned for them.
        where: Whose they are, for messages.

    Attributes:
        types: As given.
        inputs: The features that are transformed.
        outputs: All columns of the transformed view with their types: what is made stands where the (first) feature
            stood; features without transforms stay.
        sources: Of each column that is made, the features that it is made of.

    Raises:
        DataError: Two columns have the same name.
        MissingDependencyError: A transformer of scikit-learn, which is not installed.
    """

    def __init__(
        self,
        types: Mapping[str, DType],
        chains: Sequence[tuple[tuple[str, ...], tuple[Stage, ...]]],
        *,
        where: str = "",
    ) -> None:
        self.types = dict(types)
        self._where = where
        self._chains = tuple(_Chain(features, stages) for features, stages in chains)
        self._ready = tuple(_ready(chain, self.types, where) for chain in self._chains)
        self.inputs = tuple(name for chain in self._chains for name in chain.features)
        self.sources = {name: ready.features for ready in self._ready for name, _ in ready.outputs}
        places = {name: at for at, name in enumerate(self.types)}
        self._firsts = {min(ready.features, key=places.__getitem__): ready.outputs for ready in self._ready}
        self.outputs = self._laid_out()

    def apply(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Return what is made of some rows, of each row the same in any batch, bit for bit.

        Args:
            arrays: A column for each of `inputs` at least, as `asof.arrow.arrays.to_array` makes them.

        Returns:
            The columns of `sources`, as arrays of their types.

        Raises:
            DataError: A transformer of scikit-learn fails.
        """
        made: dict[str, Array] = {}
        with np.errstate(all="ignore"):  # what overflows is infinite, as documented
            for ready in self._ready:
                found = ready.apply([arrays[name] for name in ready.features])
                for (name, _), array in zip(ready.outputs, found, strict=True):
                    made[name] = array
        return made

    def values(self, values: Mapping[str, Value], *, raw: bool = False) -> dict[str, Value]:
        """Return the transformed view of one row of Python values, in the order of `outputs`; see `table`.

        Args:
            values: A value for each feature of the view; others are left out.
            raw: Whether raw values of transformed features are kept, under names that end in "__raw".
        """
        made: dict[str, Value] = {}
        with np.errstate(all="ignore"):
            for ready in self._ready:
                given = [make(values[name]) for make, name in zip(ready.make, ready.features, strict=True)]
                found = ready.apply(given)
                for (name, _), take, array in zip(ready.outputs, ready.take, found, strict=True):
                    made[name] = take(array)
        whole = {name: made[name] if name in made else values[name] for name in self.outputs}
        return whole | {f"{name}{RAW_SUFFIX}": values[name] for name in self.inputs} if raw else whole

    def table(self, table: pa.Table, *, raw: bool = False) -> pa.Table:
        """Return a table with the transformed view in place of the view's features.

        Args:
            table: A column for each feature of the view; others stay where they are.
            raw: Whether raw values of transformed features are kept, under names that end in "__raw", at the end.

        Raises:
            NotFoundError: A feature is not there.
            DataError: A column that is made has the name of another one; an integer is beyond 2**53; a transformer of
                scikit-learn fails.
        """
        for name in self.inputs:
            if name not in table.column_names:
                raise NotFoundError.named("column", name, table.column_names, where=self._where)
        arrays = {
            name: to_array(table.column(name), self.types[name], where=f"{self._where}, feature {name}")
            for name in self.inputs
        }
        made = {name: column(array, self.outputs[name]) for name, array in self.apply(arrays).items()}
        columns: dict[str, pa.Array | pa.ChunkedArray] = {}
        for name in table.column_names:
            own = [] if name in self.inputs else [name]
            for each in [each for each, _ in self._firsts[name]] if name in self._firsts else own:
                if each in columns:
                    raise DataError(
                        f"two columns are named {each!r}", where=self._where, todo="rename that of the spine"
                    )
                columns[each] = made[each] if each in made else table.column(each)
        kept = {f"{name}{RAW_SUFFIX}": table.column(name) for name in self.inputs} if raw else {}
        return pa.table(columns | kept)

    def document(self) -> Document:
        """Return it as JSON types, with its digest; floats are exact as Python writes them."""
        body = self._body()
        return {**body, "digest": _digest(body)}

    @property
    def digest(self) -> str:
        """SHA-256 of what was learned: equal transforms of equal rows have equal ones, whatever the order of rows.

        With transformers of scikit-learn: of rows in the same order, by the same versions of scikit-learn and skops.
        """
        return _digest(self._body())

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, where: str = "") -> "Fitted":
        """Return what a document says.

        Raises:
            PermanentError: It is damaged, or a newer asof made it.
            MissingDependencyError: A transformer of scikit-learn, which is not installed.
            UnsupportedError: What a transformer learned is of types that are not trusted.
            UsageError, ConflictError: The class of a user cannot be imported, or is not what it was.
        """
        body = {name: value for name, value in document.items() if name != "digest"}
        try:
            if body.get("format") != FORMAT:
                raise ValueError(f"they have format {body.get('format')}, this asof knows {FORMAT}")  # noqa: TRY301 - as what is damaged
            if _digest(body) != document["digest"]:
                raise ValueError("their digest is another one")  # noqa: TRY301 - as above
            kept = msgspec.convert(body, _Kept)
            types = {name: parse_type(dtype) for name, dtype in kept.types}
            return cls(types, [(chain.features, chain.stages) for chain in kept.chains], where=where)
        except AsofError:
            raise
        except (ValueError, KeyError, TypeError) as error:  # msgspec's are ValueErrors
            what = f"fitted transforms cannot be read: {error}"
            raise PermanentError(what, where=where, todo="fit them anew") from error

    def _body(self) -> Document:
        types = tuple((name, str(dtype)) for name, dtype in self.types.items())
        return msgspec.to_builtins(_Kept(FORMAT, types, self._chains))

    def _laid_out(self) -> dict[str, DType]:
        found: dict[str, DType] = {}
        for name, dtype in self.types.items():
            own: tuple[Column, ...] = () if name in self.inputs else ((name, dtype),)
            for each, kind in self._firsts.get(name, own):
                if each in found:
                    todo = 'read one of the features as .alias("other_name")'
                    raise DataError(f"two columns are named {each!r}", where=self._where, todo=todo)
                found[each] = kind
        return found


def _ready(chain: _Chain, types: Mapping[str, DType], where: str) -> _Ready:
    spot = f"{where}, transforms of {', '.join(chain.features)}".lstrip(", ")
    columns: list[Column] = [(name, types[name]) for name in chain.features]
    make = tuple(one_maker(dtype, where=f"{where}, feature {name}") for name, dtype in columns)
    for stage in chain.stages:
        columns = stage_outputs(stage, columns)
    take = tuple(taker(dtype) for _, dtype in columns)
    stages = tuple(stage_applier(stage, where=spot) for stage in chain.stages)
    return _Ready(chain.features, stages, tuple(columns), make, take)


def _digest(body: Document) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
