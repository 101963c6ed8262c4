"""What of a store wants to be looked at: values that expired, and rows that were put aside."""

from collections.abc import Sequence
from dataclasses import dataclass

from asof.records import Totals
from asof.registry.port import RegisteredGroup
from asof.ui.shown import span
from asof.ui.sight import Seen, Sight


@dataclass(frozen=True, slots=True)
class State:
    """How a group stands.

    Attributes:
        group: Its newest version.
        totals: What its commits add up to, or those of the group that it is made of.
        stale: Whether its newest row is older than its ttl: each of its values is EXPIRED.
        failing: Whether rows of it were put aside.
        why: Why it wants to be looked at; "" if it does not.
    """

    group: RegisteredGroup
    totals: Totals
    stale: bool
    failing: bool
    why: str


def states(sight: Sight, seen: Seen) -> list[State]:
    """Return how the newest version of each group stands, by name."""
    now_us, totals = sight.now_us, sight.totals()
    return [state_of(each, totals.get(each.stored.id, Totals()), now_us) for each in seen.newest_groups.values()]


def state_of(group: RegisteredGroup, totals: Totals, now_us: int) -> State:
    """Return how a group stands."""
    ttl_us, event_us = group.definition.ttl_us, totals.max_event_us
    stale = ttl_us is not None and event_us is not None and event_us <= now_us - ttl_us
    failing = totals.quarantined > 0
    why: list[str] = []
    if stale and event_us is not None and ttl_us is not None:
        why.append(f"newest row is {span((now_us - event_us) / 1e6)} old, ttl is {span(ttl_us / 1e6)}")
    if failing:
        why.append(f"{totals.quarantined:,} rows were put aside")
    return State(group, totals, stale, failing, "; ".join(why))


def counted(each: Sequence[State]) -> tuple[int, int]:
    """Return how many groups are stale, and how many are failing."""
    return sum(state.stale for state in each), sum(state.failing for state in each)
