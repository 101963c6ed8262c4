"""Features: typed columns of a group."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from asof.definitions.names import checked_name
from asof.definitions.types import DType, parse_type
from asof.windows.aggregation import Aggregation


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of a group.

    Args:
        name: The column's name.
        dtype: Its type, see `asof.definitions.types`.
        description: What it says, for people and search.
        unit: Unit of measure ("°F", "min").
        nullable: Whether a null may be written; a null is an answer (NULL).
        tags: Free words for search.
        aggregation: How it is made of events, in a group that has a source; see `asof.aggregates`.
    """

    name: str
    dtype: DType
    description: str = ""
    unit: str = ""
    nullable: bool = True
    tags: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    aggregation: Aggregation | None = None

    def __init__(  # noqa: PLR0913 - a declaration
        self,
        name: str,
        dtype: str | DType,
        *,
        description: str = "",
        unit: str = "",
        nullable: bool = True,
        tags: Mapping[str, str] | None = None,
        aggregation: Aggregation | None = None,
    ) -> None:
        """Check and keep the parts."""
        object.__setattr__(self, "name", checked_name(name, "feature"))
        object.__setattr__(self, "dtype", parse_type(dtype))
        object.__setattr__(self, "description", description)
        object.__setattr__(self, "unit", unit)
        object.__setattr__(self, "nullable", nullable)
        object.__setattr__(self, "tags", dict(tags or {}))
        object.__setattr__(self, "aggregation", aggregation)
