"""The conformance suite of the reports port of a registry, and of what a commit puts aside.

class TestSqliteReports(ReportsSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
"""

from collections.abc import Callable

import pytest

from asof.errors import AsofError, ConflictError
from asof.records import Commit, Draft
from asof.registry.port import CommitLog, Metadata
from asof.registry.registered import RegisteredGroup
from asof.testing.registry import NOW_US, OpensRegistry, group_of


class ReportsSuite(OpensRegistry):
    """What a registry must do with what checks said; see `asof.registry.reports.Reports`, and `Draft.aside`."""

    @pytest.fixture
    def groups(self, both: Metadata) -> tuple[RegisteredGroup, RegisteredGroup]:
        """Give a group, and one for what is put aside."""
        both.registry.apply([group_of("g"), group_of("h")], now_us=NOW_US)
        return both.registry.group("g"), both.registry.group("h")

    def test_what_was_said_of_a_commit_is_kept_with_it(
        self, both: Metadata, groups: tuple[RegisteredGroup, RegisteredGroup], opened: Callable[[], Metadata]
    ) -> None:
        g, h = groups
        for body in ('{"ä": 1}', "", '{"b": 2}'):
            published(both.log, Draft(g.id, "write", report=body), writer="ana")
        kept = opened().reports.of(g)
        assert [(each.group, each.commit, each.writer, each.body) for each in kept] == [
            ("g@1", 1, "ana", '{"ä": 1}'),
            ("g@1", 3, "ana", '{"b": 2}'),
        ]
        assert [each.at_us for each in kept] == [commit.committed_at_us for commit in both.log.commits(g)[::2]]
        assert both.reports.of(g, limit=1) == kept[1:]
        assert both.reports.newest() == {g.id: kept[1]}
        assert both.reports.of(h) == []

    def test_what_was_said_of_a_refused_write_is_kept_without_a_commit(
        self, both: Metadata, groups: tuple[RegisteredGroup, RegisteredGroup]
    ) -> None:
        g, _ = groups
        both.reports.refused(g, "{}", writer="ana", now_us=NOW_US)
        (kept,) = both.reports.of(g)
        assert (kept.commit, kept.at_us, kept.writer, kept.body) == (0, NOW_US, "ana", "{}")
        assert both.log.commits(g) == []

    def test_bodies_can_be_redacted(self, both: Metadata, groups: tuple[RegisteredGroup, RegisteredGroup]) -> None:
        g, h = groups
        for group in (g, h):
            published(both.log, Draft(group.id, "write", report="secret"))
        assert both.reports.redact(g, lambda body: body.replace("secret", "-")) == 1
        assert both.reports.redact(g, lambda body: body) == 0
        assert [both.reports.of(group)[0].body for group in (g, h)] == ["-", "secret"]

    def test_reports_go_with_their_group(self, both: Metadata, groups: tuple[RegisteredGroup, RegisteredGroup]) -> None:
        g, _ = groups
        published(both.log, Draft(g.id, "write", report="{}"))
        both.registry.remove("g")
        assert both.reports.newest() == {}

    def test_what_is_put_aside_is_a_commit_of_the_same_time_that_names_the_other(
        self, both: Metadata, groups: tuple[RegisteredGroup, RegisteredGroup]
    ) -> None:
        g, h = groups
        published(both.log, Draft(h.id, "write", rows=7))
        commit = published(
            both.log, Draft(g.id, "write", quarantined=2, aside=Draft(h.id, "push", rows=2, payload=b"x"))
        )
        aside = both.log.commits(h)[-1]
        assert (aside.number, aside.kind, aside.rows, aside.meta) == (2, "push", 2, {"commit": "g@1:1"})
        assert aside.committed_at_us == commit.committed_at_us
        assert [payload for _, payload in both.log.snapshot(h).journal] == [b"x"]

    def test_what_a_repeated_commit_puts_aside_is_not_published_again(
        self, both: Metadata, groups: tuple[RegisteredGroup, RegisteredGroup]
    ) -> None:
        g, h = groups
        for repeated in (False, True):
            aside = Draft(h.id, "push", rows=1, payload=b"x")
            commit = published(
                both.log, Draft(g.id, "write", idempotency_key="k", digest="d", aside=aside, report="{}")
            )
            assert commit.repeated == repeated
        assert [len(both.log.commits(group)) for group in (g, h)] == [1, 1]
        assert len(both.reports.of(g)) == 1

    def test_a_commit_whose_aside_has_no_group_is_not_published(
        self, both: Metadata, groups: tuple[RegisteredGroup, RegisteredGroup]
    ) -> None:
        g, h = groups
        both.registry.remove("h")
        (answer,) = both.log.publish([[Draft(g.id, "write", aside=Draft(h.id, "push", rows=1))]], clock=lambda: NOW_US)
        assert isinstance(answer, ConflictError)
        assert both.log.commits(g) == []


def published(log: CommitLog, draft: Draft, *, writer: str = "") -> Commit:
    """Publish one draft."""
    (answer,) = log.publish([[draft]], clock=lambda: NOW_US, writer=writer)
    assert not isinstance(answer, AsofError), answer
    return answer[0]
