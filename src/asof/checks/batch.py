"""Checks that say something of all rows of a write together, which may come in parts: figures are gathered."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.checks.around import Around
from asof.checks.rows import broken_rows
from asof.checks.users import sql_verdict, user_verdict
from asof.clock import show_us
from asof.definitions import Check, FeatureGroup
from asof.errors import DataError, UnsupportedError, UsageError
from asof.windows.sketches import quantile

if TYPE_CHECKING:
    from asof.windows.functions import Function


class Verdict(NamedTuple):
    """What a check says of a batch.

    Attributes:
        good: Whether it holds; None: it cannot be said.
        observed: What was found.
        note: What else there is to say.
    """

    good: bool | None
    observed: float | None = None
    note: str = ""


class Gathered:
    """What one check has seen of a write so far.

    Args:
        check: A check of a batch.
        group: The group.
        around: The store.
        where: What the rows are for, for messages.
        now_us: The time of the write.
    """

    def __init__(self, check: Check, group: FeatureGroup, around: Around, where: str, now_us: int) -> None:
        """Start with no rows."""
        self.check = check
        self.group = group
        self.around = around
        self.where = where
        self.now_us = now_us
        self.rows = 0
        self.count = 0
        self.total = 0.0
        self.newest_us: int | None = None
        self.good = True
        self.note = ""
        self.ranks: Function[Any] | None = None if check.q is None else quantile(check.q)
        self.values: Any = None if self.ranks is None else self.ranks.empty

    def add(self, rows: pa.Table) -> None:
        """Take rows in.

        Raises:
            UsageError: The check does not fit the columns' types, or its code cannot run. DataError: Its code failed.
        """
        self.rows += rows.num_rows
        try:
            (_kept if self.check.share != 1 else _GATHER[self.check.kind])(self, rows)
        except UnsupportedError as error:
            self.note = error.what
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"check '{self.check}' does not fit: {reason}", where=self.where) from error

    def verdict(self) -> Verdict:
        """Return what the check says of the rows so far."""
        if self.note:
            return Verdict(None, note=self.note)
        if self.check.share != 1:
            return _share(self)
        return _VERDICT[self.check.kind](self)

    def within(self, observed: float | None, *, empty: str = "") -> Verdict:
        """Return whether a figure lies between the check's bounds; without one there is nothing to say."""
        if observed is None or observed != observed:  # noqa: PLR0124 - NaN
            return Verdict(None, note=empty)
        low, high = self.check.low, self.check.high
        return Verdict((low is None or observed >= low) and (high is None or observed <= high), observed)


def _column(seen: Gathered, rows: pa.Table) -> pa.ChunkedArray:
    return rows.column(seen.check.column)


def _numbers(seen: Gathered, rows: pa.Table) -> pa.ChunkedArray:
    """Return the values as floats.

    Raises:
        UsageError: They are no numbers.
    """
    column = _column(seen, rows)
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise UsageError(f"check '{seen.check}' does not fit a column of type {kind}", where=seen.where)
    return column.drop_null().cast(pa.float64(), safe=False)


def _nulls(seen: Gathered, rows: pa.Table) -> None:
    seen.count += _column(seen, rows).null_count


def _kept(seen: Gathered, rows: pa.Table) -> None:
    """Count the values that it says something of, and those that keep it."""
    check = seen.check
    asked = np.ones(rows.num_rows, dtype=bool)
    for name in () if check.kind == "not_null" else check.read:
        asked &= pc.is_valid(rows.column(name)).to_numpy().astype(bool)
    broken = broken_rows(rows, replace(check, share=1.0, scope="rows"), seen.group, seen.around, seen.where)
    seen.count += int(asked.sum())
    seen.total += int((asked & ~broken).sum())


def _nothing(seen: Gathered, rows: pa.Table) -> None:
    del seen, rows


def _newest(seen: Gathered, rows: pa.Table) -> None:
    if seen.group.event_time is not None and rows.num_rows:
        newest = pc.max(rows.column(seen.group.event_time).cast(pa.int64())).as_py()
        seen.newest_us = newest if seen.newest_us is None else max(seen.newest_us, newest)


def _changes(seen: Gathered, rows: pa.Table) -> None:
    compared, changed = seen.around.changes(rows)
    seen.count += compared
    seen.total += changed


def _sum(seen: Gathered, rows: pa.Table) -> None:
    column = _numbers(seen, rows)
    seen.count += len(column)
    seen.total += pc.sum(column).as_py() or 0.0


def _ranks(seen: Gathered, rows: pa.Table) -> None:
    assert seen.ranks is not None  # noqa: S101 - the check was checked
    assert seen.ranks.gather is not None  # noqa: S101 - quantiles have it
    values = _numbers(seen, rows).to_numpy()
    seen.values = seen.ranks.merge(seen.values, seen.ranks.gather(values[~np.isnan(values)].tolist()))


def _said(seen: Gathered, said: pa.Array) -> None:
    if len(said) != 1 or not (pa.types.is_boolean(said.type) or pa.types.is_null(said.type)):
        found = f"{len(said):,} values of type {said.type}"
        todo = 'it must give one boolean for all rows together; for each row with over="rows"'
        raise DataError(f"check '{seen.check}' gives {found}", where=seen.where, todo=todo)
    seen.good &= said[0].as_py() is not False


def _ask_sql(seen: Gathered, rows: pa.Table) -> None:
    _said(seen, sql_verdict(rows, seen.check, seen.around, seen.where))


def _ask_function(seen: Gathered, rows: pa.Table) -> None:
    said = user_verdict(rows, seen.check, seen.where)
    _said(seen, pa.array([pc.all(said).as_py()]) if len(said) > 1 and pa.types.is_boolean(said.type) else said)


_GATHER: dict[str, Callable[[Gathered, pa.Table], None]] = {
    "max_null_share": _nulls,
    "row_count": _nothing,
    "freshness": _newest,
    "changed_share": _changes,
    "mean": _sum,
    "quantile": _ranks,
    "sql": _ask_sql,
    "function": _ask_function,
}


def _null_share(seen: Gathered) -> Verdict:
    return seen.within(seen.count / seen.rows if seen.rows else None, empty="there are no rows")


def _share(seen: Gathered) -> Verdict:
    if not seen.count:
        return Verdict(None, note="there are no values")
    share = seen.total / seen.count
    return Verdict(share >= seen.check.share, share)


def _row_count(seen: Gathered) -> Verdict:
    return seen.within(seen.rows)


def _fresh(seen: Gathered) -> Verdict:
    if seen.newest_us is None:
        return Verdict(None, note="there are no event times")
    age = (seen.now_us - seen.newest_us) / 1e6
    return Verdict(age <= (seen.check.high or 0.0), age, f"seconds: the newest event is of {show_us(seen.newest_us)}")


def _changed_share(seen: Gathered) -> Verdict:
    return seen.within(seen.total / seen.count if seen.count else None, empty="no key has a row yet")


def _mean(seen: Gathered) -> Verdict:
    return seen.within(seen.total / seen.count if seen.count else None, empty="there are no values")


def _quantile(seen: Gathered) -> Verdict:
    assert seen.ranks is not None  # noqa: S101 - the check was checked
    found: Any = seen.ranks.finish(seen.values, 0)
    return seen.within(found, empty="there are no values")


def _own_word(seen: Gathered) -> Verdict:
    return Verdict(seen.good)


_VERDICT: dict[str, Callable[[Gathered], Verdict]] = {
    "max_null_share": _null_share,
    "row_count": _row_count,
    "freshness": _fresh,
    "changed_share": _changed_share,
    "mean": _mean,
    "quantile": _quantile,
    "sql": _own_word,
    "function": _own_word,
}
