"""The same answer again, from history. Source: SEMANTICS section 3."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from asof.arrow.keys import encode_keys
from asof.arrow.types import TIMESTAMP
from asof.clock import from_us, show_us
from asof.definitions import Lookup
from asof.definitions.references import sources_of
from asof.derived import derived_of
from asof.engine.port import EVENT_COLUMN, Rows
from asof.erasure import Certificate, being_erased
from asof.errors import NotFoundError, UsageError
from asof.parts import Parts, Question, pinned_rows, resolve
from asof.records import SEMANTICS, Status
from asof.serving.late import late_statuses
from asof.serving.plan import looked_up
from asof.serving.receipt import Receipt
from asof.training.historical import HistoricalReader


@dataclass(frozen=True, slots=True)
class Replayed:
    """An answer made from history; the same dicts as a `Vector`."""

    values: Mapping[str, Any]
    statuses: Mapping[str, Status]
    event_times: Mapping[str, datetime | None]
    receipt: Receipt


def replay(parts: Parts, receipt: Receipt | Mapping[str, Any]) -> Replayed:
    """Answer a receipt from history; see `Store.replay`.

    Raises:
        UsageError: Another version of the rules made it, it lacks a key or a commit, or nothing was read for it.
        NotFoundError: Its view is gone, or was made anew, or its keys were erased.
        ConflictError: Retention dropped rows that it saw.
    """
    logged = None if isinstance(receipt, Receipt) else receipt.get("values")  # a row of a log says what it has
    if not isinstance(receipt, Receipt):
        receipt = Receipt.from_dict(receipt)
    if receipt.semantics != SEMANTICS:
        raise UsageError(f"the receipt was made under semantics {receipt.semantics}, this is {SEMANTICS}")
    if receipt.late is not None and receipt.late.how == "default":
        what = "nothing was read for this answer: the online store was slow, and the view answered null"
        raise UsageError(what, where=receipt.view, todo="there is nothing to make again")
    question = resolve(parts, receipt.view)
    pinned = _pinned(parts, question, receipt)
    lookups = question.view.lookups()
    columns = {
        name: pa.array([receipt.keys[name]]) if receipt.keys[name] is not None else pa.nulls(1)
        for name in question.view.spine_keys
    }
    times = pa.chunked_array([pa.array([receipt.seen_us]).cast(TIMESTAMP)])
    reader = HistoricalReader(parts)
    answered = reader.answer(question, lookups, pa.table(columns), times, pinned, "served")
    asked = [reader.keys(lookup, pa.table(columns), answered) for lookup in lookups]
    _refuse_erased(parts, receipt, lookups, asked)
    values: dict[str, Any] = {}
    statuses: dict[str, Status] = {}
    events: dict[str, datetime | None] = {}
    for answer in answered:
        event_us = answer.found.column(EVENT_COLUMN)[0].as_py()
        gone = _expired_since(receipt, answer.lookup, event_us)
        for name, column in answer.values().items():
            values[name] = None if gone else column[0].as_py()
            events[name] = None if event_us is None or answer.lookup.group.static else from_us(event_us)
        for name, column in answer.statuses().items():
            status = column[0].as_py()
            statuses[name] = "EXPIRED" if gone and status in {"PRESENT", "NULL"} else status
    derived = derived_of(question.view, question.ref)
    if derived is not None:
        made = derived.one(values, derived.inputs.read(receipt.keys, receipt.request))
        statuses |= {name: "PRESENT" if made[name] is not None else "NULL" for name in made}
        events |= dict.fromkeys(made)
    if receipt.late is not None:
        statuses = late_statuses(statuses, receipt.late, looked_up(question.view))
    order = [name for name in _outputs(question, receipt) if logged is None or name in logged]
    return Replayed(
        {n: values[n] for n in order}, {n: statuses[n] for n in order}, {n: events[n] for n in order}, receipt
    )


def _expired_since(receipt: Receipt, lookup: Lookup, event_us: int | None) -> bool:
    """Return whether a row that a stale answer was made from had expired when it was given."""
    ttl_us = lookup.group.ttl_us
    return event_us is not None and ttl_us is not None and event_us <= receipt.clock_us - ttl_us


class Definition:
    """What a question is by now: a view or group of the same name and number may have been made anew.

    A view goes before its groups, so its own time tells of them too. That of a group alone says less than its commits:
    T is never before a commit that answered, wherever the clocks stand.
    """

    def __init__(self, parts: Parts, question: Question) -> None:
        """Ask when it was made, and for the last commits."""
        self.made_us: int | None = None
        for name in sources_of(question.ref):
            with suppress(NotFoundError):  # it may be a group's name
                self.made_us = max(self.made_us or 0, parts.registry.view(name).created_at_us)
        groups = question.groups.values()
        self.last = {g.ref: max((c.number for c in parts.log.commits(g.stored, limit=1)), default=0) for g in groups}

    def is_older(self, receipt: Receipt) -> bool:
        """Return whether it was there when a receipt was made."""
        return self.made_us is None or receipt.seen_us >= self.made_us

    def answered(self, receipt: Receipt) -> bool:
        """Return whether a receipt can be of this definition."""
        return (
            self.is_older(receipt)
            and receipt.commits.keys() == self.last.keys()
            and all(receipt.commits[ref] <= number for ref, number in self.last.items())
        )


def _pinned(parts: Parts, question: Question, receipt: Receipt) -> dict[str, tuple[Rows, None]]:
    """Return the history of a receipt's commits; refuse a receipt that is not of this question."""
    definition = Definition(parts, question)
    if definition.is_older(receipt):  # else it may well have been of other keys and groups
        _refuse_without("key", question.view.spine_keys, receipt.keys, receipt)
        _refuse_without("commit of group", definition.last, receipt.commits, receipt)
    gone = NotFoundError(
        f"the definition that gave this answer at {show_us(receipt.clock_us)} is gone: {question.ref} was made anew",
        where=receipt.view,
        todo="nothing tells what it answered any more, but the serving log if the view had one",
    )
    if not definition.answered(receipt):
        raise gone
    rows = {name: pinned_rows(parts, g, pin=receipt.commits[g.ref]) for name, g in question.groups.items()}
    if any(snapshot.pin and snapshot.committed_at_us > receipt.seen_us for _, snapshot in rows.values()):
        raise gone
    return {name: (pinned, None) for name, (pinned, _) in rows.items()}


def _refuse_without(what: str, wanted: Iterable[str], given: Mapping[str, object], receipt: Receipt) -> None:
    for name in wanted:
        if name not in given:
            todo = "pass what receipt.to_dict() gave"
            raise UsageError(f"the receipt has no {what} {name}", where=receipt.view, todo=todo)


def _refuse_erased(parts: Parts, receipt: Receipt, lookups: Sequence[Lookup], keys: Sequence[pa.Table]) -> None:
    for table, lookup in zip(keys, lookups, strict=True):
        if any(column.null_count for column in table.columns):
            continue
        entity = lookup.group.entity.name
        (key,) = encode_keys(table)
        begun = being_erased(parts, entity, key)
        if begun is not None:
            raise NotFoundError(
                f"the {entity} of this receipt is being erased by erasure {begun.id}, which is not finished",
                where=receipt.view,
                todo="close the store and open it again: that finishes it",
            )
        erasure = parts.erasures.of(entity, key)
        done = None if erasure is None else Certificate.from_json(erasure.certificate)
        if done is not None and done.finished_at_us is not None and receipt.seen_us <= done.finished_at_us:
            raise NotFoundError(
                f"the {entity} of this receipt was erased by erasure {done.id} at {show_us(done.finished_at_us)}",
                where=receipt.view,
                todo="see store.catalog.erasures()",
            )


def _outputs(question: Question, receipt: Receipt) -> Sequence[str]:
    """Return the names of what was answered: not the features that a group was given since."""
    names = question.view.output_names()
    if receipt.width is None:
        return names
    then = {name for group in question.groups.values() for name in group.layout[: receipt.width]}
    return [name for name in names if name in then]
