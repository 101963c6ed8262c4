"""Where each call of the remote store passes: who calls, and whether he may."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from asof.access import Caller
from asof.access.caller import EVERYBODY, Definition, answering
from asof.acting import acting_as
from asof.definitions.names import EVERY_PROJECT
from asof.definitions.references import sources_of
from asof.errors import AsofError, DeniedError, NotFoundError
from asof.server.access import Access, told
from asof.server.rights import check_declared
from asof.server.verbs import VERBS, Verb
from asof.serving.cached import Cached
from asof.store import Store
from asof.wire import requests
from asof.wire.definitions import definition_of


class Admission:
    """Lets calls pass whose caller has the role that their verb takes; see `asof.server.calls.Admit`.

    Args:
        store: The store.
        access: Knows the callers; closed by whoever made it.
    """

    def __init__(self, store: Store, access: Access) -> None:
        """Know no definitions yet."""
        self._store = store
        self._access = access
        self._definitions: Cached[Definition] = Cached(lambda name: _defined(store, name))

    @contextmanager
    def __call__(self, token: str | None, address: str, verb: str, request: requests.Request) -> Generator[None]:
        """Let a call pass, or raise; whatever it changes in the block says who it was."""
        known, place = VERBS[verb], place_of(address)
        caller: Caller | None = None
        try:
            caller = self._access.identify(token, place)
            self._check(caller, known, request)
        except DeniedError as error:
            if known.role != "reader":
                who = None if caller is EVERYBODY else caller
                self._access.deny(error, who, place, what=verb, about=str(getattr(request, known.of, "") or ""))
            raise
        try:
            with answering(caller), acting_as(caller.writer):
                yield
        except AsofError as error:
            raise told(error, caller) from error

    def _check(self, caller: Caller, verb: Verb[Any], request: requests.Request) -> None:
        if caller.everywhere(verb.role):
            return
        if isinstance(request, requests.Definitions):
            check_declared(self._store, caller, [definition_of(each) for each in request.definitions])
            return
        name = named(verb, request)
        if name:
            try:
                for each in sources_of(name):
                    caller.need(verb.role, self._definitions(each))
            except NotFoundError:  # a group that the rows define belongs to the default project
                if not (isinstance(request, requests.Write) and request.keys):
                    raise
                if caller.roles.get("") != "admin":
                    raise caller.denied("admin", "", about=name) from None
        elif verb.role == "admin":  # it touches what is of all projects
            raise caller.denied(verb.role, EVERY_PROJECT)
        else:
            caller.need_anywhere(verb.role)


def _defined(store: Store, name: str) -> Definition:
    """Return the definition of a name: of a training set, that of its view."""
    try:
        return store.catalog.find(name).definition
    except NotFoundError as error:
        try:
            return store.catalog.find(store.training_set(name).view).definition
        except NotFoundError:
            raise error from None


def named(verb: Verb[Any], request: requests.Request) -> str:
    """Return the group or view that a request is about; "" if it is about the store."""
    if isinstance(request, requests.Replay):
        return str(request.receipt.get("view", ""))
    given = getattr(request, verb.of, None) if verb.of not in ("", "entity") else None
    if isinstance(request, requests.Retract):
        return str(getattr(given, "id", given)).partition(":")[0]
    return "" if given is None else str(given)


def place_of(peer: str) -> str:
    """Return the address in gRPC's name of a client, such as "ipv4:10.0.0.3:5000" or "ipv6:[::1]:5000"."""
    return peer.partition(":")[2].rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
