"""Answers of many key sets as columns, without a Python object for each value where rows allow it.

A row of floats without nulls has a fixed shape in msgpack, so such rows lie under each other as a matrix of bytes. All
other rows are decoded, those of a look-up together.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from asof.derived.inputs import Given
from asof.online.port import HEAD_BYTES
from asof.serving.late import Late, mark_letters
from asof.serving.plan import Plan, RawRow, Step, Value, decode_payloads

Letters = npt.NDArray[np.uint8]

_PRESENT, _NULL = b"PN"

_FLOAT_BYTES = 9
_FLOAT_MARKER = 0xCB
"""A float in msgpack: this byte, and eight of the number, big-endian."""


def columns(  # noqa: PLR0913 - the parts of answers
    plan: Plan,
    types: Sequence[pa.DataType],
    every: Sequence[Sequence[RawRow]],
    times_us: Sequence[int],
    given: Sequence[Given],
    *,
    lates: Sequence[Late | None] = (),
    tolerant: bool = False,
    breathe: Callable[[], None] = lambda: None,
) -> tuple[list[pa.Array], Letters]:
    """Return the values of answers as columns of given types in the plan's order, and their statuses.

    A status is its first letter, in a matrix of shape (answers, features).

    Args:
        plan: How the view is read.
        types: The types wanted.
        every: The rows of each answer.
        times_us: T of each.
        given: What the request of each brings.
        lates: How each is late; () if none is.
        tolerant: See `Derived.columns`.
        breathe: Called between look-ups.

    Raises:
        DataError: The function of an on-demand feature failed.
    """
    letters = np.full((len(every), len(plan.names)), _PRESENT, np.uint8)
    arrays: dict[str, pa.Array] = {}
    wanted = {**plan.types, **dict(zip(plan.names, types, strict=True))}
    places = {name: at for at, name in enumerate(plan.names)}
    by_step = zip(*every, strict=True) if every else ((),) * len(plan.steps)
    for step, rows in zip(plan.steps, by_step, strict=True):
        absent = _absent(step, rows, times_us)
        found = _floats(step, rows, absent) if step.float_row_bytes else _decoded(step, rows, absent, wanted)
        for name, array in found.items():
            arrays[name] = array if array.type == wanted[name] else array.cast(wanted[name])
        for name in step.shown:
            _tell_nulls(letters[:, places[name]], arrays[name])
            for at, letter in absent.items():
                letters[at, places[name]] = letter
        breathe()
    if plan.on_demand is not None:
        inputs = plan.on_demand.inputs.columns(given)
        made = plan.on_demand.columns(arrays, inputs, len(every), tolerant=tolerant, breathe=breathe)
        for name in made.keys() & places.keys():
            arrays[name] = made[name] if made[name].type == wanted[name] else made[name].cast(wanted[name])
            _tell_nulls(letters[:, places[name]], arrays[name])
    looked_up = np.array([name in plan.looked_up for name in plan.names], bool)
    for at, late in enumerate(lates):
        if late is not None:
            mark_letters(letters[at], late, looked_up)
    return [arrays[name] for name in plan.names], letters


def _tell_nulls(letters: Letters, array: pa.Array) -> None:
    if array.null_count:
        letters[array.is_null().to_numpy(zero_copy_only=False)] = _NULL


def _absent(step: Step, rows: Sequence[RawRow], times_us: Sequence[int]) -> dict[int, int]:
    """Return the letter of each row that is not PRESENT, by its place."""
    if step.ttl_us is None and None not in rows and min(map(len, rows), default=0) > HEAD_BYTES:  # type: ignore[arg-type] - none is None
        return {}
    return {
        at: ord(status[0])
        for at, (row, t_us) in enumerate(zip(rows, times_us, strict=True))
        if (status := step.status(row, t_us)) != "PRESENT"
    }


def _floats(step: Step, rows: Sequence[RawRow], absent: Mapping[int, int]) -> dict[str, pa.Array]:
    """Return the columns of a look-up whose group has floats only."""
    size, width = step.float_row_bytes, step.width
    sizes = [0 if at in absent else len(row) for at, row in enumerate(rows)] if absent else list(map(len, rows))  # type: ignore[arg-type] - absent ones
    fitting = np.flatnonzero(np.array(sizes) == size)
    raw = rows if len(fitting) == len(rows) else [rows[at] for at in fitting.tolist()]
    cells = np.frombuffer(b"".join(raw), np.uint8).reshape(-1, size)[:, size - width * _FLOAT_BYTES :]  # type: ignore[arg-type] - None does not fit
    cells = cells.reshape(-1, width, _FLOAT_BYTES)
    floats = (cells[:, :, 0] == _FLOAT_MARKER).all(axis=1)
    numbers = cells[:, :, 1:].copy().view(">f8")[:, :, 0].T.astype("<f8", order="C")
    if len(fitting) == len(rows) and floats.all():
        return {name: pa.array(numbers[place]) for name, place, _ in step.outputs}
    values = np.zeros((width, len(rows)))
    valid = np.zeros((width, len(rows)), bool)
    values[:, fitting[floats]] = numbers[:, floats]
    valid[:, fitting[floats]] = True
    done = set(fitting[floats].tolist())
    others = [at for at in range(len(rows)) if at not in absent and at not in done]
    for at, decoded in zip(others, decode_payloads([rows[at] for at in others]), strict=True):
        for place, value in enumerate(decoded[:width]):
            if value is not None:
                values[place, at] = value
                valid[place, at] = True
    return {name: pa.array(values[place], mask=~valid[place]) for name, place, _ in step.outputs}


def _decoded(
    step: Step, rows: Sequence[RawRow], absent: Mapping[int, int], types: Mapping[str, pa.DataType]
) -> dict[str, pa.Array]:
    """Return the columns of a look-up, by way of Python values."""
    values = decode_payloads([row for at, row in enumerate(rows) if at not in absent])
    nulls: list[Value] = [None] * step.width
    if absent:
        decoded = iter(values)
        values = [nulls if at in absent else next(decoded) for at in range(len(rows))]
    if min(map(len, values), default=0) < step.width:  # features were added later
        values = [[*row, *nulls[len(row) :]] for row in values]
    by_feature = list(zip(*values)) if values else [()] * step.width  # noqa: B905 - rows may hold features that came after the plan
    found: dict[str, pa.Array] = {}
    for name, place, convert in step.outputs:
        column = by_feature[place]
        if convert is not None:
            column = [None if value is None else convert(value) for value in column]
        found[name] = pa.array(column, types[name])
    return found
