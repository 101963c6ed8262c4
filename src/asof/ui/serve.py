"""`asof ui`: the pages of a store in a folder, on this machine only."""

from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from asof.errors import TransientError
from asof.signals import told_to_stop
from asof.store import Store
from asof.ui.app import Pages
from asof.ui.gate import Open

HOST = "127.0.0.1"

NAMES = ["127.0.0.1", "localhost"]
"""Under another name, which a page of another site may have made point here, nobody is answered."""

GRACE_SECONDS = 5


def application(store: Store) -> ASGIApp:
    """Return the pages as an application that answers this machine under its own names."""
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=NAMES, www_redirect=False)
    return Starlette(routes=Pages(store, gate=Open()).routes(), middleware=[guard])


def serve(path: str, *, port: int, ready: Callable[[str], None]) -> None:
    """Serve the pages until the process is told to stop (ctrl-c, SIGTERM).

    Args:
        path: The store's folder.
        port: The port; 0 for a free one.
        ready: Called with the address when the port is taken.

    Raises:
        NotFoundError: No store there. TransientError: The port is taken.
    """
    with told_to_stop(), Store.open(path, create=False) as store:
        config = uvicorn.Config(
            application(store),
            host=HOST,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        try:
            taken = config.bind_socket()
        except SystemExit as error:  # uvicorn's way to say it
            todo = "choose another one with --port, 0 takes a free one"
            raise TransientError(f"port {port} cannot be taken", where=HOST, todo=todo) from error
        with taken:
            ready(f"http://{HOST}:{taken.getsockname()[1]}")
            uvicorn.Server(config).run(sockets=[taken])
