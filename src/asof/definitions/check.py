"""Rules that the rows of a group must keep. Source: SEMANTICS section 7.

A check is a value; `asof.checks` evaluates it. Most say something of each row, and a null passes them (but not
`not_null`). Others say something of all rows of a write together: they are left out for pushes and streams, which
bring few rows at a time. `scope` tells which.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, cast

from asof.definitions.code import name_of
from asof.definitions.durations import duration_us, show_duration
from asof.errors import UsageError

CheckKind = Literal[
    "between", "not_null", "one_of", "matches", "length", "unique", "increasing", "in_group", "sql", "function",
    "max_null_share", "row_count", "freshness", "changed_share", "mean", "quantile",
]  # fmt: skip

Scope = Literal["rows", "batch"]
"""What a check says something of: each row, or all rows of a write together."""

BATCH: frozenset[CheckKind] = frozenset(
    {"max_null_share", "row_count", "freshness", "changed_share", "mean", "quantile"}
)
BOUNDED: frozenset[CheckKind] = frozenset({"between", "length", "row_count", "changed_share", "mean", "quantile"})
"""Kinds with a low and a high bound, of which one may be left out."""

SHARED: frozenset[CheckKind] = frozenset({"between", "not_null", "one_of", "matches", "length", "unique", "in_group"})
"""Kinds that name the columns of which they say something: they may be asked of a share of the values only."""

SHARES: frozenset[CheckKind] = frozenset({"max_null_share", "changed_share"})

Rule = Callable[[Any], Any]
"""A function of one batch of rows: a pyarrow table, or the frame that its argument is annotated with."""


@dataclass(frozen=True, slots=True)
class Check:
    """A rule; make one with the methods that bear the names of the kinds.

    Attributes:
        kind: Which rule.
        column: Of which column; "" for rules of several columns, or of none.
        low: The least that is allowed; None: anything.
        high: The most that is allowed; None: anything. Of a freshness: seconds.
        values: What is allowed, for `one_of`.
        pattern: For `matches`.
        columns: For rules of several columns.
        q: Which quantile.
        group: The group whose keys `in_group` asks for.
        code: The expression of `sql`; "module:name" of `function`.
        strictly: Whether `increasing` allows no equal values.
        scope: Whether it says something of each row, or of all rows of a write.
        share: Of how many of the values it must hold at least, from 0 to 1.
    """

    kind: CheckKind
    column: str = ""
    low: float | None = None
    high: float | None = None
    values: tuple[object, ...] = ()
    pattern: str = ""
    columns: tuple[str, ...] = ()
    q: float | None = None
    group: str = ""
    code: str = ""
    strictly: bool = False
    scope: Scope = "rows"
    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a rule that says nothing, or what nobody can keep."""
        if self.kind in BATCH or self.share != 1:
            object.__setattr__(self, "scope", "batch")
        about = f"check {self.kind} on {self.column!r}" if self.column else f"check {self.kind}"
        if self.kind in BOUNDED and self.low is None and self.high is None:
            raise UsageError(f"{about} has neither a low nor a high bound")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise UsageError(f"{about}: low {self.low} is above high {self.high}")
        if self.kind in SHARES and not all(0 <= bound <= 1 for bound in (self.low, self.high) if bound is not None):
            raise UsageError(f"{about}: a share is a number from 0 to 1")
        if self.kind == "one_of" and not self.values:
            raise UsageError(f"{about} names no values")
        if self.kind == "quantile" and not (self.q is not None and 0 <= self.q <= 1):
            raise UsageError(f"{about}: q={self.q!r} is no number from 0 to 1")
        if self.kind in ("unique", "in_group") and not self.columns:
            raise UsageError(f"{about} names no column")
        if self.kind in ("sql", "function") and not self.code.strip():
            raise UsageError(f"{about} says nothing", todo='write an expression, or "module:function"')
        if not 0 <= self.share <= 1:
            raise UsageError(f"{about}: a share is a number from 0 to 1")
        if self.share != 1 and self.kind not in SHARED:
            raise UsageError(f"{about} is asked of no share", todo=f"a share is for {', '.join(sorted(SHARED))}")
        if self.scope not in ("rows", "batch"):
            raise UsageError(f"{about}: over={self.scope!r} is not known", todo='use "rows" or "batch"')

    @property
    def read(self) -> tuple[str, ...]:
        """The columns that it names."""
        return (*((self.column,) if self.column else ()), *self.columns)

    @property
    def shared(self) -> bool:
        """Whether it may be asked of a share of the values."""
        return self.kind in SHARED

    def for_share(self, share: float) -> "Check":
        """Ask it of a share of a write's values, at least; nulls do not count, but for `not_null`.

        It then says something of all rows of a write together.

        Args:
            share: From 0 to 1.

        Raises:
            UsageError: It is no such number, or the check names no columns, or already speaks of a batch.
        """
        if not isinstance(cast("object", share), int | float):
            raise UsageError(f"check {self.kind}: a share is a number from 0 to 1")
        return replace(self, share=share)

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

    @classmethod
    def length(cls, column: str, low: int | None, high: int | None) -> "Check":
        """Every string has so many characters, bytes so many bytes, a list so many values: [low, high], inclusive."""
        return cls("length", column, low=low, high=high)

    @classmethod
    def unique(cls, *columns: str) -> "Check":
        """No two rows of a write have the same values in the columns; a null is equal to nothing."""
        return cls("unique", columns=tuple(columns))

    @classmethod
    def increasing(cls, column: str, *, strictly: bool = False) -> "Check":
        """Among the rows of a key in a write, values do not fall as event time goes on; strictly: they rise."""
        return cls("increasing", column, strictly=strictly)

    @classmethod
    def in_group(cls, columns: str | tuple[str, ...] | list[str], group: Any) -> "Check":  # noqa: ANN401 - a FeatureGroup comes from above
        """Ask that the columns are a key of another group that has a row now, and is not retired: a foreign key.

        Args:
            columns: A column, or one for each key of the group in their order.
            group: The group, or its name: the newest version at the time of the write.
        """
        named = (columns,) if isinstance(columns, str) else tuple(columns)
        return cls("in_group", columns=named, group=group if isinstance(group, str) else group.name)

    @classmethod
    def sql(cls, expression: Any, *, over: Scope = "rows") -> "Check":  # noqa: ANN401 - Ibis, or text
        """Ask that an expression is true of every row, or of the batch: `"a <= b"`, `"avg(temp) < 60"`.

        Args:
            expression: SQL as DuckDB reads it over the group's columns; or an Ibis expression over `ibis.table(...,
                name="batch")` that gives one boolean column.
            over: "rows", or "batch" for an expression of aggregates.
        """
        return cls("sql", code=expression if isinstance(expression, str) else _of_ibis(expression), scope=over)

    @classmethod
    def function(cls, function: str | Rule, *, over: Scope = "rows") -> "Check":
        """Ask a function of yours whether each row is good, or a batch: see docs/quality.md.

        Args:
            function: "module:name" or the function itself, which can be imported by its name. A Pandera schema is such
                a name too: its rows that fail are named.
            over: "rows": it gives a boolean for each row; "batch": one.
        """
        return cls("function", code=name_of(function, what="check", where=""), scope=over)

    @classmethod
    def max_null_share(cls, column: str, share: float) -> "Check":
        """At most this share of a write's rows is null in the column."""
        return cls("max_null_share", column, high=share)

    @classmethod
    def row_count(cls, low: int | None, high: int | None) -> "Check":
        """Ask that a write has so many rows: [low, high], both inclusive."""
        return cls("row_count", low=low, high=high)

    @classmethod
    def freshness(cls, age: str | timedelta) -> "Check":
        """Ask that the newest event of a write is not older than this."""
        return cls("freshness", high=duration_us(age, what="freshness") / 1e6)

    @classmethod
    def changed_share(cls, low: float | None, high: float | None) -> "Check":
        """Of the rows of a write whose key has a row, this share differs from it: [low, high], both inclusive."""
        return cls("changed_share", low=low, high=high)

    @classmethod
    def mean(cls, column: str, low: float | None, high: float | None) -> "Check":
        """Ask that the mean of a write's values lies in [low, high]; nulls do not count."""
        return cls("mean", column, low=low, high=high)

    @classmethod
    def quantile(cls, column: str, q: float, low: float | None, high: float | None) -> "Check":
        """Ask that the q-quantile of a write's values lies in [low, high]; nulls and NaN do not count.

        Of more than 1,024 values it is found by a sketch, whose rank is within 0.54 % of q in 99 of 100 answers.
        """
        return cls("quantile", column, low=low, high=high, q=q)

    def __str__(self) -> str:
        """Return the rule as a short sentence."""
        return SENTENCES[self.kind].format(
            self=self,
            columns=", ".join(self.columns),
            values=", ".join(map(repr, self.values)),
            bounds=f"between {_shown(self.low)} and {_shown(self.high)}",
            strictly=" strictly" if self.strictly else "",
            age=show_duration(round((self.high or 0) * 1e6)) if self.kind == "freshness" else "",
        ) + ("" if self.share == 1 else f" for a share of at least {_shown(self.share)}")


SENTENCES: Mapping[CheckKind, str] = {
    "between": "{self.column} between {self.low} and {self.high}",
    "not_null": "{self.column} not null",
    "one_of": "{self.column} one of {values}",
    "matches": "{self.column} matches {self.pattern!r}",
    "length": "length of {self.column} {bounds}",
    "unique": "{columns} unique",
    "increasing": "{self.column} increasing{strictly}",
    "in_group": "{columns} in group {self.group}",
    "sql": "{self.code}",
    "function": "{self.code} over {self.scope}",
    "max_null_share": "share of nulls in {self.column} at most {self.high}",
    "row_count": "rows {bounds}",
    "freshness": "newest event at most {age} old",
    "changed_share": "share of changed rows {bounds}",
    "mean": "mean of {self.column} {bounds}",
    "quantile": "quantile {self.q} of {self.column} {bounds}",
}
"""How each kind is said."""


def _of_ibis(expression: Any) -> str:  # noqa: ANN401 - a foreign object
    """Return the statement of an Ibis expression.

    Raises:
        UsageError: It is none.
    """
    if type(expression).__module__.partition(".")[0] != "ibis" or not hasattr(expression, "op"):
        raise UsageError(
            f"a {type(expression).__name__} is no expression",
            todo='write SQL as text, or an Ibis expression over ibis.table(..., name="batch")',
        )
    ibis = sys.modules["ibis"]  # whoever made the expression has imported it
    return str(ibis.to_sql(expression, dialect="duckdb"))


def _shown(bound: float | None) -> str:
    if bound is None:
        return "anything"
    short = f"{bound:g}"
    return short if float(short) == bound else repr(bound)
