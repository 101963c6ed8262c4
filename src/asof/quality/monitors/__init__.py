"""Monitors: a comparison and bounds that are looked at again and again; what was found is kept.

run      one run of a monitor
alerts   telling it: a webhook
"""

from asof.quality.monitors.alerts import post
from asof.quality.monitors.run import Alert, MonitorRun, run_monitor, runs

__all__ = ["Alert", "MonitorRun", "post", "run_monitor", "runs"]
