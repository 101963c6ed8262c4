"""Training sets over the wire: what each verb does, and who may ask for it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pyarrow as pa

from asof.access.caller import calling
from asof.definitions import Label
from asof.definitions.group import FeatureRef, GroupOn
from asof.definitions.splits import split_from
from asof.errors import UsageError
from asof.records import Role
from asof.registry.registered import RegisteredView
from asof.registry.training_sets import KeptSet
from asof.store import Store
from asof.training.sets.training_set import TrainingSet
from asof.wire import requests


def made(store: Store, asked: requests.TrainingSet, rows: pa.RecordBatchReader) -> KeptSet:
    """Make a training set of a spine that a client sends.

    Raises:
        As `Store.training_set`. DeniedError: The caller may not read the label's group.
    """
    label = asked.column if asked.label is None else _label(store, asked.label)
    return store.training_set(
        asked.name,
        asked.view,
        rows,
        time=asked.time,
        split=split_from(asked.split),
        label=label,
        known=asked.known,
        commits=asked.commits,
        timezone=asked.timezone,
        truncate=asked.truncate,
        batch_rows=asked.batch_rows,
        code_commit=asked.code,
    ).kept


def found(store: Store, name: object, role: Role) -> TrainingSet:
    """Return a training set, if the caller has a role for its view.

    Raises:
        NotFoundError: There is none. DeniedError: He has not.
    """
    kept = store.training_set(name)  # pyright: ignore[reportArgumentType] - it says what is no name
    calling().need(role, store.catalog.find(kept.view).definition)
    return kept


def readable(store: Store) -> list[KeptSet]:
    """Return the training sets whose views the caller may read."""
    every = store.catalog.training_sets()
    if not calling().reads_all:
        every = [each for each in every if calling().may("reader", store.catalog.find(each.view).definition)]
    return [each.kept for each in every]


def rebuilt(store: Store, name: object) -> None:
    """Make a training set again, and say why if it is not the same."""
    found(store, name, "reader").rebuild()


def late(store: Store, name: object) -> Mapping[str, int]:
    """Return for each feature how many values were not servable at their rows' times."""
    return found(store, name, "reader").late()


def removed(store: Store, name: object) -> list[str]:
    """Remove a training set."""
    kept = found(store, name, "admin")
    return store.catalog.remove_training_set(str(name) if "@" in str(name) else kept.name)


def _label(store: Store, sent: requests.SentLabel) -> Label:
    group: Any = store.catalog.find(sent.group)
    if isinstance(group, RegisteredView):
        raise UsageError(f"{sent.group!r} is a view", where="label=", todo="name a feature of a group")
    calling().need("reader", group.definition)
    on: tuple[tuple[str, str | FeatureRef], ...] = tuple(sent.on.items())
    label = GroupOn(group.definition, on)[sent.feature].after(timedelta(microseconds=sent.horizon_us))
    return label.alias(sent.name) if sent.name else label
