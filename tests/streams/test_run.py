"""A stream into a group: each message once, whatever fails; and what cannot be stored is told."""

import random
import threading
import time
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from tests.brokers import send_redis
from tests.streams.conftest import START, arrivals, message, stored

import asof
from asof import Check, Entity, Feature, FeatureGroup
from asof.errors import (
    DataError,
    NotFoundError,
    PermanentError,
    TransientError,
    UnsupportedError,
    UsageError,
)
from asof.streams import letters, positions, run


@pytest.fixture
def url(redis_server, tmp_path):
    return f"{redis_server.url}/arrivals-{tmp_path.name}-{time.monotonic_ns()}"


def send(url, *values):
    place, _, key = url.partition("?")[0].rpartition("/")
    send_redis(place, key, values)


def drain(store, url, **options):
    return run(store, "arrivals", url, until_idle=0.3, **options)


def test_messages_become_rows_in_both_stores_and_a_second_run_does_nothing(store, url):
    send(url, *map(message, range(2500)))
    first = drain(store, url, batch_rows=1000)
    assert (first.messages, first.rows, first.quarantined, first.lag) == (2500, 2500, 0, 0)
    assert stored(store) == list(range(2500))
    assert store.online("arrivals", {"id": 7}).values == {"delay": 7.5, "dest": "JFK"}
    commits = store.catalog.commits("arrivals")
    assert {commit.kind for commit in commits} == {"push"}
    assert commits[0].meta == {"stream": urlsplit(url).path.split("/")[-1]}
    again = drain(store, url)
    assert (again.messages, again.rows, again.batches) == (0, 0, 0)
    send(url, message(2500))
    assert drain(store, url).rows == 1


def test_it_goes_on_after_a_restart_of_the_store(tmp_path, url):
    for part in range(3):
        send(url, *map(message, range(part * 100, part * 100 + 100)))
        with asof.open(tmp_path / "store") as store:
            store.apply(arrivals)
            assert drain(store, url).rows == 100
            assert stored(store) == list(range(part * 100 + 100))


def test_poison_is_kept_with_its_place_and_the_good_rows_are_stored(store, url):
    send(url, message(0), b"{", message(1, delay=9999.0), message(2), message(3, id="three"), b"\x00\xff", message(4))
    found = drain(store, url)
    assert (found.rows, found.quarantined) == (3, 4)
    assert stored(store) == [0, 2, 4]
    kept = letters(store, "arrivals")
    assert [each.body for each in kept] == [b"{", b"\x00\xff", message(1, delay=9999.0), message(3, id="three")]
    assert "breaks 'delay between -100 and 5000'" in kept[2].reason
    assert len({each.place for each in kept}) == 4
    (commit,) = store.catalog.commits("arrivals")
    assert (commit.quarantined, {each.commit for each in kept}) == (4, {commit.number})
    assert letters(store, "arrivals", limit=1) == kept[-1:]


def test_a_batch_of_poison_alone_moves_on(store, url):
    send(url, b"{", b"}")
    assert drain(store, url).quarantined == 2
    assert drain(store, url).messages == 0
    assert len(letters(store, "arrivals")) == 2


def test_a_whole_stream_is_not_put_into_quarantine(store, url):
    send(url, *[b"<xml/>"] * 100)
    with pytest.raises(DataError, match=r"50 messages in a row cannot be stored.*JSON"):
        drain(store, url, batch_rows=10, most_quarantined=50)
    assert len(letters(store, "arrivals")) == 40
    send(url, message(1))
    drain(store, url)
    assert stored(store) == [1]


def test_the_later_of_two_messages_of_one_key_and_time_counts(store, url):
    send(url, message(1, delay=1.0), message(1, delay=2.0))
    drain(store, url)
    assert store.online("arrivals", {"id": 1}).values["delay"] == 2.0
    send(url, message(1, delay=3.0))
    drain(store, url)
    assert store.online("arrivals", {"id": 1}).values["delay"] == 3.0
    spine = [{"id": 1, "t": START + timedelta(days=1)}]
    assert store.historical("arrivals", spine, time="t", known="event").to_arrow().column("delay").to_pylist() == [3.0]


def test_rows_that_only_warn_are_stored(tmp_path, url):
    entity = Entity("flight", keys={"id": "int64"})
    features = [Feature("delay", "float64"), Feature("dest", "string")]
    group = FeatureGroup(
        "arrivals",
        entity=entity,
        event_time="at",
        features=features,
        checks=[Check.between("delay", 0, 1)],
        on_violation="warn",
    )
    with asof.open(tmp_path / "s") as store:
        store.apply(group)
        send(url, message(1, delay=9.0))
        with pytest.warns(asof.errors.DataWarning, match="between"):
            drain(store, url)
        assert stored(store) == [1]


def test_two_streams_of_one_group_and_two_groups_of_one_stream(store, url):
    send(url, message(1))
    send(f"{url}-more", message(2))
    drain(store, url)
    drain(store, f"{url}-more")
    drain(store, url, name="again")  # under another name it is another stream
    assert stored(store) == [1, 1, 2]
    assert {stream for stream, _ in positions(store, "arrivals")} == {
        urlsplit(url).path.split("/")[-1],
        urlsplit(url).path.split("/")[-1] + "-more",
        "again",
    }


def test_a_definition_may_change_while_it_runs(store, url):
    stop = threading.Event()
    failed = []

    def read():
        try:
            run(store, "arrivals", url, stop=stop)
        except Exception as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        send(url, message(1))
        _wait(lambda: stored(store) == [1])
        more = FeatureGroup(
            "arrivals",
            entity=arrivals.entity,
            event_time="at",
            features=[*arrivals.features, Feature("gate", "string")],
            checks=[Check.between("delay", 0, 10)],
            online=True,
        )
        store.apply(more)
        send(url, message(2, gate="B7"), message(30))
        _wait(lambda: stored(store) == [1, 2])
        assert store.online("arrivals", {"id": 2}).values["gate"] == "B7"
        assert "between 0 and 10" in letters(store, "arrivals")[0].reason
    finally:
        stop.set()
        thread.join(60)
    assert failed == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", ["log.publish", "online.apply"])
def test_a_part_of_the_store_that_is_away_costs_nothing(store, url, monkeypatch, operation, when):
    part, _, method = operation.partition(".")
    adapter = type(getattr(store._parts, part))
    real = getattr(adapter, method)
    turns = random.Random(7)

    def sometimes(*args, **options):
        fails = turns.random() < 0.4
        if fails and when == "before":
            raise TransientError("away on purpose")
        answer = real(*args, **options)
        if fails:
            raise TransientError("the answer was lost on purpose")
        return answer

    monkeypatch.setattr(adapter, method, sometimes)
    send(url, *map(message, range(600)), b"{")
    found = drain(store, url, batch_rows=25)
    assert found.retries > 3
    monkeypatch.undo()
    assert stored(store) == list(range(600))
    assert len(letters(store, "arrivals")) == 1
    assert found.messages == 601
    vectors = store.online("arrivals", [{"id": number} for number in range(600)])
    assert [vector.values["delay"] for vector in vectors] == [number % 50 + 0.5 for number in range(600)]


def test_a_failure_that_stays_stops_it_and_loses_nothing(store, url, monkeypatch):
    adapter = type(store._parts.log)
    send(url, *map(message, range(10)))

    def broken(*_, **__):
        raise PermanentError("the disk is full on purpose")

    monkeypatch.setattr(adapter, "publish", broken)
    with pytest.raises(PermanentError, match="disk is full"):
        drain(store, url)
    monkeypatch.undo()
    assert stored(store) == []
    assert drain(store, url).rows == 10


def test_a_stop_while_the_store_is_away_says_so_and_loses_nothing(store, url, monkeypatch):
    send(url, *map(message, range(10)))
    stop = threading.Event()

    def away(*_, **__):
        stop.set()
        raise TransientError("away on purpose")

    monkeypatch.setattr(type(store._parts.log), "publish", away)
    with pytest.raises(TransientError, match="away on purpose"):
        run(store, "arrivals", url, stop=stop)
    monkeypatch.undo()
    assert drain(store, url).rows == 10


def test_memory_holds_no_more_than_a_batch(store, url):
    send(url, *map(message, range(900)))
    told = []
    drain(store, url, batch_rows=100, progress=told.append)
    assert max(commit.rows for commit in store.catalog.commits("arrivals")) <= 100
    assert told[-1].rows == 900
    assert str(told[-1]).startswith("900 messages, 900 rows, ")


def test_latest_leaves_out_what_was_there(store, url):
    send(url, message(1))
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(store, "arrivals", url), kwargs={"start": "latest", "stop": stop})
    thread.start()
    time.sleep(1)
    send(url, message(2))
    _wait(lambda: stored(store) == [2])
    stop.set()
    thread.join(60)


def test_forget_takes_what_lies_in_quarantine(store, url):
    send(url, message(1), b'{"id": "needle"')
    drain(store, url)
    certificate = store.forget("flight", [{"id": 1}])
    assert "quarantine" in certificate.places
    assert ("quarantine", 1) in {(each.place, each.rows) for each in certificate.erased}
    (letter,) = letters(store, "arrivals")
    assert (letter.body, letter.reason) == (b"", "")
    raw = b"".join(path.read_bytes() for path in (store._root).glob("registry.db*"))
    assert b"needle" not in raw


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"group": "arivals"}, NotFoundError, "arrivals"),
        ({"url": "pulsar://x/y"}, NotFoundError, "stream adapter"),
        ({"url": "redis://127.0.0.1/0"}, UsageError, "names no stream"),
        ({"format": "xml"}, NotFoundError, "format"),
        ({"batch_rows": 0}, UsageError, "batch_rows"),
        ({"start": "middle"}, UsageError, "start"),
        ({"name": "a b"}, UsageError, "no name"),
        ({"url": ""}, UsageError, "where are the messages"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(store, url, options, error, said):
    with pytest.raises(error, match=said):
        run(store, **({"group": "arrivals", "url": url} | options))


def test_a_servers_store_reads_no_streams():
    with pytest.raises(UnsupportedError, match="where the store is"):
        run(object(), "arrivals", "redis://127.0.0.1/0/x")


def _wait(done, seconds=30):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
