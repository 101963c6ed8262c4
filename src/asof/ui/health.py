"""What of a store wants to be looked at: groups whose values expired, and those whose last write broke a check."""

from collections.abc import Sequence
from dataclasses import dataclass

from asof.checks import CheckReport
from asof.records import Totals
from asof.registry.registered import RegisteredGroup
from asof.ui.shown import span
from asof.ui.sight import Seen, Sight


@dataclass(frozen=True, slots=True)
class State:
    """How a group stands.

    Attributes:
        group: Its newest version.
        totals: What its commits add up to, or those of the group that it is made of.
        stale: Whether its newest row is older than its ttl: each of its values is EXPIRED.
        failing: Whether its last write broke a check.
        why: Why it wants to be looked at; "" if it does not.
    """

    group: RegisteredGroup
    totals: Totals
    stale: bool
    failing: bool
    why: str


def states(sight: Sight, seen: Seen) -> list[State]:
    """Return how the newest version of each group stands, by name."""
    now_us, totals, reports = sight.now_us, sight.totals(), sight.last_reports()
    return [
        state_of(each, totals.get(each.stored.id, Totals()), reports.get(each.id), now_us)
        for each in seen.newest_groups.values()
    ]


def state_of(group: RegisteredGroup, totals: Totals, report: CheckReport | None, now_us: int) -> State:
    """Return how a group stands."""
    ttl_us, event_us = group.definition.ttl_us, totals.max_event_us
    stale = ttl_us is not None and event_us is not None and event_us <= now_us - ttl_us
    failing = report is not None and not report.passed
    why: list[str] = []
    if stale and event_us is not None and ttl_us is not None:
        why.append(f"newest row is {span((now_us - event_us) / 1e6)} old, ttl is {span(ttl_us / 1e6)}")
    if report is not None and failing:
        what = "; ".join(map(str, report.broken))
        why.append(f"the last write{' was refused' if report.refused else ''}: {what}")
    return State(group, totals, stale, failing, "; ".join(why))


def counted(each: Sequence[State]) -> tuple[int, int]:
    """Return how many groups are stale, and how many are failing."""
    return sum(state.stale for state in each), sum(state.failing for state in each)
