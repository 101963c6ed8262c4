"""What a registry must do with statistics; a file of its own, since `port` is long."""

from collections.abc import Sequence
from typing import Protocol

from asof.records import Span
from asof.registry.registered import RegisteredGroup


class Statistics(Protocol):
    """Statistics of spans of commits. `CommitLog.publish` and `replace_files` add those of commits, and drop them.

    A commit is in one span at most; those whose rows lie in the journal, and retracts, are in none. They go with their
    group. Atomic, and safe to call from several threads and processes.
    """

    def spans(
        self, group: RegisteredGroup, *, after: int = 0, through: int | None = None, bodies: bool = True
    ) -> list[Span]:
        """Return the spans that hold a commit with after < number <= through (None: the last), in order.

        Args:
            group: The group.
            after: As above.
            through: As above.
            bodies: Whether the statistics themselves are asked for.
        """
        ...

    def missing(
        self, group: RegisteredGroup, *, after: int = 0, through: int | None = None
    ) -> list[tuple[int, int, int]]:
        """Return (number, committed_at_us, rows) of the commits in files that wrote rows and are in no span, in order.

        Args:
            group: The group.
            after: Those with after < number <= through.
            through: None: the last.
        """
        ...

    def replace(self, group: RegisteredGroup, *, removed: Sequence[Span], added: Sequence[Span], drops: int) -> None:
        """Put spans in the place of others, in one step.

        Args:
            group: The group.
            removed: Known by their first and last commit.
            added: What the group has then in their place.
            drops: `Snapshot.drops` when the rows or spans were read that they were made from.

        Raises:
            ConflictError: Some of `removed` are gone, one of `added` would hold a commit that is in a span, or rows of
                the group were dropped since: nothing was changed.
        """
        ...
