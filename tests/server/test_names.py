import threading

import pytest

import asof
from asof.errors import NotFoundError, TransientError
from asof.server.names import Names
from asof.serving.cached import Cached


@pytest.mark.parametrize("what", ["keys", "records"])
def test_unknown_names_are_not_kept(folder, what):
    with asof.open(folder) as store:
        readers = getattr(Names(store), what)
        readers("spending")
        for name in ("spendings", "spending@2", "wether@1"):
            with pytest.raises(NotFoundError):
                readers(name)
        assert readers.known == {"spending"}


def test_while_one_looks_it_up_again_the_others_go_on_with_what_was_known(monkeypatch):
    begun, go_on, found = threading.Event(), threading.Event(), iter([1, 2])

    def find(_):
        value = next(found)
        if value == 2:
            begun.set()
            go_on.wait(10)
        return value

    cached = Cached(find)
    assert cached("a") == 1
    monkeypatch.setattr("asof.serving.cached.REFRESH_SECONDS", -1.0)  # it is old
    looking = threading.Thread(target=cached, args=("a",))
    looking.start()
    assert begun.wait(10)
    monkeypatch.undo()
    assert (cached("a"), cached.fresh("a")) == (1, 1)
    go_on.set()
    looking.join()
    assert cached("a") == 2


def test_one_of_those_who_may_wait_looks_it_up_again_before_it_is_too_old(monkeypatch):
    found = iter(range(1, 9))
    cached = Cached(lambda _: next(found))
    assert (cached.fresh("a"), cached("a"), cached.fresh("a")) == (None, 1, 1)
    monkeypatch.setattr("asof.serving.cached.SOON_SECONDS", -1.0)  # it is old, but not too old
    assert cached.fresh("a") is None
    monkeypatch.undo()
    assert cached.fresh("a") is None  # nobody did yet
    assert (cached("a"), cached("a"), cached.fresh("a")) == (2, 2, 2)


def test_what_was_known_stays_while_the_registry_is_away_and_goes_when_it_is_gone(monkeypatch):
    answers = iter([1, TransientError("away"), NotFoundError("gone")])

    def find(_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    cached = Cached(find)
    assert cached("a") == 1
    monkeypatch.setattr("asof.serving.cached.REFRESH_SECONDS", -1.0)  # it is old
    assert cached("a") == 1
    with pytest.raises(NotFoundError):
        cached("a")
    assert cached.known == set()
