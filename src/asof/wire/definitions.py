"""Definitions as messages, and what the registry knows of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from asof.catalog.python_file import Definition
from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.documents import Document, group_document, group_from, view_document, view_from
from asof.definitions.group import FeatureRef, Known
from asof.errors import AsofError, UsageError
from asof.registry.port import RegisteredGroup, RegisteredView


class Declared(msgspec.Struct):
    """A definition as its author made it; a view brings the groups that it was made with.

    Attributes:
        kind: What it is.
        document: The definition; references name groups as "weather@1", by their place in `groups`.
        groups: The groups of a view.
    """

    kind: Literal["group", "view"]
    document: Document
    groups: list[Document] = []


class KnownGroup(msgspec.Struct):
    """A `RegisteredGroup`."""

    id: int
    version: int
    definition: Document
    known: Known
    created_at_us: int
    layout: tuple[str, ...]
    cold: tuple[str, ...] = ()


class KnownView(msgspec.Struct):
    """A `RegisteredView`."""

    id: int
    version: int
    definition: Document
    groups: dict[str, KnownGroup]
    created_at_us: int


def declared(definition: Definition) -> Declared:
    """Return a definition as a message."""
    if isinstance(definition, FeatureGroup):
        return Declared("group", group_document(definition))
    groups = _groups_of(definition)
    pins = {group.name: at for at, group in enumerate(groups)}
    return Declared("view", view_document(definition, pins), [group_document(group) for group in groups])


def definition_of(message: Declared) -> Definition:
    """Return the definition of a message.

    Raises:
        UsageError: It is none.
    """
    try:
        if message.kind == "group":
            return group_from(message.document)
        groups = [group_from(each) for each in message.groups]
        return view_from(message.document, lambda ref: groups[int(ref.rpartition("@")[2])])
    except AsofError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"this is no definition: {type(error).__name__}: {error}") from error


def known_group(group: RegisteredGroup) -> KnownGroup:
    """Return a registered group as a message."""
    document = group_document(group.definition)
    return KnownGroup(group.id, group.version, document, group.known, group.created_at_us, group.layout, group.cold)


def known_view(view: RegisteredView) -> KnownView:
    """Return a registered view as a message."""
    pins = {group.definition.name: group.version for group in view.groups.values()}
    document = view_document(view.definition, pins)
    groups = {name: known_group(group) for name, group in view.groups.items()}
    return KnownView(view.id, view.version, document, groups, view.created_at_us)


def group_of(known: KnownGroup) -> RegisteredGroup:
    """Return the registered group of a message."""
    definition = group_from(known.definition)
    return RegisteredGroup(
        known.id, known.version, definition, known.known, known.created_at_us, known.layout, known.cold
    )


def view_of(known: KnownView) -> RegisteredView:
    """Return the registered view of a message."""
    groups = {name: group_of(group) for name, group in known.groups.items()}
    by_ref: Mapping[str, Any] = {group.ref: group.definition for group in groups.values()}
    definition = view_from(known.definition, by_ref.__getitem__)
    return RegisteredView(known.id, known.version, definition, groups, known.created_at_us)


def _groups_of(view: FeatureView) -> list[FeatureGroup]:
    found: dict[str, FeatureGroup] = {}

    def look(refs: Sequence[FeatureRef]) -> None:
        for ref in refs:
            found.setdefault(ref.group.name, ref.group)
            look([source for _, source in ref.on if isinstance(source, FeatureRef)])

    look(view.features)
    return list(found.values())
