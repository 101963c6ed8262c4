"""Feature services and on-demand feature views as views."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from keyword import iskeyword

from asof.feast.functions import taken_over
from asof.feast.groups import Groups, texts
from asof.feast.model import Input, OurFunction, OurGroup, OurView, Remarks, Shown
from asof.feast.names import free, ours
from asof.feast.static import Made, Picked, Unknown, Value, listed, mapped
from asof.feast.types import type_of

NUMBERS = frozenset(("bool", "int8", "int16", "int32", "int64", "float32", "float64"))
READ = frozenset(
    (
        *("name", "sources", "inputs", "schema", "features", "mode", "tags", "owner", "description", "udf"),
        *("udf_string", "version", "logging_config", "entities", "feature_transformation", 0, 1),
    )
)
"""Arguments that are taken over, or say nothing here."""


class Views:
    """The views of a repository.

    Attributes:
        all: The views, in the order of the files.
        functions: The features of the on-demand feature views.
    """

    def __init__(self, made: Sequence[Made], groups: Groups, remarks: Remarks) -> None:
        """Make them: on-demand feature views first, which services name."""
        self._groups = groups
        self._remarks = remarks
        self._made: dict[int, list[OurFunction]] = {}
        self._taken = {group.name for group in groups.all}
        self.functions: list[OurFunction] = []
        self.all: list[OurView] = []
        for each in made:
            if each.kind == "OnDemandFeatureView":
                self._on_demand(each)
        for each in made:
            if each.kind == "FeatureService":
                self._service(each)

    def _on_demand(self, made: Made) -> None:
        name = _name(made)
        inputs = self._inputs(made, name)
        outputs = self._outputs(made, name)
        function = made.function or made.get("udf")
        node = getattr(function, "node", None)
        origin = node if isinstance(node, ast.FunctionDef) else None
        pandas = str(made.get("mode") or "pandas") == "pandas" and made.get("singleton") is not True
        bodies: Mapping[str, tuple[list[str], str]] = (
            taken_over(origin, [*outputs]) if origin is not None and pandas else {}
        )
        found = [
            self._function(made, name, output, dtype, inputs, bodies.get(output)) for output, dtype in outputs.items()
        ]
        by_hand = [each.name for each in found if not each.body]
        if by_hand:
            todo = "write each as a function that gives one feature: the file has what it begins with"
            what = f"on-demand feature view {name!r}: {', '.join(by_hand)} must be written by hand"
            self._remarks.add(made.place, what, todo)
        if len(by_hand) < len(found):
            what = f"on-demand feature view {name!r}: its arithmetic was taken over, one function a feature"
            self._remarks.add(made.place, what, "compare some values: null is NaN in the arrays that it is given")
        self._lost(made, f"on-demand feature view {name!r}")
        self._made[id(made)] = found
        self.functions += found
        self._add(made, name, [Shown(each, each.name) for each in found if each.body], log=0.0)

    def _function(  # noqa: PLR0917 - the parts of one
        self,
        made: Made,
        view: str,
        output: str,
        dtype: str,
        inputs: Mapping[str, Input],
        body: tuple[list[str], str] | None,
    ) -> OurFunction:
        """Return one of the features of an on-demand feature view."""
        known = {each.function for each in self.functions}
        function = ours(output)
        function = function if function not in known else free(f"{ours(view)}_{function}"[:60], known, "feature")
        used, text = body or ([], "")
        whole = "/" not in text and all(inputs[each].dtype.startswith("int") for each in used if each in inputs)
        plain = all(each in inputs and inputs[each].dtype in NUMBERS and not iskeyword(each) for each in used)
        fits = dtype.startswith("float") or dtype == "bool" or (dtype in NUMBERS and whole)
        given = {each: inputs[each] for each in used} if text and plain and fits else dict(inputs)
        lines = [f"return {text}"] if text and plain and fits else []
        return OurFunction(ours(output), function, dtype, given, lines, str(made.place), _text(made, "description"))

    def _inputs(self, made: Made, name: str) -> dict[str, Input]:
        """Return what the function may use, by column: features of feature views, and what requests bring."""
        found: dict[str, Input] = {}
        asked: dict[str, Input] = {}
        for each in _listed(made.get("sources", "inputs")):
            picked = each if isinstance(each, Picked) else Picked(each)
            group = self._groups.of(picked.view)
            source: Value = picked.view
            if isinstance(source, Made) and source.kind == "RequestSource":
                asked |= self._requested(source, name)
            elif group is not None:
                kept = picked.features
                found |= {
                    f.column: Input(f.name, f.dtype, group) for f in group.features if kept is None or f.column in kept
                }
            else:
                self._remarks.add(made.place, f"on-demand feature view {name!r}: a source is not found: {_said(each)}")
        for both in found.keys() & asked.keys():
            what = f"on-demand feature view {name!r}: {both!r} is a feature, and is brought by the request"
            self._remarks.add(made.place, what, "the request's is taken")
        return found | asked

    def _requested(self, source: Made, name: str) -> dict[str, Input]:
        schema = source.get("schema", 1)
        pairs = mapped(schema).items() if isinstance(schema, dict) else _fields(schema)
        found: dict[str, Input] = {}
        for field, given in pairs:
            dtype = type_of(given)
            if dtype is None:
                what = f"on-demand feature view {name!r}: the type of the input {field!r} is not understood"
                self._remarks.add(source.place, what, "declare it yourself")
            else:
                found[field] = Input(ours(field), dtype)
        return found

    def _outputs(self, made: Made, name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for field, given in _fields(made.get("schema", "features")):
            dtype = type_of(given)
            if dtype is None:
                what = f"on-demand feature view {name!r}: the type of {field!r} is not understood, and it is left out"
                self._remarks.add(made.place, what, "declare it yourself")
            else:
                found[field] = dtype
        return found

    def _service(self, made: Made) -> None:
        name = _name(made)
        shown: list[Shown] = []
        for each in _listed(made.get("features", 1)):
            picked = each if isinstance(each, Picked) else Picked(each)
            functions = self._made.get(id(picked.view))
            group = self._groups.of(picked.view)
            if functions is not None:
                names = None if picked.features is None else {ours(each) for each in picked.features}
                wanted = [each for each in functions if names is None or each.name in names]
                shown += [Shown(each, each.name) for each in wanted if each.body]
                lacking = ", ".join(each.name for each in wanted if not each.body)
                if lacking:
                    what = f"feature service {name!r}: {lacking} is left out of it"
                    self._remarks.add(made.place, what, "put it there when it is written")
            elif group is not None:
                shown += self._of_group(group, picked, made, name)
            else:
                what = f"feature service {name!r}: {_said(each)} is not found, and left out"
                self._remarks.add(made.place, what, "declare it yourself")
        self._lost(made, f"feature service {name!r}")
        self._add(made, name, self._apart(shown, made, name), log=self._logged(made, name))

    def _of_group(self, group: OurGroup, picked: Picked, made: Made, service: str) -> Iterator[Shown]:
        every = {feature.column: feature.name for feature in group.features} | {f.name: f.name for f in group.features}
        wanted = [f.name for f in group.features] if picked.features is None else picked.features
        keys = {ours(key): ours(str(under)) for key, under in picked.keys.items()}
        if picked.name:
            what = f"feature service {service!r}: features of {group.name} are named {ours(picked.name)}_..."
            self._remarks.add(made.place, what, "Feast would name them with two underscores")
        for feature in wanted:
            if feature in every:
                alias = f"{ours(picked.name)}_{every[feature]}" if picked.name else ""
                yield Shown(group, every[feature], alias, keys)
            else:
                what = f"feature service {service!r}: group {group.name} has no feature {feature!r}"
                self._remarks.add(made.place, what, "it is left out")

    def _apart(self, shown: Sequence[Shown], made: Made, service: str) -> list[Shown]:
        """Return features, those named otherwise that have the name of what a request brings."""
        brought = {
            i.name for each in shown if isinstance(each.of, OurFunction) for i in each.of.inputs.values() if not i.group
        }
        found: list[Shown] = []
        for each in dict.fromkeys(map(_Same, shown)):
            one = each.shown
            if isinstance(one.of, OurGroup) and (one.alias or one.name) in brought:
                alias = f"{one.of.name}_{one.name}"
                what = f"feature service {service!r}: {one.name!r} of {one.of.name} is named {alias!r}"
                self._remarks.add(made.place, what, "the request brings one of its name")
                one = Shown(one.of, one.name, alias, one.keys)
            found.append(one)
        return found

    def _logged(self, made: Made, name: str) -> float:
        config = made.get("logging_config")
        if not isinstance(config, Made):
            return 0.0
        rate = config.get("sample_rate", 1)
        todo = "asof keeps them in a group of the store: log= (docs/serving-log.md)"
        self._remarks.add(config.place, f"feature service {name!r}: its answers are logged elsewhere", todo)
        return float(rate) if isinstance(rate, int | float) else 1.0

    def _add(self, made: Made, name: str, shown: Sequence[Shown], *, log: float) -> None:
        if not shown:
            self._remarks.add(made.place, f"{made.kind} {name!r}: none of its features is there: no view is made")
            return
        view = free(ours(name), self._taken, "view")
        if view != name:
            self._remarks.add(
                made.place, f"{made.kind} {name!r} is the view {view!r}", "its own name is taken, or none here"
            )
        self._taken.add(view)
        said = (_text(made, "description"), _text(made, "owner"), texts(made.get("tags")))
        self.all.append(OurView(view, made.place, shown, *said, log))

    def _lost(self, made: Made, what: str) -> None:
        lost = sorted(str(each) for each in made.given if each not in READ)
        if lost:
            self._remarks.add(made.place, f"{what}: {', '.join(f'{each}=' for each in lost)} is not taken over")


class _Same:
    """A feature of a view; two are one if they show the same."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self._parts = id(shown.of), shown.name, shown.alias, tuple(shown.keys.items())

    def __hash__(self) -> int:
        return hash(self._parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._parts == other._parts


def _fields(schema: Value) -> Iterator[tuple[str, Value]]:
    """Iterate over the names and types of fields."""
    for each in listed(schema):
        if isinstance(each, Made) and isinstance(each.get("name", 0), str):
            yield each.get("name", 0), each.get("dtype", 1)


def _listed(given: Value) -> list[Value]:
    return [*mapped(given).values()] if isinstance(given, dict) else listed(given)


def _said(given: Value) -> str:
    """Return what is not known, for a remark."""
    if isinstance(given, Picked):
        return _said(given.view)
    if isinstance(given, Unknown):
        return given.text
    return f"{given.kind} {given.get('name', 0)!r}" if isinstance(given, Made) else getattr(given, "last", repr(given))


def _name(made: Made) -> str:
    name = made.get("name", 0)
    return name if isinstance(name, str) else made.function.node.name if made.function else "unnamed"


def _text(made: Made, name: str) -> str:
    text = made.get(name)
    return text if isinstance(text, str) else ""
