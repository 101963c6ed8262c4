"""How to use a group or view: what to type, in Python, in a shell, over HTTP; to be copied."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from asof.definitions.types import DType
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.page import Asked, Section, Subject

EXAMPLES: Mapping[str, tuple[Any, str]] = {
    "string": ("A", '"A"'),
    "bool": (True, "True"),
    "date": ("2026-01-31", "date(2026, 1, 31)"),
    "timestamp": ("2026-01-31T12:00:00Z", "datetime(2026, 1, 31, 12, tzinfo=UTC)"),
    "bytes": ("QQ==", 'b"A"'),
    "decimal": ("1", 'Decimal("1")'),
}
"""A value of each type of keys that is no number, as JSON and as Python."""

IMPORTS = (
    ("date(", "from datetime import date"),
    ("datetime(", "from datetime import UTC, datetime"),
    ("Decimal(", "from decimal import Decimal"),
)
"""What the examples in Python need."""


def _group(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    own = subject.registered.definition
    return _snippets(
        subject.asked, own.name, own.entity.keys, {}, online=own.online, rows=subject.registered.source is None
    )


def _view(subject: Subject[RegisteredView]) -> Mapping[str, Any]:
    own = subject.registered.definition
    online = all(group.definition.online for group in subject.registered.groups.values())
    return _snippets(subject.asked, own.name, own.spine_keys, own.requests, online=online, rows=False)


def _snippets(
    asked: Asked, name: str, keys: Mapping[str, DType], requests: Mapping[str, DType], *, online: bool, rows: bool
) -> Mapping[str, Any]:
    host = asked.base.partition("://")[2]
    place = f"asof://{host}" if host else asked.sight.name
    examples = {key: EXAMPLES.get(dtype.name, (1, "1")) for key, dtype in keys.items()}
    inputs = {each: EXAMPLES.get(dtype.name, (1, "1")) for each, dtype in requests.items()}
    python, shell, curl = [f'store = asof.open("{place}")'], list[str](), list[str]()
    if online:
        given = ", ".join(f'"{key}": {text}' for key, (_, text) in examples.items())
        typed = " ".join(shlex.quote(f"{key}={value}") for key, (value, _) in (examples | inputs).items())
        body: dict[str, Any] = {"keys": {key: value for key, (value, _) in examples.items()}, "statuses": True}
        request = ""
        if inputs:
            body["request"] = {each: value for each, (value, _) in inputs.items()}
            request = ", request={" + ", ".join(f'"{each}": {text}' for each, (_, text) in inputs.items()) + "}"
        python.append(f'vector = store.online("{name}", {{{given}}}{request})')
        shell.append(f"asof online {place} {name} {typed}")
        curl.append(f"curl -s {asked.base}/v1/views/{name}/online -d {shlex.quote(json.dumps(body))}")
    python.append(
        f'training = store.historical("{name}", spine, time="at")  # spine: {", ".join([*keys, *requests])}, at'
    )
    shell.append(f"asof historical {place} {name} spine.parquet --time at --out training.parquet")
    if rows:
        python.append(f'rows = store.read("{name}", latest=True)')
        shell.append(f"asof read {place} {name} --latest")
        curl.append(f"curl -s '{asked.base}/v1/groups/{name}/rows?latest=true&limit=100'")
    needed = [line for word, line in IMPORTS if any(text.startswith(word) for _, text in (examples | inputs).values())]
    snippets = [("Python", "\n".join([*needed, "import asof", "", *python])), ("Shell", "\n".join(shell))]
    return {"snippets": [*snippets, *([("curl", "\n".join(curl))] if host and curl else [])]}


OF_GROUP: Section[RegisteredGroup] = Section("Use it", "sections/use.html", _group)
OF_VIEW: Section[RegisteredView] = Section("Use it", "sections/use.html", _view)
