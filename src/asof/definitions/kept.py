"""What the groups have in common that asof makes for itself: serving logs and quarantines.

Their rows are about entities that are not their own, and say so: in a column `keys`, and perhaps `derived`, as structs.
A tag names the entities with the fields that hold their keys, so that `forget` finds the rows.
"""

from collections.abc import Iterable

from asof.definitions.group import FeatureGroup
from asof.definitions.types import DType

ABOUT = "about"
"""The tag that says whom rows are about: "airport=origin airport=dest", entities with the fields of their keys."""


def about(ways: Iterable[tuple[str, Iterable[str]]]) -> str:
    """Return the tag of a group whose rows are about entities, each with the fields of its keys in their order."""
    return " ".join(sorted(f"{entity}={','.join(fields)}" for entity, fields in ways))


def said_ways(group: FeatureGroup, entity: str) -> set[tuple[str, ...]]:
    """Return the ways of an entity that a group says itself, each the fields that hold its keys."""
    said = group.tags.get(ABOUT, "").split()
    return {tuple(columns.split(",")) for name, _, columns in (word.partition("=") for word in said) if name == entity}


def kept_type(dtype: DType) -> DType:
    """Return the type in which a value is kept within a struct: vectors as lists, which hold the same.

    DuckDB 2.0 loses nulls around a vector inside a struct.
    """
    name, numbers = ("list", ()) if dtype.name == "vector" else (dtype.name, dtype.numbers)
    return DType(name, numbers, tuple((field, kept_type(part)) for field, part in dtype.fields))
