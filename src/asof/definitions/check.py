"""Rules that the values of a group must keep. Source: SEMANTICS section 7.

A check is a value; `asof.ingest.checks` evaluates it. A null passes every check but `not_null`.
"""

from dataclasses import dataclass
from typing import Literal

from asof.errors import UsageError

CheckKind = Literal["between", "not_null", "one_of", "matches"]


@dataclass(frozen=True, slots=True)
class Check:
    """A rule over one column; make one with `between`, `not_null`, `one_of` or `matches`."""

    kind: CheckKind
    column: str
    low: float | None = None
    high: float | None = None
    values: tuple[object, ...] = ()
    pattern: str = ""

    def __post_init__(self) -> None:
        """Refuse a rule that says nothing."""
        if self.kind == "between" and self.low is None and self.high is None:
            raise UsageError(f"check between on {self.column!r} has neither a low nor a high bound")
        if self.kind == "between" and self.low is not None and self.high is not None and self.low > self.high:
            raise UsageError(f"check between on {self.column!r}: low {self.low} is above high {self.high}")
        if self.kind == "one_of" and not self.values:
            raise UsageError(f"check one_of on {self.column!r} names no values")

    @classmethod
    def between(cls, column: str, low: float | None, high: float | None) -> "Check":
        """Every value lies in [low, high], both inclusive; NaN does not. None leaves a side open."""
        return cls("between", column, low=low, high=high)

    @classmethod
    def not_null(cls, column: str) -> "Check":
        """No value is null."""
        return cls("not_null", column)

    @classmethod
    def one_of(cls, column: str, *values: object) -> "Check":
        """Every value is one of the given ones."""
        return cls("one_of", column, values=tuple(values))

    @classmethod
    def matches(cls, column: str, pattern: str) -> "Check":
        """Every string holds a match of the RE2 pattern; anchor it with ^ and $ for a full match."""
        return cls("matches", column, pattern=pattern)

    def __str__(self) -> str:
        """Return the rule as a short sentence."""
        match self.kind:
            case "between":
                return f"{self.column} between {self.low} and {self.high}"
            case "not_null":
                return f"{self.column} not null"
            case "one_of":
                return f"{self.column} one of {', '.join(map(repr, self.values))}"
            case "matches":
                return f"{self.column} matches {self.pattern!r}"
