"""The HTTP API as an ASGI application: a table of operations, and how a request becomes a call of the service.

What an online store in this process answers takes microseconds, and is answered on the event loop. Whatever may wait,
for a disk or another server, runs in a thread; and what hangs takes the threads of its own kind only.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, cast, get_args

import anyio
import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan

import asof
from asof.access.caller import EVERYBODY
from asof.acting import acting_as
from asof.catalog.answers import (
    CommitAnswer,
    Described,
    LineageAnswer,
    PlanAnswer,
    commit_answer,
    described,
    group_summary,
    hit_answer,
    lineage_answer,
    view_summary,
)
from asof.definitions import FeatureGroup, FeatureView
from asof.errors import AsofError, DeniedError, TransientError
from asof.records import Commit
from asof.server import export, messages
from asof.server.access import Access, told
from asof.server.definitions import Definitions
from asof.server.endpoint import Endpoint, decoded_body
from asof.server.feast import Feast, FeastAnswer, FeastPush, FeastRead, FeastWrite, key_sets, sources_of
from asof.server.guard import Guard
from asof.server.history import number
from asof.server.limits import Limits
from asof.server.metrics import CONTENT_TYPE, label_of
from asof.server.openapi import Asked, Operation, Query, document, page
from asof.server.pages import Figures, Gate
from asof.server.predict import Predicting
from asof.server.problems import RequestError, response_of
from asof.server.quick import Quick
from asof.server.rights import Rights, by_path
from asof.server.service import Service
from asof.server.shared import Shared, shared
from asof.server.spans import traced
from asof.server.statistics import QUERY, StatisticsAnswer, statistics
from asof.store import Store
from asof.ui.app import Pages
from asof.wire import PROTOCOL
from asof.wire.online import ONLINE_PATH, Many, One
from asof.wire.requests import Online

T = TypeVar("T")

JSON, PACKED = "application/json", "application/msgpack"

COMMITS, MOST_COMMITS = 100, 10_000
"""Commits of one answer."""

ROWS_QUERY = (
    Query("start", datetime, "Only event times after this one."),
    Query("end", datetime, "Only event times up to and including this one."),
    Query("columns", str, "Only these columns, with commas between them."),
    Query("known", datetime, "Only rows that were available then."),
    Query("commits", str, "The name of a tag: the group as it stood then."),
    Query("latest", bool, "Only the newest row of each key."),
    Query("clocks", bool, "Add __commit and __available_at."),
    Query("limit", Annotated[int, msgspec.Meta(ge=1)], "At most; left out: 1000 as JSON, else all."),
)

THREADS = 40
"""So many reads of a server wait at once, and so many pushes; the next wait for these."""

READY_SECONDS = 2.0
"""How long readiness waits for the registry. Who asks may wait less."""

FIGURES_SECONDS = 5.0
"""How long figures wait for those of the store, and go without them then; Prometheus waits ten."""

PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}

log = logging.getLogger("asof.server")


class Api:
    """The operations over a store.

    Args:
        store: The store that is served; closed by whoever opened it.
        limits: What a request may cost.
        access: Who asks; closed by whoever made it.
        flight_port: Where the store is served over Flight; None: it is not.
        with_flight: What it shares with Flight, if this process serves that too.
    """

    def __init__(
        self,
        store: Store,
        *,
        limits: Limits,
        access: Access,
        flight_port: int | None = None,
        with_flight: Shared | None = None,
    ) -> None:
        """Compile the table of operations."""
        self._rights = Rights(store, access)
        self._flight_port = flight_port
        self._store = store
        self._limits = limits
        own = with_flight or shared(store, limits)
        self.metrics = own.metrics
        self._service = Service(store, most_rows=limits.rows, count=self.metrics.count_values)
        self._feast = Feast(store, most_rows=limits.rows, count=self.metrics.count_values)
        self._quick = Quick()
        self._beside = CapacityLimiter(1)  # for what only computes
        self._reads, self._pushes = CapacityLimiter(THREADS), CapacityLimiter(THREADS)
        self._readiness, self._store_figures = CapacityLimiter(1), CapacityLimiter(1)
        self._jobs = own.jobs
        predicting = Predicting(store, own.models, self.metrics, most_rows=limits.rows)
        self.operations = (*self._table(), *predicting.operations())
        self._pages = Pages(
            store,
            gate=Gate(access),
            work=self._jobs.run,
            figures=Figures(self.metrics, self._jobs),
            seconds=limits.seconds,
            served=True,
        )
        within = f"within {limits.seconds:g} s"
        self._late_body = RequestError(408, f"the body did not arrive {within}", todo="send it faster, or in parts")
        todo = "a write may be done all the same: send it again with an idempotency_key"
        self._late_answer = RequestError(504, f"not answered {within}", todo=todo)

    def application(self, lifespan: Lifespan[Starlette] | None = None) -> ASGIApp:
        """Return the ASGI application; the lifespan surrounds its work."""
        routes = [Route(each.path, Endpoint(each, self._answer), methods=[each.method]) for each in self.operations]
        routes += [Route("/metrics", self._figures), Route("/openapi.json", self._document), Route("/docs", self._page)]
        routes += self._pages.routes()
        app = Starlette(routes=routes, exception_handlers={HTTPException: _refused}, lifespan=lifespan)
        return traced(Guard(app, limits=self._limits, metrics=self.metrics), self.operations)

    def _table(self) -> tuple[Operation, ...]:
        return (
            Operation(
                "online", "POST", "/v1/views/{view}/online", "Newest values of a view or group",
                self._online, get_args(messages.OnlineAnswer), messages.OnlineRequest,
                role="reader", about=by_path("view"),
            ),
            Operation(
                "nearest", "POST", "/v1/groups/{group}/nearest", "The keys whose newest vector is nearest to a vector",
                self._nearest, (messages.NearestRows,), messages.NearestRequest,
                role="reader", about=by_path("group"),
            ),
            Operation(
                "push", "POST", "/v1/groups/{group}/push", "Store records that arrive now: durable when answered",
                self._push, (CommitAnswer,), messages.PushRequest,
                role="writer", about=by_path("group"),
            ),
            Operation(
                "historical", "POST", "/v1/views/{view}/historical", "Values as they were known at given times",
                self._historical, get_args(messages.HistoricalAnswer), messages.HistoricalRequest,
                role="reader", about=by_path("view"),
            ),
            Operation(
                "rows", "GET", "/v1/groups/{group}/rows", "Stored rows: some as JSON, all as Arrow or Parquet",
                self._rows, (messages.StoredRows,), query=ROWS_QUERY, media=export.MEDIA_TYPES,
                role="reader", about=by_path("group"),
            ),
            Operation(
                "plan", "POST", "/v1/plan", "What registering definitions would change",
                self._plan, (PlanAnswer,), Definitions, role="admin",
            ),
            Operation(
                "apply", "POST", "/v1/apply", "Register definitions, all or none",
                self._apply, (PlanAnswer,), Definitions, role="admin",
            ),
            Operation(
                "replay", "POST", "/v1/replay", "The answer of a receipt again, from history",
                self._replay, (messages.ReplayedAnswer,), dict[str, Any],
                role="reader", about=lambda asked: (str(asked.body.get("view")),),
            ),
            Operation(
                "groups", "GET", "/v1/groups", "All groups that the caller may read", self._groups, (messages.Groups,),
                role="reader",
            ),
            Operation(
                "views", "GET", "/v1/views", "All views that the caller may read", self._views, (messages.Views,),
                role="reader",
            ),
            Operation(
                "describe", "GET", "/v1/describe/{name}", "What there is to know about a group or view",
                self._describe, (Described,), role="reader", about=by_path("name"),
            ),
            Operation(
                "lineage", "GET", "/v1/lineage/{name}", "What a group or view reads, and what reads it",
                self._lineage, (LineageAnswer,), role="reader", about=by_path("name"),
            ),
            Operation(
                "commits", "GET", "/v1/groups/{group}/commits", "The newest commits of a group, the oldest first",
                self._commits, (messages.Commits,),
                query=(Query("limit", Annotated[int, msgspec.Meta(ge=1, le=MOST_COMMITS)], "At most; 100 if left out."),
                       Query("matching", str, "Only with these words in meta, reason, writer or kind.")),
                role="reader", about=by_path("group"),
            ),
            Operation(
                "statistics", "GET", "/v1/groups/{group}/statistics", "Statistics of what was written to a group",
                self._statistics, (StatisticsAnswer,), query=QUERY, role="reader", about=by_path("group"),
            ),
            Operation(
                "search", "GET", "/v1/search", "Groups, features and views by words", self._search, (messages.Hits,),
                query=(Query("words", str, "All of them must match."),), role="reader",
            ),
            Operation(
                "remote_online", "POST", ONLINE_PATH, "Newest values, for the remote store",
                self._remote_online, (bytes,), Online, packed=True,
                role="reader", about=lambda asked: (str(asked.body.view),),
            ),
            Operation(
                "feast_online", "POST", "/get-online-features", "Newest values, as Feast's clients ask for them",
                self._feast_online, (FeastAnswer,), FeastRead,
                role="reader", about=lambda asked: sources_of(asked.body),
            ),
            Operation(
                "feast_push", "POST", "/push", "Store records, as Feast's clients push them",
                self._feast_push, (CommitAnswer,), FeastPush,
                role="writer", about=lambda asked: (asked.body.push_source_name,),
            ),
            Operation(
                "feast_write", "POST", "/write-to-online-store", "Store records, as Feast's clients materialize them",
                self._feast_write, (CommitAnswer,), FeastWrite,
                role="writer", about=lambda asked: (asked.body.feature_view_name,),
            ),
            Operation("server", "GET", "/v1/server", "What it is", self._server, (messages.Served,), role="open"),
            Operation("health", "GET", "/v1/health", "The process runs", self._health, (messages.Health,), role="open"),
            Operation("ready", "GET", "/v1/ready", "The store answers", self._ready, (messages.Health,), role="open"),
        )  # fmt: skip

    async def _answer(self, operation: Operation, request: Request) -> Response:
        """Answer a request by its operation."""
        request.scope["asof.operation"] = operation.name
        late, caller = self._late_body, EVERYBODY
        try:
            caller = self._rights.identify(request, operation.role)
            async with asyncio.timeout(self._limits.seconds):
                body = await decoded_body(operation, request.receive, self._limits.body_bytes)
                late = self._late_answer
                query: Mapping[str, str] = request.query_params if operation.query else {}
                accept = request.headers.get("accept", "") if operation.media else ""
                asked = Asked(request.path_params, query, body, caller, accept)
                await self._rights.check(operation, asked)
                if not operation.changes:
                    found = await operation.handler(asked)
                else:
                    with acting_as(caller.writer):
                        found = await operation.handler(asked)
        except TimeoutError:
            return response_of(late)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody reads it
        except DeniedError as error:
            self._rights.denied(operation, request, caller, error)
            return response_of(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client hears of it
            return self._failed(operation.name, told(error, caller))
        if isinstance(found, Response):
            return found
        if operation.packed:
            return Response(msgspec.msgpack.encode(found), media_type=PACKED)
        return Response(msgspec.json.encode(found), media_type=JSON)

    async def _online(self, asked: Asked) -> messages.OnlineAnswer:
        view, wanted = asked.parameters["view"], asked.body
        keys = 1 if isinstance(wanted.keys, dict) else len(wanted.keys)
        read = partial(self._service.online, view, wanted)
        return await self._read(view, keys, read, waits=self._service.waits(view))

    async def _remote_online(self, asked: Asked) -> One | Many:
        wanted: Online = asked.body
        view, keys = str(wanted.view), wanted.keys
        count = len(cast("list[Any]", keys)) if isinstance(keys, list) else 1
        read = partial(self._service.remote_online, wanted)
        return await self._read(view, count, read, waits=self._store.waits(view))

    async def _read(self, view: str, keys: int, read: Callable[[], T], *, waits: bool) -> T:
        """Answer some keys of a view."""
        view = label_of(view)
        begun = time.perf_counter()
        found = await self._given(view, keys, read, waits=waits)
        self.metrics.online(view).observe(time.perf_counter() - begun)
        return found

    async def _given(self, what: str, keys: int, read: Callable[[], T], *, waits: bool) -> T:
        """Answer some keys where it takes least; what waits is never answered here."""
        way = "in threads" if waits else self._quick.way(what, keys)
        if way != "here":
            return await _in_thread(read, limiter=self._beside if way == "beside" else self._reads)
        begun = time.perf_counter()
        found = read()
        self._quick.took(what, keys, time.perf_counter() - begun)
        return found

    async def _push(self, asked: Asked) -> CommitAnswer:
        group = asked.parameters["group"]
        return self._counted(await _in_thread(self._service.push, group, asked.body, limiter=self._pushes))

    def _counted(self, commit: Commit) -> CommitAnswer:
        self.metrics.rows(commit.group).inc(0 if commit.repeated else commit.rows)
        return commit_answer(commit)

    async def _historical(self, asked: Asked) -> messages.HistoricalAnswer:
        return await self._jobs.run(self._service.history.historical, asked.parameters["view"], asked.body)

    async def _nearest(self, asked: Asked) -> messages.NearestRows:
        return await self._jobs.run(self._service.nearest, asked.parameters["group"], asked.body)

    async def _rows(self, asked: Asked) -> messages.StoredRows | Response:
        group, media = asked.parameters["group"], export.wanted(asked.accept)
        if media is None:
            return await self._jobs.run(self._service.history.rows, group, asked.query)
        return await export.streamed(
            self._jobs, partial(self._service.history.table, group, asked.query), media, seconds=self._limits.seconds
        )

    async def _plan(self, asked: Asked) -> PlanAnswer:
        return await _in_thread(self._service.plan, await self._declared(asked))

    async def _apply(self, asked: Asked) -> PlanAnswer:
        return await _in_thread(self._service.apply, await self._declared(asked))

    async def _declared(self, asked: Asked) -> Sequence[FeatureGroup | FeatureView]:
        """Return the definitions of a request, all of which its caller may register."""
        definitions = await _in_thread(self._service.definitions, asked.body)
        await _in_thread(self._rights.check_declared, asked.caller, definitions)
        return definitions

    async def _replay(self, asked: Asked) -> messages.ReplayedAnswer:
        found = await _in_thread(self._store.replay, asked.body)
        times = msgspec.to_builtins(dict(found.event_times))
        return messages.ReplayedAnswer(dict(found.values), dict(found.statuses), times)

    async def _groups(self, asked: Asked) -> messages.Groups:
        return messages.Groups(list(map(group_summary, await _in_thread(self._rights.groups, asked.caller))))

    async def _views(self, asked: Asked) -> messages.Views:
        return messages.Views(list(map(view_summary, await _in_thread(self._rights.views, asked.caller))))

    async def _describe(self, asked: Asked) -> Described:
        return described(await _in_thread(self._store.catalog.describe, asked.parameters["name"]))

    async def _lineage(self, asked: Asked) -> LineageAnswer:
        found = await _in_thread(self._store.catalog.lineage, asked.parameters["name"])
        if not asked.caller.reads_all:
            known = {view.ref for view in await _in_thread(self._rights.views, asked.caller)}
            found = replace(found, read_by=tuple(ref for ref in found.read_by if ref in known))
        return lineage_answer(found)

    async def _commits(self, asked: Asked) -> messages.Commits:
        limit, matching = number(asked.query, "limit", COMMITS, most=MOST_COMMITS), asked.query.get("matching", "")
        read = partial(self._store.catalog.commits, asked.parameters["group"], matching=matching, limit=limit)
        return messages.Commits(list(map(commit_answer, await _in_thread(read))))

    async def _statistics(self, asked: Asked) -> StatisticsAnswer:
        return await self._jobs.run(statistics, self._store, asked.parameters["group"], asked.query)

    async def _search(self, asked: Asked) -> messages.Hits:
        words = asked.query.get("words", "")
        return messages.Hits(list(map(hit_answer, await _in_thread(self._rights.search, asked.caller, words))))

    async def _feast_online(self, asked: Asked) -> FeastAnswer:
        wanted: FeastRead = asked.body
        read, waits = partial(self._feast.read, wanted), self._feast.waits(wanted)
        return await self._given("feast", key_sets(wanted), read, waits=waits)

    async def _feast_push(self, asked: Asked) -> CommitAnswer:
        return await self._feast_pushed(asked.body.push_source_name, asked.body.df)

    async def _feast_write(self, asked: Asked) -> CommitAnswer:
        return await self._feast_pushed(asked.body.feature_view_name, asked.body.df)

    async def _feast_pushed(self, group: str, df: dict[str, list[Any]]) -> CommitAnswer:
        return self._counted(await _in_thread(self._feast.push, group, df, limiter=self._pushes))

    async def _server(self, _: Asked) -> messages.Served:
        return messages.Served(version=asof.__version__, protocol=PROTOCOL, flight_port=self._flight_port)

    async def _health(self, _: Asked) -> messages.Health:
        return messages.Health("ok", asof.__version__)

    async def _ready(self, asked: Asked) -> messages.Health:
        look = self._store.catalog.tags  # at the registry, the least that each verb needs
        await _looked(look, self._readiness, READY_SECONDS)
        return await self._health(asked)

    async def _figures(self, request: Request) -> Response:
        """Show the figures. They name groups and views: they need a key as a list of them does."""
        try:
            self._rights.identify(request, "reader").need_anywhere("reader")
            text = await _in_thread(self.metrics.text, limiter=self._beside)
            with suppress(TransientError):  # the registry is away: the figures of the server are wanted the more
                text += await _looked(self.metrics.text_of_store, self._store_figures, FIGURES_SECONDS)
            return Response(text, media_type=CONTENT_TYPE)
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed("figures", error)

    async def _document(self, _: Request) -> Response:
        return Response(await _in_thread(self._encoded_document, limiter=self._beside), media_type=JSON)

    def _encoded_document(self) -> bytes:
        return msgspec.json.encode(document(self.operations))

    async def _page(self, _: Request) -> Response:
        text = await _in_thread(page, self.operations, limiter=self._beside)
        return Response(text, media_type="text/html", headers=PAGE_HEADERS)

    def _failed(self, what: str, error: Exception) -> Response:
        """Say what went wrong; what nobody foresaw is logged, and not told."""
        if not isinstance(error, AsofError | RequestError):
            log.error("%s failed", what, exc_info=error)
        return response_of(error)


async def _in_thread(work: Callable[..., T], *arguments: Any, limiter: CapacityLimiter | None = None) -> T:  # noqa: ANN401 - the work's own
    """Do what may wait; who waits too long for it is answered, and the work goes on."""
    return await to_thread.run_sync(work, *arguments, abandon_on_cancel=True, limiter=limiter)


async def _looked(look: Callable[[], T], limiter: CapacityLimiter, seconds: float) -> T:
    """Look at the registry, which may hang: no longer than that, and with no more threads than the limiter has.

    Raises:
        TransientError: It did not answer.
    """
    try:
        with anyio.fail_after(seconds):
            return await _in_thread(look, limiter=limiter)
    except TimeoutError as error:
        raise TransientError(f"the registry did not answer within {seconds:g} s", todo="try again") from error


async def _refused(_: Request, error: Exception) -> Response:
    """Say what the router refused: an unknown path, or a method that it does not know."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    title = "there is nothing at this path" if status == HTTPStatus.NOT_FOUND else HTTPStatus(status).phrase
    return response_of(RequestError(status, title, todo="see /docs for what there is"))
