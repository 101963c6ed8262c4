"""Definitions as messages, and what the registry knows of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from asof.catalog.python_file import Definition
from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.documents import Document, group_document, group_from, view_document, view_from
from asof.definitions.estimator import users_codes
from asof.definitions.group import FeatureRef, Known
from asof.errors import AsofError, UnsupportedError, UsageError
from asof.registry.registered import RegisteredGroup, RegisteredView


class Declared(msgspec.Struct):
    """A definition as its author made it; a view brings the groups that it was made with.

    Attributes:
        kind: What it is.
        document: The definition; references name groups as "weather@1", by their place in `groups`.
        groups: The groups of a view, or the source of a group.
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
    source: "KnownGroup | None" = None
    origin: "KnownGroup | None" = None


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
        groups = _parents_of(definition)
        pins = {group.name: at for at, group in enumerate(groups)}
        return Declared("group", group_document(definition, pins), [group_document(group, pins) for group in groups])
    groups = _groups_of(definition)
    pins = {group.name: at for at, group in enumerate(groups)}
    return Declared("view", view_document(definition, pins), [group_document(group, pins) for group in groups])


def definition_of(message: Declared) -> Definition:
    """Return the definition of a message.

    Raises:
        UsageError: It is none.
    """
    try:
        refuse_code(message.document)
        groups: list[FeatureGroup] = []

        def group(ref: str) -> FeatureGroup:
            return groups[int(ref.rpartition("@")[2])]

        groups.extend(group_from(each, group) for each in message.groups)  # a source comes before what is made of it
        return group_from(message.document, group) if message.kind == "group" else view_from(message.document, group)
    except AsofError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"this is no definition: {type(error).__name__}: {error}") from error


def known_group(group: RegisteredGroup) -> KnownGroup:
    """Return a registered group as a message."""
    parent = group.parent
    pins = {} if parent is None else {parent.definition.name: parent.version}
    return KnownGroup(
        group.id,
        group.version,
        group_document(group.definition, pins),
        group.known,
        group.created_at_us,
        group.layout,
        group.cold,
        None if group.source is None else known_group(group.source),
        None if group.origin is None else known_group(group.origin),
    )


def known_view(view: RegisteredView) -> KnownView:
    """Return a registered view as a message."""
    pins = {group.definition.name: group.version for group in view.groups.values()}
    document = view_document(view.definition, pins)
    groups = {name: known_group(group) for name, group in view.groups.items()}
    return KnownView(view.id, view.version, document, groups, view.created_at_us)


def group_of(known: KnownGroup) -> RegisteredGroup:
    """Return the registered group of a message."""
    source = None if known.source is None else group_of(known.source)
    origin = None if known.origin is None else group_of(known.origin)
    parent = source or origin
    definition = group_from(known.definition, None if parent is None else lambda _: parent.definition)
    return RegisteredGroup(
        known.id, known.version, definition, known.known, known.created_at_us, known.layout, known.cold, source, origin
    )


def view_of(known: KnownView) -> RegisteredView:
    """Return the registered view of a message."""
    groups = {name: group_of(group) for name, group in known.groups.items()}
    by_ref: Mapping[str, Any] = {group.ref: group.definition for group in groups.values()}
    definition = view_from(known.definition, by_ref.__getitem__)
    return RegisteredView(known.id, known.version, definition, groups, known.created_at_us)


def _parents_of(group: FeatureGroup) -> list[FeatureGroup]:
    """Return the groups that a group is made of, each after those that it is made of itself."""
    return [] if group.parent is None else [*_parents_of(group.parent), group.parent]


def refuse_code(document: Document) -> None:
    """Refuse to import what a client names, which would run it, and to read what he names of the server's disk."""
    where = f"group {document.get('name')}"
    if document.get("taken_from") is not None:
        todo = "apply it where the store is; then anybody who may write can materialize it"
        raise UnsupportedError("files and functions as a source are not taken from a client", where=where, todo=todo)
    transform: Document | None = document.get("transform")
    if transform is not None and transform.get("language") == "python":
        todo = "apply it where the store is, with its code; or write it as SQL"
        raise UnsupportedError("a transformation in Python is not taken from a client", where=where, todo=todo)
    for check in document.get("checks") or ():
        if check.get("kind") == "function":
            what = f"the function {check.get('code')} of a check is not taken from a client"
            raise UnsupportedError(
                what, where=where, todo="apply it where the store is, with its code; or write it as SQL"
            )
    features: list[Document] = document["features"]
    for feature in features:
        if "on_demand" in feature:
            what = f"the function {feature.get('code')} of an on-demand feature is not taken from a client"
            todo = "apply the view where the store is, with its code"
            raise UnsupportedError(what, where=f"view {document.get('name')}", todo=todo)
        made: Document = feature.get("aggregation") or {}
        if ":" in made.get("function", ""):
            what = f"the function {made['function']} of an aggregate is not taken from a client"
            raise UnsupportedError(what, where=where, todo="apply it where the store is, with its code")
    for code in users_codes(document.get("transforms")):
        what = f"the class {code} of a transform is not taken from a client"
        raise UnsupportedError(
            what, where=f"view {document.get('name')}", todo="apply it where the store is, with its code"
        )


def _groups_of(view: FeatureView) -> list[FeatureGroup]:
    found: dict[str, FeatureGroup] = {}

    def look(refs: Sequence[FeatureRef]) -> None:
        for ref in refs:
            for parent in _parents_of(ref.group):
                found.setdefault(parent.name, parent)
            found.setdefault(ref.group.name, ref.group)
            look([source for _, source in ref.on if isinstance(source, FeatureRef)])

    look(view.stored)
    return list(found.values())
