"""Chains: which transforms a view applies to which of its features, one after the other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from asof.definitions.estimator import Estimator, Foreign, estimator_from, estimator_of, is_estimator
from asof.definitions.transform import Document, Impute, OneHot, Ordinal, Scalar, Transform, built_in_from
from asof.definitions.types import DType
from asof.errors import NotFoundError, UsageError

EXACT = 2**53
"""Integers up to here are exact in the arrays that transforms are given, which are float64."""

Given = Transform | Foreign
Transforms = Mapping[str | tuple[str, ...], Given | Sequence[Given]]
"""What a view may say: of a feature, or of several together, a transform or a list of them."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Transforms of some features, one after the other.

    Attributes:
        features: The output names of the features in the view. A transform of ours is applied to each column by
            itself; one of scikit-learn takes them together.
        steps: The transforms.
    """

    features: tuple[str, ...]
    steps: tuple[Transform, ...]

    def document(self) -> Document:
        """Return it as JSON types."""
        return {"features": list(self.features), "steps": [step.document() for step in self.steps]}

    def __str__(self) -> str:
        """Return what people call it: "temp: Impute(...), Standard()"."""
        return f"{', '.join(self.features)}: {', '.join(map(str, self.steps))}"


def chains_of(given: Transforms | None, types: Mapping[str, DType], *, where: str) -> tuple[Chain, ...]:
    """Return what a view says as chains, in the order of its features.

    Args:
        given: What it says; None: nothing.
        types: The output names of its features with their types, in their order.
        where: Whose they are, for messages.

    Raises:
        NotFoundError: The view has no such feature.
        UsageError: Something is no transform, takes no values of the type, or a feature has two chains.
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        todo = 'pass a mapping: transforms={"temp": Standard()}'
        raise UsageError(f"transforms is a {type(given).__name__}, no mapping", where=where, todo=todo)
    found = [_chain(key, steps, types, f"{where}, transforms") for key, steps in given.items()]
    seen: set[str] = set()
    for chain in found:
        for name in chain.features:
            if name in seen:
                todo = 'put them into one list; or read the feature twice, once as .alias("other_name")'
                raise UsageError(f"feature {name!r} has two transforms", where=where, todo=todo)
            seen.add(name)
    places = {name: at for at, name in enumerate(types)}
    return tuple(sorted(found, key=lambda chain: min(places[name] for name in chain.features)))


def transforms_from(documents: Iterable[Mapping[str, Any]]) -> Transforms:
    """Return what a view says, from the documents of its chains; nothing is imported.

    Raises:
        UsageError: Two chains are of the same features, or a step is none.
    """
    found: dict[str | tuple[str, ...], list[Transform]] = {}
    for each in documents:
        features = tuple(each["features"])
        if features in found:
            raise UsageError(f"{', '.join(features)}: two transforms", todo="put them into one list")
        found[features] = [step_from(step) for step in each["steps"]]
    return found


def step_from(document: Mapping[str, Any]) -> Transform:
    """Return the transform of a document; nothing is imported."""
    return estimator_from(document) if document.get("kind") == Estimator.kind else built_in_from(document)


def _chain(key: object, given: object, types: Mapping[str, DType], where: str) -> Chain:
    names = (key,) if isinstance(key, str) else key
    if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in cast("Any", names)):
        todo = 'name a feature, or a tuple of them: ("temp", "visib")'
        raise UsageError(f"{key!r} names no features", where=where, todo=todo)
    features = cast("tuple[str, ...]", names)
    for name in features:
        if name not in types:
            raise NotFoundError.named("feature", name, types, where=where)
    where = f"{where} of {', '.join(features)}"
    steps = cast("Sequence[object]", given) if isinstance(given, list | tuple) else [given]
    if not steps:
        raise UsageError("no transform", where=where, todo="leave the feature out")
    chain = Chain(features, tuple(_step(step, where) for step in steps))
    for name in features:
        _check_types(chain, types[name], where)
    return chain


def _step(given: object, where: str) -> Transform:
    if isinstance(given, Transform):
        return given
    if is_estimator(given):
        return estimator_of(given, where=where)
    shown = given.__name__ if isinstance(given, type) else repr(given)
    todo = "pass one of asof.transforms, such as Standard(), or a transformer of scikit-learn"
    raise UsageError(f"{shown} is no transform", where=where, todo=f"{todo}: an object, not its class")


def _check_types(chain: Chain, dtype: DType, where: str) -> None:
    """Refuse a transform that takes no values of a type; what scikit-learn makes is known when it is fitted."""
    for step in chain.steps:
        check_takes(step, dtype, where=where)
        if isinstance(step, Estimator):
            return
        dtype = step.gives(dtype)


def check_takes(step: Transform, dtype: DType, *, where: str) -> None:
    """Refuse values that a transform does not take.

    Raises:
        UsageError: It takes no values of the type, or its categories are of another type.
    """
    if dtype.name not in step.takes or (dtype.name == "vector" and not _is_of_numbers(dtype)):
        what = f"{step} takes {', '.join(sorted(step.takes))}, and this is {dtype}"
        raise UsageError(what, where=where)
    if isinstance(step, OneHot | Ordinal) and step.categories and not _fits(step.categories[0], dtype):
        raise UsageError(f"{step} has categories of another type than {dtype}", where=where)

    if isinstance(step, Impute) and isinstance(step.value, int) and dtype.name.startswith("int"):
        most = min(2 ** (int(dtype.name[3:]) - 1) - 1, EXACT)
        if not -most <= step.value <= most:
            raise UsageError(f"{step.value} is beyond {dtype}, or beyond 2**53", where=where)


def _is_of_numbers(dtype: DType) -> bool:
    return dtype.fields[0][1].name in Estimator.takes - {"string", "bytes", "date", "decimal", "vector"}


def _fits(label: Scalar, dtype: DType) -> bool:
    match label:
        case bool():
            return dtype.name == "bool"
        case int():
            return dtype.name.startswith("int")
        case _:
            return isinstance(label, str) and dtype.name == "string"
