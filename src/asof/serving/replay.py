"""The same answer again, from history. Source: SEMANTICS section 3."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from asof.arrow.types import TIMESTAMP
from asof.clock import from_us
from asof.engine.port import EVENT_COLUMN
from asof.errors import UsageError
from asof.parts import Parts, pinned_rows, resolve
from asof.records import SEMANTICS, Status
from asof.serving.online import Receipt
from asof.training.historical import HistoricalReader


@dataclass(frozen=True, slots=True)
class Replayed:
    """An answer made from history; the same dicts as a `Vector`."""

    values: Mapping[str, Any]
    statuses: Mapping[str, Status]
    event_times: Mapping[str, datetime | None]
    receipt: Receipt


def replay(parts: Parts, receipt: Receipt) -> Replayed:
    """Answer a receipt from history.

    Raises:
        UsageError: Another version of the rules made it.
        NotFoundError: Its view is gone. ConflictError: Retention dropped rows that it saw.
    """
    if receipt.semantics != SEMANTICS:
        raise UsageError(f"the receipt was made under semantics {receipt.semantics}, this is {SEMANTICS}")
    question = resolve(parts, receipt.view)
    lookups = question.view.lookups()
    columns = {
        name: pa.array([receipt.keys[name]]) if receipt.keys[name] is not None else pa.nulls(1)
        for name in question.view.spine_keys
    }
    times = pa.chunked_array([pa.array([receipt.clock_us]).cast(TIMESTAMP)])
    pinned = {
        name: (pinned_rows(parts, group, pin=receipt.commits[group.ref])[0], None)
        for name, group in question.groups.items()
    }
    answered = HistoricalReader(parts).answer(question, lookups, pa.table(columns), times, pinned, "served")
    values: dict[str, Any] = {}
    statuses: dict[str, Status] = {}
    events: dict[str, datetime | None] = {}
    for answer in answered:
        event_us = answer.found.column(EVENT_COLUMN)[0].as_py()
        for name, column in answer.values().items():
            values[name] = column[0].as_py()
            events[name] = None if event_us is None or answer.lookup.group.static else from_us(event_us)
        statuses |= {name: column[0].as_py() for name, column in answer.statuses().items()}
    order = question.view.output_names()
    return Replayed(
        {n: values[n] for n in order}, {n: statuses[n] for n in order}, {n: events[n] for n in order}, receipt
    )
