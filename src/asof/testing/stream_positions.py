"""The conformance suite of the streams port of a registry: positions that move with commits, and letters.

class TestSqliteStreams(StreamPositionsSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from asof.errors import AsofError
from asof.records import Commit, Draft, Letter, Step, Taken
from asof.registry.port import Metadata, StalePositionsError
from asof.registry.registered import RegisteredGroup
from asof.testing.processes import in_processes
from asof.testing.registry import NOW_US, OpensRegistry, group_of


class StreamPositionsSuite(OpensRegistry):
    """What a registry must do with what commits took from streams; see `asof.registry.port.Streams`."""

    @pytest.fixture
    def g(self, both: Metadata) -> RegisteredGroup:
        """Give a group; there is another one, h."""
        both.registry.apply([group_of("g"), group_of("h")], now_us=NOW_US)
        return both.registry.group("g")

    def test_positions_move_with_the_commit(
        self, both: Metadata, g: RegisteredGroup, opened: Callable[[], Metadata]
    ) -> None:
        assert both.streams.positions(g) == {}
        _taken(both, g, ("s", "0", "", "4"), ("s", "1", "", "7"))
        _taken(both, g, ("s", "0", "4", "9"), ("t", "0", "", "1-0"))
        expected = {("s", "0"): "9", ("s", "1"): "7", ("t", "0"): "1-0"}
        assert both.streams.positions(g) == opened().streams.positions(g) == expected
        assert both.streams.positions(g, "t") == {("t", "0"): "1-0"}
        assert both.streams.positions(both.registry.group("h")) == {}, "each group has its own"

    @pytest.mark.parametrize("before", ["", "3", "5"])
    def test_a_step_that_begins_elsewhere_publishes_nothing(
        self, both: Metadata, g: RegisteredGroup, before: str
    ) -> None:
        _taken(both, g, ("s", "0", "", "4"), ("s", "1", "", "4"))
        answer = _answer(both, g, ("s", "1", "4", "6"), ("s", "0", before, "6"), letters=(Letter("s", "0", "5", "x"),))
        assert isinstance(answer, StalePositionsError)
        assert len(both.log.commits(g)) == 1
        assert both.streams.positions(g) == {("s", "0"): "4", ("s", "1"): "4"}, "nor does the other partition move"
        assert both.streams.letters(g) == []

    def test_steps_of_one_batch_see_each_other(self, both: Metadata, g: RegisteredGroup) -> None:
        steps = [("", "4"), ("", "4"), ("4", "6")]
        drafts = [[Draft(g.id, "push", taken=Taken((Step("s", "0", *step),)))] for step in steps]
        first, twice, last = both.log.publish(drafts, clock=lambda: NOW_US)
        assert isinstance(first, list)
        assert isinstance(twice, StalePositionsError)
        assert isinstance(last, list)
        assert both.streams.positions(g) == {("s", "0"): "6"}
        assert [commit.number for commit in both.log.commits(g)] == [1, 2]

    def test_letters_are_kept_with_their_commit(self, both: Metadata, g: RegisteredGroup) -> None:
        letters = (
            Letter("s", "0", "2", "it is no JSON: ü", body=b"\x00{"),
            Letter("s", "0", "3", "too hot", row=1, body=b"{}"),
        )
        commit = _taken(both, g, ("s", "0", "", "4"), letters=letters)
        _taken(both, g, ("s", "0", "4", "5"), letters=(Letter("s", "0", "5", "late"),))
        found = both.streams.letters(g)
        assert [(each.place, each.row, each.reason, each.body) for each in found] == [
            ("2", None, "it is no JSON: ü", b"\x00{"),
            ("3", 1, "too hot", b"{}"),
            ("5", None, "late", b""),
        ]
        assert [(each.commit, each.at_us) for each in found[:2]] == [(1, commit.committed_at_us)] * 2
        assert [each.place for each in both.streams.letters(g, limit=2)] == ["3", "5"]

    def test_letters_can_be_blanked_and_stay(self, both: Metadata, g: RegisteredGroup) -> None:
        letters = tuple(Letter("s", "0", str(place), "why", body=b"what") for place in range(3))
        _taken(both, g, ("s", "0", "", "4"), letters=letters)
        assert both.streams.count_letters(g) == 3
        assert both.streams.blank_letters(both.registry.group("h")) == 0
        assert both.streams.blank_letters(g) == 3
        assert (both.streams.count_letters(g), both.streams.blank_letters(g)) == (0, 0)
        assert [(each.place, each.reason, each.body) for each in both.streams.letters(g)] == [
            (str(place), "", b"") for place in range(3)
        ]

    def test_they_go_with_their_group(self, both: Metadata, g: RegisteredGroup) -> None:
        _taken(both, g, ("s", "0", "", "4"), letters=(Letter("s", "0", "1", "x"),))
        both.registry.remove("g")
        assert (both.streams.positions(g), both.streams.letters(g)) == ({}, [])

    def test_members_that_take_the_same_messages_take_each_once(
        self, both: Metadata, g: RegisteredGroup, tmp_path: Path
    ) -> None:
        in_processes(_take_some, [(type(self), str(tmp_path)) for _ in range(3)])
        assert both.streams.positions(g) == {("s", "0"): "60"}
        assert sum(commit.rows for commit in both.log.commits(g)) == 60


def _answer(
    both: Metadata, group: RegisteredGroup, *steps: tuple[str, str, str, str], letters: tuple[Letter, ...] = ()
) -> list[Commit] | AsofError:
    taken = Taken(tuple(Step(*step) for step in steps), letters)
    (answer,) = both.log.publish([[Draft(group.id, "push", taken=taken)]], clock=lambda: NOW_US)
    return answer


def _taken(
    both: Metadata, group: RegisteredGroup, *steps: tuple[str, str, str, str], letters: tuple[Letter, ...] = ()
) -> Commit:
    answer = _answer(both, group, *steps, letters=letters)
    assert isinstance(answer, list)
    return answer[0]


def _take_some(suite: type[OpensRegistry], root: str) -> None:
    """Take messages up to 60, three at a time, beside others that do the same."""
    metadata = suite().open(Path(root))
    group = metadata.registry.group("g")
    position = 0
    for _ in range(1000):
        if position >= 60:
            break
        step = Step("s", "0", str(position or ""), str(position + 3))
        draft = Draft(group.id, "push", rows=3, taken=Taken((step,)))
        (answer,) = metadata.log.publish([[draft]], clock=lambda: NOW_US)
        assert isinstance(answer, list | StalePositionsError)
        position = int(metadata.streams.positions(group).get(("s", "0"), "0"))
    metadata.log.close()
