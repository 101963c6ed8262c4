"""A view or group, resolved for reading."""

from collections.abc import Mapping
from dataclasses import dataclass

from asof.definitions import FeatureView, view_of_group
from asof.errors import NotFoundError
from asof.parts.open import Parts
from asof.registry.port import Registry
from asof.registry.registered import RegisteredGroup, RegisteredView


@dataclass(frozen=True, slots=True)
class Question:
    """A view or group, resolved: its look-ups with the registered groups that answer them."""

    ref: str
    view: FeatureView
    groups: Mapping[str, RegisteredGroup]


def resolve(parts: Parts, name: str) -> Question:
    """Return the view of a name, or the view of all features of a group of that name.

    Raises:
        NotFoundError: Neither exists.
    """
    registered = definition(parts.registry, name)
    if isinstance(registered, RegisteredView):
        return Question(registered.ref, registered.definition, registered.groups)
    group = registered.definition
    return Question(registered.ref, view_of_group(group), {group.name: registered})


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
