"""Compare online answers with history, and count."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from asof.arrow.nested import same
from asof.arrow.types import TIMESTAMP, arrow_type
from asof.derived import derived_of
from asof.engine.port import Rows
from asof.parts import Parts, Question, pinned_rows
from asof.quality.verify.result import Cause, Difference, Stage, StageName
from asof.records import Status
from asof.serving.online import Vector
from asof.serving.replay import Replayed
from asof.training.answered import Answered
from asof.training.historical import HistoricalReader
from asof.training.made import Made, shown


@dataclass(frozen=True, slots=True)
class Asked:
    """One online answer: its T, its keys, and what came.

    Attributes:
        t_us: T.
        keys: The keys.
        values: The value of each feature.
        statuses: The status of each feature.
        applying: Whether a bulk load was being applied.
        request: What the request brought.
        commits: What was applied.
    """

    t_us: int
    keys: Mapping[str, Any]
    values: Mapping[str, Any]
    statuses: Mapping[str, Status]
    applying: bool = False
    request: Mapping[str, Any] | None = None
    commits: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def of(cls, vector: Vector) -> "Asked":
        """Return what a vector answered."""
        receipt = vector.receipt
        facts = receipt.applying, receipt.request, receipt.commits
        return cls(receipt.clock_us, receipt.keys, vector.values, vector.statuses, *facts)


Answer = tuple[Any, Status]
"""A value with its status."""

Why = Callable[[int, int, str], Cause]
"""Gives the cause of a difference: of which answer, in which look-up (their number: made on demand), which feature."""


def plain_cause(asked: Sequence[Asked]) -> Why:
    """Return the causes where nothing but a half-applied load can explain a difference."""
    return lambda at, _lookup, _feature: "applying" if asked[at].applying else "defect"


def pinned_to(parts: Parts, question: Question, commits: Mapping[str, int]) -> dict[str, Rows]:
    """Return the history of the groups of a question, up to commits."""
    return {name: pinned_rows(parts, group, pin=commits[group.ref])[0] for name, group in question.groups.items()}


def spine_of(question: Question, asked: Sequence[Asked]) -> pa.Table:
    """Return the keys of online answers as a spine."""
    types = question.view.spine_keys
    return pa.table({name: pa.array([each.keys[name] for each in asked], arrow_type(types[name])) for name in types})


@dataclass(frozen=True, slots=True)
class History:
    """What history says of online answers, a row for each.

    Attributes:
        answered: The look-ups.
        made: What is made on demand.
    """

    answered: Sequence[Answered]
    made: Made | None = None

    def each(self) -> Iterator[tuple[int, Answered | Made]]:
        """Iterate over what gave the features, with its number; what is made on demand comes behind the look-ups."""
        yield from enumerate(self.answered)
        if self.made is not None:
            yield len(self.answered), self.made


def from_history(parts: Parts, question: Question, asked: Sequence[Asked], rows: Mapping[str, Rows]) -> History:
    """Answer what was asked online from history, each at its own time: one look-up a group for all of them."""
    spine = spine_of(question, asked)
    times = pa.chunked_array([pa.array([each.t_us for each in asked], pa.int64()).cast(TIMESTAMP)])
    whole = {name: (pinned, None) for name, pinned in rows.items()}
    answered = HistoricalReader(parts).answer(question, question.view.lookups(), spine, times, whole, "served")
    derived = derived_of(question.view, question.ref)
    if derived is None:
        return History(answered)
    given = derived.inputs.columns([derived.inputs.read(each.keys, each.request) for each in asked])
    found = {name: column for answer in answered for name, column in answer.values().items()}
    return History(answered, Made(shown(derived.columns(found, given, len(asked)))))


class Tally:
    """Counts what is equal, and keeps what is not."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.compared: Counter[StageName] = Counter()
        self.skipped: dict[StageName, Counter[str]] = {}
        self.statuses: dict[Status, int] = dict.fromkeys(("PRESENT", "NULL", "MISSING", "EXPIRED", "RETIRED"), 0)
        self.differences: list[Difference] = []

    def compare(
        self,
        stage: StageName,
        asked: Sequence[Asked],
        history: History,
        why: Why,
        *,
        among: Collection[int] | None = None,
    ) -> set[int]:
        """Compare online answers with those of history; return which of them differ.

        Features that an online answer has not (its view was another version) are left out.

        Args:
            stage: What is compared.
            asked: Online answers.
            history: What history says, a row for each of them.
            why: Gives the cause of a difference.
            among: Only these rows.
        """
        differ: set[int] = set()
        for number, answer in history.each():
            columns = answer.values()
            for name, letters in answer.statuses().items():
                values, states = columns[name].to_pylist(), letters.to_pylist()
                for at, (each, value, state) in enumerate(zip(asked, values, states, strict=True)):
                    if name not in each.statuses or (among is not None and at not in among):
                        continue
                    online: Answer = (each.values[name], each.statuses[name])
                    if self._differ(stage, online, (value, state)):
                        differ.add(at)
                        cause = why(at, number, name)
                        difference = Difference(stage, each.t_us, each.keys, name, online, (value, state), cause)
                        self.differences.append(difference)
        return differ

    def compare_again(self, stage: StageName, asked: Asked, again: Replayed) -> None:
        """Compare an online answer with the same answer, made again."""
        for name, value in again.values.items():
            if name not in asked.statuses:
                continue
            online: Answer = (asked.values[name], asked.statuses[name])
            offline: Answer = (value, again.statuses[name])
            if self._differ(stage, online, offline):
                cause: Cause = "applying" if asked.applying else "defect"
                self.differences.append(Difference(stage, asked.t_us, asked.keys, name, online, offline, cause))

    def _differ(self, stage: StageName, online: Answer, offline: Answer) -> bool:
        """Count a value; return whether its sides say different things."""
        self.compared[stage] += 1
        self.statuses[offline[1]] = self.statuses.get(offline[1], 0) + 1
        return online[1] != offline[1] or not same(online[0], offline[0])

    def skip(self, stage: StageName, reason: str, answers: int) -> None:
        """Count answers that cannot be compared."""
        if answers:
            self.skipped.setdefault(stage, Counter())[reason] += answers

    def stages(self) -> tuple[Stage, ...]:
        """Return the comparisons in which anything was compared or skipped."""
        names = dict.fromkeys((*self.compared, *self.skipped))
        return tuple(
            Stage(
                name,
                self.compared[name],
                Counter(difference.cause for difference in self.differences if difference.stage == name),
                self.skipped.get(name, {}),
            )
            for name in names
        )
