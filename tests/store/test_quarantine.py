"""Rows that break a check: put aside, listed, mended and replayed, dismissed; and what checks said, kept by commit."""

from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from asof import Check, Entity, Feature, FeatureGroup
from asof.errors import ConflictError, DataError, DataWarning, NotFoundError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore:.*rows written to 'weather' are more than a day old")
airport = Entity("airport", keys={"origin": "string"})


def weather(**parts):
    given = {
        "event_time": "time_hour",
        "features": [Feature("temp", "float64"), Feature("place", "vector<float32, 2>"), Feature("code", "string")],
        "online": True,
        "checks": [Check.between("temp", -60, 140), Check.length("code", 1, 3)],
        "on_violation": "quarantine",
    }
    return FeatureGroup("weather", entity=airport, **(given | parts))


@pytest.fixture
def row(clock):
    def made(origin="JFK", hour=0, temp=50.0, code="a", place=(1.0, 2.0)):
        time_hour = clock.now - timedelta(hours=10 - hour)
        return {"origin": origin, "time_hour": time_hour, "temp": temp, "place": place and list(place), "code": code}

    return made


@pytest.fixture
def kept(store):
    store.apply(weather())
    return store


def waiting(store):
    return store.quality.quarantine("weather").to_arrow()


def put(table, name, values):
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize("way", ["write", "backfill", "push"])
def test_good_rows_are_stored_and_bad_ones_are_put_aside_with_the_reasons(kept, row, clock, way):
    rows = [row(), row("LGA", temp=500.0), row("EWR", temp=None), row("BOS", temp=-61.0, code="long", place=None)]
    commit = getattr(kept, way)("weather", rows)
    assert (commit.rows, commit.quarantined) == (2, 2)
    assert kept.read("weather").to_arrow().column("origin").to_pylist() == ["EWR", "JFK"]
    assert kept.online("weather", {"origin": "LGA"}).statuses["temp"] == "MISSING"
    found = sorted(waiting(kept).to_pylist(), key=lambda each: each["__row"])
    assert [{name: each[name] for name in rows[1]} for each in found] == [rows[1], rows[3]]
    assert [each["__reasons"] for each in found] == [
        "temp between -60 and 140",
        "temp between -60 and 140; length of code between 1 and 3",
    ]
    assert [each["__row"] for each in found] == [1, 3]
    assert {each["__commit"] for each in found} == {"weather@1:1"}
    assert {each["__set_aside_at"] for each in found} == {clock.now}


def test_reports_say_what_was_found_by_commit(kept, row):
    kept.write("weather", [row()])
    kept.write("weather", [row("LGA", temp=500.0), row("EWR", temp=600.0)])
    good, bad = kept.quality.reports("weather")
    assert (good.commit, good.rows, good.set_aside, good.passed) == ("weather@1:1", 1, 0, True)
    assert (bad.commit, bad.rows, bad.set_aside, bad.refused) == ("weather@1:2", 2, 2, False)
    (broken,) = bad.broken
    assert (broken.check, broken.broken, broken.row, broken.value) == ("temp between -60 and 140", 2, 0, "500.0")
    assert str(bad) == (
        "weather@1:2: 2 rows, 1 of 2 checks hold, 2 in quarantine\n"
        "  2 rows break 'temp between -60 and 140' (row 0 holds 500.0)"
    )
    assert kept.quality.reports("weather", limit=1) == [bad]


def test_a_push_is_reported_only_if_a_row_breaks_a_check(kept, row):
    kept.push("weather", row())
    kept.push("weather", row(temp=1000.0))
    (report,) = kept.quality.reports("weather")
    assert (report.commit, report.set_aside) == ("weather@1:2", 1)


def test_a_refused_write_is_reported_too(store, row):
    store.apply(weather(on_violation="strict"))
    with pytest.raises(DataError, match="row 1 holds 999"):
        store.write("weather", [row(), row("LGA", temp=999.0)])
    (report,) = store.quality.reports("weather")
    assert (report.refused, report.commit, report.rows) == (True, "", 2)
    assert len(store.read("weather")) == 0


def test_mended_rows_are_replayed_and_leave_the_quarantine_in_one_step(kept, row, clock):
    kept.backfill("weather", [row("LGA", temp=500.0), row("EWR", temp=600.0), row("BOS", temp=700.0)])
    clock.move(hours=1)
    table = waiting(kept).sort_by("__row")
    with pytest.warns(DataWarning, match="1 row still breaks a check and stays in quarantine"):
        (commit,) = kept.quality.replay("weather", put(table, "temp", [5.0, 600.0, None]))
    assert (commit.rows, commit.kind, commit.quarantined) == (2, "write", 0)
    assert waiting(kept).column("origin").to_pylist() == ["EWR"]
    assert kept.online("weather", {"origin": "LGA"}).values["temp"] == 5.0
    known = kept.read("weather", clocks=True).to_arrow()
    assert pc.min(known.column("__available_at")).as_py() == clock.now  # nobody knew it before


def test_what_is_said_of_a_batch_is_not_asked_of_pushes(store, row):
    store.apply(weather(checks=[Check.row_count(2, None), Check.between("temp", -60, 140)], on_violation="strict"))
    with pytest.raises(DataError, match="rows between 2 and anything"):
        store.write("weather", [row()])
    assert store.push("weather", row()).rows == 1
    with pytest.raises(DataError, match="between"):
        store.push("weather", row("LGA", temp=500.0))


def test_a_row_whose_key_was_mended_leaves_the_quarantine(kept, row):
    kept.write("weather", [row("JKF", temp=500.0)])
    kept.quality.replay("weather", put(put(waiting(kept), "origin", ["JFK"]), "temp", [5.0]))
    assert kept.read("weather").to_arrow().column("origin").to_pylist() == ["JFK"]
    assert len(waiting(kept)) == 0


def test_replay_can_count_rows_as_known_by_their_delay(kept, row, clock):
    kept.backfill("weather", [row("LGA", temp=500.0)])
    (commit,) = kept.quality.replay("weather", put(waiting(kept), "temp", [5.0]), backfill=True)
    assert commit.kind == "backfill"
    (found,) = kept.read("weather", clocks=True).to_arrow().to_pylist()
    assert found["__available_at"] == found["time_hour"]


def test_rows_are_replayed_as_they_are_when_a_check_was_wrong(kept, row):
    kept.write("weather", [row("LGA", temp=500.0), row("EWR", temp=600.0)])
    with pytest.raises(DataError, match="2 rows break 'temp between -60 and 140'"):
        kept.quality.replay("weather")
    kept.apply(weather(checks=[Check.between("temp", -60, 1000)]))
    (commit,) = kept.quality.replay("weather")
    assert commit.rows == 2
    assert len(waiting(kept)) == 0
    assert kept.quality.replay("weather") == []


def test_a_row_whose_key_and_time_came_again_is_settled(kept, row):
    kept.write("weather", [row("LGA", temp=500.0), row("EWR", temp=600.0)])
    kept.write("weather", [row("LGA", temp=50.0)])
    assert waiting(kept).column("origin").to_pylist() == ["EWR"]


def test_a_bad_row_that_comes_again_waits_once(kept, row):
    kept.write("weather", [row("LGA", temp=500.0), row("EWR", temp=600.0)])
    kept.write("weather", [row("LGA", temp=700.0)])
    assert sorted(waiting(kept).column("temp").to_pylist()) == [600.0, 700.0]


def test_rows_are_dismissed_with_a_reason(kept, row):
    kept.write("weather", [row("LGA", temp=500.0), row("EWR", temp=600.0)])
    names = waiting(kept).column("__item").to_pylist()
    with pytest.raises(UsageError, match="needs a reason"):
        kept.quality.dismiss("weather", names, reason=" ")
    with pytest.raises(NotFoundError, match="'nobody' is no row in quarantine"):
        kept.quality.dismiss("weather", ["nobody"], reason="x")
    assert kept.quality.dismiss("weather", names[:1], reason="a broken sensor") == 1
    assert len(waiting(kept)) == 1
    assert kept.catalog.commits("weather_quarantine")[-1].meta["reason"] == "a broken sensor"
    with pytest.raises(NotFoundError, match="no row in quarantine"):
        kept.quality.dismiss("weather", names[:1], reason="again")


@pytest.mark.parametrize(
    ("mend", "error", "message"),
    [
        (lambda table: table.drop_columns(["__item"]), UsageError, "no column __item"),
        (lambda table: pa.concat_tables([table, table]), UsageError, "two rows for one item"),
        (lambda table: put(table, "__item", ["nobody"]), NotFoundError, "'nobody' is no row in quarantine"),
        (lambda table: table.drop_columns(["temp"]), DataError, "temp"),
        (lambda table: table.append_column("more", pa.array([1])), DataError, "more"),
    ],
)
def test_frames_that_mend_nothing_are_refused(kept, row, mend, error, message):
    kept.write("weather", [row("LGA", temp=500.0)])
    with pytest.raises(error, match=message):
        kept.quality.replay("weather", mend(waiting(kept)))
    assert len(waiting(kept)) == 1


def test_two_bad_rows_of_one_key_and_time_are_both_kept(kept, row):
    commit = kept.write("weather", [row("LGA", temp=500.0), row("LGA", temp=600.0)])
    assert commit.quarantined == 2
    assert sorted(waiting(kept).column("temp").to_pylist()) == [500.0, 600.0]


def test_a_repeated_write_puts_nothing_aside_twice(kept, row):
    for repeated in (False, True):
        commit = kept.write("weather", [row(), row("LGA", temp=500.0)], idempotency_key="once")
        assert commit.repeated == repeated
    assert len(waiting(kept)) == 1


def test_all_rows_go_aside_if_the_batch_breaks_a_check(store, row):
    store.apply(weather(checks=[Check.row_count(2, None), Check.between("temp", -60, 140)]))
    commit = store.write("weather", [row(temp=999.0)])
    assert (commit.rows, commit.quarantined) == (0, 1)
    assert waiting(store).column("__reasons").to_pylist() == [
        "temp between -60 and 140; rows between 2 and anything",
    ]
    (commit,) = store.quality.replay("weather", put(waiting(store), "temp", [1.0]))
    assert commit.rows == 1  # what is said of a batch was said of the one that it came in


def test_a_row_in_quarantine_is_no_sign_that_its_key_ended(kept, row, clock):
    kept.write("weather", [row("JFK"), row("LGA"), row("EWR")])
    commit = kept.write("weather", [row("JFK", hour=1), row("LGA", hour=1, temp=999.0)], absent="retire")
    assert (commit.quarantined, commit.retired) == (1, 1)
    assert kept.online("weather", {"origin": "LGA"}).statuses["temp"] == "PRESENT"
    assert kept.online("weather", {"origin": "EWR"}).statuses["temp"] == "RETIRED"
    commit = kept.write("weather", [row("JFK", hour=2, temp=999.0)], absent="retire")
    assert (commit.rows, commit.quarantined, commit.retired) == (0, 1, 0)


def test_together_all_of_it_is_visible_or_nothing(kept, row):
    kept.apply(other := FeatureGroup("notes", entity=airport, features=[Feature("note", "string")]))
    with pytest.raises(DataError, match="null"), kept.together() as tx:
        tx.write("weather", [row("LGA", temp=500.0)])
        tx.write("notes", [{"origin": None, "note": "x"}])
    assert len(waiting(kept)) == 0
    with kept.together() as tx:
        tx.write("weather", [row("LGA", temp=500.0)])
        tx.write(other.name, [{"origin": "LGA", "note": "x"}])
    assert len(waiting(kept)) == 1


def test_a_group_that_got_a_feature_keeps_its_old_items(kept, row):
    kept.write("weather", [row("LGA", temp=500.0)])
    kept.apply(weather(features=[*weather().features, Feature("wind", "float64")]))
    kept.write("weather", [{**row("EWR", temp=600.0), "wind": 1.0}])
    found = waiting(kept).sort_by("origin").to_pylist()
    assert [(each["origin"], each["wind"]) for each in found] == [("EWR", 1.0), ("LGA", None)]
    mended = put(waiting(kept), "temp", [1.0, 2.0])
    assert [commit.rows for commit in kept.quality.replay("weather", mended)] == [1, 1]
    assert len(waiting(kept)) == 0


def test_the_name_of_a_quarantine_is_nobody_elses(store):
    taken = FeatureGroup("weather_quarantine", entity=airport, features=[Feature("x", "int64")])
    store.apply(taken)
    with pytest.raises(
        ConflictError, match="the quarantine of group 'weather' would be the group 'weather_quarantine'"
    ):
        store.apply(weather())


def test_a_quarantine_stays_while_its_group_uses_it(kept, row):
    kept.write("weather", [row("LGA", temp=500.0)])
    with pytest.raises(ConflictError, match="group weather@1 keeps rows that break checks in weather_quarantine"):
        kept.catalog.remove("weather_quarantine")
    assert kept.catalog.remove("weather") == ["weather@1"]
    assert kept.catalog.remove("weather_quarantine") == ["weather_quarantine@1"]


def test_rows_can_be_checked_and_not_stored(kept, row):
    report = kept.quality.check("weather", [row(), row("LGA", temp=500.0)])
    assert [each.broken for each in report.broken] == [1]
    assert (len(kept.read("weather")), kept.quality.reports("weather")) == (0, [])


def test_a_foreign_key_must_have_a_row_that_is_not_retired(store, row, clock):
    airports = FeatureGroup("airports", entity=airport, features=[Feature("name", "string")])
    store.apply(airports, weather(checks=[Check.in_group("origin", airports)]))
    store.write("airports", [{"origin": "JFK", "name": "Kennedy"}, {"origin": "LGA", "name": "La Guardia"}])
    store.retire("airports", {"origin": "LGA"})
    store.write("weather", [row("JFK"), row("LGA"), row("EWR")])
    assert store.read("weather").to_arrow().column("origin").to_pylist() == ["JFK"]
    assert sorted(waiting(store).column("__reasons").to_pylist()) == ["origin in group airports"] * 2


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (Check.in_group("origin", "nowhere"), NotFoundError, "unknown group 'nowhere'"),
        (
            Check.in_group(["origin", "code"], "weather"),
            UsageError,
            "has the keys origin, and the check names 2 columns",
        ),
        (Check.sql("nope > 1"), UsageError, 'Referenced column "nope" not found'),
        (Check.sql("avg(nope) > 1", over="batch"), UsageError, 'Referenced column "nope" not found'),
        (Check.between("code", 0, 1), UsageError, "does not fit a column of type string"),
        (Check.mean("code", 0, 1), UsageError, "does not fit a column of type string"),
    ],
)
def test_checks_that_cannot_be_asked_are_refused_by_apply(store, check, error, message):
    with pytest.raises(error, match=message):
        store.apply(weather(checks=[check]))
    assert store.catalog.groups() == []


@pytest.mark.embedded("functions are not taken from a client")
def test_functions_that_cannot_be_imported_are_refused_by_apply(store):
    with pytest.raises(UsageError, match="nowhere:good cannot be imported"):
        store.apply(weather(checks=[Check.function("nowhere:good")]))


def test_the_share_of_changed_rows_is_held(store, row):
    store.apply(weather(checks=[Check.changed_share(None, 0.5)]))
    rows = [row(each) for each in ("JFK", "LGA", "EWR", "BOS")]
    assert store.write("weather", rows).quarantined == 0  # nobody has a row yet
    same = [{**each, "temp": each["temp"] + (at < 2)} for at, each in enumerate(rows)]
    assert store.write("weather", same).quarantined == 0
    assert store.write("weather", [{**each, "temp": 0.0} for each in rows]).quarantined == 4
    assert store.quality.reports("weather")[-1].broken[0].observed == 1.0


@pytest.mark.embedded("what is erased is looked for in the store's files")
def test_forget_reaches_the_quarantine_and_the_reports(kept, row, folder):
    kept.write("weather", [row("needle-lga", temp=12345.25, code="needle-code"), row("EWR", temp=600.0)])
    kept.write("weather", [row("needle-lga", temp=12345.5)])
    kept.forget("airport", {"origin": "needle-lga"})
    assert waiting(kept).column("origin").to_pylist() == ["EWR"]
    kept.close()
    for file in folder.rglob("*"):
        if file.is_file():
            assert b"needle" not in file.read_bytes(), file
            assert b"12345.5" not in file.read_bytes(), file


@pytest.mark.embedded("a load in parts is cut in this process")
@pytest.mark.parametrize("mode", ["quarantine", "strict", "warn"])
def test_a_load_in_parts_is_checked_as_a_whole(store, row, monkeypatch, mode):
    monkeypatch.setattr("asof.ingest.write.PART_ROWS", 3)
    store.apply(weather(on_violation=mode, checks=[Check.between("temp", -60, 140), Check.mean("temp", 0, 60)]))
    rows = [row(f"A{at}", temp=999.0 if at in (1, 7) else 50.0 + at) for at in range(10)]
    schema = pa.schema([("origin", pa.string()), ("time_hour", pa.timestamp("us", "UTC")), ("temp", pa.float64()),
                        ("place", pa.list_(pa.float32(), 2)), ("code", pa.string())])  # fmt: skip

    def load(given):
        table = pa.Table.from_pylist(given, schema=schema)
        return store.backfill("weather", pa.RecordBatchReader.from_batches(schema, table.to_batches(max_chunksize=3)))

    if mode == "strict":
        with pytest.raises(DataError, match=r"row 1 holds 999"):
            load(rows)
        assert store.quality.reports("weather")[-1].refused
        return
    if mode == "warn":
        with pytest.warns(DataWarning) as caught:
            assert load(rows).rows == 10
        said = [str(each.message) for each in caught]
        assert "2 rows break 'temp between -60 and 140' (row 1 holds 999.0)" in said[0]
        assert "the rows together break 'mean of temp between 0 and 60': it is 243.5" in said[1]
        return
    commit = load(rows)  # the mean of all rows, bad ones too, is over 60
    assert (commit.rows, commit.quarantined) == (0, 10)
    found = waiting(store).to_pylist()
    assert sorted(each["origin"] for each in found) == sorted(each["origin"] for each in rows)
    store.apply(weather(checks=[Check.between("temp", -60, 140)]))
    commit = load(rows)
    assert (commit.rows, commit.quarantined) == (8, 2)
    assert sorted(each["__row"] for each in waiting(store).to_pylist() if each["__commit"] == commit.id) == [1, 7]


@pytest.mark.embedded("an error is put into the store's parts")
def test_what_was_put_aside_goes_when_the_write_fails(kept, row, folder, monkeypatch):
    from asof.errors import TransientError

    rows = [row(f"A{at}", temp=999.0) for at in range(1500)]

    def fail(*_, **__):
        raise TransientError("no")

    with monkeypatch.context() as broken:
        broken.setattr(kept._parts.log, "publish", fail)
        with pytest.raises(TransientError):
            kept.write("weather", rows)
    assert len(waiting(kept)) == 0
    assert kept.quality.doctor(repair=True).healthy
    assert kept.write("weather", rows).quarantined == 1500
    assert len(waiting(kept)) == 1500
