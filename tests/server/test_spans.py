"""Spans for OpenTelemetry: one a request, where somebody collects them."""

import asyncio

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.server.conftest import made

import asof
from asof.server.access import Access
from asof.server.app import Api
from asof.server.limits import Limits
from asof.server.spans import traced

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Give what asks the API within this process, and returns the spans of the request."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    store = asof.open(made(tmp_path_factory.mktemp("spans") / "store"))
    access = Access(store.keys)
    api = Api(store, limits=Limits(), access=access)
    app = traced(api.application(), api.operations, provider)

    def asked(method, path, body=b"", **headers):
        sent = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
        scope = {"type": "http", "asgi": {"version": "3.0"}, "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
                 "headers": sent, "scheme": "http", "http_version": "1.1", "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8765), "root_path": ""}  # fmt: skip
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(_):
            pass

        exporter.clear()
        asyncio.run(app(scope, receive, send))
        return exporter.get_finished_spans()

    yield asked
    access.close()
    store.close()


def test_a_request_is_a_span_named_by_its_operation(ask):
    body = b'{"keys": {"customer_id": 1}}'
    (span,) = ask(
        "POST", "/v1/views/risk/online", body, traceparent=f"00-{TRACE}-{PARENT}-01", **{"user-agent": "curl"}
    )
    assert (span.name, span.kind) == ("online", SpanKind.SERVER)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert dict(span.attributes) == {
        "http.request.method": "POST", "url.scheme": "http", "url.path": "/v1/views/risk/online", "http.route": "/v1/views/{view}/online",
        "network.protocol.version": "1.1", "server.address": "127.0.0.1", "server.port": 8765, "client.address": "127.0.0.1",
        "user_agent.original": "curl", "http.response.status_code": 200,
    }  # fmt: skip
    assert span.status.status_code == StatusCode.UNSET


def test_a_refused_request_is_no_failure_of_the_server(ask):
    (span,) = ask("POST", "/v1/views/nobody/online", b'{"keys": {}}', traceparent="nonsense")
    assert (span.attributes["http.response.status_code"], span.status.status_code) == (404, StatusCode.UNSET)
    assert span.parent is None
    (span,) = ask("GET", "/nowhere")
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET", 404)


def test_a_failure_of_the_server_is_an_error(ask):
    async def failing(scope, receive, send):
        await send({"type": "http.response.start", "status": 503})

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "scheme": "http", "http_version": "1.1"}

    async def send(_):
        pass

    asyncio.run(traced(failing, (), provider)(scope, None, send))
    (span,) = exporter.get_finished_spans()
    assert (span.attributes["error.type"], span.status.status_code) == ("503", StatusCode.ERROR)


def test_where_nobody_collects_spans_there_is_no_layer():
    async def app(scope, receive, send):
        """Answer."""

    assert traced(app, ()) is app
