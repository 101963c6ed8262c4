"""The models that a server answers with: loaded when it starts, and followed as the registry moves on.

Only what was named when the server was started is loaded: models are code. A name without a version is looked up again
every few seconds; another version is loaded beside, while the one before answers.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from asof.access import Caller
from asof.access.caller import Definition, calling
from asof.errors import AsofError, ConflictError, NotFoundError, TransientError
from asof.models import Model, Predictor
from asof.records import Role
from asof.registry.models import KeptModel
from asof.store import Store
from asof.wire import requests

REFRESH_SECONDS = 3.0
"""How often the registry is asked which version a name means."""

CLOSE_SECONDS = 10.0
"""How long the end of the process waits for a model that is being loaded."""

log = logging.getLogger("asof.server")


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is served.

    Attributes:
        name: As what it is asked for: "delays", "delays@3" or "delays@production".
        predictor: Answers.
        definition: The view that it reads, or group: who may read that may ask. As it stood at the last look.
    """

    name: str
    predictor: Predictor
    definition: Definition

    @property
    def model(self) -> Model:
        """Its version now."""
        return self.predictor.model


class ServedModels:
    """The models of a process. Safe to use from several threads.

    Args:
        store: The store; closed by whoever opened it, after this.
        names: The models, as `Models.get` takes them.
        seconds: How often the registry is looked at.

    Raises:
        NotFoundError, ConflictError, PermanentError, UsageError: One cannot be loaded; the message says why.
    """

    def __init__(self, store: Store, names: Sequence[str] = (), *, seconds: float = REFRESH_SECONDS) -> None:
        """Load them, and go on looking whether they are still what their names mean."""
        self._store = store
        self._names = tuple(dict.fromkeys(names))
        self._seconds = seconds
        self._served = {name: self._loaded(name) for name in self._names}
        self._troubles: dict[str, str] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        if self._names:
            self._thread = threading.Thread(target=self._run, name="asof-models", daemon=True)
            self._thread.start()

    def all(self) -> list[Served]:
        """Return what is served now."""
        return list(self._served.values())

    def find(self, name: str) -> Served | None:
        """Return what answers for a name: one that the server was started with, or a version that is served so."""
        served = self._served
        return served.get(name) or next((each for each in served.values() if each.model.ref == name), None)

    def need(self, name: str, may_read: Callable[[Served], bool] = lambda _: True) -> Served:
        """Return what answers for a name.

        Args:
            name: The name.
            may_read: Whether somebody may hear of a model.

        Raises:
            NotFoundError: With the names that are served.
        """
        found = self.find(name)
        if found is not None:
            return found
        known = {other for each in self.all() if may_read(each) for other in (each.name, each.model.ref)}
        raise NotFoundError.named("served model", name, known)

    def refresh(self) -> None:
        """Look which versions the names mean now, and load those that are new."""
        for name in self._names:
            self._look(name)

    def close(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look must come
                log.warning("the models cannot be looked up: %s", error)

    def _look(self, name: str) -> None:
        try:
            model = self._store.models.get(name)
        except NotFoundError:
            self._withdraw(name, "it was removed, or has no such stage any more")
            return
        except TransientError:
            return  # the registry is away: what is known goes on
        served = self._served.get(name)
        if not model.live:
            self._withdraw(name, "it was archived")
        elif served is None or _same(served.model) != _same(model):
            self._load(name, served)
        else:
            self._served = {**self._served, name: replace(served, definition=self._definition(model))}

    def _loaded(self, name: str) -> Served:
        predictor = _live(self._store.models.load(name))
        return Served(name, predictor, self._definition(predictor.model))

    def _definition(self, model: Model) -> Definition:
        return self._store.catalog.find(model.view).definition

    def _load(self, name: str, before: Served | None) -> None:
        """Load the version that a name means now; if that fails the one before goes on, and it is tried again."""
        try:
            served = self._loaded(name)
        except AsofError as error:
            answers = "nothing" if before is None else before.model.ref
            self._tell(name, f"model {name} cannot be loaded, {answers} answers: {error}")
            return
        self._served = {**self._served, name: served}
        self._troubles.pop(name, None)
        if before is None or before.model.ref != served.model.ref:
            log.info("model %s is %s now", name, served.model.ref)

    def _withdraw(self, name: str, why: str) -> None:
        if name in self._served:
            self._served = {other: served for other, served in self._served.items() if other != name}
            log.warning("model %s is not served any more: %s", name, why)

    def _tell(self, name: str, trouble: str) -> None:
        """Log a trouble once, not at each look."""
        if self._troubles.get(name) != trouble:
            log.warning("%s", trouble)
        self._troubles[name] = trouble


def readable(store: Store, caller: Caller) -> list[Model]:
    """Return the models that somebody may read: those whose views he may."""
    every = store.models.all()
    if caller.reads_all:
        return every
    views = {model.view for model in every}
    allowed = {view for view in views if _may_read(store, caller, view)}
    return [model for model in every if model.view in allowed]


def _may_read(store: Store, caller: Caller, view: str) -> bool:
    try:
        return caller.may("reader", store.catalog.find(view).definition)
    except NotFoundError:  # of a model that is not live it may be gone
        return False


def found(store: Store, name: object, role: Role) -> Model:
    """Return a model, if who calls has a role for its view.

    Raises:
        NotFoundError: There is none. DeniedError: He has not.
    """
    model = store.models.get(name)  # pyright: ignore[reportArgumentType] - it says what is no name
    need(store, model, role)
    return model


def need(store: Store, model: Model, role: Role) -> None:
    """Refuse who calls what takes a role for the view of a model.

    Raises:
        DeniedError: He has it not.
    """
    caller = calling()
    if not caller.everywhere(role):  # else the view may be gone
        caller.need(role, store.catalog.find(model.view).definition)


def moved(store: Store, asked: requests.MoveModel) -> list[KeptModel]:
    """Put a version of a model into a stage.

    Raises:
        DeniedError: Who calls may not write the view of it, or that of the version whose place it takes.
    """
    model = found(store, asked.name, "writer")
    if asked.stage in ("staging", "production"):  # the version that is there is archived
        for other in _versions(store, f"{model.name}@{asked.stage}"):
            need(store, other, "writer")
    return [model.kept for model in store.models.move(asked.name, asked.stage)]


def removed(store: Store, asked: requests.Named) -> list[str]:
    """Remove a version of a model, or all.

    Raises:
        DeniedError: Who calls is not admin of the views of all that would go.
    """
    found(store, asked.name, "admin")
    for each in _versions(store, asked.name):
        need(store, each, "admin")
    return store.models.remove(asked.name)


def _versions(store: Store, name: str) -> list[Model]:
    """Return all versions that a name stands for: those of "delays", of "delays@3" or of "delays@archived"."""
    base, at, which = name.partition("@")
    every = [each for each in store.models.all() if each.name == base]
    return [each for each in every if not at or which in (str(each.version), each.stage)]


def _same(model: Model) -> tuple[str, str, str]:
    """Return what makes a version the one that is loaded, wherever it is staged."""
    return model.ref, model.kept.digest, model.kept.facts


def _live(predictor: Predictor) -> Predictor:
    """Return a predictor whose model may predict.

    Raises:
        ConflictError: It is archived.
    """
    model = predictor.model
    if not model.live:
        todo = f"serve another version, or bring it back: asof model stage STORE {model.ref} production"
        raise ConflictError(f"{model.ref} is archived", where=f"model {model.ref}", todo=todo)
    return predictor
