"""The version of a group that asof itself writes to: the one that has the shape of the rows at hand."""

from asof.definitions import FeatureGroup
from asof.definitions.documents import group_document, group_identity
from asof.errors import NotFoundError
from asof.parts.open import Parts
from asof.registry.registered import RegisteredGroup


def registered_as(parts: Parts, definition: FeatureGroup, *, what: str, todo: str) -> RegisteredGroup:
    """Return the newest version of a group that fixes what a definition does.

    Args:
        parts: The store's parts.
        definition: The group as it is wanted.
        what: What it is, for the message: "quarantine".
        todo: How to get it.

    Raises:
        NotFoundError: There is none.
    """
    wanted = group_identity(group_document(definition))
    for group in reversed(parts.registry.groups()):
        if group.definition.name == definition.name and group_identity(group_document(group.definition)) == wanted:
            return group
    raise NotFoundError(f"the {what} {definition.name!r} is gone", todo=todo)
