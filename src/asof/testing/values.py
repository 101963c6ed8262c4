"""Values in the form in which they are stored and compared."""

import math
from collections.abc import Sequence
from typing import cast


def canonical(value: object) -> object:
    """Give the stored form of a value: 0.0 for -0.0 and one NaN, inside lists and structs too.

    NaN is always the same object, and Python compares the items of containers and dataclasses by identity
    first: so rows and answers made of canonical values compare with ==, NaN equal to NaN.
    """
    match value:
        case float():
            return math.nan if math.isnan(value) else float(value) + 0.0  # -0.0 + 0.0 is 0.0
        case list() | tuple():
            return [canonical(item) for item in cast("Sequence[object]", value)]
        case dict():
            return {name: canonical(item) for name, item in cast("dict[str, object]", value).items()}
        case _:
            return value
