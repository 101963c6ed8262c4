"""Transforms of a view, fitted with a training set: on the training part only, and applied alike to frames and answers."""

from datetime import timedelta

import pyarrow as pa
import pytest
from tests.on_demand_features import warmer_at
from tests.on_demand_features import weather as weather_of_functions

from asof import FeatureView, TimeSplit
from asof.errors import ConflictError, DataError, UsageError
from asof.transforms import Impute, MinMax, OneHot, Standard

HOURS = 20


@pytest.fixture
def own(store, place):
    """Give the store of the process that has the functions: the server's."""
    return store if place == "embedded" else store._opened


@pytest.fixture
def filled(store, weather, hourly):
    group = weather(ttl=None)
    transforms = {"temp": [Impute("mean"), Standard()], "visib": MinMax()}
    store.apply(group, FeatureView("departure", features=[group["temp"], group["visib"]], transforms=transforms))
    store.backfill("weather", hourly())
    return store


@pytest.fixture
def made(filled, at):
    spine = [{"origin": o, "t": at(h + 0.25), "n": h} for h in range(HOURS) for o in ("JFK", "LGA")]
    split = TimeSplit(cuts=[at(10)], names=("train", "test"))
    return filled.training_set("departure-2024", view="departure", spine=spine, time="t", split=split)


def test_they_are_fitted_on_the_training_part_only(made):
    train = made.to_arrow("train").column("temp").to_pylist()
    assert sorted(set(train)) == [float(hour) for hour in range(10)]
    scaled = made.transform(made.to_arrow("train"))
    assert sum(scaled.column("temp").to_pylist()) == pytest.approx(0)
    assert (min(scaled.column("visib").to_pylist()), max(scaled.column("visib").to_pylist())) == (0.0, 1.0)
    assert max(made.transform(made.to_arrow("test")).column("visib").to_pylist()) > 2.0
    assert scaled.column_names == ["origin", "t", "n", "temp", "visib"]


def test_frames_answers_and_rows_give_the_same_bits(made, filled, at):
    spine = [{"origin": o, "t": at(24)} for o in ("JFK", "LGA", "XXX")]
    frame = filled.historical("departure", spine, time="t")
    batch = made.transform(frame).select(["temp", "visib"]).to_pylist()
    vectors = [filled.online("departure", {"origin": row["origin"]}) for row in spine]
    assert [made.transform(vector) for vector in vectors] == batch
    assert [made.transform(vector.values) for vector in vectors] == batch
    assert batch[2] == {"temp": 0.0, "visib": None}  # missing: the mean, and null
    assert made.transform(vectors[0], raw=True) == {**batch[0], "temp__raw": 23.0, "visib__raw": 230.0}
    pandas = made.transform(frame.to_pandas(), raw=True)
    assert list(pandas.columns) == ["origin", "t", "temp", "visib", "temp__raw", "visib__raw"]


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames_of_every_kind_get_the_same_values(made, kind):
    table = made.to_arrow("train")
    expected = made.transform(table)
    frame = getattr(made, f"to_{kind}")("train")
    found = made.transform(frame)
    assert list(found.columns) == expected.column_names
    assert found["temp"].to_list() == expected.column("temp").to_pylist()
    assert found["n"].to_list() == table.column("n").to_pylist()
    features = made.transform(frame[["temp", "visib"]])
    assert features["visib"].to_list() == expected.column("visib").to_pylist()
    if kind == "pandas":
        assert list(made.transform(frame.iloc[::2]).index) == list(frame.index[::2])


def test_an_opened_set_has_them_and_so_has_a_rebuilt_one(made, filled, at):
    filled.write("weather", [{"origin": "JFK", "time_hour": at(23.5), "temp": 60.0, "visib": 1.0}])
    again = filled.training_set("departure-2024")
    assert again.fitted.digest == made.fitted.digest
    assert again.rebuild().transform(again.to_arrow("test")).equals(made.transform(made.to_arrow("test")))
    assert dict(made.facts())["fitted"] == "temp, visib"


def test_forget_takes_what_was_learned_of_the_rows(made, filled):
    assert made.fitted.inputs == ("temp", "visib")
    filled.forget("airport", {"origin": "JFK"})
    again = filled.training_set("departure-2024")
    assert "fitted" not in dict(again.facts())
    with pytest.raises(ConflictError, match=r"what its transforms learned went with the rows that were erased"):
        again.transform(again.to_arrow("train"))


def test_a_view_without_transforms_says_so(store, weather, hourly, at):
    group = weather(ttl=None)
    store.apply(group, FeatureView("plain", features=[group["temp"]]))
    store.backfill("weather", hourly())
    made = store.training_set("plain-set", view="plain", spine=[{"origin": "JFK", "t": at(3)}], time="t")
    with pytest.raises(UsageError, match=r"the view plain@1 has no transforms"):
        made.transform(made.to_arrow())


def test_rows_that_teach_nothing_make_no_training_set(filled, at):
    spine = [{"origin": "XXX", "t": at(h)} for h in range(3)]
    with pytest.raises(DataError, match=r"the training split has no value in its 3 rows"):
        filled.training_set("nothing", view="departure", spine=spine, time="t")
    assert filled.catalog.training_sets() == []


def test_what_is_made_on_demand_is_kept_made_again_and_transformed(store, own, at):
    transforms = {"warmer_at": Standard(), "note": OneHot()}
    features = [weather_of_functions["temp"], weather_of_functions["note"], warmer_at]
    own.apply(weather_of_functions, FeatureView("view", features=features, transforms=transforms))
    rows = [{"origin": "JFK", "time_hour": at(h), "temp": float(h), "wind": h, "note": "ab"[h % 2]} for h in range(24)]
    store.backfill("weather", rows)
    spine = pa.table(
        {"origin": ["JFK"] * 20, "t": [at(h) + timedelta(minutes=5) for h in range(20)], "hour": range(20)}
    )
    made = store.training_set("of-functions", view="view", spine=spine, time="t")
    kept = made.to_arrow()
    assert kept.column("warmer_at").to_pylist() == [h + h / 10 for h in range(20)]
    assert made.rebuild().to_arrow().equals(kept)
    assert made.transform(kept).column_names == ["origin", "t", "hour", "temp", "note=a", "note=b", "warmer_at"]
    online = store.online("view", {"origin": "JFK"}, request={"hour": 3})
    assert made.transform(online).keys() == {"temp", "note=a", "note=b", "warmer_at"}
