"""Which files of a group are merged in the background: many small ones, seldom.

A reader pays for each file that it opens, a merge for each byte that it writes. So files are merged with their equals:
as soon as `FILES` of one size have gathered, with all that are smaller. A row is then written anew about once for each
size, however many commits there are, and a group has at most `FILES` files of each.
"""

from collections.abc import Sequence

from asof.parts import Kind
from asof.records import DataFile

FILES = 16
"""Files of one size that are merged."""

SIZES = (256 * 1024, 4 * 1024**2, 64 * 1024**2)
"""Bytes below which a file is small, middling, large, each 16 times the one before; larger files stay as they are."""

MOST_ROWS = 4_000_000
MOST_BYTES = 128 * 1024**2
"""What is merged at once, so that its sorting stays a small part of the memory; half as many rows are large too."""

SOON_BYTES = 16 * 1024**2
"""Bytes of a merge for which a store that is being closed may wait: about a second."""


def mergeable(files: Sequence[DataFile], *, most_bytes: int = MOST_BYTES) -> list[DataFile]:
    """Return the files that are to become one now, in their order; none if there are few of each size.

    Files are merged with those of their kind: confirmations with confirmations, rows with rows, families apart.
    """
    kinds = dict.fromkeys(map(Kind.of, files))
    for kind in kinds:
        chosen = _mergeable([file for file in files if Kind.of(file) == kind], most_bytes)
        if chosen:
            return chosen
    return []


def _mergeable(files: Sequence[DataFile], most_bytes: int) -> list[DataFile]:
    sizes = [next((s for s in SIZES if file.size_bytes < s and 2 * file.rows < MOST_ROWS), 0) for file in files]
    for size in reversed(SIZES):
        if sizes.count(size) < FILES:
            continue
        chosen: list[DataFile] = []
        left, rows = most_bytes, MOST_ROWS
        for file, its in zip(files, sizes, strict=True):
            if 0 < its <= size and file.size_bytes <= left and file.rows <= rows:
                chosen.append(file)
                left, rows = left - file.size_bytes, rows - file.rows
        if len(chosen) > 1:
            return chosen
    return []
