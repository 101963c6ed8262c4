"""Models of a remote store: their records are there, and those that the server answers with predict there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import pyarrow as pa

from asof.arrow.frames import Frame
from asof.client.link import Link
from asof.client.vectors import RemoteVector
from asof.definitions.code import Function
from asof.definitions.label import Label
from asof.errors import TransientError, UnsupportedError
from asof.models import Model, Models, Prediction, Predictor
from asof.models.predictor import Keys, Value, Whole, beside, parts_of_spine
from asof.models.quality import ModelQuality
from asof.parts import Pins
from asof.progress import Progress, showing, unheard
from asof.registry.models import KeptModel, Stage
from asof.serving.log import LogCounts
from asof.serving.receipt import Requests, each_request, requests_text
from asof.training.sets.inputs import Takes
from asof.training.sets.training_set import TrainingSet
from asof.wire import requests
from asof.wire.predict import PREDICT_PATH, Predicted
from asof.wire.tables import parts_of
from asof.wire.values import decoder, pack, record

if TYPE_CHECKING:
    from asof.wire.online import Card

_predicted = decoder(Predicted)


class _Served(msgspec.Struct):
    model: str
    served_as: list[str]


class _Listed(msgspec.Struct):
    models: list[_Served]


def served(link: Link) -> list[_Served]:
    """Return the models that a server answers with."""
    return msgspec.json.decode(link.http("GET", "/v1/models"), type=_Listed).models


class RemoteModels(Models):
    """Models behind a server; see `Models`."""

    def __init__(self, link: Link, store: Whole) -> None:
        """Keep the way to it, and the store that is there."""
        self._link = link
        self._reads = store

    def register(  # noqa: PLR0913 - those of `Models`
        self,
        name: str,
        model: object = None,
        *,
        training_set: TrainingSet | str,
        path: str | Path | None = None,
        loader: str | Function | None = None,
        stage: Stage = "none",
        method: str = "predict",
        takes: Takes = "pandas",
        metrics: Mapping[str, float] | None = None,
        description: str = "",
        log: float = 0.0,
        log_retention: str | timedelta | None = None,
        code_commit: str | None = None,
    ) -> Model:
        """Refuse: a model is code, and no server takes code.

        Raises:
            UnsupportedError: Always.
        """
        del model, training_set, path, loader, stage, method, takes, metrics, description, log, log_retention
        del code_commit
        todo = "register it where the store can be opened itself (asof.open of its folder, `asof model register`)"
        what = "models are code, which no server takes over the network"
        raise UnsupportedError(what, where=f"model {name}", todo=f"{todo}, or keep it in MLflow")

    def get(self, name: str) -> Model:
        """See `Models.get`."""
        return Model(record(KeptModel, self._link.act("models.get", requests.Named(name=name))))

    def all(self) -> list[Model]:
        """See `Models.all`; those whose views you may read."""
        return list(map(Model, record(list[KeptModel], self._link.act("models.all", requests.Nothing()))))

    def move(self, name: str, stage: Stage) -> list[Model]:
        """See `Models.move`."""
        asked = requests.MoveModel(name=name, stage=stage)
        return list(map(Model, record(list[KeptModel], self._link.act("models.move", asked))))

    def remove(self, name: str) -> list[str]:
        """See `Models.remove`."""
        return record(list[str], self._link.act("models.remove", requests.Named(name=name), again=False, long=True))

    def logged(self, name: str, *, flush: bool = False) -> LogCounts:
        """Refuse: each process of the server counts for itself.

        Raises:
            UnsupportedError: Always.
        """
        del flush
        todo = f"look how many rows the log has: asof describe STORE {name.replace('-', '_')}_predictions"
        raise UnsupportedError("each process of the server counts what it logs", where=f"model {name}", todo=todo)

    def quality(
        self,
        name: str,
        *,
        outcomes: Label | Frame | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        every: str | timedelta = "1d",
    ) -> ModelQuality:
        """Refuse: it is measured where the store is opened itself, and shown on the server's pages.

        Raises:
            UnsupportedError: Always.
        """
        del outcomes, start, end, every
        todo = f"open the page of the model, or run `asof model quality STORE {name}` where the store lies"
        raise UnsupportedError("quality is measured where the store lies", where=f"model {name}", todo=todo)

    def load(self, name: str) -> Predictor:
        """Return what predicts on the server, if the server was started with the model.

        Loaded under a name that the server was started with, "delays" or "delays@production", it follows that name:
        each prediction says which version made it.

        Raises:
            NotFoundError: Unknown name. UnsupportedError: The server does not answer with it.
        """
        model = self.get(name)
        names = [each for one in served(self._link) if one.model == model.ref for each in one.served_as]
        if not names:
            raise UnsupportedError(
                "the server does not predict with it",
                where=f"model {model.ref}, {self._link.address.url}",
                todo=f"start it with `asof serve STORE --model {model.name}`, or open the store where it lies",
            )
        return RemotePredictor(self._link, model, name if name in names else model.ref, self._reads, self.load)


class RemotePredictor(Predictor):
    """A model that a server answers with; see `Predictor`.

    Args:
        link: The way to the server.
        model: The model's record, as it was when this was loaded.
        name: Under what the server is asked for it.
        store: The store that is there.
        load: Loads another version.
    """

    def __init__(self, link: Link, model: Model, name: str, store: Whole, load: Callable[[str], Predictor]) -> None:
        """Know no card yet."""
        self.model = model
        self._link = link
        self._name = name
        self._reads = store
        self._load = load
        self._card: Card | None = None

    def batches(  # noqa: PLR0913 - those of `Predictor`
        self,
        spine: Frame,
        *,
        time: str | datetime | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        timezone: str | None = None,
        truncate: bool = False,
        features: bool = False,
        batch_rows: int | None = None,
        progress: Progress | bool = False,
    ) -> Iterator[tuple[pa.Table, Mapping[str, int]]]:
        """See `Predictor.batches`; the spine goes up, what the model gives comes down."""
        asked = requests.PredictRows(
            model=self._name, time=time, known=known, commits=commits, timezone=timezone, truncate=truncate,
            features=features,
        )  # fmt: skip
        parts, total = parts_of_spine(spine, batch_rows)
        done = 0
        with showing(f"predicting with {self._name}", progress=progress, unit="rows") as advance:
            for part in parts:
                alone = advance if batch_rows is None else unheard
                batches = list(parts_of(part.to_batches()))
                found = self._link.exchange("predict", asked, part.schema, batches, alone)
                said = record(_Read, found.result)
                asked.model, asked.commits = said.model, said.commits  # all parts by one version, at one time
                yield beside(part, found.rows), said.commits
                done += part.num_rows
                advance(done, max(done, total))

    def fixed(self) -> Predictor:
        """See `Predictor.fixed`.

        Raises:
            NotFoundError: The server answers under that name no more.
        """
        found = next((each.model for each in served(self._link) if self._name in (each.model, *each.served_as)), None)
        return self if found == self._name else self._load(found or self._name)

    def _for_one(self, keys: Keys, request: Mapping[str, Value] | None) -> Prediction:
        return self._asked(keys, [keys], request)[0]

    def _for_many(self, keys: Sequence[Keys], request: Requests) -> list[Prediction]:
        return self._asked(list(keys), keys, request)

    def _asked(self, given: Keys | Sequence[Keys], every: Sequence[Keys], request: Requests) -> list[Prediction]:
        known = self._card
        asked = requests.Predict(
            model=self._name, keys=given, request=requests_text(request), card="" if known is None else known.digest
        )
        found = _predicted(self._link.http("POST", PREDICT_PATH, pack(asked)))
        inputs, _ = each_request(request, len(every)) if not isinstance(given, Mapping) else ([request], None)
        made: list[Prediction] = []
        rows = zip(found.values, found.answers, every, inputs, strict=True)
        for values, one, keys, input_ in rows:
            card = one.answer.card or known
            if card is None or card.digest != one.answer.digest:
                self._card = None
                raise TransientError(f"how {self.model.view} answers has just changed", todo="predict again")
            self._card = known = card
            brought = dict(cast("Keys", input_)) if input_ else None
            vector = RemoteVector(card, one.answer, dict(keys), brought, one.values, one.letters, one.times)
            made.append(Prediction(found.model, values, vector))
        return made


class _Read(msgspec.Struct):
    model: str
    commits: dict[str, int]
