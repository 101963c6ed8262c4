"""How long a serving log keeps answers, and what is refused when they went."""

from dataclasses import replace
from datetime import timedelta

import pytest

from asof import FeatureView
from asof.errors import ConflictError, DataError, UsageError
from asof.ingest import upkeep
from asof.serving import log as serving_log


@pytest.fixture
def view(weather):
    """Give a maker of a view that logs every answer, and keeps it for a day; keywords change its parts."""
    given = {"features": [weather()], "log": 1.0, "log_retention": "1d"}
    return lambda **parts: FeatureView("departure", **(given | parts))


@pytest.fixture
def logging(store, weather, view, at, monkeypatch):
    """Give the store with two airports and a view that logs; background work is done when a test says so."""
    monkeypatch.setattr(upkeep, "BACKGROUND", False)
    store.apply(weather(), view())
    rows = [{"origin": o, "time_hour": at(24), "temp": t, "visib": None} for o, t in (("JFK", 1.0), ("LGA", 2.0))]
    store.push("weather", rows)
    return store


def answer(store, times=1):
    """Answer some times, log it, and return the last answer."""
    for _ in range(times):
        vector = store.online("departure", {"origin": "JFK"})
    store._log.flush()
    return vector


def clocks(store, name="departure_log", **how):
    return sorted(store.read(name, **how).to_arrow().column("clock").to_pylist())


def compact(store, group="departure_log"):
    (done,) = store.compact(group)
    return done.rows, done.dropped


def test_it_is_shown_and_changes_in_place(store, weather, view):
    assert "    log: 1 of the answers, kept for 1d" in str(store.apply(weather(), view()))
    assert ("log", "100% of the online answers, in departure_log, kept for 1d") in store.catalog.describe(
        "departure"
    ).facts
    assert ("retention", "1d") in store.catalog.describe("departure_log").facts
    assert not store.apply(weather(), view())
    plan = str(store.apply(weather(), view(log_retention="90d")))
    assert "departure@1: amend" in plan
    assert "departure_log@1: amend" in plan
    assert store.catalog.views()[0].definition == view(log_retention=timedelta(days=90))
    store.apply(weather(), view(log_retention=None))
    assert store.catalog.views()[0].definition.log_retention_us is None
    assert not store.apply(weather(), view(log_retention=None))


def test_it_needs_a_log_and_a_length(view):
    with pytest.raises(UsageError, match="log_retention= needs log="):
        view(log=0.0)
    with pytest.raises(UsageError, match="log_retention 'a day' is no length of time"):
        view(log_retention="a day")


def test_compact_drops_older_answers_and_their_receipts_replay_from_history(logging, clock):
    old = answer(logging, 3)
    clock.move(hours=20)
    new = answer(logging)
    clock.move(hours=4)
    assert compact(logging) == (1, 3)  # a day after the first three: (lo, hi]
    assert clocks(logging) == [new.receipt.clock]
    for vector in (old, new):
        assert logging.replay(vector.receipt.to_dict()).values == vector.values
    clock.move(hours=1)
    assert compact(logging) == (1, 0)
    proof = logging.verify("departure")
    assert not proof.differences
    assert proof.stages[2].compared == 2  # both features of the answer that is left


def test_reads_before_what_is_left_are_refused(logging, clock):
    answer(logging)
    logging.catalog.tag("before")
    first = clock()
    clock.move(hours=30)
    answer(logging)
    begin = clock() - timedelta(days=1)
    assert len(clocks(logging, start=first - timedelta(hours=1))) == 2
    assert compact(logging) == (1, 1)
    for bounds in ({"start": first}, {"end": first}, {"known": first}):
        with pytest.raises(DataError, match=r"the history of group 'departure_log' begins at .* retention dropped"):
            logging.read("departure_log", **bounds)
    assert clocks(logging, start=begin) == [clock()]
    with pytest.raises(DataError, match="begins at"):
        logging.historical("departure_log", [{"answer": "x"}], time=first)
    with pytest.raises(ConflictError, match="retention dropped rows that commit departure_log@1:1 could see"):
        logging.read("departure_log", commits="before")
    logging.historical("departure", [{"origin": "JFK"}], time=first, commits="before")


def test_nothing_is_refused_while_nothing_went(logging, clock):
    answer(logging)
    logging.catalog.tag("before")
    compact(logging)
    clock.move(hours=1)
    assert compact(logging) == (1, 0)
    assert len(clocks(logging, commits="before")) == 1


def test_a_log_without_it_keeps_all(logging, weather, view, clock):
    logging.apply(weather(), view(log_retention=None))
    answer(logging)
    clock.move(days=1000)
    assert compact(logging) == (1, 0)


def test_an_older_version_of_a_log_is_kept_as_long(logging, weather, view, clock):
    answer(logging)
    logging.apply(view(features=[weather()["temp"]], log_retention="2h"))
    assert [group.ref for group in logging.catalog.groups()][:2] == ["departure_log@1", "departure_log@2"]
    clock.move(hours=3)
    assert compact(logging, "departure_log@1") == (0, 1)
    assert clocks(logging, "departure_log@1") == []


def test_upkeep_drops_files_of_which_every_answer_is_too_old(logging, clock, monkeypatch, folder):
    monkeypatch.setattr(serving_log, "JOURNAL_ROWS", 1)  # each batch is a file
    work = logging._writer.upkeep.work
    answer(logging, 2)
    work()
    assert len(clocks(logging)) == 2
    clock.move(hours=25)
    new = answer(logging)
    work()
    assert clocks(logging) == [new.receipt.clock]
    assert not logging._writer.upkeep.failures
    with pytest.raises(DataError, match="begins at"):
        logging.read("departure_log", end=clock() - timedelta(hours=25))
    logging._writer.upkeep.sweep(now_us=2**62)
    assert len([*folder.glob("history/departure_log*/*.parquet")]) == 1


def test_upkeep_keeps_a_file_of_which_one_answer_is_young(logging, clock, monkeypatch):
    monkeypatch.setattr(serving_log, "JOURNAL_ROWS", 1)
    monkeypatch.setattr(serving_log, "WRITE_SECONDS", 60)  # written together
    for _ in range(2):
        logging.online("departure", {"origin": "JFK"})
        clock.move(hours=20)
    answer(logging)
    clock.move(hours=20)
    answer(logging)
    logging._writer.upkeep.work()
    assert len(clocks(logging)) == 4
    assert compact(logging) == (2, 2)


def test_upkeep_that_is_switched_off_drops_nothing(logging, clock, monkeypatch):
    monkeypatch.setattr(serving_log, "JOURNAL_ROWS", 1)
    upkeeper = logging._writer.upkeep
    monkeypatch.setattr(upkeeper, "_parts", replace(upkeeper._parts, compaction="off"))
    answer(logging)
    clock.move(hours=25)
    answer(logging)
    upkeeper.work()
    assert len(clocks(logging)) == 2


def test_forget_finds_what_is_left(logging, clock):
    answer(logging)
    clock.move(hours=25)
    answer(logging)
    compact(logging)
    certificate = logging.forget("airport", {"origin": "JFK"})
    assert [each.rows for each in certificate.erased if each.what == "departure_log@1"] == [1]
    assert clocks(logging) == []
