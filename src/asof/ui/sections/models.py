"""The models that read a view."""

from collections.abc import Mapping
from typing import Any

from asof.registry.registered import RegisteredView
from asof.ui.model_table import versions_table
from asof.ui.page import Section, Subject


def _made(subject: Subject[RegisteredView]) -> Mapping[str, Any] | None:
    asked = subject.asked
    found = [each for each in asked.sight.models(asked.seen) if each.view == subject.registered.ref]
    return {"table": versions_table(asked, found, id_="models"), "anchors": ()} if found else None


OF_VIEW: Section[RegisteredView] = Section("Models", "sections/table.html", _made)
