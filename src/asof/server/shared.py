"""What the transports of one process share: figures, and the limit of jobs."""

from dataclasses import dataclass

from asof.server.jobs import Jobs
from asof.server.limits import Limits
from asof.server.metrics import Metrics
from asof.store import Store


@dataclass(frozen=True, slots=True)
class Shared:
    """What HTTP and Flight share where one process serves both.

    Attributes:
        metrics: The figures of this process.
        jobs: Its jobs.
    """

    metrics: Metrics
    jobs: Jobs


def shared(store: Store, limits: Limits) -> Shared:
    """Return what the transports of a store share."""
    return Shared(Metrics(store), Jobs(limits.jobs))
