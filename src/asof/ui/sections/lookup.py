"""The look-up console of a group or view."""

from collections.abc import Mapping
from typing import Any

from asof.ingest.key_texts import asked_types
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.console import console
from asof.ui.page import Section, Subject


def _made(subject: Subject[Any]) -> Mapping[str, Any]:
    types = asked_types(subject.registered.definition)
    return {"console": console(subject.asked, f"{subject.url}/lookup", types, [(subject.registered, subject.url)])}


def _group(subject: Subject[RegisteredGroup]) -> bool:
    return subject.registered.definition.external is None


def _view(subject: Subject[RegisteredView]) -> bool:
    return all(group.definition.external is None for group in subject.registered.groups.values())


OF_GROUP: Section[RegisteredGroup] = Section("Look up", "sections/lookup.html", _made, tab="lookup", applies=_group)
OF_VIEW: Section[RegisteredView] = Section("Look up", "sections/lookup.html", _made, tab="lookup", applies=_view)
