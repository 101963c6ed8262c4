"""The file of LMDB as the online store opens it; and, as a program, what reads all of it and says what is wrong.

LMDB aborts the process on some faults, so it is read in one of its own: `python -P lmdb_file.py FOLDER ROW_BYTES`. That
imports nothing of asof, which would take four times as long as the rest.
"""

import sys
from pathlib import Path

import lmdb

MAP_BYTES = (1 << 44, 1 << 40, 1 << 36, 1 << 33)
"""Sizes of the map to try, the largest first: it is sparse, and never resized beside running readers."""

MAX_GROUPS = 16_384
MARKS = b"applied"
DATA = "data.mdb"


class UnusableError(Exception):
    """The file cannot be opened; its arguments are what is wrong, where, and what to do."""


def environment(folder: Path, *, readonly: bool = False) -> lmdb.Environment:
    """Open the environment of a folder.

    Raises:
        UnusableError: It is cut off, or there is no address space. lmdb.Error: LMDB refuses.
    """
    for size in MAP_BYTES:
        try:
            env = lmdb.open(
                str(folder),
                map_size=size,
                max_dbs=MAX_GROUPS,
                max_readers=1024,
                readonly=readonly,
                sync=False,
                max_spare_txns=16,
                metasync=False,
            )
        except MemoryError:
            continue
        except lmdb.Error as error:
            if "Cannot allocate memory" in str(error):
                continue
            raise
        needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
        actual = (folder / DATA).stat().st_size
        if env.info()["last_txnid"] and actual < needed:
            env.close()
            raise UnusableError(
                f"the online store is cut off: {actual:,} of {needed:,} bytes are there",
                str(folder / DATA),
                "run `asof doctor --repair`: it is rebuilt from history",
            )
        return env
    raise UnusableError("no address space for the online store", str(folder), "")


def probe(folder: Path, least_bytes: int) -> None:
    """Read all rows, none of fewer bytes, and print what is wrong, a line each; LMDB may abort the process."""
    try:
        env = environment(folder, readonly=True)
    except UnusableError as error:
        sys.exit(error.args[0])
    with env.begin() as txn:
        names = [bytes(key) for key, _ in txn.cursor() if key != MARKS]
    for name in names:
        table = env.open_db(name, create=False)
        with env.begin() as txn:
            rows = sum(1 for _, row in txn.cursor(table) if len(row) >= least_bytes)
            if rows != txn.stat(table)["entries"]:
                print(f"group {name[1:].decode()} has broken rows")  # noqa: T201 - what the parent reads


if __name__ == "__main__":
    probe(Path(sys.argv[1]), int(sys.argv[2]))
