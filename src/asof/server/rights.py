"""Who may do what over HTTP: the key of a request, and the role that its operation needs."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from anyio import to_thread
from starlette.requests import Request

from asof.access import Caller
from asof.access.caller import EVERYBODY, Definition
from asof.catalog.search import Hit, search
from asof.definitions import FeatureGroup
from asof.definitions.names import checked_text
from asof.definitions.references import sources_of
from asof.errors import DeniedError, NotFoundError
from asof.records import Role
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.server.access import Access, printable, token_of
from asof.server.openapi import Asked, Operation
from asof.serving.cached import Cached
from asof.store import Store

ADDRESS = re.compile(r"[\w.:%-]{0,64}", re.ASCII)

Registered = TypeVar("Registered", RegisteredGroup, RegisteredView)


class Rights:
    """What the callers of a store may do. Definitions are looked up again after some seconds."""

    def __init__(self, store: Store, access: Access) -> None:
        """Keep both."""
        self._store = store
        self._access = access
        self._definitions: Cached[Definition] = Cached(lambda name: store.catalog.find(name).definition)

    def identify(self, request: Request, role: Role | str) -> Caller:
        """Return who sent a request.

        Raises:
            UnknownCallerError: Nobody knows. TooOftenError: He asks too often.
        """
        if role == "open":
            return EVERYBODY
        return self._access.identify(token_of(request.headers.get("authorization")), address_of(request))

    async def check(self, operation: Operation, asked: Asked) -> None:
        """Refuse a caller what he has no right to.

        Raises:
            DeniedError: He is known, and has not the role. NotFoundError: What he asks about is not there.
        """
        role, caller = operation.role, asked.caller
        if role == "open" or caller.everywhere(role):
            return
        about = () if operation.about is None else operation.about(asked)
        names = [source for name in about for source in sources_of(name)]
        if not names:
            caller.need_anywhere(role)
        for name in names:
            definition = self._definitions.fresh(name)
            if definition is None:
                definition = await to_thread.run_sync(self._definitions, name, abandon_on_cancel=True)
            caller.need(role, definition)

    def check_declared(self, caller: Caller, definitions: Sequence[Definition]) -> None:
        """See `check_declared`."""
        check_declared(self._store, caller, definitions)

    def denied(self, operation: Operation, request: Request, caller: Caller, error: DeniedError) -> None:
        """Record a try to change what the caller may not."""
        if operation.changes:
            about = ", ".join(map(str, request.path_params.values())) or error.where
            known = None if caller is EVERYBODY else caller
            self._access.deny(error, known, address_of(request), what=operation.name, about=about)

    def groups(self, caller: Caller) -> list[RegisteredGroup]:
        """Return the groups that a caller may read."""
        return readable(self._store.catalog.groups(), caller)

    def views(self, caller: Caller) -> list[RegisteredView]:
        """Return the views that a caller may read."""
        return readable(self._store.catalog.views(), caller)

    def search(self, caller: Caller, words: str) -> list[Hit]:
        """Return what a caller finds among what he may read."""
        return found(self._store, caller, words)


def readable(every: Sequence[Registered], caller: Caller) -> list[Registered]:
    """Return what a caller may read: for him the rest is not there."""
    return [each for each in every if caller.may("reader", each.definition)]


def found(store: Store, caller: Caller, words: str) -> list[Hit]:
    """Return what a caller finds among what he may read."""
    every = readable(store.catalog.groups(), caller), readable(store.catalog.views(), caller)
    return search(*every, checked_text(words, "words"))


def check_declared(store: Store, caller: Caller, definitions: Sequence[Definition]) -> None:
    """Refuse a caller what he may not register: he must be admin of the project, and of the one that it was of.

    For a place outside of the store he must be admin of all projects: it lies on the server's disk, or it is reached
    with the server's password.

    Raises:
        DeniedError: He is not.
    """
    for each in definitions:
        caller.need("admin", each)
        known: Definition | None = None
        with suppress(NotFoundError):
            known = store.catalog.find(each.name).definition
            caller.need("admin", known)
        place = each.external if isinstance(each, FeatureGroup) else None
        before = known.external if isinstance(known, FeatureGroup) else None
        if place not in (None, before) and not caller.everywhere("admin"):
            raise DeniedError(
                f"{caller.name or 'nobody'} has not the role 'admin' in all projects",
                where=f"external place of {each.name}",
                todo="ask who makes the keys of this store for it, or have him apply the group",
            )


def by_path(parameter: str) -> Callable[[Asked], Sequence[str]]:
    """Return what gives the name that stands in the path of an operation."""
    return lambda asked: (asked.parameters[parameter],)


def address_of(request: Request) -> str:
    """Return from where a request comes, fit to be recorded: a proxy may have said it."""
    host = "" if request.client is None else request.client.host
    return host if ADDRESS.fullmatch(host) else printable(host).replace("@", "?")
