"""The commits of a group."""

from collections.abc import Mapping
from typing import Any

from asof.records import Commit
from asof.registry.registered import RegisteredGroup
from asof.ui.commit_table import commit_table
from asof.ui.page import Section, Subject

MOST = 1000
"""The newest commits are listed."""


def _made(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    asked, group = subject.asked, subject.registered
    words = asked.query.get("matching", "").casefold().split()
    found = asked.sight.commits(group, limit=MOST)[::-1]
    found = [each for each in found if all(word in _said(each) for word in words)]
    table = commit_table(
        found,
        asked.seen,
        now_us=asked.sight.now_us,
        query=asked.query,
        caption="Commits, the newest first",
        detailed=True,
    )
    return {"table": table, "matching": asked.query.get("matching", ""), "url": subject.url, "most": MOST}


def _said(commit: Commit) -> str:
    meta = (f"{name}={value}" for name, value in commit.meta.items())
    return " ".join((commit.id, commit.kind, commit.writer, commit.reason, *meta)).casefold()


def _has_rows(subject: Subject[RegisteredGroup]) -> bool:
    return subject.registered.source is None and subject.registered.definition.external is None


OF_GROUP: Section[RegisteredGroup] = Section(
    "Commits", "sections/commits.html", _made, tab="commits", applies=_has_rows
)
