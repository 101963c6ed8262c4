"""A store of every earlier schema is opened, answers as it did, and goes on: none is left behind.

The stores were made by tests/fixtures/make_store.py, each at the last commit with its schema.
"""

import importlib.util
import json
import sqlite3
import subprocess
import sys
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest

import asof
from asof.registry.sql.tables import REVISION

FIXTURES = Path(__file__).parent.parent / "fixtures"
STORES = sorted(file.name.removesuffix(".tar.gz") for file in FIXTURES.glob("store-*.tar.gz"))


@pytest.fixture(scope="module")
def made():
    """Give the module that made the stores, with the definitions and the questions."""
    spec = importlib.util.spec_from_file_location("asof_make_store", FIXTURES / "make_store.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=STORES)
def old(request, tmp_path):
    """Give the folder of an old store, and what it answered on its day."""
    with tarfile.open(FIXTURES / f"{request.param}.tar.gz") as packed:
        packed.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.2 of Debian has none
        packed.extractall(tmp_path)
    return tmp_path / "store", json.loads((FIXTURES / f"{request.param}.json").read_text())


@pytest.fixture
def clock(made):
    clock = made.Clock()
    clock.now = made.START + timedelta(hours=12)
    return clock


def revision(folder):
    connection = sqlite3.connect(folder / "registry.db")
    try:
        return connection.execute("SELECT version_num FROM alembic_version").fetchall()
    finally:
        connection.close()


def test_there_is_a_store_of_every_earlier_schema():
    versions = Path(asof.__file__).parent / "registry" / "sql" / "migrations" / "versions"
    revisions = sorted(file.name[:4] for file in versions.glob("[0-9]*.py"))
    earlier = [number for number in revisions if number < REVISION[:4]]
    assert {f"store-{number}" for number in earlier} <= set(STORES)


def test_an_old_store_answers_as_it_did(old, made, clock):
    folder, recorded = old
    for _ in range(2):  # the second time there is nothing to migrate
        with asof.open(folder, clock=clock) as store:
            answered = made.answers(store)
            assert answered.keys() == recorded.keys()
            for question, answer in recorded.items():
                assert answered[question] == answer, question
            assert store.quality.doctor().healthy, str(store.quality.doctor())
        assert revision(folder) == [(REVISION,)]


@pytest.mark.slow
def test_an_old_store_is_written_to_amended_and_compacted(old, made, clock):
    folder, recorded = old
    with asof.open(folder, clock=clock) as store:
        assert not store.plan(made.weather, made.airports, made.scores, made.view)
        before = len(store.read("weather"))
        clock.now += timedelta(hours=1)
        new = {"origin": "JFK", "time_hour": clock.now, "temp": 1.5, "visib": 2, "note": "new"}
        store.write("weather", [new])
        store.push("weather", {**new, "origin": "SFO"})
        store.backfill("weather", [{**new, "origin": "EWR", "time_hour": made.at(-1)}])
        store.retract("weather:2", reason="not late, wrong")
        store.backfill("scores", [{"origin": "JFK", "day": made.at(9.5), "score": 0.25}])
        assert store.online("departure", {"origin": "JFK"}).values["temp"] == 1.5
        assert store.online("departure", {"origin": "SFO"}).values["note"] == "new"
        assert len(store.read("weather")) == before + 3 - 1
        spine = [{"origin": o, "t": made.at(h / 2)} for o in ("JFK", "LGA", "EWR", "XXX") for h in range(28)]
        pinned = {"weather": 1, "airports": 1}

        def answer(**options):
            return store.historical("departure", spine, time="t", **options).to_arrow().to_pylist()

        def every():
            return [answer(known=known) for known in ("served", "event", made.at(11))]

        answers = every()
        store.compact()
        assert every() == answers
        assert json.loads(json.dumps(answer(commits=pinned), default=lambda v: v.isoformat())) == recorded["pinned"]
        assert store.quality.doctor().healthy, str(store.quality.doctor())
        assert store.verify("departure", instants=10, keys=4).differences == ()
    with asof.open(folder, clock=clock) as store:
        assert store.online("departure", {"origin": "JFK"}).values["temp"] == 1.5
        assert store.catalog.remove("departure") == []
        assert store.catalog.remove("weather") == ["weather@1"]


OPEN = """
import sys, time
from datetime import datetime
import asof, asof.store
clock = datetime.fromisoformat(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with asof.open(sys.argv[1], clock=lambda: clock) as store:
    rows = len(store.read("weather"))
    store.push("scores", {"origin": sys.argv[2], "day": clock, "score": 1.0})
    print(rows, store.online("departure", {"origin": "JFK"}).values["temp"], flush=True)
"""


def opened_at_once(folder, clock, count):
    """Open a store in several processes at the same moment; return the different lines that they print."""
    arguments = [sys.executable, "-W", "error", "-c", OPEN, str(folder)]
    every = [
        subprocess.Popen(
            [*arguments, f"P{number}", clock.now.isoformat()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in every:
        assert process.stdout.readline() == "ready\n"
    for process in every:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=240) for process in every]
    assert [process.returncode for process in every] == [0] * count, said
    return {out for out, _ in said}


@pytest.mark.slow
@pytest.mark.parametrize("old", STORES[:1], indirect=True)  # has all migrations before it
def test_four_processes_that_open_an_old_store_at_once_migrate_it_once(old, made, clock):
    folder, recorded = old
    said = opened_at_once(folder, clock, 4)
    assert said == {f"{len(recorded['rows'])} {recorded['online JFK'][0]['temp']}\n"}
    assert revision(folder) == [(REVISION,)]
    with asof.open(folder, clock=clock) as store:
        assert len(store.read("scores")) == 1 + 4
        assert store.quality.doctor().healthy
