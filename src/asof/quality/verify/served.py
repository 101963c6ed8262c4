"""What was really served, as the serving log tells it, beside history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from asof.arrow.keys import key_encoder
from asof.arrow.types import arrow_type
from asof.definitions.serving_log import STATUS_LETTERS, is_log, log_name
from asof.errors import ConflictError, NotFoundError
from asof.parts import Parts, Question, pinned_rows, resolve
from asof.quality.verify.causes import Hindsight, Seen, seen_by
from asof.quality.verify.compare import Asked, Tally, from_history, pinned_to, plain_cause
from asof.records import SEMANTICS, Status
from asof.registry.port import RegisteredGroup
from asof.serving.receipt import Receipt


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
    replayed: list[tuple[Logged, Seen]] = []
    for (ref, _), answers in _by_pins(_newest(parts, question, random, count)).items():
        replayed += _replay(parts, ref, answers, tally)
    present = [pair for pair in replayed if pair[0].receipt.keys.keys() >= question.view.spine_keys.keys()]
    tally.skip("hindsight", "definition change", len(replayed) - len(present))
    rows = {name: pinned_rows(parts, group) for name, group in question.groups.items()}
    horizon_us = max((s.horizon_us for _, s in rows.values() if s.horizon_us is not None), default=None)
    known = [pair for pair in present if horizon_us is None or pair[0].asked.t_us >= horizon_us]
    tally.skip("hindsight", "retention", len(present) - len(known))
    if known:
        asked = [logged.asked for logged, _ in known]
        answered = from_history(parts, question, asked, {name: pinned for name, (pinned, _) in rows.items()})
        hindsight = Hindsight(parts, question, [(one.receipt, seen) for one, seen in known], answered)
        tally.compare("hindsight", asked, answered, hindsight.why)


def _replay(parts: Parts, ref: str, answers: Sequence[Logged], tally: Tally) -> list[tuple[Logged, Seen]]:
    """Compare answers of one view version and one set of commits with history at those commits.

    Returns:
        Those that are equal, with what each look-up saw.
    """
    receipt = answers[0].receipt
    if receipt.semantics != SEMANTICS:
        tally.skip("served", "semantics", len(answers))
        return []
    try:
        question = resolve(parts, ref)
        rows = pinned_to(parts, question, receipt.commits)
    except ConflictError:
        tally.skip("served", "retention", len(answers))
        return []
    except (NotFoundError, KeyError):
        tally.skip("served", "definition change", len(answers))
        return []
    # A view or group of the same name and number may have been made anew after the answer.
    made_us = max(parts.registry.view(ref).created_at_us, *(g.created_at_us for g in question.groups.values()))
    same = [answer for answer in answers if answer.asked.t_us >= made_us]
    tally.skip("served", "definition change", len(answers) - len(same))
    erased = _Erased(parts, question)
    kept = [answer for answer in same if not erased.holds(answer.receipt)]
    tally.skip("served", "erased", len(same) - len(kept))
    if not kept:
        return []
    asked = [answer.asked for answer in kept]
    answered = from_history(parts, question, asked, rows)
    wrong = tally.compare("served", asked, answered, plain_cause(asked))
    return [(kept[at], seen) for at, seen in enumerate(seen_by(answered)) if at not in wrong]


class _Erased:
    """Knows which answers `forget` took the rows from."""

    def __init__(self, parts: Parts, question: Question) -> None:
        self.parts = parts
        self.keys: list[tuple[str, tuple[str, ...], Any]] = []
        if not parts.erasures.all():
            return
        for lookup in question.view.lookups():
            entity = lookup.group.entity
            names = tuple(source for source in lookup.sources if isinstance(source, str))
            if len(names) == len(lookup.sources):
                types = [arrow_type(dtype) for dtype in entity.keys.values()]
                self.keys.append((entity.name, names, key_encoder(types, names, where=question.ref)))

    def holds(self, receipt: Receipt) -> bool:
        for entity, names, encode in self.keys:
            values = [receipt.keys[name] for name in names]
            if None not in values and self.parts.erasures.of(entity, encode(values)) is not None:
                return True
        return False


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
    return Logged(receipt, Asked(receipt.clock_us, receipt.keys, values, statuses, receipt.applying))


def _by_pins(answers: Sequence[Logged]) -> dict[tuple[str, tuple[tuple[str, int], ...]], list[Logged]]:
    found: dict[tuple[str, tuple[tuple[str, int], ...]], list[Logged]] = {}
    for answer in answers:
        found.setdefault((answer.receipt.view, tuple(answer.receipt.commits.items())), []).append(answer)
    return found
