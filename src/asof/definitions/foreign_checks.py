"""Checks of other packages, taken as they are: Pandera schemas by their names, suites of Great Expectations by content.

Neither package is imported: a schema is known by its `validate`, a suite by its expectations.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import Any, cast

from asof.definitions.check import Check
from asof.errors import UnsupportedError, UsageError

ForeignChecks = Any
"""A Pandera schema, a class of Pandera's models, or a suite of Great Expectations: the foreign edge."""

Document = Mapping[str, Any]


def checks_of(given: Iterable[Check | ForeignChecks]) -> tuple[Check, ...]:
    """Return what a declaration says as checks.

    Raises:
        UsageError: Something is no check, or a schema that cannot be imported by a name.
        UnsupportedError: A suite expects what no check says.
    """
    return tuple(check for each in given for check in _checks_of(each))


def _checks_of(given: Any) -> list[Check]:  # noqa: ANN401 - a foreign object
    if isinstance(given, Check):
        return [given]
    if hasattr(given, "validate") and _package(given) == "pandera":
        return [Check.function(_name_of(given))]
    if hasattr(given, "to_json_dict"):
        return _of_suite(given.to_json_dict())
    if isinstance(given, dict) and "expectations" in given:
        return _of_suite(cast("Document", given))
    what = f"a {type(cast('object', given)).__name__} is no check"
    raise UsageError(what, todo="pass a Check, a Pandera schema or a suite of Great Expectations")


def _package(thing: object) -> str:
    kinds = (thing if isinstance(thing, type) else type(thing)).__mro__
    return "pandera" if any(kind.__module__.partition(".")[0] == "pandera" for kind in kinds) else ""


def _name_of(schema: Any) -> str:  # noqa: ANN401 - Pandera's
    """Return "module:name" of a schema: of a class its own, of an object that of the module that holds it."""
    if isinstance(schema, type):
        return f"{schema.__module__}:{schema.__qualname__}"
    for module, holder in list(sys.modules.items()):
        for name, value in list(vars(holder).items()) if module != "__main__" else ():
            if value is schema:
                return f"{module}:{name}"
    todo = "define it at the top level of a module that is not the script itself"
    raise UsageError(f"this {type(schema).__name__} cannot be imported by a name", todo=todo)


def _of_suite(suite: Document) -> list[Check]:
    found: list[Check] = []
    for each in cast("list[Document]", suite["expectations"]):
        name = str(each.get("type") or each.get("expectation_type"))
        words: Document = each.get("kwargs") or {}
        todo = "write it as a Check, such as Check.sql or Check.function, and leave it out of the suite"
        if name not in EXPECTATIONS:
            raise UnsupportedError(f"no check says what {name} expects", todo=todo)
        mostly = words.get("mostly")
        if mostly not in (None, 1, 1.0) and name != "expect_column_values_to_not_be_null":
            raise UnsupportedError(f"{name} with mostly={mostly}: checks of rows hold for every row", todo=todo)
        try:
            found += EXPECTATIONS[name](words)
        except KeyError as error:
            raise UsageError(f"{name} does not say {error.args[0]!r}") from error
    return found


def _not_null(words: Document) -> list[Check]:
    mostly = words.get("mostly")
    column = str(words["column"])
    return [Check.not_null(column) if mostly in (None, 1, 1.0) else Check.max_null_share(column, round(1 - mostly, 12))]


def _between(words: Document) -> list[Check]:
    column, low, high = str(words["column"]), words.get("min_value"), words.get("max_value")
    strict = {f'"{column}" > {low}': words.get("strict_min"), f'"{column}" < {high}': words.get("strict_max")}
    return [Check.between(column, low, high), *(Check.sql(rule) for rule, wanted in strict.items() if wanted)]


def _bounded(make: Callable[[str, float | None, float | None], Check]) -> Callable[[Document], list[Check]]:
    return lambda words: [make(str(words["column"]), words.get("min_value"), words.get("max_value"))]


def _exact_length(words: Document) -> list[Check]:
    return [Check.length(str(words["column"]), words["value"], words["value"])]


def _quantiles(words: Document) -> list[Check]:
    ranges = words["quantile_ranges"]
    pairs = zip(ranges["quantiles"], ranges["value_ranges"], strict=True)
    return [Check.quantile(str(words["column"]), q, low, high) for q, (low, high) in pairs]


def _increasing(words: Document) -> list[Check]:
    return [Check.increasing(str(words["column"]), strictly=bool(words.get("strictly")))]


EXPECTATIONS: Mapping[str, Callable[[Document], list[Check]]] = {
    "expect_column_to_exist": lambda _: [],  # a write without a declared column is refused in any case
    "expect_column_values_to_be_of_type": lambda _: [],  # and so is one of another type
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_in_set": lambda w: [Check.one_of(str(w["column"]), *w["value_set"])],
    "expect_column_values_to_match_regex": lambda w: [Check.matches(str(w["column"]), str(w["regex"]))],
    "expect_column_value_lengths_to_be_between": _bounded(Check.length),  # type: ignore[arg-type]
    "expect_column_value_lengths_to_equal": _exact_length,
    "expect_column_values_to_be_unique": lambda w: [Check.unique(str(w["column"]))],
    "expect_compound_columns_to_be_unique": lambda w: [Check.unique(*w["column_list"])],
    "expect_select_column_values_to_be_unique_within_record": lambda w: [
        Check.sql(" AND ".join(f'"{a}" <> "{b}"' for a, b in combinations(w["column_list"], 2)))
    ],
    "expect_column_values_to_be_increasing": _increasing,
    "expect_column_pair_values_a_to_be_greater_than_b": lambda w: [
        Check.sql(f'"{w["column_A"]}" {">=" if w.get("or_equal") else ">"} "{w["column_B"]}"')
    ],
    "expect_column_mean_to_be_between": _bounded(Check.mean),
    "expect_column_median_to_be_between": lambda w: [
        Check.quantile(str(w["column"]), 0.5, w.get("min_value"), w.get("max_value"))
    ],
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_table_row_count_to_be_between": lambda w: [Check.row_count(w.get("min_value"), w.get("max_value"))],
    "expect_table_row_count_to_equal": lambda w: [Check.row_count(w["value"], w["value"])],
}
"""What expectations are called as checks."""
