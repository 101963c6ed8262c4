"""The conformance suite of the monitors port of a registry: what monitors found is kept, run by run.

class TestSqliteMonitors(MonitorsSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
"""

from collections.abc import Callable

from asof.registry.monitors import MonitorFound
from asof.registry.port import Metadata
from asof.testing.registry import NOW_US, OpensRegistry


class MonitorsSuite(OpensRegistry):
    """What a registry must do with what monitors found; see `asof.registry.monitors.Monitors`."""

    def test_runs_are_kept_in_their_order(self, both: Metadata, opened: Callable[[], Metadata]) -> None:
        found = [MonitorFound("v", name, NOW_US - at, "ana", f'"{name}"') for at, name in enumerate("aba")]
        for each in found:
            both.monitors.add(each)
        both.monitors.add(MonitorFound("w", "a", NOW_US, "ana", "{}"))
        assert both.monitors.of("v") == opened().monitors.of("v") == found
        assert both.monitors.of("v", limit=2) == found[1:]
        assert both.monitors.of("v", monitor="a") == [found[0], found[2]]
        assert both.monitors.of("v", monitor="a", limit=1) == [found[2]]
        assert both.monitors.of("V") == [], "names are told apart by their letters' case"

    def test_a_long_result_is_kept_whole(self, both: Metadata) -> None:
        found = MonitorFound("v", "a", NOW_US, "", "äö" * 200_000)
        both.monitors.add(found)
        assert both.monitors.of("v") == [found]

    def test_bodies_can_be_redacted(self, both: Metadata) -> None:
        found = [MonitorFound(view, "a", NOW_US, "ana", body) for view, body in (("v", "secret"), ("w", "plain"))]
        for each in found:
            both.monitors.add(each)
        assert both.monitors.redact(lambda body: body.replace("secret", "-")) == 1
        assert both.monitors.redact(lambda body: body) == 0
        assert [both.monitors.of(view)[0].body for view in "vw"] == ["-", "plain"]
