"""The definitions of the example load, apply, and fit the tables that are made for them."""

from datetime import timedelta

import pyarrow as pa
import pytest

import asof
from asof.demo.context import NOW
from asof.demo.live import DELAY
from asof.demo.source import example, load
from asof.errors import MissingDependencyError


@pytest.fixture(scope="module")
def features():
    return load("features")


def test_the_examples_are_found_in_a_checkout():
    assert {"data.py", "features.py"} <= {path.name for path in example("flights").iterdir()}
    assert {"features.py", "README.md"} <= {path.name for path in example("fti").iterdir()}


def test_every_column_of_a_table_is_declared_with_its_type(features):
    data = load("data")
    tables = {
        features.weather: data.weather(),
        features.airports: data.airports(),
        features.planes: data.planes(),
        features.aircraft_arrivals: data.arrivals(),
        features.route_days: data.route_days(),
        features.arrivals: data.arrival_events(),
    }
    arrow = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    for group, table in tables.items():
        assert table.column_names == list(group.columns)
        for feature in group.features:
            assert table.schema.field(feature.name).type == arrow[str(feature.dtype)]
            assert feature.description


def test_the_view_takes_keys_from_the_spine_over_three_entities(features):
    assert {ref.group.entity.name for ref in features.departure.features} == {"airport", "aircraft", "route"}
    dest = [ref for ref in features.departure.features if ref.on]
    assert {ref.on for ref in dest} == {(("origin", "dest"),)}


def test_a_delay_counts_as_known_after_the_landing_only(features):
    assert features.aircraft_arrivals.event_time == "landed"
    assert features.aircraft_arrivals.delay_us == 90 * 60_000_000


def test_the_definitions_apply_once(features, tmp_path):
    groups = (
        features.weather,
        features.airports,
        features.planes,
        features.aircraft_arrivals,
        features.route_days,
        features.arrivals,
        features.carrier_arrivals,
        features.route_arrivals,
    )
    with asof.open(tmp_path / "store", clock=lambda: NOW) as store:
        plan = store.apply(*groups, features.departure, features.departure_live)
        assert {change.action for change in plan} == {"create"}
        assert not store.apply(*groups, features.departure, features.departure_live)


def test_windows_are_of_actual_landings_and_of_those_that_were_heard_of(features):
    for group in (features.carrier_arrivals, features.route_arrivals):
        assert group.source is features.arrivals
    assert features.arrivals.event_time == "landed"
    assert features.arrivals.delay_us == features.aircraft_arrivals.delay_us == DELAY // timedelta(microseconds=1)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    from asof.demo import run, source

    monkeypatch.setitem(source.EXTRA, "no_such_module_at_all", "no-such-package")
    with pytest.raises(MissingDependencyError, match=r'no-such-package.*pip install "asof\[demo\]"'):
        run()
