"""What a request may cost, and to whom the server answers."""

from dataclasses import dataclass

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may cost.

    Attributes:
        body_bytes: Size of its body.
        rows: Key sets, records, rows of a spine or definitions of one request; stored rows of one answer.
        seconds: Time to answer it.
        jobs: Reads of history that a process does at once.
        batch_bytes: Over Flight, size of one batch.
        table_bytes: Over Flight, size of rows that must be in memory at once, such as a spine. What is written is not.
        direct_bytes: Size of the files from which on clients may read them directly; None: they never may.
        hosts: Names that the server goes by, without ports; empty: any.
    """

    body_bytes: int = 16 * 1024**2
    rows: int = 10_000
    seconds: float = 30.0
    jobs: int = 2
    batch_bytes: int = 256 * 1024**2
    table_bytes: int = 2 * 1024**3
    direct_bytes: int | None = 8 * 1024**2
    hosts: tuple[str, ...] = LOOPBACK
