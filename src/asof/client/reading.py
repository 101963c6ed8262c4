"""Online reads over the wire: a key set, or some, over HTTP; many over Flight."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import pyarrow as pa

from asof.client.link import Link
from asof.client.vectors import RemoteVector, RemoteVectors
from asof.errors import TransientError, UsageError
from asof.serving.online import Vector, Vectors
from asof.serving.receipt import Requests, each_request, requests_text
from asof.wire.online import ONLINE_PATH, Answer, Card, Many, One
from asof.wire.requests import Online
from asof.wire.tables import from_bytes
from asof.wire.values import decoder, is_plain, record, tagged

Keys = Mapping[str, Any]

SIMPLE = frozenset({str, int, bool, bytes})
"""Types whose values come back from Arrow as they were."""

FEW_KEYS = 1000
"""So many key sets are one message over HTTP. Flight takes 2 ms to begin: 100 of them p10 4.9 ms, over HTTP 2."""

_encode = msgspec.msgpack.Encoder().encode
_one, _many = decoder(One), decoder(Many)


class OnlineClient:
    """Reads vectors from a server; remembers how each view answers."""

    def __init__(self, link: Link) -> None:
        """Keep the way to it."""
        self._link = link
        self._cards: dict[str, Card] = {}

    def forget(self) -> None:
        """Ask anew how views answer."""
        self._cards.clear()

    def read(self, view: str, keys: Keys | Sequence[Keys], request: Requests) -> Vector | Vectors:
        """Answer one key set, or several; see `Store.online`."""
        if not is_small(keys):
            return self._flown(view, cast("Sequence[Keys]", keys), request)
        return self.answer(view, keys, request, self._link.http("POST", ONLINE_PATH, self.asked(view, keys, request)))

    def asked(self, view: str, keys: Keys | Sequence[Keys], request: Requests) -> bytes:
        """Return what asks for answers over HTTP.

        Raises:
            UsageError: They are no keys.
        """
        one = isinstance(keys, (dict, Mapping))
        if not one:
            _refuse_others(view, keys)
        inputs = requests_text(request)
        plain = one and is_plain(cast("Keys", keys).values())
        known = self._cards.get(view)
        given = dict(cast("Keys", keys)) if plain else tagged(keys)
        return _encode({"view": view, "keys": given, "request": inputs, "card": known.digest if known else ""})

    def answer(self, view: str, keys: Keys | Sequence[Keys], request: Requests, answer: bytes) -> Vector | Vectors:
        """Return the answers of a message."""
        if isinstance(keys, (dict, Mapping)):
            one = _one(answer)
            card = self._card(view, one.answer)
            inputs = dict(cast("Keys", request)) if request else None
            return RemoteVector(card, one.answer, dict(keys), inputs, one.values, one.letters, one.times)
        many = _many(answer)
        inputs, _ = each_request(request, len(keys))
        return RemoteVectors(
            self._card(view, many.answer), many.answer, list(map(dict, keys)), inputs, from_bytes(many.rows)
        )

    def _flown(self, view: str, keys: Sequence[Keys], request: Requests) -> Vectors:
        """Answer many key sets, as a table over Flight."""
        _refuse_others(view, keys)
        inputs = requests_text(request)
        known = self._cards.get(view)
        asked = Online(view=view, request=inputs, card=known.digest if known else "")
        table = _as_table(keys)
        if table is None:
            asked.keys = list(keys)
        rows = pa.table({}) if table is None else table
        found = self._link.exchange("online", asked, rows.schema, rows.to_batches())
        answer = record(Answer, found.result)
        card = self._card(view, answer)
        each, _ = each_request(request, len(keys))
        return RemoteVectors(card, answer, list(map(dict, keys)), each, found.rows)

    def _card(self, view: str, answer: Answer) -> Card:
        if answer.card is not None:
            self._cards[view] = answer.card
        card = answer.card or self._cards.get(view)
        if card is None or card.digest != answer.digest:
            self._cards.pop(view, None)
            raise TransientError(f"how {view} answers has just changed", todo="read again")
        return card


def is_small(keys: Keys | Sequence[Keys]) -> bool:
    """Return whether keys are few enough for one message over HTTP, which takes less than Flight to begin."""
    return isinstance(keys, (dict, Mapping)) or not isinstance(keys, Sequence) or len(keys) <= FEW_KEYS  # pyright: ignore[reportUnnecessaryIsInstance] - callers err


def _refuse_others(view: str, keys: object) -> None:
    every = cast("Sequence[object]", keys)
    kind = type(keys)
    if not isinstance(keys, Sequence) or not all(isinstance(each, Mapping) for each in every):
        raise UsageError(f"{kind.__name__} is no sequence of keys", where=view, todo="pass a dict, or a list of dicts")


def _as_table(every: Sequence[Keys]) -> pa.Table | None:
    """Return key sets as a table; None if their values would not come back as they are."""
    if not every or not all(each.keys() == every[0].keys() for each in every):
        return None
    columns: dict[str, pa.Array] = {}
    for name in every[0]:
        values = [each[name] for each in every]
        kinds = {*map(type, values)} - {type(None)}
        if len(kinds) != 1 or not kinds <= SIMPLE or not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            return None
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, OverflowError):
            return None
    return pa.table(columns) if columns else None
