"""Forget: keys are erased from every place, byte by byte, and nobody else's answer changes."""

import os
import subprocess
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import PurePath

import pyarrow as pa
import pytest

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.erasure.places import PLACES
from asof.errors import ConflictError, DataError, NotFoundError, TransientError, UsageError

START = datetime(2024, 1, 1, tzinfo=UTC)
NEEDLES = [b"needle-anna", b"needle-secret", b"needle-old", b"needle-pushed", b"needle-place", b"needle-request"]

user = Entity("user", keys={"name": "string", "tenant": "int32"})
device = Entity("device", keys={"id": "int64"})
visits = FeatureGroup(
    "visits",
    entity=user,
    event_time="t",
    features=[Feature("page", "string"), Feature("n", "int64")],
    online=True,
)
people = FeatureGroup("people", entity=user, features=[Feature("city", "string")], online=True)
scores = FeatureGroup("scores", entity=user, event_time="t", features=[Feature("s", "float64")])
devices = FeatureGroup("devices", entity=device, features=[Feature("name", "string")], online=True)
view = FeatureView(
    "v",
    features=[visits["page"], visits["n"], people["city"], devices.on(id="device")["name"].alias("owner")],
    log=1.0,
)

ANNA = {"name": "needle-anna", "tenant": 1}
NAMESAKE = {"name": "needle-anna"[:-1], "tenant": 1}
BOB = {"name": "bob", "tenant": 1}
OTHERS = [BOB, NAMESAKE, {"name": "needle-bob", "tenant": 2}]


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", asof.errors.DataWarning)
        yield


def at(hours):
    return START + timedelta(hours=hours)


def visit(who, hours, page, n=0):
    return who | {"t": at(hours), "page": page, "n": n}


def fill(store, clock):
    """Write the needles through every way in, in several commits, with others beside them."""
    store.apply(visits, people, scores, devices, view)
    clock.now = at(10)
    everybody = [ANNA, *OTHERS]
    store.backfill(
        "visits", [visit(who, h, "needle-old" if who is ANNA else f"p{h}") for who in everybody for h in range(5)]
    )
    store.write("visits", [visit(who, 6, "needle-secret" if who is ANNA else "w") for who in everybody])
    store.compact("visits")
    store.write("people", [who | {"city": "needle-place" if who is ANNA else "x"} for who in everybody])
    store.write("devices", [{"id": 1, "name": "bob"}])
    wrong = store.write("visits", [visit(ANNA, 7, "needle-secret"), visit(BOB, 7, "wrong")])
    store.retract(wrong, reason="wrong")
    store.retire("visits", ANNA, event_time=at(8))
    with store.together() as tx:
        tx.write("visits", [visit(BOB, 8, "together")])
        tx.write("scores", [who | {"t": at(8), "s": 1.5} for who in everybody])
    for n, who in enumerate(everybody):
        store.push("visits", [visit(who, 9, "needle-pushed" if who is ANNA else "pushed", n)])
    for who in everybody:
        store.online("v", who | {"device": 1}, request={"q": "needle-request" if who is ANNA else "?"})


def everything(store, keys):
    """Return all that can be asked about keys."""
    spine = [key | {"device": 1, "t": at(h)} for key in keys for h in range(12)]
    modes = ("served", "event", at(10))
    found = [store.historical("v", spine, time="t", known=m, statuses=True).to_arrow() for m in modes]
    found.append(store.historical("visits", spine_of(keys), time="t", commits={"visits": 2}, statuses=True).to_arrow())
    found.append(store.historical("scores", spine_of(keys), time="t", statuses=True).to_arrow())
    vectors = [store.online("v", key | {"device": 1}) for key in keys]
    return found, [(v.values, v.statuses, v.event_times) for v in vectors]


def spine_of(keys):
    return [key | {"t": at(h)} for key in keys for h in range(12)]


def rows_of(store, group, keys):
    table = store.read(group, clocks=True).to_arrow().to_pylist()
    return [row for row in table if {"name": row["name"], "tenant": row["tenant"]} in keys]


def scan(folder):
    """Return (file, needle) of every needle in the raw bytes of the store's files."""
    environment = os.environ | {"LC_ALL": "C"}
    wanted = [part for needle in NEEDLES for part in (b"-e", needle)]
    # By another process: to close a file of LMDB's lets go of its locks in this one.
    done = subprocess.run(["grep", "-raoZF", *wanted, folder], env=environment, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = {tuple(line.split(b"\0")) for line in done.stdout.splitlines()}
    return sorted((PurePath(path.decode()).name, needle) for path, needle in found)


def test_nothing_of_an_erased_key_is_left_and_nobody_elses_answer_changes(tmp_path, clock):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store:
        fill(store, clock)
        receipt = store.online("v", ANNA | {"device": 1}).receipt
        other = store.online("v", BOB | {"device": 1}).receipt
        before = everything(store, OTHERS)
        rows = rows_of(store, "visits", OTHERS)
        replayed = store.replay(other)
        dry = store.forget("user", ANNA, dry_run=True)
        assert {needle for _, needle in scan(folder)} >= set(NEEDLES[:5])
        done = store.forget("user", ANNA, reason="asked by mail")
        assert scan(folder) == []
        assert everything(store, OTHERS) == before
        assert rows_of(store, "visits", OTHERS) == rows
        assert store.replay(other).values == replayed.values
        assert rows_of(store, "visits", [ANNA]) == []
        missing = store.online("v", ANNA | {"device": 1})
        assert [missing.statuses[name] for name in ("page", "n", "city")] == ["MISSING"] * 3
        with pytest.raises(NotFoundError, match=r"the user of this receipt was erased by erasure 1 at 2024-01-01"):
            store.replay(receipt)
        assert store.quality.doctor().healthy
        assert store.verify("v").defects == ()
    assert scan(folder) == []
    counted = {(each.place, each.what): each.rows for each in dry.erased}
    assert counted == {(each.place, each.what): each.rows for each in done.erased}
    assert counted == {
        ("history", "people@1"): 1,
        ("history", "scores@1"): 1,
        ("history", "visits@1"): 8,
        ("history", "v_log@1"): 2,
        ("journal", "visits@1"): 1,
        ("online", "people@1"): 1,
        ("online", "visits@1"): 1,
    }
    assert (dry.id, dry.finished_at_us, done.id, done.keys, done.rows) == (0, None, 1, 1, 15)
    files = [file for each in done.erased for file in each.files]
    assert len(files) >= 4
    assert all(len(file.before_sha256) == 64 and file.before_sha256 != file.after_sha256 for file in files)
    with asof.open(folder, clock=clock) as store:
        assert store.catalog.erasures() == [done]
        assert everything(store, OTHERS) == before


def test_an_erased_key_can_come_back_as_somebody_new(tmp_path, clock):
    with asof.open(tmp_path / "s", clock=clock) as store:
        fill(store, clock)
        store.forget("user", [ANNA])
        clock.now = at(20)
        store.push("visits", [visit(ANNA, 20, "new", 7)])
        vector = store.online("v", ANNA | {"device": 1})
        assert (vector.values["page"], vector.values["n"]) == ("new", 7)
        assert store.replay(vector.receipt).values == vector.values
        assert [row["page"] for row in rows_of(store, "visits", [ANNA])] == ["new"]
        store.compact()
        assert store.quality.doctor().healthy


def test_every_file_of_a_store_belongs_to_one_place(tmp_path, clock):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store:
        fill(store, clock)
        store.catalog.tag("t")
        store.quality.doctor(repair=True)
        store.forget("user", BOB)
        files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert {path.parts[0] for path in files} >= {"history", "online", "registry.db", "tmp", "asof.toml"}
    for path in files:
        owners = [place.name for place in PLACES if any(belongs(path, pattern) for pattern in place.files)]
        assert len(owners) == 1, f"{path} belongs to {owners or 'no place'}: see asof.erasure.places"


def belongs(path: PurePath, pattern: str) -> bool:
    whole = pattern.removesuffix("/**")
    return path.parts[0] == whole if whole != pattern else path.match(pattern)


def test_a_broken_off_erasure_is_finished_by_the_next_open(tmp_path, clock, monkeypatch):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store:
        fill(store, clock)
        online = store._parts.online

        def fails(*_):
            raise TransientError("a reader holds old pages")

        monkeypatch.setattr(type(online), "erase", fails)
        with pytest.raises(TransientError):
            store.forget("user", ANNA, reason="asked")
        assert store.catalog.erasures() == []
        monkeypatch.undo()
    assert scan(folder)
    with asof.open(folder, clock=clock) as store:
        (done,) = store.catalog.erasures()
        assert (done.reason, done.keys) == ("asked", 1)
        assert scan(folder) == []
        assert store.quality.doctor().healthy


def test_an_erasure_that_cannot_be_finished_at_open_is_told(tmp_path, clock, monkeypatch):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store:
        fill(store, clock)
        kind = type(store._parts.online)

    def fails(*_):
        raise TransientError("a reader holds old pages")

    monkeypatch.setattr(kind, "erase", fails)
    with asof.open(folder, clock=clock) as store, pytest.raises(TransientError):
        store.forget("user", ANNA)
    with pytest.warns(asof.errors.DataWarning, match="erasure 1 of user is not finished: a reader"):
        asof.open(folder, clock=clock).close()
    monkeypatch.undo()
    with asof.open(folder, clock=clock) as store:
        assert len(store.catalog.erasures()) == 1


def test_keys_of_any_length_and_many_at_once(tmp_path, clock):
    with asof.open(tmp_path / "s", clock=clock) as store:
        store.apply(visits)
        clock.now = at(1)
        names = [f"needle-{n}-" + "x" * (n * 7) for n in range(200)]
        store.write("visits", [visit({"name": name, "tenant": 1}, 0, "p") for name in names])
        store.push("visits", [visit({"name": name, "tenant": 1}, 1, "p") for name in names])
        gone = pa.table({"tenant": pa.array([1] * 100, pa.int64()), "name": names[::2]})
        done = store.forget("user", gone)
        assert (done.keys, done.rows) == (100, 300)
        assert sorted({row["name"] for row in store.read("visits").to_arrow().to_pylist()}) == sorted(names[1::2])
        assert store.quality.doctor().healthy


def test_keys_that_are_none_are_refused_and_nothing_is_erased(tmp_path, clock):
    with asof.open(tmp_path / "s", clock=clock) as store:
        fill(store, clock)
        before = everything(store, [ANNA, *OTHERS])
        for entity, keys, error, text in (
            ("usr", ANNA, NotFoundError, "did you mean 'user'"),
            ("user", {"name": "anna"}, DataError, "tenant"),
            ("user", {"name": None, "tenant": 1}, DataError, "null"),
            ("user", {"name": "anna", "tenant": "x"}, DataError, "tenant"),
            ("user", ANNA | {"more": 1}, DataError, "more"),
            ("user", [], UsageError, "which keys"),
        ):
            with pytest.raises(error, match=text):
                store.forget(entity, keys)
        assert everything(store, [ANNA, *OTHERS]) == before
        assert store.catalog.erasures() == []


def test_a_key_that_nobody_has_is_erased_too(tmp_path, clock):
    with asof.open(tmp_path / "s", clock=clock) as store:
        fill(store, clock)
        done = store.forget("user", {"name": "nobody", "tenant": 1})
        assert (done.keys, done.rows, done.erased) == (1, 0, ())


def test_a_certificate_names_what_an_erasure_cannot_reach(tmp_path, clock):
    letters = FeatureGroup("letters", entity=device, event_time="t", features=[Feature("name", "string")])
    with asof.open(tmp_path / "s", clock=clock) as store:
        store.apply(visits, letters)
        notes = store.forget("user", ANNA).notes
        assert any("letters@1 (name)" in note for note in notes)
        assert "needle" not in store.catalog.erasures()[0].to_json()


def test_a_store_that_others_write_to_meanwhile_loses_nothing(tmp_path, clock):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store, asof.open(folder, clock=clock) as other:
        fill(store, clock)
        place = store._eraser._places[0]
        erase = place.erase

        def meanwhile(holdings):
            other.compact()
            other.push("visits", [visit(BOB, 9, "meanwhile", 9)])
            return erase(holdings)

        place.erase = meanwhile
        store.forget("user", ANNA)
        assert scan(folder) == []
        assert store.online("v", BOB | {"device": 1}).values["page"] == "meanwhile"
        assert store.quality.doctor().healthy


def test_a_retry_after_an_erasure_brings_nothing_back(tmp_path, clock):
    with asof.open(tmp_path / "s", clock=clock) as store:
        store.apply(visits)
        clock.now = at(1)
        rows = [visit(ANNA, 0, "p"), visit(BOB, 0, "p")]
        first = store.write("visits", rows, idempotency_key="once")
        store.forget("user", ANNA)
        assert store.write("visits", rows, idempotency_key="once") == first
        assert rows_of(store, "visits", [ANNA]) == []
        with pytest.raises(ConflictError):
            store.write("visits", rows[1:], idempotency_key="once")


def test_answers_about_a_key_that_came_from_another_group_are_erased_from_the_log(tmp_path, clock):
    owners = FeatureGroup(
        "owners", entity=device, features=[Feature("name", "string"), Feature("tenant", "int32")], online=True
    )
    of_owner = people.on(name=owners["name"], tenant=owners["tenant"])
    about = FeatureView("about", features=[of_owner["city"]], log=1.0)
    with asof.open(tmp_path / "s", clock=clock) as store:
        store.apply(owners, people, about)
        store.write("owners", [{"id": 1, **ANNA}, {"id": 2, **BOB}, {"id": 3, "name": None, "tenant": None}])
        store.write("people", [ANNA | {"city": "needle-place"}, BOB | {"city": "x"}])
        for number in (1, 2, 3, 4):
            store.online("about", {"id": number})
        assert store.online("about", {"id": 1}).values == {"city": "needle-place"}
        store.quality.serving_log("about", flush=True)
        done = store.forget("user", ANNA)
        assert [each.rows for each in done.erased if each.what == "about_log@1"] == [2]
        left = store.read("about_log").to_arrow().to_pylist()
        assert sorted(row["keys"]["id"] for row in left) == [2, 3, 4]
        assert any("owners@1 (name, tenant)" in note for note in done.notes)
        assert store.verify("about").defects == ()


def test_an_old_erasure_never_keeps_a_store_from_opening(tmp_path, clock, monkeypatch):
    with asof.open(tmp_path / "s", clock=clock) as store:
        store.apply(visits)
        clock.now = at(1)
        store.write("visits", [visit(ANNA, 0, "p")])
        monkeypatch.setattr(type(store._parts.online), "erase", _fails)
        with pytest.raises(TransientError):
            store.forget("user", ANNA)
        monkeypatch.undo()
        store.apply(with_other_keys())
    with pytest.warns(asof.errors.DataWarning, match="erasure 1 of user is not finished"):
        asof.open(tmp_path / "s", clock=clock).close()


def with_other_keys():
    other = Entity("user", keys={"name": "string", "house": "string"})
    return FeatureGroup("visits", entity=other, event_time="t", features=[Feature("page", "string")])


def _fails(*_):
    raise TransientError("the disk is slow")


def test_erasing_again_after_a_failure_leaves_no_key_in_the_registry(tmp_path, clock, monkeypatch):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store:
        fill(store, clock)
        monkeypatch.setattr(type(store._parts.history), "stage", _fails)
        with pytest.raises(TransientError):
            store.forget("user", ANNA)
        monkeypatch.undo()
        store.forget("user", ANNA)
        assert scan(folder) == []
        assert [done.rows for done in store.catalog.erasures()] == [13, 0]


def test_a_registry_that_could_not_be_scrubbed_is_scrubbed_by_the_next_open(tmp_path, clock, monkeypatch):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store:
        fill(store, clock)
        monkeypatch.setattr(type(store._parts.erasures), "scrub", _fails)
        with pytest.raises(TransientError):
            store.forget("user", ANNA)
        assert [erasure.pending for erasure in store._parts.erasures.all()] == [b""]
        monkeypatch.undo()
    asof.open(folder, clock=clock).close()
    with asof.open(folder, clock=clock) as store:
        assert [erasure.pending for erasure in store._parts.erasures.all()] == [None]
        assert scan(folder) == []


def test_a_log_says_itself_whom_it_is_about(tmp_path, clock):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store:
        fill(store, clock)
        store.quality.serving_log("v", flush=True)
        changed = FeatureView("v", features=[people["city"]], log=1.0)  # other keys, another version of the log
        store.apply(changed)
        store.online("v", ANNA)
        store.catalog.remove("v")
        store.forget("user", ANNA)
        assert scan(folder) == []


def test_retracted_answers_are_erased_too(tmp_path, clock):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store:
        fill(store, clock)
        store.quality.serving_log("v", flush=True)
        store.retract(store.catalog.commits("v_log")[0], reason="a mistake")
        store.forget("user", ANNA)
        assert scan(folder) == []


def test_files_that_were_replaced_under_a_later_clock_go_too(tmp_path, clock):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store:
        fill(store, clock)
        clock.now = at(20)
        store.compact()
        clock.now = at(10)
        store.forget("user", ANNA)
        assert scan(folder) == []


def test_two_ways_through_one_group_are_both_found_in_the_log(tmp_path, clock):
    rides = FeatureGroup(
        "rides", entity=device, features=[Feature("name", "string"), Feature("tenant", "int32")], online=True
    )
    first, second = rides.on(id="first"), rides.on(id="second")
    both = FeatureView(
        "both",
        features=[
            people.on(name=r["name"], tenant=r["tenant"])["city"].alias(c) for r, c in ((first, "a"), (second, "b"))
        ],
        log=1.0,
    )
    with asof.open(tmp_path / "s", clock=clock) as store:
        store.apply(rides, people, both)
        store.write("rides", [{"id": 1, **ANNA}, {"id": 2, **BOB}])
        for one, two in ((1, 2), (2, 1), (2, 2)):
            store.online("both", {"first": one, "second": two})
        store.forget("user", ANNA)
        assert [row["keys"] for row in store.read("both_log").to_arrow().to_pylist()] == [{"first": 2, "second": 2}]


def test_a_version_with_other_keys_is_told_before_anything_is_erased(tmp_path, clock):
    with asof.open(tmp_path / "s", clock=clock) as store:
        store.apply(visits)
        clock.now = at(1)
        store.write("visits", [visit(ANNA, 0, "p")])
        store.apply(with_other_keys())
        with pytest.raises(UsageError, match=r"visits@1 has keys \['name', 'tenant'\].* asof remove visits@1"):
            store.forget("user", {"name": "needle-anna", "house": "x"})
        assert store._parts.erasures.all() == []
        assert len(store.read("visits@1")) == 1


def test_answers_that_another_process_still_holds_do_not_come_back(tmp_path, clock):
    folder = tmp_path / "s"
    with asof.open(folder, clock=clock) as store, asof.open(folder, clock=clock) as other:
        fill(store, clock)
        for who in (ANNA, BOB):
            other.online("v", who | {"device": 1})
        store.forget("user", ANNA)
        assert other.quality.serving_log("v", flush=True).waiting == 0
        assert scan(folder) == []
        names = [row["keys"]["name"] for row in store.read("v_log").to_arrow().to_pylist()]
        assert "bob" in names
        assert "needle-anna" not in names


def test_an_erasure_that_is_begun_is_told(tmp_path, clock, monkeypatch):
    with asof.open(tmp_path / "s", clock=clock) as store:
        fill(store, clock)
        monkeypatch.setattr(type(store._parts.online), "erase", _fails)
        with pytest.raises(TransientError, match="erasure 1 is begun and not finished: the disk is slow"):
            store.forget("user", ANNA)
        monkeypatch.undo()
        assert any("erasure 1 of user is not finished" in str(finding) for finding in store.quality.doctor().findings)
    with asof.open(tmp_path / "s", clock=clock) as store:
        assert any("broken off before" in note for note in store.catalog.erasures()[0].notes)
        assert store.quality.doctor().healthy
