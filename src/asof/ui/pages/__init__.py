"""The pages, by their paths."""

from collections.abc import Callable, Mapping
from functools import partial

from asof.ui.page import Asked, Page
from asof.ui.pages.audit import audit
from asof.ui.pages.entity import entities, entity
from asof.ui.pages.group import group, groups
from asof.ui.pages.home import home
from asof.ui.pages.jobs import jobs
from asof.ui.pages.lineage import lineage
from asof.ui.pages.model import QUALITY, model, models
from asof.ui.pages.searching import hits, searching
from asof.ui.pages.view import view, views

LIGHT: Mapping[str, Callable[[Asked], Page]] = {
    "/": home,
    "/search": searching,
    "/search/hits": hits,
    "/groups": groups,
    "/views": views,
    "/models": models,
    "/models/{name}": model,
    "/entities": entities,
    "/lineage": lineage,
    "/lineage/{name}": lineage,
    "/jobs": jobs,
    "/audit": audit,
    "/groups/{name}": group,
    "/groups/{name}/{tab}": group,
    "/views/{name}": view,
    "/views/{name}/{tab}": view,
}
"""Pages that are made of the registry."""

HISTORY: Mapping[str, Callable[[Asked], Page]] = {
    "/entities/{name}": entity,
    "/groups/{name}/data": partial(group, tab="data"),
    "/groups/{name}/drift": partial(group, tab="drift"),
    "/groups/{name}/quarantine": partial(group, tab="quarantine"),
    "/groups/{name}/statistics": partial(group, tab="statistics"),
    "/groups/{name}/lookup": partial(group, tab="lookup"),
    "/views/{name}/lookup": partial(view, tab="lookup"),
    "/views/{name}/proof": partial(view, tab="proof"),
    "/models/{name}/quality": partial(model, tab=QUALITY),
}
"""Pages that may read history: a server counts them as jobs."""
