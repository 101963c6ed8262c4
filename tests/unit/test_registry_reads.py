"""How often definitions are read: servers ask for them every few seconds, and answer nothing meanwhile."""

from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView

user = Entity("user", keys={"user": "int64"})


def wide(*more):
    return [
        FeatureGroup(
            name, entity=user, event_time="at", features=[Feature(f"{name}_{n}", "int64") for n in range(20)] + [*more]
        )
        for name in ("left", "right")
    ]


@pytest.fixture
def store(tmp_path):
    with asof.open(tmp_path) as opened:
        groups = wide()
        opened.apply(*groups, FeatureView("both", features=groups))
        yield opened


@contextmanager
def statements():
    """Count the statements that any registry executes."""
    seen = []

    def see(_connection, _cursor, statement, *_):
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", see)
    yield seen
    event.remove(Engine, "before_cursor_execute", see)


def test_a_view_is_read_by_as_many_statements_as_it_has_groups(tmp_path, store):
    store.close()
    with asof.open(tmp_path) as fresh, statements() as seen:
        assert len(fresh.catalog.find("both").definition.output_names()) == 40
        assert len(seen) <= 4  # the generation, the view, two groups


def test_a_definition_is_read_once_for_each_generation(store):
    store.catalog.find("both")
    with statements() as seen:
        first, second = store.catalog.find("both"), store.catalog.find("both")
    assert first is second
    assert len(seen) == 2


def test_a_definition_that_another_process_changed_is_read_again(tmp_path, store):
    assert "new" not in [feature.name for feature in store.catalog.find("left").definition.features]
    first = store.catalog.find("both")
    with asof.open(tmp_path) as other:
        other.apply(*wide(Feature("new", "int64", nullable=True)))
    assert "new" in [feature.name for feature in store.catalog.find("left").definition.features]
    assert store.catalog.find("both") is not first
