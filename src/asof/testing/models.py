"""The conformance suite of the port of models of a registry: versions, stages, and what they depend on.

class TestSqliteModels(ModelsSuite):
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
from asof.registry.models import KeptModel
from asof.registry.port import Metadata
from asof.registry.training_sets import KeptSet
from asof.testing.registry import NOW_US, OpensRegistry

DIGEST = "d" * 64


def _model(name: str = "delays", **parts: Any) -> KeptModel:  # noqa: ANN401 - of any kind
    kept = KeptModel(name, 0, "none", "a@1", DIGEST, "weather@1", "models/1", "f" * 64, NOW_US, "ana", '{"ä": 1}')
    return replace(kept, **parts)


class ModelsSuite(OpensRegistry):
    """What a registry must do with models; see `asof.registry.models.Models`."""

    @pytest.fixture
    def kept(self, both: Metadata) -> Metadata:
        """Return a registry with a training set."""
        entity = Entity("airport", keys={"origin": "string"})
        groups = [FeatureGroup(name, entity=entity, features=[Feature("x", "int64")]) for name in ("weather", "rows")]
        both.registry.apply(groups, now_us=NOW_US)
        version = both.training_sets.begin("a", writer="ana", now_us=NOW_US)
        both.training_sets.finish(
            KeptSet("a", version, "weather@1", "rows@1", ("weather@1",), DIGEST, NOW_US, "ana", "{}")
        )
        return both

    def test_versions_are_kept_and_found(self, kept: Metadata, opened: Callable[[], Metadata]) -> None:
        models = kept.models
        one, two, other = models.add(_model()), models.add(_model(stage="staging")), models.add(_model("other"))
        assert [one.ref, two.ref, other.ref] == ["delays@1", "delays@2", "other@1"]
        assert opened().models.all() == models.all() == [one, two, other]
        assert models.get("delays") == models.get("delays@2") == models.get("delays@staging") == two
        assert models.get("delays@1") == one
        for name, hint in (("delays@3", "delays@"), ("delays@production", "delays@"), ("delay", "delays")):
            with pytest.raises(NotFoundError, match=hint):
                models.get(name)
        (deed,) = [each for each in kept.deeds.find("model") if each.about == "delays@2"]
        assert (deed.what, deed.writer, deed.note) == ("model", "ana", "of a@1, staging")

    def test_a_stage_has_one_version_and_the_newest_live_one_is_found(self, kept: Metadata) -> None:
        models = kept.models
        one = models.add(_model(stage="production"))
        two = models.add(_model(stage="production"))
        assert [each.stage for each in models.all()] == ["archived", "production"]
        three = models.add(_model())
        assert models.move("delays@1", "production", now_us=NOW_US, writer="ben") == [
            replace(two, stage="archived"),
            replace(one, stage="production"),
        ]
        assert models.move("delays@1", "production") == []
        assert models.get("delays") == three
        models.move("delays@3", "archived")
        assert models.get("delays").ref == models.get("delays@production").ref == "delays@1"
        models.move("delays@1", "archived")
        assert models.get("delays").ref == "delays@3", "the newest, if none is live"

    def test_a_number_is_given_to_one(self, kept: Metadata) -> None:
        with ThreadPoolExecutor(4) as pool:
            tasks = [pool.submit(kept.models.add, _model(stage="production")) for _ in range(8)]
            numbers = [task.result().version for task in tasks]
        assert sorted(numbers) == list(range(1, 9))
        assert sorted(each.stage for each in kept.models.all()) == ["archived"] * 7 + ["production"]

    def test_what_it_was_fitted_on_is_there_and_the_same(self, kept: Metadata) -> None:
        with pytest.raises(ConflictError, match="b@1 was removed"):
            kept.models.add(_model(training_set="b@1"))
        with pytest.raises(ConflictError, match="a@1 is another one than the model was fitted on"):
            kept.models.add(_model(training_digest="e" * 64))
        assert kept.models.all() == []

    def test_a_training_set_is_removed_after_the_live_models_of_it(self, kept: Metadata) -> None:
        kept.models.add(_model(stage="production"))
        for name in ("a", "a@1"):
            with pytest.raises(ConflictError, match=r"a@1 by delays@1 \(production\)") as caught:
                kept.training_sets.remove(name)
            assert caught.value.data["dependants"] == ["delays@1"]
        kept.models.move("delays@1", "archived")
        kept.training_sets.remove("a")
        with pytest.raises(ConflictError, match="a@1 was removed"):
            kept.models.move("delays@1", "staging")
        assert kept.models.get("delays@1").stage == "archived"

    def test_one_version_is_removed_or_all_but_none_that_is_in_production(self, kept: Metadata) -> None:
        first, second, third = (kept.models.add(_model()) for _ in range(3))
        assert kept.models.remove("delays@2", now_us=NOW_US, writer="ben") == [second]
        assert ("remove", "delays@2", "ben") in [(each.what, each.about, each.writer) for each in kept.deeds.find("2")]
        kept.models.move("delays@3", "production")
        with pytest.raises(ConflictError, match="delays@3 is in production"):
            kept.models.remove("delays")
        assert len(kept.models.all()) == 2
        kept.models.move("delays@3", "archived")
        assert kept.models.remove("delays") == [first, replace(third, stage="archived")]
        with pytest.raises(NotFoundError):
            kept.models.remove("delays")
        assert kept.models.add(_model()).ref == "delays@4", "no number is given again"
        assert kept.models.add(_model("delay")).ref == "delay@1"

    def test_a_stage_is_no_version(self, kept: Metadata) -> None:
        for _ in range(2):
            kept.models.add(_model())
        for change in (lambda: kept.models.remove("delays@none"), lambda: kept.models.move("delays@none", "staging")):
            with pytest.raises(NotFoundError, match="delays@"):
                change()
        assert [each.stage for each in kept.models.all()] == ["none", "none"]
