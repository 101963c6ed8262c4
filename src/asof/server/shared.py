"""What the transports of one process share: figures, the limit of jobs, and models."""

from collections.abc import Sequence
from dataclasses import dataclass

from asof.server.jobs import Jobs
from asof.server.limits import Limits
from asof.server.metrics import Metrics
from asof.server.models import ServedModels
from asof.store import Store


@dataclass(frozen=True, slots=True)
class Shared:
    """What HTTP and Flight share where one process serves both.

    Attributes:
        metrics: The figures of this process.
        jobs: Its jobs.
        models: What it predicts with.
    """

    metrics: Metrics
    jobs: Jobs
    models: ServedModels

    def close(self) -> None:
        """Follow the registry no more."""
        self.models.close()


def shared(store: Store, limits: Limits, models: Sequence[str] = (), *, strict: bool = True) -> Shared:
    """Return what the transports of a store share; whoever asks for models closes it.

    Raises:
        As `ServedModels`.
    """
    return Shared(Metrics(store), Jobs(limits.jobs), ServedModels(store, models, strict=strict))
