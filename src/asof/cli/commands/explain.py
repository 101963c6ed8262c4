"""`asof explain`."""

from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, pairs, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import COMMIT_SHAPE, Document, commit_document
from asof.cli.lookup import find, key_values, known_mode
from asof.cli.screen import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asof.cli.screen import Screen
    from asof.quality.explanation import Explained, ExplainedWindow, Explanation, StoredEvent, Version

VERSION_SHAPE: Document = {
    "event_time": "2026-01-01T11:00:00Z",
    "available_at": "2026-01-01T11:10:00Z",
    "commit": COMMIT_SHAPE,
    "file": "weather@1.1/5f0c6e2a-1.parquet",
    "retired": False,
    "values": {"temp": 61.0},
    "retracted_by": None,
    "reason": "",
    "because": "",
}

EVENT_SHAPE: Document = {
    "keys": {"flight": 7},
    "event_time": "2026-01-01T11:00:00Z",
    "available_at": "2026-01-01T11:10:00Z",
    "commit": COMMIT_SHAPE,
    "value": 40.0,
    "retracted_by": None,
    "reason": "",
    "because": "",
}

SHAPE: Document = {
    "view": "departure@1",
    "keys": {"origin": "JFK"},
    "at": "2026-01-01T12:00:00Z",
    "lookups": [
        {
            "label": "weather",
            "group": "weather@1",
            "keys": {"origin": "JFK"},
            "sources": {"origin": "origin"},
            "known": "served",
            "pin": 17,
            "values": {"temp": 61.0},
            "statuses": {"temp": "PRESENT"},
            "because": "the newest row that counts, known since 2026-01-01T11:10:00Z",
            "answer": VERSION_SHAPE,
            "expires_at": "2026-01-01T17:00:00Z",
            "others": [VERSION_SHAPE],
            "counts": {"older": 1},
            "made_of": "",
            "windows": [
                {
                    "feature": "count_lifetime",
                    "told": "count of events over all time",
                    "after": None,
                    "until": "2026-01-01T12:00:00Z",
                    "value": 2,
                    "status": "PRESENT",
                    "because": "count of events over all time, 2 events up to 2026-01-01T12:00:00Z",
                    "count": 2,
                    "events": [EVENT_SHAPE],
                    "others": [EVENT_SHAPE],
                    "counts": {"retracted": 1},
                }
            ],
        }
    ],
}

EVENT_COLUMNS = ("event time", "event", "value", "known since", "commit", "why it does not count")

COLUMNS = ("event time", "known since", "values", "commit", "why it did not answer")


@asof_command("explain", shape=SHAPE)
@store_argument
@click.argument("view")
@click.argument("keys", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--at", metavar="TIME", help="T, such as 2026-01-01T12:00:00Z; default: that of an online answer now.")
@click.option("--feature", metavar="NAME", help="One feature of the view; default: all.")
@click.option("--known", metavar="WHEN", help='"served", "event", or a time such as 2026-01-01T12:00:00Z.')
@click.option("--commits", metavar="TAG", help="Explain the store as it stood at a tag, see `asof tag`.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="Show so many of the other rows of a key; of events also the first so many that count, and the last.",
)
def command(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    view: str,
    keys: tuple[str, ...],
    at: str | None,
    feature: str | None,
    known: str | None,
    commits: str | None,
    limit: int,
) -> Answer:
    """Say which row answers for a key, or which events do, and why the others do not.

    For each look-up of VIEW (a view or a group): the row that answers with its commit, file and writer, and the other
    rows of the key, the nearest to T first, each with the reason why it lost. Of a group that is made of events: for
    each feature its window, the first and last events that count, and the other rows. KEY=VALUE as in `asof online`.
    """
    from asof.clock import parse_time

    given = pairs(keys, what="key")
    moment = None if at is None else parse_time(at, what="--at")
    mode = known_mode(known)
    with open_store(store) as opened:
        values = key_values(find(opened, view), given)
        found = opened.quality.explain(
            view, values, at=moment, feature=feature, known=mode, commits=commits, limit=limit
        )
    return Answer(_document(found), lambda screen: _show(screen, found))


def _document(found: "Explanation") -> dict[str, Any]:
    from asof.quality.explanation import moment

    return {
        "view": found.view,
        "keys": found.keys,
        "at": moment(found.at),
        "lookups": [_lookup(each) for each in found.lookups],
    }


def _lookup(found: "Explained") -> dict[str, Any]:
    return {
        "label": found.label,
        "group": found.group,
        "keys": found.keys,
        "sources": found.sources,
        "known": found.known,
        "pin": found.pin,
        "values": found.values,
        "statuses": found.statuses,
        "because": found.because,
        "answer": None if found.answer is None else _version(found.answer),
        "expires_at": found.expires_at,
        "others": [_version(row) for row in found.others],
        "counts": found.counts,
        "made_of": found.made_of,
        "windows": [_window(each) for each in found.windows],
    }


def _window(found: "ExplainedWindow") -> dict[str, Any]:
    return {
        "feature": found.feature,
        "told": found.told,
        "after": found.after,
        "until": found.until,
        "value": found.value,
        "status": found.status,
        "because": found.because,
        "count": found.count,
        "events": [_event(row) for row in found.events],
        "others": [_event(row) for row in found.others],
        "counts": found.counts,
    }


def _event(row: "StoredEvent") -> dict[str, Any]:
    return {
        "keys": row.keys,
        "event_time": row.event_time,
        "available_at": row.available_at,
        "commit": commit_document(row.commit),
        "value": row.value,
        "retracted_by": None if row.retracted_by is None else commit_document(row.retracted_by),
        "reason": row.reason,
        "because": row.because,
    }


def _version(row: "Version") -> dict[str, Any]:
    return {
        "event_time": row.event_time,
        "available_at": row.available_at,
        "commit": commit_document(row.commit),
        "file": row.file,
        "retired": row.retired,
        "values": row.values,
        "retracted_by": None if row.retracted_by is None else commit_document(row.retracted_by),
        "reason": row.reason,
        "because": row.because,
    }


def _show(screen: "Screen", found: "Explanation") -> None:
    for place, each in enumerate(found.lookups):
        if place:
            screen.line()
        for window in each.windows:
            _show_window(screen, window, each.keys, found)
        if each.windows:
            continue
        screen.line(each.sentence(found.at), style="bold")
        answer = each.answer
        if answer is not None:
            facts = [("because", each.because), ("event time", answer.event_time), ("file", answer.file)]
            screen.facts([*facts, ("expires at", each.expires_at or "never")])
        if each.others:
            screen.table(COLUMNS, [_cells(row) for row in each.others])
        left = sum(each.counts.values()) - len(each.others)
        if left:
            screen.line(f"and {counted(left, 'more row')}; --limit N shows more", style="dim")


def _show_window(screen: "Screen", found: "ExplainedWindow", keys: "Mapping[str, Any]", of: "Explanation") -> None:
    screen.line(found.sentence(keys, of.at), style="bold")
    if found.events or found.others:
        screen.table(EVENT_COLUMNS, [_event_cells(row) for row in (*found.events, *found.others)])
    between, left = found.count - len(found.events), sum(found.counts.values()) - len(found.others)
    if between or left:
        counted_rows = f"{counted(between, 'more event')} in between, {counted(left, 'more row')} that do not count"
        screen.line(f"and {counted_rows}; --limit N shows more", style="dim")


def _event_cells(row: "StoredEvent") -> list[Any]:
    from asof.quality.explanation import shown

    keys = ", ".join(f"{name} {shown(value)}" for name, value in row.keys.items())
    why = f"{row.reason}: {row.because}" if row.reason else ""
    return [row.event_time, keys, row.value, row.available_at or "always", row.commit.id, why]


def _cells(row: "Version") -> list[Any]:
    from asof.quality.explanation import shown

    values = "retired" if row.retired else ", ".join(f"{name} {shown(value)}" for name, value in row.values.items())
    why = f"{row.reason}: {row.because}"
    return [row.event_time, row.available_at or "always", values, row.commit.id, why]
