"""The models that a server answers with: loaded when it starts, and followed as the registry moves on.

Only what was named when the server was started is loaded: models are code. A name without a version is looked up again
every few seconds; another version is loaded beside, while the one before answers.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from asof.access import Caller
from asof.access.caller import Definition, calling
from asof.errors import ConflictError, NotFoundError, TransientError
from asof.models import Model, Predictor
from asof.records import Role
from asof.registry.models import KeptModel
from asof.store import Store
from asof.wire import requests

REFRESH_SECONDS = 3.0
"""How often the registry is asked which version a name means."""

LONGEST_PAUSE_SECONDS = 300.0
"""A version that cannot be loaded is tried again after a look's time, then after twice that, ... at most after this: to
load it may be to download it."""

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


@dataclass(frozen=True, slots=True)
class _Failed:
    """A version that could not be loaded.

    Attributes:
        version: Which; see `_identity`.
        pause: For how long it is left alone, in seconds.
        until: Till when, by the monotonic clock.
    """

    version: tuple[str, str, str]
    pause: float
    until: float


class ServedModels:
    """The models of a process. Safe to use from several threads.

    Args:
        store: The store; closed by whoever opened it, after this.
        names: The models, as `Models.get` takes them.
        seconds: How often the registry is looked at.
        strict: Whether all must be there; else the log says which are not, and they are looked for again.

    Raises:
        NotFoundError, ConflictError, PermanentError, UsageError: If strict: one cannot be loaded; the message says why.
    """

    def __init__(
        self, store: Store, names: Sequence[str] = (), *, seconds: float = REFRESH_SECONDS, strict: bool = True
    ) -> None:
        """Load them, and go on looking whether they are still what their names mean."""
        self._store = store
        self._names = tuple(dict.fromkeys(names))
        self._seconds = seconds
        self._served: dict[str, Served] = {}
        self._troubles: dict[str, str] = {}
        self._failed: dict[str, _Failed] = {}
        if strict:
            self._served = {name: self._loaded(name) for name in self._names}
        else:
            self.refresh()
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

    def refresh(self, *, patient: bool = False) -> None:
        """Look which versions the names mean now, and load those that are new. What fails is logged.

        Args:
            patient: Whether to leave alone what could not be loaded lately.
        """
        for name in self._names:
            try:
                self._look(name, patient=patient)
            except TransientError as error:  # the registry is away: what is known goes on
                if name not in self._served:
                    self._tell(name, f"model {name} is not served: {error}")
            except Exception as error:  # noqa: BLE001 - whatever it is, the other names must be looked at
                self._tell(name, f"model {name} cannot be looked up: {error}")

    def close(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self.refresh(patient=True)

    def _look(self, name: str, *, patient: bool) -> None:
        try:
            model = self._store.models.get(name)
        except NotFoundError:
            self._withdraw(name, "it was removed, or has no such stage any more")
            return
        served = self._served.get(name)
        if not model.live:
            self._withdraw(name, "it was archived")
        elif served is None or _identity(served.model) != _identity(model):
            failed = self._failed.get(name)
            if failed is None or failed.version != _identity(model):
                self._load(name, served, _identity(model), self._seconds)
            elif not patient or time.monotonic() >= failed.until:
                self._load(name, served, _identity(model), min(2 * failed.pause, LONGEST_PAUSE_SECONDS))
        else:
            self._keep(replace(served, definition=self._definition(model)))

    def _loaded(self, name: str) -> Served:
        predictor = _live(self._store.models.load(name))
        return Served(name, predictor, self._definition(predictor.model))

    def _definition(self, model: Model) -> Definition:
        return self._store.catalog.find(model.view).definition

    def _load(self, name: str, before: Served | None, version: tuple[str, str, str], pause: float) -> None:
        """Load the version that a name means now; if that fails the one before goes on, and it rests a while."""
        try:
            served = self._loaded(name)
        except Exception as error:  # noqa: BLE001 - a model is code of others
            self._failed[name] = _Failed(version, pause, time.monotonic() + pause)
            answers = "nothing" if before is None else before.model.ref
            self._tell(name, f"model {name} cannot be loaded, {answers} answers: {error}")
            return
        self._keep(served)
        if before is None or before.model.ref != served.model.ref:
            log.info("model %s is %s now", name, served.model.ref)

    def _keep(self, served: Served) -> None:
        """Answer with a model: whatever trouble there was with its name is over."""
        self._served = {**self._served, served.name: served}
        self._troubles.pop(served.name, None)
        self._failed.pop(served.name, None)

    def _withdraw(self, name: str, why: str) -> None:
        self._served = {other: served for other, served in self._served.items() if other != name}
        self._failed.pop(name, None)
        self._tell(name, f"model {name} is not served any more: {why}")

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
        _need_all(store, f"{model.name}@{asked.stage}", "writer")
    return [model.kept for model in store.models.move(asked.name, asked.stage)]


def removed(store: Store, asked: requests.Named) -> list[str]:
    """Remove a version of a model, or all.

    Raises:
        DeniedError: Who calls is not admin of the views of all that would go.
    """
    found(store, asked.name, "admin")
    _need_all(store, asked.name, "admin")
    return store.models.remove(asked.name)


def _need_all(store: Store, name: str, role: Role) -> None:
    """See `need`: of all versions that a name stands for, "delays", "delays@3" or "delays@archived"."""
    base, at, which = name.partition("@")
    if not calling().everywhere(role):
        for each in store.models.all():
            if each.name == base and (not at or which in (str(each.version), each.stage)):
                need(store, each, role)


def _identity(model: Model) -> tuple[str, str, str]:
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
