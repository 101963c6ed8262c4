"""Entities: the things that features describe."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from asof.definitions.names import checked_name
from asof.definitions.types import KEY_TYPES, DType, parse_type
from asof.errors import UsageError


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing that features describe, named by one or several keys.

    Args:
        name: Unique among entities.
        keys: Key column to type, in the order of the composite key. Floats are no keys: equality of floats is
            a matter of luck.
        description: What it is, for people.

    Raises:
        UsageError: A bad name, no keys, or a type that cannot be a key.
    """

    name: str
    keys: Mapping[str, DType] = field(hash=False)
    description: str = ""

    def __init__(self, name: str, keys: Mapping[str, str | DType], description: str = "") -> None:
        """Check and keep the parts."""
        checked_name(name, "entity")
        if not keys:
            raise UsageError(f"entity {name!r} has no keys", todo='pass keys={"column": "string"}')
        types = {checked_name(key, "key"): parse_type(dtype) for key, dtype in keys.items()}
        for key, dtype in types.items():
            if dtype.name not in KEY_TYPES:
                raise UsageError(
                    f"key {key!r} of entity {name!r} has type {dtype}",
                    todo="a key is one of " + ", ".join(sorted(KEY_TYPES)),
                )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "keys", types)
        object.__setattr__(self, "description", description)
