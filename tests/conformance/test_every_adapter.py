"""No adapter goes without the suites of its port."""

import importlib.util
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from asof.testing.commit_log import CommitLogSuite
from asof.testing.engine import EngineSuite
from asof.testing.history import HistorySuite
from asof.testing.keys import DeedsSuite, KeysSuite
from asof.testing.marks import ErasuresSuite, TagsSuite
from asof.testing.models import ModelsSuite
from asof.testing.monitors import MonitorsSuite
from asof.testing.online import OnlineStoreSuite
from asof.testing.registry import RegistrySuite
from asof.testing.spans import StatisticsSuite
from asof.testing.stream_positions import StreamPositionsSuite
from asof.testing.streams import StreamSuite
from asof.testing.training_sets import TrainingSetsSuite

SUITES = {
    "online": (OnlineStoreSuite,),
    "history": (HistorySuite,),
    "engine": (EngineSuite,),
    "stream": (StreamSuite,),
    "registry": (
        RegistrySuite,
        CommitLogSuite,
        TagsSuite,
        ErasuresSuite,
        KeysSuite,
        DeedsSuite,
        StreamPositionsSuite,
        StatisticsSuite,
        MonitorsSuite,
        ModelsSuite,
        TrainingSetsSuite,
    ),
}

ADAPTERS = [
    (part, point.name)
    for part in SUITES
    for point in entry_points(group=f"asof.{part}")
    if point.dist is not None and point.dist.name == "asof"  # others are tested where they live
]


def classes_of(file: Path) -> list[type]:
    spec = importlib.util.spec_from_file_location(f"looked_at_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [value for value in vars(module).values() if isinstance(value, type)]


def test_there_are_adapters() -> None:
    assert {part for part, _ in ADAPTERS} == set(SUITES)


@pytest.mark.parametrize(("part", "adapter"), ADAPTERS)
def test_every_adapter_is_held_to_the_suites_of_its_port(part: str, adapter: str) -> None:
    known = {point.name: point.value for point in entry_points(group=f"asof.{part}")}  # two names may be one adapter
    files = Path(__file__).parent.glob("test_*.py")
    found = [cls for file in files if file.name != Path(__file__).name for cls in classes_of(file)]
    for suite in SUITES[part]:
        held = [c for c in found if issubclass(c, suite) and c is not suite and c.__name__.startswith("Test")]
        values = {known[cls.adapter] for cls in held}
        assert known[adapter] in values, f"no subclass of {suite.__name__} has adapter = {adapter!r}"
