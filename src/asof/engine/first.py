"""The first rows of a history by key, read without those of the keys that come after."""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

ROWS = 4_096
"""Rows among which the first keys are looked for; then among more."""

MORE = 4
"""Times as many are looked at, where too few were found."""


def first_rows(
    many: int,
    names: Sequence[str],
    keys: Callable[[int], pa.Table],
    of_keys: Callable[[pa.Table], pa.Table],
    schema: pa.Schema,
) -> pa.Table:
    """Return the newest rows of the first keys that have one.

    Args:
        many: How many.
        names: The key columns.
        keys: Gives the keys of the first so many rows, ordered, and `__n`: how many of these rows each has.
        of_keys: Gives the newest rows of some keys, ordered; none of a key that is retired.
        schema: That of the rows.
    """
    wanted, looked_at = many, max(ROWS, MORE * many)
    while True:
        found = keys(looked_at)
        ended = (pc.sum(found.column("__n")).as_py() or 0) < looked_at
        if found.num_rows < wanted and not ended:  # there are many rows of a key
            looked_at = max(looked_at * MORE, 2 * wanted * looked_at // found.num_rows)
            continue
        chosen = found.slice(0, wanted).select(list(names))
        answer = of_keys(chosen) if chosen.num_rows else schema.empty_table()
        if answer.num_rows >= many or (ended and chosen.num_rows == found.num_rows):
            return answer.slice(0, many)
        wanted *= MORE  # some of them are retired
