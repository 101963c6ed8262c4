"""What a remote store has beside a store in a folder: an address, lost answers, limits, and the fork of a process."""

import asyncio
import inspect
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import flight
from tests.client.conftest import NOW, customer, rows

import asof
from asof import errors
from asof.catalog import Catalog
from asof.client import AsyncStore, RemoteStore, reading, retries
from asof.client.catalog import RemoteCatalog, RemoteQuality
from asof.client.http import Buffer
from asof.client.together import RemoteTogether
from asof.errors import ConflictError, NotFoundError, TransientError, UnsupportedError, UsageError
from asof.ingest.write import Together
from asof.quality import Quality
from asof.server import calls
from asof.server.limits import Limits
from asof.server.verbs import VERBS
from asof.store import Store
from asof.wire import requests
from asof.wire.failures import error_of, failure_of
from asof.wire.values import pack, unpack


@pytest.fixture
def hasty(monkeypatch):
    """Let a client give up soon."""
    monkeypatch.setattr(retries, "PAUSES", (0.01, 0.02))


def public(kind):
    return {name: member for name, member in inspect.getmembers(kind, callable) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("local", "remote"),
    [(Store, RemoteStore), (Catalog, RemoteCatalog), (Quality, RemoteQuality), (Together, RemoteTogether)],
)
def test_a_remote_store_has_the_same_words(local, remote):
    assert issubclass(remote, local)
    for name, method in public(local).items():
        if name == "open":
            continue
        assert name in vars(remote), f"{remote.__name__}.{name} would use parts that are not here"
        assert inspect.signature(method) == inspect.signature(getattr(remote, name)), name


def test_a_remote_store_is_a_store(remote):
    assert isinstance(remote, Store)
    assert repr(remote).startswith("<asof.Store 'asof://127.0.0.1:")


def test_every_verb_says_who_may_ask_it():
    assert {verb.role for verb in VERBS.values()} == {"reader", "writer", "admin"}
    fields = {name: verb.request.__struct_fields__ for name, verb in VERBS.items()}
    assert all(not verb.of or verb.of in fields[name] for name, verb in VERBS.items())


# ---- values and errors


plain = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False) | st.dates()
values = plain | st.decimals(allow_nan=False) | st.datetimes(timezones=st.just(UTC))


@given(st.recursive(values, lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=8))
def test_values_come_back_with_their_types(value):
    found = unpack(pack(value))
    assert found == value
    assert type(found) is type(value)


def test_numbers_of_numpy_and_fine_times_come_back():
    number = unpack(pack(np.float32(1.5)))
    assert (number, type(number)) == (1.5, np.float32)
    fine = unpack(pack(pd.Timestamp("2026-01-01T00:00:00.000001234Z")))
    assert (fine.microsecond, fine.nanosecond) == (1, 234)
    assert unpack(pack(pd.NaT)) is None
    west = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-5)))
    assert unpack(pack([west, date(1, 1, 1), Decimal("1E+3"), "\ud800"])) == [
        west, date(1, 1, 1), Decimal("1E+3"), "\ud800",
    ]  # fmt: skip


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_refused(message):
    with suppress(UsageError):
        unpack(message)


@pytest.mark.parametrize("kind", [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, Exception)])
def test_every_error_comes_back_as_itself(kind):
    if not issubclass(kind, errors.AsofError):
        return
    made = kind("polars", extra="polars") if kind is errors.MissingDependencyError else kind(
        "what", where="there", todo="that", data={"row": 3}
    )  # fmt: skip
    again = error_of(failure_of(made))
    assert type(again) is kind
    assert (str(again), again.what, again.where, again.todo, again.data) == (
        str(made), made.what, made.where, made.todo, made.data,
    )  # fmt: skip


def test_what_nobody_foresaw_is_not_told():
    assert "secret" not in failure_of(RuntimeError("secret")).what


# ---- addresses


@pytest.mark.parametrize(
    "url", ["asof://", "asof://host:port", "asof://user:pw@host:1", "asof://host:1/path", "asof://host:99999"]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(UsageError, match="is no address of a server") as caught:
        asof.open(url)
    assert "pw" not in str(caught.value)


def test_what_only_a_folder_knows_is_refused():
    with pytest.raises(UsageError, match="clock of a remote store is its server's"):
        asof.open("asof://127.0.0.1:1", clock=lambda: NOW)
    with pytest.raises(UsageError, match="repaired where it lies"):
        asof.open("asof://127.0.0.1:1", repair=True)
    with pytest.raises(UsageError, match="timeout=0"):
        asof.open("asof://127.0.0.1:1", timeout=0)


def test_a_server_that_is_not_there_is_said_to_be_away(hasty):
    with pytest.raises(TransientError, match=r"no server was reached.*asof://127.0.0.1:1.*does `asof serve` run"):
        asof.open("asof://127.0.0.1:1")


class Stub:
    """A port where whatever comes is answered with the same bytes, or with nothing."""

    def __init__(self, answer):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"asof://127.0.0.1:{self._socket.getsockname()[1]}"
        self._answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        held = []
        while True:
            try:
                taken, _ = self._socket.accept()
            except OSError:
                return
            held.append(taken)
            taken.recv(10_000)
            if self._answer is not None:
                taken.sendall(self._answer)
                taken.close()

    def close(self):
        self._socket.close()


@pytest.fixture
def stub():
    made = []

    def make(answer):
        made.append(Stub(answer))
        return made[-1].url

    yield make
    for each in made:
        each.close()


def answer(body, status="200 OK"):
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


def test_a_server_that_says_nothing_is_not_waited_for_longer_than_the_time_out(stub, hasty):
    begun = time.monotonic()
    with pytest.raises(TransientError, match=r"no answer within 0\.1 s"):
        asof.open(stub(None), timeout=0.1)
    assert time.monotonic() - begun < 5


@pytest.mark.slow
def test_a_slow_verb_ends_with_the_time_out(server, store, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(store.catalog, "tags", lambda: over.wait(60))
    with asof.open(server.url, timeout=1) as remote:
        begun = time.monotonic()
        with pytest.raises(TransientError, match=r"no answer within 1 s.*pass timeout= to asof\.open"):
            remote.catalog.tags()
        assert time.monotonic() - begun < 5
        over.set()
    with asof.open(server.url) as remote:
        assert len(remote.read("spending")) == 10


def test_another_version_of_the_protocol_is_refused(stub):
    with pytest.raises(UnsupportedError, match=r"the server 9\.9 speaks version 99 .*same version of asof"):
        asof.open(stub(answer('{"version": "9.9", "protocol": 99}')))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", TransientError),
        (b"\x00\xff" * 100, TransientError),
        (b"", TransientError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", TransientError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}", TransientError),
        (answer("no JSON"), errors.AsofError),
        (answer("<html>", "502 Bad Gateway"), TransientError),
        (answer("<html>", "404 Not Found"), errors.PermanentError),
    ],
)
def test_garbage_at_the_port_is_an_error_of_ours(stub, hasty, said, kind):
    with pytest.raises(kind):
        asof.open(stub(said), timeout=2)


# ---- writes


def test_a_lost_answer_is_no_second_commit(remote, store, monkeypatch):
    client = remote._link._flight_client()[1]
    lost = []

    class Losing:
        """Gives the first answer to nobody."""

        def __getattr__(self, name):
            return getattr(client, name)

        def do_action(self, action, options):
            found = list(client.do_action(action, options))
            return self._given(found)

        def do_put(self, descriptor, schema, options):
            writer, reader = client.do_put(descriptor, schema, options)

            class Reader:
                def read(_reader):  # noqa: N805 - `self` is the client's
                    return reader.read() if self._given(lost) is lost else None

            return writer, Reader()

        def _given(self, found):
            if not lost:
                lost.append(1)
                raise flight.FlightUnavailableError("Socket closed")
            return found

    monkeypatch.setattr(remote._link, "_flight", Losing())
    pushed = remote.push("spending", rows(1)[0])
    assert (pushed.number, pushed.repeated, pushed.idempotency_key) == (2, False, "")
    lost.clear()
    written = remote.write("spending", rows(3))
    assert (written.number, written.repeated, written.rows) == (3, False, 3)
    assert remote.catalog.commits("spending") == [*remote.catalog.commits("spending")[:1], pushed, written]
    assert len(store.catalog.commits("spending")) == 3
    lost.clear()
    with pytest.raises(TransientError, match="may be stored all the same"):  # a reader gives its rows only once
        remote.write("spending", pa.Table.from_pylist(rows(2)).to_reader())
    assert len(store.catalog.commits("spending")) == 4


def test_a_key_of_the_caller_is_shown_and_compared(remote):
    first = remote.write("spending", rows(2), idempotency_key="k")
    again = remote.write("spending", rows(2), idempotency_key="k")
    assert (again, again.repeated, again.idempotency_key) == (first, True, "k")
    with pytest.raises(ConflictError, match="'k' was used with other content"):
        remote.write("spending", rows(3), idempotency_key="k")


def test_a_stream_that_breaks_off_stores_nothing(remote, store):
    def broken():
        yield pa.RecordBatch.from_pylist(rows(5))
        raise OSError("the disk is gone")

    schema = pa.RecordBatch.from_pylist(rows(1)).schema
    with pytest.raises(OSError, match="the disk is gone"):
        remote.write("spending", pa.RecordBatchReader.from_batches(schema, broken()))
    assert remote.write("spending", rows(1)).number == 2
    assert len(store.catalog.commits("spending")) == 2


def test_a_stream_without_its_end_stores_nothing(server, store):
    client = flight.connect(f"grpc://127.0.0.1:{server.flight.port}")
    command = pack(["write", pack({"group": "spending", "ends": True})])
    batch = pa.RecordBatch.from_pylist(rows(5))
    writer, reader = client.do_put(flight.FlightDescriptor.for_command(command), batch.schema)
    writer.write_batch(batch)
    writer.done_writing()
    with pytest.raises(flight.FlightError, match="broke off after 5 rows"):
        reader.read()
        writer.close()
    client.close()
    assert len(store.catalog.commits("spending")) == 1


def test_batches_that_are_too_large_or_malformed_are_refused(serve, store):
    server = serve(Limits(batch_bytes=1000))
    client = flight.connect(f"grpc://127.0.0.1:{server.flight.port}")

    def put(batch):
        command = flight.FlightDescriptor.for_command(pack(["write", pack({"group": "spending"})]))
        writer, reader = client.do_put(command, batch.schema)
        try:
            writer.write_batch(batch)
            writer.done_writing()
            while reader.read() is not None:
                pass
        finally:
            writer.close()

    with pytest.raises(flight.FlightError, match="a batch has more than 1,000 bytes"):
        put(pa.RecordBatch.from_pylist(rows(100)))
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\x02\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    with pytest.raises(flight.FlightError, match="a batch is malformed"):
        put(pa.record_batch({"id": [1], "at": [NOW], "orders": [1], "x": [1.0], "y": text}))
    with (
        asof.open(serve(Limits(table_bytes=1500)).url) as remote,
        pytest.raises(UnsupportedError, match="more than the 1,500 bytes"),
    ):
        remote.historical("risk", [{"id": n, "t": NOW} for n in range(500)], time="t")
    client.close()
    assert len(store.catalog.commits("spending")) == 1


@pytest.mark.parametrize("message", [b"", b"\xff", pack(["read"]), pack(["nothing", b""]), pack({"a": 1})])
def test_messages_that_are_none_of_ours_are_refused(server, message):
    client = flight.connect(f"grpc://127.0.0.1:{server.flight.port}")
    for ask in (
        lambda: client.do_get(flight.Ticket(message)).read_all(),
        lambda: list(client.do_action(flight.Action("catalog.find", message))),
        lambda: list(client.do_action(flight.Action("nothing", message))),
    ):
        with pytest.raises((flight.FlightServerError, flight.FlightInternalError)) as caught:
            ask()
        assert "the server failed" not in str(caught.value)
    client.close()


def test_who_may_not_is_refused_with_the_store_s_own_words(serve, monkeypatch):
    seen = []

    @contextmanager
    def admit(token, address, verb, request):
        seen.append((token, verb))
        if VERBS[verb].role != "reader":
            raise UsageError(f"{verb} takes the role {VERBS[verb].role}")
        yield

    server = serve(admit=admit)
    with asof.open(server.url, key="sesame") as remote:
        assert len(remote.read("spending")) == 10
        with pytest.raises(UsageError, match="write takes the role writer"):
            remote.write("spending", rows(1))
        assert "sesame" not in repr(vars(remote))
    monkeypatch.setenv("ASOF_KEY", "open")
    with asof.open(server.url) as remote:
        remote.catalog.tags()
    assert seen == [("sesame", "read"), ("sesame", "write"), ("open", "catalog.tags")]


# ---- transactions, restarts, forks


def test_a_transaction_that_the_server_forgot_stores_nothing(remote, serve, store, monkeypatch):
    monkeypatch.setattr(calls, "TOGETHER_SECONDS", -1)
    with pytest.raises(NotFoundError, match="nothing of it was stored"), remote.together() as tx:
        tx.write("spending", rows(1))
    assert len(store.catalog.commits("spending")) == 1


def test_a_transaction_that_is_committed_by_many_at_once_is_one_commit(remote, store):
    with remote.together() as tx:
        tx.write("spending", rows(1))
        asked = requests.Together(together=tx._number, keys=tx._keys)
        barrier = threading.Barrier(8)

        def commit(_):
            barrier.wait()
            return remote._link.act("together.commit", asked)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(commit, range(8)))
    assert len(store.catalog.commits("spending")) == 2
    assert all(answer == answers[0] for answer in answers)
    assert tx.commits[0].number == 2


def test_a_commit_asked_for_again_after_the_server_was_started_again_is_found(remote, store, monkeypatch):
    with remote.together() as tx:
        tx.write("spending", rows(1))
        remote._link.act("together.commit", requests.Together(together=tx._number, keys=tx._keys))
        monkeypatch.setattr(calls, "TOGETHER_SECONDS", -1)  # forgotten
    assert [(commit.number, commit.idempotency_key) for commit in tx.commits] == [(2, "")]
    assert len(store.catalog.commits("spending")) == 2


def test_what_was_refused_is_not_counted_as_written_together(remote):
    with remote.together() as tx:
        tx.write("spending", rows(1))
        with pytest.raises(UsageError, match="written twice together"):
            tx.write("spending", rows(2))
    assert [commit.rows for commit in tx.commits] == [1]


@given(st.lists(st.binary(min_size=1, max_size=40) | st.just(b"0\r\n\r\n")), st.data())
def test_an_answer_in_chunks_is_whole_at_its_last_chunk_and_not_before(chunks, data):
    whole = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    whole += b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=5)))
    buffer = Buffer()
    fed = [buffer.feed(whole[start:end]) for start, end in pairwise([0, *cuts, len(whole)])]
    assert fed == [False] * len(cuts) + [True]
    assert buffer.answer() == (200, b"".join(chunks), True)


@pytest.mark.slow
def test_many_threads_share_a_remote_store(remote):
    wrong = []

    def read(key):
        for _ in range(20):
            if remote.online("risk", {"id": key}).values != {"orders": key}:
                wrong.append(key)
            if len(remote.read("spending", columns=["id"])) != 10:
                wrong.append("read")

    threads = [threading.Thread(target=read, args=(key,)) for key in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_a_forked_child_reads_single_vectors_and_is_told_what_it_cannot(remote):
    remote.read("spending")
    remote.online("risk", {"id": 1})
    reading, writing = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - another process
        said = "nothing"
        try:
            said = str(remote.online("risk", {"id": 3}).values)
            remote.read("spending")
        except UnsupportedError as error:
            said += f" {error}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    os.waitpid(child, 0)
    assert said.startswith("{'orders': 3} this process was forked from one that used Flight")
    assert remote.online("risk", {"id": 1}).values == {"orders": 1}
    assert len(remote.read("spending")) == 10


def test_a_feature_that_is_added_appears_in_the_next_answer(remote, store):

    assert remote.online("spending", {"id": 1}).values == {"orders": 1, "x": 0.25}
    more = asof.FeatureGroup(
        "spending", entity=customer, event_time="at", online=True, ttl="30d",
        features=[asof.Feature("orders", "int64"), asof.Feature("x", "float64"), asof.Feature("y", "string")],
    )  # fmt: skip
    store.apply(more)
    assert remote.online("spending", {"id": 1}).values == {"orders": 1, "x": 0.25, "y": None}
    assert remote.online("spending", [{"id": 1}]).to_arrow().column_names == ["orders", "x", "y"]


@pytest.mark.parametrize("few", [0, 1000])
def test_many_keys_are_answered_alike_over_http_and_flight(remote, store, monkeypatch, few):
    monkeypatch.setattr(reading, "FEW_KEYS", few)
    for keys in ([{"id": 1}, {"id": 99}, {"id": None}], [{"id": np.int64(3)}, {"id": 4}], [], [{"id": 5}]):
        ours, theirs = remote.online("spending", keys), store.online("spending", keys)
        assert ours.to_arrow() == theirs.to_arrow()
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert (one.values, one.statuses, one.event_times) == (other.values, other.statuses, other.event_times)
            assert one.receipt == other.receipt
        assert ours[1:].to_arrow() == theirs[1:].to_arrow()
        assert np.array_equal(ours.to_numpy(), theirs.to_numpy(), equal_nan=True)
    for wrong in ("abc", [1], 7, [{"id": "a"}], [{"id": 1}, {}], [{"id": 1, "x": 2}]):
        with pytest.raises(errors.AsofError) as here:
            remote.online("spending", wrong)
        with pytest.raises(errors.AsofError) as there:
            store.online("spending", wrong)
        assert type(here.value) is type(there.value)
        assert here.value.what == there.value.what


# ---- asyncio


def test_asyncio_services_read_many_at_a_time(server, store):
    async def read():
        async with await asof.open_async(server.url) as remote:
            assert isinstance(remote, AsyncStore)
            found = await asyncio.gather(*(remote.online("risk", {"id": n % 10}) for n in range(200)))
            assert [each.values["orders"] for each in found] == [n % 10 for n in range(200)]
            assert found[3].receipt == store.online("risk", {"id": 3}).receipt
            by_reference = await remote.online("spending:x,risk:orders", {"id": 3})
            assert by_reference.values == {"x": 0.75, "orders": 3}
            many = await remote.online("risk", [{"id": 1}, {"id": 77}])
            assert [each.statuses["orders"] for each in many] == ["PRESENT", "MISSING"]
            with pytest.raises(NotFoundError, match="did you mean 'risk'"):
                await remote.online("rick", {"id": 1})
            with pytest.raises(UsageError, match="key 'id' is missing"):
                await remote.online("risk", {})
            assert len(remote._free) <= 8

    asyncio.run(read())


def test_an_asyncio_read_that_nobody_waits_for_spoils_no_other(server):
    async def read():
        async with await asof.open_async(server.url) as remote:
            for wait in (0, 0.0001, 0.0005, 0.001):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(wait):
                        while True:
                            await remote.online("risk", {"id": 1})
                assert (await remote.online("risk", {"id": 2})).values == {"orders": 2}

    asyncio.run(read())


def test_an_asyncio_read_of_a_server_that_is_away_says_so(hasty):
    async def read():
        with pytest.raises(TransientError, match="no server was reached"):
            await asof.open_async("asof://127.0.0.1:1")

    asyncio.run(read())
