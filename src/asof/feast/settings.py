"""`feature_store.yaml`: what `asof.toml` would say in its place."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asof.feast.model import Remarks
from asof.feast.static import Place

NAME = "feature_store.yaml"

LINE = re.compile(r"""^( *)["']?([\w.-]+)["']? *:(?: +|$)(.*?) *(?:(?<!\S)#.*)?$""")
BLOCK = re.compile(r"[|>][+-]?\d?")
"""What stands for lines of text that follow."""

QUOTES = "\"'"
PAIRS = {"[": "]", "{": "}"}
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
    lines = _lines(path.read_text(encoding="utf-8", errors="replace"), remarks)
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


def _lines(text: str, remarks: Remarks) -> dict[str, tuple[str, int]]:
    """Return names with texts and lines, nested ones by dots: as much of YAML as these files have.

    Lines that are no YAML are told, and left out.
    """
    found: dict[str, tuple[str, int]] = {}
    above: list[_Name] = []
    for number, line in enumerate(text.splitlines(), 1):
        last = above[-1] if above else None
        if last is not None and last.goes_on(line):
            continue
        match = LINE.match(line)
        fault = _fault(line) if match is None else _misplaced(above, len(match[1]))
        if fault:
            remarks.add(Place(NAME, number), f"the line is no YAML: {fault}", "mend it first")
        if match is None or fault:
            continue
        above = [each for each in above if each.depth < len(match[1])]
        above.append(_Name(len(match[1]), match[2], number, match[3]))
        found[".".join(each.name for each in above)] = match[3].strip(QUOTES), number
        unclosed = above[-1].unclosed
        if unclosed and not any(unclosed in later for later in text.splitlines()[number:]):
            remarks.add(Place(NAME, number), f"the line is no YAML: {unclosed} is missing", "mend it first")
            above[-1].text = ""
    return found


@dataclass
class _Name:
    """A name of a line, with the text behind it.

    Attributes:
        depth: How far it is indented.
        name: The name.
        number: Of the line.
        text: What follows; with what goes on in later lines.
    """

    depth: int
    name: str
    number: int
    text: str

    @property
    def unclosed(self) -> str:
        """What would end a text that goes on behind this line, "" if it does not."""
        first = self.text[:1]
        if first and first in QUOTES:
            return "" if len(self.text) > 1 and self.text.endswith(first) else first
        if first in PAIRS:
            return PAIRS[first] if self.text.count(first) > self.text.count(PAIRS[first]) else ""
        return ""

    def goes_on(self, line: str) -> bool:
        """Return whether a line belongs to the text; take it, if so."""
        depth = len(line) - len(line.lstrip())
        if self.unclosed:
            self.text += line.strip()
            return True
        if not self.text or depth <= self.depth or not line.strip():
            return False
        return BLOCK.fullmatch(self.text) is not None or LINE.match(line) is None


def _fault(line: str) -> str:
    """Return what is wrong with a line that has no name, "" if nothing is."""
    plain = line.strip()
    if not plain or plain.startswith(("#", "- ", "---", "...", "%")) or plain == "-":
        return ""
    indented_by = line[: len(line) - len(line.lstrip())]
    return "a tab indents it" if "\t" in indented_by else "it has no `name: value`"  # it may hold a password


def _misplaced(above: Sequence[_Name], depth: int) -> str:
    """Return what is wrong with how far a name is indented, "" if nothing is."""
    deeper = [each.depth for each in above if each.depth >= depth]
    parents = [each for each in above if each.depth < depth]
    if (deeper and min(deeper) != depth) or (depth and not parents):
        return "no line above is indented so far"
    if not deeper and parents and parents[-1].text:
        return f"it is below {parents[-1].name}, which has a value"
    return ""


def _place(lines: Mapping[str, tuple[str, int]], name: str) -> Place:
    return Place(NAME, lines.get(name, ("", 0))[1])
