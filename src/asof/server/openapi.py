"""What the API is, for programs (OpenAPI 3.1) and for people (a page): both are made of the table of operations."""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

import msgspec

import asof
from asof.access import Caller
from asof.records import Role
from asof.server.problems import MEDIA_TYPE, Problem
from asof.wire.statuses import STATUSES

Document = dict[str, Any]
"""JSON: the foreign edge where Any is honest."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as an operation sees it: path's parameters, query, decoded body, who asks, and what he accepts."""

    parameters: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    caller: Caller
    accept: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter."""

    name: str
    kind: Any
    about: str

    @property
    def schema(self) -> Document:
        """What it may be."""
        return msgspec.json.schema(self.kind)


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb of the API.

    Attributes:
        name: Unique; its metrics have it, and its operationId.
        method: GET or POST.
        path: With {parameters}.
        summary: One line.
        handler: What answers it.
        answers: The types of what it may answer.
        body: The type of its body.
        query: Its query parameters.
        media: What it answers too, where a client accepts it.
        role: What its caller must be, in the project of what it is about; "open" if nobody is asked who he is.
        about: Gives the names of the groups and views that it is about; None if it is about none, or about all that the
            caller may read: then a role in any project will do.
        packed: Whether body and answer are the messages of the remote store (msgpack): no part of the document.
    """

    name: str
    method: str
    path: str
    summary: str
    handler: Callable[[Asked], Awaitable[object]]
    answers: tuple[Any, ...]
    body: Any = None
    query: tuple[Query, ...] = ()
    media: tuple[str, ...] = ()
    packed: bool = False
    role: Role | Literal["open"] = field(kw_only=True)
    about: Callable[[Asked], Sequence[str]] | None = field(kw_only=True, default=None)

    @property
    def changes(self) -> bool:
        """Whether it may change the store."""
        return self.role in ("writer", "admin")

    @property
    def parameters(self) -> list[str]:
        """The parameters of its path."""
        return re.findall(r"{(\w+)}", self.path)


SCHEME: Document = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key that `asof keys add` made, or a token of an issuer that the server knows. It is asked for "
    "as soon as there is a key. The role that an operation needs, in the project of what it is about, is its "
    "x-asof-role.",
}

REFUSALS = {"401": "No valid key.", "403": "The key has not the role.", "429": "More often than the server lets a key."}


def document(operations: Sequence[Operation]) -> Document:
    """Return the OpenAPI document."""
    operations = [each for each in operations if not each.packed]
    types = list(dict.fromkeys(kind for each in operations for kind in (*each.answers, each.body) if kind is not None))
    found, components = msgspec.json.schema_components([*types, Problem], ref_template="#/components/schemas/{name}")
    schemas = dict(zip([*types, Problem], found, strict=True))
    paths: dict[str, Document] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "asof",
            "version": asof.__version__,
            "description": "A feature store with two clocks. Values are written by their declared types: bytes as "
            "base64, times and dates as RFC 3339, decimals as text, NaN and infinities as text, int64 as numbers in "
            "full.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": SCHEME}},
    }


def _operation(each: Operation, schemas: Mapping[Any, Document]) -> Document:
    answers = [schemas[kind] for kind in each.answers]

    def problem(about: str) -> Document:
        return {"description": about, "content": {MEDIA_TYPE: {"schema": schemas[Problem]}}}

    found: Document = {
        "operationId": each.name,
        "summary": each.summary,
        "parameters": [
            *({"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in each.parameters),
            *({"name": q.name, "in": "query", "description": q.about, "schema": q.schema} for q in each.query),
        ],
        "responses": {
            "200": {
                "description": "Done.",
                "content": {
                    "application/json": {"schema": answers[0] if len(answers) == 1 else {"anyOf": answers}},
                    **{media: {} for media in each.media},
                },
            },
            **({} if each.role == "open" else {status: problem(about) for status, about in REFUSALS.items()}),
            "default": problem("A problem (RFC 9457)."),
        },
    }
    if each.role != "open":
        found |= {"security": [{"key": []}], "x-asof-role": each.role}
    if each.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[each.body]}}}
    return found


def page(operations: Sequence[Operation]) -> str:
    """Return the page for people."""
    parts = [_section(each) for each in operations if not each.packed]
    errors = "".join(
        f"<tr><td>{status}</td><td>{kind.__name__}</td><td>{escape((kind.__doc__ or '').splitlines()[0])}</td></tr>"
        for kind, status in STATUSES
    )
    return _PAGE.format(version=asof.__version__, operations="".join(parts), errors=errors)


def _section(each: Operation) -> str:
    rows = [(name, "path", "") for name in each.parameters]
    rows += [(query.name, "query", query.about) for query in each.query]
    if isinstance(each.body, type) and issubclass(each.body, msgspec.Struct):
        rows += [(name, "body", about) for name, about in _fields(each.body)]
    table = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{where}</td><td>{escape(about)}</td></tr>"
        for name, where, about in rows
    )
    table = f"<table>{table}</table>" if table else ""
    return (
        f'<section id="{each.name}"><h2><b>{each.method}</b> <code>{escape(each.path)}</code></h2>'
        f"<p>{escape(each.summary)}. {'Needs no key' if each.role == 'open' else f'Role: {each.role}'}.</p>"
        f"{table}</section>"
    )


def _fields(kind: type) -> list[tuple[str, str]]:
    """Return the attributes that a docstring describes."""
    text = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", text, flags=re.MULTILINE)
    return [(name, " ".join(about.split())) for name, about in found]


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>asof: HTTP API</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 .2rem; }}
h2 b {{ display: inline-block; min-width: 3.2rem; }}
p {{ margin: .2rem 0; }}
table {{ border-collapse: collapse; margin: .5rem 0; }}
td {{ padding: .2rem 1rem .2rem 0; vertical-align: top; }}
</style></head><body>
<h1>asof {version}: HTTP API</h1>
<p>Bodies and answers are JSON. For programs: <a href="/openapi.json">openapi.json</a>; for Prometheus:
<a href="/metrics">metrics</a>.</p>
{operations}
<h2>Problems</h2>
<p>An error is a body after RFC 9457: <code>type</code>, <code>title</code>, <code>status</code>, <code>detail</code>,
<code>where</code>, <code>todo</code> and <code>data</code>.</p>
<table>{errors}</table>
</body></html>
"""
