"""Who asks a server, and what he may do. It knows no transport."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.names import EVERY_PROJECT
from asof.errors import DeniedError
from asof.records import Role

ROLES: tuple[Role, ...] = ("reader", "writer", "admin")
"""Each may what those before it may."""

_RANK = {role: rank for rank, role in enumerate(ROLES)}

Definition = FeatureGroup | FeatureView


def may(roles: Mapping[str, Role], role: Role, definition: Definition) -> bool:
    """Return whether roles by project suffice for what needs a role on a group or view.

    A group that is shared may be read by who has any role in a project that it is shared with, and be changed by
    nobody of it.
    """
    wanted = _RANK[role]
    for project in (definition.project, EVERY_PROJECT):
        given = roles.get(project)
        if given is not None and _RANK[given] >= wanted:
            return True
    return wanted == 0 and isinstance(definition, FeatureGroup) and any(map(definition.open_to, roles))


class Caller(msgspec.Struct, frozen=True):
    """Who asks.

    Attributes:
        name: "key:nightly", "jwt:ana"; "" where nobody is asked who he is.
        roles: His role by project; "*" stands for all projects, "" for the default one.
        address: From where he asks.
        id: What the rate of his requests is counted by.
    """

    name: str
    roles: Mapping[str, Role]
    address: str = ""
    id: str = ""

    @property
    def writer(self) -> str:
        """Who is said to have made his changes: "key:nightly@10.0.0.3"; "" leaves that to the server's process."""
        return f"{self.name}@{self.address}" if self.name else ""

    @property
    def reads_all(self) -> bool:
        """Whether he may read every group and view."""
        return EVERY_PROJECT in self.roles

    def may(self, role: Role, definition: Definition) -> bool:
        """Return whether he may do what needs a role on a group or view."""
        return may(self.roles, role, definition)

    def everywhere(self, role: Role) -> bool:
        """Return whether he has a role in every project."""
        given = self.roles.get(EVERY_PROJECT)
        return given is not None and _RANK[given] >= _RANK[role]

    def need(self, role: Role, definition: Definition) -> None:
        """Refuse him what he may not do.

        Raises:
            DeniedError: It names the role and the project.
        """
        if not may(self.roles, role, definition):
            raise self.denied(role, definition.project, about=definition.name)

    def need_anywhere(self, role: Role) -> None:
        """Refuse him what takes a role in some project, whichever.

        Raises:
            DeniedError: He has it in none.
        """
        if not any(_RANK[given] >= _RANK[role] for given in self.roles.values()):
            raise self.denied(role, EVERY_PROJECT)

    def denied(self, role: Role, project: str, *, about: str = "") -> DeniedError:
        """Return what is said to him if he lacks a role in a project."""
        where = (
            "any project" if project == EVERY_PROJECT else f"project {project!r}" if project else "the default project"
        )
        return DeniedError(
            f"{self.name or 'nobody'} has not the role {role!r} in {where}",
            where=about,
            todo="ask who makes the keys of this store for it",
            data={"role": role, "project": project, "caller": self.name},
        )


EVERYBODY = Caller("", {EVERY_PROJECT: "admin"})
"""Who asks where nobody is asked who he is."""

_calling: ContextVar[Caller] = ContextVar("asof_calling", default=EVERYBODY)


def calling() -> Caller:
    """Return for whom the code of this thread or task answers."""
    return _calling.get()


@contextmanager
def answering(caller: Caller) -> Generator[None]:
    """Answer somebody in the block."""
    before = _calling.set(caller)
    try:
        yield
    finally:
        _calling.reset(before)
