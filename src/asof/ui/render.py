"""Pages of their templates. Everything is escaped, and a name that is missing is an error."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from asof.errors import MissingDependencyError
from asof.ui import shown

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
except ModuleNotFoundError as error:
    raise MissingDependencyError("jinja2", extra="ui") from error

STATIC: Mapping[str, str] = {
    "asof.css": "text/css; charset=utf-8",
    "asof.js": "text/javascript; charset=utf-8",
    "asof.svg": "image/svg+xml",
}
"""Files that pages load, with their types."""


@cache
def static(name: str) -> bytes:
    """Return a file that pages load."""
    return resources.files("asof.ui").joinpath("static", name).read_bytes()


@cache
def version(name: str) -> str:
    """Return what changes with the content of a file, so that browsers may keep it for long."""
    return hashlib.sha256(static(name)).hexdigest()[:12]


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("asof.ui", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Callable[..., str]] = {
        "count": shown.count,
        "moment": shown.moment,
        "age": shown.age,
        "local": shown.local,
        "span": shown.span,
        "value": shown.value,
    }
    addresses: Any = {name: f"/static/{name}?v={version(name)}" for name in STATIC}
    made.filters.update(filters)
    made.globals.update(static=addresses)
    return made


def rendered(template: str, data: Mapping[str, Any]) -> str:
    """Return what a template shows of the data."""
    return _environment().get_template(template).render(data)
