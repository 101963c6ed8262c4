"""The versions of a group or view, and what each changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asof.clock import show_us
from asof.definitions.documents import group_document, view_document
from asof.registry.plan import group_change, view_change
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.links import page_of
from asof.ui.page import Section, Subject


@dataclass(frozen=True, slots=True)
class Version:
    """A version.

    Attributes:
        ref: Its name.
        href: Its page.
        created: The day.
        here: Whether the page is about it.
        details: What it changed, a line each.
    """

    ref: str
    href: str
    created: str
    here: bool
    details: Sequence[str]


def _group(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    def change(new: RegisteredGroup, old: RegisteredGroup | None) -> Sequence[str]:
        before = None if old is None else _document(old)
        return group_change(_document(new), before, 0 if old is None else old.version, new.known).details

    name, groups = subject.registered.definition.name, subject.asked.seen.groups
    return _made(subject, [each for each in groups if each.definition.name == name], change)


def _view(subject: Subject[RegisteredView]) -> Mapping[str, Any]:
    def change(new: RegisteredView, old: RegisteredView | None) -> Sequence[str]:
        before = None if old is None else _view_document(old)
        return view_change(_view_document(new), before, 0 if old is None else old.version).details

    name, views = subject.registered.definition.name, subject.asked.seen.views
    return _made(subject, [each for each in views if each.definition.name == name], change)


def _made(subject: Subject[Any], versions: Sequence[Any], change: Any) -> Mapping[str, Any]:  # noqa: ANN401 - of either kind
    before = [None, *versions[:-1]]
    found = [
        Version(
            ref=new.ref,
            href=page_of(new, subject.asked.seen),
            created=show_us(new.created_at_us)[:10],
            here=new.ref == subject.registered.ref,
            details=change(new, old),
        )
        for new, old in zip(versions, before, strict=True)
    ]
    return {"versions": found[::-1]}


def _document(group: RegisteredGroup) -> Mapping[str, Any]:
    parent = group.parent
    return group_document(group.definition, {} if parent is None else {parent.definition.name: parent.version})


def _view_document(view: RegisteredView) -> Mapping[str, Any]:
    return view_document(view.definition, {name: group.version for name, group in view.groups.items()})


OF_GROUP: Section[RegisteredGroup] = Section("Versions", "sections/versions.html", _group, tab="versions")
OF_VIEW: Section[RegisteredView] = Section("Versions", "sections/versions.html", _view, tab="versions")
