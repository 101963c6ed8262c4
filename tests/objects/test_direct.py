"""Direct reads: a remote store fetches the files of history itself, and streams where it cannot."""

import hashlib
import logging
from contextlib import closing
from dataclasses import fields, replace
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec
import obstore
import pytest
from obstore.store import from_url
from tests.client.conftest import Served, everybody
from tests.objects.weather import NOON, WEATHER, row

import asof
from asof.client import direct, fetching, retries
from asof.engine.port import Rows
from asof.errors import DeniedError, PermanentError, UnknownCallerError, UsageError
from asof.parts import pinned_rows
from asof.records import DataFile, Stamp
from asof.server import direct as of_server
from asof.server.access import Access
from asof.server.admission import Admission
from asof.server.limits import Limits
from asof.testing.s3_proxy import S3Proxy
from asof.testing.wire import Proxy
from asof.wire import direct as wire

DIRECT = Limits(direct_bytes=0)
FILES = 3


@pytest.fixture(scope="module")
def proxy(s3_server):
    """Give a proxy before the object storage."""
    with S3Proxy(s3_server.port) as made:
        yield made


def filled(store, group):
    store.apply(group)
    for day in range(FILES):
        store.backfill(group.name, [row(o, 3 * day + h, 10.0 * day + h) for o in ("JFK", "LGA") for h in range(3)])


@pytest.fixture(scope="module")
def store(s3_server, proxy, tmp_path_factory):
    """Give a store with its history on S3; a commit is retracted, and a row is in the journal."""
    folder = tmp_path_factory.mktemp("direct")
    (folder / "asof.toml").write_text(
        f'format = 1\nhistory = "s3://{s3_server.BUCKET}/{folder.name}"\ncompaction = "off"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment(proxy.endpoint).items():
            patch.setenv(name, value)
        patch.setenv("ASOF_CACHE", str(folder / "cache"))
        with asof.open(folder) as opened:
            filled(opened, WEATHER)
            opened.push("weather", [row("JFK", 10, 1.5)])
            opened.retract("weather:2", reason="wrong")
            yield opened


@pytest.fixture(scope="module")
def server(store):
    running = Served(store, DIRECT, everybody)
    yield running
    running.stop()


@pytest.fixture
def remote(server, proxy, tmp_path, monkeypatch):
    """Give the remote store, with nothing in its cache and nothing asked of the storage yet."""
    monkeypatch.setenv("ASOF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(retries, "PAUSES", (0.01, 0.01))
    with asof.open(server.url) as opened:
        proxy.requests.clear()
        yield opened
    proxy.fault = lambda method, path: None


def links(proxy):
    """Return what was asked by signed links."""
    return [path for _, path in proxy.requests if "X-Amz-Signature" in path]


def copies(remote):
    """Return the files that a remote store keeps."""
    return [place for each in remote._direct._caches.values() for place in each._files.iterdir()]


def a_file(store):
    """Return some file of the history."""
    return pinned_rows(store._parts, store._parts.registry.group("weather"))[0].files[0][1]


# ---- the same answers


READS = [
    {},
    {"latest": True},
    {"clocks": True},
    {"columns": ["temp", "origin"]},
    {"start": NOON - timedelta(hours=22), "end": NOON - timedelta(hours=18)},
    {"known": NOON, "clocks": True},
    {"commits": {"weather": 3}},
    {"batch_rows": 4},
    {"batch_rows": 4, "clocks": True, "end": NOON - timedelta(hours=18)},
]


@pytest.mark.parametrize("options", READS)
def test_rows_that_are_read_directly_are_those_that_are_streamed(store, remote, proxy, options):
    found = remote.read("weather", **options)
    expected = store.read("weather", **options)
    assert found.to_arrow().equals(expected.to_arrow(), check_metadata=True)
    assert found.commits == expected.commits
    assert found.schema.equals(expected.schema, check_metadata=True)
    assert list(map(len, found.batches())) == list(map(len, expected.batches()))
    assert links(proxy)
    assert remote._direct.ready


def test_files_are_fetched_once_and_those_outside_of_the_bounds_not_at_all(remote, proxy):
    remote.read("weather", end=NOON - timedelta(hours=22))
    assert len(links(proxy)) == 1
    first = remote.read("weather").to_arrow()
    assert len(links(proxy)) == FILES
    assert remote.read("weather").to_arrow().equals(first)
    assert len(links(proxy)) == FILES


def test_a_large_file_is_fetched_in_pieces(store, remote, proxy, monkeypatch):
    monkeypatch.setattr(fetching, "PIECE_BYTES", 1000)
    assert remote.read("weather").to_arrow().equals(store.read("weather").to_arrow())
    assert len(links(proxy)) > FILES


def test_the_server_moves_no_rows(store, remote):
    noise = hashlib.shake_128(b"noise").hexdigest(250_000)
    large = [row(f"K{n}", 9, float(n), noise[50 * n : 50 * n + 50]) for n in range(10_000)]
    large_group = asof.FeatureGroup("large", entity=WEATHER.entity, event_time="at", features=WEATHER.features)
    store.apply(large_group)
    store.backfill("large", large)
    counter = Proxy(remote._link.served().flight_port)
    remote._link.served().flight_port = counter.port
    table = remote.read("large").to_arrow()
    directly = counter.answered_bytes
    remote._direct._rests_until = float("inf")
    assert remote.read("large").to_arrow().equals(table)
    streamed = counter.answered_bytes - directly
    counter.close()
    assert directly < 20_000
    assert streamed > 500_000


# ---- when rows are streamed


def test_small_reads_and_reads_of_few_features_are_streamed(store, remote, proxy):
    few = {"columns": ["origin"]}
    assert remote.read("weather", **few).to_arrow().equals(store.read("weather", **few).to_arrow())
    for limits in (Limits(), Limits(direct_bytes=None)):
        running = Served(store, limits, everybody)
        with asof.open(running.url) as other:
            assert other.read("weather").to_arrow().equals(store.read("weather").to_arrow())
        running.stop()
    assert links(proxy) == []


def test_a_store_in_a_folder_streams_and_needs_no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASOF_CACHE", str(tmp_path / "cache"))
    with asof.open(tmp_path / "local") as local:
        local.apply(WEATHER)
        local.backfill("weather", [row("JFK", 1, 1.0)])
        running = Served(local, DIRECT, everybody)
        with asof.open(running.url) as remote:
            assert remote.read("weather").to_arrow().num_rows == 1
            assert remote.forget("airport", {"origin": "JFK"}).rows
        running.stop()
    assert not (tmp_path / "cache").exists()


def test_a_storage_that_fails_at_times_is_asked_again(store, remote, proxy):
    faults = {}

    def at_first(method, path):
        if "X-Amz-Signature" not in path or path in faults:
            return None
        faults[path] = ("busy", "cut", "half")[len(faults)]
        return faults[path]

    proxy.fault = at_first
    assert remote.read("weather").to_arrow().equals(store.read("weather").to_arrow())
    assert len(faults) == FILES
    assert remote._direct.ready


@pytest.mark.parametrize("fault", ["broken", "cut", "half", "hang"])
def test_where_files_cannot_be_fetched_rows_are_streamed_and_it_is_not_tried_again_soon(
    store, remote, proxy, fault, caplog
):
    caplog.set_level(logging.DEBUG)
    remote._link.address = replace(remote._link.address, seconds=0.3 if fault == "hang" else 30.0)
    expected = store.read("weather").to_arrow()
    proxy.fault = lambda method, path: fault if "X-Amz-Signature" in path else None
    assert remote.read("weather").to_arrow().equals(expected)
    assert "rows of weather are streamed" in caplog.text
    for secret in ("Signature", "of-tests", "X-Amz"):
        assert secret not in caplog.text
    proxy.fault = lambda method, path: None
    asked = len(links(proxy))
    assert remote.read("weather", batch_rows=5).to_arrow().equals(expected)
    assert len(links(proxy)) == asked
    remote._direct._rests_until = 0.0
    assert remote.read("weather", batch_rows=5).to_arrow().equals(expected)
    assert len(links(proxy)) > asked


@pytest.mark.parametrize("place", ["http://127.0.0.1:1", "ftp://127.0.0.1", "http://["])
def test_rows_are_streamed_where_the_bucket_cannot_be_reached(store, remote, place, monkeypatch):
    monkeypatch.setattr(
        store._parts.history, "links", lambda files, *, seconds: {f.path: f"{place}/{f.path}?s=1" for f in files}
    )
    assert remote.read("weather").to_arrow().equals(store.read("weather").to_arrow())
    assert not remote._direct.ready


def test_rows_are_streamed_where_nobody_can_sign(store, remote, proxy, monkeypatch):
    def links_of(files, *, seconds):
        raise PermanentError("no key to sign with")

    monkeypatch.setattr(store._parts.history, "links", links_of)
    assert remote.read("weather").to_arrow().equals(store.read("weather").to_arrow())
    assert links(proxy) == []


def test_a_cache_that_cannot_be_used_is_no_reason_for_an_error(store, remote, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASOF_CACHE", str(tmp_path / "file"))
    assert remote.read("weather").to_arrow().equals(store.read("weather").to_arrow())
    assert not remote._direct.ready


def test_a_server_that_reads_files_in_another_way_streams(store, remote, proxy, monkeypatch):
    def sent(*words, **more):
        return msgspec.structs.replace(wire.sent_read(*words, **more), form=(wire.FORM + 1, 1))

    monkeypatch.setattr(of_server, "sent_read", sent)
    assert remote.read("weather").to_arrow().equals(store.read("weather").to_arrow())
    assert links(proxy) == []


@pytest.mark.parametrize("said", ["", "?", "AAAA", 5, None])
def test_what_is_no_read_is_refused(said):
    with pytest.raises(UsageError):
        wire.unpacked_read(said)


def test_what_is_said_of_files_is_what_this_version_knows():
    """Raise `FORM` with this list: a client of before would read the files in another way."""
    assert wire.FORM == 1
    assert [each.name for each in fields(DataFile)] == [
        "path", "rows", "size_bytes", "min_event_us", "max_event_us", "width", "confirms", "stamped", "late", "family",
        "first_commit", "last_commit",
    ]  # fmt: skip
    assert [each.name for each in fields(Rows)] == [
        "schema", "keys", "event_time", "delay_us", "pin", "layout", "files", "journal", "retracted", "sources", "cold",
        "outside",  # never said: rows outside of the store are not read directly
    ]  # fmt: skip
    assert Stamp.__struct_fields__ == ("number", "committed_at_us", "availability")


# ---- links


def test_a_link_reads_one_object_for_a_quarter_of_an_hour(store):
    file = a_file(store)
    ((path, link),) = store._parts.history.links([file], seconds=of_server.LINK_SECONDS).items()
    assert path == file.path
    assert "X-Amz-Expires=900" in link
    assert urlsplit(link).path.endswith(path.partition("/")[2])
    assert "secret-of-tests" not in link


def test_links_are_asked_for_again_before_they_end(store, remote, proxy, monkeypatch):
    monkeypatch.setattr(direct, "RENEWED", -1.0)
    assert remote.read("weather").to_arrow().equals(store.read("weather").to_arrow())
    assert len(links(proxy)) == FILES
    assert remote._direct.ready


def test_a_link_that_has_ended_is_no_reason_for_an_error(store, remote, proxy, monkeypatch):
    monkeypatch.setattr(of_server, "LINK_SECONDS", 0)
    assert remote.read("weather").to_arrow().equals(store.read("weather").to_arrow())
    assert links(proxy)
    assert not remote._direct.ready


def test_a_server_that_is_reached_by_tls_gives_no_files_in_clear(tmp_path):
    with closing(fetching.Fetcher(seconds=1, tls=True)) as fetcher, pytest.raises(PermanentError, match="in clear"):
        fetcher.fetch(lambda: "http://127.0.0.1:1/x?s=1", 10, tmp_path / "x", where="x")


def test_rights_are_those_of_a_read(store, remote, proxy):
    of_others = store.keys.add("of-others", {"others": "reader"}).token
    ours = store.keys.add("ours", {"": "reader"}).token
    with closing(Access(store.keys)) as access:
        running = Served(store, DIRECT, Admission(store, access))
        for key, error in ((of_others, DeniedError), (None, UnknownCallerError)):
            with asof.open(running.url, key=key) as refused, pytest.raises(error):
                refused.read("weather")
        assert links(proxy) == []
        with asof.open(running.url, key=ours) as allowed:
            assert allowed.read("weather").to_arrow().equals(store.read("weather").to_arrow())
        assert len(links(proxy)) == FILES
        running.stop()


# ---- copies


def test_bytes_that_are_not_those_written_are_refused(store, remote, caplog):
    caplog.set_level(logging.INFO)
    expected = store.read("weather").to_arrow()  # from here on the server has a good copy
    bucket, _, name = store._parts.history.location(a_file(store).path).rpartition("/")
    objects = from_url(bucket, client_options={"allow_http": True})
    good = bytes(obstore.get(objects, name).bytes())
    obstore.put(objects, name, good[:-1] + b"?")
    try:
        assert remote.read("weather").to_arrow().equals(expected)
    finally:
        obstore.put(objects, name, good)
    assert "bytes with the hash" in caplog.text
    assert not remote._direct.ready
    for place in copies(remote):
        assert hashlib.sha256(place.read_bytes()).hexdigest() == place.name


def test_copies_of_files_that_are_no_more_go_at_the_next_read_and_those_of_an_erasure_with_it(store, remote, tmp_path):
    filled(store, asof.FeatureGroup("other", entity=WEATHER.entity, event_time="at", features=WEATHER.features))
    remote.read("other")
    assert (tmp_path / "cache" / "asof").stat().st_mode & 0o777 == 0o700
    assert len(copies(remote)) == FILES
    store.compact("other")
    assert remote.read("other", commits={"other": 2}).to_arrow().num_rows == 12
    assert len(copies(remote)) == FILES + 1
    assert len(remote.read("other", batch_rows=5)) == 18
    assert len(copies(remote)) == 1
    remote.forget("airport", {"origin": "LGA"}, dry_run=True)
    assert len(copies(remote)) == 1
    remote.forget("airport", {"origin": "LGA"})
    assert copies(remote) == []
    assert remote.read("other").to_arrow().equals(store.read("other").to_arrow())
    assert len(copies(remote)) == 1
    assert remote._direct.ready
