"""`feature_store.yaml`: what `asof.toml` would say in its place."""

import re
from collections.abc import Mapping
from pathlib import Path

from asof.feast.model import Remarks
from asof.feast.static import Place

NAME = "feature_store.yaml"

LINE = re.compile(r"^( *)([\w.-]+) *: *(.*?) *(?:(?<!\S)#.*)?$")
EMBEDDED = ("sqlite", "file", "local", "")
HISTORY = {"file", "duckdb", "dask", "pandas", "ray", ""}
"""Offline stores over files: what asof has by itself."""

OUTSIDE_TODO = "load its rows into groups, or declare external groups (docs/external.md)"


def settings_of(root: Path, remarks: Remarks) -> tuple[str, dict[str, str]]:
    """Return the project's name, and what `asof.toml` would say; no password is among it."""
    path = root / NAME
    if not path.is_file():
        remarks.add(Place(NAME, 0), f"there is no {NAME}", "is this the folder of the feature repository?")
        return "", {}
    lines = _lines(path.read_text(encoding="utf-8", errors="replace"))
    said = {name: text for name, (text, _) in lines.items()}
    settings: dict[str, str] = {}
    kind = said.get("online_store.type", said.get("online_store", ""))
    place = _place(lines, "online_store")
    online = _online(kind, said)
    if online:
        settings["online"] = online
        remarks.add(place, f"online store {kind}: online = {online!r} in asof.toml", "give its password by ASOF_ONLINE")
    elif kind not in EMBEDDED:
        todo = "the store's own (LMDB) is taken; asof has Redis and PostgreSQL too (docs/online-stores.md)"
        remarks.add(place, f"online store {kind} has no counterpart", todo)
    history = said.get("offline_store.type", said.get("offline_store", ""))
    if history not in HISTORY:
        remarks.add(_place(lines, "offline_store"), f"offline store {history} has no counterpart", OUTSIDE_TODO)
    registry = said.get("registry.path", said.get("registry", ""))
    if "://" in registry:
        todo = 'registry = "postgresql://..." in asof.toml, or the variable ASOF_REGISTRY (docs/registry.md)'
        remarks.add(_place(lines, "registry"), "the registry is not taken over: definitions are read from files", todo)
    lost = ("auth", "batch_engine", "feature_server", "materialization", "materialization_engine")
    for name in (name for name in lost if name in said and said.get(f"{name}.type") != "no_auth"):
        remarks.add(_place(lines, name), f"{name}: has no counterpart", "see docs/server.md and docs/security.md")
    return said.get("project", ""), settings


def _online(kind: str, said: Mapping[str, str]) -> str:
    """Return the URL of an online store; "" if asof has none of the kind."""
    if kind == "redis":
        first, *others = said.get("online_store.connection_string", "localhost:6379").split(",")
        scheme = "rediss" if "ssl=true" in (other.strip().lower() for other in others) else "redis"
        return f"{scheme}://{first.strip()}"
    if kind in ("postgres", "pgvector"):
        host, port = said.get("online_store.host", "localhost"), said.get("online_store.port", "5432")
        user = said.get("online_store.user", "")
        return f"postgresql://{user + '@' if user else ''}{host}:{port}/{said.get('online_store.database', '')}"
    return ""


def _lines(text: str) -> dict[str, tuple[str, int]]:
    """Return names with texts and lines, nested ones by dots: as much of YAML as these files have."""
    found: dict[str, tuple[str, int]] = {}
    above: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = LINE.match(line)
        if match is None:
            continue
        depth, name = len(match[1]), match[2]
        above = [each for each in above if each[0] < depth]
        found[".".join([*(each[1] for each in above), name])] = match[3].strip("\"'"), number
        above.append((depth, name))
    return found


def _place(lines: Mapping[str, tuple[str, int]], name: str) -> Place:
    return Place(NAME, lines.get(name, ("", 0))[1])
