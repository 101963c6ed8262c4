"""`asof serve` with Flight: found by itself, stopped with care, started again under the same address."""

import signal
import socket
import threading
import time

import pyarrow as pa
import pytest

import asof
from asof.errors import NotFoundError, UnsupportedError
from asof.testing.servers import free_port

pytestmark = pytest.mark.slow


def address(server):
    return f"asof://127.0.0.1:{server.port}"


def more(now, count=3):
    return pa.Table.from_pylist(
        [{"customer_id": n, "at": now, "orders": 100 + n, "returned": 0.0} for n in range(count)]
    )


def test_a_store_is_read_and_written_over_the_wire(server, now):
    with asof.open(address(server)) as remote:
        assert remote.online("risk", {"customer_id": 3}).values == {"orders": 3, "returned": 0.75}
        assert remote.write("spending", more(now)).rows == 3
        assert remote.online("risk", {"customer_id": 2}).values["orders"] == 102
        assert len(remote.read("spending", latest=True)) == 10
        frame = remote.historical("risk", [{"customer_id": 2}], time=now, known="event")
        assert frame.to_arrow().to_pylist() == [{"customer_id": 2, "orders": 102, "returned": 0.0}]
        with pytest.raises(NotFoundError, match="did you mean 'risk'"):
            remote.historical("rsk", [{"customer_id": 2}])
    assert counted(server, 'asof_calls_total{outcome="NotFoundError",verb="historical"} 1.0')
    assert server.stop() == 0


def test_several_workers_share_one_flight(serve, now):
    server = serve("--workers", "2")
    with asof.open(address(server)) as remote:
        remote.push("spending", {"customer_id": 1, "at": now, "orders": 77, "returned": 0.0})
        for _ in range(20):
            assert remote.online("risk", {"customer_id": 1}).values["orders"] == 77
        assert len(remote.read("spending", latest=True)) == 10
    assert counted(server, 'asof_calls_total{outcome="ok",verb="read"} 1.0')
    assert server.stop() == 0


def counted(server, line):
    """Return whether a figure is there, whichever worker tells it; a call ends a moment after its answer."""
    for _ in range(100):
        if line in server.get("/metrics")[1]:
            return True
        time.sleep(0.05)
    return False


def test_a_server_without_flight_reads_single_vectors_only(serve):
    with asof.open(address(serve("--no-flight"))) as remote:
        assert remote.online("risk", {"customer_id": 3}).values["orders"] == 3
        with pytest.raises(UnsupportedError, match=r"this server has no Flight.*without --no-flight"):
            remote.read("spending")


def test_a_server_that_is_started_again_goes_on_under_the_same_address(serve, now):
    first = serve("--port", str(free_port()))
    with asof.open(address(first)) as remote:
        assert remote.online("risk", {"customer_id": 3}).values["orders"] == 3
        assert len(remote.read("spending")) == 10
        first.stop()
        second = serve("--port", str(first.port))
        assert second.port == first.port
        assert remote.online("risk", {"customer_id": 3}).values["orders"] == 3
        assert remote.push("spending", {"customer_id": 3, "at": now, "orders": 7, "returned": 0.0}).rows == 1
        assert len(remote.read("spending")) == 11


def test_a_write_under_way_is_finished_when_the_server_is_told_to_stop(server, folder, now):
    table = more(now)
    begun = threading.Event()

    def slowly():
        for batch in table.to_batches(max_chunksize=1):
            yield batch
            begun.set()
            time.sleep(0.5)

    with asof.open(address(server)) as remote:
        found = []
        rows = pa.RecordBatchReader.from_batches(table.schema, slowly())
        writing = threading.Thread(target=lambda: found.append(remote.write("spending", rows)))
        writing.start()
        assert begun.wait(20)
        server.process.send_signal(signal.SIGTERM)
        writing.join(30)
    assert server.stop() == 0
    assert [commit.rows for commit in found] == [3]
    with asof.open(folder) as store:
        assert store.catalog.commits("spending")[-1].rows == 3


def test_random_bytes_at_the_port_of_flight_hurt_nobody(server):
    with asof.open(address(server)) as remote:
        port = remote._link.served().flight_port
        for said in (
            b"\0" * 1000,
            b"GET / HTTP/1.1\r\n\r\n",
            bytes(range(256)) * 20,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff",
        ):
            with socket.create_connection(("127.0.0.1", port)) as link:
                link.sendall(said)
        assert len(remote.read("spending")) == 10
    assert server.stop() == 0
