"""Transformers of scikit-learn, and classes of users that are alike: by the names under which they can be imported.

They are named with their parameters, never stored and never pickled; scikit-learn itself is not imported here.
Source: SEMANTICS section 6.
"""

import inspect
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from asof.definitions.code import TODO, hash_of, own_name
from asof.definitions.transform import FLOAT, LABELS, NUMBERS, Document, Transform
from asof.definitions.types import DType
from asof.errors import UsageError
from asof.source_code import current_source

Foreign = Any
"""A transformer of scikit-learn, or one like it: the foreign edge."""

METHODS = ("get_params", "fit", "transform")
PACKAGE = "sklearn"
NUMPY = "numpy"


@dataclass(frozen=True, slots=True)
class Estimator(Transform):
    """A transformer of scikit-learn, or a class of a user that is alike, with its parameters.

    Attributes:
        code: "module:Class", such as "sklearn.preprocessing:StandardScaler".
        params: Those that are not the default, as JSON; see `plain`.
        digest: SHA-256 of the source of a user's class; "" of scikit-learn's.
    """

    code: str
    params: str = "{}"
    digest: str = ""
    kind = "sklearn"
    takes = NUMBERS | LABELS | {"vector"}

    def __post_init__(self) -> None:
        """Refuse a class of a user without the hash of its source."""
        module = self.code.partition(":")[0].partition(".")[0]
        if (module == PACKAGE) == bool(self.digest):
            raise UsageError(f"{self.code} comes with {'a' if self.digest else 'no'} hash of its source")

    def __str__(self) -> str:
        """Return what people call it."""
        given = cast("Document", json.loads(self.params))
        return f"{self.code.partition(':')[2]}({', '.join(f'{name}={value}' for name, value in given.items())})"

    def gives(self, dtype: DType) -> DType:  # noqa: ARG002 - what it gives is known when it is fitted
        """Return the usual type of its values."""
        return FLOAT

    def document(self) -> Document:
        """Return it as JSON types."""
        return {"kind": self.kind, **_said(self.code, json.loads(self.params), self.digest)}


def is_estimator(given: object) -> bool:
    """Return whether something is a transformer, as scikit-learn's are."""
    return not isinstance(given, type) and all(callable(getattr(given, name, None)) for name in METHODS)


def estimator_of(given: Foreign, *, where: str) -> Estimator:
    """Return what a transformer is: its name and its parameters; what it was fitted to is left behind.

    Raises:
        UsageError: It cannot be imported by a name, or a parameter is nothing that JSON has.
    """
    said = _document(given, where)
    return Estimator(said["class"], json.dumps(said["params"], sort_keys=True), said.get("digest", ""))


def estimator_from(document: Mapping[str, Any]) -> Estimator:
    """Return the estimator of a document; nothing is imported.

    Raises:
        UsageError: It is none.
    """
    try:
        params = json.dumps(dict(document["params"]), sort_keys=True, allow_nan=False)
        return Estimator(str(document["class"]), params, str(document.get("digest", "")))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"this is no transformer: {type(error).__name__}: {error}") from error


def users_codes(document: object) -> list[str]:
    """Return which classes a document names that are not scikit-learn's, those of its parameters among them."""
    found: list[str] = []
    waiting = [document]
    while waiting:  # not by calls within calls: a client may send any depth
        each = waiting.pop()
        if isinstance(each, Mapping):
            held = cast("Mapping[str, Any]", each)
            if "class" in held and not str(held["class"]).startswith(f"{PACKAGE}."):
                found.append(str(held["class"]))
            waiting.extend(held.values())
        elif isinstance(each, list):
            waiting.extend(cast("list[Any]", each))
    return found


def class_digest(kind: type, *, where: str) -> str:
    """Return the SHA-256 of the source of a class.

    Raises:
        UsageError: It has none. ConflictError: The file is not any more what runs.
    """
    methods = [each for each in vars(kind).values() if inspect.isfunction(each)]
    current_source(sys.modules[kind.__module__], methods, where=where)
    return hash_of(inspect.getsource(kind))


def _said(code: str, params: Document, digest: str) -> Document:
    return {"class": code, "params": params, **({"digest": digest} if digest else {})}


def _document(given: Foreign, where: str) -> Document:
    kind: type = given.__class__
    code = _name_of(kind, where)
    defaults = inspect.signature(kind).parameters
    spot = f"{where}, {kind.__name__}"
    params = {
        name: plain(value, f"{spot}, parameter {name}")
        for name, value in sorted(given.get_params(deep=False).items())
        if name not in defaults or not _same(value, defaults[name].default)
    }
    return _said(code, params, "" if code.startswith(f"{PACKAGE}.") else class_digest(kind, where=spot))


def _same(value: object, default: object) -> bool:
    if value is default:
        return True
    return type(value) is type(default) and isinstance(value, bool | int | float | str | tuple) and value == default


def _name_of(kind: type, where: str) -> str:
    """Return "module:Class"; of scikit-learn's without the modules that are its own affair."""
    module, _, name = own_name(kind, what="transformer", where=where).partition(":")
    parts = module.split(".")
    if parts[0] == PACKAGE:
        module = ".".join(part for part in parts if not part.startswith("_"))
    if getattr(sys.modules.get(module), name, None) is not kind:
        raise UsageError(f"the transformer {name} of {module} cannot be imported by a name", where=where, todo=TODO)
    return f"{module}:{name}"


def plain(value: object, where: str) -> Any:  # noqa: ANN401 - JSON
    """Return a parameter as JSON; what JSON has not is an object of one key.

    {"float": "nan"}, {"tuple": [...]}, {"dict": [[key, value], ...]}, {"numpy": "float32"} of a type, and
    {"class": ..., "params": ...} of another transformer.

    Raises:
        UsageError: It is something else.
    """
    if type(value).__module__ == NUMPY and hasattr(value, "tolist"):  # known without importing it: that takes time
        return plain(cast("Any", value).tolist(), where)
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case list():
            return [plain(each, where) for each in cast("list[object]", value)]
        case tuple():
            return {"tuple": [plain(each, where) for each in cast("tuple[object, ...]", value)]}
        case dict():
            pairs = cast("dict[object, object]", value).items()
            return {"dict": [[plain(key, where), plain(each, where)] for key, each in pairs]}
        case type() if value.__module__ == NUMPY:
            return {"numpy": value.__name__}
        case _ if not isinstance(value, type) and callable(getattr(value, "get_params", None)):
            return _document(value, where)
        case _:
            todo = "write a class of your own with the methods get_params, fit and transform, in a module"
            raise UsageError(f"a {type(value).__name__} cannot be kept", where=where, todo=todo)
