"""Remove training sets, and clear away those that were never finished."""

from contextlib import suppress

from asof.definitions.training_set import TAG, group_name
from asof.errors import NotFoundError
from asof.parts import Parts, tables_of
from asof.registry.training_sets import KeptSet


def clear(parts: Parts, name: str, version: int) -> None:
    """Clear away a version that is not finished: its number, its group and its rows."""
    parts.training_sets.abandon(name, version)
    with suppress(NotFoundError):
        _drop(parts, f"{group_name(name, version)}@1", f"{name}@{version}")


def remove(parts: Parts, name: str) -> list[KeptSet]:
    """Remove a version of a training set, or all, with their rows.

    Raises:
        NotFoundError: With names that come close.
    """
    gone = parts.training_sets.remove(name, now_us=parts.now_us(), writer=parts.writer)
    for kept in gone:
        with suppress(NotFoundError):
            _drop(parts, kept.group, kept.ref)
    return gone


def _drop(parts: Parts, ref: str, of: str) -> None:
    """Remove a group, if it is the one of a training set."""
    if parts.registry.group(ref).definition.tags.get(TAG) != of:
        return
    for group in parts.registry.remove(ref, now_us=parts.now_us(), writer=parts.writer):
        for table in tables_of(group):
            parts.history.drop(table)
