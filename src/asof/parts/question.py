"""A view or group, resolved for reading."""

from collections.abc import Mapping
from dataclasses import dataclass

from asof.definitions import FeatureView, view_of_group
from asof.errors import NotFoundError
from asof.parts.open import Parts
from asof.registry.port import RegisteredGroup


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
    try:
        registered = parts.registry.view(name)
    except NotFoundError as error:
        try:
            group = parts.registry.group(name)
        except NotFoundError:
            known = {v.definition.name for v in parts.registry.views()} | {
                g.definition.name for g in parts.registry.groups()
            }
            raise NotFoundError.named("view or group", name, known) from error
        return Question(group.ref, view_of_group(group.definition), {group.definition.name: group})
    return Question(registered.ref, registered.definition, registered.groups)
