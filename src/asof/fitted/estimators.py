"""Transformers of scikit-learn, and classes of users that are alike: made of their names, fitted, and applied.

A row is transformed alike in any batch: transformers that compute each value from that value alone are given whole
batches, all others one row at a time, since products of matrices are summed in another order for another shape.
"""

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, cast

import numpy as np

from asof.arrow.arrays import Array
from asof.definitions.code import named
from asof.definitions.estimator import METHODS, PACKAGE, Estimator, class_digest, users_codes
from asof.definitions.transform import FLOAT, NUMBERS
from asof.definitions.types import DType, parse_type
from asof.errors import AsofError, ConflictError, DataError, MissingDependencyError, UnsupportedError, UsageError
from asof.fitted.applying import floats
from asof.fitted.archive import pack, unpack
from asof.fitted.states import Estimated

Foreign = Any
"""A transformer: the foreign edge."""

Column = tuple[str, DType]
ApplyAll = Callable[[Sequence[Array]], list[Array]]
"""Makes columns of columns."""

AT_ONCE = frozenset(
    {f"sklearn.preprocessing:{name}" for name in (
        "Binarizer", "KBinsDiscretizer", "MaxAbsScaler", "MinMaxScaler", "OneHotEncoder", "OrdinalEncoder",
        "PolynomialFeatures", "PowerTransformer", "QuantileTransformer", "RobustScaler", "StandardScaler",
    )}
    | {"sklearn.impute:MissingIndicator", "sklearn.impute:SimpleImputer", "sklearn.feature_selection:VarianceThreshold"}
)  # fmt: skip
"""Transformers that compute each value from the values of its row by operations that round alike at any length."""

FIGURES = "fiub"
TEXTS = "OUS"
"""Kinds of NumPy types."""


class EstimatorFitter:
    """Fits a transformer on columns, which it holds in memory: 8 bytes a number."""

    def __init__(self, step: Estimator, columns: Sequence[Column], *, where: str) -> None:
        self._step = step
        self._columns = columns
        self._where = where
        self._batches: list[list[Array]] = []

    def take(self, arrays: Sequence[Array]) -> None:
        """Keep some rows."""
        self._batches.append(list(arrays))

    def end(self) -> Estimated:
        """Fit the transformer on all rows, in their order.

        Raises:
            DataError: There are no rows, or it refuses them. UnsupportedError: What it learned cannot be kept.
        """
        joined = [np.concatenate(parts) for parts in zip(*self._batches, strict=True)]
        if not joined or not len(joined[0]):
            raise DataError("the training split has no rows", where=self._where)
        document = self._step.document()
        made = _made(document, self._where)
        matrix = _matrix(joined, [dtype for _, dtype in self._columns])
        try:
            learned = made.fit(matrix)
            sample = _dense(learned.transform(matrix[:1].copy()))
            names = _names(learned, self._columns, sample)
        except Exception as error:  # a foreign class may fail in any way
            raise self._failed(error) from error
        return Estimated(
            str(self._step),
            document,
            pack(learned, _users(document), where=self._where),
            tuple(str(dtype) for _, dtype in self._columns),
            self._outputs(sample, names),
            self._step.code in AT_ONCE,
            _takes_null(learned, matrix),
        )

    def _outputs(self, sample: Array, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Return the names and types of the columns that are made."""
        if sample.ndim != 2 or sample.shape[1] != len(names):  # noqa: PLR2004 - rows and columns
            what = f"it makes {sample.shape[1:]} columns and names {len(names)}"
            raise UnsupportedError(what, where=self._where)
        texts = all(dtype.name == "string" for _, dtype in self._columns)
        if sample.dtype.kind not in FIGURES and not (texts and sample.dtype.kind in TEXTS):
            what = f"it makes values of the type {sample.dtype}, no numbers"
            raise UnsupportedError(what, where=self._where, todo="give it columns of numbers, or of text, not both")
        dtype = FLOAT if sample.dtype.kind in FIGURES else DType("string")
        columns = [name for name, _ in self._columns]
        if len(columns) == len(names) == 1:
            return ((columns[0], str(dtype)),)
        own = (*columns, *(f"{name}_" for name in columns))
        prefix = "+".join(columns)
        return tuple((name if name.startswith(own) else f"{prefix}={name}", str(dtype)) for name in names)

    def _failed(self, error: Exception) -> AsofError:
        nulls = "NaN" in str(error)
        todo = "impute first: [Impute(), ...]" if nulls else "see the documentation of the class"
        return DataError(f"it cannot be fitted: {type(error).__name__}: {error}", where=self._where, todo=todo)


def estimated(state: Estimated, *, where: str) -> ApplyAll:
    """Return what applies a fitted transformer.

    A row with a null is not given to a transformer that takes none: all that would be made of it is null.

    Raises:
        MissingDependencyError: scikit-learn or skops is not installed.
        UnsupportedError, PermanentError: What it learned is not trusted, or damaged.
        UsageError, ConflictError: The class of a user cannot be imported, or is not what it was.
    """
    made = _made(state.document, where)
    learned = unpack(state.body, _users(state.document), where=where)
    if type(learned) is not type(made):
        raise UsageError(f"what was learned is of {type(learned).__name__}, not {type(made).__name__}", where=where)
    types = [parse_type(dtype) for dtype in state.types]
    kinds = [parse_type(dtype).name for _, dtype in state.outputs]

    def transformed(rows: Array) -> Array:
        try:
            found = _dense(learned.transform(rows))
        except Exception as error:  # a foreign class may fail in any way
            raise DataError(f"it failed: {type(error).__name__}: {error}", where=where) from error
        if found.shape != (len(rows), len(kinds)):
            raise DataError(f"it made {found.shape} of {len(rows):,} rows, not {len(kinds)} columns", where=where)
        return found

    def apply(arrays: Sequence[Array]) -> list[Array]:
        matrix = _matrix(arrays, types)
        rows = np.arange(len(matrix)) if state.takes_null else np.flatnonzero(~_null(matrix).any(axis=1))
        whole = state.at_once and len(rows) > 0
        parts = [transformed(matrix[rows])] if whole else [transformed(matrix[at : at + 1].copy()) for at in rows]
        found = np.full((len(matrix), len(kinds)), None if "string" in kinds else np.nan)
        if parts:
            found[rows] = np.concatenate(parts)
        return [_column(found[:, at], kind) for at, kind in enumerate(kinds)]

    return apply


def _made(document: Mapping[str, Any], where: str) -> Foreign:
    """Return the transformer that a document names, not fitted."""
    code = str(document["class"])
    kind = _class(code, where)
    if not all(callable(getattr(kind, name, None)) for name in METHODS):
        raise UsageError(f"{code} is no transformer", where=where, todo=f"it needs the methods {', '.join(METHODS)}")
    Estimator(code, digest=document.get("digest", ""))  # refuses a class of a user without the hash of its source
    if document.get("digest") and class_digest(kind, where=where) != document["digest"]:
        raise ConflictError(
            f"the source of {code} is not what it was when the view was made",
            where=where,
            todo="apply the view again, and fit it anew; or bring the code back",
        )
    try:
        return kind(**{name: _parameter(value, where) for name, value in document["params"].items()})
    except (TypeError, ValueError) as error:
        raise UsageError(f"{code} does not take its parameters: {error}", where=where) from error


def _class(code: str, where: str) -> Any:  # noqa: ANN401 - a class of others
    try:
        found = named(code, what="transformer", where=where)
    except UsageError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and str(missing.name).partition(".")[0] == PACKAGE:
            raise MissingDependencyError("scikit-learn", extra="sklearn") from error
        raise
    if not isinstance(found, type):
        raise UsageError(f"{code} is no class", where=where)
    return found


def _parameter(said: Any, where: str) -> Any:  # noqa: ANN401 - JSON; see `plain`
    """Return a parameter as it was."""
    if isinstance(said, list):
        return [_parameter(each, where) for each in cast("list[Any]", said)]
    if not isinstance(said, dict):
        return said
    held = cast("dict[str, Any]", said)
    match held:
        case {"float": str(text)}:
            return float(text)
        case {"tuple": items}:
            return tuple(_parameter(each, where) for each in items)
        case {"dict": pairs}:
            return {_parameter(key, where): _parameter(each, where) for key, each in pairs}
        case {"numpy": str(name)}:
            return np.dtype(name).type
        case {"class": str(), "params": dict()}:
            return _made(held, where)
        case _:
            raise UsageError(f"{json.dumps(held)[:100]} is no parameter", where=where)


def _users(document: Mapping[str, Any]) -> list[str]:
    """Return the names under which skops knows the classes of users."""
    return [code.replace(":", ".") for code in users_codes(document)]


def _takes_null(learned: Foreign, matrix: Array) -> bool:
    """Return whether a transformer makes something of nulls; what it says of itself is not always so."""
    row = matrix[:1].copy()
    row[:] = math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            learned.transform(row)
        except Exception:  # noqa: BLE001 - a foreign class may fail in any way, and that is the answer
            return False
    return True


def _names(learned: Foreign, columns: Sequence[Column], sample: Array) -> list[str]:
    """Return how a transformer names what it makes; "0", "1", ... if it does not say."""
    say = getattr(learned, "get_feature_names_out", None)
    if say is None:
        return [str(at) for at in range(sample.shape[-1])]
    given = [
        each
        for name, dtype in columns
        for each in ([name] if dtype.name != "vector" else [f"{name}_{at}" for at in range(dtype.numbers[0])])
    ]
    return np.asarray(say(np.array(given, object))).tolist()


def _matrix(arrays: Sequence[Array], types: Sequence[DType]) -> Array:
    """Return columns beside each other: float64, or objects if one of them holds no numbers.

    A null is NaN, which is what scikit-learn takes for missing, and dates are text.
    """
    parts = [
        floats(array) if dtype.name in NUMBERS else _labels(array) if dtype.name != "vector" else array
        for array, dtype in zip(arrays, types, strict=True)
    ]
    if all(part.dtype.kind == "f" for part in parts):
        return np.column_stack([floats(part) for part in parts])
    return np.column_stack([part.astype(object) for part in parts])


def _labels(values: Array) -> Array:
    found = np.empty(len(values), object)
    found[:] = [
        math.nan if value is None else value.isoformat() if isinstance(value, date) else value
        for value in values.tolist()
    ]
    return found


def _null(matrix: Array) -> Array:
    if matrix.dtype.kind == "f":
        return np.isnan(matrix)
    return np.array([value != value for value in matrix.ravel().tolist()], bool).reshape(matrix.shape)  # noqa: PLR0124 - NaN


def _dense(found: Any) -> Array:  # noqa: ANN401 - a matrix, perhaps a sparse one, or a frame
    whole: Array = np.asarray(found.toarray() if hasattr(found, "toarray") else found)
    return whole.reshape(-1, 1) if whole.ndim == 1 else whole


def _column(values: Array, kind: str) -> Array:
    if kind != "string":
        return floats(values)
    texts = np.empty(len(values), object)
    texts[:] = [value if isinstance(value, str) else None for value in values.tolist()]
    return texts
