"""Suites of Great Expectations, as checks: each expectation by its name, with what it means to pandas frames there.

An argument that no check says is refused, never left out: the verdicts are those of Great Expectations or none.
"""

import math
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any, cast

from asof.definitions.check import Check
from asof.errors import UnsupportedError, UsageError

Document = Mapping[str, Any]

TODO = "write it as a Check, such as Check.sql or Check.function, and leave it out of the suite"

SAYS_NOTHING = {"result_format", "catch_exceptions", "include_config", "batch_id", "windows"}
"""Arguments that change no verdict: how results are shown, and how bounds were once found."""


class Arguments:
    """The arguments of one expectation, which tell what was never asked for."""

    def __init__(self, name: str, given: Document) -> None:
        """Take them; one that is None says nothing."""
        self.name = name
        self._left = {key: value for key, value in given.items() if value is not None and key not in SAYS_NOTHING}
        named = [key for key, value in self._left.items() if isinstance(value, Mapping) and "$PARAMETER" in value]
        if named:
            what = f"{name} takes its {named[0]} from a parameter of a run"
            raise UnsupportedError(what, todo="write the value itself")

    def take(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - a value of JSON
        """Return an argument that may be missing."""
        return self._left.pop(name, default)

    def need(self, name: str) -> Any:  # noqa: ANN401 - a value of JSON
        """Return an argument.

        Raises:
            UsageError: It is missing.
        """
        if name not in self._left:
            raise UsageError(f"{self.name} does not say {name!r}")
        return self._left.pop(name)

    def column(self) -> str:
        """Return the column."""
        return str(self.need("column"))

    def bounds(self) -> tuple[Any, Any]:
        """Return the least and the greatest value that numbers may have: of a strict bound the next float."""
        low, high = self.take("min_value"), self.take("max_value")
        low = math.nextafter(low, math.inf) if self.take("strict_min") and low is not None else low
        return low, math.nextafter(high, -math.inf) if self.take("strict_max") and high is not None else high

    def whole_bounds(self) -> tuple[int | None, int | None]:
        """Return the least and the greatest count."""
        low, high = self.bounds()
        return None if low is None else math.ceil(low), None if high is None else math.floor(high)

    def refuse_rest(self) -> None:
        """Refuse what nobody asked for.

        Raises:
            UnsupportedError: There is such an argument.
        """
        for key, value in self._left.items():
            raise UnsupportedError(f"{self.name} with {key}={value!r}: no check says this", todo=TODO)


def checks_of_suite(suite: Document) -> list[Check]:
    """Return the expectations of a suite as checks.

    Args:
        suite: The suite as the document that its `to_json_dict` gives.

    Raises:
        UnsupportedError: An expectation that no check says. UsageError: It does not say what it needs.
    """
    return [check for each in suite["expectations"] for check in _checks_of_one(cast("Document", each))]


def _checks_of_one(expectation: Document) -> list[Check]:
    name = str(expectation.get("type") or expectation.get("expectation_type"))
    if name not in EXPECTATIONS:
        raise UnsupportedError(f"no check says what {name} expects", todo=TODO)
    given = Arguments(name, expectation.get("kwargs") or {})
    mostly = given.take("mostly", 1)
    checks = EXPECTATIONS[name](given)
    if mostly != 1:
        if len(checks) != 1 or not checks[0].shared:
            raise UnsupportedError(f"{name} with mostly={mostly}: no check says this", todo=TODO)
        checks = [checks[0].for_share(mostly)]
    given.refuse_rest()
    return checks


def _quoted(column: object) -> str:
    return '"' + str(column).replace('"', '""') + '"'


def _declared(given: Arguments) -> list[Check]:
    """Ask that the group has the column: that each write has it, in the group's type, is never left unchecked."""
    given.take("type_")
    given.take("column_index")
    return [Check.max_null_share(given.column(), 1.0)]


def _between(given: Arguments) -> list[Check]:
    column, low, high = given.column(), given.take("min_value"), given.take("max_value")
    strict = _rules(_quoted(column), (">", low if given.take("strict_min") else None),
                    ("<", high if given.take("strict_max") else None))  # fmt: skip
    if isinstance(low, str) or isinstance(high, str):  # times and text, which SQL reads as the column's type
        closed = [Check.sql(" AND ".join(_rules(_quoted(column), (">=", low), ("<=", high))))]
    else:
        closed = [Check.between(column, low, high)]
    return [*closed, *map(Check.sql, strict)]


def _rules(figure: str, *sides: tuple[str, Any]) -> list[str]:
    """Return what SQL says of a figure, for each side that has a bound."""
    return [f"{figure} {sign} {_literal(bound)}" for sign, bound in sides if bound is not None]


def _literal(bound: object) -> str:
    return "'" + bound.replace("'", "''") + "'" if isinstance(bound, str) else repr(bound)


def _length(given: Arguments) -> list[Check]:
    return [Check.length(given.column(), *given.whole_bounds())]


def _exact_length(given: Arguments) -> list[Check]:
    value = given.need("value")
    return [Check.length(given.column(), value, value)]


def _compound(given: Arguments) -> list[Check]:
    """Ask for no two rows with the same values, where a null equals a null, unlike in `Check.unique`."""
    columns = given.need("column_list")
    ignored = given.take("ignore_row_if", "all_values_are_missing")
    if ignored == "any_value_is_missing":
        return [Check.unique(*columns)]
    names = ", ".join(map(_quoted, columns))
    single = f"count(*) OVER (PARTITION BY {names}) = 1{_missing(columns, ignored)}"
    numbered = "SELECT *, row_number() OVER () AS __row FROM batch"
    return [Check.sql(f"SELECT {single} FROM ({numbered}) ORDER BY __row")]  # noqa: S608 - in a sandbox, names quoted


def _within_record(given: Arguments) -> list[Check]:
    columns = given.need("column_list")
    ignored = given.take("ignore_row_if", "all_values_are_missing")
    pairs = combinations(map(_quoted, columns), 2)
    different = " AND ".join(f"{a} IS DISTINCT FROM {b}" for a, b in pairs)
    return [Check.sql(f"({different}){_missing(columns, ignored)}")]


def _pair(given: Arguments) -> list[Check]:
    """Compare two columns; a value that is compared with a missing one is not greater."""
    columns = given.need("column_A"), given.need("column_B")
    sign = ">=" if given.take("or_equal") else ">"
    ignored = given.take("ignore_row_if", "both_values_are_missing")
    a, b = map(_quoted, columns)
    return [Check.sql(f"coalesce({a} {sign} {b}, false){_missing(columns, ignored)}")]


MISSING = {
    "all_values_are_missing": " AND ",
    "both_values_are_missing": " AND ",
    "any_value_is_missing": " OR ",
    "either_value_is_missing": " OR ",
}


def _missing(columns: Any, ignored: Any) -> str:  # noqa: ANN401 - values of JSON
    """Return the words that let rows with missing values pass; "" for none."""
    if ignored in ("never", "neither"):
        return ""
    if ignored not in MISSING:
        raise UnsupportedError(f"ignore_row_if={ignored!r}: no check says this", todo=TODO)
    return f" OR ({MISSING[ignored].join(f'{_quoted(each)} IS NULL' for each in columns)})"


def _mean(given: Arguments) -> list[Check]:
    return [Check.mean(given.column(), *given.bounds())]


def _aggregate(expression: str) -> Callable[[Arguments], list[Check]]:
    """Return what asks a figure of a batch: an expression of SQL over `{}`, the column."""

    def checks(given: Arguments) -> list[Check]:
        low, high = given.take("min_value"), given.take("max_value")
        signs = ">" if given.take("strict_min") else ">=", "<" if given.take("strict_max") else "<="
        return _of_batch(_rules(expression.format(_quoted(given.column())), (signs[0], low), (signs[1], high)))

    return checks


def _of_batch(rules: list[str]) -> list[Check]:
    return [Check.sql(" AND ".join(rules), over="batch")] if rules else []


def _quantiles(given: Arguments) -> list[Check]:
    """Take the value nearest to place q * (n - 1) of the n in their order; of two as near, that of the even place."""
    if given.take("allow_relative_error") not in (None, False, "nearest"):
        raise UnsupportedError(f"{given.name} with allow_relative_error: no check says this", todo=TODO)
    column, ranges = _quoted(given.column()), given.need("quantile_ranges")
    ordered = f"(list({column} ORDER BY {column}) FILTER ({column} IS NOT NULL))"
    return [
        check
        for q, (low, high) in zip(ranges["quantiles"], ranges["value_ranges"], strict=True)
        for value in [f"{ordered}[1 + round_even({q!r} * (count({column}) - 1), 0)::BIGINT]"]
        for check in _of_batch(_rules(value, (">=", low), ("<=", high)))
    ]


def _row_count(given: Arguments) -> list[Check]:
    return [Check.row_count(*given.whole_bounds())]


def _exact_row_count(given: Arguments) -> list[Check]:
    value = given.need("value")
    return [Check.row_count(value, value)]


EXPECTATIONS: Mapping[str, Callable[[Arguments], list[Check]]] = {
    "expect_column_to_exist": _declared,
    "expect_column_values_to_be_of_type": _declared,
    "expect_column_values_to_not_be_null": lambda given: [Check.not_null(given.column())],
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_in_set": lambda given: [Check.one_of(given.column(), *given.need("value_set"))],
    "expect_column_values_to_match_regex": lambda given: [Check.matches(given.column(), str(given.need("regex")))],
    "expect_column_value_lengths_to_be_between": _length,
    "expect_column_value_lengths_to_equal": _exact_length,
    "expect_column_values_to_be_unique": lambda given: [Check.unique(given.column())],
    "expect_compound_columns_to_be_unique": _compound,
    "expect_select_column_values_to_be_unique_within_record": _within_record,
    "expect_column_pair_values_a_to_be_greater_than_b": _pair,
    "expect_column_mean_to_be_between": _mean,
    "expect_column_min_to_be_between": _aggregate("min({})"),
    "expect_column_max_to_be_between": _aggregate("max({})"),
    "expect_column_median_to_be_between": _aggregate("median({})"),
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_table_row_count_to_be_between": _row_count,
    "expect_table_row_count_to_equal": _exact_row_count,
}
"""What expectations are called as checks. One that rests on the order of rows is none: a write has no order."""
