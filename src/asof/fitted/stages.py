"""Stages of a chain: what each makes of columns, by names, types and values."""

from collections.abc import Sequence
from typing import assert_never

from asof.definitions.types import parse_type
from asof.fitted.applying import Apply, applier, outputs_of
from asof.fitted.estimators import ApplyAll, Column, estimated
from asof.fitted.states import Columns, Estimated, Stage


def stage_outputs(stage: Stage, columns: Sequence[Column]) -> list[Column]:
    """Return the names and types of what a stage makes of columns."""
    match stage:
        case Columns(states=states):
            pairs = zip(states, columns, strict=True)
            return [made for state, (name, dtype) in pairs for made in outputs_of(state, name, dtype)]
        case Estimated(outputs=outputs):
            return [(name, parse_type(dtype)) for name, dtype in outputs]
        case _:
            assert_never(stage)


def stage_applier(stage: Stage, *, where: str) -> ApplyAll:
    """Return what applies a stage.

    Raises:
        MissingDependencyError: It is of scikit-learn, which is not installed.
        UnsupportedError, PermanentError, UsageError, ConflictError: See `estimated`.
    """
    match stage:
        case Estimated():
            return estimated(stage, where=f"{where}, {stage.step}")
        case Columns(states=states):
            return _each([applier(state) for state in states])
        case _:
            assert_never(stage)


def _each(appliers: Sequence[Apply]) -> ApplyAll:
    if len(appliers) == 1:
        only = appliers[0]
        return lambda arrays: only(arrays[0])
    return lambda arrays: [made for apply, values in zip(appliers, arrays, strict=True) for made in apply(values)]
