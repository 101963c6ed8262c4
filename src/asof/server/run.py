"""Run the server: HTTP by uvicorn, in this process or in several with stores of their own; and Flight, in this one."""

import logging
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING

import msgspec
import uvicorn
from anyio import to_thread
from starlette.applications import Starlette
from starlette.types import ASGIApp, Lifespan

from asof.errors import TransientError
from asof.server import SHARED_FOLDER
from asof.server.access import Access
from asof.server.leaving import LeavingServer
from asof.server.limits import Limits
from asof.server.logs import log_to_stderr
from asof.server.security import Security, asks, checked_start, open_access
from asof.server.workers import BEAT_SECONDS, Workers
from asof.signals import told_to_stop
from asof.store import Store

if TYPE_CHECKING:
    from asof.server.shared import Shared

log = logging.getLogger("asof.server")

VARIABLE = "ASOF_SERVE"
"""Tells a worker process what to serve: it begins with nothing but its environment."""

GRACE_SECONDS = 20
"""How long requests may take to finish when the server is told to stop."""

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
        flight_port: The port of Flight; 0 for a free one, None to leave it out.
        models: The models that it predicts with.
    """

    store: str
    host: str = "127.0.0.1"
    port: int = 8765
    workers: int = 1
    limits: Limits = Limits()
    security: Security = Security()
    flight_port: int | None = 0
    models: tuple[str, ...] = ()


def serve(settings: Settings, *, ready: Callable[[str, int | None], None], note: Callable[[str], None]) -> None:
    """Serve until the process is told to stop (SIGTERM, or ctrl-c); requests under way are finished.

    Args:
        settings: What is served, and how.
        ready: Called with the server's address, and Flight's port, when both are taken; HTTP answers a moment later.
        note: Told what people should know.

    Raises:
        UsageError: The host is open to other machines, and there is no key, or keys would travel in clear.
        NotFoundError: No store there, or no such model. ConflictError, PermanentError: A model cannot be loaded.
        TransientError: The port is taken.
    """
    security = settings.security
    with tempfile.TemporaryDirectory(prefix="asof-metrics-") as folder, told_to_stop():
        if settings.workers > 1:
            os.environ[SHARED_FOLDER] = folder
        with Store.open(settings.store, create=False) as store:
            names = checked_start(settings.host, security, store.keys)
            if not asks(security, store.keys):
                todo = f"asof keys add {settings.store} NAME --role reader"
                note(f"nobody is asked who he is until there is a key: {todo}")
            settings = msgspec.structs.replace(settings, limits=replace(settings.limits, hosts=names))
            with ExitStack() as opened:
                access = opened.enter_context(closing(open_access(security, store.keys)))
                own = opened.enter_context(closing(_shared(store, settings)))
                flight_port = opened.enter_context(_flight(store, settings, access, own))
                settings = msgspec.structs.replace(settings, flight_port=flight_port)
                os.environ[VARIABLE] = msgspec.json.encode(settings).decode()
                config = _config(settings, store, access, own)
                with _taken(config, settings) as taken:
                    host = f"[{settings.host}]" if ":" in settings.host else settings.host
                    scheme = "https" if security.tls_cert else "http"
                    ready(f"{scheme}://{host}:{taken.getsockname()[1]}", flight_port)
                    if settings.workers > 1:
                        Workers(config, taken, grace_seconds=GRACE_SECONDS).run()
                    else:
                        LeavingServer(config).run(sockets=[taken])


def _shared(store: Store, settings: Settings, *, strict: bool = True) -> "Shared":
    from asof.server.shared import shared  # noqa: PLC0415 - the metrics look at the environment when they are imported

    return shared(store, settings.limits, settings.models, strict=strict)


def _config(settings: Settings, store: Store, access: Access, own: "Shared") -> uvicorn.Config:
    """Return how HTTP is served: over this process's store, or by workers with stores of their own."""
    log_to_stderr()
    several, security = settings.workers > 1, settings.security
    return uvicorn.Config(
        "asof.server.run:application" if several else _application(settings, store, access, own),
        factory=several,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http="asof.server.connections:BoundedHttp",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(security.trusted_proxies),
        forwarded_allow_ips=list(security.trusted_proxies),
        ssl_certfile=security.tls_cert or None,
        ssl_keyfile=security.tls_key or None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_notify=BEAT_SECONDS,
    )


def _application(
    settings: Settings, store: Store, access: Access, own: "Shared", lifespan: Lifespan[Starlette] | None = None
) -> ASGIApp:
    from asof.server.app import Api  # noqa: PLC0415 - as above

    api = Api(store, limits=settings.limits, access=access, flight_port=settings.flight_port, with_flight=own)
    return api.application(lifespan)


@contextmanager
def _taken(config: uvicorn.Config, settings: Settings) -> Generator[socket]:
    try:
        taken = config.bind_socket()
    except SystemExit as error:  # uvicorn's way to say it
        todo = "another server may run there; choose one with --port, 0 takes a free one"
        raise TransientError(f"port {settings.port} cannot be taken", where=settings.host, todo=todo) from error
    with taken:
        yield taken


@contextmanager
def _flight(store: Store, settings: Settings, access: Access, own: "Shared") -> Generator[int | None]:
    """Serve Flight while the block runs; in the end calls under way are finished."""
    if settings.flight_port is None:
        yield None
        return
    from asof.server.admission import Admission  # noqa: PLC0415 - 30 ms, and not everybody wants it
    from asof.server.flight import FlightServer  # noqa: PLC0415 - the same

    security = settings.security
    files = [Path(security.tls_cert), Path(security.tls_key)] if security.tls_cert else []
    server = FlightServer(
        store,
        host=settings.host,
        port=settings.flight_port,
        limits=settings.limits,
        admit=Admission(store, access),
        with_http=own,
        certificate=[file.read_bytes() for file in files],
    )
    try:
        yield server.port
    finally:
        if not server.stop(GRACE_SECONDS):
            log.warning("calls of Flight did not end within %d s", GRACE_SECONDS)


def application() -> ASGIApp:
    """Return the application of a worker, over a store of its own that is closed when the worker stops."""
    settings = msgspec.json.decode(os.environ[VARIABLE], type=Settings)
    log_to_stderr()
    store = Store.open(settings.store, create=False)
    access = open_access(settings.security, store.keys)
    own = _shared(store, settings, strict=False)  # a model may be archived since the server was started

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await to_thread.run_sync(access.close)
            await to_thread.run_sync(own.close)
            store.close()

    return _application(settings, store, access, own, lifespan)
