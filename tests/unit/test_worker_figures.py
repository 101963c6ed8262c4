"""Figures of several workers, some of whose files are not whole."""

import os
import subprocess
import sys

WORKER = """
from prometheus_client import Counter
Counter("asof_rows", "Rows.").inc(3)
"""
READER = """
import os
from prometheus_client import CollectorRegistry, generate_latest
from asof.server.metrics import _OfWorkers
registry = CollectorRegistry()
registry.register(_OfWorkers(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
print(generate_latest(registry).decode())
"""


def test_files_that_a_killed_worker_left_half_made_are_passed_over(tmp_path):
    def run(text):
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        return subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True, env=environment)

    for _ in range(2):
        run(WORKER)
    (tmp_path / "counter_1.db").write_bytes(b"")
    (tmp_path / "counter_2.db").write_bytes(b"\xff\xff\x00\x00" + b"\xff" * 60)
    assert "asof_rows_total 6.0" in run(READER).stdout
