"""Worker processes are looked after, and connections are let go with a word."""

import asyncio
import os
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import uvicorn

from asof.errors import TransientError
from asof.server import connections, workers
from asof.server.leaving import GOODBYE_SECONDS, LeavingServer
from asof.server.workers import Worker, Workers

PATIENCE_SECONDS = 30


def until(true):
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def configured(app="starlette.applications:Starlette", count=2):
    config = uvicorn.Config(app, factory=True, port=0, workers=count, log_config=None, timeout_notify=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield config, taken


def children():
    """Return the workers of this process."""
    every = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    found = set()
    for child in every:
        with suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(int(child))
    return found


@pytest.mark.slow
def test_a_worker_ends_when_its_parent_is_gone_and_not_with_its_terminal():
    with configured() as (config, taken):
        worker = Worker(config, taken, 0)
        until(lambda: worker.listens() and worker.heard)
        os.kill(worker.pid, signal.SIGHUP)  # a terminal that is closed tells all processes; the parent alone reloads
        heard = worker.heard
        until(lambda: worker.listens() and worker.heard > heard)
        worker.said.close()  # as the end of the parent does
        until(lambda: worker.pid not in children())
        assert worker.end() == 0


@pytest.mark.slow
def test_a_dead_worker_is_replaced_while_another_hangs_and_so_is_that_one_later(monkeypatch):
    monkeypatch.setattr(workers, "HUNG_SECONDS", 3)
    seen, ended = [], threading.Event()

    def scenario():
        try:
            until(lambda: sum(worker.heard is not None for worker in running._every) == 2)
            hangs, dies = sorted(children())
            os.kill(hangs, signal.SIGSTOP)
            os.kill(dies, signal.SIGKILL)
            until(lambda: len(children()) == 2 and dies not in children())
            seen.append(hangs in children())
            until(lambda: len(children()) == 2 and hangs not in children())
            seen.append(True)
        finally:
            if not ended.is_set():
                os.kill(os.getpid(), signal.SIGTERM)

    with configured() as (config, taken):
        running = Workers(config, taken, grace_seconds=5)
        acting = threading.Thread(target=scenario)
        acting.start()
        try:
            running.run()
        finally:
            ended.set()
            acting.join()
    assert seen == [True, True]
    assert not children()


def test_workers_that_never_answer_are_said_once():
    with configured("starlette.applications:Nothing") as (config, taken), pytest.raises(TransientError, match="start"):
        Workers(config, taken, grace_seconds=5).run()
    assert not children()


class Slow:
    """Answers when it is let."""

    def __init__(self):
        self.go = threading.Event()

    async def __call__(self, scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await asyncio.to_thread(self.go.wait, PATIENCE_SECONDS)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def slow():
    """Give an application that waits, and a server of it that stops when it is told."""
    app = Slow()
    config = uvicorn.Config(
        app, http="asof.server.connections:BoundedHttp", lifespan="off", log_config=None, access_log=False
    )
    server = LeavingServer(config)
    taken = socket.create_server(("127.0.0.1", 0))
    running = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
    running.start()
    until(lambda: server.started)
    yield app, server, taken.getsockname()[1]
    app.go.set()
    server.should_exit = True
    running.join(PATIENCE_SECONDS)
    assert not running.is_alive()


def asked(connection):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


def heard(connection):
    answer = b""
    while not answer.endswith(b"ok") and (part := connection.recv(1000)):
        answer += part
    return answer


def test_a_server_that_stops_answers_what_is_under_way_and_what_comes_next_and_says_that_it_was_the_last(slow):
    app, server, port = slow
    app.go.set()
    waits, idle, new = (socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3))
    for connection in (waits, idle):
        asked(connection)
        assert b"connection: close" not in heard(connection)
    app.go.clear()
    asked(waits)
    until(lambda: len(server.server_state.tasks) == 1)
    server.should_exit = True
    until(lambda: server.state.leaving)
    app.go.set()
    asked(idle)
    for connection in (waits, idle):
        assert b"connection: close" in heard(connection)
        assert connection.recv(100) == b""
    begun = time.monotonic()
    assert new.recv(100) == b"", "who asks nothing is hung up on"
    assert time.monotonic() - begun < GOODBYE_SECONDS + 2
    for connection in (waits, idle, new):
        connection.close()


def test_a_connection_that_asks_all_the_time_is_let_go_after_a_while(slow, monkeypatch):
    monkeypatch.setattr(connections, "MOST_SECONDS", 0.2)
    app, _, port = slow
    app.go.set()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        answers = 0
        answer = b""
        while b"connection: close" not in answer:
            asked(connection)
            answer = heard(connection)
            answers += 1
        assert answers > 1
        assert connection.recv(100) == b""
