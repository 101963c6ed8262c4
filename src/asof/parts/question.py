"""A view or group, or features of several by reference, resolved for reading."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from asof.definitions import FeatureRef, FeatureView, OnDemand, view_of_group
from asof.definitions.references import are_references, joined, parted
from asof.errors import NotFoundError, UsageError
from asof.parts.open import Parts
from asof.registry.port import Registry
from asof.registry.registered import RegisteredGroup, RegisteredView

Find = Callable[[str], RegisteredView | RegisteredGroup]
"""Returns the view or group of a name."""

BY_REFERENCE = "features"
"""What the view is called that stands for references; it is registered nowhere."""


@dataclass(frozen=True, slots=True)
class Question:
    """A view or group, resolved: its look-ups with the registered groups that answer them.

    Attributes:
        ref: The version's name, or references with their versions.
        view: What is asked for.
        groups: The groups that answer, by name.
    """

    ref: str
    view: FeatureView
    groups: Mapping[str, RegisteredGroup]


def resolve(parts: Parts, name: str) -> Question:
    """Return the view of a name, the view of all features of a group of that name, or that of references.

    Raises:
        NotFoundError: Neither exists. UsageError: References do not fit together.
    """
    return question_of(name, lambda each: definition(parts.registry, each))


def is_defined(parts: Parts, name: str) -> bool:
    """Return whether a group or a view has a name, in whatever version."""
    for find in (parts.registry.view, parts.registry.group):
        with suppress(NotFoundError):
            find(name.partition("@")[0])
            return True
    return False


def question_of(name: str, find: Find) -> Question:
    """Return what a name asks for, among what is found; see `resolve`."""
    if are_references(name):
        return _by_reference(name, find)
    registered = find(name)
    if isinstance(registered, RegisteredView):
        return Question(registered.ref, registered.definition, registered.groups)
    group = registered.definition
    return Question(registered.ref, view_of_group(group), {group.name: registered})


def _by_reference(text: str, find: Find) -> Question:
    """Return the features of several groups and views as one view, of the versions that they are read from now."""
    features: list[FeatureRef | OnDemand] = []
    refs: list[str] = []
    groups: dict[str, RegisteredGroup] = {}
    for source, name in parted(text):
        registered = find(source)
        feature = registered.definition[name]
        known = (
            registered.groups if isinstance(registered, RegisteredView) else {registered.definition.name: registered}
        )
        for group in FeatureView(BY_REFERENCE, features=[feature]).groups:
            other = groups.setdefault(group.name, known[group.name])
            if other.id != known[group.name].id:
                what = f"{source}:{name} reads {known[group.name].ref}, other features {other.ref}"
                raise UsageError(what, where=text, todo="ask for features of one version, or in two calls")
        features.append(feature)
        refs.append(f"{registered.ref}:{name}")
    return Question(joined(refs), FeatureView(BY_REFERENCE, features=features), groups)


def definition(registry: Registry, name: str) -> RegisteredView | RegisteredGroup:
    """Return the view or group of a name: the version that is named ("weather@1"), or the newest one.

    Raises:
        NotFoundError: Neither exists.
    """
    try:
        return registry.view(name)
    except NotFoundError as no_view:
        try:
            return registry.group(name)
        except NotFoundError as no_group:
            base = name.partition("@")[0]
            views = {view.definition.name for view in registry.views()}
            groups = {group.definition.name for group in registry.groups()}
            if base in views | groups:  # and no such version
                raise (no_view if base in views else no_group) from None
            raise NotFoundError.named("view or group", name, groups | views) from None
