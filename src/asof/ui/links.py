"""Where things have their pages."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.sight import Seen
from asof.ui.tables import Cell


def page_of(registered: RegisteredGroup | RegisteredView, seen: Seen) -> str:
    """Return the page of a version: of the newest one by its name, of another by name and number."""
    name = registered.definition.name
    kind = "groups" if isinstance(registered, RegisteredGroup) else "views"
    newest = seen.newest_groups.get(name) if kind == "groups" else seen.newest_views.get(name)
    return f"/{kind}/{quote(name if newest is registered else registered.ref)}"


def page_of_ref(ref: str, seen: Seen) -> str:
    """Return the page of a version by its name and number; "" if the caller may not see it, or it is gone."""
    found = seen.refs.get(ref)
    return "" if found is None else page_of(found, seen)


def model_page(name: str) -> str:
    """Return the page of a model."""
    return f"/models/{quote(name)}"


def cell_of_ref(ref: str, seen: Seen) -> Cell:
    """Return a cell that leads to a version."""
    return Cell(ref, ref, page_of_ref(ref, seen))


def with_query(url: str, query: Mapping[str, str]) -> str:
    """Return an address with a query; what is empty is left out."""
    given = {name: text for name, text in query.items() if text}
    return f"{url}?{urlencode(given)}" if given else url
