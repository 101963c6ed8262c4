"""What a view with a budget answers where the online store is slow or away.

The budget is for all groups of the view together, and for every try. When it is used up the view fails, answers from
the rows that this process read last, or answers null. Where several reads in a row failed the store is not asked for a
moment, and the view answers so at once; then one read tries again.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from asof.definitions.durations import show_duration
from asof.errors import TransientError
from asof.online.last_rows import Last, LastRows
from asof.online.port import Applied
from asof.serving.late import Late
from asof.serving.plan import Keys, Plan, RawRow

R = TypeVar("R")

FAILURES = 3
"""After so many failed reads in a row the store is left alone."""

ALONE_SECONDS = 1.0
"""For so long; then one read tries again."""

Fetched = tuple[R, Mapping[int, Applied], int]
"""Rows, what is applied to them, and T."""

Raw = tuple[Sequence[RawRow], Mapping[int, Applied], Late | None]
"""The rows of an answer, what is applied to them, and whether it is late."""


class Breaker:
    """Knows whether a store is to be asked at all. Safe to use from several threads."""

    def __init__(self) -> None:
        """Ask."""
        self._lock = threading.Lock()
        self._failures = 0
        self._again = 0.0
        self._last: TransientError | None = None

    def refusal(self) -> TransientError | None:
        """Return why the store is not to be asked now; None if it is. Of those who wait for that, one may ask."""
        if self._failures < FAILURES:
            return None
        with self._lock:
            now = time.monotonic()
            last = self._last
            if last is None or now >= self._again:
                self._again = now + ALONE_SECONDS
                return None
            what = (
                f"the last {self._failures} reads failed, it is asked again in {self._again - now:.1f} s: {last.what}"
            )
            return TransientError(what, where=last.where, todo=last.todo)

    def failed(self, error: TransientError) -> None:
        """Learn that a read failed."""
        with self._lock:
            self._failures += 1
            self._again = time.monotonic() + ALONE_SECONDS
            self._last = error

    def worked(self) -> None:
        """Learn that a read had its answer."""
        if self._failures:
            with self._lock:
                self._failures, self._last = 0, None


class Patience:
    """How long the reads of a view wait, and what they answer then. Safe to use from several threads."""

    def __init__(self, last: LastRows) -> None:
        """Know of no failure."""
        self._last = last
        self._breaker = Breaker()

    def fetched(
        self,
        plan: Plan,
        every: Sequence[Keys],
        read: Callable[[float], Fetched[Sequence[Sequence[RawRow]]]],
        now_us: int,
    ) -> tuple[list[Raw], int]:
        """Return the raw answers of key sets, and their T.

        Args:
            plan: The view.
            every: The key sets.
            read: Reads them all from one snapshot, until a time of the monotonic clock.
            now_us: The store's clock.

        Raises:
            TransientError: The store gave no answer within the budget, and the view is to fail then.
        """
        asked = [plan.asked(keys) for keys in every]  # wrong keys are refused, also where the store is not asked
        generation = self._last.generation
        try:
            rows, applied, t_us = self._within(plan, read)
        except TransientError as error:
            if plan.view.on_slow == "fail":
                raise _told(plan, error) from error
            return self._late(plan, asked, now_us)
        if plan.view.on_slow == "stale":
            marks = {group: mark for group in plan.group_ids if (mark := applied.get(group)) is not None}
            for each, own in zip(asked, rows, strict=True):
                self._last.put(each, Last(own, marks, t_us), generation)
        return [(own, applied, None) for own in rows], t_us

    def _within(self, plan: Plan, read: Callable[[float], R]) -> R:
        refusal = self._breaker.refusal()
        if refusal is not None:
            raise refusal
        try:
            found = read(time.monotonic() + (plan.budget_us or 0) / 1e6)
        except TransientError as error:
            self._breaker.failed(error)
            raise
        self._breaker.worked()
        return found

    def _late(self, plan: Plan, asked: Sequence[Hashable], now_us: int) -> tuple[list[Raw], int]:
        """Answer from what was read last, or from nothing."""
        nothing: Raw = [None] * len(plan.steps), {}, Late("default")
        found: list[Raw] = []
        for each in asked:
            last = self._last.get(each) if plan.view.on_slow == "stale" else None
            found.append(nothing if last is None else (last.rows, last.applied, Late("stale", last.t_us)))
            if last is not None:
                now_us = max(now_us, last.t_us)  # the clock may have been set back since
        return found, now_us


def _told(plan: Plan, error: TransientError) -> TransientError:
    budget = show_duration(plan.budget_us or 0)
    what = f"no answer within the budget of {budget}: {error.what}"
    return TransientError(what, where=", ".join(filter(None, (plan.ref, error.where))), todo=error.todo)
