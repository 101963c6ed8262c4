"""What a run of a stream counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from asof.streams.intake import Reason


@dataclass(frozen=True, slots=True)
class Figures:
    """How far a run is.

    Attributes:
        messages: Messages taken.
        rows: Rows stored.
        quarantined: Messages, or rows of them, that could not be stored.
        batches: Commits.
        retries: How often something was tried again: the store or the broker was away, or a partition changed hands.
        partitions: Partitions held now.
        lag: Messages that wait with the broker; None if it does not say.
        behind_seconds: How old the newest message taken was, by the broker's clock, when it was stored, while others
            wait; 0 when none do; None if the broker does not say.
        reasons: How much of `quarantined` there is for each kind of reason.
        newest_event_us: The greatest event time that was stored; None: none yet, or the group has none.
        seconds: How long it has run.
        trouble: What is being tried again, "" if nothing is.
    """

    messages: int = 0
    rows: int = 0
    quarantined: int = 0
    batches: int = 0
    retries: int = 0
    partitions: int = 0
    lag: int | None = None
    behind_seconds: float | None = None
    reasons: Mapping[Reason, int] = field(default_factory=dict[Reason, int])
    newest_event_us: int | None = None
    seconds: float = 0.0
    trouble: str = ""

    def __str__(self) -> str:
        """Return it as a line."""
        said = [f"{self.messages:,} messages", f"{self.rows:,} rows", f"{self.batches:,} commits"]
        said += [f"{self.quarantined:,} quarantined"] if self.quarantined else []
        said += [f"{self.retries:,} retries"] if self.retries else []
        said += [f"lag {self.lag:,}"] if self.lag is not None else []
        said += [f"{self.behind_seconds:.1f} s behind"] if self.behind_seconds else []
        said += [f"{self.partitions} partitions"]
        return ", ".join(said) + (f" - {self.trouble}" if self.trouble else "")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was stored, and can be read.

    Attributes:
        seconds: How long it took, from the moment at which its messages were there.
        age_seconds: How old its newest event was then, by the store's clock; None if it has none.
    """

    seconds: float
    age_seconds: float | None
