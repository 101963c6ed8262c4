"""Writes what was read as a file of definitions of ours."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from asof.feast.model import Found, Input, OurEntity, OurFunction, OurGroup, OurView, Shown
from asof.feast.names import Variables

WIDTH = 110


def definitions_text(found: Found) -> str:
    """Return a Python file that defines what was found; `asof apply` takes it."""
    return "\n".join(_File(found).lines()) + "\n"


class _File:
    """The file, with the names that its definitions have in it."""

    def __init__(self, found: Found) -> None:
        self.found = found
        names = Variables()
        self.entities: dict[str, tuple[str, OurEntity]] = {}
        self.functions = {id(each): names.new(each.function, "feature") for each in found.functions}
        self.groups = {id(each): names.new(each.name, "group") for each in found.groups}
        for group in found.groups:
            entity = group.entity
            if entity.name not in self.entities:
                self.entities[entity.name] = names.new(entity.name, "entity"), entity
        self.views = {id(each): names.new(each.name, "view") for each in found.views}

    def lines(self) -> Iterator[str]:
        found = self.found
        project = f" {found.project}" if found.project else ""
        text = f"Features of the Feast project{project}, read by `asof import feast`. It is yours now: change it."
        yield _text(text)
        yield ""
        if any(self._taken(group) for group in found.groups):
            yield "from pathlib import Path"
            yield ""
        yield f"from asof import {', '.join(self._imports())}"
        if any(self._taken(group) for group in found.groups):
            yield ""
            yield f"REPOSITORY = Path({_text(str(found.root))})"
        yield ""
        for name, entity in self.entities.values():
            yield from self._entity(name, entity)
        for group in found.groups:
            yield ""
            yield from self._group(group)
        for function in found.functions:
            yield ""
            yield ""
            yield from self._function(function)
        if found.functions:
            yield ""
        for view in found.views:
            yield ""
            yield from self._view(view)

    def _imports(self) -> list[str]:
        found = self.found
        names = ["Entity", "Feature", "FeatureGroup"]
        names += ["FeatureView"] if found.views else []
        names += ["Files"] if any(self._taken(group) for group in found.groups) else []
        written = [each for each in found.functions if each.body]
        names += ["Request"] if any(not i.group for each in written for i in each.inputs.values()) else []
        names += ["SQL"] if any(self._taken(group) and group.rows.renamed for group in found.groups) else []
        names += ["on_demand"] if written else []
        return sorted(names, key=lambda name: (name != "SQL", name.islower(), name))

    @staticmethod
    def _taken(group: OurGroup) -> bool:
        """Return whether a group takes its rows from files."""
        return group.rows.file is not None and not group.rows.written

    def _entity(self, variable: str, entity: OurEntity) -> Iterator[str]:
        text = [f"description={_text(entity.description)}"] if entity.description else []
        yield from _call(f"{variable} = Entity", [_text(entity.name), f"keys={_dict(entity.keys)}", *text])

    def _group(self, group: OurGroup) -> Iterator[str]:
        rows = group.rows
        yield _remark(str(group.place))
        if rows.written and rows.file is not None:
            yield from _comment(self._history(group))
        yield f"{self.groups[id(group)]} = FeatureGroup("
        yield f"    {_text(group.name)},"
        yield f"    entity={self.entities[group.entity.name][0]},"
        yield f"    event_time={_text(group.event_time)},"
        yield '    timezone="UTC",  # Feast takes times without a zone to be in UTC'
        yield "    features=["
        for each in group.features:
            more = [f"description={_text(each.description)}"] if each.description else []
            more += [f"tags={_dict(each.tags)}"] if each.tags else []
            yield from _indented(_call("Feature", [_text(each.name), _text(each.dtype), *more], end=","), 8)
        yield "    ],"
        for option in self._options(group):
            yield from _indented(f"{option},".splitlines(), 4)
        if self._taken(group):
            yield from _indented(
                _call("source=Files", [self._path(group), f"columns={_dict(rows.columns)}"], end=","), 4
            )
            if rows.renamed:
                select = _text(f"SELECT {self._columns(group)} FROM source")  # noqa: S608 - the user's own file
                yield from _indented(_call("transform=SQL", [select], end=","), 4)
        yield ")"

    @staticmethod
    def _columns(group: OurGroup) -> str:
        renamed = group.rows.renamed
        return ", ".join(f"{each} AS {renamed[each]}" if each in renamed else each for each in group.rows.columns)

    @staticmethod
    def _options(group: OurGroup) -> Iterator[str]:
        if group.ttl is not None:
            yield f"ttl={_text(group.ttl)}"
        if group.online:
            yield "online=True"
        for option, text in (("description", group.description), ("owner", group.owner)):
            if text:
                yield f"{option}={_text(text)}"
        if group.tags:
            yield f"tags={_dict(group.tags)}"

    def _path(self, group: OurGroup) -> str:
        path, root = group.rows.file, self.found.root
        if path is not None and path.is_relative_to(root):
            return f"REPOSITORY / {_text(path.relative_to(root).as_posix())}"
        return _text(str(path))

    def _history(self, group: OurGroup) -> str:
        rows = group.rows
        named = f".rename_columns({_dict(rows.renamed)})" if rows.renamed else ""
        table = f"pyarrow.parquet.read_table({_text(str(rows.file))}, columns={json.dumps([*rows.columns])}){named}"
        return f"its history: store.backfill({_text(group.name)}, {table})"

    def _function(self, function: OurFunction) -> Iterator[str]:
        variable = self.functions[id(function)]
        arguments = [*function.inputs]
        given = _listed("[", [self._input(each) for each in function.inputs.values()], "]")
        named = [f"name={_text(function.name)}"] if variable != function.name else []
        lines = [
            _remark(function.origin),
            *_call("@on_demand", [f"inputs={given}", f"output={_text(function.dtype)}", *named]),
            f"def {variable}({', '.join(arguments)}):",
            *(f"    {line}" for line in function.body),
        ]
        if function.body:
            yield from lines
            return
        yield _remark(f"{function.origin} makes {function.name}: write it by hand, and put it into its views")
        yield from (_remark(line) for line in [*lines[1:], "    return ..."])

    def _input(self, given: Input) -> str:
        if given.group is None:
            return f"Request({_text(given.name)}, {_text(given.dtype)})"
        return f"{self.groups[id(given.group)]}[{_text(given.name)}]"

    def _view(self, view: OurView) -> Iterator[str]:
        yield _remark(str(view.place))
        yield f"{self.views[id(view)]} = FeatureView("
        yield f"    {_text(view.name)},"
        yield "    features=["
        for each in view.features:
            yield f"        {self._shown(each)},"
        yield "    ],"
        for option, text in (("description", view.description), ("owner", view.owner)):
            if text:
                yield f"    {option}={_text(text)},"
        if view.tags:
            yield from _indented(f"tags={_dict(view.tags)},".splitlines(), 4)
        if view.log:
            yield f"    log={view.log},"
        yield ")"

    def _shown(self, shown: Shown) -> str:
        if isinstance(shown.of, OurFunction):
            return self.functions[id(shown.of)]
        group = self.groups[id(shown.of)]
        if shown.keys:
            group += f".on({', '.join(f'{key}={_text(under)}' for key, under in shown.keys.items())})"
        alias = f".alias({_text(shown.alias)})" if shown.alias else ""
        return f"{group}[{_text(shown.name)}]{alias}"


def _text(text: str) -> str:
    """Return a text as Python's and JSON's literal, on one line whatever it holds."""
    return "".join(
        each if each.isprintable() else json.dumps(each)[1:-1] for each in json.dumps(text, ensure_ascii=False)
    )


def _dict(texts: Mapping[str, str]) -> str:
    """Return a dict, an entry a line if it is long."""
    return _listed("{", [f"{_text(key)}: {_text(value)}" for key, value in texts.items()], "}")


def _listed(begin: str, parts: Sequence[str], end: str) -> str:
    """Return parts between brackets, one a line if they are long."""
    line = f"{begin}{', '.join(parts)}{end}"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return "\n".join([begin, *(textwrap.indent(f"{part},", "    ") for part in parts), end])


def _call(name: str, arguments: Iterable[str], end: str = "") -> list[str]:
    """Return the lines of a call, an argument a line if it is long."""
    return _listed(f"{name}(", [*arguments], f"){end}").splitlines()


def _indented(lines: Iterable[str], spaces: int) -> Iterator[str]:
    return (" " * spaces + line for line in lines)


def _remark(line: str) -> str:
    """Return a line of a comment, which no name ends early."""
    return f"# {line}" if line.isprintable() else f"# {line!r}"


def _comment(text: str) -> Iterator[str]:
    lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return (f"# {line}" for line in lines)
