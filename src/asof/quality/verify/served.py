"""What was really served, as the serving log tells it, beside history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from asof.arrow.keys import encode_keys
from asof.definitions.serving_log import STATUS_LETTERS, is_log, log_name
from asof.derived import derived_of
from asof.errors import ConflictError, NotFoundError, UsageError
from asof.parts import Parts, Question, pinned_rows, resolve
from asof.quality.verify.causes import Hindsight, Seen, seen_by
from asof.quality.verify.compare import Asked, Tally, from_history, pinned_to, plain_cause, spine_of
from asof.records import SEMANTICS, Status
from asof.registry.registered import RegisteredGroup
from asof.serving.receipt import Receipt
from asof.serving.replay import Definition, replay
from asof.training.answered import Answered
from asof.training.historical import HistoricalReader


@dataclass(frozen=True, slots=True)
class Logged:
    """An answer out of the log: its receipt, and what was answered."""

    receipt: Receipt
    asked: Asked


def compare_served(parts: Parts, question: Question, tally: Tally, random: np.random.Generator, count: int) -> None:
    """Compare logged answers with history at their commits, and with what history says by now.

    Args:
        parts: The store's parts.
        question: The view as it is now.
        tally: Where to count.
        random: Chooses among the newest answers.
        count: How many answers to compare.
    """
    versions: dict[str, list[Logged]] = {}
    for answer in _newest(parts, question, random, count):
        versions.setdefault(answer.receipt.view, []).append(answer)
    replayed = [pair for ref, answers in versions.items() for pair in _replay(parts, ref, answers, tally)]
    present = [pair for pair in replayed if pair[0].receipt.keys.keys() >= question.view.spine_keys.keys()]
    tally.skip("hindsight", "definition change", len(replayed) - len(present))
    rows = {name: pinned_rows(parts, group) for name, group in question.groups.items()}
    horizon_us = max((s.horizon_us for _, s in rows.values() if s.horizon_us is not None), default=None)
    known = [pair for pair in present if horizon_us is None or pair[0].asked.t_us >= horizon_us]
    tally.skip("hindsight", "retention", len(present) - len(known))
    if known:
        asked = [logged.asked for logged, _ in known]
        history = from_history(parts, question, asked, {name: pinned for name, (pinned, _) in rows.items()})
        hindsight = Hindsight(parts, question, [(one.receipt, seen) for one, seen in known], history.answered)
        tally.compare("hindsight", asked, history, hindsight.why)


def _replay(parts: Parts, ref: str, answers: Sequence[Logged], tally: Tally) -> list[tuple[Logged, Seen]]:
    """Compare the answers of one view version with history at the commits of their receipts.

    Returns:
        Those that are equal, with what each look-up saw.
    """
    try:
        question = resolve(parts, ref)
        derived_of(question.view, ref)  # refuses functions that are others by now
    except (NotFoundError, UsageError, ConflictError):
        tally.skip("served", "definition change", len(answers))
        return []
    known = _comparable(parts, question, answers, tally)
    kept = [answer for answer in known if answer.receipt.late is None]
    _replay_stale(parts, [answer for answer in known if answer.receipt.late is not None], tally)
    if not kept:
        return []
    # Most rows that answer by now were in the history that the receipt names, and no look-up of its own is needed.
    asked = [answer.asked for answer in kept]
    rows = {name: pinned_rows(parts, group) for name, group in question.groups.items()}
    history = from_history(parts, question, asked, {name: pinned for name, (pinned, _) in rows.items()})
    gone = _erased(parts, question, asked, history.answered)
    tally.skip("served", "erased", len(gone))
    seen = seen_by(history.answered)
    proof = _Unchanged(parts, question, kept, {name: snapshot.horizon_us for name, (_, snapshot) in rows.items()})
    settled = {at for at, answer in enumerate(kept) if at not in gone and proof.holds(answer, seen[at])}
    wrong = tally.compare("served", asked, history, plain_cause(asked), among=settled)
    equal = [(kept[at], seen[at]) for at in sorted(settled - wrong)]
    by_pins: dict[tuple[tuple[str, int], ...], list[Logged]] = {}
    for at, answer in enumerate(kept):
        if at not in settled and at not in gone:
            by_pins.setdefault(tuple(answer.receipt.commits.items()), []).append(answer)
    return equal + [pair for each in by_pins.values() for pair in _replay_pinned(parts, question, each, tally)]


def _replay_stale(parts: Parts, answers: Sequence[Logged], tally: Tally) -> None:
    """Compare stale answers with history, each by its receipt: they have two times, and are few."""
    for answer in answers:
        try:
            again = replay(parts, answer.receipt)
        except ConflictError:
            tally.skip("served", "retention", 1)
        except NotFoundError:
            tally.skip("served", "erased", 1)
        else:
            tally.compare_again("served", answer.asked, again)


def _replay_pinned(
    parts: Parts, question: Question, answers: Sequence[Logged], tally: Tally
) -> list[tuple[Logged, Seen]]:
    """Compare answers of one set of commits; see `_replay`."""
    try:
        rows = pinned_to(parts, question, answers[0].receipt.commits)
    except ConflictError:
        tally.skip("served", "retention", len(answers))
        return []
    asked = [answer.asked for answer in answers]
    history = from_history(parts, question, asked, rows)
    wrong = tally.compare("served", asked, history, plain_cause(asked))
    return [(answers[at], seen) for at, seen in enumerate(seen_by(history.answered)) if at not in wrong]


def _comparable(parts: Parts, question: Question, answers: Sequence[Logged], tally: Tally) -> list[Logged]:
    """Return the answers that history can still tell; count the others."""
    ruled = [answer for answer in answers if answer.receipt.semantics == SEMANTICS]
    tally.skip("served", "semantics", len(answers) - len(ruled))
    seen = [answer for answer in ruled if answer.receipt.late is None or answer.receipt.late.how == "stale"]
    tally.skip("served", "unavailable", len(ruled) - len(seen))
    definition = Definition(parts, question)
    same = [answer for answer in seen if definition.answered(answer.receipt)]
    tally.skip("served", "definition change", len(seen) - len(same))
    return same


class _Unchanged:
    """Proves that history at the commits of a receipt says what all of history says.

    It does if each row that answers is of one of those commits: they are a part of all, and the newest of all is the
    newest of a part that holds it. A retract since then may have hidden a newer row, and retention may have dropped it.
    """

    def __init__(
        self, parts: Parts, question: Question, answers: Sequence[Logged], horizons_us: Mapping[str, int | None]
    ) -> None:
        self.lookups = question.view.lookups()
        self.groups = question.groups
        self.horizon_us = max((us for us in horizons_us.values() if us is not None), default=None)
        self.changed: dict[str, int] = {}
        for group in question.groups.values():
            after = min(answer.receipt.commits[group.ref] for answer in answers)
            # Of a group that is made of events any later commit may change an answer, as a retract may of others.
            later = parts.log.commits(group.stored, after=after)
            changing = [commit.number for commit in later if commit.kind == "retract" or group.source is not None]
            self.changed[group.ref] = max(changing, default=0)

    def holds(self, answer: Logged, seen: Seen) -> bool:
        if self.horizon_us is not None and answer.asked.t_us < self.horizon_us:
            return False
        for lookup, (_, commit) in zip(self.lookups, seen.versions, strict=True):
            ref = self.groups[lookup.group.name].ref
            if max(commit or 0, self.changed[ref]) > answer.receipt.commits[ref]:
                return False
        return True


def _erased(parts: Parts, question: Question, asked: Sequence[Asked], answered: Sequence[Answered]) -> set[int]:
    """Return the answers that `forget` took rows from."""
    found: set[int] = set()
    if not parts.erasures.all():
        return found
    spine = spine_of(question, asked)
    for answer in answered:
        keys = HistoricalReader(parts).keys(answer.lookup, spine, answered)
        rows = [at for at in range(len(asked)) if all(column[at].is_valid for column in keys.columns)]
        encoded = encode_keys(keys.take(pa.array(rows, pa.int64()))) if rows else []
        entity = answer.lookup.group.entity.name
        gone = {key for key in set(encoded) if parts.erasures.of(entity, key) is not None}
        found |= {at for at, key in zip(rows, encoded, strict=True) if key in gone}
    return found


def _newest(parts: Parts, question: Question, random: np.random.Generator, count: int) -> list[Logged]:
    """Return logged answers: a sample of the newest, of all versions of the log."""
    name = log_name(question.view.name)
    found: list[Logged] = []
    for group in reversed(parts.registry.groups()):
        if group.definition.name == name and is_log(group.definition) and len(found) < count:
            found += _of_version(parts, group, random, count - len(found))
    return found


def _of_version(parts: Parts, group: RegisteredGroup, random: np.random.Generator, count: int) -> list[Logged]:
    commits = [commit for commit in parts.log.commits(group, limit=count) if commit.rows]
    first_us: int | None = None
    rows = 0
    for commit in reversed(commits):
        if rows < count and commit.min_event_us is not None:
            first_us = commit.min_event_us if first_us is None else min(first_us, commit.min_event_us)
            rows += commit.rows
    if first_us is None:
        return []
    pinned, _ = pinned_rows(parts, group)
    columns = [name for name in group.definition.columns if name != "answer"]
    table = parts.engine.scan(pinned, columns=columns, after_us=first_us - 1).read_all()
    if table.num_rows > count:
        table = table.take(pa.array(np.sort(random.choice(table.num_rows, count, replace=False))))
    return [_logged(row) for row in table.to_pylist()]


def _logged(row: Mapping[str, Any]) -> Logged:
    receipt = Receipt.from_dict(row)
    values: dict[str, Any] = row["values"]
    statuses: dict[str, Status] = {
        name: STATUS_LETTERS[letter] for name, letter in zip(values, row["statuses"], strict=True)
    }
    return Logged(receipt, Asked(receipt.clock_us, receipt.keys, values, statuses, receipt.applying, receipt.request))
