"""On-demand features: values that a function makes of other features and of what a request brings.

The function is named, never stored, and its source hashed. It is given NumPy arrays in the form of
`asof.arrow.arrays`, of one row online and of many offline, or with `mode="row"` the plain values of one row.
Source: SEMANTICS section 6.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from asof.definitions.code import Function, digest_of, named, own_name
from asof.definitions.feature import Feature
from asof.definitions.group import FeatureRef
from asof.definitions.names import checked_name
from asof.definitions.types import DType, parse_type
from asof.errors import ConflictError, UsageError

Mode = Literal["array", "row"]
MODES: tuple[Mode, ...] = ("array", "row")

WHAT = "on-demand feature"


@dataclass(frozen=True, slots=True)
class Request:
    """What a request brings: online in `request={...}`, offline a column of the spine.

    Args:
        name: Its name in the request, and the spine's column.
        dtype: Its type, see `asof.definitions.types`.
    """

    name: str
    dtype: DType

    def __init__(self, name: str, dtype: str | DType) -> None:
        """Check and keep the parts."""
        object.__setattr__(self, "name", checked_name(name, "request input"))
        object.__setattr__(self, "dtype", parse_type(dtype))

    def __str__(self) -> str:
        """Return it as it is declared."""
        return f"Request({self.name!r}, '{self.dtype}')"


@dataclass(frozen=True, slots=True)
class OnDemand:
    """A feature that a function makes when it is asked for; declare one by `@on_demand`.

    Attributes:
        name: The feature's name, that of the function unless another was given.
        code: The function, "module:function".
        digest: SHA-256 of the function's source.
        inputs: What it is given, in the order of its arguments.
        dtype: The type of its values.
        mode: "array" or "row".
        description: What it says, for people and search.
        unit: Unit of measure.
        renamed: The name given by `alias`, "" for its own.
        function: The function, where it is at hand; a definition that was read from a registry finds it by its name.
    """

    name: str
    code: str
    digest: str
    inputs: tuple["Input", ...]
    dtype: DType
    mode: Mode = "array"
    description: str = ""
    unit: str = ""
    renamed: str = ""
    function: Function | None = field(default=None, repr=False, compare=False)

    def __call__(self, *values: Any) -> Any:  # noqa: ANN401 - what the user's function takes and gives
        """Call the function as it was written, to test it."""
        return self.found()(*values)

    def __str__(self) -> str:
        """Return how it is made."""
        given = ", ".join(
            f"{i.group.name}.{i.feature.name}" if isinstance(i, FeatureRef) else i.name for i in self.inputs
        )
        return f"{self.code}({given})"

    @property
    def feature(self) -> Feature:
        """What it is for who reads it: name, type, description and unit."""
        return Feature(self.name, self.dtype, description=self.description, unit=self.unit)

    def alias(self, name: str) -> "OnDemand":
        """Return the same feature under another name."""
        return replace(self, renamed=checked_name(name, "feature"))

    def found(self) -> Function:
        """Return the function.

        Raises:
            UsageError: It cannot be imported. ConflictError: Its source is not what it was.
        """
        if self.function is not None:
            return self.function
        where = f"{WHAT} {self.name}"
        declared = named(self.code, what=WHAT, where=where)
        if not isinstance(declared, OnDemand) or declared.function is None:
            raise UsageError(f"{self.code} is no on-demand feature", where=where, todo="declare it by @on_demand")
        if declared.digest != self.digest:
            raise ConflictError(
                f"the source of {self.code} is not what it was when it was applied",
                where=where,
                todo="apply the view again: that makes a new version; or bring the code back",
            )
        return declared.function

    def requests(self) -> Iterator[Request]:
        """Iterate over what it needs of a request, by itself or by what it is made of."""
        for each in self.inputs:
            if isinstance(each, Request):
                yield each
            elif isinstance(each, OnDemand):
                yield from each.requests()

    def stored(self) -> Iterator[FeatureRef]:
        """Iterate over the stored features that it is made of, by itself or by what it is made of."""
        for each in self.inputs:
            if isinstance(each, FeatureRef):
                yield each
            elif isinstance(each, OnDemand):
                yield from each.stored()


Input = FeatureRef | Request | OnDemand
"""What an on-demand feature is made of."""


def on_demand(
    *,
    inputs: Sequence[Input],
    output: str | DType,
    mode: Mode = "array",
    name: str = "",
    description: str = "",
    unit: str = "",
) -> Callable[[Function], OnDemand]:
    """Declare that a function makes a feature: `@on_demand(inputs=[weather["temp"], Request("hour", "int64")], ...)`.

    Args:
        inputs: What the function is given, in the order of its arguments: features (`group["x"]`, perhaps under other
            keys), inputs of the request, other on-demand features.
        output: The type of its values.
        mode: "array": NumPy arrays, see `asof.arrow.arrays` for their types and for nulls; it must give an array as
            long, and may look at no other row. "row": the plain values of one row, None for null; it gives one value.
        name: The feature's name; default: the function's.
        description: What it says; default: the first line of the function's docstring.
        unit: Unit of measure.

    Returns:
        What makes an `OnDemand` of the function: put it among the features of a view.

    Raises:
        UsageError: The function cannot be imported by a name, or takes another number of arguments; unknown mode.
    """
    if mode not in MODES:
        raise UsageError(f"mode={mode!r} is no mode", todo="pass 'array' or 'row'")
    given = tuple(inputs)
    for each in given:
        if not isinstance(each, FeatureRef | Request | OnDemand):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            todo = 'pass group["x"], Request("name", "type"), or another on-demand feature'
            raise UsageError(f"{type(each).__name__} is no input of an on-demand feature", todo=todo)
    if not given:
        raise UsageError("an on-demand feature is made of something", todo="name its inputs")

    def declare(function: Function) -> OnDemand:
        code = own_name(function, what="function", where=f"{WHAT} {name}".strip())
        own = checked_name(name or function.__name__, "feature")
        where = f"{WHAT} {own}"
        first = next(iter((inspect.getdoc(function) or "").splitlines()), "")
        _check_arguments(function, len(given), where)
        return OnDemand(
            own, code, digest_of(function, where=where), given, parse_type(output), mode, description or first, unit,
            function=function,
        )  # fmt: skip

    return declare


def distinct_requests(features: Sequence[OnDemand], *, where: str) -> dict[str, DType]:
    """Return what features need of a request, by name.

    Raises:
        UsageError: Two of them name the same input with other types.
    """
    found: dict[str, DType] = {}
    for each in (request for feature in features for request in feature.requests()):
        if found.setdefault(each.name, each.dtype) != each.dtype:
            what = (
                f"the request input {each.name!r} is {found[each.name]} for one feature, and {each.dtype} for another"
            )
            raise UsageError(what, where=where, todo="give both the same type")
    return found


def requests_of(features: Mapping[str, DType]) -> str:
    """Return request inputs as text: "hour: int64"."""
    return ", ".join(f"{name}: {dtype}" for name, dtype in features.items())


def _check_arguments(function: Function, count: int, where: str) -> None:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError as error:
        what = f"the function does not take {count} arguments: {error}"
        raise UsageError(what, where=where, todo="name an input for each argument, in their order") from error
