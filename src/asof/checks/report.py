"""What checks said of a write: kept with its commit, or beside the commits if it was refused."""

from datetime import datetime
from typing import Literal

import msgspec

from asof import notebook
from asof.clock import from_us

Outcome = Literal["passed", "broken", "skipped"]


class CheckResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one check said.

    Attributes:
        check: The rule, as a sentence.
        kind: Its kind.
        outcome: passed, broken, or skipped: it could not be asked, `note` says why.
        broken: How many rows break it; 0 for a rule about all rows together.
        row: The first of them, counted from 0 in the frame as it came.
        value: Its value, as text.
        observed: What was found, of a rule about all rows together.
        note: What else there is to say.
    """

    check: str
    kind: str
    outcome: Outcome = "passed"
    broken: int = 0
    row: int | None = None
    value: str = ""
    observed: float | None = None
    note: str = ""

    def __str__(self) -> str:
        """Return it as a sentence."""
        if self.outcome == "passed":
            return f"'{self.check}' holds" + ("" if self.observed is None else f" ({self.observed:g})")
        if self.outcome == "skipped":
            return f"'{self.check}' was not asked: {self.note}"
        if not self.broken:
            found = "" if self.observed is None else f": it is {self.observed:g}"
            return f"the rows together break '{self.check}'{found}" + (f" ({self.note})" if self.note else "")
        rows = "row breaks" if self.broken == 1 else "rows break"
        first = "" if self.row is None else f" (row {self.row}" + (f" holds {self.value})" if self.value else ")")
        return f"{self.broken:,} {rows} '{self.check}'{first}"


class CheckReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the checks of a group said of one write.

    Attributes:
        mode: What was to happen to rows that break a check.
        rows: Rows that came.
        set_aside: How many of them went to quarantine.
        refused: Whether nothing was stored.
        results: One for each check, in the order declared.
        group: The group, "weather@1"; "" for rows that were only checked.
        commit: The commit, "weather@1:17"; "" if there is none.
        at_us: When.
        writer: Who wrote.
    """

    mode: str
    rows: int = 0
    set_aside: int = 0
    refused: bool = False
    results: tuple[CheckResult, ...] = ()
    group: str = ""
    commit: str = ""
    at_us: int = 0
    writer: str = ""

    @property
    def at(self) -> datetime:
        """When it was made."""
        return from_us(self.at_us)

    def to_json(self) -> str:
        """Return it as JSON; `report_from` reads it."""
        return msgspec.json.encode(self).decode()

    @property
    def broken(self) -> tuple[CheckResult, ...]:
        """The checks that were broken."""
        return tuple(result for result in self.results if result.outcome == "broken")

    @property
    def passed(self) -> bool:
        """Whether no check was broken."""
        return not self.broken

    def _repr_html_(self) -> str:
        heads = ("check", "outcome", "rows", "first", "observed", "note")
        rows = [
            (each.check, each.outcome, each.broken or "", each.value and f"row {each.row}: {each.value}",
             each.observed, each.note)
            for each in self.results
        ]  # fmt: skip
        return notebook.paragraph(str(self).splitlines()[0]) + notebook.table(heads, rows)

    def __str__(self) -> str:
        """Return it as lines."""
        name = self.commit or self.group or "rows"
        end = ", refused" if self.refused else f", {self.set_aside:,} in quarantine" if self.set_aside else ""
        kept = sum(result.outcome == "passed" for result in self.results)
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        head = f"{name}: {rows}, {kept} of {len(self.results)} checks hold{end}"
        return "\n".join([head, *(f"  {result}" for result in self.results if result.outcome != "passed")])


def report_from(body: str) -> CheckReport:
    """Return the report of a JSON text."""
    return msgspec.json.decode(body, type=CheckReport)


def without_values(body: str) -> str:
    """Return a report without what it says of single rows."""
    report = report_from(body)
    results = tuple(msgspec.structs.replace(result, value="", row=None) for result in report.results)
    return msgspec.structs.replace(report, results=results).to_json()
