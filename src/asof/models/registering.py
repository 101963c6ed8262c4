"""Keep a model: its files, how it is called, what it was fitted on."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from numbers import Real
from pathlib import Path

import msgspec
import pyarrow as pa

from asof.definitions.code import Function
from asof.definitions.durations import duration_us
from asof.definitions.names import checked_text
from asof.definitions.serving_log import predictions_name
from asof.definitions.training_set import checked_set_name
from asof.errors import UsageError
from asof.models.artefacts import Artefacts, copied, dumped, loaded, named_loader, version_of
from asof.models.calling import BLOCK, Caller
from asof.models.log import keep_predictions, refuse_taken
from asof.parts import Parts
from asof.registry.models import STAGES, KeptModel, Stage
from asof.training.model import SKOPS, Facts, Model
from asof.training.sets.inputs import Inputs, Takes, checked_takes
from asof.training.sets.repository import code_commit
from asof.training.sets.training_set import TrainingSet

PACKAGES = ("numpy", "scikit-learn", "skops")
"""Of which a model of scikit-learn keeps the versions."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model that is to be kept; the words of `Models.register`.

    Attributes:
        name: Its name.
        made: The training set that it was fitted on.
        model: The model.
        path: In place of it: its file or folder.
        loader: Makes the model of that.
        stage: Its stage.
        method: What of it is called.
        takes: As what it is given its inputs.
        metrics: What was measured.
        description: For people.
        log: The share of online predictions that is logged.
        log_retention: How long they are kept; None: for ever.
        code: Commit of the code that fitted it; None: what is checked out here.
    """

    name: str
    made: TrainingSet
    model: object = None
    path: str | Path | None = None
    loader: str | Function | None = None
    stage: Stage = "none"
    method: str = "predict"
    takes: Takes = "pandas"
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    description: str = ""
    log: float = 0.0
    log_retention: str | timedelta | None = None
    code: str | None = None

    @property
    def where(self) -> str:
        """Whose it is, for messages."""
        return f"model {self.name}"

    @property
    def kept_us(self) -> int | None:
        """How long predictions are kept, in microseconds; None: for ever."""
        return None if self.log_retention is None else duration_us(self.log_retention, what="log_retention")

    def check(self) -> None:
        """Refuse words that do not fit.

        Raises:
            UsageError: One does not.
        """
        where = self.where
        checked_set_name(self.name, "model")
        checked_stage(self.stage)
        checked_takes(self.takes)
        checked_text(self.description, "description", where=where)
        checked_text(self.method, "method", where=where)
        if isinstance(self.log, bool) or not isinstance(self.log, int | float) or not 0 <= self.log <= 1:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"log={self.log!r} is no share", where=where, todo="pass a number from 0 to 1")
        if self.log:
            predictions_name(self.name)
        elif self.kept_us is not None:
            todo = "leave it out: what a log holds is kept as long as the last model said that logged"
            raise UsageError("log_retention= needs log=", where=where, todo=todo)
        if not isinstance(self.metrics, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"metrics={self.metrics!r} is no dict", where=where, todo='pass {"mae": 9.5}')
        for name, value in self.metrics.items():
            if not checked_text(name, "the name of a metric", where=where).isprintable() or not name.strip():
                raise UsageError(f"{name!r} is no name of a metric", where=where)
            if isinstance(value, bool) or not isinstance(value, Real) or not _finite(value):
                raise UsageError(f"the metric {name}={value!r} is no finite number", where=where)
        if self.path is not None and not isinstance(self.path, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"path={self.path!r} is no path", where=where)
        if self.path is None and (self.model is None or self.loader is not None):
            raise UsageError("which model?", where=where, todo="pass the model; or path= of its file, and loader=")
        if self.path is not None and (self.model is not None or self.loader is None):
            todo = 'pass path="file" and loader="module:function", and no model'
            raise UsageError("a model that you saved needs its loader", where=where, todo=todo)


def register(parts: Parts, artefacts: Artefacts, wanted: Wanted) -> Model:
    """Keep a model; see `Models.register`."""
    wanted.check()
    if wanted.log:
        refuse_taken(parts, wanted.name)
    fill, said = _artefact(wanted)
    with artefacts.keeping(fill, lambda: places_used(parts)) as kept:
        said = described(
            wanted,
            msgspec.structs.replace(said, bytes=kept.bytes),
            lambda: loaded(said, artefacts.root / kept.place, where=wanted.where),
        )
        return recorded(parts, wanted, said, kept.place, kept.digest)


def places_used(parts: Parts) -> set[str]:
    """Return where the artefacts of models lie."""
    return {kept.artefact for kept in parts.models.all()}


def described(wanted: Wanted, said: Facts, load: Callable[[], object]) -> Facts:
    """Return facts with how the model is called, and what it gave when it was tried.

    Args:
        wanted: What is to be kept.
        said: How it is loaded.
        load: Loads it, from where it is kept: not the one of the caller, but that which will predict.
    """
    made = wanted.made
    inputs = Inputs(made.inputs, wanted.takes)
    caller = Caller(load(), wanted.method, inputs, where=wanted.where)
    outputs, sizes = caller.tried(_rows(made))
    return msgspec.structs.replace(
        said,
        method=wanted.method,
        takes=wanted.takes,
        inputs=tuple((name, str(dtype)) for name, dtype in made.inputs.items()),
        outputs=tuple((name, str(dtype)) for name, dtype in outputs.items()),
        sizes=sizes,
        transforms="" if made.transforming is None else made.transforming.digest,
        metrics={name: float(value) for name, value in wanted.metrics.items()},
        description=wanted.description,
        log=float(wanted.log),
        log_retention_us=wanted.kept_us,
        code_commit=code_commit() if wanted.code is None else wanted.code,
        asof=version_of("asof"),
    )


def recorded(parts: Parts, wanted: Wanted, said: Facts, place: str, digest: str) -> Model:
    """Return the record of a model: a new version, or the newest one if it says the same."""
    made, name = wanted.made, wanted.name
    facts = said.to_json()
    if said.log:
        keep_predictions(parts, name, said, made)
    for known in reversed([each for each in parts.models.all() if each.name == name]):
        same = (known.training_set, known.view, known.artefact, known.facts) == (made.ref, made.view, place, facts)
        if same and known.training_digest == made.digest and known.live:
            if wanted.stage not in {"none", known.stage}:
                parts.models.move(known.ref, wanted.stage, now_us=parts.now_us(), writer=parts.writer)
            return Model(parts.models.get(known.ref))
        break
    kept = KeptModel(
        name, 0, wanted.stage, made.ref, made.digest, made.view, place, digest, parts.now_us(), parts.writer, facts
    )
    return Model(parts.models.add(kept))


def checked_set(given: object) -> str:
    """Return the name of a training set, the version of one that is given.

    Raises:
        UsageError: It is neither.
    """
    if isinstance(given, TrainingSet):
        return given.ref
    if not isinstance(given, str):
        raise UsageError(f"{type(given).__name__} is no training set", todo="pass one, or its name")
    return given


def _finite(value: Real) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def checked_stage(given: object) -> Stage:
    """Return a stage.

    Raises:
        UsageError: It is none.
    """
    for each in STAGES:
        if given == each:
            return each
    raise UsageError(f"stage={given!r} is no stage", todo=f"pass one of {', '.join(STAGES)}")


def _artefact(wanted: Wanted) -> tuple[Callable[[Path], None], Facts]:
    """Return what writes the files of a model, and how they are loaded."""
    if wanted.path is None:
        fill, trusted = dumped(wanted.model, where=wanted.where)
        packages = {name: found for name in PACKAGES if (found := version_of(name))}
        return fill, Facts(loader=SKOPS, trusted=trusted, inputs=(), outputs=(), packages=packages)
    assert wanted.loader is not None  # noqa: S101 - checked
    code, digest = named_loader(wanted.loader, where=wanted.where)
    return copied(Path(wanted.path), where=wanted.where), Facts(
        loader=code, loader_digest=digest, inputs=(), outputs=()
    )


def _rows(made: TrainingSet) -> pa.Table:
    """Return rows of a training set as the model is given them, one block at most."""
    for batch in made.batches(rows=BLOCK):
        if batch.num_rows:
            answers = pa.Table.from_batches([batch]).select(list(made.features))
            return answers if made.transforming is None else made.transforming.table(answers)
    return pa.table({name: [] for name in made.inputs})
