"""Answers of a view whose online store gave none in time: what they were made from, and what they say of themselves.

Source: docs/semantics.md, "Where the online store is slow".
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from asof.records import Status

How = Literal["stale", "default"]

WORDS: Mapping[How, Status] = {"stale": "STALE", "default": "UNAVAILABLE"}
_STALE, _UNAVAILABLE = b"SU"
_PRESENT, _NULL = b"PN"


@dataclass(frozen=True, slots=True)
class Late:
    """That an answer is not of the online store as it was at T.

    Attributes:
        how: "stale": made from the rows that this process had read last; "default": made from no rows.
        read_us: T of the answer for which they were read; None of "default".
    """

    how: How
    read_us: int | None = None


def late_statuses(statuses: Mapping[str, Status], late: Late, looked_up: AbstractSet[str]) -> dict[str, Status]:
    """Return the statuses of a late answer.

    Args:
        statuses: Those that its rows give.
        late: How it is late.
        looked_up: The features that need the online store; what is made of a request alone is as good as ever.
    """
    word = WORDS[late.how]
    every = late.how == "default"
    return {
        name: word if name in looked_up and (every or status in {"PRESENT", "NULL"}) else status
        for name, status in statuses.items()
    }


def mark_letters(letters: npt.NDArray[np.uint8], late: Late, looked_up: npt.NDArray[np.bool_]) -> None:
    """Put the letters of a late answer's statuses in the place of those that its rows give; see `late_statuses`.

    Args:
        letters: Of one answer, by feature.
        late: How it is late.
        looked_up: Which of the features need the online store.
    """
    if late.how == "default":
        letters[looked_up] = _UNAVAILABLE
    else:
        letters[looked_up & ((letters == _PRESENT) | (letters == _NULL))] = _STALE
