"""The pages as routes of a web application: who asks, in which thread it is answered, and what goes out with it."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, quote

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

import asof
from asof.access import Caller
from asof.errors import AsofError, UnknownCallerError
from asof.store import Store
from asof.ui import render
from asof.ui.figures import Figures
from asof.ui.gate import COOKIE, Gate
from asof.ui.page import Asked, Page
from asof.ui.pages import HISTORY, LIGHT
from asof.ui.sight import Sight
from asof.wire.statuses import status_of

T = TypeVar("T")

THREADS = 4
"""So many pages are made at once; the next wait for these, and no other request does."""

SECONDS = 30.0

SIGNED_IN_SECONDS = 12 * 3600
"""After so long a browser forgets the key."""

LONGEST_FORM = 10_000
"""Bytes of the form that signs in."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # addresses hold keys that were looked up; with none at all forms have no origin
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

LOOPBACK = ("127.0.0.1", "localhost", "::1")

log = logging.getLogger("asof.ui")


class Work(Protocol):
    """Does what reads history, as the server limits it."""

    def __call__(self, work: Callable[..., T], *arguments: Any) -> Awaitable[T]:  # noqa: ANN401 - the work's own
        """Return what the work returns."""
        ...


class Pages:
    """The pages of a store.

    Args:
        store: The store; closed by whoever opened it.
        gate: Says who looks.
        work: Does what reads history; None: a thread of the pages.
        figures: What the server counted; None where no server runs.
        seconds: Time to make a page.
        served: Whether the store is served at the same address.
    """

    def __init__(
        self,
        store: Store,
        *,
        gate: Gate,
        work: Work | None = None,
        figures: Figures | None = None,
        seconds: float = SECONDS,
        served: bool = False,
    ) -> None:
        """Have made none yet."""
        self._sight = Sight(store)
        self._gate = gate
        self._threads = CapacityLimiter(THREADS)
        self._work = work or self._in_thread
        self._figures = figures
        self._seconds = seconds
        self._served = served

    def routes(self) -> list[Route]:
        """Return the routes, to be mounted at the root."""
        found = [Route(path, partial(self._answer, make, self._work)) for path, make in HISTORY.items()]
        found += [Route(path, partial(self._answer, make, self._in_thread)) for path, make in LIGHT.items()]
        found += [Route(f"/static/{name}", partial(_static, name)) for name in render.STATIC]
        found += [Route("/sign-in", self._sign_in, methods=["GET", "POST"])]
        return [*found, Route("/sign-out", self._sign_out, methods=["POST"])]

    async def _answer(self, make: Callable[[Asked], Page], work: Work, request: Request) -> Response:
        request.scope["asof.operation"] = "page"
        caller: Caller | None = None
        try:
            with anyio.fail_after(self._seconds):
                caller = self._gate.caller(request, request.cookies.get(COOKIE))
                return await work(self._made, make, request, caller)
        except TimeoutError:
            page = _problem(504, f"not answered within {self._seconds:g} s", "try again, or ask for less")
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except UnknownCallerError:
            page = _signing_in(_address_of(request), status=401)
        except AsofError as error:
            page = _problem(status_of(error), str(error.what), error.todo)
        except Exception:
            log.exception("a page failed: %s", request.url.path)
            page = _problem(500, "the server failed; its log says how", "")
        return self._html(page, request, caller)

    def _made(self, make: Callable[[Asked], Page], request: Request, caller: Caller) -> Response:
        base = f"{request.url.scheme}://{request.headers.get('host', '')}" if self._served else ""
        asked = Asked(
            url=request.url.path,
            path=request.path_params,
            query=dict(request.query_params),
            caller=caller,
            sight=self._sight,
            base=base,
            figures=self._figures,
        )
        return self._html(make(asked), request, caller)

    def _html(self, page: Page, request: Request, caller: Caller | None) -> Response:
        told = {
            "title": page.title,
            "store": self._sight.name if caller is not None else "asof",
            "here": request.url.path,
            "words": request.query_params.get("q", ""),
            "version": asof.__version__,
            "served": self._served,
            "who": "" if caller is None else caller.name,
            "sees": caller is not None,
            "sees_audit": caller is not None and caller.everywhere("admin"),
        }
        text = render.rendered(page.template, {**told, **page.data})
        return Response(text, page.status, HEADERS, "text/html; charset=utf-8")

    async def _sign_in(self, request: Request) -> Response:
        """Look at the key that was sent, and keep it in a cookie that no script can read; show the form without."""
        request.scope["asof.operation"] = "page"
        after = _own(request.query_params.get("next", "/"))
        if request.method != "POST":
            try:
                self._gate.caller(request, request.cookies.get(COOKIE))
            except AsofError:
                return self._html(_signing_in(after), request, None)
            return RedirectResponse(after, 303, HEADERS)  # he is known
        try:
            token = await _field(request, "key")
            self._gate.caller(request, token or None)
        except AsofError as error:
            return self._html(_signing_in(after, str(error.what), status_of(error)), request, None)
        answer = RedirectResponse(after, 303, HEADERS)
        secure = request.url.scheme == "https" or request.url.hostname not in LOOPBACK
        answer.set_cookie(
            COOKIE, token, max_age=SIGNED_IN_SECONDS, httponly=True, samesite="strict", secure=secure, path="/"
        )
        return answer

    async def _sign_out(self, request: Request) -> Response:
        request.scope["asof.operation"] = "page"
        answer = RedirectResponse("/sign-in", 303, HEADERS)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", path="/")
        return answer

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 - the work's own
        return await to_thread.run_sync(work, *arguments, abandon_on_cancel=True, limiter=self._threads)


async def _static(name: str, request: Request) -> Response:
    request.scope["asof.operation"] = "page"
    kept = "public, max-age=31536000, immutable" if "v" in request.query_params else "no-cache"
    headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
    return Response(render.static(name), headers=headers, media_type=render.STATIC[name])


async def _field(request: Request, name: str) -> str:
    """Return a field of the form that was sent."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_FORM:
            raise UnknownCallerError("this is no key")
    return parse_qs(body.decode("utf-8", "replace")).get(name, [""])[0].strip()


def _address_of(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}"


def _own(path: str) -> str:
    """Return a path of this server; whatever leads elsewhere is the home page."""
    own = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if own else "/"


def _problem(status: int, what: str, todo: str) -> Page:
    return Page("problem.html", what, {"what": what, "todo": todo, "status": status}, status)


def _signing_in(after: str, problem: str = "", status: int = 200) -> Page:
    return Page("sign_in.html", "Sign in", {"next": quote(after, safe=""), "after": after, "problem": problem}, status)
