"""Bytes that are no requests, and clients that vanish: the server answers others, and keeps nothing of them."""

import random
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HEAD = b"POST /v1/groups/spending/push HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
ROUNDS = 40
GROWN_KB = 30_000
"""What an allocator may keep beside what it needs."""


def noise(dice):
    return dice.randbytes(dice.randrange(1, 5000))


def half(dice):
    body = b'{"records": []}'
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return whole[: dice.randrange(1, len(whole))]


def broken(dice):
    whole = bytearray(HEAD + b"Content-Length: 15\r\n\r\n" + b'{"records": []}')
    for _ in range(dice.randrange(1, 6)):
        whole[dice.randrange(len(whole))] = dice.randrange(256)
    return bytes(whole)


def lying(dice):
    length = dice.choice([b"-1", b"1e3", b"99999999999999999999", b"0x10", b"", b"5, 6", b"\xff"])
    return HEAD + b"Content-Length: " + length + b"\r\n\r\n" + noise(dice)


def chunked(dice):
    size = dice.choice([b"zz", b"ffffffffffffffffff", b"5;" + b"a" * 9000, b"-1", b"3\r\nabcdef"])
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n" + noise(dice)


def pipelined(dice):
    return GET * dice.randrange(1, 200) + noise(dice) + GET


def upgraded(dice):
    return b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"


def odd_path(dice):
    return (
        b"GET /"
        + bytes(dice.choice(b"/%.?#@:;\\\xff\xc3\x00 ..") for _ in range(60))
        + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )


KINDS = (noise, half, broken, lying, chunked, pipelined, upgraded, odd_path)


def send(server, sent, leave):
    """Send bytes, and leave: after the answer, at once, or with a reset."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection, suppress(OSError):
        connection.sendall(sent)
        if leave == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif leave == "hear":
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(100_000):
                answer += part
            assert b"HTTP/1.1 5" not in answer, answer[:500]


def held(server):
    """Return how many files the server holds open, and how much memory in kB."""
    at = Path(f"/proc/{server.process.pid}")
    lines = (at / "status").read_text().splitlines()
    return len(list((at / "fd").iterdir())), next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def one_round(server, dice):
    for kind in KINDS:
        send(server, kind(dice), dice.choice(["hear", "go", "reset"]))


@pytest.mark.parametrize("seed", [1])
def test_bytes_that_are_no_requests_stop_nothing_and_leave_nothing(server, seed):
    dice = random.Random(seed)
    for _ in range(ROUNDS // 4):
        one_round(server, dice)
    files, memory = settled(server)
    for _ in range(ROUNDS):
        one_round(server, dice)
    files_after, memory_after = settled(server)
    assert files_after <= files + 3
    assert memory_after <= memory + GROWN_KB
    assert not [line for line in server.lines if "Traceback" in line or '"error"' in line]
    assert server.post("/v1/views/risk/online", {"keys": {"customer_id": 1}})[0] == 200


def settled(server):
    """Return what the server holds when it has let go of those who went."""
    found = held(server)
    for _ in range(20):
        time.sleep(0.1)
        now = held(server)
        if now[0] >= found[0]:
            return now
        found = now
    return found


@pytest.mark.parametrize("head", [b"GET /" + b"a" * 65_536, GET[:-2] + b"a: " + b"b" * 65_536, GET[:-2]])
def test_a_head_without_end_is_refused(server, head):
    memory = held(server)[1]
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection, suppress(OSError):
        connection.sendall(head)
        while sent < 100_000_000:
            sent += connection.send(b"h: " + b"x" * 65_531 + b"\r\n")
    assert sent < 10_000_000
    assert held(server)[1] < memory + GROWN_KB
    assert server.get("/v1/health")[0] == 200


def test_connections_that_send_nothing_hold_nobody_up(server):
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(300)]
    for each in idle[::2]:
        each.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
    assert server.post("/v1/views/risk/online", {"keys": {"customer_id": 1}})[0] == 200
    files = held(server)[0]
    for each in idle:
        each.close()
    end = time.monotonic() + 30
    while held(server)[0] > files - 290:
        assert time.monotonic() < end
        time.sleep(0.1)
