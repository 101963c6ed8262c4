"""The features of a group or view."""

from collections.abc import Mapping
from typing import Any

from asof.definitions import Feature, OnDemand
from asof.definitions.aggregate import told
from asof.definitions.group import FeatureRef
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.links import page_of_ref
from asof.ui.page import Section, Subject
from asof.ui.tables import Cell, Column, Table, prose, table_of

MOST = 200
"""Features of a page of the table."""


def _group(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    own = subject.registered.definition
    columns: list[Column[Feature]] = [
        Column("name", "feature", lambda each: Cell(each.name, each.name, tone="code")),
        Column("type", "type", lambda each: Cell(str(each.dtype), str(each.dtype), tone="code")),
    ]
    if any(each.unit for each in own.features):
        columns.append(Column("unit", "unit", lambda each: Cell(each.unit, each.unit or None)))
    if any(each.aggregation is not None for each in own.features):
        columns.append(Column("made", "made as", lambda each: Cell(told(each), told(each) or None, tone="wrap")))
    if any(not each.nullable for each in own.features):
        columns.append(Column("null", "null", lambda each: Cell("yes" if each.nullable else "never", each.nullable)))
    if any(each.description for each in own.features):
        columns.append(Column("about", "description", lambda each: prose(each.description)))
    if any(each.tags for each in own.features):
        columns.append(Column("tags", "tags", _tags))
    return {"table": _table(own.features, columns, subject), "anchors": [each.name for each in own.features]}


def _view(subject: Subject[RegisteredView]) -> Mapping[str, Any]:
    own, seen = subject.registered.definition, subject.asked.seen
    named = list(zip(own.output_names(), own.features, strict=True))

    def of(each: tuple[str, FeatureRef | OnDemand]) -> Cell:
        ref = each[1]
        if isinstance(ref, OnDemand):
            return Cell(str(ref), str(ref), tone="wrap")
        group = subject.registered.groups[ref.group.name].ref
        href = page_of_ref(group, seen)
        text = f"{ref.group.name}.{ref.feature.name}"
        return Cell(text, text, f"{href}#feature-{ref.feature.name}" if href else "")

    columns: list[Column[tuple[str, FeatureRef | OnDemand]]] = [
        Column("name", "feature", lambda each: Cell(each[0], each[0], tone="code")),
        Column("type", "type", lambda each: Cell(str(each[1].feature.dtype), str(each[1].feature.dtype), tone="code")),
        Column("of", "of", of),
        Column("keys", "under", lambda each: Cell(_under(each[1]), _under(each[1]) or None, tone="wrap")),
        Column("about", "description", lambda each: _with_unit(each[1].feature)),
    ]
    return {"table": _table(named, columns, subject), "anchors": list(own.output_names())}


def _table(things: Any, columns: Any, subject: Subject[Any]) -> Table:  # noqa: ANN401 - of either kind
    return table_of(things, columns, id_="features", caption="Features", query=subject.asked.query, page_rows=MOST)


def _under(ref: FeatureRef | OnDemand) -> str:
    """Return where the keys come from, if not from columns of their names."""
    if isinstance(ref, OnDemand):
        return ""
    parts = (
        f"{key} = {source if isinstance(source, str) else f'{source.group.name}.{source.feature.name}'}"
        for key, source in ref.on
    )
    return ", ".join(parts)


def _with_unit(feature: Feature) -> Cell:
    unit = f"({feature.unit})" if feature.unit else ""
    return prose(f"{feature.description} {unit}".strip())


def _tags(feature: Feature) -> Cell:
    return prose(", ".join(f"{name}={value}" for name, value in feature.tags.items()))


OF_GROUP: Section[RegisteredGroup] = Section("Features", "sections/table.html", _group)
OF_VIEW: Section[RegisteredView] = Section("Features", "sections/table.html", _view)
