"""Receipts: what an online answer was made from, and their form in JSON. Source: SEMANTICS section 3."""

import base64
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast

import msgspec

from asof.clock import from_us, parse_time, show_us, to_us
from asof.errors import UsageError
from asof.records import SEMANTICS
from asof.serving.late import How, Late

Value = Any
"""A Python value of any of our types."""

Requests = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""What requests bring: one for all answers, or one for each."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an online answer was made from: enough to make it again from history.

    Attributes:
        view: The view's version, "departure@1".
        keys: The keys that were asked for.
        request: The request's inputs.
        clock_us: The answer's T.
        commits: The applied commit of each group, by its version.
        semantics: Version of the rules.
        applying: Whether a bulk load was being applied in several steps.
        width: Of an answer to a group's name: how many features the group had then; None for a view, which has the
            same features for ever.
        late: Of an answer that is not of the online store at T: where it is from. "default" has no commits.
    """

    view: str
    keys: Mapping[str, Value]
    request: Mapping[str, Value] | None
    clock_us: int
    commits: Mapping[str, int]
    semantics: int = SEMANTICS
    applying: bool = False
    width: int | None = None
    late: Late | None = None

    @property
    def seen_us(self) -> int:
        """When its rows were seen: T, unless it is stale."""
        return self.clock_us if self.late is None or self.late.read_us is None else self.late.read_us

    @property
    def clock(self) -> datetime:
        """The answer's T."""
        return from_us(self.clock_us)

    def to_dict(self) -> dict[str, Value]:
        """Return the receipt as a dict of JSON types.

        T is RFC 3339 text. A key that JSON does not know is a dict that names its type: `{"date": "2026-03-01"}`,
        `{"timestamp": "2026-03-01T12:00:00Z"}`, `{"bytes": "AP8="}` (base64). Only a late answer has `late`, "stale"
        or "default", and `read_at`, the T for which its rows were read.
        """
        return {
            "view": self.view,
            "clock": show_us(self.clock_us),
            "keys": {name: _to_json(value) for name, value in self.keys.items()},
            "request": None if self.request is None else msgspec.json.decode(request_text(self.request)),
            "commits": dict(self.commits),
            "semantics": self.semantics,
            "applying": self.applying,
            "width": self.width,
            **_late_document(self.late),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Value]) -> "Receipt":
        """Return the receipt of a dict that `to_dict` made, or of a row of a serving log.

        Raises:
            UsageError: A part is missing, or is nothing that belongs there.
        """
        try:
            clock, request, commits = given["clock"], given["request"], given["commits"]
            return cls(
                view=str(given["view"]),
                keys={str(name): _from_json(value) for name, value in given["keys"].items()},
                request=msgspec.json.decode(request) if isinstance(request, str) else request,
                clock_us=_time_us(clock, "clock"),
                commits=msgspec.convert(
                    msgspec.json.decode(commits) if isinstance(commits, str) else commits, dict[str, int]
                ),
                semantics=operator.index(given["semantics"]),
                applying=bool(given["applying"]),
                width=None if given.get("width") is None else operator.index(given["width"]),
                late=_late_from(given),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UsageError(f"this is no receipt: {what}", todo="pass what receipt.to_dict() gave") from error


def _late_document(late: Late | None) -> dict[str, Value]:
    if late is None:
        return {}
    return {"late": late.how, "read_at": None if late.read_us is None else show_us(late.read_us)}


def _late_from(given: Mapping[str, Value]) -> Late | None:
    if given.get("late") is None:
        return None
    how, read_at = msgspec.convert(given["late"], How), given.get("read_at")
    if (how == "stale") != (read_at is not None):
        raise ValueError("read_at goes with a stale answer")
    return Late(how, None if read_at is None else _time_us(read_at, "read_at"))


def _time_us(given: Value, what: str) -> int:
    return to_us(parse_time(given) if isinstance(given, str) else given, what=what)


def each_request(request: Requests, count: int) -> tuple[list[Mapping[str, Value] | None], list[str | None]]:
    """Return the request of each of several answers, copied, and its text.

    Args:
        request: One for all of them, or a sequence with one for each.
        count: How many answers.

    Raises:
        UsageError: They are none, or another number.
    """
    if request is None:
        return [None] * count, [None] * count
    if isinstance(request, Mapping):
        one = dict(request)
        return [one] * count, [request_text(one)] * count
    if isinstance(request, str | bytes) or not isinstance(request, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"request={request!r} is no mapping", todo='pass a dict of inputs, such as {"amount": 12.5}')
    if len(request) != count:
        todo = "pass one dict for all keys, or one for each"
        raise UsageError(f"{len(request):,} requests for {count:,} keys", where="request=", todo=todo)
    texts = [request_text(each) for each in request]
    return [dict(each) for each in request], [*texts]


def requests_text(request: Requests) -> str | None:
    """Return requests as JSON, for a server: null, an object, or an array of them.

    Raises:
        UsageError: See `request_text`.
    """
    if request is None or isinstance(request, Mapping):
        return None if request is None else request_text(request)
    _, texts = each_request(request, len(request))
    return f"[{','.join(text or 'null' for text in texts)}]"


def request_text(request: Requests) -> str:
    """Return the inputs of a request as JSON, as receipts and logs keep them. NaN becomes null.

    Raises:
        UsageError: They are no mapping, or JSON has no word for one of them.
    """
    if not isinstance(request, (dict, Mapping)):
        raise UsageError(f"request={request!r} is no mapping", todo='pass a dict of inputs, such as {"amount": 12.5}')
    try:
        return msgspec.json.encode(dict(request)).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        todo = "pass numbers, text, times, and lists and dicts of them"
        raise UsageError(f"a request is kept as JSON: {error}", where="request=", todo=todo) from error


def _to_json(value: Value) -> Value:
    match value:
        case None | str() | bool():
            return value
        case bytes() | bytearray():
            return {"bytes": base64.b64encode(value).decode()}
        case datetime():
            return {"timestamp": show_us(to_us(value))}
        case date():
            return {"date": value.isoformat()}
        case _:  # an integer, perhaps of NumPy; its booleans are none
            return bool(value) if type(value).__name__.startswith("bool") else operator.index(value)


def _from_json(value: Value) -> Value:
    if not isinstance(value, Mapping):
        return value
    ((kind, text),) = cast("Mapping[str, str]", value).items()
    match kind:
        case "bytes":
            return base64.b64decode(text, validate=True)
        case "timestamp":
            return parse_time(text)
        case "date":
            return date.fromisoformat(text)
        case _:
            raise ValueError(f"{kind!r} is no type of a key")
