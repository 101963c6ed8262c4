"""Monitors: a comparison and bounds that are looked at again and again; what was found is kept.

run      one run of a monitor
alerts   telling it: a webhook
"""

from asof.quality.monitors.alerts import post
from asof.quality.monitors.run import run_monitor, runs
from asof.registry.monitor_runs import Alert, MonitorRun

__all__ = ["Alert", "MonitorRun", "post", "run_monitor", "runs"]
