"""Questions that cannot be answered: what, where and what to do are said, and nothing changes."""

import math
from datetime import date, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from asof import Entity, Feature, FeatureGroup
from asof.errors import DataError, NotFoundError, UnsupportedError, UsageError

NAIVE = datetime(2024, 1, 1, 5)  # noqa: DTZ001 - the case
SURROGATE = "\ud800"


@pytest.fixture
def refused(nothing_written):
    """Give a check of calls that must be refused: the error's class and parts, and nothing written."""

    def check(error, *uses, what, where="", todo=""):
        with nothing_written():
            for use in uses:
                with pytest.raises(error) as caught:
                    use()
                assert what in caught.value.what
                assert where in caught.value.where
                assert caught.value.todo
                assert todo in caught.value.todo
                assert str(caught.value).endswith(f"-> {caught.value.todo}")

    return check


@pytest.fixture
def ask(store, at):
    """Give a question to the gates, of one row that is changed; each is asked of pandas, polars and Arrow."""

    def make(view="gates", drop=(), time="at", changed=None, **options):
        columns = {"number": pa.array([1, 1]), "wing": pa.array([1, 1]), "at": pa.array([at(3)] * 2)} | (changed or {})
        table = pa.table({name: column for name, column in columns.items() if name not in drop})
        frames = [table, table.to_batches()[0]]
        if not any(pa.types.is_string(c.type) and name == "at" for name, c in columns.items()):
            frames.append(pl.from_arrow(table))
        return [lambda frame=frame: store.historical(view, frame, time=time, **options) for frame in frames]

    return make


def test_a_spine_lacks_no_key_and_no_time(refused, ask):
    refused(
        NotFoundError, *ask(drop=["number"]), what="unknown spine column 'number'", where="key number of group gates"
    )
    misspelt = ask(drop=["wing"], changed={"wimg": pa.array([1, 1])})
    refused(NotFoundError, *misspelt, what="unknown spine column 'wing'", todo="did you mean 'wimg'?")
    refused(NotFoundError, *ask(drop=["at"]), what="unknown spine column 'at'", where="time=")
    refused(NotFoundError, *ask(time="att"), what="unknown spine column 'att'", todo="did you mean 'at'?")


def test_the_time_of_a_question_is_a_moment(store, refused, ask, at):
    for values, what in (
        (pa.array([at(3), None]), "null time in row 1"),
        (pa.nulls(2), "null time in row 0"),
        (pa.array([NAIVE] * 2), "naive times (row 0 holds 2024-01-01 05:00:00)"),
        (pa.array(["noon"] * 2), "string is no time (row 0 holds 'noon')"),
        (pa.array([1, 2]), "int64 is no time (row 0 holds 1)"),
        (pa.array([date(2024, 1, 1)] * 2), "date32[day] is no time"),
        (pa.array([1000, 1001], pa.timestamp("ns", "UTC")), "row 1 holds 1001 ns, no whole microsecond"),
    ):
        refused(DataError, *ask(changed={"at": values}), what=what, where="spine column at")
    far = pa.table({"number": [1], "wing": [1], "at": pa.array([2**62], pa.timestamp("us", "UTC"))})
    use = lambda: store.historical("gates", far, time="at")  # noqa: E731 - a case
    refused(DataError, use, what="outside of the years 1 to 9999", where="spine column at")


def test_one_time_for_all_rows_is_an_aware_datetime(refused, ask):
    refused(UsageError, *ask(time=None), what="at which time?", where="view gates@1")
    refused(UsageError, *ask(time=NAIVE), what="time 2024-01-01T05:00:00 has no time zone")
    for time in (5, date(2024, 1, 1), ["at"]):
        refused(
            UsageError, *ask(time=time), what=f"time={time!r} is neither a column nor a datetime", where="view gates@1"
        )


def test_a_zone_that_nobody_knows_is_refused(refused, ask):
    naive = {"at": pa.array([NAIVE] * 2)}
    refused(
        DataError,
        *ask(changed=naive, timezone="Mars/Phobos"),
        what="unknown time zone 'Mars/Phobos'",
        where="spine column at",
    )
    gap = {"at": pa.array([datetime(2023, 3, 12, 2, 30)] * 2)}  # noqa: DTZ001 - the case
    local = ask(changed=gap, timezone="America/New_York")
    refused(DataError, *local, what="a local time does not name one moment", where="spine column at")


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.float64()])
def test_a_spine_key_of_another_width_is_accepted_if_nothing_is_lost(ask, kind):
    for use in ask(changed={"number": pa.array([1, 2], kind)}, known="event"):
        answer = use().to_arrow()
        assert answer.column("busy").to_pylist() == [True, None]
        assert answer.column("number").type == kind


def test_a_null_key_is_missing_and_no_error(store, ask, at):
    for use in ask(changed={"number": pa.array([1, None])}, known="event", statuses=True):
        assert use().to_arrow().column("busy__status").to_pylist() == ["PRESENT", "MISSING"]
    spine = pd.DataFrame({"number": [1.0, np.nan], "wing": [1, 1], "at": [at(3)] * 2})
    found = store.historical("gates", spine, time="at", known="event", statuses=True).to_pandas()
    assert found["busy__status"].tolist() == ["PRESENT", "MISSING"]


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (pa.array([1, 2**15]), "row 1 holds 32768 (int64), which is no int16"),
        (pa.array([1, 2**64 - 1], pa.uint64()), "row 1 holds 18446744073709551615 (uint64), which is no int16"),
        (pa.array([1.0, 1.5]), "row 1 holds 1.5 (double), which is no int16"),
        (pa.array([1.0, math.nan]), "row 1 holds nan (double), which is no int16"),
        (pa.array(["1", "2"]), "row 0 holds '1' (string), which is no int16"),
        (pa.array([True, True]), "row 0 holds True (bool), which is no int16"),
    ],
)
def test_a_spine_key_that_does_not_fit_is_refused(refused, ask, values, what):
    refused(
        DataError, *ask(changed={"number": values}), what=what, where="spine column number, key number of group gates"
    )


def test_a_spine_key_that_is_no_text_is_refused(store, refused, at):
    raw = pa.array([b"\xff\xfe"])
    text = pa.StringArray.from_buffers(1, *raw.buffers()[1:])
    for column, what in (
        (raw, r"row 0 holds b'\xff\xfe' (binary)"),
        (text, r"row 0 holds b'\xff\xfe' (string)"),
        (pa.array([7]), "row 0 holds 7"),
    ):
        spine = pa.table({"origin": column, "at": pa.array([at(3)])})
        use = lambda spine=spine: store.historical("weather", spine, time="at")  # noqa: E731 - a case
        refused(DataError, use, what=what, where="spine column origin, key origin of group weather")
    for value, what in ((SURROGATE, r"holds '\ud800'"), (object(), "holds <object")):
        use = lambda value=value: store.historical("weather", [{"origin": value, "at": at(3)}], time="at")  # noqa: E731 - a case
        refused(DataError, use, what=what, where="spine, column origin")


def test_a_spine_of_mixed_types_or_equal_names_is_refused(store, refused, at):
    def use(spine):
        return lambda: store.historical("weather", spine, time="at")

    mixed = {"origin": ["JFK", 5], "at": [at(3)] * 2}
    refused(
        DataError, use(mixed), use(pd.DataFrame(mixed)), what="mixes types: row 1 holds 5", where="spine, column origin"
    )
    times = {"origin": ["JFK"] * 2, "at": [at(3), NAIVE]}
    frame = pd.DataFrame({"origin": ["JFK"] * 2, "at": pd.Series(times["at"], dtype=object)})
    refused(DataError, use(times), use(frame), what="row 1 has no time zone", where="spine, column at")
    names = ["origin", "x", "x", "at"]
    twice = pa.table([["JFK"], [1], [1], pa.array([at(3)])], names=names)
    frame = pd.DataFrame([["JFK", 1, 1, at(3)]], columns=names)
    refused(DataError, use(twice), use(frame), what="the frame has two columns 'x'", where="spine")
    refused(UsageError, use(5), use("spine.csv"), use(None), what="is no frame")


def test_a_spine_column_that_clashes_with_an_answer_is_refused(refused, ask):
    ones = pa.array([1, 1])
    for name, options in (("busy", {}), ("busy__status", {"statuses": True}), ("gates__busy", {"full_names": True})):
        uses = ask(changed={name: ones}, **options)
        refused(UsageError, *uses, what=f"the spine already has a column {name!r}", where="view gates@1", todo="alias")
    for use in ask(changed={"busy": ones}, full_names=True, known="event"):
        assert use().to_arrow().column("gates__busy").to_pylist() == [True, True]


def test_an_empty_spine_is_answered_with_no_rows(store):
    empty = pd.DataFrame(columns=["number", "wing", "at"])
    for spine in (empty, pa.table({"number": [], "wing": [], "at": []}), pl.from_pandas(empty.astype("float64"))):
        if isinstance(spine, pl.DataFrame):
            spine = spine.with_columns(at=pl.lit(None, pl.Datetime("us", "UTC")))  # noqa: PLW2901 - the same, typed
        answer = store.historical("gates", spine, time="at").to_arrow()
        assert (answer.num_rows, answer.column_names) == (0, ["number", "wing", "at", "busy"])


def test_knowledge_and_pins_that_are_none_are_refused(refused, ask, store):
    for known in ("now", 5):
        refused(UsageError, *ask(known=known), what=f"known={known!r} is no knowledge mode")
    refused(UsageError, *ask(known=NAIVE), what="has no time zone")
    refused(
        UsageError,
        *ask(commits={}),
        lambda: store.read("gates", commits={}),
        what="no pin for group gates@1",
        where="commits=",
    )
    refused(
        NotFoundError,
        *ask(commits={"gats": 1}),
        what="unknown group 'gats'",
        where="commits=",
        todo="did you mean 'gates'",
    )
    for pin in (-1, "x", 1.5):
        reads = [*ask(commits={"gates": pin}), lambda pin=pin: store.read("gates", commits={"gates": pin})]
        refused(UsageError, *reads, what=f"{pin!r} is no commit number of group gates@1", where="commits=")
    refused(NotFoundError, *ask(commits="june"), what="unknown tag 'june'")


def test_unknown_names_are_answered_with_what_was_meant(store, refused, ask, weather, at):
    asked = [{"number": 1, "wing": 1}]
    refused(
        NotFoundError,
        *ask("gats"),
        lambda: store.online("gats", asked[0]),
        lambda: store.online("gats", asked),
        lambda: store.verify("gats"),
        lambda: store.catalog.describe("gats"),
        what="unknown view or group 'gats'",
        todo="did you mean 'gates'?",
    )
    refused(NotFoundError, *ask("departur"), what="'departur'", todo="did you mean 'departure'")
    refused(NotFoundError, *ask("departure@9"), what="'departure@9'", todo="did you mean 'departure@1'")
    refused(
        NotFoundError, lambda: store.read("gates", columns=["bussy"]), what="'bussy'", where="gates@1", todo="'busy'"
    )
    refused(NotFoundError, lambda: weather["tmep"], what="unknown feature 'tmep'", where="group weather", todo="'temp'")
    refused(
        NotFoundError, lambda: weather.on(orign="x"), what="unknown key 'orign'", where="group weather", todo="'origin'"
    )
    for name in (None, 5, weather):
        uses = [*ask(name), lambda name=name: store.online(name, {}), lambda name=name: store.read(name)]
        refused(UsageError, *uses, what=f"{type(name).__name__} is no name of a")


def test_bounds_of_a_read_are_aware_datetimes(store, refused):
    refused(
        UsageError,
        lambda: store.read("gates", start=NAIVE),
        lambda: store.read("gates", end=NAIVE),
        what="has no time zone",
    )
    refused(UsageError, lambda: store.read("gates", start="2024"), what="start '2024' is no datetime")
    refused(UsageError, lambda: store.read("gates", end=date(2024, 1, 1)), what="is no datetime")


KEYS = {
    "day": "date",
    "flag": "bool",
    "raw": "bytes",
    "seen": "timestamp",
    "small": "int8",
    "text": "string",
    "wide": "int64",
}
WRONG = {
    "day": ["2024-01-01", datetime(2024, 1, 1), 5],  # noqa: DTZ001 - the case
    "flag": [1, 0, 5, "x", 1.0],
    "raw": ["x", 5],
    "seen": ["noon", 5, NAIVE, date(2024, 1, 1)],
    "small": [128, -129, 2**70, 1.0, 1.5, math.nan, "1", True, pd.NA, [1]],
    "text": [5, b"x", SURROGATE, ["x"], "x" * 100_000 + SURROGATE],
    "wide": [2**63, -(2**63) - 1, 2**70, "1", False, 1.0],
}


@pytest.mark.parametrize("name", KEYS)
def test_an_online_key_of_a_wrong_type_is_refused(store, refused, at, name):
    store.apply(FeatureGroup("kinds", entity=Entity("kind", keys=KEYS), online=True, features=[Feature("n", "int64")]))
    keys = {
        "day": date(2024, 1, 1),
        "flag": True,
        "raw": b"x",
        "seen": at(1),
        "small": -128,
        "text": "x",
        "wide": 2**63 - 1,
    }
    store.backfill("kinds", [{**keys, "n": 7}])
    assert store.online("kinds", keys).values == {"n": 7}
    lenient = {
        **keys,
        "flag": np.bool_(True),
        "small": np.int64(-128),
        "wide": np.int64(2**63 - 1),
        "text": np.str_("x"),
    }
    assert store.online("kinds", lenient).values == {"n": 7}
    assert store.online("kinds", {**keys, name: None}).statuses == {"n": "MISSING"}
    uses = []
    for wrong in WRONG[name]:
        bad = {**keys, name: wrong}
        uses += [lambda bad=bad: store.online("kinds", bad), lambda bad=bad: store.online("kinds", [keys, bad])]
    refused(UsageError, *uses, what=f"key {name}")
    assert store.online("kinds", keys).values == {"n": 7}


def test_online_keys_are_those_of_the_view(store, refused, at):
    def use(keys):
        return [lambda: store.online("gates", keys), lambda: store.online("gates", [keys])]

    refused(
        UsageError, *use({"number": 1}), *use({"number": 1, "wimg": 1}), what="key 'wing' is missing", where="gates@1"
    )
    refused(NotFoundError, *use({"number": 1, "wing": 1, "x": 1}), what="unknown key 'x'", where="gates@1")
    refused(UsageError, *use({"number": "1", "wing": 1}), what="key number='1' is no int16", where="group gates")
    for keys in ("JFK", ["JFK"], 5, None, pd.DataFrame([{"number": 1, "wing": 1}])):
        refused(
            UsageError, lambda keys=keys: store.online("gates", keys), what="is no sequence of keys", where="gates@1"
        )
    assert len(store.online("gates", [])) == 0
    offline = FeatureGroup("ports", entity=Entity("port", {"k": "string"}), features=[Feature("n", "int64")])
    store.apply(offline)
    refused(
        UnsupportedError, lambda: store.online("ports", {"k": "a"}), what="group 'ports' is not online", where="ports@1"
    )
