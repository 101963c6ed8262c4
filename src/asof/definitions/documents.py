"""Definitions as plain documents (dicts of JSON types), and the identity of a version.

The registry stores documents, never code or pickles. A definition read back equals the one written.
Source: SEMANTICS section 6.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any, cast

from asof.definitions.chain import transforms_from
from asof.definitions.check import Check
from asof.definitions.entity import Entity
from asof.definitions.feature import Feature
from asof.definitions.group import FeatureGroup, FeatureRef, GroupOn
from asof.definitions.names import checked_name
from asof.definitions.on_demand import OnDemand, Request
from asof.definitions.outside import outside_document, outside_from, outside_identity
from asof.definitions.transformation import SQL, Transformation, transformation_of
from asof.definitions.types import parse_type
from asof.definitions.view import FeatureView
from asof.errors import NotFoundError, UsageError
from asof.windows.aggregation import Aggregation
from asof.windows.conditions import condition_from
from asof.windows.kinds import Window

Document = dict[str, Any]  # JSON: the foreign edge where Any is honest

GroupLoader = Callable[[str], FeatureGroup]
"""Gives the group of a reference such as "weather@1"."""


def group_document(group: FeatureGroup, pins: Mapping[str, int] | None = None) -> Document:
    """Return a group as a document.

    Args:
        group: The group.
        pins: Group name to the version that is meant, if it has a source.
    """
    parent = None if group.parent is None else f"{group.parent.name}@{(pins or {})[group.parent.name]}"
    return {
        "name": group.name,
        "entity": {
            "name": group.entity.name,
            "keys": {key: str(dtype) for key, dtype in group.entity.keys.items()},
            "description": group.entity.description,
        },
        "features": [_feature_document(f) for f in group.features],
        "event_time": group.event_time,
        "ttl_us": group.ttl_us,
        "delay_us": group.delay_us,
        "online": group.online,
        "known": group.known,
        "timezone": group.timezone,
        "retention_us": group.retention_us,
        "checks": [_check_document(c) for c in group.checks],
        "on_violation": group.on_violation,
        "on_unchanged": group.on_unchanged,
        "description": group.description,
        "owner": group.owner,
        "tags": dict(group.tags),
        "project": group.project,
        "shared_with": list(group.shared_with),
        "source": None if group.source is None else parent,
        "source_keys": dict(group.source_keys),
        "external": group.external,
        "available_at": group.available_at,
        "origin": None if group.origin is None else parent,
        "transform": None if group.transform is None else _transform_document(group.transform),
        "taken_from": None if group.taken_from is None else outside_document(group.taken_from),
    }


def group_from(document: Mapping[str, Any], group: GroupLoader | None = None) -> FeatureGroup:
    """Return the group of a document; a group with a source needs who gives it."""
    entity = document["entity"]
    source = document.get("source") or document.get("origin")
    transform, outside = document.get("transform"), document.get("taken_from")
    if source is not None and group is None:
        raise UsageError(f"group {document['name']} comes without its source {source}")
    return FeatureGroup(
        document["name"],
        entity=Entity(entity["name"], entity["keys"], entity["description"]),
        features=[_feature_from(f) for f in document["features"]],
        event_time=document["event_time"],
        ttl=_length(document["ttl_us"]),
        delay=timedelta(microseconds=document["delay_us"]),
        online=document["online"],
        known=document["known"],
        timezone=document["timezone"],
        retention=_length(document["retention_us"]),
        checks=[_check_from(c) for c in document["checks"]],
        on_violation=document["on_violation"],
        on_unchanged=document["on_unchanged"],
        description=document["description"],
        owner=document["owner"],
        tags=document["tags"],
        project=document.get("project", ""),
        shared_with=document.get("shared_with", ()),
        source=outside_from(outside) if outside else None if source is None or group is None else group(source),
        source_keys=document.get("source_keys"),
        external=document.get("external"),
        available_at=document.get("available_at"),
        transform=None if transform is None else _transform_from(transform, document["name"]),
    )


def view_document(view: FeatureView, pins: Mapping[str, int]) -> Document:
    """Return a view as a document that pins group versions.

    Args:
        view: The view.
        pins: Group name to the version that the view reads.
    """
    return {
        "name": view.name,
        "features": [_output_document(each, pins) for each in view.features],
        "description": view.description,
        "owner": view.owner,
        "tags": dict(view.tags),
        "log": view.log,
        "log_retention_us": view.log_retention_us,
        "project": view.project,
        "transforms": [chain.document() for chain in view.transforms],
        "budget_us": view.budget_us,
        "on_slow": view.on_slow,
    }


def view_from(document: Mapping[str, Any], group: GroupLoader) -> FeatureView:
    """Return the view of a document."""
    return FeatureView(
        document["name"],
        features=[_output_from(each, group) for each in document["features"]],
        description=document["description"],
        owner=document["owner"],
        tags=document["tags"],
        log=document.get("log", 0.0),
        log_retention=_length(document.get("log_retention_us")),
        project=document.get("project", ""),
        transforms=transforms_from(document.get("transforms", ())),
        budget=_length(document.get("budget_us")),
        on_slow=document.get("on_slow", "fail"),
    )


AMENDABLE = frozenset(
    {"description", "owner", "tags", "checks", "retention_us", "on_violation", "on_unchanged", "online"}
    | {"project", "shared_with"}
)
"""Parts of a group that change in place."""

VIEW_AMENDABLE = frozenset(
    {"description", "owner", "tags", "log", "log_retention_us", "project", "budget_us", "on_slow"}
)
"""Parts of a view that change in place: they are about its serving, and history says the same whatever they are."""


def group_identity(document: Mapping[str, Any]) -> str:
    """Return the hash of what a group version fixes."""
    made = {
        "source": document.get("source"),
        "source_keys": document.get("source_keys"),
        "aggregations": [f.get("aggregation") for f in document["features"]],
    }
    place = {} if document.get("external") is None else {"external": True, "available_at": document["available_at"]}
    if document.get("taken_from"):
        taken = {"taken_from": outside_identity(document["taken_from"]), "transform": document["transform"]}
        place = {**taken, "available_at": document["available_at"]}
    return _digest(
        {
            **place,  # where rows lie is not what they are
            "name": document["name"],
            "keys": list(document["entity"]["keys"].items()),
            "event_time": document["event_time"],
            "features": [(f["name"], f["dtype"], f["nullable"]) for f in document["features"]],
            "ttl_us": document["ttl_us"],
            "delay_us": document["delay_us"],
            **(made if made["source"] else {}),
            **({"origin": document["origin"], "transform": document["transform"]} if document.get("origin") else {}),
        }
    )


def view_identity(document: Mapping[str, Any]) -> str:
    """Return the hash of what a view version fixes."""
    made = {"transforms": document["transforms"]} if document.get("transforms") else {}  # views from before keep theirs
    return _digest({"name": document["name"], "features": document["features"], **made})


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _length(length_us: int | None) -> timedelta | None:
    return None if length_us is None else timedelta(microseconds=length_us)


def _feature_document(feature: Feature) -> Document:
    return {
        "name": feature.name,
        "dtype": str(feature.dtype),
        "description": feature.description,
        "unit": feature.unit,
        "nullable": feature.nullable,
        "tags": dict(feature.tags),
        **({} if feature.aggregation is None else {"aggregation": _aggregation_document(feature.aggregation)}),
    }


def _feature_from(document: Mapping[str, Any]) -> Feature:
    return Feature(
        document["name"],
        document["dtype"],
        description=document["description"],
        unit=document["unit"],
        nullable=document["nullable"],
        tags=document["tags"],
        aggregation=_aggregation_from(document["aggregation"], document["name"]) if "aggregation" in document else None,
    )


def _transform_document(transform: Transformation) -> Document:
    return {"language": transform.language, "code": transform.code, "digest": transform.digest}


def _transform_from(document: Mapping[str, Any], name: str) -> Transformation:
    """Return a transformation; nothing is imported."""
    if document["language"] == "sql":
        return transformation_of(SQL(document["code"]), where=f"group {name}")
    return Transformation(**document)


def _aggregation_document(aggregation: Aggregation) -> Document:
    window = aggregation.window
    return {
        "function": aggregation.function,
        "window": {"kind": window.kind, "length_us": window.length_us, "hop_us": window.hop_us},
        "column": aggregation.column,
        "most": aggregation.most,
        "where": None if aggregation.where is None else aggregation.where.document(),
        "q": aggregation.q,
        **({"digest": aggregation.digest} if aggregation.digest else {}),
    }


def _aggregation_from(document: Mapping[str, Any], name: str) -> Aggregation:
    window = Window(**document["window"])
    where = document.get("where")
    return Aggregation(
        name,
        document["function"],
        window,
        document["column"],
        document["most"],
        None if where is None else condition_from(where),
        document.get("q"),
        document.get("digest", ""),
    )


FIRST_OF_CHECK = ("kind", "column", "low", "high", "values", "pattern")
"""What documents of checks always say; the rest only where it is not the default, so that older ones stay equal."""


def _check_document(check: Check) -> Document:
    said = {
        f.name: getattr(check, f.name)
        for f in fields(check)
        if f.name in FIRST_OF_CHECK or getattr(check, f.name) != f.default
    }
    return said | {name: list(said[name]) for name in ("values", "columns") if name in said}


def _check_from(document: Mapping[str, Any]) -> Check:
    lists: Document = {name: tuple(document[name]) for name in ("values", "columns") if name in document}
    return Check(**{**document, **lists})


def _output_document(output: FeatureRef | OnDemand, pins: Mapping[str, int]) -> Document:
    return _ref_document(output, pins) if isinstance(output, FeatureRef) else _on_demand_document(output, pins)


def _output_from(document: Mapping[str, Any], group: GroupLoader) -> FeatureRef | OnDemand:
    return _on_demand_from(document, group) if "on_demand" in document else _ref_from(document, group)


def _on_demand_document(made: OnDemand, pins: Mapping[str, int]) -> Document:
    return {
        "on_demand": made.name,
        "code": made.code,
        "digest": made.digest,
        "inputs": [
            {"request": each.name, "dtype": str(each.dtype)}
            if isinstance(each, Request)
            else _output_document(each, pins)
            for each in made.inputs
        ],
        "dtype": str(made.dtype),
        "mode": made.mode,
        "description": made.description,
        "unit": made.unit,
        "alias": made.renamed,
    }


def _on_demand_from(document: Mapping[str, Any], group: GroupLoader) -> OnDemand:
    """Return an on-demand feature; nothing is imported."""
    inputs = (
        Request(each["request"], each["dtype"]) if "request" in each else _output_from(each, group)
        for each in document["inputs"]
    )
    return OnDemand(
        checked_name(document["on_demand"], "feature"),
        document["code"],
        document["digest"],
        tuple(inputs),
        parse_type(document["dtype"]),
        document["mode"],
        document["description"],
        document["unit"],
        document["alias"],
    )


def _ref_document(ref: FeatureRef, pins: Mapping[str, int]) -> Document:
    return {
        "group": f"{ref.group.name}@{pins[ref.group.name]}",
        "feature": ref.feature.name,
        "alias": ref.name,
        "on": {
            key: _ref_document(source, pins) if isinstance(source, FeatureRef) else source for key, source in ref.on
        },
    }


def _ref_from(document: Mapping[str, Any], group: GroupLoader) -> FeatureRef:
    own = group(document["group"])
    sources = cast("Mapping[str, Any]", document["on"])
    for key in sources:
        if key not in own.keys:
            raise NotFoundError.named("key", key, own.keys, where=f"group {own.name}")
    given = [(key, sources[key]) for key in own.keys if key in sources]
    on = GroupOn(own, tuple((key, each if isinstance(each, str) else _ref_from(each, group)) for key, each in given))
    ref = on[document["feature"]]
    return ref.alias(document["alias"]) if document["alias"] else ref
