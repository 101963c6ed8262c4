"""One transaction, and what may happen to the wire or the server in the middle of it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from asof.errors import TransientError
from asof.records import DataFile, Draft
from asof.registry.sql import database
from asof.testing.registry import NOW_US, group_of

pytestmark = pytest.mark.slow


@pytest.fixture
def through_proxy(backend, proxy, opened):
    """Give the registry, through the proxy, with the groups g and h."""
    metadata = opened(backend.url.replace(str(backend.server.port), str(proxy.port)))
    metadata.registry.apply([group_of("g"), group_of("h")], now_us=NOW_US)
    return metadata


def publish(metadata, *drafts):
    return metadata.log.publish([[draft] for draft in drafts], clock=lambda: NOW_US)


@pytest.mark.parametrize("when", ["asked", "asking"])
def test_a_commit_whose_answer_is_lost_is_made_once(through_proxy, proxy, when):
    group = through_proxy.registry.group("g")
    proxy.when, proxy.only = when, b"COMMIT"
    for number in range(1, 6):
        proxy.cuts = 1
        ((commit,),) = publish(through_proxy, Draft(group.id, "push", rows=1, payload=b"%d" % number))
        assert proxy.cuts == 0
        assert (commit.number, commit.repeated) == (number, False)
    assert [payload for _, payload in through_proxy.log.snapshot(group).journal] == [b"1", b"2", b"3", b"4", b"5"]


@pytest.mark.parametrize("when", ["asked", "asking"])
def test_a_publication_that_is_cut_at_any_step_is_made_once(through_proxy, proxy, when):
    group = through_proxy.registry.group("g")
    proxy.when = when
    for skip in range(8):
        proxy.cuts, proxy.skip = 1, skip
        draft = Draft(group.id, "push", rows=1, payload=b"x", idempotency_key=f"{skip}", digest="d")
        ((commit,),) = publish(through_proxy, draft)
        assert (commit.number, commit.repeated) == (skip + 1, False)
    proxy.cuts = 0
    assert len(through_proxy.log.commits(group)) == 8


def test_every_change_whose_answer_is_lost_is_made_once(through_proxy, proxy):
    registry, log, tags, erasures = (
        through_proxy.registry,
        through_proxy.log,
        through_proxy.tags,
        through_proxy.erasures,
    )
    group = registry.group("g")
    publish(through_proxy, Draft(group.id, "write", rows=1, files=(DataFile("old", 1, 10, 5, 7),)))
    proxy.when, proxy.only = "asked", b"COMMIT"
    made = []

    def erase():
        made.append(erasures.begin("e", b"keys", reason="", writer="", now_us=NOW_US))

    for change in (
        lambda: registry.apply([group_of("i")], now_us=NOW_US),
        lambda: tags.add("a", message="", writer="", now_us=NOW_US),
        lambda: log.replace_files(group, removed=["old"], added=[DataFile("new", 1, 10, 5, 7)], now_us=NOW_US),
        lambda: log.forget_files(["old"]),
        erase,
        lambda: erasures.finish(made[0], "done", keys=[b"one"]),
        lambda: erasures.close(made[0]),
        lambda: tags.remove("a"),
        lambda: registry.remove("i"),
    ):
        proxy.cuts = 1
        change()  # and no ConflictError: replace_files would have its caller delete the new files
        assert proxy.cuts == 0
    assert log.files() == {"new": True}
    assert (tags.all(), [each.pending for each in erasures.all()]) == ([], [None])
    assert [each.ref for each in registry.groups()] == ["g@1", "h@1"]


def test_reads_are_made_again_over_a_new_connection(through_proxy, proxy):
    group = through_proxy.registry.group("g")
    publish(through_proxy, Draft(group.id, "push", rows=1, payload=b"x"))
    for skip in range(6):
        proxy.cuts, proxy.skip = 1, skip
        assert len(through_proxy.log.snapshot(group).journal) == 1
        assert through_proxy.registry.group("g").ref == "g@1"


def test_what_is_cut_each_time_says_so_soon_and_works_again_later(through_proxy, proxy, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", (0.0, 0.1, 0.1))
    group = through_proxy.registry.group("g")
    proxy.cuts = 10_000
    start = time.monotonic()
    for call in (lambda: through_proxy.log.commits(group), lambda: publish(through_proxy, Draft(group.id, "push"))):
        with pytest.raises(TransientError, match="cannot be reached") as refused:
            call()
        assert f"127.0.0.1:{proxy.port}" in refused.value.where
        assert "try again" in refused.value.todo
    assert time.monotonic() - start < 20
    proxy.cuts = 0
    ((commit,),) = publish(through_proxy, Draft(group.id, "push"))
    assert commit.number == 1


def test_who_cannot_learn_what_became_of_a_commit_says_that(through_proxy, proxy, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", (0.0, 0.1))
    group = through_proxy.registry.group("g")
    publish(through_proxy, Draft(group.id, "push"))
    draft = Draft(group.id, "push", rows=1, payload=b"x", idempotency_key="once", digest="d")

    def stay_away():
        proxy.only, proxy.cuts = b"", 10_000

    proxy.only, proxy.cuts, proxy.cut = b"COMMIT", 1, stay_away
    with pytest.raises(TransientError, match="may be stored or not") as refused:
        publish(through_proxy, draft)
    assert "idempotency_key" in refused.value.todo
    proxy.cuts = 0
    ((commit,),) = publish(through_proxy, draft)
    assert (commit.number, commit.repeated) == (2, True)


def test_a_server_that_is_killed_and_started_again_and_again_loses_nothing(own_backend, opened):
    metadata = opened(own_backend.url)
    metadata.registry.apply([group_of("g")], now_us=NOW_US)
    group = metadata.registry.group("g")
    done = threading.Event()

    def push(worker):
        mine, number = [], 0
        while not done.is_set():
            payload = b"%d-%d" % (worker, number)
            try:
                ((commit,),) = publish(metadata, Draft(group.id, "push", rows=1, payload=payload))
            except TransientError:  # it did not come back soon enough
                time.sleep(0.05)
                continue
            mine.append((commit.number, payload))
            number += 1
        return mine

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(push, worker) for worker in range(4)]
        for _ in range(4):
            time.sleep(0.4)
            own_backend.server.kill()
            own_backend.server.start()
        time.sleep(0.3)
        done.set()
        answered = dict(pair for each in working for pair in each.result(timeout=120))
    stored = {stamp.number: payload for stamp, payload in metadata.log.snapshot(group).journal}
    assert sorted(stored) == list(range(1, len(stored) + 1)), "no gaps"
    assert {number: stored[number] for number in answered} == answered
    assert len(set(stored.values())) == len(stored), "none twice"
    assert len(answered) == len(stored)


def test_connections_that_were_cut_between_calls_are_made_anew_without_a_word(own_backend, opened):
    metadata = opened(own_backend.url)
    metadata.registry.apply([group_of("g")], now_us=NOW_US)
    group = metadata.registry.group("g")
    for number in (1, 2, 3):
        own_backend.disconnect_all()
        ((commit,),) = publish(metadata, Draft(group.id, "push"))
        assert commit.number == number
        own_backend.disconnect_all()
        assert len(metadata.log.commits(group)) == number
    own_backend.server.stop()
    own_backend.server.start()
    assert len(metadata.log.commits(group)) == 3
