"""Erase rows from an LMDB environment so that no byte of them is left in its file.

Deleting is not enough: LMDB copies pages on write, and keeps the old ones, whole, until it needs their room; and a page
that lost a row keeps its bytes between the others. So the rows that stay are copied to new pages, and whatever is free
is filled once. It runs in a process of its own, whose memory never held the rows on a page to be written.
"""

import time
from collections.abc import Sequence
from typing import Any

from asof.errors import TransientError

FILL = b"filling"
KEY_BYTES = 16
GROWN = 3
"""Times in a row that the file must grow, before no page is free: those of one transaction are at hand two later."""

MOST_DIRTY = 120_000
"""Pages of one transaction, below LMDB's own limit."""

Environment = Any
"""An environment of LMDB; its package is imported in the adapter alone."""


def erase(env: Environment, table: Any, keys: Sequence[bytes], *, patience_seconds: float) -> int:  # noqa: ANN401 - LMDB's handle has no public type
    """Erase rows of a table; return how many there were.

    Raises:
        TransientError: The rows are gone for every reader to come, and an earlier one still holds their pages.
    """
    gone = set(keys)
    with env.begin(write=True) as txn:
        kept = env.open_db(b"kept", txn=txn)
        before = txn.stat(table)["entries"]
        with txn.cursor(table) as old, txn.cursor(kept) as new:
            new.putmulti(((key, row) for key, row in old if key not in gone), append=True)
        txn.drop(table, delete=False)
        with txn.cursor(kept) as old, txn.cursor(table) as new:
            new.putmulti(old, append=True)
        after = txn.stat(table)["entries"]
        txn.drop(kept)
        last = txn.id()
    _wait_for_readers(env, last, patience_seconds)
    _fill(env)
    return before - after


def forget_pages(env: Environment) -> None:
    """Overwrite the pages that this process keeps in memory for writing, which may hold rows that were erased since."""
    pages = min(env.info()["last_pgno"] + 64, MOST_DIRTY)
    txn = env.begin(write=True)
    try:
        table = env.open_db(FILL, txn=txn)
        _put_pages(txn, table, 0, pages, env.stat()["psize"])
    finally:
        txn.abort()  # nothing of it reaches the file


def _wait_for_readers(env: Environment, last: int, patience_seconds: float) -> None:
    """Wait until nobody reads a state from before a transaction: its pages would not be free."""
    until = time.monotonic() + patience_seconds
    while True:
        with env.begin(write=True) as txn:  # else a state that nobody changes stays the newest, and its readers ours
            txn.put(b"erased", b"")
            txn.delete(b"erased")
        if _oldest_reader(env) > last:
            return
        env.reader_check()  # some of them may be dead
        if time.monotonic() > until:
            raise TransientError(
                "a reader holds an old state of the online store: bytes of the erased rows are still in its file",
                where=env.path(),
                todo="end the long read, and erase again",
            )
        time.sleep(0.01)


def _oldest_reader(env: Environment) -> int:
    """Return the oldest transaction that anybody reads; LMDB prints `pid thread txnid` of each, `-` for none."""
    lines = [line.split() for line in env.readers().splitlines()[1:]]
    numbers = [int(words[2]) for words in lines if len(words) > 2 and words[2] != "-"]  # noqa: PLR2004 - three words
    return min(numbers, default=1 << 62)


def _fill(env: Environment) -> None:
    """Use up all free pages, then give them back: what they held is overwritten."""
    with env.begin(write=True) as txn:
        table = env.open_db(FILL, txn=txn)
    size, start, grown = env.stat()["psize"], 0, 0
    step = min(max(64, env.info()["last_pgno"] // 16), 8192)
    while grown < GROWN:
        before = env.info()["last_pgno"]
        with env.begin(write=True) as txn:
            _put_pages(txn, table, start, step, size)
        start += step
        grown = grown + 1 if env.info()["last_pgno"] - before >= step // 2 else 0
    with env.begin(write=True) as txn:
        txn.drop(table)


def _put_pages(txn: Any, table: Any, start: int, count: int, page_bytes: int) -> None:  # noqa: ANN401 - see erase
    """Put rows that fill pages to the last byte: two nodes a page, each of the greatest size."""
    node = (((page_bytes - 16) // 2) & -2) - 2
    value = bytes(node - 8 - KEY_BYTES)
    with txn.cursor(table) as cursor:
        cursor.putmulti((b"%016d" % number, value) for number in range(2 * start, 2 * (start + count)))
