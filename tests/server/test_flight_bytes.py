"""Bytes at the port of Flight that are no calls, calls that are no requests, and clients that vanish."""

import random
import socket
import struct
from contextlib import suppress

import pyarrow as pa
import pytest
from pyarrow import flight
from tests.server.test_bytes import GROWN_KB, settled

from asof.wire.values import pack

pytestmark = pytest.mark.slow

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
ROUNDS = 150


def frame(dice):
    body = dice.randbytes(dice.randrange(0, 300))
    kind, flags, stream = dice.randrange(12), dice.randrange(256), dice.randrange(1 << 31)
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def sent(dice):
    return dice.choice([
        dice.randbytes(dice.randrange(1, 5000)),
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        PREFACE[: dice.randrange(1, len(PREFACE))],
        PREFACE + SETTINGS + b"".join(frame(dice) for _ in range(dice.randrange(1, 20))),
        PREFACE + SETTINGS + dice.randbytes(dice.randrange(1, 5000)),
    ])  # fmt: skip


def send(port, dice):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, suppress(OSError):
        connection.sendall(sent(dice))
        leave = dice.choice(["hear", "go", "reset"])
        if leave == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif leave == "hear":
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(100_000):
                pass


def message(dice):
    verb = dice.choice(["read", "historical", "write", "online", "verify", "push", "x" * 5000, ""])
    asked = dice.choice([b"", dice.randbytes(40), pack({}), pack([1]), pack({"group": 5}), pack({"group": "spending"})])
    return dice.choice(
        [b"", dice.randbytes(50), pack([verb]), pack([verb, asked]), pack([verb, {}]), pack({verb: asked})]
    )


def call(client, dice):
    """Call with something that is no request, and leave early now and then."""
    options = flight.FlightCallOptions(timeout=10)
    with suppress(pa.ArrowException, UnicodeError, OSError, StopIteration):
        match dice.randrange(4):
            case 0:
                verb = dice.choice(["catalog.groups", "verify", "push", "\udcff", "", "x" * 5000])
                list(client.do_action(flight.Action(verb, message(dice)), options))
            case 1:
                rows = client.do_get(flight.Ticket(message(dice)), options)
                rows.cancel() if dice.random() < 0.5 else rows.read_all()
            case 2:
                descriptor = flight.FlightDescriptor.for_command(message(dice))
                writer, _ = client.do_put(descriptor, pa.schema([("a", pa.int64())]), options)
                closed(writer)
            case _:
                writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(message(dice)), options)
                with suppress(pa.ArrowException, OSError, StopIteration):
                    writer.done_writing()
                    reader.read_chunk()
                closed(writer)


def closed(writer):
    """Close what says why it broke off: else it is said on stderr when it is dropped."""
    for _ in range(2):
        with suppress(pa.ArrowException, OSError):
            writer.close()


def one_round(port, client, dice):
    send(port, dice)
    call(client, dice)
    assert len(client.do_get(flight.Ticket(pack(["read", pack({"group": "spending"})]))).read_all()) == 10


def test_what_is_no_call_stops_nothing_and_leaves_nothing(server):
    dice, port = random.Random(1), server.get("/v1/server")[1]["flight_port"]
    with flight.connect(f"grpc://127.0.0.1:{port}") as client:
        for _ in range(ROUNDS // 3):
            one_round(port, client, dice)
        files, memory = settled(server)
        for _ in range(ROUNDS):
            one_round(port, client, dice)
        files_after, memory_after = settled(server)
        assert files_after <= files + 3
        assert memory_after <= memory + GROWN_KB
    assert not [line for line in server.lines if "Traceback" in line or '"error"' in line]
    assert server.get("/v1/health")[0] == 200
