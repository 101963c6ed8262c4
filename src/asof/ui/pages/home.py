"""The home page: how much there is, what wants to be looked at, what happened last."""

from asof.ui.commit_table import commit_table
from asof.ui.health import State, counted, states
from asof.ui.links import page_of
from asof.ui.page import Asked, Page
from asof.ui.sight import Seen
from asof.ui.tables import Cell, Column, Table, table_of

RECENT = 15
"""Commits that are shown."""

MOST = 10
"""Groups of a kind that are listed; a link leads to all."""


def home(asked: Asked) -> Page:
    """Return the home page."""
    seen, every = asked.seen, states(asked.sight, asked.seen)
    stale, failing = counted(every)
    features = sum(len(each.definition.features) for each in seen.newest_groups.values())
    stored = [each for each in every if each.group.source is None]  # what is made of others has no rows of its own
    figures = [
        ("groups", len(seen.newest_groups), "/groups", ""),
        ("features", features, "/groups", ""),
        ("views", len(seen.newest_views), "/views", ""),
        ("entities", len(seen.entities), "/entities", ""),
        ("rows", sum(each.totals.rows for each in stored), "", ""),
        ("commits", sum(each.totals.commits for each in stored), "", ""),
        ("stale groups", stale, "/groups?only=stale", "warn" if stale else "good"),
        ("failing groups", failing, "/groups?only=failing", "bad" if failing else "good"),
    ]
    troubled = sorted((each for each in every if each.why), key=lambda each: not each.failing)
    recent = asked.sight.recent(seen, limit=RECENT)
    now_us = asked.sight.now_us
    data = {
        "figures": figures,
        "troubled": _troubled(troubled[:MOST], seen, asked) if troubled else None,
        "more": max(len(troubled) - MOST, 0),
        "commits": commit_table(recent, seen, now_us=now_us, query=asked.query, caption="Newest commits"),
    }
    return Page("home.html", "Home", data)


def _troubled(every: list[State], seen: Seen, asked: Asked) -> Table:
    columns: list[Column[State]] = [
        Column("group", "group", lambda each: Cell(each.group.ref, each.group.ref, page_of(each.group, seen))),
        Column("state", "state", _state),
        Column("why", "why", lambda each: Cell(each.why, each.why, tone="wrap")),
        Column("owner", "owner", lambda each: Cell(each.group.definition.owner, each.group.definition.owner or None)),
    ]
    return table_of(every, columns, id_="troubled", caption="Groups to look at", query=asked.query)


def _state(state: State) -> Cell:
    return Cell("failing", "failing", tone="bad") if state.failing else Cell("stale", "stale", tone="warn")
