"""The checks of a group over one write: part by part, then what is said of all of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from asof.arrow.layout import declared_schema
from asof.checks.around import Around
from asof.checks.batch import Gathered
from asof.checks.report import CheckReport, CheckResult
from asof.checks.rows import broken_rows
from asof.checks.users import rule_of
from asof.definitions import Check, FeatureGroup
from asof.errors import DataError, UnsupportedError

SHOWN = 3
"""Broken checks that a message tells of."""

MOST_TEXT = 200
"""Of a value in a report."""


class Found(NamedTuple):
    """What checks found in a part.

    Attributes:
        first: The number of its first row in the write.
        broken: Which rows break a check.
        reasons: Of these, in their order, the checks that each breaks.
    """

    first: int
    broken: np.ndarray
    reasons: Sequence[str]


class Checking:
    """The checks of a group, over the rows of one write.

    Args:
        group: The group.
        around: The store.
        now_us: The time of the write.
        whole: Whether the rows are a whole write: else only what is said of each row is asked.
    """

    def __init__(self, group: FeatureGroup, around: Around, *, now_us: int, whole: bool = True) -> None:
        """Start with no rows."""
        self._group = group
        self._around = around
        self._where = f"group {group.name}"
        self._checks: Sequence[Check] = group.checks if group.on_violation != "off" else ()
        self._gathered = {
            at: Gathered(check, group, around, self._where, now_us)
            for at, check in enumerate(self._checks)
            if check.scope == "batch" and whole
        }
        self._results = [
            CheckResult(str(check), check.kind, "skipped", note="it says nothing of few rows")
            if check.scope == "batch"
            else CheckResult(str(check), check.kind)
            for check in self._checks
        ]
        self._rows = 0

    @property
    def asked(self) -> bool:
        """Whether there are any checks."""
        return bool(self._checks)

    def add(self, rows: pa.Table) -> Found:
        """Take rows in, which come in the columns and types of the group; return which of them break a check.

        Raises:
            UsageError: A check does not fit the columns, or its code cannot be run. DataError: Its code failed.
        """
        broken = np.zeros(rows.num_rows, dtype=bool)
        masks: list[tuple[str, np.ndarray]] = []
        for at, check in enumerate(self._checks):
            if check.scope == "batch":
                if at in self._gathered:
                    self._gathered[at].add(rows)
                continue
            mask = self._ask(at, check, rows)
            if mask is not None and mask.any():
                self._keep(at, check, rows, mask)
                masks.append((str(check), mask))
                broken |= mask
        first, self._rows = self._rows, self._rows + rows.num_rows
        reasons = ["; ".join(name for name, mask in masks if mask[place]) for place in np.flatnonzero(broken)]
        return Found(first, broken, reasons)

    def _ask(self, at: int, check: Check, rows: pa.Table) -> np.ndarray | None:
        try:
            return broken_rows(rows, check, self._group, self._around, self._where)
        except UnsupportedError as error:  # there is no store to ask
            self._results[at] = CheckResult(str(check), check.kind, "skipped", note=error.what)
            return None

    def _keep(self, at: int, check: Check, rows: pa.Table, mask: np.ndarray) -> None:
        before = self._results[at]
        row, value = before.row, before.value
        if row is None:
            first = int(mask.argmax())
            values = [repr(rows.column(name)[first].as_py()) for name in check.read]
            row, value = self._rows + first, ", ".join(values)[:MOST_TEXT]
        count = before.broken + int(mask.sum())
        self._results[at] = CheckResult(str(check), check.kind, "broken", count, row, value)

    def report(self, *, set_aside: int = 0, refused: bool = False) -> CheckReport:
        """Return what the checks say of all rows so far."""
        results = list(self._results)
        for at, gathered in self._gathered.items():
            good, observed, note = gathered.verdict()
            outcome = "skipped" if good is None else "passed" if good else "broken"
            results[at] = CheckResult(str(gathered.check), gathered.check.kind, outcome, observed=observed, note=note)
        mode = self._group.on_violation
        return CheckReport(mode, self._rows, set_aside, refused, tuple(results))

    def together(self) -> tuple[CheckResult, ...]:
        """Return the checks that all rows together break."""
        results = self.report().results
        return tuple(results[at] for at in self._gathered if results[at].outcome == "broken")


def refuse(report: CheckReport, where: str) -> None:
    """Refuse rows that break checks.

    Raises:
        DataError: They do; the report is among its data.
    """
    found = report.broken
    if found:
        listed = "; ".join(map(str, found[:SHOWN])) + (
            f"; and {len(found) - SHOWN} more checks" if found[SHOWN:] else ""
        )
        raise DataError(
            listed,
            where=where,
            todo='mend the rows, or declare on_violation="quarantine" or "warn"',
            data={"violations": list(found), "report": report},
        )


def try_out(group: FeatureGroup, around: Around) -> None:
    """Refuse checks of a group that could not be asked of any rows; functions are imported, and not called.

    Raises:
        UsageError: A check does not fit the columns, its SQL cannot be run, or its function cannot be imported.
    """
    where = f"group {group.name}"
    none = declared_schema(group).empty_table()
    for check in group.checks:
        if check.kind == "function":
            rule_of(check, f"{where}, check '{check}'")
        elif check.scope == "rows":
            broken_rows(none, check, group, around, where)
        elif check.kind != "changed_share":
            Gathered(check, group, around, where, 0).add(none)
