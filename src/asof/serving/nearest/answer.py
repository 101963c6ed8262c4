"""What `nearest` returns: a frame that says how it was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from asof.arrow.frames import Origin
from asof.clock import from_us
from asof.training.frame import HistoricalFrame

DISTANCE = "distance"
"""The column of distances."""


@dataclass(frozen=True, slots=True)
class Found:
    """How neighbours were found.

    Attributes:
        exact: Whether they are the nearest of all rows that pass, and not only likely to be.
        recall: recall@10: 1.0 if exact, else as measured when the lists were made.
        compared: Rows that could answer: there, with a vector that can be compared, and passing the filter.
        clock_us: T.
        applying: Whether a bulk load was half applied.
    """

    exact: bool
    recall: float
    compared: int
    clock_us: int
    applying: bool


class Neighbours(HistoricalFrame):
    """The nearest rows, the nearest first: key columns, `distance`, and the features wanted.

    Attributes:
        found: How they were found.
    """

    def __init__(self, table: pa.Table, commits: Mapping[str, int], found: Found) -> None:
        """Keep the parts."""
        super().__init__(table, Origin("arrow"), commits)
        self.found = found

    @property
    def exact(self) -> bool:
        """Whether they are the nearest of all rows that pass the filter; else only likely to be."""
        return self.found.exact

    @property
    def recall(self) -> float:
        """1.0 if exact; else recall@10, as measured on 100 of the rows when the lists were made."""
        return self.found.recall

    @property
    def compared(self) -> int:
        """Rows that could answer: not expired, retired or null, with finite numbers, and passing the filter."""
        return self.found.compared

    @property
    def applying(self) -> bool:
        """Whether a bulk load was half applied: then rows that it brings may lack."""
        return self.found.applying

    @property
    def clock(self) -> datetime:
        """The T of the answer."""
        return from_us(self.found.clock_us)
