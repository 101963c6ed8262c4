"""The server: the store's verbs over HTTP, for programs that are not Python or not on this machine.

It adds transport, limits and metrics; every answer is the store's own (DESIGN, decision 4). `asof serve` starts it.
"""

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which processes keep their figures, set before metrics are imported."""
