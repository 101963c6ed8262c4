"""The conformance suite of the statistics port of a registry: spans that come with commits, are merged, and dropped.

class TestSqliteStatistics(StatisticsSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from asof.errors import ConflictError
from asof.records import Commit, DataFile, Draft, Span
from asof.registry.port import Metadata
from asof.registry.registered import RegisteredGroup
from asof.testing.registry import NOW_US, OpensRegistry, group_of


class StatisticsSuite(OpensRegistry):
    """What a registry must do with statistics of commits; see `asof.registry.statistics.Statistics`."""

    @pytest.fixture
    def g(self, both: Metadata) -> RegisteredGroup:
        """Give a group; there is another one, h."""
        both.registry.apply([group_of("g"), group_of("h")], now_us=NOW_US)
        return both.registry.group("g")

    def test_statistics_come_with_their_commit(
        self, both: Metadata, g: RegisteredGroup, opened: Callable[[], Metadata]
    ) -> None:
        body = bytes(range(256)) * 500
        first, _, third = _written(both, g, body), _written(both, g, None), _written(both, g, b"third")
        expected = [_span(first, body), _span(third, b"third")]
        assert both.statistics.spans(g) == opened().statistics.spans(g) == expected
        assert both.statistics.spans(g, bodies=False) == [replace(each, body=b"") for each in expected]
        assert both.statistics.spans(g, after=1) == both.statistics.spans(g, after=2, through=3) == expected[1:]
        assert both.statistics.spans(g, through=2) == expected[:1]
        assert both.statistics.spans(both.registry.group("h")) == [], "each group has its own"

    def test_a_repeated_commit_has_them_once(self, both: Metadata, g: RegisteredGroup) -> None:
        draft = Draft(g.id, "write", rows=1, idempotency_key="k", statistics=b"s")
        for _ in range(2):
            both.log.publish([[draft]], clock=lambda: NOW_US)
        assert len(both.statistics.spans(g)) == 1

    def test_commits_in_files_without_statistics_are_missing(self, both: Metadata, g: RegisteredGroup) -> None:
        commits = [_written(both, g, body) for body in (None, b"s", None, None)]
        both.log.publish([[Draft(g.id, "push", rows=1, payload=b"p")]], clock=lambda: NOW_US)
        both.log.publish([[Draft(g.id, "retract", target=3, reason="x")]], clock=lambda: NOW_US)
        both.log.publish([[Draft(g.id, "write", rows=0)]], clock=lambda: NOW_US)
        expected = [(each.number, each.committed_at_us, 2) for each in (commits[0], *commits[2:])]
        assert both.statistics.missing(g) == expected
        assert both.statistics.missing(g, after=1, through=3) == expected[1:2]

    def test_spans_are_replaced_by_one(self, both: Metadata, g: RegisteredGroup) -> None:
        one, other, last = (_span(_written(both, g, body), body) for body in (b"a", b"b", b"c"))
        joined = Span(1, 2, one.first_committed_us, other.last_committed_us, 2, b"ab")
        both.statistics.replace(g, removed=[one, other], added=[joined], drops=0)
        assert both.statistics.spans(g) == [joined, last]
        assert both.statistics.spans(g, after=1) == [joined, last], "a commit of it is after"
        assert both.statistics.spans(g, through=1) == [joined]
        assert both.statistics.missing(g) == []

    def test_who_comes_second_changes_nothing(self, both: Metadata, g: RegisteredGroup) -> None:
        one, other, last = (_span(_written(both, g, body), body) for body in (b"a", b"b", b"c"))
        joined = Span(1, 2, one.first_committed_us, other.last_committed_us, 2, b"ab")
        both.statistics.replace(g, removed=[one, other], added=[joined], drops=0)
        for removed, added, drops in (
            ([other, last], [replace(joined, first=2, last=3)], 0),
            ([], [replace(last, body=b"again")], 0),
            ([], [replace(joined, first=2, last=2)], 0),
            ([joined], [joined], 1),
        ):
            with pytest.raises(ConflictError):
                both.statistics.replace(g, removed=removed, added=added, drops=drops)
            assert both.statistics.spans(g) == [joined, last]

    def test_statistics_of_erased_rows_go_in_the_same_step(self, both: Metadata, g: RegisteredGroup) -> None:
        spans = [_span(_written(both, g, body), body) for body in (b"a", b"b", b"c", b"d")]
        joined = Span(2, 3, spans[1].first_committed_us, spans[2].last_committed_us, 2, b"bc")
        both.statistics.replace(g, removed=spans[1:3], added=[joined], drops=0)
        both.log.replace_files(g, removed=[], added=[], now_us=NOW_US, read=4, changed=[3])
        assert both.statistics.spans(g) == [spans[0], spans[3]]
        assert [number for number, _, _ in both.statistics.missing(g)] == [2, 3]
        with pytest.raises(ConflictError):
            both.statistics.replace(g, removed=[], added=[joined], drops=0)
        assert both.log.snapshot(g).drops == 1

    def test_what_is_sealed_gets_its_statistics_in_the_same_step(self, both: Metadata, g: RegisteredGroup) -> None:
        both.log.publish([[Draft(g.id, "push", rows=1, payload=b"p")]] * 2, clock=lambda: NOW_US)
        span = Span(1, 2, NOW_US, NOW_US + 1, 2, b"s")
        file = DataFile("f", 2, 10, 5, 7, stamped=True, first_commit=1, last_commit=2)
        both.log.replace_files(g, removed=[], added=[file], sealed=[1, 2], now_us=NOW_US, statistics=[span])
        assert both.statistics.spans(g) == [span]
        with pytest.raises(ConflictError):
            both.log.replace_files(g, removed=[], added=[], sealed=[1, 2], now_us=NOW_US, statistics=[span])
        assert both.statistics.spans(g) == [span]

    def test_they_go_with_their_group(self, both: Metadata, g: RegisteredGroup) -> None:
        _written(both, g, b"s")
        both.registry.remove("g")
        assert both.statistics.spans(g) == []


def _written(both: Metadata, group: RegisteredGroup, body: bytes | None) -> Commit:
    (answer,) = both.log.publish([[Draft(group.id, "write", rows=2, statistics=body)]], clock=lambda: NOW_US)
    assert isinstance(answer, list)
    return answer[0]


def _span(commit: Commit, body: bytes) -> Span:
    return Span(commit.number, commit.number, commit.committed_at_us, commit.committed_at_us, 1, body)
