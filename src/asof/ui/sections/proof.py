"""Whether what is served equals history: a small `verify`, when somebody asks for it."""

from collections.abc import Mapping
from typing import Any

from asof.errors import AsofError
from asof.registry.registered import RegisteredView
from asof.ui.page import Section, Subject

INSTANTS, KEYS, LOGGED = 10, 20, 100
"""What is compared; the command compares more."""


def _made(subject: Subject[RegisteredView]) -> Mapping[str, Any]:
    asked, ref = subject.asked, subject.registered.ref
    found, problem = None, ""
    if asked.query.get("run") == "1":
        try:
            found = asked.sight.verify(subject.registered, instants=INSTANTS, keys=KEYS, logged=LOGGED)
        except AsofError as error:
            problem = str(error)
    return {"found": found, "problem": problem, "url": subject.url, "ref": ref, "instants": INSTANTS, "keys": KEYS}


def _online(subject: Subject[RegisteredView]) -> bool:
    return all(group.definition.online for group in subject.registered.groups.values())


OF_VIEW: Section[RegisteredView] = Section("Proof", "sections/proof.html", _made, tab="proof", applies=_online)
