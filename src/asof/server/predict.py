"""Predictions over HTTP: which models there are, and what they say.

A model computes, and nobody knows for how long: it is called in threads, of which each model has its own.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, get_args

import msgspec
import pyarrow as pa
from anyio import CapacityLimiter, to_thread

from asof.access import Caller
from asof.arrow.json_values import RowWriter, read_row
from asof.arrow.types import arrow_type
from asof.models import Prediction, Predictor
from asof.server import messages
from asof.server.messages import ModelSummary, PredictedOne, PredictedRow, PredictedRows, PredictRequest
from asof.server.metrics import Metrics
from asof.server.models import Served, ServedModels, readable
from asof.server.names import Names
from asof.server.openapi import Asked, Operation
from asof.server.problems import RequestError
from asof.store import Store
from asof.training.model import Model
from asof.wire.online import Cards, One
from asof.wire.predict import PREDICT_PATH, Predicted
from asof.wire.requests import Predict
from asof.wire.values import tagged

THREADS = 8
"""Predictions of one model under way at once; the next wait. They compute: more threads answer no sooner."""

Row = dict[str, Any]
"""Values by column."""


class Predicting:
    """Answers with the models of a process.

    Args:
        store: The store that is served.
        models: What it is served with; closed by whoever made it.
        metrics: The figures of the process.
        most_rows: Key sets of one request.
    """

    def __init__(self, store: Store, models: ServedModels, metrics: Metrics, *, most_rows: int) -> None:
        """Know no names yet."""
        self._store = store
        self._models = models
        self._metrics = metrics
        self._most_rows = most_rows
        self._names = Names(store)
        self._cards = Cards()
        self._threads: dict[str, CapacityLimiter] = {}
        self._others = CapacityLimiter(THREADS)

    def operations(self) -> tuple[Operation, ...]:
        """Return the verbs of the API that are about models."""
        return (
            Operation(
                "predict", "POST", "/v1/predict/{model}", "What a model says, by the newest features",
                self._predict, get_args(messages.PredictAnswer), PredictRequest,
                role="reader", about=lambda asked: self._views(asked.parameters["model"]),
            ),
            Operation(
                "models", "GET", "/v1/models", "All models whose views the caller may read", self._all,
                (messages.Models,), role="reader",
            ),
            Operation(
                "remote_predict", "POST", PREDICT_PATH, "What a model says, for the remote store",
                self._remote, (bytes,), Predict, packed=True,
                role="reader", about=lambda asked: self._views(asked.body.model),
            ),
        )  # fmt: skip

    async def _predict(self, asked: Asked) -> PredictedOne | PredictedRows:
        return await self._answer(asked.parameters["model"], asked.caller, self._predicted, asked.body)

    async def _remote(self, asked: Asked) -> Predicted:
        return await self._answer(str(asked.body.model), asked.caller, self._predicted_there, asked.body)

    async def _all(self, asked: Asked) -> messages.Models:
        return await to_thread.run_sync(self._listed, asked.caller, abandon_on_cancel=True, limiter=self._others)

    async def _answer(self, name: str, caller: Caller, work: Callable[..., Any], body: Any) -> Any:  # noqa: ANN401 - a message
        """Have a model answer in one of its threads.

        Raises:
            DeniedError: The caller may not read the view of just this model: when his rights were looked at, the name
                may have meant another one.
        """
        begun = time.perf_counter()
        served = self._models.find(name)
        if served is None:
            served = await to_thread.run_sync(self._need, name, caller, limiter=self._others)
        caller.need("reader", served.definition)
        threads = self._threads.setdefault(served.name, CapacityLimiter(THREADS))
        found = await to_thread.run_sync(work, served.predictor, body, abandon_on_cancel=True, limiter=threads)
        ref = served.model.ref
        self._metrics.predicting(ref).observe(time.perf_counter() - begun)
        keys = body.keys
        self._metrics.predictions(ref).inc(len(keys) if isinstance(keys, list) else 1)  # pyright: ignore[reportUnknownArgumentType] - of a message
        return found

    def _views(self, name: object) -> Sequence[str]:
        served = self._models.find(str(name))
        return () if served is None else (served.model.view,)

    def _need(self, name: str, caller: Caller) -> Served:
        """Return what answers for a name, or say which names there are that somebody may hear of."""
        allowed = {model.ref for model in readable(self._store, caller)}
        return self._models.need(name, lambda each: each.model.ref in allowed)

    def _listed(self, caller: Caller) -> messages.Models:
        served = self._models.all()
        return messages.Models([
            _summary(model, [each.name for each in served if each.model.ref == model.ref])
            for model in readable(self._store, caller)
        ])  # fmt: skip

    def _predicted(self, predictor: Predictor, asked: PredictRequest) -> PredictedOne | PredictedRows:
        view, ref = predictor.model.view, predictor.model.ref
        convert = self._names.keys(view)
        where = f"keys of {view}"
        if isinstance(asked.keys, dict):
            if isinstance(asked.request, list):
                raise RequestError(400, "several requests for one key set", todo="pass one object, or a list of keys")
            one = predictor.predict_one(read_row(asked.keys, convert, where=where), asked.request)
            row = _written([one], asked, predictor.model)[0]
            return PredictedOne(
                model=ref, values=row.values, features=row.features, statuses=row.statuses, receipt=row.receipt
            )
        self._bound(asked.keys)
        many = [read_row(keys, convert, where=where) for keys in asked.keys]
        found = predictor.predict_many(many, asked.request)
        return PredictedRows(ref, _written(found, asked, predictor.model))

    def _predicted_there(self, predictor: Predictor, asked: Predict) -> Predicted:
        request = None if asked.request is None else msgspec.json.decode(asked.request)
        keys: Row | list[Row] = asked.keys
        if isinstance(keys, list):
            self._bound(keys)
            found = predictor.predict_many(keys, request)
        elif isinstance(keys, dict):  # pyright: ignore[reportUnnecessaryIsInstance] - clients err
            found = [predictor.predict_one(keys, request)]
        else:
            raise RequestError(400, "these are no keys", todo="send a map, or a list of them")
        has = asked.card
        answers: list[One] = []
        for each in found:
            answers.append(self._cards.one(each.vector, has=has))
            has = answers[-1].answer.digest
        return Predicted(predictor.model.ref, [tagged(each.values) for each in found], answers)

    def _bound(self, keys: Sequence[object]) -> None:
        if len(keys) > self._most_rows:
            title = f"{len(keys):,} key sets are more than the {self._most_rows:,} of one request"
            raise RequestError(413, title, todo="send them in parts")


def _written(found: Sequence[Prediction], asked: PredictRequest, model: Model) -> list[PredictedRow]:
    """Return predictions as JSON says them."""
    if not found:
        return []
    outputs = RowWriter(pa.schema([(name, arrow_type(dtype)) for name, dtype in model.outputs.items()]))
    features = RowWriter(found[0].vector.schema)
    rows: list[PredictedRow] = []
    for each in found:
        row = PredictedRow(values=_written_row(each.values, outputs))
        if asked.features:
            row.features = _written_row(each.features, features)
        if asked.statuses:
            row.statuses = each.statuses
        if asked.receipt:
            row.receipt = each.receipt.to_dict()
        rows.append(row)
    return rows


def _written_row(values: Mapping[str, Any], writer: RowWriter) -> Row:
    return cast("Row", writer.write([values[name] for name in writer.names]))


def _summary(model: Model, served_as: list[str]) -> ModelSummary:
    said = model.said
    return ModelSummary(
        model=model.ref, name=model.name, version=model.version, stage=model.stage, view=model.view,
        training_set=model.training_set, outputs=dict(said.outputs), metrics=dict(said.metrics),
        description=said.description, created_at=model.created_at, served_as=served_as,
    )  # fmt: skip
