"""What Python files say without being run: objects of Feast, and the plain values that they are made of.

Files are read from top to bottom, as far as that can be done by reading: constants, paths, lengths of time, names that
other files of the repository define. Whatever else there is stays `Unknown`, with its place.
"""

import ast
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

Value = Any
"""A constant, list, tuple, dict, Path or timedelta, or one of the classes below."""

DECORATORS = {
    "on_demand_feature_view": "OnDemandFeatureView",
    "stream_feature_view": "StreamFeatureView",
    "batch_feature_view": "BatchFeatureView",
}
DEFINITIONS = frozenset(
    (
        *("Entity", "FeatureView", "FeatureService", "LabelView", "OnDemandFeatureView", "StreamFeatureView"),
        *("BatchFeatureView", "RequestFeatureView", "Permission", "Project", "ValidationReference", "SavedDataset"),
    )
)
"""What Feast registers; sources and fields are parts of it."""

LENGTHS = ("days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands."""

    file: str
    line: int

    def __str__(self) -> str:
        """Return it as editors take it."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Symbol:
    """Something of a package that is not read, by its dotted name."""

    name: str

    @property
    def last(self) -> str:
        """Its own name."""
        return self.name.rpartition(".")[2]

    @property
    def of_feast(self) -> bool:
        """Whether it is Feast's, or of one of the packages beside it."""
        return "feast" in self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Unknown:
    """What cannot be known without running the file."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the repository."""

    node: ast.FunctionDef
    place: Place


@dataclass(eq=False, slots=True)
class Made:
    """An object of Feast.

    Attributes:
        kind: Its class.
        given: Its arguments by name; those without one by their number.
        place: Where it is made.
        function: What it decorates.
    """

    kind: str
    given: Mapping[str | int, Value]
    place: Place
    function: Function | None = None

    def get(self, *names: str | int) -> Value:
        """Return the first of some arguments that is there, and not None."""
        return next((self.given[name] for name in names if self.given.get(name) is not None), None)


@dataclass(frozen=True, slots=True)
class Picked:
    """A feature view as a feature service takes it.

    Attributes:
        view: The feature view.
        features: The features that were picked; None for all.
        name: What it is called there.
        keys: Its join keys, with the names under which they are asked for.
    """

    view: Made
    features: Sequence[str] | None = None
    name: str = ""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class Module:
    """A file that is read.

    Attributes:
        names: What it defines and imports.
        made: The objects of Feast that it makes, in their order.
        unread: Where it makes some in a way that only running tells.
    """

    names: dict[str, Value] = field(default_factory=dict[str, Value])
    made: list[Made] = field(default_factory=list[Made])
    unread: list[Unknown] = field(default_factory=list[Unknown])
    starred: bool = False


def listed(given: Value) -> list[Value]:
    """Return a list; an empty one of what is none."""
    return cast("list[Value]", given) if isinstance(given, list) else []


def mapped(given: Value) -> dict[str, Value]:
    """Return a dict; an empty one of what is none."""
    return cast("dict[str, Value]", given) if isinstance(given, dict) else {}


class Reader:
    """Reads the files of a repository, each once.

    Args:
        root: The repository's folder.
    """

    def __init__(self, root: Path) -> None:
        """Have read none."""
        self.root = root
        self.modules: dict[Path, Module] = {}

    def read(self, path: Path) -> Module:
        """Return what a file says.

        Raises:
            SyntaxError, UnicodeDecodeError: It is no Python.
        """
        path = path.resolve()
        if path not in self.modules:
            tree = ast.parse(path.read_bytes(), str(path))
            module = self.modules[path] = Module()  # before it is read: files may import each other
            _File(self, path, module).read(tree)
        return self.modules[path]

    def shown(self, path: Path) -> str:
        """Return a file's name within the repository."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def module(self, dotted: str, level: int, importer: Path) -> Module | None:
        """Return the module of an import, if it is a file of the repository; one that is no Python says nothing."""
        parts = [part for part in dotted.split(".") if part]
        base = importer.parent
        for _ in range(level - 1):
            base = base.parent
        for folder in (base,) if level else (self.root, base, self.root.parent):
            for path in (folder.joinpath(*parts).with_suffix(".py"), folder.joinpath(*parts, "__init__.py")):
                if parts and path.is_file() and path.resolve().is_relative_to(self.root):
                    try:
                        return self.read(path)
                    except (SyntaxError, ValueError):  # told where the file itself is read
                        return Module()
        return None


class _File:
    """Reads one file."""

    def __init__(self, reader: Reader, path: Path, module: Module) -> None:
        self.reader = reader
        self.path = path
        self.module = module
        self.file = reader.shown(path)
        self.seen: set[int] = set()

    def read(self, tree: ast.Module) -> None:
        self.statements(tree.body)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and id(node) not in self.seen and self._kind(node.func) in DEFINITIONS:
                self.module.unread.append(self.unknown(node))
        self.module.made.sort(key=lambda made: made.place)

    def unknown(self, node: ast.AST) -> Unknown:
        text = ast.unparse(node)
        return Unknown(text if len(text) <= 60 else text[:57] + "...", self.place(node))  # noqa: PLR2004 - one line

    def place(self, node: ast.AST) -> Place:
        return Place(self.file, getattr(node, "lineno", 0))

    def _kind(self, func: ast.expr) -> str:
        """Return the class that is called, if it is Feast's."""
        known = self.value(func)
        return DECORATORS.get(known.last, known.last) if isinstance(known, Symbol) and known.of_feast else ""

    def statements(self, body: Sequence[ast.stmt]) -> None:
        for node in body:
            match node:
                case ast.Import():
                    for each in node.names:
                        self._import(each)
                case ast.ImportFrom():
                    self._import_from(node)
                case (
                    ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr())
                ):
                    self.module.names[name] = self.value(node.value)  # type: ignore[arg-type] - it has one
                case ast.Expr():
                    self.value(node.value)
                case ast.FunctionDef():
                    self._function(node)
                case ast.If() if "__main__" not in ast.unparse(node.test):
                    self.statements(node.body)
                case ast.Try() | ast.With():
                    self.statements(node.body)
                case _:
                    pass

    def _import(self, each: ast.alias) -> None:
        local = self.reader.module(each.name, 0, self.path)
        if local is not None and each.asname is None and "." in each.name:
            return
        first = each.name if each.asname else each.name.partition(".")[0]
        self.module.names[each.asname or first] = local if local is not None else Symbol(first)

    def _import_from(self, node: ast.ImportFrom) -> None:
        dotted = node.module or ""
        local = self.reader.module(dotted, node.level, self.path)
        for each in node.names:
            if each.name == "*":
                self.module.starred |= local is None and "feast" in dotted
                if local is not None:
                    self.module.names |= local.names
                    self.module.starred |= local.starred
            elif local is not None:
                self.module.names[each.asname or each.name] = local.names.get(each.name, self.unknown(node))
            else:
                inner = self.reader.module(f"{dotted}.{each.name}".strip("."), node.level, self.path)
                found = inner if inner is not None else Symbol(f"{dotted}.{each.name}")
                self.module.names[each.asname or each.name] = found

    def _function(self, node: ast.FunctionDef) -> None:
        function = Function(node, self.place(node))
        self.module.names[node.name] = function
        for decorator in node.decorator_list:
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self._kind(call) in DECORATORS.values() and isinstance(decorator, ast.Call):
                made = self._made(decorator, self._kind(call), function)
                self.module.names[node.name] = made

    def value(self, node: ast.expr) -> Value:
        """Return what an expression is, as far as reading tells."""
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self._name(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Call():
                return self._call(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.List() | ast.Tuple() | ast.Set():
                return [self.value(each) for each in node.elts]
            case ast.Dict():
                return {
                    str(self.value(key)): self.value(each)
                    for key, each in zip(node.keys, node.values, strict=True)
                    if key is not None
                }
            case ast.JoinedStr():
                return self._text(node)
            case ast.BinOp() | ast.UnaryOp():
                return self._computed(node)
            case ast.ListComp(generators=[ast.comprehension(target=ast.Name(id=name), ifs=[]) as loop]):
                return self._each(node, name, loop)
            case _:
                return self.unknown(node)

    def _name(self, node: ast.Name) -> Value:
        if node.id == "__file__":
            return str(self.path)
        if node.id in self.module.names:
            return self.module.names[node.id]
        return Symbol(f"feast.{node.id}") if self.module.starred else Symbol(node.id)

    def _attribute(self, node: ast.Attribute) -> Value:
        match self.value(node.value):
            case Symbol() as base:
                return Symbol(f"{base.name}.{node.attr}")
            case Module() as module:
                return module.names.get(node.attr, self.unknown(node))
            case Path() as path if node.attr == "parent":
                return path.parent
            case _:
                return self.unknown(node)

    def _subscript(self, node: ast.Subscript) -> Value:
        base, at = self.value(node.value), self.value(node.slice)
        if isinstance(base, Made) and isinstance(at, list):
            return Picked(base, [str(name) for name in listed(at)])
        if isinstance(base, list | dict):
            try:
                return cast("Any", base)[at]
            except (LookupError, TypeError):
                pass
        return self.unknown(node)

    def _text(self, node: ast.JoinedStr) -> Value:
        parts = [self.value(each.value if isinstance(each, ast.FormattedValue) else each) for each in node.values]
        plain = all(isinstance(part, str | int | Path) for part in parts)
        return "".join(map(str, parts)) if plain else self.unknown(node)

    def _computed(self, node: ast.BinOp | ast.UnaryOp) -> Value:
        match node:
            case ast.UnaryOp(op=ast.USub()):
                one = self.value(node.operand)
                return -one if isinstance(one, int | float) else self.unknown(node)
            case ast.BinOp():
                return self._both(node, self.value(node.left), self.value(node.right))
            case _:
                return self.unknown(node)

    def _both(self, node: ast.BinOp, left: Value, right: Value) -> Value:
        try:
            return self._result(node, left, right)
        except (OverflowError, ValueError):
            return self.unknown(node)

    def _result(self, node: ast.BinOp, left: Value, right: Value) -> Value:
        plain = (str, int, float, list, timedelta)
        match node.op:
            case ast.Add() if type(left) is type(right) and isinstance(left, plain):
                return left + right
            case ast.Mult() if isinstance(left, int | float | timedelta) and isinstance(right, int | float):
                return left * right
            case ast.Mult() if isinstance(left, int | float) and isinstance(right, timedelta):
                return left * right
            case ast.Div() if isinstance(left, Path) and isinstance(right, str):
                return left / right
            case _:
                return self.unknown(node)

    def _each(self, node: ast.ListComp, name: str, loop: ast.comprehension) -> Value:
        every = self.value(loop.iter)
        if not isinstance(every, list):
            return self.unknown(node)
        before = self.module.names.get(name)
        found: list[Value] = []
        for each in listed(every):
            self.module.names[name] = each
            found.append(self.value(node.elt))
        self.module.names[name] = before
        return found

    def _call(self, node: ast.Call) -> Value:
        if isinstance(node.func, ast.Attribute):
            picked = self._renamed(node, self.value(node.func.value), node.func.attr)
            if picked is not None:
                return picked
        called = self.value(node.func)
        if not isinstance(called, Symbol):
            return self.unknown(node)
        if called.of_feast and called.last[:1].isupper():
            return self._made(node, called.last)
        return self._plain(node, called)

    def _made(self, node: ast.Call, kind: str, function: Function | None = None) -> Made:
        self.seen.add(id(node))
        given: dict[str | int, Value] = {at: self.value(each) for at, each in enumerate(node.args)}
        for each in node.keywords:
            if each.arg is not None:
                given[each.arg] = self.value(each.value)
            else:  # **given
                unpacked = self.value(each.value)
                given |= mapped(unpacked) if isinstance(unpacked, dict) else {"**": self.unknown(each.value)}
        made = Made(kind, given, self.place(node), function)
        if kind in DEFINITIONS:
            self.module.made.append(made)
        return made

    def _renamed(self, node: ast.Call, base: Value, method: str) -> Picked | None:
        """Return a feature view under another name or other keys."""
        picked = Picked(base) if isinstance(base, Made) else base
        if not isinstance(picked, Picked) or len(node.args) != 1:
            return None
        match method, self.value(node.args[0]):
            case "with_name", str() as name:
                return Picked(picked.view, picked.features, name, picked.keys)
            case "with_join_key_map", keys if isinstance(keys, dict):
                under = {key: str(each) for key, each in mapped(keys).items()}
                return Picked(picked.view, picked.features, picked.name, under)
            case _:
                return None

    def _plain(self, node: ast.Call, called: Symbol) -> Value:
        """Return what a function of Python's own library gives, of those that definitions use."""
        args = [self.value(each) for each in node.args]
        named = {each.arg: self.value(each.value) for each in node.keywords if each.arg}
        texts = [str(each) for each in args if isinstance(each, str | Path)]
        whole = len(texts) == len(args) > 0
        match called.last:
            case "timedelta" | "Duration":
                lengths = {**dict(zip(LENGTHS, args, strict=False)), **named}
                if all(isinstance(each, int | float) for each in lengths.values()) and lengths.keys() <= {*LENGTHS}:
                    with suppress(OverflowError, ValueError):
                        return timedelta(**lengths)
            case "getenv" | "get" if len(args) > 1:
                return args[1]
            case "str" if whole:
                return texts[0]
            case "Path" | "PurePath" if whole:
                return Path(*texts)
            case "join" if whole:
                return str(Path(*texts))
            case "abspath" | "realpath" if whole:
                return str(self.reader.root / texts[0])
            case "dirname" if whole:
                return str(Path(texts[0]).parent)
            case _:
                pass
        return self.unknown(node)
