"""What a verification finds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from asof import notebook
from asof.clock import show_us
from asof.records import Status

SHOWN = 10

StageName = Literal["replay", "today", "served", "hindsight"]

Cause = Literal["defect", "late arrival", "correction", "definition change", "ttl", "applying"]
"""Why two answers differ:

    late arrival        a row that became part of history after the answer was given, with a later event time
    correction          a row that became part of history after it, or was retracted after it, for the same event time
    definition change   the view, or a group that it reads, was another version
    ttl                 the same, and the two differ only in being EXPIRED
    applying            a commit was published, and not yet applied online
    defect              nothing that explains it
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that two answers do not agree on.

    Attributes:
        stage: Where it was found, see `Stage`.
        clock_us: T.
        keys: The keys.
        feature: The feature.
        online: (value, status) online.
        history: (value, status) from history.
        cause: What explains it.
    """

    stage: StageName
    clock_us: int
    keys: Mapping[str, Any]
    feature: str
    online: tuple[Any, Status]
    history: tuple[Any, Status]
    cause: Cause = "defect"

    def __str__(self) -> str:
        """Return it as a line."""
        return (
            f"{self.feature} of {dict(self.keys)} at {show_us(self.clock_us)} ({self.stage}): "
            f"online {self.online[0]!r} {self.online[1]}, history {self.history[0]!r} {self.history[1]} [{self.cause}]"
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """One comparison of online answers with history.

        replay      history, fed into an online store in memory, as it answered at many times
        today       the store's own online answers now
        served      logged answers, with history at the commits of their receipts
        hindsight   logged answers, with what the present view says about their times from all that is known by now

    Attributes:
        name: Which.
        compared: Values compared.
        causes: Differences by cause.
        skipped: Logged answers that could not be compared, by reason: "definition change" (their view is gone),
            "retention" (rows that they saw are gone), "erased", "semantics" (other rules), "unavailable" (made from no
            rows: the online store was slow).
    """

    name: StageName
    compared: int = 0
    causes: Mapping[Cause, int] = field(default_factory=dict[Cause, int])
    skipped: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def differing(self) -> int:
        """How many of the values differ."""
        return sum(self.causes.values())

    @property
    def equal(self) -> float:
        """The share of the values that are equal; 1 if none was compared."""
        return 1 - self.differing / self.compared if self.compared else 1.0

    def __str__(self) -> str:
        """Return it as a line."""
        parts = [f"{self.compared:,} compared", f"{share(self.equal)} equal"]
        parts += [f"{count:,} {cause}" for cause, count in self.causes.items()]
        parts += [f"{count:,} answers not compared: {reason}" for reason, count in self.skipped.items()]
        return f"{self.name:<10}{', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found.

    Attributes:
        view: The view's version.
        compared: Values compared.
        instants: Times at which the clock stood.
        keys: How many key sets were to be read at each of them, as `verify` was asked.
        rows: Rows fed.
        statuses: How many of the compared values have each status.
        differences: Where online and history do not agree.
        stages: The comparisons, one after the other.
    """

    view: str
    compared: int
    instants: int
    keys: int
    rows: int
    statuses: Mapping[Status, int]
    differences: tuple[Difference, ...]
    stages: tuple[Stage, ...] = ()

    @property
    def equal(self) -> float:
        """The share of the values that are equal; 1 if none was compared."""
        return 1 - len(self.differences) / self.compared if self.compared else 1.0

    @property
    def causes(self) -> Mapping[Cause, int]:
        """How many differences have each cause."""
        return Counter(difference.cause for difference in self.differences)

    @property
    def defects(self) -> tuple[Difference, ...]:
        """The differences that nothing explains: the only ones that should not be."""
        return tuple(difference for difference in self.differences if difference.cause == "defect")

    def _repr_html_(self) -> str:
        return notebook.text(self)

    def __str__(self) -> str:
        """Return it as text."""
        counts = ", ".join(f"{count:,} {status}" for status, count in self.statuses.items() if count)
        head = f"{self.view}: {self.compared:,} values compared ({counts}) at {self.instants} instants, "
        head += f"{self.rows:,} rows fed: {len(self.differences):,} differences, {len(self.defects):,} defects"
        stages = (f"  {stage}" for stage in self.stages)
        return "\n".join((head, *stages, *map(str, first(self.differences))))


def first(differences: tuple[Difference, ...]) -> list[Difference]:
    """Return the differences to show: defects first."""
    return sorted(differences, key=lambda difference: difference.cause != "defect")[:SHOWN]


def share(part: float) -> str:
    """Return a share as a percentage that is 100 % only if it is whole."""
    return "100 %" if part == 1 else f"{min(part * 100, 99.99):.2f} %"
