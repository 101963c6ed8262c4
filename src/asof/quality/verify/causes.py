"""Why history says something else by now than what was served."""

from collections.abc import Sequence
from dataclasses import dataclass

from asof.definitions import FeatureView
from asof.engine.port import EVENT_COLUMN
from asof.parts import Parts, Question
from asof.quality.verify.result import Cause
from asof.records import COMMIT_COLUMN, Status
from asof.registry.registered import RegisteredGroup
from asof.serving.receipt import Receipt
from asof.training.answered import Answered

Version = tuple[int | None, int | None]
"""(event time, commit) of the row that answered; None where there was none."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the look-ups of one answer saw.

    Attributes:
        versions: The row that each look-up found.
        outputs: Each feature's look-up.
        statuses: Each feature's status.
    """

    versions: tuple[Version, ...]
    outputs: dict[str, int]
    statuses: dict[str, Status]


def seen_by(answered: Sequence[Answered]) -> list[Seen]:
    """Return what each row of the spine saw."""
    versions = list(zip(*(_versions(answer) for answer in answered), strict=True))
    outputs = {name: number for number, answer in enumerate(answered) for name in answer.values()}
    statuses = {name: column.to_pylist() for answer in answered for name, column in answer.statuses().items()}
    return [
        Seen(each, outputs, {name: states[at] for name, states in statuses.items()}) for at, each in enumerate(versions)
    ]


def made_of(view: FeatureView) -> dict[str, set[int]]:
    """Return the look-ups of which each on-demand feature is made, by itself or by what it is made of."""
    found = {name: {number} for number, each in enumerate(view.lookups()) for _, name in each.outputs if name}
    for each in view.derivations():
        found[each.name] = {number for name in each.inputs for number in found.get(name, ())}
    return found


def _versions(answer: Answered) -> list[Version]:
    return list(
        zip(
            answer.found.column(EVENT_COLUMN).to_pylist(),
            answer.found.column(COMMIT_COLUMN).to_pylist(),
            strict=True,
        )
    )


class Hindsight:
    """Answers that were served, beside what the present view says about their times by now.

    The answers are known to equal history at the commits of their receipts.
    """

    def __init__(
        self,
        parts: Parts,
        question: Question,
        served: Sequence[tuple[Receipt, Seen]],
        answered: Sequence[Answered],
    ) -> None:
        """Keep both sides, in the same order."""
        self._parts = parts
        self._question = question
        self._lookups = question.view.lookups()
        self._made_of = made_of(question.view)
        self._served = served
        self._now = seen_by(answered)
        self._committed: dict[str, dict[int, int]] = {}

    def why(self, at: int, number: int, feature: str) -> Cause:
        """Return the cause of a difference: of which answer, in which look-up, in which feature."""
        receipt, seen = self._served[at]
        now = self._now[at]
        if number == len(self._lookups):
            return self._why_made(receipt, seen, now, feature)
        if receipt.view != self._question.ref:
            expired = (seen.statuses[feature] == "EXPIRED") != (now.statuses[feature] == "EXPIRED")
            same_row = seen.versions[seen.outputs[feature]][0] == now.versions[number][0]
            return "ttl" if expired and same_row else "definition change"
        return "applying" if receipt.applying else self._cause(receipt, seen.versions, now.versions, number)

    def _why_made(self, receipt: Receipt, seen: Seen, now: Seen, feature: str) -> Cause:
        """Return the cause for what is made on demand: that of one of the look-ups of which it is made."""
        if receipt.view != self._question.ref:
            return "definition change"
        if receipt.applying:
            return "applying"
        for number in self._made_of[feature]:
            cause = self._cause(receipt, seen.versions, now.versions, number)
            if cause != "defect":
                return cause
        return "defect"

    def _cause(self, receipt: Receipt, then: Sequence[Version], now: Sequence[Version], number: int) -> Cause:
        lookup = self._lookups[number]
        for source in lookup.sources:
            if not isinstance(source, str) and then[source[0]] != now[source[0]]:  # another key was looked up
                return self._cause(receipt, then, now, source[0])
        group = self._question.groups[lookup.group.name]
        if group.source is not None:  # many events answer: of which one it is the matter, nobody knows
            later = self._parts.log.commits(group.source, after=receipt.commits[group.ref])
            return "late arrival" if later else "defect"
        if then[number] == now[number]:
            return "defect"
        event_us, commit = now[number]
        if commit is None or commit <= receipt.commits[group.ref]:  # the row that was served is hidden since
            return "correction"
        if self._committed_us(group, commit) <= receipt.clock_us:
            return "applying"
        served_us = then[number][0]
        late = served_us is None or (event_us is not None and event_us > served_us)
        return "late arrival" if late else "correction"

    def _committed_us(self, group: RegisteredGroup, commit: int) -> int:
        if group.ref not in self._committed:
            after = min(receipt.commits[group.ref] for receipt, _ in self._served if group.ref in receipt.commits)
            commits = self._parts.log.commits(group, after=after)
            self._committed[group.ref] = {each.number: each.committed_at_us for each in commits}
        return self._committed[group.ref][commit]
