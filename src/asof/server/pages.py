"""What the pages need of the server: who looks, in which thread history is read, and what was counted."""

from collections import defaultdict
from math import inf

from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from asof.access import Caller
from asof.server.access import Access
from asof.server.jobs import Jobs
from asof.server.metrics import Metrics
from asof.server.rights import address_of
from asof.ui.figures import Counted, Latency


class Gate:
    """Knows who looks at the pages by the key that he signed in with; see `asof.ui.gate.Gate`."""

    def __init__(self, access: Access) -> None:
        """Keep who knows the keys."""
        self._access = access

    def caller(self, request: Request, token: str | None) -> Caller:
        """Return who sent a request."""
        return self._access.identify(token, address_of(request))


class Figures:
    """The figures of a server, of all its workers; see `asof.ui.figures.Figures`."""

    def __init__(self, metrics: Metrics, jobs: Jobs) -> None:
        """Keep where they are."""
        self._metrics = metrics
        self._jobs = jobs

    def counted(self) -> Counted:
        """Return the figures of now, as Prometheus would read them."""
        buckets: defaultdict[str, dict[float, int]] = defaultdict(dict)
        sums: defaultdict[str, float] = defaultdict(float)
        values: defaultdict[str, dict[str, int]] = defaultdict(dict)
        requests: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for family in text_string_to_metric_families(self._metrics.text().decode()):
            for sample in family.samples:
                labels = sample.labels
                match sample.name:
                    case "asof_online_seconds_bucket":
                        buckets[labels["view"]][float(labels["le"])] = int(sample.value)
                    case "asof_online_seconds_sum":
                        sums[labels["view"]] = sample.value
                    case "asof_online_values_total":
                        values[labels["view"]][labels["status"]] = int(sample.value)
                    case "asof_requests_total":
                        requests[labels["operation"]][labels["status"]] = int(sample.value)
                    case _:
                        pass
        online = {view: Latency(each[inf], sums[view], sorted(each.items())) for view, each in buckets.items()}
        return Counted(online, values, requests)

    def under_way(self) -> tuple[int, int]:
        """Return how many jobs are under way in this process, and how many may be."""
        return self._jobs.under_way
