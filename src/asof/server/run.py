"""Run the server: uvicorn, with one process or several, each of which opens the store for itself."""

import os
import signal
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import msgspec
import uvicorn
from anyio import to_thread
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from asof.errors import TransientError
from asof.server.limits import Limits
from asof.server.logs import log_to_stderr
from asof.server.metrics import SHARED_FOLDER
from asof.server.security import Security, asks, checked_start, open_access
from asof.store import Store

VARIABLE = "ASOF_SERVE"
"""Tells a worker process what to serve: it begins with nothing but its environment."""

GRACE_SECONDS = 20
"""How long requests may take to finish when the server is told to stop."""

START_SECONDS = 60
"""How long a worker may take to open the store before its predecessor is kept instead."""

BACKLOG = 2048
"""Connections that wait to be accepted."""


class Settings(msgspec.Struct, frozen=True):
    """What is served, and how.

    Attributes:
        store: The store's folder.
        host: The address to listen at.
        port: The port; 0 for a free one.
        workers: Processes that answer.
        limits: What a request may cost.
        security: Who may ask, and how requests travel.
    """

    store: str
    host: str = "127.0.0.1"
    port: int = 8765
    workers: int = 1
    limits: Limits = Limits()
    security: Security = Security()


def serve(settings: Settings, *, ready: Callable[[str], None], note: Callable[[str], None]) -> None:
    """Serve until the process is told to stop (SIGTERM, or ctrl-c); requests under way are finished.

    Args:
        settings: What is served, and how.
        ready: Called with the server's address when its port is taken; workers answer a moment later.
        note: Told what people should know.

    Raises:
        UsageError: The host is open to other machines, and there is no key, or keys would travel in clear.
        NotFoundError: No store there.
        TransientError: The port is taken.
    """
    security = settings.security
    with Store.open(settings.store, create=False) as store:  # what is wrong is said once, and not by each worker
        names = checked_start(settings.host, security, store.keys)
        if not asks(security, store.keys):
            note(f"nobody is asked who he is until there is a key: asof keys add {settings.store} NAME --role reader")
    limits = replace(settings.limits, hosts=names)
    settings = msgspec.structs.replace(settings, limits=limits)
    with tempfile.TemporaryDirectory(prefix="asof-metrics-") as folder:
        os.environ[VARIABLE] = msgspec.json.encode(settings).decode()
        if settings.workers > 1:
            os.environ[SHARED_FOLDER] = folder
        config = uvicorn.Config(
            "asof.server.run:application",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            http="asof.server.heads:BoundedHeads",
            backlog=BACKLOG,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(security.trusted_proxies),
            forwarded_allow_ips=list(security.trusted_proxies),
            ssl_certfile=security.tls_cert or None,
            ssl_keyfile=security.tls_key or None,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_worker_healthcheck=START_SECONDS,
        )
        try:
            taken = config.bind_socket()
        except SystemExit as error:  # uvicorn's way to say it
            todo = "another server may run there; choose one with --port, 0 takes a free one"
            raise TransientError(f"port {settings.port} cannot be taken", where=settings.host, todo=todo) from error
        with taken, _told_to_stop():
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            ready(f"{'https' if security.tls_cert else 'http'}://{host}:{taken.getsockname()[1]}")
            if settings.workers > 1:
                Multiprocess(config, sockets=[taken]).run()
            else:
                uvicorn.Server(config).run(sockets=[taken])


def application() -> ASGIApp:
    """Return the application of a worker, over a store of its own that is closed when the worker stops."""
    from asof.server.app import Api  # noqa: PLC0415 - the metrics look at the environment when they are imported

    settings = msgspec.json.decode(os.environ[VARIABLE], type=Settings)
    log_to_stderr()
    store = Store.open(settings.store, create=False)
    access = open_access(settings.security, store.keys)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await to_thread.run_sync(access.close)
            store.close()

    return Api(store, limits=settings.limits, access=access).application(lifespan)


@contextmanager
def _told_to_stop() -> Generator[None]:
    """Let signals that stop the server do no more: uvicorn raises them again when it has finished."""
    before = {each: signal.signal(each, _nothing) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _nothing(_number: int, _frame: object) -> None:
    """Handle a signal."""
