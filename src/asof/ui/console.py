"""The look-up console: somebody types a key, and sees its values, how old they are, and why they are so."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asof.clock import to_us
from asof.definitions.types import DType
from asof.errors import AsofError, UsageError
from asof.ingest.key_texts import key_values, parted
from asof.quality.explanation import Explanation
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.serving.online import Vector
from asof.ui.links import with_query
from asof.ui.page import Asked
from asof.ui.shown import local, moment, span, value
from asof.ui.tables import Cell, Column, Table, table_of

PREFIX = "key."
"""Begins the names of keys in the query."""

MOST = 150
"""Features of a page."""

TONES: Mapping[str, str] = {
    "PRESENT": "good",
    "NULL": "",
    "MISSING": "warn",
    "EXPIRED": "warn",
    "RETIRED": "bad",
    "STALE": "warn",
    "UNAVAILABLE": "bad",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A feature's value.

    Attributes:
        feature: Its name.
        value: The value.
        status: Its status.
        event_time: That of the row that answered; None if there is none.
    """

    feature: str
    value: Any
    status: str
    event_time: datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    """What the console shows of one group or view.

    Attributes:
        ref: Its version.
        href: Its page.
        table: The answers; None if there are none.
        why: Why they are so, if that was asked.
        problem: What is wrong with the question.
    """

    ref: str
    href: str
    table: Table | None = None
    why: Explanation | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Console:
    """What the console shows.

    Attributes:
        url: Where its form leads.
        keys: (name, type, what was typed) of each key.
        at: The time that was asked for, as the field holds it.
        found: The answers; empty if nothing was asked.
    """

    url: str
    keys: Sequence[tuple[str, str, str]]
    at: str
    found: Sequence[Found] = field(default_factory=tuple)


def console(
    asked: Asked, url: str, types: Mapping[str, DType], asks: Sequence[tuple[RegisteredGroup | RegisteredView, str]]
) -> Console:
    """Return what the console shows.

    Args:
        asked: The request.
        url: Where its form leads.
        types: The keys.
        asks: The groups and views that it asks, with their pages.
    """
    given = {name: asked.query.get(f"{PREFIX}{name}", "") for name in types}
    keys = [(name, str(dtype), given[name]) for name, dtype in types.items()]
    found: list[Found] = []
    if any(f"{PREFIX}{name}" in asked.query for name in types):
        served = _served_together(asked, [each for each, _ in asks], types, given)
        found = [_found(asked, url, each, types, given, served.get(each[0].ref)) for each in asks]
    return Console(url, keys, local(_moment(asked)), found)


def _moment(asked: Asked) -> datetime | None:
    with suppress(UsageError):  # that is said beside the answers
        return asked.moment("at")
    return None


def _served_together(
    asked: Asked,
    asks: Sequence[RegisteredGroup | RegisteredView],
    types: Mapping[str, DType],
    given: Mapping[str, str],
) -> dict[str, Vector]:
    """Return what is served now, all of it from one snapshot; nothing if that fails: each then says what is wrong."""
    names = [each.ref for each in asks if _is_online(each)]
    try:
        if asked.moment("at") is not None:
            return {}
        keys, request = _parted(asks, key_values(types, given))
        return dict(zip(names, asked.sight.look_up(names, keys, request), strict=True))
    except AsofError:
        return {}


def _found(  # noqa: PLR0917 - one question
    asked: Asked,
    url: str,
    ask: tuple[RegisteredGroup | RegisteredView, str],
    types: Mapping[str, DType],
    given: Mapping[str, str],
    served: Vector | None,
) -> Found:
    registered, href = ask
    try:
        (keys, request), at = _parted([registered], key_values(types, given)), asked.moment("at")
        wanted = asked.query.get("why", "")
        own = wanted.partition("/")[0] == registered.definition.name
        why = asked.sight.explain(registered.ref, keys, feature=wanted.partition("/")[2], at=at) if own else None
        if at is None and _is_online(registered):
            answers, now_us = _served(served or asked.sight.look_up([registered.ref], keys, request)[0])
        else:
            told = asked.sight.explain(registered.ref, keys, feature=None, at=at)
            answers, now_us = _told(told), to_us(told.at)
    except AsofError as error:
        return Found(registered.ref, href, problem=str(error))
    return Found(registered.ref, href, _table(asked, url, registered, answers, now_us), why)


def _parted(
    asks: Sequence[RegisteredGroup | RegisteredView], values: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return keys, and what a view wants of a request: a view is asked alone, groups want nothing."""
    return parted(asks[0].definition, values) if len(asks) == 1 else (dict(values), None)


def _is_online(registered: RegisteredGroup | RegisteredView) -> bool:
    groups = [registered] if isinstance(registered, RegisteredGroup) else registered.groups.values()
    return all(each.definition.online for each in groups)


def _served(vector: Vector) -> tuple[list[Answer], int]:
    """Return the answers that are served now, and when that is."""
    statuses, times = vector.statuses, vector.event_times
    answers = [Answer(each, found, statuses[each], times[each]) for each, found in vector.values.items()]
    return answers, to_us(vector.receipt.clock)


def _told(explanation: Explanation) -> list[Answer]:
    """Return the answers of history."""
    answers: list[Answer] = []
    for each in explanation.lookups:
        event_time = None if each.answer is None else each.answer.event_time
        answers += [
            Answer(name, found, each.statuses[name], event_time)
            for name, found in each.values.items()
            if "." not in name  # that only serves as a key
        ]
    return answers


def _table(
    asked: Asked, url: str, registered: RegisteredGroup | RegisteredView, answers: Sequence[Answer], now_us: int
) -> Table:
    query = {name: text for name, text in asked.query.items() if name.startswith(PREFIX) or name == "at"}

    def why(each: Answer) -> Cell:
        wanted = {**query, "why": f"{registered.definition.name}/{each.feature}"}
        return Cell("why?", href=f"{with_query(url, wanted)}#why")

    def event(each: Answer) -> Cell:
        at_us = None if each.event_time is None else to_us(each.event_time)
        return Cell("" if at_us is None else moment(at_us), at_us)

    def old(each: Answer) -> Cell:
        at_us = None if each.event_time is None else to_us(each.event_time)
        return Cell("" if at_us is None else span((now_us - at_us) / 1e6), None if at_us is None else now_us - at_us)

    columns: list[Column[Answer]] = [
        Column("feature", "feature", lambda each: Cell(each.feature, each.feature, tone="code")),
        Column("value", "value", lambda each: Cell(value(each.value), tone="null" if each.value is None else "strong")),
        Column("status", "status", lambda each: Cell(each.status, each.status, tone=TONES[each.status])),
        Column("event", "event time", event),
        Column("age", "age", old, numeric=True),
        Column("why", "explained", why),
    ]
    name = f"of-{registered.definition.name}"
    caption = f"{registered.ref} at {moment(now_us)}"
    return table_of(answers, columns, id_=name, caption=caption, query=asked.query, page_rows=MOST)
