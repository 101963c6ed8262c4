"""Evaluation of checks over a batch: one evaluator for every way in. Source: SEMANTICS section 7."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from asof.definitions import Check
from asof.errors import DataError, UsageError

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Violation:
    """A check that some rows break.

    Attributes:
        check: The check.
        count: How many rows break it.
        row: The first of them.
        value: Its value.
    """

    check: Check
    count: int
    row: int
    value: object

    def __str__(self) -> str:
        """Return the violation as a short sentence."""
        rows = "row breaks" if self.count == 1 else "rows break"
        return f"{self.count:,} {rows} '{self.check}' (row {self.row} holds {self.value!r})"


def violations(table: pa.Table, checks: Sequence[Check]) -> list[Violation]:
    """Return the checks that some rows of a conformed batch break."""
    found: list[Violation] = []
    for check in checks:
        column = table.column(check.column)
        broken = pc.fill_null(broken_rows(column, check), False)  # noqa: FBT003 - a null passes
        count = pc.sum(broken).as_py() or 0
        if count:
            row = int(pc.index(broken, True).as_py())
            found.append(Violation(check, count, row, column[row].as_py()))
    return found


def broken_rows(column: pa.ChunkedArray, check: Check) -> pa.ChunkedArray:
    """Return for each value whether it breaks a check; null where the check says nothing.

    Raises:
        UsageError: The check does not fit the column's type.
    """
    try:
        match check.kind:
            case "not_null":
                return pc.is_null(column)
            case "between":
                return _outside(column, check)
            case "one_of":
                allowed = pa.array(list(check.values)).cast(column.type)
                return pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, value_set=allowed)))
            case "matches":
                return pc.invert(pc.match_substring_regex(column, check.pattern))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OverflowError) as error:
        raise UsageError(
            f"check '{check}' does not fit a column of type {column.type}: {' '.join(str(error).split())}"
        ) from error


def _outside(column: pa.ChunkedArray, check: Check) -> pa.ChunkedArray:
    # Written as "not inside", so that NaN, which compares false with everything, is outside.
    inside = [
        compare(
            column,
            pa.scalar(bound).cast(column.type, safe=False) if pa.types.is_decimal(column.type) else bound,
        )
        for compare, bound in ((pc.greater_equal, check.low), (pc.less_equal, check.high))
        if bound is not None
    ]
    return pc.invert(inside[0] if len(inside) == 1 else pc.and_(*inside))


def refuse(found: Sequence[Violation], where: str) -> None:
    """Refuse a batch that breaks checks.

    Raises:
        DataError: There are violations.
    """
    if found:
        listed = "; ".join(map(str, found[:SHOWN])) + (
            f"; and {len(found) - SHOWN} more checks" if found[SHOWN:] else ""
        )
        raise DataError(
            listed,
            where=where,
            todo='mend the rows, or declare on_violation="warn"',
            data={"violations": list(found)},
        )
