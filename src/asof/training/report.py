"""The report of a historical read: how many values came out how. Source: SEMANTICS section 2."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from asof import notebook
from asof.errors import UsageError
from asof.records import ExternalRead, Status
from asof.training.plan import ReadPlan, merged

STATUSES: tuple[Status, ...] = ("PRESENT", "NULL", "MISSING", "EXPIRED", "RETIRED")
HEADS = ("group", "known", *STATUSES, "coincide")


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a read differs under the other knowledge mode.

    Attributes:
        known: The other mode.
        values: How many values were compared, by group.
        differ: How many of them differ, by group.
    """

    known: str
    values: Mapping[str, int]
    differ: Mapping[str, int]

    def __str__(self) -> str:
        """Return a line a group."""
        return "\n".join(
            f"{group}: {self.differ[group]:,} of {count:,} values differ under known={self.known!r}"
            for group, count in self.values.items()
        )


@dataclass(frozen=True, slots=True)
class Report:
    """How the values of a read came out.

    Attributes:
        rows: Rows of the spine.
        counts: For each group (and the keys that it was looked up under) how many values have each status.
        coincide: For each group how many spine rows fall on the very event time of the row that answered.
        known: The knowledge mode of each group, as text.
        external: What was read of each group whose rows stay outside of the store, and whether it can be read again.
    """

    rows: int
    counts: Mapping[str, Mapping[Status, int]]
    coincide: Mapping[str, int]
    known: Mapping[str, str]
    external: Mapping[str, ExternalRead] = field(default_factory=dict[str, ExternalRead], kw_only=True)
    _compare: Callable[[], Comparison] = field(repr=False, compare=False)
    _plan: ReadPlan | None = field(default=None, repr=False, compare=False)

    @property
    def plan(self) -> ReadPlan:
        """How the read was answered; print it.

        Raises:
            UsageError: Nobody asked for it.
        """
        if self._plan is None:
            raise UsageError("the read was not explained", todo="pass explain=True to historical")
        return self._plan

    def compare(self) -> Comparison:
        """Read again under the other knowledge mode ("event" for "served" and a datetime, "served" for "event")."""
        return self._compare()

    def __str__(self) -> str:
        """Return the counts as a text table."""
        lines = notebook.aligned([HEADS, *self._cells()], right=[name not in ("group", "known") for name in HEADS])
        lines += [f"external {group}: {read}" for group, read in self.external.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        outside = "".join(notebook.text(f"external {group}: {read}") for group, read in self.external.items())
        return notebook.table(HEADS, self._cells()) + outside

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (group, self.known[group], *(f"{counts[s]:,}" for s in STATUSES), f"{self.coincide[group]:,}")
            for group, counts in self.counts.items()
        ]


def added(one: Report, other: Report) -> Report:
    """Return the report of two batches of a read."""

    def compare() -> Comparison:
        raise UsageError("a read in batches is not compared", todo="read a part of the spine without batch_rows")

    counts: dict[str, dict[Status, int]] = {
        group: {status: here[status] + other.counts[group][status] for status in STATUSES}
        for group, here in one.counts.items()
    }
    coincide = {group: here + other.coincide[group] for group, here in one.coincide.items()}
    plan = None
    # `plan` raises where there is none
    if one._plan is not None and other._plan is not None:  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        here, there = one.plan.profiles, other.plan.profiles
        plan = ReadPlan({name: merged(profile, there[name]) for name, profile in here.items()})
    return Report(one.rows + other.rows, counts, coincide, one.known, compare, plan, external=one.external)
