"""A store whose history lies on S3 answers as the oracle does; each read fetches what it needs anew.

So does a remote store that reads the files of its server's history itself.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.conftest import Served, everybody

import asof
from asof.clock import from_us
from asof.ingest import merge
from asof.server.limits import Limits
from asof.testing.played import Clock, Played, names
from asof.testing.strategies import BASE_US, cases, instants, pins

some = settings(max_examples=max(settings().max_examples // 5, 4))  # an example is some hundred requests


@pytest.fixture(scope="module")
def bench(s3_server, tmp_path_factory) -> Iterator[tuple]:
    """Give a store that lives, its clock, names, and the folder of its cache."""
    folder = tmp_path_factory.mktemp("laws")
    (folder / "store").mkdir()
    (folder / "store" / "asof.toml").write_text(f'format = 1\nhistory = "s3://{s3_server.BUCKET}/laws"\n')
    clock = Clock(BASE_US)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "FILES", 2)
        patch.setenv("ASOF_CACHE", str(folder / "cache"))
        for name, value in s3_server.environment().items():
            patch.setenv(name, value)
        with asof.open(folder / "store", clock=clock) as store:
            served = Served(store, Limits(direct_bytes=0), everybody)
            with asof.open(served.url) as remote:
                yield store, remote, clock, names(), folder / "cache" / "asof"
            served.stop()


@pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")
@some
@given(case=cases(), data=st.data())
def test_every_read_is_the_oracles_in_every_mode_and_at_every_pin(bench, case, data) -> None:
    store, remote, clock, name, cache = bench
    played = Played(store, clock, case.history, name(), online=True)
    try:
        played.play()
        for file in cache.glob("*/files/**/*"):  # small files may be merged beside: folders stay
            if file.is_file():
                file.unlink(missing_ok=True)
        played.check_case(case)
        moments = st.one_of(st.none(), st.sampled_from(instants(case.history)))
        moment, pin = data.draw(moments), data.draw(pins(case.history))
        played.check_read(moment, pin)
        if data.draw(st.booleans()):
            store.compact(played.name)
            played.check_case(case)
        played.store = remote
        played.check_read(moment, pin)
        bounds = [None if each is None else from_us(each) for each in (data.draw(moments), data.draw(moments))]
        options = {} if case.history.group.static else dict(zip(("start", "end"), bounds, strict=True))
        found, expected = (each.read(played.ref, **options).to_arrow() for each in (remote, store))
        assert found.schema.equals(expected.schema, check_metadata=True)
        assert repr(found.to_pylist()) == repr(expected.to_pylist())  # NaN is NaN, and 0.0 is not -0.0
        assert remote._direct.ready
    finally:
        played.store = store
        store.catalog.remove(played.name)
