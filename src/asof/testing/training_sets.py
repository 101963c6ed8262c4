"""The conformance suite of the port of training sets of a registry: versions, what they depend on, and who goes first.

class TestSqliteTrainingSets(TrainingSetsSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from asof.definitions import Entity, Feature, FeatureGroup
from asof.errors import ConflictError, NotFoundError
from asof.registry.port import Metadata
from asof.registry.training_sets import KeptSet
from asof.testing.registry import NOW_US, OpensRegistry


def _applied(both: Metadata, *names: str) -> list[FeatureGroup]:
    entity = Entity("airport", keys={"origin": "string"})
    groups = [FeatureGroup(name, entity=entity, features=[Feature("x", "int64")]) for name in names]
    both.registry.apply(groups, now_us=NOW_US)
    return groups


def _kept(name: str, version: int, **parts: Any) -> KeptSet:  # noqa: ANN401 - of any kind
    kept = KeptSet(name, version, "weather@1", "rows@1", ("weather@1",), "d" * 64, NOW_US, "ana", '{"ä": 1}', b"\x00")
    return replace(kept, **parts)


class TrainingSetsSuite(OpensRegistry):
    """What a registry must do with training sets; see `asof.registry.training_sets.TrainingSets`."""

    def made(self, both: Metadata, name: str = "a", **parts: Any) -> KeptSet:  # noqa: ANN401 - of any kind
        """Keep a version."""
        kept = _kept(name, both.training_sets.begin(name, writer="ana", now_us=NOW_US), **parts)
        both.training_sets.finish(kept)
        return kept

    def test_versions_are_kept_and_found(self, both: Metadata, opened: Callable[[], Metadata]) -> None:
        _applied(both, "weather", "rows", "more")
        first = self.made(both)
        second = self.made(both, digest="e" * 64, group="more@1", statistics=None)
        other = self.made(both, "b")
        assert [first.version, second.version, other.version] == [1, 2, 1]
        assert opened().training_sets.all() == both.training_sets.all() == [first, second, other]
        assert both.training_sets.get("a") == both.training_sets.get("a@2") == second
        assert both.training_sets.get("a@1") == first
        with pytest.raises(NotFoundError, match="did you mean 'a@2'"):
            both.training_sets.get("a@3")
        with pytest.raises(NotFoundError, match="training set 'c'"):
            both.training_sets.get("c")
        deeds = both.deeds.find("training")
        assert [(deed.what, deed.about, deed.writer) for deed in deeds[:1]] == [("training set", "a@1", "ana")]

    def test_a_number_is_given_to_one_and_what_is_not_finished_is_not_there(self, both: Metadata) -> None:
        _applied(both, "weather", "rows")
        with ThreadPoolExecutor(4) as pool:
            tasks = [pool.submit(both.training_sets.begin, "a", writer="", now_us=NOW_US) for _ in range(8)]
            numbers = [task.result() for task in tasks]
        assert sorted(numbers) == list(range(1, 9))
        assert both.training_sets.all() == []
        with pytest.raises(NotFoundError):
            both.training_sets.get("a")
        assert both.training_sets.unfinished(before_us=NOW_US) == []
        assert len(both.training_sets.unfinished(before_us=NOW_US + 1)) == 8
        for number in numbers:
            both.training_sets.abandon("a", number)
        assert both.training_sets.unfinished(before_us=NOW_US + 1) == []
        assert both.training_sets.begin("a", writer="", now_us=NOW_US) == 1
        both.training_sets.abandon("a", 1)
        with pytest.raises(ConflictError, match="a@1 was removed while it was being made"):
            both.training_sets.finish(_kept("a", 1))
        kept = self.made(both)
        both.training_sets.abandon("a", 1)
        assert both.training_sets.all() == [kept], "what is finished is not given back"

    def test_what_it_reads_must_still_be_there_when_it_is_done(self, both: Metadata) -> None:
        _applied(both, "rows")
        with pytest.raises(ConflictError, match="weather@1 was removed while a@1 was being made"):
            self.made(both)

    def test_what_it_was_made_with_is_not_removed_before_it(self, both: Metadata) -> None:
        _applied(both, "weather", "rows", "labels")
        self.made(both, reads=("weather@1", "labels@1"))
        for name in ("weather", "weather@1", "labels", "rows"):
            with pytest.raises(ConflictError, match="first: asof training-set rm a@1") as caught:
                both.registry.remove(name)
            assert caught.value.data["dependants"] == ["a@1"]
        gone = both.training_sets.remove("a", now_us=NOW_US, writer="ben")
        assert [kept.ref for kept in gone] == ["a@1"]
        for name in ("weather", "labels", "rows"):
            assert both.registry.remove(name)
        assert ("remove", "a@1", "ben") in [(deed.what, deed.about, deed.writer) for deed in both.deeds.find("a@1")]

    def test_one_version_is_removed_or_all(self, both: Metadata) -> None:
        _applied(both, "weather", "rows")
        kept = [self.made(both) for _ in range(3)]
        assert both.training_sets.remove("a@2") == [kept[1]]
        assert both.training_sets.remove("a") == [kept[0], kept[2]]
        with pytest.raises(NotFoundError):
            both.training_sets.remove("a")

    def test_a_manifest_is_amended_and_what_is_gone_stays_so(self, both: Metadata) -> None:
        _applied(both, "weather", "rows")
        kept = self.made(both)
        other = replace(kept, manifest='{"erased": "äö"}', statistics=None)
        both.training_sets.amend(other)
        assert both.training_sets.get("a") == other
        both.training_sets.remove("a")
        both.training_sets.amend(kept)
        assert both.training_sets.all() == []
