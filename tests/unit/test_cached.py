"""What is remembered of definitions: which go when there are too many."""

from asof.serving import cached
from asof.serving.cached import Cached


def test_what_was_looked_up_longest_ago_goes_first(monkeypatch):
    monkeypatch.setattr(cached, "MOST", 3)
    monkeypatch.setattr(cached, "REFRESH_SECONDS", 0.0)
    known = Cached(str.upper)
    for name in ("a", "b", "c", "a", "d"):
        assert known(name) == name.upper()
    assert known.known == {"a", "c", "d"}
