"""Histories that were split into families at some commit pass the suite of the engine port, over every plan."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof.engine.families import FAMILIES, FamilyEngine, is_split, of_family
from asof.engine.port import Engine
from asof.testing.adapters import open_adapter
from asof.testing.engine import EngineSuite, searched
from asof.testing.layouts import Laid, Place, lay, layouts
from asof.testing.played import key_columns
from asof.testing.reference import Reference
from asof.testing.strategies import FEATURE_TYPES, Case, History, cases, instants, play

COLDS = (("n",), ("n", "s"), ("x",))


def lay_split(history: History, reference: Reference, places: Sequence[Place], folder: Path, **options) -> Laid:
    """Lay a history that was split somewhere: what is drawn tells where."""
    rows = sum(len(op.rows) for op in history.ops)
    cold = COLDS[rows % len(COLDS)]
    return lay(history, reference, places, folder, cold=cold, split_at=rows % 2 and len(history.ops) // 2, **options)


@pytest.mark.slow  # what a split changes has its own tests
class TestFamilies(EngineSuite):
    adapter = "duckdb"
    lay = staticmethod(lay_split)

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
        root = str(tmp_path_factory.mktemp("engine"))
        engine = FamilyEngine(open_adapter("engine", cls.adapter, cls.url or cls.adapter, root=root))
        yield engine
        engine.close()

    @searched
    @given(case=cases(), data=st.data())
    def test_rows_are_compared_with_the_newest_row_of_their_key(
        self, engine: Engine, folder: Path, case: Case, data: st.DataObject
    ) -> None:
        """What is the same in both families is the same; it is said only if one stored row has all features."""
        laid = self.lay(case.history, play(case.history), data.draw(layouts(case.history)), folder, pin=case.pin)
        stored = laid.reference.rows(case.pin, retracted=True)
        keys = list(dict.fromkeys(key for key, _ in case.spine if None not in key))
        blank = dict.fromkeys(FEATURE_TYPES)
        given_ = [data.draw(st.sampled_from([blank, *(row.values for row in stored)])) for _ in keys]
        t = data.draw(st.sampled_from(instants(case.history)))
        columns = {name: pa.array([v[name] for v in given_], laid.rows.schema.field(name).type) for name in blank}
        frame = pa.table({**key_columns(case.history, keys), **columns, "__event": pa.array([t] * len(keys))})
        found = engine.compare(laid.rows, frame).to_pylist()
        newest = {row.key: row for row in sorted(laid.reference.rows(case.pin), key=_version)}
        for key, values, each in zip(keys, given_, found, strict=True):
            row = newest.get(key)
            if row is None or row.retired or (row.event_time or 0) > t:
                assert set(each.values()) == {None}
                continue
            changed = {name: [value] != [row.values[name]] for name, value in values.items()}
            assert {name: each[name] for name in values} == changed
            versions = [
                ((other.event_time or 0, other.commit))
                for other in stored
                if other.key == key and other.values == row.values
            ]
            if each["__same"]:
                assert not any(changed.values())
                assert (each["__named_event"], each["__named_commit"]) in versions
            for family in FAMILIES if is_split(laid.rows) else ():
                names = [name for name in FEATURE_TYPES if (name in laid.rows.cold) is (family == "cold")]
                part = frame.select([*laid.rows.keys, *names, "__event"])
                own = engine.compare(of_family(laid.rows, family), part).to_pylist()[keys.index(key)]
                assert own["__same"] == (not any(changed[name] for name in names))
                named = [o for o in stored if o.key == key and all([o.values[n]] == [row.values[n]] for n in names)]
                assert (own["__named_event"], own["__named_commit"]) in [(o.event_time or 0, o.commit) for o in named]


class TestFamiliesAsOf(TestFamilies):
    url = "duckdb:as-of"


class TestFamiliesHash(TestFamilies):
    url = "duckdb:hash"


def _version(row) -> tuple:
    return (row.key, row.event_time or 0, row.commit)
